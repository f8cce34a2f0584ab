"""Write a page about a build or a verification: what came out, why, how long it took, and what it is made of.

FOLDER is where they left their files; any of them may be missing. Several are looked through in turn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import one_line
from ..progress import Progress
from . import Result


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", metavar="FOLDER", type=Path, nargs="+", help="holds ami.json, failure.json, console.log ..."
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="where the page goes (default: 'report' in the last FOLDER)"
    )


def run(args: argparse.Namespace, progress: Progress) -> Result:
    from ..report import page, read

    left = read.read(args.folder)
    folder = args.output or args.folder[-1] / "report"
    made = page.write(left, folder)
    for problem in made.problems:
        progress.warn(problem)
    path = folder / page.INDEX
    data: dict[str, object] = {"report": str(path), "state": made.state, "title": made.title}
    return Result(data, [f"report  {path} ({one_line(made.state)})"])
