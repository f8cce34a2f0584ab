"""What the machine's own cloud-init says about a cloud-config: ``cloud-init schema``, when it is there.

Its ``--annotate`` is not used: it dies on some mistakes (22.4 on an entry of a list), and it says the line only. The
plain report names the key, whose place is known here.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import HostError, Location
from ...findings import Findings
from ...process import Completed, run, which
from ...yamlfile import Node

if TYPE_CHECKING:
    from ..parts import Loaded

RULE, DEPRECATED = "cloud-config-schema", "cloud-config-deprecated"
TIMEOUT = 60.0
"""Seconds for one part; it takes less than one, most of them spent on starting Python."""

_REPORT = re.compile(r"Cloud config schema (errors|deprecations): (.*)")
_PATH = re.compile(r"(?:^|, )(?P<path>[^\s,:'\"{}\[\]()]+): ")
_OF_VERSION = re.compile(r"Additional properties|is not valid under any of the given schemas|is not one of")
"""What another version of cloud-init, the image's, may see differently."""
_COMPLAINT = re.compile(
    r".*\b((?:is not (?:of type|valid under|one of)|is too|is less|is greater|does not match|has non-unique).*)",
    re.DOTALL,
)


def check_schema(parts: Sequence[Loaded], findings: Findings) -> None:
    """Check each part by itself, some at a time. A line of which something is known to be wrong is not told again."""
    try:
        program = which("cloud-init")
    except HostError:
        return
    documents = [part for part in parts if part.config is not None]
    with tempfile.TemporaryDirectory(prefix="jenkins-ami-") as name:
        files = []
        for number, part in enumerate(documents):
            files.append(Path(name) / f"{number}.cfg")
            files[-1].write_text(_document(part), "utf-8")
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            try:
                for part, answer in zip(documents, pool.map(lambda file: _ask(program, file), files), strict=True):
                    _tell(part, answer, findings)
            finally:
                pool.shutdown(cancel_futures=True)


def _document(part: Loaded) -> str:
    """What cloud-init would read: a template's file says something else, an archive's entry may have no header."""
    import yaml

    assert part.config is not None
    return "#cloud-config\n" + yaml.safe_dump(part.config.plain(), allow_unicode=True, sort_keys=False)


def _ask(program: str, file: Path) -> Completed | HostError:
    try:
        return run([program, "schema", "--config-file", file], timeout=TIMEOUT, check=False)
    except HostError as error:
        return error


def _tell(part: Loaded, answer: Completed | HostError, findings: Findings) -> None:
    if isinstance(answer, HostError):
        findings.warn(RULE, f"cloud-init schema could not check it: {answer.what}", part.where)
        return
    told = list(_problems(f"{answer.stdout}\n{answer.stderr}"))
    if answer.returncode and not told:
        last = (answer.stderr or answer.stdout).strip().rpartition("\n")[2]
        findings.warn(RULE, f"cloud-init schema could not check it: {last[:200]}", part.where)
    known = {(str(finding.where.file), finding.where.line) for finding in findings.items}
    assert part.config is not None
    for (kind, path), messages in _grouped(told).items():
        where = _place(part.config, path) or part.where
        if (str(where.file), where.line) in known or path.startswith("x-"):
            continue
        if kind == "deprecations":
            findings.warn(DEPRECATED, f"'{path}' is deprecated: {_plain(messages[0])}", where)
            continue
        what = f"cloud-init schema: '{path}' {'; '.join(dict.fromkeys(_without_value(one) for one in messages))}"
        if len(messages) > 1 or _OF_VERSION.search(messages[0]):
            findings.warn(RULE, what, where)
        else:
            findings.error(RULE, what, where)


def _grouped(problems: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str], list[str]]:
    """By path: of several alternatives, newer versions say what is wrong with each."""
    groups: dict[tuple[str, str], list[str]] = {}
    for kind, path, message in problems:
        groups.setdefault((kind, path), []).append(message)
    return groups


def _problems(output: str) -> Iterator[tuple[str, str, str]]:
    """``(errors|deprecations, path, message)`` of each line such as ``… errors: a.b: message, c: message``."""
    seen = set()
    for report in _REPORT.finditer(output):
        starts = list(_PATH.finditer(report[2]))
        ends = [*(start.start() for start in starts[1:]), len(report[2])]
        for start, end in zip(starts, ends, strict=False):
            problem = (report[1], start["path"], report[2][start.end() : end].strip())
            if problem not in seen:
                seen.add(problem)
                yield problem


def _place(node: Node, path: str) -> Location | None:
    """Where the key or entry at a dotted path stands. Keys may contain dots themselves."""
    if not path:
        return None
    if isinstance(node.value, list):
        head, _, rest = path.partition(".")
        if not head.isdecimal() or int(head) >= len(node.value):
            return None
        entry = node.value[int(head)]
        return (_place(entry, rest) if rest else None) or entry.where
    if not isinstance(node.value, dict):
        return None
    for key, value in node.value.items():
        if path == str(key) or path.startswith(f"{key}."):
            found = _place(value, path[len(str(key)) + 1 :])
            return found or (node.keys or {}).get(key, value.where)
    return None


def _without_value(message: str) -> str:
    """jsonschema begins a message with the value, which may be a secret."""
    if "was unexpected" in message or message.endswith("is a required property"):
        return message
    match = _COMPLAINT.match(message)
    return match[1] if match else "is not what the schema asks for"


def _plain(message: str) -> str:
    return re.sub(r"\*\*|``", "'", message).removeprefix("DEPRECATED: ").strip().rstrip(".")
