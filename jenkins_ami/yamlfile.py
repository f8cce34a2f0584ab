"""YAML with places: every value knows its file, line and column.

Two layers. :func:`parse` reads any YAML 1.1 document, as PyYAML's ``SafeLoader`` (and so cloud-init) would, into
:class:`Node` trees, and refuses what loses data silently: duplicate keys and a second document. :class:`Fields` reads a
mapping of known keys with types, for the files of our own (``ami.yaml``, ``environments.yaml``, a scratch spec).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from .errors import InputError, Location


@dataclass(frozen=True, slots=True)
class Node:
    """A YAML value and where it begins.

    :ivar value: a scalar as SafeLoader makes it, a ``list`` of nodes, or a ``dict`` of key to node
    :ivar keys: for a mapping, where each key stands
    """

    value: Any
    where: Location
    keys: dict[Any, Location] | None = None

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
    return names.get(type(value), f"a {type(value).__name__}")


def parse(text: str | bytes, file: str | Path) -> Node:
    """Read one document. An empty one is a node whose value is ``None``.

    :param file: what to call it in errors
    :raises InputError: with line and column, for whatever is not valid YAML, not UTF-8, or ambiguous
    """
    import yaml

    loader_class = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError("not UTF-8 text", where=Location(file, line), hint="Save the file as UTF-8") from error
    try:
        loader = loader_class(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return Node(None, Location(file, 1, 1))
            return _convert(loader, root, file, {})
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or "invalid YAML"
        if error.context:
            what += f" ({error.context})"
        hint = "Indent with spaces" if "\\t" in what else None
        place = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
        raise InputError(f"invalid YAML: {what}", where=place, hint=hint) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = (
            f"character U+{error.character:04X} is not allowed in YAML"
            if isinstance(error.character, int)
            else "bad text"
        )
        raise InputError(what, where=Location(file, line)) from error


def _convert(loader: Any, node: Any, file: str | Path, seen: dict[int, Node | None]) -> Node:
    import yaml

    where = Location(file, node.start_mark.line + 1, node.start_mark.column + 1)
    if id(node) in seen:  # an alias
        known = seen[id(node)]
        if known is None:
            raise InputError("an anchor contains an alias of itself", where=where)
        return known
    seen[id(node)] = None
    if isinstance(node, yaml.SequenceNode) and node.tag.endswith(":seq"):
        result = Node([_convert(loader, item, file, seen) for item in node.value], where)
        seen[id(node)] = result
        return result
    if isinstance(node, yaml.MappingNode) and node.tag.endswith(":map"):
        result = Node({}, where, {})
        _reject_duplicates(loader, node, file)
        loader.flatten_mapping(node)  # `<<`: what is merged in comes first, so that own keys win
        for key_node, value_node in node.value:
            key = _key(loader, key_node, file)
            result.value[key] = _convert(loader, value_node, file, seen)
            assert result.keys is not None
            result.keys[key] = Location(file, key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        seen[id(node)] = result
        return result
    try:
        value = loader.construct_object(node, deep=True)
    except ValueError as error:  # !!int x, a date that is none, bad base64
        raise InputError(f"invalid value: {error}", where=where) from error
    result = Node(value, where)
    seen[id(node)] = result
    return result


def _key(loader: Any, node: Any, file: str | Path) -> Any:
    key = loader.construct_object(node, deep=True)
    try:
        hash(key)
    except TypeError:
        where = Location(file, node.start_mark.line + 1, node.start_mark.column + 1)
        raise InputError(f"a key cannot be {kind_of(key)}", where=where) from None
    return key


def _reject_duplicates(loader: Any, node: Any, file: str | Path) -> None:
    first: dict[Any, int] = {}
    for key_node, _ in node.value:
        if key_node.tag.endswith(":merge"):
            continue
        key = _key(loader, key_node, file)
        line = key_node.start_mark.line + 1
        if key in first:
            raise InputError(
                f"key '{key}' is given twice, first in line {first[key]}",
                where=Location(file, line, key_node.start_mark.column + 1),
                hint="YAML readers keep only the last; remove one, or merge the two",
            )
        first[key] = line


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint: the closest known word, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, 1)
    return f"Did you mean '{close[0]}'" if close else f"Known: {', '.join(names)}"


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
            raise InputError(f"{what} is {node.kind}, not a mapping", where=node.where)
        self._values: dict[str, Node] = values
        names = set(known)
        for key in values:
            if key not in names:
                place = (node.keys or {}).get(key, node.where)
                raise InputError(f"{what} has no key '{key}'", where=place, hint=did_you_mean(str(key), names))

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
            hint = "Put it in quotes" if kind is str and not isinstance(node.value, (dict, list)) else None
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
            if not isinstance(name, str) or not isinstance(node.value, str):
                hint = "Put it in quotes"
                raise InputError(f"'{key}' maps '{name}' to {node.kind}, not a text", where=node.where, hint=hint)
        return {name: node.value for name, node in (value or {}).items()}

    def fields(self, key: str, what: str, known: Iterable[str]) -> Fields:
        """A nested mapping of known keys; an absent one reads as empty."""
        node = self.node_of(key)
        return Fields(node or Node(None, self.node.where), what, known)
