"""What Jenkins should have: folders, jobs and views from a configuration and what was discovered. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from ..findings import ERROR, WARNING, Finding
from ..source.jobs import CREDENTIALS, LABELS
from ..source.model import Discard, JobSettings
from . import mark
from .chain import Chain, chain
from .config import JobsConfig, ViewConfig, settings_for
from .model import (
    ALARM,
    BUILD,
    FOLDER,
    MULTIBRANCH,
    SEED,
    VERIFY,
    VIEW,
    Desired,
    Discovery,
    Found,
    Item,
    ItemPath,
    Repository,
)
from .names import item_name
from .render import Templates

_FIELDS = {
    "labels": [f"{name}_label" for name in LABELS],
    "credentials": [f"{name}_credentials" for name in CREDENTIALS],
}
"""Settings in ``ami.yaml`` that are several fields."""
_MODES = ("apply", "plan")
_SEED_JOBS = ("seed", "drift")
_HAVE_BRANCH_SOURCES = ("gerrit", "github", "gitlab")
"""Providers whose changes a multibranch project finds."""


def source_path(config: JobsConfig, repository: str, folder: str | None = None) -> ItemPath:
    """The folder in Jenkins of an AMI source, or of a repository."""
    names = [*repository.split("/"), *(folder.split("/") if folder else ())]
    return (*config.folder, *map(item_name, names))


def desired(
    config: JobsConfig, discovery: Discovery, templates: Templates | None = None
) -> tuple[Desired, tuple[Finding, ...]]:
    """All that Jenkins should have, and what is wrong with sources.

    A source with an error has no items; its jobs' paths are among ``kept``, so that what is there stays.

    :raises InputError: in a template
    """
    templates = templates or Templates([config.templates] if config.templates else [])
    making = _Making(config, templates)
    found, findings, kept = _usable(config, discovery)
    links = chain(found)
    findings.extend(links.findings)
    usable = [source for source in found if source.id not in links.unusable]
    kept += [place for one in found if one.id in links.unusable for place in _jobs_at(_path(config, one))]
    for one in discovery.broken:
        path = source_path(config, one.repository.name, one.folder)
        kept += [path] if one.folder is None else _jobs_at(path)
    findings += [finding for one in discovery.broken for finding in one.findings]
    items = [*making.around(), *_sorted(making, usable, links, findings)]
    result = Desired(
        config.owner,
        config.folder,
        tuple(items),
        tuple(sorted(set(kept))),
        complete=not discovery.failures and bool(config.providers),
    )
    return result, tuple(findings)


def without_sources(config: JobsConfig, templates: Templates | None = None) -> Desired:
    """The root folder with what belongs to no source: for an empty Jenkins."""
    making = _Making(config, templates or Templates([config.templates] if config.templates else []))
    return Desired(config.owner, config.folder, tuple(making.around()), complete=False)


def _usable(config: JobsConfig, discovery: Discovery) -> tuple[list[Found], list[Finding], list[ItemPath]]:
    """Sources that can have jobs: settings that are allowed, and a place of their own."""
    findings: list[Finding] = []
    kept: list[ItemPath] = []
    usable = []
    sources: dict[ItemPath, list[Found]] = {}
    for source in discovery.found:
        sources.setdefault(_path(config, source), []).append(source)
    inside = {
        path[:length]: here[0] for path, here in sources.items() for length in range(len(config.folder), len(path))
    }
    for source in discovery.found:
        path = _path(config, source)
        if problem := _problem(config, source) or _misplaced(config, path, source, sources, inside):
            findings.append(problem)
            kept += _jobs_at(path)
        else:
            usable.append(source)
    return usable, findings, kept


def _path(config: JobsConfig, source: Found) -> ItemPath:
    return source_path(config, source.repository.name, source.folder)


def _jobs_at(path: ItemPath) -> list[ItemPath]:
    """The jobs of the source whose folder this is; other sources may lie in the folder as well."""
    return [(*path, name) for name in (BUILD, VERIFY)]


def _problem(config: JobsConfig, source: Found) -> Finding | None:
    for name in config.locked:
        fields = _FIELDS.get(name, [name, "verify_jenkinsfile"] if name == "verify" else [name])
        if any(each in source.identity.jobs for each in fields):
            return _error(source, f"ami.yaml sets 'jobs: {name}', which jobs.yaml locks", "Take it out of ami.yaml")
    if re.search(r"[$\s]", source.repository.branch):
        what = f"the branch '{source.repository.branch}' cannot be given to Jenkins, which expands '$'"
        return _error(source, what, "Rename the branch")
    if "$" in source.jenkinsfile:
        what = f"the path '{source.jenkinsfile}' cannot be given to Jenkins, which expands '$'"
        return _error(source, what, "Rename the folder")
    return None


def _misplaced(
    config: JobsConfig,
    path: ItemPath,
    source: Found,
    sources: Mapping[ItemPath, Sequence[Found]],
    inside: Mapping[ItemPath, Found],
) -> Finding | None:
    """What else would be where its folder or its jobs are to be.

    :param inside: folders that lead to sources, each with one of these
    """
    top = path[: len(config.folder) + 1]
    if config.seed and top[-1] in _SEED_JOBS:
        return _error(source, f"its folder would be at the place of the job '{top[-1]}'", "Rename the repository")
    for other in sources[path]:
        if other is not source:
            what = f"its folder in Jenkins would be that of {other.id} of {other.repository.provider.name} as well"
            return _error(source, what, "Rename one of them, or leave it out with 'exclude:'")
    for place in _jobs_at(path):
        if place in inside or place in sources:
            other = inside[place] if place in inside else sources[place][0]
            what = f"its job '{place[-1]}' would be at the place of the folder of {other.id}"
            return _error(source, what, "Rename that folder")
    return None


def _error(source: Found, what: str, hint: str) -> Finding:
    return Finding("jobs", ERROR, what, source.where, hint)


def _sorted(making: _Making, usable: Sequence[Found], links: Chain, findings: list[Finding]) -> Iterator[Item]:
    folders: dict[ItemPath, Item] = {}
    jobs: list[Item] = []
    settings = {
        source.id: settings_for(making.config, source.repository.provider, source.identity.jobs) for source in usable
    }
    for source in usable:
        base = links.base.get(source.id)
        path = _path(making.config, source)
        for length in range(len(making.config.folder) + 1, len(path)):
            if path[:length] not in folders:
                folders[path[:length]] = making.folder(path[:length], source, length - len(making.config.folder))
        folders[path] = making.source_folder(path, source)
        upstream = base if base is not None and base.id in settings and settings[base.id].build else None
        jobs += making.jobs(path, source, settings[source.id], upstream, findings)
    yield from (folders[path] for path in sorted(folders, key=lambda each: (len(each), each)))
    yield from jobs


class _Making:
    """Renders items of one configuration."""

    def __init__(self, config: JobsConfig, templates: Templates) -> None:
        self.config = config
        self.templates = templates
        self.mark = str(mark.Mark(config.owner, mark.TOKEN))

    def around(self) -> Iterator[Item]:
        """The root folder and those around it, views, seed and alarm."""
        root = self.config.folder
        for length in range(1, len(root) + 1):
            library = self.config.library if length == len(root) else None
            path = root[:length]
            words = "Amazon Machine Images from Git."
            yield self._item(FOLDER, path, {**self._folder(words, path[-1]), "library": library})
        for view in self.config.views:
            yield self._view(view)
        if self.config.seed:
            yield self._seed(SEED, "seed", "Makes the jobs in this folder from the AMI sources.", _MODES, prune=True)
            words = "Tells when a job was changed by hand, or is not what the AMI sources say."
            yield self._seed(ALARM, "drift", words, _MODES[::-1], prune=False)

    def folder(self, path: ItemPath, source: Found, depth: int) -> Item:
        names = [*source.repository.name.split("/"), *source.folder.split("/")]
        return self._item(FOLDER, path, {**self._folder("", names[depth - 1]), "library": None})

    def source_folder(self, path: ItemPath, source: Found) -> Item:
        words = source.identity.description or f"The image {source.identity.name}."
        if source.repository.web:
            words += f"\n{source.repository.web}"
        names = [*source.repository.name.split("/"), *source.folder.split("/")]
        title = [name for name in names if name][-1]
        variables = {**self._folder(words, title, source), "library": None}
        return self._item(FOLDER, path, variables, source.id)

    def _folder(self, words: str, display_name: str, source: Found | None = None) -> dict[str, Any]:
        return {
            "description": self._description(words, source),
            "display_name": display_name,
            "library_id": f"{self.config.owner}-library",
        }

    def jobs(
        self, path: ItemPath, source: Found, settings: JobSettings, upstream: Found | None, findings: list[Finding]
    ) -> Iterator[Item]:
        repository = source.repository
        image = source.identity.name
        shared = {
            "settings": settings,
            "repository": repository,
            "folder": source.folder,
            "credentials": settings.git_credentials,
            "throttled": bool(settings.throttle.categories or settings.throttle.total or settings.throttle.per_node),
            "jenkinsfile": source.jenkinsfile,
        }
        arguments: dict[str, Any] = {"source": source.folder or ".", "repository": repository.url}
        arguments["branch"] = repository.branch
        if settings.git_credentials:
            arguments["credentialsId"] = settings.git_credentials
        library = self.config.library
        named = "" if library is None or library.implicit else f"{library.name}@{library.version}"
        if settings.build:
            yield self._build(path, source, shared, arguments, named, upstream)
        how = way(source, settings)
        if how == "gerrit-trigger":
            words = f"Verifies changes of the image {image}."
            yield self._verify(
                path, source, {**shared, "description": self._description(words, source)}, arguments, named
            )
        elif how == MULTIBRANCH:
            if why := self._no_multibranch(source):
                what = f"changes are not verified: {why}"
                hint = "Set 'jobs: {verify: none}', if that is as it should be"
                findings.append(Finding("jobs", WARNING, what, source.where, hint))
                return
            identity = hashlib.sha256(f"{self.config.owner} {source.id}".encode()).hexdigest()[:32]
            words = f"Verifies changes of the image {image}."
            variables = {
                **shared,
                "id": identity,
                "display_name": f"{source.id} verify",
                "remote": _web_url(repository),
            }
            variables["description"] = self._description(words, source)
            yield self._item(MULTIBRANCH, (*path, VERIFY), variables, source.id)

    @staticmethod
    def _no_multibranch(source: Found) -> str:
        """Why there can be no multibranch project, or nothing."""
        if source.repository.provider.kind not in _HAVE_BRANCH_SOURCES:
            return "multibranch projects are for Gerrit, GitHub and GitLab"
        return "" if source.jenkinsfile else "a multibranch project needs a Jenkinsfile beside the AMI source"

    def _build(
        self,
        path: ItemPath,
        source: Found,
        shared: dict[str, Any],
        arguments: dict[str, Any],
        library: str,
        upstream: Found | None,
    ) -> Item:
        settings: JobSettings = shared["settings"]
        script = ""
        if not source.jenkinsfile:
            more: dict[str, Any] = {"compileLabel": settings.compile_label, "buildLabel": settings.build_label}
            more |= {"timeout": settings.timeout} | ({"local": True} if settings.local else {})
            more |= {"awsCredentialsId": settings.aws_credentials} if settings.aws_credentials else {}
            variables = {"library": library, "arguments": {**arguments, **more}, "local": settings.local}
            script = self.templates.script(BUILD, variables)
        gerrit = source.repository.provider.kind == "gerrit"
        follows = ""
        if upstream is not None and settings.follow_base:
            follows = "/" + "/".join((*_path(self.config, upstream), BUILD))
        default = [settings.environment] if settings.environment in settings.environments else []
        words = f"Builds the image {source.identity.name}."
        return self._item(
            BUILD,
            (*path, BUILD),
            {
                **shared,
                "script": script,
                "gerrit": gerrit,
                "upstream": follows,
                "triggered": bool(gerrit or follows or settings.nightly or settings.poll),
                "environments": default + [name for name in settings.environments if name not in default],
                "description": self._description(words, source),
                "display_name": f"{source.id} build",
            },
            source.id,
        )

    def _verify(
        self, path: ItemPath, source: Found, shared: dict[str, Any], arguments: dict[str, Any], library: str
    ) -> Item:
        settings: JobSettings = shared["settings"]
        script = ""
        if not settings.verify_jenkinsfile:
            label = settings.verify_label
            more = {"local": True, "compileLabel": label, "buildLabel": label, "timeout": settings.timeout}
            script = self.templates.script(VERIFY, {"library": library, "arguments": {**arguments, **more}})
        variables = {**shared, "script": script, "display_name": f"{source.id} verify"}
        return self._item(VERIFY, (*path, VERIFY), variables, source.id)

    def _seed(self, kind: str, name: str, words: str, modes: Sequence[str], *, prune: bool) -> Item:
        seed = self.config.seed
        assert seed is not None
        variables = {
            "seed": seed,
            "modes": modes,
            "prune": prune,
            "schedule": seed.schedule if kind == SEED else seed.drift,
            "discard": Discard(builds=100, artifact_builds=50),
            "description": self._description(words),
            "display_name": "",
        }
        return self._item(SEED, (*self.config.folder, name), variables, kind=kind)

    def _view(self, view: ViewConfig) -> Item:
        names = sorted({VERIFY if kind == MULTIBRANCH else kind for kind in view.jobs})
        variables = {
            "name": view.name,
            "description": self._description(""),
            "regex": f"(.*/)?({'|'.join(names)})",
        }
        return self._item(VIEW, (*self.config.folder, view.name), variables)

    def _description(self, words: str, source: Found | None = None) -> str:
        if source is not None:
            words = f"{words}\n" if words else ""
            words += f"Generated by jenkins-ami from {source.id}: what is changed here by hand is changed back."
        if self.config.markup == "html":
            words = escape(words).replace("\n", "<br>\n") + ("<br>" if words else "")
        return f"{words}\n{self.mark}" if words else self.mark

    def _item(
        self, template: str, path: ItemPath, variables: dict[str, Any], source: str = "", kind: str | None = None
    ) -> Item:
        text, digest = self.templates.config(template, variables)
        return Item(path, kind or template, text, digest, source)


def _web_url(repository: Repository) -> str:
    """What the gerrit-code-review plugin takes: it speaks HTTP only, and finds the project's name in the URL's path."""
    if repository.url.startswith(("http://", "https://")):
        return repository.url
    return f"{repository.provider.url}/a/{repository.name}"


def way(source: Found, settings: JobSettings) -> str:
    """How changes of a source are verified: ``gerrit-trigger``, ``multibranch`` or ``none``."""
    if settings.verify != "auto":
        return settings.verify
    kind = source.repository.provider.kind
    if kind == "gerrit":
        return "gerrit-trigger"
    return MULTIBRANCH if kind in ("github", "gitlab") and source.jenkinsfile else "none"
