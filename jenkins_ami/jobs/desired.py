"""What Jenkins should have: folders, jobs and views from a configuration and what was discovered. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from ..findings import ERROR, WARNING, Finding
from ..source.jobs import CREDENTIALS, LABELS
from ..source.model import Discard, JobSettings
from . import mark
from .chain import Chain, chain
from .config import JobsConfig, ViewConfig, settings_for
from .model import ALARM, BUILD, FOLDER, MULTIBRANCH, SEED, VERIFY, VIEW, Desired, Discovery, Found, Item, ItemPath
from .names import item_name
from .render import Templates

_FIELDS = {
    "labels": [f"{name}_label" for name in LABELS],
    "credentials": [f"{name}_credentials" for name in CREDENTIALS],
}
"""Settings in ``ami.yaml`` that are several fields."""
_MODES = ("apply", "plan")


def source_path(config: JobsConfig, repository: str, folder: str | None = None) -> ItemPath:
    """The folder in Jenkins of an AMI source, or of a repository."""
    names = [*repository.split("/"), *(folder.split("/") if folder else ())]
    return (*config.folder, *map(item_name, names))


def desired(
    config: JobsConfig, discovery: Discovery, templates: Templates | None = None
) -> tuple[Desired, tuple[Finding, ...]]:
    """All that Jenkins should have, and what is wrong with sources.

    A source with an error has no items; its path is among ``kept``, so that what is there stays.

    :raises InputError: in a template
    """
    templates = templates or Templates([config.templates] if config.templates else [])
    making = _Making(config, templates)
    found, findings, kept = _usable(config, discovery)
    links = chain(found)
    findings.extend(links.findings)
    usable = [source for source in found if source.id not in links.unusable]
    cyclic = [source for source in found if source.id in links.unusable]
    kept += [source_path(config, source.repository.name, source.folder) for source in cyclic]
    kept += [source_path(config, one.repository.name, one.folder) for one in discovery.broken]
    findings += [finding for one in discovery.broken for finding in one.findings]
    items = [*making.around(), *_sorted(making, usable, links, findings)]
    result = Desired(
        config.owner, config.folder, tuple(items), tuple(sorted(set(kept))), complete=not discovery.failures
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
    places: dict[ItemPath, Found] = {}
    usable = []
    reserved = {(*config.folder, name) for name in ("seed", "drift")} if config.seed else set()
    for source in discovery.found:
        path = source_path(config, source.repository.name, source.folder)
        problem = _problem(config, source) or _misplaced(path, source, places, reserved)
        places.setdefault(path, source)
        if problem:
            findings.append(problem)
            kept.append(path)
        else:
            usable.append(source)
    inside = {
        path[:length]: source for path, source in places.items() for length in range(len(config.folder), len(path))
    }
    for source in list(usable):
        path = source_path(config, source.repository.name, source.folder)
        for job in (BUILD, VERIFY):
            if other := inside.get((*path, job)) or places.get((*path, job)):
                what = f"its job '{job}' would be at the place of the folder of {other.id}"
                findings.append(_error(source, what, "Rename that folder"))
                kept.append(path)
                usable.remove(source)
                break
    return usable, findings, kept


def _problem(config: JobsConfig, source: Found) -> Finding | None:
    for name in config.locked:
        fields = _FIELDS.get(name, [name, "verify_jenkinsfile"] if name == "verify" else [name])
        if any(each in source.identity.jobs for each in fields):
            return _error(source, f"ami.yaml sets 'jobs: {name}', which jobs.yaml locks", "Take it out of ami.yaml")
    if re.search(r"[$\s]", source.repository.branch):
        what = f"the branch '{source.repository.branch}' cannot be given to Jenkins, which expands '$'"
        return _error(source, what, "Rename the branch")
    return None


def _misplaced(path: ItemPath, source: Found, places: dict[ItemPath, Found], reserved: set[ItemPath]) -> Finding | None:
    if path in reserved:
        return _error(source, f"its folder would be at the place of the job '{path[-1]}'", "Rename the repository")
    if other := places.get(path):
        return _error(source, f"its folder in Jenkins would be that of {other.id} as well", "Rename one of them")
    return None


def _error(source: Found, what: str, hint: str) -> Finding:
    return Finding("jobs", ERROR, what, source.where, hint)


def _sorted(making: _Making, usable: Sequence[Found], links: Chain, findings: list[Finding]) -> Iterator[Item]:
    folders: dict[ItemPath, Item] = {}
    jobs: list[Item] = []
    by_id = {source.id for source in usable}
    for source in usable:
        base = links.base.get(source.id)
        settings = settings_for(making.config, source.identity.jobs)
        path = source_path(making.config, source.repository.name, source.folder)
        for length in range(len(making.config.folder) + 1, len(path)):
            if path[:length] not in folders:
                folders[path[:length]] = making.folder(path[:length], source, length - len(making.config.folder))
        folders[path] = making.source_folder(path, source)
        upstream = base if base is not None and base.id in by_id else None
        jobs += making.jobs(path, source, settings, upstream, findings)
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
        credentials = settings.git_credentials or repository.provider.credentials
        image = f"{source.identity.name} {source.identity.version}"
        shared = {
            "settings": settings,
            "repository": repository,
            "folder": source.folder,
            "credentials": credentials,
            "throttled": bool(settings.throttle.categories or settings.throttle.total or settings.throttle.per_node),
            "jenkinsfile": source.jenkinsfile,
        }
        arguments: dict[str, Any] = {"source": source.folder or ".", "repository": repository.url}
        arguments |= {"branch": repository.branch} | ({"credentialsId": credentials} if credentials else {})
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
        elif how == MULTIBRANCH and source.jenkinsfile:
            identity = hashlib.sha256(f"{self.config.owner} {source.id}".encode()).hexdigest()[:32]
            words = f"Verifies changes of the image {image}."
            variables = {**shared, "id": identity, "display_name": f"{source.id} verify"}
            variables["description"] = self._description(words, source)
            yield self._item(MULTIBRANCH, (*path, VERIFY), variables, source.id)
        elif how == MULTIBRANCH:
            what = "changes are not verified: a multibranch project needs a Jenkinsfile beside the AMI source"
            findings.append(Finding("jobs", WARNING, what, source.where, "Add one, or set 'jobs: {verify: none}'"))

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
            place = source_path(self.config, upstream.repository.name, upstream.folder)
            follows = "/" + "/".join((*place, BUILD))
        default = [settings.environment] if settings.environment in settings.environments else []
        words = f"Builds the image {source.identity.name} {source.identity.version} from {source.identity.base}."
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
            "polls": kind == SEED,
            "discard": Discard(builds=50, artifact_builds=50),
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
            words = escape(words)
        return f"{words}\n{self.mark}" if words else self.mark

    def _item(
        self, template: str, path: ItemPath, variables: dict[str, Any], source: str = "", kind: str | None = None
    ) -> Item:
        text, digest = self.templates.config(template, variables)
        return Item(path, kind or template, text, digest, source)


def way(source: Found, settings: JobSettings) -> str:
    """How changes of a source are verified: ``gerrit-trigger``, ``multibranch`` or ``none``."""
    if settings.verify != "auto":
        return settings.verify
    kind = source.repository.provider.kind
    if kind == "gerrit":
        return "gerrit-trigger"
    return MULTIBRANCH if kind in ("github", "gitlab") and source.jenkinsfile else "none"
