"""Pack ``fs/`` and ``script/install.sh`` into ``fs.tgz``: the same tree gives the same bytes.

Members are sorted by name; owner is root:root; times are zero (the instance sets the time of the build); modes are kept
but for write permission of group and others, in which two checkouts with different umasks differ.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path

from ..errors import InputError
from ..source.model import AmiSource
from .own import HERE, INSTALL_SCRIPT, Tarball

_KINDS = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
    stat.S_IFIFO: "a named pipe",
}


def pack(source: AmiSource) -> Tarball | None:
    """The tarball of a source, or ``None`` when it has neither an overlay nor an ``install.sh``.

    :raises InputError: for a file that cannot be read, is no file, folder or link, or lies where compile keeps its own
    """
    members: list[tuple[str, Path]] = []
    if source.overlay is not None:
        members = sorted(_walk(source.overlay, source.overlay), key=lambda member: os.fsencode(member[0]))
    if source.install_script is not None:
        members.append((INSTALL_SCRIPT.lstrip("/"), source.install_script))
    if not members:
        return None
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9, mtime=0, filename="") as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for name, path in members:
                _add(archive, name, path, is_install=path == source.install_script)
    data = buffer.getvalue()
    return Tarball(data, hashlib.sha256(data).hexdigest(), source.install_script is not None)


def _walk(folder: Path, root: Path) -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=folder) from error
    for entry in entries:
        path = Path(entry.path)
        name = str(path.relative_to(root))
        if f"/{name}/".startswith(f"{HERE}/"):
            raise InputError(f"/{name} is used by the build itself", where=path, hint="Choose another place")
        if name == ".gitkeep" or entry.name == ".gitkeep":
            continue  # how Git is made to keep an empty folder; nobody wants it on a machine
        found.append((name, path))
        if entry.is_dir(follow_symlinks=False):
            found += _walk(path, root)
    return found


def _add(archive: tarfile.TarFile, name: str, path: Path, *, is_install: bool) -> None:
    try:
        status = path.lstat()
        info = tarfile.TarInfo(name)
        info.mode = 0o700 if is_install else stat.S_IMODE(status.st_mode) & ~0o022
        info.uname = info.gname = "root"
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
        elif kind == stat.S_IFLNK:
            info.type = tarfile.SYMTYPE
            info.linkname = str(path.readlink())
            info.mode = 0o777
            archive.addfile(info)
        elif kind == stat.S_IFREG:
            with path.open("rb") as stream:
                info.size = os.fstat(stream.fileno()).st_size
                archive.addfile(info, stream)
        else:
            raise InputError(f"{_KINDS.get(kind, 'an unknown kind of file')} cannot be in an overlay", where=path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from error
