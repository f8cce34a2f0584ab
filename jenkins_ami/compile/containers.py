"""Files of ``cloudinit/`` that hold several parts: an archive, a MIME message. They are taken apart as cloud-init does.

(``UserDataProcessor`` of ``cloudinit/user_data.py``.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError, Location
from ..yamlfile import Node, parse
from .kinds import kind_of_text

_MIME = re.compile(rb"\A(?:[A-Za-z-]+:[^\n]*\n(?:[ \t][^\n]*\n)*)+\r?\n")
_COMPRESSED = ("gzip", "gunzip", "compress")
_DEFECTS = {
    "CloseBoundaryNotFoundDefect": "its last line, --BOUNDARY--, is missing",
    "StartBoundaryNotFoundDefect": "no part begins with --BOUNDARY",
    "NoBoundaryInMultipartDefect": "its Content-Type states no boundary",
    "MultipartInvariantViolationDefect": "it is multipart and has no parts",
    "MissingHeaderBodySeparatorDefect": "no empty line ends its headers",
}
"""What the classes of ``email.errors`` mean."""


@dataclass(frozen=True)
class Raw:
    """A part whose kind is not known yet: declared type (may be empty), headers in lower case, and the text."""

    name: str
    where: Location
    text: str
    declared: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    nested: bool = False
    variables: Mapping[str, object] | None = None

    @property
    def merge_type(self) -> str:
        """What its headers state about merging, or empty (``CloudConfigPartHandler._extract_mergers``)."""
        return self.headers.get("merge-type") or self.headers.get("x-merge-type") or ""


def is_message(data: bytes) -> bool:
    """Whether a file begins with the headers of a MIME message."""
    return bool(_MIME.match(data)) and not data.startswith((b"#", b"-")) and b"content-" in data[:4096].lower()


def archive(name: str, text: str, shown: Path) -> Iterator[Raw]:
    """The entries of a ``#cloud-config-archive`` (``UserDataProcessor._explode_archive``)."""
    document = parse(text, shown)
    if document.value == []:
        raise InputError("the archive has no entries", where=document.where, hint="Remove it, or give it some")
    if not isinstance(document.value, list):
        hint = "Begin each entry with '- '"
        raise InputError(f"the archive is {document.kind}, not a list of parts", where=document.where, hint=hint)
    lines = text.splitlines()
    for number, entry in enumerate(document.value, 1):
        node = entry
        fields: dict[str, Node] = {}
        if isinstance(entry.value, dict):
            fields = entry.value
            node = fields.get("content", Node(None, entry.where))
        if not isinstance(node.value, str) or not node.value.strip():
            hint = "Write 'content: |', and the text indented below it"
            raise InputError(f"entry {number} of the archive has no text as content", where=entry.where, hint=hint)
        headers = {str(key).lower(): str(value.value) for key, value in fields.items()}
        where = _content_place(lines, node.where)
        declared = headers.get("type", "")
        if not declared and not kind_of_text(node.value):
            declared = "text/cloud-config"
        yield Raw(f"{name}#{number}", where, node.value, declared, headers, nested=True)


def _content_place(lines: list[str], where: Location) -> Location:
    """Where the text of a scalar begins: for a block (``|``, ``>``) that is its first line that is not empty."""
    line = lines[where.line - 1]
    if line[where.column - 1 : where.column] not in ("|", ">"):
        return where
    number = where.line
    while number < len(lines) and not lines[number].strip():
        number += 1
    first = lines[number] if number < len(lines) else ""
    return Location(where.file, number + 1, len(first) - len(first.lstrip()) + 1)


def message_parts(name: str, data: bytes, shown: Path) -> Iterator[Raw]:
    """The parts of a MIME message (``UserDataProcessor._process_msg``)."""
    import email

    if b"mime-version:" not in data[:4096].lower():
        what = "a MIME message without a MIME-Version header: cloud-init would not recognise it"
        raise InputError(what, where=Location(shown, 1), hint="Add 'MIME-Version: 1.0'")
    message = email.message_from_bytes(data)
    if message.defects:
        defect = type(message.defects[0]).__name__
        what = f"the MIME message is broken: {_DEFECTS.get(defect, defect)}"
        raise InputError(what, where=Location(shown, 1), hint="'cloud-init devel make-mime' writes good ones")
    whole = data.decode("utf-8", "replace").replace("\r\n", "\n")
    found, number = 0, 0
    for part in message.walk():
        if part.is_multipart():
            continue
        number += 1
        payload = part.get_payload(decode=True)
        content = payload if isinstance(payload, bytes) else b""
        declared = part.get_content_type()
        at = Location(shown, 1)
        if any(declared.endswith(word) for word in _COMPRESSED):
            raise InputError(f"part {number} is compressed", where=at, hint="Compile compresses; put it in as it is")
        try:
            text = content.decode(part.get_content_charset() or "utf-8").replace("\r\n", "\n")
        except (UnicodeDecodeError, LookupError) as error:
            charset = part.get_content_charset() or "utf-8"
            what, hint = (
                f"part {number} of the message is no text in {charset}",
                "Save it as UTF-8, or state its charset",
            )
            raise InputError(what, where=at, hint=hint) from error
        if (position := whole.find(text, found)) >= 0 and text.strip():
            at = Location(shown, whole.count("\n", 0, position) + 1, 1)
            found = position + len(text)
        if not text.strip():
            raise InputError(f"part {number} of the message is empty", where=at, hint="Remove it")
        headers = {key.lower(): str(value) for key, value in part.items()}
        yield Raw(f"{name}#{number}", at, text, declared, headers, nested=True)
    if not number:
        raise InputError("the MIME message has no parts", where=Location(shown, 1))
