"""Make Jenkins have the jobs of the AMI sources: create and update, and with --prune take away what is wanted no more.

Every change is confirmed by what Jenkins says after it has saved the item. A run that was stopped or killed is resumed
by running it again. Exits with 7 when something could not be changed, with 2 when a source cannot be read or a provider
did not answer; the rest is done all the same.
"""

from __future__ import annotations

import argparse

from ...errors import ServerError, UsageError, visible
from ...jobs.apply import WORDS, Options, apply
from ...jobs.plan import REMOVALS
from ...jobs.planview import as_html, as_json, summary
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
    group = parser.add_argument_group("how far to go")
    group.add_argument("--prune", action="store_true", help="take away what is ours and wanted no more")
    group.add_argument(
        "--max-deletes",
        metavar="N",
        type=int,
        help="refuse to take away more than N (default: 10 or the configuration's)",
    )
    group.add_argument("--limit", metavar="N", type=int, help="change at most N jobs and views; the next run goes on")


def run(args: argparse.Namespace, progress: Progress) -> Result:
    config = config_of(args)
    for name in ("limit", "max_deletes"):
        if (value := getattr(args, name)) is not None and value < 0:
            raise UsageError(f"--{name.replace('_', '-')} is {value}, and cannot be less than 0")
    with connected(args, config, progress) as connection:
        wanted, plan = planned(args, config, connection, progress)
        write_page(args.html, as_html(plan, f"Applied to {connection.url}"))
        options = Options(
            workers=config.jenkins.workers,
            limit=args.limit,
            prune=args.prune,
            max_deletes=config.max_deletes if args.max_deletes is None else args.max_deletes,
        )
        done = apply(plan, connection, progress, options)
    failed = [one for one in done if not one.ok]
    data = as_json(plan) | {
        "findings": as_data(wanted.findings),
        "done": [{"path": list(one.path), "action": one.action, "ok": one.ok, "what": one.what} for one in done],
    }
    lines = [f"{WORDS[one.action]} {visible(one.name)}" for one in done if one.ok]
    lines += [f"failed: {visible(one.name)}: {visible(one.what)}" for one in failed]
    if not done:
        lines.append(f"Nothing to change: {summary(plan)}.")
    if not plan.complete and args.prune:
        lines.append("Nothing was deleted: discovery was not complete.")
    if not args.prune and (left := len(plan.of(*REMOVALS))):
        lines.append(f"{left} left in place: --prune takes them away.")
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        return Result(data, lines, ServerError.exit_code, f"{failed[0].name}: {failed[0].what}{more}")
    return Result(data, lines, exit_code(wanted), problem(wanted))
