"""``jobs:`` of ``ami.yaml``, and ``defaults:`` of ``jobs.yaml``: what a source says about its Jenkins jobs."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..errors import InputError, Location
from ..findings import Findings
from ..yamlfile import Fields, Node
from .model import JobSettings

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
CREDENTIALS = ("git", "aws", "gerrit")
DISCARD = ("builds", "days", "artifact_builds", "artifact_days")
THROTTLE = ("categories", "total", "per_node")
MINUTES = (1, 10_080)
QUIET = (0, 86_400)
KEPT = (-1, 1_000_000)
LIMIT = (0, 10_000)
ID = re.compile(r"[A-Za-z0-9_.-]{1,200}\Z")
LABEL = re.compile(r"[^\x00-\x1f\x7f]{1,200}\Z")
"""A label expression; Jenkins parses it."""
SERVER = re.compile(r"[^\x00-\x1f\x7f]{1,200}\Z")
"""What an administrator called a server in the Gerrit Trigger plugin."""
ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")

_ALIASES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_TERM = re.compile(
    r"(?:(?P<any>\*)|(?P<hash>H(?:\((?P<hlow>[0-9]+)-(?P<hhigh>[0-9]+)\))?)|(?P<low>[0-9]+)(?:-(?P<high>[0-9]+))?)"
    r"(?:/(?P<step>[0-9]+))?\Z"
)


def read_jobs(fields: Fields, key: str) -> dict[str, Any]:
    """What a ``jobs:`` or ``defaults:`` block sets, by the field names of :class:`~.model.JobSettings`.

    Of ``discard`` and ``throttle`` it is a mapping of what is set. :func:`settings_of` makes settings of all that.

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
        "recheck": lambda: {"recheck": regular_expression(block, "recheck")},
        "gerrit_server": lambda: {"gerrit_server": _matching(block, "gerrit_server", SERVER, "a server's name")},
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
    """A path inside a repository, without ``$``, which Jenkins would expand.

    :raises InputError: it is none
    """
    text = fields.text(key)
    if text.startswith("/") or ".." in text.split("/") or not re.match(r"[^\x00-\x1f\x7f$]+\Z", text):
        raise InputError(f"'{text}' is no path in the repository", where=_place(fields, key).where)
    return text


def texts_at(fields: Fields, key: str) -> Iterator[tuple[str, Location]]:
    """The texts of a list, each with its place."""
    return zip(fields.texts(key), (node.where for node in fields.items(key)), strict=True)


def _environments(block: Fields) -> dict[str, Any]:
    for name, where in texts_at(block, "environments"):
        if not ENVIRONMENT.match(name):
            raise InputError(f"'{name}' is not an environment's name", where=where)
    return {"environments": block.texts("environments")}


def _named(
    block: Fields, key: str, names: tuple[str, ...], suffix: str, pattern: re.Pattern[str], what: str
) -> dict[str, Any]:
    inner = block.fields(key, key, names)
    return {f"{name}{suffix}": _matching(inner, name, pattern, what) for name in names if inner.node_of(name)}


def _discard(block: Fields) -> dict[str, Any]:
    inner = block.fields("discard", "discard", DISCARD)
    return {"discard": {name: inner.integer(name, 0, *KEPT) for name in DISCARD if inner.node_of(name)}}


def _throttle(block: Fields) -> dict[str, Any]:
    inner = block.fields("throttle", "throttle", THROTTLE)
    limits = {name: inner.integer(name, 0, *LIMIT) for name in THROTTLE[1:] if inner.node_of(name)}
    return {"throttle": ({"categories": inner.texts("categories")} if inner.node_of("categories") else {}) | limits}


def settings_of(*layers: Mapping[str, Any]) -> JobSettings:
    """Settings from what blocks set; later ones win, key by key."""
    settings = JobSettings()
    for layer in layers:
        nested = {
            name: replace(getattr(settings, name), **layer[name]) for name in ("discard", "throttle") if name in layer
        }
        settings = replace(settings, **{**layer, **nested})
    return settings


def regular_expression(fields: Fields, key: str) -> str:
    """A regular expression for Java, or for Gerrit, checked as far as Python can tell; may be empty.

    :raises InputError: no such language would take it
    """
    text = fields.text(key)
    if problem := regex_problem(text):
        raise InputError(f"'{text}' is no regular expression: {problem}", where=_place(fields, key).where)
    return text


_ANY_LANGUAGE = (
    "unterminated",
    "unbalanced parenthesis",
    "nothing to repeat",
    "min repeat greater",
    "bad character range",
    "bad escape (end of pattern)",
)
"""Complaints of Python's ``re`` that are not about what it alone lacks (``\\p{L}``, ``\\Q``, flags in the middle)."""


def regex_problem(text: str) -> str:
    """What is wrong with a regular expression, empty when nothing is that Python can tell."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of sets in sets, which Java has
        try:
            re.compile(text)
        except re.error as error:
            return str(error) if any(each in error.msg for each in _ANY_LANGUAGE) else ""
        except (OverflowError, RecursionError):
            return "it is too large"
    return ""


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
    if "\n" in text or "\r" in text:
        return "it has more than one line"
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
