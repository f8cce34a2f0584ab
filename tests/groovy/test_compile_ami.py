"""``compileAmi()``: a source in, a compiled AMI out, on an agent that has no rights in the cloud."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import COMMIT, SECRET, Build, Scenario
from .test_bridge import HOSTILE, LIBRARY, literal

pytestmark = pytest.mark.groovy

SHOWN = 'echo "${compiled.name} ${compiled.version} ${compiled.commit} ${compiled.digest}"'
SCENARIOS = {
    "plain": Scenario(
        LIBRARY + f"def compiled = compileAmi()\n{SHOWN}\nnode('ami-build') {{ unstash(compiled.stash) }}"
    ),
    "parameters": Scenario(
        LIBRARY
        + """compileAmi(source: 'images/web', version: '2.1', parameters: [APP: '7', MODE: 'x'], storage: 's3://b/p',
            sandbox: 'offline', label: 'small', timeout: 5, folder: 'web', archiveOverlay: true,
            secretParameters: [LICENCE: 'key'], cli: [command: 'the cli'])""",
        agents={"small": {}},
        commands={"the cli": (sys.executable, Path(__file__).with_name("fake_cli.py"))},
        repository={"images/web/ami.env": ""},
        credentials={"key": {"kind": "string", "secret": SECRET}},
    ),
    "hostile": Scenario(
        LIBRARY
        + f"compileAmi(source: {literal(HOSTILE)}, version: {literal(HOSTILE)}, parameters: [A: {literal(HOSTILE)}])",
        repository={f"{HOSTILE}/ami.env": ""},
    ),
    "of_a_branch": Scenario(
        LIBRARY + "compileAmi(repository: params.REPOSITORY, source: 'images/web')",
        refs={"refs/heads/feature/main": {"images/web/README": ""}, "refs/heads/main": {"images/web/ami.env": ""}},
    ),
    "of_a_change": Scenario(
        LIBRARY
        + "compileAmi(repository: params.REPOSITORY, refspec: 'refs/changes/34/1234/2', credentialsId: 'jenkins-ami')",
        refs={"refs/heads/main": {"README": ""}, "refs/changes/34/1234/2": {"ami.env": ""}},
    ),
    "of_a_branch_that_is_not_there": Scenario(
        LIBRARY + "compileAmi(repository: params.REPOSITORY, branch: 'nope')",
        refs={"refs/heads/main": {"ami.env": ""}},
    ),
    "fails": Scenario(LIBRARY + "compileAmi()", env={"FAKE_FAIL": "compile:2"}),
    "takes_too_long": Scenario(LIBRARY + "compileAmi(timeout: 2)", env={"FAKE_HANG": "compile"}, minute=0.5),
    "aborted": Scenario(LIBRARY + "compileAmi()", env={"FAKE_HANG": "compile"}, abort_at="waiting"),
}
COMPILED = {"ami/cloud-config.yaml", "ami/compile.json", "ami/userdata.gz"}
Builds = Callable[[str], Build]


def test_the_source_is_checked_out_and_compiled_with_its_commit(builds: Builds) -> None:
    build = builds("plain")
    assert build.result == "SUCCESS", build.console
    (call,) = build.calls
    assert (call["agent"], call["argv"], call["files"]) == ("ami-compile", ["compile"], ["source/ami.env"])
    assert call["arguments"] == {"source": "source/.", "target": "ami", "source-commit": COMMIT}


def test_it_returns_what_was_compiled_and_where_it_is_stashed(builds: Builds) -> None:
    build = builds("plain")
    assert f"minimal 1.0 {COMMIT} 11\n" in build.console
    assert build.workspaces.keys() == {
        f"ami-build/workspace/job/{name}" for name in ("cloud-config.yaml", "compile.json", "fs.tgz", "userdata.gz")
    }


def test_everything_but_the_overlay_is_archived(builds: Builds) -> None:
    assert builds("plain").archive.keys() == COMPILED


def test_the_overlay_is_when_it_is_wanted(builds: Builds) -> None:
    assert "web/fs.tgz" in builds("parameters").archive


def test_parameters_reach_the_command(builds: Builds) -> None:
    build = builds("parameters")
    assert build.result == "SUCCESS", build.console
    (call,) = build.calls
    assert call["agent"] == "small"
    assert call["arguments"] == {
        "source": "source/images/web",
        "target": "web",
        "source-commit": COMMIT,
        "version": "2.1",
        "param": {"APP": "7", "MODE": "x"},
        "storage": "s3://b/p",
        "sandbox": "offline",
    }
    assert [s["arguments"] for s in build.steps if s["step"] == "timeout"] == [{"time": 5, "unit": "MINUTES"}]


def test_a_secret_parameter_is_in_the_commands_environment_and_nowhere_else(builds: Builds) -> None:
    build = builds("parameters")
    assert build.calls[0]["secrets"] == {"AMI_PARAM_LICENCE": SECRET}
    assert SECRET not in build.console
    assert SECRET not in "".join(path.read_text() for path in build.archive.values())


def test_no_cloud_credentials_are_near(builds: Builds) -> None:
    for name in ("plain", "parameters"):
        assert builds(name).calls[0]["aws"] == {}


def test_hostile_values_arrive_as_they_are(builds: Builds) -> None:
    build = builds("hostile")
    assert build.result == "SUCCESS", build.console
    arguments = build.calls[0]["arguments"]
    assert arguments["source"] == f"source/{HOSTILE}"
    assert arguments["version"] == HOSTILE
    assert arguments["param"] == {"A": HOSTILE}
    assert not list(build.home.rglob("pwned"))


def test_another_repository_is_cloned_at_its_branch(builds: Builds) -> None:
    build = builds("of_a_branch")
    assert build.result == "SUCCESS", build.console
    assert build.calls[0]["arguments"]["source-commit"] == build.commit("refs/heads/main")
    assert "source/images/web/ami.env" in build.calls[0]["files"]


def test_a_change_of_another_repository_is_cloned_at_its_ref(builds: Builds) -> None:
    build = builds("of_a_change")
    assert build.result == "SUCCESS", build.console
    assert build.calls[0]["arguments"]["source-commit"] == build.commit("refs/changes/34/1234/2")
    (checkout,) = (step["arguments"]["scm"] for step in build.steps if step["step"] == "checkout")
    assert checkout["userRemoteConfigs"][0]["credentialsId"] == "jenkins-ami"
    assert checkout["branches"] == [{"name": "FETCH_HEAD"}]


def test_a_branch_that_is_not_there_fails_before_anything_is_compiled(builds: Builds) -> None:
    build = builds("of_a_branch_that_is_not_there")
    assert build.result == "FAILURE"
    assert not build.calls


def test_a_failure_says_why_and_leaves_nothing(builds: Builds) -> None:
    build = builds("fails")
    assert build.result == "FAILURE"
    line = "ERROR: jenkins-ami compile failed with exit code 2: compile went wrong, here. Do something else.\n"
    assert line in build.console
    assert (build.archive, build.workspaces) == ({}, {})


@pytest.mark.parametrize("name", ["takes_too_long", "aborted"])
def test_what_is_stopped_is_aborted_and_leaves_nothing(builds: Builds, name: str) -> None:
    build = builds(name)
    assert build.result == "ABORTED"
    assert (build.archive, build.workspaces) == ({}, {})
