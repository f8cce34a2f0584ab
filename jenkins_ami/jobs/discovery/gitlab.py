"""Provider ``gitlab``: the projects of a group and its subgroups, over REST.

GitLab's documentation, "Groups API" (*List all projects in a group*), "Branches API" (*Retrieve a repository branch*),
"Repositories API" (*List all repository trees in a project*), "Repository files API" (*Retrieve a raw file*).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...credentials import Credentials
from ...web import TooLarge, Web
from ..model import Provider, Repository
from .common import (
    KINDS,
    LARGEST_FILE,
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


class GitLabSource(OverHttp):
    """A group under way."""

    def __init__(self, provider: Provider, context: Context) -> None:
        found = context.credentials(provider, provider.url)
        token = Credentials("", found.secret) if found else None
        super().__init__(provider, Web(provider.url, "GitLab", credentials=token, pool=context.workers))
        self._context = context
        self._folders = Folders(provider.folders)

    def listing(self) -> list[Listed]:
        params: dict[str, str | int] = {
            "include_subgroups": "true",
            "with_shared": "false",
            "archived": "false",
            "simple": "true",
            "order_by": "id",  # new projects come last, so none is missed between two pages
            "sort": "asc",
            "per_page": PAGE,
        }
        rows = self.pages(f"/groups/{quoted(self.provider.group)}/projects", params) or []
        return [self._listed(row) for row in rows]

    def _listed(self, row: Any) -> Listed:
        name, number = text(row, "path_with_namespace"), row.get("id") if isinstance(row, dict) else None
        if not name or not isinstance(number, int):
            raise nonsense("GitLab", self.web.url)
        url = clone_url(self.provider.clone, name) if self.provider.clone else text(row, "http_url_to_repo")
        branch = self.provider.branch or text(row, "default_branch")
        return Listed(Repository(self.provider, name, url, branch, "", page(text(row, "web_url"))), id=str(number))

    def resolve(self, listed: Listed) -> Listed | None:
        branch = listed.repository.branch
        if not branch:  # nothing was pushed to it yet
            return None
        path = f"/projects/{listed.id}/repository/branches/{quoted(branch)}"
        if (answer := self.branch(path)) is None:
            return None
        commit = text(answer.json(), "commit", "id")
        if not OBJECT_ID.match(commit):
            raise nonsense("GitLab", self.web.url)
        return replace(listed, repository=replace(listed.repository, commit=commit), version=f"{branch}@{commit}")

    def read(self, listed: Listed) -> Contents:
        repository = listed.repository
        base = f"/projects/{listed.id}/repository"
        warn = warner(self._context.progress, repository.name)
        sources = sources_in(self._entries(base, repository.commit), self._folders, warn)

        def read(entry: Entry) -> bytes | None:
            try:
                path = f"{base}/files/{quoted(entry.path)}/raw"
                answer = self.web.get(path, {"ref": repository.commit}, limit=LARGEST_FILE)
            except TooLarge:
                return None
            return answer.data if answer else None

        recipes = tuple(recipe(folder, files, read) for folder, files in sources.items())
        return Contents(repository.branch, repository.commit, recipes)

    def _entries(self, base: str, commit: str) -> Iterator[Entry]:
        for root, below in self._folders.roots():
            params: dict[str, str | int] = {"ref": commit, "per_page": PAGE, "pagination": "keyset"}
            params |= ({"path": root} if root else {}) | ({"recursive": "true"} if below else {})
            for row in self.pages(f"{base}/tree", params, missing_ok=bool(root)) or []:
                path = text(row, "path")
                if not path:
                    raise nonsense("GitLab", self.web.url)
                if text(row, "type") != "tree":
                    yield Entry(path, KINDS.get(text(row, "mode"), "other"), None, text(row, "id"))
