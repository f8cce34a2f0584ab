"""Sweep what builds left in the cloud and what has outlived its expiry. Shows a plan; --apply does it.

For what 'cleanup' cannot end because its ledger is lost. Only what carries a build's tags is touched, and uploaded
overlays in the environment's storage. Exits with 8 when something is to go and --exit-code is given.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

from ..cloud import gc
from ..cloud.gc import Leftover
from ..errors import CloudError, PlanDiffers
from ..progress import Progress
from . import Result
from .images.common import add_regions, add_where, clouds, span, table


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--older-than",
        metavar="DURATION",
        type=span,
        default=timedelta(),
        help="only what was made longer ago, e.g. 90m, 36h, 7d",
    )
    parser.add_argument("--apply", action="store_true", help="end it")
    parser.add_argument("--exit-code", action="store_true", help="exit with 8 when something is to go, without --apply")
    add_regions(parser)
    add_where(parser)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    now = datetime.now(UTC)
    outcomes: list[gc.Outcome] = []
    with clouds(args, progress) as opened:
        plans = [(cloud, gc.plan(cloud, now, args.older_than, progress.warn)) for cloud in opened]
        if args.apply:
            for cloud, leftovers in plans:
                outcomes += gc.sweep(cloud, leftovers, progress)
    found = [leftover for _, leftovers in plans for leftover in leftovers]
    doomed = [leftover for leftover in found if not leftover.left_alone]
    lines = _text(found, now)
    data: dict[str, object] = {"leftovers": [_data(leftover) for leftover in found]}
    if not args.apply:
        lines.append(f"Plan: {len(doomed)} to end.{' Nothing was changed: --apply does it.' if doomed else ''}")
        return Result(data, lines, PlanDiffers.exit_code if args.exit_code and doomed else 0)
    data["done"] = [
        {
            "kind": outcome.leftover.kind,
            "id": outcome.leftover.id,
            "region": outcome.leftover.region,
            "outcome": outcome.text,
            "error": outcome.error.line() if outcome.error else None,
        }
        for outcome in outcomes
    ]
    lines += [f"{outcome.leftover}: {outcome.text}" for outcome in outcomes] or ["Nothing to end."]
    failed = [outcome for outcome in outcomes if outcome.error]
    for outcome in failed:
        progress.warn(f"{outcome.leftover} may still exist: {outcome.error.line() if outcome.error else ''}")
    if failed:
        return Result(data, lines, CloudError.exit_code, f"{len(failed)} of {len(outcomes)} could not be ended")
    return Result(data, lines)


def _text(found: list[Leftover], now: datetime) -> list[str]:
    rows = []
    for leftover in found:
        if leftover.left_alone:
            fate = f"left alone: {leftover.left_alone}"
        else:
            fate = f"expired {_ago(now - leftover.expired)} ago" if leftover.expired else "expired"
        sign = " " if leftover.left_alone else "-"
        rows.append((sign, leftover.kind, leftover.id, leftover.region, leftover.note, fate))
    return table(rows) if rows else []


def _ago(past: timedelta) -> str:
    hours = int(past.total_seconds() // 3600)
    return f"{hours // 24} d" if hours >= 48 else f"{hours} h" if hours else "less than an hour"


def _data(leftover: Leftover) -> dict[str, object]:
    return {
        "kind": leftover.kind,
        "id": leftover.id,
        "region": leftover.region,
        "build": leftover.build,
        "expired": leftover.expired.isoformat() if leftover.expired else None,
        "created": leftover.created.isoformat() if leftover.created else None,
        "note": leftover.note,
        "left_alone": leftover.left_alone or None,
    }
