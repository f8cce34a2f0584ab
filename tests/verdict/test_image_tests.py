"""Tests on a booted image: the real runner script, run here, and the reading of its lines."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from jenkins_ami.artifacts import ImageTest
from jenkins_ami.verdict import image_tests, markers

NONCE = "0123456789abcdef"
TESTS = [
    ImageTest("passes", "echo hello; exit 0", stdout="hell"),
    ImageTest("wrong text", "echo other", stdout="hello"),
    ImageTest("fails", "echo why >&2; exit 3"),
    ImageTest("is meant to fail", "exit 4", exit_code=4),
    ImageTest("hangs", "sleep 60", timeout=1),
    ImageTest("special characters", "printf '%s\\n' 'a*b[c] \"q\" $HOME'", stdout='a*b[c] "q" $HOME'),
    ImageTest("two lines", "printf 'one\\ntwo\\nthree\\n'", stdout="one\ntwo"),
    ImageTest("much output", "head -c 300000 /dev/zero | tr '\\0' x; echo end", stdout="end"),
]


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    """The bytes that the runner writes to /dev/console, here redirected to a file by the one word that names it."""
    folder = tmp_path_factory.mktemp("guest")
    config = yaml.safe_load(image_tests.user_data(TESTS, NONCE))
    for entry in config["write_files"]:
        name = Path(entry["path"]).name
        (folder / name).write_text(
            entry["content"]
            .replace("/dev/console", str(folder / "console"))
            .replace(">" + str(folder), ">>" + str(folder))
        )
    (folder / "systemctl").write_text("#!/bin/sh\nexit 0\n")
    (folder / "systemctl").chmod(0o755)
    env = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    condition = config["power_state"]["condition"]
    subprocess.run(["sh", folder / "run.sh", *condition[2:]], check=True, env=env)
    return (folder / "console").read_bytes()


def test_each_test_is_reported_with_its_own_reason(console):
    outcomes = image_tests.parse(console, TESTS, NONCE)
    assert {o.test.name: o.reason for o in outcomes} == {
        "passes": "",
        "wrong text": "its output lacks 'hello'",
        "fails": "exited with 3 instead of 0",
        "is meant to fail": "",
        "hangs": "did not end within 1 s",
        "special characters": "",
        "two lines": "",
        "much output": "",
    }
    assert outcomes[2].output == "why\n"


def test_one_failure_makes_the_verdict_a_failure(console):
    assert markers.parse(console, NONCE).state == markers.FAIL


def test_a_test_without_a_line_has_failed():
    (outcome,) = image_tests.parse(b"", TESTS[:1], NONCE)
    assert not outcome.ok
    assert outcome.reason == "no result came from the instance"


def test_the_machine_powers_off_whatever_comes_out():
    config = yaml.safe_load(image_tests.user_data(TESTS[:1], NONCE))
    assert config["power_state"]["mode"] == "poweroff"
    assert config["power_state"]["condition"][2:] == [NONCE, "1"]
    assert json.loads(image_tests.user_data(TESTS[:1], NONCE).split(b"\n", 1)[1]) == config
