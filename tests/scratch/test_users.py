"""The command as root and as an ordinary user, in a process: the same bytes, and nothing left when interrupted."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import jenkins_ami
from jenkins_ami.paths import cache_dir
from jenkins_ami.process import run, which
from jenkins_ami.scratch.rootfs import cache_key
from jenkins_ami.scratch.spec import Spec
from jenkins_ami.scratch.workspace import choose
from tests.scratch.conftest import Look


class User:
    """Somebody with a folder that he may write, who runs the command in it. ``name`` is ``None`` for ourselves."""

    def __init__(self, folder: Path, name: str | None) -> None:
        self.folder = folder
        self._name = name
        self.output = folder / "disk.raw"
        self.work = folder / "work"
        self.cache = folder / "cache"
        # A copy of the program and the interpreter itself: ours may lie where nobody else may look.
        shutil.copytree(Path(jenkins_ami.__file__).parent, folder / "program" / "jenkins_ami")
        for each in (self.work, self.cache):
            each.mkdir()
        run(["chmod", "-R", "a+rX", folder])
        if name:
            run(["chown", "-R", f"{name}:", folder])

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(self.folder / "program"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "JENKINS_AMI_CACHE": str(self.cache),
            "TMPDIR": str(self.work),
        }
        drop = [which("setpriv"), f"--reuid={self._name}", f"--regid={self._name}", "--init-groups", "--"]
        python = os.path.realpath(sys.executable)
        words = [*(drop if self._name else []), python, "-m", "jenkins_ami", "scratch", *map(str, arguments)]
        return subprocess.Popen(words, env=env, cwd=self.folder, stdout=-1, stderr=-2, text=True)

    def lend_cache(self) -> None:
        """Put our default package set into this user's cache."""
        for file in (cache_dir() / "scratch").glob(f"{cache_key(Spec())}.*"):
            shutil.copy(file, self.cache / "scratch" / file.name)
        if self._name:
            run(["chown", "-R", f"{self._name}:", self.cache])


@pytest.fixture
def folder() -> Iterator[Path]:
    """Outside of pytest's own folder, which is closed to others; in memory, if there is plenty."""
    where = choose(4 << 30, Path("/var/tmp"))
    with tempfile.TemporaryDirectory(prefix="scratch-users-", dir=where) as name:
        yield Path(name)


def _account(command: str, *arguments: str) -> None:
    """One at a time: these tools do not wait for one another."""
    with (Path(tempfile.gettempdir()) / "jenkins-ami-test-accounts.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run([which(command), *arguments])


@pytest.fixture(params=["ordinary", "ourselves"])
def user(request: pytest.FixtureRequest, folder: Path) -> Iterator[User]:
    """An ordinary user with subordinate ids, made for the test; and whoever runs the tests."""
    name = f"ami{os.getpid()}" if request.param == "ordinary" and os.geteuid() == 0 else None
    if name:
        _account("useradd", "--no-create-home", name)
    try:
        yield User(folder, name)
    finally:
        if name:
            _account("userdel", name)


def test_everybody_makes_the_same_bytes(look: Look, user: User) -> None:
    (user.cache / "scratch").mkdir()
    user.lend_cache()
    process = user.start("-o", user.output)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert f"sha256  {look.image.sha256}\n" in printed
    assert list(user.work.iterdir()) == []


@pytest.mark.parametrize("user", ["ordinary"], indirect=True)
def test_two_runs_at_once_do_not_disturb_each_other(look: Look, user: User) -> None:
    (user.cache / "scratch").mkdir()
    user.lend_cache()
    processes = [user.start("-o", user.folder / f"{number}.raw") for number in (1, 2)]
    for process in processes:
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0, printed
        assert f"sha256  {look.image.sha256}\n" in printed


@pytest.mark.parametrize("moment", ["I: running apt-get update", "I: installing essential packages"])
def test_an_interrupt_leaves_nothing_behind(user: User, moment: str) -> None:
    user.output.write_text("old")
    process = user.start("-v", "-o", user.output)
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if moment in line:
            break
    process.send_signal(signal.SIGINT)
    seen += process.stdout.read()
    process.stdout.close()
    assert (process.wait(60), moment in seen) == (130, True), seen
    assert list(user.work.iterdir()) == []
    assert [path.suffix for path in (user.cache / "scratch").iterdir()] == [".lock"]
    assert user.output.read_text() == "old"
    assert {path.name for path in user.folder.iterdir()} == {"disk.raw", "work", "cache", "program"}
    assert run(["pgrep", "-f", str(user.work)], check=False).stdout == ""


def test_a_user_without_subordinate_ids_is_told_how_to_get_them(folder: Path) -> None:
    name = f"amis{os.getpid()}"
    _account("useradd", "--system", "--no-create-home", name)
    try:
        process = User(folder, name).start("-o", "disk.raw")
        printed, _ = process.communicate(timeout=60)
    finally:
        _account("userdel", name)
    assert process.returncode == 1
    assert printed.splitlines()[-1] == (
        f"error: user {name} has no range of 65535 subordinate ids (/etc/subuid). Give it one: "
        f"sudo usermod --add-subuids 1000000-1065535 --add-subgids 1000000-1065535 {name}; or run this as root."
    )


def test_a_folder_that_one_may_not_write_is_refused(folder: Path) -> None:
    name = f"amir{os.getpid()}"
    _account("useradd", "--system", "--no-create-home", name)
    try:
        process = User(folder, name).start("-o", "/usr/disk.raw")
        printed, _ = process.communicate(timeout=60)
    finally:
        _account("userdel", name)
    assert (process.returncode, printed) == (1, "error: the output's folder is not writable (/usr).\n")
