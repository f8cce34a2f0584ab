"""Show what changes on the machine from one compiled AMI to another: settings, cloud-config, files, modes."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..artifacts import USERDATA, CompiledAmi, read_compiled
from ..compile.changes import ADDED, CHANGED, MOVED, REMOVED, Change, describe_bytes, identity_key, identity_of
from ..compile.compare import Comparison, compare
from ..errors import PlanDiffers
from ..progress import Progress, size
from . import Result

_MARKS = {ADDED: "+", REMOVED: "-", CHANGED: "~", MOVED: ">"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="A", type=Path, help="folder of a compiled AMI")
    parser.add_argument("new", metavar="B", type=Path, help="folder of the compiled AMI to compare with it")
    parser.add_argument("--stat", action="store_true", help="count the changes instead of listing them")
    parser.add_argument("--exit-code", action="store_true", help=f"exit with {PlanDiffers.exit_code} when they differ")


def run(args: argparse.Namespace, _progress: Progress) -> Result:
    comparison = compare(read_compiled(args.old), read_compiled(args.new))
    code = PlanDiffers.exit_code if args.exit_code and comparison.changes else 0
    lines = [_visible(line) for line in _lines(comparison, stat=args.stat)]
    return Result(_data(comparison, stat=args.stat), lines, code)


def _data(comparison: Comparison, *, stat: bool) -> dict[str, object]:
    data: dict[str, object] = {
        "differ": bool(comparison.changes),
        "a": _side(comparison.old),
        "b": _side(comparison.new),
        "counts": {section: dict(counts) for section, counts in _counts(comparison).items()},
    }
    return data if stat else data | {"changes": [change.as_dict() for change in comparison.changes]}


def _side(compiled: CompiledAmi) -> dict[str, object]:
    manifest = compiled.manifest
    return {
        "path": str(compiled.path),
        "name": manifest.name,
        "version": manifest.version,
        "commit": manifest.commit,
        "digest": manifest.digest,
        "userdata_size": manifest.files[USERDATA].size,
        "overlay_size": manifest.overlay.size,
    }


def _counts(comparison: Comparison) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for change in comparison.changes:
        counts.setdefault(change.section, Counter())[change.action] += 1
    return counts


def _lines(comparison: Comparison, *, stat: bool) -> Iterator[str]:
    old, new = comparison.old, comparison.new
    if not comparison.changes:
        yield f"no differences between {old.path} and {new.path}"
        return
    yield f"{_title(old)} -> {_title(new)}"
    counts = _counts(comparison)
    width = max(map(len, [*counts, "user-data"]))
    for section, numbers in counts.items():
        if stat:
            text = ", ".join(f"{numbers[action]} {action}" for action in _MARKS if numbers[action])
            yield f"  {section:<{width}}  {text}"
            continue
        yield section
        for change in comparison.changes:
            if change.section == section:
                yield f"  {_MARKS[change.action]} {_line(change)}"
                yield from (f"      {line}" for line in change.diff)
    if not stat:
        yield "sizes"
    sizes = {
        "user-data": (old.manifest.files[USERDATA].size, new.manifest.files[USERDATA].size),
        "overlay": (old.manifest.overlay.size, new.manifest.overlay.size),
    }
    for what, (before, after) in sizes.items():
        change_of = f"{before} -> {after} bytes" if before != after else f"{before} bytes, as before"
        yield f"  {what:<{width}}  {change_of}"


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


def _visible(line: str) -> str:
    """A line without what would steer a terminal: names and contents come from elsewhere."""
    return "".join(char if char.isprintable() or char == "\t" else _escaped(ord(char)) for char in line)


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is not UTF-8 (PEP 383)
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
