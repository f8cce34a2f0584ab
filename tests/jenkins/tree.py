"""The ``tree=`` language of Stapler's remote API, and what is shown when there is none.

A thing to show is ``Exported``: its class, and its fields in the order in which Jenkins writes them, each made when it
is asked for. ``_class`` comes with every object; fields that are not there are left out without a word. What the
items export is in ``api``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class BadTree(Exception):
    """A malformed ``tree=``: Jenkins answers 500."""


@dataclass
class Wanted:
    """A parsed ``tree=``: names with what is wanted of each, and the range ``{from,to}`` of a list."""

    fields: dict[str, Wanted] = field(default_factory=dict)
    first: int = 0
    last: int | None = None


def parse(text: str) -> Wanted:
    """:raises BadTree: brackets do not match"""
    wanted, end = _parse_fields(text, 0)
    if end < len(text):
        raise BadTree(f"Malformed tree expression: unexpected {text[end]} at {end}")
    return wanted


def _parse_fields(text: str, place: int) -> tuple[Wanted, int]:
    wanted = Wanted()
    while place < len(text):
        start = place
        while place < len(text) and text[place] not in "[]{},":
            place += 1
        name, inner = text[start:place].strip(), Wanted()
        if place < len(text) and text[place] == "[":
            inner, place = _parse_fields(text, place + 1)
            if place >= len(text) or text[place] != "]":
                raise BadTree(
                    f"Malformed tree expression: java.lang.IllegalArgumentException: expected RBRACE at {place}"
                )
            place += 1
        if place < len(text) and text[place] == "{":
            place = _parse_range(text, place, inner)
        if name:
            wanted.fields[name] = inner
        if place >= len(text) or text[place] != ",":
            break
        place += 1
    return wanted, place


def _parse_range(text: str, place: int, wanted: Wanted) -> int:
    end = text.find("}", place)
    if end < 0:
        raise BadTree(f"Malformed tree expression: expected RCURLY at {len(text)}")
    first, comma, last = text[place + 1 : end].partition(",")
    try:
        wanted.first = int(first or 0)
        wanted.last = (int(last) if last else None) if comma else wanted.first + 1
    except ValueError as error:
        raise BadTree(f"Malformed tree expression: {error}") from error
    return end + 1


@dataclass
class Exported:
    """``brief`` names what shows of it inside another object when no ``tree`` was given."""

    cls: str
    fields: dict[str, Callable[[], Any]]
    brief: tuple[str, ...] = ()


def pick(value: Any, wanted: Wanted) -> Any:
    """What ``tree=`` asks for."""
    if isinstance(value, list):
        return [pick(each, wanted) for each in value]
    if not isinstance(value, Exported):
        return value
    made: dict[str, Any] = {"_class": value.cls} if value.cls else {}
    every = wanted.fields.get("*")
    for name, make in value.fields.items():
        inner = wanted.fields.get(name) or every
        if inner is not None:
            found = make()
            if isinstance(found, list):
                found = found[inner.first : inner.last]
            made[name] = pick(found, inner)
    return made


def whole(value: Any, depth: int, *, inside: bool = False) -> Any:
    """Without ``tree=``: everything down to ``depth``, and of what is below that only names and the like."""
    if isinstance(value, list):
        return [whole(each, depth, inside=inside) for each in value]
    if not isinstance(value, Exported):
        return value
    made: dict[str, Any] = {"_class": value.cls} if value.cls else {}
    for name, make in value.fields.items():
        if not inside or depth > 0 or name in value.brief:
            made[name] = whole(make(), depth - 1 if inside else depth, inside=True)
    return made
