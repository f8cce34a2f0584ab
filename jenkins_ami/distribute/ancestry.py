"""Where images come from: the chain from one back to its beginning, and the forest of all. By tags alone.

A build writes down what it started from (``jenkins-ami:base``), a copy what it is a copy of (``jenkins-ami:copy-of``).
An image that is deregistered takes its tags with it: there a chain ends, and what it came from is not known any more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from .images import Image

SELF, BASE, COPY = "image", "base", "copy-of"
OURS, FOREIGN, GONE, SCRATCH, CIRCLE = "ours", "foreign", "gone", "scratch", "circle"

_SCRATCH = "scratch/"


@dataclass(frozen=True)
class Ancestor:
    """A link of a chain.

    :ivar relation: to the link before: its ``base``, or what it is a ``copy-of``; the first is the ``image`` itself
    :ivar kind: ``ours``, ``foreign`` (no build of ours made it), ``scratch`` (made from nothing, ``image_id`` is
        ``scratch/DIGEST``), ``gone`` (deregistered, or not to be seen), or ``circle`` (was in the chain before)
    """

    relation: str
    kind: str
    image_id: str
    region: str
    image: Image | None = None


def chain(image: Image, find: Callable[[str, str], Image | None]) -> Iterator[Ancestor]:
    """From an image back to scratch, to a foreign base, or to one that is gone.

    :param find: the image of a region and an id, if there is one
    """
    seen = {image.image_id}
    yield Ancestor(SELF, kind_of(image), image.image_id, image.region, image)
    here: Image | None = image
    while here is not None:
        if (original := here.copy_of) and original[1] not in seen:
            region, wanted = original
            copied = find(region, wanted)
            seen.add(wanted)
            if copied is not None:
                yield Ancestor(COPY, kind_of(copied), wanted, region, copied)
                here = copied
                continue
            yield Ancestor(COPY, GONE, wanted, region)
            # A copy has its original's tags, its base among them.
        region = here.copy_of[0] if here.copy_of else here.region
        wanted = here.base
        if not wanted:
            return
        if wanted.startswith(_SCRATCH):
            yield Ancestor(BASE, SCRATCH, wanted, region)
            return
        if wanted in seen:
            yield Ancestor(BASE, CIRCLE, wanted, region)
            return
        seen.add(wanted)
        here = find(region, wanted)
        yield Ancestor(BASE, kind_of(here) if here else GONE, wanted, region, here)


def kind_of(image: Image) -> str:
    """Whether it says where it came from."""
    return OURS if image.ours or image.base else FOREIGN


def ancestors(images: Iterable[Image], known: Mapping[str, Image]) -> dict[str, str]:
    """The ids of all that these were made from, near or far, each with the id of one that was made from it.

    :param known: by id, the images in which chains are followed
    """
    needed: dict[str, str] = {}
    for image in images:
        here: Image | None = image
        while here is not None and here.base and here.base not in needed:
            needed[here.base] = here.image_id
            here = known.get(here.base)
    return needed


@dataclass(frozen=True)
class Node:
    """A place in the forest.

    :ivar image: ``None`` for scratch, and for what is not among the account's images
    :ivar parent: what it is below; empty for a root
    :ivar prefix: the lines that lead to it
    """

    image_id: str
    image: Image | None
    parent: str = ""
    prefix: str = ""


def forest(images: Collection[Image], names: Collection[str] = ()) -> list[Node]:
    """All images, each below what it was made from or is a copy of, as they are drawn from top to bottom.

    :param names: show only images of these names, what they were made from and what was made from them
    """
    by_id = {image.image_id: image for image in images}
    below: dict[str, list[str]] = {}
    for image in images:
        if parent := _parent(image):
            below.setdefault(parent, []).append(image.image_id)
    shown = _family(by_id, below, names) if names else {*by_id, *below}
    nodes: list[Node] = []
    placed: set[str] = set()

    def grow(root: str) -> None:
        pending = [(root, "", "", "")]
        placed.add(root)
        while pending:
            identity, parent, first, rest = pending.pop()
            nodes.append(Node(identity, by_id.get(identity), parent, first))
            children = [each for each in below.get(identity, ()) if each in shown and each not in placed]
            placed.update(children)
            last = len(children) - 1
            listed = [
                (each, identity, rest + ("└─ " if index == last else "├─ "), rest + ("   " if index == last else "│  "))
                for index, each in enumerate(_in_order(children, by_id))
            ]
            pending += reversed(listed)

    for root in _in_order((each for each in shown if each not in by_id or not _parent(by_id[each])), by_id):
        grow(root)
    for rest in _in_order((each for each in shown if each in by_id), by_id):
        if rest not in placed:  # its tags lead round in a circle
            grow(rest)
    return nodes


def _parent(image: Image) -> str:
    return image.copy_of[1] if image.copy_of else image.base


def _in_order(identities: Iterable[str], by_id: Mapping[str, Image]) -> list[str]:
    def key(identity: str) -> tuple[bool, tuple[object, ...]]:
        image = by_id.get(identity)
        return (True, image.order) if image else (False, (identity,))

    return sorted(identities, key=key)


def _family(by_id: Mapping[str, Image], below: Mapping[str, list[str]], names: Collection[str]) -> set[str]:
    """Images of these names, all above them, and all below them."""
    members = [image.image_id for image in by_id.values() if image.name in names]
    above: set[str] = set()
    for member in members:
        up = member
        while up and up not in above:
            above.add(up)
            up = _parent(by_id[up]) if up in by_id else ""
    under: set[str] = set()
    pending = members
    while pending:
        if (identity := pending.pop()) not in under:
            under.add(identity)
            pending += below.get(identity, ())
    return above | under
