"""YAML with places: every value knows its file, line and column.

Two layers. :func:`parse` reads any YAML 1.1 document, as PyYAML's ``SafeLoader`` (and so cloud-init) would, into
:class:`Node` trees, and refuses what loses data silently: duplicate keys and a second document. :class:`Fields` reads a
mapping of known keys with types, for the files of our own (``ami.yaml``, ``environments.yaml``, a scratch spec).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from .errors import InputError, Location
from .findings import Findings


@dataclass(frozen=True, slots=True)
class Past:
    """What happened to a value when documents were merged: ``how`` (``overrode``, ``ignored``, ``removed`` …) and
    the other value."""

    how: str
    node: Node


@dataclass(frozen=True, slots=True)
class Node:
    """A YAML value and where it begins.

    :ivar value: a scalar as SafeLoader makes it, a ``list`` of nodes, or a ``dict`` of key to node
    :ivar keys: for a mapping, where each key stands
    :ivar past: what a merge made of other values for the same place, oldest first
    """

    value: Any
    where: Location
    keys: dict[Any, Location] | None = None
    past: tuple[Past, ...] = ()

    def plain(self) -> Any:
        """The value without places, as ``yaml.safe_load`` would give it."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    @property
    def kind(self) -> str:
        """The name of the value's type for people."""
        return kind_of(self.value)


def kind_of(value: Any) -> str:
    """``a mapping``, ``a list``, ``a text``, … as one says it to a person."""
    if value is None:
        return "empty"
    names = {dict: "a mapping", list: "a list", str: "a text", bool: "true or false", int: "a whole number"}
    names |= {float: "a number", bytes: "binary data", datetime: "a date with a time"}
    return names.get(type(value), f"a {type(value).__name__}")


LARGEST = 1_000_000
"""How many values a document may come to when its aliases are written out. (A few lines of aliases of aliases come to
billions, which any later step would have to spell out.)"""


_BAD_SCALAR = (ValueError, OverflowError, IndexError, AttributeError, TypeError, KeyError)
"""What PyYAML's constructors raise for ``!!int ''``, ``!!float x``, a date that is none, bad base64."""
_BYTE_ORDER_MARK = "\ufeff"
_LONE_TAG = re.compile(r"(?:^|[-:?,\[{]) *!(?=[\s,\]}]|\Z)", re.MULTILINE)
"""``!`` by itself: libyaml takes the value for a text, PyYAML (and so cloud-init) for what it looks like."""
_UNKNOWN_TAG = re.compile(r"could not determine a constructor for the tag ('.*')")
_YAML_HINTS = {
    "mapping values are not allowed": "Quote a text that contains ': ', or mend the indentation",
    "unknown escape character": "Use single quotes: between double ones a backslash begins an escape",
    "undefined alias": "Quote a text that begins with '*'",
    "could not find expected ':'": "Write 'key: value', or mend the indentation",
    "did not find expected key": "Look at the quotes and the indentation",
    "did not find expected '-' indicator": "Look at the indentation",
}


@dataclass(slots=True)
class _Reading:
    """One document being read: what it is called, and where its first character stands in that file."""

    file: str | Path
    line: int
    column: int
    seen: dict[int, tuple[Node, int] | None]

    def at(self, mark: Any) -> Location:
        return Location(self.file, mark.line + self.line, mark.column + self.column)


def parse(text: str | bytes, file: str | Path, *, line: int = 1, column: int = 1) -> Node:
    """Read one document. An empty one is a node whose value is ``None``.

    :param file: what to call it in errors
    :param line, column: where the text's first character stands, for a document inside another file
    :raises InputError: with line and column, for whatever is not valid YAML, not UTF-8, ambiguous, or nested or
        repeated beyond all sense
    """
    import yaml

    text = decode(text, file) if isinstance(text, bytes) else text
    if (at := text.find(_BYTE_ORDER_MARK, 1)) > 0:  # libyaml skips it, PyYAML does not
        raise _not_allowed(_BYTE_ORDER_MARK, text[:at], Location(file, line, column))
    loader_class = yaml.SafeLoader if _LONE_TAG.search(text) else getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    reading = _Reading(file, line, column, {})
    try:
        loader = loader_class(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return Node(None, Location(file, line, column))
            return _convert(loader, root, reading)[0]
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise _explained(error, text, reading) from error
    except yaml.reader.ReaderError as error:  # its position counts bytes or characters, depending on the loader
        char = chr(error.character) if isinstance(error.character, int) else error.character
        before = text[: max(text.find(char), 0)]
        raise _not_allowed(char, before, Location(file, line, column)) from error
    except UnicodeEncodeError as error:
        raise InputError("half of a surrogate pair is no character", where=Location(file, line)) from error
    except RecursionError:
        raise InputError("the document is nested too deeply", where=Location(file, line)) from None


def decode(data: bytes, file: str | Path) -> str:
    """The text of a file.

    :raises InputError: it is not UTF-8, with the place of the first byte that is not
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        hint = "Save the file as UTF-8"
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise InputError("UTF-16, not UTF-8 text", where=Location(file, 1), hint=hint) from error
        at = _after(data[: error.start].decode("utf-8"), Location(file, 1, 1))
        raise InputError("not UTF-8 text", where=at, hint=hint) from error


def _not_allowed(char: str, before: str, start: Location) -> InputError:
    what = f"character U+{ord(char):04X} is not allowed in YAML"
    return InputError(what, where=_after(before, start), hint="Remove it")


def _after(text: str, start: Location) -> Location:
    """The place behind ``text``, which begins at ``start``."""
    head, newline, last = text.rpartition("\n")
    column = len(last) + (1 if newline else start.column)
    return Location(start.file, start.line + head.count("\n") + len(newline), column)


def _explained(error: Any, text: str, reading: _Reading) -> InputError:
    """What libyaml found, with what it means to somebody who writes a text."""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return InputError(f"invalid YAML: {error.problem}", where=Location(reading.file))
    place = reading.at(mark)
    problem = error.problem or ""
    if problem.startswith("found character"):  # … that cannot start any token
        char = text.splitlines()[mark.line][mark.column : mark.column + 1]
        if char == "\t":
            return InputError("invalid YAML: a tab begins or indents a value", where=place, hint="Indent with spaces")
        return InputError(f"invalid YAML: a value cannot begin with '{char}'", where=place, hint="Put it in quotes")
    if "found another document" in problem:
        return InputError("a second document begins here", where=place, hint="Put it into a file of its own")
    if tag := _UNKNOWN_TAG.match(problem):
        hint = "Quote a text that begins with '!'"
        return InputError(f"the YAML tag {tag[1]} is not understood", where=place, hint=hint)
    context = error.context or ""
    if context and error.context_mark and error.context_mark.line != mark.line:
        context += f" from line {reading.at(error.context_mark).line}"
    what = f"invalid YAML: {problem}" + (f" ({context})" if context else "")
    hint = next((hint for part, hint in _YAML_HINTS.items() if part in problem), "")
    return InputError(what, where=place, hint=hint or None)


def _convert(loader: Any, node: Any, reading: _Reading) -> tuple[Node, int]:
    """A composed node as a :class:`Node`, and how many values it comes to with its aliases written out."""
    import yaml

    where = reading.at(node.start_mark)
    if id(node) in reading.seen:  # an alias
        known = reading.seen[id(node)]
        if known is None:
            raise InputError("an anchor contains an alias of itself", where=where)
        return known
    reading.seen[id(node)] = None
    total = 1
    if isinstance(node, yaml.SequenceNode) and node.tag.endswith(":seq"):
        items = []
        for entry in node.value:
            item, count = _convert(loader, entry, reading)
            items.append(item)
            total = _sum(total, count, where)
        result = Node(items, where)
    elif isinstance(node, yaml.MappingNode) and node.tag.endswith(":map"):
        result = Node({}, where, {})
        _reject_duplicates(loader, node, reading)
        loader.flatten_mapping(node)  # `<<`: what is merged in comes first, so that own keys win
        for key_node, value_node in node.value:
            key = _key(loader, key_node, reading)
            result.value[key], count = _convert(loader, value_node, reading)
            total = _sum(total, count, where)
            assert result.keys is not None
            result.keys[key] = reading.at(key_node.start_mark)
    elif isinstance(node, yaml.CollectionNode) and node.tag.startswith("tag:yaml.org,2002:"):
        tag = node.tag.removeprefix("tag:yaml.org,2002:")
        raise InputError(f"the YAML type !!{tag} is not understood", where=where, hint="Use a list or a mapping")
    else:
        try:
            result = Node(loader.construct_object(node, deep=True), where)
        except _BAD_SCALAR as error:
            raise InputError(f"invalid value: {error}", where=where, hint="Put it in quotes if it is a text") from error
    reading.seen[id(node)] = result, total
    return result, total


def _sum(total: int, count: int, where: Location) -> int:
    if total + count > LARGEST:
        raise InputError(
            f"with its aliases written out this comes to more than {LARGEST:,} values",
            where=where,
            hint="Do not nest aliases in aliases",
        )
    return total + count


def _key(loader: Any, node: Any, reading: _Reading) -> Any:
    try:
        key = loader.construct_object(node, deep=True)
        hash(key)
    except TypeError:
        hint = "Quote a text that begins with '{' or '['"
        raise InputError("a key cannot be a list or a mapping", where=reading.at(node.start_mark), hint=hint) from None
    except _BAD_SCALAR as error:
        raise InputError(f"invalid key: {error}", where=reading.at(node.start_mark)) from error
    return key


def _reject_duplicates(loader: Any, node: Any, reading: _Reading) -> None:
    first: dict[Any, int] = {}
    for key_node, _ in node.value:
        if key_node.tag.endswith(":merge"):
            continue
        key = _key(loader, key_node, reading)
        where = reading.at(key_node.start_mark)
        if key in first:
            raise InputError(
                f"key '{key}' is given twice, first in line {first[key]}",
                where=where,
                hint="YAML readers keep only the last; remove one, or merge the two",
            )
        first[key] = where.line


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint: the closest known word, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, 1)
    return f"Did you mean '{close[0]}'" if close else f"Known: {', '.join(names)}"


def _retype(node: Node, kind: type) -> str | None:
    """What to do with a value that is not of the type that it should have."""
    is_scalar = not isinstance(node.value, (dict, list))
    if kind is str:
        return "Put it in quotes" if is_scalar else None
    if kind is list:
        return "Write [ ] around it, or '- ' before it" if is_scalar else "Begin each entry with '- '"
    if kind is int:
        return "Write digits only, without quotes" if isinstance(node.value, (str, float)) else None
    return "Write it without quotes" if kind is bool and str(node.value).lower() in _BOOLEANS else None


_BOOLEANS = ("true", "false", "yes", "no", "on", "off")


class Fields:
    """A mapping of known keys. Each reader gives the value of one key, or its default when the key is not there.

    :param node: the mapping; one that is empty counts as a mapping without keys
    :param what: what it is for people, e.g. ``"a test"``
    :param known: all keys it may have; another is an error with the closest known one
    :raises InputError: from the constructor and every reader, with the place of the key or value
    """

    def __init__(self, node: Node, what: str, known: Iterable[str]) -> None:
        self.node = node
        self.what = what
        values = {} if node.value is None else node.value
        if not isinstance(values, dict):
            hint = f"Its keys: {', '.join(known)}"
            raise InputError(f"{what} is {node.kind}, not a mapping", where=node.where, hint=hint)
        self._values: dict[str, Node] = values
        names = set(known)
        found = Findings()
        for key in values:
            if key not in names:
                place = (node.keys or {}).get(key, node.where)
                found.error("unknown-key", f"{what} has no key '{key}'", place, did_you_mean(str(key), names))
        found.raise_errors()

    def node_of(self, key: str) -> Node | None:
        """The node of a key; ``None`` when the key is absent or has no value."""
        node = self._values.get(key)
        return None if node is None or node.value is None else node

    def missing(self, key: str) -> NoReturn:
        raise InputError(f"{self.what} lacks '{key}'", where=self.node.where, hint=f"Add '{key}:'")

    def _typed(self, key: str, kind: type, name: str) -> Any:
        node = self.node_of(key)
        if node is None:
            return None
        if not isinstance(node.value, kind) or (kind is int and isinstance(node.value, bool)):
            hint = _retype(node, kind)
            raise InputError(f"'{key}' is {node.kind}, not {name}", where=node.where, hint=hint)
        return node.value

    def text(self, key: str, default: str = "") -> str:
        """A text; a number or boolean must be quoted (YAML reads 1.10 as 1.1)."""
        value = self._typed(key, str, "a text")
        return default if value is None else str(value)

    def integer(self, key: str, default: int, minimum: int = 0, maximum: int = 2**31) -> int:
        """A whole number within bounds, both included."""
        value = self._typed(key, int, "a whole number")
        if value is None:
            return default
        if not minimum <= value <= maximum:
            node = self._values[key]
            raise InputError(f"'{key}' is {value}, not between {minimum} and {maximum}", where=node.where)
        return int(value)

    def boolean(self, key: str, default: bool) -> bool:
        value = self._typed(key, bool, "true or false")
        return default if value is None else bool(value)

    def items(self, key: str) -> list[Node]:
        """The nodes of a list; none when the key is absent."""
        value = self._typed(key, list, "a list")
        return value or []

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A list of texts."""
        nodes = self.items(key)
        for node in nodes:
            if not isinstance(node.value, str):
                raise InputError(f"'{key}' has an entry that is {node.kind}, not a text", where=node.where)
        return tuple(node.value for node in nodes) or default

    def text_map(self, key: str) -> dict[str, str]:
        """A mapping of text to text."""
        value = self._typed(key, dict, "a mapping")
        for name, node in (value or {}).items():
            if not isinstance(name, str):
                place = (self._values[key].keys or {}).get(name, node.where)
                what = f"'{key}' has the key {name}, which is {kind_of(name)}, not a text"
                raise InputError(what, where=place, hint="Put it in quotes")
            if not isinstance(node.value, str):
                hint = 'Write "" for an empty text' if node.value is None else _retype(node, str)
                raise InputError(f"'{name}' of '{key}' is {node.kind}, not a text", where=node.where, hint=hint)
        return {name: node.value for name, node in (value or {}).items()}

    def fields(self, key: str, what: str, known: Iterable[str]) -> Fields:
        """A nested mapping of known keys; an absent one reads as empty."""
        node = self.node_of(key)
        return Fields(node or Node(None, self.node.where), what, known)
