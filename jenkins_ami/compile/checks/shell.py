"""The syntax of shell scripts, by the shells themselves, and what ShellCheck says when it is installed.

Nothing is executed: the shells get ``-n``, and the names of files as arguments.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import HostError, Location
from ...findings import Findings, Fix
from ...process import run, which
from ...source.model import AmiSource
from . import scripts
from .scripts import Script

if TYPE_CHECKING:
    from ..members import Member
    from ..parts import Loaded

SYNTAX, SHELLCHECK = "shell-syntax", "shellcheck"
TIMEOUT = 120.0
"""Seconds for all scripts of a source at once."""

_CHECK_EACH = 'for file; do "$0" -n "$file"; done'
_AT_ONCE = 500
"""Names on one command line."""
_CONSTRUCT = 30
"""Commands that an ``if`` or a loop may be spread over."""
_MESSAGE = re.compile(r"(?P<file>/.*?): (?:line )?(?P<line>\d+): (?P<what>.*)")
_UNWANTED = ("SC1090", "SC1091", "SC2148")
"""A sourced file that is not there: it is on the instance. A missing ``#!`` line, which compile.sh may lack."""


def check_shell(
    parts: Sequence[Loaded],
    source: AmiSource,
    root: Path,
    members: Sequence[Member],
    findings: Findings,
    *,
    thorough: bool,
) -> None:
    """Check all scripts.

    :param root: the source as the user named it
    :param thorough: the overlay's scripts too, and ShellCheck
    """
    known = [*scripts.of_source(source, root, findings), *scripts.of_parts(parts, source)]
    joined = list(scripts.commands(parts))
    with tempfile.TemporaryDirectory(prefix="jenkins-ami-") as name:
        folder = Path(name)
        good = _check_syntax(known, folder, findings)
        good_commands = _check_commands(joined, folder, findings)
        if thorough:
            _check_syntax(list(scripts.of_overlay(members, source)), folder, findings)
            _shellcheck([*good, *good_commands], folder, findings)


def _check_syntax(some: Sequence[Script], folder: Path, findings: Findings) -> list[Script]:
    """Those that are good."""
    wrong = _errors(some, folder)
    for number, (row, what) in wrong.items():
        where = some[number].place(row, 1)
        findings.error(SYNTAX, what, Location(where.file, where.line))
    return [script for number, script in enumerate(some) if number not in wrong]


def _check_commands(joined: Sequence[Script], folder: Path, findings: Findings) -> list[Script]:
    """One look at all commands of all parts; only when something is wrong, at each part, then at each command."""
    everything = Script("sh", "".join(script.text for script in joined), lambda _row, _column: Location(""))
    if not joined or not _errors([everything], folder):
        return list(joined)
    wrong = _errors(joined, folder)
    for number, reason in wrong.items():
        for script, (row, what) in _wrong_pieces(joined[number].pieces, folder) or [(joined[number], reason)]:
            where = script.place(row, 1)
            findings.error(SYNTAX, what, Location(where.file, where.line))
    return [script for number, script in enumerate(joined) if number not in wrong]


def _wrong_pieces(pieces: Sequence[Script], folder: Path) -> list[tuple[Script, tuple[int, str]]]:
    """Commands that are wrong by themselves. One that begins what a later one ends (``if``, …, ``fi``) is not."""
    wrong, found, ended = _errors(pieces, folder), [], -1
    for number, reason in wrong.items():
        if number <= ended:
            continue
        texts, longer = pieces[number].text, []
        for piece in pieces[number + 1 : number + 1 + _CONSTRUCT]:
            texts += piece.text
            longer.append(Script("sh", texts, piece.place))
        still_wrong = _errors(longer, folder)
        length = next((one for one in range(len(longer)) if one not in still_wrong), None)
        if length is None:
            found.append((pieces[number], reason))
        else:
            ended = number + 1 + length
    return found


def _errors(some: Sequence[Script], folder: Path) -> dict[int, tuple[int, str]]:
    """By number of the script: the row and the reason why its shell cannot read it."""
    found: dict[int, tuple[int, str]] = {}
    for shell in sorted({script.shell for script in some}):
        try:
            program = which(shell)
        except HostError:
            continue
        files = {_file(script, folder, n): n for n, script in enumerate(some) if script.shell == shell}
        names = list(files)
        for start in range(0, len(names), _AT_ONCE):
            argv = [which("sh"), "-c", _CHECK_EACH, program, *names[start : start + _AT_ONCE]]
            environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
            for line in run(argv, env=environment, timeout=TIMEOUT, check=False).stderr.splitlines():
                match = _MESSAGE.match(line)
                if match and match["file"] in files and not match["what"].startswith("warning: "):
                    what, row = match["what"], min(int(match["line"]), _rows_of(match["file"]))
                    found.setdefault(files[match["file"]], (row, what[:1].lower() + what[1:]))
    return dict(sorted(found.items()))


def _rows_of(file: str) -> int:
    """The shells report what is missing at the end in the line after the last."""
    return max(1, len(Path(file).read_bytes().splitlines()))


def _file(script: Script, folder: Path, number: int) -> str:
    """A file with the script: its own, or a copy."""
    if script.path is not None:
        return str(script.path.absolute())
    copy = folder / f"{number}.sh"
    copy.write_text(script.text, "utf-8", "replace")
    return str(copy)


def _shellcheck(some: Sequence[Script], folder: Path, findings: Findings) -> None:
    """One process for all. Of joined commands only what is an error to ShellCheck is told: they are hardly scripts."""
    try:
        program = which("shellcheck")
    except HostError:
        return
    files: dict[str, Script] = {}
    for number, script in enumerate(some):
        name = _file(script, folder, number)
        if script.pieces:
            Path(name).write_text(f"#!/bin/sh\n{script.text}", "utf-8", "replace")
        files[name] = script
    for name, comment in _comments(program, list(files), findings):
        script = files[name]
        row = comment["line"] - (1 if script.pieces else 0)
        where = script.place(row, comment["column"])
        serious = comment["level"] == "error"
        if serious or not script.pieces:
            code = f"SC{comment['code']}"
            hint = f"See https://www.shellcheck.net/wiki/{code}"
            fix = _fix(comment, script) if script.exact else None
            (findings.error if serious else findings.warn)(code, _plain(comment["message"]), where, hint, fix)


def _comments(program: str, names: Sequence[str], findings: Findings) -> Iterator[tuple[str, dict[str, Any]]]:
    for start in range(0, len(names), _AT_ONCE):
        options = ["--format=json1", "--severity=info", f"--exclude={','.join(_UNWANTED)}"]
        argv = [program, *options, "--", *names[start : start + _AT_ONCE]]
        try:
            comments = json.loads(run(argv, timeout=TIMEOUT, check=False).stdout)["comments"]
        except (HostError, ValueError, KeyError) as error:
            findings.warn(SHELLCHECK, f"shellcheck failed: {error}", Location(program))
            return
        for comment in comments:
            yield comment["file"], comment


def _plain(message: str) -> str:
    return " ".join(message.split()).rstrip(".")


def _fix(comment: dict[str, Any], script: Script) -> Fix | None:
    """What it would replace, when that lies in one line: from the first to the last of its replacements."""
    replacements = (comment.get("fix") or {}).get("replacements") or []
    rows = {row for one in replacements for row in (one["line"], one["endLine"])}
    if len(rows) != 1:
        return None
    row = rows.pop()
    text = (script.text.splitlines() or [""])[row - 1]
    ordered = sorted(replacements, key=lambda one: (one["column"], one["endColumn"]))
    start, at, new = ordered[0]["column"], ordered[0]["column"], ""
    for one in ordered:
        if one["column"] < at:
            return None
        new += text[at - 1 : one["column"] - 1] + one["replacement"]
        at = one["endColumn"]
    return Fix(script.place(row, start), script.place(row, at), new)
