"""The repository's own Jenkinsfile: it tests the commit and builds an example with the library of that very commit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import ROOT, Build, Scenario

pytestmark = pytest.mark.groovy

MAKE = ("sh", "-c", 'echo "make $* in $(ls)"; test "$1" != "$FAKE_MAKE_FAIL"', "make")
OWN = Scenario(
    (ROOT / "Jenkinsfile").read_text(),
    agents={"ami-test": {}},
    commands={"make": MAKE},
    repository={"Makefile": "", "examples/minimal/ami.env": ""},
)

SCENARIOS = {
    "own": OWN,
    "tests_fail": Scenario(
        OWN.jenkinsfile,
        agents={"ami-test": {"FAKE_MAKE_FAIL": "test"}},
        commands=OWN.commands,
        repository=OWN.repository,
    ),
}

Builds = Callable[[str], Build]


def test_it_lints_and_tests_the_checkout_and_builds_the_example_locally(builds: Builds) -> None:
    build = builds("own")
    assert build.result == "SUCCESS", build.console
    assert [line for line in build.console.splitlines() if line.startswith("make ")] == [
        "make lint in Makefile",
        "make test in Makefile",
    ]
    assert build.calls[0]["argv"][-2:] == ["source/examples/minimal", "ami"]
    assert build.calls[1]["argv"] == ["build", "compiled", "--local", "-o", "ami"]
    assert "ami/ami.json" in build.archive


def test_it_runs_on_agents_without_rights_in_a_cloud_only(builds: Builds) -> None:
    assert {step["agent"] for step in builds("own").steps} == {None, "ami-test"}


def test_it_takes_the_library_from_where_it_came_from(builds: Builds) -> None:
    first = builds("own").steps[0]
    assert first["step"] == "library"
    assert first["arguments"]["retriever"]["$class"] == "legacySCM"


def test_it_builds_no_image_when_a_test_fails(builds: Builds) -> None:
    build = builds("tests_fail")
    assert build.result == "FAILURE"
    assert not build.calls
