"""What Jenkins has in the root folder: one listing request, whatever its size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ServerError
from .connection import Connection
from .model import ItemPath, Live, LiveItem
from .plan import FOLDER_CLASS

DEPTH = 12
"""Levels below the root that are asked for at first."""
_DEEPEST = 100


def read_live(connection: Connection, root: ItemPath, depth: int = DEPTH) -> Live:
    """Everything in and under ``root``, with descriptions; empty when there is no such folder.

    Only folders are gone into: the branches in a multibranch project are its own.

    :raises ServerError: it cannot be read
    """
    while True:
        listing = connection.listing(root, depth)
        if listing is None:
            return Live()
        items: dict[ItemPath, LiveItem] = {}
        views: dict[ItemPath, LiveItem] = {}
        if _collect(root, listing, items, views, depth):
            return Live(items, views)
        depth *= 2
        if depth > _DEEPEST:
            raise ServerError(f"folders are nested more than {_DEEPEST} deep", where=connection.url)


def _collect(
    path: ItemPath,
    entry: Mapping[str, Any],
    items: dict[ItemPath, LiveItem],
    views: dict[ItemPath, LiveItem],
    depth: int,
) -> bool:
    """Whether nothing may lie deeper than was asked for."""
    cls = entry.get("_class", "")
    items[path] = LiveItem(path, cls, entry.get("description") or "")
    if cls != FOLDER_CLASS:
        return True
    for view in entry.get("views", ()):
        if name := view.get("name"):
            views[(*path, name)] = LiveItem((*path, name), view.get("_class", ""), view.get("description") or "")
    if depth == 0:
        return False
    seen = [_collect((*path, each["name"]), each, items, views, depth - 1) for each in entry.get("jobs", ())]
    return all(seen)
