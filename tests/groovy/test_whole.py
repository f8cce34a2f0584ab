"""The steps with the real command against an EC2 endpoint with simulated machines: what a whole build comes to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cloud.simulated import REGION, Script, SimulatedCloud, make_image

from .conftest import Build, Scenario, run_builds
from .test_bridge import LIBRARY
from .test_build_ami import MINIMAL, REAL

pytestmark = pytest.mark.groovy

ENVIRONMENTS = """\
environments:
  dev: {{region: {region}, endpoint: "{url}", tags: {{stage: dev}}}}
  eu: {{region: {region}, endpoint: "{url}", regions: [eu-west-1], ssm_parameter: "/images/{{name}}"}}
"""


class Cloud:
    """An endpoint, and what an agent needs to build in it."""

    def __init__(self, simulated: SimulatedCloud, url: str, folder: Path) -> None:
        self.simulated = simulated
        self.folder = folder
        file = folder / "environments.yaml"
        file.write_text(ENVIRONMENTS.format(region=REGION, url=url))
        self.agent = {"JENKINS_AMI_ENVIRONMENTS": str(file)}

    @property
    def launched(self) -> int:
        return len(self.simulated.simulation.launches)

    @property
    def left(self) -> dict[str, int]:
        """Instances that are there, and images besides the base."""
        backend = self.simulated.backend(REGION)
        running = [each for each in backend.all_instances() if each._state.name != "terminated"]
        return {"instances": len(running), "images": len(self.simulated.store.images()) - 1}

    def run(self, script: str, **more: object) -> Build:
        env: Mapping[str, str] = {**self.agent, **more.pop("env", {})}  # type: ignore[dict-item]
        scenario = Scenario(LIBRARY + script, env=env, commands=REAL, repository=MINIMAL, **more)  # type: ignore[arg-type]
        return run_builds(self.folder, {"build": scenario})["build"]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        simulated = SimulatedCloud(tmp_path / "state")
        with simulated.serving() as url:
            make_image(simulated.store, "base", region=REGION, tags={"jenkins-ami:base": "scratch/simulated"})
            yield Cloud(simulated, url, tmp_path)


def test_an_image_is_built_tested_and_distributed(cloud: Cloud) -> None:
    build = cloud.run("def ami = buildAmi(environment: 'eu', test: true)\necho ami.images.keySet().sort().join(' ')")
    assert build.result == "SUCCESS", build.console
    ami = json.loads(build.archive["ami/ami.json"].read_text())
    assert "eu-central-1 eu-west-1\n" in build.console
    assert ami["images"]["eu-west-1"]["image_id"] in build.description
    assert {"ami/report/index.html", "ami/report/style.css", "ami/tests.xml"} <= build.archive.keys()
    assert cloud.left["instances"] == 0


def test_one_compiled_ami_is_built_in_two_environments(cloud: Cloud) -> None:
    build = cloud.run("buildAmi(environment: ['dev', 'eu'])")
    assert build.result == "SUCCESS", build.console
    results = [json.loads(build.archive[f"ami/{name}/ami.json"].read_text()) for name in ("dev", "eu")]
    assert [(result["environment"], result["build"]) for result in results] == [("dev", 1), ("eu", 2)]
    assert len({result["digest"] for result in results}) == 1


def test_an_image_may_be_published_later(cloud: Cloud) -> None:
    build = cloud.run("def ami = buildAmi(environment: 'eu', publish: false)\npublishAmi(ami: ami)")
    assert build.result == "SUCCESS", build.console
    before, after = (json.loads(build.archive[f"{folder}/ami.json"].read_text()) for folder in ("ami", "published"))
    assert (sorted(before["images"]), sorted(after["images"])) == (["eu-central-1"], ["eu-central-1", "eu-west-1"])
    assert after["published"]


def test_a_build_whose_process_a_restart_takes_along_launches_once(cloud: Cloud) -> None:
    cloud.simulated.simulation.script = Script(delay=6)
    build = cloud.run("buildAmi()", restart_at="Instance", restart_kills=True)
    assert build.result == "SUCCESS", build.console
    assert "The build was cut off: going on with what its ledger lists.\n" in build.console
    assert cloud.launched == 1
    assert cloud.left == {"instances": 0, "images": 1}


def test_an_aborted_build_leaves_nothing(cloud: Cloud) -> None:
    cloud.simulated.simulation.script = Script(state="running", console=b"")
    build = cloud.run("buildAmi()", abort_at="Instance")
    assert build.result == "ABORTED", build.console
    assert cloud.left == {"instances": 0, "images": 0}
    assert {"ami/ledger.jsonl", "ami/report/index.html"} <= build.archive.keys()


def test_an_instance_that_fails_makes_no_image_and_says_why(cloud: Cloud) -> None:
    broken = {**MINIMAL, "cloudinit/90_broken.yml": "#cloud-config\nruncmd: [exit 3]\n"}
    cloud.simulated.simulation.script = Script(
        state="stopped", reason="Client.InstanceInitiatedShutdown", console=b"nothing of use\n"
    )
    scenario = Scenario(LIBRARY + "buildAmi()", env=cloud.agent, commands=REAL, repository=broken)
    build = run_builds(cloud.folder, {"build": scenario})["build"]
    assert build.result == "FAILURE"
    (line,) = [line for line in build.console.splitlines() if line.startswith("ERROR: ")]
    assert line.startswith("ERROR: jenkins-ami build failed with exit code 6: ")
    assert cloud.left == {"instances": 0, "images": 0}
    assert "ami/console.log" in build.archive
