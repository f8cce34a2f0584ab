"""Names of Jenkins items from any text: what Jenkins refuses is written in hexadecimal, and no two texts meet."""

from __future__ import annotations

import hashlib
import re

LONGEST = 200
"""Bytes of a name. Jenkins' limit is that of a file's name, 255 (recorded), and it appends suffixes to some."""

_UNSAFE = re.compile(r"[?*/\\%!@#$^&|<>\[\]:;]")
_ESCAPED = re.compile(r"[?*/\\%!@#$^&|<>\[\]:;~,]|^ | $|\.\Z")
"""A comma, which Jenkins takes in a name, separates jobs in a list of upstream jobs."""


def name_problem(name: str) -> str:
    """Why Jenkins refuses an item's name, empty when it does not (recorded: hudson.model.Jenkins.checkGoodName)."""
    if not name.strip():
        return "a name is empty"
    if name != name.strip():
        return "a name begins or ends with a space"
    if found := _UNSAFE.search(name):
        return f"'{found[0]}' is an unsafe character"
    if not name.isprintable():
        return "a control character is in it"
    if name.endswith("."):
        return "a name ends with '.'"
    return f"a name is longer than {LONGEST} bytes" if len(name.encode()) > LONGEST else ""


def item_name(text: str) -> str:
    """A legal name for any text: ``a:b`` is ``a~3ab``. Different texts have different names.

    What is refused becomes ``~`` and the two hexadecimal digits of each of its UTF-8 bytes, as does ``~`` itself; a
    name that is too long is cut and ends with ``~~`` and 16 digits of its digest.
    """
    name = _ESCAPED.sub(_hexadecimal, text)
    if not name.isprintable():
        name = "".join(char if char.isprintable() else _hex(char) for char in name)
    if len(name.encode()) > LONGEST:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        head = name.encode()[: LONGEST - len(digest) - 2].decode("utf-8", "ignore")
        name = f"{head}~~{digest}"
    return name


def _hexadecimal(match: re.Match[str]) -> str:
    return _hex(match[0])


def _hex(char: str) -> str:
    return "".join(f"~{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
