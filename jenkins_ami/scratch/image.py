"""A base image from a spec, start to end: packages, file system, boot loaders, one raw file.

Needs no loop device and mounts nothing, so it works in containers; needs no root, given a range of subordinate ids.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import HostError, InputError
from ..process import ProcessError, run, which
from ..progress import Progress, size
from . import bootloader
from .filesystem import MKE2FS_CONFIG, make_ext4, populate
from .layout import MIB, Layout
from .overlay import overlay_tar
from .rootfs import EPOCH, cache_key, package_set
from .spec import Spec
from .userns import FakeRoot, fake_root
from .workspace import explain_disk_full, partial_file, require_space, sparse_sha256, workspace

_TOOLS = ("mmdebstrap", "tar", "zstd", "sfdisk", "mke2fs", "dumpe2fs", "debugfs", "mkfs.vfat", "mcopy")
_WORK_BYTES = 1536 * MIB
_IMAGE_BYTES = 1024 * MIB
_CACHE_BYTES = 256 * MIB
"""What packages and their tree, the image's used blocks, and the compressed tar take at most with the default spec."""


@dataclass(frozen=True)
class ScratchImage:
    """A finished raw image. ``size`` is its length in bytes; ``used`` what it takes on the disk, holes aside."""

    path: Path
    size: int
    used: int
    sha256: str
    spec_digest: str
    suite: str
    packages: tuple[tuple[str, str], ...]


def recipe_digest(spec: Spec) -> str:
    """SHA-256 (hex) over all that decides what an image is, package versions aside: the spec and files of our own."""
    total = hashlib.sha256()
    own = (bootloader.EARLY_CONFIG.read_bytes(), MKE2FS_CONFIG.read_bytes(), overlay_tar(spec.hostname, EPOCH))
    for part in (spec.digest().encode(), cache_key(spec).encode(), *own):
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()


def build_image(spec: Spec, output: Path, *, cache: Path, progress: Progress, refresh: bool = False) -> ScratchImage:
    """Make the image of ``spec`` at ``output``; what was there is replaced when the new one is whole.

    :param cache: the folder where packages are kept between runs
    :param refresh: take today's package versions instead of the cached ones
    :raises HostError: a tool, disk space, the network or a right is missing
    :raises InputError: the spec cannot be carried out
    """
    output = _checked(output)
    for tool in _TOOLS:
        which(tool)
    bootloader.require()
    root = fake_root()
    packages_cache = cache / "scratch"
    require_space(output.parent, _IMAGE_BYTES)
    require_space(_nearest(packages_cache), _CACHE_BYTES)
    with (
        workspace(root, _WORK_BYTES, output.parent) as work,
        partial_file(output) as image,
        explain_disk_full(work, output.parent, _nearest(packages_cache)),
    ):
        with package_set(spec, packages_cache, work, progress, refresh=refresh) as found:
            with progress.step("populate file system"):
                populate(root, found.tar, overlay_tar(spec.hostname, EPOCH), work / "tree", EPOCH)
        layout = Layout(spec.size, spec.digest())
        with progress.step("make file system"):
            with image.open("r+b") as file:
                file.truncate(layout.size)
            write_filesystem(root, spec, image, work / "tree", layout)
        with progress.step("install boot loaders"):
            run(
                [which("sfdisk"), "-q", "--no-reread", "--no-tell-kernel", image],
                input=layout.sfdisk_script().encode(),
            )
            bootloader.install_bios(image, layout.bios, work)
            bootloader.install_uefi(image, layout.esp, work, EPOCH)
        with progress.step("finish") as step:
            sha256 = sparse_sha256(image)
            used = image.stat().st_blocks * 512
            step.done(f"{size(layout.size)}, {size(used)} used")
    return ScratchImage(output, layout.size, used, sha256, spec.digest(), spec.suite, found.packages)


def _checked(output: Path) -> Path:
    """The real path of what is to be written.

    :raises HostError: it cannot be
    """
    path = output.resolve()
    if path.is_dir():
        raise HostError("the output is a folder", where=output, hint="Name the file to write, such as disk.raw")
    if path.exists() and not path.is_file():
        raise HostError("the output exists and is no regular file", where=output)
    if not path.parent.is_dir():
        raise HostError("the output's folder does not exist", where=path.parent, hint="Make it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise HostError("the output's folder is not writable", where=path.parent)
    return path


def _nearest(folder: Path) -> Path:
    """``folder``, or the closest parent that exists."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def write_filesystem(root: FakeRoot, spec: Spec, image: Path, tree: Path, layout: Layout) -> None:
    """Make ``tree`` the root file system of ``image``.

    :raises InputError: it does not fit into the size that the spec says
    """
    try:
        make_ext4(root, image, tree, layout, EPOCH)
    except ProcessError as error:
        if "Could not allocate" not in error.stderr + error.stdout:
            raise
        raise InputError(
            f"a disk of {size(spec.size)} is too small for these packages",
            where=spec.locations.get("size"),
            hint="Give the spec a larger size",
        ) from error
