"""The overlay's tarball: what GNU tar makes of it, the same bytes everywhere, constant memory, nothing half-written."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import resource
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jenkins_ami.compile import compress
from jenkins_ami.compile.archive import TarStream, header, length
from jenkins_ami.compile.members import FILE, INSTALL, Member, scan
from jenkins_ami.compile.overlay import SMALL, Tarball, pack
from jenkins_ami.errors import HostError, InputError
from jenkins_ami.findings import Findings
from jenkins_ami.progress import Progress, Step
from jenkins_ami.source.reader import read_source

COMPRESSIONS = ("gzip", "zstd")


def members_of(source: Path) -> tuple[Member, ...]:
    findings = Findings()
    members = scan(read_source(source), source, findings)
    assert findings.items == []
    return members


def packed(source: Path, compression: str = "gzip", name: str = "out") -> Tarball:
    folder = source.parent / name
    folder.mkdir(exist_ok=True)
    tarball = pack(members_of(source), folder, compression, Progress())
    assert tarball is not None
    return tarball


def opened(tarball: Tarball) -> tarfile.TarFile:
    data = tarball.path.read_bytes()
    raw = gzip.decompress(data) if tarball.compression == "gzip" else zstandard.ZstdDecompressor().decompress(data)
    return tarfile.open(fileobj=io.BytesIO(raw), errors="surrogateescape")


def prose(size: int, seed: int = 0) -> bytes:
    """Text that compresses about as programs do."""
    source = random.Random(seed)
    words = [source.randbytes(source.randint(2, 9)) for _ in range(3000)]
    text = b"".join(source.choices(words, k=min(size, 1 << 20) // 4 + 1))[: 1 << 20]
    return (text * (size // len(text) + 1))[:size]


# what it holds


def tree(folder: Path) -> dict[str, tuple[str, str, bytes]]:
    """Each name below a folder: kind and mode as ls shows them, the first name of the same file, content."""
    names: dict[tuple[int, int], str] = {}
    found = {}
    for path in sorted(folder.rglob("*"), key=os.fsencode):
        status = path.lstat()
        name = str(path.relative_to(folder))
        first = names.setdefault((status.st_dev, status.st_ino), name)
        kind = oct(status.st_mode)
        if path.is_symlink():
            found[name] = (kind, first, os.fsencode(path.readlink()))
        else:
            found[name] = (kind, first, path.read_bytes() if path.is_file() else b"")
    return found


@pytest.fixture
def rich(make_source) -> Path:
    """A source with everything that an overlay can hold."""
    files = {
        "fs/.dot": "x",
        "fs/a b/ü\n.txt": "u",
        "fs/empty": "",
        "fs/etc/secret": "s",
        "fs/bin/tool": "#!/bin/sh\n",
        "fs/block": bytes(512),
        "fs/more": bytes(513),
        "fs/large": prose(200_000),
        "script/install.sh": "#!/bin/sh\n",
    }
    for length_ in (97, 98, 99, 100, 101, 255):
        files[f"fs/{'n' * length_}"] = str(length_)
    for length_ in (99, 100):
        files[f"fs/{'d' * length_}/x"] = ""
    deep = "/".join(["p" * 200] * 15)
    source = make_source({**files, f"fs/{deep}/x": "deep"})
    fs = source / "fs"
    (fs / "nothing").mkdir()
    Path(os.fsdecode(os.fsencode(fs) + b"/\xff latin \xfc")).write_text("not UTF-8")
    (fs / "link").symlink_to("/usr/share/doc")
    for size in (99, 100, 101, 3000):
        (fs / f"link{size}").symlink_to("/" + "t/" * (size // 2) + "x" * (size % 2 - 1))
    (fs / "bin/alias").hardlink_to(fs / "bin/tool")
    (fs / "zz").hardlink_to(fs / ("n" * 255))
    (fs / "etc/secret").chmod(0o600)
    (fs / "bin/tool").chmod(0o755)
    (fs / "nothing").chmod(0o700)
    return source


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_gnu_tar_extracts_the_tree_that_was_packed(compression, rich, tmp_path):
    tarball = packed(rich, compression)
    (tmp_path / "got").mkdir()
    unpack = ["-z"] if compression == "gzip" else ["-Izstd"]
    subprocess.run(["tar", *unpack, "-xpf", tarball.path, "-C", tmp_path / "got", "--no-same-owner"], check=True)
    got = tree(tmp_path / "got")
    install = got.pop(INSTALL)
    assert install[0] == "0o100700"
    for name in ("var", "var/lib", "var/lib/jenkins-ami"):
        del got[name]
    assert got == tree(rich / "fs")


def test_gnu_tar_lists_it_without_a_word_on_stderr(rich):
    tarball = packed(rich)
    listed = subprocess.run(
        ["tar", "-tvzf", tarball.path, "--numeric-owner", "--quoting-style=literal", "--full-time"],
        check=True,
        capture_output=True,
        env={"TZ": "UTC", "PATH": os.environ["PATH"]},
    )
    assert listed.stderr == b""
    lines = listed.stdout.split(b"\n")
    assert b"-rw------- 0/0               1 1970-01-01 00:00:00 etc/secret" in lines
    assert b"hrwxr-xr-x 0/0               0 1970-01-01 00:00:00 bin/tool link to bin/alias" in lines
    assert b"lrwxrwxrwx 0/0               0 1970-01-01 00:00:00 link -> /usr/share/doc" in lines
    assert b"drwx------ 0/0               0 1970-01-01 00:00:00 nothing/" in lines


def test_names_go_with_the_number_0_and_numbers_without_a_name(make_source):
    rules = """overlay:
  rules:
    - {path: a, owner: "www-data:adm"}
    - {path: b, owner: "1000:4294967294"}
    - {path: c, owner: "app:33"}
    - {path: d, owner: "0:root"}
"""
    source = make_source({"ami.yaml": rules, **{f"fs/{name}": "" for name in "abcde"}})
    tarball = packed(source)
    assert {m.name: (m.uid, m.gid, m.uname, m.gname, m.mtime) for m in opened(tarball)} == {
        "a": (0, 0, "www-data", "adm", 0),
        "b": (1000, 4294967294, "", "", 0),
        "c": (0, 33, "app", "", 0),
        "d": (0, 0, "", "root", 0),
        "e": (0, 0, "root", "root", 0),
    }
    assert tarball.owners == ("app:33", "www-data:adm")


def test_a_file_of_more_than_8_gib_has_its_size_in_base_256():
    member = Member("x", FILE, 0o644, "root", "root", 9 << 30, "", "x", "x")
    assert tarfile.TarInfo.frombuf(header(member), "utf-8", "strict").size == 9 << 30


def test_the_length_is_known_before_it_is_written(rich):
    members = members_of(rich)
    with TarStream(members) as stream:
        buffer = memoryview(bytearray(7777))  # a size at which nothing is aligned
        total = 0
        while count := stream.readinto(buffer):
            total += count
    assert total == length(members)


NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: not {0, ord("/")} & set(name) and name not in (b".", b"..")
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NAMES, min_size=1, max_size=5, unique=True), st.binary(max_size=2000))
def test_any_name_comes_out_as_it_went_in(tmp_path_factory, names, content):
    source = tmp_path_factory.mktemp("names")
    (source / "fs/d").mkdir(parents=True)
    (source / "ami.env").write_text("NAME=x\nVERSION=1\nBASE=scratch\n")
    for name in names:
        Path(os.fsdecode(os.fsencode(source / "fs/d") + b"/" + name)).write_bytes(content)
    tarball = packed(source, name=f"{source.name}-out")
    kept = sorted(name for name in names if name != b".gitkeep")
    archive = opened(tarball)
    assert [os.fsencode(name) for name in archive.getnames()] == [b"d", *(b"d/" + name for name in kept)]
    assert all(archive.extractfile(m).read() == content for m in archive.getmembers()[1:])


def test_no_members_make_no_tarball(make_source, tmp_path):
    source = make_source({"fs/.gitkeep": "", "cloudinit/10_a.yml": '#cloud-config\nruncmd: ["true"]\n'})
    assert pack(members_of(source), tmp_path, "gzip", Progress()) is None
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(("compression", "name"), [("gzip", "fs.tgz"), ("zstd", "fs.tar.zst")])
@pytest.mark.parametrize("size", [1000, SMALL + 1])
def test_size_digest_and_name_are_those_of_the_file(compression, name, size, make_source):
    tarball = packed(make_source({"fs/x": prose(size), "script/install.sh": "#!/bin/sh\n"}), compression)
    data = tarball.path.read_bytes()
    assert (tarball.size, tarball.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (tarball.path.name, tarball.compression, tarball.has_install) == (name, compression, True)
    assert not packed(make_source({"fs/x": ""}, name="other"), compression).has_install


# the same bytes

CHECKOUT = """
import os, sys, time
from pathlib import Path
from jenkins_ami.compile.members import scan
from jenkins_ami.compile.overlay import pack
from jenkins_ami.findings import Findings
from jenkins_ami.progress import Progress
from jenkins_ami.source.reader import read_source

root, seed, cpus = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
os.umask([0o002, 0o022, 0o000][seed])
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cpus])
files = sorted(Path(sys.argv[4]).iterdir(), key=lambda path: hash((path.name, seed)))
(root / "fs/d").mkdir(parents=True)
(root / "ami.env").write_text("NAME=x\\nVERSION=1\\nBASE=scratch\\n")
for file in files:
    (root / "fs" / file.name).write_bytes(file.read_bytes())
links = [root / "fs/first", root / "fs/d/second", root / "fs/d/third"]
order = [[0, 1, 2], [2, 0, 1], [1, 2, 0]][seed]
links[order[0]].write_text("linked")
for index in order[1:]:
    links[index].hardlink_to(links[order[0]])
(root / "fs/link").symlink_to("d/second")
os.utime(root / "fs/first", (seed, seed))
for compression in ("gzip", "zstd"):
    tarball = pack(scan(read_source(root), root, Findings()), root, compression, Progress())
    print(tarball.size, tarball.sha256)
"""


@pytest.mark.parametrize("size", [3000, 3 * compress.BLOCK])
def test_checkouts_with_other_umask_clock_locale_order_and_cores_give_the_same_bytes(size, tmp_path):
    content = tmp_path / "content"
    content.mkdir()
    for number in range(30):
        (content / f"file{number}").write_bytes(prose(size // 30, number))
    results = set()
    cores = [1, 2, len(os.sched_getaffinity(0))]
    for seed, (locale, zone) in enumerate([("C", "UTC"), ("C.UTF-8", "Asia/Tokyo"), ("POSIX", "America/Lima")]):
        environment = {**os.environ, "LC_ALL": locale, "TZ": zone, "PYTHONHASHSEED": str(seed)}
        argv = [sys.executable, "-c", CHECKOUT, tmp_path / f"checkout{seed}", str(seed), str(cores[seed]), content]
        done = subprocess.run(argv, check=True, capture_output=True, text=True, env=environment)
        results.add(done.stdout)
    assert len(results) == 1, results


GOLDEN = {
    ("gzip", 10_000): "dc8c3d0bd8f31615954ef47e8b683b1f70463e1960ab0da77d8cf743341122ec",
    ("zstd", 10_000): "080e7a670a8901c3686838a2df1e010f0cc263af6cfa1b383371e396dc7c0e7d",
    ("gzip", 2 * SMALL): "13adf6d15902f03e4b209783b1964fbe406005d2cda02aeed6f0636ee918d3bb",
    ("zstd", 2 * SMALL): "edeffdbe5548bde243daeefac40fd9c102cdb3b704d5ba22105c4e6aaf75da13",
}
WITHOUT_IGZIP = "430f123fab2e27357353e3d9b5f9b44ab7f62f6b6f07e497d2c564ef203c255b"


@pytest.mark.parametrize(("compression", "size"), GOLDEN)
def test_the_bytes_are_those_of_any_other_day(compression, size, make_source):
    expected = GOLDEN[compression, size]
    if (compression, size) == ("gzip", 2 * SMALL) and not compress.igzip_is_usual():
        expected = WITHOUT_IGZIP
    assert packed(make_source({"fs/etc/zero": bytes(size // 9), "fs/x": prose(size)}), compression).sha256 == expected


def test_igzip_is_used_where_the_processor_computes_its_hash():
    flags = Path("/proc/cpuinfo").read_text().split()
    assert compress.igzip_is_usual() == ("sse4_2" in flags)


# compression


def test_a_small_tarball_is_smaller_than_any_that_zlib_makes(make_source):
    tarball = packed(make_source({"fs/etc/a": prose(9000), "fs/etc/b": "zlib.cpython.so" * 300}))
    raw = gzip.decompress(tarball.path.read_bytes())
    others = []
    for level in range(1, 10):
        for memory in range(1, 10):
            for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_RLE):
                packer = zlib.compressobj(level, zlib.DEFLATED, 31, memory, strategy)
                others.append(len(packer.compress(raw) + packer.flush()))
    assert tarball.size < min(others)


@pytest.mark.parametrize("block", [compress._igzip, compress._libdeflate])
@pytest.mark.parametrize(
    "data",
    [b"", b"x", bytes(compress.BLOCK), prose(100_000), os.urandom(100_000)],
    ids=["empty", "one", "zero", "text", "noise"],
)
def test_a_block_is_a_gzip_file_by_itself(block, data):
    assert gzip.decompress(block(memoryview(data))) == data


MEASURE = """
import resource, sys
from pathlib import Path
from jenkins_ami.compile.members import scan
from jenkins_ami.compile.overlay import pack
from jenkins_ami.findings import Findings
from jenkins_ami.progress import Progress
from jenkins_ami.source.reader import read_source
root = Path(sys.argv[1])
pack(scan(read_source(root), root, Findings()), root.parent, sys.argv[2], Progress())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_memory_does_not_grow_with_the_overlay(compression, make_source):
    text = prose(32 << 20)
    peaks = []
    for count in (2, 8):
        source = make_source({f"fs/{number}": text for number in range(count)}, name=f"source{count}")
        argv = [sys.executable, "-c", MEASURE, source, compression]
        peaks.append(int(subprocess.run(argv, check=True, capture_output=True, text=True).stdout))
    assert peaks[1] < peaks[0] * 1.2


# what goes wrong


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def shrink(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def become_a_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def become_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


CHANGED = "changed while it was packed"
CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "grows": (grow, CHANGED),
    "shrinks": (shrink, CHANGED),
    "vanishes": (Path.unlink, "cannot be read: No such file or directory"),
    "link": (become_a_link, "cannot be read: Too many levels of symbolic links"),
    "pipe": (become_a_pipe, CHANGED),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("size", [1, 1000, 70_000, SMALL], ids=["one", "small", "large", "huge"])
def test_a_file_that_changes_while_it_is_packed_is_an_error(size, change, message, make_source, tmp_path):
    source = make_source({"fs/a": "", "fs/x": prose(size)})
    members = members_of(source)
    change(source / "fs/x")
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError) as caught:
        pack(members, tmp_path / "out", "gzip", Progress())
    assert caught.value.what == message
    assert str(caught.value.where) == str(source / "fs/x")
    assert list((tmp_path / "out").iterdir()) == []


class Interrupting(Progress):
    def _on_advance(self, step: Step, done: int) -> None:
        if done > SMALL:
            raise KeyboardInterrupt


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_an_interrupt_leaves_no_file_and_no_thread(compression, make_source, tmp_path):
    import threading

    members = members_of(make_source({"fs/x": prose(3 * SMALL)}))
    (tmp_path / "out").mkdir()
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        pack(members, tmp_path / "out", compression, Interrupting())
    assert list((tmp_path / "out").iterdir()) == []
    assert threading.active_count() == before


def test_a_disk_that_is_full_is_the_hosts_error_and_leaves_nothing(make_source, tmp_path):
    members = members_of(make_source({"fs/x": random.Random(0).randbytes(2 * SMALL)}))
    (tmp_path / "out").mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, hard))  # Python ignores SIGXFSZ, so that write() fails
    try:
        with pytest.raises(HostError) as caught:
            pack(members, tmp_path / "out", "gzip", Progress())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.line() == f"the overlay cannot be written: File too large ({tmp_path}/out/fs.tgz)."
    assert list((tmp_path / "out").iterdir()) == []
