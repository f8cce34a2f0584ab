"""An AMI source of a verification for the page. Pure: all it gets are values, all it gives are values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..artifacts import TestRecord
from ..progress import duration, size
from ..verification import Note, Sizes, VerifiedSource
from .build import Build, build
from .read import Left

MOST_CHANGES = 5000
MOST_CHARACTERS = 200_000
"""Of the changes of one source."""
MOST_NOTES = 500


@dataclass(frozen=True)
class Source:
    """One AMI source of a verification.

    :ivar changes: lines, each with its kind: ``add``, ``remove``, ``change``, ``move`` or empty
    :ivar hidden: changes that are left out
    :ivar notes: findings by file
    """

    source: VerifiedSource
    title: str
    changes: tuple[tuple[str, str], ...]
    hidden: int
    counts: str
    notes: tuple[tuple[str, tuple[Note, ...]], ...]
    notes_hidden: int
    sizes: tuple[tuple[str, str], ...]
    build: Build | None
    boot_time: str = ""
    boot_tests: tuple[tuple[TestRecord, tuple[str, ...]], ...] = ()


def view(source: VerifiedSource, left: Left | None) -> Source:
    """What is known of a source, and what its compile and boot left."""
    counts = [
        f"{section}: " + ", ".join(f"{count} {action}" for action, count in sorted(actions.items()))
        for section, actions in source.counts.items()
    ]
    by_path: dict[str, list[Note]] = {}
    for note in source.notes[:MOST_NOTES]:
        by_path.setdefault(note.path, []).append(note)
    changes = tuple(_changes(source.changes))
    title = f"{source.name} {source.version}".strip()
    return Source(
        source=source,
        title=f"{source.folder} ({title})" if title else source.folder,
        changes=changes,
        hidden=len(source.changes) - len(changes),
        counts="; ".join(counts),
        notes=tuple((path, tuple(notes)) for path, notes in sorted(by_path.items())),
        notes_hidden=max(0, len(source.notes) - MOST_NOTES),
        sizes=tuple(_sizes({"User-data": source.userdata, "Overlay": source.overlay})),
        build=build(left) if left and left.paths else None,
        boot_time=duration(source.boot.seconds) if source.boot and source.boot.seconds else "",
        boot_tests=tuple((test, ()) for test in source.boot.tested) if source.boot else (),
    )


_KINDS = {"+": "add", "-": "remove", "~": "change", ">": "move", "@": "at"}


def _changes(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    room = MOST_CHARACTERS
    for number, line in enumerate(lines):
        room -= len(line)
        if number >= MOST_CHANGES or room < 0:
            return
        yield line, _KINDS.get(line.lstrip()[:1], "")


def _sizes(sizes: dict[str, Sizes]) -> Iterable[tuple[str, str]]:
    for name, each in sizes.items():
        old, new = ("none" if bytes_ is None else size(bytes_) for bytes_ in (each.old, each.new))
        if (each.old, each.new) != (None, None):
            yield name, new if each.old == each.new else f"{old} → {new}"
