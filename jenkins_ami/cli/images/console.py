"""Show the serial console of an instance, or of the one that an image was made of, as far as EC2 still has it.

EC2 keeps the last 64 KiB, for about an hour after termination. What signs a URL is blotted out.
"""

from __future__ import annotations

import argparse

from ...build.console import readable
from ...distribute import images
from ...progress import Progress
from .. import Result
from .common import add_region, add_where, clouds


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="INSTANCE|AMI", help="an instance's or an image's id")
    add_region(parser)
    add_where(parser)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    with clouds(args, progress) as (cloud,):
        instance = images.builder(cloud, args.what)
        lines = readable(images.console(cloud, instance))
    return Result({"instance": instance, "console": lines}, lines)
