"""The overlay's part of ``make bench``: scan and pack a tree beside ``tar czf`` of the same tree, in the same run.

The trees are whole folders of this machine's ``/usr``, drawn by their names' checksums, so that libraries, programs,
texts and images come in the proportion in which they are there. Of some runs the fastest counts, on both sides: it had
the least of whatever else the machine did. Prints; asserts nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import zlib
from pathlib import Path

SIZES = {"1 MB": 1_000_000, "100 MB": 100_000_000, "1 GB": 1_000_000_000}

PACK = """
import json, resource, sys, time
from pathlib import Path
from jenkins_ami.compile.members import scan
from jenkins_ami.compile.overlay import pack
from jenkins_ami.findings import Findings
from jenkins_ami.progress import Progress
from jenkins_ami.source.model import AmiSource, Identity
root, out, compression = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
begin = time.perf_counter()
members = scan(AmiSource(root, Identity("x", "1", "scratch"), overlay=root / "fs"), root, Findings())
tarball = pack(members, out, compression, Progress())
seconds = time.perf_counter() - begin
print(json.dumps([seconds, tarball.size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


def _make_tree(fs: Path, size: int) -> int:
    """Copy folders of ``/usr``, each with its own files only, up to ``size`` bytes; how many files they are."""
    folders = [Path(folder) for folder, _, _ in os.walk("/usr")]
    folders.sort(key=lambda folder: zlib.crc32(os.fsencode(folder)))
    copied = count = 0
    for turn in range(1, 1000):
        for folder in folders:
            files = [Path(entry.path) for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
            total = sum(file.stat().st_size for file in files)
            if not files or copied + total > size * 1.02:
                continue
            target = fs / str(turn) / folder.relative_to("/")
            target.mkdir(parents=True, exist_ok=True)
            for file in files:
                shutil.copyfile(file, target / file.name)
                (target / file.name).chmod(file.stat().st_mode & 0o755 | 0o400)
            copied += total
            count += len(files)
            if copied >= size:
                return count
    raise SystemExit("/usr has too little in it")


def _seconds_of_tar(fs: Path, archive: Path) -> float:
    begin = time.perf_counter()
    subprocess.run(["tar", "czf", archive, "-C", fs, "."], check=True)
    return time.perf_counter() - begin


def bench_overlay(work: Path) -> None:
    """Seconds, sizes and the most memory for overlays of 1 MB, 100 MB and 1 GB, as gzip and as zstd."""
    source, out, archive = work / "overlay", work / "overlay-out", work / "peer.tgz"
    out.mkdir()
    for name, size in SIZES.items():
        files = _make_tree(source / "fs", size)
        times = 2 if size > 500_000_000 else 5
        peer = min(_seconds_of_tar(source / "fs", archive) for _ in range(times))
        peer_size = archive.stat().st_size
        print(f"overlay of {name}, {files} files: tar czf {peer:8.3f} s {peer_size:11,} B", flush=True)
        for compression in ("gzip", "zstd"):
            argv = [sys.executable, "-c", PACK, source, out, compression]
            runs = [json.loads(subprocess.run(argv, check=True, capture_output=True).stdout) for _ in range(5)]
            seconds, packed, memory = min(runs)
            print(
                f"  as {compression}: {seconds:26.3f} s {packed:11,} B   {peer / seconds:5.1f} x as fast, "
                f"{100 * packed / peer_size - 100:+5.1f} % in size, {memory / 1024:4.0f} MiB of memory",
                flush=True,
            )
        shutil.rmtree(source)
    archive.unlink()
    shutil.rmtree(out)
