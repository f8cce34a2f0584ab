"""Turn an AMI source into a compiled AMI: merged cloud-config, packed overlay, user-data. Sees no cloud."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..artifacts import USERDATA, USERDATA_LIMIT, CompiledAmi
from ..compile.run import Options, compile_source
from ..progress import Progress
from . import Result


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", type=Path, help="folder of the AMI source (holds ami.env)")
    parser.add_argument("target", metavar="TARGET", type=Path, help="folder for the compiled AMI; replaced whole")
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What ``compile`` and ``bake`` share."""
    group = parser.add_argument_group("compile")
    group.add_argument("--storage", metavar="s3://BUCKET/PREFIX", help="where an overlay too large to inline goes")
    group.add_argument("--region", metavar="REGION", help="region of the storage, written to vars.env")
    group.add_argument("--source-commit", metavar="SHA", help="commit to record in compile.json")
    group.add_argument(
        "--inline-limit",
        metavar="BYTES",
        type=int,
        default=USERDATA_LIMIT,
        help="largest user-data with the overlay inside (default %(default)s, EC2's own limit)",
    )


def options_of(args: argparse.Namespace) -> Options:
    """The options that :func:`add_options` added."""
    return Options(args.storage, args.region, args.source_commit, args.inline_limit)


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
