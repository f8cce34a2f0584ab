"""Follow a shell script's quotes, as far as one must know whether a place in it is inside some.

No parser of shell: it knows quotes, escapes, comments and here-documents, and not the grammar around them.
"""

from __future__ import annotations

import re

_HERE = re.compile(r"<<(-?)[ \t]*(?:'([^'\n]+)'|\"([^\"\n]+)\"|\\?([A-Za-z_][A-Za-z0-9_]*))")
_WORD_ENDS = " \t\n;&|()<>"


class Quotes:
    """Is fed a script piece by piece; :attr:`inside` says in what the place after the last piece stands."""

    def __init__(self) -> None:
        self._quote = ""
        self._line = ""
        self._pending: list[tuple[str, bool]] = []
        self._documents: list[tuple[str, bool]] = []
        self._escaped = False

    @property
    def inside(self) -> str:
        """What the place is in, for people; empty outside of all quotes (and in comments)."""
        if self._documents:
            return "a here-document"
        names = {'"': "double quotes", "'": "single quotes", "$'": "single quotes", "`": "backticks"}
        return names.get(self._quote, "")

    def feed(self, text: str) -> None:
        """The script's next piece."""
        at = 0
        while at < len(text):
            at += self._step(text, at)

    def _step(self, text: str, at: int) -> int:
        """Look at one character (or a here-document's beginning); how many were read."""
        char = text[at]
        if char == "\n":
            self._end_line()
            return 1
        line, self._line = self._line, self._line + char
        if self._documents:
            return 1
        if self._escaped:
            self._escaped = False
        elif self._quote == "#":
            pass
        elif self._quote == "'":
            self._quote = "" if char == "'" else "'"
        elif char == "\\":
            self._escaped = True
        elif self._quote == "$'":
            self._quote = "" if char == "'" else "$'"
        elif self._quote:
            self._quote = "" if char == self._quote else self._quote
        elif char == "'":
            self._quote = "$'" if line.endswith("$") else "'"
        elif char in '"`':
            self._quote = char
        elif char == "#" and (not line or line[-1] in _WORD_ENDS):
            self._quote = "#"
        elif char == "<" and "((" not in line and not line.endswith("<"):
            match = _HERE.match(text, at)
            if match and not text.startswith("<<<", at):
                self._pending.append((match[2] or match[3] or match[4], match[1] == "-"))
                self._line += match[0][1:]
                return len(match[0])
        return 1

    def _end_line(self) -> None:
        line, self._line = self._line, ""
        self._escaped = False
        if self._documents:
            word, tabs = self._documents[0]
            if (line.lstrip("\t") if tabs else line) == word:
                self._documents.pop(0)
            return
        if self._quote == "#":
            self._quote = ""
        if not self._quote:
            self._documents, self._pending = self._pending, []
