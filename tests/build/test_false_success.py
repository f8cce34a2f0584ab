"""Every way to stop without succeeding that EC2 and its console allow: none of them yields an image.

What a machine can do by itself is done by real ones, in ``tests/examples/test_broken.py``.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from jenkins_ami.artifacts import Timeouts
from jenkins_ami.build.prepare import Options
from jenkins_ami.build.run import build
from jenkins_ami.cloud.ledger import read
from jenkins_ami.errors import AmiError
from jenkins_ami.progress import Progress

from ..cloud.simulated import Script
from .compiled import FAIL, NONCE, OK, write

ITSELF = "Client.InstanceInitiatedShutdown"
USER = "Client.UserInitiatedShutdown"
OTHERS = OK.replace(NONCE.encode(), b"fedcba9876543210")
LONG = b"".join(b"[%8d] a line of a busy service\r\n" % number for number in range(4000))

WAYS = {
    "a power-off before any step": Script(state="stopped", reason=ITSELF, console=b"reboot: Power down\r\n"),
    "a silent console": Script(state="stopped", reason=ITSELF, console=b""),
    "a FAIL": Script(state="stopped", reason=ITSELF, console=FAIL),
    "a FAIL while it runs": Script(state="running", console=FAIL),
    "an OK and a FAIL": Script(state="stopped", reason=ITSELF, console=OK + FAIL),
    "a FAIL and an OK": Script(state="stopped", reason=ITSELF, console=FAIL + OK),
    "another build's OK": Script(state="stopped", reason=ITSELF, console=OTHERS),
    "an OK with a longer nonce": Script(state="stopped", reason=ITSELF, console=OK.rstrip() + b"0\r\n"),
    "half an OK": Script(state="stopped", reason=ITSELF, console=OK.rstrip()[:-1]),
    "an OK that a shell only shows": Script(
        state="stopped",
        reason=ITSELF,
        console=b"+ printf '%s%s:%s:%s\\n' JENKINS-AMI- VERDICT OK " + NONCE.encode() + b"\r\n",
    ),
    "an OK and then a panic": Script(
        state="stopped", reason=ITSELF, console=OK + b"[9.1] Kernel panic - not syncing: Fatal exception\r\n"
    ),
    "a panic without a stop": Script(state="running", console=b"[9.1] Kernel panic - not syncing: VFS\r\n"),
    "an OK that has left the console's window": Script(
        state="stopped", reason=ITSELF, console=OK + LONG, console_window=65_536
    ),
    "an OK that never reaches the console": Script(state="stopped", reason=ITSELF, console=OK, console_reads=10_000),
    "an OK after the console's deadline": Script(state="stopped", reason=ITSELF, console=OK, console_delay=60.0),
    "an OK, and never a stop": Script(state="running", console=OK),
    "an OK, stopped by a person": Script(state="stopped", reason=USER, console=OK),
    "an OK, terminated by a person": Script(state="terminated", reason=USER, console=OK),
    "an OK, terminated by itself": Script(state="terminated", reason=ITSELF, console=OK),
    "an OK, stopped for no reason that EC2 tells": Script(state="stopped", reason="Unknown", console=OK),
    "an OK, and a spot reclaim": Script(state="stopped", reason="Server.SpotInstanceShutdown", console=OK),
    "an OK, and a spot termination": Script(state="terminated", reason="Server.SpotInstanceTermination", console=OK),
    "an OK, and a stop for maintenance": Script(state="stopped", reason="Server.ScheduledStop", console=OK),
    "an OK, and a dead host": Script(state="stopped", reason="Server.InternalError", console=OK),
    "a KMS key that EC2 may not use": Script(state="terminated", reason="Client.InternalError", console=b""),
    "a limit of volumes": Script(state="terminated", reason="Client.VolumeLimitExceeded", console=b""),
    "user-data that is not used": Script(
        state="running", console=b"[9.1] cloud-init[1]: Cloud-init v. 22.4.2 finished at Wed\r\n"
    ),
    "an image that fails": Script(state="stopped", reason=ITSELF, console=OK, image_states=["pending", "failed"]),
    "an image that is never available": Script(
        state="stopped", reason=ITSELF, console=OK, image_states=["pending"] * 30
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_stop_that_is_no_success_is_no_image(server, environment, tmp_path, way):
    server.cloud.simulation.script = replace(WAYS[way])
    target = write(tmp_path / "compiled", base=server.base(), timeouts=Timeouts(instance=1, image=0))
    with pytest.raises(AmiError) as caught:
        build(target, environment, target, Progress(), Options(timeout=0.5))
    assert caught.value.exit_code in (4, 5, 6, 7)
    assert caught.value.what
    server.assert_nothing_is_left()
    assert not (target / "ami.json").exists()
    assert not (target / "ami.env").exists()
    assert [entry for entry in read(target / "ledger.jsonl") if entry.open] == []
