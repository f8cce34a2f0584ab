"""Fixtures of discovery's tests: Git repositories, and ``discover`` itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from jenkins_ami.errors import Location
from jenkins_ami.jobs.discovery import discover
from jenkins_ami.jobs.model import Discovery, Provider
from jenkins_ami.process import run
from jenkins_ami.progress import Progress

RECIPE = "NAME=base\nVERSION=1.0\nBASE=scratch\n"


class Heard(Progress):
    """Keeps the warnings."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    def _line(self, kind: str, text: str) -> None:
        if kind == "warning":
            self.warnings.append(text)


class Discoverer:
    """``discover`` with a cache in a folder of the test, and providers written short."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.heard = Heard()
        self.environ = {**os.environ, "HOME": str(cache), "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}

    def __call__(self, *providers: Provider) -> Discovery:
        return discover(providers, environ=self.environ, cache=self.cache, progress=self.heard)


@pytest.fixture
def find(tmp_path: Path) -> Discoverer:
    return Discoverer(tmp_path / "cache")


def provider(kind: str, **settings: Any) -> Provider:
    return Provider(kind, settings.pop("name", kind), Location("jobs.yaml", 3, 5), **settings)


MakeRepository = Callable[..., Path]


def git(folder: Path, *words: str) -> str:
    """Git in ``folder``, with a person to commit as."""
    who = {f"GIT_{role}_{what}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = {**os.environ, **who, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    return run(["git", "-C", folder, *words], env=env).stdout.strip()


def commit(folder: Path, files: Mapping[str, str | bytes | None], message: str = "change") -> str:
    """Commit files to a work tree; ``None`` removes one. Gives the commit."""
    for path, data in files.items():
        target = folder / path
        if data is None:
            target.unlink()
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data.encode() if isinstance(data, str) else data)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def make_repository(tmp_path: Path) -> MakeRepository:
    """``make_repository("team/base", {"ami.env": "..."})``: a work tree with one commit, below ``tmp_path/git``."""

    def make(
        name: str, files: Mapping[str, str | bytes | None], *, branch: str = "main", object_format: str = "sha1"
    ) -> Path:
        folder = tmp_path / "git" / name
        folder.mkdir(parents=True)
        git(folder, "init", "-q", "-b", branch, f"--object-format={object_format}")
        commit(folder, files)
        return folder

    return make
