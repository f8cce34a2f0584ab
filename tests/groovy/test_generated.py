"""The scripts of generated jobs, run with the library: what they pass to ``buildAmi()`` is what it takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jenkins_ami.jobs.config import read_config
from jenkins_ami.jobs.desired import desired
from jenkins_ami.jobs.model import BUILD, VERIFY
from jenkins_ami.jobs.xmltree import parse
from tests.conftest import REPOSITORY
from tests.jobs.sources import discovery, source

from .conftest import Build, Scenario

pytestmark = pytest.mark.groovy

HOSTILE = "a'b\"; $(touch pwned) ${HOME} $HOME \\ \n # */ é"
CHANGE = "refs/changes/34/1234/2"
PARAMS = {"ENVIRONMENT": "dev", "VERSION": "", "REUSE": False}


def script(kind: str, folder: str = "", **jobs: object) -> str:
    """The script of a generated job. It clones the scenario's own repository instead of the one it names."""
    found = source("automation/ami/base", folder, **jobs)
    wanted, findings = desired(read_config(REPOSITORY / "jobs" / "jobs.yaml"), discovery(found))
    assert findings == ()
    (text,) = (parse(item.xml).findtext("definition/script") for item in wanted.items if item.kind == kind)
    assert text is not None
    url = f"'{found.repository.url}'"
    assert text.count(url) == 1
    return text.replace(url, "params.REPOSITORY")


SCENARIOS = {
    "build": Scenario(script(BUILD), params=PARAMS, refs={"refs/heads/main": {"ami.env": ""}}),
    "build_with_parameters": Scenario(
        script(BUILD),
        params={"ENVIRONMENT": "prod", "VERSION": "2.1", "REUSE": True},
        refs={"refs/heads/main": {"ami.env": ""}},
    ),
    "build_in_the_local_cloud": Scenario(
        script(BUILD, local=True), params=PARAMS, refs={"refs/heads/main": {"ami.env": ""}}
    ),
    "build_of_a_hostile_folder": Scenario(
        script(BUILD, HOSTILE), params=PARAMS, refs={"refs/heads/main": {f"{HOSTILE}/ami.env": ""}}
    ),
    "verify": Scenario(
        script(VERIFY, "images/web").replace("env.GERRIT_REFSPEC", json.dumps(CHANGE)),
        agents={"ami-verify": {}},
        refs={"refs/heads/main": {"README": ""}, CHANGE: {"images/web/ami.env": ""}},
    ),
}

Builds = Callable[[str], Build]


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_runs(builds: Builds, name: str) -> None:
    assert builds(name).result == "SUCCESS", builds(name).console


def test_a_build_compiles_the_head_of_its_branch_and_builds_in_the_environment_chosen(builds: Builds) -> None:
    build = builds("build")
    commit = build.commit("refs/heads/main")
    assert [call["argv"] for call in build.calls] == [
        ["compile", f"--source-commit={commit}", "source/.", "ami"],
        ["build", "compiled", "--environment=dev", "-o", "ami"],
        ["cleanup", "ami"],
    ]


def test_a_build_takes_its_parameters(builds: Builds) -> None:
    compiled, built, _ = builds("build_with_parameters").calls
    assert "--version=2.1" in compiled["argv"]
    assert built["argv"] == ["build", "compiled", "--environment=prod", "--reuse", "-o", "ami"]


def test_a_build_may_be_in_the_local_cloud(builds: Builds) -> None:
    assert builds("build_in_the_local_cloud").calls[1]["argv"] == ["build", "compiled", "--local", "-o", "ami"]


def test_a_folders_name_arrives_as_it_is(builds: Builds) -> None:
    build = builds("build_of_a_hostile_folder")
    assert build.calls[0]["argv"][-2] == f"source/{HOSTILE}"
    assert not list(Path(build.home).rglob("pwned"))


def test_a_change_is_verified_at_its_ref_on_the_agent_for_changes_alone(builds: Builds) -> None:
    build = builds("verify")
    assert build.calls[0]["argv"][1] == f"--source-commit={build.commit(CHANGE)}"
    assert build.calls[1]["argv"] == ["build", "compiled", "--local", "-o", "ami"]
    assert {call["agent"] for call in build.calls} == {"ami-verify"}
    assert [step for step in build.steps if step["step"] == "withCredentials" and step["arguments"]["bindings"]] == []
