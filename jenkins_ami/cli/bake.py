"""Compile an AMI source and build it, in one go: ``compile`` and ``build`` with one output folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..compile.run import compile_source
from ..progress import Progress
from . import Result, environment
from . import build as build_command
from . import compile as compile_command


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", type=Path, help="folder of the AMI source (holds ami.env)")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        help="folder for the compiled AMI and the result (default: out/ and the source folder's name)",
    )
    compile_command.add_options(parser)
    build_command.add_options(parser)
    environment.configure(parser)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    environment.check(args)
    output = args.output or Path("out") / args.source.resolve().name
    # compile takes no folder that holds other things
    with build_command.told(args, args.source, output, progress, unmade=output) as course:
        compile_source(args.source, output, compile_command.options_of(args), progress)
        return build_command.build(args, output, output, progress, course, source=args.source)
