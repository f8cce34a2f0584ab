"""The console protocol: what counts as a verdict, and what must not."""

import subprocess

import pytest

from jenkins_ami.verdict.markers import FAIL, NONE, OK, console_lines, parse

NONCE = "0123456789abcdef"
OTHER = "fedcba9876543210"


@pytest.mark.parametrize(
    ("console", "state"),
    [
        (b"", NONE),
        (b"login: ", NONE),
        (f"\r\nJENKINS-AMI-VERDICT:OK:{NONCE}\r\n".encode(), OK),
        (f"\r\nJENKINS-AMI-VERDICT:FAIL:{NONCE}\r\n".encode(), FAIL),
        (f"[  12.3] kernel talks JENKINS-AMI-VERDICT:OK:{NONCE}\n".encode(), OK),
        (f"JENKINS-AMI-VERDICT:OK:{OTHER}\n".encode(), NONE),
        (f"JENKINS-AMI-VERDICT:OK:{NONCE}0\n".encode(), NONE),
        (f"JENKINS-AMI-VERDICT:OK:{NONCE[:-1]}\n".encode(), NONE),
        (f"JENKINS-AMI-VERDICT:OK:{NONCE}\nJENKINS-AMI-VERDICT:FAIL:{NONCE}\n".encode(), FAIL),
        (f"\x1b[0;32mJENKINS-AMI-VERDICT:OK:{NONCE}\x1b[0m\n".encode(), OK),
        (b"\xff\xfe garbage \x00 " + f"\nJENKINS-AMI-VERDICT:OK:{NONCE}\n".encode(), OK),
    ],
)
def test_only_our_own_nonce_is_a_verdict_and_a_failure_wins(console, state):
    assert parse(console, NONCE).state == state


def test_a_foreign_verdict_is_remembered():
    assert parse(f"JENKINS-AMI-VERDICT:OK:{OTHER}\n".encode(), NONCE).foreign == (OTHER,)


def test_reasons_log_steps_and_panic_are_collected_in_order():
    console = (
        b"JENKINS-AMI-STEP| cloudinit/10_a.yml:3\r\n"
        b"JENKINS-AMI-STEP| cloudinit/10_a.yml:4\r\n"
        b"JENKINS-AMI-REASON| cloudinit/10_a.yml:4 exited with 7\r\n"
        b"JENKINS-AMI-LOG| first\r\nJENKINS-AMI-LOG| second\r\n"
        b"[    9.1] Kernel panic - not syncing: sysrq triggered crash\r\n"
    )
    verdict = parse(console, NONCE)
    assert verdict.steps == ("cloudinit/10_a.yml:3", "cloudinit/10_a.yml:4")
    assert verdict.reasons == ("cloudinit/10_a.yml:4 exited with 7",)
    assert verdict.log == ("first", "second")
    assert verdict.panic == "Kernel panic - not syncing: sysrq triggered crash"


def test_the_script_itself_printed_by_set_x_or_cat_is_no_verdict(tmp_path):
    from importlib import resources

    from jenkins_ami import verdict

    text = resources.files(verdict).joinpath("verdict.sh").read_text()
    traced = subprocess.run(
        ["sh", "-x", "-c", "nonce=$1; printf '%s-%s:%s:%s' JENKINS-AMI VERDICT OK \"$nonce\" >/dev/null", "-", NONCE],
        capture_output=True,
    )
    assert NONCE.encode() in traced.stderr
    assert parse(text.encode() + traced.stderr, NONCE).state == NONE


def test_lines_for_people_have_no_colours_or_control_characters():
    assert console_lines(b"\x1b[1;31mred\x1b[0m\r\nbell\x07\ttab") == ["red", "bell\ttab"]


CRASH = (
    b"[  160.2] cloud-init[407]: cloudinit.url_helper.UrlError: no route\n"
    b"[  160.4] cloud-init[407]: Exception: HTTPConnectionPool(host='x', port=1): Max retries exceeded\n"
    b"[  191.6] cloud-init[462]: Cloud-init v. 22.4.2 finished at Wed, 25 Nov 2026 03:36:00 +0000. Datasource X\n"
)


def test_user_data_that_cloud_init_did_not_use_is_told_with_its_reason():
    verdict = parse(CRASH, "0123456789abcdef")
    assert verdict.ignored
    assert verdict.reasons == ("Exception: HTTPConnectionPool(host='x', port=1): Max retries exceeded",)


def test_a_step_shows_that_the_user_data_was_used():
    assert not parse(b"JENKINS-AMI-STEP| a\n" + CRASH, "0123456789abcdef").ignored
