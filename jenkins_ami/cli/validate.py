"""Check an AMI source: all that compile would refuse, and what only a thorough look finds. Writes nothing.

Checked are the cloud-configs' keys and types, the syntax of shell scripts, the overlay, parameters, and whether there
are secrets in clear; with shellcheck and 'cloud-init schema' where these are installed. compile.sh is not run. Exits
with 2 when there is an error.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..compile.formats import FORMATS, as_gerrit, as_json, as_sarif, as_text
from ..compile.run import Options, validate_source
from ..errors import HostError, InputError, UsageError
from ..findings import ERROR, Finding
from ..process import run as run_command
from ..progress import Progress
from ..source.bases import work_tree
from . import Result
from .compile import add_parameters, parameters_of


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", type=Path, help="folder of the AMI source")
    add_parameters(parser)
    group = parser.add_argument_group("findings")
    group.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="how to print them (default %(default)s)")
    group.add_argument("--strict", action="store_true", help="warnings fail too")
    group.add_argument(
        "--relative-to",
        metavar="DIR",
        type=Path,
        help="what paths in sarif and gerrit begin at (default: the Git work tree around SOURCE, or SOURCE)",
    )


def run(args: argparse.Namespace, progress: Progress) -> Result:
    if args.relative_to is not None and not args.relative_to.is_dir():
        raise UsageError(f"--relative-to: {args.relative_to} is not a folder")
    findings = validate_source(args.source, Options(parameters=parameters_of(args), environ=os.environ), progress)
    tree = work_tree(Path(os.path.abspath(args.source)))  # noqa: PTH100  (links are not followed: findings name them)
    base = args.relative_to or tree or args.source
    code = InputError.exit_code if any(args.strict or one.level == ERROR for one in findings) else 0
    if args.format in ("text", "json"):
        document = as_json(findings)
    elif args.format == "sarif":
        document = as_sarif(findings, base)
    else:
        document = as_gerrit(findings, base, _changed(tree, base, progress))
    return Result(document, _lines(args.format, findings, document), code)


def _lines(form: str, findings: Sequence[Finding], document: dict[str, Any]) -> list[str]:
    return as_text(findings) if form == "text" else [json.dumps(document, indent=2, sort_keys=True)]


def _changed(tree: Path | None, base: Path, progress: Progress) -> set[str] | None:
    """What the commit that is checked out changes, relative to ``base``; ``None`` when Git cannot say.

    For a merge, what differs from all its parents, as in Gerrit's comparison with the automatic merge.
    """
    if tree is None:
        return None
    try:
        git = ["git", "-c", "log.showSignature=false", "-C", str(tree)]
        if run_command([*git, "log", "-1", "--format=%D", "HEAD"]).stdout.split(", ")[0] == "grafted":
            progress.warn("this clone is too shallow to tell what the commit changes: all is said of the patch set")
            return set()
        argv = [*git, "diff-tree", "--root", "--no-commit-id", "--name-only", "-z", "-r", "-c", "HEAD"]
        names = run_command(argv).stdout.split("\0")
    except HostError:
        return None
    return {os.path.relpath(tree / name, os.path.abspath(base)) for name in names if name}  # noqa: PTH100
