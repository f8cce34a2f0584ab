"""Turn an AMI source into a compiled AMI: merged cloud-config, packed overlay, user-data. Sees no cloud."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..artifacts import USERDATA, USERDATA_LIMIT, CompiledAmi
from ..compile.run import Options, compile_source
from ..errors import InputError, UsageError
from ..forms import VERSION, VERSION_HINT
from ..progress import Progress
from ..source.options import ACCESSES, storage_of
from . import Result


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", type=Path, help="folder of the AMI source (holds ami.env)")
    parser.add_argument("target", metavar="TARGET", type=Path, help="folder for the compiled AMI; replaced whole")
    add_options(parser)


def add_parameters(parser: argparse._ActionsContainer) -> None:
    """What all commands that read a source share."""
    parser.add_argument(
        "--param",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="value of a parameter of ami.yaml (or AMI_PARAM_NAME in the environment); again for each",
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """What ``compile`` and ``bake`` share."""
    group = parser.add_argument_group("compile")
    add_parameters(group)
    group.add_argument(
        "--storage",
        metavar="URL",
        default=os.environ.get("S3URL") or None,
        help="where an overlay too large to inline goes: s3://BUCKET/PREFIX or https://… (default: S3URL)",
    )
    group.add_argument(
        "--storage-access",
        choices=ACCESSES,
        help="how the instance reads from S3: by a presigned URL, or with its profile's credentials",
    )
    group.add_argument(
        "--region",
        metavar="REGION",
        default=os.environ.get("AWSREGION") or None,
        help="region of the storage, written to vars.env (default: AWSREGION)",
    )
    group.add_argument("--version", metavar="VERSION", help="version of the image (default: the AMI source's)")
    group.add_argument("--source-commit", metavar="SHA", help="commit to record in compile.json")
    group.add_argument(
        "--inline-limit",
        metavar="BYTES",
        type=int,
        default=USERDATA_LIMIT,
        help="largest user-data with the overlay inside (default %(default)s, EC2's own limit)",
    )
    group.add_argument(
        "--env",
        metavar="NAME",
        action="append",
        default=[],
        help="variable of this environment that compile.sh may see; again for each",
    )
    group.add_argument(
        "--sandbox",
        nargs="?",
        choices=("offline", "network"),
        const="offline",
        help="run compile.sh under bubblewrap, without network unless 'network'",
    )


def options_of(args: argparse.Namespace) -> Options:
    """The options that :func:`add_options` added.

    :raises UsageError: one of them makes no sense
    """
    storage = None
    if args.storage:
        try:
            storage = storage_of(args.storage, args.storage_access)
        except InputError as error:
            raise UsageError(f"--storage: {error.what}", hint=error.hint) from error
    elif args.storage_access:
        raise UsageError("--storage-access needs --storage", hint="Or write 'storage: {url, access}' in ami.yaml")
    if args.version is not None and not VERSION.match(args.version):
        raise UsageError(f"--version: '{args.version}' is no version", hint=VERSION_HINT)
    if args.inline_limit < 0:
        raise UsageError(f"--inline-limit is {args.inline_limit}", hint="Give bytes, like 8192")
    return Options(
        storage=storage,
        version=args.version,
        region=args.region,
        commit=args.source_commit,
        inline_limit=args.inline_limit,
        parameters=parameters_of(args),
        environ=os.environ,
        passed=tuple(args.env),
        sandbox=args.sandbox,
    )


def parameters_of(args: argparse.Namespace) -> dict[str, str]:
    """``--param NAME=VALUE``, each once.

    :raises UsageError: no ``=``, or the same name twice
    """
    values: dict[str, str] = {}
    for word in args.param:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"--param '{word}' is not NAME=VALUE")
        if name in values:
            raise UsageError(f"--param {name} is given twice")
        values[name] = value
    return values


def run(args: argparse.Namespace, progress: Progress) -> Result:
    compiled = compile_source(args.source, args.target, options_of(args), progress)
    return Result(data_of(compiled), lines_of(compiled))


def data_of(compiled: CompiledAmi) -> dict[str, object]:
    """For ``--json``."""
    manifest = compiled.manifest
    return {
        "target": str(compiled.path),
        "name": manifest.name,
        "version": manifest.version,
        "userdata_size": manifest.files[USERDATA].size,
        "overlay": manifest.overlay.placement,
        "nonce": manifest.nonce,
        "digest": manifest.digest,
        "files": {name: {"size": f.size, "sha256": f.sha256} for name, f in manifest.files.items()},
    }


def lines_of(compiled: CompiledAmi) -> list[str]:
    """For people."""
    width = max(map(len, compiled.manifest.files))
    files = [f"  {name:<{width}}  {entry.size:>9} bytes" for name, entry in compiled.manifest.files.items()]
    return [f"{compiled.manifest.name} {compiled.manifest.version} compiled into {compiled.path}", *files]
