"""Make the root folder, its library, the seed job and the drift alarm in an empty Jenkins. The seed job does the rest.

Checks first that the plugins which the jobs need are there. May be run again at any time; deletes nothing.
"""

from __future__ import annotations

import argparse

from ...errors import ServerError
from ...jobs.bootstrap import bootstrap
from ...progress import Progress
from .. import Result
from .common import add_config, add_server, config_of, connected


def configure(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_server(parser)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    config = config_of(args)
    with connected(args, config, progress) as connection:
        done = bootstrap(config, connection, progress)
    failed = [one for one in done if not one.ok]
    data: dict[str, object] = {
        "done": [{"path": list(one.path), "action": one.action, "ok": one.ok, "what": one.what} for one in done]
    }
    lines = [f"{one.action} {one.name}" if one.ok else f"failed: {one.name}: {one.what}" for one in done]
    if not lines:
        lines = ["all of it is there already"]
    if config.seed and not failed:
        lines.append(f"Run the job {'/'.join((*config.folder, 'seed'))} to make the jobs of the AMI sources.")
    return Result(data, lines, ServerError.exit_code if failed else 0)
