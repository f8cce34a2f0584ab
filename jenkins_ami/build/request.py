"""What is asked of EC2: the parameters of RunInstances and CreateImage, names and tags. Pure; asks nothing itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..artifacts import USERDATA, Manifest
from ..cloud.environments import Environment
from ..cloud.tags import (
    BASE,
    BUILDER,
    COMMIT,
    DIGEST,
    LEGACY_BUILD,
    LEGACY_NAME,
    LEGACY_VERSION,
    LIMIT,
    MAX_KEY,
    MAX_VALUE,
    NAME,
    NUMBER,
    PAYLOAD,
    PREFIX,
    VERSION,
    specifications,
)
from ..errors import InputError
from .base import Base
from .plan import Candidate, Plan

LATER = 7
"""Tags that an image or a copy has beyond the build's own: its number, name, version, builder, what it is a copy of."""
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


def tags(manifest: Manifest, environment: Environment, base: Base, own: Mapping[str, str]) -> dict[str, str]:
    """The tags of everything that the build makes: the environment's, the AMI source's over them, ours over both.

    :param own: those of ours that do not follow from the rest
    :raises InputError: EC2 would refuse them
    """
    ours = {
        NAME: manifest.name,
        VERSION: manifest.version,
        BASE: base.image_id,
        DIGEST: manifest.digest,
        PAYLOAD: payload_digest(manifest),
        **own,
    }
    if manifest.commit:
        ours[COMMIT] = manifest.commit
    merged = {**environment.tags, **manifest.tags, **ours}
    for key, value in merged.items():
        if key.lower().startswith("aws:") or (key.startswith(PREFIX) and key not in ours):
            raise InputError(f"the tag '{key}' is reserved", where="tags", hint="Choose another key")
        if not 1 <= len(key) <= MAX_KEY or len(value) > MAX_VALUE:
            raise InputError(
                f"the tag '{key}' is empty or too long",
                where="tags",
                hint=f"A key has {MAX_KEY}, a value {MAX_VALUE} characters",
            )
    if len(merged) > LIMIT - LATER:
        hint = f"EC2 takes {LIMIT}, of which an image and its copies get {LATER} by themselves"
        raise InputError(f"{len(merged)} tags are too many", where="tags", hint=hint)
    return merged


def payload_digest(manifest: Manifest) -> str:
    """64 hexadecimal digits that follow from what the instance gets: user-data and overlay, as compile wrote them."""
    userdata = manifest.files[USERDATA].sha256 if USERDATA in manifest.files else ""
    return hashlib.sha256(f"{userdata} {manifest.overlay.sha256}".encode()).hexdigest()


def instance_tags(tagged: Mapping[str, str], name: str, number: int) -> dict[str, str]:
    """Of the instance and its volumes: called so that nobody takes it for an instance *of* the image ``name``."""
    return {**tagged, NUMBER: str(number), LEGACY_NAME: f"build of {name}"}


def image_tags(tagged: Mapping[str, str], manifest: Manifest, number: int, instance: str) -> dict[str, str]:
    """Of the image and its snapshots: how later builds find it as their base, and whence it came."""
    return {
        **tagged,
        NUMBER: str(number),
        LEGACY_NAME: manifest.name,
        LEGACY_VERSION: manifest.version,
        LEGACY_BUILD: str(number),
        BUILDER: instance,
    }


def check_volume(manifest: Manifest, base: Base) -> None:
    """:raises InputError: the root volume is to be smaller than the base's"""
    if manifest.volume_size is not None and manifest.volume_size < base.root_size:
        raise InputError(
            f"volume_size {manifest.volume_size} GiB is below the {base.root_size} GiB of the base {base.image_id}",
            where="volume_size",
            hint=f"Give at least {base.root_size}, or leave it out",
        )


def run_instances(
    plan: Plan, candidate: Candidate, *, token: str, user_data: bytes, tagged: Mapping[str, str]
) -> dict[str, Any]:
    """Parameters of RunInstances: no key pair, IMDSv2 only, every volume goes with the instance.

    :param token: the ClientToken, with which the same request has an effect once
    :param user_data: raw; boto3 encodes it
    """
    base, environment = plan.base, plan.environment
    request: dict[str, Any] = {
        "ImageId": base.image_id,
        "InstanceType": candidate.instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": token,
        "UserData": user_data,
        "InstanceInitiatedShutdownBehavior": "stop",
        "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "BlockDeviceMappings": _volumes(plan),
        "NetworkInterfaces": [_network(environment, candidate)],
        "TagSpecifications": specifications(tagged, "instance", "volume"),
    }
    if candidate.spot:
        # Only an instance of a persistent request can stop and be imaged; one of a one-time request terminates (EC2
        # User Guide, "Stop a Spot Instance"). Such a request outlives its instance: it is in the ledger, and cancelled.
        request["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"},
        }
        request["TagSpecifications"] += specifications(tagged, "spot-instances-request")
    if environment.instance_profile:
        request["IamInstanceProfile"] = {"Name": environment.instance_profile}
    if environment.key_pair:
        request["KeyName"] = environment.key_pair
    return request


def _volumes(plan: Plan) -> list[dict[str, Any]]:
    """All the base's, the root as large as it is to be, and what BUILDAMI_BLOCKDEVICEMAPPING says over that."""
    base, wanted = plan.base, plan.wanted
    sizes = base.volumes | {base.root_device: plan.manifest.volume_size or base.root_size}
    volumes: dict[str, dict[str, Any]] = {}
    for device, size in sizes.items():
        volumes[device] = {"DeleteOnTermination": True, "VolumeSize": size}
        if wanted.encrypted:
            volumes[device]["Encrypted"] = True
            if wanted.kms_key:
                volumes[device]["KmsKeyId"] = wanted.kms_key
    volumes[base.root_device]["VolumeType"] = "gp3"
    mappings: dict[str, dict[str, Any]] = {
        device: {"DeviceName": device, "Ebs": volume} for device, volume in volumes.items()
    }
    for given in plan.environment.block_devices:
        device = given["DeviceName"]
        mappings[device] = {**mappings.get(device, {}), **given}
        if device in volumes and "Ebs" in given:
            mappings[device]["Ebs"] = {**volumes[device], **given["Ebs"]}
    return list(mappings.values())


def _network(environment: Environment, candidate: Candidate) -> dict[str, Any]:
    """The one interface. Said in this form, a subnet's own idea of public addresses does not count."""
    interface: dict[str, Any] = {"DeviceIndex": 0, "AssociatePublicIpAddress": environment.public_address}
    if candidate.subnet:
        interface["SubnetId"] = candidate.subnet
    if environment.security_groups:
        interface["Groups"] = list(environment.security_groups)
    return interface


def create_image(manifest: Manifest, instance_id: str, name: str, tagged: Mapping[str, str]) -> dict[str, Any]:
    """Parameters of CreateImage. The image and its snapshots carry the build's tags from their first moment."""
    return {
        "InstanceId": instance_id,
        "Name": name,
        "Description": (manifest.description or f"{manifest.name} {manifest.version}")[:_MAX_DESCRIPTION],
        "TagSpecifications": specifications(tagged, "image", "snapshot"),
    }
