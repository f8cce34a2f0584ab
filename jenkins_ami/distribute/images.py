"""The account's own images as their tags tell them. Reads; changes nothing."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..cloud import tagged
from ..cloud.cleanup import UNKNOWN, snapshot_ids
from ..cloud.moments import is_past
from ..cloud.pages import PAGE, chunks, pages, tags_of
from ..cloud.session import Cloud, lacks_right
from ..cloud.tags import (
    BASE,
    BUILD,
    BUILDER,
    INPUT,
    LEGACY_BUILD,
    LEGACY_NAME,
    LEGACY_VERSION,
    NAME,
    NUMBER,
    SOURCE_IMAGE,
    VERSION,
)
from ..cloud.versions import Key, version_key
from ..errors import CloudError, InputError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ImageTypeDef

BEING_MADE = ("pending", "transient")
BROKEN = ("failed", "error", "invalid")
"""States of an image (EC2 API reference, Image)."""

_AMI = re.compile(r"ami-[0-9a-f]{8,17}")
_INSTANCE = re.compile(r"i-[0-9a-f]{8,17}")
_THREADS = 8


@dataclass(frozen=True)
class Image:
    """An image of the account.

    :ivar name: of the series that it belongs to; empty for an image that no build made
    :ivar number: the build number; 0 where the image has none
    :ivar label: what EC2 calls it, e.g. ``web-1.4.0-12``
    :ivar created: ISO 8601 in UTC
    :ivar size: of its volumes, GiB
    :ivar deprecated: from when on; empty for never
    :ivar shared: with others; ``None``: not known
    """

    image_id: str
    region: str
    label: str = ""
    name: str = ""
    version: str = ""
    number: int = 0
    created: str = ""
    state: str = "available"
    architecture: str = ""
    reason: str = ""
    size: int = 0
    deprecated: str = ""
    protected: bool = False
    shared: bool | None = None
    owner: str = ""
    snapshots: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def ours(self) -> bool:
        """Whether a build made it."""
        return bool(self.name)

    @property
    def finished(self) -> bool:
        """Whether its build is over, so that it stays. Images of before there was such a mark are."""
        return INPUT in self.tags or BUILD not in self.tags

    @property
    def usable(self) -> bool:
        return self.finished and self.state == "available"

    @property
    def base(self) -> str:
        """What it was made from: an image id, or ``scratch/DIGEST``; empty when it does not say."""
        return self.tags.get(BASE, "")

    @property
    def copy_of(self) -> tuple[str, str] | None:
        """Region and id of the image that it is a copy of."""
        region, slash, image = self.tags.get(SOURCE_IMAGE, "").partition("/")
        return (region, image) if slash else None

    @property
    def version_key(self) -> Key:
        return version_key(self.version)

    @property
    def order(self) -> tuple[Any, ...]:
        return self.name, self.version_key, self.number, self.region, self.label, self.image_id

    def is_deprecated(self, now: datetime) -> bool:
        return is_past(self.deprecated, now)


def read(described: ImageTypeDef, region: str) -> Image:
    """An image from what DescribeImages tells. The older tags count where ours are missing, all three or none."""
    tags = tags_of(described)
    name, version, number = tags.get(NAME, ""), tags.get(VERSION, ""), tags.get(NUMBER, "")
    if not name and {LEGACY_NAME, LEGACY_VERSION, LEGACY_BUILD} <= tags.keys():
        name, version, number = tags[LEGACY_NAME], tags[LEGACY_VERSION], tags[LEGACY_BUILD]
    volumes = [mapping.get("Ebs", {}) for mapping in described.get("BlockDeviceMappings", [])]
    return Image(
        image_id=described["ImageId"],
        region=region,
        label=described.get("Name", ""),
        name=name,
        version=version,
        number=int(number) if number.isascii() and number.isdigit() else 0,
        created=described.get("CreationDate", ""),
        state=described.get("State", "pending"),
        architecture=described.get("Architecture", ""),
        reason=described.get("StateReason", {}).get("Message", ""),
        size=sum(volume.get("VolumeSize", 0) for volume in volumes),
        deprecated=described.get("DeprecationTime", ""),
        protected=described.get("DeregistrationProtection", "disabled") != "disabled",
        shared=True if described.get("Public") else None,
        owner=described.get("OwnerId", ""),
        snapshots=snapshot_ids([described]),
        tags=tags,
    )


def own(cloud: Cloud) -> list[Image]:
    """All images of the account in a region, in order; deprecated and disabled ones too.

    :raises CloudError: refused
    """
    images = (read(each, cloud.environment.region) for each in tagged.images(cloud, []))
    return sorted(images, key=lambda image: image.order)


def find(cloud: Cloud, image_ids: Collection[str]) -> dict[str, Image]:
    """Those of the images that there are and that the account may see, its own or not.

    :raises CloudError: refused
    """
    found = []
    for some in chunks(sorted(image_ids)):
        found += pages(
            cloud,
            cloud.ec2,
            "describe_images",
            "Images",
            PAGE,
            Filters=[{"Name": "image-id", "Values": some}],  # not ImageIds, of which each has to be there
            IncludeDeprecated=True,
            IncludeDisabled=True,
        )
    images = (read(each, cloud.environment.region) for each in found)
    return {image.image_id: image for image in images if image.state != "deregistered"}


def of_names(images: Iterable[Image], names: Collection[str], *, foreign: bool = False) -> list[Image]:
    """Images of these names; of all for none.

    :param foreign: those that no build made as well
    """
    return [image for image in images if (image.ours or foreign) and (not names or image.name in names)]


def with_sharing(cloud: Cloud, images: Sequence[Image]) -> list[Image]:
    """The same, with whether others may launch them: EC2 has to be asked for each. Not known without the right to.

    :raises CloudError: refused for another reason
    """

    def ask(image: Image) -> Image:
        if image.shared is not None:
            return image
        try:
            with cloud.calls():
                answer = cloud.ec2.describe_image_attribute(ImageId=image.image_id, Attribute="launchPermission")
        except CloudError as error:
            if lacks_right(error) or error.code in UNKNOWN:
                return image
            raise
        return replace(image, shared=bool(answer.get("LaunchPermissions")))

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(ask, images))


def builder(cloud: Cloud, what: str) -> str:
    """The instance that is meant by its own id, or by the id of the image that was made of it.

    :raises InputError: it is neither, or the image does not say
    :raises CloudError: refused
    """
    if _INSTANCE.fullmatch(what):
        return what
    if not _AMI.fullmatch(what):
        raise InputError(f"'{what}' is neither an instance nor an image", hint="One looks like i-0123456789abcdef0")
    image = find(cloud, [what]).get(what)
    if image is None:
        raise no_such_image(cloud, what)
    if BUILDER not in image.tags:
        raise InputError(f"image {what} does not say of which instance it was made", hint=f"It has no tag '{BUILDER}'")
    return image.tags[BUILDER]


def no_such_image(cloud: Cloud, image_id: str) -> InputError:
    return InputError(
        f"there is no image {image_id} in {cloud.environment.region}",
        hint="Image ids differ from region to region: name another with --region",
    )


def console(cloud: Cloud, instance: str) -> bytes:
    """What EC2 still has of an instance's serial console: 64 KiB at most.

    :raises InputError: it has nothing any more
    :raises CloudError: refused
    """
    for latest in (True, False):
        try:
            with cloud.calls():
                answer = cloud.ec2.get_console_output(InstanceId=instance, Latest=latest)
        except CloudError as error:
            if error.code in ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"):
                raise InputError(
                    f"EC2 does not know instance {instance} in {cloud.environment.region} any more",
                    hint="It keeps a console for about an hour after termination; a build's is in its console.log",
                ) from error
            # Not a Nitro type (EC2 API reference, GetConsoleOutput).
            if latest and error.code in ("UnsupportedOperation", "InvalidParameterCombination"):
                continue
            raise
        if output := answer.get("Output", ""):
            return output.encode()
    raise InputError(
        f"EC2 has no console of instance {instance}",
        hint="A young instance's comes after some minutes, an old one's is kept for about an hour after termination",
    )
