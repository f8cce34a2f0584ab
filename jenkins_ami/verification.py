"""What ``verify`` found out about a commit: ``verification.json``.

It is written by a process that ran unreviewed code and holds no credentials, and read by one that holds Gerrit's and
runs nothing of the source. All texts in it come from strangers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .artifacts import SCHEMA, TestRecord, read_json

VERIFICATION = "verification.json"

PASSED, FAILED, SKIPPED, BROKEN = "passed", "failed", "skipped", "broken"
"""Outcomes. ``skipped``: the commit touches no AMI source. ``broken``: it could not be found out, through no fault of
the commit's."""


@dataclass(frozen=True)
class Replacement:
    """What would mend a finding: the text of one line from a column up to, not including, another, both from 1."""

    line: int
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Note:
    """A finding at its place in the repository.

    :ivar rule: a stable name, like ``cloud-config-key``
    :ivar level: ``error`` or ``warning``
    :ivar what: without a full stop; ``hint`` is what to do
    :ivar path: from the top of the repository, with ``/``; empty when it is about none below that. Bytes that are no
        UTF-8 stand in it as ``\\xff``
    :ivar line, column: from 1, 0 when unknown
    """

    rule: str
    level: str
    what: str
    hint: str = ""
    path: str = ""
    line: int = 0
    column: int = 0
    fix: Replacement | None = None


@dataclass(frozen=True)
class Boot:
    """What happened to the image on this machine.

    :ivar outcome: ``passed``, ``failed``, or ``skipped`` with the reason, like a host without QEMU
    :ivar seconds: that it took, the build and the tests on the first boot
    :ivar tested: the source's tests
    """

    outcome: str
    reason: str = ""
    seconds: float = 0.0
    tested: tuple[TestRecord, ...] = ()


@dataclass(frozen=True)
class Sizes:
    """Bytes before and after; ``None`` where there is no such compiled AMI."""

    old: int | None
    new: int | None

    def __str__(self) -> str:
        """``118 -> 121 bytes``, ``118 bytes, as before``, ``118 bytes``."""
        if self.old is None:
            return f"{self.new} bytes"
        return f"{self.old} -> {self.new} bytes" if self.old != self.new else f"{self.new} bytes, as before"


@dataclass(frozen=True)
class VerifiedSource:
    """One AMI source that the commit touches.

    :ivar folder: from the top of the repository; ``.`` is the top itself
    :ivar name, version: of the image, as far as they could be read
    :ivar outcome: ``passed``, ``failed`` or ``broken``; a source that the commit removes has passed
    :ivar reason: why it has not passed, in one line
    :ivar moved_from: its folder in the parent, when that is another one
    :ivar notes: what is wrong with it, warnings too
    :ivar parent: how the comparison went: empty when there is one, else why not: ``it is new``, ``the parent does not
        compile: ...``
    :ivar counts: changes by section (``manifest``, ``variables``, ``cloud-config``, ``parts``, ``overlay``) and action
        (``added``, ``removed``, ``changed``, ``moved``)
    :ivar changes: what changes on the machine, the lines that ``diff`` prints between its title and its sizes
    :ivar userdata, overlay: sizes
    :ivar boot: ``None`` when it was not asked for, or there was nothing to boot
    :ivar files: folder with what was made of it, from where ``verification.json`` is
    """

    folder: str
    outcome: str
    name: str = ""
    version: str = ""
    reason: str = ""
    removed: bool = False
    moved_from: str = ""
    notes: tuple[Note, ...] = ()
    parent: str = ""
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    userdata: Sizes = Sizes(None, None)
    overlay: Sizes = Sizes(None, None)
    boot: Boot | None = None
    files: str = ""


@dataclass(frozen=True)
class Verification:
    """``verification.json``.

    :ivar commit: full object id of what was verified; empty when Git could not tell
    :ivar parent: of what it was compared with; empty for a first commit
    :ivar outcome: ``failed`` when a source failed, else ``broken`` when one could not be verified, ``skipped`` when
        there is none, or ``passed``
    :ivar reason: in one line, unless it passed
    :ivar changed: paths that differ between the two, as those of notes are
    :ivar sources: each AMI source that it touches, by folder
    :ivar subject: first line of the commit's message
    """

    commit: str
    outcome: str
    parent: str = ""
    reason: str = ""
    subject: str = ""
    changed: tuple[str, ...] = ()
    sources: tuple[VerifiedSource, ...] = ()
    schema: int = SCHEMA


def read_verification(path: Path) -> Verification:
    """Read ``verification.json``; ``path`` is the file or the folder that holds it.

    :raises InputError: when it is missing, malformed or of another schema
    """
    return read_json(Verification, path / VERIFICATION if path.is_dir() else path, "verify")
