"""``overlay.sh`` on a machine of its own: a folder that bubblewrap makes the root, with the host's ``/usr`` in it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from jenkins_ami.compile.members import scan
from jenkins_ami.compile.overlay import Tarball, pack
from jenkins_ami.compile.own import script_text
from jenkins_ami.findings import Findings
from jenkins_ami.progress import Progress
from jenkins_ami.scratch.userns import fake_root
from jenkins_ami.source.reader import read_source

HERE = "var/lib/jenkins-ami"
TOOLS = ("sh", "tar", "gzip", "zstd", "wc", "sha256sum", "getent", "rm", "cat", "stat", "find")
"""All programs of the machine: what Debian calls essential, and zstd."""


class Machine:
    """A root folder, and what runs in it as root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("usr", "etc", "tools", "opt/real", "tmp", "dev", HERE):
            (root / folder).mkdir(parents=True)
        for name in ("bin", "lib", "lib64", "sbin"):
            (root / name).symlink_to(f"usr/{name}")
        for tool in TOOLS:
            (root / "tools" / tool).symlink_to(f"/usr/bin/{tool}")
        (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n")
        (root / "etc/group").write_text("root:x:0:\nwww-data:x:33:\nadm:x:4:\n")
        (root / "etc").chmod(0o711)
        (root / "opt/link").symlink_to("real")
        script = root / HERE / "overlay.sh"
        script.write_text(script_text("overlay.sh"))
        script.chmod(0o700)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        mounts = ["--bind", self.root, "/", "--ro-bind", "/usr", "/usr", "--dev", "/dev"]
        words = ["bwrap", *mounts, "--chdir", "/tmp", "--clearenv", "--setenv", "PATH", "/tools", *argv]
        return subprocess.run(fake_root().argv(*words), capture_output=True, text=True, check=False)

    def unpack(self, tarball: Tarball, *, size: int | None = None, sha256: str | None = None) -> str:
        """Its standard error; empty when it succeeded."""
        shutil.copy(tarball.path, self.root / HERE / "fs.tgz")
        words = [str(size or tarball.size), sha256 or tarball.sha256, tarball.compression, *tarball.owners]
        done = self.run(f"/{HERE}/overlay.sh", *words)
        assert done.returncode == (1 if done.stderr else 0)
        assert done.stdout == ""
        return done.stderr

    def stat(self, names: Iterable[str]) -> dict[str, str]:
        """Mode, owner and group as numbers, and the number of names."""
        done = self.run("stat", "-c", "%a %u:%g %h", *(f"/{name}" for name in names))
        return dict(zip(names, done.stdout.splitlines(), strict=True))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


@pytest.fixture
def tarball_of(tmp_path: Path) -> Callable[..., Tarball]:
    def make(source: Path, compression: str = "gzip") -> Tarball:
        tarball = pack(scan(read_source(source), source, Findings()), tmp_path, compression, Progress())
        assert tarball is not None
        return tarball

    return make


RULES = """overlay:
  rules:
    - {path: srv/www, owner: "www-data:adm"}
    - {path: srv/numeric, owner: "1234:adm", mode: "0640"}
    - {path: srv/link, owner: "www-data:www-data"}
"""


@pytest.fixture
def rich(make_source) -> Path:
    source = make_source(
        {
            "ami.yaml": RULES,
            "fs/etc/motd": "hello\n",
            "fs/etc/new/x": "",
            "fs/opt/link/through": "",
            "fs/srv/www": "",
            "fs/srv/numeric": "",
            "script/install.sh": "#!/bin/sh\n",
        }
    )
    (source / "fs/srv/link").symlink_to("/nowhere")
    (source / "fs/srv/second").hardlink_to(source / "fs/etc/motd")
    (source / "fs/etc").chmod(0o755)
    return source


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_the_overlay_is_laid_over_the_machine(compression, rich, machine, tarball_of):
    assert machine.unpack(tarball_of(rich, compression)) == ""
    names = [
        "etc",
        "etc/motd",
        "etc/new",
        "opt/real/through",
        "srv/www",
        "srv/numeric",
        "srv/link",
        f"{HERE}/install.sh",
    ]
    assert machine.stat(names) == {
        "etc": "711 0:0 3",  # it was there, and kept its mode
        "etc/motd": "644 0:0 2",
        "etc/new": "755 0:0 2",
        "opt/real/through": "644 0:0 1",
        "srv/www": "644 33:4 1",
        "srv/numeric": "640 1234:4 1",
        "srv/link": "777 33:33 1",
        f"{HERE}/install.sh": "700 0:0 1",
    }
    assert (machine.root / "opt/link").is_symlink()
    assert (machine.root / "srv/second").samefile(machine.root / "etc/motd")
    assert (machine.root / "etc/motd").stat().st_mtime > 1_000_000_000
    assert not (machine.root / HERE / "fs.tgz").exists()


def content(root: Path) -> list[str]:
    return sorted(str(path) for path in root.rglob("*") if path.name != "fs.tgz" and "/dev/" not in str(path))


def test_an_overlay_of_another_length_touches_nothing(rich, machine, tarball_of):
    tarball = tarball_of(rich)
    before = content(machine.root)
    expected = f"the overlay was damaged on its way: it has {tarball.size} bytes instead of 7\n"
    assert machine.unpack(tarball, size=7) == expected
    assert content(machine.root) == before


def test_an_overlay_of_another_digest_touches_nothing(rich, machine, tarball_of):
    tarball = tarball_of(rich)
    data = bytearray(tarball.path.read_bytes())
    data[-1] ^= 1
    tarball.path.write_bytes(data)
    before = content(machine.root)
    got = hashlib.sha256(data).hexdigest()
    expected = f"the overlay was damaged on its way: its sha256 is {got} instead of {tarball.sha256}\n"
    assert machine.unpack(tarball) == expected
    assert content(machine.root) == before


@pytest.mark.parametrize(
    ("owner", "missing"),
    [
        ("nobody-here", "user"),
        ("www-data:wheel", "group"),
        ("1000:wheel", "group"),
    ],
)
def test_an_owner_that_the_machine_lacks_is_named_before_anything_is_touched(
    owner, missing, make_source, machine, tarball_of
):
    source = make_source({"ami.yaml": f"overlay: {{rules: [{{path: srv/x, owner: '{owner}'}}]}}\n", "fs/srv/x": ""})
    pair = owner if ":" in owner else f"{owner}:root"
    before = content(machine.root)
    expected = f"the overlay belongs to {pair}: no such {missing}\n"
    assert machine.unpack(tarball_of(source)) == expected
    assert content(machine.root) == before


def test_a_machine_without_zstd_says_so(rich, machine, tarball_of):
    (machine.root / "tools/zstd").unlink()
    expected = "the overlay is packed with zstd, which this machine lacks\n"
    assert machine.unpack(tarball_of(rich, "zstd")) == expected


OLD_TAR = """#!/bin/sh
case "$*" in *--keep-directory-symlink*) echo "tar: unrecognized option" >&2; exit 64 ;; esac
exec /usr/bin/tar "$@"
"""


@pytest.fixture
def old_machine(machine: Machine) -> Machine:
    """One whose tar does not know what 1.27 learned."""
    (machine.root / "tools/tar").unlink()
    (machine.root / "tools/tar").write_text(OLD_TAR)
    (machine.root / "tools/tar").chmod(0o755)
    return machine


def test_an_old_tar_does_not_get_to_replace_a_link_by_a_folder(rich, old_machine, tarball_of):
    expected = "the overlay would replace the link /opt/link: tar is too old\n"
    assert old_machine.unpack(tarball_of(rich)) == expected
    assert (old_machine.root / "opt/link").is_symlink()


def test_an_old_tar_unpacks_what_meets_no_link(make_source, old_machine, tarball_of):
    assert old_machine.unpack(tarball_of(make_source({"fs/etc/motd": "", "fs/srv/a b/c": ""}))) == ""
    assert (old_machine.root / "srv/a b/c").is_file()
    assert (old_machine.root / "etc").stat().st_mode & 0o777 == 0o711


def test_what_tar_cannot_do_fails_with_its_word(make_source, machine, tarball_of):
    tarball = tarball_of(make_source({"fs/etc": "a file where the machine has a folder"}))
    assert "tar: etc: Cannot open: " in machine.unpack(tarball)
