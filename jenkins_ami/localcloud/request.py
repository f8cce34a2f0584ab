"""One request to the local cloud's EC2 API: how it is dispatched, and what several actions need.

:class:`Request` is moto's own dispatcher. Parameters arrive parsed and results leave serialised by botocore's model
of the API, so no XML is written here; whatever goes wrong is answered with one of EC2's own codes (EC2 API reference,
"Error codes for the Amazon EC2 API").
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from moto.core.exceptions import ServiceException
from moto.core.model import OperationModel
from moto.core.responses import ActionResult, OperationNotFoundError
from moto.core.serialize import EC2Serializer
from moto.core.utils import camelcase_to_underscores, get_service_model
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response

from ..errors import AmiError
from .encryption import asked_key, managed_key
from .instances import Fleet, Guest
from .model import LocalImage, LocalSnapshot
from .picker import Known, Picker
from .records import ImageRecord

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

_MADE_OF = "local_cloud_records"
"""Attribute of a backend of moto's: the store, and the records that its images and snapshots were made of."""
_MEMBERS: dict[tuple[type, str, str], Known] = {}


@dataclass(frozen=True)
class _Answer:
    """What an idempotent request was answered, for the one who asks again."""

    params: dict[str, Any]
    result: ActionResult


class Request(EC2Response):  # type: ignore[misc]
    """One request. The class variables are those of one server; :func:`.ec2.bound_to` sets them."""

    fleet: ClassVar[Fleet]
    answers: ClassVar[dict[tuple[str, str, str], _Answer]]
    pending: ClassVar[dict[str, LocalImage | LocalSnapshot]]
    """Images and snapshots whose disk is being frozen, or could not be. Those that could are in the store."""

    def _dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        _ = request.form  # read here: a client that is slow to send must not hold the lock
        with self.fleet.lock:
            try:
                return super()._dispatch(request, *args, **kwargs)
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
        """As moto's, without its search through all methods of the class, which takes longer than most actions."""
        action = self._get_action()
        name = camelcase_to_underscores(action)
        if name in PRETENDED or not hasattr(self, name):
            raise NotImplementedError
        self._sync()
        self.fleet.progress.detail(f"ec2 {self.region} {action}")
        try:
            result = getattr(self, name)()
        except ServiceException as error:
            result = ActionResult(error)
        status, headers, body = self.serialized(result)
        headers, body = self._enrich_response(headers, body)
        return status, headers, body

    def serialized(self, action_result: ActionResult) -> Any:
        model = get_service_model("ec2")
        try:
            operation = model.operation_model(self._get_action())
        except OperationNotFoundError:
            operation = OperationModel({}, model)
        picker = Picker(self.RESPONSE_KEY_PATH_TO_TRANSFORMER, _MEMBERS)
        answer = EC2Serializer(operation_model=operation, value_picker=picker).serialize(action_result.result)
        return answer["status_code"], answer["headers"] | self.response_headers, answer["body"]

    def _sync(self) -> None:
        """Make moto's model of images and snapshots what the store has: it may have been changed by others."""
        backend, store = self.ec2_backend, self.fleet.store
        now = (store, store.image_records(), store.snapshots())
        then = getattr(backend, _MADE_OF, (None, None, None))
        if then[0] is None:
            managed_key(backend)  # which is always there, for who looks at it
        if all(new is old for new, old in zip(now, then, strict=True)):
            return
        images = {record.id: record for record in now[1].values() if record.region == self.region}
        for image_id, known in list(backend.amis.items()):
            if image_id not in images and image_id not in self.pending:
                del backend.amis[image_id]
            elif image_id in images and known.record != images[image_id]:
                known.become(images[image_id])
        for image_id in images.keys() - backend.amis.keys():
            backend.amis[image_id] = LocalImage(backend, images[image_id])
        snapshots = {key: record for key, record in now[2].items() if record.region == self.region}
        for snapshot_id, known in list(backend.snapshots.items()):
            if not hasattr(known, "record") or snapshot_id in self.pending:
                continue
            if snapshot_id not in snapshots:
                del backend.snapshots[snapshot_id]
            elif snapshots[snapshot_id] != known.record:
                known.become(snapshots[snapshot_id])
        for snapshot_id in snapshots.keys() - backend.snapshots.keys():
            backend.snapshots[snapshot_id] = LocalSnapshot(backend, snapshots[snapshot_id])
        setattr(backend, _MADE_OF, now)

    def _once(self, make: Callable[[], ActionResult]) -> ActionResult:
        """Answer a ClientToken's second request as its first (EC2 Developer Guide, "Ensuring idempotency")."""
        token = self.params.get("ClientToken")
        if not token:
            return make()
        asked = {key: value for key, value in self.params.items() if key not in ("ClientToken", "DryRun")}
        params = copy.deepcopy(asked)  # the action fills in what was left out
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

    def _root_mapping(self, image: ImageRecord, asked: list[dict[str, Any]]) -> dict[str, Any]:
        """The root volume: as the image says, changed by what is asked for."""
        mapping: dict[str, Any] = {
            "SnapshotId": image.snapshot_id,
            "VolumeSize": image.volume_size,
            "VolumeType": image.volume_type,
            "DeleteOnTermination": image.delete_on_termination,
        }
        key = image.kms_key
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
            mapping |= {name: value for name, value in ebs.items() if name in mapping}
            key = asked_key(self.ec2_backend, ebs, key)
        if (size := int(mapping["VolumeSize"])) < image.volume_size:
            raise EC2ClientError(
                "InvalidBlockDeviceMapping",
                f"Volume of size {size}GB is smaller than snapshot '{image.snapshot_id}', "
                f"expect size>= {image.volume_size}GB",
            )
        mapping |= {"Encrypted": True, "KmsKeyId": key} if key else {}
        return {"DeviceName": image.root_device, "Ebs": mapping}
