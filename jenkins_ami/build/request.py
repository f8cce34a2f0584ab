"""What is asked of EC2: the parameters of RunInstances and CreateImage, names and tags. Pure; asks nothing itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..artifacts import Manifest
from ..cloud.environments import Environment
from ..cloud.tags import (
    BASE,
    BUILD,
    COMMIT,
    DIGEST,
    LIMIT,
    MAX_KEY,
    MAX_VALUE,
    NAME,
    NUMBER,
    PREFIX,
    VERSION,
    specifications,
)
from ..errors import InputError
from .base import Base

_IMAGE_NAME = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")
"""What CreateImage takes as a name (EC2 API reference)."""
_MAX_DESCRIPTION = 255
"""Characters (EC2 API reference, CreateImage)."""


def image_name(manifest: Manifest, number: int) -> str:
    """``NAME-VERSION-NUMBER``.

    :raises InputError: EC2 would refuse it
    """
    name = f"{manifest.name}-{manifest.version}-{number}"
    if not _IMAGE_NAME.fullmatch(name):
        raise InputError(
            f"EC2 refuses the image name '{name}'",
            where="NAME",
            hint="3 to 128 letters, digits, spaces and ( ) [ ] . / - ' @ _, with version and build number",
        )
    return name


def next_number(manifest: Manifest, names: Iterable[str]) -> int:
    """The build number after the highest one in ``names``, compared as numbers; 1 where there is none."""
    stem = f"{manifest.name}-{manifest.version}-"
    tails = (name.removeprefix(stem) for name in names if name.startswith(stem))
    return 1 + max((int(tail) for tail in tails if tail.isascii() and tail.isdigit()), default=0)


def tags(manifest: Manifest, environment: Environment, base: Base, build: str, number: int) -> dict[str, str]:
    """The tags of everything that the build makes: the environment's, the AMI source's over them, ours over both.

    :raises InputError: EC2 would refuse them
    """
    own = {
        "Name": image_name(manifest, number),
        NAME: manifest.name,
        VERSION: manifest.version,
        NUMBER: str(number),
        BUILD: build,
        BASE: base.image_id,
        DIGEST: manifest.digest,
    }
    if manifest.commit:
        own[COMMIT] = manifest.commit
    merged = {**environment.tags, **manifest.tags, **own}
    for key, value in merged.items():
        if key.lower().startswith("aws:") or (key.startswith(PREFIX) and key not in own):
            raise InputError(f"the tag '{key}' is reserved", where="tags", hint="Choose another key")
        if not 1 <= len(key) <= MAX_KEY or len(value) > MAX_VALUE:
            raise InputError(
                f"the tag '{key}' is empty or too long",
                where="tags",
                hint=f"A key has {MAX_KEY}, a value {MAX_VALUE} characters",
            )
    if len(merged) >= LIMIT:
        hint = f"EC2 takes {LIMIT}, and an image gets one more when it is done"
        raise InputError(f"{len(merged)} tags are too many", where="tags", hint=hint)
    return merged


def check_volume(manifest: Manifest, base: Base) -> None:
    """:raises InputError: the root volume is to be smaller than the base's"""
    if manifest.volume_size is not None and manifest.volume_size < base.root_size:
        raise InputError(
            f"volume_size {manifest.volume_size} GiB is below the {base.root_size} GiB of the base {base.image_id}",
            where="volume_size",
            hint=f"Give at least {base.root_size}, or leave it out",
        )


def run_instances(
    manifest: Manifest,
    environment: Environment,
    base: Base,
    *,
    instance_type: str,
    token: str,
    user_data: bytes,
    tagged: Mapping[str, str],
) -> dict[str, Any]:
    """Parameters of RunInstances: no key pair, IMDSv2 only, every volume goes with the instance.

    :param user_data: raw; boto3 encodes it
    """
    sizes = base.volumes | {base.root_device: manifest.volume_size or base.root_size}
    volumes: dict[str, dict[str, Any]] = {
        device: {"DeleteOnTermination": True, "VolumeSize": size} for device, size in sizes.items()
    }
    volumes[base.root_device]["VolumeType"] = "gp3"
    request: dict[str, Any] = {
        "ImageId": base.image_id,
        "InstanceType": instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": token,
        "UserData": user_data,
        "InstanceInitiatedShutdownBehavior": "stop",
        "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "BlockDeviceMappings": [{"DeviceName": device, "Ebs": volume} for device, volume in volumes.items()],
        "TagSpecifications": specifications(tagged, "instance", "volume"),
    }
    if environment.subnet:
        request["SubnetId"] = environment.subnet
    if environment.security_groups:
        request["SecurityGroupIds"] = list(environment.security_groups)
    if environment.instance_profile:
        request["IamInstanceProfile"] = {"Name": environment.instance_profile}
    return request


def create_image(manifest: Manifest, instance_id: str, name: str, tagged: Mapping[str, str]) -> dict[str, Any]:
    """Parameters of CreateImage. The image and its snapshots carry the build's tags from their first moment."""
    request: dict[str, Any] = {
        "InstanceId": instance_id,
        "Name": name,
        "TagSpecifications": specifications(tagged, "image", "snapshot"),
    }
    if manifest.description:
        request["Description"] = manifest.description[:_MAX_DESCRIPTION]
    return request
