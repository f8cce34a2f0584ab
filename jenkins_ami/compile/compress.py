"""Compress a stream: as small as can be when it may fit into user-data, else fast, on all cores, in constant memory.

Which bytes come out must not depend on the machine. libdeflate and zstd give the same on every processor. igzip is
twice as fast, but its hash is the processor's CRC-32C instruction: the x86-64 processors that have SSE4.2 (since 2008)
agree, others do not. So a known text is packed first; where it comes out differently, libdeflate does all.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from threading import Condition, Lock

BLOCK = 4 << 20
"""Raw bytes that are packed by themselves, as one member of the gzip file (RFC 1952, 2.2)."""
INLINE = 32 << 10
"""Bytes up to which a result may end up in user-data, so that a smaller one is worth any time."""

Read = Callable[[memoryview], int]
Write = Callable[[bytes], None]

_MOST_WORKERS = 8
_KNOWN = "eef67edf22d7327894c8531ee91faef8e740859881e1ae1d2bcc80e1b7b19585"


def smallest_gzip(data: bytes) -> bytes:
    """For tarballs of a few MiB at most."""
    import deflate

    packed = bytes(deflate.gzip_compress(data, 6))
    if len(packed) <= INLINE:
        packed = min((bytes(deflate.gzip_compress(data, level)) for level in (10, 11, 12)), key=len)
    return packed


def smallest_zstd(data: bytes) -> bytes:
    """For tarballs of a few MiB at most."""
    import zstandard

    packed: bytes = zstandard.ZstdCompressor(level=9).compress(data)
    if len(packed) <= INLINE:
        packed = zstandard.ZstdCompressor(level=19).compress(data)
    return packed


def gzip(read: Read, write: Write) -> None:
    """Pack what ``read`` fills buffers with, until it fills none. Both are called by one thread at a time."""
    from concurrent.futures import ThreadPoolExecutor

    blocks = _Blocks(read, write, _igzip if igzip_is_usual() else _libdeflate)
    with ThreadPoolExecutor(_workers()) as pool:
        try:
            for worker in [pool.submit(blocks.work) for _ in range(_workers())]:
                worker.result()
        finally:
            blocks.stop()


class _Blocks:
    """Workers that each take a block, pack it, and write it when those before it are written.

    They read and write themselves, for a thread that did that for them would keep them waiting for Python's lock.
    """

    def __init__(self, read: Read, write: Write, pack: Callable[[memoryview], bytes]) -> None:
        self._read, self._write, self._pack = read, write, pack
        self._reading = Lock()
        self._turns = Condition()
        self._taken = self._written = 0
        self._stopped = False

    def work(self) -> None:
        buffer = memoryview(bytearray(BLOCK))
        try:
            while True:
                with self._reading:
                    count = 0 if self._stopped else self._read(buffer)
                    number = self._taken
                    self._taken += 1
                if not count:
                    return
                packed = self._pack(buffer[:count])
                with self._turns:
                    while self._written != number and not self._stopped:
                        self._turns.wait()
                    if self._stopped:
                        return
                    self._write(packed)
                    self._written += 1
                    self._turns.notify_all()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Let no worker wait, or begin another block."""
        with self._turns:
            self._stopped = True
            self._turns.notify_all()


def zstd(read: Read, write: Write, size: int) -> None:
    """The same for zstd.

    :param size: bytes that will be read
    """
    import zstandard

    # any number of threads gives the same bytes (zstd.h, ZSTD_c_nbWorkers), but none gives others than one
    packer = zstandard.ZstdCompressor(level=3, threads=_workers()).compressobj(size=size)
    buffer = memoryview(bytearray(1 << 20))
    while count := read(buffer):
        if packed := packer.compress(buffer[:count]):
            write(packed)
    write(packer.flush())


def _workers() -> int:
    return min(len(os.sched_getaffinity(0)), _MOST_WORKERS)


def _igzip(data: memoryview | bytes) -> bytes:
    from isal import isal_zlib

    # level 3 is another algorithm where there is AVX2; with memLevel 3 shorter pieces get Huffman codes of their own
    packer = isal_zlib.compressobj(2, isal_zlib.DEFLATED, 31, 3)
    return bytes(packer.compress(data)) + bytes(packer.flush())


def _libdeflate(data: memoryview) -> bytes:
    import deflate

    return bytes(deflate.gzip_compress(data, 1))


@cache
def igzip_is_usual() -> bool:
    """Whether igzip packs a known text, on this processor, to the bytes that most processors make of it."""
    digest = b""
    words = [(digest := hashlib.sha256(digest).digest())[: 2 + digest[0] % 9] for _ in range(700)]
    text = b"".join(words[digest[i % 32] * i * i % 700] for i in range(1, 40_000))
    return hashlib.sha256(_igzip(text)).hexdigest() == _KNOWN
