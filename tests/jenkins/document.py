"""XML as Jenkins reads and stores it: Java's parser with its faults, and the identity transform of rule 1.

``read`` makes events of a document; ``identity`` makes of them the text that Jenkins stores; ``tree`` the elements that
XStream sees. What XStream makes of those is ``xstream``'s. Documents of XML 1.1 are read by ``xml11``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from . import xml11
from .xml11 import CDATA, COMMENT, END, PI, START, TEXT, Event, NotXml

_DECLARATION = re.compile(r"<\?xml\s+version\s*=\s*[\"'](1\.[01])[\"'][^?]*\?>")


@dataclass
class Document:
    """What was read: the version of the declaration, and everything after it."""

    version: str
    events: list[Event]


@dataclass(slots=True)
class Node:
    """An element as XStream's reader sees it: text up to the first thing that is not text, attributes, children.

    ``is_text`` is for those that XStream has made: a string, which is never written as ``<a/>``.
    """

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list[Node] = field(default_factory=list)
    is_text: bool = False

    def find(self, path: str) -> Node | None:
        """The last child of a name (XStream lets a later one win), or a grandchild: ``a/b``."""
        head, _, rest = path.partition("/")
        for child in reversed(self.children):
            if child.name == head:
                return child.find(rest) if rest else child
        return None

    def value(self, path: str, default: str = "") -> str:
        found = self.find(path)
        return default if found is None else found.text

    def set(self, name: str, text: str) -> None:
        found = self.find(name)
        if found is None:
            found = Node(name, is_text=True)
            self.children.append(found)
        found.text = text

    def drop(self, name: str) -> None:
        self.children = [child for child in self.children if child.name != name]

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()


def decode(body: bytes) -> str:
    """Bytes as a parser takes them that is given bytes: byte order mark, else the declaration, else UTF-8."""
    if body.startswith(b"\xef\xbb\xbf"):
        return body[3:].decode("utf-8")
    declared = re.match(rb"<\?xml[^>]*encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']", body)
    try:
        return body.decode(declared[1].decode() if declared else "utf-8")
    except (LookupError, UnicodeDecodeError) as error:
        raise NotXml(f"Invalid byte: {error}") from error


def read(text: str, *, loses: bool = True) -> Document:
    """Tokens of a whole document.

    :param loses: whether a document of XML 1.1 loses what rule 3 says
    :raises NotXml: as Java's parser would refuse it
    """
    declaration = _DECLARATION.match(text)
    if declaration and declaration[1] == "1.1":
        return Document("1.1", xml11.read(text, declaration.end(), loses=loses))
    return Document("1.0", _read(text))


def _read(text: str) -> list[Event]:
    events: list[Event] = []
    cdata: list[str] | None = None

    def start(name: str, attributes: list[str]) -> None:
        events.append((START, name, tuple(zip(attributes[::2], attributes[1::2], strict=True))))

    def characters(data: str) -> None:
        if cdata is None:
            events.append((TEXT, data, ()))
        else:
            cdata.append(data)

    def begin_cdata() -> None:
        nonlocal cdata
        cdata = []

    def end_cdata() -> None:
        nonlocal cdata
        events.append((CDATA, "".join(cdata or ()), ()))
        cdata = None

    reader = expat.ParserCreate("utf-8")
    reader.buffer_text = reader.ordered_attributes = True
    reader.StartElementHandler, reader.CharacterDataHandler = start, characters
    reader.EndElementHandler = lambda name: events.append((END, name, ()))
    reader.StartCdataSectionHandler, reader.EndCdataSectionHandler = begin_cdata, end_cdata
    reader.CommentHandler = lambda data: events.append((COMMENT, data, ()))
    reader.ProcessingInstructionHandler = lambda target, data: events.append((PI, f"{target} {data}", ()))
    try:
        reader.Parse(text.encode(), True)
    except (expat.ExpatError, UnicodeEncodeError) as error:
        raise NotXml(str(error)) from error
    return events


# Writing

_IN_TEXT = re.compile("[<>&\x00-\x08\x0b-\x1f\x7f-\x9f\U00010000-\U0010ffff]")
_IN_ATTRIBUTE = re.compile('[<>&"\x00-\x1f\x7f-\x9f\U00010000-\U0010ffff]')
_NAMED = {"<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;"}


def _as_reference(match: re.Match[str]) -> str:
    char = match[0]
    return _NAMED.get(char) or f"&#{ord(char)};"


def identity(document: Document) -> str:
    """The text that createItem and POST config.xml store."""
    parts = [f'<?xml version="{document.version}" encoding="UTF-8"?>']
    is_open = False
    for kind, text, attributes in document.events:
        if kind == END:
            parts.append("/>" if is_open else f"</{text}>")
            is_open = False
            continue
        if is_open and not (kind == TEXT and not text):
            parts.append(">")
            is_open = False
        if kind == TEXT:
            parts.append(_IN_TEXT.sub(_as_reference, text))
        elif kind == START:
            parts.append(f"<{text}")
            parts += [f' {name}="{_IN_ATTRIBUTE.sub(_as_reference, value)}"' for name, value in attributes]
            is_open = True
        elif kind == CDATA:
            parts.append(f"<![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]>")
        else:
            parts.append(f"<!--{text}-->" if kind == COMMENT else f"<?{text}?>")
    return "".join(parts)


def tree(document: Document) -> Node:
    """The elements alone; comments inside a text do not end it, a processing instruction or a child does."""
    root: Node | None = None
    stack: list[Node] = []
    ended: list[bool] = []
    for kind, text, attributes in document.events:
        if kind in (TEXT, CDATA):
            if not ended[-1]:
                stack[-1].text += text
        elif kind == START:
            node = Node(text, dict(attributes))
            if stack:
                stack[-1].children.append(node)
                ended[-1] = True
            root = root or node
            stack.append(node)
            ended.append(False)
        elif kind == END:
            stack.pop()
            ended.pop()
        elif kind == PI and stack:
            ended[-1] = True
    assert root is not None
    return root
