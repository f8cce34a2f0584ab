"""What passes between the parts of this room: where sources may be, what was found, what Jenkins should have and has.

Types only. ``config`` and ``discovery`` make the first two, ``desired`` the third, ``live`` the fourth; ``plan``
compares the last two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import Location
from ..findings import Finding
from ..source.model import Identity

ItemPath = tuple[str, ...]
"""Names of Jenkins items from the top: ``("amis", "automation", "base", "build")``. A view's own name comes last."""

FOLDER, BUILD, VERIFY, MULTIBRANCH = "folder", "build", "verify", "multibranch"
SEED, ALARM, VIEW = "seed", "alarm", "view"
"""Kinds of items. ``build``, ``verify``, ``seed`` and ``alarm`` are pipeline jobs."""

PROVIDERS = ("gerrit", "git", "github", "gitlab", "folder")


@dataclass(frozen=True)
class Provider:
    """One entry of ``sources:`` in ``jobs.yaml``: where repositories are.

    :ivar name: unique in the file; names the provider in messages, and its part of the cache
    :ivar url: of the server (gerrit, github's and gitlab's API), without a slash at the end; empty for git and folder
    :ivar branch: whose recipes count; empty is the repository's own default branch
    :ivar folders: globs of the folders that may hold an AMI source; ``""`` is the root of the repository, ``**``
        crosses folders
    :ivar prefix, regex: which Gerrit projects; they exclude one another
    :ivar include, exclude: globs of repository names, for all providers
    :ivar urls: of git: what to clone
    :ivar group: GitHub's organisation, or GitLab's group with its path
    :ivar path: of folder: holds AMI sources, or work trees with AMI sources in them
    :ivar clone: what Jenkins clones: this and the repository's name; empty is what the server says
    :ivar credentials: id of the Jenkins credentials with which jobs clone
    :ivar auth: how this program itself signs in at ``url``, as ``jenkins_ami.credentials`` understands it
    """

    kind: str
    name: str
    where: Location
    url: str = ""
    branch: str = ""
    folders: tuple[str, ...] = ("",)
    prefix: str = ""
    regex: str = ""
    include: tuple[str, ...] = ("**",)
    exclude: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    group: str = ""
    path: Path | None = None
    clone: str = ""
    credentials: str = ""
    auth: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Repository:
    """A Git repository that a provider has.

    :ivar name: ``automation/ami/base``, without a slash at either end; Jenkins' folders mirror it
    :ivar url: what Jenkins clones
    :ivar branch: a name without ``refs/heads/``
    :ivar commit: that branch's, 40 or 64 hexadecimal digits; empty for a folder without Git
    :ivar web: a page for people, or empty
    """

    provider: Provider
    name: str
    url: str
    branch: str
    commit: str
    web: str = ""


@dataclass(frozen=True)
class Found:
    """An AMI source in a repository.

    :ivar folder: in the repository, with ``/`` between names; ``""`` is its root
    :ivar jenkinsfile: path in the repository of the Jenkinsfile beside the source, or empty
    """

    repository: Repository
    folder: str
    identity: Identity
    jenkinsfile: str = ""

    @property
    def id(self) -> str:
        """``automation/ami/base`` or ``automation/ami/base:images/web``, for people and ``--only``."""
        return f"{self.repository.name}:{self.folder}" if self.folder else self.repository.name

    @property
    def where(self) -> Location:
        """The source, as a place to point at."""
        return Location(self.id)


@dataclass(frozen=True)
class Broken:
    """An AMI source that is there and cannot be used: its jobs are left as they are. ``folder`` ``None``: all of the
    repository's."""

    repository: Repository
    folder: str | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Failure:
    """A provider that did not answer in full. What it has is unknown, so nothing may be deleted."""

    provider: Provider
    what: str


@dataclass(frozen=True)
class Discovery:
    """What all providers together have. ``requests`` counts what was asked of servers (a cache's use shows in it)."""

    found: tuple[Found, ...] = ()
    broken: tuple[Broken, ...] = ()
    failures: tuple[Failure, ...] = ()
    requests: int = 0


@dataclass(frozen=True)
class Item:
    """One thing that Jenkins should have.

    :ivar xml: its config.xml (XML 1.0, UTF-8), with the owner mark in its description
    :ivar digest: of ``xml`` before the mark's digest was put in; 16 hexadecimal digits
    :ivar source: the AMI source's id, empty for what belongs to no single one
    """

    path: ItemPath
    kind: str
    xml: str
    digest: str
    source: str = ""


@dataclass(frozen=True)
class Desired:
    """All that Jenkins should have, parents before children.

    :ivar owner: whose mark the items carry
    :ivar root: the folder that holds everything
    :ivar kept: paths under which nothing is changed or deleted: of sources that are broken
    :ivar complete: whether discovery reached everything; else nothing may be deleted
    """

    owner: str
    root: ItemPath
    items: tuple[Item, ...]
    kept: tuple[ItemPath, ...] = ()
    complete: bool = True


@dataclass(frozen=True)
class LiveItem:
    """One thing that Jenkins has.

    :ivar cls: its Java class
    :ivar description: as the listing shows it, with the mark of whoever generated it
    """

    path: ItemPath
    cls: str
    description: str = ""


@dataclass(frozen=True)
class Live:
    """What Jenkins has in and under the root folder, the root itself included when it is there."""

    items: Mapping[ItemPath, LiveItem] = field(default_factory=dict)
    views: Mapping[ItemPath, LiveItem] = field(default_factory=dict)
