"""``ami.env``: shell assignments, read without a shell.

What is understood is what such files hold: ``NAME=value`` lines, ``export``, comments, both kinds of quotes, ``$NAME``
and ``${NAME}`` of an assignment further up. Whatever would run something (``$(…)``, backticks, ``;``) is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, Location

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=")
_REFERENCE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_TYPOGRAPHIC = "\u201c\u201d\u201e\u2018\u2019"
_ESCAPED_IN_QUOTES = '$`"\\'
_BYTE_ORDER_MARK = "\ufeff"
_CONTROL = re.compile(rf"\A{_BYTE_ORDER_MARK}|[\x00-\x08\x0a-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Assignment:
    """A value and the place of its name."""

    value: str
    where: Location


def parse(text: str, file: str | Path) -> dict[str, Assignment]:
    """The assignments of an ``ami.env``; a later one of the same name wins, as in a shell.

    :raises InputError: with line and column for anything else than assignments and comments
    """
    found: dict[str, Assignment] = {}
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if bad := _CONTROL.search(line):
            if bad[0] == _BYTE_ORDER_MARK:
                what, hint = "the file begins with a byte order mark", "Save it as UTF-8 without one (BOM)"
            else:
                what, hint = f"character U+{ord(bad[0]):04X} is not allowed", "Remove it"
            raise InputError(what, where=Location(file, number, bad.start() + 1), hint=hint)
        match = _ASSIGNMENT.match(line)
        if match is None:
            raise InputError(
                f"not an assignment: {line.strip()[:40]}",
                where=Location(file, number, len(line) - len(line.lstrip()) + 1),
                hint="Write NAME=value, without spaces around '='",
            )
        value = _value(line, match.end(), Location(file, number), found)
        found[match[1]] = Assignment(value, Location(file, number, match.start(1) + 1))
    return found


def _value(line: str, start: int, where: Location, known: dict[str, Assignment]) -> str:
    def refuse(what: str, at: int, hint: str) -> InputError:
        return InputError(what, where=Location(where.file, where.line, at + 1), hint=hint)

    def expand(at: int) -> tuple[str, int]:
        match = _REFERENCE.match(line, at)
        if match is None:
            raise refuse(
                "'$' begins something that only a shell can do", at, "Write the value itself, or quote with ''"
            )
        name = match[1] or match[2]
        if name not in known:
            raise refuse(f"${name} is not assigned above", at, "Assign it first, or write the value itself")
        return known[name].value, match.end()

    out: list[str] = []
    at = start
    while at < len(line):
        char = line[at]
        if char == "'":
            end = line.find("'", at + 1)
            if end < 0:
                raise refuse("a quote is not closed on its line", at, "Close it with '")
            out.append(line[at + 1 : end])
            at = end + 1
        elif char == '"':
            opened = at
            at += 1
            while at < len(line) and line[at] != '"':
                if line[at] == "\\" and line[at + 1 : at + 2] in _ESCAPED_IN_QUOTES and at + 1 < len(line):
                    out.append(line[at + 1])
                    at += 2
                elif line[at] == "$":
                    text, at = expand(at)
                    out.append(text)
                elif line[at] == "`":
                    raise refuse("a backtick would run a command", at, "Write the value itself")
                else:
                    out.append(line[at])
                    at += 1
            if at >= len(line):
                raise refuse("a quote is not closed on its line", opened, 'Close it with "')
            at += 1
        elif char == "\\" and at + 1 < len(line):
            out.append(line[at + 1])
            at += 2
        elif char == "$":
            text, at = expand(at)
            out.append(text)
        elif char in " \t":
            rest = line[at:].lstrip()
            if rest and not rest.startswith("#"):
                what, hint = f"'{rest[:30].rstrip()}' after the value", "Quote a value that contains spaces"
                if any(quote in line for quote in _TYPOGRAPHIC):
                    hint += " with \" or ': a shell knows no other quotes"
                raise refuse(what, len(line) - len(rest), hint)
            break
        elif char == "\\":
            raise refuse("a value cannot go on in the next line", at, "Write it on one line")
        elif char in "`;&|<>()":
            raise refuse(
                f"'{char}' is for a shell, and this is read without one", at, "Quote it if it belongs to the value"
            )
        else:
            out.append(char)
            at += 1
    return "".join(out)
