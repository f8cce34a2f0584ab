"""The repository's own Jenkinsfile: it tests the commit and builds the examples with the library of that commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from .conftest import ROOT, Build, Scenario

pytestmark = pytest.mark.groovy

MAKE = """
echo "make $* in $(ls)"
case $1 in
  lint) mkdir -p .venv/bin && ln -sf "$(command -v jenkins-ami)" .venv/bin/jenkins-ami ;;
  package) mkdir -p dist && touch dist/jenkins_ami-1-py3-none-any.whl ;;
  docs) mkdir -p out/docs && touch out/docs/index.html out/docs/style.css ;;
esac
test "$1" != "$FAKE_MAKE_FAIL"
"""
EXAMPLES = ("minimal", "web-server", "jenkins-agent")
OWN = Scenario(
    (ROOT / "Jenkinsfile").read_text(),
    agents={"ami-test": {}},
    commands={"make": ("sh", "-c", MAKE, "make")},
    repository={"Makefile": "", **{f"examples/{name}/ami.env": "" for name in EXAMPLES}},
)

SCENARIOS = {
    "own": OWN,
    "of_a_change": replace(OWN, env={"GERRIT_CHANGE_NUMBER": "1234", "GERRIT_PATCHSET_NUMBER": "2"}),
    "tests_fail": replace(OWN, agents={"ami-test": {"FAKE_MAKE_FAIL": "test"}}),
    "docs_fail": replace(OWN, agents={"ami-test": {"FAKE_MAKE_FAIL": "docs"}}),
}

Builds = Callable[[str], Build]


def made(build: Build) -> list[str]:
    return [line.split()[1] for line in build.console.splitlines() if line.startswith("make ")]


def test_it_lints_tests_packages_and_documents_the_checkout(builds: Builds) -> None:
    build = builds("own")
    assert build.result == "SUCCESS", build.console
    assert made(build) == ["lint", "test", "package", "docs"]
    assert {"dist/jenkins_ami-1-py3-none-any.whl", "out/docs/index.html", "out/docs/style.css"} <= build.archive.keys()


def test_it_builds_every_example_that_builds_in_the_local_cloud(builds: Builds) -> None:
    build = builds("own")
    compiled = [call["arguments"]["source"] for call in build.calls if call["argv"] == ["compile"]]
    assert compiled == [f"source/examples/{name}" for name in EXAMPLES]
    built = [call["arguments"] for call in build.calls if call["argv"] == ["build"]]
    assert [(each["output"], each["local"], each["test"]) for each in built] == [
        (name, True, True) for name in EXAMPLES
    ]
    assert {f"{name}/ami.json" for name in EXAMPLES} <= build.archive.keys()


def test_the_examples_are_all_there_are_but_those_that_must_fail() -> None:
    assert {path.name for path in (ROOT / "examples").iterdir()} == {*EXAMPLES, "broken"}


def test_the_examples_are_built_by_the_command_of_the_checkout(builds: Builds) -> None:
    build = builds("own")
    commands = {
        step["arguments"]["overrides"][0]
        for step in build.steps
        if step["step"] == "withEnv" and step["arguments"]["overrides"][0].startswith("JENKINS_AMI_CLI=")
    }
    (command,) = commands
    assert command.endswith("/.venv/bin/jenkins-ami")


@pytest.mark.parametrize("name", ["own", "of_a_change"])
def test_it_binds_no_credentials_and_runs_on_agents_without_rights_in_a_cloud_only(builds: Builds, name: str) -> None:
    build = builds(name)
    assert build.result == "SUCCESS", build.console
    assert {step["agent"] for step in build.steps} == {None, "ami-test"}
    bound = [step["arguments"].get("bindings") for step in build.steps if step["step"] == "withCredentials"]
    assert not any(bound)


def test_it_takes_the_library_from_where_it_came_from(builds: Builds) -> None:
    first = builds("own").steps[0]
    assert first["step"] == "library"
    assert first["arguments"]["retriever"]["$class"] == "legacySCM"


def test_it_builds_no_image_when_a_test_fails(builds: Builds) -> None:
    build = builds("tests_fail")
    assert build.result == "FAILURE"
    assert not build.calls
    assert made(build) == ["lint", "test"]


def test_what_was_made_before_a_stage_failed_is_kept(builds: Builds) -> None:
    build = builds("docs_fail")
    assert build.result == "FAILURE"
    assert {"dist/jenkins_ami-1-py3-none-any.whl", "minimal/ami.json"} <= build.archive.keys()
