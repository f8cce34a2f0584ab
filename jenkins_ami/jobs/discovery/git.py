"""Provider ``git``: a list of URLs. One ``ls-remote`` for each, and a fetch of one commit's trees when it is new."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote, urlsplit

from ...errors import InputError, ServerError
from ..model import Provider, Repository
from .common import Contents, Context, Folders, Listed, clone_url, warner
from .gitfetch import Git, url_problem, without_password


class GitSource:
    """A list of URLs under way."""

    def __init__(self, provider: Provider, context: Context) -> None:
        self._provider = provider
        self._context = context
        self._git = Git(context.environ, context.stopped)
        self._folders = Folders(provider.folders)
        for url in provider.urls:
            if problem := url_problem(url):
                raise InputError(f"'{without_password(url)}' cannot be given to Git: {problem}", where=provider.where)
            context.credentials(provider, url)

    @property
    def requests(self) -> int:
        return self._git.requests

    def listing(self) -> list[Listed]:
        found = []
        for url in self._provider.urls:
            name = repository_name(url)
            clone = clone_url(self._provider.clone, name) if self._provider.clone else without_password(url)
            found.append(Listed(Repository(self._provider, name, clone, self._provider.branch, ""), id=url))
        return found

    def resolve(self, listed: Listed) -> Listed | None:
        """:raises ServerError: also when there is no such branch, for somebody named this repository"""
        credentials = self._context.credentials(self._provider, listed.id)
        head = self._git.head(listed.id, self._provider.branch, credentials)
        if head is None:
            branch = self._provider.branch
            what = f"there is no branch '{branch}'" if branch else "it has no commit"
            raise ServerError(what, where=without_password(listed.id))
        branch, commit = head
        repository = replace(listed.repository, branch=branch, commit=commit)
        return replace(listed, repository=repository, version=f"{branch}@{commit}")

    def read(self, listed: Listed) -> Contents:
        repository = listed.repository
        return self._git.read(
            listed.id,
            repository.branch,
            self._context.credentials(self._provider, listed.id),
            self._folders,
            warner(self._context.progress, repository.name),
            sha256=len(repository.commit) == 64,
        )

    def stop(self) -> None:
        self._context.stopped.set()


def repository_name(url: str) -> str:
    """``team/base`` of ``https://host/team/base.git`` and ``git@host:team/base``; of a local path its last part."""
    if "://" in url:
        parts = urlsplit(url)
        path = unquote(parts.path)
        local = parts.scheme == "file"
    else:
        host, colon, path = url.partition(":")
        local = not colon or "/" in host
        path = url if local else path
    path = path.strip("/").removesuffix(".git").rstrip("/")
    return path.rpartition("/")[2] if local else path
