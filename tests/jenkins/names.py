"""Which names of items and views Jenkins takes: Jenkins.checkGoodName, with the messages of item-names.json."""

from __future__ import annotations

OPEN, CLOSE = "\u2018", "\u2019"
"""The curly quotes of the messages."""
_UNSAFE = frozenset("?*/\\%!@#$^&|<>[]:;")
MAX_BYTES = 255


def problem(name: str) -> str:
    """Why a name is refused (400, as ``X-Error``), or empty. Names are trimmed by Jenkins, before and after."""
    name = name.strip()
    if not name:
        return "No name is specified"
    if name in (".", ".."):
        return f"“{name}” is not an allowed name"
    for char in name:
        if ord(char) < 32 or 127 <= ord(char) < 160:
            return f"No control code is allowed: {_printable(name)}"
        if char in _UNSAFE:
            return f"{OPEN}{char}{CLOSE} is an unsafe character"
    if name.endswith("."):
        return f"A name cannot end with {OPEN}.{CLOSE}"
    return ""


def taken(name: str) -> str:
    return f"A job already exists with the name {OPEN}{name}{CLOSE}"


def unknown_type(mode: str) -> str:
    return f"No item type {OPEN}{mode}{CLOSE} is known"


def _printable(name: str) -> str:
    return "".join(f"\\u{ord(char)};" if ord(char) < 32 or 127 <= ord(char) < 160 else char for char in name)
