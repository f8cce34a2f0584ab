"""Draw which image was made of which: all of the account's own, below what they came from.

Marks: deprecated, protected, copy, unfinished (its build may still end it), used.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from ...distribute import ancestry, images, usage
from ...distribute.ancestry import Node
from ...errors import visible
from ...progress import Progress
from .. import Result
from .common import add_regions, add_where, clouds
from .list import marks


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="only images of this name, and their family")
    add_regions(parser)
    add_where(parser)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    own: list[images.Image] = []
    foreign: dict[str, images.Image] = {}
    used: dict[str, tuple[str, ...]] = {}
    unknown: dict[str, str] = {}
    with clouds(args, progress) as opened:
        for cloud in opened:
            own += (image for image in images.own(cloud) if image.ours or image.base)
        known = {image.image_id for image in own}
        for cloud in opened:
            here = [image.image_id for image in own if image.region == cloud.environment.region]
            seen = usage.look(cloud, here)
            used |= seen.users
            unknown |= seen.unknown
            bases = {image.base for image in own if image.base.startswith("ami-")} - known - foreign.keys()
            foreign |= images.find(cloud, bases)
    for kind, right in sorted(unknown.items()):
        progress.warn(f"whether {usage.WORDS[kind]} uses an image is not known: the right {right} is missing")
    originals = {image.copy_of[1]: image.copy_of[0] for image in own if image.copy_of}
    looked = {cloud.environment.region for cloud in opened}
    nodes = ancestry.forest(own, args.names)
    now = datetime.now(UTC)

    def label(node: Node) -> str:
        if image := node.image:
            said = [*marks(image, now), *(["used"] if image.image_id in used else [])]
            where = f"  {image.region}" if len(opened) > 1 else ""
            return f"{image.label}  {image.image_id}{where}  {image.created[:10]}{_in_brackets(said)}"
        if node.image_id.startswith("scratch/"):
            return node.image_id
        if node.image_id in foreign:
            image = foreign[node.image_id]
            return f"{image.label}  {node.image_id}  of {image.owner}"
        if (region := originals.get(node.image_id)) and region not in looked:
            return f"{node.image_id}  in {region}, which was not looked at"
        return f"{node.image_id}  gone (its tags went with it)"

    data = [
        {
            "id": node.image_id,
            "parent": node.parent or None,
            "label": node.image.label if node.image else None,
            "region": node.image.region if node.image else None,
            "marks": marks(node.image, now) if node.image else [],
            "used_by": list(used.get(node.image_id, ())),
        }
        for node in nodes
    ]
    lines = [node.prefix + visible(label(node)) for node in nodes]
    return Result({"nodes": data, "unchecked": unknown}, lines or ["No images"])


def _in_brackets(words: list[str]) -> str:
    return f"  [{', '.join(words)}]" if words else ""
