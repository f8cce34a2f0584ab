"""Texts of strangers for Gerrit's pages: shown as what they are, never obeyed.

Gerrit escapes HTML, renders messages and comments as Markdown (polygerrit-ui's ``gr-formatted-text``), and turns URLs
and its ``commentlink`` patterns into links everywhere but in code. Old versions, and mails, know paragraphs, lists,
quotes and lines that begin with a blank, which are kept as they are. What is said here reads well in both: prose in
paragraphs, with whatever could mean something to Markdown in backticks; blocks indented by four blanks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import one_line, visible, without_stop

_INDENT = "    "
_TEMPLATE = re.compile(r"<(GERRIT_ACCOUNT)_", re.IGNORECASE)
_HARMLESS = re.compile(
    r"""(?!.*//)(?!.*\d\.\d.*/)  # no URL
    ["'(]* [^\W_]
    (?: [^\W_] | [,;:'"()/%=+-] | (?<=\d)\.(?=\d) | (?<=[^\W_])_(?=[^\W_]) )*
    [.]? ['")]* [.,;:]?""",
    re.VERBOSE,
)
"""A word that Markdown leaves as it is, in which nothing looks like a link."""
_LONG = 200


def shown(text: str) -> str:
    """A text on one line, with all that is invisible or turns the order of letters around as an escape.

    ``<GERRIT_ACCOUNT_1>`` in a message is that account's name to Gerrit (``ChangeMessageInfo``): here it stays text.
    """
    return _TEMPLATE.sub(r"<\1-", one_line(text))


def code(text: str) -> str:
    """A text as code in a line of prose."""
    return f"`{shown(text).replace('`', chr(39))}`"


def prose(text: str) -> str:
    """A sentence in which only words that mean something to Markdown are code.

    >>> prose("there is no key '__proto__', see https://example.com")
    "there is no key `'__proto__',` see `https://example.com`"
    """
    said: list[str] = []
    odd: list[str] = []
    for word in [*shown(text).split(" "), ""]:
        begins_list = not said and not odd and re.match(r"\d+[.)]", word)
        harmless = len(word) <= _LONG and _HARMLESS.fullmatch(word) and not begins_list
        if not word or harmless:
            if odd:
                said.append(code(" ".join(odd)))
                odd = []
            if word:
                said.append(word)
        else:
            odd.append(word)
    return " ".join(said)


def sentence(text: str) -> str:
    """:func:`prose` with a full stop."""
    said = prose(without_stop(one_line(text)))
    if said.isdigit():  # with a full stop it would begin a list
        said = code(said)
    return said if said.endswith((".", "…", "?", "!")) else f"{said}."


def block(lines: Iterable[str]) -> list[str]:
    """Lines that are shown as they are. An empty line must stand before and after them."""
    return [(_INDENT + _TEMPLATE.sub(r"<\1-", visible(line))).rstrip() for line in lines]


def cut(text: str, length: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def length(text: str) -> int:
    """As Gerrit counts: Java's characters, of which an emoji is two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def plural(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def some(items: list[str], most: int) -> list[str]:
    """The first ones, and how many more there are."""
    return items if len(items) <= most else [*items[:most], f"… and {len(items) - most} more"]
