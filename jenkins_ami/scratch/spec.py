"""The scratch spec: the few things that one may choose about a base image, read from YAML and checked.

Every complaint names file, line and column. What is in the image beyond this is decided by the other modules.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from ..errors import InputError, Location
from ..yamlfile import Fields, Node, parse
from .layout import MIB

SUITES = ("bookworm",)
ARCHITECTURES = ("amd64",)
MINIMUM_SIZE = 1 << 30
MAXIMUM_SIZE = 64 << 40
"""Bytes; the largest EBS volume there is."""

_UNITS = {"M": MIB, "G": 1 << 30, "T": 1 << 40}

# What a text must look like, and how a person is told.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"), "Use letters, digits, '.', '_' and '-', 64 at most"
_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"), "Use lower-case letters, digits and '-', 63 at most"
_MIRROR = re.compile(r"(https?|file|copy)://[^\s\[\]]+"), "Give a URL that begins with http:// or https://"
_SIZE = re.compile(r"[1-9][0-9]{0,8}[MGT]"), "Give a whole number and a unit: 1536M, 4G, 1T"
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+"), "Debian's names have lower-case letters, digits, '+', '-' and '.'"


@dataclass(frozen=True)
class Spec:
    """A base image, described. ``size`` is bytes; ``packages`` are added to those every image has.

    ``mirror`` is the only package source when it is given; otherwise mmdebstrap takes Debian's own, updates and
    security included. ``locations`` is where each key stands in the file, for errors that come later.
    """

    name: str = "debian-12"
    suite: str = "bookworm"
    architecture: str = "amd64"
    size: int = 2 << 30
    packages: tuple[str, ...] = ()
    hostname: str = "debian"
    mirror: str | None = None
    locations: Mapping[str, Location] = field(default_factory=dict, compare=False, repr=False)

    def digest(self) -> str:
        """SHA-256 (hex) over all that the spec says; where it was read from does not matter."""
        said = {name: getattr(self, name) for name in KEYS}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


KEYS = tuple(each.name for each in fields(Spec) if each.compare)


def load_spec(path: Path | None) -> Spec:
    """Read a spec; ``None`` is the default one, and a key that is absent or empty has its default.

    :raises InputError: the file cannot be read, is no YAML, or says something that is not possible
    """
    if path is None:
        return Spec()
    try:
        text = path.read_bytes()
    except IsADirectoryError:
        raise InputError("the spec is a folder", where=path, hint="Give the YAML file itself") from None
    except OSError as error:
        raise InputError(f"the spec cannot be read: {error.strerror}", where=path) from error
    return _spec(Fields(parse(text, path), "a scratch spec", KEYS))


def _spec(said: Fields) -> Spec:
    default = Spec()
    nodes = {key: node for key in KEYS if (node := said.node_of(key))}
    return Spec(
        name=_text(said, "name", _NAME) or default.name,
        suite=_one_of(said, "suite", SUITES) or default.suite,
        architecture=_one_of(said, "architecture", ARCHITECTURES) or default.architecture,
        size=_size(said) or default.size,
        packages=_packages(said),
        hostname=_text(said, "hostname", _HOSTNAME) or default.hostname,
        mirror=_text(said, "mirror", _MIRROR),
        locations={key: node.where for key, node in nodes.items()},
    )


def _text(said: Fields, key: str, rule: tuple[re.Pattern[str], str]) -> str | None:
    value = said.text(key)
    node = said.node_of(key)
    if node is None:
        return None
    return _matching(key, value, node, rule)


def _matching(what: str, value: str, node: Node, rule: tuple[re.Pattern[str], str]) -> str:
    pattern, hint = rule
    if not pattern.fullmatch(value):
        raise InputError(f"'{value}' is not a possible {what}", where=node.where, hint=hint)
    return value


def _one_of(said: Fields, key: str, possible: tuple[str, ...]) -> str | None:
    value = said.text(key)
    node = said.node_of(key)
    if node is not None and value not in possible:
        hint = f"Possible now: {', '.join(possible)}"
        raise InputError(f"{key} '{value}' is not supported", where=node.where, hint=hint)
    return value or None


def _size(said: Fields) -> int | None:
    value = _text(said, "size", _SIZE)
    if value is None:
        return None
    count = int(value[:-1]) * _UNITS[value[-1]]
    if not MINIMUM_SIZE <= count <= MAXIMUM_SIZE:
        where = node.where if (node := said.node_of("size")) else None
        raise InputError(f"size {value} is out of range", where=where, hint="Give 1G to 64T")
    return count


def _packages(said: Fields) -> tuple[str, ...]:
    said.texts("packages")
    names = {_matching("package", str(node.value), node, _PACKAGE) for node in said.items("packages")}
    return tuple(sorted(names))
