"""Put the parts together: one merged cloud-config where that is possible, else a few, with MIME parts between them.

What is known at compile is merged here. What only the instance knows (a template's text, what an include fetches) lies
between two merged configs, which say by ``X-Merge-Type`` that their lists go after (or before) what is there, so that
the order of the parts is the order on the instance. Pure.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..artifacts import Command
from ..errors import Location
from ..findings import Findings
from ..source.model import Strictness
from ..yamlfile import Node
from . import own
from .kinds import BOOTHOOK, CONFIG, HANDLER, INCLUDE, JINJA_CONFIG, OTHER
from .merge import Document, insert, merge, place, short
from .mergers import Mergers
from .own import Addition
from .parts import Loaded, states_merging

APPEND = "list(append)+dict(no_replace,recurse_list)+str()"
"""The project's default in cloud-init's words, for what cannot be compared at compile: the first scalar stays."""
PREPEND = "list(prepend)+dict(no_replace,recurse_list)+str()"


@dataclass
class _Segment:
    """Parts that are merged here, and the additions that belong among them; or a template, which is not."""

    documents: list[Document] = field(default_factory=list)
    additions: list[Addition] = field(default_factory=list)
    template: Loaded | None = None
    stated: Mergers | None = None


@dataclass(frozen=True)
class Section:
    """One part of the finished user-data: a merged cloud-config, or a part that travels as it is."""

    name: str
    content_type: str
    config: Node | None = None
    text: str = ""
    merge_type: str = ""


@dataclass(frozen=True)
class Assembly:
    """The user-data before it is written: its sections in order, and the commands in the order they run."""

    sections: tuple[Section, ...]
    commands: tuple[Command, ...]

    @property
    def configs(self) -> list[Node]:
        return [section.config for section in self.sections if section.config is not None]


def assemble(
    parts: Sequence[Loaded],
    additions: Sequence[Addition],
    root: str,
    findings: Findings,
    *,
    scalars: str,
    strict: Strictness,
) -> Assembly:
    """The sections of the user-data, without the verdict (see :func:`finish`).

    :param parts: in the order of their names
    :param additions: what compile adds; scripts among the parts are added here
    :param root: the source as the user named it, which is cut off the places so that they are the same everywhere
    """
    segments, pivot = _segments(parts, additions)
    free = [part for part in parts if part.kind in (HANDLER, BOOTHOOK, OTHER)]
    includes = [part for part in parts if part.kind == INCLUDE]
    announcer = _Announcer(root, strict)
    configs: list[tuple[int, Section]] = []
    for index, segment in enumerate(segments):
        before = includes and index < pivot
        merge_type = str(segment.stated) if segment.stated else PREPEND if before else APPEND
        if includes and index == pivot:
            announcer.foreign(includes[0])
        if segment.template is not None:
            part = segment.template
            configs.append((index, Section(part.file, part.content_type, text=part.text, merge_type=merge_type)))
            announcer.foreign(part)
            continue
        config = _merged(segment, root, findings, scalars)
        following = segments[index + 1].template if index + 1 < len(segments) else None
        if following is None and includes and index + 1 == pivot:
            following = includes[0]
        config = announcer.announce(config, following)
        if config.value:
            configs.append((index, Section("cloud-config", "text/cloud-config", config, merge_type=merge_type)))
    ordered = [section for index, section in reversed(configs) if includes and index < pivot]
    ordered += [section for index, section in configs if not includes or index >= pivot]
    sections = [Section(part.file, part.content_type, text=part.text) for part in (*free, *includes)]
    return Assembly((*sections, *ordered), tuple(announcer.commands))


def _segments(parts: Sequence[Loaded], additions: Sequence[Addition]) -> tuple[list[_Segment], int]:
    """The parts in their order, cut where something is known on the instance only; and where the includes belong.

    A part that states its merging relates to what was before it; after a cut that is known on the instance only, so it
    becomes a segment of its own.
    """
    items: list[tuple[bytes, Loaded | Addition]] = [(_key(addition.key), addition) for addition in additions]
    items += [(_key(part.file), part) for part in parts if part.kind not in (HANDLER, BOOTHOOK, OTHER)]
    items.sort(key=lambda item: item[0])  # stable: an archive's entries stay in order
    segments = [_Segment()]
    pivot = -1
    cut = False
    for _, item in items:
        if isinstance(item, Addition):
            segments[-1].additions.append(item)
        elif item.kind == INCLUDE:
            if pivot < 0:
                segments.append(_Segment())
                pivot = len(segments) - 1
            cut = True
        elif item.kind == JINJA_CONFIG:
            segments += [_Segment(template=item, stated=item.stated), _Segment()]
            cut = True
        elif item.kind != CONFIG:
            segments[-1].additions.append(own.of_script(item))
        elif item.config is not None and item.stated is not None and cut:
            segments += [_Segment([Document(item.config)], stated=item.stated), _Segment()]
        elif item.config is not None:
            segments[-1].documents.append(Document(item.config, item.stated))
    return segments, pivot


def _key(name: str) -> bytes:
    return name.split("#", 1)[0].encode("utf-8", "surrogateescape")


def _merged(segment: _Segment, root: str, findings: Findings, scalars: str) -> Node:
    config = merge(segment.documents, findings, scalars)
    for key, entries in (
        ("write_files", [node for addition in segment.additions for node in addition.files]),
        ("runcmd", [node for addition in segment.additions for node in addition.commands]),
    ):
        if entries:
            config = insert(config, key, entries, lambda where: own.rank(where, root))
    return config


class _Announcer:
    """Puts a ``jenkins_ami_step`` before each command, and keeps the list of those commands for the manifest."""

    def __init__(self, root: str, strict: Strictness) -> None:
        self.root = root
        self.strict = strict
        self.commands: list[Command] = []
        self._opened = False

    def foreign(self, part: Loaded) -> None:
        """Commands that only the instance will know; :meth:`announce` has announced them as a whole."""
        self.commands.append(Command(part.name, f"({part.kind})"))

    def announce(self, config: Node, following: Loaded | None) -> Node:
        runcmd = config.value.get("runcmd")
        if following is None and (runcmd is None or not runcmd.value):
            return config
        items: list[Node] = []
        for node in runcmd.value if runcmd is not None else []:
            if not self._opened:  # the first entry is what defines the function
                self._opened = True
                items.append(node)
                continue
            plain = node.plain()
            where = short(node.where, self.root)
            text = plain if isinstance(plain, str) else shlex.join(map(str, plain))
            self.commands.append(Command(where, text))
            items += [self._step(where, node.where), node]
        if following is not None:
            items.append(self._step(following.name, following.where))
        start = runcmd.where if runcmd is not None else config.where
        return Node({**config.value, "runcmd": Node(items, start)}, config.where, config.keys, config.past)

    def _step(self, where: str, place_: Location) -> Node:
        name = where.split("#", 1)[0].split(":", 1)[0]
        word = "jenkins_ami_step" if self.strict.of(name) else "jenkins_ami_try"
        return place(f"{word} {shlex.quote(where)}", place_)


def finish(assembly: Assembly, nonce: str, words: Sequence[str]) -> Assembly:
    """The assembly with its verdict: the last command of all, and the power-off that depends on it.

    :param words: further arguments of ``verdict.sh``
    """
    *rest, last = assembly.sections
    if last.config is None or last.merge_type != APPEND:  # a part named 99_… that is not merged here
        nothing = Node({}, Location(f"{own.COMPILE}99_verdict"), {})
        rest, last = [*rest, last], Section("cloud-config", "text/cloud-config", nothing, merge_type=APPEND)
    assert last.config is not None
    count = len(assembly.commands)
    complete = place(f"jenkins_ami_complete {count}", Location(f"{own.COMPILE}99_verdict"))
    runcmd = last.config.value.get("runcmd") or place([], complete.where)
    power: Mapping[str, Any] = own.verdict_config(nonce, words).value
    values = {**last.config.value, "runcmd": Node([*runcmd.value, complete], runcmd.where), **power}
    config = Node(values, last.config.where, last.config.keys)
    return Assembly((*rest, Section(last.name, last.content_type, config, "", last.merge_type)), assembly.commands)


def verdict_words(parts: Sequence[Loaded], strict: Strictness) -> list[str]:
    """What ``verdict.sh`` is told about strictness: ``--lenient`` for all, or the names of parts that may fail."""
    if not strict.default:
        return ["--lenient"]
    return sorted({part.file for part in parts if not strict.of(part.name.split("#", 1)[0])})


def overriding_templates(parts: Sequence[Loaded]) -> list[Loaded]:
    """Templates that state their own merging: what they replace is known on the instance only."""
    return [part for part in parts if part.kind == JINJA_CONFIG and (part.stated or states_merging(part.text))]
