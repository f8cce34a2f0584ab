"""Rendered items as files: a folder for each, so that Jenkins' own tools and people find their way."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import HostError, InputError
from ..folders import put_in_place, work_folder
from .model import VIEW, Desired, Item

MANIFEST = "jobs.json"


def file_of(item: Item) -> Path:
    """``amis/automation/base/build/config.xml``; a view's is in ``views`` below its folder, as in Jenkins' own home."""
    middle = ("views",) if item.kind == VIEW else ()
    return Path(*item.path[:-1], *middle, item.path[-1], "config.xml")


def write_items(target: Path, wanted: Desired) -> list[str]:
    """Write all config.xml files, and return their paths below ``target``.

    :raises InputError: ``target`` holds something else than this made
    :raises HostError: it cannot be written; the old content stays
    """
    if target.exists() and not target.is_dir():
        raise InputError("the output is a file, not a folder", where=target, hint="Choose another name")
    if target.is_dir() and any(target.iterdir()) and not (target / MANIFEST).is_file():
        hint = "Choose a new or empty folder; nothing was changed"
        raise InputError("the output holds other things than rendered jobs", where=target, hint=hint)
    files = [str(file_of(item)) for item in wanted.items]
    listing = [
        {"path": list(item.path), "kind": item.kind, "source": item.source, "digest": item.digest, "file": file}
        for item, file in zip(wanted.items, files, strict=True)
    ]
    with work_folder(target) as work:
        new = work / "new"
        try:
            new.mkdir(mode=0o755)
            for item, file in zip(wanted.items, files, strict=True):
                path = new / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(item.xml, encoding="utf-8")
            document = {"owner": wanted.owner, "root": list(wanted.root), "items": listing}
            (new / MANIFEST).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        except OSError as error:
            raise HostError(f"the output cannot be written: {error.strerror}", where=target) from error
        put_in_place(new, target)
    return files
