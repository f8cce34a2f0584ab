"""Verifications, written short."""

from __future__ import annotations

from typing import Any

from jenkins_ami.artifacts import TestRecord
from jenkins_ami.findings import ERROR, WARNING
from jenkins_ami.verification import (
    BROKEN,
    FAILED,
    PASSED,
    SKIPPED,
    Boot,
    Note,
    Replacement,
    Sizes,
    Verification,
    VerifiedSource,
)

YML = "web/cloudinit/10_a.yml"
COMMIT = "a" * 40
BOOTED = Boot(PASSED, seconds=95.0, tested=tuple(TestRecord(name, True) for name in ("one", "two", "three")))


def error(what: str = "there is no cloud-config key 'pakages'", path: str = YML, line: int = 2, **more: Any) -> Note:
    settings: dict[str, Any] = {"hint": "Did you mean 'packages'", "column": 1, **more}
    return Note(settings.pop("rule", "cloud-config-key"), ERROR, what, path=path, line=line, **settings)


def warning(what: str = "this is odd", path: str = YML, line: int = 1, **more: Any) -> Note:
    return Note("odd", WARNING, what, path=path, line=line, **more)


def slip(line: int = 2) -> Note:
    """One with a fix: ``pakages`` at the beginning of a line."""
    return error(line=line, fix=Replacement(line, 1, 8, "packages"))


def source(*notes: Note, **more: Any) -> VerifiedSource:
    bad = any(note.level == ERROR for note in notes)
    settings: dict[str, Any] = {
        "folder": "web",
        "name": "web-server",
        "version": "1.2",
        "outcome": FAILED if bad else PASSED,
        "boot": None if bad else BOOTED,
        **more,
    }
    return VerifiedSource(notes=notes, **settings)


def changed(**more: Any) -> VerifiedSource:
    """One of which there is something to show."""
    return source(
        counts={"cloud-config": {"added": 1}, "overlay": {"changed": 1}},
        changes=(
            "cloud-config",
            "  + packages: htop",
            "overlay",
            "  ~ fs/etc/motd mode 0644 -> 0600, 3 -> 4 bytes",
        ),
        userdata=Sizes(2819, 6088),
        overlay=Sizes(509, 509),
        **more,
    )


def passed(*sources: VerifiedSource, commit: str = COMMIT) -> Verification:
    return Verification(commit, PASSED, sources=sources or (source(),))


def failed(*notes: Note, commit: str = COMMIT, **more: Any) -> Verification:
    return Verification(commit, FAILED, reason="it fails", sources=(source(*notes, outcome=FAILED, **more),))


def skipped(commit: str = COMMIT) -> Verification:
    return Verification(commit, SKIPPED, reason="the commit touches no AMI source")


def broken(reason: str = "there is no bwrap", commit: str = COMMIT) -> Verification:
    return Verification(commit, BROKEN, reason=reason)
