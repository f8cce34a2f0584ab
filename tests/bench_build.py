"""The build's part of ``make bench``, beside Packer's amazon-ebs builder on the same endpoint.

The endpoint is the simulated one: its instance proves success and powers itself off after a moment, its image is there
at once. So what remains of the wall time is orchestration: start-up, calls, and how long it takes to notice. Both
programs are whole processes, get the same user-data and have nothing to connect to (Packer: communicator ``none``).
Packer's settings are its best: no temporary security group, no look-ups of credentials; and beside its usual wait of 15
seconds between two looks, one of a second, the shortest that it takes; ours begin with a quarter of one on loopback.
Prints; asserts nothing.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.cloud.proxy import Proxy

REPOSITORY = Path(__file__).parent.parent
RUNS = 5
INSTANCE_SECONDS = 1.5
"""That the instance runs before it stops: Packer waits for that first, and fails if it does not see it run."""
TAGS = {"team": "images"}


@dataclass(frozen=True)
class Measured:
    """Medians of some builds.

    :ivar beyond: seconds of wall time beyond the instance's
    :ivar cpu: seconds
    """

    beyond: float
    cpu: float
    calls: float


def bench_build(work: Path) -> None:
    sys.path.append(str(REPOSITORY))  # this is a script's folder, not a package
    from tests.cloud.proxy import Proxy
    from tests.faults.place import endpoint

    with endpoint() as url, Proxy(url) as proxy:
        script(url, {"delay": INSTANCE_SECONDS})
        ours = measure(proxy, jenkins_ami(work, proxy, url))
        theirs = measure(proxy, packer(work, proxy, url, {"AWS_POLL_DELAY_SECONDS": "1"}))
        usual = measure(proxy, packer(work, proxy, url), runs=1)
    version = subprocess.run(["packer", "version"], check=True, capture_output=True, text=True).stdout.split()[1]
    peer = f"packer {version} amazon-ebs"
    _compare("build, beyond the instance's time", ours.beyond, f"{peer}, looks each second", theirs.beyond)
    _compare("build, beyond the instance's time", ours.beyond, f"{peer} as it comes", usual.beyond)
    _compare("build, CPU time", ours.cpu, peer, theirs.cpu)
    print(f"{'build, API calls':<34} {ours.calls:8.0f}     {peer:<40} {theirs.calls:8.0f}", flush=True)
    bench_hundred(work)


def _compare(name: str, ours: float, peer_name: str, peer: float) -> None:
    print(f"{name:<34} {ours:8.3f} s   {peer_name:<40} {peer:8.3f} s   ratio {ours / peer:5.2f}", flush=True)


def measure(proxy: Proxy, build: Callable[[], None], runs: int = RUNS) -> Measured:
    """After one build that warms caches."""
    build()
    seconds, cpu, calls = [], [], []
    for _ in range(runs):
        proxy.forget()
        begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        build()
        seconds.append(time.perf_counter() - begin - INSTANCE_SECONDS)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        calls.append(len(proxy.calls))
    return Measured(statistics.median(seconds), statistics.median(cpu), statistics.median(calls))


def script(url: str, said: dict[str, Any]) -> None:
    """Tell the simulated endpoint what instances do."""
    body = json.dumps({"script": said}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{url}/.simulated", body), timeout=30).close()


def jenkins_ami(work: Path, proxy: Proxy, url: str) -> Callable[[], None]:
    """What builds with us: preflight, ledger and all."""
    from tests.build.compiled import write

    compiled = write(work / "bench-build", base=base_image(url), tags=TAGS)
    file = work / "environments.yaml"
    where = {"region": "eu-central-1", "endpoint": proxy.url, "encrypted": False}
    file.write_text(json.dumps({"environments": {"bench": where}}))
    program = Path(sys.executable).parent / "jenkins-ami"
    return runner([program, "build", compiled, "--environment", "bench", "--environments", file], work)


def packer(work: Path, proxy: Proxy, url: str, variables: Mapping[str, str] | None = None) -> Callable[[], None]:
    """What builds with Packer."""
    import boto3

    from jenkins_ami.localcloud.profile import PROFILE

    ec2 = boto3.client(
        "ec2", "eu-central-1", endpoint_url=url, aws_access_key_id="local", aws_secret_access_key="local"
    )
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    ec2.close()
    builder = {
        "type": "amazon-ebs",
        "region": "eu-central-1",
        "custom_endpoint_ec2": proxy.url,
        "access_key": "local",
        "secret_key": "local",
        "skip_region_validation": True,
        "skip_credential_validation": True,
        "skip_metadata_api_check": True,
        "communicator": "none",
        "disable_stop_instance": True,
        "shutdown_behavior": "stop",
        "source_ami": base_image(url),
        "instance_type": "t3.small",
        "security_group_id": group,
        "iam_instance_profile": PROFILE,  # without one it sends an empty name, which the endpoint does not take
        "user_data_file": str(work / "bench-build" / "userdata.gz"),
        "ami_name": "packer-{{uuid}}",
        "tags": TAGS,
        "run_tags": TAGS,
        "snapshot_tags": TAGS,
    }
    template = work / "packer.json"
    template.write_text(json.dumps({"builders": [builder]}))
    return runner(["packer", "build", "-color=false", template], work, variables)


def base_image(url: str) -> str:
    """The image that the simulated endpoint has from the beginning."""
    with urllib.request.urlopen(f"{url}/.simulated", timeout=30) as answer:
        images: dict[str, str] = json.load(answer)["images"]
    return next(image for image, name in images.items() if name.endswith(" base"))


def runner(argv: list[str | Path], work: Path, variables: Mapping[str, str] | None = None) -> Callable[[], None]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BUILDAMI_"))},
        "HOME": str(work),
        "CHECKPOINT_DISABLE": "1",
        "PACKER_CACHE_DIR": str(work / "packer-cache"),
        **(variables or {}),
    }

    def run() -> None:
        done = subprocess.run([str(word) for word in argv], env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{argv[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

    return run


def bench_hundred(work: Path) -> None:
    """A hundred builds at once, behind EC2's rates."""
    from tests.faults.hundred import HURRY, hundred

    ran = hundred(work / "hundred")
    count, memory = len(ran.report.images), ran.report.memory
    print(f"{count} builds at once, rates of EC2 x {HURRY}{'':<8} {ran.report.seconds:8.1f} s")
    print(
        f"  {sum(ran.calls.values()) / count:.0f} calls for each, {sum(ran.throttled.values()) / count:.1f} of them "
        f"throttled (RunInstances {ran.throttled['RunInstances'] / count:.1f})"
    )
    print(f"  {memory[19] >> 20} MiB when 20 had ended, {memory[-1] >> 20} MiB at the end", flush=True)
