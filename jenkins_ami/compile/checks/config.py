"""Keys and types of cloud-config documents, held against ``config_keys.yaml``.

cloud-init ignores a key that it does not know and most values of a wrong type, with a warning in its log at best. What
a key means is not looked into, save for file modes, which YAML reads as decimal numbers when their zero is missing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import Location
from ...findings import ERROR, Findings, Fix
from ...yamlfile import Node, kind_of

if TYPE_CHECKING:
    from ..parts import Loaded

KEY, TYPE, MODE = "cloud-config-key", "cloud-config-type", "cloud-config-mode"

_TOP_LIKENESS, _NESTED_LIKENESS = 0.8, 0.75
"""How alike an unknown key and a known one are to be taken for each other; in a module nothing else can be meant."""
_NAMES = {
    "text": "a text",
    "int": "a whole number",
    "number": "a number",
    "bool": "true or false",
    "list": "a list",
    "map": "a mapping",
    "scalar": "a text or a number",
    "null": "empty",
}
_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str, bytes),
    "int": (int,),
    "number": (int, float),
    "bool": (bool,),
    "list": (list,),
    "map": (dict,),
    "scalar": (str, bytes, int, float, bool),
    "null": (type(None),),
    "any": (object,),
}
_BOOLEANS = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}
_TOKEN = re.compile(r"""'[^']*'|"[^"\\]*"|[^\s,\[\]{}#'"]+""")
_OCTAL = re.compile(r"(0o?)?[0-7]{3,4}\Z")


@cache
def known_keys() -> Mapping[str, Any]:
    """The table: top-level key to what it takes, in the notation that the file's first lines explain."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    table: dict[str, Any] = yaml.load(Path(__file__).with_name("config_keys.yaml").read_bytes(), loader)
    del table[".aliases"]
    return table


def check_config(part: Loaded, findings: Findings) -> None:
    """Check the document of one part of the kind ``cloud-config``."""
    if part.config is not None and isinstance(part.config.value, dict):
        _Check(part, findings).document(part.config)


def closest(word: str, known: Iterable[str], likeness: float) -> str | None:
    """The known key that ``word`` is most likely a slip of: case, ``-`` for ``_``, or some letters."""
    plain: dict[str, str] = {}
    for name in known:
        plain.setdefault(_plain(name), name)
    found = difflib.get_close_matches(_plain(word), plain, 1, likeness)
    return plain[found[0]] if found else None


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_").strip()


def _choices(takes: Any) -> Iterator[Any]:
    """What ``{or: …}`` and ``|`` stand for, one by one."""
    if isinstance(takes, dict) and "or" in takes:
        for one in takes["or"]:
            yield from _choices(one)
    elif takes is None:
        yield "null"
    elif isinstance(takes, str) and not takes.startswith("="):
        yield from takes.split("|")
    else:
        yield takes


def _fits(value: Any, choice: str) -> bool:
    if isinstance(value, bool):
        return choice in ("bool", "scalar", "any")
    return isinstance(value, _TYPES[choice])


def _needs(choices: Sequence[Any]) -> str:
    """``a text or a list``."""
    names: dict[str, None] = {}
    for choice in choices:
        if isinstance(choice, str):
            words = choice[1:].split() if choice.startswith("=") else [_NAMES[choice]]
            names.update(dict.fromkeys(words))
        else:
            names["a list" if isinstance(choice, list) else "a mapping"] = None
    known = [name for name in names if name != "empty"]
    return " or ".join(filter(None, [", ".join(known[:-1]), known[-1]]))


@dataclass(frozen=True)
class _Check:
    part: Loaded
    findings: Findings

    def document(self, document: Node) -> None:
        table = known_keys()
        for key, value in document.value.items():
            where = (document.keys or {}).get(key, value.where)
            if not isinstance(key, str) or key.startswith("x-"):
                continue
            if key in table:
                self._value(value, table[key], key, where)
                continue
            what = f"there is no cloud-config key '{key}'"
            if meant := closest(key, table, _TOP_LIKENESS):
                self._error(KEY, what, where, f"Did you mean '{meant}'", self._renamed(key, where, meant))
            else:
                hint = "cloud-init ignores it, unless a part-handler or a newer version knows it; 'x-…' is for your own"
                self.findings.warn(KEY, what, where, hint)

    def _value(self, node: Node, takes: Any, path: str, where: Location, entry: bool = False) -> None:
        """
        :param path: the keys down to the value, with dots
        :param where: the key's place, for a value that is not there
        :param entry: whether it is an entry of the list at ``path``
        """
        choices = list(_choices(takes))
        value = node.value
        if isinstance(value, dict) and (block := next((one for one in choices if isinstance(one, dict)), None)):
            self._mapping(node, block, path)
        elif isinstance(value, list) and (items := next((one for one in choices if isinstance(one, list)), None)):
            for item in value:
                self._value(item, items[0], path, item.where, entry=True)
        elif any(_fits(value, one) for one in choices if isinstance(one, str) and one[0] != "="):
            if path == "write_files.permissions":
                self._mode(node)
        elif isinstance(value, str) and (words := self._words(choices)):
            if value.strip().casefold() not in words:
                self._error(TYPE, f"{self._named(path, entry)} cannot be {value[:40]!r}", node.where, _use(choices))
        elif value is None:
            what = f"{self._named(path, entry)} has no value"
            self.findings.warn(TYPE, what, where, f"Remove it, or give it {_needs(choices)}")
        else:
            self._mismatch(node, choices, self._named(path, entry))

    def _mapping(self, node: Node, block: Mapping[str, Any], path: str) -> None:
        known = {key.rstrip("!"): takes for key, takes in block.items() if key not in ("*", "...")}
        for key, value in node.value.items():
            where = (node.keys or {}).get(key, value.where)
            if key in known:
                self._value(value, known[key], f"{path}.{key}", where)
            elif "*" in block:
                self._value(value, block["*"], f"{path}.{key}", where)
            elif "..." not in block:
                self._unknown(key, where, known, path)
        for key in block:
            if key.endswith("!") and key[:-1] not in node.value:
                self._error(KEY, f"'{path}' lacks '{key[:-1]}'", node.where, f"Add '{key[:-1]}:'")

    def _unknown(self, key: Any, where: Location, known: Mapping[str, Any], path: str) -> None:
        what = f"'{path}' has no key '{key}'"
        meant = closest(key, known, _NESTED_LIKENESS) if isinstance(key, str) else None
        if meant:
            self._error(KEY, what, where, f"Did you mean '{meant}'", self._renamed(key, where, meant))
        else:
            names = sorted({str(name).replace("-", "_") for name in known})
            self.findings.warn(KEY, what, where, f"cloud-init ignores it. Known: {', '.join(names)}")

    def _mismatch(self, node: Node, choices: Sequence[Any], name: str) -> None:
        value, token = node.value, self._token(node)
        hint, fix, text = "", None, ""
        if "text" in choices and not isinstance(value, (dict, list)):
            hint = "Put it in quotes"
            text = f'"{token}"'
        elif "bool" in choices and isinstance(value, str) and value.strip().casefold() in _BOOLEANS:
            hint = "Write it without quotes"
            text = _BOOLEANS[value.strip().casefold()]
        elif "text" in choices and isinstance(value, dict):
            hint = "Quote a text that contains ': '"
        elif isinstance(value, str) and any(isinstance(one, list) for one in choices):
            hint = "Write [ ] around it, or '- ' before it"
            text = f"[{token}]"
        if token and text:
            fix = Fix(node.where, _right(node.where, len(token)), text)
        self._error(TYPE, f"{name} is {kind_of(value)}, not {_needs(choices)}", node.where, hint, fix)

    def _mode(self, node: Node) -> None:
        """``decode_perms`` of cc_write_files: a number is taken as it is, a text is read as octal."""
        value, token = node.value, self._token(node)
        if isinstance(value, int) and token and not token.startswith("0"):
            what = f"the mode {token} is a decimal number, octal {value:o}"
            fix = Fix(node.where, _right(node.where, len(token)), f'"0{token}"')
            right = bool(re.fullmatch("[0-7]{3,4}", token))
            self._error(MODE, what, node.where, f'Write "0{token}"' if right else "", fix if right else None)
        elif isinstance(value, str) and not _OCTAL.match(value):
            self._error(MODE, f"'{value[:40]}' is no mode", node.where, 'Write octal digits in quotes, like "0644"')

    def _error(self, rule: str, what: str, where: Location, hint: str = "", fix: Fix | None = None) -> None:
        """Reading the parts may have found the same already."""
        if not any(finding.where == where and finding.level == ERROR for finding in self.findings.items):
            self.findings.error(rule, what, where, hint, fix)

    @staticmethod
    def _words(choices: Sequence[Any]) -> set[str]:
        texts = [one[1:] for one in choices if isinstance(one, str) and one.startswith("=")]
        return {word for text in texts for word in text.split()}

    @staticmethod
    def _named(path: str, entry: bool) -> str:
        return f"an entry of '{path}'" if entry else f"'{path}'"

    def _token(self, node: Node) -> str:
        """How a scalar is written, or empty when that is not plain to see: an anchor, a block, a template."""
        import yaml

        match = self._match(_TOKEN, node.where)
        if match and match[0][0] in "!&*|>":
            return ""
        try:
            return match[0] if match and yaml.safe_load(match[0]) == node.value else ""
        except (yaml.YAMLError, ValueError):
            return ""

    def _match(self, pattern: re.Pattern[str], where: Location) -> re.Match[str] | None:
        """``pattern`` at a place of the part's own text, which an archive may have indented."""
        lines = self.part.text.splitlines()
        row = where.line - self.part.where.line
        column = where.column - max(self.part.where.column, 1)
        if not 0 <= row < len(lines) or column < 0:
            return None
        return pattern.match(lines[row], column)

    def _renamed(self, key: str, where: Location, new: str) -> Fix | None:
        match = self._match(re.compile(rf"{re.escape(key)}(?=\s*:)"), where)
        return Fix(where, _right(where, len(key)), new) if match else None


def _use(choices: Sequence[Any]) -> str:
    return f"Use {_needs(choices)}"


def _right(where: Location, count: int) -> Location:
    return Location(where.file, where.line, where.column + count)
