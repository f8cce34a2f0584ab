"""The store's images and snapshots as moto's model of EC2 has them: what Describe calls read and filter."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from moto.ec2.models.amis import Ami
from moto.ec2.models.elastic_block_store import Snapshot

from .records import ImageRecord, SnapshotRecord


class LocalImage(Ami):  # type: ignore[misc]
    """An image of the store as moto's DescribeImages reads it. ``state`` is ``pending`` while its disk is frozen."""

    def __init__(self, backend: Any, record: ImageRecord) -> None:
        self.ec2_backend = backend
        self.id = record.id
        self.state_reason = None
        self.owner_id, self.owner_alias = backend.account_id, None
        self.image_type, self.platform, self.platform_details = "machine", None, "Linux/UNIX"
        self.usage_operation, self.hypervisor = "RunInstances", "xen"
        self.kernel_id = None
        self.product_codes: set[str] = set()
        self.root_device_type = "ebs"
        self.sriov_net_support, self.sriov = "simple", "simple"
        self.creation_date = datetime.fromisoformat(record.created)
        self.become(record)

    def become(self, record: ImageRecord) -> None:
        """Take over a record that may differ from the one before."""
        self.record = record
        self.name, self.description = record.name, record.description
        self.image_location = f"{self.owner_id}/{record.name}"
        self.state = "disabled" if record.disabled else "available"
        self.architecture, self.virtualization_type = record.architecture, record.virtualization_type
        self.root_device_name = record.root_device
        self.boot_mode = record.boot_mode or None
        self.imds_support, self.tpm_support = record.imds_support or None, record.tpm_support or None
        self.ena_support = record.ena_support
        self.instance_id = record.source_instance or None
        self.source_image_id = record.source_image or None
        self.source_image_region = record.source_region or None
        self.deprecation_time = record.deprecated or None
        self.deregistration_protection = record.protection
        self.launch_permissions = record.launch_permissions
        self.ec2_backend.tags[self.id] = dict(record.tags)

    @property
    def public(self) -> bool:
        return bool(self.is_public)

    @property
    def is_deprecated(self) -> bool:
        return bool(self.record.deprecated) and datetime.fromisoformat(self.record.deprecated) <= datetime.now(UTC)

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        ebs = {
            "SnapshotId": self.record.snapshot_id,
            "VolumeSize": self.record.volume_size,
            "VolumeType": self.record.volume_type,
            "DeleteOnTermination": self.record.delete_on_termination,
            "Encrypted": bool(self.record.kms_key),
        }
        return [{"DeviceName": self.record.root_device, "Ebs": ebs}]

    def get_filter_value(self, filter_name: str, method_name: str | None = None) -> Any:
        if filter_name.startswith("block-device-mapping."):
            ebs = self.block_device_mappings[0]["Ebs"]
            mapping = {
                "device-name": self.record.root_device,
                "snapshot-id": ebs["SnapshotId"],
                "volume-size": str(ebs["VolumeSize"]),
                "volume-type": ebs["VolumeType"],
                "delete-on-termination": str(ebs["DeleteOnTermination"]).lower(),
                "encrypted": str(ebs["Encrypted"]).lower(),
            }
            if value := mapping.get(filter_name.removeprefix("block-device-mapping.")):
                return value
        if filter_name == "ena-support":
            return str(self.ena_support).lower()
        return super().get_filter_value(filter_name, method_name)


class LocalSnapshot(Snapshot):  # type: ignore[misc]
    """A snapshot of the store as moto's DescribeSnapshots reads it."""

    def __init__(self, backend: Any, record: SnapshotRecord) -> None:
        volume = SimpleNamespace(id=record.volume_id, size=record.size)
        super().__init__(backend, record.id, volume, record.description)
        self.start_time = datetime.fromisoformat(record.created)
        self.percent = 100
        self.become(record)

    def become(self, record: SnapshotRecord) -> None:
        """Take over a record that may differ from the one before."""
        self.record = record
        self.encrypted, self.kms_key_id = bool(record.kms_key), record.kms_key or None
        self.ec2_backend.tags[self.id] = dict(record.tags)

    @property
    def progress(self) -> str:
        return f"{self.percent}%"
