"""Let accounts, organizations and organizational units launch an image, or with --remove no longer.

Accounts may read the snapshots behind it as well, so that they can copy it. What is encrypted needs its key, too: the
key's policy has to let them use it.
"""

from __future__ import annotations

import argparse
import dataclasses

from ...artifacts import Sharing
from ...cloud.session import Cloud
from ...cloud.waiting import CLOCK
from ...errors import UsageError
from ...forms import ACCOUNT, ORGANIZATION, REGION, UNIT, Form
from ...progress import Progress
from .. import Result
from .common import add_region, add_where, chosen


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="AMI", help="id of the image, one of the account's own")
    for option, metavar, text in (
        ("account", "N", "an account, by its 12 digits"),
        ("organization", "ARN", "all accounts of an organization"),
        ("unit", "ARN", "all accounts of an organizational unit"),
    ):
        parser.add_argument(
            f"--{option}", metavar=metavar, action="append", default=[], help=f"{text}; may be repeated"
        )
    parser.add_argument("--remove", action="store_true", help="take the permission away")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")
    add_region(parser)
    add_where(parser)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    from ...distribute import one, share
    from ...distribute.plan import sharing_text

    for values, form in ((args.account, ACCOUNT), (args.organization, ORGANIZATION), (args.unit, UNIT)):
        _check(values, form)
    _check(args.regions, REGION)
    wanted = Sharing(*(tuple(dict.fromkeys(each)) for each in (args.account, args.organization, args.unit)))
    if not wanted:
        raise UsageError("there is nobody to share it with", hint="Give --account, --organization or --unit")
    with chosen(args, progress) as environment:
        home = environment.in_region(*args.regions) if args.regions else environment
        image, account = one.look(home, args.image)
        with_whom = sharing_text(wanted)
        verb = "no longer shared with" if args.remove else "shared with"
        line = f"{image.image_id} {image.image.label} in {home.region}: to be {verb} {with_whom}"
        data: dict[str, object] = {"image": args.image, "region": home.region, "remove": args.remove}
        if args.dry_run:
            return Result(data | {"share": dataclasses.asdict(wanted)}, [line])
        progress.info(line)
        with Cloud(home) as cloud:
            if args.remove:
                changed = share.unshare(cloud, image, wanted, CLOCK)
            else:
                changed = share.share(cloud, image, wanted, account, CLOCK)
    data["changed"] = dataclasses.asdict(changed)
    done = f"{verb} {sharing_text(changed)}" if changed else f"was {verb} {with_whom} already"
    return Result(data, [f"{image.image_id} {done}"])


def _check(values: list[str], form: Form) -> None:
    for value in values:
        if not form.fits(value):
            raise UsageError(f"'{value}' is not {form.what}", hint=f"One looks like {form.example}")
