"""List the AMI sources that the repositories of jobs.yaml hold. Asks no Jenkins.

Exits with 2 when one cannot be read, or a provider did not answer.
"""

from __future__ import annotations

import argparse

from ...errors import visible
from ...progress import Progress
from .. import Result
from .common import add_config, as_data, config_of, exit_code, problem, wanted_of


def configure(parser: argparse.ArgumentParser) -> None:
    add_config(parser)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    config = config_of(args)
    wanted = wanted_of(args, config, progress)
    found = wanted.discovery.found
    data: dict[str, object] = {
        "sources": [
            {
                "id": one.id,
                "provider": one.repository.provider.name,
                "url": one.repository.url,
                "branch": one.repository.branch,
                "commit": one.repository.commit,
                "folder": one.folder,
                "name": one.identity.name,
                "version": one.identity.version,
                "base": one.identity.base,
                "jenkinsfile": one.jenkinsfile,
            }
            for one in found
        ],
        "findings": as_data(wanted.findings),
        "failures": [{"provider": one.provider.name, "what": one.what} for one in wanted.discovery.failures],
        "requests": wanted.discovery.requests,
    }
    width = max((len(one.id) for one in found), default=0)
    lines = [
        visible(f"{one.id:<{width}}  {one.identity.name} {one.identity.version}  from {one.identity.base}")
        for one in found
    ]
    return Result(data, lines or ["no AMI sources"], exit_code(wanted), problem(wanted))
