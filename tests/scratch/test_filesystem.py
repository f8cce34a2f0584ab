from __future__ import annotations

import os
from pathlib import Path

import pytest

from jenkins_ami.errors import InputError, Location
from jenkins_ami.scratch.filesystem import extract_argv, mke2fs_argv, time_commands, used_inodes
from jenkins_ami.scratch.image import write_filesystem
from jenkins_ami.scratch.layout import MIB, Layout
from jenkins_ami.scratch.spec import Spec
from jenkins_ami.scratch.userns import fake_root

LISTING = """\
Inode count:              32
Free inodes:              14
Group 0: (Blocks 0-99)
  Free blocks: 60-99
  Free inodes: 13, 15-16
Group 1: (Blocks 100-199)
  Free inodes: 22-32
Group 2: (Blocks 200-210)
  Free inodes: \n"""


def test_used_inodes_are_the_root_folder_and_all_that_are_not_free() -> None:
    assert used_inodes(LISTING) == [2, 11, 12, 14, 17, 18, 19, 20, 21]


def test_every_time_that_mke2fs_takes_from_the_host_is_set() -> None:
    assert time_commands([2], 7).splitlines() == [
        "set_inode_field <2> atime @7",
        "set_inode_field <2> ctime @7",
        "set_inode_field <2> crtime @7",
        "set_inode_field <11> mtime @7",
    ]


def test_the_file_system_lies_in_the_root_partition() -> None:
    layout = Layout(2 << 30, "x")
    argv = mke2fs_argv(Path("disk.raw"), Path("tree"), layout)
    options = argv[argv.index("-E") + 1].split(",")
    assert f"offset={50 * MIB}" in options
    assert argv[-4:] == ["-d", "tree", "disk.raw", f"{(2048 - 51) * 1024}k"]


def test_only_the_package_tar_is_decompressed() -> None:
    assert "--zstd" in extract_argv("a.tar.zst", Path("tree"))
    assert "--zstd" not in extract_argv("-", Path("tree"))


def test_a_disk_that_is_too_small_is_the_specs_fault(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "large").write_bytes(os.urandom(80 * MIB))
    image = tmp_path / "disk.raw"
    layout = Layout(120 * MIB, "x")
    with image.open("wb") as file:
        file.truncate(layout.size)
    spec = Spec(size=layout.size, locations={"size": Location("spec.yaml", 3, 7)})
    with pytest.raises(InputError) as caught:
        write_filesystem(fake_root(), spec, image, tree, layout)
    expected = "a disk of 120.0 MiB is too small for these packages (spec.yaml:3:7). Give the spec a larger size."
    assert caught.value.line() == expected
