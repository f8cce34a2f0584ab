"""A verification's way into Gerrit: look, compute what is to be said, post it, resolve what no longer holds.

What a server refuses of a review is left out, and the rest is posted: the vote must get there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..errors import ServerError
from ..progress import Progress
from ..verification import Verification
from .client import Gerrit
from .find import Hints, find_change
from .model import PATCHSET_LEVEL, Change
from .review import Review, ReviewInput, Seen, Taken, review_of, right_to
from .text import shown

_TRIES = 12
"""Refusals of one review: each leaves something out."""


@dataclass(frozen=True)
class Published:
    """What was posted, or would be.

    :ivar closed: ``merged`` or ``abandoned``: nothing is posted then
    :ivar problem: why the vote that the outcome asks for was not given; ``right`` is what to do
    """

    change: Change
    patch_set: int
    review: Review
    closed: str = ""
    problem: str = ""
    right: str = ""

    @property
    def outdated(self) -> bool:
        return self.patch_set < self.change.newest


def publish(
    gerrit: Gerrit,
    verification: Verification,
    hints: Hints,
    *,
    label: str,
    link: str = "",
    wait: float = 20.0,
    post: bool = True,
    progress: Progress,
) -> Published:
    """Review the change of a verification.

    :param wait: seconds to wait for Gerrit to know the commit
    :param post: whether to post anything
    :raises UsageError: it is not clear which change is meant
    :raises ServerError: Gerrit refuses, cannot be reached, or has no such change
    """
    gerrit.account()
    change = find_change(gerrit, verification.commit, hints, wait=wait, progress=progress)
    taken = Taken()
    lacking = ("", "")
    for _ in range(_TRIES):
        seen = _look(gerrit, change, verification.commit)
        change = seen.change
        review = review_of(verification, seen, label=label, link=link, taken=taken)
        problem, right = lacking if any(lacking) else review.lacking
        done = Published(change, seen.patch_set, review, problem=problem, right=right)
        if change.closed:
            return replace(done, review=Review(None), closed=change.status.lower(), problem="", right="")
        if not post:
            return done
        if review.input is not None:
            try:
                gerrit.review(change, seen.patch_set, review.input)
            except ServerError as error:
                less = without_refused(taken, review.input, error)
                if less is None:
                    if error.status == 409 and _look(gerrit, change, verification.commit).change.closed:
                        continue  # it was closed a moment ago
                    raise
                progress.detail(f"Gerrit does not take all of it: {error.what}")
                if taken.votes and not less.votes:
                    lacking = (f"the vote on '{label}' was refused: {error.what}", right_to(label, change.project))
                taken = less
                continue
        _reply(gerrit, change, review.replies, progress)
        return done
    raise ServerError("Gerrit refuses this review, whatever is left out of it", where=gerrit.web.url)


def without_refused(taken: Taken, review: ReviewInput, error: ServerError) -> Taken | None:
    """What to leave out after a refusal; ``None``: that would not help.

    Gerrit answers 500 to ``fix_suggestions`` unless its experiment ``allow_fix_suggestions_in_comments`` is on, 403 to
    a vote that the account may not give, and 400 to a whole review for one comment on a file that the patch set does
    not touch, or that is too long, or too many for the change (seen with 3.10).
    """
    fixes = any(one.fix is not None for of in review.comments.values() for one in of)
    if error.status == 500:
        return replace(taken, fixes=False) if fixes and taken.fixes else None
    if error.status == 403 and review.labels and taken.votes:
        return replace(taken, votes=False)
    if error.status not in (400, 413, 422):
        return None
    if review.comments and taken.comments:
        files = {path for path in review.comments if path != PATCHSET_LEVEL}
        if files and "not found in revision" in error.what:
            named = {path for path in files if f"file {shown(path)} not" in error.what}
            return replace(taken, refused=taken.refused | (named or files))
        return replace(taken, comments=False)
    return replace(taken, message=False) if review.message and taken.message else None


def _look(gerrit: Gerrit, change: Change, commit: str) -> Seen:
    """All that a review depends on, as it is now.

    :raises ServerError: the change is gone
    """
    now = gerrit.change(change.id)
    if now is None or commit not in now.patch_sets:
        raise ServerError(
            f"change {change.project}~{change.number} is gone, or hidden from {gerrit.user or 'this token'} now",
            where=gerrit.web.url,
            status=404,
        )
    patch_set = now.patch_sets[commit]
    return Seen(now, gerrit.account(), patch_set, gerrit.files(now, patch_set), gerrit.comments(now))


def _reply(gerrit: Gerrit, change: Change, replies: Mapping[int, ReviewInput], progress: Progress) -> None:
    """Resolve what no longer holds. What is refused stays open: the review itself is there."""
    for patch_set, review in replies.items():
        try:
            gerrit.review(change, patch_set, review)
        except ServerError as error:
            if error.status not in (400, 403, 404, 409):
                raise
            progress.warn(f"comments on patch set {patch_set} stay open: {error.line()}")
