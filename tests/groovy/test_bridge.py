"""``jenkinsAmi``: what the steps are made of. Values stay values; wrong parameters end a build before it begins."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from .conftest import SECRET, Build, Scenario

pytestmark = pytest.mark.groovy

LIBRARY = "@Library('jenkins-ami') _\n"
BACKSLASH = "\\"
HOSTILE = (
    "a'b\"; touch pwned; $(touch pwned) `touch pwned` $HOME ${HOME} $$ \\u0041 \\ * <b> é \u2028 \x01 -x --help\n{}"
)


def literal(text: str) -> str:
    """A text as Groovy's double-quoted literal."""
    return json.dumps(text).replace("$", BACKSLASH + "$").replace("\\u2028", "\u2028")


BAD_PARAMETERS = {
    "[sorce: '.']": (
        "there is no parameter 'sorce'. Did you mean 'source'? Known are: source, repository, branch, refspec,"
        " credentialsId, version, parameters, secretParameters, storage, sandbox, environment, local, reuse, test,"
        " publish, approve, approvers, approvalTimeout, awsCredentialsId, awsRole, compileLabel, buildLabel, timeout,"
        " folder, archiveOverlay, lock, throttle, cli."
    ),
    "[BuildLabel: 'x']": "there is no parameter 'BuildLabel'. Did you mean 'buildLabel'? Known are",
    "[region: 'eu-central-1']": "there is no parameter 'region'. Known are",
    "[local: 'false']": "'local' must be true or false, not 'false'.",
    "[timeout: '5']": "'timeout' must be a whole number above 0, not '5'.",
    "[timeout: 0]": "'timeout' must be a whole number above 0, not '0'.",
    "[source: null]": "'source' must be a text, not 'null'.",
    "[local: true, environment: 'dev']": "'local: true' and 'environment' exclude each other.",
    "[reuse: 'true']": "'reuse' must be true or false, not 'true'.",
    "[version: 2]": "'version' must be a text, not '2'.",
    "[environment: 5]": "'environment' must be a list of texts, not '5'.",
    "[environment: ['dev', null]]": "'environment' must be a list of texts, not '[dev, null]'.",
    "[environment: '../dev']": "'environment' must be a name of letters, digits, '.', '_' and '-', not '../dev'.",
    "[environment: ['a', '-x']]": "'environment' must be a name of letters, digits, '.', '_' and '-', not '[a, -x]'.",
    "[environment: []]": "'environment' must not be empty.",
    "[parameters: 'A=1']": "'parameters' must be a map, not 'A=1'.",
    "[secretParameters: ['A-B': 'x']]": "'secretParameters' must have names of letters, digits and '_', not 'A-B'.",
    "[awsRole: 'arn:aws:iam::123456789012:role/x']": "'awsRole' is assumed with 'awsCredentialsId', which is not given",
    "[branch: 'x']": "'branch' says what of a 'repository' to take, which is not given.",
    "[refspec: 'refs/changes/34/1234/2']": "'refspec' says what of a 'repository' to take, which is not given.",
    "[credentialsId: 'x', repository: '']": "'credentialsId' says what of a 'repository' to take, which is not given.",
    "[repository: 'x', branch: '']": "'branch' must be the name of a branch, not ''.",
    "[repository: 'x', branch: '$HOME']": "'branch' must be the name of a branch, not '$HOME'.",
    "[repository: 'x', branch: 'a b']": "'branch' must be the name of a branch, not 'a b'.",
    "[repository: 'x', refspec: '--upload-pack=x']": (
        "'refspec' must be one ref, like refs/changes/34/1234/2, not '--upload-pack=x'."
    ),
    "[repository: 'x', refspec: '+refs/a:refs/b']": "'refspec' must be one ref, like refs/changes/34/1234/2",
    "[repository: 'x', refspec: null]": "'refspec' must be a text, not 'null'.",
    "[folder: '../ami']": "'folder' must be a plain name of letters, digits, '.', '_' and '-', not '../ami'.",
}

ON_AN_AGENT = LIBRARY + "node('ami-build') { withJenkinsAmi(command: 'jenkins-ami') { %s } }"

SCENARIOS = {
    "bad_parameters": Scenario(
        LIBRARY
        + f"[{', '.join(BAD_PARAMETERS)}].each {{\n"
        + '    try { buildAmi(it) } catch (e) { echo "caught ${e.message}" }\n}\n'
    ),
    "bad_parameter": Scenario(LIBRARY + "buildAmi(sorce: '.')"),
    "command": Scenario(ON_AN_AGENT % "jenkinsAmi('images prune', environment: 'dev', dryRun: true, keep: 3)"),
    "no_arguments": Scenario(ON_AN_AGENT % "jenkinsAmi('gc')"),
    "left_out": Scenario(
        ON_AN_AGENT % "jenkinsAmi('gc', a: null, b: '', c: [], d: [:], e: false, f: 0, g: [x: ''], h: [''])"
    ),
    "hostile": Scenario(
        ON_AN_AGENT
        % f"jenkinsAmi('gc', name: {literal(HOSTILE)}, many: [{literal(HOSTILE)}], map: [a: {literal(HOSTILE)}])",
    ),
    "fails": Scenario(ON_AN_AGENT % "jenkinsAmi('gc', environment: 'dev')", env={"FAKE_FAIL": "gc:7"}),
    "two": Scenario(
        ON_AN_AGENT
        % "try { jenkinsAmi('gc') } catch (e) { echo e.message }; sh('rm -f error.txt'); jenkinsAmi('compile')",
        env={"FAKE_FAIL": "gc:7"},
    ),
    "status": Scenario(
        ON_AN_AGENT % "echo \"code ${jenkinsAmi.status('jobs plan', [html: 'p', 'exit-code': true], 'plan.json')}\"; "
        "echo readFile('plan.json')",
        env={"FAKE_DIFFERS": "1"},
    ),
    "secrets": Scenario(
        ON_AN_AGENT
        % """jenkinsAmi.withSecrets([awsCredentialsId: 'cloud', awsRole: 'arn:aws:iam::1:role/x',
            gerritCredentialsId: 'g', secretParameters: [KEY: 'k']]) { jenkinsAmi('gc') }
            jenkinsAmi('cleanup')""",
        credentials={
            "g": {"kind": "usernamePassword", "name": "bot", "secret": SECRET},
            "k": {"kind": "string", "secret": SECRET},
        },
    ),
    "throttled": Scenario(
        LIBRARY + "jenkinsAmi.onAgent([throttle: ['images']], 'ami-build') { echo 'inside'; return 5 }",
    ),
    "not_throttled": Scenario(
        LIBRARY + "echo \"${jenkinsAmi.onAgent([throttle: ['images']], 'ami-build') { return 5 }} came back\"",
        plugins=frozenset(),
    ),
    "another_missing_step": Scenario(
        LIBRARY + "jenkinsAmi.optional('lock', { noSuchStep() }, { echo 'otherwise' })",
    ),
}

Builds = Callable[[str], Build]


@pytest.mark.parametrize("parameters", BAD_PARAMETERS)
def test_a_bad_parameter_is_refused(builds: Builds, parameters: str) -> None:
    assert f"caught buildAmi: {BAD_PARAMETERS[parameters]}" in builds("bad_parameters").console


def test_a_bad_parameter_fails_the_build_before_any_agent_is_taken(builds: Builds) -> None:
    build = builds("bad_parameter")
    assert build.result == "FAILURE"
    assert [step["step"] for step in build.steps] == ["error"]


def test_a_command_is_its_words_and_its_arguments(builds: Builds) -> None:
    build = builds("command")
    assert build.result == "SUCCESS", build.console
    (call,) = build.calls
    assert call["argv"] == ["images", "prune"]
    assert call["arguments"] == {"environment": "dev", "dryRun": True, "keep": 3}
    assert builds("no_arguments").calls[0]["arguments"] == {}


def test_what_is_not_given_is_left_out(builds: Builds) -> None:
    (call,) = builds("left_out").calls
    assert call["arguments"] == {"e": False, "f": 0, "g": {"x": ""}, "h": [""]}


def test_a_hostile_value_arrives_as_it_is_and_does_nothing(builds: Builds) -> None:
    build = builds("hostile")
    assert build.result == "SUCCESS", build.console
    (call,) = build.calls
    assert call["arguments"] == {"name": HOSTILE, "many": [HOSTILE], "map": {"a": HOSTILE}}
    assert not list(build.home.rglob("pwned"))


def test_what_withenv_gets_has_nothing_that_it_would_replace(builds: Builds) -> None:
    sets = [s["arguments"]["overrides"] for s in builds("hostile").steps if s["step"] == "withEnv"]
    (text,) = [each for overrides in sets for each in overrides if each.startswith("JENKINS_AMI_STEP=")]
    assert text.isascii()
    assert "$" not in text
    assert text.isprintable()


def test_the_script_is_the_same_whatever_the_values_are(builds: Builds) -> None:
    scripts = {s["arguments"]["script"] for name in SCENARIOS for s in builds(name).steps if s["step"] == "sh"}
    assert sum("JENKINS_AMI_CLI" in script for script in scripts) == 1


def test_a_failing_command_fails_the_build_with_its_own_line(builds: Builds) -> None:
    build = builds("fails")
    assert build.result == "FAILURE"
    assert "ERROR: jenkins-ami gc failed with exit code 7: gc went wrong, here. Do something else.\n" in build.console


def test_the_reason_of_one_command_is_not_told_of_the_next(builds: Builds) -> None:
    build = builds("two")
    (line,) = [line for line in build.console.splitlines() if "compile failed" in line]
    assert "gc went wrong" not in line


def test_a_commands_output_may_go_into_a_file(builds: Builds) -> None:
    build = builds("status")
    assert "code 8\n" in build.console
    assert '{"counts": {"drifted": 1, "unchanged": 7}}' in build.console


def test_credentials_are_bound_while_the_body_runs_and_no_longer(builds: Builds) -> None:
    build = builds("secrets")
    assert build.result == "SUCCESS", build.console
    inside, outside = build.calls
    assert inside["aws"]["AWS_ACCESS_KEY_ID"] == "AKIDEXAMPLE"
    assert inside["aws"]["AWS_SECRET_ACCESS_KEY"] == SECRET
    assert inside["secrets"] == {"GERRIT_USER": "bot", "GERRIT_TOKEN": SECRET, "AMI_PARAM_KEY": SECRET}
    assert (outside["aws"], outside["secrets"]) == ({}, {})
    (bound,) = [s["arguments"]["bindings"] for s in build.steps if s["step"] == "withCredentials"]
    assert [each.get("roleArn") for each in bound if "accessKeyVariable" in each] == ["arn:aws:iam::1:role/x"]


def test_an_agent_is_throttled_where_the_plugin_is(builds: Builds) -> None:
    build = builds("throttled")
    assert build.result == "SUCCESS", build.console
    assert [s["arguments"] for s in build.steps if s["step"] == "throttle"] == [{"categories": ["images"]}]
    assert "inside\n" in build.console


def test_without_the_plugin_it_is_not(builds: Builds) -> None:
    build = builds("not_throttled")
    assert build.result == "SUCCESS", build.console
    assert "5 came back\n" in build.console


def test_only_the_step_that_may_be_missing_may_be_missing(builds: Builds) -> None:
    build = builds("another_missing_step")
    assert build.result == "FAILURE"
    assert "No such DSL method 'noSuchStep'" in build.console
    assert "otherwise" not in build.console
