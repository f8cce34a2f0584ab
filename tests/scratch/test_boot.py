from __future__ import annotations

from typing import Literal

import pytest

from jenkins_ami.artifacts import ImageTest
from jenkins_ami.localcloud.boot import Settings, Target, describe, run_tests
from jenkins_ami.progress import Progress
from tests.scratch.conftest import Look

GIB = 1 << 30
LARGER = "df --output=size -B1M / | tail -1 | xargs test 2700 -lt"

TESTS = (
    ImageTest("cloud-init knows EC2", "cloud-id", stdout="aws"),
    ImageTest("cloud-init has no complaint", "cloud-init status --long", stdout="status: done"),
    ImageTest("no unit failed", "systemctl --failed --plain --no-legend | grep . && exit 1; echo none", stdout="none"),
    ImageTest("the root file system grew with the volume", LARGER),
    ImageTest("the network card is eth0, set up by cloud-init", "ifquery --state eth0", stdout="eth0=eth0"),
    ImageTest("the instance knows its own name", "getent hosts $(hostname)"),
    ImageTest("an ordinary user may sudo", "runuser -u debian -- sudo -n id -u", stdout="0"),
    ImageTest("a host key was made", "ls /etc/ssh", stdout="ssh_host_ed25519_key"),
    ImageTest("the machine has an identity of its own", "grep -Ex '[0-9a-f]{32}' /etc/machine-id"),
    ImageTest("dpkg is content", "dpkg --audit; dpkg --verify ca-certificates curl python3; apt-get check"),
    ImageTest("nothing is due at once", "systemctl is-enabled e2scrub_all.timer", stdout="masked", exit_code=1),
)


@pytest.mark.boot
@pytest.mark.parametrize(
    ("firmware", "evidence"), [("bios", "test ! -d /sys/firmware/efi"), ("uefi", "test -d /sys/firmware/efi")]
)
def test_the_image_boots_as_an_instance(look: Look, firmware: Literal["bios", "uefi"], evidence: str) -> None:
    target = Target("disk.raw", look.image.path, "raw", 3 * GIB)
    tests = (*TESTS, ImageTest("the firmware is the one asked for", evidence))
    report = run_tests(target, tests, Settings(firmware=firmware, timeout=900), Progress())
    assert [describe(outcome) for outcome in report.outcomes if not outcome.ok] == []
    assert report.end.reason == "poweroff"
