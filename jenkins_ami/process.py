"""The only place that runs a subprocess.

Commands are argv lists; nothing is ever given to a shell. Every child gets a process group of its own, which dies with
an exception or a signal in the parent, so that no tool outlives the command that needed it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .errors import HostError

LineSink = Callable[[str], None]
"""Is called with each line of a child's output, without its newline."""

Child = subprocess.Popen[bytes]
"""A child that :func:`spawn` started."""

PIPE = subprocess.PIPE
"""For ``stdout`` or ``stderr`` of :func:`spawn`: read it from the child's attribute of that name."""

_TAIL_LINES = 40

PACKAGES = {
    "bwrap": "bubblewrap",
    "debugfs": "e2fsprogs",
    "dumpe2fs": "e2fsprogs",
    "git": "git",
    "grub-mkimage": "grub-common",
    "mcopy": "mtools",
    "mke2fs": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mmdebstrap": "mmdebstrap",
    "newgidmap": "uidmap",
    "newuidmap": "uidmap",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "setpriv": "util-linux",
    "sfdisk": "fdisk",
    "unshare": "util-linux",
    "zstd": "zstd",
}
"""The Debian package that brings each tool, for the hint when one is missing."""


class ProcessError(HostError):
    """A command failed. Carries ``argv``, ``returncode`` (negative: a signal), ``stdout`` and ``stderr``."""

    def __init__(self, argv: Sequence[str], returncode: int, stdout: str, stderr: str, why: str = "") -> None:
        self.argv = list(argv)
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr
        lines = [line for line in (stderr or stdout).splitlines() if line.strip()]
        reason = why or (
            f"was ended by {signal.Signals(-returncode).name}" if returncode < 0 else f"exited with {returncode}"
        )
        what = f"{Path(self.argv[0]).name} {reason}"
        if lines and not why:
            what += f": {lines[-1].strip()}"
        super().__init__(what, detail=[f"command: {shlex.join(self.argv)}", *lines[-_TAIL_LINES:]])


@dataclass(frozen=True)
class Completed:
    """A command that has ended. ``stdout`` and ``stderr`` are text, or empty where they were sent elsewhere."""

    argv: list[str]
    returncode: int
    stdout: str
    stderr: str


def which(tool: str) -> str:
    """The absolute path of ``tool``; looks into the sbin folders too, which an ordinary user's PATH lacks.

    :raises HostError: naming the Debian package to install
    """
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    found = shutil.which(tool, path=path)
    if found is None:
        package = PACKAGES.get(tool)
        hint = f"Install it: apt-get install {package}" if package else f"Install {tool} and put it on the PATH"
        raise HostError(f"{tool} is not installed", hint=hint)
    return found


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes | None = None,
    stdin: IO[Any] | None = None,
    stdout: IO[Any] | None = None,
    timeout: float | None = None,
    check: bool = True,
    on_stdout: LineSink | None = None,
    on_stderr: LineSink | None = None,
    stop: threading.Event | None = None,
) -> Completed:
    """Run a command to its end.

    :param env: the whole environment of the child; ``None`` passes ours on
    :param input: bytes for its standard input (``stdin`` gives it a file instead; neither: ``/dev/null``)
    :param stdout: an open file to write standard output to instead of collecting it
    :param timeout: seconds; the whole process group is killed after that
    :param on_stdout, on_stderr: called with each line as it comes (from another thread)
    :param stop: another thread sets it to have the process group killed
    :raises ProcessError: when it fails and ``check`` is set, takes longer than ``timeout``, or is stopped
    :raises HostError: when the program is not there
    """
    words = [str(word) for word in argv]
    try:
        child = subprocess.Popen(
            words,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.PIPE if input is not None else (stdin or subprocess.DEVNULL),
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise HostError(f"folder {cwd} does not exist") from error
        which(words[0])
        raise HostError(f"{words[0]} could not be started: {error.strerror}") from error
    except OSError as error:
        raise HostError(f"{words[0]} could not be started: {error.strerror}") from error
    out: deque[str] = deque()
    err: deque[str] = deque(maxlen=2000)
    readers = [
        threading.Thread(target=_read, args=(child.stdout, out, on_stdout), daemon=True),
        threading.Thread(target=_read, args=(child.stderr, err, on_stderr), daemon=True),
    ]
    for reader in readers:
        reader.start()
    try:
        if input is not None and child.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(input)
            with contextlib.suppress(BrokenPipeError):
                child.stdin.close()
        code = child.wait(timeout) if stop is None else _wait(child, timeout, stop)
        for reader in readers:
            reader.join(2)
    except subprocess.TimeoutExpired:
        kill_group(child)
        why = "was stopped" if stop is not None and stop.is_set() else f"did not end within {timeout:.0f} s"
        raise ProcessError(words, -signal.SIGKILL, "\n".join(out), "\n".join(err), why=why) from None
    except BaseException:
        kill_group(child)
        raise
    finally:
        for stream in (child.stdout, child.stderr):
            if stream is not None and child.poll() is not None:
                with contextlib.suppress(OSError, ValueError):
                    stream.close()
    done = Completed(words, code, "\n".join(out), "\n".join(err))
    if check and code != 0:
        raise ProcessError(words, code, done.stdout, done.stderr)
    return done


def _wait(child: Child, timeout: float | None, stop: threading.Event) -> int:
    """:raises subprocess.TimeoutExpired: after ``timeout``, or soon after ``stop`` is set"""
    deadline = time.monotonic() + timeout if timeout is not None else float("inf")
    while not stop.is_set():
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(min(0.2, max(0.0, deadline - time.monotonic())))
        if time.monotonic() >= deadline:
            break
    raise subprocess.TimeoutExpired(child.args, timeout or 0.0)


def _read(stream: IO[bytes] | None, lines: deque[str], sink: LineSink | None) -> None:
    if stream is None:
        return
    with contextlib.suppress(ValueError, OSError):  # closed under us: the child was killed
        for raw in stream:
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            lines.append(line)
            if sink is not None:
                sink(line)


def kill_group(child: subprocess.Popen[bytes], grace: float = 2.0) -> None:
    """End a child and all it started: SIGTERM, then SIGKILL after ``grace`` seconds. Safe on one that has ended."""
    for sig, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, sig)
        try:
            child.wait(wait)
        except subprocess.TimeoutExpired:
            continue
        if sig == signal.SIGTERM:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
        return


def start(argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str]) -> Child:
    """Start a child with both its outputs on pipes, for :func:`jenkins_ami.supervise.supervise`. Its umask is 022.

    :raises HostError: when the program could not be started
    """
    words = [str(word) for word in argv]
    try:
        return subprocess.Popen(
            words,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            umask=0o022,
        )
    except OSError as error:
        raise HostError(f"{words[0]} could not be started: {error.strerror}") from error


# PR_SET_PDEATHSIG fires when the *thread* that forked ends, so children that outlive a request are started by one
# thread that lives as long as the process (prctl(2)).
_keeper: ThreadPoolExecutor | None = None
_keeper_lock = threading.Lock()


def spawn(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: IO[Any] | int | None = None,
    stderr: IO[Any] | int | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a long-lived child that the kernel kills when we end, however we end (``kill -9`` included).

    :raises HostError: when the program is not there
    """
    global _keeper
    words = [which("setpriv"), "--pdeathsig", "KILL", "--", which(str(argv[0])), *map(str, argv[1:])]
    with _keeper_lock:
        if _keeper is None:
            _keeper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keeper")
    return _keeper.submit(
        lambda: subprocess.Popen(
            words,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=stdout if stdout is not None else subprocess.DEVNULL,
            stderr=stderr if stderr is not None else subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
    ).result()


class Detached:
    """A child that outlives us. ``subprocess`` would complain about it when we end first."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._ended = False

    def ended(self) -> bool:
        """Whether it has ended."""
        self._ended = self._ended or os.waitpid(self.pid, os.WNOHANG)[0] != 0
        return self._ended

    def end(self) -> None:
        """Ask it to end (SIGTERM), and wait until it has."""
        if not self.ended():
            os.kill(self.pid, signal.SIGTERM)
            os.waitpid(self.pid, 0)
            self._ended = True


def detach(argv: Sequence[str | Path], *, output: IO[Any]) -> Detached:
    """Start a child in a session of its own that stays when we end; both its outputs go to the file ``output``.

    :raises HostError: when the program is not there
    """
    words = [which(str(argv[0])), *map(str, argv[1:])]
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
        (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
    ]
    return Detached(os.posix_spawn(words[0], words, os.environ, file_actions=actions, setsid=True))
