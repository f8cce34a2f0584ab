"""Turn a compiled AMI into an image: launch, wait for proof of success, image, clean up.

Needs no source. Writes ami.json, ami.env, console.log and ledger.jsonl.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from ..artifacts import AMI_ENV, AMI_JSON, CONSOLE_LOG, LEDGER, BuildResult, read_compiled
from ..cloud.environments import LOCAL
from ..errors import UsageError
from ..progress import Progress
from . import Result, environment


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", type=Path, help="the folder that compile wrote")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="where the result goes (default: TARGET)")
    add_options(parser)
    environment.configure(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What ``build`` and ``bake`` share."""
    parser.add_argument(
        "--timeout", metavar="S", type=_seconds, help="seconds that the instance has (default: the AMI source's)"
    )
    parser.add_argument(
        "--reuse", action="store_true", help="if there is an image of the same inputs, take that and launch nothing"
    )


def run(args: argparse.Namespace, progress: Progress) -> Result:
    environment.check(args)
    return build(args, args.target, args.output or args.target, progress)


def build(args: argparse.Namespace, target: Path, output: Path, progress: Progress) -> Result:
    """Build ``target`` in the environment that ``args`` choose."""
    from ..build.run import build as build_image

    manifest = read_compiled(target).manifest
    with environment.chosen(args, progress, base=manifest.base) as where:
        built = build_image(target, where, output, progress, timeout=args.timeout, reuse=args.reuse)
    return Result(dataclasses.asdict(built), lines(built, output))


def lines(built: BuildResult, output: Path) -> list[str]:
    """The result for people."""
    files = ", ".join((AMI_JSON, AMI_ENV, *(() if built.reused else (CONSOLE_LOG,)), LEDGER))
    note = "  (reused: made of the same inputs before, nothing was launched)" if built.reused else ""
    text = [f"image   {built.image_name}{note}"]
    text += [f"ami     {record.image_id} in {region}" for region, record in sorted(built.images.items())]
    text += [f"files   {output}: {files}"]
    for region, record in sorted(built.images.items()):
        if built.environment == LOCAL:
            text.append(f"boot    jenkins-ami boot {record.image_id}")
        else:
            text.append(f"boot    aws ec2 run-instances --region {region} --image-id {record.image_id}")
    return text


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 7 * 24 * 3600:
        raise UsageError(f"--timeout is '{text}'", hint="Give whole seconds, at most 604800 (7 days)")
    return value
