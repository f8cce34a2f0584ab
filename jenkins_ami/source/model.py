"""What an AMI source says, as types. ``reader`` makes them; ``compile`` uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ..artifacts import BaseQuery, ImageSettings, ImageTest, Timeouts
from ..errors import Location


@dataclass(frozen=True)
class Part:
    """A file of ``cloudinit/``: ``name`` is relative to the source (``cloudinit/10_base.yml``)."""

    name: str
    path: Path


@dataclass(frozen=True)
class Parameter:
    """One entry of ``parameters:``: a value that a build may choose.

    :ivar kind: ``string``, ``integer``, ``boolean``, ``choice`` or ``secret``
    :ivar default: as text; ``None`` makes it required
    :ivar choices: what a ``choice`` may be
    """

    name: str
    kind: str
    where: Location
    default: str | None = None
    description: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class OverlayRule:
    """Mode and owner of what matches ``path``, a glob relative to ``fs/`` in which ``**`` crosses folders.

    :ivar mode: permission bits, or ``None`` to leave what the file has
    :ivar owner, group: names (resolved on the instance) or numbers as text; ``None`` leaves root
    """

    path: str
    where: Location
    mode: int | None = None
    owner: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class OverlaySettings:
    """``overlay:`` of ``ami.yaml``.

    :ivar compression: ``gzip``, which every instance can read, or ``zstd`` for base images that have it
    :ivar rules: later ones win, each setting by itself
    :ivar setuid: globs of files that are wanted with set-uid, set-gid or sticky bits
    """

    compression: str = "gzip"
    rules: tuple[OverlayRule, ...] = ()
    setuid: tuple[str, ...] = ()


@dataclass(frozen=True)
class Strictness:
    """Whether a command that fails ends the build: ``default``, and the opposite for parts that match ``lenient``."""

    default: bool = True
    lenient: tuple[str, ...] = ()

    def of(self, name: str) -> bool:
        """Whether the part ``name`` (``cloudinit/10_x.yml``) is strict."""
        return self.default and not any(fnmatchcase(name, glob) for glob in self.lenient)


@dataclass(frozen=True)
class Storage:
    """Where an overlay too large to inline goes, and how the instance gets it.

    :ivar url: ``s3://bucket/prefix``, or ``https://…`` for a place that somebody else fills
    :ivar access: ``presigned`` (a URL without credentials), ``profile`` (the instance profile's) or ``https``
    """

    url: str | None = None
    access: str = "presigned"


@dataclass(frozen=True)
class Discard:
    """How long Jenkins keeps builds and their artifacts; -1 is for ever. Days and numbers."""

    builds: int = 30
    days: int = -1
    artifact_builds: int = 10
    artifact_days: int = -1


@dataclass(frozen=True)
class Throttle:
    """Limits of the Throttle Concurrent Builds plugin. 0 is no limit; without categories they count for the job."""

    categories: tuple[str, ...] = ()
    total: int = 0
    per_node: int = 0


@dataclass(frozen=True)
class JobSettings:
    """``jobs:`` of ``ami.yaml``, and the defaults for it in ``jobs.yaml``.

    :ivar build: whether there is a build pipeline
    :ivar verify: how changes are verified: ``gerrit-trigger``, ``multibranch``, ``none``, or ``auto``: by the provider
    :ivar verify_jenkinsfile: path in the repository of a Jenkinsfile for the verify pipeline; empty: it is generated
    :ivar environment: where builds go when nobody chooses
    :ivar environments: what a person may choose from; empty: any name may be typed in
    :ivar local: build in the agent's local cloud instead
    :ivar timeout: minutes
    :ivar concurrent: whether builds of one job may run beside each other
    :ivar quiet_period: seconds; ``None`` is Jenkins' own
    :ivar nightly: a Jenkins cron line, or empty
    :ivar poll: a Jenkins cron line by which Git is polled where no trigger tells of merged changes, or empty
    :ivar recheck: a Java regular expression for comments that ask for another verification
    :ivar gerrit_server: its name in the Gerrit Trigger plugin
    :ivar follow_base: whether a build of the base image, when it is one of ours, triggers one of this
    :ivar git_credentials, aws_credentials: ids of Jenkins credentials, or empty
    :ivar gerrit_credentials: the same, of a user name and HTTP password that may vote in Gerrit; empty: Jenkins votes
    """

    build: bool = True
    verify: str = "auto"
    verify_jenkinsfile: str = ""
    environment: str = "dev"
    environments: tuple[str, ...] = ()
    local: bool = False
    timeout: int = 60
    concurrent: bool = False
    quiet_period: int | None = None
    nightly: str = ""
    poll: str = ""
    recheck: str = r"(?im)^\s*recheck\s*$"
    gerrit_server: str = "__ANY__"
    follow_base: bool = True
    compile_label: str = "ami-compile"
    build_label: str = "ami-build"
    verify_label: str = "ami-verify"
    git_credentials: str = ""
    aws_credentials: str = ""
    gerrit_credentials: str = ""
    discard: Discard = Discard()
    throttle: Throttle = Throttle()


@dataclass(frozen=True)
class Identity:
    """What an image is called and made from; settings of ``ami.yaml``. Times in seconds, sizes in GiB.

    :ivar base: as a text; of a mapping its ``name``, and ``base_query`` is all of it
    :ivar base_where: where it is said
    :ivar spot: build on spare capacity first
    """

    name: str
    version: str
    base: str
    description: str = ""
    architecture: str = "x86_64"
    instance_types: tuple[str, ...] = ("t3.small",)
    volume_size: int | None = None
    base_query: BaseQuery | None = None
    base_where: Location | None = field(default=None, compare=False)
    spot: bool = False
    image: ImageSettings = ImageSettings()
    storage: Storage = Storage()
    tags: dict[str, str] = field(default_factory=dict)
    tests: tuple[ImageTest, ...] = ()
    timeouts: Timeouts = Timeouts()
    compile_timeout: int = 600
    variables: dict[str, str] = field(default_factory=dict)
    """All assignments of ``ami.env``."""
    parameters: tuple[Parameter, ...] = ()
    scalars: str = "error"
    """What two parts that set the same scalar to different values mean: ``error``, ``first`` or ``last``."""
    strict: Strictness = Strictness()
    overlay: OverlaySettings = OverlaySettings()
    secrets_allowed: tuple[str, ...] = ()
    """Globs of files (relative to the source) in which the check for secrets finds nothing."""
    jobs: Mapping[str, Any] = field(default_factory=dict)
    """What ``jobs:`` sets of :class:`JobSettings`, by its field names, and nothing else."""


@dataclass(frozen=True)
class AmiSource:
    """An AMI source on disk. Paths that are ``None`` are not there.

    :ivar environments: its ``environments.yaml``, for builds that nobody gives one
    """

    root: Path
    identity: Identity
    parts: tuple[Part, ...] = ()
    overlay: Path | None = None
    compile_script: Path | None = None
    install_script: Path | None = None
    environments: Path | None = None
