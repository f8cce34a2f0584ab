"""Images that are each other's base: who is built after whom. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..findings import ERROR, WARNING, Finding
from ..forms import is_path
from .model import Found

_NOT_OURS = re.compile(r"ami-[0-9a-f]+\Z|ssm:|scratch(:|\Z)")
_VERSIONED = re.compile(r"(?P<name>.+)-(?P<version>[0-9]+(?:\.[0-9A-Za-z]+)*)\Z")


@dataclass(frozen=True)
class Chain:
    """:ivar base: of a source's id, the source whose image it starts from
    :ivar findings: with the ids of the sources that they make unusable"""

    base: dict[str, Found] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    unusable: frozenset[str] = frozenset()


def chain(found: Sequence[Found]) -> Chain:
    """Find each source's base among the others: ``NAME`` or ``NAME-VERSION`` of another source's image, or the path of
    another source in the same repository.

    An image name that two sources have is told to both; a base that could be either has no upstream. A cycle can never
    be built, nor can a base outside the repository, so such sources are unusable.
    """
    by_name: dict[str, list[Found]] = {}
    for source in found:
        by_name.setdefault(source.identity.name, []).append(source)
    findings = []
    for name, several in sorted(by_name.items()):
        if len(several) > 1:
            names = ", ".join(each.id for each in several)
            what = f"the image name '{name}' is that of several AMI sources: {names}"
            findings.append(_finding(WARNING, what, several[0], "Give each image a name of its own"))
    by_place = {_place(source, source.folder): source for source in found}
    base: dict[str, Found] = {}
    unusable: set[str] = set()
    for source in found:
        upstream = _by_path(source, by_place) if is_path(source.identity.base) else _by_name(source, by_name)
        if isinstance(upstream, Finding):
            findings.append(upstream)
            if upstream.level == ERROR:
                unusable.add(source.id)
        elif upstream is not None:
            base[source.id] = upstream
    for cycle in _cycles(found, base):
        names = " → ".join([*(each.id for each in cycle), cycle[0].id])
        for source in cycle:
            what = "the image is its own base" if len(cycle) == 1 else f"images are each other's base: {names}"
            findings.append(_finding(ERROR, what, source, "Start one of them from another image"))
            unusable.add(source.id)
    return Chain(
        {key: value for key, value in base.items() if key not in unusable}, tuple(findings), frozenset(unusable)
    )


def _place(source: Found, folder: str) -> tuple[str, str, str]:
    """Where a source in the same repository would be."""
    return source.repository.provider.name, source.repository.name, folder


def _by_path(source: Found, by_place: Mapping[tuple[str, str, str], Found]) -> Found | Finding:
    base = source.identity.base
    folder = posixpath.normpath(posixpath.join(source.folder, base))
    if folder == ".." or folder.startswith("../"):
        hint = "Use the name of the image that another repository makes"
        return _finding(ERROR, f"the base '{base}' leads out of the repository", source, hint)
    there = by_place.get(_place(source, "" if folder == "." else folder))
    if there is None:
        what = f"no AMI source was found at the base '{base}': it triggers no build"
        return _finding(WARNING, what, source, "Correct the path, or 'folders' in jobs.yaml")
    return there


def _by_name(source: Found, by_name: Mapping[str, list[Found]]) -> Found | Finding | None:
    base = source.identity.base
    candidates = _named(base, by_name) if source.identity.base_query is None else []
    if len(candidates) > 1:
        what = f"the base '{base}' may be the image of several AMI sources: it triggers no build"
        return _finding(WARNING, what, source, "Give each image a name of its own")
    return candidates[0] if candidates else None


def _named(base: str, by_name: Mapping[str, list[Found]]) -> list[Found]:
    if _NOT_OURS.match(base):
        return []
    if base in by_name:
        return by_name[base]
    match = _VERSIONED.match(base)
    return by_name.get(match["name"], []) if match else []


def _cycles(found: Sequence[Found], base: dict[str, Found]) -> list[list[Found]]:
    """Each cycle once. Every source has one base at most, so a walk along the bases meets at most one."""
    cycles = []
    done: set[str] = set()
    for source in found:
        walk: list[Found] = []
        at: Found | None = source
        while at is not None and at.id not in done:
            done.add(at.id)
            walk.append(at)
            at = base.get(at.id)
        if at is not None and at in walk:
            cycles.append(walk[walk.index(at) :])
    return cycles


def _finding(level: str, what: str, source: Found, hint: str) -> Finding:
    return Finding("chain", level, what, source.where, hint)
