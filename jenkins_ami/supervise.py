"""Run somebody else's command to its end: what it prints fills no memory, and what it starts ends with it.

For ``compile.sh``, which may be anything. Tools of our own choice run through :mod:`jenkins_ami.process`.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import HostError
from .process import Child, kill_group, start

LINE_LIMIT = 65_536
"""Bytes that are kept of one line; the rest of it is dropped."""

_GRACE = 1.0
"""Seconds that what a command left in the background may go on writing to its outputs (``tee``, a logger)."""

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37


@dataclass(frozen=True)
class Ended:
    """How a supervised command ended.

    :ivar returncode: negative: a signal
    :ivar left: names of the processes that it left running, which were killed
    """

    returncode: int
    left: tuple[str, ...]


class TimedOut(HostError):
    """A supervised command did not end in time, and was killed."""


def supervise(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    on_stdout: Callable[[bytes], None],
    on_stderr: Callable[[bytes], None],
) -> Ended:
    """Run a command; all that it started ends with it, also what left its process group (a daemon).

    No other thread may start processes meanwhile: their orphans would be taken for the command's.

    :param env: the whole environment of the child
    :param timeout: seconds; everything is killed after that
    :param on_stdout, on_stderr: called in this thread with each line, as it comes, without its newline, cut after
        :data:`LINE_LIMIT`; an exception from one of them ends the command
    :raises TimedOut: it took longer
    :raises HostError: it could not be started
    """
    known = {process.pid for process in _processes()}
    before = _subreaper(True)
    try:
        child = start(argv, cwd=cwd, env=env)
        try:
            left = _pump(child, timeout, known, _Lines(on_stdout), _Lines(on_stderr))
        finally:
            if child.poll() is None:
                kill_group(child)
            _end_family(child.pid, known)
            for stream in (child.stdout, child.stderr):
                if stream is not None:
                    stream.close()
    finally:
        _subreaper(before)
    return Ended(child.returncode, left)


class _Lines:
    """Cuts a stream of bytes into lines."""

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink
        self._begun = b""

    def feed(self, data: bytes) -> None:
        *whole, rest = data.split(b"\n")
        for line in whole:
            line, self._begun = self._begun + line, b""
            self._sink(line[:LINE_LIMIT])
        self._begun = (self._begun + rest)[:LINE_LIMIT]

    def end(self) -> None:
        if self._begun:
            self._sink(self._begun)


def _pump(child: Child, timeout: float, known: set[int], out: _Lines, err: _Lines) -> tuple[str, ...]:
    """Read both pipes until they are closed and the child has ended; the names of what it left behind."""
    deadline = time.monotonic() + timeout
    ended = left = None
    with selectors.DefaultSelector() as selector:
        for stream, lines in ((child.stdout, out), (child.stderr, err)):
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ, lines)
        while selector.get_map() or ended is None:
            now = time.monotonic()
            if ended is None:
                if child.poll() is not None:
                    ended = now
                elif now >= deadline:
                    raise TimedOut(f"did not end within {timeout:.0f} s")
            elif left is None and now - ended > _GRACE:
                left = _end_family(child.pid, known)
            elif now - ended > 3 * _GRACE:  # held open by something that we may not kill
                break
            if not selector.get_map():
                time.sleep(0.01)
            for key, _ in selector.select(0.05) if selector.get_map() else ():
                data = os.read(key.fd, 65_536)
                if data:
                    key.data.feed(data)
                else:
                    key.data.end()
                    selector.unregister(key.fileobj)
    return _end_family(child.pid, known) if left is None else left


@dataclass(frozen=True)
class _Process:
    pid: int
    name: str
    state: str
    parent: int
    group: int


def _processes() -> list[_Process]:
    """All processes of this machine (proc(5), stat)."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):  # it has ended
                text = Path(entry.path, "stat").read_text("utf-8", "replace")
                name, _, rest = text.partition("(")[2].rpartition(")")
                state, parent, group = rest.split()[:3]
                found.append(_Process(int(entry.name), name, state, int(parent), int(group)))
    return found


def _end_family(group: int, known: set[int]) -> tuple[str, ...]:
    """Kill what is left of a child's process group, and its orphans: while we are the subreaper, they become ours.

    :param known: the pids of before the child's time
    """
    names = {}
    ours = os.getpid()
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        family = [
            process
            for process in _processes()
            if process.pid not in known
            and process.pid != group
            and (process.parent == ours or (process.group == group and process.state != "Z"))
        ]
        if not family:
            break
        for process in family:
            with contextlib.suppress(OSError):
                if process.state == "Z":
                    os.waitpid(process.pid, os.WNOHANG)
                else:
                    os.kill(process.pid, signal.SIGKILL)
                    names[process.pid] = process.name
        time.sleep(0.005)
    return tuple(names.values())


def _subreaper(wanted: bool) -> bool:
    """Whether orphaned descendants become our children (prctl(2), PR_SET_CHILD_SUBREAPER); gives what it was."""
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    before = ctypes.c_int()
    prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(wanted), 0, 0, 0)
    return bool(before.value)
