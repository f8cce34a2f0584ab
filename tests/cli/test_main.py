"""The front door: help, unknown words, exit codes, one line per error, signals."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from jenkins_ami.cli import COMMANDS, main


def test_help_lists_every_command_and_the_exit_codes(cli):
    assert cli("--help") == 0
    assert all(f"  {name}" in cli.out for name in COMMANDS)
    assert "130 interrupted" in cli.out


def test_no_command_shows_the_help(cli):
    assert cli() == 0
    assert "commands:" in cli.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, cli):
    assert cli(command, "--help") == 0
    assert cli.out.startswith(f"usage: jenkins-ami {command}")
    assert "--json" in cli.out


def test_version(cli):
    assert cli("--version") == 0
    assert cli.out.startswith("jenkins-ami 0.")


def test_an_unknown_command_gets_a_suggestion(cli):
    assert cli("complie") == 1
    assert cli.error == "there is no command 'complie'. Did you mean 'compile'."


def test_an_option_before_the_command_is_refused_with_a_hint(cli):
    assert cli("--frobnicate", "compile") == 1
    assert cli.error.startswith("unrecognized arguments: --frobnicate.")


def test_an_error_is_one_json_object_with_json(cli, tmp_path):
    assert cli("compile", tmp_path / "nowhere", tmp_path / "out", "--json") == 2
    assert json.loads(cli.out) == {
        "error": "InputError",
        "what": "the AMI source does not exist",
        "file": str(tmp_path / "nowhere"),
        "exit_code": 2,
    }


def test_a_usage_error_is_one_json_object_with_json(cli):
    assert cli("compile", "--json") == 1
    assert json.loads(cli.out)["error"] == "UsageError"


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_child_and_the_temporary_files_and_exits_130(sig, make_source, tmp_path):
    pid_file = tmp_path / "pid"
    script = f"#!/bin/sh\necho $$ >{pid_file}\nsleep 1000\n"
    source = make_source({"script/compile.sh": script})
    argv = [sys.executable, "-m", "jenkins_ami", "compile", str(source), str(tmp_path / "out")]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not (pid_file.exists() and pid_file.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(sig)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert err.splitlines()[-1] == f"interrupted: {sig.name}."
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pid", "source"]


def test_a_reader_that_goes_away_is_no_error(make_source, tmp_path):
    argv = [sys.executable, "-m", "jenkins_ami", "--help"]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.close()
    assert b"Traceback" not in child.stderr.read()
    child.stderr.close()
    child.wait(20)


def test_main_reports_the_exit_code_of_a_broken_source_without_a_traceback(make_source, tmp_path, capsys):
    assert main(["compile", str(make_source({"ami.env": "NAME"})), str(tmp_path / "out")]) == 2
    assert "Traceback" not in capsys.readouterr().err
