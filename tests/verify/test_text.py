"""A verification as people read it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jenkins_ami.artifacts import TestRecord
from jenkins_ami.verification import (
    BROKEN,
    FAILED,
    PASSED,
    SKIPPED,
    Boot,
    Note,
    Sizes,
    Verification,
    VerifiedSource,
)
from jenkins_ami.verify.text import SHOWN, lines, note_line

SOURCE = VerifiedSource(
    "images/web",
    PASSED,
    "web",
    "1.1",
    notes=(Note("cloud-config-key", "warning", "odd", "Look", "images/web/cloudinit/10_a.yml", 2, 1),),
    counts={"cloud-config": {"added": 1}},
    changes=("cloud-config", "  + packages: htop"),
    userdata=Sizes(2819, 6088),
    overlay=Sizes(509, 509),
    boot=Boot(PASSED, seconds=130.0, tested=(TestRecord("a", True), TestRecord("b", True))),
    files="1-web",
)
VERIFIED = Verification("c" * 40, PASSED, "d" * 40, subject="Add htop", sources=(SOURCE,))


def test_what_passes_is_told_with_all_that_changes():
    assert lines(VERIFIED) == [
        "commit cccccccccccc 'Add htop' passed",
        "images/web (web 1.1) passed",
        "  images/web/cloudinit/10_a.yml:2:1: warning: odd. Look. [cloud-config-key]",
        "  changes from dddddddddddd",
        "    cloud-config",
        "      + packages: htop",
        "  user-data  2819 -> 6088 bytes",
        "  overlay    509 bytes, as before",
        "  boot       passed in 2 min 10 s, 2 of 2 tests passed",
    ]


def test_what_fails_ends_with_the_reason():
    boot = Boot(FAILED, "it fails its test 'a'", 60.0, (TestRecord("a", False),))
    source = replace(SOURCE, outcome=FAILED, reason="it fails its test 'a'", notes=(), boot=boot, changes=())
    failed = replace(VERIFIED, outcome=FAILED, reason="images/web: it fails its test 'a'", sources=(source,))
    assert lines(failed) == [
        "commit cccccccccccc 'Add htop' failed",
        "images/web (web 1.1) failed: it fails its test 'a'",
        "  no differences from dddddddddddd",
        "  user-data  2819 -> 6088 bytes",
        "  overlay    509 bytes, as before",
        "  boot       failed in 1 min 00 s, 0 of 1 tests passed: it fails its test 'a'",
        "failed: images/web: it fails its test 'a'",
    ]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (VerifiedSource("a", PASSED, "web", "1", removed=True), ["a (web 1) removed"]),
        (VerifiedSource("a", FAILED, reason="it is nothing"), ["a failed: it is nothing"]),
        (
            VerifiedSource("b", PASSED, "web", "1", moved_from="a", userdata=Sizes(5, 5), overlay=Sizes(0, 0)),
            [
                "b (web 1, moved from a) passed",
                "  no differences from dddddddddddd",
                "  user-data  5 bytes, as before",
                "  overlay    0 bytes, as before",
            ],
        ),
        (
            VerifiedSource("a", PASSED, "web", "1", parent="it is new", userdata=Sizes(None, 5)),
            ["a (web 1) passed", "  not compared: it is new", "  user-data  5 bytes"],
        ),
        (
            VerifiedSource("a", PASSED, "web", "1", boot=Boot(SKIPPED, "no QEMU")),
            ["a (web 1) passed", "  boot       skipped: no QEMU"],
        ),
    ],
)
def test_a_source(source, said):
    assert lines(replace(VERIFIED, sources=(source,)))[1:] == said


def test_without_a_source_the_reason_is_on_the_first_line():
    assert lines(Verification("c" * 40, SKIPPED, reason="it touches none")) == [
        "commit cccccccccccc '' skipped: it touches none"
    ]
    assert lines(Verification("", BROKEN, reason="no repository")) == ["verify broken: no repository"]


def test_of_very_many_changes_the_rest_is_counted():
    many = replace(SOURCE, changes=tuple(f"  + {number}" for number in range(SHOWN + 1234)))
    assert "    … and 1,234 lines more" in lines(replace(VERIFIED, sources=(many,)))


def test_nothing_steers_the_terminal_or_begins_a_line():
    evil = "a\nerror: b\x1b[31m\r\x00"
    note = Note(evil, evil, evil, evil, evil)
    boot = Boot(FAILED, evil, 1.0)
    source = VerifiedSource(evil, FAILED, evil, evil, evil, False, evil, (note,), evil, {}, (evil,), boot=boot)
    told = lines(Verification("c" * 40, FAILED, "d" * 40, evil, evil, (evil,), (source,)))
    assert all(line.isprintable() for line in told)
    assert not any(line.startswith("error") for line in told)


def test_a_note_without_a_place():
    assert note_line(Note("r", "error", "odd")) == "error: odd. [r]"
