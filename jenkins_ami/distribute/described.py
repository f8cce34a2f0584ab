"""An image with its snapshots, as EC2 describes them: what every step of a distribution looks at before it asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..cloud.cleanup import UNKNOWN
from ..cloud.pages import pages, tags_of
from ..cloud.session import Cloud
from ..errors import CloudError, InputError
from . import images
from .images import BEING_MADE, BROKEN, Image

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ImageTypeDef, SnapshotTypeDef

AVAILABLE = "available"


@dataclass(frozen=True)
class Snapshot:
    """A snapshot behind an image.

    :ivar kms_key: ARN of the key that it is encrypted with
    :ivar percent: of it that is there; ``None``: EC2 does not say
    """

    snapshot_id: str
    tags: Mapping[str, str]
    encrypted: bool = False
    kms_key: str | None = None
    percent: int | None = None


@dataclass(frozen=True)
class Described:
    """An image. ``snapshots``: as it names them; while it is pending, maybe none."""

    image: Image
    description: str = ""
    snapshots: tuple[Snapshot, ...] = ()

    @property
    def image_id(self) -> str:
        return self.image.image_id

    @property
    def state(self) -> str:
        return self.image.state

    @property
    def snapshot_ids(self) -> tuple[str, ...]:
        return tuple(snapshot.snapshot_id for snapshot in self.snapshots)

    @property
    def encrypted(self) -> bool:
        return bool(self.snapshots) and all(snapshot.encrypted for snapshot in self.snapshots)

    @property
    def kms_key(self) -> str | None:
        """The key of its snapshots, if all have the same."""
        keys = {snapshot.kms_key for snapshot in self.snapshots}
        return keys.pop() if len(keys) == 1 else None

    @property
    def place(self) -> str:
        """``REGION/AMI``, as a copy's tag names it."""
        return f"{self.image.region}/{self.image_id}"


def find(cloud: Cloud, **which: Any) -> list[Described]:
    """The account's images that DescribeImages finds, with their snapshots; none that is disabled or deregistered.

    :param which: parameters of DescribeImages: ``ImageIds`` or ``Filters``
    :raises CloudError: refused
    """
    try:
        found = pages(cloud, cloud.ec2, "describe_images", "Images", Owners=["self"], **which)
    except CloudError as error:
        if error.code in UNKNOWN:
            return []
        raise
    return [_described(cloud, each) for each in found if each.get("State") in (AVAILABLE, *BEING_MADE, *BROKEN)]


def read(cloud: Cloud, image_id: str, account: str) -> Described:
    """An image that is available and the account's own.

    :raises InputError: it is not there, somebody else's, or not available
    :raises CloudError: refused
    """
    try:
        found = pages(cloud, cloud.ec2, "describe_images", "Images", ImageIds=[image_id])
    except CloudError as error:
        if error.code not in UNKNOWN | {"InvalidAMIID.Malformed"}:
            raise
        found = []
    image = images.read(found[0], cloud.environment.region) if found else None
    if image is None or image.state == "deregistered":
        raise images.no_such_image(cloud, image_id)
    if image.owner != account:
        raise InputError(
            f"{image_id} belongs to {image.owner}, not to this account {account}",
            hint="Only its owner can copy it on, share it or set its dates",
        )
    if image.state != AVAILABLE:
        raise InputError(f"{image_id} is {image.state}, not available", hint="Wait for it, or build it again")
    return _described(cloud, found[0])


def _described(cloud: Cloud, found: ImageTypeDef) -> Described:
    image = images.read(found, cloud.environment.region)
    known = _snapshots(cloud, image.snapshots)
    return Described(
        image,
        found.get("Description", ""),
        tuple(known.get(each) or Snapshot(each, {}) for each in image.snapshots),
    )


def _snapshots(cloud: Cloud, ids: Iterable[str]) -> dict[str, Snapshot]:
    """Those that DescribeSnapshots knows: a filter finds fewer where an id would be an error."""
    wanted = list(ids)
    if not wanted:
        return {}
    which = [{"Name": "snapshot-id", "Values": wanted}]
    found = pages(cloud, cloud.ec2, "describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=which)
    return {each["SnapshotId"]: _snapshot(each) for each in found}


def _snapshot(found: SnapshotTypeDef) -> Snapshot:
    percent = found.get("Progress", "").rstrip("%")
    return Snapshot(
        snapshot_id=found["SnapshotId"],
        tags=tags_of(found),
        encrypted=found.get("Encrypted", False),
        kms_key=found.get("KmsKeyId"),
        percent=int(percent) if percent.isdigit() else None,
    )
