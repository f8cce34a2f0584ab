"""AMI sources as discovery finds them, for tests of what follows it."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from jenkins_ami.errors import Location
from jenkins_ami.jobs.config import JobsConfig, read_config
from jenkins_ami.jobs.model import Discovery, Found, Provider, Repository
from jenkins_ami.source.model import Identity

GERRIT = Provider(
    "gerrit", "gerrit", Location("jobs.yaml", 4, 3), "https://gerrit.example.com", credentials="gerrit-http"
)
GITHUB = Provider("github", "github acme", Location("jobs.yaml", 6, 3), "https://api.github.com", group="acme")
GITLAB = Provider("gitlab", "gitlab acme", Location("jobs.yaml", 6, 3), "https://gitlab.com/api/v4", group="acme")
GIT = Provider("git", "git-1", Location("jobs.yaml", 8, 3))

CONFIG = """\
owner: amis
folder: amis
jenkins: {url: "http://jenkins.example.com:8080"}
sources:
- {gerrit: "https://gerrit.example.com", prefix: automation/, credentials: gerrit-http}
library: {url: "https://gerrit.example.com/a/jenkins-ami", credentials: gerrit-http, version: v1}
seed: {url: "https://gerrit.example.com/a/ami-jobs", credentials: gerrit-http}
"""


def config(folder: Path, text: str = CONFIG) -> JobsConfig:
    """A configuration read from a file."""
    path = folder / "jobs.yaml"
    path.write_text(text, encoding="utf-8")
    return read_config(path)


def source(
    name: str = "automation/ami/base",
    folder: str = "",
    *,
    image: str = "",
    version: str = "1.0",
    base: str = "scratch",
    jenkinsfile: str = "",
    provider: Provider = GERRIT,
    branch: str = "main",
    **jobs: Any,
) -> Found:
    """One source; its image is called like the last name of its place."""
    url = f"https://git.example.com/{name}"
    place = f"{name}/{folder}".rstrip("/")
    jobs = {key: asdict(value) if is_dataclass(value) else value for key, value in jobs.items()}
    identity = Identity(image or place.rpartition("/")[2], version, base, jobs=jobs)
    return Found(Repository(provider, name, url, branch, "0" * 40), folder, identity, jenkinsfile)


def discovery(*found: Found) -> Discovery:
    return Discovery(tuple(found))
