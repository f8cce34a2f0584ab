"""Write the config.xml of every folder, job and view that Jenkins should have. Asks no Jenkins.

OUTPUT gets a folder for each item, with its config.xml, and jobs.json, which lists them. The same sources give the same
bytes. An OUTPUT that this command made before is replaced whole.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ...jobs.output import write_items
from ...progress import Progress
from .. import Result
from .common import add_config, as_data, config_of, exit_code, problem, wanted_of


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", metavar="OUTPUT", type=Path, help="folder to write")
    add_config(parser)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    wanted = wanted_of(args, config_of(args), progress)
    files = write_items(args.output, wanted.desired)
    data: dict[str, object] = {"output": str(args.output), "files": files, "findings": as_data(wanted.findings)}
    return Result(data, [f"{args.output}: {len(files)} items"], exit_code(wanted), problem(wanted))
