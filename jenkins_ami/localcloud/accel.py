"""Which accelerator a machine runs under: KVM where a guest really runs on it, otherwise TCG.

That ``/dev/kvm`` opens proves little: there are nested hosts on which the firmware runs and Linux hangs. So the
processor must have the extensions, the ``kvm_pvm`` module must be absent, and a tiny guest must get from reset to
64-bit mode.
"""

from __future__ import annotations

import functools
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .. import process

QEMU = "qemu-system-x86_64"

_PROBE_TIMEOUT = 10.0
"""Seconds for the tiny guest; it needs a tenth of one."""

_CODE_OFFSET = 0xFF00
_RESET_VECTOR = 0xFFF0
_EXIT_VALUE = 0x31

# Runs at F000:FF00, from real mode straight to long mode (Intel SDM 3A, 10.8.5), then tells QEMU to exit.
_CODE = bytes.fromhex(
    "fa"  #                      cli
    "2e660f01166fff"  #          lgdt  cs:[gdtr]
    "31c0" "8ed8"  #             xor   ax, ax;  mov ds, ax
    "66c706001003200000"  #      mov   dword [0x1000], 0x2003      PML4[0] = PDPT, present, writable
    "66c706002003300000"  #      mov   dword [0x2000], 0x3003      PDPT[0] = PD
    "66c706003083000000"  #      mov   dword [0x3000], 0x83        PD[0] = 2 MiB page at 0
    "66b820000000" "0f22e0"  #   mov   eax, 0x20;  mov cr4, eax    PAE
    "66b800100000" "0f22d8"  #   mov   eax, 0x1000;  mov cr3, eax
    "66b9800000c0" "0f32"  #     mov   ecx, 0xC0000080;  rdmsr     EFER
    "660d00010000" "0f30"  #     or    eax, 0x100;  wrmsr          long mode enable
    "66b801000080" "0f22c0"  #   mov   eax, 0x80000001;  mov cr0, eax   protection and paging
    "66ea5aff0f000800"  #        jmp   8:0xFFF5A                   the next instruction, in 64-bit mode
    f"b0{_EXIT_VALUE:02x}"  #    mov   al, value
    "e6f4" "f4"  #               out   0xF4, al;  hlt
    "0000000000000000"  # gdt:   null
    "00000000009a2000"  #        64-bit code
    "0f005fff0f00"  #     gdtr:  limit 15, base 0xFFF5F
)  # fmt: skip


@dataclass(frozen=True)
class Accel:
    """The accelerator and, in one line, why it is this one."""

    name: Literal["kvm", "tcg"]
    reason: str


def rom() -> bytes:
    """A firmware of 64 KiB whose only deed is to end QEMU with :data:`EXIT_CODE` from 64-bit mode."""
    image = bytearray(b"\xf4" * 0x10000)
    image[_CODE_OFFSET : _CODE_OFFSET + len(_CODE)] = _CODE
    image[_RESET_VECTOR : _RESET_VECTOR + 5] = bytes.fromhex("ea00ff00f0")  # jmp F000:FF00
    return bytes(image)


EXIT_CODE = _EXIT_VALUE << 1 | 1
"""What ``isa-debug-exit`` makes of the value that is written to it."""


def guest_runs(accel: str) -> bool:
    """Whether a tiny guest gets from reset to 64-bit mode under ``accel``.

    :raises HostError: when QEMU is missing
    """
    argv = [process.which(QEMU), "-accel", accel, "-machine", "q35", "-m", "16", "-nodefaults", "-no-user-config"]
    argv += ["-display", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
    try:
        with tempfile.NamedTemporaryFile(prefix="jenkins-ami-", suffix=".rom") as firmware:
            firmware.write(rom())
            firmware.flush()
            done = process.run([*argv, "-bios", firmware.name], check=False, timeout=_PROBE_TIMEOUT)
            return done.returncode == EXIT_CODE
    except (process.ProcessError, OSError):  # it hangs; or there is no room for the firmware
        return False


def obstacle(kvm: Path, cpuinfo: Path, modules: Path) -> str | None:
    """Why KVM cannot be used, as far as files can tell; ``None`` when nothing speaks against it."""
    if not kvm.exists():
        return f"{kvm} does not exist"
    if not os.access(kvm, os.R_OK | os.W_OK):
        return f"no permission to open {kvm} (group kvm)"
    if not {"vmx", "svm"} & set(cpuinfo.read_text(errors="replace").split()):
        return "the processor offers no virtualization (no vmx or svm in cpuinfo)"
    if (modules / "kvm_pvm").exists():
        return "KVM here is kvm_pvm, on which Linux guests hang"
    return None


@functools.cache
def probe() -> Accel:
    """The accelerator to use on this host; computed once per process.

    :raises HostError: when QEMU is missing
    """
    process.which(QEMU)
    why = obstacle(Path("/dev/kvm"), Path("/proc/cpuinfo"), Path("/sys/module"))
    if why is None and not guest_runs("kvm"):
        why = "/dev/kvm opens, but a test guest does not run on it"
    if why is None:
        return Accel("kvm", "KVM: a test guest runs on it")
    return Accel("tcg", f"TCG (slow, about a minute a boot): {why}")
