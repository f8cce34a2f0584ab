from __future__ import annotations

from pathlib import Path

import pytest

from jenkins_ami.errors import HostError
from jenkins_ami.scratch import bootloader
from jenkins_ami.scratch.layout import MIB


def test_boot_code_is_told_where_the_core_is() -> None:
    mbr, core = bootloader.mbr_and_core(bytes(512), bytes(1024), 2048)
    assert len(mbr) == 440
    assert mbr[0x5C:0x64] == (2048).to_bytes(8, "little")
    assert mbr[0x64:0x68] == b"\xff\x00\x90\x90"
    assert core[0x1F4:0x1FC] == (2049).to_bytes(8, "little")
    assert len(core) == 1024


def test_a_platform_without_grub_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootloader, "GRUB", tmp_path)
    (tmp_path / "i386-pc").mkdir()
    (tmp_path / "i386-pc" / "modinfo.sh").touch()
    with pytest.raises(HostError) as caught:
        bootloader.require()
    expected = "GRUB for x86_64-efi is not installed. Install it: apt-get install grub-efi-amd64-bin."
    assert caught.value.line() == expected


def test_copying_leaves_holes_and_touches_nothing_around(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"a" * MIB + bytes(2 * MIB) + b"b" * MIB)
    target.write_bytes(b"x" * MIB)
    with target.open("r+b") as file:
        file.truncate(6 * MIB)
    bootloader.copy_sparse(source, target, MIB)
    assert target.read_bytes() == b"x" * MIB + source.read_bytes() + bytes(MIB)
    assert target.stat().st_blocks * 512 == 3 * MIB
