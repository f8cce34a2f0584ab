"""A tarball as a stream: GNU tar's format, the same bytes for the same members, no more than one block in memory.

Times are 0, for the instance sets that of the build; owners are names with number 0, or numbers without a name. Why not
``tarfile``: its header takes longer than reading a small file. (Format: GNU tar manual, "Basic Tar Format".)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from struct import Struct
from types import TracebackType

from ..errors import InputError
from .members import FILE, FOLDER, HARDLINK, SYMLINK, Member

RECORD = 512
_TYPES = {FILE: b"0", HARDLINK: b"1", SYMLINK: b"2", FOLDER: b"5"}
_NAME = 100
"""Bytes of a name or a link's target in a header. Longer ones go before it, as content of a type of their own."""
_LAYOUT = Struct("100s8s8s8s12s12s8sc100s8s32s32s183x")
_NO_SUM = b" " * 8
"""What stands for the checksum while it is computed."""
_SMALL = 64 << 10
"""Bytes of a file up to which it is read in one go, beside the buffer, which takes fewer steps."""
_END = bytes(2 * RECORD)


def length(members: Sequence[Member]) -> int:
    """Bytes of the tarball, before compression."""
    total = len(_END)
    for member in members:
        total += RECORD + -(-member.size // RECORD) * RECORD
        for text in (os.fsencode(member.name) + b"/" * (member.kind == FOLDER), os.fsencode(member.link)):
            if len(text) > _NAME:
                total += RECORD + -(-(len(text) + 1) // RECORD) * RECORD
    return total


def header(member: Member) -> bytes:
    """What stands before a member's content: one record, and more where a name is long."""
    name = os.fsencode(member.name)
    if member.kind == FOLDER:
        name += b"/"
    link = os.fsencode(member.link)
    own = _record(name, link, _TYPES[member.kind], member.mode, member.size, _owner(member.owner, member.group))
    if len(name) > _NAME:
        own = _long(b"L", name) + own
    if len(link) > _NAME:
        own = _long(b"K", link) + own
    return own


def _long(kind: bytes, text: bytes) -> bytes:
    content = text + bytes(1)
    return _record(b"././@LongLink", b"", kind, 0o644, len(content), _owner("root", "root")) + _padded(content)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % RECORD)


def _record(name: bytes, link: bytes, kind: bytes, mode: int, size: int, owner: tuple[bytes, ...]) -> bytes:
    uid, gid, uname, gname = owner
    record = bytearray(
        _LAYOUT.pack(
            name, b"%07o" % mode, uid, gid, _number(size, 12), b"0" * 11, _NO_SUM, kind, link, b"ustar  ", uname, gname
        )
    )
    record[148:156] = b"%06o\0 " % sum(record.replace(b"\0", b""))
    return bytes(record)


def _number(value: int, width: int) -> bytes:
    """Octal digits; base 256 for what does not fit (GNU tar manual, "Other Extensions": the first bit says so)."""
    if value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    return b"\x80" + value.to_bytes(width - 1, "big")


@lru_cache
def _owner(user: str, group: str) -> tuple[bytes, ...]:
    pair = (user, group)
    ids = [_number(int(text) if text.isdigit() else 0, 8) for text in pair]
    return (*ids, *(b"" if text.isdigit() else text.encode() for text in pair))


class TarStream:
    """The tarball of some members, to be read once, from front to back."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members: Iterator[Member] = iter(members)
        self._pending = b""
        self._ended = False
        self._file = -1
        self._member: Member | None = None
        self._left = 0

    def __enter__(self) -> TarStream:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._close()

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer, or as much of it as there is left; the number of bytes.

        :raises InputError: a file is no longer there, or not what it was when it was scanned
        """
        used, room = 0, len(buffer)
        while used < room:
            if self._pending:
                count = min(len(self._pending), room - used)
                buffer[used : used + count] = self._pending[:count]
                self._pending = self._pending[count:]
                used += count
            elif self._file >= 0:
                used += self._read(buffer[used:])
            elif not self._next():
                break
        return used

    def _next(self) -> bool:
        member = next(self._members, None)
        if member is None:
            if self._ended:
                return False
            self._ended = True
            self._pending = _END
        elif member.kind == FILE:
            self._open(member)
        else:
            self._pending = header(member)
        return True

    def _open(self, member: Member) -> None:
        try:
            # not through a link, not waiting for a pipe: whatever took the file's place since it was scanned
            self._file = os.open(member.file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            if member.size > _SMALL:
                self._member, self._left = member, member.size
                self._pending = header(member)
                return
            content = os.read(self._file, member.size + 1)
            while len(content) < member.size and (more := os.read(self._file, member.size + 1 - len(content))):
                content += more
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", where=member.where) from error
        if len(content) != member.size:
            raise _changed(member)
        self._close()
        self._pending = b"".join((header(member), content, bytes(-member.size % RECORD)))

    def _read(self, buffer: memoryview) -> int:
        member = self._member
        assert member is not None
        try:
            count = os.readv(self._file, [buffer[: self._left]])
            is_changed = not count or (count == self._left and os.read(self._file, 1) != b"")
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", where=member.where) from error
        if is_changed:
            raise _changed(member)
        self._left -= count
        if not self._left:
            self._close()
            self._pending = bytes(-member.size % RECORD)
        return count

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _changed(member: Member) -> InputError:
    hint = "Something else writes into the source: let it end first"
    return InputError("changed while it was packed", where=member.where, hint=hint)
