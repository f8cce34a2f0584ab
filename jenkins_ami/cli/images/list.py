"""List the account's own images: by name, version and build number, with who uses them.

Marks: deprecated, protected (against being deregistered), shared (with other accounts), copy, unfinished (its build may
still end it).
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from ...distribute import images, usage
from ...distribute.ancestry import ancestors
from ...distribute.images import Image
from ...progress import Progress
from .. import Result
from .common import add_regions, add_where, clouds, counted, table


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="only images of this name")
    parser.add_argument("--all", action="store_true", help="also images of the account that no build made")
    add_regions(parser)
    add_where(parser)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    found: list[Image] = []
    users: dict[str, tuple[str, ...]] = {}
    unknown: dict[str, str] = {}
    with clouds(args, progress) as opened:
        for cloud in opened:
            everything = images.own(cloud)
            mine = images.of_names(everything, args.names, foreign=args.all)
            used = usage.look(cloud, [image.image_id for image in mine])
            below = ancestors(everything, {image.image_id: image for image in everything})
            for image in images.with_sharing(cloud, mine):
                base_of = (f"image {below[image.image_id]}",) if image.image_id in below else ()
                users[image.image_id] = (*used.of(image.image_id), *base_of)
                found.append(image)
            unknown |= used.unknown
    for kind, right in sorted(unknown.items()):
        progress.warn(f"whether {usage.WORDS[kind]} uses an image is not known: the right {right} is missing")
    now = datetime.now(UTC)
    data = [as_data(image, now) | {"used_by": list(users[image.image_id])} for image in found]
    rows = [
        ("NAME", "VERSION", "BUILD", "IMAGE", "REGION", "CREATED", "SIZE", "STATE", "MARKS", "USED BY"),
        *(
            (
                image.name or image.label,
                image.version,
                str(image.number or ""),
                image.image_id,
                image.region,
                image.created[:10],
                f"{image.size} GiB",
                image.state,
                ",".join(marks(image, now)),
                _shortly(users[image.image_id]),
            )
            for image in found
        ),
    ]
    return Result(
        {"images": data, "unchecked": unknown}, [*table(rows), counted(found, "image")] if found else ["No images"]
    )


def marks(image: Image, now: datetime) -> list[str]:
    """What is special about an image, in words."""
    said = {
        "unfinished": not image.finished,
        "deprecated": image.is_deprecated(now),
        "protected": image.protected,
        "shared": bool(image.shared),
        "copy": image.copy_of is not None,
    }
    return [mark for mark, holds in said.items() if holds]


def as_data(image: Image, now: datetime) -> dict[str, Any]:
    """An image for ``--json``."""
    return {
        "id": image.image_id,
        "region": image.region,
        "name": image.name,
        "version": image.version,
        "build": image.number,
        "label": image.label,
        "created": image.created,
        "state": image.state,
        "size": image.size,
        "deprecated": image.is_deprecated(now),
        "deprecation_time": image.deprecated or None,
        "protected": image.protected,
        "shared": image.shared,
        "finished": image.finished,
        "copy_of": "/".join(image.copy_of) if image.copy_of else None,
        "base": image.base or None,
        "snapshots": list(image.snapshots),
    }


def _shortly(users: tuple[str, ...]) -> str:
    more = f" (+{len(users) - 1})" if len(users) > 1 else ""
    return f"{users[0]}{more}" if users else ""
