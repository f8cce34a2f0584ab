"""What a build or a verification left, as far as it is there: every part may be missing, cut off or broken.

The files come from other agents and from strangers' commits. So only regular files are read, never through a link: one
in a folder of artifacts could lead to something of this machine's.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..artifacts import (
    AMI_JSON,
    CLOUD_CONFIG,
    COMPILE_JSON,
    CONSOLE_LOG,
    FAILURE_JSON,
    LEDGER,
    TEST_CONSOLE_LOG,
    BuildResult,
    Failure,
    Manifest,
    read_json,
)
from ..cloud.ledger import Book, read_book
from ..errors import AmiError, InputError
from ..verification import VERIFICATION, Verification, read_verification

FILES = (
    AMI_JSON,
    FAILURE_JSON,
    CONSOLE_LOG,
    TEST_CONSOLE_LOG,
    COMPILE_JSON,
    CLOUD_CONFIG,
    LEDGER,
    VERIFICATION,
)
"""What is looked for, in the order in which the page links to it."""

CONSOLE_LIMIT = 131_072
"""Bytes of a console's end that are read: twice of what EC2 keeps, for a build may have had several instances."""
CONFIG_LIMIT = 65_536
"""Bytes of a cloud-config's beginning that are read."""

T = TypeVar("T")


@dataclass(frozen=True)
class Left:
    """What was found.

    :ivar paths: of the files, by their names
    :ivar console, test_console: the end of each, as bytes
    :ivar config: the beginning of the cloud-config
    :ivar cut: names of the files of which that is not all
    :ivar sources: by the folder of each source of the verification, what its compile and boot left
    :ivar problems: why a file that is there does not count, each a line
    """

    paths: dict[str, Path]
    manifest: Manifest | None = None
    result: BuildResult | None = None
    failure: Failure | None = None
    console: bytes = b""
    test_console: bytes = b""
    config: str = ""
    cut: tuple[str, ...] = ()
    book: Book | None = None
    verification: Verification | None = None
    sources: dict[str, Left] | None = None
    problems: tuple[str, ...] = ()


def read(folders: Sequence[Path]) -> Left:
    """Read what is in these folders; of a file that several have, the first.

    :raises InputError: none of them has anything
    """
    left = _read(folders)
    if not left.paths:
        where = " ".join(str(folder) for folder in folders)
        hint = f"A build or a verification leaves {AMI_JSON}, {FAILURE_JSON}, {LEDGER} or {VERIFICATION}"
        raise InputError("there is nothing here to report on", where=where, hint=hint)
    return left


def _read(folders: Sequence[Path]) -> Left:
    problems: list[str] = []
    paths: dict[str, Path] = {}
    for name in FILES:
        for folder in folders:
            path = folder / name
            if name in paths or not os.path.lexists(path):
                continue
            if path.is_symlink() or not path.is_file():
                problems.append(f"{path} is no regular file, and is not read")
            else:
                paths[name] = path

    def of(name: str, reader: Callable[[Path], T]) -> T | None:
        if name not in paths:
            return None
        try:
            return reader(paths[name])
        except AmiError as error:
            problems.append(error.line())
            return None

    console = of(CONSOLE_LOG, lambda path: _bytes(path, CONSOLE_LIMIT, end=True))
    test_console = of(TEST_CONSOLE_LOG, lambda path: _bytes(path, CONSOLE_LIMIT, end=True))
    config = of(CLOUD_CONFIG, lambda path: _bytes(path, CONFIG_LIMIT))
    parts = ((CONSOLE_LOG, console), (TEST_CONSOLE_LOG, test_console), (CLOUD_CONFIG, config))
    verification = of(VERIFICATION, read_verification)
    return Left(
        paths=paths,
        manifest=of(COMPILE_JSON, lambda path: read_json(Manifest, path, "compile")),
        result=of(AMI_JSON, lambda path: read_json(BuildResult, path, "build")),
        failure=of(FAILURE_JSON, lambda path: read_json(Failure, path, "build")),
        console=console[0] if console else b"",
        test_console=test_console[0] if test_console else b"",
        config=config[0].decode("utf-8", "replace") if config else "",
        cut=tuple(name for name, part in parts if part and part[1]),
        book=of(LEDGER, read_book),
        verification=verification,
        sources=_sources(verification, paths[VERIFICATION].parent) if verification else None,
        problems=tuple(problems),
    )


def _sources(verification: Verification, folder: Path) -> dict[str, Left]:
    """What the sources of a verification have left. The folder's name comes from a stranger's commit."""
    found = {}
    for source in verification.sources:
        plain = source.files not in ("", ".", "..") and "/" not in source.files and "\0" not in source.files
        if plain and not (folder / source.files).is_symlink():
            boot = folder / source.files / "boot"
            found[source.folder] = _read([folder / source.files, *([] if boot.is_symlink() else [boot])])
    return found


def _bytes(path: Path, limit: int, *, end: bool = False) -> tuple[bytes, bool]:
    """The beginning or the end of a file, and whether that is not all.

    :raises InputError: it cannot be read, or is no regular file
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError("this is no regular file", where=path)
            cut = status.st_size > limit
            if cut and end:
                stream.seek(-limit, os.SEEK_END)
            return stream.read(limit), cut
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}", where=path) from error
