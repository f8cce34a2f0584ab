"""One request to the local cloud's EC2 API: how it is dispatched, and what several actions need.

:class:`Request` is moto's own dispatcher. Parameters arrive parsed and results leave serialised by botocore's model
of the API, so no XML is written here; whatever goes wrong is answered with one of EC2's own codes (EC2 API reference,
"Error codes for the Amazon EC2 API").
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from moto.core.responses import ActionResult, OperationNotFoundError
from moto.core.utils import camelcase_to_underscores
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response

from ..errors import AmiError
from .instances import Fleet, Guest
from .model import LocalImage, local_snapshot
from .store import ImageRecord

log = logging.getLogger(__name__)

PRETENDED = {
    "attach_volume",
    "create_fleet",
    "create_snapshots",
    "detach_volume",
    "modify_volume",
    "request_spot_fleet",
    "request_spot_instances",
}
"""Actions that moto plays without a machine or a disk behind them. Here they are refused."""


@dataclass(frozen=True)
class _Answer:
    """What an idempotent request was answered, for the one who asks again."""

    params: dict[str, Any]
    result: ActionResult


class Request(EC2Response):  # type: ignore[misc]
    """One request. The class variables are those of one server; :func:`.ec2.bound_to` sets them."""

    fleet: ClassVar[Fleet]
    answers: ClassVar[dict[tuple[str, str, str], _Answer]]
    pending: ClassVar[dict[str, LocalImage]]
    """Images whose disk is being frozen, or could not be. Those that could are in the store."""

    def _dispatch(self, *args: Any, **kwargs: Any) -> Any:
        with self.fleet.lock:
            try:
                return super()._dispatch(*args, **kwargs)
            except OperationNotFoundError:
                error = EC2ClientError("InvalidAction", f"The action {self._get_action()} is not valid for EC2.")
            except NotImplementedError:
                error = EC2ClientError("UnsupportedOperation", f"{self._get_action()} is not supported here.")
            except EC2ClientError as refused:  # while the parameters were read
                error = refused
            except AmiError as failure:
                error = EC2ClientError("InsufficientVolumeCapacity", failure.line())
            except Exception:
                log.exception("%s failed", self._get_action())
                error = EC2ClientError("InternalError", "An internal error has occurred: see the local cloud's log.")
            status, headers, body = self.serialized(ActionResult(error))
            return (500 if error.code == "InternalError" else status), headers, body

    def call_action(self) -> Any:
        action = self._get_action()
        self._sync()
        if camelcase_to_underscores(action) in PRETENDED:
            raise NotImplementedError
        self.fleet.progress.detail(f"ec2 {self.region} {action}")
        return super().call_action()

    def _sync(self) -> None:
        """Make moto's model of images and snapshots what the store has: it may have been changed by others."""
        backend, store = self.ec2_backend, self.fleet.store
        images = {record.id: record for record in store.images() if record.region == self.region}
        for image_id, known in list(backend.amis.items()):
            if image_id not in images and image_id not in self.pending:
                del backend.amis[image_id]
            elif image_id in images and known.record != images[image_id]:
                fresh = LocalImage(backend, images[image_id])
                fresh.launch_permissions, fresh.state = known.launch_permissions, known.state
                backend.amis[image_id] = fresh
        for image_id in images.keys() - backend.amis.keys():
            backend.amis[image_id] = LocalImage(backend, images[image_id])
        snapshots = {key: record for key, record in store.snapshots().items() if record.region == self.region}
        for snapshot_id, known in list(backend.snapshots.items()):
            if hasattr(known, "record") and snapshots.get(snapshot_id) != known.record:
                del backend.snapshots[snapshot_id]
        for snapshot_id in snapshots.keys() - backend.snapshots.keys():
            backend.snapshots[snapshot_id] = local_snapshot(backend, snapshots[snapshot_id])

    def _once(self, make: Callable[[], ActionResult]) -> ActionResult:
        """Answer a ClientToken's second request as its first (EC2 Developer Guide, "Ensuring idempotency")."""
        token = self.params.get("ClientToken")
        if not token:
            return make()
        params = {key: value for key, value in self.params.items() if key not in ("ClientToken", "DryRun")}
        key = (self._get_action(), self.region, token)
        if (known := self.answers.get(key)) is None:
            known = self.answers[key] = _Answer(params, make())
        elif known.params != params:
            raise EC2ClientError(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
            )
        return known.result

    def _tags(self, *allowed: str) -> dict[str, dict[str, str]]:
        """TagSpecifications by resource type, each type of ``allowed`` present."""
        tags: dict[str, dict[str, str]] = {kind: {} for kind in allowed}
        for specification in self.params.get("TagSpecifications", []):
            kind = specification.get("ResourceType", "")
            if kind not in tags:
                raise EC2ClientError(
                    "InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation."
                )
            for tag in specification.get("Tags", []):
                if tag["Key"].startswith("aws:") or not 1 <= len(tag["Key"]) <= 128 or len(tag.get("Value", "")) > 256:
                    raise EC2ClientError("InvalidParameterValue", f"Tag key {tag['Key']!r} or its value is not valid.")
                tags[kind][tag["Key"]] = tag.get("Value", "")
        return tags

    def _guest(self, instance_id: str) -> Guest:
        guest = self.fleet.guests.get(self.ec2_backend.get_instance(instance_id).id)
        if guest is None:  # another of moto's services pretends to have launched it
            raise EC2ClientError("UnsupportedOperation", f"There is no machine behind {instance_id}.")
        return guest

    @staticmethod
    def _root_mapping(image: ImageRecord, asked: list[dict[str, Any]]) -> dict[str, Any]:
        """The root volume: as the image says, changed by what is asked for."""
        mapping: dict[str, Any] = {
            "SnapshotId": image.snapshot_id,
            "VolumeSize": image.volume_size,
            "VolumeType": image.volume_type,
            "DeleteOnTermination": image.delete_on_termination,
        }
        for device in asked:
            if device.get("DeviceName") != image.root_device:
                raise EC2ClientError(
                    "UnsupportedOperation",
                    f"{device.get('DeviceName')} is not the image's root device {image.root_device}: instances have "
                    "their root volume only here.",
                )
            ebs = device.get("Ebs", {})
            if ebs.get("SnapshotId", image.snapshot_id) != image.snapshot_id:
                raise EC2ClientError("InvalidBlockDeviceMapping", "snapshotId cannot be modified on root device")
            mapping |= {key: value for key, value in ebs.items() if key in mapping}
        if (size := int(mapping["VolumeSize"])) < image.volume_size:
            raise EC2ClientError(
                "InvalidBlockDeviceMapping",
                f"Volume of size {size}GB is smaller than snapshot '{image.snapshot_id}', "
                f"expect size>= {image.volume_size}GB",
            )
        return {"DeviceName": image.root_device, "Ebs": mapping}
