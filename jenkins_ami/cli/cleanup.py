"""End what a killed build left in the cloud. Can be called as often as one likes.

The ledger says what there may be; the credentials are those of the moment. An image whose build succeeded and was cut
off before it had marked it as finished is marked.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from pathlib import Path

from ..artifacts import LEDGER
from ..cloud.ledger import Ledger, Scope, read
from ..progress import Progress
from . import Result

PATIENCE = 120.0
"""Seconds to wait for a build that is ending, and cleans up by itself."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ledger", metavar="LEDGER", type=Path, help=f"{LEDGER}, or the folder that holds it")


def run(args: argparse.Namespace, progress: Progress) -> Result:
    from ..cloud import finish
    from ..cloud.cleanup import end_all
    from ..cloud.session import Cloud

    path = args.ledger / LEDGER if args.ledger.is_dir() else args.ledger
    read(path)  # opening one for writing would make it
    with contextlib.ExitStack() as stack:
        ledger = stack.enter_context(Ledger(path, PATIENCE))
        clouds: dict[Scope, Cloud] = {}

        def cloud_for(scope: Scope) -> Cloud:
            if scope not in clouds:
                environment = scope.as_environment()
                if environment.state is not None:
                    environment = dataclasses.replace(environment, endpoint=_local(environment.state))
                clouds[scope] = stack.enter_context(Cloud(environment))
            return clouds[scope]

        def _local(state: Path) -> str:
            from ..localcloud.client import running_cloud

            return stack.enter_context(running_cloud(state, progress)).endpoint

        outcomes = end_all(ledger, ledger.open_entries(), cloud_for, progress)
        for scope in finish.unmarked(ledger):
            finish.finish_build(cloud_for(scope), ledger, scope, progress)
    failures = [outcome.error for outcome in outcomes if outcome.error]
    for outcome in outcomes:
        if outcome.error:
            progress.warn(f"{outcome.entry} may still exist: {outcome.error.line()}")
    if failures:
        raise failures[0]
    ended = [{"kind": o.entry.kind, "key": o.entry.key, "ids": list(o.entry.ids), "outcome": o.text} for o in outcomes]
    return Result({"ended": ended}, [f"{o.entry}: {o.text}" for o in outcomes] or ["Nothing is left of any build"])
