"""The actions of the EC2 API on images, snapshots, volumes and tags, wherever moto is not EC2: here they are files."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import StateReason

from ..errors import AmiError
from .encryption import asked_key, usable
from .model import LocalImage, LocalSnapshot
from .records import ImageRecord, SnapshotRecord
from .request import Request
from .store import SnapshotInUse, new_id, now, valid_name


class ImageActions(Request):
    """Each public method is one action, by its name in snake case."""

    def create_image(self) -> ActionResult:
        params, backend = self.params, self.ec2_backend
        name = self._free_name()
        guest = self._guest(params.get("InstanceId", ""))
        instance = guest.instance
        if guest.state not in ("running", "stopped"):
            raise EC2ClientError(
                "IncorrectInstanceState", f"The instance '{instance.id}' is {guest.state}: stop it, or let it run."
            )
        if params.get("NoReboot") and guest.machine_runs:
            raise EC2ClientError(
                "UnsupportedOperation",
                "A running machine cannot be imaged without a reboot here: leave NoReboot out, or stop the instance.",
            )
        tags = self._tags("image", "snapshot")
        root = self._root_mapping(guest.image, params.get("BlockDeviceMappings", []))["Ebs"]
        self.error_on_dryrun()
        image_id, snapshot_id = new_id("ami"), new_id("snap")
        volume = backend.get_volume(guest.volume_id)
        key = volume.kms_key_id or ""
        snapshot = SnapshotRecord(
            id=snapshot_id,
            region=self.region,
            layer=f"{snapshot_id}.qcow2",
            size=volume.size,
            created=now(),
            volume_id=volume.id,
            description=f"Created by CreateImage({instance.id}) for {image_id}",
            kms_key=key,
            tags=tags["snapshot"],
        )
        record = replace(
            _unset(guest.image),
            id=image_id,
            name=name,
            snapshot_id=snapshot_id,
            volume_size=max(volume.size, int(root["VolumeSize"])),
            volume_type=root["VolumeType"],
            delete_on_termination=root["DeleteOnTermination"],
            created=now(),
            description=params.get("Description", ""),
            source_instance=instance.id,
            source_image=guest.image.id,
            source_region=self.region,
            kms_key=key,
            tags=tags["image"],
        )
        image, shown = LocalImage(backend, record), LocalSnapshot(backend, snapshot)
        image.state, shown.status, shown.percent = "pending", "pending", 0
        self.pending[image_id] = backend.amis[image_id] = image
        self.pending[snapshot_id] = backend.snapshots[snapshot_id] = shown

        def frozen(failure: AmiError | None) -> None:
            wanted = self.pending.pop(snapshot_id, None) is not None
            try:
                if failure:
                    raise failure
                if not wanted:  # it was deleted meanwhile, and its image before it
                    self.fleet.store.remove_snapshot(snapshot_id)
                elif image_id in self.pending:
                    self._keep(record, own_snapshot=True)
            except AmiError as error:
                image.state, image.state_reason = "failed", StateReason(error.line(), "Server.InternalError")
                backend.snapshots.pop(snapshot_id, None)
            else:
                image.state, shown.status, shown.percent = "available", "completed", 100
                self.pending.pop(image_id, None)

        guest.snapshot(snapshot, frozen)
        return ActionResult({"ImageId": image_id})

    def _free_name(self) -> str:
        name: str = self.params.get("Name", "")
        if not valid_name(name):
            raise EC2ClientError(
                "InvalidAMIName.Malformed",
                "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', "
                "'.', '-', '/', '_', '[', ']', ''', '@' and spaces",
            )
        for image in self.ec2_backend.amis.values():
            if image.name == name and image.state != "failed":
                raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.id}")
        return name

    def _keep(self, record: ImageRecord, *, own_snapshot: bool) -> None:
        try:
            self.fleet.store.register(record)
        except AmiError:
            if own_snapshot:
                self.fleet.store.remove_snapshot(record.snapshot_id)
            raise

    def register_image(self) -> ActionResult:
        params = self.params
        name = self._free_name()
        tags = self._tags("image", "snapshot")
        root = params.get("RootDeviceName")
        mappings = {device.get("DeviceName"): device.get("Ebs", {}) for device in params.get("BlockDeviceMappings", [])}
        if not root or "SnapshotId" not in mappings.get(root, {}):
            raise EC2ClientError(
                "InvalidParameterCombination", "RootDeviceName must name a block device that has a snapshot."
            )
        if len(mappings) > 1:
            raise EC2ClientError("UnsupportedOperation", "Images have their root volume only here.")
        ebs = mappings[root]
        snapshot = self._stored_snapshot(ebs["SnapshotId"])
        size = int(ebs.get("VolumeSize", snapshot.size))
        if size < snapshot.size:
            raise EC2ClientError(
                "InvalidBlockDeviceMapping",
                f"Volume of size {size}GB is smaller than snapshot '{snapshot.id}', expect size>= {snapshot.size}GB",
            )
        self.error_on_dryrun()
        record = ImageRecord(
            id=new_id("ami"),
            region=self.region,
            name=name,
            snapshot_id=snapshot.id,
            volume_size=size,
            created=now(),
            description=params.get("Description", ""),
            root_device=root,
            volume_type=ebs.get("VolumeType", "standard"),
            delete_on_termination=ebs.get("DeleteOnTermination", True),
            architecture=params.get("Architecture", "i386"),
            virtualization_type=params.get("VirtualizationType", "paravirtual"),
            boot_mode=params.get("BootMode", ""),
            imds_support=params.get("ImdsSupport", ""),
            tpm_support=params.get("TpmSupport", ""),
            ena_support=params.get("EnaSupport", False),
            kms_key=snapshot.kms_key,
            tags=tags["image"],
        )
        self._keep(record, own_snapshot=False)
        return ActionResult({"ImageId": record.id})

    def _stored_snapshot(self, snapshot_id: str, region: str = "") -> SnapshotRecord:
        snapshot = self.fleet.store.snapshots().get(snapshot_id)
        if snapshot is not None and snapshot.region == (region or self.region):
            return snapshot
        if snapshot_id in self.ec2_backend.snapshots:
            raise EC2ClientError("UnsupportedOperation", f"The bytes of {snapshot_id} are not kept here.")
        raise EC2ClientError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")

    def copy_image(self) -> ActionResult:
        return self._once(self._copy_image)

    def _copy_image(self) -> ActionResult:
        params, backend = self.params, self.ec2_backend
        name = self._free_name()
        tags = self._tags("image", "snapshot")
        source = self.fleet.store.image_records().get(params.get("SourceImageId", ""))
        if source is None or source.region != params.get("SourceRegion"):
            raise EC2ClientError(
                "InvalidAMIID.NotFound", f"The image id '[{params.get('SourceImageId')}]' does not exist"
            )
        if source.disabled:
            raise EC2ClientError("InvalidAMIID.Unavailable", f"The image ID '{source.id}' is disabled")
        key = asked_key(backend, params, source.kms_key, same_region=source.region == self.region)
        self.error_on_dryrun()
        image_id = new_id("ami")
        record = replace(
            _unset(source),
            id=image_id,
            region=self.region,
            name=name,
            created=now(),
            description=params.get("Description", source.description),
            source_image=source.id,
            source_region=source.region,
            kms_key=key,
            tags=(source.tags if params.get("CopyImageTags") else {}) | tags["image"],
        )
        if key and not usable(backend, key):
            image = self.pending[image_id] = backend.amis[image_id] = LocalImage(backend, record)
            reason = f"Client.InvalidKMSKey: The KMS key {key} cannot be used"
            image.state, image.state_reason = "failed", StateReason(reason, "Client.InvalidKMSKey")
            return ActionResult({"ImageId": image_id})
        text = f"Copied for DestinationAmi {image_id} from SourceAmi {source.id}"
        snapshot = self.fleet.store.copy(source.snapshot_id, self.region, text, tags["snapshot"], key)
        self._keep(replace(record, snapshot_id=snapshot.id), own_snapshot=True)
        return ActionResult({"ImageId": image_id})

    def deregister_image(self) -> ActionResult:
        params, backend = self.params, self.ec2_backend
        image_id = params.get("ImageId", "")
        image = backend.amis.get(image_id)
        if image is None:
            gone = image_id in backend.deleted_amis
            raise EC2ClientError(
                f"InvalidAMIID.{'Unavailable' if gone else 'NotFound'}",
                f"The image id '[{image_id}]' {'is no longer available' if gone else 'does not exist'}",
            )
        self._check_protection(image.record)
        self.error_on_dryrun()
        if self.pending.pop(image_id, None) is None:
            self.fleet.store.remove_image(image_id)
        del backend.amis[image_id]
        backend.deleted_amis.append(image_id)
        deleted = []
        if params.get("DeleteAssociatedSnapshots") and image.state != "failed":
            deleted.append(self._delete_with_image(image.record.snapshot_id))
        return ActionResult({"Return": True, "DeleteSnapshotResults": deleted})

    @staticmethod
    def _check_protection(image: ImageRecord) -> None:
        if image.protection != "disabled":
            raise EC2ClientError("OperationNotPermitted", f"The image {image.id} is protected from deregistration.")
        if image.protected_until and datetime.now(UTC) < datetime.fromisoformat(image.protected_until):
            raise EC2ClientError(
                "OperationNotPermitted",
                f"The image {image.id} was protected from deregistration and is in its cooldown until "
                f"{image.protected_until[:19]}Z.",
            )

    def describe_images(self) -> ActionResult:
        """Deprecated images of others, and disabled ones, are shown to who names them or asks for all."""
        params = self.params
        answer = super().describe_images()
        result: Any = answer.result
        images: list[LocalImage] = result["Images"]
        if not params.get("ImageIds"):
            own = self.current_account
            deprecated, disabled = params.get("IncludeDeprecated"), params.get("IncludeDisabled")
            images = [image for image in images if deprecated or image.owner_id == own or not image.is_deprecated]
            images = [image for image in images if disabled or image.state != "disabled"]
        return ActionResult({"Images": images})

    def _delete_with_image(self, snapshot_id: str) -> dict[str, str]:
        try:
            self._remove_snapshot(snapshot_id)
        except SnapshotInUse:
            return {"SnapshotId": snapshot_id, "ReturnCode": "skipped"}
        except AmiError:
            return {"SnapshotId": snapshot_id, "ReturnCode": "client-error"}
        return {"SnapshotId": snapshot_id, "ReturnCode": "success"}

    def create_snapshot(self) -> ActionResult:
        volume = self.ec2_backend.get_volume(self.params.get("VolumeId"))
        guest = self.fleet.guests.get(volume.attachment.instance.id) if volume.attachment else None
        if not self.fleet.store.volume(volume.id).exists():
            return super().create_snapshot()
        if guest is not None and guest.state != "stopped":
            raise EC2ClientError("UnsupportedOperation", "Stop the instance first: its disk is in use.")
        tags = self._tags("snapshot")
        self.error_on_dryrun()
        snapshot_id = new_id("snap")
        record = SnapshotRecord(
            id=snapshot_id,
            region=self.region,
            layer=f"{snapshot_id}.qcow2",
            size=volume.size,
            created=now(),
            volume_id=volume.id,
            description=self.params.get("Description", ""),
            tags=tags["snapshot"],
        )
        self.fleet.store.freeze_volume(volume.id, replace(record, kms_key=volume.kms_key_id or ""))
        self._sync()
        return ActionResult(self.ec2_backend.snapshots[snapshot_id])

    def copy_snapshot(self) -> ActionResult:
        params = self.params
        source = self._stored_snapshot(params.get("SourceSnapshotId", ""), params.get("SourceRegion", ""))
        tags = self._tags("snapshot")["snapshot"]
        key = asked_key(self.ec2_backend, params, source.kms_key, same_region=source.region == self.region)
        if key and not usable(self.ec2_backend, key):
            raise EC2ClientError("InvalidParameterValue", f"The KMS key {key} cannot be used.")
        self.error_on_dryrun()
        copied = self.fleet.store.copy(source.id, self.region, params.get("Description", ""), tags, key)
        self._sync()
        return ActionResult({"SnapshotId": copied.id, "Tags": self.ec2_backend.snapshots[copied.id].tag_set})

    def delete_snapshot(self) -> ActionResult:
        snapshot_id = self.params.get("SnapshotId", "")
        if not hasattr(self.ec2_backend.snapshots.get(snapshot_id), "record"):
            return super().delete_snapshot()
        self.error_on_dryrun()
        try:
            self._remove_snapshot(snapshot_id)
        except SnapshotInUse as error:
            raise EC2ClientError("InvalidSnapshot.InUse", f"The {error}") from error
        return EmptyResult()

    def _remove_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot; one whose disk is being frozen goes when that is done.

        :raises SnapshotInUse: an image is made of it
        """
        if snapshot_id not in self.pending:
            self.fleet.store.remove_snapshot(snapshot_id)
            return
        for image in self.pending.values():
            if isinstance(image, LocalImage) and image.record.snapshot_id == snapshot_id:
                raise SnapshotInUse(f"snapshot {snapshot_id} is in use by {image.id}")
        del self.pending[snapshot_id], self.ec2_backend.snapshots[snapshot_id]

    def delete_volume(self) -> ActionResult:
        answer = super().delete_volume()
        self.fleet.store.delete_volume(self.params["VolumeId"])
        return answer

    def create_tags(self) -> ActionResult:
        return self._retagged(super().create_tags())

    def delete_tags(self) -> ActionResult:
        return self._retagged(super().delete_tags())

    def _retagged(self, answer: ActionResult) -> ActionResult:
        for resource_id in self.params.get("Resources", []):
            self.fleet.store.retag(resource_id, self.ec2_backend.tags[resource_id])
            if guest := self.fleet.guests.get(resource_id):
                guest.refresh_metadata()
        return answer


def _unset(image: ImageRecord) -> ImageRecord:
    """An image as one that is made of it begins: what was set on it later is not taken over."""
    return replace(
        image,
        launch_permissions=[],
        disabled=False,
        deprecated="",
        protection="disabled",
        protected_until="",
        source_instance="",
    )
