"""Provider ``github``: the repositories of an organisation or user, over REST.

GitHub's documentation, "REST API endpoints for repositories" (*List organization repositories*, *List repositories for
a user*), "… for branches" (*Get a branch*), "… for Git trees" (*Get a tree*), "… for Git blobs" (*Get a blob*).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from ...credentials import Credentials
from ...errors import InputError
from ...web import Web
from ..model import Provider, Repository
from .common import (
    KINDS,
    OBJECT_ID,
    Contents,
    Context,
    Entry,
    Folders,
    Listed,
    OverHttp,
    clone_url,
    nonsense,
    page,
    quoted,
    recipe,
    sources_in,
    text,
    warner,
)

PAGE = 100
YOUNG = 60.0
"""Seconds after a push in which another may carry the same ``pushed_at``: contents are not kept."""
MOST_FOLDERS = 2000
"""Folders that are listed one by one in a repository that is too large for one answer."""


class GitHubSource(OverHttp):
    """An organisation under way."""

    def __init__(self, provider: Provider, context: Context) -> None:
        found = context.credentials(provider, provider.url)
        token = Credentials("", found.secret) if found else None
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        super().__init__(
            provider, Web(provider.url, "GitHub", credentials=token, headers=headers, pool=context.workers)
        )
        self._context = context
        self._folders = Folders(provider.folders)

    def listing(self) -> list[Listed]:
        group = quoted(self.provider.group)
        rows = self.pages(f"/orgs/{group}/repos", {"type": "all", "per_page": PAGE}, missing_ok=True)
        if rows is None:
            rows = self.pages(f"/users/{group}/repos", {"type": "owner", "per_page": PAGE}) or []
        return [listed for row in rows if (listed := self._listed(row))]

    def _listed(self, row: Any) -> Listed | None:
        name = text(row, "full_name")
        if not name:
            raise nonsense("GitHub", self.web.url)
        if row.get("archived") or row.get("disabled"):
            return None
        branch = self.provider.branch or text(row, "default_branch")
        pushed = text(row, "pushed_at")
        url = clone_url(self.provider.clone, name) if self.provider.clone else text(row, "clone_url")
        repository = Repository(self.provider, name, url, branch, "", page(text(row, "html_url")))
        version = f"{branch}@{pushed}" if pushed and not _young(pushed, self.date) else ""
        return Listed(repository, version, name)

    def read(self, listed: Listed) -> Contents:
        branch = listed.repository.branch
        base = f"/repos/{quote(listed.id)}"
        answer = self.branch(f"{base}/branches/{quoted(branch)}") if branch else None
        if answer is None:
            return Contents(branch, "")
        commit = text(answer.json(), "commit", "sha")
        if not OBJECT_ID.match(commit):
            raise nonsense("GitHub", base)
        entries = self._tree(base, commit)
        sources = sources_in(entries, self._folders, warner(self._context.progress, listed.repository.name))
        return Contents(
            branch,
            commit,
            tuple(recipe(folder, files, lambda entry: self._blob(base, entry)) for folder, files in sources.items()),
        )

    def _tree(self, base: str, commit: str) -> Iterator[Entry]:
        tree, whole = self._entries(base, commit, recursive=True)
        if whole:
            return iter([entry for entry in tree if entry.kind != "tree"])
        self._context.progress.detail(f"{base.removeprefix('/repos/')}: too large for one answer, listed by folders")
        return self._walk(base, commit)

    def _walk(self, base: str, commit: str) -> Iterator[Entry]:
        """The same, folder by folder, of those that may lead to an AMI source."""
        todo = [("", commit)]
        for _ in range(MOST_FOLDERS):
            if not todo:
                return
            folder, one = todo.pop()
            tree, whole = self._entries(base, one, recursive=False)
            if not whole:
                raise InputError(f"the folder '{folder}' has too many files")
            for entry in tree:
                path = f"{folder}/{entry.path}" if folder else entry.path
                if entry.kind != "tree":
                    yield Entry(path, entry.kind, entry.size, entry.id)
                elif self._folders.match(path) or self._folders.leads(path):
                    todo.append((path, entry.id))
        raise InputError(f"more than {MOST_FOLDERS} folders", hint="Name fewer under 'folders:'")

    def _entries(self, base: str, one: str, *, recursive: bool) -> tuple[list[Entry], bool]:
        """A tree's entries, and whether these are all."""
        answer = self.web.get(f"{base}/git/trees/{one}", {"recursive": "1"} if recursive else {})
        data = answer.json() if answer else None
        if not isinstance(data, dict) or not isinstance(data.get("tree"), list):
            raise nonsense("GitHub", base)
        found = []
        for row in data["tree"]:
            one, size = text(row, "sha"), row.get("size") if isinstance(row, dict) else None
            kind = "tree" if text(row, "type") == "tree" else KINDS.get(text(row, "mode"), "other")
            if not OBJECT_ID.match(one) or not text(row, "path"):
                raise nonsense("GitHub", base)
            found.append(Entry(text(row, "path"), kind, size if isinstance(size, int) else None, one))
        return found, data.get("truncated") is not True

    def _blob(self, base: str, entry: Entry) -> bytes:
        answer = self.web.get(f"{base}/git/blobs/{entry.id}")
        data = answer.json() if answer else None
        try:
            if text(data, "encoding") != "base64":
                raise ValueError
            return base64.b64decode(text(data, "content"))
        except (binascii.Error, ValueError):
            raise nonsense("GitHub", f"{base}/{entry.path}") from None


def _young(pushed: str, date: str) -> bool:
    """Whether a push was just now by the server's own clock; also when that cannot be told."""
    try:
        return (parsedate_to_datetime(date) - datetime.fromisoformat(pushed)).total_seconds() < YOUNG
    except (TypeError, ValueError):
        return True
