"""Where in Jenkins the folder and the jobs of an AMI source are, and which sources cannot have theirs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..findings import ERROR, Finding
from ..source.jobs import CREDENTIALS, LABELS
from .config import JobsConfig, settings_for
from .model import BUILD, VERIFY, Discovery, Found, ItemPath
from .names import item_name
from .reviews import NONE, is_reviewed, way

SEED_JOBS = ("seed", "drift")
_FIELDS = {
    "labels": [f"{name}_label" for name in LABELS],
    "credentials": [f"{name}_credentials" for name in CREDENTIALS],
    "verify": ["verify", "verify_jenkinsfile"],
}
"""Settings in ``ami.yaml`` that are several fields."""


def source_path(config: JobsConfig, repository: str, folder: str | None = None) -> ItemPath:
    """The folder in Jenkins of an AMI source, or of a repository."""
    names = [*repository.split("/"), *(folder.split("/") if folder else ())]
    return (*config.folder, *map(item_name, names))


def path_of(config: JobsConfig, source: Found) -> ItemPath:
    """The folder of a source that was found."""
    return source_path(config, source.repository.name, source.folder)


def jobs_at(path: ItemPath) -> list[ItemPath]:
    """The jobs of the source whose folder this is; other sources may lie in the folder as well."""
    return [(*path, name) for name in (BUILD, VERIFY)]


def review_at(config: JobsConfig, repository: str) -> ItemPath:
    """The job that verifies all changes of a repository."""
    return (*source_path(config, repository), VERIFY)


class Places:
    """What would be where in Jenkins, of all sources that were found."""

    def __init__(self, config: JobsConfig, discovery: Discovery) -> None:
        self._config = config
        self._discovery = discovery
        self._sources: dict[ItemPath, list[Found]] = {}
        self._verify: dict[ItemPath, dict[str, Found]] = {}
        for source in discovery.found:
            self._sources.setdefault(path_of(config, source), []).append(source)
            place, whose = self._verify_job(source)
            if place is not None:
                self._verify.setdefault(place, {}).setdefault(whose, source)
        self._inside = {
            path[:length]: here[0]
            for path, here in self._sources.items()
            for length in range(len(config.folder), len(path))
        }

    def usable(self) -> tuple[list[Found], list[Finding]]:
        """Sources that can have jobs, settings that are allowed and a place of their own; and what is wrong with the
        others."""
        findings: list[Finding] = []
        usable = []
        for source in self._discovery.found:
            if problem := _problem(self._config, source) or self._misplaced(source):
                findings.append(problem)
            else:
                usable.append(source)
        return usable, findings

    def kept(self, usable: Iterable[Found], reviews: Iterable[ItemPath]) -> set[ItemPath]:
        """What is left as it is: jobs of sources that are of no use or broken, and those of their repositories.

        :param reviews: jobs of repositories that have other sources, too
        """
        used = {path_of(self._config, source) for source in usable}
        kept: set[ItemPath] = set()
        names = {one.repository.name for one in self._discovery.broken if one.folder is not None}
        for source in self._discovery.found:
            path = path_of(self._config, source)
            if path not in used:
                kept.update(jobs_at(path))
                names.add(source.repository.name)
        for one in self._discovery.broken:
            path = source_path(self._config, one.repository.name, one.folder)
            kept.update([path] if one.folder is None else jobs_at(path))
        taken = {place for path in used for place in jobs_at(path)} | self._sources.keys() | self._inside.keys()
        return (kept | ({review_at(self._config, name) for name in names} - taken)) - set(reviews)

    def _verify_job(self, source: Found) -> tuple[ItemPath | None, str]:
        """Where it is, and whose: all sources of a repository may have one together."""
        settings = settings_for(self._config, source.repository.provider, source.identity.jobs)
        if is_reviewed(source, settings):
            return review_at(self._config, source.repository.name), source.repository.provider.name
        path = None if way(source, settings) == NONE else (*path_of(self._config, source), VERIFY)
        return path, f"{source.repository.provider.name} {source.id}"

    def _misplaced(self, source: Found) -> Finding | None:
        """What else would be where its folder or its jobs are to be."""
        path = path_of(self._config, source)
        top = path[: len(self._config.folder) + 1]
        if self._config.seed and top[-1] in SEED_JOBS:
            return _error(source, f"its folder would be at the place of the job '{top[-1]}'", "Rename the repository")
        for other in self._sources[path]:
            if other is not source:
                what = f"its folder in Jenkins would be that of {other.id} of {other.repository.provider.name} as well"
                return _error(source, what, "Rename one of them, or leave it out with 'exclude:'")
        verify, whose = self._verify_job(source)
        for place in [*jobs_at(path), *([verify] if verify else [])]:
            if place in self._inside or place in self._sources:
                other = self._inside[place] if place in self._inside else self._sources[place][0]
                what = f"its job '{place[-1]}' would be at the place of the folder of {other.id}"
                return _error(source, what, "Rename that folder")
        for owner, other in self._verify[verify].items() if verify else ():
            if owner != whose:
                what = f"its job '{VERIFY}' would be that of {other.id} of {other.repository.provider.name} as well"
                return _error(source, what, "Let changes of all sources of a repository be verified in the same way")
        return None


def _problem(config: JobsConfig, source: Found) -> Finding | None:
    for name in config.locked:
        if any(each in source.identity.jobs for each in _FIELDS.get(name, [name])):
            return _error(source, f"ami.yaml sets 'jobs: {name}', which jobs.yaml locks", "Take it out of ami.yaml")
    if re.search(r"[$\s]", source.repository.branch):
        what = f"the branch '{source.repository.branch}' cannot be given to Jenkins, which expands '$'"
        return _error(source, what, "Rename the branch")
    if "$" in source.jenkinsfile:
        what = f"the path '{source.jenkinsfile}' cannot be given to Jenkins, which expands '$'"
        return _error(source, what, "Rename the folder")
    return None


def _error(source: Found, what: str, hint: str) -> Finding:
    return Finding("jobs", ERROR, what, source.where, hint)
