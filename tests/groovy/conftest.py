"""A Jenkins to run Jenkinsfiles in: its CPS engine, real folders, real processes; each agent has its own of the latter.

``jenkins/harness/Engine.groovy`` runs a build as Jenkins' controller does: whenever a step suspends the program, all of
it is saved, and what was read back goes on.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from jenkins_ami.process import run
from tests.jenkins import access
from tests.jenkins.fake import FakeJenkins

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
VARS = ROOT / "vars"
LIBRARY = ("vars", "src", "resources")
SANDBOX = {
    "permitted": str(HERE / "data" / "sandbox_calls.txt"),
    "refused": str(HERE / "data" / "sandbox_refused.txt"),
}
OPENED = ("io", "lang", "lang.reflect", "text", "util", "util.concurrent")
"""Packages that Groovy may look into: those that Jenkins opens, below ``java``."""
ASTRAY = "https://jenkins.io/redirect/pipeline-cps-method-mismatches/"
UNKNOWN = "sandbox: not known whether Jenkins permits: "
COMMIT = "5eed" * 10
SECRET = "s3cr3t"
JOBS_YAML = """\
owner: amis
folder: amis
sources:
- {folder: ., folders: ["images/*"], url: "https://git.example.com/images.git", name: images}
seed: {url: "https://git.example.com/jobs.git"}
"""
"""Of a company with its AMI sources in one folder."""
PLUGINS = frozenset(
    {"aws-credentials", "cleanWs", "junit", "lock", "publishHTML", "setGerritReview", "throttle", "timestamps"}
)
"""What a Jenkins may lack: steps by their names, and AWS credentials with their binding."""
OTHER = "of $HOME"
"""The folder of a build's other repository: Jenkins expands variables in its URL, as long as it is not encoded."""


@dataclass(frozen=True)
class Answer:
    """What somebody says to an ``input`` step; ``values`` are those of its parameters (their defaults otherwise)."""

    submitter: str = "somebody"
    values: Mapping[str, str | bool] = field(default_factory=dict)
    aborts: bool = False


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
    :ivar minute: seconds that one minute of ``timeout`` or ``sleep`` takes
    :ivar credentials: more credentials by their ids, beside ``cloud`` (aws) and ``jenkins-ami`` (usernamePassword):
        ``{"kind": "usernamePassword", "name": "me", "secret": "x"}``, ``{"kind": "string", "secret": "x"}``
    :ivar plugins: which of :data:`PLUGINS` this Jenkins has
    :ivar answers: what is said to the ``input`` steps, one after the other; an ``input`` without an answer waits
    :ivar restart_at: a text; when the build's log says it, the controller restarts
    :ivar restart_kills: a ``sh`` that runs while the controller restarts is killed
    :ivar library: files of another library than this repository's: ``vars/NAME.groovy``, ``resources/``, ``src/``
    :ivar house_rules: the engine's warnings of calls that go astray, and interpolated texts in ``sh``, fail the test
    :ivar sandbox: Jenkinsfile and library run in the sandbox; else both are trusted
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
    credentials: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    plugins: frozenset[str] = PLUGINS
    answers: tuple[Answer, ...] = ()
    restart_at: str | None = None
    restart_kills: bool = False
    library: Mapping[str, str] | None = None
    house_rules: bool = True
    sandbox: bool = True


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
    def tests(self) -> list[dict[str, Any]]:
        """Each test case that ``junit`` read: ``name``, ``suite``, ``failed``."""
        cases: list[dict[str, Any]] = self._state["tests"]
        return cases

    @property
    def saves(self) -> int:
        """How often the program was saved."""
        return int(self._state["saves"])

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
    options = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in OPENED]
    options += ["-XX:TieredStopAtLevel=1", "-Xshare:auto"]
    env = {"JAVA_HOME": str(java.parent.parent), "JAVA_OPTS": " ".join(options), **os.environ}
    jars = Path(run([ROOT / "tools" / "jars.sh", "groovy-cps"], timeout=600).stdout.strip())
    path = ":".join(map(str, [HERE / "jenkins", *sorted(jars.glob("*.jar"))]))
    return run(["groovy", "-cp", path, script, *arguments], env=env, timeout=900).stdout


def run_builds(root: Path, scenarios: Mapping[str, Scenario]) -> dict[str, Build]:
    """Runs all builds in one JVM, each in a folder of its own below ``root``."""
    homes = {name: root / name for name in scenarios}
    specs = [_prepare(homes[name], scenario) for name, scenario in scenarios.items()]
    groovy(HERE / "harness.groovy", *specs)
    finished = {name: Build(home) for name, home in homes.items()}
    for name, build in finished.items():
        if scenarios[name].house_rules:
            _check_calls(name, build.console)
    return finished


def _check_calls(name: str, console: str) -> None:
    astray = [line for line in console.splitlines() if ASTRAY in line]
    assert not astray, f"{name}: Jenkins runs on with wrong values: {astray}"
    unknown = [line.removeprefix(UNKNOWN) for line in console.splitlines() if line.startswith(UNKNOWN)]
    assert not unknown, (
        f"{name}: not known whether the sandbox permits these calls. Check them on a real Jenkins, then add them to"
        f" tests/groovy/data/sandbox_calls.txt: {unknown}"
    )


def _prepare(home: Path, scenario: Scenario) -> Path:
    _write(home / "repository", scenario.repository)
    _write(home / "library", scenario.library or {})
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
        "library": {
            "name": "jenkins-ami",
            **{part: str((ROOT if scenario.library is None else home / "library") / part) for part in LIBRARY},
        },
        "repository": str(home / "repository"),
        "commit": COMMIT,
        "agents": {label: {**common, **scenario.env, **own} for label, own in agents.items()},
        "credentials": {
            "cloud": {"kind": "aws", "name": "AKIDEXAMPLE", "secret": SECRET},
            "jenkins-ami": {"kind": "usernamePassword", "name": "seed", "secret": SECRET},
            **scenario.credentials,
        },
        "plugins": sorted(scenario.plugins),
        "answers": [asdict(answer) for answer in scenario.answers],
        "restartAt": scenario.restart_at,
        "restartKills": scenario.restart_kills,
        "houseRules": scenario.house_rules,
        "sandbox": SANDBOX if scenario.sandbox else None,
        "params": params,
        "abortAt": scenario.abort_at,
        "minute": scenario.minute,
    }
    path = home / "spec.json"
    path.write_text(json.dumps(spec))
    return path


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _make_repository(folder: Path, refs: Mapping[str, Mapping[str, str]]) -> str:
    """A Git repository with one commit for each ref; returns its URL, with all but ``$`` encoded."""
    folder.mkdir()
    git: list[str | Path] = ["git", "-C", folder, "-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
    run([*git, "init", "-q"])
    for ref, files in refs.items():
        run([*git, "checkout", "-q", "--orphan", "next"])
        _write(folder, files)
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


@pytest.fixture
def jenkins(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeJenkins]:
    """A Jenkins that knows the user whose token the builds have."""
    monkeypatch.setitem(access.USERS, "seed", frozenset({access.ADMINISTER}))
    with FakeJenkins() as server:
        server.access.tokens["seed"] = SECRET
        yield server
