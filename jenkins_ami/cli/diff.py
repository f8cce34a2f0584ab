"""Show what changes on the machine from one compiled AMI to another: settings, cloud-config, files, modes."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..artifacts import USERDATA, CompiledAmi, read_compiled
from ..compile.compare import Comparison, compare
from ..compile.difftext import counts, lines
from ..errors import PlanDiffers
from ..progress import Progress
from . import Result


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="A", type=Path, help="folder of a compiled AMI")
    parser.add_argument("new", metavar="B", type=Path, help="folder of the compiled AMI to compare with it")
    parser.add_argument("--stat", action="store_true", help="count the changes instead of listing them")
    parser.add_argument("--exit-code", action="store_true", help=f"exit with {PlanDiffers.exit_code} when they differ")


def run(args: argparse.Namespace, _progress: Progress) -> Result:
    comparison = compare(read_compiled(args.old), read_compiled(args.new))
    code = PlanDiffers.exit_code if args.exit_code and comparison.changes else 0
    return Result(_data(comparison, stat=args.stat), lines(comparison, stat=args.stat), code)


def _data(comparison: Comparison, *, stat: bool) -> dict[str, object]:
    data: dict[str, object] = {
        "differ": bool(comparison.changes),
        "a": _side(comparison.old),
        "b": _side(comparison.new),
        "counts": {section: dict(numbers) for section, numbers in counts(comparison).items()},
    }
    return data if stat else data | {"changes": [change.as_dict() for change in comparison.changes]}


def _side(compiled: CompiledAmi) -> dict[str, object]:
    manifest = compiled.manifest
    return {
        "path": str(compiled.path),
        "name": manifest.name,
        "version": manifest.version,
        "commit": manifest.commit,
        "digest": manifest.digest,
        "userdata_size": manifest.files[USERDATA].size,
        "overlay_size": manifest.overlay.size,
    }
