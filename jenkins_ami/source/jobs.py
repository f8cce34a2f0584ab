"""``jobs:`` of ``ami.yaml``, and ``defaults:`` of ``jobs.yaml``: what a source says about its Jenkins jobs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..errors import InputError
from ..findings import Findings
from ..yamlfile import Fields, Node
from .model import Discard, JobSettings, Throttle

KEYS = (
    "build",
    "verify",
    "environment",
    "environments",
    "local",
    "timeout",
    "concurrent",
    "quiet_period",
    "nightly",
    "poll",
    "recheck",
    "gerrit_server",
    "follow_base",
    "labels",
    "credentials",
    "discard",
    "throttle",
)
WAYS = ("auto", "gerrit-trigger", "multibranch", "none")
LABELS = ("compile", "build", "verify")
CREDENTIALS = ("git", "aws")
DISCARD = ("builds", "days", "artifact_builds", "artifact_days")
THROTTLE = ("categories", "total", "per_node")
MINUTES = (1, 10_080)
QUIET = (0, 86_400)
KEPT = (-1, 1_000_000)
LIMIT = (0, 10_000)
ID = re.compile(r"[A-Za-z0-9_.-]{1,200}\Z")
LABEL = re.compile(r"[^\x00-\x1f\x7f]{1,200}\Z")
"""A label expression; Jenkins parses it."""
ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")

_ALIASES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_TERM = re.compile(
    r"(?:(?P<any>\*)|(?P<hash>H(?:\((?P<hlow>[0-9]+)-(?P<hhigh>[0-9]+)\))?)|(?P<low>[0-9]+)(?:-(?P<high>[0-9]+))?)"
    r"(?:/(?P<step>[0-9]+))?\Z"
)


def read_jobs(fields: Fields, key: str) -> dict[str, Any]:
    """What a ``jobs:`` or ``defaults:`` block sets, by the field names of :class:`~.model.JobSettings`.

    :param fields: of the whole file
    :raises InputError: all that is wrong in the block
    """
    found = Findings()
    node = fields.node_of(key)
    if node is None:
        return {}
    block = Fields(node, key, KEYS)
    readers: dict[str, Callable[[], dict[str, Any]]] = {
        "build": lambda: {"build": block.boolean("build", True)},
        "verify": lambda: _verify(block),
        "environment": lambda: {"environment": _matching(block, "environment", ENVIRONMENT, "an environment's name")},
        "environments": lambda: _environments(block),
        "local": lambda: {"local": block.boolean("local", False)},
        "timeout": lambda: {"timeout": block.integer("timeout", 0, *MINUTES)},
        "concurrent": lambda: {"concurrent": block.boolean("concurrent", False)},
        "quiet_period": lambda: {"quiet_period": block.integer("quiet_period", 0, *QUIET)},
        "nightly": lambda: {"nightly": cron(block, "nightly")},
        "poll": lambda: {"poll": cron(block, "poll")},
        "recheck": lambda: {"recheck": block.text("recheck")},
        "gerrit_server": lambda: {"gerrit_server": block.text("gerrit_server")},
        "follow_base": lambda: {"follow_base": block.boolean("follow_base", True)},
        "labels": lambda: _named(block, "labels", LABELS, "_label", LABEL, "a label"),
        "credentials": lambda: _named(block, "credentials", CREDENTIALS, "_credentials", ID, "a credentials id"),
        "discard": lambda: _discard(block),
        "throttle": lambda: _throttle(block),
    }
    settings: dict[str, Any] = {}
    for name, read in readers.items():
        if block.node_of(name) is not None:
            with found.catch(key):
                settings |= read()
    found.raise_errors()
    return settings


def _matching(fields: Fields, key: str, pattern: re.Pattern[str], what: str) -> str:
    text = fields.text(key)
    if not pattern.match(text):
        raise InputError(f"'{text}' is not {what}", where=_place(fields, key).where)
    return text


def _place(fields: Fields, key: str) -> Node:
    return fields.node_of(key) or fields.node


def _verify(block: Fields) -> dict[str, Any]:
    """``verify: WAY`` or ``verify: {by: WAY, jenkinsfile: PATH}``."""
    if not isinstance(_place(block, "verify").value, dict):
        return {"verify": one_of(block, "verify", WAYS)}
    inner = block.fields("verify", "verify", ("by", "jenkinsfile"))
    settings: dict[str, Any] = {}
    if inner.node_of("by"):
        settings["verify"] = one_of(inner, "by", WAYS)
    if inner.node_of("jenkinsfile"):
        settings["verify_jenkinsfile"] = script_path(inner, "jenkinsfile")
    return settings


def one_of(fields: Fields, key: str, known: tuple[str, ...]) -> str:
    """:raises InputError: another word than those that are known"""
    text = fields.text(key, known[0])
    if text not in known:
        raise InputError(
            f"'{key}' is '{text}'", where=_place(fields, key).where, hint=f"Use {', '.join(known[:-1])} or {known[-1]}"
        )
    return text


def script_path(fields: Fields, key: str) -> str:
    """:raises InputError: it is no path inside a repository"""
    text = fields.text(key)
    if not text or text.startswith("/") or ".." in text.split("/") or not text.isprintable():
        raise InputError(f"'{text}' is no path in the repository", where=_place(fields, key).where)
    return text


def _environments(block: Fields) -> dict[str, Any]:
    names = block.texts("environments")
    for name in names:
        if not ENVIRONMENT.match(name):
            raise InputError(f"'{name}' is not an environment's name", where=_place(block, "environments").where)
    return {"environments": names}


def _named(
    block: Fields, key: str, names: tuple[str, ...], suffix: str, pattern: re.Pattern[str], what: str
) -> dict[str, Any]:
    inner = block.fields(key, key, names)
    return {f"{name}{suffix}": _matching(inner, name, pattern, what) for name in names if inner.node_of(name)}


def _discard(block: Fields) -> dict[str, Any]:
    inner = block.fields("discard", "discard", DISCARD)
    return {"discard": Discard(**{name: inner.integer(name, getattr(Discard, name), *KEPT) for name in DISCARD})}


def _throttle(block: Fields) -> dict[str, Any]:
    inner = block.fields("throttle", "throttle", THROTTLE)
    return {
        "throttle": Throttle(
            inner.texts("categories"), inner.integer("total", 0, *LIMIT), inner.integer("per_node", 0, *LIMIT)
        )
    }


def settings_of(*layers: dict[str, Any]) -> JobSettings:
    """Settings from what blocks set, later ones first."""
    values: dict[str, Any] = {}
    for layer in layers:
        values |= layer
    return JobSettings(**values)


def cron(fields: Fields, key: str) -> str:
    """A line of Jenkins' cron syntax (hudson.scheduler.CronTab: five fields, ``H``, ``@daily``), or empty.

    Jenkins accepts a wrong one with 200 and then never runs the job (recorded on 2.504.3), so it is checked here.

    :raises InputError: it is no such line
    """
    text = fields.text(key)
    if problem := cron_problem(text):
        raise InputError(
            f"'{text}' is no cron line: {problem}",
            where=_place(fields, key).where,
            hint="Write five fields, like 'H 3 * * 1-5', or @daily",
        )
    return text


def cron_problem(line: str) -> str:
    """What is wrong with one cron line, empty when nothing is."""
    text = line.strip()
    if not text or text in _ALIASES:
        return ""
    fields = text.split()
    if len(fields) != 5:
        return f"it has {len(fields)} field{'s' * (len(fields) != 1)}, not 5"
    for field, (low, high) in zip(fields, _BOUNDS, strict=True):
        for term in field.split(","):
            if not _is_term(term, low, high):
                return f"'{term}' is not within {low}-{high}" if _TERM.match(term) else f"'{term}' is not understood"
    return ""


def _is_term(term: str, low: int, high: int) -> bool:
    match = _TERM.match(term)
    if not match:
        return False
    numbers = [int(match[name]) for name in ("low", "high", "hlow", "hhigh") if match[name] is not None]
    if any(not low <= number <= high for number in numbers) or numbers != sorted(numbers):
        return False
    step = match["step"]
    return step is None or (0 < int(step) <= high and (match["low"] is None or match["high"] is not None))
