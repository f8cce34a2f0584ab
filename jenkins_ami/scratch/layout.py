"""Where things lie on the disk: partitions, identifiers, and the script that tells sfdisk. Pure; touches no disk.

GPT with a BIOS boot partition for GRUB's core, an EFI system partition, and the root file system last, so that growpart
can grow it on a larger volume. Every identifier is derived from the spec's digest: the same spec gives the same disk.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

SECTOR = 512
MIB = 1 << 20

_NAMESPACE = uuid.UUID("6c6ef7c3-6e29-5f5b-9d0a-2f0f2d1f7c11")

# Discoverable Partitions Specification and the UEFI specification, table 5-7.
TYPE_BIOS_BOOT = uuid.UUID("21686148-6449-6e6f-744e-656564454649")
TYPE_ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
TYPE_LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")


@dataclass(frozen=True)
class Partition:
    """One entry of the table. ``start`` and ``size`` are bytes, multiples of 1 MiB."""

    number: int
    name: str
    type: uuid.UUID
    id: uuid.UUID
    start: int
    size: int


@dataclass(frozen=True)
class Layout:
    """A whole disk of ``size`` bytes. ``identity`` is what all identifiers are derived from."""

    size: int
    identity: str

    def id(self, role: str) -> uuid.UUID:
        """The identifier of one thing on this disk (a partition, the file system, its hash seed)."""
        return uuid.uuid5(_NAMESPACE, f"{self.identity}/{role}")

    def _partition(self, number: int, name: str, kind: uuid.UUID, start: int, size: int) -> Partition:
        return Partition(number, name, kind, self.id(f"partition/{name}"), start, size)

    @property
    def bios(self) -> Partition:
        return self._partition(14, "bios", TYPE_BIOS_BOOT, 1 * MIB, 1 * MIB)

    @property
    def esp(self) -> Partition:
        return self._partition(15, "esp", TYPE_ESP, 2 * MIB, 48 * MIB)

    @property
    def root(self) -> Partition:
        """From the end of the ESP to the last MiB, which holds the table's second copy."""
        start = self.esp.start + self.esp.size
        return self._partition(1, "root", TYPE_LINUX, start, self.size // MIB * MIB - MIB - start)

    @property
    def partitions(self) -> tuple[Partition, ...]:
        return (self.root, self.bios, self.esp)

    def sfdisk_script(self) -> str:
        """What ``sfdisk`` reads on its standard input (sfdisk(8), "Script-header lines" and "named-fields format")."""
        lines = ["label: gpt", f"label-id: {self.id('disk')}", "unit: sectors"]
        lines += [
            f"disk{part.number} : start={part.start // SECTOR}, size={part.size // SECTOR}, "
            f'type={part.type}, uuid={part.id}, name="{part.name}"'
            for part in self.partitions
        ]
        return "\n".join(lines) + "\n"
