"""Set the date from which an image counts as old, or take it off.

A deprecated image can be launched as before by whoever knows its id, but others do not find it any more.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

from ...cloud.session import Cloud
from ...cloud.waiting import CLOCK
from ...errors import UsageError
from ...forms import DEPRECATION, REGION
from ...progress import Progress
from .. import Result
from .common import add_region, add_where, chosen


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="AMI", help="id of the image, one of the account's own")
    when = parser.add_mutually_exclusive_group(required=True)
    when.add_argument("--after", metavar="DAYS", help="days after it was made; at once when they are over")
    when.add_argument("--at", metavar="DATE", help="2031-01-31 or 2031-01-31T12:00, in UTC")
    when.add_argument("--cancel", action="store_true", help="it never counts as old")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")
    add_region(parser)
    add_where(parser)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    from ...distribute import marks, one
    from ...distribute.plan import deprecation

    days = _days(args.after) if args.after is not None else None
    at = _date(args.at) if args.at is not None else None
    for region in args.regions:
        if not REGION.fits(region):
            raise UsageError(f"'{region}' is not {REGION.what}", hint=f"One looks like {REGION.example}")
    with chosen(args, progress) as environment:
        home = environment.in_region(*args.regions) if args.regions else environment
        image, _ = one.look(home, args.image)
        wanted = at or deprecation(image.image.created, days)
        what = f"to be deprecated at {wanted:%Y-%m-%d %H:%M} UTC" if wanted else "never to be deprecated"
        line = f"{image.image_id} {image.image.label} in {home.region}: {what}"
        data: dict[str, object] = {
            "image": args.image,
            "region": home.region,
            "deprecate_at": wanted.isoformat() if wanted else None,
        }
        if args.dry_run:
            return Result(data, [line])
        progress.info(line)
        with Cloud(home) as cloud:
            changed = marks.deprecate(cloud, image, wanted, CLOCK)
    return Result(data | {"changed": changed}, [line if changed else f"{line} already"])


def _days(text: str) -> int:
    least, most = DEPRECATION
    if not (text.isascii() and text.isdigit() and len(text) < 6 and least <= int(text) <= most):
        raise UsageError(f"--after is '{text}'", hint=f"Give {least} to {most} days")
    return int(text)


def _date(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--at is '{text}'", hint="Give a date like 2031-01-31 or 2031-01-31T12:00, in UTC") from None
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    now = datetime.now(UTC)
    if not now < found < now + timedelta(days=DEPRECATION[1]):
        raise UsageError(f"--at is '{text}', which is over or more than ten years away", hint="EC2 takes no such date")
    return found
