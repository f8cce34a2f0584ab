"""``verifyAmi()``: unreviewed code never meets a secret, and Gerrit hears what came out, whatever that is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from .conftest import COMMIT, HERE, SECRET, Build, Scenario, run_builds

pytestmark = pytest.mark.groovy

LIBRARY = "@Library('jenkins-ami') _\n"
GERRIT = "gerritUrl: 'https://gerrit.example.com', gerritCredentialsId: 'gerrit'"
CHANGE = "refs/changes/34/1234/2"
HOSTILE = "a'b\"; touch pwned; $(touch pwned) `touch pwned` $HOME ${HOME} <b>&\n\\ * é"

PLAIN = Scenario(
    LIBRARY + f"def found = verifyAmi({GERRIT})\n"
    'echo "found ${found.outcome} ${found.commit} ${found.sources.collect { it.name + "-" + it.version }}"\n',
    env={"BUILD_URL": "https://jenkins.example.com/job/verify/7/"},
    agents={"ami-verify": {}, "ami-review": {}},
    commands={"jenkins-ami": (sys.executable, HERE / "fake_verify.py")},
    repository={"images/web/ami.env": "NAME=web\n"},
    credentials={"gerrit": {"kind": "usernamePassword", "name": "ci", "secret": SECRET}},
)
OUT_OF_TIME = replace(PLAIN, jenkinsfile=LIBRARY + f"verifyAmi({GERRIT}, timeout: 1)", minute=3)


def having(**env: str) -> Scenario:
    return replace(PLAIN, env={**PLAIN.env, **env})


SCENARIOS = {
    "passed": PLAIN,
    "failed": having(FAKE_OUTCOME="failed"),
    "skipped": having(FAKE_OUTCOME="skipped"),
    "broken": having(FAKE_OUTCOME="broken"),
    "nothing": having(FAKE_OUTCOME="nothing"),
    "crash_with_a_reason": having(FAKE_FAIL="verify"),
    "trigger": replace(
        PLAIN,
        jenkinsfile=LIBRARY
        + "verifyAmi(repository: params.REPOSITORY, refspec: env.GERRIT_REFSPEC, credentialsId: 'jenkins-ami',"
        f" {GERRIT})",
        params={"GERRIT_REFSPEC": CHANGE},
        refs={"refs/heads/main": {"README": ""}, CHANGE: {"images/web/ami.env": ""}},
    ),
    "no_such_change": replace(
        PLAIN,
        jenkinsfile=LIBRARY + f"verifyAmi(repository: params.REPOSITORY, refspec: env.GERRIT_REFSPEC, {GERRIT})",
        params={"GERRIT_REFSPEC": "refs/changes/34/1234/3", "GERRIT_PATCHSET_REVISION": COMMIT},
        refs={"refs/heads/main": {"README": ""}},
    ),
    "without_gerrit": replace(PLAIN, jenkinsfile=LIBRARY + "verifyAmi()"),
    "failed_without_gerrit": replace(having(FAKE_OUTCOME="failed"), jenkinsfile=LIBRARY + "verifyAmi()"),
    "without_credentials": replace(
        PLAIN, jenkinsfile=LIBRARY + "verifyAmi(gerritUrl: 'https://gerrit.example.com', gerritLabel: 'Code-Style')"
    ),
    "no_such_credentials": replace(PLAIN, credentials={}),
    "without_a_url": replace(PLAIN, jenkinsfile=LIBRARY + "verifyAmi(gerritCredentialsId: 'gerrit')"),
    "unknown": replace(PLAIN, jenkinsfile=LIBRARY + "verifyAmi(sources: 'x')"),
    "elsewhere": replace(PLAIN, jenkinsfile=LIBRARY + f"verifyAmi({GERRIT}, reviewLabel: 'ami-review')"),
    "aborted": replace(having(FAKE_HANG="1"), abort_at="waiting"),
    "restarted": replace(having(FAKE_HANG="short"), restart_at="waiting"),
    "lost_at_a_restart": replace(having(FAKE_HANG="1"), restart_at="waiting", restart_kills=True),
    "out_of_time": replace(OUT_OF_TIME, env={**PLAIN.env, "FAKE_HANG": "1"}),
    "out_of_time_and_said_so": replace(OUT_OF_TIME, env={**PLAIN.env, "FAKE_HANG": "late"}),
    "review_fails": having(FAKE_FAIL="gerrit review"),
    "review_of_a_failure_fails": having(FAKE_FAIL="gerrit review", FAKE_OUTCOME="failed"),
    "report_fails": having(FAKE_FAIL="report"),
    "hostile": replace(
        having(FAKE_NAME=HOSTILE, FAKE_OUTCOME="failed"),
        jenkinsfile=LIBRARY + "verifyAmi(source: params.X, parameters: [A: params.X], gerritUrl: params.X,"
        " gerritLabel: params.X)",
        params={"X": HOSTILE},
    ),
    "everything": replace(
        PLAIN,
        jenkinsfile=LIBRARY + "verifyAmi(source: ['a', 'b'], boot: 'no', sandbox: 'network', parameters: [A: '1'],"
        " label: 'ami-review', folder: 'mine', timeout: 5)",
    ),
    "declarative": replace(
        PLAIN,
        jenkinsfile=LIBRARY
        + "pipeline {\n    agent none\n    options { disableConcurrentBuilds(abortPrevious: true) }\n"
        f"    stages {{ stage('Change') {{ steps {{ verifyAmi({GERRIT}) }} }} }}\n}}\n",
    ),
    "two_in_a_build": replace(
        PLAIN, jenkinsfile=LIBRARY + "verifyAmi(folder: 'a'); verifyAmi(folder: 'b', cli: [extras: []])\n"
    ),
}

Builds = Callable[[str], Build]


def only(build: Build, command: str) -> dict[str, Any]:
    """The one call of a command."""
    (call,) = (call for call in build.calls if " ".join(call["argv"]) == command)
    return call


def commands(build: Build) -> list[str]:
    return [" ".join(call["argv"]) for call in build.calls]


def test_a_commit_is_verified_then_reviewed(builds: Builds) -> None:
    build = builds("passed")
    assert build.result == "SUCCESS", build.console
    assert commands(build) == ["verify", "report", "gerrit review"]
    assert only(build, "verify")["arguments"] == {
        "work-tree": "source",
        "output": "verify",
        "sandbox": "offline",
        "boot": "auto",
    }
    assert only(build, "report")["arguments"] == {"folder": "verify"}
    assert only(build, "gerrit review")["arguments"] == {
        "verification": "verification.json",
        "url": "https://gerrit.example.com",
        "label": "Verified",
        "link": "https://jenkins.example.com/job/verify/7/",
    }


def test_it_returns_what_was_found(builds: Builds) -> None:
    assert f"found passed {COMMIT} [web-1.2]\n" in builds("passed").console
    assert builds("passed").description == "passed: web 1.2"


def test_what_was_made_and_the_report_are_archived(builds: Builds) -> None:
    assert builds("passed").archive.keys() == {
        "verify/verification.json",
        "verify/1-web/compile.json",
        "verify/report/index.html",
    }


@pytest.mark.parametrize("name", ["passed", "trigger", "failed"])
def test_no_secret_is_near_the_source_and_no_source_near_the_secret(builds: Builds, name: str) -> None:
    build = builds(name)
    for command in ("verify", "report"):
        env = only(build, command)["env"]
        assert SECRET not in env.values()
        assert not {"GERRIT_USER", "GERRIT_TOKEN", "JENKINS_TOKEN", "AWS_SECRET_ACCESS_KEY"} & env.keys()
    review = only(build, "gerrit review")
    env = review["env"]
    assert (env["GERRIT_USER"], env["GERRIT_TOKEN"]) == ("ci", SECRET)
    assert review["files"] == ["verification.json"]
    assert SECRET not in build.console


def test_the_agents_are_left_as_they_were(builds: Builds) -> None:
    assert builds("failed").workspaces == {}


def test_a_change_of_gerrit_trigger_is_taken_by_its_ref(builds: Builds) -> None:
    build = builds("trigger")
    assert build.result == "SUCCESS", build.console
    commit = build.commit(CHANGE)
    assert f'"commit":"{commit}"' in build.archive["verify/verification.json"].read_text().replace('": "', '":"')
    assert "source/images/web/ami.env" in str(only(build, "verify")["files"])


def test_a_failure_is_reviewed_before_it_fails_the_build(builds: Builds) -> None:
    build = builds("failed")
    assert build.result == "FAILURE"
    assert commands(build)[-1] == "gerrit review"
    assert "ERROR: verifyAmi: failed: web is failed\n" in build.console
    assert build.description == "failed: web is failed"
    assert "found" not in build.console.splitlines()


def test_a_commit_without_an_ami_source_gets_its_vote_too(builds: Builds) -> None:
    build = builds("skipped")
    assert build.result == "SUCCESS"
    assert commands(build)[-1] == "gerrit review"
    assert build.description == "skipped: the commit touches no AMI source"


def test_what_could_not_be_found_out_is_told_and_fails_the_build(builds: Builds) -> None:
    build = builds("broken")
    assert build.result == "FAILURE"
    assert only(build, "gerrit review")["arguments"]["verification"] == "verification.json"
    assert "ERROR: verifyAmi: broken: web is broken\n" in build.console


@pytest.mark.parametrize(
    ("name", "commit", "reason"),
    [
        ("nothing", COMMIT, "jenkins-ami verify failed with exit code 139"),
        (
            "crash_with_a_reason",
            COMMIT,
            "jenkins-ami verify failed with exit code 7: verify went wrong, here. Do something else.",
        ),
        ("no_such_change", COMMIT, None),
        ("lost_at_a_restart", COMMIT, "jenkins-ami verify failed with exit code -1"),
        ("out_of_time", COMMIT, "it took longer than 1 minutes"),
    ],
)
def test_without_a_verification_gerrit_hears_why(builds: Builds, name: str, commit: str, reason: str | None) -> None:
    build = builds(name)
    assert build.result == "FAILURE"
    review = only(build, "gerrit review")
    arguments = review["arguments"]
    assert arguments["commit"] == commit
    assert "verification" not in arguments
    assert review["files"] == []
    assert f"ERROR: verifyAmi: broken: {arguments['broken']}\n" in build.console
    if reason is not None:
        assert arguments["broken"] == reason


def test_what_a_run_out_of_time_wrote_is_reviewed(builds: Builds) -> None:
    build = builds("out_of_time_and_said_so")
    assert build.result == "FAILURE"
    assert only(build, "gerrit review")["arguments"]["verification"] == "verification.json"
    assert "ERROR: verifyAmi: broken: it was interrupted\n" in build.console


def test_an_aborted_run_is_aborted_and_tells_gerrit_nothing(builds: Builds) -> None:
    build = builds("aborted")
    assert build.result == "ABORTED"
    assert commands(build) == ["verify"]
    assert build.archive.keys() == {"verify/1-web/compile.json"}


def test_a_restart_of_jenkins_changes_nothing(builds: Builds) -> None:
    build = builds("restarted")
    assert build.result == "SUCCESS", build.console
    assert commands(build) == ["verify", "report", "gerrit review"]
    assert f"found passed {COMMIT} [web-1.2]\n" in build.console


def test_without_gerrit_only_the_build_tells(builds: Builds) -> None:
    assert builds("without_gerrit").result == "SUCCESS"
    assert commands(builds("without_gerrit")) == ["verify", "report"]
    assert builds("failed_without_gerrit").result == "FAILURE"
    assert commands(builds("failed_without_gerrit")) == ["verify", "report"]
    assert [step for step in builds("without_gerrit").steps if step["step"] == "withCredentials"] == []


def test_credentials_are_not_needed_where_the_agent_has_a_netrc(builds: Builds) -> None:
    build = builds("without_credentials")
    assert build.result == "SUCCESS", build.console
    assert only(build, "gerrit review")["arguments"]["label"] == "Code-Style"
    assert "GERRIT_TOKEN" not in only(build, "gerrit review")["env"]


def test_unknown_credentials_are_told(builds: Builds) -> None:
    build = builds("no_such_credentials")
    assert build.result == "FAILURE"
    assert "ERROR: Could not find credentials entry with ID 'gerrit'\n" in build.console
    assert commands(build) == ["verify", "report"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("without_a_url", "'gerritUrl' is missing: it says to whom the password of 'gerritCredentialsId' may be sent."),
        ("unknown", "there is no parameter 'sources'. Did you mean 'source'?"),
    ],
)
def test_wrong_parameters_are_refused_before_an_agent_is_taken(builds: Builds, name: str, message: str) -> None:
    build = builds(name)
    assert build.result == "FAILURE"
    assert f"ERROR: verifyAmi: {message}" in build.console
    assert [step["step"] for step in build.steps] == ["error"]


def test_the_review_may_be_posted_from_another_agent(builds: Builds) -> None:
    build = builds("elsewhere")
    assert [call["agent"] for call in build.calls] == ["ami-verify", "ami-verify", "ami-review"]


def test_a_vote_that_could_not_be_given_fails_the_build(builds: Builds) -> None:
    build = builds("review_fails")
    assert build.result == "FAILURE"
    assert (
        "ERROR: jenkins-ami gerrit review failed with exit code 7: gerrit review went wrong, here. Do something else.\n"
        in build.console
    )


def test_it_does_not_hide_why_the_verification_failed(builds: Builds) -> None:
    build = builds("review_of_a_failure_fails")
    assert build.result == "FAILURE"
    assert "ERROR: The review could not be posted.\n" in build.console
    assert [line for line in build.console.splitlines() if line.startswith("ERROR: ")][-1] == (
        "ERROR: verifyAmi: failed: web is failed"
    )


def test_a_report_that_fails_makes_it_unstable_and_is_no_reason_not_to_vote(builds: Builds) -> None:
    build = builds("report_fails")
    assert build.result == "UNSTABLE"
    assert commands(build)[-1] == "gerrit review"


def test_a_hostile_value_is_a_value(builds: Builds) -> None:
    build = builds("hostile")
    assert only(build, "verify")["arguments"]["source"] == [HOSTILE]
    assert only(build, "verify")["arguments"]["param"] == {"A": HOSTILE}
    assert only(build, "gerrit review")["arguments"]["url"] == HOSTILE
    assert only(build, "gerrit review")["arguments"]["label"] == HOSTILE
    assert not list(build.home.rglob("pwned"))
    assert build.description.startswith("failed: a'b")
    assert not set("<>&\n") & set(build.description)


def test_all_parameters_arrive(builds: Builds) -> None:
    build = builds("everything")
    assert build.result == "SUCCESS", build.console
    verify = only(build, "verify")
    assert verify["agent"] == "ami-review"
    assert verify["arguments"] == {
        "source": ["a", "b"],
        "work-tree": "source",
        "output": "mine",
        "param": {"A": "1"},
        "sandbox": "network",
        "boot": "no",
    }
    assert "mine/verification.json" in build.archive


def test_the_command_comes_with_a_local_cloud_unless_told_otherwise(builds: Builds) -> None:
    def extras(name: str) -> list[str]:
        texts = [str(step["arguments"]) for step in builds(name).steps if step["step"] == "withEnv"]
        return [text.partition("extras=")[2].partition("\\n")[0] for text in texts if "JENKINS_AMI_WANTED=" in text]

    assert extras("passed") == ["local", "local"]
    assert extras("two_in_a_build") == ["local", ""]


def test_declarative_pipelines_can_call_it(builds: Builds) -> None:
    build = builds("declarative")
    assert build.result == "SUCCESS", build.console
    assert commands(build)[-1] == "gerrit review"


def test_two_in_one_build_keep_their_artifacts_apart(builds: Builds) -> None:
    build = builds("two_in_a_build")
    assert {"a/verification.json", "b/verification.json"} <= build.archive.keys()
    assert build.description.splitlines() == ["passed: web 1.2"] * 2


def test_the_real_command_verifies_a_change_that_compiles_and_one_that_does_not(tmp_path: Path) -> None:
    def change(text: str) -> Scenario:
        return Scenario(
            LIBRARY + "verifyAmi(repository: params.REPOSITORY, refspec: params.REF, boot: 'no', sandbox: 'none')",
            agents={"ami-verify": {}},
            commands={"jenkins-ami": (sys.executable, "-m", "jenkins_ami")},
            params={"REF": CHANGE},
            refs={CHANGE: {"web/ami.env": "NAME=web\nVERSION=1.2\nBASE=scratch\n", "web/cloudinit/10_x.yml": text}},
        )

    built = run_builds(tmp_path, {"good": change("#cloud-config\nlocale: C\n"), "bad": change("#cloud-config\n[\n")})
    good, bad = built["good"], built["bad"]
    assert good.result == "SUCCESS", good.console
    assert good.description == "passed: web 1.2"
    assert {"verify/verification.json", "verify/report/index.html"} <= good.archive.keys()
    assert bad.result == "FAILURE", bad.console
    assert "ERROR: verifyAmi: failed: " in bad.console
    assert "10_x.yml" in bad.archive["verify/report/index.html"].read_text()
