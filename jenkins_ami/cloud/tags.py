"""The tags that everything a build makes carries from its first moment, and the filters that find it by them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef

PREFIX = "jenkins-ami:"
NAME, VERSION, NUMBER = f"{PREFIX}name", f"{PREFIX}version", f"{PREFIX}number"
BUILD = f"{PREFIX}build"
"""The build's identity: unique, and how a build's own resources are told from all others."""
BASE = f"{PREFIX}base"
"""On a built image the id of the image that it was made from; on a base image what that is: ``scratch/DIGEST``."""
DIGEST, COMMIT = f"{PREFIX}digest", f"{PREFIX}commit"
PAYLOAD = f"{PREFIX}payload"
"""Digest of user-data and overlay as compile wrote them."""
URL = f"{PREFIX}url"
"""Of the build's page in Jenkins."""
BUILDER = f"{PREFIX}instance"
"""On an image: the instance that it was made of."""
EXPIRES = f"{PREFIX}expires"
"""When what a build made may be swept by ``gc``, ISO 8601 in UTC. Taken off an image that stays."""
SOURCE_IMAGE = f"{PREFIX}copy-of"
"""On a copy: ``REGION/AMI`` of the image that it is a copy of."""
LEGACY_NAME, LEGACY_VERSION, LEGACY_BUILD = "Name", "Version", "Build"
"""On an image and its snapshots: what the scripts that this process is known by put there, and look a base up by."""
INPUT = f"{PREFIX}input"
"""On an image and its snapshots, once the build is over and the image stays: the digest of all that it was made of."""

LIMIT, MAX_KEY, MAX_VALUE = 50, 128, 256
"""Tags of a resource, characters of a key and of a value (EC2 User Guide, "Tag restrictions")."""


def tag_filter(key: str, *values: str) -> FilterTypeDef:
    """A filter of a Describe call: resources that carry the tag with one of the values (``*`` is a wildcard)."""
    return {"Name": f"tag:{key}", "Values": list(values)}


def escaped(value: str) -> str:
    r"""A value for a filter that means itself: ``*`` and ``?`` are wildcards there (EC2 User Guide, "Filtering")."""
    return re.sub(r"([*?\\])", r"\\\1", value)


def specifications(tags: Mapping[str, str], *kinds: str) -> list[dict[str, Any]]:
    """``TagSpecifications`` for resource types such as ``instance``: tagged at creation, without a window."""
    listed = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
    return [{"ResourceType": kind, "Tags": listed} for kind in kinds]
