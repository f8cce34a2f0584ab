"""Where the work is done: a temporary folder with enough room, in memory when there is some, gone when we are.

Also the checks that a disk has room. Nothing here knows what the work is.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import AmiError, HostError
from ..process import ProcessError, run
from ..progress import size
from .userns import FakeRoot

_SHM = Path("/dev/shm")
NO_SPACE = "No space left on device"
"""How tools say ENOSPC."""


def free(folder: Path) -> int:
    """Bytes that an ordinary user may still write to the file system of ``folder``."""
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


def require_space(folder: Path, need: int) -> None:
    """:raises HostError: less than ``need`` bytes are free in ``folder``"""
    available = free(folder)
    if available < need:
        raise HostError(
            f"not enough disk space: {size(need)} are needed and {size(available)} are free",
            where=folder,
            hint="Free some, or use a folder on another disk",
        )


def _memory_available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _usable(folder: Path, need: int) -> bool:
    try:
        executable = not os.statvfs(folder).f_flag & os.ST_NOEXEC
        return executable and os.access(folder, os.W_OK | os.X_OK) and free(folder) >= need
    except OSError:
        return False


def choose(need: int, fallback: Path) -> Path:
    """A folder with ``need`` bytes free, from which programs may run.

    ``$TMPDIR`` when it is set; else memory (tmpfs) when twice that is available; else the host's temporary folders;
    else ``fallback``.

    :raises HostError: none of them has room
    """
    candidates = [Path(tempfile.gettempdir()), Path("/var/tmp"), fallback]
    if "TMPDIR" not in os.environ and _memory_available() >= 2 * need:
        candidates.insert(0, _SHM)
    for folder in candidates:
        if _usable(folder, need):
            return folder
    require_space(fallback, need)
    raise HostError(
        "there is no folder to work in that allows programs to run",
        hint="Set TMPDIR to a folder that is writable and not mounted with noexec",
    )


@contextmanager
def workspace(root: FakeRoot, need: int, fallback: Path) -> Iterator[Path]:
    """A temporary folder, removed with everything in it however this ends, whoever owns what is in it."""
    folder = Path(tempfile.mkdtemp(prefix="jenkins-ami-scratch-", dir=choose(need, fallback)))
    try:
        folder.chmod(0o711)  # package tools drop to other users and have to pass through
        yield folder
    finally:
        run(root.argv("rm", "-rf", "--one-file-system", folder), check=False)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def partial_file(output: Path) -> Iterator[Path]:
    """A file beside ``output`` that becomes it when the block ends well, and vanishes when it does not.

    :raises HostError: there cannot be one
    """
    try:
        handle, name = tempfile.mkstemp(prefix=".jenkins-ami-", suffix=".part", dir=output.parent)
    except OSError as error:
        raise HostError(f"no file can be made: {error.strerror}", where=output.parent) from error
    os.close(handle)
    path = Path(name)
    try:
        yield path
        umask = os.umask(0)
        os.umask(umask)
        path.chmod(0o666 & ~umask)
        path.replace(output)
    finally:
        with suppress(FileNotFoundError):
            path.unlink()


@contextmanager
def explain_disk_full(*folders: Path) -> Iterator[None]:
    """Turn a disk that fills up in the middle into the one error that says so, naming the fullest of ``folders``."""
    try:
        yield
    except (OSError, ProcessError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENOSPC:
            raise
        if isinstance(error, ProcessError) and NO_SPACE not in error.stderr + error.stdout:
            raise
        fullest = min(folders, key=free)
        raise HostError(
            "no space left on the disk",
            where=fullest,
            hint="Free some, or use a folder on another disk (TMPDIR, JENKINS_AMI_CACHE and the output each have one)",
            detail=error.detail if isinstance(error, AmiError) else [],
        ) from error


def sparse_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file; its holes are hashed without being read, which would fill the page cache with zeros."""
    digest = hashlib.sha256()
    zeros = bytes(1 << 20)

    def feed_zeros(count: int) -> None:
        for _ in range(count // len(zeros)):
            digest.update(zeros)
        digest.update(zeros[: count % len(zeros)])

    with path.open("rb", buffering=0) as file:
        end = os.fstat(file.fileno()).st_size
        position = 0
        while position < end:
            try:
                start = os.lseek(file.fileno(), position, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:  # no data until the end
                    raise
                start = end
            feed_zeros(start - position)
            if start == end:
                break
            position = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            file.seek(start)
            while start < position:
                chunk = file.read(min(len(zeros), position - start))
                digest.update(chunk)
                start += len(chunk)
    return digest.hexdigest()
