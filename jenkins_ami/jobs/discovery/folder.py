"""Provider ``folder``: AMI sources on this machine, in work trees of Git or in a plain folder.

A folder with ``.git`` is a repository; so is the given folder itself, which may hold many AMI sources. What lies there
counts, committed or not. Links are not followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError
from ...process import ProcessError
from ..model import Provider, Repository
from .common import (
    JENKINSFILE,
    LARGEST_FILE,
    RECIPES,
    Contents,
    Context,
    Entry,
    Folders,
    Listed,
    clone_url,
    recipe,
    sources_in,
    warner,
)
from .gitfetch import Git, without_password

MOST_FOLDERS = 100_000


class FolderSource:
    """A folder under way."""

    def __init__(self, provider: Provider, context: Context) -> None:
        assert provider.path is not None
        self._provider = provider
        self._context = context
        self._root = provider.path
        self._git = Git(context.environ, context.stopped)
        self._folders = Folders(provider.folders)

    @property
    def requests(self) -> int:
        """Nobody is asked."""
        return 0

    def listing(self) -> list[Listed]:
        """:raises InputError: it cannot be read"""
        if not self._root.is_dir():
            raise InputError(f"there is no folder {self._root}", where=self._provider.where)
        root = self._root.resolve()
        if _is_work_tree(root):
            return [self._listed(root, root.name)]
        found = [self._listed(path, path.relative_to(root).as_posix()) for path in _work_trees(root)]
        if sources_in(self._entries(root), self._folders, warner(self._context.progress, root.name)):
            found.append(self._listed(root, root.name))
        return found

    def _listed(self, path: Path, name: str) -> Listed:
        """Branch and commit are those of the work tree."""
        provider = self._provider
        itself = path == self._root.resolve()
        url = provider.clone if itself or not provider.clone else clone_url(provider.clone, name)
        branch = commit = ""
        if _is_work_tree(path):
            commit = self._ask(path, "rev-parse", "--verify", "--quiet", "HEAD")
            branch = self._ask(path, "symbolic-ref", "--short", "--quiet", "HEAD")
            url = url or without_password(self._ask(path, "config", "--get", "remote.origin.url"))
        return Listed(Repository(provider, name, url, provider.branch or branch, commit), id=str(path))

    def _ask(self, path: Path, *words: str) -> str:
        try:
            return self._git.local(["-C", path, *words]).strip()
        except ProcessError:
            return ""

    def resolve(self, listed: Listed) -> Listed | None:
        return listed

    def read(self, listed: Listed) -> Contents:
        """:raises InputError: nobody says where Jenkins finds it"""
        root, repository = Path(listed.id), listed.repository
        sources = sources_in(self._entries(root), self._folders, warner(self._context.progress, repository.name))
        if sources and not repository.url:
            raise InputError(
                "nothing says where Jenkins can clone it", where=root, hint="Set 'url:', or add a remote 'origin'"
            )

        def read(entry: Entry) -> bytes | None:
            try:
                with (root / entry.path).open("rb") as file:
                    return file.read(LARGEST_FILE + 1)
            except OSError as error:
                raise InputError(f"cannot be read: {error.strerror}", where=root / entry.path) from error

        recipes = tuple(recipe(folder, files, read) for folder, files in sources.items())
        return Contents(repository.branch, repository.commit, recipes)

    def _entries(self, root: Path) -> Iterator[Entry]:
        """The files that count, of folders that may hold or lead to an AMI source."""
        for path, folders, files in _walk(root):
            folder = path.relative_to(root).as_posix() if path != root else ""
            folders[:] = [
                name
                for name in folders
                if not _is_work_tree(path / name)
                and (self._folders.match(inner := f"{folder}/{name}".lstrip("/")) or self._folders.leads(inner))
            ]
            for name in files:
                if name in (*RECIPES, JENKINSFILE):
                    yield Entry(f"{folder}/{name}".lstrip("/"), "link" if (path / name).is_symlink() else "file")

    def stop(self) -> None:
        self._context.stopped.set()


def _is_work_tree(path: Path) -> bool:
    return (path / ".git").exists()


def _work_trees(root: Path) -> Iterator[Path]:
    for path, folders, _ in _walk(root):
        trees = [name for name in folders if _is_work_tree(path / name)]
        yield from (path / name for name in trees)
        folders[:] = [name for name in folders if name not in trees]


def _walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """:func:`os.walk` without links and hidden folders, and with an end."""

    def fail(error: OSError) -> None:
        raise InputError(f"cannot be read: {error.strerror}", where=Path(error.filename)) from error

    for number, (path, folders, files) in enumerate(os.walk(root, onerror=fail)):
        if number > MOST_FOLDERS:
            raise InputError(f"more than {MOST_FOLDERS} folders", where=root)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not (Path(path) / name).is_symlink()
        )
        yield Path(path), folders, files
