"""The scripts of generated jobs, run with the library: what they pass to its steps is what these take."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jenkins_ami.jobs.config import read_config
from jenkins_ami.jobs.desired import desired
from jenkins_ami.jobs.model import BUILD, VERIFY
from jenkins_ami.jobs.xmltree import parse
from tests.conftest import REPOSITORY
from tests.jobs.sources import discovery, source

from .conftest import HERE, SECRET, Build, Scenario

pytestmark = pytest.mark.groovy

HOSTILE = "a'b\"; $(touch pwned) ${HOME} $HOME \\ \n # */ é"
CHANGE = "refs/changes/34/1234/2"
PARAMS = {"ENVIRONMENT": "dev", "VERSION": "", "REUSE": False}


def script(kind: str, folder: str = "", **jobs: object) -> str:
    """The script of a generated job. It clones the scenario's own repository instead of the one it names."""
    found = source("automation/ami/base", folder, **jobs)
    config = replace(read_config(REPOSITORY / "jobs" / "jobs.yaml"), locked=())
    wanted, findings = desired(config, discovery(found))
    assert findings == ()
    (text,) = (parse(item.xml).findtext("definition/script") for item in wanted.items if item.kind == kind)
    assert text is not None
    url = f"'{found.repository.url}'"
    assert text.count(url) == 1
    return text.replace(url, "params.REPOSITORY")


VERIFIED = Scenario(
    script(VERIFY, "images/web"),
    agents={"ami-verify": {}},
    commands={"jenkins-ami": (sys.executable, HERE / "fake_verify.py")},
    credentials={"votes": {"kind": "usernamePassword", "name": "ci", "secret": SECRET}},
    refs={"refs/heads/main": {"README": ""}, CHANGE: {"images/web/ami.env": ""}},
    params={"GERRIT_REFSPEC": CHANGE},
)

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
    "verify": VERIFIED,
    "verify_with_votes": replace(VERIFIED, jenkinsfile=script(VERIFY, "images/web", gerrit_credentials="votes")),
    "verify_by_hand": replace(VERIFIED, params={}),
}

Builds = Callable[[str], Build]


@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - {"verify_by_hand"}))
def test_it_runs(builds: Builds, name: str) -> None:
    assert builds(name).result == "SUCCESS", builds(name).console


def test_a_build_compiles_the_head_of_its_branch_and_builds_in_the_environment_chosen(builds: Builds) -> None:
    build = builds("build")
    assert build.commands == ["compile", "build", "cleanup", "report"]
    compiled, built = (call["arguments"] for call in build.calls[:2])
    assert (compiled["source"], compiled["source-commit"]) == ("source/.", build.commit("refs/heads/main"))
    assert built["environment"] == "dev"
    assert "version" not in compiled
    assert built["reuse"] is False


def test_a_build_takes_its_parameters(builds: Builds) -> None:
    compiled, built = (call["arguments"] for call in builds("build_with_parameters").calls[:2])
    assert compiled["version"] == "2.1"
    assert (built["environment"], built["reuse"]) == ("prod", True)


def test_a_build_may_be_in_the_local_cloud(builds: Builds) -> None:
    built = builds("build_in_the_local_cloud").calls[1]["arguments"]
    assert built["local"] is True
    assert "environment" not in built


def test_a_folders_name_arrives_as_it_is(builds: Builds) -> None:
    build = builds("build_of_a_hostile_folder")
    assert build.calls[0]["arguments"]["source"] == f"source/{HOSTILE}"
    assert not list(Path(build.home).rglob("pwned"))


def test_a_change_is_verified_at_its_ref_on_the_agent_for_changes_alone(builds: Builds) -> None:
    build = builds("verify")
    assert [call["argv"] for call in build.calls] == [["verify"], ["report"]]
    assert build.calls[0]["arguments"]["source"] == ["images/web"]
    assert f"{build.commit(CHANGE)}" in build.archive["verify/verification.json"].read_text()
    assert {call["agent"] for call in build.calls} == {"ami-verify"}
    assert [step for step in build.steps if step["step"] == "withCredentials" and step["arguments"]["bindings"]] == []


def test_with_credentials_for_gerrit_the_step_votes_and_only_that_command_has_them(builds: Builds) -> None:
    build = builds("verify_with_votes")
    assert [call["argv"] for call in build.calls] == [["verify"], ["report"], ["gerrit", "review"]]
    assert build.calls[2]["arguments"]["url"] == "https://gerrit.example.com"
    assert [call["env"].get("GERRIT_TOKEN") for call in build.calls] == [None, None, SECRET]


def test_a_verification_that_nothing_started_says_what_it_lacks(builds: Builds) -> None:
    build = builds("verify_by_hand")
    assert build.result == "FAILURE"
    assert "ERROR: verifyAmi: 'refspec' must be a text, not 'null'." in build.console
