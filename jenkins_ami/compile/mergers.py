"""cloud-init's mergers on values that know their places.

A port of ``cloudinit.mergers`` (22.4 to 25, unchanged for ten years), branch by branch: which merger handles which type
(the first that can), what each option does, what is dropped. Where cloud-init raises, and so drops the part with a
warning, this raises ``InputError``. Tests hold it against cloud-init's own code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import InputError
from ..yamlfile import Node, Past

_NAME = re.compile(r"([a-z_][a-z0-9_]*)\((.*?)\)\Z")


@dataclass(frozen=True)
class Mergers:
    """Some mergers with their options, in the order in which they are asked."""

    pairs: tuple[tuple[str, tuple[str, ...]], ...]

    OPTIONS: ClassVar[dict[str, tuple[str, ...]]] = {
        "dict": (
            "replace",
            "no_replace",
            "recurse_str",
            "recurse_array",
            "recurse_list",
            "recurse_dict",
            "allow_delete",
        ),
        "list": (
            "append",
            "prepend",
            "replace",
            "no_replace",
            "recurse_str",
            "recurse_dict",
            "recurse_array",
            "recurse_list",
        ),
        "str": ("append", "replace"),
    }

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, Any]]) -> Mergers:
        """Options given as one text are those that it contains: cloud-init asks ``option in settings``."""
        found = []
        for name, options in pairs:
            short = name.removeprefix("m_")
            held = [word for word in cls.OPTIONS[short] if word in options] if isinstance(options, str) else options
            found.append((short, [option for option in held if isinstance(option, str)]))
        return cls(tuple((name, tuple(options)) for name, options in found))

    @classmethod
    def knows(cls, name: str) -> bool:
        return name.removeprefix("m_") in cls.OPTIONS

    @classmethod
    def parse(cls, text: str) -> list[tuple[str, Any]]:
        """``string_extract_mergers``: ``list(append)+dict(recurse_list)+str()``.

        :raises ValueError: cloud-init would drop the part
        """
        pairs: list[tuple[str, Any]] = []
        for word in text.split("+"):
            name = word.lower().strip().replace("-", "_")
            if not name:
                continue
            match = _NAME.match(name)
            if match is None:
                raise ValueError(f"'{word.strip()}' is no merger")
            if not cls.knows(match[1]):
                raise ValueError(f"there is no merger '{match[1]}'")
            pairs.append((match[1], [option.strip() for option in match[2].split(",") if option.strip()]))
        return pairs

    def handles(self, type_name: str) -> bool:
        """Whether one of them merges onto a value of this type; otherwise the old value stays."""
        return any(type_name == name for name, _ in self.pairs)

    def __str__(self) -> str:
        """As a header says it."""
        return "+".join(f"{name}({','.join(options)})" for name, options in self.pairs)


def apply(mergers: Mergers, old: Node, new: Node) -> Node:
    """``LookupMerger.merge``: ``new`` onto ``old`` by the first merger that handles the type of ``old``."""
    kind = type(old.value).__name__
    for name, options in mergers.pairs:
        if kind == name:
            return {"dict": _on_dict, "list": _on_list, "str": _on_str}[name](mergers, options, old, new)
    return ignored(old, new)


def ignored(old: Node, new: Node) -> Node:
    """``old`` stays, and knows of ``new``."""
    if old.value == new.value and old.where == new.where:
        return old
    return Node(old.value, old.where, old.keys, (*old.past, Past("ignored", new)))


def over(old: Node, new: Node) -> Node:
    """``new`` takes the place of ``old``, and knows of it."""
    return Node(new.value, new.where, new.keys, (*old.past, Past("overrode", old), *new.past))


def _method(options: Sequence[str], methods: Sequence[str], default: str) -> str:
    return next((method for method in methods if method in options), default)


def _recurse(
    mergers: Mergers, options: Sequence[str], old: Node, new: Node, *, dicts: bool, otherwise_new: bool
) -> Node:
    """What dict and list mergers share: go down where the new value's type is one of those to recurse into."""
    down = (
        (isinstance(new.value, list) and ("recurse_array" in options or "recurse_list" in options))
        or (isinstance(new.value, str) and "recurse_str" in options)
        or (isinstance(new.value, dict) and dicts)
    )
    if down:
        return apply(mergers, old, new)
    return over(old, new) if otherwise_new else ignored(old, new)


def _on_dict(mergers: Mergers, options: Sequence[str], old: Node, new: Node) -> Node:
    if not isinstance(new.value, dict):
        return ignored(old, new)
    replace = _method(options, ("replace", "no_replace"), "no_replace") == "replace"
    values, keys, past = dict(old.value), dict(old.keys or {}), old.past
    for key, node in new.value.items():
        if key not in values:
            values[key] = node
            keys[key] = (new.keys or {}).get(key, node.where)
        elif node.value is None and "allow_delete" in options:
            past = (*past, Past(f"removed '{key}'", node), Past("removed", values.pop(key)))
            keys.pop(key, None)
        elif replace:
            values[key] = over(values[key], node)
        else:
            values[key] = _recurse(mergers, options, values[key], node, dicts=True, otherwise_new=False)
    return Node(values, old.where, keys, past)


def _on_list(mergers: Mergers, options: Sequence[str], old: Node, new: Node) -> Node:
    method = _method(options, ("append", "prepend", "replace", "no_replace"), "replace")
    if isinstance(new.value, list):
        items: list[Node] = new.value
    elif method == "replace":
        return over(old, new)
    else:
        raise InputError(
            f"{new.kind} is merged into a list here, which takes it apart; the list is in {old.where}",
            where=new.where,
            hint="Make it a list",
        )
    olds: list[Node] = list(old.value)
    if method == "append":
        return Node([*olds, *items], old.where, None, old.past)
    if method == "prepend":
        return Node([*items, *olds], old.where, None, old.past)
    for index, item in enumerate(items[: len(olds)]):
        if method == "no_replace":
            olds[index] = ignored(olds[index], item)
        else:
            olds[index] = _recurse(
                mergers, options, olds[index], item, dicts="recurse_dict" in options, otherwise_new=True
            )
    past = tuple(Past("dropped", item) for item in items[len(olds) :])
    return Node(olds, old.where, None, (*old.past, *past))


def _on_str(_mergers: Mergers, options: Sequence[str], old: Node, new: Node) -> Node:
    if "append" not in options:
        return over(old, new)
    if not isinstance(new.value, str):
        raise InputError(
            f"{new.kind} is merged into a text here, with which cloud-init fails; the text is in {old.where}",
            where=new.where,
            hint="Make it a text",
        )
    return Node(old.value + new.value, old.where, None, (*old.past, Past("appended", new)))
