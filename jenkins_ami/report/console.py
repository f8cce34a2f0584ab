"""A console for a page: its lines, which of them tell why something failed, and the interesting part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..verdict.markers import console_lines, masked
from .texts import shortened

CONTEXT = 5
"""Lines that are shown before and after one that is marked."""
MOST = 40
"""Lines that are marked: the last ones."""
LONGEST = 400
"""Characters of a line."""
TAIL = 25
"""Lines of the end that are shown when nothing is marked."""

_CERTAIN = re.compile(
    r"JENKINS-AMI-REASON\||JENKINS-AMI-VERDICT:FAIL|Kernel panic|JENKINS-AMI-TEST:[0-9a-f]{16}:\d+:fail"
)
_LIKELY = re.compile(
    r"^E: |\b(error|failed|failure|fatal|traceback|panic|cannot|unable to|no such file|not found|denied|killed"
    r"|timed out|out of memory|segfault|no space left)\b",
    re.I,
)
_KERNEL = re.compile(r"^\[ *\d+\.\d{6}\] (?!.*(Out of memory|Killed process|I/O error|segfault))")
"""Of the kernel's lines most that sound bad are not."""
_PROOF = re.compile(r"JENKINS-AMI-VERDICT:OK")
_LOG = re.compile(r"JENKINS-AMI-LOG\|")


@dataclass(frozen=True)
class Line:
    """:ivar kind: ``bad``, ``good`` or empty"""

    number: int
    text: str
    kind: str = ""


@dataclass(frozen=True)
class Section:
    """Lines that follow one another.

    :ivar skipped: lines that are left out before them
    """

    skipped: int
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Console:
    """A console, or the end of one.

    :ivar name: of its file
    :ivar sections: the interesting part
    :ivar lines: all lines
    :ivar after: lines that follow the last section
    :ivar bad: lines that are marked because they tell of a failure
    :ivar cut: there is more of it in the file
    """

    name: str
    sections: tuple[Section, ...]
    lines: tuple[Line, ...]
    after: int
    bad: int
    cut: bool


def view(name: str, console: bytes, *, failed: bool, cut: bool = False) -> Console | None:
    """A console, or ``None`` for one without a word.

    :param failed: whether something failed: only then words like "error" mean anything
    """
    texts = [masked(shortened(line, LONGEST)) for line in console_lines(console)]
    while texts and not texts[-1].strip():
        texts.pop()
    if not texts:
        return None
    kinds = _kinds(texts, failed=failed)
    lines = tuple(Line(number, text, kinds.get(number, "")) for number, text in enumerate(texts, 1))
    shown = sorted(_shown(texts, kinds))
    sections = tuple(_sections(lines, shown))
    bad = sum(kind == "bad" for kind in kinds.values())
    return Console(name, sections, lines, len(lines) - shown[-1], bad, cut)


def _kinds(texts: list[str], *, failed: bool) -> dict[int, str]:
    """What lines are marked as, by number."""
    good = dict.fromkeys(_matching(_PROOF, texts), "good")
    if not failed:
        return good
    certain = _matching(_CERTAIN, texts)
    log = _matching(_LOG, texts)
    likely = [
        number
        for number in _matching(_LIKELY, texts)
        if (not certain or number in log) and not _KERNEL.search(texts[number - 1])
    ]
    return good | dict.fromkeys(sorted({*certain, *likely})[-MOST:], "bad")


def _matching(pattern: re.Pattern[str], texts: list[str]) -> list[int]:
    """Numbers of the lines that have it."""
    return [number for number, text in enumerate(texts, 1) if pattern.search(text)]


def _shown(texts: list[str], kinds: dict[int, str]) -> set[int]:
    """Numbers of the lines that are shown: what is marked, some lines around it, and the log that the instance sent."""
    shown = {near for number in kinds for near in range(number - CONTEXT, number + CONTEXT + 1)}
    bad, good = "bad" in kinds.values(), "good" in kinds.values()
    if bad:
        shown |= set(_matching(_LOG, texts))
    if not good and not (bad and _matching(_CERTAIN, texts)):  # where it stopped may be all there is to see
        shown |= set(range(len(texts) - TAIL + 1, len(texts) + 1))
    return shown & set(range(1, len(texts) + 1))


def _sections(lines: tuple[Line, ...], shown: list[int]) -> Iterator[Section]:
    start = before = 0
    for index, number in enumerate(shown):
        if index + 1 == len(shown) or shown[index + 1] != number + 1:
            first = shown[start]
            yield Section(first - 1 - before, lines[first - 1 : number])
            start, before = index + 1, number
