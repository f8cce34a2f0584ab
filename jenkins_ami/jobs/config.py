"""``jobs.yaml``: where AMI sources are, which Jenkins their jobs are for, and what these look like by default.

Secrets have no place in it: it names variables and files that hold them. Relative paths are relative to the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..findings import Findings
from ..source import jobs as settings
from ..source.model import JobSettings
from ..yamlfile import Fields, did_you_mean, parse
from . import mark
from .config_sources import git_url, read_auth, read_sources, read_url, refuse_secrets, where_of
from .model import BUILD, MULTIBRANCH, VERIFY, ItemPath, Provider
from .names import name_problem

FILE = "jobs.yaml"
_KEYS = (
    "owner",
    "folder",
    "jenkins",
    "sources",
    "defaults",
    "locked",
    "library",
    "views",
    "seed",
    "templates",
    "preserve",
    "markup",
    "remove",
    "max_deletes",
)
VIEW_KINDS = (BUILD, VERIFY, MULTIBRANCH)
MARKUPS = ("text", "html")
REMOVES = ("delete", "disable")


CLI = ("command", "version", "from", "ref", "python", "cache", "extras")
"""Parameters of the step ``withJenkinsAmi``."""


@dataclass(frozen=True)
class Library:
    """The shared library of the root folder. Its steps run in the sandbox.

    :ivar cli: which ``jenkins-ami`` the agents of generated jobs take: parameters of ``withJenkinsAmi``. A source has
        no say in that
    """

    name: str
    url: str
    version: str = "main"
    credentials: str = ""
    implicit: bool = False
    cli: dict[str, str | tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class ViewConfig:
    """A list view of the root folder: the jobs of some kinds."""

    name: str
    jobs: tuple[str, ...]


VIEWS = (ViewConfig("Builds", (BUILD,)), ViewConfig("Changes", (VERIFY, MULTIBRANCH)))


@dataclass(frozen=True)
class SeedConfig:
    """The seed job: applies this file every now and then; the alarm plans it and tells of drift.

    :ivar config: path of this file in that repository; ``script`` of the seed's Jenkinsfile
    :ivar schedule, drift: cron lines
    :ivar credentials: id of Jenkins credentials that may clone the repository
    :ivar api_credentials: id of a user name with an API token, for Jenkins itself
    """

    url: str
    branch: str = "main"
    credentials: str = ""
    api_credentials: str = "jenkins-ami"
    config: str = FILE
    script: str = "jobs/seed/Jenkinsfile"
    schedule: str = "H/15 * * * *"
    drift: str = "H 6 * * *"
    label: str = "ami-seed"


@dataclass(frozen=True)
class JenkinsConfig:
    """:ivar ca: a file of certificates that its TLS certificate may be signed by
    :ivar workers: requests at a time"""

    url: str = ""
    auth: Mapping[str, str] = field(default_factory=dict)
    ca: Path | None = None
    workers: int = 16


@dataclass(frozen=True)
class JobsConfig:
    """All of ``jobs.yaml``.

    :ivar locked: settings (fields of JobSettings) that an ``ami.yaml`` may not change
    :ivar templates: a company's own folder; its templates win over ours of the same name
    :ivar preserve: classes of properties that are never touched, beside those built in
    :ivar markup: what Jenkins takes descriptions for
    :ivar remove: what prune does
    """

    path: Path
    owner: str
    folder: ItemPath
    jenkins: JenkinsConfig = JenkinsConfig()
    providers: tuple[Provider, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    locked: tuple[str, ...] = ()
    library: Library | None = None
    views: tuple[ViewConfig, ...] = VIEWS
    seed: SeedConfig | None = None
    templates: Path | None = None
    preserve: tuple[str, ...] = ()
    markup: str = MARKUPS[0]
    remove: str = REMOVES[0]
    max_deletes: int = 10


def read_config(path: Path) -> JobsConfig:
    """Read ``jobs.yaml``.

    :raises InputError: it is missing, or something in it is wrong: all of it, with line and column
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            "there is no such file", where=path, hint="Write one (docs/jobs-yaml.md), or name it with --config"
        ) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from error
    fields = Fields(parse(data, path), FILE, _KEYS)
    found = Findings()
    values: dict[str, Any] = {"path": path}
    readers: dict[str, Callable[[], object]] = {
        "owner": lambda: _owner(fields),
        "folder": lambda: _folder(fields),
        "jenkins": lambda: _jenkins(fields, path.parent),
        "providers": lambda: read_sources(fields, path.parent),
        "defaults": lambda: settings.read_jobs(fields, "defaults"),
        "locked": lambda: _locked(fields),
        "library": lambda: _library(fields),
        "views": lambda: _views(fields),
        "seed": lambda: _seed(fields),
        "templates": lambda: _templates(fields, path.parent),
        "preserve": lambda: fields.texts("preserve"),
        "markup": lambda: settings.one_of(fields, "markup", MARKUPS),
        "remove": lambda: settings.one_of(fields, "remove", REMOVES),
        "max_deletes": lambda: fields.integer("max_deletes", JobsConfig.max_deletes, 0, 1_000_000),
    }
    for name, read in readers.items():
        with found.catch(FILE):
            values[name] = read()
    found.raise_errors()
    return JobsConfig(**values)


def _owner(fields: Fields) -> str:
    text = fields.text("owner") or fields.missing("owner")
    if not mark.OWNER.fullmatch(text):
        raise InputError(
            f"'{text}' cannot be an owner's name",
            where=where_of(fields, "owner"),
            hint="Use up to 40 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit",
        )
    return text


def _folder(fields: Fields) -> ItemPath:
    text = fields.text("folder", "amis")
    names = tuple(text.split("/"))
    for name in names:
        if problem := name_problem(name):
            raise InputError(f"'{text}' cannot be a folder in Jenkins: {problem}", where=where_of(fields, "folder"))
    return names


def _jenkins(fields: Fields, base: Path) -> JenkinsConfig:
    refuse_secrets(fields.node_of("jenkins"))
    block = fields.fields("jenkins", "jenkins", ("url", "auth", "ca", "workers"))
    ca = block.text("ca")
    return JenkinsConfig(
        url=read_url(block, "url", ("http", "https")).rstrip("/") if block.node_of("url") else "",
        auth=read_auth(block),
        ca=base / ca if ca else None,
        workers=block.integer("workers", JenkinsConfig.workers, 1, 64),
    )


def _locked(fields: Fields) -> tuple[str, ...]:
    for name, where in settings.texts_at(fields, "locked"):
        if name not in settings.KEYS:
            raise InputError(f"there is no setting '{name}'", where=where, hint=did_you_mean(name, settings.KEYS))
    return fields.texts("locked")


def _library(fields: Fields) -> Library | None:
    if fields.node_of("library") is None:
        return None
    block = fields.fields("library", "library", ("name", "url", "version", "credentials", "implicit", "cli"))
    url = block.text("url") or block.missing("url")
    name = block.text("name", "jenkins-ami")
    version = block.text("version", Library.version)
    for key, text in (("name", name), ("version", version)):
        if not re.match(r"[A-Za-z0-9][A-Za-z0-9._/-]*\Z", text):
            raise InputError(f"'{text}' cannot be the library's {key}", where=where_of(block, key))
    return Library(
        name=name,
        url=git_url(url, where_of(block, "url")),
        version=version,
        credentials=block.text("credentials"),
        implicit=block.boolean("implicit", False),
        cli=_cli(block),
    )


def _cli(library: Fields) -> dict[str, str | tuple[str, ...]]:
    block = library.fields("cli", "cli", CLI)
    given: dict[str, str | tuple[str, ...]] = {name: block.text(name) for name in CLI[:-1] if block.node_of(name)}
    return given | ({"extras": block.texts("extras")} if block.node_of("extras") else {})


def _views(fields: Fields) -> tuple[ViewConfig, ...]:
    if fields.node_of("views") is None:
        return VIEWS
    views: list[ViewConfig] = []
    for number, node in enumerate(fields.items("views"), 1):
        block = Fields(node, f"view {number}", ("name", "jobs"))
        name = block.text("name") or block.missing("name")
        if problem := name_problem(name):
            raise InputError(f"'{name}' cannot be a view: {problem}", where=where_of(block, "name"))
        kinds = block.texts("jobs") or block.missing("jobs")
        for kind, where in settings.texts_at(block, "jobs"):
            if kind not in VIEW_KINDS:
                raise InputError(f"there are no '{kind}' jobs", where=where, hint=did_you_mean(kind, VIEW_KINDS))
        if name in ("All", *(view.name for view in views)):
            raise InputError(f"there is a view '{name}' already", where=where_of(block, "name"))
        views.append(ViewConfig(name, kinds))
    return tuple(views)


def _seed(fields: Fields) -> SeedConfig | None:
    if fields.node_of("seed") is None:
        return None
    names = ("url", "branch", "credentials", "api_credentials", "config", "script", "schedule", "drift", "label")
    block = fields.fields("seed", "seed", names)
    values: dict[str, Any] = {name: block.text(name) for name in names if block.node_of(name)}
    values["url"] = git_url(block.text("url") or block.missing("url"), where_of(block, "url"))
    for name in ("schedule", "drift"):
        if name in values:
            values[name] = settings.cron(block, name)
    for name in ("config", "script"):
        if name in values:
            values[name] = settings.script_path(block, name)
    return SeedConfig(**values)


def _templates(fields: Fields, base: Path) -> Path | None:
    text = fields.text("templates")
    if not text:
        return None
    if not (base / text).is_dir():
        raise InputError(f"there is no folder '{text}'", where=where_of(fields, "templates"))
    return base / text


def settings_for(config: JobsConfig, provider: Provider, own: Mapping[str, Any]) -> JobSettings:
    """The settings of one source: the defaults, over them what its provider says, and over that its own."""
    given = {"git_credentials": provider.credentials} if provider.credentials else {}
    return settings.settings_of(config.defaults, given, own)
