"""Which AMI sources a commit touches. Pure: from the files of two commits.

An AMI source is a folder with ``ami.env`` or ``ami.yaml``, unless it lies in the overlay (``fs/``) of another one. A
file belongs to every source that it lies in: one inside another one's folder touches both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..source.settings import AMI_ENV, AMI_YAML
from .repository import LINK, SUBMODULE, Entry, Tree, folders_above

TOP = "."
"""The folder of a source that is the whole repository."""
RECIPES = (AMI_ENV, AMI_YAML)


@dataclass(frozen=True)
class Touched:
    """AMI sources by folder.

    :ivar changed: paths that differ
    :ivar before, after: all AMI sources of the two commits
    :ivar folders: those of them with a changed path
    """

    changed: tuple[str, ...]
    before: frozenset[str]
    after: frozenset[str]
    folders: frozenset[str]


def touched(old: Tree, new: Tree) -> Touched:
    """What is different in the second commit."""
    changed = tuple(path for path in sorted({**old, **new}) if old.get(path) != new.get(path))
    before, after = sources_in(old), sources_in(new)
    every = before | after
    above = {folder for path in changed for folder in _folders_of(path)}
    return Touched(changed, before, after, frozenset(above & every))


def sources_in(tree: Tree) -> frozenset[str]:
    """The folders that are AMI sources."""
    found = {folder_of(path) for path, entry in tree.items() if _is_recipe(entry)}
    overlays = {"fs" if folder == TOP else f"{folder}/fs" for folder in found}
    return frozenset(folder for folder in found if overlays.isdisjoint([folder, *folders_above(folder)]))


def needed(tree: Tree, folders: Iterable[str]) -> list[Entry]:
    """What compiling the sources in ``folders`` looks at: their files, and what the path of a base may lead through."""
    wanted = set(folders)
    return [
        entry
        for path, entry in tree.items()
        if entry.mode == LINK or _is_recipe(entry) or not wanted.isdisjoint(_folders_of(path))
    ]


def folder_of(path: str) -> str:
    """The folder that a file lies in."""
    return path.rpartition("/")[0] or TOP


def _folders_of(path: str) -> list[str]:
    return [TOP, *folders_above(path)]


def _is_recipe(entry: Entry) -> bool:
    return entry.path.rpartition("/")[2] in RECIPES and entry.mode != SUBMODULE
