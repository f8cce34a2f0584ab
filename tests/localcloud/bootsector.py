"""Disks whose boot sector is the whole operating system: machines that live for a fraction of a second.

16-bit code at 0000:7C00, for QEMU's q35 with SeaBIOS: the serial console is port 0x3F8, ACPI's power registers begin at
0x600 (status, enable, control), and CMOS survives a reset.
"""

from __future__ import annotations

from pathlib import Path

HANG = bytes.fromhex("fa f4")
"""``cli;  hlt``"""

POWEROFF = bytes.fromhex("ba0406 b80020 ef fa f4")
"""``mov dx, 0x604;  mov ax, 0x2000 (S5, SLP_EN);  out dx, ax;  cli;  hlt``"""

OBEY_POWER_BUTTON = bytes.fromhex("ba0206 b80001 ef ba0006 ed f6c401 74fa") + POWEROFF
"""Enable the power button (bit 8 at 0x602), wait for its bit at 0x600, power off."""

RESET = bytes.fromhex("baf90c b006 ee fa f4")
"""``mov dx, 0xCF9;  mov al, 6;  out dx, al;  cli;  hlt``"""

SECOND_BOOT_POWERS_OFF = bytes.fromhex("b050 e670 e471 3c42 7509") + POWEROFF + bytes.fromhex("b050 e670 b042 e671")
"""Power off when CMOS byte 0x50 is 0x42; else make it so and go on."""


READ_128 = bytes.fromhex("31c0 8ed8 8ed0 bc007c 6a00 6a00 6a00 688000 6a00 680080 6a01 6a10 89e6 b442 cd13")
"""Read sector 128 of the disk to 0000:8000 (INT 13h, AH=42h)."""


def say(text: str) -> bytes:
    """Print ``text`` on the serial console: a loop, and right behind it the text, which it jumps over at the end."""
    data = text.encode() + b"\0"
    return bytes.fromhex(f"e80000 5e 81c61100 baf803 fc ac 84c0 74{3 + len(data):02x} ee ebf8") + data


def disk(path: Path, code: bytes, fill: bytes = b"\0") -> Path:
    """Write a raw disk of 1 MiB that runs ``code`` and is otherwise full of ``fill``."""
    assert len(code) <= 510
    path.write_bytes((code.ljust(510, b"\0") + b"\x55\xaa").ljust(1 << 20, fill))
    return path
