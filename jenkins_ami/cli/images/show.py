"""Show what an image was made of, and that of what, back to scratch or to an image that no build of ours made.

All that is told comes from tags. What is deregistered has taken its tags with it: there the chain ends.
"""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from ...cloud import tags
from ...cloud.session import Cloud
from ...distribute import ancestry, images
from ...distribute.ancestry import BASE, CIRCLE, COPY, FOREIGN, GONE, SCRATCH, Ancestor
from ...errors import visible
from ...progress import Progress
from .. import Result
from .common import add_region, add_where, clouds

_RELATIONS = {ancestry.SELF: "", BASE: "made from  ", COPY: "a copy of  "}
_KINDS = {
    GONE: "gone (its tags went with it)",
    CIRCLE: "which was here before: the tags lead round in a circle",
    SCRATCH: "made from nothing",
    FOREIGN: "no build of ours made it",
}
_TAGS = {
    "commit": tags.COMMIT,
    "build url": tags.URL,
    "payload": tags.PAYLOAD,
    "input": tags.INPUT,
    "built on": tags.BUILDER,
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="AMI", help="an image's id")
    add_region(parser)
    add_where(parser)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    with clouds(args, progress) as (cloud,), contextlib.ExitStack() as stack:
        there = {cloud.environment.region: cloud}

        def find(region: str, image_id: str) -> images.Image | None:
            if region not in there:
                there[region] = stack.enter_context(Cloud(cloud.environment.in_region(region)))
            return images.find(there[region], [image_id]).get(image_id)

        first = find(cloud.environment.region, args.image)
        if first is None:
            raise images.no_such_image(cloud, args.image)
        links = list(ancestry.chain(first, find))
    lines = [line for link in links for line in _text(link)]
    return Result({"chain": [_data(link) for link in links]}, [visible(line) for line in lines])


def _text(link: Ancestor) -> list[str]:
    image = link.image
    title = f"{_RELATIONS[link.relation]}{link.image_id}"
    if image is None:
        return [f"{title}  {_KINDS[link.kind]}"]
    note = f"  ({_KINDS[link.kind]})" if link.kind in _KINDS else ""
    facts = {"created": image.created, "region": image.region, "owner": image.owner if link.kind == FOREIGN else ""}
    if image.name:
        facts["build"] = f"{image.version}, number {image.number}"
    facts |= {word: image.tags.get(key, "") for word, key in _TAGS.items()}
    if image.state != "available":
        facts["state"] = image.state
    if not image.finished:
        facts["state"] = f"{image.state}, not finished"
    return [f"{title}  {image.label}{note}", *(f"    {word:<10}{text}" for word, text in facts.items() if text)]


def _data(link: Ancestor) -> dict[str, Any]:
    data: dict[str, Any] = {
        "relation": link.relation,
        "kind": link.kind,
        "id": link.image_id,
        "region": link.region,
    }
    if image := link.image:
        data |= {
            "label": image.label,
            "name": image.name,
            "version": image.version,
            "build": image.number,
            "created": image.created,
            "state": image.state,
            "finished": image.finished,
            "owner": image.owner,
            **{word.replace(" ", "_"): image.tags.get(key) for word, key in _TAGS.items()},
        }
    return data
