"""A comparison of two compiled AMIs as lines for people. Pure; what is shown comes from strangers, and is one line each
that steers no terminal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..artifacts import USERDATA, CompiledAmi
from ..errors import visible
from ..progress import size
from ..verification import Sizes
from .changes import ADDED, CHANGED, MOVED, REMOVED, Change, describe_bytes, identity_key, identity_of
from .compare import Comparison

_MARKS = {ADDED: "+", REMOVED: "-", CHANGED: "~", MOVED: ">"}


def counts(comparison: Comparison) -> dict[str, Counter[str]]:
    """How many changes there are, by section and action."""
    found: dict[str, Counter[str]] = {}
    for change in comparison.changes:
        found.setdefault(change.section, Counter())[change.action] += 1
    return found


def lines(comparison: Comparison, *, stat: bool = False) -> list[str]:
    """All of it.

    :param stat: numbers instead of changes
    """
    return [visible(line) for line in _lines(comparison, stat=stat)]


def change_lines(comparison: Comparison) -> list[str]:
    """What changes on the machine: each section with its changes, without title and sizes."""
    return [visible(line) for line in _changes(comparison)]


def _lines(comparison: Comparison, *, stat: bool) -> Iterator[str]:
    old, new = comparison.old, comparison.new
    if not comparison.changes:
        yield f"no differences between {old.path} and {new.path}"
        return
    yield f"{_title(old)} -> {_title(new)}"
    counted = counts(comparison)
    width = max(map(len, [*counted, "user-data"]))
    if stat:
        for section, numbers in counted.items():
            text = ", ".join(f"{numbers[action]} {action}" for action in _MARKS if numbers[action])
            yield f"  {section:<{width}}  {text}"
    else:
        yield from _changes(comparison)
        yield "sizes"
    sizes = {
        "user-data": Sizes(old.manifest.files[USERDATA].size, new.manifest.files[USERDATA].size),
        "overlay": Sizes(old.manifest.overlay.size, new.manifest.overlay.size),
    }
    yield from (f"  {what:<{width}}  {each}" for what, each in sizes.items())


def _changes(comparison: Comparison) -> Iterator[str]:
    for section in counts(comparison):
        yield section
        for change in comparison.changes:
            if change.section == section:
                yield f"  {_MARKS[change.action]} {_line(change)}"
                yield from (f"      {line}" for line in change.diff)


def _title(compiled: CompiledAmi) -> str:
    return f"{compiled.manifest.name} {compiled.manifest.version} ({compiled.path})"


def _line(change: Change) -> str:
    if change.section == "overlay":
        return f"{change.what} {_file_text(change)}"
    if change.action == MOVED:
        return f"{change.what}: {_short(change.entry)} (from {change.old} to {change.new})"
    if change.action == CHANGED:
        if isinstance(change.new, bytes) or (isinstance(change.new, dict) and "content" in change.new):
            return f"{change.what}: {_content_text(change)}"
        return f"{change.what}: {_value(change.old)} -> {_value(change.new)}"
    return f"{change.what}: {_value(change.new if change.action == ADDED else change.old)}"


def _content_text(change: Change) -> str:
    pairs = [value if isinstance(value, bytes) else value["content"] for value in (change.old, change.new)]
    return _sizes(*map(describe_bytes, pairs), shown=bool(change.diff))


def _sizes(old: dict[str, Any], new: dict[str, Any], *, shown: bool) -> str:
    text = f"{old['size']} -> {new['size']} bytes"
    return text if shown else f"{text}, sha256 {old['sha256'][:12]} -> {new['sha256'][:12]}"


def _file_text(change: Change) -> str:
    """One member of the overlay, or what changed of it."""
    old, new = change.old, change.new
    if old is None or new is None:
        member = new or old or {}
        what = {"file": size(member.get("size", 0)), "folder": "folder"}.get(
            member["kind"], f"{member['kind']} to {member.get('target')}"
        )
        return f"({what}, {member['mode']} {member['owner']})"
    said = [f"{key} {old[key]} -> {new[key]}" for key in ("kind", "mode", "owner") if old[key] != new[key]]
    if old.get("sha256") != new.get("sha256") and "sha256" in old and "sha256" in new:
        said.append(_sizes(old, new, shown=bool(change.diff)))
    if old.get("target") != new.get("target") and "target" in old and "target" in new:
        said.append(f"target {old['target']} -> {new['target']}")
    return ", ".join(said)


def _value(value: Any) -> str:
    """A value of a setting in one line; a mapping by its path or name, with the rest of it behind."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    known_by = "type" if isinstance(value, dict) and value.keys() == {"type", "content"} else identity_key(value)
    if known_by:
        rest = {key: item for key, item in value.items() if key != known_by}
        details = [_value(item) if key == "content" else f"{key} {_value(item)}" for key, item in rest.items()]
        return f"{value[known_by]} ({', '.join(details)})" if details else str(value[known_by])
    if isinstance(value, str) and value.isprintable() and value == value.strip() != "":
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _short(value: Any) -> str:
    text = identity_of(value) or _value(value)
    return text if len(text) <= 100 else f"{text[:99]}…"
