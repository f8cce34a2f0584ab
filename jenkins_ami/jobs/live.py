"""What Jenkins has in the root folder: one listing request, whatever its size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .connection import Connection
from .model import ItemPath, Live, LiveItem
from .plan import FOLDER_CLASS

DEPTH = 12
"""Levels below the root that one request asks for."""


def read_live(connection: Connection, root: ItemPath, depth: int = DEPTH) -> Live:
    """Everything in and under ``root``, and the folders around it, with descriptions.

    Only folders are gone into: the branches in a multibranch project are its own. Each folder around the root costs
    a request, and so does one that lies deeper than ``depth``. What is not there is not in the result.

    :raises ServerError: it cannot be read
    """
    items: dict[ItemPath, LiveItem] = {}
    views: dict[ItemPath, LiveItem] = {}
    for length in range(1, len(root)):
        around = connection.listing(root[:length], 0)
        if around is None:
            return Live(items, views)
        items[root[:length]] = _item(root[:length], around)
    deeper = [root]
    while deeper:
        path = deeper.pop()
        if (listing := connection.listing(path, depth)) is not None:
            _collect(path, listing, depth, items, views, deeper)
    return Live(items, views)


def _collect(
    path: ItemPath,
    entry: Mapping[str, Any],
    depth: int,
    items: dict[ItemPath, LiveItem],
    views: dict[ItemPath, LiveItem],
    deeper: list[ItemPath],
) -> None:
    """``deeper`` gets the folders of the last level: what is in them was not asked for."""
    there = items[path] = _item(path, entry)
    if there.cls != FOLDER_CLASS:
        return
    if depth == 0:
        deeper.append(path)
        return
    for view in entry.get("views", ()):
        place = (*path, str(view["name"]))
        views[place] = _item(place, view)
    for each in entry.get("jobs", ()):
        _collect((*path, str(each["name"])), each, depth - 1, items, views, deeper)


def _item(path: ItemPath, entry: Mapping[str, Any]) -> LiveItem:
    return LiveItem(path, str(entry.get("_class", "")), entry.get("description") or "")
