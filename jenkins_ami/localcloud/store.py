"""The local cloud's images and snapshots: files in the state folder that outlive every server.

::

    STATE/images/ami-….json       one image: what DescribeImages tells, and the snapshot that it boots from
    STATE/snapshots/snap-….json   one snapshot: its size, and the layer that holds its bytes
    STATE/disks/snap-….qcow2      a layer: never written again; backed by the layer it was made from
    STATE/disks/vol-….qcow2       the root volume of an instance: an overlay on a layer; goes with its instance

A snapshot costs no copy: the volume's file becomes the layer, and the volume goes on as a new overlay on top of it.
Backing files are named relative to ``disks/``, so the folder can be moved. This module knows files and nothing of EC2's
API; :mod:`.ec2` speaks that.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import HostError, InputError
from ..process import run
from ..progress import size as human
from .records import ImageRecord, Records, SnapshotRecord

REGION = "us-east-1"
BASE_TAG = "jenkins-ami:base"
"""Names what a base image is, e.g. ``scratch/<digest of its recipe>``; a build finds its base by this tag."""

GIB = 1 << 30
RESERVE = 256 << 20
"""Bytes that must stay free on the state folder's file system."""

_NAME = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")


class NameTaken(InputError):
    """Another image of the same region has that name."""


class NotStored(InputError):
    """There is no such image or snapshot."""


class SnapshotInUse(InputError):
    """An image boots from that snapshot."""


def new_id(prefix: str) -> str:
    """An id as EC2 makes them: the prefix and 17 hexadecimal digits."""
    return f"{prefix}-{secrets.token_hex(9)[:17]}"


def now() -> str:
    """The time as EC2 writes it: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def valid_name(name: str) -> bool:
    """Whether EC2 takes ``name`` for an image (API reference, CreateImage: 3-128 characters of a certain set)."""
    return _NAME.fullmatch(name) is not None


def backing(disk: Path) -> str | None:
    """The backing file that a qcow2 file names in its header (QEMU's docs/interop/qcow2.txt)."""
    with disk.open("rb") as file:
        magic, _, offset, length = struct.unpack(">4sIQI", file.read(20))
        if magic != b"QFI\xfb":
            raise HostError("a layer is not a qcow2 file", where=disk, hint="The state folder is damaged: remove it")
        if not offset:
            return None
        file.seek(offset)
        return file.read(length).decode()


Overlay = Callable[[Path, str, int], None]
"""Makes a disk: the file, the name of the layer below it in the same folder, and its size in bytes."""


def qcow2_overlay(disk: Path, layer: str, size: int) -> None:
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", layer, disk, str(size)])


class ImageStore:
    """Images and snapshots under one state folder. Safe to use from several threads and processes at once.

    :param overlay: what makes the disks of volumes
    :param durable: what was done outlives a loss of power
    """

    def __init__(self, state: Path, overlay: Overlay = qcow2_overlay, *, durable: bool = True) -> None:
        self.state = state
        self.disks = state / "disks"
        self._make_overlay = overlay
        self._images = Records(state / "images", ImageRecord, durable=durable)
        self._snapshots = Records(state / "snapshots", SnapshotRecord, durable=durable)

    # Reading

    def images(self) -> list[ImageRecord]:
        """All images, the oldest first."""
        return sorted(self._images.all().values(), key=lambda image: (image.created, image.id))

    def image_records(self) -> Mapping[str, ImageRecord]:
        """All images by id; the same object as long as none has changed."""
        return self._images.all()

    def snapshots(self) -> Mapping[str, SnapshotRecord]:
        """All snapshots by id; the same object as long as none has changed."""
        return self._snapshots.all()

    def get(self, image_id: str) -> ImageRecord:
        """:raises NotStored: when there is no such image"""
        try:
            return self._images.read(image_id)
        except FileNotFoundError:
            known = ", ".join(f"{image.id} ({image.name})" for image in self.images()[-5:])
            hint = f"The newest are {known}" if known else "There are no images at all"
            raise NotStored(f"there is no image {image_id!r}", where=self.state, hint=hint) from None

    def find(self, tags: Mapping[str, str]) -> list[ImageRecord]:
        """The images that carry all of ``tags``, the newest first."""
        return [image for image in reversed(self.images()) if tags.items() <= image.tags.items()]

    def path(self, image_id: str) -> Path:
        """The qcow2 file of an image. To be used as a backing file; whoever writes to it damages the image.

        :raises NotStored: when there is no such image
        """
        snapshot = self.snapshot(self.get(image_id).snapshot_id)
        return self.disks / snapshot.layer

    def snapshot(self, snapshot_id: str) -> SnapshotRecord:
        """:raises NotStored: when there is no such snapshot"""
        try:
            return self._snapshots.read(snapshot_id)
        except FileNotFoundError:
            raise NotStored(f"there is no snapshot {snapshot_id!r}", where=self.state) from None

    # Images and snapshots

    def add(
        self,
        disk: Path,
        *,
        name: str,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        root_device: str = "/dev/xvda",
        architecture: str = "x86_64",
        boot_mode: str = "",
        region: str = REGION,
    ) -> ImageRecord:
        """Import a disk image (raw, or any format of ``qemu-img``) as an image with a snapshot of its own.

        :raises InputError: when ``disk`` is no usable disk image, or ``name`` is malformed or taken
        :raises HostError: when there is not enough disk space; nothing is left behind then
        """
        self._check_name(name, region)
        virtual, allocated = self._inspect(disk)
        self.require_space(allocated)
        with self._workspace() as work:
            run(["qemu-img", "convert", "-O", "qcow2", disk, work / "disk.qcow2"])
            snapshot = SnapshotRecord(
                id=(snapshot_id := new_id("snap")),
                region=region,
                layer=f"{snapshot_id}.qcow2",
                size=-(-virtual // GIB),
                created=now(),
                volume_id="vol-ffffffff",  # what EC2 says where a snapshot was not made of a volume
                description=f"Imported from {disk.name}",
                tags=dict(tags or {}),
            )
            image = ImageRecord(
                id=new_id("ami"),
                region=region,
                name=name,
                snapshot_id=snapshot_id,
                volume_size=snapshot.size,
                created=now(),
                description=description,
                root_device=root_device,
                architecture=architecture,
                boot_mode=boot_mode,
                tags=dict(tags or {}),
            )
            with self._locked():
                self._check_name(name, region)
                self.disks.mkdir(exist_ok=True)
                (work / "disk.qcow2").rename(self.disks / snapshot.layer)
                self._snapshots.write(snapshot)
                self._images.write(image)
        return image

    def register(self, image: ImageRecord) -> None:
        """Keep a new image whose snapshot is here already.

        :raises NameTaken: and :class:`NotStored`, of its name and its snapshot
        """
        with self._locked():
            self._check_name(image.name, image.region)
            self.snapshot(image.snapshot_id)
            self._images.write(image)

    def copy(
        self, snapshot_id: str, region: str, description: str, tags: Mapping[str, str], kms_key: str = ""
    ) -> SnapshotRecord:
        """A second snapshot of the same bytes (CopySnapshot, CopyImage). They share the layer."""
        with self._locked():
            copied = replace(
                self.snapshot(snapshot_id),
                id=new_id("snap"),
                region=region,
                created=now(),
                description=description,
                kms_key=kms_key,
                permissions=[],
                tags=dict(tags),
            )
            self._snapshots.write(copied)
        return copied

    def retag(self, resource_id: str, tags: Mapping[str, str]) -> None:
        """Give an image or a snapshot exactly these tags. Ids of anything else are ignored."""
        with contextlib.suppress(NotStored):
            if resource_id.startswith("ami-"):
                self.revise_image(resource_id, tags=dict(tags))
            elif resource_id.startswith("snap-"):
                self.revise_snapshot(resource_id, tags=dict(tags))

    def revise_image(self, image_id: str, **changes: Any) -> None:
        """Change what is known of an image, by the names of its record's fields.

        :raises NotStored: when there is no such image
        """
        with self._locked():
            self._images.write(replace(self.get(image_id), **changes))

    def revise_snapshot(self, snapshot_id: str, **changes: Any) -> None:
        """The same for a snapshot."""
        with self._locked():
            self._snapshots.write(replace(self.snapshot(snapshot_id), **changes))

    def remove_image(self, image_id: str) -> ImageRecord:
        """Forget an image; its snapshot stays."""
        with self._locked():
            image = self.get(image_id)
            self._images.remove(image_id)
        return image

    def remove_snapshot(self, snapshot_id: str) -> None:
        """Forget a snapshot and free the disk space that nothing else needs.

        :raises SnapshotInUse: when an image boots from it
        """
        with self._locked():
            self.snapshot(snapshot_id)
            for image in self.images():
                if image.snapshot_id == snapshot_id:
                    raise SnapshotInUse(f"snapshot {snapshot_id} is in use by {image.id}")
            self._snapshots.remove(snapshot_id)
            self._collect()

    def delete(self, image_id: str) -> None:
        """Forget an image and its snapshot, and free the disk space that nothing else needs."""
        self.remove_snapshot(self.remove_image(image_id).snapshot_id)

    # Volumes of instances

    def volume(self, volume_id: str) -> Path:
        """Where the disk of a volume is (or would be)."""
        return self.disks / f"{volume_id}.qcow2"

    def create_volume(self, volume_id: str, snapshot_id: str, size: int) -> Path:
        """A volume of ``size`` GiB on top of a snapshot: an overlay, made in milliseconds."""
        self.require_space()
        with self._locked():
            return self._overlay(volume_id, self.snapshot(snapshot_id).layer, size)

    def freeze_volume(self, volume_id: str, snapshot: SnapshotRecord) -> None:
        """Make what is on a volume now the content of a new snapshot; the volume goes on above it.

        No machine may have the volume open. ``snapshot.layer`` names a file that does not exist yet.
        """
        self.require_space()
        volume, layer = self.volume(volume_id), self.disks / snapshot.layer
        with self._locked():
            volume.rename(layer)
            try:
                self._overlay(volume_id, snapshot.layer, snapshot.size)
                self._snapshots.write(snapshot)
            except BaseException:
                layer.rename(volume)
                raise

    def delete_volume(self, volume_id: str) -> None:
        """Free a volume's disk space. One that is gone already is fine."""
        with self._locked():
            self.volume(volume_id).unlink(missing_ok=True)
            self._collect()

    def sweep(self) -> None:
        """Remove what a killed server left: volumes of instances that are gone, and layers that nothing needs."""
        if self.disks.is_dir():
            with self._locked():
                for left in self.disks.glob("vol-*.qcow2"):
                    left.unlink()
                self._collect()

    def require_space(self, needed: int = 0) -> None:
        """:raises HostError: when ``needed`` bytes and a reserve do not fit on the state folder's file system"""
        self._make()
        free = shutil.disk_usage(self.state).free
        if free < needed + RESERVE:
            raise HostError(
                f"no disk space: {human(needed + RESERVE)} are needed and {human(free)} are free",
                where=self.state,
                hint="Free some, remove images with 'jenkins-ami local-cloud remove AMI', or use another --state",
            )

    # Files

    def _make(self) -> None:
        try:
            self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(f"the state folder cannot be made: {error.strerror}", where=self.state) from error
        if not os.access(self.state, os.W_OK | os.X_OK):
            raise HostError("the state folder cannot be written to", where=self.state, hint="Choose another --state")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, among threads and processes alike. Not reentrant."""
        self._make()
        with (self.state / "store.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _workspace(self) -> Iterator[Path]:
        """A folder for half-made files. One whose maker was killed is removed by the next."""
        parent = self.state / "tmp"
        with contextlib.ExitStack() as stack:
            with self._locked():
                parent.mkdir(exist_ok=True)
                for left in parent.iterdir():
                    with _open_folder(left) as folder, contextlib.suppress(BlockingIOError):
                        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        shutil.rmtree(left, ignore_errors=True)
                work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=parent)))
                fcntl.flock(stack.enter_context(_open_folder(work)), fcntl.LOCK_EX)
            yield work

    def _overlay(self, volume_id: str, layer: str, size: int) -> Path:
        volume = self.volume(volume_id)
        try:
            self._make_overlay(volume, layer, size * GIB)
        except BaseException:
            volume.unlink(missing_ok=True)
            raise
        return volume

    def _collect(self) -> None:
        """Remove every layer that neither a snapshot nor a volume needs, directly or through others."""
        todo = [record.layer for record in self.snapshots().values()]
        todo += [volume.name for volume in self.disks.glob("vol-*.qcow2")]
        needed: set[str] = set()
        while todo:
            name = todo.pop()
            if name not in needed:
                needed.add(name)
                if below := backing(self.disks / name):
                    todo.append(below)
        for layer in self.disks.glob("snap-*.qcow2"):
            if layer.name not in needed:
                layer.unlink()

    @staticmethod
    def _inspect(disk: Path) -> tuple[int, int]:
        """The virtual and the allocated size of a disk image in bytes."""
        if not disk.is_file():
            raise InputError("the disk image does not exist", where=disk)
        info = json.loads(run(["qemu-img", "info", "--output=json", disk.absolute()]).stdout)
        if "backing-filename" in info or "data-file" in info.get("format-specific", {}).get("data", {}):
            raise InputError("the disk image depends on another file", where=disk, hint="Convert it with qemu-img")
        if info["virtual-size"] == 0:
            raise InputError("the disk image is empty", where=disk)
        return info["virtual-size"], info["actual-size"]

    def _check_name(self, name: str, region: str) -> None:
        if not valid_name(name):
            raise InputError(
                f"{name!r} is not a name for an image",
                hint="It takes 3 to 128 letters, digits and ( ) [ ] space . / - ' @ _",
            )
        for image in self.images():
            if (image.name, image.region) == (name, region):
                raise NameTaken(f"the name {name!r} is taken by {image.id}", hint="Remove that image or choose a name")


@contextlib.contextmanager
def _open_folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
