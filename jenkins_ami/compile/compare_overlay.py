"""Compare two overlays as the tarballs that they travel in, without keeping either in memory.

A first pass takes each member's attributes and digest; a second one the contents of the few texts that are to be shown
by lines.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from ..errors import InputError
from .changes import ADDED, CHANGED, REMOVED, TEXT_LIMIT, Change, text_diff
from .members import INSTALL

SECTION = "overlay"
SHOWN_LIMIT = 4 * 2**20
"""Bytes of all texts together that are compared by lines."""

_ZSTD = b"\x28\xb5\x2f\xfd"
_KINDS = {tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hardlink"}


@dataclass(frozen=True)
class Packed:
    """One member: ``mode`` as octal digits, ``owner`` as ``user:group``, ``size`` in bytes, ``target`` of a link."""

    kind: str
    mode: str
    owner: str
    size: int = 0
    sha256: str = ""
    target: str = ""


Content = bytes | Path
"""A tarball, gzip or zstd: itself or its file."""


def compare_overlays(old: Content | None, new: Content | None) -> Iterator[Change]:
    """The differences, by name.

    :raises InputError: a tarball that cannot be read
    """
    before, after = _members(old), _members(new)
    shown = _shown(before, after)
    old_texts, new_texts = _texts(old, shown), _texts(new, shown)
    for name in sorted({*before, *after}):
        was, is_ = before.get(name), after.get(name)
        if was == is_:
            continue
        diff = text_diff(old_texts[name], new_texts[name]) if name in old_texts and name in new_texts else ()
        action = ADDED if was is None else REMOVED if is_ is None else CHANGED
        yield Change(SECTION, action, _shown_name(name), _plain(was), _plain(is_), diff=diff)


def _shown_name(name: str) -> str:
    return "script/install.sh" if name == INSTALL else f"fs/{name}"


def _plain(member: Packed | None) -> dict[str, object] | None:
    if member is None:
        return None
    wanted = {"file": ("size", "sha256"), "symlink": ("target",), "hardlink": ("target",)}.get(member.kind, ())
    return {key: value for key, value in asdict(member).items() if key in ("kind", "mode", "owner", *wanted)}


def _shown(before: dict[str, Packed], after: dict[str, Packed]) -> set[str]:
    """The names of files whose contents differ and may be compared by lines, within :data:`SHOWN_LIMIT`."""
    names = set()
    room = SHOWN_LIMIT
    for name in sorted(before.keys() & after.keys()):
        was, is_ = before[name], after[name]
        largest = max(was.size, is_.size)
        if was.kind == is_.kind == "file" and was.sha256 != is_.sha256 and largest <= min(TEXT_LIMIT, room):
            names.add(name)
            room -= largest
    return names


def _members(content: Content | None) -> dict[str, Packed]:
    found: dict[str, Packed] = {}
    with _told(content):
        for info, stream in _walk(content):
            kind = _KINDS.get(info.type, "file")
            owner = f"{info.uname or info.uid}:{info.gname or info.gid}"
            digest = hashlib.sha256()
            while stream is not None and (block := stream.read(2**20)):
                digest.update(block)
            sha256 = digest.hexdigest() if kind == "file" else ""
            found[info.name] = Packed(kind, f"{info.mode:04o}", owner, info.size, sha256, info.linkname)
    return found


def _texts(content: Content | None, names: set[str]) -> dict[str, bytes]:
    if not names:
        return {}
    with _told(content):
        return {info.name: stream.read() for info, stream in _walk(content) if stream and info.name in names}


def _walk(content: Content | None) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """The members in the order they lie there; each one's stream is good until the next."""
    if content is None:
        return
    with contextlib.ExitStack() as stack:
        raw: IO[bytes] = content.open("rb") if isinstance(content, Path) else io.BytesIO(content)
        unpacked: Any = _Unpacked(stack.enter_context(raw))
        archive = stack.enter_context(tarfile.open(fileobj=unpacked, mode="r|", bufsize=2**20))
        for info in archive:
            archive.members = []  # type: ignore[attr-defined]  # or it would remember them all
            yield info, archive.extractfile(info) if info.isreg() else None


@contextlib.contextmanager
def _told(content: Content | None) -> Iterator[None]:
    """A tarball that cannot be read is the user's to know of."""
    try:
        yield
    except (tarfile.TarError, OSError) as error:
        raise InputError(
            f"the overlay cannot be read: {error}",
            where=content if isinstance(content, Path) else "the overlay in the user-data",
            hint="Run 'jenkins-ami compile' again",
        ) from error


class _Unpacked:
    """What a packed stream holds; its damages are errors of a file."""

    def __init__(self, raw: IO[bytes]) -> None:
        start = raw.read(4)
        raw.seek(0)
        if start == _ZSTD:
            import zstandard

            self._stream: Any = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
            self._error: Any = zstandard.ZstdError
        else:
            from isal import igzip, isal_zlib

            self._stream = igzip.IGzipFile(fileobj=raw, mode="rb")  # type: ignore[no-untyped-call]
            self._error = isal_zlib.error

    def read(self, size: int) -> bytes:
        try:
            return bytes(self._stream.read(size))
        except (self._error, EOFError) as error:
            raise OSError(str(error)) from error
