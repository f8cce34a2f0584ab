from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from jenkins_ami.localcloud.hardware import QemuComputer
from jenkins_ami.localcloud.server import LocalCloudServer
from jenkins_ami.localcloud.store import ImageStore
from jenkins_ami.progress import Progress
from tests.cloud.simulated import SimulatedCloud, make_image
from tests.localcloud import bootsector

COUNT_BOOTS = bytes.fromhex(
    "31c0 8ed8 8ec0 8ed0 bc007c 89d5"  # xor ax, ax;  ds, es, ss = ax;  mov sp, 0x7C00;  mov bp, dx
    "6a00 6a00 6a00 6a01 6a00 680080 6a01 6a10 89e6"  # INT 13h's packet: one sector, LBA 1, at 0000:8000;  mov si, sp
    "b442 cd13 fe060080 89ea b80043 cd13"  # read;  inc byte [0x8000];  mov dx, bp;  write
    "a00080 0430 baf803 ee b00d ee b00a ee"  # print the digit and CR LF
)
"""Says how often this disk has been booted, and keeps the count on the disk."""


def client(endpoint: str, service: str, region: str = "us-east-1") -> Any:
    return boto3.client(
        service, endpoint_url=endpoint, region_name=region, aws_access_key_id="local", aws_secret_access_key="local"
    )


def until(ready: Callable[[], Any], seconds: float = 60, every: float = 0.05) -> Any:
    """The first true value of ``ready``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := ready():
            return value
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s")


def refusal(call: Callable[..., Any], **params: Any) -> str:
    """The code of the error that a call is answered with."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 412)
    return str(caught.value.response["Error"]["Code"])


@dataclass
class Cloud:
    """A running local cloud and what tests do with it."""

    server: LocalCloudServer
    store: ImageStore
    folder: Path

    @cached_property
    def ec2(self) -> Any:
        return self.client("ec2")

    def client(self, service: str, region: str = "us-east-1") -> Any:
        return client(self.server.endpoint, service, region)

    def image(self, code: bytes = bootsector.HANG, name: str = "base", **more: Any) -> str:
        """An image of a disk whose boot sector is ``code``."""
        return self.store.add(bootsector.disk(self.folder / "disk.raw", code), name=name, **more).id

    def launch(self, image: str, **more: Any) -> str:
        params = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1} | more
        return str(self.ec2.run_instances(**params)["Instances"][0]["InstanceId"])

    def instance(self, instance: str) -> dict[str, Any]:
        reservation = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]
        return dict(reservation["Instances"][0])

    def computer(self, instance: str) -> QemuComputer:
        computer = self.server.fleet.guests[instance].machine
        assert isinstance(computer, QemuComputer)
        return computer

    def wait(self, instance: str, state: str) -> dict[str, Any]:
        until(lambda: self.instance(instance)["State"]["Name"] == state)
        return self.instance(instance)

    def console(self, instance: str) -> str:
        return str(self.ec2.get_console_output(InstanceId=instance, Latest=True).get("Output", ""))

    def wait_console(self, instance: str, text: str) -> None:
        until(lambda: text in self.console(instance))

    def create_image(self, instance: str, name: str, **more: Any) -> dict[str, Any]:
        image = self.ec2.create_image(InstanceId=instance, Name=name, **more)["ImageId"]
        until(lambda: self.describe(image)["State"] != "pending")
        return self.describe(image)

    def describe(self, image: str) -> dict[str, Any]:
        return dict(self.ec2.describe_images(ImageIds=[image])["Images"][0])


@dataclass
class Simulated:
    """The same with simulated machines, which make no difference to how a request is answered."""

    cloud: SimulatedCloud
    endpoint: str

    @property
    def store(self) -> ImageStore:
        return self.cloud.store

    @cached_property
    def ec2(self) -> Any:
        return self.client("ec2")

    def client(self, service: str, region: str = "us-east-1") -> Any:
        return client(self.endpoint, service, region)

    def image(self, name: str = "base", **record: Any) -> str:
        return make_image(self.store, name, region="us-east-1", **record).id

    def copy(self, image: str, name: str = "copy", **more: Any) -> str:
        return str(self.ec2.copy_image(SourceImageId=image, SourceRegion="us-east-1", Name=name, **more)["ImageId"])

    launch, instance, describe = Cloud.launch, Cloud.instance, Cloud.describe

    @contextmanager
    def again(self) -> Iterator[Simulated]:
        """Another server on the same folder, which knows what the folder tells."""
        later = SimulatedCloud(self.store.state)
        with later.serving() as endpoint:
            yield Simulated(later, endpoint)


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[Simulated]:
    cloud = SimulatedCloud(tmp_path / "state")
    with cloud.serving() as endpoint:
        yield Simulated(cloud, endpoint)
        cloud.forget()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    state = tmp_path / "state"
    with LocalCloudServer(state, 0, Progress()) as server:
        yield Cloud(server, ImageStore(state), tmp_path)
    assert not (state / "endpoint.json").exists()
    assert not list((state / "disks").glob("vol-*"))
