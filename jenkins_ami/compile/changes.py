"""What differs between two values: structurally for settings, by lines for texts. Pure; knows no files.

Two lists are compared by their entries: those of mappings that have a ``path`` or a ``name`` are the same entry when
that is the same; others when they are equal.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ADDED, REMOVED, CHANGED, MOVED = "added", "removed", "changed", "moved"

TEXT_LIMIT = 65_536
"""Bytes of a text up to which it is compared by lines."""
_LINES_LIMIT = 5_000
_KEYS = ("path", "name")


@dataclass(frozen=True)
class Change:
    """One difference.

    :ivar section: ``manifest``, ``variables``, ``cloud-config``, ``parts`` or ``overlay``
    :ivar action: :data:`ADDED`, :data:`REMOVED`, :data:`CHANGED` or :data:`MOVED`
    :ivar what: the key's path (``users[app].shell``), or the file
    :ivar old, new: the values; for an entry of a list that moved, its positions, from 1
    :ivar entry: of a list whose entry moved, that entry
    :ivar diff: for texts, the lines of a unified diff without its header
    """

    section: str
    action: str
    what: str
    old: Any = None
    new: Any = None
    entry: Any = None
    diff: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """For JSON; bytes are told as size and digest."""
        data = {"section": self.section, "action": self.action, "what": self.what}
        values = {"old": self.old, "new": self.new, "entry": self.entry, "diff": list(self.diff) or None}
        return data | {key: _json_safe(value) for key, value in values.items() if value is not None}


def describe_bytes(data: bytes) -> dict[str, object]:
    """Size and digest, for what is not shown itself."""
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _json_safe(value: Any) -> Any:
    if isinstance(value, bytes):
        return describe_bytes(value)
    if isinstance(value, dict):
        return {str(key): _json_safe(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json_safe(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def values(section: str, old: Any, new: Any, path: str = "") -> Iterator[Change]:
    """The differences of two plain values: dicts, lists, scalars, bytes. ``None`` stands for what is not there."""
    if _same(old, new):
        return
    kind = next((type(value) for value in (old, new) if value is not None), None)
    both = all(value is None or type(value) is kind for value in (old, new))
    if both and kind is dict and (old or new):
        for key in [*(old or {}), *(key for key in new or {} if key not in (old or {}))]:
            name = f"{path}.{key}" if path else str(key)
            yield from values(section, (old or {}).get(key), (new or {}).get(key), name)
    elif both and kind is list and (old or new):
        yield from _lists(section, old or [], new or [], path)
    elif old is None:
        yield Change(section, ADDED, path, new=new)
    elif new is None:
        yield Change(section, REMOVED, path, old=old)
    elif isinstance(old, bytes) and isinstance(new, bytes):
        yield Change(section, CHANGED, path, old, new, diff=text_diff(old, new))
    else:
        yield Change(section, CHANGED, path, old, new)


def _lists(section: str, old: list[Any], new: list[Any], path: str) -> Iterator[Change]:
    before, after = _identities(old), _identities(new)
    places = {identity: index for index, identity in enumerate(after)}
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    kept = {before[block.a + offset] for block in matcher.get_matching_blocks() for offset in range(block.size)}
    for index, identity in enumerate(before):
        if identity not in places:
            yield Change(section, REMOVED, path, old=old[index])
    known = {identity: index for index, identity in enumerate(before)}
    for index, identity in enumerate(after):
        if identity not in known:
            yield Change(section, ADDED, path, new=new[index])
            continue
        was = known[identity]
        if identity not in kept:
            yield Change(section, MOVED, path, was + 1, index + 1, entry=new[index])
        if not _same(old[was], new[index]):
            yield from values(section, old[was], new[index], f"{path}[{identity_of(new[index])}]")


def _identities(entries: list[Any]) -> list[tuple[str, int]]:
    """What each entry is known by; the same one again is told apart by a number."""
    seen: Counter[str] = Counter()
    found = []
    for entry in entries:
        key = json.dumps(identity_of(entry)) if identity_of(entry) else _canonical(entry)
        found.append((key, seen[key]))
        seen[key] += 1
    return found


def identity_key(entry: Any) -> str:
    """The key by which a mapping in a list is known, ``path`` or ``name``; empty for what has none."""
    return next((key for key in _KEYS if isinstance(entry, dict) and isinstance(entry.get(key), str)), "")


def identity_of(entry: Any) -> str:
    """The path or name of a mapping; empty for what has none."""
    key = identity_key(entry)
    return str(entry[key]) if key else ""


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=lambda item: f"{type(item).__name__} {item!r}")


def _same(old: Any, new: Any) -> bool:
    return _canonical(old) == _canonical(new)  # 1, 1.0 and True are three values


def text_diff(old: bytes, new: bytes) -> tuple[str, ...]:
    """The hunks of a unified diff; empty when one of the two is no text, or too long to be compared by lines."""
    if max(len(old), len(new)) > TEXT_LIMIT:
        return ()
    before, after = _lines(old), _lines(new)
    if before is None or after is None or max(len(before), len(after)) > _LINES_LIMIT:
        return ()
    hunks = list(difflib.unified_diff(before, after, n=2, lineterm=""))[2:]
    return tuple(hunks)


def _lines(data: bytes) -> list[str] | None:
    if b"\0" in data:
        return None
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        return None
    if lines[-1] == "":
        return lines[:-1]
    return [*lines[:-1], f"{lines[-1]} (no newline at the end)"]
