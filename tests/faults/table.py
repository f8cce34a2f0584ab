"""The table of calls and faults: fills its cells, several at a time, and prints them."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.cloud.protocols import Call

from .cells import COLUMNS, THENS, Clean, Column, Outcome, clean, run_cell, run_full_disk
from .place import Place, place

LEGEND = """\
✓  the build succeeded all the same
c  it did not; after cleanup there is nothing, or exactly the image that was finished
r  it did not; after --resume there is exactly the image, as of a build without a fault
a  it did not, and had ended all that it had begun: nothing was left to resume, and building anew gave that image
✗  red, for the reasons below; · the call never came; blank: at this call the fault is like another"""


@dataclass(frozen=True)
class Cell:
    """A place in the table. ``call`` is ``None`` in the rows of a full disk, whose ``line`` of the ledger counts."""

    call: Call | None
    column: Column | None
    line: int = 0
    thens: tuple[str, ...] = THENS

    def __str__(self) -> str:
        return f"{self.call}, {self.column.what}" if self.column else f"the disk is full at line {self.line + 1}"


@dataclass
class Table:
    """What is to be tried, and what came of it."""

    known: Clean
    columns: Sequence[Column]
    outcomes: dict[tuple[Call | None, str, int], Outcome] = field(default_factory=dict)

    def cells(self, wanted: Callable[[Call], bool] = lambda _: True, *, disk: bool = True) -> list[Cell]:
        """All of them, but for faults that are like others at a call that changes nothing."""
        found = [
            Cell(call, column)
            for call in self.known.calls
            if wanted(call)
            for column in self.columns
            if call.changes or not column.needs_change
        ]
        return found + [Cell(None, None, line) for line in range(len(self.known.lines))] * disk

    def note(self, cell: Cell, outcome: Outcome) -> None:
        self.outcomes[cell.call, cell.column.name if cell.column else "disk", cell.line] = outcome

    @property
    def red(self) -> list[tuple[str, Outcome]]:
        return [
            (f"{call}, {name}" if call else f"full disk at ledger line {line + 1}", outcome)
            for (call, name, line), outcome in self.outcomes.items()
            if not outcome.green
        ]

    def lines(self) -> Iterator[str]:
        """For people."""
        names = [column.name for column in self.columns]
        done = [call for call in self.known.calls if any((call, name, 0) in self.outcomes for name in names)]
        width = max((len(str(call)) for call in done), default=0)
        if done:
            yield " " * width + "".join(f"{name:>7}" for name in names)
        for call in done:
            marks = [self.outcomes.get((call, name, 0)) for name in names]
            yield f"{call!s:<{width}}" + "".join(f"{mark.mark if mark else '':>7}" for mark in marks)
        if done:
            yield f"{'green':<{width}}" + "".join(f"{self._green(name):>7}" for name in names)
        disk = {line + 1: outcome.mark for (_, name, line), outcome in self.outcomes.items() if name == "disk"}
        if disk:
            yield "full disk, by the line of the ledger: " + "  ".join(f"{n} {disk[n]}" for n in sorted(disk))
        yield ""
        yield LEGEND
        yield from (f"{column.name:<7} {column.what}" for column in self.columns)
        counted = Counter(outcome.mark for outcome in self.outcomes.values())
        yield f"{len(self.outcomes)} cells: " + ", ".join(f"{count} {mark}" for mark, count in counted.most_common())
        for where, outcome in self.red:
            yield f"✗ {where}"
            yield from (f"    {problem}" for problem in outcome.problems)

    def _green(self, name: str) -> str:
        outcomes = [outcome for (call, named, _), outcome in self.outcomes.items() if call and named == name]
        return f"{sum(outcome.green for outcome in outcomes)}/{len(outcomes)}"


def fill(
    table: Table, cells: Iterable[Cell], places: Sequence[Place], on_cell: Callable[[Cell, Outcome], None]
) -> None:
    """Run the cells, as many at a time as there are places."""
    waiting: queue.SimpleQueue[Cell] = queue.SimpleQueue()
    for cell in cells:
        waiting.put(cell)
    lock = threading.Lock()
    failures: list[BaseException] = []

    def work(where: Place) -> None:
        with contextlib.suppress(queue.Empty):
            while not failures:
                cell = waiting.get_nowait()
                try:
                    outcome = run(where, table.known, cell)
                except BaseException as error:
                    failures.append(error)
                    raise
                with lock:
                    table.note(cell, outcome)
                    on_cell(cell, outcome)

    threads = [threading.Thread(target=work, args=(each,), daemon=True) for each in places]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException as interrupt:
        failures.append(interrupt)
        raise
    if failures:
        raise failures[0]


def run(where: Place, known: Clean, cell: Cell) -> Outcome:
    """One cell. How often one waits is not the same each time: a call that did not come is tried again."""
    if cell.column is None or cell.call is None:
        return run_full_disk(where, known, cell.line, cell.thens)
    for _ in range(3):
        outcome = run_cell(where, known, cell.call.key, cell.column, cell.thens)
        if outcome.mark != "·":
            break
    return outcome


@contextlib.contextmanager
def places(count: int) -> Iterator[list[Place]]:
    """So many of them, made at the same time."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(place()) for _ in range(count)]


def begin(where: Place, columns: Sequence[Column] = COLUMNS) -> Table:
    """An empty table for what a build without a fault does."""
    return Table(clean(where), columns)
