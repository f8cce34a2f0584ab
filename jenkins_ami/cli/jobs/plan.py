"""Show what 'jobs apply' would change in Jenkins, and change nothing.

Signs: + create, ~ update, ! drifted (changed by hand; found with --verify), - delete or disable (with 'apply --prune'),
? somebody else's, = kept, because its source is broken. Exits with 8 when something differs and --exit-code is given,
with 2 when a source cannot be read or a provider did not answer.
"""

from __future__ import annotations

import argparse
import sys

from ...errors import PlanDiffers
from ...jobs.planview import as_html, as_json, as_text
from ...progress import Progress
from .. import Result
from .common import (
    add_config,
    add_plan,
    add_server,
    as_data,
    config_of,
    connected,
    exit_code,
    planned,
    problem,
    write_page,
)


def configure(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_server(parser)
    add_plan(parser)
    parser.add_argument("--exit-code", action="store_true", help="exit with 8 when something differs")


def run(args: argparse.Namespace, progress: Progress) -> Result:
    config = config_of(args)
    with connected(args, config, progress) as connection:
        wanted, plan = planned(args, config, connection, progress)
    write_page(args.html, as_html(plan, f"Plan for {connection.url}"))
    code = exit_code(wanted)
    if args.exit_code and plan.differs():
        code = PlanDiffers.exit_code
    data = as_json(plan) | {"findings": as_data(wanted.findings)}
    return Result(data, as_text(plan, color=sys.stdout.isatty()), code, problem(wanted))
