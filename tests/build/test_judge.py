from __future__ import annotations

import pytest

from jenkins_ami.artifacts import Command
from jenkins_ami.build.judge import Observation, failure, judge, judge_tests
from jenkins_ami.verdict.markers import Verdict, parse

from .compiled import FAIL, NONCE, OK, manifest

ITSELF = "Client.InstanceInitiatedShutdown"
BOTH = OK + FAIL
OTHER = b"JENKINS-AMI-VERDICT:OK:fedcba9876543210\n"
FINISHED = b"[  9.1] cloud-init[456]: Cloud-init v. 22.4.2 finished at Wed, 25 Nov 2026 03:23:22 +0000. Datasource\n"
PANIC = b"[   12.3] Kernel panic - not syncing: Attempted to kill init!\n"


@pytest.mark.parametrize(
    ("state", "reason", "console", "elapsed", "ended", "kind", "why"),
    [
        ("pending", "", b"", 0, 0, "continue", ""),
        ("running", "", b"booting", 5, 0, "continue", ""),
        ("running", "", OK, 5, 0, "continue", ""),
        ("stopping", ITSELF, OK, 5, 0, "continue", ""),
        ("running", "", b"", 100, 0, "timeout", "the instance is still running after 1 min 40 s"),
        ("pending", "", b"", 100, 0, "timeout", "the instance is still pending after 1 min 40 s"),
        ("running", "", FAIL, 5, 0, "failure", "the instance reported failure"),
        ("running", "", FAIL, 100, 0, "failure", "the instance reported failure"),
        ("running", "", PANIC, 5, 0, "failure", "the instance's kernel died: Kernel panic - not syncing: Attempted"),
        ("running", "", FINISHED, 5, 0, "failure", "cloud-init finished without using the user-data"),
        ("running", "", b"JENKINS-AMI-STEP| a\n" + FINISHED, 5, 0, "continue", ""),
        ("running", "", b"x" * 65_536 + FINISHED, 5, 0, "continue", ""),
        ("stopped", ITSELF, OK, 50, 0, "success", ""),
        ("stopped", ITSELF, OK, 500, 0, "success", ""),
        ("stopped", ITSELF, BOTH, 50, 0, "failure", "the instance reported failure"),
        ("stopped", ITSELF, OK + PANIC, 50, 0, "failure", "the instance's kernel died"),
        ("stopped", ITSELF, b"", 50, 0, "continue", ""),
        ("stopped", ITSELF, b"", 150, 9, "continue", ""),
        ("stopped", ITSELF, b"", 50, 10, "failure", "the instance powered off before it proved success"),
        ("stopped", ITSELF, OTHER, 50, 10, "failure", "its console carries the verdict of another build"),
        ("stopped", "Client.UserInitiatedShutdown", OK, 50, 0, "failure", "stopped: somebody stopped or terminated it"),
        ("stopped", "Server.InternalError", OK, 50, 0, "lost", "stopped: EC2 had an internal error [Server.Int"),
        ("stopped", "Server.ScheduledStop", OK, 50, 0, "lost", "stopped: EC2 stopped it for maintenance"),
        ("stopped", "Server.SpotInstanceShutdown", OK, 50, 0, "lost", "stopped: EC2 took the spot capacity back"),
        ("stopping", "Server.SpotInstanceShutdown", OK, 50, 0, "lost", "being stopped: EC2 took the spot capacity"),
        ("stopping", "Client.UserInitiatedShutdown", OK, 50, 0, "continue", ""),
        ("stopped", "Server.SpotInstanceShutdown", BOTH, 50, 0, "failure", "the instance reported failure"),
        ("stopped", "Server.New", OK, 50, 0, "failure", "stopped: the message [Server.New]"),
        ("stopped", "", OK, 50, 0, "failure", "stopped: the message"),
        ("terminated", "Client.UserInitiatedShutdown", OK, 50, 0, "failure", "terminated: somebody stopped or term"),
        ("terminated", ITSELF, OK, 50, 0, "failure", "terminated: it did so itself, although it was launched to stop"),
        ("terminated", "Server.InsufficientInstanceCapacity", b"", 5, 0, "lost", "EC2 has no capacity for it"),
        ("shutting-down", "Server.SpotInstanceTermination", b"", 5, 0, "lost", "took the spot capacity back"),
        ("terminated", "Client.InternalError", b"", 5, 0, "failure", "usually a KMS key that EC2 may not use"),
    ],
)
def test_the_decision(state, reason, console, elapsed, ended, kind, why):
    seen = Observation(state, parse(console, NONCE), reason, "the message", elapsed, ended)
    decision = judge(seen, timeout=100, lag=10)
    assert decision.kind == kind
    assert why in decision.why
    assert bool(decision.why) == (kind in ("failure", "timeout", "lost"))


def test_a_host_that_has_failed_takes_its_instance_with_it():
    seen = Observation("running", parse(b"booting", NONCE), impaired=True)
    decision = judge(seen, timeout=100, lag=10)
    assert decision.kind == "lost"
    assert "does not pass EC2's system status check" in decision.why


@pytest.mark.parametrize(
    ("reason", "console", "ended", "kind"),
    [
        (ITSELF, b"", 10, "success"),
        (ITSELF, b"", 9, "continue"),
        (ITSELF, OK, 0, "success"),
        (ITSELF, FAIL, 10, "failure"),
        (ITSELF, PANIC, 10, "failure"),
        (ITSELF, OTHER, 10, "failure"),
        ("Client.UserInitiatedShutdown", b"", 10, "failure"),
        ("", b"", 10, "failure"),
    ],
)
def test_without_a_marker_a_power_off_by_itself_and_in_silence_is_success(reason, console, ended, kind):
    seen = Observation("stopped", parse(console, NONCE), reason, "", 50, ended)
    assert judge(seen, timeout=100, lag=10, require_marker=False).kind == kind


@pytest.mark.parametrize(
    ("state", "reason", "complete", "elapsed", "ended", "kind"),
    [
        ("running", "", True, 5, 0, "continue"),
        ("running", "", True, 100, 0, "timeout"),
        ("stopped", ITSELF, True, 5, 0, "success"),
        ("stopped", ITSELF, False, 5, 9, "continue"),
        ("stopped", ITSELF, False, 5, 10, "success"),
        ("stopped", "Client.UserInitiatedShutdown", True, 5, 0, "failure"),
        ("stopped", "Server.SpotInstanceShutdown", True, 5, 0, "lost"),
        ("terminated", ITSELF, True, 5, 0, "failure"),
    ],
)
def test_the_decision_about_an_instance_that_tests(state, reason, complete, elapsed, ended, kind):
    seen = Observation(state, parse(b"", NONCE), reason, "", elapsed, ended)
    assert judge_tests(seen, complete=complete, timeout=100, lag=10).kind == kind


def test_an_image_whose_kernel_dies_fails_its_tests():
    seen = Observation("running", parse(PANIC, NONCE))
    assert judge_tests(seen, complete=False, timeout=100, lag=10).kind == "failure"


COMMANDS = (Command("cloudinit/60_x.yml:4", "systemctl enable nothing"), Command("cloudinit/60_x.yml:40", "two\nlines"))


def test_a_failure_names_the_command_its_place_and_the_logs_tail():
    error = failure("the instance reported failure", parse(FAIL, NONCE), manifest(commands=COMMANDS), ["console"])
    assert error.line() == (
        "the instance reported failure: 'systemctl enable nothing' exited with 7 (cloudinit/60_x.yml:4). "
        "console.log has all that it said."
    )
    assert error.detail == ["command: systemctl enable nothing", "+ systemctl enable nothing", "Failed to enable unit"]
    assert error.exit_code == 6


def test_a_command_of_several_lines_is_shown_whole_in_the_detail():
    verdict = Verdict("fail", reasons=("cloudinit/60_x.yml:40 exited with 1", "cloud-init: x"))
    error = failure("failed", verdict, manifest(commands=COMMANDS), [])
    assert error.what == "failed: 'two …' exited with 1"
    assert error.detail == ["command: two", "         lines", "also: cloud-init: x"]


def test_a_failure_without_a_log_shows_the_consoles_tail():
    error = failure("powered off early", Verdict("none"), manifest(), ["a", "b"])
    assert (error.where, error.detail) == (None, ["a", "b"])


def test_a_reason_that_is_no_command_is_told_as_it_is():
    verdict = Verdict("fail", reasons=("cloud-init left no result.json",))
    assert failure("failed", verdict, manifest(commands=COMMANDS), []).what == "failed: cloud-init left no result.json"
