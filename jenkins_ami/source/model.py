"""What an AMI source says, as types. ``reader`` makes them; ``compile`` uses them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..artifacts import ImageTest, Timeouts


@dataclass(frozen=True)
class Part:
    """A file of ``cloudinit/``: ``name`` is relative to the source (``cloudinit/10_base.yml``)."""

    name: str
    path: Path


@dataclass(frozen=True)
class Identity:
    """What an image is called and made from; settings of ``ami.yaml``. Times in seconds, sizes in GiB."""

    name: str
    version: str
    base: str
    description: str = ""
    architecture: str = "x86_64"
    instance_types: tuple[str, ...] = ("t3.small",)
    volume_size: int | None = None
    storage: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    tests: tuple[ImageTest, ...] = ()
    timeouts: Timeouts = Timeouts()
    compile_timeout: int = 600
    variables: dict[str, str] = field(default_factory=dict)
    """All assignments of ``ami.env``."""


@dataclass(frozen=True)
class AmiSource:
    """An AMI source on disk. Paths that are ``None`` are not there."""

    root: Path
    identity: Identity
    parts: tuple[Part, ...] = ()
    overlay: Path | None = None
    compile_script: Path | None = None
    install_script: Path | None = None
