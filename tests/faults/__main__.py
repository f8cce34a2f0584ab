"""`make faults`: a full build, with each fault at each of its calls. Prints a table; ends with 1 when a cell is red.

Usage: python -m tests.faults [--workers N] [--calls TEXT] [--faults NAME,NAME] [--changes] [--no-ledger]
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

from .cells import BY_NAME, COLUMNS, Outcome
from .table import Cell, begin, fill, places


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=2 * (os.cpu_count() or 1), help="cells at a time")
    parser.add_argument("--calls", default="", help="only calls with this in their name, such as 'CopyImage'")
    parser.add_argument("--faults", default="", help=f"only these: {','.join(BY_NAME)}")
    parser.add_argument("--changes", action="store_true", help="only calls that change something")
    parser.add_argument("--no-ledger", action="store_true", help="without what happens at lines of the ledger")
    args = parser.parse_args()
    columns = [BY_NAME[name] for name in args.faults.split(",")] if args.faults else COLUMNS
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the endpoints have to end, too
    started = time.monotonic()
    with places(args.workers) as rooms:
        table = begin(rooms[0], columns)
        cells = table.cells(
            lambda call: args.calls in str(call) and (call.changes or not args.changes), ledger=not args.no_ledger
        )
        print(f"{len(table.known.calls)} calls, {len(cells)} cells, {len(rooms)} at a time", flush=True)

        def tell(cell: Cell, outcome: Outcome) -> None:
            done = len(table.outcomes)
            if not outcome.green:
                print(f"✗ {cell}: {outcome.problems[0]}", flush=True)
            elif done % 50 == 0:
                print(f"{done} of {len(cells)} after {time.monotonic() - started:.0f} s", flush=True)

        fill(table, cells, rooms, tell)
    print("\n" + "\n".join(table.lines()))
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if table.red else 0


if __name__ == "__main__":
    sys.exit(main())
