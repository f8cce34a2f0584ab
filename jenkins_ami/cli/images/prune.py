"""Show which images a retention rule lets go, and with --apply deregister them with their snapshots.

An image stays that any of the rules keeps. Whatever they say, one stays that is in use (by an instance, a launch
template, a launch configuration, an SSM parameter, or an image made from it), is protected, is not finished, or
is the newest or highest of its name. Exits with 8 when an image may go and --exit-code is given.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from ...artifacts import Retention, read_compiled
from ...cloud.session import Cloud
from ...distribute import images, retention, usage
from ...errors import CloudError, PlanDiffers, UsageError
from ...progress import Progress
from .. import Result
from .common import add_regions, add_where, clouds, not_negative, positive


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="only images of this name (default: of every name)")
    group = parser.add_argument_group("rules: an image stays that any of them keeps")
    group.add_argument("--keep-images", metavar="N", type=positive, help="the newest N of a name")
    group.add_argument("--keep-days", metavar="D", type=not_negative, help="those that are younger than D days")
    group.add_argument(
        "--keep-versions", metavar="V", type=positive, help="the newest of each of the V highest versions"
    )
    group.add_argument(
        "--manifest",
        metavar="TARGET",
        type=Path,
        help="the rules ('image: retention:') and the name of an AMI source, from the folder that compile wrote",
    )
    group = parser.add_argument_group("how far to go")
    group.add_argument("--apply", action="store_true", help="deregister what may go")
    group.add_argument("--exit-code", action="store_true", help="exit with 8 when an image may go, without --apply")
    group.add_argument(
        "--unchecked",
        metavar="KIND",
        action="append",
        default=[],
        choices=usage.KINDS,
        help=f"do not look for users of this kind, for want of the right to: {', '.join(usage.KINDS)}",
    )
    add_regions(parser)
    add_where(parser)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    names, rules = _rules(args)
    with clouds(args, progress) as opened:
        by_region = {cloud.environment.region: cloud for cloud in opened}
        found = {region: images.own(cloud) for region, cloud in by_region.items()}
        known = {image.name for region in found.values() for image in region}
        for name in names:
            if name not in known:
                progress.warn(f"there is no image of the name '{name}' in {', '.join(found)}")
        plan = retention.plan(
            found,
            by_region,
            rules,
            names,
            elsewhere=_elsewhere(opened[0], set(by_region)),
            unchecked=args.unchecked,
        )
        lines = retention.as_text(plan)
        data: dict[str, object] = {
            "images": [
                {
                    "id": verdict.image.image_id,
                    "region": verdict.image.region,
                    "name": verdict.image.name,
                    "version": verdict.image.version,
                    "build": verdict.image.number,
                    "action": verdict.action,
                    "reasons": list(verdict.reasons),
                    "snapshots": list(verdict.image.snapshots),
                }
                for verdict in plan.verdicts
            ],
            "unchecked": dict(plan.unchecked),
        }
        if not args.apply:
            differs = args.exit_code and bool(plan.doomed)
            if plan.doomed:
                lines.append("Nothing was changed: --apply does it.")
            return Result(data, lines, PlanDiffers.exit_code if differs else 0)
        outcomes = retention.prune(plan.doomed, by_region, progress, unchecked=args.unchecked)
    failed = [outcome for outcome in outcomes if outcome.error]
    data["done"] = [
        {
            "id": outcome.image.image_id,
            "region": outcome.image.region,
            "gone": outcome.gone,
            "outcome": outcome.text,
            "error": outcome.error.line() if outcome.error else None,
        }
        for outcome in outcomes
    ]
    lines += [f"{retention.title(outcome.image)}: {outcome.text}" for outcome in outcomes]
    for outcome in failed:
        progress.warn(f"{outcome.image.image_id}: {outcome.text}: {outcome.error.line() if outcome.error else ''}")
    if failed:
        return Result(data, lines, CloudError.exit_code, f"{len(failed)} of {len(outcomes)} images could not be pruned")
    return Result(data, lines)


def _rules(args: argparse.Namespace) -> tuple[list[str], Retention]:
    """The names and the rules; an option's over the manifest's."""
    names, rules = list(args.names), Retention()
    if args.manifest is not None:
        manifest = read_compiled(args.manifest).manifest
        names, rules = names or [manifest.name], manifest.image.retention
    rules = Retention(
        images=rules.images if args.keep_images is None else args.keep_images,
        days=rules.days if args.keep_days is None else args.keep_days,
        versions=rules.versions if args.keep_versions is None else args.keep_versions,
    )
    if not rules:
        hint = "Give --keep-images, --keep-days or --keep-versions, or --manifest of an AMI source that has 'retention'"
        raise UsageError("there is no rule that says what stays", hint=hint)
    return names, rules


def _elsewhere(home: Cloud, looked: set[str]) -> list[images.Image]:
    """Images of the other regions that the environment copies to: a copy under way needs its original."""
    found: list[images.Image] = []
    with contextlib.ExitStack() as stack:
        for region in {home.environment.region, *home.environment.regions} - looked:
            found += images.own(stack.enter_context(Cloud(home.environment.in_region(region))))
    return found
