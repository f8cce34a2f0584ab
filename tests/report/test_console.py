"""Which lines of a console are shown, and which are marked."""

from __future__ import annotations

import pytest

from jenkins_ami.report.console import CONTEXT, LONGEST, MOST, TAIL, view
from tests.build.compiled import FAIL, OK

BOOT = b"".join(b"[  OK  ] Started unit %d.\r\n" % number for number in range(100))


def marked(console, kind="bad"):
    return [line.text for section in console.sections for line in section.lines if line.kind == kind]


def shown(console):
    return [line.text for section in console.sections for line in section.lines]


def test_a_failure_is_marked_where_the_instance_tells_it():
    found = view("console.log", BOOT + FAIL, failed=True)
    assert marked(found) == [
        "JENKINS-AMI-REASON| cloudinit/60_x.yml:4 exited with 7",
        "JENKINS-AMI-LOG| Failed to enable unit",
        "JENKINS-AMI-VERDICT:FAIL:0123456789abcdef",
    ]
    assert found.bad == 3
    assert found.sections[0].skipped == 101 - CONTEXT
    assert shown(found)[0] == f"[  OK  ] Started unit {101 - CONTEXT}."
    assert len(found.lines) == 105


def test_words_that_sound_bad_mean_nothing_when_nothing_failed():
    found = view("console.log", b"cannot find a thing\r\n" + OK, failed=False)
    assert marked(found) == []
    assert marked(found, "good") == ["JENKINS-AMI-VERDICT:OK:0123456789abcdef"]


@pytest.mark.parametrize(
    "line",
    [
        "E: Unable to locate package civetwebb",
        "Traceback (most recent call last):",
        "curl: (22) The requested URL returned error: 404",
        "[  121.301922] Out of memory: Killed process 412 (apt)",
        "tar: write error: No space left on device",
        "[    1.301922] Kernel panic - not syncing: VFS",
    ],
)
def test_without_a_verdict_what_sounds_bad_is_marked(line):
    found = view("console.log", BOOT + line.encode() + b"\r\n" + BOOT, failed=True)
    assert marked(found) == [line]


def test_the_kernels_harmless_failures_are_not_marked():
    found = view("console.log", b"[    0.000000] tsc: Fast TSC calibration failed\r\nlogin:", failed=True)
    assert marked(found) == []


def test_a_verdict_that_does_not_count_is_like_any_other_line():
    assert shown(view("console.log", BOOT + FAIL, failed=False))[-1] == "JENKINS-AMI-VERDICT:FAIL:0123456789abcdef"


def test_without_a_verdict_the_end_is_shown_as_well():
    found = view("console.log", b"error: no\r\n" + BOOT + b"login:", failed=True)
    assert [section.skipped for section in found.sections] == [0, 102 - TAIL - CONTEXT - 1]
    assert shown(found)[-1] == "login:"
    assert found.after == 0


def test_lines_that_follow_the_last_section_are_counted():
    assert view("console.log", OK + BOOT, failed=False).after == 100 - CONTEXT


def test_of_very_many_bad_lines_the_last_are_marked():
    found = view("console.log", b"error\r\n" * 1000, failed=True)
    assert found.bad == MOST
    assert sum(len(section.lines) for section in found.sections) == MOST + CONTEXT


def test_a_very_long_line_is_cut():
    (line,) = view("console.log", b"x" * 70_000, failed=True).lines
    assert line.text == "x" * LONGEST + " … and 69600 characters more"


@pytest.mark.parametrize("raw", [b"", b"\r\n\r\n \r\n"], ids=["nothing", "empty lines"])
def test_a_console_without_a_word_is_none(raw):
    assert view("console.log", raw, failed=True) is None
