from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from jenkins_ami.process import run, which
from jenkins_ami.scratch.layout import MIB, SECTOR, TYPE_BIOS_BOOT, TYPE_ESP, TYPE_LINUX, Layout


@pytest.mark.parametrize("size", [1 << 30, (1 << 30) + 1, 1537 * MIB, 8 << 30])
def test_partitions_are_aligned_apart_and_leave_room_for_the_second_table(size: int) -> None:
    parts = sorted(Layout(size, "x").partitions, key=lambda part: part.start)
    assert all(part.start % MIB == 0 and part.size % MIB == 0 for part in parts)
    assert parts[0].start == MIB
    assert all(one.start + one.size <= other.start for one, other in itertools.pairwise(parts))
    assert parts[-1].start + parts[-1].size + 33 * SECTOR <= size


def test_the_root_file_system_is_last_so_that_it_can_grow() -> None:
    layout = Layout(2 << 30, "x")
    assert max(layout.partitions, key=lambda part: part.start) == layout.root
    assert layout.root.number == 1


def test_identifiers_differ_by_role_and_by_identity_only() -> None:
    layout = Layout(2 << 30, "x")
    ids = [part.id for part in layout.partitions] + [layout.id("disk"), layout.id("filesystem")]
    assert len(set(ids)) == len(ids)
    assert Layout(4 << 30, "x").id("disk") == layout.id("disk")
    assert Layout(2 << 30, "y").id("disk") != layout.id("disk")


def test_sfdisk_makes_of_the_script_what_it_says(tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    layout = Layout(1 << 30, "x")
    with disk.open("wb") as file:
        file.truncate(layout.size)
    run([which("sfdisk"), "-q", disk], input=layout.sfdisk_script().encode())
    table = json.loads(run([which("sfdisk"), "--json", disk]).stdout)["partitiontable"]
    assert (table["label"], table["id"].lower()) == ("gpt", str(layout.id("disk")))
    made = {
        int(part["node"].removeprefix(str(disk))): (part["start"], part["size"], part["type"].lower(), part["name"])
        for part in table["partitions"]
    }
    assert made == {
        14: (2048, 2048, str(TYPE_BIOS_BOOT), "bios"),
        15: (4096, 98304, str(TYPE_ESP), "esp"),
        1: (102400, 1992704, str(TYPE_LINUX), "root"),
    }
