"""What Gerrit knows of a change, as far as a review needs it, and the reading of its JSON.

Names are those of Gerrit's documentation, "REST API - Changes".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ServerError

PATCHSET_LEVEL = "/PATCHSET_LEVEL"
"""The "file" of comments on a whole patch set."""
NEW, MERGED, ABANDONED = "NEW", "MERGED", "ABANDONED"
DELETED = "D"
"""Status of a file that a patch set deletes (``FileInfo``)."""


@dataclass(frozen=True)
class LabelRange:
    """Votes that an account may give, ``low`` to ``high``; both 0 when it may not vote."""

    low: int = 0
    high: int = 0

    def nearest(self, vote: int) -> int:
        return max(self.low, min(self.high, vote))


@dataclass(frozen=True)
class Label:
    """A label of a change, as one account sees it.

    :ivar allowed: votes that the account may give
    :ivar vote: that it has given on the current patch set
    """

    allowed: LabelRange = LabelRange()
    vote: int = 0


@dataclass(frozen=True)
class Message:
    """A change message. ``patch_set`` is 0 when it belongs to none."""

    author: int
    tag: str
    text: str
    patch_set: int


@dataclass(frozen=True)
class Change:
    """A change, as one account sees it.

    :ivar id: ``project~number`` with the project's name encoded, for paths
    :ivar status: ``NEW``, ``MERGED`` or ``ABANDONED``
    :ivar patch_sets: their numbers by commit
    :ivar labels: those that apply to it, by name
    :ivar messages: the oldest first
    """

    id: str
    project: str
    branch: str
    number: int
    change_id: str
    status: str
    patch_sets: Mapping[str, int]
    labels: Mapping[str, Label]
    messages: tuple[Message, ...]

    @property
    def closed(self) -> bool:
        return self.status in (MERGED, ABANDONED)

    @property
    def newest(self) -> int:
        return max(self.patch_sets.values(), default=0)


@dataclass(frozen=True)
class Comment:
    """A published comment.

    :ivar path: a file, or :data:`PATCHSET_LEVEL`
    :ivar line: 0 for the whole file
    :ivar updated: in Gerrit's own form, which sorts by time
    """

    id: str
    path: str
    patch_set: int
    line: int
    text: str
    author: int
    tag: str
    unresolved: bool
    in_reply_to: str
    updated: str


@dataclass(frozen=True)
class Thread:
    """A comment and what was replied to it. It is resolved or not as its ``last`` comment says."""

    root: Comment
    last: Comment

    @property
    def unresolved(self) -> bool:
        return self.last.unresolved


def threads_of(comments: Iterable[Comment]) -> list[Thread]:
    """Comments by what they reply to; a thread's last is the newest, and of one second the deepest reply."""
    by_id = {comment.id: comment for comment in comments}
    threads: dict[str, list[tuple[str, int, Comment]]] = {}
    for comment in by_id.values():
        root, depth, seen = comment, 0, {comment.id}
        while (parent := by_id.get(root.in_reply_to)) and parent.id not in seen:
            seen.add(parent.id)
            root, depth = parent, depth + 1
        threads.setdefault(root.id, []).append((comment.updated, depth, comment))
    return [Thread(by_id[key], max(of, key=lambda one: one[:2])[2]) for key, of in threads.items()]


def change_of(data: Any, account: int, path: str) -> Change:
    """Read a ``ChangeInfo`` that was asked for with all revisions, detailed labels and messages.

    :param account: whose votes are of interest
    :param path: ``project~number``, encoded
    :raises ServerError: it is none
    """
    try:
        return Change(
            id=path,
            project=_text(data, "project"),
            branch=_text(data, "branch"),
            number=data["_number"],
            change_id=_text(data, "change_id"),
            status=_text(data, "status"),
            patch_sets={commit: int(one["_number"]) for commit, one in data["revisions"].items()},
            labels={
                name: Label(_range(data.get("permitted_labels", {}).get(name, ())), _vote(label, account))
                for name, label in data.get("labels", {}).items()
            },
            messages=tuple(
                Message(_account(one), one.get("tag") or "", _text(one, "message"), one.get("_revision_number") or 0)
                for one in data.get("messages", ())
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _nonsense("a change") from None


def comments_of(data: Any) -> tuple[Comment, ...]:
    """Read the answer of "List Change Comments".

    :raises ServerError: it is none
    """
    try:
        return tuple(
            Comment(
                id=_text(one, "id"),
                path=path,
                patch_set=one.get("patch_set") or 0,
                line=one.get("line") or 0,
                text=one.get("message") or "",
                author=_account(one),
                tag=one.get("tag") or "",
                unresolved=bool(one.get("unresolved")),
                in_reply_to=one.get("in_reply_to") or "",
                updated=one.get("updated") or "",
            )
            for path, comments in data.items()
            for one in comments
        )
    except (KeyError, TypeError, AttributeError):
        raise _nonsense("comments") from None


def files_of(data: Any) -> dict[str, str]:
    """Read the answer of "List Files": the status of each file that a patch set touches, ``M`` for changed.

    :raises ServerError: it is none
    """
    try:
        return {path: info.get("status") or "M" for path, info in data.items() if not path.startswith("/")}
    except (TypeError, AttributeError):
        raise _nonsense("files") from None


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data[key]
    if not isinstance(value, str):
        raise TypeError(key)
    return value


def _account(data: Mapping[str, Any]) -> int:
    return int((data.get("author") or {}).get("_account_id") or 0)


def _range(votes: Iterable[str]) -> LabelRange:
    """Of ``permitted_labels``: ``-1``, `` 0``, ``+1``."""
    values = [0, *map(int, votes)]
    return LabelRange(min(values), max(values))


def _vote(label: Mapping[str, Any], account: int) -> int:
    return next((int(one.get("value") or 0) for one in label.get("all", ()) if one.get("_account_id") == account), 0)


def _nonsense(what: str) -> ServerError:
    return ServerError(
        f"Gerrit answered with something that is not {what}",
        hint="Check the URL: it must be the server's own",
        status=200,
    )
