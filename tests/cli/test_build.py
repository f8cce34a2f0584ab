"""``jenkins-ami build`` as a command: where it builds, what it prints, what it exits with. No machine is booted."""

from __future__ import annotations

import json

import pytest

from tests.build.compiled import FAIL, OK, write
from tests.cloud.conftest import _endpoint, _home, server

__all__ = ["_endpoint", "_home", "server"]

ITSELF = "Client.InstanceInitiatedShutdown"


@pytest.fixture
def target(server, tmp_path, monkeypatch):
    """A compiled AMI, and an environments file in the current folder that names the test server ``lab``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "environments.yaml").write_text(
        f"environments:\n  lab:\n    region: eu-central-1\n    endpoint: {server.endpoint}\n"
    )
    return write(tmp_path / "compiled", base=server.base())


def test_the_result_names_the_image_its_files_and_how_to_boot_it(server, target, cli):
    server.stop(ITSELF, console=OK)
    assert cli("build", target, "--environment", "lab") == 0, cli.err
    (image,) = server.images
    assert cli.out.splitlines() == [
        "image   web-1.0-1",
        f"ami     {image.id} in eu-central-1",
        f"files   {target}: ami.json, ami.env, console.log, ledger.jsonl",
        f"boot    aws ec2 run-instances --region eu-central-1 --image-id {image.id}",
    ]


def test_as_json_the_result_is_what_ami_json_holds(server, target, cli, tmp_path):
    server.stop(ITSELF, console=OK)
    assert cli("build", target, "--environment", "lab", "--json", "-o", tmp_path / "out") == 0
    assert json.loads(cli.out) == json.loads((tmp_path / "out" / "ami.json").read_text())


def test_a_variable_can_name_the_environment(server, target, cli, monkeypatch):
    server.stop(ITSELF, console=OK)
    monkeypatch.setenv("JENKINS_AMI_ENVIRONMENT", "lab")
    assert cli("build", target) == 0


def test_an_instance_that_fails_exits_6_with_its_log(server, target, cli):
    server.script.console = FAIL
    assert cli("build", target, "--environment", "lab") == 6
    assert cli.error == (
        "the instance reported failure: cloudinit/60_x.yml:4 exited with 7. console.log has all that it said."
    )
    assert "  Failed to enable unit\n" in cli.err
    server.assert_nothing_is_left()


def test_the_console_is_shown_with_v(server, target, cli):
    server.stop(ITSELF, console=OK)
    assert cli("build", target, "--environment", "lab", "-v") == 0
    assert "console| [  OK  ] Started things." in cli.err


def test_without_an_environment_both_ways_are_explained(target, cli):
    assert cli("build", target) == 1
    assert cli.error.startswith("no environment to build in is named. Use --local for a local cloud on this machine")
    assert "--environment NAME (or $JENKINS_AMI_ENVIRONMENT)" in cli.error


def test_an_unknown_environment_lists_those_there_are(target, cli):
    assert cli("build", target, "--environment", "prod") == 2
    assert cli.error == "there is no environment 'prod' (environments.yaml). There is: lab."


def test_local_and_an_environment_exclude_each_other(target, cli):
    assert cli("build", target, "--local", "--environment", "lab") == 1


@pytest.mark.parametrize("value", ["0", "-1", "x", "nan", "inf", "604801"])
def test_a_timeout_that_is_none(target, cli, value):
    assert cli("build", target, "--environment", "lab", f"--timeout={value}") == 1
    assert cli.error.startswith(f"--timeout is '{value}'")


def test_a_target_that_was_not_compiled(cli, tmp_path):
    assert cli("build", tmp_path, "--local") == 2
    assert "'jenkins-ami compile' writes it" in cli.error


def test_an_endpoint_that_is_not_there_exits_7(target, cli, tmp_path):
    file = tmp_path / "environments.yaml"
    file.write_text("environments: {lab: {region: eu-central-1, endpoint: 'http://127.0.0.1:1'}}")
    assert cli("build", target, "--environment", "lab") == 7
    assert cli.error.startswith("the cloud cannot be reached (environment lab, http://127.0.0.1:1).")
