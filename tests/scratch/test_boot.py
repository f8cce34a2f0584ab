from __future__ import annotations

import json

import pytest

from jenkins_ami.artifacts import ImageTest
from jenkins_ami.localcloud.boot import Settings, Target, describe, run_tests
from jenkins_ami.progress import Progress
from tests.conftest import Cli, MakeSource
from tests.scratch.conftest import Look

pytestmark = pytest.mark.boot

GIB = 1 << 30
LARGER = "df --output=size -B1M / | tail -1 | xargs test 2700 -lt"

TESTS_OF_ANY_SIZE = (
    ImageTest("cloud-init knows EC2", "cloud-id", stdout="aws"),
    ImageTest("cloud-init has no complaint", "cloud-init status --long", stdout="status: done"),
    ImageTest("no unit failed", "systemctl --failed --plain --no-legend | grep . && exit 1; echo none", stdout="none"),
    ImageTest("the network card is eth0, set up by cloud-init", "ifquery --state eth0", stdout="eth0=eth0"),
    ImageTest("the instance knows its own name", "getent hosts $(hostname)"),
    ImageTest("an ordinary user may sudo", "runuser -u debian -- sudo -n id -u", stdout="0"),
    ImageTest("a host key was made", "ls /etc/ssh", stdout="ssh_host_ed25519_key"),
    ImageTest("the machine has an identity of its own", "grep -Ex '[0-9a-f]{32}' /etc/machine-id"),
    ImageTest("dpkg is content", "dpkg --audit; dpkg --verify ca-certificates curl python3; apt-get check"),
    ImageTest("nothing is due at once", "systemctl is-enabled e2scrub_all.timer", stdout="masked", exit_code=1),
)
TESTS = (*TESTS_OF_ANY_SIZE, ImageTest("the root file system grew with the volume", LARGER))


def test_the_image_boots_as_an_instance(look: Look) -> None:
    target = Target("disk.raw", look.image.path, "raw", 3 * GIB)
    tests = (*TESTS, ImageTest("the firmware is a BIOS", "test ! -d /sys/firmware/efi"))
    report = run_tests(target, tests, Settings(firmware="bios", timeout=900), Progress())
    assert [describe(outcome) for outcome in report.outcomes if not outcome.ok] == []
    assert report.end.reason == "poweroff"


def test_the_image_boots_by_uefi_and_the_command_tells_how_each_test_ended(
    cli: Cli, look: Look, make_source: MakeSource
) -> None:
    tests = [
        *TESTS_OF_ANY_SIZE,
        ImageTest("booted by UEFI", "test -d /sys/firmware/efi"),
        ImageTest("is a miracle", "echo none seen; exit 3"),
    ]
    listed = [{"name": t.name, "run": t.run, "stdout": t.stdout, "exit_code": t.exit_code} for t in tests]
    source = make_source({"cloudinit/10_a.yml": "#cloud-config\n", "ami.yaml": json.dumps({"tests": listed})})
    assert cli("boot", look.image.path, "--firmware", "uefi", "--test", "--source", source, "--json") == 6
    report = json.loads(cli.out)
    wanted = [(test.name, test.name != "is a miracle") for test in tests]
    assert [(test["name"], test["ok"]) for test in report["tests"]] == wanted
    assert (report["tests"][-1]["output"], report["tests"][-1]["exit_code"]) == ("none seen\n", 3)
    assert (report["end"], report["ok"], report["firmware"]) == ("poweroff", False, "uefi")
