"""Which environment a command works in: its arguments and variables, and what they come to. Shared by all commands that
work in one."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..cloud import environments
from ..cloud.environments import LOCAL, VARIABLES, Environment
from ..cloud.variables import Variables, read, with_digest
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
        help=f"the environments file (default: ${environments.VARIABLE}, ./{environments.FILE}, or the AMI source's)",
    )
    group.add_argument(
        "--state", metavar="DIR", type=Path, help="the local cloud's folder (default: $JENKINS_AMI_STATE, else XDG's)"
    )


def check(args: argparse.Namespace) -> None:
    """For commands that do something else first.

    :raises UsageError: no environment is named, or a ``BUILDAMI_`` variable makes no sense
    :raises StorageError: one is out of range
    """
    _name(args, _said())


def variables() -> Variables:
    """What ``BUILDAMI_`` variables say.

    :raises UsageError: one makes no sense
    :raises StorageError: one is out of range
    :raises InputError: BUILDAMI_FSTGZ cannot be read
    """
    return with_digest(_said())


def _said() -> Variables:
    given = read(os.environ)
    if given.output is not None and not given.output.parent.is_dir():
        raise UsageError(f"BUILDAMI_OUTPUT: there is no folder for {given.output}", hint="Make it first")
    return given


@contextlib.contextmanager
def chosen(
    args: argparse.Namespace, progress: Progress, *, base: str, source: Path | None = None
) -> Iterator[Environment]:
    """The environment to build in, with what ``BUILDAMI_`` variables say over it.

    :param base: the manifest's base, which the local cloud has to have
    :param source: the AMI source, or what compile made of it: its environments file is the last that is looked for
    :raises UsageError: none is named, or a variable makes no sense
    :raises InputError: the environments file, or the environment, is missing or invalid
    :raises StorageError: a variable is out of range, or names storage elsewhere
    """
    given = _said()
    for warning in given.warnings:
        progress.warn(warning)
    name = _name(args, given)
    if name == LOCAL:
        with local_environment((args.state or state_dir()).absolute(), progress, base=base) as environment:
            yield environment
    elif name == VARIABLES:
        yield given.over_environment(given.environment(os.environ))
    else:
        yield given.over_environment(environments.load(name, args.environments, source))


def _name(args: argparse.Namespace, given: Variables) -> str:
    name = LOCAL if args.local else args.environment or os.environ.get(VARIABLE)
    if not name and given.say_where:
        return VARIABLES
    if not name:
        raise UsageError(
            "no environment to build in is named",
            hint="Use --local for a local cloud on this machine, or --environment NAME (or $"
            f"{VARIABLE}) for one of {environments.FILE}, see docs/environments.md",
        )
    return str(name)
