"""How changes of AMI sources are verified, and which ones one job verifies for a whole repository.

Jenkins' Gerrit Trigger plugin makes one vote of all jobs that a change started, so each source may have its own. When
``verifyAmi`` votes itself, with credentials, the last of several jobs would win: then a repository has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..source.model import JobSettings
from .config import JobsConfig, settings_for
from .model import MULTIBRANCH, Discovery, Found, Repository

TRIGGER, NONE = "gerrit-trigger", "none"
EVERYWHERE = "**"
"""The glob by which sources may lie in any folder."""


@dataclass(frozen=True)
class Reviewed:
    """A repository whose changes are verified and voted on by one job.

    :ivar settings: of the first source that can be used, by folder
    :ivar folders: of the sources, ``.`` is the top; empty: whatever a commit has
    """

    repository: Repository
    settings: JobSettings
    folders: tuple[str, ...]


def way(source: Found, settings: JobSettings) -> str:
    """How changes of a source are verified: ``gerrit-trigger``, ``multibranch`` or ``none``."""
    if settings.verify != "auto":
        return settings.verify
    kind = source.repository.provider.kind
    if kind == "gerrit":
        return TRIGGER
    return MULTIBRANCH if kind in ("github", "gitlab") and source.jenkinsfile else NONE


def is_reviewed(source: Found, settings: JobSettings) -> bool:
    """Whether ``verifyAmi`` votes on changes of a source, in the job of its repository."""
    has_server = source.repository.provider.kind == "gerrit"
    own_script = bool(settings.verify_jenkinsfile)
    return bool(settings.gerrit_credentials) and has_server and not own_script and way(source, settings) == TRIGGER


def reviewed(config: JobsConfig, discovery: Discovery, usable: Sequence[Found]) -> tuple[Reviewed, ...]:
    """One for each repository that has a usable source whose changes are reviewed.

    Sources that cannot be used as they are on the branch are verified as well: a change may mend them. What their own
    settings say does not count.
    """
    known = {(_key(source.repository), source.folder) for source in usable}
    settings: dict[str, dict[str, JobSettings]] = {}
    folders: dict[str, set[str]] = {}
    others: set[str] = set()
    for source in discovery.found:
        key = _key(source.repository)
        is_usable = (key, source.folder) in known
        own = settings_for(config, source.repository.provider, source.identity.jobs if is_usable else {})
        if not is_reviewed(source, own):
            others.add(key)
            continue
        folders.setdefault(key, set()).add(source.folder)
        if is_usable:
            settings.setdefault(key, {})[source.folder] = own
    for one in discovery.broken:
        folders.setdefault(_key(one.repository), set()).add(one.folder or "")
    repositories = {_key(source.repository): source.repository for source in usable}
    made = []
    for key, here in settings.items():
        repository = repositories[key]
        anywhere = EVERYWHERE in repository.provider.folders and key not in others
        names = () if anywhere else tuple(folder or "." for folder in sorted(folders[key]))
        made.append(Reviewed(repository, here[min(here)], names))
    return tuple(made)


def _key(repository: Repository) -> str:
    return f"{repository.provider.name}\0{repository.name}"
