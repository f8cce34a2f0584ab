"""``resources/jenkins-ami/provide.sh``: which ``jenkins-ami`` an agent gets. Real environments, and no network: what is
installed is a package of the same name that does nothing but say its version.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from jenkins_ami.process import run

from .conftest import ROOT

SCRIPT = ROOT / "resources" / "jenkins-ami" / "provide.sh"

BACKEND = """\
import pathlib, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    version = pathlib.Path("VERSION").read_text()
    info = f"jenkins_ami-{version}.dist-info"
    files = {
        "saying.py": f"def main():\\n    print('jenkins-ami {version}')\\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: jenkins-ami\\nVersion: {version}\\nProvides-Extra: local\\n"
        "Requires-Dist: local-part; extra == 'local'\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{info}/entry_points.txt": "[console_scripts]\\njenkins-ami = saying:main\\n",
        f"{info}/RECORD": "",
    }
    name = f"jenkins_ami-{version}-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""
"""How pip builds the package of a source: by itself, without setuptools, which would have to be downloaded."""

PROJECT = {
    "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    "backend.py": BACKEND,
}


@dataclass(frozen=True)
class Agent:
    """A machine: a user's home, programs, a package index that is a folder of wheels.

    :ivar within: what runs the script instead of running it by itself
    """

    root: Path
    env: Mapping[str, str] = field(default_factory=dict)
    within: tuple[str | Path, ...] = ()

    @property
    def cache(self) -> Path:
        return self.root / "home" / ".cache" / "jenkins-ami" / "cli"

    @property
    def environments(self) -> list[Path]:
        return sorted(path.parent for path in self.cache.glob("*/complete"))

    def program(self, name: str, text: str) -> Path:
        path = self.root / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def publish(self, version: str) -> None:
        (self.root / "packages").mkdir(exist_ok=True)
        folder = source(self.root / f"source-{version}", version)
        run([sys.executable, "-c", "import backend; backend.build_wheel('../packages')"], cwd=folder)

    def provide(self, **given: str) -> Provided:
        text = {
            **dict.fromkeys(("command", "version", "from", "ref", "extras", "cache", "libraryRef"), ""),
            "python": "python3",
            "libraryVersion": "1.0",
            **{name.rstrip("_"): value for name, value in given.items()},
        }
        escaped = {k: v.replace("%", "%25").replace("$", "%24").replace("\n", "%0A") for k, v in text.items()}
        env = {
            "PATH": f"{self.root / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.root / "home"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.root / "packages"),
            "PIP_CONFIG_FILE": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "JENKINS_AMI_WANTED": "\n".join(f"{name}={value}" for name, value in escaped.items()),
            **self.env,
        }
        done = subprocess.run(
            [*self.within, "sh", SCRIPT],
            env=env,
            cwd=self.root / "work",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return Provided(done.stdout.strip(), done.stderr)


@dataclass(frozen=True)
class Provided:
    """What the script answered, and what it said on the way."""

    answer: str
    log: str

    @property
    def version(self) -> str:
        return run([self.answer, "--version"]).stdout.strip()


def source(folder: Path, version: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in {**PROJECT, "VERSION": version}.items():
        (folder / name).write_text(text)
    return folder


def commit(folder: Path, version: str) -> str:
    """Commits a version of the source to the branch ``main``; returns the commit."""
    source(folder, version)
    git = ["git", "-C", str(folder), "-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
    if not (folder / ".git").exists():
        run([*git, "init", "-q", "-b", "main"])
    run([*git, "add", "-A"])
    run([*git, "commit", "-q", "-m", version])
    return run([*git, "rev-parse", "HEAD"]).stdout.strip()


@pytest.fixture(scope="module")
def pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pip")
    run([sys.executable, "-m", "venv", folder])
    return next(folder.glob("lib/*/site-packages/pip"))


@pytest.fixture
def agent(tmp_path: Path, pip: Path) -> Agent:
    """An agent whose ``python3`` links the same pip into each environment, which saves the seconds of unpacking one."""
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    made = Agent(tmp_path)
    python, source = shlex.quote(sys.executable), shlex.quote(str(pip))
    made.program(
        "python3",
        f"""if [ "$1 $2" = "-m venv" ]; then
            {python} -m venv --without-pip "$3" && exec ln -s {source} "$3/lib/"python*/site-packages/
        fi
        exec {python} "$@\"""",
    )
    made.publish("1.0")
    return made


def days_ago(path: Path, days: float) -> None:
    then = time.time() - days * 86400
    os.utime(path, (then, then))


def test_a_command_is_taken_as_it_is(agent: Agent) -> None:
    path = agent.program("my-ami", "echo 9")
    assert agent.provide(command="my-ami").answer == str(path)
    assert agent.provide(command=str(path)).answer == str(path)
    assert agent.provide(command="../bin/my-ami").answer == f"{agent.root / 'work'}/../bin/my-ami"
    assert not agent.cache.exists()


@pytest.mark.parametrize("command", ["nope", "./nope", "/tmp", "echo", "-v", "a\nb", "$HOME", "a'b\"; touch pwned"])
def test_a_command_that_is_not_there_is_told(agent: Agent, command: str) -> None:
    shown = command.replace("\n", " ")
    assert agent.provide(command=command).answer == f"error: there is no command '{shown}' on this agent"
    assert list((agent.root / "work").iterdir()) == []


def test_the_one_on_the_path_is_taken_when_it_has_the_version(agent: Agent) -> None:
    path = agent.program("jenkins-ami", "echo jenkins-ami 1.0")
    assert agent.provide().answer == str(path)
    assert agent.provide(version="1.0").answer == str(path)
    assert not agent.cache.exists()


def test_another_version_on_the_path_is_not_taken(agent: Agent) -> None:
    agent.program("jenkins-ami", "echo jenkins-ami 0.9")
    provided = agent.provide()
    assert provided.version == "jenkins-ami 1.0"
    assert Path(provided.answer).parent.parent.parent == agent.cache


def test_an_environment_is_made_once_and_then_taken_without_the_index(agent: Agent) -> None:
    first = agent.provide(python=sys.executable)
    assert f"jenkins-ami: making {agent.cache}" in first.log
    assert first.version == "jenkins-ami 1.0"
    (agent.root / "packages" / "jenkins_ami-1.0-py3-none-any.whl").unlink()
    again = agent.provide(python=sys.executable)
    assert again.answer == first.answer
    assert again.log == ""


def test_the_folder_for_the_path_holds_the_command_and_no_python(agent: Agent) -> None:
    assert [path.name for path in Path(agent.provide().answer).parent.iterdir()] == ["jenkins-ami"]


def test_each_version_and_each_set_of_extras_has_an_environment_of_its_own(agent: Agent) -> None:
    agent.publish("2.0")
    assert agent.provide().version == "jenkins-ami 1.0"
    assert agent.provide(version="2.0").version == "jenkins-ami 2.0"
    assert len(agent.environments) == 2
    answer = agent.provide(extras="local").answer
    assert answer.startswith("error: jenkins-ami 1.0 cannot be installed: ")
    assert "local-part" in answer
    assert len(agent.environments) == 2


def test_a_version_that_the_index_has_not_is_told_with_what_there_is(agent: Agent) -> None:
    agent.program("jenkins-ami", "echo jenkins-ami 0.9")
    provided = agent.provide(version="3.0")
    assert provided.answer == (
        "error: jenkins-ami 3.0 cannot be installed: No matching distribution found for jenkins-ami==3.0; "
        "on the PATH there is jenkins-ami 0.9"
    )
    assert agent.environments == []
    assert list(agent.cache.glob("*/")) == []


def test_a_half_made_environment_is_made_again(agent: Agent) -> None:
    answer = Path(agent.provide().answer)
    (answer.parent.parent / "complete").unlink()
    answer.unlink()
    assert agent.provide().version == "jenkins-ami 1.0"


def test_two_builds_at_once_make_it_once(agent: Agent) -> None:
    with ThreadPoolExecutor() as pool:
        provided = list(pool.map(lambda _: agent.provide(), range(3)))
    assert len({each.answer for each in provided}) == 1
    assert provided[0].version == "jenkins-ami 1.0"
    assert sum("jenkins-ami: making" in each.log for each in provided) == 1


def test_environments_that_nobody_has_taken_for_a_month_go_when_another_is_made(agent: Agent) -> None:
    old = Path(agent.provide().answer).parent.parent
    agent.publish("2.0")
    recent = Path(agent.provide(version="2.0").answer).parent.parent
    for folder in (old, recent):
        days_ago(folder / "complete", 31)
        days_ago(folder, 31)
    agent.provide(version="2.0")
    agent.publish("3.0")
    assert f"removing {old}" in agent.provide(version="3.0").log
    assert not old.exists()
    assert recent.exists()


def test_a_branch_is_taken_at_its_commit_and_moves(agent: Agent) -> None:
    repository = agent.root / "repository"
    commit(repository, "5")
    url = repository.as_uri()
    assert agent.provide(from_=url, ref="main").version == "jenkins-ami 5"
    commit(repository, "6")
    assert agent.provide(from_=url, ref="main").version == "jenkins-ami 6"
    assert len(agent.environments) == 2


def test_without_a_network_a_branch_is_taken_as_it_was_with_a_warning(agent: Agent) -> None:
    repository = agent.root / "repository"
    sha = commit(repository, "5")
    url = repository.as_uri()
    first = agent.provide(from_=url, ref="main")
    repository.rename(agent.root / "gone")
    again = agent.provide(from_=url, ref="main")
    assert again.answer == first.answer
    assert f"warning: taking main as it was at commit {sha}, since {url} does not answer: " in again.log
    assert agent.provide(from_=url, ref=sha) == Provided(first.answer, "")


def test_without_a_network_what_was_never_here_is_told_with_what_there_is(agent: Agent) -> None:
    agent.program("jenkins-ami", "echo jenkins-ami 0.9")
    url = (agent.root / "gone").as_uri()
    answer = agent.provide(from_=url, ref="main").answer
    assert answer.startswith(f"error: 'main' of {url} is not here yet, and cannot be got: ")
    assert answer.endswith("; on the PATH there is jenkins-ami 0.9")
    sha = "5eed" * 10
    answer = agent.provide(from_=url, ref=sha).answer
    assert answer.startswith(f"error: commit {sha} of {url} cannot be got: ")


def test_a_tag_a_commit_and_the_librarys_own_ref_are_taken_too(agent: Agent) -> None:
    repository = agent.root / "repository"
    first = commit(repository, "5")
    git: list[str | Path] = [
        "git",
        "-C",
        repository,
        "-c",
        "user.name=Somebody",
        "-c",
        "user.email=somebody@example.com",
    ]
    run([*git, "tag", "-a", "-m", "five", "v5"])
    commit(repository, "6")
    run([*git, "update-ref", "refs/changes/34/1234/2", first])
    url = repository.as_uri()
    answers = {agent.provide(from_=url, ref=ref).answer for ref in ("v5", first, "refs/changes/34/1234/2")}
    assert len(answers) == 1
    assert Provided(answers.pop(), "").version == "jenkins-ami 5"
    assert agent.provide(from_=url, libraryRef="main").version == "jenkins-ami 6"


@pytest.mark.parametrize("ref", ["nope", "*", "-u", "a b", "$HOME", "5eed5", "--upload-pack=touch pwned"])
def test_a_ref_that_is_not_there_is_told(agent: Agent, ref: str) -> None:
    commit(agent.root / "repository", "5")
    url = (agent.root / "repository").as_uri()
    assert agent.provide(from_=url, ref=ref).answer == f"error: there is no branch or tag '{ref}' in {url}"
    assert list((agent.root / "work").iterdir()) == []


def test_a_password_in_a_url_is_not_told(agent: Agent) -> None:
    provided = agent.provide(from_="https://me:s3cr3t@nowhere.invalid/x.git", ref="main")
    assert "https://nowhere.invalid/x.git" in provided.answer
    assert "s3cr3t" not in provided.answer + provided.log


def test_a_folder_is_installed_from_and_left_as_it_was(agent: Agent) -> None:
    folder = source(agent.root / "work" / "cli", "7")
    before = {path: path.stat() for path in folder.rglob("*")}
    first = agent.provide(from_="cli")
    assert first.version == "jenkins-ami 7"
    assert {path: path.stat() for path in folder.rglob("*")} == before
    assert agent.provide(from_=str(folder)) == Provided(first.answer, "")
    (folder / "VERSION").write_text("8")
    assert agent.provide(from_="cli").version == "jenkins-ami 8"


def test_of_a_folder_in_git_what_git_ignores_does_not_count(agent: Agent) -> None:
    folder = agent.root / "work" / "cli"
    commit(folder, "7")
    (folder / ".git" / "info" / "exclude").write_text("out/\n")
    first = agent.provide(from_="cli")
    (folder / "out").mkdir()
    (folder / "out" / "built").write_text("x")
    assert agent.provide(from_="cli").answer == first.answer


REFUSED = {
    "command_and_version": (
        {"command": "x", "version": "1"},
        "'command' is taken as it is: 'version', 'from' and 'ref' say nothing beside it",
    ),
    "version_of_a_repository": (
        {"from": "https://x/y", "version": "1"},
        "'version' is one of the package index; what to take of a repository says 'ref'",
    ),
    "ref_of_the_index": (
        {"ref": "main"},
        "'ref' says what of a Git repository to take, and 'from' is not the URL of one",
    ),
    "ref_of_a_folder": (
        {"ref": "main", "from": "."},
        "'ref' says what of a Git repository to take, and 'from' is not the URL of one",
    ),
    "no_ref": ({"from": "https://x/y"}, "'ref' is missing: a branch, a tag or a commit of https://x/y"),
    "no_version": ({"version": "1; x"}, "'version' must be a version like 1.2.0, not '1; x'"),
    "no_extras": ({"extras": "local] x"}, "'extras' must be names like local, not 'local] x'"),
    "no_python": (
        {"python": "python9"},
        "there is no 'python9' on this agent to make it with; on the PATH there is none",
    ),
    "python_that_is_none": (
        {"python": "false"},
        "'false' is no Python to make it with; on the PATH there is none",
    ),
    "no_folder": ({"from": "nope"}, "there is no folder 'nope' in WORK"),
    "folder_without_a_package": (
        {"from": "."},
        "jenkins-ami DIGEST cannot be installed: Directory '.' is not installable. Neither 'setup.py' nor "
        "'pyproject.toml' found.; on the PATH there is none",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_told_in_one_line(agent: Agent, name: str) -> None:
    given, message = REFUSED[name]
    answer = agent.provide(**given).answer
    digest = answer.split()[2] if "DIGEST" in message else ""
    assert answer == "error: " + message.replace("WORK", str(agent.root / "work")).replace("DIGEST", digest)


def test_an_old_python_is_told(agent: Agent) -> None:
    agent.program("python-old", 'case $2 in *sys.exit*) exit 1 ;; *) echo "/usr/bin/python-old 3.9" ;; esac')
    assert agent.provide(python="python-old").answer == (
        "error: 'python-old' is Python 3.9, and 3.11 or newer is needed; name another with 'python'"
    )


def test_the_oldest_python_is_that_of_the_package() -> None:
    assert "python_requires = >=3.11\n" in (ROOT / "setup.cfg").read_text()
    assert "(3, 11)" in SCRIPT.read_text()


def test_a_python_without_venv_is_told_with_what_to_install(agent: Agent) -> None:
    (agent.root / "missing").mkdir()
    (agent.root / "missing" / "ensurepip.py").write_text("raise ImportError\n")
    bare = Agent(agent.root, {"PYTHONPATH": str(agent.root / "missing")})
    assert bare.provide().answer == (
        "error: 'python3' has no module venv to make an environment with; Debian has it in the package python3-venv"
    )


def test_a_cache_that_cannot_be_made_is_told(agent: Agent) -> None:
    assert agent.provide(cache="/proc/nope/cli").answer == (
        "error: the folder '/proc/nope/cli' cannot be made: cannot create directory '/proc/nope': "
        "No such file or directory"
    )


def test_a_package_without_the_command_leaves_nothing(agent: Agent) -> None:
    folder = source(agent.root / "work" / "cli", "7")
    (folder / "backend.py").write_text(BACKEND.replace("jenkins-ami = saying", "other = saying"))
    assert agent.provide(from_="cli").answer == "error: what was installed has no command jenkins-ami"
    assert list(agent.cache.glob("*/")) == []


def test_the_cache_may_be_elsewhere(agent: Agent) -> None:
    cache = agent.root / "it's a cache, é % #"
    provided = agent.provide(cache=str(cache))
    assert provided.answer.startswith(f"{cache}/1.0-")
    assert provided.version == "jenkins-ami 1.0"
    assert agent.provide(cache="../it's a cache, é % #") == Provided(provided.answer, "")


@pytest.mark.parametrize("name", ['a"b', "$(touch pwned)", "`touch pwned`", "a\\b", "a\nb"])
def test_a_cache_whose_path_would_be_more_than_a_path_in_a_script_is_refused(agent: Agent, name: str) -> None:
    shown = name.replace("\n", " ")
    assert agent.provide(cache=f"/tmp/{name}").answer == (
        f"error: 'cache' must be a path without \", \\, $ and `, not '/tmp/{shown}'"
    )


def test_a_cache_that_cannot_be_written_is_enough_when_it_is_there(agent: Agent) -> None:
    made = agent.provide()
    locked = replace(agent, within=("bwrap", "--dev-bind", "/", "/", "--ro-bind", agent.cache, agent.cache))
    assert locked.provide() == Provided(made.answer, "")
    assert locked.provide(version="2.0").answer == (
        f"error: jenkins-ami 2.0 is not in '{agent.cache}', which cannot be written; on the PATH there is none"
    )


def test_shellcheck_finds_nothing() -> None:
    assert run(["shellcheck", SCRIPT]).stdout == ""
