"""A part of the table that `make faults` prints whole: small enough to run with every test, on a busy machine too."""

from __future__ import annotations

import pytest

from .cells import BY_NAME, COLUMNS, ROWS, THENS
from .table import Cell, Table, begin, fill, places

pytestmark = pytest.mark.xdist_group("faults")
AT = "CreateImage"
"""The call at which every fault is tried: by then there is an instance, and an object, and soon an image."""
LINES = slice(1, None, 3)
"""Of the ledger, at which the disk is full, or the build is killed."""


def chosen(table: Table) -> list[Cell]:
    """A lost answer, or a kill, at each call that changes something, in turns; all faults at one of them."""
    changes = [call for call in table.known.calls if call.changes]
    (at,) = [call for call in changes if call.action == AT]
    cells = [Cell(at, column) for column in COLUMNS]
    for index, call in enumerate(each for each in changes if each != at):
        fault = BY_NAME["kill>" if index % 2 else "lost"]
        cells.append(Cell(call, fault, thens=THENS[index // 2 % 2 :][:1]))
    lines = range(len(table.known.lines))[LINES]
    return cells + [Cell(line, ROWS[turn % 2], THENS[turn // 2 % 2 :][:1]) for turn, line in enumerate(lines)]


@pytest.fixture(scope="module")
def table():
    with places(2) as rooms:
        table = begin(rooms[0])
        fill(table, chosen(table), rooms, lambda *_: None)
    print("\n".join(table.lines()))
    return table


def test_a_full_build_makes_every_kind_of_call(table):
    """Or the table would show less than it seems to."""
    actions = {f"{call.service} {call.action}" for call in table.known.calls}
    assert actions >= {
        "ec2 CopyImage",
        "ec2 CreateImage",
        "ec2 CreateLaunchTemplateVersion",
        "ec2 EnableImageDeprecation",
        "ec2 ModifyImageAttribute",
        "ec2 ModifySnapshotAttribute",
        "ec2 RunInstances",
        "ec2 TerminateInstances",
        "s3 DeleteObject",
        "s3 PutObject",
        "ssm GetParameter",
        "ssm PutParameter",
        "sts GetCallerIdentity",
    }


def test_whatever_happens_at_a_call_the_cloud_holds_what_it_should(table):
    assert table.red == []


def test_a_build_that_is_killed_does_not_succeed(table):
    marks = [outcome.mark for cell, outcome in table.outcomes.items() if cell.what.name.startswith("kill")]
    assert marks
    assert not [mark for mark in marks if "✓" in mark]
