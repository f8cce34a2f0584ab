"""Write a new AMI source that compiles as it is: settings, cloud-config, overlay, Jenkinsfile, README."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from ..errors import UsageError
from ..progress import Progress
from ..source.scaffold import TEMPLATES, scaffold
from . import Result


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", type=Path, nargs="?", help="new or empty folder, or a new repository")
    parser.add_argument(
        "--template", metavar="NAME", default="minimal", help="what to begin with (default %(default)s); see --list"
    )
    parser.add_argument("--name", metavar="NAME", help="the image's name (default: the folder's)")
    parser.add_argument("--list", action="store_true", help="list the templates and write nothing")


def run(args: argparse.Namespace, _progress: Progress) -> Result:
    if args.list:
        width = max(map(len, TEMPLATES))
        return Result({"templates": TEMPLATES}, [f"{name:<{width}}  {text}" for name, text in TEMPLATES.items()])
    if args.folder is None:
        raise UsageError("DIR is missing", hint="Name the folder for the new AMI source, or use --list")
    new = scaffold(args.folder, args.template, args.name)
    return Result(
        {"path": str(new.root), "name": new.name, "template": new.template, "files": list(new.files)},
        [
            f"{new.name}: a new AMI source in {new.root}, from the template {new.template}",
            *(f"  {file}" for file in new.files),
            f"next: jenkins-ami compile {shlex.quote(str(new.root))} out",
        ],
    )
