"""``generateAmiJobs()``: what a seed job and a drift alarm do, in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.jenkins.fake import FakeJenkins

from .conftest import JOBS_YAML, SECRET, Build, Scenario, run_builds

pytestmark = pytest.mark.groovy

LIBRARY = "@Library('jenkins-ami') _\n"
HOSTILE = "a'b\"; touch pwned; $(touch pwned) `touch pwned` $HOME ${HOME}\\ *"
PLAIN = Scenario(
    LIBRARY + 'echo "counted ${generateAmiJobs()}"\n', agents={"ami-seed": {}, "mine": {}}, repository={"jobs.yaml": ""}
)


def calling(call: str, **env: str) -> Scenario:
    return replace(PLAIN, jenkinsfile=f"{LIBRARY}{call}\n", env=env)


SCENARIOS = {
    "plan": PLAIN,
    "drift": replace(PLAIN, env={"FAKE_DIFFERS": "1"}),
    "apply": calling("generateAmiJobs(mode: 'apply')", FAKE_DIFFERS="1"),
    "prune": calling("generateAmiJobs(mode: 'apply', prune: true, maxDeletes: '50', verify: true)"),
    "plan_with_prune": calling("generateAmiJobs(prune: true, maxDeletes: '50')"),
    "elsewhere": calling("generateAmiJobs(label: 'mine', folder: 'drift', config: 'conf/mine.yaml')"),
    "fails": calling("generateAmiJobs()", FAKE_FAIL="jobs:7"),
    "aborted": replace(calling("generateAmiJobs()", FAKE_HANG="jobs"), abort_at="waiting"),
    "no_such_credentials": calling("generateAmiJobs(jenkinsCredentialsId: 'nope')"),
    "bad_mode": calling("generateAmiJobs(mode: 'aply')"),
    "unknown": calling("generateAmiJobs(conifg: 'x')"),
    "hostile": replace(
        calling("generateAmiJobs(mode: 'apply', config: params.X, maxDeletes: params.X)"), params={"X": HOSTILE}
    ),
    "declarative": calling(
        "pipeline { agent none\n stages { stage('Seed') { steps { generateAmiJobs(mode: 'apply') } } } }"
    ),
}

Builds = Callable[[str], Build]
PLAN = {"verify": True, "exit-code": True, "config": "../source/jobs.yaml", "html": "plan.html", "json": True}
APPLY = {
    "verify": False,
    "prune": False,
    "config": "../source/jobs.yaml",
    "html": "plan.html",
    "json": True,
}


def test_it_plans_and_changes_nothing_unless_told_to(builds: Builds) -> None:
    build = builds("plan")
    assert build.result == "SUCCESS", build.console
    (call,) = build.calls
    assert (call["argv"], call["arguments"], call["agent"]) == (["jobs", "plan"], PLAN, "ami-seed")
    assert build.description == "plan: unchanged 8"
    assert "counted [unchanged:8]\n" in build.console


def test_the_plan_is_archived(builds: Builds) -> None:
    assert builds("plan").archive.keys() == {"jobs/plan.html", "jobs/plan.json"}
    assert builds("elsewhere").archive.keys() == {"drift/plan.html", "drift/plan.json"}


def test_it_applies(builds: Builds) -> None:
    build = builds("apply")
    assert build.result == "SUCCESS", build.console
    assert (build.calls[0]["argv"], build.calls[0]["arguments"]) == (["jobs", "apply"], APPLY)
    assert build.description == "apply: drifted 1, unchanged 7"


def test_it_prunes_only_when_asked_and_not_more_than_allowed(builds: Builds) -> None:
    assert builds("prune").calls[0]["arguments"] == APPLY | {"prune": True, "max-deletes": "50", "verify": True}
    assert builds("plan_with_prune").calls[0]["arguments"] == PLAN


def test_drift_makes_the_build_unstable_and_is_archived(builds: Builds) -> None:
    build = builds("drift")
    assert build.result == "UNSTABLE"
    assert build.description == "plan: drifted 1, unchanged 7"
    assert "WARNING: Jenkins is not what the AMI sources say: jobs/plan.html shows the difference.\n" in build.console
    assert "counted [drifted:1, unchanged:7]\n" in build.console
    assert build.archive.keys() == {"jobs/plan.html", "jobs/plan.json"}


def test_agent_configuration_and_folder_may_be_others(builds: Builds) -> None:
    (call,) = builds("elsewhere").calls
    assert call["agent"] == "mine"
    assert call["arguments"]["config"] == "../source/conf/mine.yaml"


def test_a_failure_says_why(builds: Builds) -> None:
    build = builds("fails")
    assert build.result == "FAILURE"
    line = "ERROR: jenkins-ami jobs plan failed with exit code 7: jobs went wrong, here. Do something else.\n"
    assert line in build.console
    assert build.archive.keys() == {"jobs/plan.json"}


def test_an_aborted_run_is_aborted(builds: Builds) -> None:
    assert builds("aborted").result == "ABORTED"


def test_the_token_is_in_the_environment_of_the_command_and_nowhere_else(builds: Builds) -> None:
    build = builds("apply")
    assert build.calls[0]["jenkins"] == {"JENKINS_USER": "seed", "JENKINS_TOKEN": SECRET}
    assert SECRET not in build.console
    assert SECRET not in "".join(path.read_text() for path in build.archive.values())


def test_unknown_credentials_are_told(builds: Builds) -> None:
    build = builds("no_such_credentials")
    assert build.result == "FAILURE"
    assert "Could not find credentials entry with ID 'nope'" in build.console
    assert not build.calls


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bad_mode", "'mode' must be plan or apply, not 'aply'."),
        ("unknown", "there is no parameter 'conifg'. Did you mean 'config'?"),
    ],
)
def test_wrong_parameters_are_refused_before_an_agent_is_taken(builds: Builds, name: str, message: str) -> None:
    assert f"ERROR: generateAmiJobs: {message}" in builds(name).console
    assert [step["step"] for step in builds(name).steps] == ["error"]


def test_a_hostile_value_is_a_value(builds: Builds) -> None:
    build = builds("hostile")
    assert build.result == "SUCCESS", build.console
    assert build.calls[0]["arguments"]["config"] == f"../source/{HOSTILE}"
    assert build.calls[0]["arguments"]["max-deletes"] == HOSTILE
    assert not list(build.home.rglob("pwned"))


def test_declarative_pipelines_can_call_it(builds: Builds) -> None:
    assert builds("declarative").result == "SUCCESS", builds("declarative").console


def test_with_the_real_command_jobs_are_made_and_drift_is_found(jenkins: FakeJenkins, tmp_path: Path) -> None:
    real = replace(
        PLAIN,
        jenkinsfile=LIBRARY + "generateAmiJobs(mode: params.MODE, prune: true, maxDeletes: '9')\n",
        env={"JENKINS_URL": jenkins.url, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        commands={"jenkins-ami": (sys.executable, "-m", "jenkins_ami")},
        repository={"jobs.yaml": JOBS_YAML, "images/web/ami.env": "NAME=web\nVERSION=1.0\nBASE=scratch\n"},
    )

    def run(name: str, mode: str) -> Build:
        return run_builds(tmp_path, {name: replace(real, params={"MODE": mode})})[name]

    before = run("before", "plan")
    assert before.result == "UNSTABLE", before.console
    assert before.description.startswith("plan: create ")
    assert set(jenkins.items) == set()
    assert run("applied", "apply").result == "SUCCESS"
    assert [path for path in jenkins.items if path[-1] == "build"]
    after = run("after", "plan")
    assert after.result == "SUCCESS", after.console
    assert "<html" in after.archive["jobs/plan.html"].read_text()
