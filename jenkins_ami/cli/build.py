"""Turn a compiled AMI into an image: launch, wait for proof of success, image, clean up, distribute.

Needs no source. Writes ami.json, ami.env, console.log and ledger.jsonl.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..artifacts import AMI_ENV, AMI_JSON, CONSOLE_LOG, LEDGER, BuildResult, read_compiled
from ..cloud.environments import launch_command
from ..errors import UsageError
from ..progress import Progress
from . import Result, environment, junit
from .junit import Course

if TYPE_CHECKING:
    from ..build.plan import Plan
    from ..build.prepare import Options


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", metavar="TARGET", type=Path, nargs="?", help="the folder that compile wrote (not with --resume)"
    )
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="where the result goes (default: TARGET)")
    parser.add_argument(
        "--resume",
        metavar="LEDGER",
        type=Path,
        help="go on with a build that was cut off, from its ledger.jsonl or the folder that holds it",
    )
    add_options(parser)
    environment.configure(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What ``build`` and ``bake`` share."""
    parser.add_argument(
        "--timeout", metavar="S", type=seconds, help="seconds that the instance has (default: the AMI source's)"
    )
    parser.add_argument(
        "--reuse", action="store_true", help="if there is an image of the same inputs, take that and launch nothing"
    )
    parser.add_argument("--test", action="store_true", help="launch the image once and run the source's tests on it")
    parser.add_argument(
        "--require-marker",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="no image unless the instance said on its console that it succeeded (default: yes)",
    )
    parser.add_argument("--dry-run", action="store_true", help="check all that can be checked, and make nothing")
    parser.add_argument(
        "--distribute",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="copy, share and publish the image as the AMI source and the environment say (default: yes)",
    )
    files = parser.add_argument_group("files for others")
    files.add_argument("--packer-manifest", metavar="FILE", type=Path, help="add the image to a manifest as Packer's")
    files.add_argument("--tfvars", metavar="FILE", type=Path, help="write the ids as *.auto.tfvars.json for Terraform")
    junit.add_option(files)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    if args.resume:
        path = args.resume / LEDGER if args.resume.is_dir() else args.resume
        with told(args, path.parent, path.parent, progress) as course:
            return _resume(args, path, progress, course)
    target = args.target or environment.variables().userdata_folder
    if target is None:
        raise UsageError("TARGET is missing", hint="Name the folder that compile wrote, or --resume LEDGER")
    environment.check(args)
    output = args.output or target
    with told(args, target, output, progress) as course:
        return build(args, target, output, progress, course)


@contextlib.contextmanager
def told(
    args: argparse.Namespace, named: Path, output: Path, progress: Progress, unmade: Path | None = None
) -> Iterator[Course]:
    """A course of the build, which is in the file of ``--junit`` afterwards.

    :param named: a folder whose name stands for the image's as long as that is not known
    :param unmade: a folder that is not made for the file
    """
    course = Course(named.resolve().name, output)
    path = None if args.dry_run else args.junit
    with junit.written(path, lambda: course.name, course.cases, progress, unmade=unmade):
        yield course


def build(
    args: argparse.Namespace,
    target: Path,
    output: Path,
    progress: Progress,
    course: Course,
    source: Path | None = None,
) -> Result:
    """Build ``target`` in the environment that ``args`` choose."""
    from ..build.prepare import Options

    options = Options(args.timeout, args.reuse, args.test, args.require_marker)
    return _build(args, target, output, options, progress, course, source=source)


def _resume(args: argparse.Namespace, path: Path, progress: Progress, course: Course) -> Result:
    """All that the build was told is in its ledger, but for credentials."""
    from ..build import resume
    from ..build.prepare import Options

    if args.target or args.output or args.dry_run:
        raise UsageError("--resume takes no TARGET, no --output and no --dry-run", hint="The ledger says what it was")
    found = resume.read(path)
    if found is None:
        raise UsageError(
            f"there is nothing to go on with in {path}", hint="What an earlier build left is ended: build anew"
        )
    if not args.environment and not args.local:
        if found.scope.state:
            args.local, args.state = True, args.state or Path(found.scope.state)
        else:
            args.environment = found.scope.environment
    return _build(args, found.compiled, path.parent, Options(**found.options), progress, course, go_on=True)


def _build(
    args: argparse.Namespace,
    target: Path,
    output: Path,
    options: Options,
    progress: Progress,
    course: Course,
    *,
    source: Path | None = None,
    go_on: bool = False,
) -> Result:
    from .. import exports
    from ..build.prepare import dry_run
    from ..build.run import build as build_image
    from .distribute import distribute_result, problems

    if args.packer_manifest:
        exports.read_packer_manifest(args.packer_manifest)  # one that cannot be added to is told before a build
    given = environment.variables()
    manifest = given.over_manifest(read_compiled(target).manifest)
    course.name, course.tests = manifest.name, manifest.tests if options.test else None
    options = dataclasses.replace(options, timeout=options.timeout or given.timeout)
    with environment.chosen(args, progress, base=manifest.base, source=source or target) as where:
        if args.dry_run:
            plan, checked = dry_run(target, where, progress, options, change=given.over_manifest)
            return _planned(plan, checked)
        change, boot = given.over_manifest, course.boot
        built = build_image(target, where, output, progress, options, go_on=go_on, change=change, seen=boot)
        course.built = built
        if args.distribute:
            course.built = built = distribute_result(built, where, output, progress)
    exports.write(built, packer=args.packer_manifest, terraform=args.tfvars)
    given.write_output(built)
    return problems(built, Result(dataclasses.asdict(built), lines(built, output)))


def _planned(plan: Plan, checked: list[str]) -> Result:
    """What a build would do."""
    wanted = plan.wanted
    text = [
        f"image   {plan.manifest.name}-{plan.manifest.version}-{plan.number}",
        f"base    {plan.base.image_id} {plan.base.name}".rstrip(),
        *(f"try     {candidate}" for candidate in plan.candidates),
        f"copy    {', '.join(sorted(wanted.copies)) or 'nowhere'}",
        *(f"checked {line}" for line in checked),
        "Nothing was made",
    ]
    data: dict[str, object] = {
        "image": f"{plan.manifest.name}-{plan.manifest.version}-{plan.number}",
        "base": plan.base.image_id,
        "candidates": [dataclasses.asdict(candidate) for candidate in plan.candidates],
        "copies": sorted(wanted.copies),
        "checked": checked,
    }
    return Result(data, text)


def lines(built: BuildResult, output: Path) -> list[str]:
    """The result for people."""
    files = ", ".join((AMI_JSON, AMI_ENV, *(() if built.reused else (CONSOLE_LOG,)), LEDGER))
    note = "  (reused: made of the same inputs before, nothing was launched)" if built.reused else ""
    text = [f"image   {built.image_name}{note}"]
    text += [f"ami     {record.image_id} in {region}" for region, record in sorted(built.images.items())]
    text += [f"names   {name} in {region}" for region, names in sorted(built.published.items()) for name in names]
    if built.tested:
        text += [f"tested  {len(built.tested)} of {len(built.tested)} tests passed"]
    text += [f"files   {output}: {files}"]
    command = launch_command(built.environment, built.region, built.images[built.region].image_id)
    return [*text, f"boot    {command}"]


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 7 * 24 * 3600:
        raise UsageError(f"--timeout is '{text}'", hint="Give whole seconds, at most 604800 (7 days)")
    return value
