"""Output folders that are replaced whole or not at all: a work folder beside the target, then a rename."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import HostError


@contextmanager
def work_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside the target, so that the finished result can be renamed into place.

    :raises HostError: when the target's parent cannot be made or written
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent.absolute()))
    except OSError as error:
        raise HostError(
            f"the target cannot be written: {error.strerror}", where=target, hint="Choose a folder that you may write"
        ) from error
    try:
        yield folder
    except HostError as error:
        if str(error.where).startswith(f"{folder}/"):  # nobody knows this folder
            error.where = target
        raise
    finally:
        remove_tree(folder)


def put_in_place(new: Path, target: Path) -> None:
    """Rename ``new`` (in a work folder) to ``target``; what was there goes with the work folder.

    :raises HostError: when it cannot be replaced; the old content stays
    """
    old = new.with_name("old")
    try:
        if target.is_dir():
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if old.is_dir():
                old.rename(target)
            raise
    except OSError as error:
        raise unwritable(error, target) from error


def unwritable(error: OSError, target: Path) -> HostError:
    """What to say when ``target`` could not be written."""
    return HostError(
        f"the target cannot be written: {error.strerror}", where=target, hint="The old content is unchanged"
    )


def remove_tree(folder: Path) -> None:
    """Remove a tree, also one with folders that nobody may read or change; what resists stays."""
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
        for parent, folders, _ in os.walk(folder):
            for path in (Path(parent, name) for name in folders):
                if not path.is_symlink():
                    path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
