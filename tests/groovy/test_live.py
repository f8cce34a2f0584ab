"""What every Jenkins does with the library: a live one when the environment names it (``live.py``), else the harness.

The list is the same for both, so that what the harness claims can be held against Jenkins at any time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from jenkins_ami.jobs.config import Library
from jenkins_ami.process import run
from tests.jenkins.fake import FakeJenkins
from tests.jenkins.live import LiveJenkins
from tests.jobs.small_servers import JSON, Call, Reply, small

from .conftest import ROOT, Scenario, run_builds
from .live import Finished, LiveBuilds, library

pytestmark = pytest.mark.groovy

HOSTILE = "a'b\" $HOME ${HOME} $(reboot) `reboot` $$ \\ <b>&amp; é"
STAND_IN = r"""#!/bin/sh
set -eu
case ${JENKINS_AMI_STEP:-} in
  *'"command":"compile"'*)
    test -f source/examples/minimal/ami.env
    mkdir ami
    echo '{"name": "minimal", "version": "1.0", "digest": "11", "commit": ""}' >ami/compile.json
    echo x >ami/userdata.gz
    ;;
  *'"command":"build"'*)
    mkdir ami
    echo '{"name": "minimal", "version": "1.0", "build": 3, "image_name": "minimal-1.0-3", "environment": "dev",
      "region": "eu-central-1", "images": {"eu-central-1": {"image_id": "ami-0123"}}, "reused": false}' >ami/ami.json
    echo AMIID=ami-0123 >ami/ami.env
    echo x >ami/ledger.jsonl
    ;;
  *'"command":"report"'*) mkdir ami/report && echo x >ami/report/index.html ;;
  *'"command":"fail"'*)
    echo 'the instance said no, here. Look there.' >"$JENKINS_AMI_ERROR_FILE"
    exit 6
    ;;
  *'"command":"show"'*) printf 'asked %s\n' "$JENKINS_AMI_STEP" ;;
esac
"""
"""A command that answers the steps, so that an agent needs nothing. It is written by the Jenkinsfile."""
PREPARE = f"""\
@Library('jenkins-ami') _
Map prepared = [:]
node(LABEL) {{
    writeFile(file: 'jenkins-ami', text: {json.dumps(STAND_IN).replace("$", chr(92) + "$")})
    sh 'chmod +x jenkins-ami'
    prepared.label = env.NODE_NAME
    prepared.cli = [command: "${{env.WORKSPACE}}/jenkins-ami"]
}}
"""
BUILD = """\
def ami = buildAmi(repository: REPOSITORY, branch: BRANCH, source: 'examples/minimal', environment: 'dev',
                   compileLabel: prepared.label, buildLabel: prepared.label, cli: prepared.cli)
echo "built ${ami.imageName}: ${ami.amiId} in ${ami.region}, ${env.AMIID}, ${ami.images}"
"""
ASKED = json.dumps({"command": "show", "arguments": {"value": HOSTILE}}, separators=(",", ":")).replace("$", r"\u0024")


@dataclass(frozen=True)
class Case:
    """A Jenkinsfile, and what has to come of it.

    In the script LABEL is the agent, REPOSITORY and BRANCH are where there is an AMI source; as Groovy texts.

    :ivar lines: of the console, in this order
    """

    script: str
    result: str
    lines: tuple[str, ...]
    archived: frozenset[str] = frozenset()


CASES = {
    "unknown-parameter": Case(
        "@Library('jenkins-ami') _\nbuildAmi(sorce: 'images/web')\n",
        "FAILURE",
        ("ERROR: buildAmi: there is no parameter 'sorce'. Did you mean 'source'? Known are: ",),
    ),
    "wrong-kind": Case(
        "@Library('jenkins-ami') _\nbuildAmi(timeout: 'long')\n",
        "FAILURE",
        ("ERROR: buildAmi: 'timeout' must be a whole number above 0, not 'long'.",),
    ),
    "nothing-compiled": Case(
        "@Library('jenkins-ami') _\nbakeAmi()\n",
        "FAILURE",
        ("ERROR: bakeAmi: 'compiled' must be what compileAmi() returned.",),
    ),
    "no-such-command": Case(
        "@Library('jenkins-ami') _\nnode(LABEL) { withJenkinsAmi(command: '/no/such/command') { } }\n",
        "FAILURE",
        ("ERROR: withJenkinsAmi: ",),
    ),
    "command-fails": Case(
        PREPARE + "node(prepared.label) { withJenkinsAmi(prepared.cli) { jenkinsAmi('fail') } }\n",
        "FAILURE",
        ("ERROR: jenkins-ami fail failed with exit code 6: the instance said no, here. Look there.",),
    ),
    "values-arrive": Case(
        PREPARE
        + f"String value = {json.dumps(HOSTILE).replace('$', chr(92) + '$')}\n"
        + "node(prepared.label) { withJenkinsAmi(prepared.cli) { jenkinsAmi('show', value: value) } }\n",
        "SUCCESS",
        (f"asked {ASKED}",),
    ),
    "scripted": Case(
        PREPARE + BUILD,
        "SUCCESS",
        ("built minimal-1.0-3: ami-0123 in eu-central-1, ami-0123, [eu-central-1:ami-0123]",),
        frozenset({"ami/ami.json", "ami/ami.env", "ami/compile.json", "ami/ledger.jsonl", "ami/report/index.html"}),
    ),
    "declarative": Case(
        PREPARE
        + "pipeline {\n agent none\n stages {\n  stage('Image') {\n   steps {\n    script {\n"
        + BUILD
        + "    }\n   }\n  }\n  stage('After') {\n   steps { echo \"after ${env.AMIID}\" }\n  }\n }\n}\n",
        "SUCCESS",
        ("built minimal-1.0-3: ami-0123 in eu-central-1, ami-0123, [eu-central-1:ami-0123]", "after ami-0123"),
        frozenset({"ami/ami.json", "ami/report/index.html"}),
    ),
}


def script(case: Case, **texts: str) -> str:
    text = case.script
    for name, value in texts.items():
        text = text.replace(name, value)
    return text


def in_the_harness(cases: Mapping[str, Case], pytest_folder: pytest.TempPathFactory) -> dict[str, Finished]:
    texts = {"LABEL": "'ami-build'", "REPOSITORY": "params.REPOSITORY", "BRANCH": "'main'"}
    refs = {"refs/heads/main": {"examples/minimal/ami.env": "NAME=minimal\n"}}
    scenarios = {name: Scenario(script(case, **texts), refs=refs) for name, case in cases.items()}
    builds = run_builds(pytest_folder.mktemp("live"), scenarios)
    return {name: Finished(one.result, one.console, frozenset(one.archive)) for name, one in builds.items()}


def in_jenkins(cases: Mapping[str, Case]) -> dict[str, Finished]:
    where = library()
    branch = run(["git", "-C", ROOT, "symbolic-ref", "--short", "HEAD"], check=False).stdout.strip() or "main"
    label = os.environ.get("JENKINS_AMI_LABEL", "")
    texts = {"LABEL": f"'{label}'", "REPOSITORY": f"'{where.url}'", "BRANCH": f"'{branch}'"}
    url, user, token = (os.environ[name] for name in ("JENKINS_URL", "JENKINS_USER", "JENKINS_TOKEN"))
    with LiveBuilds(url, user, token, where) as jenkins:
        return jenkins.run({name: script(case, **texts) for name, case in cases.items()})


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finished]:
    return in_jenkins(CASES) if LiveJenkins.is_set() else in_the_harness(CASES, tmp_path_factory)


@pytest.mark.parametrize("name", CASES)
def test_jenkins_says_so(outcomes: dict[str, Finished], name: str) -> None:
    case, outcome = CASES[name], outcomes[name]
    assert outcome.result == case.result, outcome.console
    rest: Iterator[str] = iter(outcome.console.splitlines())
    for line in case.lines:
        assert any(each.startswith(line) for each in rest), f"{line}\n\n{outcome.console}"
    assert case.archived <= outcome.archived


# The client of a live Jenkins


SOMEWHERE = Library("jenkins-ami", "https://git.example.com/jenkins-ami", "5eed" * 10)


def test_a_jenkins_gets_a_folder_with_the_library_and_sandboxed_jobs_and_loses_them_at_the_end() -> None:
    with FakeJenkins() as server:
        with LiveBuilds(server.url, server.user, server.token, SOMEWHERE) as builds:
            builds.start("case", "echo '<&>'\n")
            folder = server.config(builds.folder)
            assert "<name>jenkins-ami</name>" in folder
            assert f"<defaultVersion>{SOMEWHERE.version}</defaultVersion>" in folder
            job = server.config(f"{builds.folder}/case")
            assert "<script>echo '&lt;&amp;&gt;'\n</script>" in job and "<sandbox>true</sandbox>" in job
            assert any(
                line.startswith("POST") and line.endswith("/job/case/build") for line in map(" ".join, server.requests)
            )
        assert server.items == {}


def test_its_folder_goes_also_when_something_fails() -> None:
    with FakeJenkins() as server:
        with pytest.raises(ZeroDivisionError), LiveBuilds(server.url, server.user, server.token, SOMEWHERE):
            raise ZeroDivisionError
        assert server.items == {}


def test_a_refusal_is_told_with_its_place() -> None:
    with FakeJenkins() as server:
        refused = LiveBuilds(server.url, server.user, "wrong", SOMEWHERE)
        with pytest.raises(RuntimeError, match=r"/createItem\?name=jenkins-ami-test-\w+: 401"), refused:
            pass


def answers(states: list[Reply]) -> Callable[[Call], Reply]:
    """A Jenkins in which a build is in these states, one after the other."""

    def answer(call: Call) -> Reply:
        if call.target.endswith("/consoleText"):
            return Reply(body="one\nERROR: two\n")
        return states.pop(0) if "/1/api/json" in call.target else Reply(200)

    return answer


def test_a_build_is_waited_for_from_the_queue_to_its_result() -> None:
    building = json.dumps({"building": True, "result": None, "artifacts": []})
    done = json.dumps({"building": False, "result": "FAILURE", "artifacts": [{"relativePath": "ami/ami.json"}]})
    states = [Reply(404), Reply(body=building, headers=JSON), Reply(body=done, headers=JSON)]
    with small(answers(states)) as server, LiveBuilds(server.url, "me", "token", SOMEWHERE, pause=0.01) as builds:
        outcome = builds.run({"case": "echo 'x'\n"})["case"]
    assert outcome == Finished("FAILURE", "one\nERROR: two\n", frozenset({"ami/ami.json"}))
    assert states == []


def test_a_build_that_does_not_end_is_given_up() -> None:
    with small(lambda call: Reply(404 if call.method == "GET" else 200)) as server:
        builds = LiveBuilds(server.url, "me", "token", SOMEWHERE, wait=0.05, pause=0.01)
        with builds, pytest.raises(TimeoutError, match=r"/job/case/1 did not end within 0 s"):
            builds.finished("case")
