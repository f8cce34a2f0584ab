"""Make a bootable Debian base image, with cloud-init, for BIOS and UEFI. Nothing is booted, nothing is mounted; root is
not needed. Packages are downloaded once and kept: the next image takes seconds."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..paths import cache_dir
from ..progress import Progress, size
from . import Result


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", nargs="?", type=Path, metavar="SPEC", help="YAML file; without it, plain Debian 12")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the raw image to write")
    parser.add_argument("--refresh", action="store_true", help="take today's packages, not the ones of the last run")


def run(args: argparse.Namespace, progress: Progress) -> Result:
    from ..scratch.image import build_image
    from ..scratch.spec import load_spec

    image = build_image(load_spec(args.spec), args.output, cache=cache_dir(), progress=progress, refresh=args.refresh)
    data: dict[str, object] = {
        "path": str(image.path),
        "size": image.size,
        "used": image.used,
        "sha256": image.sha256,
        "spec_digest": image.spec_digest,
        "suite": image.suite,
        "packages": dict(image.packages),
    }
    lines = [
        f"image   {image.path}",
        f"size    {size(image.size)} ({size(image.used)} used)",
        f"sha256  {image.sha256}",
        f"boot    jenkins-ami boot {args.output}",
    ]
    return Result(data, lines)
