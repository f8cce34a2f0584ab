"""``reviewAmi()``: the half of ``verifyAmi()`` that has a password, called alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from jenkins_ami.cli import parser_of
from jenkins_ami.cli.step import words

from .conftest import COMMIT, SECRET, Build, Scenario
from .test_verify_ami import GERRIT, LIBRARY, PLAIN

pytestmark = pytest.mark.groovy

STASHED = "node('ami-build') { writeFile(file: 'verification.json', text: '{}'); stash(name: 'mine') }\n"


def calling(text: str) -> Scenario:
    return replace(PLAIN, jenkinsfile=LIBRARY + text)


SCENARIOS = {
    "of_a_stash": calling(f"{STASHED}reviewAmi(verification: [stash: 'mine'], {GERRIT}, label: 'ami-review')"),
    "of_what_verify_returns": calling(
        f"def found = verifyAmi()\nstage('Wait') {{ }}\nreviewAmi(verification: found, {GERRIT})"
    ),
    "of_nothing": calling(f"reviewAmi(verification: [commit: '{COMMIT}', reason: 'the agent burnt'], {GERRIT})"),
    "of_nothing_for_no_reason": calling(f"reviewAmi(verification: [commit: '{COMMIT}'], {GERRIT})"),
    "no_such_stash": calling(f"reviewAmi(verification: [stash: 'nope'], {GERRIT})"),
    "no_verification": calling(f"reviewAmi({GERRIT})"),
    "of_another_commit": replace(PLAIN, env={**PLAIN.env, "FAKE_COMMIT": "<b>"}),
    "no_url": calling("reviewAmi(verification: [stash: 'mine'])"),
    "password_without_url": calling("reviewAmi(verification: [stash: 'mine'], gerritCredentialsId: 'gerrit')"),
    "a_text": calling(f"reviewAmi(verification: 'mine', {GERRIT})"),
}

REFUSED = {
    "no_verification": "'verification' must be what verifyAmi returns, or [stash: 'name'] of a verification.json.",
    "no_url": "'gerritUrl' is missing.",
    "password_without_url": "'gerritUrl' is missing: it says to whom the password",
    "a_text": "'verification' must be a map, not 'mine'.",
}

Builds = Callable[[str], Build]


@pytest.mark.parametrize("name", ["of_a_stash", "of_what_verify_returns"])
def test_a_stashed_verification_is_reviewed_with_nothing_around_it(builds: Builds, name: str) -> None:
    build = builds(name)
    assert build.result == "SUCCESS", build.console
    review = build.calls[-1]
    assert review["argv"] == ["gerrit", "review"]
    assert review["arguments"]["verification"] == "verification.json"
    assert review["files"] == ["verification.json"]
    assert (review["env"]["GERRIT_USER"], review["env"]["GERRIT_TOKEN"]) == ("ci", SECRET)
    assert SECRET not in build.console


def test_it_has_an_agent_of_its_own(builds: Builds) -> None:
    assert builds("of_a_stash").calls[0]["agent"] == "ami-review"
    assert builds("of_a_stash").calls[0]["files"] == ["verification.json"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("of_nothing", "the agent burnt"), ("of_nothing_for_no_reason", "there is no verification")],
)
def test_without_a_verification_it_says_why(builds: Builds, name: str, reason: str) -> None:
    (review,) = builds(name).calls
    assert review["arguments"] == {
        "commit": COMMIT,
        "broken": reason,
        "url": "https://gerrit.example.com",
        "label": "Verified",
        "link": "https://jenkins.example.com/job/verify/7/",
    }


@pytest.mark.parametrize("name", ["of_what_verify_returns", "of_nothing"])
def test_the_real_commands_have_these_parameters(builds: Builds, name: str) -> None:
    for call in builds(name).calls:
        command = " ".join(call["argv"])
        assert words(command, parser_of(command), call["arguments"])


def test_a_stash_that_is_not_there_is_told(builds: Builds) -> None:
    assert builds("no_such_stash").result == "FAILURE"
    assert "ERROR: No such saved stash " in builds("no_such_stash").console


def test_a_verification_of_another_commit_is_not_posted(builds: Builds) -> None:
    build = builds("of_another_commit")
    assert build.result == "FAILURE"
    assert [call["argv"] for call in build.calls] == [["verify"], ["report"]]
    assert f"ERROR: reviewAmi: the verification is of commit _b_, not of {COMMIT}.\n" in build.console
    assert not [step for step in build.steps if step["step"] == "withCredentials"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_missing_is_told_before_an_agent_is_taken(builds: Builds, name: str) -> None:
    assert f"ERROR: reviewAmi: {REFUSED[name]}" in builds(name).console
    assert [step["step"] for step in builds(name).steps] == ["error"]
