"""The actions of the EC2 API on images, snapshots, volumes and tags, wherever moto is not EC2: here they are files."""

from __future__ import annotations

from dataclasses import replace

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import StateReason

from ..errors import AmiError
from .model import LocalImage
from .request import Request
from .store import ImageRecord, SnapshotInUse, SnapshotRecord, new_id, now, valid_name


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
        snapshot = SnapshotRecord(
            id=snapshot_id,
            region=self.region,
            layer=f"{snapshot_id}.qcow2",
            size=volume.size,
            created=now(),
            volume_id=volume.id,
            description=f"Created by CreateImage({instance.id}) for {image_id}",
            tags=tags["snapshot"],
        )
        record = replace(
            guest.image,
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
            tags=tags["image"],
        )
        image = LocalImage(backend, record)
        image.state = "pending"
        self.pending[image_id] = backend.amis[image_id] = image

        def frozen(failure: AmiError | None) -> None:
            try:
                if failure:
                    raise failure
                self._keep(record, own_snapshot=True)
            except AmiError as error:
                image.state, image.state_reason = "failed", StateReason(error.line(), "Server.InternalError")
            else:
                image.state = "available"
                del self.pending[image_id]

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
        params = self.params
        name = self._free_name()
        tags = self._tags("image", "snapshot")
        source = {image.id: image for image in self.fleet.store.images()}.get(params.get("SourceImageId", ""))
        if source is None or source.region != params.get("SourceRegion"):
            raise EC2ClientError(
                "InvalidAMIID.NotFound", f"The image id '[{params.get('SourceImageId')}]' does not exist"
            )
        self.error_on_dryrun()
        image_id = new_id("ami")
        text = f"Copied for DestinationAmi {image_id} from SourceAmi {source.id}"
        snapshot = self.fleet.store.copy(source.snapshot_id, self.region, text, tags["snapshot"])
        record = replace(
            source,
            id=image_id,
            region=self.region,
            name=name,
            snapshot_id=snapshot.id,
            created=now(),
            description=params.get("Description", source.description),
            source_image=source.id,
            tags=(source.tags if params.get("CopyImageTags") else {}) | tags["image"],
        )
        self._keep(record, own_snapshot=True)
        return ActionResult({"ImageId": image_id})

    def deregister_image(self) -> ActionResult:
        image_id = self.params.get("ImageId", "")
        image = self.ec2_backend.amis.get(image_id)
        if image is not None and image.state == "pending":
            raise EC2ClientError("InvalidAMIID.Unavailable", f"The image ID '{image_id}' is pending")
        super().deregister_image()
        deleted = []
        if self.pending.pop(image_id, None) is None:
            self.fleet.store.remove_image(image_id)
            if self.params.get("DeleteAssociatedSnapshots"):
                deleted.append(self._delete_with_image(image.record.snapshot_id))
        return ActionResult({"Return": True, "DeleteSnapshotResults": deleted})

    def _delete_with_image(self, snapshot_id: str) -> dict[str, str]:
        try:
            self.fleet.store.remove_snapshot(snapshot_id)
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
        self.fleet.store.freeze_volume(volume.id, record)
        self._sync()
        return ActionResult(self.ec2_backend.snapshots[snapshot_id])

    def copy_snapshot(self) -> ActionResult:
        params = self.params
        source = self._stored_snapshot(params.get("SourceSnapshotId", ""), params.get("SourceRegion", ""))
        tags = self._tags("snapshot")["snapshot"]
        self.error_on_dryrun()
        copied = self.fleet.store.copy(source.id, self.region, params.get("Description", ""), tags)
        self._sync()
        return ActionResult({"SnapshotId": copied.id, "Tags": self.ec2_backend.snapshots[copied.id].tag_set})

    def delete_snapshot(self) -> ActionResult:
        snapshot_id = self.params.get("SnapshotId", "")
        if not hasattr(self.ec2_backend.snapshots.get(snapshot_id), "record"):
            return super().delete_snapshot()
        self.error_on_dryrun()
        try:
            self.fleet.store.remove_snapshot(snapshot_id)
        except SnapshotInUse as error:
            raise EC2ClientError("InvalidSnapshot.InUse", f"The {error}") from error
        return EmptyResult()

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
