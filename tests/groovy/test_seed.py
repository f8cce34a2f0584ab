"""``jobs/seed/Jenkinsfile``: what the seed job and the drift alarm do on Jenkins."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.jenkins.fake import FakeJenkins

from .conftest import HERE, JOBS_YAML, ROOT, SECRET, Build, Scenario, groovy, run_builds

pytestmark = pytest.mark.groovy

JENKINSFILE = ROOT / "jobs" / "seed" / "Jenkinsfile"
HOSTILE = "a'b\"; touch pwned; $(touch pwned) `touch pwned` $HOME\\ *"
PLAIN = Scenario(JENKINSFILE.read_text(), agents={"ami-seed": {}})
DIFFERS = replace(PLAIN, env={"FAKE_DIFFERS": "1"})

SCENARIOS = {
    "without_parameters": PLAIN,
    "apply": replace(PLAIN, params={"MODE": "apply", "PRUNE": False, "CONFIG": "jobs.yaml", "MAX_DELETES": ""}),
    "prune": replace(PLAIN, params={"MODE": "apply", "PRUNE": True, "MAX_DELETES": "50"}),
    "plan_with_prune": replace(PLAIN, params={"MODE": "plan", "PRUNE": True, "MAX_DELETES": "50"}),
    "drift": replace(DIFFERS, params={"MODE": "plan"}),
    "apply_differs": replace(DIFFERS, params={"MODE": "apply"}),
    "fails": replace(PLAIN, env={"FAKE_FAIL": "jobs:7"}, repository={"plan.html": "an old one", "jobs.yaml": ""}),
    "aborted": replace(PLAIN, env={"FAKE_HANG": "jobs"}, abort_at="waiting"),
    "elsewhere": replace(PLAIN, agents={"mine": {}}, params={"LABEL": "mine", "CREDENTIALS": "jenkins-ami"}),
    "no_such_credentials": replace(PLAIN, params={"CREDENTIALS": "nope"}),
    "hostile": replace(PLAIN, params={"MODE": "apply", "CONFIG": HOSTILE, "MAX_DELETES": HOSTILE, "PRUNE": True}),
}

Builds = Callable[[str], Build]

PLAN = ["jobs", "plan", "--verify", "--exit-code", "--html=plan.html", "--json"]


def test_without_parameters_it_plans_and_changes_nothing(builds: Builds) -> None:
    build = builds("without_parameters")
    assert build.result == "SUCCESS", build.console
    (call,) = build.calls
    assert (call["agent"], call["argv"]) == ("ami-seed", PLAN)
    assert build.description == "plan: unchanged 8"


def test_it_applies_the_configuration_of_its_repository(builds: Builds) -> None:
    build = builds("apply")
    assert build.result == "SUCCESS", build.console
    assert build.calls[0]["argv"] == ["jobs", "apply", "--config=jobs.yaml", "--html=plan.html", "--json"]
    assert "ami.env" in build.calls[0]["files"]


def test_it_prunes_only_when_asked_and_not_more_than_allowed(builds: Builds) -> None:
    assert builds("prune").calls[0]["argv"][:4] == ["jobs", "apply", "--prune", "--max-deletes=50"]
    assert builds("plan_with_prune").calls[0]["argv"] == PLAN


def test_drift_makes_the_build_unstable_and_the_plan_is_kept(builds: Builds) -> None:
    build = builds("drift")
    assert build.result == "UNSTABLE"
    assert build.description == "plan: drifted 1, unchanged 7"
    assert "WARNING: Jenkins is not what the AMI sources say: plan.html shows the difference.\n" in build.console
    assert build.archive.keys() == {"plan.html", "plan.json"}


def test_what_was_applied_is_no_drift(builds: Builds) -> None:
    assert builds("apply_differs").result == "SUCCESS"
    assert builds("apply_differs").archive.keys() == {"plan.html", "plan.json"}


def test_a_failure_says_why_and_keeps_no_plan_of_before(builds: Builds) -> None:
    build = builds("fails")
    assert build.result == "FAILURE"
    assert "ERROR: jenkins-ami jobs plan failed with exit code 7: jobs went wrong, here. Do something else.\n" in (
        build.console
    )
    assert build.archive.keys() == {"plan.json"}


def test_an_aborted_run_is_aborted(builds: Builds) -> None:
    assert builds("aborted").result == "ABORTED"


def test_the_token_is_in_the_environment_of_the_command_and_nowhere_else(builds: Builds) -> None:
    build = builds("apply")
    assert build.calls[0]["jenkins"] == {"JENKINS_USER": "seed", "JENKINS_TOKEN": SECRET}
    assert SECRET not in build.console
    assert SECRET not in "".join(path.read_text() for path in build.archive.values())


def test_label_and_credentials_may_be_others(builds: Builds) -> None:
    assert builds("elsewhere").calls[0]["agent"] == "mine"
    build = builds("no_such_credentials")
    assert build.result == "FAILURE"
    assert "Could not find credentials entry with ID 'nope'" in build.console
    assert not build.calls


def test_a_hostile_value_is_one_word_and_nothing_more(builds: Builds) -> None:
    build = builds("hostile")
    assert build.result == "SUCCESS", build.console
    assert build.calls[0]["argv"][3:5] == [f"--max-deletes={HOSTILE}", f"--config={HOSTILE}"]
    assert not list(build.home.rglob("pwned"))


def test_it_keeps_the_rules_of_jenkins_engine_and_sandbox() -> None:
    assert groovy(HERE / "cps_rules.groovy", JENKINSFILE) == ""


def test_with_the_real_command_jobs_are_made_and_drift_is_found(jenkins: FakeJenkins, tmp_path: Path) -> None:
    real = replace(
        PLAIN,
        env={"JENKINS_URL": jenkins.url, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        commands={"jenkins-ami": (sys.executable, "-m", "jenkins_ami")},
        repository={"jobs.yaml": JOBS_YAML, "images/web/ami.env": "NAME=web\nVERSION=1.0\nBASE=scratch\n"},
    )

    def run(name: str, mode: str) -> Build:
        return run_builds(tmp_path, {name: replace(real, params={"MODE": mode})})[name]

    before = run("before", "plan")
    assert before.result == "UNSTABLE", before.console
    assert set(jenkins.items) == set()
    applied = run("applied", "apply")
    assert applied.result == "SUCCESS", applied.console
    (job,) = [path for path in jenkins.items if path[-1] == "build"]
    assert run("after", "plan").result == "SUCCESS"
    jenkins.edit(job, lambda text: text.replace("params.VERSION", "'9'"))
    drifted = run("drifted", "plan")
    assert drifted.result == "UNSTABLE"
    assert json.loads(drifted.archive["plan.json"].read_text())["counts"]["drifted"] == 1
    assert "params.VERSION" in drifted.archive["plan.html"].read_text()
