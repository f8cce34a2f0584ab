"""``buildAmi()``: what a team's one line does on Jenkins. All builds run first, in one JVM; the tests look at them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import COMMIT, ROOT, SECRET, Build, Scenario, run_builds

pytestmark = pytest.mark.groovy

REAL = {"jenkins-ami": (sys.executable, "-m", "jenkins_ami")}
EXAMPLE = ROOT / "examples" / "minimal"
MINIMAL = {str(path.relative_to(EXAMPLE)): path.read_text() for path in EXAMPLE.rglob("*") if path.is_file()}
LIBRARY = "@Library('jenkins-ami') _\n"
ONE_LINE = LIBRARY + "buildAmi()\n"
HOSTILE = "a'b\"; touch pwned; $(touch pwned) `touch pwned` $HOME\\ *"
BACKSLASH = "\\"

BAD_PARAMETERS = {
    "[sorce: '.']": (
        "there is no parameter 'sorce'. Did you mean 'source'? Known are: source, repository, branch, refspec,"
        " credentialsId, version, environment, local, compileLabel, buildLabel, reuse, awsCredentialsId, timeout,"
        " folder, cli."
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

SCENARIOS = {
    "one_line": Scenario(ONE_LINE),
    "parameters": Scenario(
        LIBRARY
        + """def ami = buildAmi(source: 'images/web', environment: 'prod', awsCredentialsId: 'cloud', timeout: 5,
            compileLabel: 'small', buildLabel: 'large', cli: 'the cli')
        echo "${ami.name} ${ami.version} ${ami.build} ${ami.imageName} ${ami.region} ${ami.amiId} ${ami.images}"
        """,
        agents={"small": {}, "large": {}},
        commands={"the cli": (sys.executable, Path(__file__).with_name("fake_cli.py"))},
        repository={"images/web/ami.env": ""},
    ),
    "local": Scenario(LIBRARY + "buildAmi(local: true)"),
    "of_a_branch": Scenario(
        LIBRARY + "buildAmi(repository: params.REPOSITORY, source: 'images/web', version: '2.1', reuse: false)",
        refs={"refs/heads/feature/main": {"images/web/README": ""}, "refs/heads/main": {"images/web/ami.env": ""}},
    ),
    "of_a_change": Scenario(
        LIBRARY
        + "buildAmi(repository: params.REPOSITORY, refspec: 'refs/changes/34/1234/2', credentialsId: 'jenkins-ami')",
        refs={"refs/heads/main": {"README": ""}, "refs/changes/34/1234/2": {"ami.env": ""}},
    ),
    "of_a_branch_that_is_not_there": Scenario(
        LIBRARY + "buildAmi(repository: params.REPOSITORY, branch: 'nope')",
        refs={"refs/heads/main": {"ami.env": ""}},
    ),
    "reused": Scenario(LIBRARY + 'def ami = buildAmi(reuse: true)\necho "reused ${ami.reused} ${ami.amiId}"'),
    "hostile_version": Scenario(
        LIBRARY + f"buildAmi(version: {json.dumps(HOSTILE).replace('$', BACKSLASH + '$')})",
    ),
    "hostile": Scenario(
        LIBRARY + f"buildAmi(source: {json.dumps(HOSTILE).replace('$', BACKSLASH + '$')})",
        repository={f"{HOSTILE}/ami.env": ""},
    ),
    "bad_parameters": Scenario(
        LIBRARY
        + f"[{', '.join(BAD_PARAMETERS)}].each {{\n"
        + '    try { buildAmi(it) } catch (e) { echo "caught ${e.message}" }\n}\n'
    ),
    "bad_parameter": Scenario(LIBRARY + "buildAmi(sorce: '.')"),
    "compile_fails": Scenario(ONE_LINE, env={"FAKE_FAIL": "compile:2"}),
    "build_fails": Scenario(ONE_LINE, env={"FAKE_FAIL": "build:6"}),
    "cleanup_fails": Scenario(ONE_LINE, env={"FAKE_FAIL": "cleanup:7"}),
    "build_aborted": Scenario(ONE_LINE, env={"FAKE_HANG": "build"}, abort_at="waiting"),
    "build_aborted_cleanup_fails": Scenario(
        ONE_LINE, env={"FAKE_HANG": "build", "FAKE_FAIL": "cleanup:7"}, abort_at="waiting"
    ),
    "compile_times_out": Scenario(LIBRARY + "buildAmi(timeout: 2)", env={"FAKE_HANG": "compile"}, minute=0.5),
    "forged_ledger": Scenario(ONE_LINE, agents={"ami-compile": {"FAKE_EXTRA": "ledger.jsonl"}}),
    "unknown_credentials": Scenario(LIBRARY + "buildAmi(awsCredentialsId: 'nope')"),
    "called_on_an_agent": Scenario(LIBRARY + "node('ami-build') { writeFile(file: 'mine', text: ''); buildAmi() }"),
    "declarative": Scenario(
        LIBRARY
        + """pipeline {
            agent { label 'ami-build' }
            stages {
                stage('Image') { steps { buildAmi(source: '.') } }
                stage('After') { steps { script { def ami = buildAmi(folder: 'second'); echo "second ${ami.amiId}" } } }
            }
            post { always { echo "all done" } }
        }"""
    ),
    "two_in_parallel": Scenario(
        LIBRARY + "parallel(a: { buildAmi(folder: 'a') }, b: { buildAmi(folder: 'b') })",
    ),
    "real_compile_fails": Scenario(ONE_LINE, commands=REAL, repository={"README.md": ""}),
    "real_build_fails": Scenario(
        LIBRARY + "buildAmi(environment: 'nowhere')",
        env={"JENKINS_AMI_ENVIRONMENTS": "missing.yaml"},
        commands=REAL,
        repository=MINIMAL,
    ),
    "without_the_library": Scenario("buildAmi()"),
}

Builds = Callable[[str], Build]

RESULT_FILES = {"ami/ami.env", "ami/ami.json", "ami/console.log", "ami/ledger.jsonl"}
COMPILED_FILES = {"ami/cloud-config.yaml", "ami/compile.json", "ami/userdata.gz"}


def test_one_line_compiles_on_one_agent_and_builds_on_another(builds: Builds) -> None:
    build = builds("one_line")
    assert build.result == "SUCCESS", build.console
    assert [(call["agent"], call["argv"]) for call in build.calls] == [
        ("ami-compile", ["compile", f"--source-commit={COMMIT}", "source/.", "ami"]),
        ("ami-build", ["build", "compiled", "--environment=dev", "-o", "ami"]),
        ("ami-build", ["cleanup", "ami"]),
    ]


def test_the_stages_are_named(builds: Builds) -> None:
    stages = [step["arguments"]["name"] for step in builds("one_line").steps if step["step"] == "stage"]
    assert stages == ["Compile AMI", "Build AMI"]


def test_the_build_agent_gets_the_compiled_ami_and_no_source(builds: Builds) -> None:
    build = builds("one_line")
    assert build.calls[0]["files"] == ["source/ami.env"]
    assert build.calls[1]["files"] == [
        f"compiled/{name}" for name in ("cloud-config.yaml", "compile.json", "fs.tgz", "userdata.gz")
    ]


def test_everything_but_the_overlay_is_archived(builds: Builds) -> None:
    assert builds("one_line").archive.keys() == RESULT_FILES | COMPILED_FILES


def test_nothing_is_left_in_the_workspaces(builds: Builds) -> None:
    for name in ("one_line", "build_fails", "build_aborted", "compile_times_out"):
        assert not builds(name).workspaces, name


def test_description_and_display_name_show_the_image(builds: Builds) -> None:
    build = builds("one_line")
    assert build.display_name == "#7 minimal-1.0-3"
    assert build.description == "minimal-1.0-3: ami-0123 (eu-central-1), ami-4567 (us-east-1)"


def test_parameters_reach_the_command(builds: Builds) -> None:
    build = builds("parameters")
    assert build.result == "SUCCESS", build.console
    assert [(call["agent"], call["argv"]) for call in build.calls] == [
        ("small", ["compile", f"--source-commit={COMMIT}", "source/images/web", "ami"]),
        ("large", ["build", "compiled", "--environment=prod", "-o", "ami"]),
        ("large", ["cleanup", "ami"]),
    ]
    assert [s["arguments"] for s in build.steps if s["step"] == "timeout"] == [{"time": 5, "unit": "MINUTES"}] * 2


def test_the_step_returns_the_image_ids(builds: Builds) -> None:
    line = "minimal 1.0 3 minimal-1.0-3 eu-central-1 ami-0123 [eu-central-1:ami-0123, us-east-1:ami-4567]\n"
    assert line in builds("parameters").console


def test_credentials_are_there_for_build_and_cleanup_only(builds: Builds) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET}
    assert [(call["argv"][0], call["aws"]) for call in builds("parameters").calls] == [
        ("compile", {}),
        ("build", keys),
        ("cleanup", keys),
    ]


def test_unknown_credentials_fail_before_anything_is_built(builds: Builds) -> None:
    build = builds("unknown_credentials")
    assert build.result == "FAILURE"
    assert "ERROR: Could not find credentials entry with ID 'nope'" in build.console
    assert build.commands == ["compile"]


def test_local_builds_in_the_agents_own_cloud(builds: Builds) -> None:
    assert builds("local").calls[1]["argv"] == ["build", "compiled", "--local", "-o", "ami"]


def test_another_repository_is_cloned_at_its_branch(builds: Builds) -> None:
    build = builds("of_a_branch")
    assert build.result == "SUCCESS", build.console
    commit = build.commit("refs/heads/main")
    assert build.calls[0]["argv"] == [
        "compile",
        f"--source-commit={commit}",
        "--version=2.1",
        "source/images/web",
        "ami",
    ]
    assert build.calls[1]["argv"] == ["build", "compiled", "--environment=dev", "-o", "ami"]
    assert "source/images/web/ami.env" in build.calls[0]["files"]
    assert [name for call in build.calls[1:] for name in call["files"] if name.startswith("source")] == []


def test_a_change_of_another_repository_is_cloned_at_its_ref(builds: Builds) -> None:
    build = builds("of_a_change")
    assert build.result == "SUCCESS", build.console
    assert build.calls[0]["argv"][1] == f"--source-commit={build.commit('refs/changes/34/1234/2')}"
    (checkout,) = (step["arguments"]["scm"] for step in build.steps if step["step"] == "checkout")
    assert checkout["userRemoteConfigs"][0]["credentialsId"] == "jenkins-ami"
    assert checkout["branches"] == [{"name": "FETCH_HEAD"}]


def test_a_branch_that_is_not_there_fails_before_anything_is_compiled(builds: Builds) -> None:
    build = builds("of_a_branch_that_is_not_there")
    assert build.result == "FAILURE"
    assert not build.calls


def test_a_reused_image_is_said_to_be_one(builds: Builds) -> None:
    build = builds("reused")
    assert build.result == "SUCCESS", build.console
    assert build.calls[1]["argv"] == ["build", "compiled", "--environment=dev", "--reuse", "-o", "ami"]
    assert build.description == "minimal-1.0-3: ami-0123 (eu-central-1), ami-4567 (us-east-1), reused"
    assert "reused true ami-0123\n" in build.console
    assert build.archive.keys() == RESULT_FILES - {"ami/console.log"} | COMPILED_FILES


def test_a_hostile_version_is_one_word_and_nothing_more(builds: Builds) -> None:
    build = builds("hostile_version")
    assert build.result == "SUCCESS", build.console
    assert build.calls[0]["argv"][2] == f"--version={HOSTILE}"
    assert not list(build.home.rglob("pwned"))


def test_a_hostile_value_is_one_word_and_nothing_more(builds: Builds) -> None:
    build = builds("hostile")
    assert build.result == "SUCCESS", build.console
    assert build.calls[0]["argv"][-2] == f"source/{HOSTILE}"
    assert not list(build.home.rglob("pwned"))


@pytest.mark.parametrize("parameters", BAD_PARAMETERS)
def test_a_bad_parameter_is_refused(builds: Builds, parameters: str) -> None:
    assert f"caught buildAmi: {BAD_PARAMETERS[parameters]}" in builds("bad_parameters").console


def test_a_bad_parameter_fails_the_build_before_any_agent_is_taken(builds: Builds) -> None:
    build = builds("bad_parameter")
    assert build.result == "FAILURE"
    assert [step["step"] for step in build.steps] == ["error"]


def test_a_failed_compile_says_why_and_builds_nothing(builds: Builds) -> None:
    build = builds("compile_fails")
    assert build.result == "FAILURE"
    line = "ERROR: jenkins-ami compile failed with exit code 2: compile went wrong, here. Do something else.\n"
    assert line in build.console
    assert build.commands == ["compile"]
    assert not build.archive


def test_a_failed_build_says_why(builds: Builds) -> None:
    build = builds("build_fails")
    assert build.result == "FAILURE"
    line = "ERROR: jenkins-ami build failed with exit code 6: build went wrong, here. Do something else.\n"
    assert line in build.console
    assert build.description == ""


@pytest.mark.parametrize("name", ["build_fails", "build_aborted"])
def test_console_and_ledger_are_archived_without_an_image_too(builds: Builds, name: str) -> None:
    assert builds(name).archive.keys() == COMPILED_FILES | {"ami/console.log", "ami/ledger.jsonl"}


@pytest.mark.parametrize("name", ["build_fails", "build_aborted"])
def test_the_ledger_is_cleaned_up_without_an_image_too(builds: Builds, name: str) -> None:
    assert builds(name).commands == ["compile", "build", "cleanup"]


def test_an_aborted_build_is_aborted(builds: Builds) -> None:
    assert builds("build_aborted").result == "ABORTED"


def test_a_stage_that_takes_too_long_is_aborted(builds: Builds) -> None:
    build = builds("compile_times_out")
    assert build.result == "ABORTED"
    assert build.commands == ["compile"]


def test_a_failing_cleanup_makes_a_good_build_unstable_and_says_what_to_do(builds: Builds) -> None:
    build = builds("cleanup_fails")
    assert build.result == "UNSTABLE"
    assert "ERROR: Cleaning up failed: the cloud may hold something that ami/ledger.jsonl lists.\n" in build.console
    assert "ami-0123" in build.description
    assert build.archive.keys() == RESULT_FILES | COMPILED_FILES


def test_a_failing_cleanup_does_not_hide_the_abort(builds: Builds) -> None:
    assert builds("build_aborted_cleanup_fails").result == "ABORTED"


def test_a_ledger_from_the_compile_agent_is_never_cleaned_up(builds: Builds) -> None:
    build = builds("forged_ledger")
    assert "compiled/ledger.jsonl" in build.calls[1]["files"]
    assert build.commands == ["compile", "build"]


def test_called_on_an_agent_it_takes_its_own_and_leaves_that_workspace_alone(builds: Builds) -> None:
    build = builds("called_on_an_agent")
    assert build.result == "SUCCESS", build.console
    assert [call["agent"] for call in build.calls] == ["ami-compile", "ami-build", "ami-build"]
    assert build.workspaces.keys() == {"ami-build/workspace/job/mine"}


def test_declarative_pipelines_can_call_it(builds: Builds) -> None:
    build = builds("declarative")
    assert build.result == "SUCCESS", build.console
    assert "second ami-0123\n" in build.console
    assert "all done\n" in build.console


def test_two_images_in_one_build_keep_their_artifacts_apart(builds: Builds) -> None:
    build = builds("two_in_parallel")
    assert build.result == "SUCCESS", build.console
    assert {"a/ami.json", "b/ami.json"} <= build.archive.keys()
    assert build.display_name == "#7 minimal-1.0-3 minimal-1.0-3"
    assert len(build.description.splitlines()) == 2


def test_without_the_library_there_is_no_such_step(builds: Builds) -> None:
    build = builds("without_the_library")
    assert build.result == "FAILURE"
    assert "No such DSL method 'buildAmi' found among steps" in build.console


def test_the_real_command_says_why_it_does_not_compile(builds: Builds) -> None:
    build = builds("real_compile_fails")
    assert build.result == "FAILURE"
    (line,) = [line for line in build.console.splitlines() if line.startswith("ERROR: ")]
    assert line.startswith("ERROR: jenkins-ami compile failed with exit code 2: ")
    assert "ami.env" in line


def test_what_the_real_command_compiled_is_kept_when_the_build_fails(builds: Builds) -> None:
    build = builds("real_build_fails")
    assert build.result == "FAILURE"
    assert "ERROR: jenkins-ami build failed with exit code 2: " in build.console
    assert json.loads(build.archive["ami/compile.json"].read_text())["commit"] == COMMIT
    assert build.archive.keys() == COMPILED_FILES | {"ami/vars.env"}


@pytest.mark.boot
def test_the_one_line_builds_a_real_image_in_the_local_cloud(tmp_path: Path, local_state: Path) -> None:
    scenario = Scenario(
        LIBRARY + 'def ami = buildAmi(local: true)\necho "built ${ami.amiId}"\n',
        env={"JENKINS_AMI_STATE": str(local_state)},
        commands=REAL,
        repository=MINIMAL,
    )
    build = run_builds(tmp_path, {"real": scenario})["real"]
    assert build.result == "SUCCESS", build.console
    ami = json.loads(build.archive["ami/ami.json"].read_text())
    image = ami["images"][ami["region"]]["image_id"]
    assert f"built {image}\n" in build.console
    assert f"AMIID={image}\n" in build.archive["ami/ami.env"].read_text()
    assert build.archive.keys() == RESULT_FILES | COMPILED_FILES | {"ami/vars.env"}
    assert build.archive["ami/console.log"].stat().st_size > 0
