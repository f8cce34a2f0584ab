"""config.xml as a tree, read tolerantly and written strictly.

Jenkins writes XML 1.1, in which a control character may stand as a reference (``&#x1b;``); expat reads 1.0. Such a
reference is carried as a character of a private plane, so that a comparison sees it, and :func:`serialize` refuses it:
XML 1.0, the only version in which Jenkins' parser does not corrupt long documents (measured on 2.504.3), cannot say it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from ..errors import InputError

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

_REFERENCE = re.compile(r"<!\[CDATA\[.*?\]\]>|&#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}));", re.DOTALL)
_PLANE = 0xF0000
_CARRIED = re.compile("[\U000f0000-\U000f001f\U000ffffe\U000fffff]")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ENCODING = re.compile(r"""\A\ufeff?<\?xml[^>]*\?>""")


def parse(text: str) -> Element:
    """Read a document.

    :raises InputError: it is not well-formed, with its line and column
    """
    body = _ENCODING.sub("", text, count=1)  # it is decoded already, and 1.1 is read as 1.0
    try:
        root = _read(body)
    except ElementTree.ParseError as error:
        line, column = error.position
        what = str(error).partition(":")[0]
        raise InputError(f"not well-formed XML: {what} in line {line}, column {column + 1}") from error
    for element in root.iter():  # XStream mixes no text with elements: what stands between them is indentation
        element.tail = None
        if len(element):
            element.text = None
    return root


def _read(body: str) -> Element:
    with suppress(ElementTree.ParseError, UnicodeEncodeError):  # nearly every document is plain XML 1.0
        return ElementTree.fromstring(body)
    body = _REFERENCE.sub(_carry, body)
    return ElementTree.fromstring(_NOT_XML.sub(lambda match: chr(_PLANE + (ord(match[0]) & 0x1F)), body))


def _carry(match: re.Match[str]) -> str:
    if match[0][0] == "<":  # no references in there
        return match[0]
    code = int(match[1], 16) if match[1] else int(match[2])
    return chr(_PLANE + code) if code < 0x20 and code not in (9, 10, 13) else match[0]


def carries_control(element: Element) -> bool:
    """Whether its own text, or an attribute, cannot be said in XML 1.0."""
    return any(_CARRIED.search(text) for text in (element.text or "", *element.attrib.values()))


def is_saved(text: str) -> bool:
    """Whether a server wrote this text from its objects, and not somebody who posted it.

    What was posted comes back with its declaration in double quotes, what Jenkins writes has single ones (rules 1 and 2
    of the recordings).
    """
    return text.startswith("<?xml version='")


def serialize(root: Element) -> str:
    """The document as XML 1.0 with two spaces of indentation; equal trees give equal bytes.

    :raises InputError: it holds a character that XML 1.0 cannot carry
    """
    return DECLARATION + "".join(_write(root, "")) + "\n"


def _write(element: Element, indent: str) -> Iterator[str]:
    attributes = "".join(f' {name}="{_escape(value, quote=True)}"' for name, value in element.attrib.items())
    begin = f"{indent}<{element.tag}{attributes}"
    text = element.text or ""
    if len(element):
        yield f"{begin}>\n"
        for child in element:
            yield from _write(child, indent + "  ")
            yield "\n"
        yield f"{indent}</{element.tag}>"
    elif text:
        yield f"{begin}>{_escape(text)}</{element.tag}>"
    else:
        yield f"{begin}/>"


def _escape(text: str, *, quote: bool = False) -> str:
    if found := _CARRIED.search(text) or _NOT_XML.search(text):
        code = ord(found[0]) - _PLANE if ord(found[0]) >= _PLANE else ord(found[0])
        raise InputError(
            f"the control character U+{code:04X} cannot be sent to Jenkins", hint="Remove it in Jenkins' own page"
        )
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
    return text.replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;") if quote else text
