"""The harness is as Jenkins is: each construct does on its engine what was recorded on a real one.

``data/recorded.json`` holds the constructs and what became of them. The rest tests what the engine does to a program:
that is saved whenever a step suspends it, and goes on from there after a restart, as does what runs on the agents.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

import pytest

from .conftest import ASTRAY, HERE, UNKNOWN, Answer, Build, Scenario

pytestmark = pytest.mark.groovy

RECORDED: dict[str, Any] = json.loads((HERE / "data" / "recorded.json").read_text())
ROWS: dict[str, dict[str, Any]] = {row["construct"]: row for row in RECORDED["rows"]}
WORKS: dict[str, dict[str, str]] = {row["construct"]: row for row in RECORDED["works"]}
LIBRARY = "@Library('jenkins-ami') _\n"
CALL = 'def r = amiStep()\necho "RESULT=${r}"\n'

LIBRARIES = ("trusted", "untrusted")

OTHER_WORDS = {
    "@Canonical class": "1.31 refuses it with another message",
    "@Immutable class": "1.31 refuses it with another message",
    "trait in src/": "the published sandbox stumbles elsewhere",
    "Arch.valueOf('ARM')": "the published sandbox breaks enums in another way",
    "'ARM' as Arch": "the published sandbox breaks enums in another way",
}
NOT_HERE = {
    "new org.yaml.snakeyaml.Yaml().load(...)": "SnakeYAML is on the class path of Jenkins only",
    "jenkins.model.Jenkins.get()": "there is no Jenkins to get",
    "spread arguments f(*args)": "1.31 does not compile it yet",
    "spread list [*a, *b]": "1.31 does not compile it yet",
    "spread map [*:m, x: 1]": "1.31 does not compile it yet",
}
NOT_IN_THIS_SANDBOX = {
    "Collections.sort(list, { a, b -> } as Comparator)": "the call comes from Java, where nobody looks",
    "Arch.ARM.label (enum constant of src/), held over a step": "the published sandbox breaks enums",
    "Arch.values(), Arch.ARM.name() / toString() / ordinal()": "the published sandbox breaks enums",
}


def cases(constructs: Iterable[str]) -> list[tuple[str, str]]:
    """The constructs that can be tried here, with each kind of library."""
    return [
        (construct, library)
        for construct in constructs
        for library in LIBRARIES
        if construct not in NOT_HERE and not (library == "untrusted" and construct in NOT_IN_THIS_SANDBOX)
    ]


def recorded(row: dict[str, Any], library: str) -> Scenario:
    return Scenario(
        LIBRARY + row.get("jenkinsfile", CALL),
        library={**RECORDED["library"], "vars/amiStep.groovy": row["vars"]},
        agents={"built-in": {}},
        house_rules=False,
        sandbox=library == "untrusted",
    )


def folder(construct: str, library: str) -> str:
    """A case as the name of a folder."""
    return quote(f"{library} {construct}", safe=" ").replace("%", "=")


def on_an_agent(body: str, **settings: Any) -> Scenario:
    return Scenario(f"node('ami-build') {{\n{body}\n}}\n", **settings)


HELD = "def %s; sleep(time: 1, unit: 'MILLISECONDS')"
AFTER = 'until grep -q "after Jenkins re[s]tart" ../../../../console.log; do sleep 0.02; done'
"""Waits, on an agent, for the restart."""
WAITING = "echo waiting; while ! test -e goes; do sleep 0.02; done; echo went"

OWN = {
    "five_steps_at_once": Scenario("5.times { echo 'x' }\n"),
    "five_steps_that_wait": Scenario("5.times { sleep(time: 1, unit: 'MILLISECONDS') }\n"),
    "files": on_an_agent(
        """writeFile file: 'a/.git/x', text: ''
        writeFile file: 'a/b.sh', text: ''
        sh 'chmod 755 a/b.sh'
        stash(name: 's', excludes: 'c')
        archiveArtifacts(artifacts: '**/*.sh', fingerprint: true)
        deleteDir()
        unstash 's'
        sh 'find . -type f -printf "%P %m\\n"'"""
    ),
    "restarted": Scenario(
        LIBRARY
        + """def counted = ['start']
        env.SET = 'before'
        stage('One') {
            node('ami-build') {
                withEnv(['INNER=$SET']) {
                    try {
                        timeout(5) {
                            sh 'echo restarting; AFTER; echo went on'
                            counted << helperStep("${env.INNER} ${env.SET}")
                        }
                    } finally {
                        counted << 'finally'
                    }
                }
            }
        }
        currentBuild.description = counted.join(', ')
        """.replace("AFTER", AFTER),
        library={"vars/helperStep.groovy": "def call(String a) { return a * 2 }\n"},
        restart_at="restarting",
    ),
    "restarted_in_declarative": Scenario(
        """pipeline {
            agent { label 'ami-build' }
            stages { stage('One') { steps { sh 'echo restarting; AFTER'; echo "on ${env.NODE_NAME}" } } }
            post { success { echo 'good' } }
        }""".replace("AFTER", AFTER),
        restart_at="restarting",
    ),
    "restarted_in_parallel": Scenario(
        """def seen = [:]
        parallel(
            a: { node('ami-build') { seen.a = sh(returnStdout: true, script: 'AFTER; echo of a').trim() } },
            b: { node('ami-compile') { sh 'echo restarting; AFTER'; seen.b = env.NODE_NAME } },
            c: { seen.c = input(message: 'go?', parameters: [string(name: 'n')]) },
        )
        echo "${seen.sort()}"
        """.replace("AFTER", AFTER),
        restart_at="restarting",
        answers=(Answer(values={"n": "yes"}),),
    ),
    "lost": on_an_agent(
        "def code = sh(returnStatus: true, script: 'echo restarting; sleep 60')\necho \"code ${code}\"",
        restart_at="restarting",
        restart_kills=True,
    ),
    "lost_fails": on_an_agent("sh 'echo restarting; sleep 60'", restart_at="restarting", restart_kills=True),
    "held": Scenario(HELD % "f = new Object()" + "\n", sandbox=False),
    "held_in_a_list": Scenario(HELD % "list = [[a: 'x' =~ /x/]]" + "\n"),
    "held_and_caught": Scenario(
        "try { " + HELD % "f = 'x' =~ /x/" + "; echo 'not here' } catch (e) { echo \"caught ${e.getClass().name}\" }\n"
    ),
    "not_held": Scenario(
        "echo(('ax' =~ /x/).find().toString())\nsleep(time: 1, unit: 'MILLISECONDS')\n", house_rules=False
    ),
    "aborted": on_an_agent(
        f"""try {{
            stage('Work') {{ sh '{WAITING}' }}
            echo 'not here'
        }} catch (e) {{
            echo "caught ${{e.getClass().simpleName}} in ${{env.STAGE_NAME}}"
            throw e
        }} finally {{
            sh 'echo cleaning up'
        }}""",
        abort_at="waiting",
    ),
    "abort_of_all_branches": Scenario(
        """parallel(
            a: { node('ami-build') { sh 'echo one; sleep 60' } },
            b: { try { sleep 3600 } finally { echo 'b is over' } },
        )""",
        abort_at="one",
    ),
    "timeout": Scenario(
        """try {
            timeout(time: 50, unit: 'MILLISECONDS') { timeout(1) { sleep 3600 } }
        } catch (e) { echo "caught ${e.getClass().simpleName}" }
        echo 'goes on'
        """
    ),
    "timeout_of_a_catcher": Scenario(
        "timeout(time: 50, unit: 'MILLISECONDS') { catchError(catchInterruptions: false) { sleep 3600 } }\n"
    ),
    "fail_fast": Scenario(
        """parallel(
            slow: { try { sleep 3600 } finally { echo 'slow is over' } },
            bad: { error 'bad' },
            failFast: true,
        )"""
    ),
    "branches_overlap": Scenario(
        """def order = []
        node('ami-build') {
            parallel(
                a: { order << 'a1'; sh 'while ! test -e b; do sleep 0.01; done'; order << 'a2' },
                b: { order << 'b1'; sh 'touch b'; order << 'b2' },
            )
        }
        echo order.toString()
        """
    ),
    "two_on_one_agent": Scenario(
        """parallel(
            a: { node('ami-build') { echo env.WORKSPACE; sh 'touch ../a; until test -e ../b; do sleep 0.01; done' } },
            b: { node('ami-build') { echo env.WORKSPACE; sh 'touch ../b; until test -e ../a; do sleep 0.01; done' } },
        )"""
    ),
    "locked": Scenario(
        """def order = []
        parallel(
            a: { lock('x') { order << 'a in'; sleep(time: 20, unit: 'MILLISECONDS'); order << 'a out' } },
            b: { lock('x') { order << 'b in'; sleep(time: 20, unit: 'MILLISECONDS'); order << 'b out' } },
        )
        echo order.toString()
        """
    ),
    "an_error_passes": Scenario(
        "try { lock('x') { } } catch (Exception e) { echo 'not here' } finally { echo 'finally' }\n",
        plugins=frozenset(),
    ),
    "missing_binding": Scenario(
        "withCredentials([[$class: 'AmazonWebServicesCredentialsBinding', credentialsId: 'cloud']]) { }\n",
        plugins=frozenset(),
    ),
    "environment": on_an_agent(
        """withEnv(['A=1', 'B=$A-${A}-$$A-$NOPE', 'PATH+X=/x']) {
            withEnv(['A=', 'C=$B']) { sh 'echo "[${A-unset}] [$B] [$C] [${PATH%%:*}]"' }
        }
        withCredentials([string(credentialsId: 'token', variable: 'T')]) { sh 'echo "[$T]"' }""",
        credentials={"token": {"kind": "string", "secret": "$HOME"}},
    ),
    "never_recorded": Scenario("echo 'a'.codePointCount(0, 1).toString()\n", house_rules=False),
    "refused": Scenario(
        "try { System.getenv('PATH') } catch (e) { echo \"${e.getClass().simpleName}: ${e.message}\" }\n"
    ),
    "delegates": Scenario(
        LIBRARY
        + "def c = configured { region = 'r'; size = 2; sleep(time: 1, unit: 'MILLISECONDS') }\necho c.toString()\n",
        library={
            "vars/configured.groovy": "def call(Closure body) {\n    def c = [:]\n    body.delegate = c\n"
            "    body.resolveStrategy = Closure.DELEGATE_FIRST\n    body()\n    return c\n}\n"
        },
    ),
    "nobody_answers": Scenario("timeout(time: 20, unit: 'MILLISECONDS') { input 'go?' }\n"),
    "no_agent": Scenario("timeout(time: 20, unit: 'MILLISECONDS') { node('nowhere') { } }\n"),
    "rejected": Scenario("input 'go?'\n", answers=(Answer("anna", aborts=True),)),
    "tests": on_an_agent(
        """writeFile file: 'r.xml', text: '<testsuite><testcase classname="c" name="a"><error/></testcase></testsuite>'
        echo junit('r.xml').failCount.toString()"""
    ),
    "declarative": Scenario(
        """pipeline {
            agent none
            options { timeout(time: 5, unit: 'MINUTES'); disableConcurrentBuilds(abortPrevious: true) }
            environment { X = "one ${1 + 1}"; Y = 'two' }
            stages {
                stage('A') { agent { label 'ami-build' }; steps { sh 'echo "$X $Y"' } }
                stage('B') { when { expression { false } }; steps { echo 'not here' } }
                stage('C') {
                    parallel {
                        stage('C1') { steps { echo 'in c1' } }
                        stage('C2') {
                            steps { script { def n = 2; echo "in c${n}" } }
                            post { success { echo 'c2 is good' } }
                        }
                    }
                }
                stage('D') {
                    steps { unstable 'hm' }
                    post { unstable { echo 'd is unstable' }; success { echo 'not here' } }
                }
                stage('E') {
                    steps { error 'stop' }
                    post { failure { echo 'e failed' }; cleanup { echo 'e is over' } }
                }
                stage('F') { steps { echo 'not here' } }
            }
            post { always { echo 'over' }; failure { echo 'failed' }; aborted { echo 'not here' } }
        }"""
    ),
}

SCENARIOS = {
    **{folder(*case): recorded((ROWS | WORKS)[case[0]], case[1]) for case in cases(ROWS | WORKS)},
    **OWN,
}

Builds = Callable[[str], Build]


def without_commands(console: str) -> str:
    """A log without the lines in which a shell repeats its commands."""
    return re.sub(r"^\++ .*\n", "", console, flags=re.MULTILINE)


@pytest.mark.parametrize(("construct", "library"), cases(ROWS))
def test_a_construct_does_what_it_did_on_a_real_jenkins(builds: Builds, construct: str, library: str) -> None:
    build = builds(folder(construct, library))
    wanted = ROWS[construct][library]
    assert build.result == ("FAILURE" if wanted["result"] == "no" else "SUCCESS"), build.console
    assert (ASTRAY in build.console) == wanted.get("warned", False), build.console
    if wanted["says"].startswith("missing output"):
        for missing in re.findall("`(.*?)`", wanted["says"]):
            assert missing not in build.console
    elif construct not in OTHER_WORDS:
        pattern = r"[\s\S]*".join(map(re.escape, re.split(r"\[\.\.\.]|{\.\.\.}", wanted["says"])))
        assert re.search(pattern + ("$" if wanted["result"] == "wrong" else ""), build.console, re.MULTILINE)


@pytest.mark.parametrize(("construct", "library"), cases(WORKS))
def test_what_works_on_a_real_jenkins_works(builds: Builds, construct: str, library: str) -> None:
    build = builds(folder(construct, library))
    assert f"RESULT={WORKS[construct]['value']}\n" in build.console
    assert build.result == "SUCCESS"
    assert ASTRAY not in build.console
    assert UNKNOWN not in build.console


def test_a_call_that_was_never_recorded_is_named(builds: Builds) -> None:
    assert f"{UNKNOWN}method java.lang.String codePointCount int int\n" in builds("never_recorded").console


def test_a_refusal_is_an_exception_that_the_program_may_catch(builds: Builds) -> None:
    assert builds("refused").console == (
        "RejectedAccessException: Scripts not permitted to use staticMethod java.lang.System getenv java.lang.String\n"
        "Finished: SUCCESS\n"
    )


def test_the_program_is_saved_whenever_a_step_suspends_it(builds: Builds) -> None:
    assert builds("five_steps_at_once").saves < 5
    assert builds("five_steps_that_wait").saves >= 10


def test_files_keep_their_modes_and_what_ant_leaves_out_is_left_out(builds: Builds) -> None:
    build = builds("files")
    assert "\na/b.sh 755\nFinished: SUCCESS\n" in build.console
    assert build.archive.keys() == {"a/b.sh"}


def test_a_restart_loses_nothing_of_the_program(builds: Builds) -> None:
    build = builds("restarted")
    assert build.result == "SUCCESS", build.console
    assert "after Jenkins restart\nwent on\n" in without_commands(build.console)
    assert build.description == "start, before beforebefore before, finally"


def test_a_restart_in_declarative_runs_the_rest_of_it(builds: Builds) -> None:
    build = builds("restarted_in_declarative")
    assert build.result == "SUCCESS", build.console
    assert "after Jenkins restart\non ami-build\ngood\nFinished: SUCCESS\n" in without_commands(build.console)


def test_a_restart_finds_all_branches_and_what_people_say(builds: Builds) -> None:
    build = builds("restarted_in_parallel")
    assert build.result == "SUCCESS", build.console
    assert "after Jenkins restart\n" in build.console
    assert "[a:of a, b:ami-compile, c:yes]\n" in build.console


def test_a_shell_that_dies_with_the_controller_is_lost(builds: Builds) -> None:
    build = builds("lost")
    assert build.result == "SUCCESS", build.console
    assert "wrapper script does not seem to be touching the log file in " in build.console
    assert "code -1\n" in build.console
    assert "ERROR: script returned exit code -1\n" in builds("lost_fails").console


def test_what_cannot_be_saved_fails_the_build_where_it_is_held(builds: Builds) -> None:
    assert builds("held").console.startswith(
        "java.io.NotSerializableException: java.lang.Object\n\tat Jenkinsfile:1\nFinished: "
    )
    assert "java.io.NotSerializableException: java.util.regex.Matcher\n" in builds("held_in_a_list").console


def test_what_cannot_be_saved_is_an_exception_that_the_program_may_catch(builds: Builds) -> None:
    assert builds("held_and_caught").console == "caught java.io.NotSerializableException\nFinished: SUCCESS\n"


def test_what_is_used_up_before_the_next_step_need_not_be_saved(builds: Builds) -> None:
    assert builds("not_held").result == "SUCCESS"


def test_an_abort_is_thrown_into_the_program_where_it_was(builds: Builds) -> None:
    build = builds("aborted")
    assert build.result == "ABORTED"
    assert "caught FlowInterruptedException in null\n" in build.console
    assert "cleaning up\n" in build.console
    assert "went" not in without_commands(build.console)
    assert "not here" not in build.console


def test_an_abort_reaches_every_branch(builds: Builds) -> None:
    build = builds("abort_of_all_branches")
    assert build.result == "ABORTED"
    assert "b is over\n" in build.console


def test_a_timeout_interrupts_the_innermost_step_below_it(builds: Builds) -> None:
    assert builds("timeout").console == (
        "Cancelling nested steps due to timeout\ncaught FlowInterruptedException\ngoes on\nFinished: SUCCESS\n"
    )
    assert builds("timeout_of_a_catcher").result == "ABORTED"


def test_a_branch_that_fails_fast_stops_the_others(builds: Builds) -> None:
    build = builds("fail_fast")
    assert build.result == "FAILURE"
    assert "Failed in branch bad\nslow is over\n" in build.console
    assert "ERROR: bad\n" in build.console


def test_branches_run_at_the_same_time(builds: Builds) -> None:
    assert "[a1, b1, b2, a2]\n" in builds("branches_overlap").console


def test_two_on_one_agent_have_a_workspace_each(builds: Builds) -> None:
    first, second = (line for line in builds("two_on_one_agent").console.splitlines() if line.startswith("/"))
    assert (first.rpartition("/")[2], second.rpartition("/")[2]) == ("job", "job@2")


def test_a_lock_is_held_by_one(builds: Builds) -> None:
    assert "[a in, a out, b in, b out]\n" in builds("locked").console


def test_a_missing_step_is_an_error_that_no_handler_of_exceptions_sees(builds: Builds) -> None:
    build = builds("an_error_passes")
    assert build.result == "FAILURE"
    assert build.console.startswith(
        "finally\njava.lang.NoSuchMethodError: No such DSL method 'lock' found among steps ["
    )
    assert "no known implementation of interface" in builds("missing_binding").console


def test_variables_are_expanded_as_jenkins_does(builds: Builds) -> None:
    lines = builds("environment").console.splitlines()
    assert "[unset] [1-1-$A-$NOPE] [1-1-$A-$NOPE] [/x]" in lines
    assert "[$HOME]" in lines


def test_closures_may_have_a_delegate(builds: Builds) -> None:
    assert builds("delegates").console.startswith("[region:r, size:2]\n")


def test_who_waits_for_nobody_is_interrupted_by_a_timeout(builds: Builds) -> None:
    assert builds("nobody_answers").result == "ABORTED"
    assert builds("no_agent").result == "ABORTED"
    assert builds("rejected").result == "ABORTED"


def test_failed_tests_make_the_build_unstable(builds: Builds) -> None:
    build = builds("tests")
    assert build.result == "UNSTABLE"
    assert build.tests == [{"name": "a", "suite": "c", "failed": True}]


def test_declarative_sections_do_what_they_say(builds: Builds) -> None:
    build = builds("declarative")
    assert build.result == "FAILURE"
    assert "not here" not in build.console
    said = [line for line in build.console.splitlines() if not line.startswith(("[Pipeline]", "+ "))]
    assert said == [
        "one 2 two",
        "in c1",
        "in c2",
        "c2 is good",
        "WARNING: hm",
        "d is unstable",
        "e failed",
        "e is over",
        "over",
        "failed",
        "ERROR: stop",
        "Finished: FAILURE",
    ]
