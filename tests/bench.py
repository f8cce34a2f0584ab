"""`make bench`: how long things take, each beside a peer measured in the same run. Prints ratios; asserts nothing.

The peers are the floor (the interpreter alone), the usual way by hand, or the tool that does the heaviest part alone.
"""

from __future__ import annotations

import gzip
import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path

from bench_build import bench_build
from bench_jobs import bench_jobs
from bench_overlay import bench_overlay
from cloud_init_package import cloud_init_package

REPOSITORY = Path(__file__).parent.parent
EXAMPLE = REPOSITORY / "examples" / "web-server"
BIN = Path(sys.executable).parent

BY_HAND = """
import io, sys, tarfile, base64, yaml, pathlib
root = pathlib.Path(sys.argv[1])
parts = [yaml.safe_load(p.read_text()) for p in sorted((root / "cloudinit").iterdir())]
buffer = io.BytesIO()
with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
    archive.add(root / "fs", "/")
merged = {}
for part in parts:
    for key, value in part.items():
        merged[key] = merged[key] + value if key in merged else value
merged.setdefault("write_files", []).append({"path": "/x", "content": base64.b64encode(buffer.getvalue()).decode()})
sys.stdout.write(yaml.safe_dump(merged))
"""


def run(*argv: str | Path) -> None:
    subprocess.run([str(word) for word in argv], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def seconds(action: Callable[[], object], times: int) -> float:
    """The median of some runs, after one that warms caches."""
    action()
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        action()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def compare(name: str, ours: float, peer_name: str, peer: float, unit: str = "s") -> None:
    show = (lambda value: f"{value:8.3f} s") if unit == "s" else (lambda value: f"{value:8.0f} {unit}")
    print(f"{name:<34} {show(ours)}   {peer_name:<40} {show(peer)}   ratio {ours / peer:5.2f}", flush=True)


def mime_by_hand(overlay: bytes, config: str) -> bytes:
    """User-data as scripts usually make it: MIME parts, the overlay as base64 in a cloud-config part, gzipped."""
    return gzip.compress(_message([config, as_document(overlay)]))


def _message(documents: list[str]) -> bytes:
    message = MIMEMultipart()
    for text in documents:
        message.attach(MIMEText(text, "cloud-config", "utf-8"))
    return message.as_bytes()


def as_document(overlay: bytes) -> str:
    content = b64encode(overlay).decode()
    return f"#cloud-config\nwrite_files:\n- path: /x\n  encoding: b64\n  content: {content}\n"


def make_mime(work: Path, documents: list[str]) -> bytes:
    """User-data by cloud-init's own tool, gzipped."""
    argv = [sys.executable, "-m", "cloudinit.cmd.main", "devel", "make-mime"]
    for number, text in enumerate(documents):
        (work / f"part{number}").write_text(text)
        argv += ["-a", f"{work / f'part{number}'}:cloud-config"]
    environment = {**os.environ, "PYTHONPATH": str(cloud_init_package())}
    return gzip.compress(subprocess.run(argv, env=environment, check=True, capture_output=True).stdout)


def largest(fits: Callable[[int], bool]) -> int:
    """The largest number for which ``fits`` holds, by bisection."""
    low, high = 0, 20_000
    while high - low > 16:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def packed(noise: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("etc/blob")
        info.size = len(noise)
        archive.addfile(info, io.BytesIO(noise))
    return buffer.getvalue()


def bench_payload(work: Path) -> None:
    from jenkins_ami.artifacts import USERDATA_LIMIT
    from jenkins_ami.compile.run import Options, compile_source
    from jenkins_ami.progress import Progress

    noise = os.urandom(20_000)
    source = work / "payload"
    (source / "fs/etc").mkdir(parents=True)
    (source / "ami.env").write_text("NAME=x\nVERSION=1\nBASE=scratch\n")

    def ours(count: int) -> bool:
        (source / "fs/etc/blob").write_bytes(noise[:count])
        made = compile_source(source, work / "payload-out", Options(), Progress())
        return made.manifest.overlay.placement == "inline"

    config = "#cloud-config\n" + "x" * 1000

    def by_hand(count: int) -> bool:
        return len(mime_by_hand(packed(noise[:count]), config)) <= USERDATA_LIMIT

    def by_tool(count: int) -> bool:
        return len(make_mime(work, [config, as_document(packed(noise[:count]))])) <= USERDATA_LIMIT

    mine = largest(ours)
    compare("largest overlay inline", mine, "MIME parts, base64 in a utf-8 part, gzip", largest(by_hand), "B")
    compare("largest overlay inline", mine, "cloud-init devel make-mime, gzip", largest(by_tool), "B")

    blob = noise[:10_000]
    (source / "fs/etc/blob").write_bytes(blob)
    made = compile_source(source, work / "payload-out", Options(), Progress())
    size = made.manifest.files["userdata.gz"].size
    text = gzip.decompress(made.userdata).decode()
    documents = [text, as_document(packed(blob))]
    compare(
        "user-data, 10,000 B overlay",
        size,
        "the same content as MIME and gzip",
        len(mime_by_hand(packed(blob), text)),
        "B",
    )
    compare("user-data, 10,000 B overlay", size, "the same by make-mime and gzip", len(make_mime(work, documents)), "B")


def bench_parts(work: Path) -> None:
    """Linear: the time for each further part stays the same."""
    from jenkins_ami.compile.run import Options, compile_source
    from jenkins_ami.progress import Progress

    taken = {}
    for count in (1, 20, 200):
        source = work / f"parts{count}"
        (source / "cloudinit").mkdir(parents=True)
        (source / "ami.env").write_text("NAME=x\nVERSION=1\nBASE=scratch\n")
        for number in range(count):
            name = f"{number // 3:02d}_part{number:03d}"
            text = f"#cloud-config\npackages: [p{number}]\nruncmd:\n- echo {number}\n- [touch, /tmp/{number}]\n"
            (source / "cloudinit" / f"{name}.yml").write_text(text)
        taken[count] = seconds(
            lambda source=source: compile_source(source, work / "parts-out", Options(), Progress()), 7
        )
        print(f"compile {count:>3} parts                  {taken[count]:8.3f} s", flush=True)
    few, many = (taken[20] - taken[1]) / 19, (taken[200] - taken[20]) / 180
    compare("a further part, from 20 to 200", many, "a further part, from 1 to 20", few)


def bench_scratch(work: Path) -> None:
    image = work / "disk.raw"

    def ours() -> None:
        run(BIN / "jenkins-ami", "scratch", "-q", "-o", image)

    tree = work / "tree"
    tree.mkdir()
    warm = seconds(ours, 3)
    # the floor: the tool that writes the file system, alone, on an equally large tree
    run("sh", "-c", 'head -c 480M /dev/urandom >"$1"/x', "sh", tree)
    peer = seconds(lambda: run("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, work / "peer.ext4", "1900M"), 3)
    compare("scratch, package set cached", warm, "mke2fs -d of as many bytes, alone", peer)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="jenkins-ami-bench-") as folder:
        work = Path(folder)
        program = BIN / "jenkins-ami"
        bare = seconds(lambda: run(sys.executable, "-c", "pass"), 15)
        compare("jenkins-ami --help", seconds(lambda: run(program, "--help"), 15), "python -c pass", bare)
        ours = seconds(lambda: run(program, "compile", EXAMPLE, work / "out", "-q"), 15)
        hand = seconds(lambda: run(sys.executable, "-c", BY_HAND, EXAMPLE), 15)
        compare("compile examples/web-server", ours, "unchecked merge and pack, 15 lines", hand)
        bench_parts(work)
        bench_payload(work)
        bench_overlay(work)
        bench_scratch(work)
        bench_build(work)
        bench_jobs(work)


if __name__ == "__main__":
    main()
