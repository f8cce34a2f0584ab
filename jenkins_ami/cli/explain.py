"""Say which file and line gave each value of the merged cloud-config, and what it overrode.

KEY is a key of the cloud-config, or a path like apt.sources or 'write_files[0].path'. compile.sh is not run.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from ..compile.explain import Origin, explain
from ..compile.run import Options, check_source
from ..errors import visible
from ..findings import Findings
from ..progress import Progress
from . import Result
from .compile import add_parameters, parameters_of


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", type=Path, help="folder of the AMI source")
    parser.add_argument("key", metavar="KEY", nargs="?", help="only this key, and what is below it")
    add_parameters(parser)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    import os

    checked = check_source(args.source, Options(parameters=parameters_of(args), environ=os.environ))
    if checked.source.compile_script is not None:
        progress.info("script/compile.sh is not run: what it would make is not shown")
    origins = explain(checked.assembly(Findings()).configs, str(args.source), args.key)
    return Result({"origins": [dataclasses.asdict(origin) for origin in origins]}, lines(origins))


def lines(origins: list[Origin]) -> list[str]:
    """A line for each value, and one for each value that it met."""
    if not origins:
        return ["the cloud-config sets nothing"]
    paths = min(40, max(len(origin.path) for origin in origins))
    places = min(40, max(len(origin.where) for origin in origins))
    out = []
    for origin in origins:
        out.append(f"{origin.path:<{paths}}  {origin.where:<{places}}  {origin.value}")
        out += [f"{'':<{paths}}  {where:<{places}}  {how} {value}" for how, value, where in origin.past]
    return [visible(line) for line in out]
