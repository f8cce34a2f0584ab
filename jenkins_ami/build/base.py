"""The base image: from what a manifest says to one image, and what a launch, a report and its heirs know about it.

A base is resolved once, before anything else is decided: from then on a build knows it by its id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from ..artifacts import BaseQuery
from ..cloud.moments import is_past
from ..cloud.pages import tags_of
from ..cloud.session import Cloud
from ..cloud.tags import BASE, escaped, tag_filter
from ..errors import CloudError, InputError
from ..forms import OWNER
from . import own_images
from .own_images import AVAILABLE, images

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ImageTypeDef

FORMS = (
    "Use ami-0123456789abcdef0, ssm:/path/of/a/parameter, scratch, scratch:DIGEST, NAME or NAME-1.4.0 of an image of "
    "your own, or in ami.yaml a mapping with 'name' and 'owners'"
)
_AMI = re.compile(r"ami-(?:[0-9a-f]{8}|[0-9a-f]{17})")
_LIKE_AMI = re.compile(r"ami-[0-9a-f]*", re.IGNORECASE)
_SSM = re.compile(r"ssm:(/?[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*(?::[A-Za-z0-9_.-]+)?)")
_SCRATCH = re.compile(r"scratch(?::([0-9a-f]{8,64}))?")
_NAME = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{1,128}")
"""What CreateImage takes as a name (EC2 API reference)."""


@dataclass(frozen=True)
class Reference:
    """What a manifest's ``base`` asks for.

    :ivar value: an image id, the name of a parameter, a value of the tag ``jenkins-ami:base``, or a name
    """

    kind: Literal["ami", "ssm", "scratch", "query", "own"]
    value: str
    query: BaseQuery | None = None


@dataclass(frozen=True)
class Base:
    """A base image, as DescribeImages tells it (EC2 API reference, Image).

    :ivar root_device: the name under which the image boots its root volume
    :ivar volumes: all its EBS volumes by device name, with their sizes in GiB
    :ivar boot_mode: empty where the image leaves it to the instance type
    :ivar encrypted: whether its root volume is
    :ivar imds_support: ``v2.0``, or empty
    :ivar created: ISO 8601 in UTC; ``deprecated``: since or from when, or empty
    :ivar owner: account, 12 digits
    :ivar warnings: what whoever builds on it should hear
    """

    image_id: str
    name: str
    architecture: str
    root_device: str
    volumes: dict[str, int]
    boot_mode: str = ""
    ena_support: bool = False
    encrypted: bool = False
    imds_support: str = ""
    virtualization: str = "hvm"
    created: str = ""
    deprecated: str = ""
    owner: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def root_size(self) -> int:
        """GiB."""
        return self.volumes[self.root_device]


def parse(base: str, query: BaseQuery | None = None) -> Reference:
    """Tell the forms apart.

    :param query: the manifest's ``base_query``, which says more than its name
    :raises InputError: another form; the hint lists those there are
    """
    if query is not None:
        return Reference("query", query.name, _checked(query))
    if _AMI.fullmatch(base):
        return Reference("ami", base)
    if match := _SSM.fullmatch(base):
        return Reference("ssm", match[1])
    if match := _SCRATCH.fullmatch(base):
        return Reference("scratch", f"scratch/{match[1] or '*'}")
    if _LIKE_AMI.fullmatch(base):
        hint = "It is ami- and 8 or 17 of the digits 0-9 and a-f"
        raise InputError(f"'{base}' is no image id", where="BASE", hint=hint)
    if _NAME.fullmatch(base) and base.strip():
        return Reference("own", base)
    raise InputError(f"'{base}' does not name a base image", where="BASE", hint=FORMS)


def resolve(cloud: Cloud, reference: Reference, architecture: str) -> Base:
    """Find the image and read what it is.

    :raises InputError: there is no such image, it is not usable, or is of another architecture
    :raises CloudError: refused
    """
    now = datetime.now(UTC)
    how: dict[str, Callable[[], ImageTypeDef]] = {
        "ami": lambda: _by_id(cloud, reference.value),
        "ssm": lambda: _by_id(cloud, _parameter(cloud, reference.value), f"SSM parameter {reference.value}"),
        "scratch": lambda: _scratch(cloud, reference.value, architecture),
        "query": lambda: _by_query(cloud, reference, architecture, now),
        "own": lambda: own_images.find(cloud, reference.value, architecture, now),
    }
    base = describe(how[reference.kind]())
    if base.architecture != architecture:
        raise InputError(
            f"the base {base.image_id} is for {base.architecture}, the image is to be for {architecture}",
            where="BASE",
            hint="Choose another base, or correct 'architecture'",
        )
    if is_past(base.deprecated, now):
        return replace(base, warnings=(f"the base {_called(base)} is deprecated since {base.deprecated}",))
    return base


def describe(image: ImageTypeDef) -> Base:
    """What DescribeImages says, as far as a build needs it.

    :raises InputError: the image cannot be launched and imaged: it is not available, or not backed by EBS
    """
    image_id = image["ImageId"]
    if image.get("State") != "available":
        raise InputError(
            f"the base {image_id} is {image.get('State')}", where="BASE", hint="Choose one that is available"
        )
    root = image.get("RootDeviceName", "")
    ebs = {each["DeviceName"]: each["Ebs"] for each in image.get("BlockDeviceMappings", []) if "Ebs" in each}
    if root not in ebs:
        raise InputError(f"the base {image_id} has no EBS root volume", where="BASE", hint="Choose one that has")
    return Base(
        image_id=image_id,
        name=image.get("Name", ""),
        architecture=image.get("Architecture", ""),
        root_device=root,
        volumes={device: volume.get("VolumeSize", 0) for device, volume in ebs.items()},
        boot_mode=image.get("BootMode", ""),
        ena_support=image.get("EnaSupport", False),
        encrypted=ebs[root].get("Encrypted", False),
        imds_support=image.get("ImdsSupport", ""),
        virtualization=image.get("VirtualizationType", "hvm"),
        created=image.get("CreationDate", ""),
        deprecated=image.get("DeprecationTime", ""),
        owner=image.get("OwnerId", ""),
        tags=tags_of(image),
    )


def _called(base: Base) -> str:
    return f"{base.image_id} ({base.name})" if base.name else base.image_id


def _by_id(cloud: Cloud, image_id: str, told_by: str = "") -> ImageTypeDef:
    try:
        with cloud.calls():
            found = cloud.ec2.describe_images(ImageIds=[image_id])["Images"]
    except CloudError as error:
        if not error.code.startswith("InvalidAMIID"):
            raise
        found = []
    if not found:
        raise InputError(
            f"there is no image {image_id} in {cloud.environment.region}{told_by and f', which {told_by} names'}",
            where="BASE",
            hint="Image ids differ from region to region; ssm:/path finds one in each",
        )
    return found[0]


def _parameter(cloud: Cloud, name: str) -> str:
    try:
        with cloud.calls():
            value = cloud.ssm.get_parameter(Name=name)["Parameter"]["Value"]
    except CloudError as error:
        if error.code not in ("ParameterNotFound", "ParameterVersionNotFound", "ValidationException"):
            raise
        raise InputError(
            f"there is no SSM parameter {name} in {cloud.environment.region}", where="BASE", hint="Correct its path"
        ) from error
    found = _image_id(value)
    if found is None:
        shown = value if len(value) <= 40 else f"{value[:40]}…"
        raise InputError(f"SSM parameter {name} holds no image id but '{shown}'", where="BASE")
    return found


def _image_id(value: str) -> str | None:
    """The image id that a parameter's value is, or has as ``image_id`` (Amazon's own for ECS are JSON)."""
    with_id: Any = value.strip()
    if with_id.startswith("{"):
        try:
            with_id = json.loads(with_id).get("image_id")
        except ValueError:
            return None
    return with_id if isinstance(with_id, str) and _AMI.fullmatch(with_id) else None


def _scratch(cloud: Cloud, tag: str, architecture: str) -> ImageTypeDef:
    filters = [tag_filter(BASE, tag), AVAILABLE]
    found = images(cloud, Owners=["self"], Filters=filters)
    matching = [image for image in found if image.get("Architecture") == architecture]
    if not matching:
        wanted = "" if tag.endswith("*") else f" {tag.removeprefix('scratch/')}"
        raise InputError(
            f"there is no base image from scratch{wanted} for {architecture} in {cloud.environment.region}",
            where="BASE",
            hint="'jenkins-ami build --local' makes the standard one; elsewhere name an ami- id",
        )
    return _newest(matching)


# By what it is


def _checked(query: BaseQuery) -> BaseQuery:
    if not query.name or not query.owners:
        raise InputError(
            f"the base '{query.name}' has no {'owners' if query.name else 'name'}",
            where="base",
            hint="Without an owner anybody's public image of that name would win: name one in 'owners'"
            if query.name
            else "Give it one, in which * and ? are wildcards",
        )
    for owner in query.owners:
        if not OWNER.fits(owner):
            raise InputError(
                f"'{owner}' is no owner of images",
                where="base",
                hint="Use an account's 12 digits, self, amazon, aws-marketplace or aws-backup-vault",
            )
    return query


def _by_query(cloud: Cloud, reference: Reference, architecture: str, now: datetime) -> ImageTypeDef:
    query = reference.query
    assert query is not None
    wanted = {
        "name": query.name,
        "architecture": query.architecture or architecture,
        "virtualization-type": query.virtualization,
        **{f"tag:{key}": escaped(value) for key, value in query.tags.items()},
    }
    filters: list[Any] = [{"Name": key, "Values": [value]} for key, value in wanted.items()]
    found = images(cloud, Owners=list(query.owners), Filters=[*filters, AVAILABLE])
    usable = [image for image in found if _has_ebs_root(image)]
    current = [image for image in usable if not is_past(image.get("DeprecationTime", ""), now)]
    if not current:
        raise _nothing_found(query, wanted["architecture"], cloud.environment.region, usable or found)
    return _newest(current)


def _nothing_found(query: BaseQuery, architecture: str, region: str, found: Iterable[ImageTypeDef]) -> InputError:
    tags = "".join(f", tag {key}={value}" for key, value in query.tags.items())
    looked_for = f"'{query.name}' of {' or '.join(query.owners)}, {architecture}, {query.virtualization}{tags}"
    unfit = sorted(image["ImageId"] for image in found)
    if not unfit:
        hint = "Correct 'name' and 'owners': * and ? in a name are wildcards, and images differ from region to region"
    elif _has_ebs_root(next(iter(found))):
        hint = f"What there is, is deprecated: {', '.join(unfit[:3])}; an ami- id can name it nevertheless"
    else:
        hint = f"What there is, has no EBS root volume: {', '.join(unfit[:3])}"
    return InputError(f"there is no available image {looked_for} in {region}", where="base", hint=hint)


def _has_ebs_root(image: Mapping[str, Any]) -> bool:
    root = image.get("RootDeviceName")
    return any(each.get("DeviceName") == root and "Ebs" in each for each in image.get("BlockDeviceMappings", []))


def _newest(images: Iterable[ImageTypeDef]) -> ImageTypeDef:
    return max(images, key=lambda image: (image.get("CreationDate", ""), image["ImageId"]))
