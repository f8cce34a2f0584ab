"""XStream as Jenkins uses it: what becomes of a config.xml when it is read, and the saved form (rules 2, 5 and 11).

``load_root`` gives a new tree that holds what the Java objects would: fields in class order, unknown classes and
elements gone, zeros filled in, legacy fields migrated where ``readResolve`` does it. ``save`` writes such a tree.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Mapping

from .classes import CLASSES, NOT_RECORDED, PLUGINS, JavaClass, element_name, java_name
from .document import Node
from .resolve import resolve

SECRET = re.compile(r"\{[A-Za-z0-9+/]+=*\}")
_DEFAULT_LIST = frozenset({"list", "java.util.ArrayList"})
_NUMBER = re.compile(r"[+-]?\d+\Z")
_ESCAPED = re.compile("[<>&'\"\r\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_NAMED = {"<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;", "'": "&apos;"}


class CannotResolve(Exception):
    """XStream's CannotResolveClassException, or a class that is not what is wanted there."""


def encrypt(text: str) -> str:
    """What a Secret looks like in a saved config.xml. The same text gives the same: Jenkins would salt it."""
    if SECRET.fullmatch(text) or not text:
        return text
    digest = hashlib.sha256(text.encode()).digest()
    return "{" + base64.b64encode(b"\x01\0\0\0\x10\0\0\0\x10" + digest).decode() + "}"


class XStream:
    """The reader and writer of a server that has certain plugins.

    :param without: short names of plugins that are not there: their classes are unknown
    """

    def __init__(self, without: Collection[str] = ()) -> None:
        self.plugins: Mapping[str, str] = {
            name: version for name, version in {**PLUGINS, **NOT_RECORDED}.items() if name not in without
        }
        self._classes = {name: each for name, each in CLASSES.items() if not each.plugin or each.plugin in self.plugins}

    def load_root(self, node: Node, kinds: Collection[str]) -> Node:
        """A whole item or view.

        :raises CannotResolve: an unknown class, or one that is not among ``kinds``
        """
        name = java_name(node.name)
        if name not in self._classes:
            raise CannotResolve(f"com.thoughtworks.xstream.mapper.CannotResolveClassException: {node.name}")
        if name not in kinds:
            raise CannotResolve(f"java.lang.ClassCastException: class {name} cannot be cast")
        return self._object(node, self._classes[name], node.name)

    def _object(self, node: Node, cls: JavaClass, name: str, attributes: Mapping[str, str] | None = None) -> Node:
        made = Node(name, dict(attributes or {}))
        if cls.fields is None:
            made.children = [_copy(child) for child in node.children]
            return made
        there = {child.name: child for child in node.children}
        for field in cls.fields:
            child = there.get(field.name)
            if field.kind in "bi":
                made.children.append(Node(field.name, text=_primitive(child, field.kind), is_text=True))
            elif child is not None and (value := self._value(child, field.kind, field.declared)) is not None:
                made.children.append(value)
        resolve(made, cls, node)
        return made

    def _value(self, node: Node, kind: str, declared: str) -> Node | None:
        if kind == "s":
            return Node(node.name, text=node.text, is_text=True)
        if kind == "n":
            text = node.text.strip()
            return Node(node.name, text=text, is_text=True) if _NUMBER.match(text) else None
        if kind == "p":
            return Node(node.name, text=encrypt(node.text), is_text=True)
        if kind == "o":
            cls = self._classes.get(node.attributes.get("class", declared))
            if cls is None:
                return None
            return self._object(node, cls, node.name, {} if cls.name == declared else {"class": cls.name})
        if kind == "x" or (kind == "c" and node.attributes.get("class") == "java.util.Arrays$ArrayList"):
            return _copy(node)
        return self._list(node, keep_class=kind == "L")

    def _list(self, node: Node, keep_class: bool) -> Node:
        cls = node.attributes.get("class", "")
        made = Node(node.name, {"class": cls} if cls and (keep_class or cls not in _DEFAULT_LIST) else {})
        for child in node.children:
            if child.name == "string":
                made.children.append(Node("string", text=child.text, is_text=True))
            elif known := self._classes.get(java_name(child.name)):
                made.children.append(self._object(child, known, element_name(known.name)))
        return made

    # Saving

    def save(self, root: Node) -> str:
        """The saved form of an item."""
        return "<?xml version='1.1' encoding='UTF-8'?>\n" + self._text(root)

    def save_view(self, root: Node) -> str:
        """What GET of a view's config.xml answers: the same, without its owner."""
        shown = Node(root.name, root.attributes, children=[child for child in root.children if child.name != "owner"])
        return '<?xml version="1.1" encoding="UTF-8"?>\n' + self._text(shown)

    def _text(self, root: Node) -> str:
        lines: list[str] = []
        self._write(root, "", "", lines)
        return "\n".join(lines)

    def _write(self, node: Node, indent: str, owner: str, lines: list[str]) -> None:
        """``owner`` is the plugin of the nearest object around that has one: ``plugin=`` only says what is new."""
        tag = node.name
        attributes = "".join([f' {name}="{_escape(value)}"' for name, value in node.attributes.items()])
        cls = self._classes.get(node.attributes.get("class") or java_name(tag))
        if cls is not None and cls.plugin and "reference" not in node.attributes:
            if cls.plugin != owner:
                attributes += f' plugin="{cls.plugin}@{self.plugins[cls.plugin]}"'
            owner = cls.plugin
        if node.children:
            lines.append(f"{indent}<{tag}{attributes}>")
            for child in node.children:
                self._write(child, indent + "  ", owner, lines)
            lines.append(f"{indent}</{tag}>")
        elif node.is_text:
            lines.append(f"{indent}<{tag}{attributes}>{_escape(node.text)}</{tag}>")
        else:
            lines.append(f"{indent}<{tag}{attributes}/>")


def _escape(text: str) -> str:
    return _ESCAPED.sub(lambda match: _NAMED.get(match[0]) or f"&#x{ord(match[0]):x};", text)


def _primitive(node: Node | None, kind: str) -> str:
    text = "" if node is None else node.text.strip()
    if kind == "b":
        return "true" if text.lower() == "true" else "false"
    return str(int(text)) if _NUMBER.match(text) else "0"


def _copy(node: Node) -> Node:
    attributes = {name: value for name, value in node.attributes.items() if name != "plugin"}
    is_text = not node.children and bool(node.text)
    text = "" if node.children else encrypt(node.text) if node.name in ("password", "passphrase") else node.text
    return Node(node.name, attributes, text, [_copy(child) for child in node.children], is_text)
