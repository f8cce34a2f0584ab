"""The EC2 and S3 endpoint of tests: the local cloud's own application with simulated machines, in the test's process.

An instance runs until the script says otherwise; nothing is on its console but what the script puts there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from moto.ec2.exceptions import EC2ClientError

from jenkins_ami.localcloud.records import ImageRecord

from .simulated import REGION, Script, SimulatedCloud, make_image

ACCOUNT = "123456789012"
BY_ITSELF = "Client.InstanceInitiatedShutdown"
_ALIASES = {"root_device_name": "root_device"}
_FIELDS = {each.name for each in fields(ImageRecord)} | _ALIASES.keys()
_GONE = ("shutting-down", "terminated")
_NAMES = {"get_reservations_by_instance_ids": "describe_instances_by_id"}
"""moto's name for what the API has no action of its own for."""


class Server:
    """The endpoint, the script, and the books behind it.

    Actions go by their names in snake case; a look at instances by their ids is ``describe_instances_by_id``.
    """

    def __init__(self, cloud: SimulatedCloud, endpoint: str) -> None:
        self.cloud = cloud
        self.endpoint = endpoint
        self.reset()

    @property
    def ec2(self) -> Any:
        """moto's backend, with all images and snapshots in it, of the region that tests build in."""
        return self.cloud.backend(REGION)

    @property
    def s3(self) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends[ACCOUNT]["aws"]

    @property
    def script(self) -> Script:
        return self.cloud.simulation.script

    @property
    def launches(self) -> list[dict[str, Any]]:
        """What was launched: ``user_data`` in base64, ``iam_instance_profile_name``, and all ``params``."""
        return self.cloud.simulation.launches

    @property
    def refusals(self) -> dict[str, list[Exception]]:
        """For an action, errors to answer the next calls with."""
        return self.cloud.simulation.refusals

    @property
    def before(self) -> _Hooks:
        """For an action, what happens just before it is begun."""
        return _Hooks(self.cloud.simulation.before)

    def reset(self) -> None:
        self.cloud.forget()
        self.cloud.simulation.script = Script(state="running", console=b"")
        self.base_id: str | None = None
        from moto.s3.models import s3_backends

        for name in [name for name in self.s3.buckets if name.startswith("test-")]:
            del self.s3.buckets[name]
            del s3_backends.bucket_accounts[name]

    def base(self, name: str = "base", **attributes: Any) -> str:
        """Register a base image as the account's own; returns its id."""
        self.base_id = self.image(name, **attributes)
        return self.base_id

    def image(self, name: str, tags: dict[str, str] | None = None, *, region: str = REGION, **attributes: Any) -> str:
        """Register another image; returns its id.

        :param attributes: fields of the store's record, or attributes of moto's model
        """
        record = {"root_device": "/dev/sda1", "tags": tags or {}}
        record |= {_ALIASES.get(key, key): attributes.pop(key) for key in list(attributes) if key in _FIELDS}
        image = make_image(self.cloud.store, name, size=15, region=region, **record)
        for key, value in attributes.items():
            setattr(self.cloud.backend(region).amis[image.id], key, value)
        return image.id

    def stop(self, reason: str, *, state: str = "stopped", console: bytes = b"") -> None:
        """From now on instances come to ``state`` for ``reason`` as soon as they are launched."""
        self.script.state, self.script.reason, self.script.console = state, reason, console

    def refuse(self, action: str, code: str, message: str = "because the test says so") -> None:
        """Answer the next call of an action with an error."""
        self.cloud.simulation.refuse(_NAMES.get(action, action), EC2ClientError(code, message))

    def lose(self, action: str, code: str = "InternalError", message: str = "the answer is lost") -> None:
        """Answer the next call of an action with an error, after it has had its effect."""
        self.cloud.simulation.lose(action, EC2ClientError(code, message))

    # What is there

    @property
    def instances(self) -> list[Any]:
        """Instances that are not terminated."""
        found = [each for reservation in self.ec2.reservations.values() for each in reservation.instances]
        return [each for each in found if each._state.name not in _GONE]

    @property
    def spot_requests(self) -> list[Any]:
        """Spot requests that are still good for an instance."""
        known = self.ec2.spot_instance_requests.values()
        return [each for each in known if each.state in ("open", "active", "disabled")]

    @property
    def images(self) -> list[Any]:
        """Images but for the base."""
        return [image for image in self.ec2.amis.values() if image.id != self.base_id]

    @property
    def snapshots(self) -> list[Any]:
        """Snapshots but for the base's."""
        base = self.ec2.amis.get(self.base_id)
        own = base.record.snapshot_id if base else None
        return [each for each in self.ec2.snapshots.values() if each.id != own]

    @property
    def objects(self) -> list[str]:
        return [f"{bucket.name}/{key}" for bucket in self.s3.buckets.values() for key in bucket.keys]

    def assert_nothing_is_left(self) -> None:
        assert not self.instances
        assert [image.name for image in self.images] == []
        assert [snapshot.id for snapshot in self.snapshots] == []
        assert [name for name in self.objects if name.startswith("test-")] == []
        attached = [volume.attachment.instance for volume in self.ec2.volumes.values() if volume.attachment]
        assert [instance.id for instance in attached if instance._state.name not in _GONE] == []
        assert [each.id for each in self.spot_requests] == []


class _Hooks(dict[str, Callable[[], object]]):
    """Hooks by an action's name or by moto's; changes go to the simulation."""

    def __init__(self, hooks: dict[str, Callable[[], object]]) -> None:
        super().__init__(hooks)
        self._hooks = hooks

    def __setitem__(self, action: str, hook: Callable[[], object]) -> None:
        self._hooks[_NAMES.get(action, action)] = hook

    def clear(self) -> None:
        self._hooks.clear()
