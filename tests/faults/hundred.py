"""A hundred builds at once against one endpoint that throttles as EC2 does, each in a thread of one process.

Usage: python -m tests.faults.hundred ENDPOINT FOLDER

Builds every compiled AMI in FOLDER, all at the same time, and prints JSON: see :class:`Report`. :func:`hundred` runs
that, with all that it needs, and looks at what came of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3

from jenkins_ami.build.run import build
from jenkins_ami.cloud import environments, waiting
from jenkins_ami.errors import AmiError
from jenkins_ami.progress import Progress
from tests.build.compiled import write
from tests.cloud.proxy import Proxy
from tests.cloud.rates import Limiter

from .place import HOME, endpoint
from .starter import ROOT

SAME, OTHERS = 50, 50
"""Builds of one and the same name, and builds of names of their own."""
HURRY = 2
"""How much faster EC2's buckets are refilled here, so that a test ends: a hundred launches, and their dry runs, take
100 seconds in AWS."""
_FAST = 5
"""How much shorter the waits between two looks are. Nothing happens here that takes longer."""
PACE = replace(
    waiting.AWS,
    state=waiting.AWS.state / _FAST,
    state_longest=waiting.AWS.state_longest / _FAST,
    console=waiting.AWS.console / _FAST,
)


@dataclass
class Report:
    """What came of them.

    :ivar images: the image's name for each folder
    :ivar errors: for those that failed
    :ivar memory: resident bytes of the process each time a build had ended
    """

    images: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    memory: list[int] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Ran:
    """What the endpoint saw, and what is there when all is over.

    :ivar calls, throttled: how many of each action
    """

    report: Report
    calls: Counter[str]
    throttled: Counter[str]
    images: list[Any]
    snapshots: list[Any]
    instances: list[Any]


def hundred(folder: Path) -> Ran:
    """Run them. Files go to ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    limiter = Limiter(HURRY)
    with endpoint() as url, Proxy(url, limiter) as proxy:
        ec2 = boto3.client("ec2", HOME, endpoint_url=url, aws_access_key_id="local", aws_secret_access_key="local")
        base = ec2.describe_images(Owners=["self"])["Images"][0]["ImageId"]
        for number in range(SAME + OTHERS):
            name = "same" if number < SAME else f"other{number}"
            write(folder / f"{number:03}", name=name, base=base)
        argv = [sys.executable, "-m", "tests.faults.hundred", proxy.url, str(folder)]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        reservations = ec2.describe_instances()["Reservations"]
        instances = [each for reservation in reservations for each in reservation["Instances"]]
        ran = Ran(
            Report(**json.loads(done.stdout)),
            Counter(call.action for call in proxy.calls),
            limiter.refused,
            [image for image in ec2.describe_images(Owners=["self"])["Images"] if image["ImageId"] != base],
            [each for each in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] if each.get("Tags")],
            [each for each in instances if each["State"]["Name"] != "terminated"],
        )
        ec2.close()
    return ran


# In the process that builds


def resident() -> int:
    """Bytes of this process in memory (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    endpoint, folder = sys.argv[1], Path(sys.argv[2])
    waiting.LOCAL = PACE
    where = environments.local(endpoint, endpoint, "eu-central-1")
    report, lock = Report(), threading.Lock()
    began = time.monotonic()

    def work(compiled: Path) -> None:
        try:
            made, error = build(compiled, where, compiled, Progress()).image_name, ""
        except AmiError as refused:
            made, error = "", refused.line()
        with lock:
            if made:
                report.images[compiled.name] = made
            else:
                report.errors[compiled.name] = error
            report.memory.append(resident())

    threads = [threading.Thread(target=work, args=(compiled,)) for compiled in sorted(folder.iterdir())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report.seconds = time.monotonic() - began
    print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
