"""Write a compiled AMI: all of it or nothing, with nothing stale beside it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..artifacts import COMPILE_JSON, LEDGER
from ..errors import HostError, InputError


def check_target(target: Path, source: Path) -> None:
    """Refuse a target that would destroy something else, before any work is done.

    :raises InputError: it is a file, holds other things than a compiled AMI, or lies around the source
    """
    if target.exists() and not target.is_dir():
        raise InputError("the target is a file, not a folder", where=target)
    if source.resolve() == target.resolve() or source.resolve().is_relative_to(target.resolve()):
        raise InputError("the target would replace the AMI source", where=target, hint="Choose a folder outside it")
    if target.is_dir() and not (target / COMPILE_JSON).is_file() and any(target.iterdir()):
        raise InputError(
            "the target holds other things than a compiled AMI",
            where=target,
            hint="Choose a new or empty folder; nothing was changed",
        )


@contextmanager
def work_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside the target, so that the finished result can be renamed into place.

    :raises HostError: when the target's parent cannot be made or written
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise HostError(
            f"the target cannot be written: {error.strerror}", where=target, hint="Choose a folder that you may write"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_folder(work: Path, target: Path, files: Mapping[str, bytes]) -> None:
    """Put ``files`` into ``target`` in one step: what was there is replaced whole. A ledger is kept, for it may name
    cloud resources that somebody still has to end.

    :raises HostError: when the disk is full or the folder cannot be replaced; the old content stays
    """
    new, old = work / "new", work / "old"
    try:
        new.mkdir(mode=0o755)
        for name, data in files.items():
            (new / name).write_bytes(data)
        if (target / LEDGER).is_file():
            shutil.copy2(target / LEDGER, new / LEDGER)
        if target.is_dir():
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if old.is_dir():
                old.rename(target)
            raise
    except OSError as error:
        raise HostError(
            f"the target cannot be written: {error.strerror}", where=target, hint="The old content is unchanged"
        ) from error
