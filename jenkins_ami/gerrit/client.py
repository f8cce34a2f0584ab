"""Gerrit's REST API, as far as reviews need it: one method a request.

All requests are those of a signed-in user (``/a/``), and go to the one server that was named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ..credentials import Credentials
from ..errors import ServerError
from ..web import GERRIT_MAGIC, Params, Web
from .model import Change, Comment, change_of, comments_of, files_of
from .review import ReviewInput


class Gerrit:
    """A Gerrit, as one account sees it.

    :param url: of the server, with the path that all its pages have
    """

    def __init__(self, url: str, credentials: Credentials) -> None:
        self.web = Web(url, "Gerrit", credentials=credentials)
        self.user = credentials.user
        self._account = 0

    def account(self) -> int:
        """The number of the account that we are.

        :raises ServerError: the password is wrong, or this is no Gerrit
        """
        if not self._account:
            try:
                data = self._get("/accounts/self")
            except ServerError as error:
                raise _sign_in(error, self.web.url) from None
            number = data.get("_account_id") if isinstance(data, Mapping) else None
            if not isinstance(number, int):
                raise _no_gerrit(self.web.url)
            self._account = number
        return self._account

    def query(self, commit: str) -> list[Mapping[str, Any]]:
        """The changes that have this commit as a patch set, as far as we may see them ("Query Changes")."""
        rows = self._get("/changes/", {"q": f"commit:{commit}"})
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise _no_gerrit(self.web.url)
        return rows

    def change(self, id: str) -> Change | None:
        """A change with its patch sets, messages, and what we may vote; ``None``: there is none, or it is hidden.

        :param id: a number, ``project~number`` or another form of ``change-id``, encoded
        """
        answer = self.web.get(f"/a/changes/{id}/detail", {"o": "ALL_REVISIONS"}, missing_ok=True)
        if answer is None:
            return None
        data = answer.json(GERRIT_MAGIC)
        path = id
        if isinstance(data, Mapping) and isinstance(data.get("project"), str):
            path = change_path(data["project"], data.get("_number"))
        return change_of(data, self.account(), path)

    def comments(self, change: Change) -> tuple[Comment, ...]:
        return comments_of(self._get(f"/changes/{change.id}/comments"))

    def files(self, change: Change, patch_set: int) -> dict[str, str]:
        """What a patch set touches; of a merge, what differs from Gerrit's own merge of its parents."""
        return files_of(self._get(f"/changes/{change.id}/revisions/{patch_set}/files/"))

    def review(self, change: Change, patch_set: int, review: ReviewInput) -> None:
        """Post a review ("Set Review")."""
        self.web.post(f"/a/changes/{change.id}/revisions/{patch_set}/review", review.as_dict())

    def _get(self, path: str, params: Params = ()) -> Any:
        answer = self.web.get(f"/a{path}", params)
        assert answer is not None  # only with missing_ok
        return answer.json(GERRIT_MAGIC)


def change_path(project: str, number: object) -> str:
    """``project~number`` for a URL."""
    return f"{quote(project, safe='')}~{number}"


def _sign_in(error: ServerError, url: str) -> ServerError:
    """What the first request of all failed with, and what to do about it here."""
    if error.status == 401:
        hint = "Check GERRIT_USER and GERRIT_TOKEN, or netrc: what counts is the account's HTTP password or token"
        return ServerError(error.what, where=url, hint=hint, status=401)
    if 300 <= error.status < 400:
        hint = "If that is the server, give its URL; if it is a login page, give one that takes HTTP passwords"
        return ServerError(error.what, where=url, hint=hint, status=error.status)
    return _no_gerrit(url) if error.status == 404 else error


def _no_gerrit(url: str) -> ServerError:
    return ServerError(
        "there is no Gerrit at this URL", where=url, hint="Check --url: it is what stands before '/c/' in a change's"
    )
