"""Which file and line gave each key and list element of the merged cloud-config, and what it overrode. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..errors import InputError
from ..yamlfile import Node, did_you_mean
from .merge import short
from .own import ANNOUNCED, COMPILE

_INDEX = re.compile(r"\[([0-9]+)\]")


@dataclass(frozen=True)
class Origin:
    """Where a value comes from.

    :ivar path: like ``apt.sources.x`` or ``write_files[2].path``
    :ivar value: the value on one line, shortened
    :ivar where: ``FILE:LINE`` relative to the source
    :ivar past: what became of other values for the same path: how, value, where
    """

    path: str
    value: str
    where: str
    past: tuple[tuple[str, str, str], ...] = ()


def explain(configs: Iterable[Node], root: str, key: str | None = None) -> list[Origin]:
    """The origins of all leaves of the merged configs, or of those at and below ``key``.

    :param root: cut off the places
    :raises InputError: nothing in the config has that key
    """
    origins = [origin for config in configs for origin in _walk(config, "", root)]
    if key is None:
        return origins
    wanted = _INDEX.sub(r"[\1]", key)
    found = [o for o in origins if o.path == wanted or o.path.startswith((f"{wanted}.", f"{wanted}["))]
    if not found:
        known = {_top(origin.path) for origin in origins} | {origin.path for origin in origins}
        raise InputError(f"the merged cloud-config has no '{key}'", where=root, hint=did_you_mean(key, known))
    return found


def _top(path: str) -> str:
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def _walk(node: Node, path: str, root: str) -> Iterator[Origin]:
    past = tuple((past.how, _show(past.node), short(past.node.where, root)) for past in node.past)
    if isinstance(node.value, dict):
        if past:
            yield Origin(path or "(root)", "(mapping)", short(node.where, root), past)
        for key, value in node.value.items():
            yield from _walk(value, f"{path}.{key}" if path else str(key), root)
    elif isinstance(node.value, list):
        if past:
            yield Origin(path, "(list)", short(node.where, root), past)
        items = [item for item in node.value if not _is_own(item)]
        for index, item in enumerate(items):
            if isinstance(item.value, list):  # a command as words: one line
                yield Origin(f"{path}[{index}]", _show(item), short(item.where, root))
            else:
                yield from _walk(item, f"{path}[{index}]", root)
    elif not str(node.where.file).startswith(COMPILE):
        yield Origin(path, _show(node), short(node.where, root), past)


def _is_own(item: Node) -> bool:
    if str(item.where.file).startswith(COMPILE):
        return True
    return isinstance(item.value, str) and ANNOUNCED.match(item.value) is not None


def _show(node: Node) -> str:
    plain = node.plain()
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, default=str)
    first, _, rest = text.partition("\n")
    return first if len(first) <= 60 and not rest else f"{first[:57]}..."
