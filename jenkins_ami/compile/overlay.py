"""Write the overlay's tarball: ``fs.tgz``, or ``fs.tar.zst``. The same members give the same bytes.

What is in it is ``members``' business, the tar format ``archive``'s, the compression ``compress``'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..artifacts import OVERLAY, OVERLAY_ZSTD
from ..errors import HostError
from ..progress import Progress, size
from . import compress
from .archive import TarStream, length
from .members import INSTALL, Member

FILES = {"gzip": OVERLAY, "zstd": OVERLAY_ZSTD}
"""The tarball's name by its compression."""
SMALL = 4 << 20
"""Bytes of a tarball, before compression, up to which it may end up in user-data and is packed as well as can be."""


@dataclass(frozen=True)
class Tarball:
    """A tarball on disk.

    :ivar size: in bytes
    :ivar has_install: whether ``script/install.sh`` is in it
    :ivar compression: ``gzip`` or ``zstd``
    :ivar owners: the distinct ``user:group`` with a name other than root, which the instance must have; sorted
    """

    path: Path
    size: int
    sha256: str
    has_install: bool
    compression: str
    owners: tuple[str, ...]


class _Output:
    """A file that is measured while it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._digest = hashlib.sha256()
        try:
            self._stream = path.open("wb", buffering=0)
        except OSError as error:
            raise self._failed(error) from error

    def write(self, data: bytes) -> None:
        self._digest.update(data)
        self.size += len(data)
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._stream.write(rest) :]
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> str:
        """The content's sha256."""
        self._stream.close()
        return self._digest.hexdigest()

    def _failed(self, error: OSError) -> HostError:
        return HostError(f"the overlay cannot be written: {error.strerror}", where=self.path)


def pack(members: Sequence[Member], folder: Path, compression: str, progress: Progress) -> Tarball | None:
    """Write the tarball into ``folder``; ``None`` when there are no members.

    :raises InputError: a file changed, or went away, since it was scanned
    :raises HostError: the disk is full
    """
    if not members:
        return None
    total = length(members)
    with progress.step("pack the overlay", total) as step:
        output = _Output(folder / FILES[compression])
        try:
            with TarStream(members) as stream:
                done = 0

                def read(buffer: memoryview) -> int:
                    nonlocal done
                    count = stream.readinto(buffer)
                    done += count
                    step.advance(done)
                    return count

                if total <= SMALL:
                    buffer = bytearray(total)
                    read(memoryview(buffer))
                    smallest = compress.smallest_gzip if compression == "gzip" else compress.smallest_zstd
                    output.write(smallest(bytes(buffer)))
                elif compression == "gzip":
                    compress.gzip(read, output.write)
                else:
                    compress.zstd(read, output.write, total)
            digest = output.close()
        except BaseException:
            output.close()
            output.path.unlink(missing_ok=True)
            raise
        step.done(f"{len(members)} files, {size(total)} in {size(output.size)}")
    return Tarball(
        output.path,
        output.size,
        digest,
        any(member.name == INSTALL for member in members),
        compression,
        _owners(members),
    )


def _owners(members: Sequence[Member]) -> tuple[str, ...]:
    pairs = {(member.owner, member.group) for member in members}
    return tuple(
        sorted(
            f"{user}:{group}" for user, group in pairs if any(x != "root" and not x.isdigit() for x in (user, group))
        )
    )
