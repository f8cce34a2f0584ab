"""What Jenkins should have: folders, jobs and views from a configuration and what was discovered. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from ..findings import WARNING, Finding
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
from .places import SEED_JOBS, Places, path_of, review_at
from .render import Templates
from .reviews import TRIGGER, Reviewed, is_reviewed, reviewed, way

_MODES = ("apply", "plan")
_HAVE_BRANCH_SOURCES = ("gerrit", "github", "gitlab")
"""Providers whose changes a multibranch project finds."""


def desired(
    config: JobsConfig, discovery: Discovery, templates: Templates | None = None
) -> tuple[Desired, tuple[Finding, ...]]:
    """All that Jenkins should have, and what is wrong with sources.

    A source with an error has no items; its jobs' paths are among ``kept``, so that what is there stays.

    :raises InputError: in a template
    """
    templates = templates or Templates([config.templates] if config.templates else [])
    making = _Making(config, templates)
    places = Places(config, discovery)
    found, findings = places.usable()
    links = chain(found)
    findings.extend(links.findings)
    findings += [finding for one in discovery.broken for finding in one.findings]
    usable = [source for source in found if source.id not in links.unusable]
    reviews = reviewed(config, discovery, usable)
    kept = places.kept(usable, [review_at(config, each.repository.name) for each in reviews])
    items = [*making.around(), *_sorted(making, usable, links, findings), *map(making.review, reviews)]
    result = Desired(
        config.owner,
        config.folder,
        tuple(items),
        tuple(sorted(kept)),
        complete=not discovery.failures and bool(config.providers),
    )
    return result, tuple(findings)


def without_sources(config: JobsConfig, templates: Templates | None = None) -> Desired:
    """The root folder with what belongs to no source: for an empty Jenkins."""
    making = _Making(config, templates or Templates([config.templates] if config.templates else []))
    return Desired(config.owner, config.folder, tuple(making.around()), complete=False)


def _sorted(making: _Making, usable: Sequence[Found], links: Chain, findings: list[Finding]) -> Iterator[Item]:
    folders: dict[ItemPath, Item] = {}
    jobs: list[Item] = []
    settings = {
        source.id: settings_for(making.config, source.repository.provider, source.identity.jobs) for source in usable
    }
    for source in usable:
        base = links.base.get(source.id)
        path = path_of(making.config, source)
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
            yield self._seed(
                SEED, SEED_JOBS[0], "Makes the jobs in this folder from the AMI sources.", _MODES, prune=True
            )
            words = "Tells when a job was changed by hand, or is not what the AMI sources say."
            yield self._seed(ALARM, SEED_JOBS[1], words, _MODES[::-1], prune=False)

    def folder(self, path: ItemPath, source: Found, depth: int) -> Item:
        names = [*source.repository.name.split("/"), *source.folder.split("/")]
        return self._item(FOLDER, path, {**self._folder("", names[depth - 1]), "library": None})

    def source_folder(self, path: ItemPath, source: Found) -> Item:
        words = source.identity.description or f"The image {source.identity.name}."
        if source.repository.web:
            words += f"\n{source.repository.web}"
        names = [*source.repository.name.split("/"), *source.folder.split("/")]
        title = [name for name in names if name][-1]
        variables = {**self._folder(words, title, source.id), "library": None}
        return self._item(FOLDER, path, variables, source.id)

    def _folder(self, words: str, display_name: str, source: str = "") -> dict[str, Any]:
        return {
            "description": self._description(words, source),
            "display_name": display_name,
            "library_id": f"{self.config.owner}-library",
        }

    def jobs(
        self, path: ItemPath, source: Found, settings: JobSettings, upstream: Found | None, findings: list[Finding]
    ) -> Iterator[Item]:
        shared = {**self._shared(source.repository, settings, source.folder), "jenkinsfile": source.jenkinsfile}
        if settings.build:
            yield self._build(path, source, shared, upstream)
        how = way(source, settings)
        words = self._description(f"Verifies changes of the image {source.identity.name}.", source.id)
        shared |= {"description": words, "display_name": f"{source.id} verify"}
        if how == TRIGGER and not is_reviewed(source, settings):
            yield self._verify((*path, VERIFY), source.id, {**shared, "silent": False}, (source.folder or ".",))
        elif how == MULTIBRANCH:
            if why := self._no_multibranch(source):
                what = f"changes are not verified: {why}"
                hint = "Set 'jobs: {verify: none}', if that is as it should be"
                findings.append(Finding("jobs", WARNING, what, source.where, hint))
                return
            identity = hashlib.sha256(f"{self.config.owner} {source.id}".encode()).hexdigest()[:32]
            variables = {**shared, "id": identity, "remote": _web_url(source.repository)}
            yield self._item(MULTIBRANCH, (*path, VERIFY), variables, source.id)

    def review(self, one: Reviewed) -> Item:
        """The job that verifies all changes of a repository, and votes by itself: so the plugin says nothing."""
        name = one.repository.name
        variables = {
            **self._shared(one.repository, one.settings, ""),
            "description": self._description("Verifies changes of this repository.", name),
            "display_name": f"{name} verify",
            "silent": True,
        }
        return self._verify(review_at(self.config, name), name, variables, one.folders)

    @staticmethod
    def _shared(repository: Repository, settings: JobSettings, folder: str) -> dict[str, Any]:
        """Variables of all templates of pipeline jobs."""
        return {
            "settings": settings,
            "repository": repository,
            "folder": folder,
            "credentials": settings.git_credentials,
            "throttled": bool(settings.throttle.categories or settings.throttle.total or settings.throttle.per_node),
        }

    def _script(self, kind: str, arguments: dict[str, Any], **more: object) -> str:
        """A script that calls a step of the library; what is empty, it is not given."""
        library = self.config.library
        named = "" if library is None or library.implicit else f"{library.name}@{library.version}"
        cli = {} if library is None else library.cli
        given = {name: value for name, value in {**arguments, "cli": cli}.items() if value}
        return self.templates.script(kind, {"library": named, "arguments": given, **more})

    @staticmethod
    def _no_multibranch(source: Found) -> str:
        """Why there can be no multibranch project, or nothing."""
        if source.repository.provider.kind not in _HAVE_BRANCH_SOURCES:
            return "multibranch projects are for Gerrit, GitHub and GitLab"
        return "" if source.jenkinsfile else "a multibranch project needs a Jenkinsfile beside the AMI source"

    def _build(self, path: ItemPath, source: Found, shared: dict[str, Any], upstream: Found | None) -> Item:
        settings: JobSettings = shared["settings"]
        script = ""
        if not source.jenkinsfile:
            arguments = {
                "source": source.folder or ".",
                "repository": source.repository.url,
                "branch": source.repository.branch,
                "credentialsId": settings.git_credentials,
                "compileLabel": settings.compile_label,
                "buildLabel": settings.build_label,
                "timeout": settings.timeout,
                "local": settings.local,
                "awsCredentialsId": settings.aws_credentials,
            }
            script = self._script(BUILD, arguments, local=settings.local)
        gerrit = source.repository.provider.kind == "gerrit"
        follows = ""
        if upstream is not None and settings.follow_base:
            follows = "/" + "/".join((*path_of(self.config, upstream), BUILD))
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
                "description": self._description(words, source.id),
                "display_name": f"{source.id} build",
            },
            source.id,
        )

    def _verify(self, path: ItemPath, source: str, shared: dict[str, Any], folders: Sequence[str]) -> Item:
        """:param folders: of AMI sources; empty: the step looks for them"""
        settings: JobSettings = shared["settings"]
        repository: Repository = shared["repository"]
        script = ""
        if not settings.verify_jenkinsfile:
            arguments = {
                "source": folders,
                "repository": repository.url,
                "credentialsId": settings.git_credentials,
                "label": settings.verify_label,
                "timeout": settings.timeout,
            }
            if shared["silent"]:
                arguments |= {"gerritUrl": repository.provider.url, "gerritCredentialsId": settings.gerrit_credentials}
            script = self._script(VERIFY, arguments)
        return self._item(VERIFY, path, {**shared, "script": script}, source)

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

    def _description(self, words: str, source: str = "") -> str:
        if source:
            words = f"{words}\n" if words else ""
            words += f"Generated by jenkins-ami from {source}: what is changed here by hand is changed back."
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
