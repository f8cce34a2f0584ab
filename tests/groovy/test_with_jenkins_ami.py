"""``withJenkinsAmi { }``: what a block gets to run, and that values reach provide.sh as they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jenkins_ami import __version__

from .conftest import VARS, Build, Scenario
from .test_provide import PROJECT

pytestmark = pytest.mark.groovy

LIBRARY = "@Library('jenkins-ami') _\n"
HOSTILE = "a'b\"; touch pwned; $(touch pwned) `touch pwned` $HOME ${HOME} $$ %24 %0A \\ * é"
ODD = "$HOME ${HOME} $$ 100%24"
LOOK = 'sh \'echo "cli is $JENKINS_AMI_CLI"; echo "first is ${PATH%%:*}"\''


def on_an_agent(call: str, body: str = LOOK) -> str:
    return LIBRARY + f"node('ami-build') {{ checkout scm; {call} {{ {body} }} }}\n"


SCENARIOS = {
    "plain": Scenario(
        on_an_agent("def found = withJenkinsAmi", f"{LOOK}; 'a value' }}; echo(\"and \" + found); if (1) {{")
    ),
    "odd_name": Scenario(
        on_an_agent("withJenkinsAmi(command: params.NAME)", f"{LOOK}; sh '\"$JENKINS_AMI_CLI\" there'"),
        commands={ODD: ("echo", "odd one is")},
        params={"NAME": ODD},
    ),
    "hostile": Scenario(
        on_an_agent(
            "[[command: params.X], [version: params.X], [from: params.X, cache: 'kept'],"
            " [python: params.X, version: '9'], [from: 'file:///nowhere', ref: params.X, cache: 'kept'],"
            " [extras: [params.X]], [cache: params.X, version: '9']].each",
            "try { withJenkinsAmi(it) { echo 'ran' } } catch (e) { echo \"caught ${e.message}\" }",
        ),
        params={"X": HOSTILE},
    ),
    "made": Scenario(
        on_an_agent("withJenkinsAmi(from: '.', cache: '../cache')", f"{LOOK}; sh 'jenkins-ami'"),
        repository={**PROJECT, "VERSION": "7"},
    ),
    "library": Scenario(
        on_an_agent("withJenkinsAmi(from: 'file:///nowhere', cache: 'kept')").replace(
            "'jenkins-ami'", "'jenkins-ami@release-9'"
        ),
        env={"library.jenkins-ami.version": "release-9"},
    ),
    "unknown": Scenario(on_an_agent("withJenkinsAmi(vresion: '1')")),
    "body_fails": Scenario(on_an_agent("withJenkinsAmi", "error('of the body')")),
}

Builds = Callable[[str], Build]


def test_the_block_has_the_command_and_its_folder_first_on_the_path(builds: Builds) -> None:
    build = builds("plain")
    assert build.result == "SUCCESS", build.console
    assert f"cli is {build.home}/bin/jenkins-ami\n" in build.console
    assert f"first is {build.home}/bin\n" in build.console


def test_it_returns_what_the_block_returns(builds: Builds) -> None:
    assert "and a value\n" in builds("plain").console


def test_a_path_with_dollars_stays_as_it_is(builds: Builds) -> None:
    build = builds("odd_name")
    assert build.result == "SUCCESS", build.console
    assert f"cli is {build.home}/bin/{ODD}\n" in build.console
    assert "odd one is there\n" in build.console


def test_a_hostile_value_is_a_value(builds: Builds) -> None:
    build = builds("hostile")
    assert [line for line in build.console.splitlines() if line.startswith("caught ")] == [
        f"caught withJenkinsAmi: there is no command '{HOSTILE}' on this agent",
        f"caught withJenkinsAmi: 'version' must be a version like 1.2.0, not '{HOSTILE}'",
        f"caught withJenkinsAmi: there is no folder '{HOSTILE}' in {build.home}/agents/ami-build/workspace/job",
        f"caught withJenkinsAmi: there is no '{HOSTILE}' on this agent to make it with; on the PATH there is"
        f" jenkins-ami {__version__}",
        f"caught withJenkinsAmi: '{HOSTILE}' of file:///nowhere is not here yet, and cannot be got:"
        f" '/nowhere' does not appear to be a git repository; on the PATH there is jenkins-ami {__version__}",
        f"caught withJenkinsAmi: 'extras' must be names like local, not '{HOSTILE}'",
        f"caught withJenkinsAmi: 'cache' must be a path without \", \\, $ and `, not '{HOSTILE}'",
    ]
    assert "ran" not in build.console.splitlines()
    assert not list(build.home.rglob("pwned"))


def test_it_is_made_of_a_checkout(builds: Builds) -> None:
    build = builds("made")
    assert build.result == "SUCCESS", build.console
    assert "jenkins-ami 7\n" in build.console


def test_of_a_repository_the_librarys_own_version_is_taken(builds: Builds) -> None:
    assert "ERROR: withJenkinsAmi: 'release-9' of file:///nowhere is not here yet" in builds("library").console


def test_what_goes_wrong_ends_the_build_in_one_line(builds: Builds) -> None:
    assert builds("library").result == "FAILURE"
    assert "cli is" not in builds("library").console


def test_unknown_parameters_are_refused(builds: Builds) -> None:
    assert (
        "ERROR: withJenkinsAmi: there is no parameter 'vresion'. Did you mean 'version'?" in builds("unknown").console
    )


def test_what_the_block_throws_is_not_changed(builds: Builds) -> None:
    assert builds("body_fails").result == "FAILURE"
    assert "ERROR: of the body\n" in builds("body_fails").console


def test_the_version_taken_is_that_of_this_repository() -> None:
    assert f"static final String VERSION = '{__version__}'\n" in (VARS / "withJenkinsAmi.groovy").read_text()
