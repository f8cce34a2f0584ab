"""The blocks of ``ami.yaml`` that say what the image is made of and how it is to be: ``base`` and ``image``."""

from __future__ import annotations

from ..artifacts import BaseQuery, ImageSettings, Retention
from ..errors import InputError
from ..forms import DEPRECATION, IMAGE_PATTERN, OWNER, REGION, listed, sharing
from ..yamlfile import Fields
from .jobs import one_of

ARCHITECTURES = ("x86_64", "arm64")
VIRTUALIZATIONS = ("hvm", "paravirtual")
IMDS = ("v2.0", "any")
BOOT_MODES = ("legacy-bios", "uefi", "uefi-preferred")
"""EC2 API reference, Image, "BootMode"."""
BASE_KEYS = ("name", "owners", "architecture", "virtualization", "tags")
KEYS = ("regions", "encrypted", "share", "imds", "boot_mode", "deprecate_after", "protect", "retention")
RETENTION = {"images": (1, 10_000), "days": (1, 3650), "versions": (1, 10_000)}
"""The keys of ``retention`` and their bounds."""


def base(fields: Fields) -> BaseQuery:
    """``base: {name, owners, architecture, virtualization, tags}``."""
    block = fields.fields("base", "base", BASE_KEYS)
    name = block.text("name") or block.missing("name")
    if not IMAGE_PATTERN.fits(name):
        place = block.node_of("name") or block.node
        hint = f"Use what EC2 allows in one, with * and ? as wildcards, like {IMAGE_PATTERN.example}"
        raise InputError(f"'{name}' is not {IMAGE_PATTERN.what}", where=place.where, hint=hint)
    owners = listed(block, "owners", OWNER)
    if not owners:
        place = block.node_of("owners") or block.node
        hint = "Add whose images count: anybody can publish an image of that name"
        raise InputError("base lacks 'owners'", where=place.where, hint=hint)
    return BaseQuery(
        name=name,
        owners=owners,
        architecture=one_of(block, "architecture", ARCHITECTURES) if block.node_of("architecture") else None,
        virtualization=one_of(block, "virtualization", VIRTUALIZATIONS),
        tags=block.text_map("tags"),
    )


def settings(fields: Fields) -> ImageSettings:
    """``image: {regions, encrypted, share, …}``."""
    block = fields.fields("image", "image", KEYS)
    return ImageSettings(
        regions=listed(block, "regions", REGION),
        encrypted=block.boolean("encrypted", False) if block.node_of("encrypted") else None,
        share=sharing(block),
        imds=one_of(block, "imds", IMDS),
        boot_mode=one_of(block, "boot_mode", BOOT_MODES) if block.node_of("boot_mode") else None,
        deprecate_after=block.integer("deprecate_after", 0, *DEPRECATION) or None,
        protect=block.boolean("protect", ImageSettings.protect),
        retention=_retention(block),
    )


def _retention(block: Fields) -> Retention:
    inner = block.fields("retention", "retention", RETENTION)
    return Retention(**{key: inner.integer(key, 0, *bounds) or None for key, bounds in RETENTION.items()})
