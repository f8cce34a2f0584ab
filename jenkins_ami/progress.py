"""What a run tells while it runs: steps with times, bars where a length is known.

One ``Progress`` is made by ``cli`` and handed down. Where it goes decides how it looks: a terminal gets a live line and
a bar (rich), a log gets plain lines with times, ``--json`` gets one JSON object per line. All of it goes to stderr;
stdout belongs to the result.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import TaskID

QUIET, NORMAL, VERBOSE = -1, 0, 1
HEARTBEAT = 30.0
"""Seconds between two "still …" lines of one waiting step in a plain log, at first."""
SLOWEST = 300.0
"""The same in the end: a step that takes hours is to say so, and not to fill the log."""


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 05 s``, ``1 h 02 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count: int) -> str:
    """Bytes for people: ``812 B``, ``15.8 KiB``, ``3.2 GiB``."""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1023.95 or unit == "GiB":
            break
    return f"{value:.1f} {unit}"


class Step:
    """One step under way. ``status`` and ``advance`` may be called as often as one likes, from any thread."""

    def __init__(self, progress: Progress, title: str, depth: int, total: int | None) -> None:
        self.title = title
        self.depth = depth
        self.total = total
        self.started = time.monotonic()
        self.outcome = ""
        self._progress = progress

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def status(self, text: str) -> None:
        """What the step is waiting for right now."""
        self._progress._on_status(self, text)

    def advance(self, done: int, total: int | None = None) -> None:
        """``done`` of ``total`` bytes (or whatever the step counts)."""
        if total is not None:
            self.total = total
        self._progress._on_advance(self, done)

    def done(self, outcome: str) -> None:
        """What came out; shown beside the step's time when it ends."""
        self.outcome = outcome


class Progress:
    """Base class and, as it is, the silent one: for tests and for ``-q``."""

    def __init__(self, verbosity: int = NORMAL) -> None:
        self.verbosity = verbosity
        self._depth = threading.local()
        self._lock = threading.RLock()

    @contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Step]:
        """A step: named when it begins, timed when it ends, marked when it fails. Steps nest."""
        depth = getattr(self._depth, "value", 0)
        step = Step(self, title, depth, total)
        self._depth.value = depth + 1
        with self._lock:
            self._on_begin(step)
        try:
            yield step
        except BaseException:
            with self._lock:
                self._on_end(step, failed=True)
            raise
        else:
            with self._lock:
                self._on_end(step, failed=False)
        finally:
            self._depth.value = depth

    def info(self, text: str) -> None:
        """A fact worth a line in every log."""
        self._say("info", text, NORMAL)

    def detail(self, text: str) -> None:
        """A line for ``-v``."""
        self._say("detail", text, VERBOSE)

    def warn(self, text: str) -> None:
        """Shown always, ``-q`` included."""
        self._say("warning", text, QUIET)

    def output(self, prefix: str, line: str, level: int = VERBOSE) -> None:
        """A line of something that runs for us: compile.sh (:data:`NORMAL`), a guest's console (for ``-v``)."""
        self._say("output", f"{prefix}| {line}", level)

    def close(self) -> None:
        """Leave the terminal as it was."""

    def _say(self, kind: str, text: str, level: int) -> None:
        if self.verbosity >= level:
            with self._lock:
                self._line(kind, text)

    # What the kinds of progress differ in:
    def _line(self, kind: str, text: str) -> None: ...
    def _on_begin(self, step: Step) -> None: ...
    def _on_end(self, step: Step, *, failed: bool) -> None: ...
    def _on_status(self, step: Step, text: str) -> None: ...
    def _on_advance(self, step: Step, done: int) -> None: ...


class PlainProgress(Progress):
    """Lines with times for a log: a step's beginning, signs of life that get rarer, its end."""

    def __init__(self, stream: IO[str], verbosity: int = NORMAL) -> None:
        super().__init__(verbosity)
        self._stream = stream
        self._last: dict[Step, float] = {}

    def _write(self, text: str, depth: int = 0) -> None:
        stamp = time.strftime("%H:%M:%S")
        print(f"{stamp} {'  ' * depth}{text}", file=self._stream, flush=True)

    def _line(self, kind: str, text: str) -> None:
        self._write(f"warning: {text}" if kind == "warning" else text, getattr(self._depth, "value", 0))

    def _on_begin(self, step: Step) -> None:
        if self.verbosity >= NORMAL:
            self._last[step] = step.started
            self._write(f"{step.title} ...", step.depth)

    def _on_end(self, step: Step, *, failed: bool) -> None:
        self._last.pop(step, None)
        if self.verbosity >= NORMAL:
            outcome = "failed" if failed else step.outcome or "done"
            self._write(f"{step.title}: {outcome} ({duration(step.seconds)})", step.depth)

    def _still(self, step: Step, text: str) -> None:
        now = time.monotonic()
        with self._lock:
            pause = min(SLOWEST, max(HEARTBEAT, step.seconds / 5))
            if step in self._last and now - self._last[step] >= pause:
                self._last[step] = now
                self._write(f"{step.title}: still {text} after {duration(step.seconds)}", step.depth)

    def _on_status(self, step: Step, text: str) -> None:
        self._still(step, text)

    def _on_advance(self, step: Step, done: int) -> None:
        if step.total:
            self._still(step, f"{100 * done // step.total} %")


class TerminalProgress(Progress):
    """A live line per running step, a bar where the length is known, and a line that stays when it ends."""

    def __init__(self, stream: IO[str], verbosity: int = NORMAL) -> None:
        super().__init__(verbosity)
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        class Bar(BarColumn):
            def render(self, task: Any) -> Any:
                return super().render(task) if task.total else ""

        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            Bar(bar_width=24),
            TextColumn("{task.fields[status]}", style="dim", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._tasks: dict[Step, TaskID] = {}

    def _print(self, mark: str, style: str, text: str, depth: int, tail: str = "") -> None:
        from rich.text import Text

        line = Text("  " * depth)
        line.append(f"{mark} ", style=style)
        line.append(text)
        if tail:
            line.append(f"  {tail}", style="dim")
        self._console.print(line)

    def _line(self, kind: str, text: str) -> None:
        mark, style = {"warning": ("!", "yellow"), "output": ("|", "dim")}.get(kind, ("-", "dim"))
        self._print(mark, style, text, getattr(self._depth, "value", 0))

    def _on_begin(self, step: Step) -> None:
        if self.verbosity >= NORMAL:
            if not self._tasks:
                self._live.start()
            title = "  " * step.depth + step.title
            self._tasks[step] = self._live.add_task(title, total=step.total, status="")

    def _on_end(self, step: Step, *, failed: bool) -> None:
        task = self._tasks.pop(step, None)
        if task is None:
            return
        self._live.remove_task(task)
        if not self._tasks:
            self._live.stop()
        tail = f"{step.outcome + '  ' if step.outcome and not failed else ''}{duration(step.seconds)}"
        self._print("✗" if failed else "✓", "red" if failed else "green", step.title, step.depth, tail)

    def _on_status(self, step: Step, text: str) -> None:
        with self._lock:
            if step in self._tasks:
                self._live.update(self._tasks[step], status=text)

    def _on_advance(self, step: Step, done: int) -> None:
        with self._lock:
            if step in self._tasks:
                self._live.update(self._tasks[step], completed=done, total=step.total)

    def close(self) -> None:
        self._live.stop()


class JsonProgress(Progress):
    """One JSON object per line: ``time`` (Unix seconds), ``event`` and what belongs to it."""

    def __init__(self, stream: IO[str], verbosity: int = NORMAL) -> None:
        super().__init__(verbosity)
        self._stream = stream
        self._last: dict[Step, float] = {}

    def _emit(self, **event: object) -> None:
        print(json.dumps({"time": round(time.time(), 3), **event}), file=self._stream, flush=True)

    def _line(self, kind: str, text: str) -> None:
        self._emit(event=kind, text=text)

    def _on_begin(self, step: Step) -> None:
        if self.verbosity >= NORMAL:
            self._emit(event="begin", step=step.title, depth=step.depth)

    def _on_end(self, step: Step, *, failed: bool) -> None:
        self._last.pop(step, None)
        if self.verbosity >= NORMAL:
            self._emit(
                event="end",
                step=step.title,
                depth=step.depth,
                ok=not failed,
                seconds=round(step.seconds, 3),
                outcome=step.outcome,
            )

    def _on_advance(self, step: Step, done: int) -> None:
        now = time.monotonic()
        with self._lock:
            if self.verbosity >= NORMAL and now - self._last.get(step, 0.0) >= 1.0:
                self._last[step] = now
                self._emit(event="progress", step=step.title, done=done, total=step.total)


def for_stream(stream: IO[str] | None = None, *, verbosity: int = NORMAL, as_json: bool = False) -> Progress:
    """The kind of progress that suits ``stream`` (stderr)."""
    stream = stream or sys.stderr
    if as_json:
        return JsonProgress(stream, verbosity)
    if stream.isatty():
        return TerminalProgress(stream, verbosity)
    return PlainProgress(stream, verbosity)
