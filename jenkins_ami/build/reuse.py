"""Unchanged, unbuilt: the digest of all that an image is made of, and the image that was made of the same.

The digest is a tag that an image gets when its build is over, never before: until then the build may still end it, and
another build must not count on it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from ..artifacts import Manifest
from ..cloud.cleanup import snapshot_ids
from ..cloud.session import Cloud
from ..cloud.tags import INPUT, tag_filter
from ..cloud.wanted import Wanted
from . import request
from .base import Base
from .image import Made, key_of

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ImageTypeDef

_FORMAT = 2
"""Changes when the digest comes to mean something else: then no image of before is taken for one of the same."""


def input_digest(manifest: Manifest, base: Base, wanted: Wanted) -> str:
    """64 hexadecimal digits that follow from what ends up in the image or on it, and from nothing else.

    No clock, commit or instance type takes part, and of the environment only what shows in the image: its encryption.
    User-data counts as compile wrote it, with the token for the URL of an overlay; the overlay counts by its content.
    To whom and whereto an image is distributed is no part of it.
    """
    inputs = {
        "format": _FORMAT,
        "name": manifest.name,
        "version": manifest.version,
        "description": manifest.description,
        "tags": manifest.tags,
        "architecture": manifest.architecture,
        "volume_size": manifest.volume_size or base.root_size,
        "base": base.image_id,
        "payload": request.payload_digest(manifest),
        "encrypted": wanted.encrypted,
        "kms_key": wanted.kms_key if wanted.encrypted else None,
        "imds": wanted.imds,
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def find(cloud: Cloud, manifest: Manifest, digest: str) -> Made | None:
    """The available image of this account with the highest build number of those that were made of these inputs.

    :raises CloudError: refused
    """
    with cloud.calls():
        images = cloud.ec2.describe_images(
            Owners=["self"], Filters=[tag_filter(INPUT, digest), {"Name": "state", "Values": ["available"]}]
        )["Images"]
    made = max((_made(image, manifest) for image in images), key=lambda made: made.number, default=None)
    return replace(made, kms_key=key_of(cloud, made.snapshot_ids)) if made else None


def _made(image: ImageTypeDef, manifest: Manifest) -> Made:
    name = image.get("Name", "")
    number = request.next_number(manifest, [name]) - 1
    return Made(image["ImageId"], name, number, snapshot_ids([image]), image.get("CreationDate", ""))
