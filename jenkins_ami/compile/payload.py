"""The user-data's bytes: a cloud-config, or a MIME message of several parts, gzipped, with a small overlay beside it.

What counts against EC2's limit is the final payload. An inlined overlay costs its own bytes and 6 more: it lies in the
*header* of the gzip stream, in the extra field that RFC 1952 (2.3.1.1) keeps for such things and every reader skips.
cloud-init keeps the user-data as it came, so the instance cuts it out there (``own.USER_DATA``). No base64, no second
compression of what is compressed.
"""

from __future__ import annotations

import quopri
import struct
import zlib
from collections.abc import Sequence
from email.message import Message
from typing import Any

from .assemble import Section
from .own import HEADER

SUBFIELD = b"JA"
"""The id of our subfield in gzip's extra field."""
LARGEST_EXTRA = 0xFFFF - 4


def config_text(config: dict[str, Any]) -> str:
    """A cloud-config document: keys in the order of the merge, texts of several lines as blocks."""
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        def ignore_aliases(self, _data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    body = yaml.dump(config, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=2**20, default_flow_style=False)
    return f"#cloud-config\n{body}"


def text_of(sections: Sequence[Section]) -> str:
    """The user-data as text: the one cloud-config alone, or a MIME message.

    cloud-init takes for a message whatever has ``mime-version:`` in its first 4,096 bytes
    (``user_data.convert_string``), a cloud-config that writes such a file included; then the message is a real one.
    """
    if len(sections) == 1 and sections[0].config is not None:
        text = config_text(sections[0].config.plain())
        if b"mime-version:" not in text.encode()[:4096].lower():
            return text
    return _message(sections)


def _message(sections: Sequence[Section]) -> str:
    bodies = [config_text(s.config.plain()) if s.config is not None else s.text for s in sections]
    boundary = "=jenkins-ami="
    while any(f"--{boundary}" in body for body in bodies):
        boundary = f"={boundary}"
    lines = ["MIME-Version: 1.0", f'Content-Type: multipart/mixed; boundary="{boundary}"', ""]
    for section, body in zip(sections, bodies, strict=True):
        lines += [f"--{boundary}", *_headers(section, body.isascii()), ""]
        lines.append(body if body.isascii() else quopri.encodestring(body.encode()).decode("ascii"))
    return "\n".join([*lines, f"--{boundary}--", ""])


def _headers(section: Section, ascii_only: bool) -> list[str]:
    header = Message()
    if section.config is None:
        header.add_header("Content-Disposition", "attachment", filename=_filename(section.name))
    charset = "" if ascii_only else "; charset=utf-8"
    lines = [f"Content-Type: {section.content_type}{charset}"]
    lines += [f"{key}: {value}" for key, value in header.items()]
    if section.merge_type:
        lines.append(f"X-Merge-Type: {section.merge_type}")
    if not ascii_only:
        lines.append("Content-Transfer-Encoding: quoted-printable")
    return lines


def _filename(name: str) -> Any:
    return name if name.isascii() else ("utf-8", "", name)


def compress(text: str, overlay: bytes = b"") -> bytes:
    """gzip without a time stamp or name, as small as can be; ``overlay`` lies in its header.

    :param overlay: at most :data:`LARGEST_EXTRA` bytes
    """
    raw = text.encode("utf-8")
    extra = SUBFIELD + struct.pack("<H", len(overlay)) + overlay if overlay else b""
    header = struct.pack("<2sBBLBB", b"\x1f\x8b", 8, 4 if extra else 0, 0, 2, 255)
    if extra:
        header += struct.pack("<H", len(extra))
        assert len(header) + 4 == HEADER
    trailer = struct.pack("<LL", zlib.crc32(raw), len(raw) & 0xFFFFFFFF)
    return header + extra + _deflate(raw) + trailer


def _deflate(raw: bytes) -> bytes:
    """By libdeflate at its slowest: some per cent smaller than zlib's best, and the same bytes on every processor."""
    import deflate

    return bytes(deflate.deflate_compress(raw, 12))
