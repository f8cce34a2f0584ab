"""The base image: from what a manifest says to an image id, and what a launch has to know about that image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..cloud.session import Cloud
from ..cloud.tags import BASE, tag_filter
from ..errors import CloudError, InputError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ImageTypeDef

FORMS = "Use ami-0123456789abcdef0, ssm:/path/of/a/parameter, scratch, or scratch:DIGEST"
_AMI = re.compile(r"ami-[0-9a-f]{8,17}")
_SSM = re.compile(r"ssm:(/?[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*)")
_SCRATCH = re.compile(r"scratch(?::([0-9a-f]{8,64}))?")


@dataclass(frozen=True)
class Reference:
    """What a manifest's ``base`` asks for: ``kind`` is ``ami``, ``ssm`` or ``scratch``."""

    kind: str
    value: str


@dataclass(frozen=True)
class Base:
    """A base image.

    :ivar root_device: the name under which the image boots its root volume
    :ivar volumes: all its EBS volumes by device name, with their sizes in GiB
    :ivar boot_mode: EC2's, empty where the image leaves it to the instance type
    """

    image_id: str
    name: str
    architecture: str
    root_device: str
    volumes: dict[str, int]
    boot_mode: str = ""

    @property
    def root_size(self) -> int:
        """GiB."""
        return self.volumes[self.root_device]


def parse(base: str) -> Reference:
    """Tell the forms apart.

    :raises InputError: another form; the hint lists those there are
    """
    if _AMI.fullmatch(base):
        return Reference("ami", base)
    if match := _SSM.fullmatch(base):
        return Reference("ssm", match[1])
    if match := _SCRATCH.fullmatch(base):
        return Reference("scratch", f"scratch/{match[1] or '*'}")
    raise InputError(f"'{base}' does not name a base image", where="BASE", hint=FORMS)


def resolve(cloud: Cloud, reference: Reference, architecture: str) -> Base:
    """Find the image and read what it is.

    :raises InputError: there is no such image, it is not usable, or is of another architecture
    """
    if reference.kind == "scratch":
        image = _scratch(cloud, reference.value, architecture)
    else:
        image = _by_id(cloud, reference.value if reference.kind == "ami" else _parameter(cloud, reference.value))
    base = describe(image)
    if base.architecture != architecture:
        raise InputError(
            f"the base {base.image_id} is for {base.architecture}, the image is to be for {architecture}",
            where="BASE",
            hint="Choose another base, or correct 'architecture'",
        )
    return base


def describe(image: ImageTypeDef) -> Base:
    """What DescribeImages says, as far as a launch needs it.

    :raises InputError: the image cannot be launched and imaged: it is not available, or not backed by EBS
    """
    image_id = image["ImageId"]
    if image.get("State") != "available":
        raise InputError(
            f"the base {image_id} is {image.get('State')}", where="BASE", hint="Choose one that is available"
        )
    root = image.get("RootDeviceName", "")
    mappings = image.get("BlockDeviceMappings", [])
    volumes = {each["DeviceName"]: each["Ebs"].get("VolumeSize", 0) for each in mappings if "Ebs" in each}
    if root not in volumes:
        raise InputError(f"the base {image_id} has no EBS root volume", where="BASE", hint="Choose one that has")
    return Base(
        image_id=image_id,
        name=image.get("Name", ""),
        architecture=image.get("Architecture", ""),
        root_device=root,
        volumes=volumes,
        boot_mode=image.get("BootMode", ""),
    )


def _by_id(cloud: Cloud, image_id: str) -> ImageTypeDef:
    try:
        with cloud.calls():
            images = cloud.ec2.describe_images(ImageIds=[image_id])["Images"]
    except CloudError as error:
        if not error.code.startswith("InvalidAMIID"):
            raise
        images = []
    if not images:
        raise InputError(
            f"there is no image {image_id} in {cloud.environment.region}",
            where="BASE",
            hint="Image ids differ from region to region; ssm:/path finds one in each",
        )
    return images[0]


def _parameter(cloud: Cloud, name: str) -> str:
    try:
        with cloud.calls():
            value = cloud.ssm.get_parameter(Name=name)["Parameter"]["Value"]
    except CloudError as error:
        if error.code not in ("ParameterNotFound", "ValidationException"):
            raise
        raise InputError(
            f"there is no SSM parameter {name} in {cloud.environment.region}", where="BASE", hint="Correct its path"
        ) from error
    if not _AMI.fullmatch(value):
        raise InputError(f"SSM parameter {name} holds no image id but '{value}'", where="BASE")
    return value


def _scratch(cloud: Cloud, tag: str, architecture: str) -> ImageTypeDef:
    with cloud.calls():
        images = cloud.ec2.describe_images(
            Owners=["self"], Filters=[tag_filter(BASE, tag), {"Name": "state", "Values": ["available"]}]
        )["Images"]
    matching = [image for image in images if image.get("Architecture") == architecture]
    if not matching:
        wanted = "" if tag.endswith("*") else f" {tag.removeprefix('scratch/')}"
        raise InputError(
            f"there is no base image from scratch{wanted} for {architecture} in {cloud.environment.region}",
            where="BASE",
            hint="'jenkins-ami build --local' makes the standard one; elsewhere name an ami- id",
        )
    return max(matching, key=lambda image: image.get("CreationDate", ""))
