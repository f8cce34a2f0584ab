"""The shell scripts of a source, each with a way from its lines back to the file. Only gathers; ``shell`` checks.

These are parts, ``compile.sh`` and ``install.sh``, executables of ``write_files``, and the commands of ``runcmd`` and
``bootcmd``, which cloud-init joins to one ``#!/bin/sh`` script (``util.shellify``). Only ``sh`` and ``bash`` count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ...errors import Location
from ...findings import Findings
from ...source.model import AmiSource
from ...yamlfile import Node

if TYPE_CHECKING:
    from ..members import Member
    from ..parts import Loaded

LINE_ENDS = "shell-line-ends"
LARGEST = 256 << 10
"""Bytes; a larger script of the overlay is an installer with its payload inside."""

Place = Callable[[int, int], Location]
"""From a row and a column of a text, both from 1."""

_SHELLS = {"sh": "sh", "dash": "sh", "ash": "sh", "busybox": "sh", "bash": "bash"}
_LITERAL_BLOCK = re.compile(r"\|[+-]?[0-9]?[+-]?\s*(#.*)?\Z")


@dataclass(frozen=True)
class Script:
    """A text for a shell.

    :ivar shell: ``sh`` or ``bash``
    :ivar pieces: of joined commands, each one by itself
    :ivar exact: whether columns are those of the file too
    :ivar path: a file with the same content; without it the text is all there is
    """

    shell: str
    text: str
    place: Place
    pieces: tuple[Script, ...] = ()
    exact: bool = False
    path: Path | None = None


def interpreter(text: str) -> str | None:
    """``sh`` or ``bash`` by the ``#!`` line, or ``None`` for another interpreter or none."""
    if not text.startswith("#!"):
        return None
    words = text[2:].split("\n", 1)[0].split()
    names = [PurePosixPath(word).name for word in words if not word.startswith("-") and "=" not in word]
    if names[:1] == ["env"]:
        names = names[1:]
    return _SHELLS.get(names[0]) if names else None


def of_source(source: AmiSource, root: Path, findings: Findings) -> Iterator[Script]:
    """``compile.sh`` and ``install.sh``; what could not even be started becomes a finding.

    :param root: the source as the user named it
    """
    for path in (source.compile_script, source.install_script):
        if path is None:
            continue
        shown = root / path.relative_to(source.root)
        data = read(path, Location(shown), findings)
        if b"\0" in data:
            continue
        if data.split(b"\n", 1)[0].endswith(b"\r"):
            hint = "Save it with LF, and write '*.sh text eol=lf' into .gitattributes"
            findings.error(LINE_ENDS, "Windows line ends, which no shell understands", Location(shown, 1), hint)
            continue
        text = data.decode("utf-8", "replace")
        if shell := interpreter(text if text.startswith("#!") else "#!/bin/sh"):
            yield Script(shell, text, _straight(Location(shown, 1, 1)), exact=True, path=path)


def read(path: Path, where: Location, findings: Findings) -> bytes:
    """A file's content; nothing and a finding when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        findings.error("file", f"cannot be read: {error.strerror}", where)
        return b""


def of_parts(parts: Iterable[Loaded], source: AmiSource) -> Iterator[Script]:
    """Parts that are scripts, and scripts that cloud-configs write."""
    for part in parts:
        if part.config is not None:
            yield from _written(part.config, part)
        elif part.kind in ("script", "boothook") or part.kind.startswith("per-"):
            body = part.text.split("\n", 1)[-1].lstrip() if part.kind == "boothook" else part.text
            if shell := interpreter(body):
                path = source.root / part.name
                same = path.is_file() and path.read_bytes() == part.text.encode()
                yield Script(shell, part.text, _straight(part.where), exact=True, path=path if same else None)


def of_overlay(members: Iterable[Member], source: AmiSource) -> Iterator[Script]:
    """Files of the overlay that begin with ``#!``. One that cannot be opened is told by the check for secrets."""
    for member in members:
        if member.kind != "file" or not 4 < member.size <= LARGEST or member.path == source.install_script:
            continue
        try:
            with member.path.open("rb") as stream:
                first = stream.read(128)
        except OSError:
            continue
        if shell := interpreter(first.decode("utf-8", "replace")):
            yield Script(shell, "", _straight(Location(member.where.file, 1, 1)), exact=True, path=member.path)


def commands(parts: Iterable[Loaded]) -> Iterator[Script]:
    """``bootcmd`` and ``runcmd`` of each part, joined as cloud-init does."""
    for part in parts:
        for key in ("bootcmd", "runcmd"):
            node = part.config.value.get(key) if part.config is not None else None
            if node is not None and isinstance(node.value, list) and (script := _joined(node, part)):
                yield script


def _joined(node: Node, part: Loaded) -> Script | None:
    rows: list[str] = []
    places: list[Location] = []
    pieces: list[Script] = []
    for entry in node.value:
        if isinstance(entry.value, str):
            own = _rows(entry, part)
            text = entry.value.rstrip("\n")
            pieces.append(Script("sh", f"{text}\n", _listed(own)))
            rows += text.split("\n")
            places += own
        elif entry.value is not None:  # words, which cloud-init quotes
            rows.append(":")
            places.append(entry.where)
    return Script("sh", "\n".join([*rows, ""]), _listed(places), tuple(pieces)) if pieces else None


def _written(config: Node, part: Loaded) -> Iterator[Script]:
    files = config.value.get("write_files")
    for entry in files.value if files is not None and isinstance(files.value, list) else ():
        content = entry.value.get("content") if isinstance(entry.value, dict) else None
        if content is None or not isinstance(content.value, str) or entry.value.get("encoding"):
            continue
        if shell := interpreter(content.value):
            yield Script(shell, content.value, _listed(_rows(content, part)))


def _rows(node: Node, part: Loaded) -> list[Location]:
    """Where each row of a scalar stands: exact for ``|``; the scalar's beginning for what YAML folds."""
    count = node.value.rstrip("\n").count("\n") + 1
    lines = part.text.splitlines()
    index = node.where.line - part.where.line
    head = lines[index][node.where.column - max(part.where.column, 1) :] if 0 <= index < len(lines) else ""
    if not _LITERAL_BLOCK.match(head):
        return [node.where] * count
    return [Location(node.where.file, node.where.line + 1 + row) for row in range(count)]


def _straight(first: Location) -> Place:
    line, column = max(first.line, 1), max(first.column, 1)
    return lambda row, at: Location(first.file, line + row - 1, column + at - 1)


def _listed(places: Sequence[Location]) -> Place:
    return lambda row, _: places[max(0, min(row, len(places)) - 1)]
