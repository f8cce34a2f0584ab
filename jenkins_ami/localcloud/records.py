"""The records behind the local cloud's images and snapshots: one JSON file each, re-read only when it has changed.

A record is never written in place: its new version takes the old one's name. So a folder's time of change tells whether
any record in it has changed, and a file's inode, time and size whether that one has; as long as the time is not so
recent that another change could bear the same one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar

from ..errors import HostError

SETTLED = 50_000_000
"""Nanoseconds after which a file's time of change is its own: its clock ticks every 10 ms or sooner."""

_ID = re.compile(r"(ami|snap)-[0-9a-f]+")


@dataclass(frozen=True)
class SnapshotRecord:
    """A snapshot. ``size`` in GiB; ``layer`` is its file's name in ``disks/``; ``created`` is ISO 8601 in UTC.

    ``kms_key`` is the ARN of the key that it is said to be encrypted with (nothing is encrypted here); ``permissions``
    are EC2's CreateVolumePermissions.
    """

    id: str
    region: str
    layer: str
    size: int
    created: str
    volume_id: str
    description: str = ""
    kms_key: str = ""
    permissions: list[dict[str, str]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageRecord:
    """An image. ``volume_size`` in GiB; ``boot_mode`` is EC2's (empty: the machine's default, legacy BIOS).

    ``launch_permissions`` are EC2's LaunchPermissions. ``deprecated`` is when it is, ISO 8601 in UTC; ``protection`` is
    EC2's DeregistrationProtection, and ``protected_until`` when the cooldown of one that was taken off ends.
    """

    id: str
    region: str
    name: str
    snapshot_id: str
    volume_size: int
    created: str
    description: str = ""
    root_device: str = "/dev/xvda"
    volume_type: str = "gp3"
    delete_on_termination: bool = True
    architecture: str = "x86_64"
    virtualization_type: str = "hvm"
    boot_mode: str = ""
    imds_support: str = ""
    tpm_support: str = ""
    ena_support: bool = True
    source_instance: str = ""
    source_image: str = ""
    source_region: str = ""
    kms_key: str = ""
    disabled: bool = False
    deprecated: str = ""
    protection: str = "disabled"
    protected_until: str = ""
    launch_permissions: list[dict[str, str]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


Record = TypeVar("Record", ImageRecord, SnapshotRecord)


class Records(Generic[Record]):
    """All records of one kind: the files of one folder. For use from any thread; writers take turns by themselves.

    :param durable: a record that is written outlives a loss of power
    """

    def __init__(self, folder: Path, kind: type[Record], *, durable: bool) -> None:
        self._folder = folder
        self._kind: Callable[..., Record] = kind
        self._durable = durable
        self._lock = threading.Lock()
        self._all: Mapping[str, Record] = MappingProxyType({})
        self._changed: int | None = None
        """The folder's time of change when all were read; ``None`` when it was too recent to be relied on."""
        self._signatures: dict[str, tuple[int, int, int]] = {}

    def all(self) -> Mapping[str, Record]:
        """All of them by id; the same object as long as none has changed."""
        with self._lock:
            try:
                changed = self._folder.stat().st_mtime_ns
                if changed != self._changed:
                    now = time.time_ns()
                    self._read(now)
                    self._changed = changed if now - changed > SETTLED else None
            except FileNotFoundError:
                self._all, self._changed, self._signatures = MappingProxyType({}), None, {}
            return self._all

    def _read(self, now: int) -> None:
        found: dict[str, Record] = {}
        signatures = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if not entry.name.endswith(".json"):
                    continue
                with contextlib.suppress(FileNotFoundError):  # removed since
                    stat = entry.stat()
                    key, signature = entry.name.removesuffix(".json"), (stat.st_ino, stat.st_mtime_ns, stat.st_size)
                    if self._signatures.get(key) != signature:
                        found[key] = self.read(key)
                    else:
                        found[key] = self._all[key]
                    if now - stat.st_mtime_ns > SETTLED:
                        signatures[key] = signature
        self._signatures = signatures
        if found != self._all:
            self._all = MappingProxyType(found)

    def read(self, key: str) -> Record:
        """:raises FileNotFoundError: when there is none of that id"""
        if not _ID.fullmatch(key):  # it may be anybody's word, and a path
            raise FileNotFoundError(key)
        return self._kind(**json.loads(self._file(key).read_bytes()))

    def write(self, record: Record) -> None:
        """Keep a record in the place of one with its id.

        :raises HostError: when the disk is full
        """
        self._folder.mkdir(exist_ok=True)
        part = self._folder / f".{record.id}.part"
        try:
            with part.open("w") as file:
                json.dump(asdict(record), file, indent=1, sort_keys=True)
                if self._durable:
                    file.flush()
                    os.fsync(file.fileno())
            part.rename(self._file(record.id))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise HostError("no disk space", where=self._folder) from error
            raise
        finally:
            part.unlink(missing_ok=True)

    def remove(self, key: str) -> None:
        """:raises FileNotFoundError: when there is none of that id"""
        self._file(key).unlink()

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.json"
