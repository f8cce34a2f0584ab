"""Merge cloud-config documents, each value with its place and its past.

Two ways. A part that states ``merge_how``, ``merge_type`` or ``X-Merge-Type`` is merged onto what came before exactly
as cloud-init would (``cloudinit.mergers``: ``m_dict``, ``m_list``, ``m_str``). A part that states nothing is merged by
the project's default: lists append, mappings merge deeply, and two parts that set one scalar to different values are
an error that names both, or, by ``merge: {scalars: first|last}``, one of them wins. (cloud-init's own default lets a
later part replace whole lists: one late ``runcmd`` wipes all earlier ones.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError, Location
from ..findings import Findings
from ..yamlfile import Node, did_you_mean, kind_of
from .mergers import Mergers, apply, ignored, over

HOW_KEYS = ("merge_how", "merge_type")


@dataclass(frozen=True)
class Document:
    """A cloud-config to merge: its mapping, and the mergers that it states (``None``: the project's default)."""

    config: Node
    stated: Mergers | None = None


def merge(documents: Iterable[Document], findings: Findings, scalars: str = "error") -> Node:
    """All documents, in order, as one mapping. Contradictions become findings under the rule ``merge``.

    :param scalars: ``error``, ``first`` or ``last``
    """
    merged = Node({}, Location(""), {})
    for document in documents:
        if document.stated is None:
            merged = _Default(findings, scalars).merge(merged, document.config, "")
        else:
            with findings.catch("merge"):
                merged = apply(document.stated, merged, document.config)
    return merged


@dataclass(frozen=True)
class _Default:
    findings: Findings
    scalars: str

    def merge(self, old: Node, new: Node, path: str) -> Node:
        if isinstance(old.value, dict) and isinstance(new.value, dict):
            values = dict(old.value)
            keys = dict(old.keys or {})
            for key, node in new.value.items():
                here = f"{path}.{key}" if path else str(key)
                values[key] = self.merge(values[key], node, here) if key in values else node
                keys.setdefault(key, (new.keys or {}).get(key, node.where))
            return Node(values, old.where, keys, old.past)
        if isinstance(old.value, list) and isinstance(new.value, list):
            return Node([*old.value, *new.value], old.where, None, old.past)
        if type(old.value) is not type(new.value):
            self.findings.error(
                "merge",
                f"'{path}' is {new.kind} here and {old.kind} in {old.where}",
                new.where,
                "Use the same type in both",
            )
            return old
        if old.value == new.value:
            return old
        if self.scalars == "last":
            return over(old, new)
        if self.scalars == "first":
            return ignored(old, new)
        shown, other = _show(new), _show(old)
        what = f"'{path}' is {shown} here and {other} in {old.where}"
        if shown == other:
            what = f"'{path}' is not what it is in {old.where}"
        self.findings.error(
            "merge",
            what,
            new.where,
            "Say it in one file only, or choose 'merge: {scalars: first}' or 'last' in ami.yaml",
        )
        return old


def _show(node: Node) -> str:
    if not isinstance(node.value, str):
        return "empty" if node.value is None else str(node.value).lower()
    return f"'{node.value}'" if len(node.value) <= 40 and "\n" not in node.value else kind_of(node.value)


def stated_mergers(
    document: Node, header: str, header_where: Location, findings: Findings
) -> tuple[Node, Mergers | None]:
    """Take what a part says about merging out of it, as ``CloudConfigPartHandler._extract_mergers`` does.

    :param header: value of ``Merge-Type`` or ``X-Merge-Type``, empty when there is none
    :returns: the document without its statement, and the mergers; ``None`` when nothing is stated
    :raises InputError: for a statement with which cloud-init would drop the part
    """
    values = dict(document.value)
    keys = dict(document.keys or {})
    how = values.pop("merge_how", None)
    if how is None or how.value is None:
        how = values.pop("merge_type", None)
    from_text: list[tuple[str, Any]] = []
    if how is not None and how.value is not None:
        from_text = _from_node(how)
        _check_options(from_text, how.where, findings)
    from_header = _from_text(header, header_where) if header else []
    _check_options(from_header, header_where, findings)
    rest = Node(values, document.where, keys)
    if (how is None or how.value is None) and not header:
        return rest, None
    pairs = from_text + from_header
    if not pairs:  # `merge_how: []`: cloud-init takes its own default
        pairs = _from_text("dict(replace)+list()+str()", header_where)
    mergers = Mergers.of(pairs)
    if not mergers.handles("dict"):
        raise InputError(
            "with a merge_how without 'dict(…)' cloud-init drops the whole part",
            where=how.where if how is not None else header_where,
            hint="Write, for example, dict(recurse_list)+list(append)",
        )
    return rest, mergers


def _from_text(text: str, where: Location) -> list[tuple[str, Any]]:
    try:
        return Mergers.parse(text)
    except ValueError as error:
        raise InputError(str(error), where=where, hint="Write, for example, list(append)+dict(recurse_list)") from None


def _from_node(how: Node) -> list[tuple[str, Any]]:
    """``dict_extract_mergers``: a text, a list of ``[name, option, …]``, or of ``{name, settings}``."""
    if isinstance(how.value, str):
        return _from_text(how.value, how.where)
    hint = "Write {name: list, settings: [append]}, [list, append], or the text list(append)"
    if not isinstance(how.value, list):
        raise InputError(f"merge_how is {how.kind}: cloud-init would drop the part", where=how.where, hint=hint)
    pairs: list[tuple[str, Any]] = []
    for entry in how.value:
        if isinstance(entry.value, dict):
            name, settings = entry.value.get("name"), entry.value.get("settings")
            if not isinstance(name, Node) or not isinstance(settings, Node) or not isinstance(name.value, str):
                raise InputError("a merger needs 'name' and 'settings'", where=entry.where, hint=hint)
            if not isinstance(settings.value, (list, str)):
                raise InputError(f"a merger's settings are {settings.kind}", where=settings.where, hint=hint)
            pair = (name.value.replace("-", "_").strip(), settings.plain())
        elif isinstance(entry.value, list) and entry.value and isinstance(entry.value[0].value, str):
            pair = (entry.value[0].value, [option.plain() for option in entry.value[1:]])
        else:
            raise InputError(f"a merger is {entry.kind}", where=entry.where, hint=hint)
        if pair[0]:
            pairs.append(pair)
    for name, _ in pairs:
        if not Mergers.knows(name):
            raise InputError(
                f"there is no merger '{name}'", where=how.where, hint=did_you_mean(name, ("dict", "list", "str"))
            )
    return pairs


def _check_options(pairs: Sequence[tuple[str, Any]], where: Location, findings: Findings) -> None:
    for name, options in pairs:
        known = Mergers.OPTIONS[name.removeprefix("m_")]
        for option in [options] if isinstance(options, str) else options:
            if option not in known:
                what = f"the {name} merger has no option '{option}', which cloud-init ignores"
                findings.warn("merge", what, where, did_you_mean(str(option), known))


def place(value: object, where: Location) -> Node:
    """A plain value as a node tree, all of it at one place: for what compile itself adds."""
    if isinstance(value, dict):
        return Node({key: place(item, where) for key, item in value.items()}, where, dict.fromkeys(value, where))
    if isinstance(value, (list, tuple)):
        return Node([place(item, where) for item in value], where)
    return Node(value, where)


def short(where: Location, root: str) -> str:
    """``FILE:LINE`` with ``FILE`` relative to the source: the same text wherever the source lies."""
    file = str(where.file).removeprefix(f"{root}/")
    return f"{file}:{where.line}" if where.line else file


Order = Callable[[Location], tuple[Any, ...]]
"""Gives the sort key of a place: which part it belongs to, and its line there."""


def insert(config: Node, key: str, entries: Sequence[Node], order: Order) -> Node:
    """Put ``entries`` into the list ``key``, each before the first element that belongs to a later part.

    For what is no user's cloud-config and so takes no part in merging: scripts, and what compile adds.
    """
    old = config.value.get(key)
    items: list[Node] = list(old.value) if old is not None and isinstance(old.value, list) else []
    ranks = [order(item.where) for item in items]
    for entry in entries:
        rank = order(entry.where)
        at = next((index for index, other in enumerate(ranks) if other > rank), len(items))
        items.insert(at, entry)
        ranks.insert(at, rank)
    values = dict(config.value)
    where = old.where if old is not None else entries[0].where if entries else config.where
    values[key] = Node(items, where, None, old.past if old is not None else ())
    return Node(values, config.where, {**(config.keys or {}), key: (config.keys or {}).get(key, where)}, config.past)
