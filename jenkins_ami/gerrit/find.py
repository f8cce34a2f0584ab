"""Which change a commit belongs to, for whoever started us and whatever they know of it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ..errors import ServerError, UsageError
from ..progress import Progress
from .client import Gerrit, change_path
from .model import NEW, Change

_EVERY = 1.0


@dataclass(frozen=True)
class Hints:
    """What is known of the change, besides its commit.

    :ivar named: what a person gave: a number, ``project~number``, ``I...``, or ``project~branch~I...``
    :ivar project, number: what a plugin of Jenkins says; taken when it fits
    """

    named: str = ""
    project: str = ""
    number: str = ""


def find_change(gerrit: Gerrit, commit: str, hints: Hints, *, wait: float, progress: Progress) -> Change:
    """The change that has ``commit`` as a patch set.

    Gerrit finds changes by an index that lags behind a push: for ``wait`` seconds it is asked again.

    :raises UsageError: the change that was named does not have the commit, or it is not clear which is meant
    :raises ServerError: there is none that we may see
    """
    deadline = time.monotonic() + wait
    with progress.step(f"looking for the change of {commit[:12]}") as step:
        while True:
            change = _direct(gerrit, commit, hints) or _by_query(gerrit, commit, hints)
            if change is not None:
                step.done(f"{change.project}~{change.number}")
                return change
            left = deadline - time.monotonic()
            if left <= 0:
                break
            step.status("Gerrit does not know it yet")
            gerrit.web.pause(min(_EVERY, left))
    if hints.named and (named := gerrit.change(quote(hints.named, safe=""))):
        raise UsageError(
            f"commit {commit} is no patch set of change {named.project}~{named.number}", hint="Correct --change"
        )
    what = f"no change {hints.named} with commit {commit}" if hints.named else f"no change with commit {commit}"
    raise ServerError(
        f"Gerrit has {what}, or hides it from {gerrit.user or 'this token'} (asked for {wait:g} s)",
        where=gerrit.web.url,
        hint="Check that it was pushed for review there, and that the account may read it",
        status=404,
    )


def _direct(gerrit: Gerrit, commit: str, hints: Hints) -> Change | None:
    """The change that the hints lead to without the index."""
    if named := re.fullmatch(r"(?:(.+)~)?([0-9]+)", hints.named):
        id = change_path(named[1], named[2]) if named[1] else named[2]
    elif not hints.named and hints.project and re.fullmatch("[0-9]+", hints.number):
        id = change_path(hints.project, hints.number)
    else:
        return None
    change = gerrit.change(id)
    return change if change is not None and commit in change.patch_sets else None


def _by_query(gerrit: Gerrit, commit: str, hints: Hints) -> Change | None:
    rows = [row for row in gerrit.query(commit) if not hints.named or hints.named in _names(row)]
    row = choose(rows)
    if row is None:
        return None
    change = gerrit.change(change_path(str(row.get("project")), row.get("_number")))
    return change if change is not None and commit in change.patch_sets else None


def _names(row: Mapping[str, Any]) -> set[str]:
    project, number, key = row.get("project"), row.get("_number"), row.get("change_id")
    return {str(number), f"{project}~{number}", str(key), f"{project}~{row.get('branch')}~{key}"}


def choose(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The one change of several with the same commit, which was pushed for several branches: the one that is open.

    :raises UsageError: there are several such
    """
    if len(rows) < 2:
        return rows[0] if rows else None
    open_ = [row for row in rows if row.get("status") == NEW]
    if len(open_) == 1:
        return open_[0]
    listed = ", ".join(sorted(f"{row.get('project')}~{row.get('_number')} ({row.get('branch')})" for row in rows))
    raise UsageError(f"several changes have this commit: {listed}", hint="Say which with --change")
