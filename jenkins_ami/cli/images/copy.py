"""Copy an image to other regions, with its tags, encrypted as the environment says for each region.

Can be run again: a copy that is there is found by its tag, and one that is pending is waited for.
"""

from __future__ import annotations

import argparse

from ...errors import CloudError, UsageError
from ...forms import REGION
from ...progress import Progress
from .. import Result
from .common import add_region, add_where, chosen


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="AMI", help="id of the image, one of the account's own")
    parser.add_argument("--to", metavar="REGION", nargs="+", action="extend", required=True, help="where to copy it to")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")
    add_region(parser)
    add_where(parser)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    from ...distribute import one

    for region in (*args.regions, *args.to):
        if not REGION.fits(region):
            raise UsageError(f"'{region}' is not {REGION.what}", hint=f"One looks like {REGION.example}")
    with chosen(args, progress) as environment:
        home = environment.in_region(*args.regions) if args.regions else environment
        plans = one.plan(home, args.to)
        original, account = one.look(home, args.image)
        lines = [f"{original.image_id} {original.image.label} in {home.region}", *(str(each) for each in plans)]
        data: dict[str, object] = {"image": args.image, "plan": [each.as_dict() for each in plans]}
        if args.dry_run:
            return Result(data, lines)
        for line in lines:
            progress.info(line)
        copies = one.copy(home, original, account, plans, progress)
    data["images"] = {region: image.image_id for region, image in sorted(copies.images.items())}
    data["failures"] = copies.failures
    return Result(
        data,
        [f"ami     {image.image_id} in {region}" for region, image in sorted(copies.images.items())],
        code=CloudError.exit_code if copies.failures else 0,
        errors=[f"{region}: {why}" for region, why in sorted(copies.failures.items())],
    )
