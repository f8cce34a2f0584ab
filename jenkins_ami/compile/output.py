"""Write a compiled AMI: all of it or nothing, with nothing stale beside it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from ..artifacts import COMPILE_JSON, LEDGER
from ..errors import HostError, InputError
from ..folders import put_in_place, unwritable


def check_target(target: Path, source: Path) -> None:
    """Refuse a target that would destroy something else, before any work is done.

    :raises InputError: it is a file, holds other things than a compiled AMI, or lies around the source
    :raises HostError: it cannot be looked at
    """
    try:
        _check_target(target, source)
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        why = error.strerror if isinstance(error, OSError) else error
        hint = "Choose a folder that you may write"
        raise HostError(f"the target cannot be written: {why}", where=target, hint=hint) from error


def _check_target(target: Path, source: Path) -> None:
    if target.exists() and not target.is_dir():
        raise InputError("the target is a file, not a folder", where=target, hint="Choose another name")
    if target.is_symlink() and not target.exists():
        raise InputError("the target is a link to nothing", where=target, hint="Remove it, or make the folder")
    if source.resolve() == target.resolve() or source.resolve().is_relative_to(target.resolve()):
        raise InputError("the target would replace the AMI source", where=target, hint="Choose a folder outside it")
    if target.is_dir() and not (target / COMPILE_JSON).is_file() and any(target.iterdir()):
        raise InputError(
            "the target holds other things than a compiled AMI",
            where=target,
            hint="Choose a new or empty folder; nothing was changed",
        )


def write_folder(work: Path, target: Path, files: Mapping[str, bytes | Path]) -> None:
    """Put ``files`` into ``target`` in one step: what was there is replaced whole. A ledger is kept, for it may name
    cloud resources that somebody still has to end.

    :param files: contents by name; a path (in ``work``) is moved

    :raises HostError: when the disk is full or the folder cannot be replaced; the old content stays
    """
    new = work / "new"
    try:
        new.mkdir(mode=0o755)
        for name, data in files.items():
            if isinstance(data, Path):
                data.rename(new / name)
            else:
                (new / name).write_bytes(data)
        if (target / LEDGER).is_file():
            shutil.copy2(target / LEDGER, new / LEDGER)
    except OSError as error:
        raise unwritable(error, target) from error
    put_in_place(new, target)
