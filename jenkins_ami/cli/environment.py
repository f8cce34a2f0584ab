"""Which environment a command works in: its arguments, and what they come to. Shared by ``build`` and ``bake``."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..cloud import environments
from ..cloud.environments import LOCAL, Environment
from ..errors import UsageError
from ..paths import state_dir
from ..progress import Progress
from .local import local_environment

VARIABLE = "JENKINS_AMI_ENVIRONMENT"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add ``--local``, ``--environment``, ``--environments`` and ``--state``."""
    group = parser.add_argument_group("where to build")
    choice = group.add_mutually_exclusive_group()
    choice.add_argument("--local", action="store_true", help="in a local cloud on this machine, with QEMU")
    choice.add_argument(
        "--environment", metavar="NAME", help=f"an environment of the environments file (default: ${VARIABLE})"
    )
    group.add_argument(
        "--environments",
        metavar="FILE",
        type=Path,
        help=f"the environments file (default: ${environments.VARIABLE}, else ./{environments.FILE})",
    )
    group.add_argument(
        "--state", metavar="DIR", type=Path, help="the local cloud's folder (default: $JENKINS_AMI_STATE, else XDG's)"
    )


def check(args: argparse.Namespace) -> None:
    """:raises UsageError: no environment is named; for commands that do something else first"""
    _name(args)


@contextlib.contextmanager
def chosen(args: argparse.Namespace, progress: Progress, *, base: str) -> Iterator[Environment]:
    """The environment to build in.

    :param base: the manifest's base, which the local cloud has to have
    :raises UsageError: none is named
    :raises InputError: the environments file, or the environment, is missing or invalid
    """
    name = _name(args)
    if name == LOCAL:
        with local_environment((args.state or state_dir()).absolute(), progress, base=base) as environment:
            yield environment
    else:
        yield environments.load(name, args.environments)


def _name(args: argparse.Namespace) -> str:
    name = LOCAL if args.local else args.environment or os.environ.get(VARIABLE)
    if not name:
        raise UsageError(
            "no environment to build in is named",
            hint="Use --local for a local cloud on this machine, or --environment NAME (or $"
            f"{VARIABLE}) for one of {environments.FILE}, see docs/environments.md",
        )
    return str(name)
