"""Secrets in clear in a source: private keys, credentials of clouds and services, passwords.

Anyone on an instance can read its user-data, and anyone who may launch an image can read its files. What is found is
never printed. Looked at are parts, scripts, ``ami.env``, ``ami.yaml`` and the overlay's text files; in a cloud-config
the keys that take a password too. What a secret looks like is in ``patterns``.
"""

from __future__ import annotations

import base64
import binascii
import bisect
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import Location
from ...findings import ERROR, Findings
from ...source.model import AmiSource
from ...yamlfile import Node
from .patterns import BASE64_SIGNS, TOKENS, Hit, assignments, has_words, is_literal, is_password, is_secret, tokens
from .scripts import read

if TYPE_CHECKING:
    from ..members import Member
    from ..parts import Loaded

RULE = "secret"
LARGEST = 1 << 20
"""Bytes; a file of the overlay larger than that is no configuration, and is left alone."""
LARGEST_CONFIGURATION = 256 << 10
"""Bytes; in larger files of the overlay assignments are not looked for."""

_HINT = "Fetch it at run time, or allow it by 'checks: {{allow_secrets: [{name}]}}' in ami.yaml"
_SIGNS = (
    *(b"PRIVATE KEY", b"AKIA", b"ASIA", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"),
    *(sign.encode() for sign, _, _ in TOKENS if len(sign) > 2),
    *(b"glpat-", b"glrt-", b"gldt-", b"glcbt-", b"glptt-", b"glsoat-"),
    *(sign.encode() for sign in BASE64_SIGNS),
)
"""One of these is in every file in which :func:`tokens` finds something; searching bytes is fast."""
_BINARY = re.compile(
    r".*\.(?:7z|a|bin|bz2|class|deb|dll|exe|gif|gz|ico|iso|jar|jpe?g|mo|mp[34]|o|pdf|png|py[co]|rpm|so|tar|tgz|ttf|war"
    r"|webp|whl|woff2?|xz|zip|zst)\Z"
)
_CONFIGURATION = re.compile(
    r"(?:etc|root|home|srv|opt|var/lib|usr/local)/.*|[^/]+\Z|.*\.(?:env|conf|cfg|ini|properties|ya?ml|toml)\Z"
)
_PROGRAM = re.compile(
    r".*\.(?:pyi?|js|ts|c|h|cc|cpp|rb|pl|pm|php|go|java|lua|md|rst|html?|css|txt|po|svg|xml|vim|el)\Z"
)
_OF_OTHERS = re.compile(r"(?:\A|/)(?:site-packages|dist-packages|node_modules|share/doc|testdata|\.git)/")


class Text:
    """A text with the places of its characters.

    :param where: of its first character; the lines after the first begin at the same column
    """

    def __init__(self, text: str, where: Location) -> None:
        self.text = text
        self._where = where
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def place(self, offset: int) -> Location:
        row = bisect.bisect_right(self._starts, offset) - 1
        column = offset - self._starts[row] + max(self._where.column, 1)
        return Location(self._where.file, max(self._where.line, 1) + row, column)


class SecretsCheck:
    """Looks at one source, and reports each line once.

    :param root: the source as the user named it; ``source.root`` may be a work copy
    """

    def __init__(self, source: AmiSource, root: Path, findings: Findings) -> None:
        self._source = source
        self._root = root
        self._findings = findings
        self._lines: set[tuple[str, int]] = set()

    def allowed(self, name: str) -> bool:
        """Whether ``ami.yaml`` says to find nothing in the file ``name`` (relative to the source)."""
        return any(fnmatchcase(name, glob) for glob in self._source.identity.secrets_allowed)

    def text(self, text: str, where: Location, *, shell_only: bool = False, only_tokens: bool = False) -> None:
        """A file's whole text."""
        hits = list(tokens(text))
        if not only_tokens:
            hits += assignments(text, shell_only=shell_only)
        if hits:
            placed = Text(text, where)
            for hit in sorted(hits, key=lambda hit: (hit.level, hit.start)):
                self._add(hit, placed.place(hit.start))

    def part(self, part: Loaded) -> None:
        """A part of the payload: its text, and what a cloud-config's keys mean."""
        if self.allowed(part.name.split("#")[0]):
            return
        self.text(part.text, part.where, shell_only=part.config is not None)
        if part.config is not None:
            self._document(part.config, part)

    def files(self) -> None:
        """``ami.env``, ``ami.yaml`` and the scripts."""
        source = self._source
        for path in (source.root / "ami.env", source.root / "ami.yaml", source.compile_script, source.install_script):
            if path is None or not path.is_file():
                continue
            name = path.relative_to(source.root).as_posix()
            data = read(path, Location(self._root / name), self._findings)
            if not self.allowed(name) and b"\0" not in data:
                text = data.decode("utf-8", "replace")
                self.text(text, Location(self._root / name, 1, 1), shell_only=name != "ami.yaml")

    def members(self, members: Sequence[Member], *, thorough: bool) -> None:
        """The overlay's text files, one at a time: what configures something, or all of them when ``thorough``."""
        for member in members:
            if member.kind != "file" or not 0 < member.size <= LARGEST or member.path == self._source.install_script:
                continue
            configuration = member.size <= LARGEST_CONFIGURATION and _is_configuration(member.name)
            if not (thorough or configuration) or _BINARY.match(member.name) or self.allowed(f"fs/{member.name}"):
                continue
            where = Location(member.where.file, 1, 1)
            data = read(member.path, where, self._findings)
            signs = any(sign in data for sign in _SIGNS) or (configuration and _may_assign(data))
            if signs and b"\0" not in data[:8192]:
                self.text(data.decode("utf-8", "replace"), where, only_tokens=not configuration)

    def _document(self, document: Node, part: Loaded) -> None:
        for path, key, node in _walk(document, (), set()):
            if isinstance(node.value, str) and node.value:
                self._scalar(path, key, node, part)
        for entry in _entries(document, "write_files"):
            content, encoding = entry.get("content"), entry.get("encoding")
            if content is not None and encoding is not None and isinstance(content.value, str):
                for hit in _inside(content.value, str(encoding.value)):
                    self._add(hit, content.where)
                    break
        for entry in _entries(document.value.get("chpasswd"), "users"):
            password, kind = entry.get("password"), entry.get("type")
            if password is not None and isinstance(password.value, str):
                said = str(kind.value).lower() if kind is not None else "hash"
                if said == "text" and is_literal(password.value):
                    self._add(Hit(0, "a password in clear"), password.where)

    def _scalar(self, path: tuple[str, ...], key: str, node: Node, part: Loaded) -> None:
        value, top = node.value, path[0]
        if key in ("passwd", "hashed_passwd", "hashed-passwd") and top in ("users", "user"):
            if is_password(value):
                self._add(Hit(0, f"'{key}' is no hash but a password in clear"), node.where)
        elif key in ("plain_text_passwd", "plain-text-passwd") or (top == "password" and len(path) == 1):
            if is_password(value):
                self._add(Hit(0, f"'{key}' with its value in clear"), node.where)
        elif top == "chpasswd":
            for line in value.splitlines() if "list" in path else ():
                user, colon, password = line.strip().partition(":")
                if colon and is_password(password) and password not in ("R", "RANDOM"):
                    self._add(Hit(0, f"the password of '{user[:32]}' in clear"), self._at(line.strip(), node, part))
        elif is_secret(key, value):
            self._add(Hit(0, f"'{key}' with its value in clear"), node.where)
        if "\n" in value and top not in ("runcmd", "bootcmd"):
            for hit in assignments(value):
                line = value[value.rfind("\n", 0, hit.start) + 1 :].partition("\n")[0]
                self._add(hit, self._at(line.strip(), node, part))

    @staticmethod
    def _at(line: str, node: Node, part: Loaded) -> Location:
        """The place of a line of a scalar in its file; the scalar's own where it is not spelled out there."""
        lines = part.text.splitlines()
        for row in range(max(node.where.line - part.where.line, 0), len(lines)):
            column = lines[row].find(line)
            if line and column >= 0:
                offset = max(part.where.column, 1)
                return Location(node.where.file, part.where.line + row, column + offset)
        return node.where

    def _name(self, where: Location) -> str:
        file = Path(where.file)
        return file.relative_to(self._root).as_posix() if file.is_relative_to(self._root) else file.name

    def _add(self, hit: Hit, where: Location) -> None:
        key = (str(where.file), where.line)
        if key in self._lines:
            return
        self._lines.add(key)
        hint = _HINT.format(name=self._name(where))
        add = self._findings.error if hit.level == ERROR else self._findings.warn
        add(RULE, hit.what, where, hint)


def _is_configuration(name: str) -> bool:
    """Where an assignment is a setting. In programs and their documentation it hardly ever is."""
    return bool(_CONFIGURATION.match(name)) and not _PROGRAM.match(name) and not _OF_OTHERS.search(name)


def _may_assign(data: bytes) -> bool:
    return has_words(data.lower()) or (b"://" in data and b"@" in data)


def _walk(node: Node, path: tuple[str, ...], seen: set[int]) -> Iterator[tuple[tuple[str, ...], str, Node]]:
    """All scalars: the keys down to each (lists add none), the last of them, the node; what is aliased once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node.value, dict):
        for key, value in node.value.items():
            yield from _walk(value, (*path, str(key)), seen)
    elif isinstance(node.value, list):
        for item in node.value:
            yield from _walk(item, path, seen)
    elif path:
        yield path, path[-1], node


def _entries(node: Node | None, key: str) -> Iterator[dict[Any, Node]]:
    """The mappings in the list at ``key``."""
    if node is not None and isinstance(node.value, dict) and key in node.value:
        items = node.value[key].value
        for item in items if isinstance(items, list) else ():
            if isinstance(item.value, dict):
                yield item.value


def _inside(content: str, encoding: str) -> Iterator[Hit]:
    """Secrets in the decoded content of a ``write_files`` entry."""
    import zlib

    encoding = encoding.lower()
    if not encoding.endswith(("b64", "base64")):
        return
    try:
        data = base64.b64decode(re.sub(r"\s", "", content))
        if encoding.startswith("gz"):
            data = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, LARGEST)
    except (binascii.Error, zlib.error, ValueError):
        return
    text = data[:LARGEST].decode("utf-8", "replace")
    if "\0" not in text[:8192]:
        yield from tokens(text)
        yield from assignments(text)
