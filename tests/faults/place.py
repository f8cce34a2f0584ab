"""A place to build in again and again: an endpoint, a proxy before it, a warm process, and an account to look at."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from jenkins_ami.artifacts import ImageTest
from tests.build.compiled import write
from tests.cloud.protocols import Call
from tests.cloud.proxy import Proxy

from .inventory import Account, Inventory, make_template
from .starter import ROOT, Ended, Starter

HOME, OTHER = "eu-central-1", "eu-west-1"
BUCKET = "test-storage"
BASE = "/test/base"
"""The SSM parameter that holds the base image's id."""
FRIEND = "111122223333"
PATIENCE = 40.0
"""Seconds that a command has before it counts as one that hangs."""
TEMPLATE = "test-template"
KEY = "alias/test-images"
SETTINGS: dict[str, Any] = {
    "region": HOME,
    "account": "123456789012",
    "storage": f"s3://{BUCKET}/overlays",
    "tags": {"team": "images"},
    "kms_key": KEY,
    "ssm_parameter": "/test/images/{name}",
    "regions": {OTHER: {"kms_key": KEY, "tags": {"copy": "yes"}, "launch_template": TEMPLATE}},
    "share": {"accounts": [FRIEND]},
    "deprecate_after": 90,
    "protect": True,
}
"""Everything on: storage, keys, a copy, sharing, a parameter, a launch template, dates and protection."""
TESTS = (ImageTest("it runs", "true"), ImageTest("it says so", "echo simulated", stdout="simulated"))


@dataclass
class Folder:
    """A compiled AMI of a name that no other has, and what its builds leave on the disk."""

    name: str
    path: Path

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.jsonl"

    def result(self) -> dict[str, Any] | None:
        """What ``ami.json`` says; ``None`` when there is none."""
        with contextlib.suppress(FileNotFoundError):
            made: dict[str, Any] = json.loads((self.path / "ami.json").read_text())
            return made
        return None


@dataclass
class Place:
    """One endpoint of its own, so that all that comes to it comes from one build."""

    work: Path
    proxy: Proxy
    starter: Starter
    account: Account
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def look(self) -> Inventory:
        return self.account.look()

    def compiled(self) -> Folder:
        """A new compiled AMI. Its overlay goes to the storage, its base is found by a parameter."""
        name = f"cell{next(self.numbers):04}"  # of one length, as the lines of its ledger are
        path = self.work / name
        write(path, overlay=b"the overlay", name=name, base=f"ssm:{BASE}", description="for a table", tests=TESTS)
        return Folder(name, path)

    def build(self, folder: Folder, *more: str, **limits: Any) -> Ended:
        """Build it as the command line does."""
        argv = ["build", str(folder.path), "--test", "--environment", "faults", *self._file()]
        return self.run(*argv, *more, **limits)

    def resume(self, folder: Folder) -> Ended:
        """Go on with a build that was cut off."""
        return self.run("build", "--resume", str(folder.ledger), "--environment", "faults", *self._file())

    def cleanup(self, folder: Folder) -> Ended:
        return self.run("cleanup", str(folder.ledger))

    def run(self, *argv: str, **limits: Any) -> Ended:
        self.proxy.client = self.starter.begin(list(argv), **limits)
        try:
            return self.starter.end(PATIENCE)
        finally:
            self.proxy.client = None

    def calls(self) -> list[Call]:
        return list(self.proxy.calls)

    def _file(self) -> tuple[str, str]:
        file = self.work / "environments.yaml"
        if not file.exists():
            settings = SETTINGS | {"endpoint": self.proxy.url, "instance_s3_endpoint": self.proxy.url}
            file.write_text(json.dumps({"environments": {"faults": settings}}))
        return "--environments", str(file)


@contextlib.contextmanager
def endpoint() -> Iterator[str]:
    """The simulated endpoint in a process of its own; gives its URL."""
    with tempfile.TemporaryDirectory(prefix="jenkins-ami-simulated-") as state:
        argv = [sys.executable, "-m", "tests.cloud.simulated", "--state", state]
        with Popen(argv, stdout=PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            try:
                url = process.stdout.readline().strip()
                assert url, "the simulated endpoint did not begin"
                yield url
            finally:
                process.terminate()


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """A place with all that a build with everything on needs: base image, parameter, bucket."""
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jenkins-ami-faults-")))
        starter = stack.enter_context(Starter(work))
        url = stack.enter_context(endpoint())
        proxy = stack.enter_context(Proxy(url))
        account = Account(url, (HOME, OTHER))
        stack.callback(account.close)
        prepare(account)
        account.settle()
        yield Place(work, proxy, starter, account)


def prepare(account: Account) -> None:
    """Make what a build finds there."""
    images = account.ec2[HOME].describe_images(Owners=["self"])["Images"]
    account.ssm[HOME].put_parameter(Name=BASE, Type="String", Value=images[0]["ImageId"])
    account.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": HOME})
    make_template(account.ec2[OTHER], TEMPLATE)
    for kms in account.kms.values():
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=KEY, TargetKeyId=key)
