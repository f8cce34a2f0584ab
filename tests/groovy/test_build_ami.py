"""``buildAmi()``: what a team's one line does on Jenkins. All builds run first, in one JVM; the tests look at them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import COMMIT, ROOT, SECRET, VARS, Build, Scenario, run_builds
from .test_bridge import LIBRARY

pytestmark = pytest.mark.groovy

REAL = {"jenkins-ami": (sys.executable, "-m", "jenkins_ami")}
EXAMPLE = ROOT / "examples" / "minimal"
MINIMAL = {str(path.relative_to(EXAMPLE)): path.read_text() for path in EXAMPLE.rglob("*") if path.is_file()}
ONE_LINE = LIBRARY + "buildAmi()\n"

SCENARIOS = {
    "one_line": Scenario(ONE_LINE),
    "parameters": Scenario(
        LIBRARY
        + """def ami = buildAmi(source: 'images/web', environment: 'prod', awsCredentialsId: 'cloud', timeout: 5,
            compileLabel: 'small', buildLabel: 'large', folder: 'web', version: '2.1', test: true, lock: false,
            throttle: 'images', parameters: [A: 'b'], cli: [command: 'the cli'])
        echo "${ami.name} ${ami.version} ${ami.build} ${ami.imageName} ${ami.region} ${ami.amiId} ${ami.images}"
        """,
        agents={"small": {}, "large": {}},
        commands={"the cli": (sys.executable, Path(__file__).with_name("fake_cli.py"))},
        repository={"images/web/ami.env": ""},
    ),
    "local": Scenario(LIBRARY + "buildAmi(local: true)"),
    "reused": Scenario(LIBRARY + 'def ami = buildAmi(reuse: true)\necho "reused ${ami.reused} ${ami.amiId}"'),
    "several": Scenario(LIBRARY + "buildAmi(environment: ['dev', 'eu'])"),
    "compile_fails": Scenario(ONE_LINE, env={"FAKE_FAIL": "compile:2"}),
    "build_fails": Scenario(ONE_LINE, env={"FAKE_FAIL": "build:6"}),
    "cleanup_fails": Scenario(ONE_LINE, env={"FAKE_FAIL": "cleanup:7"}),
    "a_region_fails": Scenario(ONE_LINE, env={"FAKE_FAIL": "build:7", "FAKE_IMAGE_ANYWAY": "1"}),
    "build_aborted": Scenario(ONE_LINE, env={"FAKE_HANG": "build"}, abort_at="waiting"),
    "build_aborted_cleanup_fails": Scenario(
        ONE_LINE, env={"FAKE_HANG": "build", "FAKE_FAIL": "cleanup:7"}, abort_at="waiting"
    ),
    "build_times_out": Scenario(LIBRARY + "buildAmi(timeout: 2)", env={"FAKE_HANG": "build"}, minute=0.5),
    "forged_ledger": Scenario(ONE_LINE, agents={"ami-compile": {"FAKE_EXTRA": "ledger.jsonl"}}),
    "unknown_credentials": Scenario(LIBRARY + "buildAmi(awsCredentialsId: 'nope')"),
    "called_on_an_agent": Scenario(LIBRARY + "node('ami-build') { writeFile(file: 'mine', text: ''); buildAmi() }"),
    "declarative": Scenario(
        LIBRARY
        + """pipeline {
            agent { label 'ami-build' }
            stages {
                stage('Image') { steps { buildAmi(source: '.') } }
                stage('Shell') { steps { sh 'echo "later $AMIID $AMINAME $AMIREGION"' } }
                stage('After') { steps { script { def ami = buildAmi(folder: 'second'); echo "second ${ami.amiId}" } } }
            }
            post { always { echo "all done" } }
        }"""
    ),
    "two_in_parallel": Scenario(
        LIBRARY + "parallel(a: { buildAmi(folder: 'a') }, b: { buildAmi(folder: 'b') })",
    ),
    "real_compile_fails": Scenario(ONE_LINE, commands=REAL, repository={"README.md": ""}),
    "real_build_fails": Scenario(
        LIBRARY + "buildAmi(environment: 'nowhere')",
        env={"JENKINS_AMI_ENVIRONMENTS": "missing.yaml"},
        commands=REAL,
        repository=MINIMAL,
    ),
    "real_unknown_option": Scenario(
        LIBRARY + "node('ami-build') { withJenkinsAmi { jenkinsAmi('images prune', enviroment: 'dev') } }",
        commands=REAL,
    ),
    "trusted": Scenario(ONE_LINE, sandbox=False),
    "without_the_library": Scenario("buildAmi()"),
}

Builds = Callable[[str], Build]

RESULT_FILES = {"ami/ami.env", "ami/ami.json", "ami/console.log", "ami/ledger.jsonl", "ami/report/index.html"}
COMPILED_FILES = {"ami/cloud-config.yaml", "ami/compile.json", "ami/userdata.gz"}


def test_one_line_compiles_on_one_agent_and_builds_on_another(builds: Builds) -> None:
    build = builds("one_line")
    assert build.result == "SUCCESS", build.console
    assert [(call["agent"], call["argv"]) for call in build.calls] == [
        ("ami-compile", ["compile"]),
        ("ami-build", ["build"]),
        ("ami-build", ["cleanup"]),
        ("ami-build", ["report"]),
    ]


def defaults(step: str) -> dict[str, str]:
    """The parameters of a step, with the text of their defaults."""
    block = (VARS / f"{step}.groovy").read_text().partition("DEFAULTS = [")[2].partition("\n]")[0]
    return dict(re.findall(r"(\w+) *: (.*?), *//", block))


def test_it_has_every_parameter_of_its_phases_with_the_same_default() -> None:
    own = defaults("buildAmi")
    phases = {"compileAmi": "compileLabel", "bakeAmi": "buildLabel"}
    wanted: dict[str, str] = {}
    for phase, label in phases.items():
        found = defaults(phase)
        wanted[label] = found.pop("label")
        wanted |= found
    assert own == {name: default for name, default in wanted.items() if name != "compiled"}


def test_the_stages_are_named(builds: Builds) -> None:
    stages = [step["arguments"]["name"] for step in builds("one_line").steps if step["step"] == "stage"]
    assert stages == ["Compile AMI", "Build AMI"]


def test_the_build_agent_gets_the_compiled_ami_and_no_source(builds: Builds) -> None:
    build = builds("one_line")
    assert build.calls[0]["files"] == ["source/ami.env"]
    assert build.calls[1]["files"] == [
        f"compiled/{name}" for name in ("cloud-config.yaml", "compile.json", "fs.tgz", "userdata.gz")
    ]


def test_everything_but_the_overlay_is_archived_with_fingerprints(builds: Builds) -> None:
    build = builds("one_line")
    assert build.archive.keys() == RESULT_FILES | COMPILED_FILES
    assert {s["arguments"]["fingerprint"] for s in build.steps if s["step"] == "archiveArtifacts"} == {True}


def test_nothing_is_left_in_the_workspaces(builds: Builds) -> None:
    for name in ("one_line", "build_fails", "build_aborted", "build_times_out"):
        assert not builds(name).workspaces, name


def test_description_and_display_name_show_the_image(builds: Builds) -> None:
    build = builds("one_line")
    assert build.display_name == "#7 minimal-1.0-3"
    assert build.description == "minimal-1.0-3: ami-0123 (eu-central-1), ami-4567 (us-east-1)"


def test_parameters_reach_the_phases(builds: Builds) -> None:
    build = builds("parameters")
    assert build.result == "SUCCESS", build.console
    compiled, built, cleaned, reported = build.calls
    assert [call["agent"] for call in build.calls] == ["small", "large", "large", "large"]
    assert compiled["arguments"] == {
        "source": "source/images/web",
        "target": "web",
        "source-commit": COMMIT,
        "version": "2.1",
        "param": {"A": "b"},
    }
    assert (built["arguments"]["environment"], built["arguments"]["test"]) == ("prod", True)
    assert cleaned["arguments"] == {"ledger": "web"}
    assert reported["arguments"]["output"] == "web/report"
    assert [s["arguments"] for s in build.steps if s["step"] == "timeout"] == [{"time": 5, "unit": "MINUTES"}] * 2
    assert [s["arguments"] for s in build.steps if s["step"] == "throttle"] == [{"categories": ["images"]}] * 2


def test_the_step_returns_the_image_ids(builds: Builds) -> None:
    line = "minimal 1.0 3 minimal-1.0-3 eu-central-1 ami-0123 [eu-central-1:ami-0123, us-east-1:ami-4567]\n"
    assert line in builds("parameters").console


def test_later_stages_have_the_ids_in_their_environment(builds: Builds) -> None:
    assert "later ami-0123 minimal-1.0-3 eu-central-1\n" in builds("declarative").console


def test_credentials_are_there_for_build_and_cleanup_only(builds: Builds) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET}
    assert [(call["argv"][0], call["aws"]) for call in builds("parameters").calls] == [
        ("compile", {}),
        ("build", keys),
        ("cleanup", keys),
        ("report", {}),
    ]


def test_unknown_credentials_fail_before_anything_is_built(builds: Builds) -> None:
    build = builds("unknown_credentials")
    assert build.result == "FAILURE"
    assert "ERROR: Could not find credentials entry with ID 'nope'" in build.console
    assert "build" not in build.commands


def test_local_builds_in_the_agents_own_cloud(builds: Builds) -> None:
    arguments = builds("local").calls[1]["arguments"]
    assert arguments["local"] is True
    assert "environment" not in arguments


def test_a_reused_image_is_said_to_be_one(builds: Builds) -> None:
    build = builds("reused")
    assert build.result == "SUCCESS", build.console
    assert build.calls[1]["arguments"]["reuse"] is True
    assert build.description == "minimal-1.0-3: ami-0123 (eu-central-1), ami-4567 (us-east-1), reused"
    assert "reused true ami-0123\n" in build.console
    assert build.archive.keys() == RESULT_FILES - {"ami/console.log"} | COMPILED_FILES


def test_several_environments_compile_once(builds: Builds) -> None:
    build = builds("several")
    assert build.result == "SUCCESS", build.console
    assert build.commands == ["compile", *["build", "cleanup", "report"] * 2]
    assert len(build.description.splitlines()) == 2


def test_a_failed_compile_says_why_and_builds_nothing(builds: Builds) -> None:
    build = builds("compile_fails")
    assert build.result == "FAILURE"
    line = "ERROR: jenkins-ami compile failed with exit code 2: compile went wrong, here. Do something else.\n"
    assert line in build.console
    assert build.commands == ["compile"]
    assert not build.archive


def test_a_failed_build_says_why(builds: Builds) -> None:
    build = builds("build_fails")
    assert build.result == "FAILURE"
    line = "ERROR: jenkins-ami build failed with exit code 6: build went wrong, here. Do something else.\n"
    assert line in build.console
    assert build.description == ""


@pytest.mark.parametrize("name", ["build_fails", "build_aborted", "build_times_out"])
def test_console_ledger_and_report_are_archived_without_an_image_too(builds: Builds, name: str) -> None:
    assert builds(name).archive.keys() == COMPILED_FILES | RESULT_FILES - {"ami/ami.json", "ami/ami.env"}


@pytest.mark.parametrize("name", ["build_fails", "build_aborted", "build_times_out"])
def test_the_ledger_is_cleaned_up_without_an_image_too(builds: Builds, name: str) -> None:
    assert builds(name).commands == ["compile", "build", "cleanup", "report"]


@pytest.mark.parametrize("name", ["build_aborted", "build_times_out"])
def test_a_build_that_is_stopped_is_aborted(builds: Builds, name: str) -> None:
    assert builds(name).result == "ABORTED"


def test_an_image_that_failed_in_a_region_is_shown_all_the_same(builds: Builds) -> None:
    build = builds("a_region_fails")
    assert build.result == "FAILURE"
    assert "ami-0123 (eu-central-1)" in build.description


def test_a_failing_cleanup_makes_a_good_build_unstable_and_says_what_to_do(builds: Builds) -> None:
    build = builds("cleanup_fails")
    assert build.result == "UNSTABLE"
    assert "ERROR: Cleaning up failed: ami/ledger.jsonl lists what may be left.\n" in build.console
    assert "ami-0123" in build.description
    assert build.archive.keys() == RESULT_FILES | COMPILED_FILES


def test_a_failing_cleanup_does_not_hide_the_abort(builds: Builds) -> None:
    assert builds("build_aborted_cleanup_fails").result == "ABORTED"


def test_a_ledger_from_the_compile_agent_is_never_cleaned_up(builds: Builds) -> None:
    build = builds("forged_ledger")
    assert "compiled/ledger.jsonl" in build.calls[1]["files"]
    assert "cleanup" not in build.commands


def test_called_on_an_agent_it_leaves_that_agents_workspace_alone(builds: Builds) -> None:
    build = builds("called_on_an_agent")
    assert build.result == "SUCCESS", build.console
    assert [call["agent"] for call in build.calls] == ["ami-compile", *["ami-build"] * 3]
    assert build.workspaces.keys() == {"ami-build/workspace/job/mine"}


def test_declarative_pipelines_can_call_it(builds: Builds) -> None:
    build = builds("declarative")
    assert build.result == "SUCCESS", build.console
    assert "second ami-0123\n" in build.console
    assert "all done\n" in build.console


def test_a_global_library_outside_the_sandbox_does_the_same(builds: Builds) -> None:
    trusted, sandboxed = builds("trusted"), builds("one_line")
    assert trusted.result == "SUCCESS", trusted.console
    assert [call["arguments"] for call in trusted.calls] == [call["arguments"] for call in sandboxed.calls]
    assert trusted.archive.keys() == sandboxed.archive.keys()


def test_two_images_in_one_build_keep_their_artifacts_apart(builds: Builds) -> None:
    build = builds("two_in_parallel")
    assert build.result == "SUCCESS", build.console
    assert {"a/ami.json", "b/ami.json"} <= build.archive.keys()
    assert build.display_name == "#7 minimal-1.0-3 minimal-1.0-3"
    assert len(build.description.splitlines()) == 2


def test_without_the_library_there_is_no_such_step(builds: Builds) -> None:
    build = builds("without_the_library")
    assert build.result == "FAILURE"
    assert "No such DSL method 'buildAmi' found among steps" in build.console


def test_the_real_command_says_why_it_does_not_compile(builds: Builds) -> None:
    build = builds("real_compile_fails")
    assert build.result == "FAILURE"
    (line,) = [line for line in build.console.splitlines() if line.startswith("ERROR: ")]
    assert line.startswith("ERROR: jenkins-ami compile failed with exit code 2: ")
    assert "ami.env" in line


def test_what_the_real_command_compiled_is_kept_when_the_build_fails(builds: Builds) -> None:
    build = builds("real_build_fails")
    assert build.result == "FAILURE"
    assert "ERROR: jenkins-ami build failed with exit code 2: " in build.console
    assert json.loads(build.archive["ami/compile.json"].read_text())["commit"] == COMMIT
    reported = {"ami/report/index.html", "ami/report/style.css"}
    assert build.archive.keys() == COMPILED_FILES | {"ami/vars.env"} | reported


def test_the_real_command_refuses_an_unknown_option(builds: Builds) -> None:
    build = builds("real_unknown_option")
    assert build.result == "FAILURE"
    assert "jenkins-ami images prune failed with exit code 1: " in build.console
    assert "Did you mean 'environment'" in build.console


@pytest.mark.boot
def test_the_one_line_builds_a_real_image_in_the_local_cloud(tmp_path: Path, local_state: Path) -> None:
    scenario = Scenario(
        LIBRARY + 'def ami = buildAmi(local: true, test: true)\necho "built ${ami.amiId}"\n',
        env={"JENKINS_AMI_STATE": str(local_state)},
        commands=REAL,
        repository=MINIMAL,
    )
    build = run_builds(tmp_path, {"real": scenario})["real"]
    assert build.result == "SUCCESS", build.console
    ami = json.loads(build.archive["ami/ami.json"].read_text())
    image = ami["images"][ami["region"]]["image_id"]
    assert f"built {image}\n" in build.console
    assert f"AMIID={image}\n" in build.archive["ami/ami.env"].read_text()
    assert {"ami/console.log", "ami/console-test.log", "ami/report/index.html", "ami/tests.xml"} <= build.archive.keys()
    assert build.archive["ami/console.log"].stat().st_size > 0
    assert image in build.archive["ami/report/index.html"].read_text()
    assert [test["failed"] for test in build.tests if test["failed"]] == []
