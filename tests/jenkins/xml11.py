"""Java's parser of XML 1.1, with its faults (rule 3 of the recordings): ``]`` that are lost, CDATA that does not end.

Declarations of a document type are not read: no recording has one with XML 1.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

NAME = r"[A-Za-z_:\u00c0-\U000effff][\w:.\-\u00b7]*"
_ATTRIBUTE = re.compile(rf"\s+({NAME})\s*=\s*(\"[^<\"]*\"|'[^<']*')")
# The scanner, after "]]" and something else, goes on behind the "]]": an odd number of "]" hides the end of CDATA.
_TOKEN = re.compile(
    r"""
     (?P<text>[^<]+)
    |</(?P<end>NAME)\s*>
    |<(?P<start>NAME)(?P<attributes>(?:\s+NAME\s*=\s*(?:"[^<"]*"|'[^<']*'))*)\s*(?P<empty>/?)>
    |<!--(?P<comment>(?:[^-]|-(?!-))*)-->
    |<!\[CDATA\[(?P<cdata>(?:[^\]]|\](?!\])|\]\](?!>))*)\]\]>
    |<\?(?P<pi>(?![xX][mM][lL][\s?]).*?)\?>
    """.replace("NAME", NAME),
    re.S | re.X,
)
_INVALID = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE = re.compile(rf"&(?:#([0-9]+)|#x([0-9a-fA-F]+)|({NAME}));|&")
_ENTITIES = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}

TEXT, CDATA, COMMENT, PI, START, END = "text", "cdata", "comment", "pi", "start", "end"
Event = tuple[str, str, tuple[tuple[str, str], ...]]
"""Kind, text or name, attributes."""


class NotXml(Exception):
    """Java's parser would have thrown a SAXParseException."""


def read(text: str, position: int, *, loses: bool) -> list[Event]:
    """The events of a document from ``position``, the end of its declaration.

    :param loses: whether brackets are lost
    :raises NotXml: it is not well-formed
    """
    text = re.sub("\r[\n\x85]|[\r\x85\u2028]", "\n", text)
    text = _with_lost_brackets(text) if loses else text
    if found := _INVALID.search(text):
        raise NotXml(f"An invalid XML character (Unicode: {ord(found[0]):#x}) was found in the element content")
    return list(_events(text, position))


def _with_lost_brackets(text: str) -> str:
    """A ``]`` is lost where one of the parser's buffers ends.

    Offsets, and that it is every second ``]``, are fitted to xml-1.1-corruption.json; the fault itself is Java's.
    """
    places = sorted({first + 8191 * turn for first in (8034, 8309) for turn in range(len(text) // 8191 + 1)})
    for place in reversed(places):
        if text[place : place + 1] == "]" and text.count("]", 0, place) % 2:
            text = text[:place] + text[place + 1 :]
    return text


def _events(text: str, position: int) -> Iterator[Event]:
    open_names: list[str] = []
    done, end = False, len(text)
    while position < end:
        token = _TOKEN.match(text, position)
        if token is None:
            raise NotXml(f"The markup is not well-formed at offset {position}")
        position, kind = token.end(), token.lastgroup
        if kind == "text":
            value = token["text"]
            if not open_names:
                if value.strip(" \t\n"):
                    raise NotXml("Content is not allowed in prolog or in trailing section")
                continue
            if "]]>" in value:
                raise NotXml('The character sequence "]]>" must not appear in content')
            yield TEXT, _resolved(value), ()
        elif kind == "end":
            if not open_names or open_names.pop() != token["end"]:
                raise NotXml("An element must be terminated by the matching end-tag")
            done = not open_names
            yield END, token["end"], ()
        elif kind == "empty":
            if done:
                raise NotXml("The markup in the document following the root element must be well-formed")
            name = token["start"]
            yield START, name, _attributes(token["attributes"])
            if token["empty"]:
                done = not open_names
                yield END, name, ()
            else:
                open_names.append(name)
        elif kind == "cdata" and not open_names:
            raise NotXml("Content is not allowed in prolog")
        else:
            assert kind in (CDATA, COMMENT, PI)
            yield kind, token[kind], ()
    if open_names or not done:
        raise NotXml("Premature end of file.")


def _attributes(text: str) -> tuple[tuple[str, str], ...]:
    found = [(name, _resolved(re.sub("[\t\n]", " ", quoted[1:-1]))) for name, quoted in _ATTRIBUTE.findall(text)]
    if len(dict(found)) < len(found):
        raise NotXml("Attribute was already specified")
    return tuple(found)


def _resolved(text: str) -> str:
    return _REFERENCE.sub(_referred, text) if "&" in text else text


def _referred(match: re.Match[str]) -> str:
    if match[1] or match[2]:
        number = int(match[1]) if match[1] else int(match[2], 16)
        if not 0 < number <= 0x10FFFF:
            raise NotXml(f'Character reference "{match[0]}" is an invalid XML character.')
        return chr(number)
    if match[3] not in _ENTITIES:
        raise NotXml(f'The entity "{match[3]}" was referenced, but not declared.')
    return _ENTITIES[match[3]]
