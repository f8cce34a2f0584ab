"""Bring an image that was built to its regions, to those who may launch it, and to what points to it.

Can be run again: what is there already is left alone, so it goes on with what failed or was cut off.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ..artifacts import AMI_JSON, LEDGER, BuildResult, read_build_result
from ..cloud.environments import Environment
from ..errors import CloudError
from ..progress import Progress
from . import Result, environment


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("result", metavar="RESULT", type=Path, help=f"{AMI_JSON}, or the folder that holds it")
    parser.add_argument(
        "--region",
        dest="regions",
        metavar="R",
        action="append",
        default=[],
        help="this region only; may be repeated (default: all that the AMI source and the environment name)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show what is wanted in each region, and ask for nothing"
    )
    environment.configure(parser)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    from ..distribute.plan import plan

    environment.check(args)
    built = read_build_result(args.result)
    folder = args.result if args.result.is_dir() else args.result.parent
    with environment.chosen(args, progress, base="") as where:
        if args.dry_run:
            wanted = plan(built, where, args.regions)
            return Result({"plan": [each.as_dict() for each in wanted]}, [str(each) for each in wanted])
        built = distribute_result(built, where, folder, progress, regions=args.regions)
    return problems(built, Result(dataclasses.asdict(built), lines(built)))


def distribute_result(
    built: BuildResult, where: Environment, folder: Path, progress: Progress, *, regions: Sequence[str] = ()
) -> BuildResult:
    """Distribute the image whose ``ami.json`` and ledger are in ``folder``; what fails is in the result's failures."""
    from ..cloud.ledger import Ledger
    from ..distribute.run import distribute

    with Ledger(folder / LEDGER) as ledger:
        return distribute(built, where, folder, ledger, progress, regions=regions)


def problems(built: BuildResult, result: Result) -> Result:
    """The same, with an error line and the exit code for regions that failed."""
    if not built.failures:
        return result
    errors = [f"{region}: {why}" for region, why in sorted(built.failures.items())]
    return dataclasses.replace(result, errors=errors, code=CloudError.exit_code)


def lines(built: BuildResult) -> list[str]:
    """The result for people: a line for each region, and for what points to the image there."""
    text = [f"image   {built.image_name}"]
    text += [f"ami     {record.image_id} in {region}" for region, record in sorted(built.images.items())]
    text += [f"names   {name} in {region}" for region, names in sorted(built.published.items()) for name in names]
    return text
