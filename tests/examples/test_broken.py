"""Ways to fail on the instance: each is named, none yields an image, none leaves anything behind."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jenkins_ami.localcloud.store import ImageStore
from tests.examples.test_good import EXAMPLES, jenkins_ami, machines_of

pytestmark = pytest.mark.boot

BROKEN = {
    "install-fails": (
        6,
        "exited with 1 (script/install.sh)",
        "install.sh: the license server does not answer",
    ),
    "runcmd-fails": (6, "false' exited with 1 (cloudinit/60_three.yml:4)", "second, and it fails"),
    "no-such-package": (6, "no-such-package-anywhere", "no-such-package-anywhere"),
    "damaged-overlay": (6, "exited with 1 (compile 51_overlay)", "the overlay was damaged on its way: its sha256 is"),
    "hangs": (4, "cloudinit/60_wait.yml:4", "waiting for something that never comes"),
    "powers-off-early": (6, "the instance powered off before it proved success", "cloudinit/60_off.yml"),
    "reboots": (6, "runcmd ended before its last command", "cloudinit/60_reboot.yml"),
    "exits-early": (6, "runcmd ended before its last command", "nothing more to do, says this file"),
    "panics": (6, "Kernel panic - not syncing: sysrq triggered crash", ""),
}


def test_every_broken_example_is_tested():
    assert {path.name for path in (EXAMPLES / "broken").iterdir() if path.is_dir()} == set(BROKEN)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_source_fails_with_its_reason_and_leaves_nothing(name, local_state, tmp_path):
    code, reason, on_console = BROKEN[name]
    extra = ["--timeout", "480"] if name == "hangs" else []  # time to get there, on a busy machine
    done = jenkins_ami(
        "bake", EXAMPLES / "broken" / name, "--local", "--state", local_state, "-o", tmp_path / "out", *extra
    )
    assert done.returncode == code, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert reason in last
    assert on_console in (tmp_path / "out" / "console.log").read_text()
    assert not (tmp_path / "out" / "ami.json").exists()
    assert not (tmp_path / "out" / "ami.env").exists()
    left_nothing(tmp_path / "out", local_state, f"broken-{name}")


def left_nothing(output: Path, state: Path, name: str) -> None:
    """No image, no open entry in the ledger, no machine, no disk of the instance."""
    assert [image.name for image in ImageStore(state).images() if image.name.startswith(name)] == []
    done = jenkins_ami("cleanup", output, "--json")
    assert done.returncode == 0, done.stderr
    entries = map(json.loads, (output / "ledger.jsonl").read_text().splitlines())
    ids = {name for entry in entries for name in entry.get("ids", []) if name.startswith("i-")}
    assert ids
    for instance in ids:
        assert [line for line in machines_of(state) if instance in line] == []
        assert list(state.rglob(f"*{instance}*")) == []


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill-9"])
def test_a_build_that_is_interrupted_leaves_nothing(sig, make_source, local_state, tmp_path):
    name = f"stopped-{sig.name.lower()}"
    source = make_source(env=f"NAME={name}\nVERSION=1.0\nBASE=scratch\n")
    output = tmp_path / "out"
    argv = [sys.executable, "-m", "jenkins_ami", "bake", source, "--local", "--state", local_state, "-o", output]
    child = subprocess.Popen(list(map(str, argv)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ledger = output / "ledger.jsonl"
    deadline = time.monotonic() + 120
    while not (ledger.exists() and '"i-' in ledger.read_text()):
        assert child.poll() is None, child.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    child.send_signal(sig)
    _, err = child.communicate(timeout=90)
    if sig == signal.SIGINT:
        assert child.returncode == 130
        assert err.splitlines()[-1] == "interrupted: SIGINT."
        assert (output / "console.log").exists()
    for _ in range(2):  # as often as it is called
        done = jenkins_ami("cleanup", output)
        assert done.returncode == 0, done.stderr
    left_nothing(output, local_state, name)
