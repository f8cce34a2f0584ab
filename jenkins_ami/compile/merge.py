"""Merge cloud-config documents, each value with its place.

The project's default: lists append, mappings merge deeply, and two parts that set the same scalar to different values
are an error that names both. (cloud-init's own default lets a later part replace whole lists: one late ``runcmd`` wipes
all earlier ones.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import InputError, Location
from ..yamlfile import Node, kind_of


def merge(documents: Sequence[Node]) -> Node:
    """All documents (mappings), in order, as one.

    :raises InputError: when two of them contradict each other
    """
    merged = Node({}, Location(""), {})
    for document in documents:
        merged = _merge(merged, document, "")
    return merged


def _merge(old: Node, new: Node, path: str) -> Node:
    if isinstance(old.value, dict) and isinstance(new.value, dict):
        values = dict(old.value)
        keys = dict(old.keys or {})
        for key, node in new.value.items():
            values[key] = _merge(values[key], node, f"{path}.{key}" if path else str(key)) if key in values else node
            keys.setdefault(key, (new.keys or {}).get(key, node.where))
        return Node(values, old.where, keys)
    if isinstance(old.value, list) and isinstance(new.value, list):
        return Node([*old.value, *new.value], old.where)
    if type(old.value) is not type(new.value):
        raise InputError(
            f"'{path}' is {new.kind} here and {old.kind} in {old.where}",
            where=new.where,
            hint="Use the same type in both",
        )
    if old.value != new.value:
        raise InputError(
            f"'{path}' is {_show(new)} here and {_show(old)} in {old.where}",
            where=new.where,
            hint="Say it in one file only",
        )
    return old


def _show(node: Node) -> str:
    text = str(node.value) if isinstance(node.value, str) else repr(node.value)
    return f"'{text}'" if len(text) <= 40 and "\n" not in text else kind_of(node.value)


def place(value: object, where: Location) -> Node:
    """A plain value as a node tree, all of it at one place: for what compile itself adds."""
    if isinstance(value, dict):
        return Node({key: place(item, where) for key, item in value.items()}, where, dict.fromkeys(value, where))
    if isinstance(value, (list, tuple)):
        return Node([place(item, where) for item in value], where)
    return Node(value, where)


def short(where: Location, roots: Iterable[str]) -> str:
    """``FILE:LINE`` with ``FILE`` relative to the source: the same text wherever the source lies."""
    file = str(where.file)
    for root in roots:
        file = file.removeprefix(f"{root}/")
    return f"{file}:{where.line}" if where.line else file
