"""What an image is to be: the AMI source's settings and the environment's, made one. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ..artifacts import ImageSettings, Sharing
from ..errors import InputError
from .environments import Environment, Region

T = TypeVar("T")


@dataclass(frozen=True)
class Wanted:
    """The settings that count.

    :ivar kms_key: ``None`` is the account's default key
    :ivar copies: the other regions, with what each has of its own
    :ivar share: who may launch the image, and all its copies
    """

    encrypted: bool = True
    kms_key: str | None = None
    imds: str = "v2.0"
    boot_mode: str | None = None
    deprecate_after: int | None = None
    protect: bool = False
    share: Sharing = Sharing()
    copies: Mapping[str, Region] = field(default_factory=dict)
    home: Region = Region()


def wanted(image: ImageSettings, environment: Environment) -> Wanted:
    """The environment's word over the source's where both say something; regions and sharing of both.

    A key of the environment's is its word for encryption. Its SSM parameter is of the same name in all regions, unless
    one has another; ids of launch templates are each region's own.
    """
    listed = {region: Region() for region in image.regions} | dict(environment.regions)
    regions = {
        name: replace(region, ssm_parameter=region.ssm_parameter or environment.ssm_parameter)
        for name, region in listed.items()
    }
    home = regions.pop(environment.region, Region())
    key = environment.kms_key or home.kms_key
    return Wanted(
        encrypted=_first(environment.encrypted, True if key else image.encrypted, True),
        kms_key=key,
        imds=image.imds,
        boot_mode=image.boot_mode,
        deprecate_after=_first(environment.deprecate_after, image.deprecate_after, None),
        protect=_first(environment.protect, image.protect, False),
        share=Sharing(
            accounts=_union(image.share.accounts, environment.share.accounts),
            organizations=_union(image.share.organizations, environment.share.organizations),
            units=_union(image.share.units, environment.share.units),
        ),
        copies=regions,
        home=Region(
            kms_key=key,
            tags=home.tags,
            ssm_parameter=home.ssm_parameter or environment.ssm_parameter,
            launch_template=home.launch_template or environment.launch_template,
        ),
    )


def _first(environments: T | None, sources: T | None, default: T) -> T:
    return environments if environments is not None else sources if sources is not None else default


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


_PARAMETER = re.compile(r"/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_DEEPEST = 15
"""Levels of a parameter's name (Systems Manager API reference, PutParameter)."""


def parameter_name(template: str, name: str, version: str) -> str:
    """The SSM parameter for an image.

    :param template: in which ``{name}`` and ``{version}`` stand for the image's
    :raises InputError: Systems Manager would refuse it
    """
    filled = template.replace("{name}", name).replace("{version}", version)
    levels = filled.strip("/").split("/")
    reserved = levels[0].lower().startswith(("aws", "ssm"))
    relative = len(levels) > 1 and not filled.startswith("/")
    if not _PARAMETER.fullmatch(filled) or len(levels) > _DEEPEST or reserved or relative:
        raise InputError(
            f"'{filled}' is no name of an SSM parameter",
            where="ssm_parameter",
            hint="One looks like /images/web: letters, digits and . _ -, up to 15 levels, none that begins with aws or "
            "ssm first; only {name} and {version} are replaced",
        )
    return filled
