"""Findings as text, JSON, SARIF 2.1.0, and a review that Gerrit takes. Pure: documents from findings, no I/O.

Paths in SARIF and Gerrit are relative to a folder, usually the top of the Git work tree.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .. import __version__
from ..errors import Location, one_line, without_stop
from ..findings import ERROR, WARNING, Finding, Fix

FORMATS = ("text", "json", "sarif", "gerrit")

PATCHSET_LEVEL = "/PATCHSET_LEVEL"
"""Gerrit's name for what is said of the whole patch set."""
_ROOT = "SRCROOT"
_RULES = {
    "ami.env": "ami.env is a file of plain assignments with NAME, VERSION and BASE",
    "ami.yaml": "ami.yaml follows its JSON Schema",
    "base": "A base that is the path of another AMI source leads to one",
    "cloud-config-deprecated": "A cloud-config uses no key that cloud-init is going to drop",
    "cloud-config-key": "A cloud-config has only keys that cloud-init knows, and those that it needs",
    "cloud-config-mode": "The permissions of a file are octal",
    "cloud-config-schema": "cloud-init's own schema accepts a cloud-config",
    "cloud-config-type": "A key of a cloud-config has a value of the type that cloud-init takes",
    "compile.sh": "compile.sh leaves an AMI source that can be compiled",
    "file": "Every file of an AMI source can be read",
    "merge": "Parts that are merged do not contradict each other",
    "overlay": "The overlay holds files, folders and links that belong on an instance",
    "parameter": "Parameters have values of their types",
    "part": "A part is one that cloud-init recognises and executes",
    "secret": "Nothing that anyone on the instance can read is a secret",
    "shell-line-ends": "Scripts end their lines with a newline alone",
    "shell-syntax": "A shell can read its scripts",
    "shellcheck": "ShellCheck can read the scripts",
    "source": "An AMI source has the files that it needs",
    "template": "A template can be rendered",
    "unknown-key": "Mappings have only keys that are known",
}
_LEVELS = {ERROR: "error", WARNING: "warning"}
_SHELLCHECK_WIKI = "https://www.shellcheck.net/wiki/"


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """By place; of one place, errors first."""
    return sorted(
        findings, key=lambda one: (str(one.where.file), one.where.line, one.where.column, one.level, one.what)
    )


def summary(findings: Sequence[Finding]) -> str:
    """``2 errors, 1 warning``, or ``no findings``."""
    counts = ((sum(one.level == level for one in findings), name) for level, name in _LEVELS.items())
    return ", ".join(f"{count} {name}{'s' * (count != 1)}" for count, name in counts if count) or "no findings"


def as_text(findings: Sequence[Finding]) -> list[str]:
    """``FILE:LINE:COLUMN: error: what. hint. [rule]``, a line each, and how many there are."""
    return [*(one_line(f"{one.where}: {message(one)}") for one in ordered(findings)), summary(findings)]


def message(finding: Finding) -> str:
    """``error: what. hint. [rule]`` on one line."""
    hint = f" {without_stop(finding.hint)}." if finding.hint else ""
    return one_line(f"{finding.level}: {without_stop(finding.what)}.{hint} [{finding.rule}]")


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """All of it; places as the user named the files, lines and columns from 1, 0 where unknown."""
    items = [one.as_dict() | ({"fix": _json_fix(one.fix)} if one.fix else {}) for one in ordered(findings)]
    count = {level: sum(one.level == level for one in findings) for level in _LEVELS}
    return {"errors": count[ERROR], "warnings": count[WARNING], "findings": items}


def _json_fix(fix: Fix) -> dict[str, Any]:
    return {
        "start": {"line": fix.start.line, "column": fix.start.column},
        "end": {"line": fix.end.line, "column": fix.end.column},
        "text": fix.text,
    }


def relative(file: str | Path, base: Path) -> str | None:
    """The file's path from ``base`` with ``/``, or ``None`` when it is not below. Links are not followed."""
    path = Path(os.path.relpath(os.path.abspath(file), os.path.abspath(base)))  # noqa: PTH100
    return None if path.parts[:1] == ("..",) else path.as_posix()


def as_sarif(findings: Sequence[Finding], base: Path) -> dict[str, Any]:
    """SARIF 2.1.0 (OASIS standard), one run."""
    rules = sorted({one.rule for one in findings})
    folder = base.absolute().as_uri().rstrip("/") + "/"
    driver = {"name": "jenkins-ami", "version": __version__, "rules": [_sarif_rule(rule) for rule in rules]}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "originalUriBaseIds": {_ROOT: {"uri": folder}},
                "columnKind": "unicodeCodePoints",
                "results": [_sarif_result(one, rules, base) for one in ordered(findings)],
            }
        ],
    }


def _sarif_rule(rule: str) -> dict[str, Any]:
    described: dict[str, Any] = {"id": rule, "shortDescription": {"text": _description(rule)}}
    return described | ({"helpUri": _SHELLCHECK_WIKI + rule} if _is_shellcheck(rule) else {})


def _description(rule: str) -> str:
    return f"ShellCheck's {rule} is not met" if _is_shellcheck(rule) else _RULES.get(rule, f"The rule {rule} is met")


def _is_shellcheck(rule: str) -> bool:
    return rule.startswith("SC") and rule[2:].isdecimal()


def _sarif_result(finding: Finding, rules: list[str], base: Path) -> dict[str, Any]:
    artifact = _sarif_artifact(finding.where.file, base)
    physical: dict[str, Any] = {"artifactLocation": artifact}
    if finding.where.line:
        end = finding.fix.end if finding.fix and finding.fix.start == finding.where else finding.where
        physical["region"] = _sarif_region(finding.where, end)
    hint = f". {finding.hint.rstrip('.')}" if finding.hint else ""
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": _LEVELS[finding.level],
        "message": {"text": f"{finding.what.rstrip('.')}{hint}."},
        "locations": [{"physicalLocation": physical}],
    }
    if finding.fix:
        replacement = {
            "deletedRegion": _sarif_region(finding.fix.start, finding.fix.end),
            "insertedContent": {"text": finding.fix.text},
        }
        change = {"artifactLocation": artifact, "replacements": [replacement]}
        result["fixes"] = [{"description": {"text": _proposal(finding.fix)}, "artifactChanges": [change]}]
    return result


def _sarif_artifact(file: str | Path, base: Path) -> dict[str, Any]:
    path = relative(file, base)
    if path is None:
        return {"uri": Path(file).absolute().as_uri()}
    return {"uri": quote(os.fsencode(path)), "uriBaseId": _ROOT}


def _sarif_region(start: Location, end: Location) -> dict[str, int]:
    region = {"startLine": start.line}
    if start.column:
        region["startColumn"] = start.column
    if end.column and end != start:
        region |= {"endLine": end.line, "endColumn": end.column}
    return region


def _proposal(fix: Fix) -> str:
    return f"Write {fix.text}"


def as_gerrit(findings: Sequence[Finding], base: Path, changed: Collection[str] | None = None) -> dict[str, Any]:
    """The body of ``POST /changes/…/revisions/…/review`` (Gerrit's ``ReviewInput``): comments, and no vote.

    :param changed: files that the patch set changes, relative to ``base``. Gerrit refuses a whole review that comments
        on another file; what is found there is said of the patch set. ``None``: all files are taken to be in it.
    """
    comments: dict[str, list[dict[str, Any]]] = {}
    elsewhere = []
    for one in ordered(findings):
        path = relative(one.where.file, base)
        if path is None or path == "." or (changed is not None and path not in changed):
            elsewhere.append(one)
        else:
            comments.setdefault(path, []).append(_gerrit_comment(one, path))
    if elsewhere:
        lines = [f"{_shown(one.where, base)}: {message(one)}" for one in elsewhere]
        unresolved = any(one.level == ERROR for one in elsewhere)
        comments[PATCHSET_LEVEL] = [{"message": "\n\n".join(lines), "unresolved": unresolved}]
    return {
        "message": f"jenkins-ami validate: {summary(findings)}",
        "tag": "autogenerated:jenkins-ami",
        "omit_duplicate_comments": True,
        "comments": comments,
    }


def _shown(where: Location, base: Path) -> Location:
    return Location(relative(where.file, base) or where.file, where.line, where.column)


def _gerrit_comment(finding: Finding, path: str) -> dict[str, Any]:
    """``CommentInput``: lines from 1, characters from 0; the line of a comment on a range is the range's last."""
    comment: dict[str, Any] = {"message": message(finding), "unresolved": finding.level == ERROR}
    if finding.where.line:
        comment["line"] = finding.where.line
    if fix := finding.fix:
        span = {
            "start_line": fix.start.line,
            "start_character": fix.start.column - 1,
            "end_line": fix.end.line,
            "end_character": fix.end.column - 1,
        }
        replacement = {"path": path, "range": span, "replacement": fix.text}
        comment["fix_suggestions"] = [{"description": _proposal(fix), "replacements": [replacement]}]
        if span["start_character"] < span["end_character"]:
            comment |= {"line": fix.end.line, "range": span}
    return comment
