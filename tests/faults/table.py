"""The table of calls and faults: fills its cells, several at a time, and prints them."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.cloud.protocols import Call

from .cells import COLUMNS, ROWS, THENS, Clean, Column, Outcome, Row, clean, run_cell, run_line
from .place import Place, place

LEGEND = """\
✓  the build succeeded all the same
c  it did not; after cleanup there is nothing, or exactly the image that was finished
r  it did not; after --resume there is exactly the image, as of a build without a fault
a  it did not, and had ended all that it had begun: nothing was left to resume, and building anew gave that image
✗  red, for the reasons below; · the call never came; blank: at this call the fault is like another"""


@dataclass(frozen=True)
class Cell:
    """A place in the table: a call and what happens there, or a line of the ledger, counted from 0, and what does."""

    at: Call | int
    what: Column | Row
    thens: tuple[str, ...] = THENS

    def __str__(self) -> str:
        return f"{self.at}, {self.what.what}" if isinstance(self.at, Call) else f"line {self.at + 1}, {self.what.what}"


@dataclass
class Table:
    """What is to be tried, and what came of it."""

    known: Clean
    columns: Sequence[Column]
    outcomes: dict[Cell, Outcome] = field(default_factory=dict)

    def cells(self, wanted: Callable[[Call], bool] = lambda _: True, *, ledger: bool = True) -> list[Cell]:
        """All of them, but for faults that are like others at a call that changes nothing."""
        found = [
            Cell(call, column)
            for call in self.known.calls
            if wanted(call)
            for column in self.columns
            if call.changes or not column.needs_change
        ]
        return found + [Cell(line, row) for row in ROWS for line in range(len(self.known.lines))] * ledger

    @property
    def red(self) -> list[tuple[Cell, Outcome]]:
        return [(cell, outcome) for cell, outcome in self.outcomes.items() if not outcome.green]

    def lines(self) -> Iterator[str]:
        """For people."""
        marks: dict[tuple[Call | int, str], str] = {}
        for cell, outcome in self.outcomes.items():
            marks[cell.at, cell.what.name] = outcome.mark
        names = [column.name for column in self.columns]
        done = [call for call in self.known.calls if any((call, name) in marks for name in names)]
        width = max((len(str(call)) for call in done), default=0)
        if done:
            yield " " * width + "".join(f"{name:>7}" for name in names)
        for call in done:
            yield f"{call!s:<{width}}" + "".join(f"{marks.get((call, name), ''):>7}" for name in names)
        if done:
            yield f"{'green':<{width}}" + "".join(f"{self._green(name):>7}" for name in names)
        for row in ROWS:
            lines = [line for line in range(len(self.known.lines)) if (line, row.name) in marks]
            if lines:
                by_line = "  ".join(f"{line + 1} {marks[line, row.name]}" for line in lines)
                yield f"{row.name}, by line of the ledger: {by_line}"
        yield ""
        yield LEGEND
        told: list[Column | Row] = [*self.columns, *ROWS]
        yield from (f"{each.name:<7} {each.what}" for each in told)
        counted = Counter(outcome.mark for outcome in self.outcomes.values())
        yield f"{len(self.outcomes)} cells: " + ", ".join(f"{count} {mark}" for mark, count in counted.most_common())
        for cell, outcome in self.red:
            yield f"✗ {cell}"
            yield from (f"    {problem}" for problem in outcome.problems)

    def _green(self, name: str) -> str:
        outcomes = [outcome for cell, outcome in self.outcomes.items() if cell.what.name == name]
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
                    table.outcomes[cell] = outcome
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
    if isinstance(cell.what, Row) or isinstance(cell.at, int):
        assert isinstance(cell.what, Row)
        assert isinstance(cell.at, int)
        return run_line(where, known, cell.at, cell.what, cell.thens)
    for _ in range(3):
        outcome = run_cell(where, known, cell.at.key, cell.what, cell.thens)
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
