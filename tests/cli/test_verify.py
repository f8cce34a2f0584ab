"""``jenkins-ami verify``: what it prints, exits with and leaves. Machines are simulated, save for the last."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jenkins_ami.artifacts import read_build_result
from jenkins_ami.scratch.image import recipe_digest
from jenkins_ami.scratch.spec import load_spec
from jenkins_ami.verification import read_verification
from tests.cloud.conftest import _endpoint, _home, server
from tests.cloud.server import BY_ITSELF
from tests.cloud.simulated import Script, make_image
from tests.verify.repo import Repo, below

__all__ = ["_endpoint", "_home", "server"]

EXAMPLES = Path(__file__).parents[2] / "examples"
TESTS = "tests: [{name: one, run: 'true'}, {name: two, run: 'true'}]\n"


@pytest.fixture
def repo(tmp_path, monkeypatch):
    """A repository with an AMI source ``web``, in which we are."""
    repo = Repo(tmp_path / "repo")
    repo.commit(below("web") | {"web/ami.yaml": TESTS}, "first")
    monkeypatch.chdir(repo.path)
    return repo


@pytest.fixture
def state(server, tmp_path, monkeypatch):
    """The state folder of a local cloud with simulated machines, whose only image is the base."""
    server.cloud.simulation.script = Script()
    folder = server.cloud.store.state
    tags = {"jenkins-ami:base": f"scratch/{recipe_digest(load_spec(None))}"}
    make_image(server.cloud.store, "debian", region="us-east-1", tags=tags)
    port = int(server.endpoint.rpartition(":")[2])
    (folder / "endpoint.json").write_text(json.dumps({"endpoint": server.endpoint, "port": port, "pid": os.getpid()}))
    qemu = tmp_path / "bin" / "qemu-system-x86_64"
    qemu.parent.mkdir()
    qemu.write_text("#!/bin/sh\nexit 1\n")
    qemu.chmod(0o755)
    monkeypatch.setenv("PATH", f"{qemu.parent}:{os.environ['PATH']}")
    return folder


def images(server):
    return [image.name for image in server.cloud.store.images()]


def booted(output):
    (source,) = read_verification(output).sources
    return source.boot


# What is printed


def test_people_read_what_changes_and_what_came_of_it(repo, cli, tmp_path):
    parent = repo.git("rev-parse", "HEAD")
    commit = repo.commit({"web/fs/etc/motd": "hi\n"}, "Say <hi> $(x)\n\nmore")
    assert cli("verify", "-o", tmp_path / "out", "--boot", "no") == 0, cli.err
    (source,) = read_verification(tmp_path / "out").sources
    assert cli.out.splitlines() == [
        f"commit {commit[:12]} 'Say <hi> $(x)' passed",
        "web (web 1.0) passed",
        f"  changes from {parent[:12]}",
        "    manifest",
        "      ~ overlay.placement: none -> inline",
        "    overlay",
        "      + fs/etc (folder, 0755 root:root)",
        "      + fs/etc/motd (3 B, 0644 root:root)",
        f"  user-data  {source.userdata.old} -> {source.userdata.new} bytes",
        f"  overlay    0 -> {source.overlay.new} bytes",
    ]
    assert source.boot is None


def test_json_is_what_the_file_holds(repo, cli, tmp_path):
    repo.commit({"README.md": "x"})
    assert cli("verify", "-o", tmp_path / "out", "--json") == 0
    assert json.loads(cli.out) == json.loads((tmp_path / "out/verification.json").read_text())
    assert json.loads(cli.out)["outcome"] == "skipped"


def test_a_failure_gives_its_exit_code_and_its_reason_to_who_asks(repo, cli, tmp_path, monkeypatch):
    monkeypatch.setenv("JENKINS_AMI_ERROR_FILE", str(tmp_path / "error.txt"))
    repo.commit({"web/cloudinit/10_a.yml": "#cloud-config\npakages: [a]\n"})
    assert cli("verify", "-o", tmp_path / "out", "--boot", "no") == 2
    line = "web: there is no cloud-config key 'pakages' (web/cloudinit/10_a.yml:2:1)"
    assert cli.out.splitlines()[-1] == f"failed: {line}"
    assert (tmp_path / "error.txt").read_text() == f"{line}\n"
    assert "  web/cloudinit/10_a.yml:2:1: error: there is no cloud-config key 'pakages'. " in cli.out


def test_sources_and_the_work_tree_can_be_named(repo, cli, tmp_path, monkeypatch):
    repo.commit({"web/fs/a": "1"} | below("other"))
    monkeypatch.chdir("/")
    assert cli("verify", "--work-tree", repo.path / "web", "../other", "-o", tmp_path / "out", "--boot", "no") == 0
    assert [source.folder for source in read_verification(tmp_path / "out").sources] == ["other"]


def test_another_commit_can_be_what_it_is_compared_with(repo, cli, tmp_path):
    base = repo.git("rev-parse", "HEAD")
    repo.commit({"web/fs/a": "1"})
    repo.commit({"README.md": "1"})
    assert cli("verify", "-o", tmp_path / "out", "--base", "HEAD~2", "--boot", "no") == 0
    assert read_verification(tmp_path / "out").parent == base


def test_parameters_are_given_as_for_compile(repo, cli, tmp_path):
    repo.commit({"web/ami.yaml": "parameters: {flavour: {}}\n"})
    assert cli("verify", "-o", tmp_path / "out", "--boot", "no") == 1
    assert cli.out.splitlines()[-1] == ("broken: web: the parameter 'flavour' has no value. Give --param flavour=VALUE")
    assert cli("verify", "-o", tmp_path / "out", "--boot", "no", "--param", "flavour=x") == 0


def test_no_sandbox_can_be_asked_for(repo, cli, tmp_path):
    repo.commit({"web/script/compile.sh": f"#!/bin/sh\ntest -d {tmp_path}\n"})
    assert cli("verify", "-o", tmp_path / "out", "--boot", "no") == 4
    assert cli("verify", "-o", tmp_path / "out", "--boot", "no", "--sandbox", "none") == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "the following arguments are required: -o/--output. See 'jenkins-ami verify --help'."),
        (["-o", "out", "--base", ""], "--base is empty. Name a commit, or leave it out."),
        (["-o", "out", "--timeout", "0"], "--timeout is '0'. Give whole seconds, at most 604800 (7 days)."),
        (["-o", "out", "--param", "x"], "--param 'x' is not NAME=VALUE."),
        (
            ["-o", "out", "--boot", "maybe"],
            "argument --boot: invalid choice: 'maybe' (choose from 'auto', 'yes', 'no'). "
            "See 'jenkins-ami verify --help'.",
        ),
    ],
)
def test_a_command_line_that_makes_no_sense_writes_nothing(repo, cli, words, line):
    assert cli("verify", *words) == 1
    assert cli.error == line
    assert not Path("out").exists()


def test_what_is_compiled_is_what_compile_makes_of_a_checkout(repo, cli, tmp_path):
    files = {"web/fs/opt/run": "#!/bin/sh\n", "web/script/compile.sh": "#!/bin/sh\ndate >fs/opt/x\nrm fs/opt/x\n"}
    commit = repo.commit(files | {"web/.hidden": "x", "web/README.md": "x"})
    (repo.path / "web/fs/opt/run").chmod(0o775)
    assert cli("verify", "-o", tmp_path / "out", "--boot", "no") == 0
    assert cli("compile", "web", tmp_path / "compiled", "--source-commit", commit) == 0
    for path in (tmp_path / "compiled").iterdir():
        assert path.read_bytes() == (tmp_path / "out/1-web" / path.name).read_bytes()


# In the local cloud


def test_the_image_is_built_and_tested_and_leaves_the_local_cloud_as_it_was(repo, state, server, cli, tmp_path):
    repo.commit({"web/fs/a": "1"})
    assert cli("verify", "-o", tmp_path / "out", "--state", state) == 0, cli.err
    boot = booted(tmp_path / "out")
    assert boot.outcome == "passed"
    assert [(test.name, test.ok) for test in boot.tested] == [("one", True), ("two", True)]
    assert len(server.launches) == 2
    assert images(server) == ["debian"]
    assert len(server.cloud.store.snapshots()) == 1
    assert not server.instances
    left = {path.name for path in (tmp_path / "out/1-web/boot").iterdir()}
    assert left == {"ami.json", "console.log", "console-test.log", "ledger.jsonl"}


def test_a_test_that_fails_fails_the_change_and_all_tests_are_told(repo, state, server, cli, tmp_path):
    server.script.failing = {1: 3}
    repo.commit({"web/fs/a": "1"})
    assert cli("verify", "-o", tmp_path / "out", "--state", state) == 6
    verification = read_verification(tmp_path / "out")
    assert verification.outcome == "failed"
    assert verification.reason.endswith("fails its test 'two': exited with 3 instead of 0")
    assert [(test.name, test.ok) for test in booted(tmp_path / "out").tested] == [("one", True), ("two", False)]
    assert (tmp_path / "out/1-web/boot/console-test.log").is_file()
    assert not (tmp_path / "out/1-web/boot/ami.json").exists()
    assert images(server) == ["debian"]


def test_an_instance_that_ends_without_proof_fails_the_change(repo, state, server, cli, tmp_path):
    server.stop(BY_ITSELF, console=b"all is well\r\n")
    repo.commit({"web/fs/a": "1"})
    assert cli("verify", "-o", tmp_path / "out", "--state", state) == 6
    assert booted(tmp_path / "out").outcome == "failed"
    assert "all is well" in (tmp_path / "out/1-web/boot/console.log").read_text()
    assert images(server) == ["debian"]


def test_an_instance_has_the_seconds_that_are_given(repo, state, server, cli, tmp_path):
    server.script.state = "running"
    repo.commit({"web/fs/a": "1"})
    assert cli("verify", "-o", tmp_path / "out", "--state", state, "--timeout", "1") == 4
    assert "still running after 1.0 s" in booted(tmp_path / "out").reason


def test_an_instance_type_that_there_is_not_fails_the_change(repo, state, server, cli, tmp_path):
    repo.commit({"web/ami.yaml": "instance_types: [m9.huge]\n"})
    assert cli("verify", "-o", tmp_path / "out", "--state", state) == 2
    assert "m9.huge" in booted(tmp_path / "out").reason
    assert not server.launches


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"web/ami.env": "NAME=web\nVERSION=1\nBASE=ssm:/a/b\n"}, "the local cloud has no base image ssm:/a/b"),
        (
            {"web/ami.env": "NAME=web\nVERSION=1\nBASE=ami-0123456789abcdef0\n"},
            "the local cloud does not have its base image: there is no image ami-0123456789abcdef0 in us-east-1",
        ),
        (
            {"web/ami.env": "NAME=web\nVERSION=1\nBASE=base-1.4\n"},
            "the local cloud does not have its base image: there is no available image 'base-1.4' of your own",
        ),
        (
            {
                "web/ami.env": "NAME=web\nVERSION=1\n",
                "web/ami.yaml": "base: {name: debian-12-*, owners: ['136693071363']}\n",
            },
            "the local cloud does not have its base image: there is no available image 'debian-12-*' of 136693071363",
        ),
        ({"web/ami.yaml": "architecture: arm64\n"}, "the local cloud does not have its base image: "),
    ],
    ids=["ssm", "id", "name", "owner", "arm64"],
)
@pytest.mark.parametrize("wish", ["auto", "yes"])
def test_a_base_that_the_local_cloud_does_not_have_is_no_failure(
    repo, state, server, cli, tmp_path, files, reason, wish
):
    repo.commit(files)
    assert cli("verify", "-o", tmp_path / "out", "--state", state, "--boot", wish) == 0
    assert booted(tmp_path / "out").outcome == "skipped"
    assert booted(tmp_path / "out").reason.startswith(reason)
    assert not server.launches


def test_an_overlay_that_somebody_else_puts_at_a_url_is_not_asked_for(repo, state, server, cli, tmp_path):
    url = f"{server.endpoint.replace('http', 'https')}/images"
    repo.commit({"web/ami.yaml": f"storage: {url}\n", "web/fs/a": os.urandom(50_000)})
    assert cli("verify", "-o", tmp_path / "out", "--state", state) == 0
    assert booted(tmp_path / "out").reason == (
        "its overlay is to be fetched from an https URL, where a change's is not yet"
    )


def test_without_qemu_nothing_is_booted_unless_it_must(repo, state, cli, tmp_path, monkeypatch):
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "git").symlink_to("/usr/bin/git")
    monkeypatch.setenv("PATH", str(bare))
    repo.commit({"web/fs/a": "1"})
    reason = "qemu-system-x86_64 is not installed. Install it: apt-get install qemu-system-x86"
    assert cli("verify", "-o", tmp_path / "out", "--state", state) == 0
    assert booted(tmp_path / "out").reason == f"{reason}."
    assert f"warning: the image is not booted: {reason}." in cli.err
    assert cli("verify", "-o", tmp_path / "out", "--state", state, "--boot", "yes") == 1
    assert read_verification(tmp_path / "out").reason == f"web: {reason}"


def test_a_machine_that_breaks_down_while_it_boots_is_no_pass(repo, state, server, cli, tmp_path):
    repo.commit({"web/fs/a": "1"})
    server.before["create_image"] = lambda: shutil.rmtree(tmp_path / "out/1-web/boot")
    assert cli("verify", "-o", tmp_path / "out", "--state", state) == 1
    assert read_verification(tmp_path / "out").outcome == "broken"
    assert "cannot be written" in read_verification(tmp_path / "out").reason
    assert images(server) == ["debian"]


def test_neither_variables_nor_credentials_of_the_caller_have_a_say(repo, state, server, cli, tmp_path, monkeypatch):
    monkeypatch.setenv("BUILDAMI_BASEAMI", "ami-0123456789abcdef0")
    monkeypatch.setenv("BUILDAMI_SUBNET", "subnet-0123")
    monkeypatch.setenv("JENKINS_AMI_ENVIRONMENT", "prod")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    repo.commit({"web/fs/a": "1"})
    assert cli("verify", "-o", tmp_path / "out", "--state", state) == 0, cli.err
    assert booted(tmp_path / "out").outcome == "passed"


def test_an_interrupt_while_the_image_is_tested_leaves_nothing_in_the_local_cloud(repo, state, server, cli, tmp_path):
    repo.commit({"web/fs/a": "1"})

    def interrupt():
        if len(server.launches) == 2:
            server.before.clear()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)

    server.before["describe_instances_by_id"] = interrupt
    assert cli("verify", "-o", tmp_path / "out", "--state", state) == 130
    verification = read_verification(tmp_path / "out")
    assert (verification.outcome, verification.reason) == ("broken", "interrupted by SIGTERM")
    assert images(server) == ["debian"]
    assert not server.instances


# As a process


def test_sigterm_while_compile_sh_runs_ends_it_and_tells_what_is_known(repo, tmp_path):
    seconds = f"1000.{os.getpid()}7"
    repo.commit({"web/script/compile.sh": f"#!/bin/sh\necho begun >&2\nsleep {seconds}\n"})
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    argv = [sys.executable, "-m", "jenkins_ami", "verify", "-o", str(tmp_path / "out"), "--boot", "no"]
    environ = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(EXAMPLES.parent)}
    with subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as child:
        for line in child.stderr:
            if "compile.sh| begun" in line:
                break
        child.send_signal(signal.SIGTERM)
        err = child.communicate(timeout=60)[1]
    assert child.returncode == 130, err
    assert err.splitlines()[-1] == "interrupted: SIGTERM."
    verification = read_verification(tmp_path / "out")
    assert (verification.outcome, verification.reason) == ("broken", "interrupted by SIGTERM")
    assert [source.outcome for source in verification.sources] == ["broken"]
    assert list(temporary.iterdir()) == []
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["verification.json"]
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "ps -eo args" in running and seconds not in running


@pytest.mark.boot
def test_a_change_is_verified_on_a_real_machine(local_state, tmp_path):
    repo = Repo(tmp_path / "repo")
    minimal = {
        str(path.relative_to(EXAMPLES)): path.read_bytes()
        for path in (EXAMPLES / "minimal").rglob("*")
        if path.is_file()
    }
    repo.commit(minimal, "first")
    test = "  - {name: the new file is there, run: cat /etc/greeting, stdout: hello}\n"
    more = {"minimal/ami.yaml": minimal["minimal/ami.yaml"].decode() + test, "minimal/fs/etc/greeting": "hello\n"}
    commit = repo.commit(more, "Greet")
    argv = ["verify", "--work-tree", repo.path, "-o", tmp_path / "out", "--state", local_state, "--boot", "yes"]
    done = subprocess.run([sys.executable, "-m", "jenkins_ami", *map(str, argv)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    verification = read_verification(tmp_path / "out")
    (source,) = verification.sources
    assert (verification.commit, verification.outcome) == (commit, "passed")
    assert source.boot.outcome == "passed"
    assert [(test.name, test.ok) for test in source.boot.tested] == [
        ("the message of the day is ours", True),
        ("the new file is there", True),
    ]
    assert "  + fs/etc/greeting (6 B, 0644 root:root)" in source.changes
    assert "JENKINS-AMI-VERDICT:OK" in (tmp_path / "out/1-minimal/boot/console.log").read_text()
    # other tests make images in this store at the same time
    made = {record.image_id for record in read_build_result(tmp_path / "out/1-minimal/boot").images.values()}
    assert made and not made & {path.stem for path in (local_state / "images").iterdir()}
