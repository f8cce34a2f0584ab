"""``publishAmi()``: an image that was built goes to its regions and accounts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import SECRET, Build, Scenario
from .test_bridge import LIBRARY

pytestmark = pytest.mark.groovy

BUILT = LIBRARY + "def ami = buildAmi(publish: false)\n"
SCENARIOS = {
    "plain": Scenario(BUILT + 'ami = publishAmi(ami: ami)\necho "${ami.images} of ${ami.environments.keySet()}"'),
    "options": Scenario(
        BUILT
        + "publishAmi(ami: ami, environment: ['prod', 'eu'], awsCredentialsId: 'cloud', label: 'large', folder: 'p')",
        agents={"large": {}},
    ),
    "nothing_built": Scenario(LIBRARY + "publishAmi()"),
    "fails": Scenario(BUILT + "publishAmi(ami: ami)", env={"FAKE_FAIL": "distribute:7"}),
    "aborted": Scenario(BUILT + "publishAmi(ami: ami)", env={"FAKE_HANG": "distribute"}, abort_at="waiting"),
}

Builds = Callable[[str], Build]


def of(build: Build, command: str) -> list[dict[str, object]]:
    return [call["arguments"] for call in build.calls if call["argv"][0] == command]


def test_the_image_is_distributed_where_it_was_built(builds: Builds) -> None:
    build = builds("plain")
    assert build.result == "SUCCESS", build.console
    assert of(build, "build")[0]["distribute"] is False
    assert of(build, "distribute") == [{"result": "published", "environment": "dev"}]
    assert {"published/ami.json", "published/ami.env"} <= build.archive.keys()


def test_it_sees_the_result_and_nothing_else(builds: Builds) -> None:
    (call,) = [call for call in builds("plain").calls if call["argv"][0] == "distribute"]
    assert call["files"] == ["published/ami.env", "published/ami.json"]


def test_it_returns_what_it_was_given_with_the_ids_of_now(builds: Builds) -> None:
    line = "[eu-central-1:ami-0123, eu-west-1:ami-89ab, us-east-1:ami-4567] of [dev]\n"
    assert line in builds("plain").console


def test_options_reach_the_command(builds: Builds) -> None:
    build = builds("options")
    assert build.result == "SUCCESS", build.console
    calls = [call for call in build.calls if call["argv"][0] == "distribute"]
    assert [call["arguments"] for call in calls] == [
        {"result": "p", "environment": "prod"},
        {"result": "p", "environment": "eu"},
    ]
    assert {call["agent"] for call in calls} == {"large"}
    assert {call["aws"]["AWS_SECRET_ACCESS_KEY"] for call in calls} == {SECRET}


def test_it_needs_something_built(builds: Builds) -> None:
    build = builds("nothing_built")
    assert build.result == "FAILURE"
    assert "ERROR: publishAmi: 'ami' must be what buildAmi() or bakeAmi() returned.\n" in build.console


@pytest.mark.parametrize(("name", "result"), [("fails", "FAILURE"), ("aborted", "ABORTED")])
def test_what_it_has_is_archived_when_it_fails_or_is_stopped(builds: Builds, name: str, result: str) -> None:
    build = builds(name)
    assert build.result == result
    assert "published/ami.json" in build.archive
    assert not build.workspaces
