"""A Jenkins to run Jenkinsfiles in: real Groovy, real folders, real processes; each agent has its own of all three."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from jenkins_ami.process import run

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
VARS = ROOT / "vars"
COMMIT = "5eed" * 10
SECRET = "s3cr3t"
OTHER = "of $HOME"
"""The folder of a build's other repository: Jenkins expands variables in its URL, as long as it is not encoded."""


@dataclass(frozen=True)
class Scenario:
    """A build to run.

    :ivar env: variables on every agent
    :ivar agents: variables on some agents, by label; ``ami-compile`` and ``ami-build`` are always there
    :ivar commands: what is on the agents' PATH beside the system's: a name and the words it runs
    :ivar repository: files of the repository that the Jenkinsfile came from: path and text
    :ivar refs: of another repository, a real one: each ref, and the files of its commit. Its URL is the parameter
        ``REPOSITORY``
    :ivar params: the build's parameters
    :ivar abort_at: a text; when the build's log says it, somebody aborts the build
    :ivar minute: seconds that one minute of ``timeout`` takes
    """

    jenkinsfile: str
    env: Mapping[str, str] = field(default_factory=dict)
    agents: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    commands: Mapping[str, tuple[str | Path, ...]] = field(default_factory=dict)
    repository: Mapping[str, str] = field(default_factory=lambda: {"ami.env": "NAME=minimal\n"})
    refs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    params: Mapping[str, str | bool] = field(default_factory=dict)
    abort_at: str | None = None
    minute: float = 60


@dataclass(frozen=True)
class Build:
    """A finished build, read from what the harness left in ``home``."""

    home: Path

    @property
    def result(self) -> str:
        return str(self._state["result"])

    @property
    def display_name(self) -> str:
        return str(self._state["displayName"])

    @property
    def description(self) -> str:
        return self._state["description"] or ""

    @property
    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.home / "result.json").read_text())
        return state

    @property
    def console(self) -> str:
        return (self.home / "console.log").read_text()

    @property
    def steps(self) -> list[dict[str, Any]]:
        """Each step: ``step``, ``arguments``, ``agent``, ``stage``."""
        return _json_lines(self.home / "steps.jsonl")

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Each call of the fake command: ``argv``, ``agent``, ``aws`` (AWS variables), ``files`` (in its folder)."""
        return _json_lines(self.home / "calls.jsonl")

    def commit(self, ref: str) -> str:
        """The id of a ref's commit in the other repository."""
        return run(["git", "-C", self.home / OTHER, "rev-parse", ref]).stdout.strip()

    @property
    def commands(self) -> list[str]:
        return [call["argv"][0] for call in self.calls]

    @property
    def archive(self) -> dict[str, Path]:
        return _files(self.home / "archive")

    @property
    def workspaces(self) -> dict[str, Path]:
        """The files that the build left on the agents."""
        return _files(self.home / "agents")


def _json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _files(root: Path) -> dict[str, Path]:
    return {str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.is_file()}


def groovy(script: Path, *arguments: Path) -> str:
    """Runs a Groovy script with Jenkins' classes on its class path; returns its standard output."""
    java = Path(shutil.which("java") or "java").resolve()
    env = {"JAVA_HOME": str(java.parent.parent), "JAVA_OPTS": "-XX:TieredStopAtLevel=1 -Xshare:auto", **os.environ}
    return run(["groovy", "-cp", HERE / "jenkins", script, *arguments], env=env, timeout=900).stdout


def run_builds(root: Path, scenarios: Mapping[str, Scenario]) -> dict[str, Build]:
    """Runs all builds in one JVM, each in a folder of its own below ``root``."""
    homes = {name: root / name for name in scenarios}
    specs = [_prepare(homes[name], scenario) for name, scenario in scenarios.items()]
    groovy(HERE / "harness.groovy", *specs)
    return {name: Build(home) for name, home in homes.items()}


def _prepare(home: Path, scenario: Scenario) -> Path:
    for name, text in scenario.repository.items():
        path = home / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    params = dict(scenario.params)
    if scenario.refs:
        params["REPOSITORY"] = _make_repository(home / OTHER, scenario.refs)
    tools = home / "bin"
    tools.mkdir()
    for name, words in {"jenkins-ami": (sys.executable, HERE / "fake_cli.py"), **scenario.commands}.items():
        (tools / name).write_text(f'#!/bin/sh\nexec {shlex.join(map(str, words))} "$@"\n')
        (tools / name).chmod(0o755)
    (home / "Jenkinsfile").write_text(scenario.jenkinsfile)
    common = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "HOME": os.environ["HOME"],
        "FAKE_LOG": str(home / "calls.jsonl"),
    }
    agents: dict[str, Mapping[str, str]] = {"ami-compile": {}, "ami-build": {}, **scenario.agents}
    spec = {
        "home": str(home),
        "jenkinsfile": str(home / "Jenkinsfile"),
        "library": {"name": "jenkins-ami", "vars": str(VARS)},
        "repository": str(home / "repository"),
        "commit": COMMIT,
        "agents": {label: {**common, **scenario.env, **own} for label, own in agents.items()},
        "credentials": {
            "cloud": {"binding": "AmazonWebServicesCredentialsBinding", "name": "AKIDEXAMPLE", "secret": SECRET},
            "jenkins-ami": {"binding": "usernamePassword", "name": "seed", "secret": SECRET},
        },
        "params": params,
        "abortAt": scenario.abort_at,
        "minute": scenario.minute,
    }
    path = home / "spec.json"
    path.write_text(json.dumps(spec))
    return path


def _make_repository(folder: Path, refs: Mapping[str, Mapping[str, str]]) -> str:
    """A Git repository with one commit for each ref; returns its URL, with all but ``$`` encoded."""
    folder.mkdir()
    git = ["git", "-C", folder, "-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
    run([*git, "init", "-q"])
    for ref, files in refs.items():
        run([*git, "checkout", "-q", "--orphan", "next"])
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        run([*git, "add", "-A"])
        run([*git, "commit", "-q", "-m", ref])
        run([*git, "update-ref", ref, "HEAD"])
        run([*git, "checkout", "-q", "--detach"])
        run([*git, "branch", "-q", "-D", "next"])
    return f"file://{quote(str(folder), safe='/$')}"


@pytest.fixture(scope="module")
def builds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Build]:
    """The finished builds of the module's ``SCENARIOS``, by name."""
    return run_builds(tmp_path_factory.mktemp("builds"), request.module.SCENARIOS).__getitem__
