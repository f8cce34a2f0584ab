"""The copy of an AMI source in which ``compile.sh`` works: how it is made, named in findings, and removed."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ..errors import HostError, InputError, Location
from ..findings import Finding

_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFBLK: "a device", stat.S_IFCHR: "a device"}


def copy_source(root: Path, copy: Path, leave_out: Iterable[Path] = ()) -> None:
    """Copy a source: contents, modes, times, hard links among its files, symlinks as what they say. No ``.git``.

    Sockets, pipes and devices cannot travel: in ``fs/`` they are an error, elsewhere they are left out.

    :param leave_out: folders inside ``root`` that are not part of it (where we work, for one)
    :raises InputError: something of the source cannot be read
    :raises HostError: the copy cannot be written
    """
    skipped = {(entry.st_dev, entry.st_ino) for entry in (path.stat() for path in leave_out)}
    _copy_folder(root, copy, root, skipped, {})


def _copy_folder(
    folder: Path, copy: Path, root: Path, skipped: set[tuple[int, int]], linked: dict[tuple[int, int], Path]
) -> None:
    with _reading(folder):
        entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
        whole = folder.stat()
    with _writing(copy):
        copy.mkdir(mode=0o700)
    for entry in entries:
        path, target = folder / entry.name, copy / entry.name
        with _reading(path):
            info = entry.stat(follow_symlinks=False)
        identity = (info.st_dev, info.st_ino)
        if entry.name == ".git" or identity in skipped:
            continue
        if stat.S_ISDIR(info.st_mode):
            _copy_folder(path, target, root, skipped, linked)
        elif stat.S_ISLNK(info.st_mode):
            with _reading(path):
                target.symlink_to(path.readlink())
        elif not stat.S_ISREG(info.st_mode):
            if path.relative_to(root).parts[0] == "fs":
                kind = _KINDS.get(stat.S_IFMT(info.st_mode), "no file")
                raise InputError(f"{kind} cannot be put into an overlay", where=path, hint="Remove it")
        elif identity in linked:
            with _writing(target):
                os.link(linked[identity], target)
        else:
            if info.st_nlink > 1:
                linked[identity] = target
            _copy_file(path, target, info)
    with _writing(copy):
        copy.chmod(stat.S_IMODE(whole.st_mode))
        os.utime(copy, ns=(whole.st_atime_ns, whole.st_mtime_ns))


def _copy_file(path: Path, target: Path, info: os.stat_result) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from error
    with _writing(target):
        shutil.copyfile(path, target)
        target.chmod(stat.S_IMODE(info.st_mode))
        os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from error


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "Free some space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
        raise HostError(f"the source cannot be copied: {error.strerror}", where=path, hint=hint) from error


def give_to(folder: Path, owner: int) -> None:
    """Make a user and its group of the same number the owner of a tree.

    :raises HostError: only root may do that
    """
    with _writing(folder):
        for _, folders, files, parent in os.fwalk(folder):
            os.chown(parent, owner, owner)
            for name in (*folders, *files):
                os.chown(name, owner, owner, dir_fd=parent, follow_symlinks=False)


def as_named(finding: Finding, copy: Path, root: Path) -> Finding:
    """A finding in the copy (or in ``root`` already) as one in the source that the user named; it says so when the
    file is not as it is there."""
    file = Path(finding.where.file)
    for base in (copy, root):
        if copy != root and file.is_relative_to(base):
            name = file.relative_to(base)
            break
    else:
        return finding
    made, given = copy / name, root / name
    what = finding.what
    if not os.path.lexists(given):
        if os.path.lexists(made):
            what += "; compile.sh made it"
    elif made.is_file() and given.is_file() and not filecmp.cmp(made, given, shallow=False):
        what += "; compile.sh changed it"
    where = Location(given, finding.where.line, finding.where.column)
    return replace(finding, what=what, where=where)
