"""The actions of the EC2 API on what is set on an image or a snapshot: who may use it, and for how long."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError

from .encryption import managed_key
from .model import LocalImage, LocalSnapshot
from .request import Request

COOLDOWN = timedelta(hours=24)
"""How long an image whose protection had a cooldown stays protected when it is taken off."""
_LONGEST = timedelta(days=3653)

Permission = dict[str, str]
_TARGETS = {
    "UserId": re.compile(r"[0-9]{12}"),
    "Group": re.compile(r"all"),
    "OrganizationArn": re.compile(r"arn:aws[a-z-]*:organizations::[0-9]{12}:organization/o-[a-z0-9]{10,32}"),
    "OrganizationalUnitArn": re.compile(r"arn:aws[a-z-]*:organizations::[0-9]{12}:ou/o-[a-z0-9]{10,32}/ou-[a-z0-9-]+"),
}
"""Whom an image can be shared with (API reference, LaunchPermission)."""
_LISTS = {
    "UserIds": "UserId",
    "UserGroups": "Group",
    "GroupNames": "Group",
    "OrganizationArns": "OrganizationArn",
    "OrganizationalUnitArns": "OrganizationalUnitArn",
}
_TRUE = {"Return": True}


def changed(before: Iterable[Permission], add: Iterable[Permission], remove: Iterable[Permission]) -> list[Permission]:
    """Permissions after a change."""
    gone = list(remove)
    kept = [each for each in before if each not in gone]
    return kept + [each for each in add if each not in kept]


def rounded(moment: datetime) -> str:
    """To the nearest minute, as EC2 tells a DeprecationTime."""
    minute = (moment + timedelta(seconds=30)).replace(second=0, microsecond=0)
    return minute.strftime("%Y-%m-%dT%H:%M:%S.000Z")


class ImageSettings(Request):
    """Each public method is one action, by its name in snake case."""

    # Images

    def _own_image(self) -> LocalImage:
        """The image that ImageId names, which is not pending."""
        image_id = self.params.get("ImageId", "")
        (image,) = self.ec2_backend.describe_images(ami_ids=[image_id]) or [None]
        if image is None or image_id in self.pending:
            raise EC2ClientError("InvalidAMIID.Unavailable", f"The image ID '{image_id}' is no longer available")
        found: LocalImage = image
        return found

    def _set(self, **changes: Any) -> ActionResult:
        image = self._own_image()
        self.error_on_dryrun()
        self.fleet.store.revise_image(image.id, **changes)
        return ActionResult(_TRUE)

    def modify_image_attribute(self) -> ActionResult:
        params = self.params
        value = params.get("Value")
        settings = {
            "description": params.get("Description", {}).get("Value"),
            "imdsSupport": params.get("ImdsSupport", {}).get("Value"),
            "launchPermission": self._permissions("LaunchPermission"),
        }
        if value is not None and params.get("Attribute") in settings:
            settings[params["Attribute"]] = value
        given = {key: setting for key, setting in settings.items() if setting is not None}
        if len(given) != 1:
            raise EC2ClientError("InvalidParameterCombination", "Exactly one attribute of an image can be changed.")
        ((attribute, setting),) = given.items()
        if attribute == "launchPermission":
            return self._share(*setting)
        if attribute == "imdsSupport":
            if setting != "v2.0":
                raise EC2ClientError(
                    "InvalidParameterValue", f"Value ({setting}) for parameter imdsSupport is invalid."
                )
            self._set(imds_support=setting)
        else:
            self._set(description=setting)
        return EmptyResult()

    def _permissions(self, name: str) -> tuple[list[Permission], list[Permission]] | None:
        """What is to be added and removed, in either of the two forms that the API has for it."""
        params = self.params
        if name in params:
            return params[name].get("Add", []), params[name].get("Remove", [])
        listed = [{kind: value} for key, kind in _LISTS.items() for value in params.get(key, [])]
        if not listed:
            return None
        if params.get("OperationType") not in ("add", "remove"):
            raise EC2ClientError("InvalidParameterValue", "OperationType is add or remove.")
        return (listed, []) if params["OperationType"] == "add" else ([], listed)

    @staticmethod
    def _check_targets(permissions: Iterable[Permission], kinds: Iterable[str], code: str) -> None:
        for permission in permissions:
            for kind, value in permission.items():
                if kind not in kinds or not _TARGETS[kind].fullmatch(value):
                    raise EC2ClientError(code, f'Invalid attribute item value "{value}" for {kind} item type.')

    def _share(self, add: list[Permission], remove: list[Permission]) -> ActionResult:
        image = self._own_image()
        self._check_targets([*add, *remove], _TARGETS, "InvalidAMIAttributeItemValue")
        if image.state != "available":
            raise EC2ClientError("InvalidAMIID.Unavailable", f"The image ID '{image.id}' is {image.state}")
        if add and image.record.kms_key == managed_key(self.ec2_backend):
            message = "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot."
            raise EC2ClientError("InvalidParameter", message)
        if image.record.kms_key and {"Group": "all"} in add:
            raise EC2ClientError("InvalidParameter", "An image with encrypted snapshots cannot be made public.")
        self._set(launch_permissions=changed(image.record.launch_permissions, add, remove))
        return EmptyResult()

    def reset_image_attribute(self) -> ActionResult:
        if self.params.get("Attribute") != "launchPermission":
            raise EC2ClientError("InvalidParameterValue", "Only launchPermission can be reset.")
        self._set(launch_permissions=[])
        return EmptyResult()

    def describe_image_attribute(self) -> ActionResult:
        attribute, image = self.params.get("Attribute", ""), self._own_image()
        record = image.record
        values: dict[str, Any] = {
            "bootMode": {"BootMode": {"Value": record.boot_mode or None}},
            "deregistrationProtection": {"DeregistrationProtection": {"Value": record.protection}},
            "description": {"Description": {"Value": record.description}},
            "imdsSupport": {"ImdsSupport": {"Value": record.imds_support or None}},
            "kernel": {"KernelId": {}},
            "lastLaunchedTime": {"LastLaunchedTime": {}},
            "launchPermission": {"LaunchPermissions": record.launch_permissions},
            "productCodes": {"ProductCodes": []},
            "ramdisk": {"RamdiskId": {}},
            "sriovNetSupport": {"SriovNetSupport": {"Value": image.sriov_net_support}},
            "tpmSupport": {"TpmSupport": {"Value": record.tpm_support or None}},
            "uefiData": {"UefiData": {}},
        }
        if attribute == "blockDeviceMapping":
            raise EC2ClientError("AuthFailure", "Unauthorized attempt to access restricted resource")
        if attribute not in values:
            raise EC2ClientError("InvalidRequest", "The request received was invalid.")
        self.error_on_dryrun()
        return ActionResult({"ImageId": image.id, **values[attribute]})

    def enable_image_deprecation(self) -> ActionResult:
        moment = self.params["DeprecateAt"]
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        now = datetime.now(UTC)
        if not now < moment <= now + _LONGEST:
            raise EC2ClientError(
                "InvalidParameterValue", f"The deprecation time {moment:%Y-%m-%dT%H:%M:%SZ} is not within 10 years."
            )
        return self._set(deprecated=rounded(moment))

    def disable_image_deprecation(self) -> ActionResult:
        return self._set(deprecated="")

    def enable_image_deregistration_protection(self) -> ActionResult:
        cooldown = "with" if self.params.get("WithCooldown") else "without"
        self._set(protection=f"enabled-{cooldown}-cooldown", protected_until="")
        return ActionResult({"Return": "true"})

    def disable_image_deregistration_protection(self) -> ActionResult:
        until = ""
        if self._own_image().record.protection == "enabled-with-cooldown":
            until = (datetime.now(UTC) + COOLDOWN).isoformat()
        self._set(protection="disabled", protected_until=until)
        return ActionResult({"Return": "true"})

    def disable_image(self) -> ActionResult:
        return self._set(disabled=True, launch_permissions=[])

    def enable_image(self) -> ActionResult:
        return self._set(disabled=False)

    # Snapshots

    def _own_snapshot(self) -> LocalSnapshot | None:
        """The snapshot that SnapshotId names; ``None`` when it is one of moto's volumes."""
        snapshot = self.ec2_backend.get_snapshot(self.params.get("SnapshotId", ""))
        return snapshot if isinstance(snapshot, LocalSnapshot) else None

    def modify_snapshot_attribute(self) -> ActionResult:
        snapshot = self._own_snapshot()
        if snapshot is None:
            return super().modify_snapshot_attribute()
        add, remove = self._permissions("CreateVolumePermission") or ([], [])
        if bool(add) == bool(remove):
            raise EC2ClientError(
                "InvalidParameterCombination", "Permissions are added or removed, and not both at once."
            )
        self._check_targets([*add, *remove], ("UserId", "Group"), "InvalidParameterValue")
        if add and snapshot.record.kms_key == managed_key(self.ec2_backend):
            raise EC2ClientError("OperationNotPermitted", "Encrypted snapshots with EBS default key cannot be shared")
        if snapshot.record.kms_key and {"Group": "all"} in add:
            raise EC2ClientError("OperationNotPermitted", "Encrypted snapshots cannot be made public")
        self.error_on_dryrun()
        self.fleet.store.revise_snapshot(snapshot.id, permissions=changed(snapshot.record.permissions, add, remove))
        return EmptyResult()

    def describe_snapshot_attribute(self) -> ActionResult:
        snapshot = self._own_snapshot()
        if snapshot is None or self.params.get("Attribute") != "createVolumePermission":
            return super().describe_snapshot_attribute()
        return ActionResult({"SnapshotId": snapshot.id, "CreateVolumePermissions": snapshot.record.permissions})
