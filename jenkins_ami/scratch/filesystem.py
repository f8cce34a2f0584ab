"""The root file system: a tree from the package tar and our overlay, and an ext4 made from it without mounting.

Made so that the same tree gives the same bytes: fixed identifiers and features, and every time stamp set, the ones that
no tool preserves included.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..process import run, which
from .layout import Layout
from .userns import FakeRoot

MKE2FS_CONFIG = Path(__file__).parent / "files" / "mke2fs.conf"
_RESERVED_INODES = 10
_LOST_AND_FOUND = 11


def extract_argv(source: str, tree: Path) -> list[str]:
    """tar's command line. ``source`` is a file compressed with zstd, or ``-``. File capabilities are kept."""
    return [
        "tar",
        "--extract",
        f"--file={source}",
        "--force-local",
        *([] if source == "-" else ["--zstd"]),
        f"--directory={tree}",
        "--preserve-permissions",
        "--same-owner",
        "--numeric-owner",
        "--xattrs",
        "--xattrs-include=security.*",
        "--exclude=./dev/*",  # the kernel fills it, and an ordinary user cannot
    ]


def mke2fs_argv(image: Path, tree: Path, layout: Layout) -> list[str]:
    """mke2fs's command line: ext4 labelled ``root`` in the root partition, filled from ``tree``."""
    root = layout.root
    options = f"offset={root.start},hash_seed={layout.id('hash-seed')},lazy_itable_init=1,lazy_journal_init=1,nodiscard"
    return [
        "mke2fs",
        "-q",
        "-F",
        "-t",
        "ext4",
        "-L",
        "root",
        "-U",
        str(layout.id("filesystem")),
        "-E",
        options,
        "-d",
        str(tree),
        str(image),
        f"{root.size // 1024}k",
    ]


def populate(root: FakeRoot, packages: Path, overlay: bytes, tree: Path, epoch: int) -> None:
    """Fill the folder ``tree`` (made here) and leave nothing in it that is newer than ``epoch`` (Unix seconds)."""
    tree.mkdir()
    env = environment(epoch)
    run(root.argv(*extract_argv(str(packages), tree)), env=env)
    run(root.argv(*extract_argv("-", tree)), env=env, input=overlay)
    touch = ["touch", "--no-dereference", f"--date=@{epoch}", "{}", "+"]
    run(root.argv("find", tree, "-newermt", f"@{epoch}", "-exec", *touch), env=env)


def environment(epoch: int) -> dict[str, str]:
    """For the tools: their messages in English, since we read them, and their clock stopped at ``epoch``."""
    return os.environ | {"LC_ALL": "C", "MKE2FS_CONFIG": str(MKE2FS_CONFIG), "E2FSPROGS_FAKE_TIME": str(epoch)}


def make_ext4(root: FakeRoot, image: Path, tree: Path, layout: Layout, epoch: int) -> None:
    """Write the file system into ``image`` and set every time stamp in it to ``epoch`` or, where older, leave it."""
    env = environment(epoch)
    words = mke2fs_argv(image, tree, layout)
    run(root.argv(which(words[0]), *words[1:]), env=env)
    # A relative name: a folder with a question mark in its path would end the name there.
    device, folder = f"{image.name}?offset={layout.root.start}", image.parent
    listing = run([which("dumpe2fs"), device], env=env, cwd=folder).stdout
    commands = time_commands(used_inodes(listing), epoch)
    run([which("debugfs"), "-w", "-f", "-", device], env=env, cwd=folder, input=commands.encode())


def used_inodes(listing: str) -> list[int]:
    """The inodes that files use, from what ``dumpe2fs`` prints: all but the reserved and the free ones."""
    total = int(_field(listing, r"^Inode count:\s+(\d+)$"))
    free: set[int] = set()
    for ranges in re.findall(r"^  Free inodes: (.*)$", listing, re.MULTILINE):
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", ranges):
            free.update(range(int(first), int(last or first) + 1))
    return [inode for inode in (2, *range(_RESERVED_INODES + 1, total + 1)) if inode not in free]


def _field(text: str, pattern: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise ValueError(f"dumpe2fs printed nothing that matches {pattern}")
    return found[1]


def time_commands(inodes: list[int], epoch: int) -> str:
    """debugfs's input: the times that mke2fs takes from the clock or the build host, for all ``inodes``.

    Modification times came with the tree, save that of ``lost+found``, which mke2fs makes itself.
    """
    lines = [
        f"set_inode_field <{inode}> {field} @{epoch}" for inode in inodes for field in ("atime", "ctime", "crtime")
    ]
    lines.append(f"set_inode_field <{_LOST_AND_FOUND}> mtime @{epoch}")
    return "\n".join(lines) + "\n"
