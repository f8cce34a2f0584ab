"""``bakeAmi()``: images of a compiled AMI, in one environment after the other, and what becomes of a build cut off."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import PLUGINS, SECRET, Answer, Build, Scenario
from .test_bridge import LIBRARY

pytestmark = pytest.mark.groovy

COMPILED = LIBRARY + "def compiled = compileAmi()\n"
TWO = COMPILED + "def ami = bakeAmi(compiled: compiled, environment: ['dev', 'prod'], approve: 'prod'%s)\n"
SCENARIOS = {
    "plain": Scenario(COMPILED + 'def ami = bakeAmi(compiled: compiled)\necho "${ami.amiId} ${ami.environments}"'),
    "options": Scenario(
        COMPILED
        + """bakeAmi(compiled: compiled, environment: 'prod', reuse: true, test: true, publish: false, label: 'large',
            awsCredentialsId: 'cloud', timeout: 5, folder: 'web')""",
        agents={"large": {}},
    ),
    "approved": Scenario(
        TWO % ", approvers: 'ops'" + 'echo "last ${ami.environment}, first ${ami.environments.dev.amiId}"',
        answers=(Answer("ops"),),
    ),
    "refused": Scenario(TWO % "", answers=(Answer("ops", aborts=True),)),
    "nobody_answers": Scenario(TWO % ", approvalTimeout: 1", minute=0.02),
    "first_fails": Scenario(TWO % "", env={"FAKE_FAIL": "build:6"}),
    "not_compiled": Scenario(LIBRARY + "bakeAmi()"),
    "tests": Scenario(COMPILED + "bakeAmi(compiled: compiled, test: true)"),
    "without_plugins": Scenario(
        COMPILED + "bakeAmi(compiled: compiled, test: true)", plugins=PLUGINS - {"lock", "junit"}
    ),
    "unlocked": Scenario(COMPILED + "bakeAmi(compiled: compiled, lock: false)"),
    "lost": Scenario(COMPILED + "bakeAmi(compiled: compiled, test: true)", env={"FAKE_FAIL": "build:137:1"}),
    "lost_again_and_again": Scenario(COMPILED + "bakeAmi(compiled: compiled)", env={"FAKE_FAIL": "build:137"}),
    "ended_by_others": Scenario(COMPILED + "bakeAmi(compiled: compiled)", env={"FAKE_FAIL": "build:130:1"}),
    "restarted": Scenario(
        COMPILED + "bakeAmi(compiled: compiled)",
        env={"FAKE_HANG_ONCE": "build"},
        restart_at="waiting",
        restart_kills=True,
    ),
    "report_fails": Scenario(COMPILED + "bakeAmi(compiled: compiled)", env={"FAKE_FAIL": "report:1"}),
}

Builds = Callable[[str], Build]


def of(build: Build, command: str) -> list[dict[str, object]]:
    return [call["arguments"] for call in build.calls if call["argv"][0] == command]


def test_it_builds_cleans_up_and_reports(builds: Builds) -> None:
    build = builds("plain")
    assert build.result == "SUCCESS", build.console
    assert [(call["agent"], call["argv"], call["arguments"]) for call in build.calls[1:]] == [
        ("ami-build", ["build"], {"environment": "dev", "target": "compiled", "output": "ami"} | OFF),
        ("ami-build", ["cleanup"], {"ledger": "ami"}),
        ("ami-build", ["report"], {"folder": ["compiled", "ami"], "output": "ami/report"}),
    ]


OFF = {"reuse": False, "test": False}


def test_options_reach_the_command(builds: Builds) -> None:
    build = builds("options")
    assert build.result == "SUCCESS", build.console
    (arguments,) = of(build, "build")
    assert arguments == {
        "environment": "prod",
        "distribute": False,
        "junit": "web/tests.xml",
        "target": "compiled",
        "output": "web",
        "reuse": True,
        "test": True,
    }
    assert {call["agent"] for call in build.calls[1:]} == {"large"}


def test_credentials_are_there_for_build_and_cleanup_only(builds: Builds) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET}
    assert [(call["argv"][0], call["aws"]) for call in builds("options").calls] == [
        ("compile", {}),
        ("build", keys),
        ("cleanup", keys),
        ("report", {}),
    ]


def test_environments_are_built_one_after_the_other_with_a_person_between(builds: Builds) -> None:
    build = builds("approved")
    assert build.result == "SUCCESS", build.console
    stages = [step["arguments"]["name"] for step in build.steps if step["step"] == "stage"]
    assert stages == ["Compile AMI", "Build AMI: dev", "Approve: prod", "Build AMI: prod"]
    assert [each["environment"] for each in of(build, "build")] == ["dev", "prod"]
    assert "last prod, first ami-0123\n" in build.console
    assert {"ami/dev/ami.json", "ami/prod/ami.json", "ami/compile.json"} <= build.archive.keys()


def test_no_agent_is_held_while_a_person_thinks(builds: Builds) -> None:
    (question,) = [step for step in builds("approved").steps if step["step"] == "input"]
    assert question["agent"] is None
    assert question["arguments"]["message"] == "Build minimal 1.0 in prod?"
    assert question["arguments"]["submitter"] == "ops"


@pytest.mark.parametrize("name", ["refused", "nobody_answers"])
def test_without_a_yes_nothing_is_built(builds: Builds, name: str) -> None:
    build = builds(name)
    assert build.result == "ABORTED"
    assert [each["environment"] for each in of(build, "build")] == ["dev"]


def test_the_first_failure_ends_it(builds: Builds) -> None:
    build = builds("first_fails")
    assert build.result == "FAILURE"
    assert [each["environment"] for each in of(build, "build")] == ["dev"]
    assert "Approve: prod" not in [step["arguments"].get("name") for step in build.steps]


def test_it_needs_something_compiled(builds: Builds) -> None:
    build = builds("not_compiled")
    assert build.result == "FAILURE"
    assert "ERROR: bakeAmi: 'compiled' must be what compileAmi() returned.\n" in build.console


def test_the_images_tests_are_jenkins_tests(builds: Builds) -> None:
    build = builds("tests")
    assert build.result == "SUCCESS", build.console
    assert [test["name"] for test in build.tests] == ["boot"]
    assert "ami/tests.xml" in build.archive


def test_plugins_that_are_not_there_are_not_missed(builds: Builds) -> None:
    build = builds("without_plugins")
    assert build.result == "SUCCESS", build.console
    assert "ami/tests.xml" in build.archive


def test_one_name_is_built_in_one_environment_at_a_time(builds: Builds) -> None:
    locks = [step["arguments"] for step in builds("approved").steps if step["step"] == "lock"]
    assert locks == [{"resource": "jenkins-ami minimal dev"}, {"resource": "jenkins-ami minimal prod"}]
    assert not [step for step in builds("unlocked").steps if step["step"] == "lock"]


def test_a_build_that_was_killed_goes_on_by_its_ledger(builds: Builds) -> None:
    build = builds("lost")
    assert build.result == "SUCCESS", build.console
    assert "The build was cut off: going on with what its ledger lists.\n" in build.console
    assert of(build, "build")[1] == {"environment": "dev", "junit": "ami/tests.xml", "resume": "ami"}


def test_it_does_not_go_on_forever(builds: Builds) -> None:
    build = builds("lost_again_and_again")
    assert build.result == "FAILURE"
    assert len(of(build, "build")) == 4
    assert "ERROR: jenkins-ami build failed with exit code 137: " in build.console


def test_a_build_that_ended_itself_begins_again(builds: Builds) -> None:
    build = builds("ended_by_others")
    assert build.result == "SUCCESS", build.console
    first, second = of(build, "build")
    assert second == first
    assert "The build was cut off: once more.\n" in build.console


def test_a_restart_that_takes_the_process_along_goes_on_by_the_ledger(builds: Builds) -> None:
    build = builds("restarted")
    assert build.result == "SUCCESS", build.console
    assert [each.get("resume") for each in of(build, "build")] == [None, "ami"]
    assert build.commands == ["compile", "build", "build", "cleanup", "report"]
    assert not build.workspaces


def test_without_a_report_the_image_is_good_and_the_build_unstable(builds: Builds) -> None:
    build = builds("report_fails")
    assert build.result == "UNSTABLE"
    assert "ami-0123" in build.description
    assert "ERROR: There is no report.\n" in build.console
