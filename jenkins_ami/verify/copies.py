"""Two commits as folders, with as much in them as compiling takes; and what their AMI sources say of themselves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError
from ..forms import is_path
from ..source.bases import base_name
from ..source.model import Identity
from ..source.reader import identity_at
from .notes import Copied
from .repository import Repository, Tree
from .touched import RECIPES, TOP, Touched, needed


class Copy:
    """A commit written out, apart from any work tree. Nothing is there before :meth:`add`.

    :ivar copied: speaks of its files
    """

    def __init__(self, repository: Repository, tree: Tree, top: Path) -> None:
        self._repository = repository
        self._tree = tree
        self._done: set[str] = set()
        self.copied = Copied(top)
        top.mkdir()
        (top / ".git").touch()  # paths of bases end here, as they do in a work tree

    def add(self, folders: Iterable[str]) -> None:
        """Write out the sources in these folders, and what their bases may lead through.

        :raises InputError: a content is not in the clone
        :raises HostError: it cannot be written
        """
        entries = [entry for entry in needed(self._tree, folders) if entry.path not in self._done]
        self._repository.export(entries, self.copied.top)
        self._done.update(entry.path for entry in entries)

    def root(self, folder: str) -> Path:
        """Where the AMI source of a folder is."""
        return self.copied.top if folder == TOP else self.copied.top / folder

    def identity(self, folder: str) -> Identity | None:
        """What a source says of itself; ``None`` when that is wrong."""
        try:
            return identity_at(self.root(folder))
        except InputError:
            return None

    def base(self, folder: str) -> str:
        """What a source's base, a path, comes to: the name of an image, or what is wrong with it; empty for another
        kind of base."""
        identity = self.identity(folder)
        if identity is None or not is_path(identity.base):
            return ""
        try:
            return base_name(self.root(folder), identity)
        except InputError as error:
            return self.copied.line(error)


def heirs(old: Copy, new: Copy, touched: Touched) -> set[str]:
    """Sources that are not touched, and whose base, the path of another one, leads to another image now, or to none."""
    if not any(path.rpartition("/")[2] in RECIPES for path in touched.changed):
        return set()
    for copy in (old, new):
        copy.add(())
    return {
        folder for folder in (touched.before & touched.after) - touched.folders if old.base(folder) != new.base(folder)
    }


def moves(old: Copy, new: Copy, touched: Touched) -> dict[str, str]:
    """Sources that lie in another folder now, by that; and where they were. An image's name tells which is which."""
    gone, come = touched.before - touched.after, touched.after - touched.before
    if not gone or not come:
        return {}
    for copy in (old, new):
        copy.add(())
    was, now = _by_name(old, gone), _by_name(new, come)
    return {now[name]: was[name] for name in was.keys() & now.keys()}


def _by_name(copy: Copy, folders: Iterable[str]) -> dict[str, str]:
    """Folders by the names of their images, but for names that several have."""
    names = [(identity.name, folder) for folder in folders if (identity := copy.identity(folder))]
    every = [name for name, _ in names]
    return {name: folder for name, folder in names if every.count(name) == 1}
