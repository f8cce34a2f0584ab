"""A verification for people. Pure; all that is in it comes from strangers and is made visible, one line each."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import one_line, visible
from ..progress import duration
from ..verification import PASSED, SKIPPED, Boot, Note, Verification, VerifiedSource

SHOWN = 400
"""Lines of the changes of one source; the rest is in ``verification.json``."""


def lines(verification: Verification) -> list[str]:
    """What was verified, and what came of it."""
    return [visible(line) for line in _lines(verification)]


def _lines(verification: Verification) -> Iterator[str]:
    what = f"commit {verification.commit[:12]} '{one_line(verification.subject)}'" if verification.commit else "verify"
    reason = f": {one_line(verification.reason)}" if verification.reason and not verification.sources else ""
    yield f"{what} {verification.outcome}{reason}"
    for source in verification.sources:
        yield from _source(source, verification.parent[:12])
    if verification.reason and verification.sources:
        yield f"{verification.outcome}: {one_line(verification.reason)}"


def _source(source: VerifiedSource, parent: str) -> Iterator[str]:
    name = " ".join(filter(None, [one_line(source.name), one_line(source.version)]))
    moved = f", moved from {one_line(source.moved_from)}" if source.moved_from else ""
    state = "removed" if source.removed else source.outcome
    reason = "" if source.outcome == PASSED else f": {one_line(source.reason)}"
    yield (
        f"{one_line(source.folder)} ({name}{moved}) {state}{reason}"
        if name
        else (f"{one_line(source.folder)} {state}{reason}")
    )
    yield from (f"  {note_line(note)}" for note in source.notes)
    if source.parent:
        yield f"  not compared: {one_line(source.parent)}"
    elif source.changes:
        yield f"  changes from {parent}"
        yield from (f"    {line}" for line in source.changes[:SHOWN])
        if len(source.changes) > SHOWN:
            yield f"    … and {len(source.changes) - SHOWN:,} lines more"
    elif source.userdata.old is not None:
        yield f"  no differences from {parent}"
    for what, sizes in (("user-data", source.userdata), ("overlay", source.overlay)):
        if sizes.new is not None:
            yield f"  {what:<9}  {sizes}"
    if source.boot:
        yield f"  boot       {_boot(source.boot)}"


def note_line(note: Note) -> str:
    """``FILE:LINE:COLUMN: error: what. hint. [rule]``."""
    place = ":".join([one_line(note.path), *(str(number) for number in (note.line, note.column) if number)])
    hint = f" {note.hint}." if note.hint else ""
    return one_line(f"{f'{place}: ' if note.path else ''}{note.level}: {note.what}.{hint} [{note.rule}]")


def _boot(boot: Boot) -> str:
    reason = f": {one_line(boot.reason)}" if boot.reason else ""
    took = "" if boot.outcome == SKIPPED else f" in {duration(boot.seconds)}"
    passed = sum(test.ok for test in boot.tested)
    tests = f", {passed} of {len(boot.tested)} tests passed" if boot.tested else ""
    return f"{boot.outcome}{took}{tests}{reason}"
