"""The owner mark: the line of a description that says whose an item is, and from which text it was made.

A listing request shows the description of every item, and nothing else that this program may write; so the mark is
there, as its last line::

    [jenkins-ami OWNER DIGEST]
    [jenkins-ami OWNER DIGEST WORD …]

Several owners may share a folder: then there is a line of each, one below the other. What a person writes below them
hides none; a line like it further up (an image's own description may hold one) counts for nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OWNER = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
"""What an owner may be called."""

DISABLED = "disabled"
"""Pruned by being disabled instead of deleted: enabled again when it is wanted again."""
APPLYING = "applying"
"""On the root folder: a run is under way, or was killed, so digests prove nothing."""
ADOPTED = "adopted"
"""On the root folder: it was there before. Its description and settings are somebody else's; it is never deleted."""

UNPROVED = "0" * 16
"""The digest of an item that Jenkins did not take over as it was sent."""
TOKEN = "@digest--------@"
"""Stands for the digest in the text that the digest is of; as long as a digest."""

_LINE = re.compile(rf"\[jenkins-ami ({OWNER.pattern}) ([0-9a-f]{{16}}|{TOKEN})((?: [a-z]+)*)\]")


@dataclass(frozen=True)
class Mark:
    """One owner's line.

    :ivar digest: of the config.xml that was rendered; 16 hexadecimal digits
    :ivar words: of :data:`DISABLED`, :data:`APPLYING`, :data:`ADOPTED`
    """

    owner: str
    digest: str
    words: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"[{' '.join(['jenkins-ami', self.owner, self.digest, *sorted(self.words)])}]"


def read(description: str) -> tuple[Mark, ...]:
    """The marks of a description, from the top."""
    if "[jenkins-ami " not in description:
        return ()
    lines = description.split("\n")
    start, end = _block(lines)
    return tuple(_parse(line) for line in lines[start:end])


def of(description: str, owner: str) -> Mark | None:
    """The mark of ``owner``; the lowest, should there be several."""
    for mark in reversed(read(description)):
        if mark.owner == owner:
            return mark
    return None


def put(description: str, mark: Mark) -> str:
    """The description with ``mark`` in the place of its owner's, or below the others'."""
    lines = description.split("\n")
    start, end = _block(lines)
    block = list(map(_parse, lines[start:end]))
    if any(other.owner == mark.owner for other in block):
        first = next(at for at, other in enumerate(block) if other.owner == mark.owner)
        block = [
            mark if at == first else other for at, other in enumerate(block) if at == first or other.owner != mark.owner
        ]
    else:
        block.append(mark)
    if start == end and lines[-1] == "":
        start = end = len(lines) - 1
        lines = lines[:-1]
    return "\n".join([*lines[:start], *map(str, block), *lines[end:]])


def without(description: str) -> str:
    """The description without marks, and without line ends at its end."""
    if "[jenkins-ami " in description:
        lines = description.split("\n")
        start, end = _block(lines)
        description = "\n".join([*lines[:start], *lines[end:]])
    return description.rstrip("\r\n")


def _block(lines: list[str]) -> tuple[int, int]:
    """Where the lowest run of mark lines is; both the number of lines when there is none."""
    end = len(lines)
    while end and not _LINE.fullmatch(lines[end - 1].strip()):
        end -= 1
    if not end:
        return len(lines), len(lines)
    start = end
    while start and _LINE.fullmatch(lines[start - 1].strip()):
        start -= 1
    return start, end


def _parse(line: str) -> Mark:
    match = _LINE.fullmatch(line.strip())
    assert match
    return Mark(match[1], match[2], frozenset(match[3].split()))
