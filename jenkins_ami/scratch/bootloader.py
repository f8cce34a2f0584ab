"""GRUB for BIOS and for UEFI, put in place by offset: no grub-install, no loop device, no mount.

The BIOS half is what ``grub-bios-setup`` does to ``boot.img`` and ``core.img`` (GRUB 2.06, util/setup.c and
include/grub/i386/pc/boot.h). The UEFI half is one file on a FAT file system. Both find the root file system by its
label and read ``/boot/grub/grub.cfg`` there, so a kernel upgrade in the instance changes nothing here.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from ..errors import HostError
from ..process import run, which
from .layout import MIB, SECTOR, Partition

GRUB = Path("/usr/lib/grub")
EARLY_CONFIG = Path(__file__).parent / "files" / "grub-early.cfg"

_COMMON = ("part_gpt", "part_msdos", "ext2", "search", "search_label", "normal", "configfile", "linux", "boot")
_CONSOLE = ("serial", "terminal", "echo", "test", "ls", "cat", "reboot", "halt")
_MODULES = {
    "i386-pc": (*_COMMON, *_CONSOLE, "biosdisk"),
    "x86_64-efi": (*_COMMON, *_CONSOLE, "fat", "all_video"),
}
_PACKAGES = {"i386-pc": "grub-pc-bin", "x86_64-efi": "grub-efi-amd64-bin"}

_MBR_CODE = 440
"""Bytes of the first sector that are boot code; the disk signature and the protective table follow."""


def mkimage_argv(platform: str, output: Path) -> list[str]:
    """The command that links GRUB's core for ``i386-pc`` or ``x86_64-efi``."""
    return [
        "grub-mkimage",
        f"--format={platform}",
        f"--directory={GRUB / platform}",
        f"--config={EARLY_CONFIG}",
        "--prefix=/boot/grub",
        f"--output={output}",
        *_MODULES[platform],
    ]


def require(platforms: tuple[str, ...] = ("i386-pc", "x86_64-efi")) -> None:
    """:raises HostError: GRUB for one of ``platforms`` is not on this host"""
    which("grub-mkimage")
    for platform in platforms:
        if not (GRUB / platform / "modinfo.sh").is_file():
            package = _PACKAGES[platform]
            raise HostError(f"GRUB for {platform} is not installed", hint=f"Install it: apt-get install {package}")


def mbr_and_core(boot_image: bytes, core: bytes, lba: int) -> tuple[bytes, bytes]:
    """``boot.img`` made to load the core at sector ``lba``, cut to the MBR's boot code, and the core for that place.

    Offsets: 0x5C kernel sector, 0x64 boot drive (0xFF: the one the BIOS says), 0x66 a jump that is to be two NOPs
    unless the disk is a floppy; in the core 0x1F4, where its own second sector is.
    """
    mbr = bytearray(boot_image)
    mbr[0x5C:0x64] = struct.pack("<Q", lba)
    mbr[0x64] = 0xFF
    mbr[0x66:0x68] = b"\x90\x90"
    patched = bytearray(core)
    patched[0x1F4:0x1FC] = struct.pack("<Q", lba + 1)
    return bytes(mbr[:_MBR_CODE]), bytes(patched)


def install_bios(image: Path, partition: Partition, work: Path) -> None:
    """Write GRUB into the MBR and into the BIOS boot partition of ``image``."""
    core_file = work / "core.img"
    run(mkimage_argv("i386-pc", core_file))
    mbr, core = mbr_and_core(
        (GRUB / "i386-pc" / "boot.img").read_bytes(), core_file.read_bytes(), partition.start // SECTOR
    )
    if len(core) > partition.size:
        raise HostError(f"GRUB's core of {len(core)} bytes does not fit into {partition.size} bytes")
    with image.open("r+b") as disk:
        disk.write(mbr)
        disk.seek(partition.start)
        disk.write(core)


def install_uefi(image: Path, partition: Partition, work: Path, epoch: int) -> None:
    """Make the EFI system partition with GRUB as the fallback loader, and copy it to its place in ``image``."""
    tree = work / "EFI"
    (tree / "BOOT").mkdir(parents=True)
    loader = tree / "BOOT" / "BOOTX64.EFI"
    run(mkimage_argv("x86_64-efi", loader))
    for path in (loader, loader.parent, tree):
        os.utime(path, (epoch, epoch))
    esp = work / "esp.img"
    with esp.open("wb") as file:
        file.truncate(partition.size)
    volume = f"{partition.id.fields[0]:08x}"
    env = os.environ | {"TZ": "UTC", "SOURCE_DATE_EPOCH": str(epoch), "MTOOLSRC": os.devnull}
    run([which("mkfs.vfat"), "--invariant", "-F", "32", "-s", "1", "-i", volume, "-n", "ESP", esp], env=env)
    run([which("mcopy"), "-s", "-m", "-i", esp, tree, "::/"], env=env)
    copy_sparse(esp, image, partition.start)


def copy_sparse(source: Path, target: Path, offset: int) -> None:
    """Copy ``source`` into ``target`` at ``offset``, leaving holes where it is all zeros. Both in whole MiB."""
    zeros = bytes(MIB)
    with source.open("rb") as reader, target.open("r+b") as writer:
        while chunk := reader.read(MIB):
            if chunk != zeros[: len(chunk)]:
                writer.seek(offset)
                writer.write(chunk)
            offset += len(chunk)
