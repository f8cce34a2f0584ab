"""Verify the commit that is checked out: its AMI sources are checked, compiled, compared with the parent's, and booted.

Those count that the commit touches. compile.sh runs in a sandbox without network; nothing has a credential. Images are
booted in the local cloud where this machine can. Writes verification.json, which 'gerrit review' turns into a vote and
comments, and 'report' into a page.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path

from ..artifacts import AMI_ENV, AMI_JSON, CompiledAmi, TestRecord, read_build_result
from ..errors import AmiError, CloudError, HostError, InputError, UsageError, one_line
from ..paths import state_dir
from ..progress import Progress
from ..verification import PASSED, SKIPPED, Boot
from ..verify.one import Booting, Wanted
from ..verify.run import verify
from ..verify.text import lines
from . import Result
from .build import seconds
from .compile import add_parameters, parameters_of

AUTO, YES, NO = "auto", "yes", "no"
UNSANDBOXED = "none"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="SOURCE", nargs="*", help="folder of an AMI source, from the work tree (default: all)"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, required=True, help="folder for the result; replaced whole"
    )
    parser.add_argument(
        "--work-tree", metavar="DIR", type=Path, default=Path(), help="a Git work tree (default: the current folder)"
    )
    parser.add_argument("--base", metavar="REV", help="commit to compare with (default: the first parent)")
    group = parser.add_argument_group("compile")
    add_parameters(group)
    group.add_argument(
        "--sandbox",
        choices=("offline", "network", UNSANDBOXED),
        default="offline",
        help="what compile.sh runs in: bubblewrap without or with network, or nothing (default: %(default)s)",
    )
    group = parser.add_argument_group("boot")
    group.add_argument(
        "--boot",
        choices=(AUTO, YES, NO),
        default=AUTO,
        help="build the image in the local cloud and test it: where this machine can, or must (default: %(default)s)",
    )
    group.add_argument(
        "--timeout", metavar="S", type=seconds, help="seconds that the instance has (default: the AMI source's)"
    )
    group.add_argument(
        "--state", metavar="DIR", type=Path, help="the local cloud's folder (default: $JENKINS_AMI_STATE, else XDG's)"
    )


def run(args: argparse.Namespace, progress: Progress) -> Result:
    if args.base == "":
        raise UsageError("--base is empty", hint="Name a commit, or leave it out")
    wanted = Wanted(
        sources=tuple(args.source),
        base=args.base,
        sandbox=None if args.sandbox == UNSANDBOXED else args.sandbox,
        parameters=parameters_of(args),
        boot=None if args.boot == NO else _booting(args, progress),
        must_boot=args.boot == YES,
    )
    verification, code = verify(args.work_tree, wanted, args.output, progress, os.environ)
    return Result(asdict(verification), lines(verification), code, problem=verification.reason if code else "")


def _booting(args: argparse.Namespace, progress: Progress) -> Booting:
    state = (args.state or state_dir()).absolute()

    def boot(compiled: CompiledAmi, output: Path, tested: list[TestRecord]) -> Boot:
        return _boot(compiled, output, tested, state, args.timeout, progress)

    return boot


def _boot(
    compiled: CompiledAmi,
    output: Path,
    tested: list[TestRecord],
    state: Path,
    timeout: float | None,
    progress: Progress,
) -> Boot:
    """Build a compiled AMI in the local cloud and test its image, which is removed again.

    A base image that the local cloud does not have is no failure: nothing is booted then.

    :param tested: gets how the tests ended
    :param timeout: seconds that the instance has, instead of the manifest's
    :raises HostError: this machine lacks something, before anything is launched
    :raises AmiError: as :func:`~jenkins_ami.build.run.build`
    """
    from ..build import base as bases
    from ..build.first_boot import FirstBoot, records
    from ..build.prepare import Options
    from ..build.run import build
    from ..cloud.session import Cloud
    from ..localcloud.accel import QEMU
    from ..process import which
    from .local import local_environment

    manifest, seen = compiled.manifest, FirstBoot()
    reference = bases.parse(manifest.base, manifest.base_query)
    if manifest.overlay.access == "https" and manifest.overlay.placement == "storage":
        return Boot(SKIPPED, "its overlay is to be fetched from an https URL, where a change's is not yet")
    if reference.kind == "ssm":
        return Boot(SKIPPED, f"the local cloud has no base image {one_line(manifest.base)}")
    which(QEMU)
    with local_environment(state, progress, base=manifest.base) as where:
        try:
            with Cloud(where) as cloud:
                bases.resolve(cloud, reference, manifest.architecture)
        except InputError as error:
            return Boot(SKIPPED, f"the local cloud does not have its base image: {one_line(error.what)}")
        try:
            build(compiled.path, where, output, progress, Options(timeout=timeout, test=True), seen=seen)
        except CloudError as error:
            if error.code != "UnsupportedOperation":
                raise
            return Boot(SKIPPED, f"the local cloud cannot do that: {one_line(error.what)}")
        except HostError as error:  # no "this machine cannot boot": it did, and whoever made it fail must not pass
            raise AmiError(error.what, where=error.where, hint=error.hint, detail=error.detail) from error
        finally:
            tested += records(seen.outcomes)
            _remove_images(output, state, progress)
    return Boot(PASSED)


def _remove_images(output: Path, state: Path, progress: Progress) -> None:
    """Remove what a build has left in the local cloud's store; its ``ami.json`` says what."""
    from ..localcloud.store import ImageStore

    (output / AMI_ENV).unlink(missing_ok=True)  # it would lead whoever reads it to an image that is not there
    if not (output / AMI_JSON).is_file():
        return
    store = ImageStore(state)
    for record in read_build_result(output).images.values():
        try:
            store.delete(record.image_id)
        except AmiError as error:
            progress.warn(f"{record.image_id} could not be removed from the local cloud: {error.line()}")
