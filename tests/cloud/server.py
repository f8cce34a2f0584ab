"""An EC2 and S3 endpoint for tests: moto's real HTTP server, with a script for what instances do.

No machine is behind its instances, so the script says what a machine would: which state it comes to, for which reason,
and what its console shows. Where moto is looser than EC2 in what a build relies on, it is tightened here.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

REGION = "eu-central-1"
ACCOUNT = "123456789012"
BY_ITSELF = "Client.InstanceInitiatedShutdown"


@dataclass
class Script:
    """What every instance does once it is launched."""

    state: str = "running"
    reason: str = ""
    console: bytes = b""
    image_states: list[str] = field(default_factory=list)
    """States that an image goes through, one for each look, before it is available."""


class Server:
    """The endpoint, the script, and the books behind it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.script = Script()
        self.launches: list[dict[str, Any]] = []
        self.refusals: dict[str, list[Exception]] = {}
        """For a backend's method, errors to answer the next calls with."""
        self.before: dict[str, Callable[[], None]] = {}
        """For a backend's method, what happens just before it is called."""

    @property
    def ec2(self) -> Any:
        from moto.ec2.models import ec2_backends

        return ec2_backends[ACCOUNT][REGION]

    @property
    def s3(self) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends[ACCOUNT]["aws"]

    def reset(self) -> None:
        self.script = Script()
        self.launches.clear()
        self.refusals.clear()
        self.before.clear()
        self.ec2.reset()
        from moto.s3.models import s3_backends

        for name in [name for name in self.s3.buckets if name.startswith("test-")]:
            del self.s3.buckets[name]
            del s3_backends.bucket_accounts[name]

    def base(self, **attributes: Any) -> str:
        """Register a base image as the account's own; returns its id."""
        image = self.ec2.register_image(name="base", description="")
        image.architecture = "x86_64"
        for name, value in attributes.items():
            setattr(image, name, value)
        self.base_id = image.id
        return str(image.id)

    def image(self, name: str, tags: dict[str, str] | None = None) -> str:
        """Register another image; returns its id."""
        image = self.ec2.register_image(name=name, description="")
        image.architecture = "x86_64"
        image.add_tags(tags or {})
        return str(image.id)

    def stop(self, reason: str, *, state: str = "stopped", console: bytes = b"") -> None:
        """From now on instances come to ``state`` for ``reason`` as soon as they are launched."""
        self.script.state, self.script.reason, self.script.console = state, reason, console

    def refuse(self, method: str, code: str, message: str = "because the test says so") -> None:
        """Answer the next call that ends in a backend's ``method`` with an error."""
        from moto.ec2.exceptions import EC2ClientError

        self.refusals.setdefault(method, []).append(EC2ClientError(code, message))

    # What is there

    @property
    def instances(self) -> list[Any]:
        """Instances that are not terminated."""
        found = [each for reservation in self.ec2.reservations.values() for each in reservation.instances]
        return [each for each in found if each.state != "terminated"]

    @property
    def images(self) -> list[Any]:
        """Images but for the base."""
        return [image for image in self.ec2.amis.values() if image.id != getattr(self, "base_id", None)]

    @property
    def snapshots(self) -> list[Any]:
        """Snapshots but for the base's."""
        base = self.ec2.amis.get(getattr(self, "base_id", None))
        own = base.ebs_snapshot.id if base else None
        return [each for each in self.ec2.snapshots.values() if each.id != own]

    @property
    def objects(self) -> list[str]:
        return [f"{bucket.name}/{key}" for bucket in self.s3.buckets.values() for key in bucket.keys]

    def assert_nothing_is_left(self) -> None:
        assert not self.instances
        assert [image.name for image in self.images] == []
        assert [snapshot.id for snapshot in self.snapshots] == []
        assert [name for name in self.objects if name.startswith("test-")] == []
        assert [volume.id for volume in self.ec2.volumes.values() if volume.attachment] == []


@contextmanager
def serving() -> Iterator[str]:
    """moto's server on a free port of loopback; gives its URL."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def tighten(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make moto follow the script, and be as strict as EC2 where a build relies on it."""
    from moto.ec2 import models
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.models.instances import StateReason
    from moto.ec2.responses.general import General

    backend = models.EC2Backend

    def scripted(method: str) -> Callable[[Callable[..., Any]], None]:
        real = getattr(backend, method)

        def install(then: Callable[..., Any]) -> None:
            def call(self: Any, *args: Any, **kwargs: Any) -> Any:
                if method in server.before:
                    server.before[method]()
                if server.refusals.get(method):
                    raise server.refusals[method].pop(0)
                return then(real, self, *args, **kwargs)

            monkeypatch.setattr(backend, method, call)

        return install

    @scripted("run_instances")
    def _(real: Any, self: Any, image_id: str, count: int, user_data: Any, groups: Any, **kwargs: Any) -> Any:
        server.launches.append({"user_data": str(user_data), **kwargs})
        reservation = real(self, image_id, count, user_data, groups, **kwargs)
        for instance in reservation.instances:
            if server.script.state == "terminated":
                instance.terminate()
            instance._state.name = server.script.state
            instance.state_reason = StateReason("", server.script.reason) if server.script.reason else None
        return reservation

    @scripted("create_image")
    def _(real: Any, self: Any, instance_id: str, name: str, description: str, tag_specifications: Any) -> Any:
        if any(image.name == name for image in self.amis.values()):
            raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use")
        of = {each["ResourceType"]: each["Tags"] for each in tag_specifications}
        image = real(self, instance_id, name, description, [{"ResourceType": "image", "Tags": of["image"]}])
        image.ebs_snapshot.add_tags({tag["Key"]: tag["Value"] for tag in of["snapshot"]})
        image.states = list(server.script.image_states)
        image.state = image.states.pop(0) if image.states else "available"
        if image.state == "pending":  # the image names its snapshot before DescribeSnapshots knows it
            del self.snapshots[image.ebs_snapshot.id]
        return image

    @scripted("describe_images")
    def _(real: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        found = real(self, *args, **kwargs)
        for image in found:
            if image.state == "pending":
                image.state = image.states.pop(0) if image.states else "available"
                if image.state != "pending":
                    self.snapshots[image.ebs_snapshot.id] = image.ebs_snapshot
        return found

    looks = ("describe_instances", "get_reservations_by_instance_ids")
    for method in (*looks, "deregister_image", "delete_snapshot", "terminate_instances"):

        @scripted(method)
        def _(real: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
            return real(self, *args, **kwargs)

    def get_console_output(self: Any) -> Any:
        from moto.core.responses import ActionResult

        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        if server.refusals.get("get_console_output"):
            raise server.refusals["get_console_output"].pop(0)
        output = base64.b64encode(server.script.console).decode()
        return ActionResult({"InstanceId": instance.id, "Output": output})

    monkeypatch.setattr(General, "get_console_output", get_console_output)
