"""Print the least rights that a build needs, for the options in use, as IAM policies.

For the compiled AMI in TARGET, or, without one, for any AMI source that is built in the environment. Nothing is asked
of the cloud.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..artifacts import Manifest, read_compiled
from ..errors import UsageError
from ..progress import Progress
from . import Result, environment

if TYPE_CHECKING:
    from ..cloud.environments import Environment
    from ..cloud.policy import Policy

WHOM = {
    "builder": "runs build, cleanup and distribute",
    "instance": "the role in the instance profile",
    "images": "runs images",
    "gc": "runs gc",
    "caller": "whose credentials assume the environment's role",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", type=Path, nargs="?", help="the folder that compile wrote")
    parser.add_argument(
        "--environment",
        metavar="NAME",
        action="append",
        dest="names",
        help=f"an environment; may be given several times (default: ${environment.VARIABLE})",
    )
    parser.add_argument("--environments", metavar="FILE", type=Path, help="the environments file, as for build")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--for",
        choices=WHOM,
        default="builder",
        dest="whom",
        help="whose rights: " + ", ".join(f"{name} ({text})" for name, text in WHOM.items()) + "; default: builder",
    )
    which.add_argument("--all", action="store_true", help="all of them, in one JSON object")


def run(args: argparse.Namespace, progress: Progress) -> Result:
    from ..cloud import policy

    manifest = read_compiled(args.target).manifest if args.target else None
    places = _environments(args)
    made = {whom: _merged(whom, manifest, places) for whom in (WHOM if args.all else [args.whom])}
    for whom, one in made.items():
        if one is not None and (length := policy.length(one)) > policy.LIMIT:
            progress.warn(
                f"the policy for {whom} has {length:,} characters, and a managed policy takes {policy.LIMIT:,}: "
                "make one for each environment"
            )
        if one is None and not args.all:
            progress.info(_NONE[whom])
    if args.all:
        data: dict[str, object] = {whom: one for whom, one in made.items() if one is not None}
    else:
        data = dict(made[args.whom] or {})
    return Result(data, [json.dumps(data, indent=2)] if data else [])


_NONE = {
    "instance": "The instance needs no rights for what we do on it: only an overlay with 'access: profile' does",
    "caller": "The environment names no 'role', so nobody assumes one",
}


def _environments(args: argparse.Namespace) -> list[Environment]:
    from ..cloud import environments

    names = args.names or [name for name in [os.environ.get(environment.VARIABLE)] if name]
    if not names:
        raise UsageError(
            "no environment is named",
            hint=f"Use --environment NAME, or ${environment.VARIABLE}; see docs/iam-policy.md",
        )
    if environments.LOCAL in names:
        raise UsageError("the local cloud has no rights to give", hint="Name an environment of AWS")
    found = [environments.load(name, args.environments, args.target) for name in dict.fromkeys(names)]
    return [environment.variables().over_environment(each) for each in found]


def _merged(whom: str, manifest: Manifest | None, places: list[Environment]) -> Policy | None:
    """The policy for all of the environments; ``None`` when none of them needs one."""
    from ..cloud import policy

    how: dict[str, Callable[[Environment], Policy | None]] = {
        "builder": lambda place: policy.builder(manifest, place),
        "instance": lambda place: policy.instance(manifest, place),
        "images": policy.images,
        "gc": policy.gc,
        "caller": policy.caller,
    }
    each = {place.name: one for place in places if (one := how[whom](place)) is not None}
    return policy.merged(each) if each else None
