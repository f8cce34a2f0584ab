"""Images of one's own by name and version: ``NAME``, ``NAME-x.y.z`` or ``NAME-x.y.z-BUILD``.

They are found by their tags ``Name``, ``Version`` and ``Build``, which our builds put there, and the scripts before
them did. An image that its build may still end (it carries ``jenkins-ami:build`` and not yet ``jenkins-ami:input``)
does not count: what is built on it would lose its base.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..cloud.moments import is_past
from ..cloud.pages import pages, tags_of
from ..cloud.session import Cloud
from ..cloud.tags import BUILD, INPUT, LEGACY_BUILD, LEGACY_NAME, LEGACY_VERSION, escaped, tag_filter
from ..cloud.versions import is_of, version_key
from ..errors import InputError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef, ImageTypeDef

AVAILABLE: FilterTypeDef = {"Name": "state", "Values": ["available"]}
_VERSIONED = re.compile(r"(?P<name>.+)-(?P<version>[0-9]+(?:\.[0-9A-Za-z]+)*)")


@dataclass(frozen=True)
class _Own:
    image: ImageTypeDef
    name: str
    version: str
    build: int
    finished: bool
    deprecated: bool


def find(cloud: Cloud, reference: str, architecture: str, now: datetime) -> ImageTypeDef:
    """The image that ``reference`` means: by its tags, else split at its last dash, else by the image's whole name.

    Of several the one with the highest version, of these the highest build. One for ``architecture`` is preferred, then
    one that is not deprecated.

    :raises InputError: there is none; says what was looked for, and what there is instead
    :raises CloudError: refused
    """
    split = _VERSIONED.fullmatch(reference)
    names = [reference, *([split["name"]] if split else [])]
    found = images(cloud, Owners=["self"], Filters=[tag_filter(LEGACY_NAME, *map(escaped, names)), AVAILABLE])
    own = [each for image in found if (each := _read(image, now))]
    ways = [[each for each in own if each.name == reference]]
    if split:
        ways.append([each for each in own if each.name == split["name"] and is_of(each.version, split["version"])])
    for way in ways:
        if finished := [each for each in way if each.finished]:
            return max(finished, key=lambda each: _rank(each, architecture)).image
    unfinished = [each.image for way in ways for each in way]
    for image in images(cloud, Owners=["self"], Filters=[{"Name": "name", "Values": [escaped(reference)]}, AVAILABLE]):
        if _is_finished(tags_of(image)):
            return image
        unfinished.append(image)
    versions = {each.version for each in own if each.finished}
    raise _none(reference, split, unfinished, versions, cloud.environment.region)


def _rank(own: _Own, architecture: str) -> tuple[Any, ...]:
    fits = own.image.get("Architecture") == architecture
    return fits, not own.deprecated, version_key(own.version), own.build, own.image.get("CreationDate", "")


def _read(image: ImageTypeDef, now: datetime) -> _Own | None:
    """An image with its three tags; ``None`` when it is not one of those."""
    tags = tags_of(image)
    name, version, build = (tags.get(key, "") for key in (LEGACY_NAME, LEGACY_VERSION, LEGACY_BUILD))
    if not (name and version and build.isascii() and build.isdigit()):
        return None
    past = is_past(image.get("DeprecationTime", ""), now)
    return _Own(image, name, version, int(build), _is_finished(tags), past)


def _is_finished(tags: dict[str, str]) -> bool:
    return BUILD not in tags or INPUT in tags


def _none(
    reference: str, split: re.Match[str] | None, unfinished: list[ImageTypeDef], versions: set[str], region: str
) -> InputError:
    looked = [f"Name={reference}"]
    if split:
        looked.append(f"Name={split['name']} and Version={split['version']} or {split['version']}.*")
    text = f"tags {', or '.join(looked)}, or its whole name"
    if unfinished:
        hint = f"{unfinished[0]['ImageId']} is of a build that is not over: wait for it, or build it again"
    elif versions:
        assert split is not None  # without a version any would have done
        newest = sorted(versions, key=version_key, reverse=True)
        hint = f"Of {split['name']} there is {', '.join(newest[:5])}"
    else:
        hint = "Build it first, in this account and region; or name a base of another owner with 'name' and 'owners'"
    what = f"there is no available image '{reference}' of your own in {region}: looked for {text}"
    return InputError(what, where="BASE", hint=hint)


def images(cloud: Cloud, **query: Any) -> list[ImageTypeDef]:
    """What DescribeImages says, all pages of it.

    :raises CloudError: refused
    """
    return pages(cloud, cloud.ec2, "describe_images", "Images", **query)
