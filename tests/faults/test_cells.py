"""The judges of the table: what they must not take for green."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from jenkins_ami.cloud.tags import EXPIRES, INPUT
from tests.cloud.protocols import Call

from .cells import BY_NAME, COLUMNS, ROWS, Clean, Outcome, cleaned, finished
from .inventory import Image, Inventory
from .place import HOME, OTHER, Folder
from .table import Cell, Table

TAGS = {"Name": "cell7", "jenkins-ami:number": "1", INPUT: "a", "team": "images"}
SHARED = {"launch": ["111122223333"], "deprecated": True, "protected": "enabled"}


def image(region: str = HOME, **changes) -> Image:
    known = Image(region, f"ami-{region}", "cell7-1.0-1", "available", TAGS, (f"snap-{region}",), (TAGS,), {}, SHARED)
    return replace(known, **changes)


def there(*images: Image, **more) -> Inventory:
    snapshots = {f"{each.region}/{name}": each.tags for each in images for name in each.snapshots}
    pointers = {f"{HOME}/images/cell7": images[0].id} if images else {}
    found = {"images": {f"{each.region}/{each.id}": each for each in images}}
    return Inventory(**(found | {"snapshots": snapshots, "pointers": pointers} | more))


KNOWN = Clean((), {HOME: image(), OTHER: image(OTHER)}, frozenset({f"{HOME}/images/cell"}), ())
BOTH = (image(), image(OTHER))


@pytest.fixture
def folder(tmp_path):
    """With an ``ami.json`` that names images in the regions given."""

    def make(*regions: str) -> Folder:
        if regions:
            images = {region: {"image_id": f"ami-{region}"} for region in regions}
            (tmp_path / "ami.json").write_text(json.dumps({"images": images}))
        return Folder("cell7", tmp_path)

    return make


def test_what_a_build_without_a_fault_leaves_is_finished(folder):
    assert finished(there(*BOTH), KNOWN, folder(HOME, OTHER)) == []


def test_another_cells_numbers_and_names_do_not_count(folder):
    other = image(name="cell12-1.0-3", tags=TAGS | {"Name": "cell12", "jenkins-ami:number": "3", INPUT: "b"})
    assert finished(there(other, image(OTHER)), KNOWN, folder(HOME, OTHER)) == []


@pytest.mark.parametrize(
    ("made", "named", "problem"),
    [
        ((image(),), (HOME,), f"images in ['{HOME}'], not one in each of ['{HOME}', '{OTHER}']"),
        (
            (*BOTH, image(id="ami-2", snapshots=())),
            (HOME, OTHER),
            f"images in ['{HOME}', '{HOME}', '{OTHER}'], not one",
        ),
        ((image(state="pending"), image(OTHER)), (HOME, OTHER), f"image ami-{HOME} in {HOME} differs: {{'state': "),
        (
            (image(tags={"Name": "cell7"}), image(OTHER)),
            (HOME, OTHER),
            f"image ami-{HOME} in {HOME} differs: {{'tags': ",
        ),
        ((image(tags=TAGS | {EXPIRES: "x"}), image(OTHER)), (HOME, OTHER), f"image ami-{HOME} in {HOME} differs: "),
        (
            (image(snapshot_tags=({},)), image(OTHER)),
            (HOME, OTHER),
            f"image ami-{HOME} in {HOME} differs: {{\"snapshots'",
        ),
        ((image(shared={}), image(OTHER)), (HOME, OTHER), f"image ami-{HOME} in {HOME} is {{}}, not "),
        (BOTH, (HOME,), f"ami.json names {{'{HOME}': 'ami-{HOME}'}}, there is "),
        (BOTH, (), "ami.json names nothing, there is "),
    ],
)
def test_what_is_not_finished(folder, made, named, problem):
    problems = finished(there(*made), KNOWN, folder(*named))
    assert any(each.startswith(problem) for each in problems), problems


def test_a_parameter_that_names_no_image_yet_is_not_finished(folder):
    assert finished(there(*BOTH, pointers={}), KNOWN, folder(HOME, OTHER)) == [
        f"[] name an image, not ['{HOME}/images/cell']"
    ]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"instances": {f"{HOME}/i-1": "stopped"}}, f"instance {HOME}/i-1 stopped"),
        ({"volumes": {f"{HOME}/vol-1": "available"}}, f"volume {HOME}/vol-1 available"),
        ({"snapshots": {f"{HOME}/snap-1": {}}}, f"snapshot {HOME}/snap-1 of no image"),
        ({"objects": frozenset({"bucket/a"})}, "object bucket/a"),
        ({"pointers": {f"{HOME}/p": "ami-1"}}, f"{HOME}/p names ami-1, which is not there"),
    ],
)
@pytest.mark.parametrize("judge", [finished, cleaned])
def test_what_no_build_may_leave(folder, judge, more, problem):
    assert problem in judge(there(**more), KNOWN, folder())


def test_nothing_is_clean(folder):
    assert cleaned(there(), KNOWN, folder()) == []


def test_a_finished_image_without_its_copies_is_clean(folder):
    assert cleaned(there(image(shared={})), KNOWN, folder(HOME)) == []


def test_a_copy_that_is_there_but_not_done_is_clean(folder):
    young = {**{key: value for key, value in TAGS.items() if key != INPUT}, EXPIRES: "x"}
    copy = image(OTHER, shared={}, tags=young, snapshot_tags=(young,))
    assert cleaned(there(image(), copy), KNOWN, folder(HOME)) == []


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ((image(tags={k: v for k, v in TAGS.items() if k != INPUT}),), (HOME,)),
        ((image(tags=TAGS | {EXPIRES: "x"}),), (HOME,)),
        ((image(),), ()),
        ((), (HOME,)),
        ((image(OTHER),), ()),
    ],
    ids=["not finished", "about to expire", "no result", "a result without an image", "a copy alone"],
)
def test_what_is_not_clean(folder, made, named):
    assert cleaned(there(*made), KNOWN, folder(*named))


def test_what_was_there_before_does_not_count():
    assert there(*BOTH).beyond(there(image())) == there(image(OTHER), pointers={})


# The table


def test_a_red_cell_is_shown_with_its_reason():
    call = Call(1, "ec2", "CreateImage", HOME, 1)
    table = Table(Clean((call,), {}, frozenset(), (0, 100)), COLUMNS)
    red = Cell(call, BY_NAME["kill>"])
    table.outcomes = {
        Cell(call, BY_NAME["lost"]): Outcome("✓"),
        red: Outcome("✗", ("an instance is left",)),
        Cell(1, ROWS[0]): Outcome("cr"),
        Cell(0, ROWS[0]): Outcome("ca"),
    }
    lines = list(table.lines())
    assert lines[1].split() == ["ec2", "CreateImage", HOME, "#1", "✓", "✗"]
    assert lines[2].split()[-8:] == ["1/1", "0/0", "0/0", "0/0", "0/1", "0/0", "0/0", "0/0"]
    assert "full, by line of the ledger: 1 ca  2 cr" in lines
    assert lines[-2:] == [
        f"✗ ec2 CreateImage {HOME} #1, kill -9 after the call took effect",
        "    an instance is left",
    ]
    assert [cell for cell, _ in table.red] == [red]


def test_a_call_that_changes_nothing_has_no_cell_for_what_only_a_change_can_show():
    look, change = Call(1, "ec2", "DescribeImages", HOME, 1), Call(2, "ec2", "CreateImage", HOME, 1)
    table = Table(Clean((look, change), {}, frozenset(), (0, 100)), [BY_NAME["kill<"], BY_NAME["kill>"]])
    assert [(cell.at, cell.what.name) for cell in table.cells()] == [
        (look, "kill<"),
        (change, "kill<"),
        (change, "kill>"),
        (0, "full"),
        (1, "full"),
        (0, "torn"),
        (1, "torn"),
    ]
