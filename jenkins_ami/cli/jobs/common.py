"""Arguments and output that the commands of this group share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...compile.formats import message
from ...errors import InputError, UsageError, one_line
from ...findings import ERROR, Finding
from ...jobs.bootstrap import install_hint, missing_plugins
from ...jobs.config import FILE, JobsConfig, read_config
from ...jobs.connection import Connection
from ...jobs.plan import CREATE, UPDATE, Only, Plan
from ...jobs.run import Wanted, connect, look, plan_jobs
from ...paths import cache_dir
from ...progress import Progress

VARIABLE = "JENKINS_AMI_JOBS"


def add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help=f"the configuration (default: ${VARIABLE}, else ./{FILE}, else ./jobs/{FILE})",
    )
    parser.add_argument("--no-cache", action="store_true", help="read every repository anew")


def add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", help="the Jenkins (default: that of the configuration, else $JENKINS_URL)")
    parser.add_argument(
        "--wait", metavar="SECONDS", type=float, default=300.0, help="for a Jenkins that starts (default: %(default)s)"
    )


def add_plan(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to look at")
    group.add_argument("--verify", action="store_true", help="compare every item, not only those whose mark differs")
    group.add_argument(
        "--only", metavar="GLOB", action="append", help="only items of this path or AMI source; may be repeated"
    )
    group.add_argument("--adopt", action="store_true", help="take over jobs of somebody else that stand in the way")
    group.add_argument("--disable", action="store_true", help="disable what is wanted no more instead of deleting it")
    group.add_argument("--html", metavar="FILE", type=Path, help="write the plan as a page as well")


def config_of(args: argparse.Namespace) -> JobsConfig:
    """:raises InputError: it is not there, or not valid"""
    named = args.config or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named is None:
        named = next((path for path in (Path(FILE), Path("jobs", FILE)) if path.exists()), Path(FILE))
    return read_config(named)


def wanted_of(args: argparse.Namespace, config: JobsConfig, progress: Progress, *, tell: bool = True) -> Wanted:
    """Discover, and tell what is wrong with sources."""
    cache = None if args.no_cache else cache_dir()
    wanted = look(config, os.environ, progress, cache)
    for finding in wanted.findings if tell else ():
        progress.warn(one_line(f"{finding.where}: {message(finding)}"))
    return wanted


@contextmanager
def connected(args: argparse.Namespace, config: JobsConfig, progress: Progress) -> Iterator[Connection]:
    """The Jenkins, until the end of the block."""
    connection = connect(config, os.environ, progress, args.url, args.wait)
    try:
        yield connection
    finally:
        connection.close()


def planned(
    args: argparse.Namespace, config: JobsConfig, connection: Connection, progress: Progress
) -> tuple[Wanted, Plan]:
    """Discover and compare, as the arguments say."""
    wanted = wanted_of(args, config, progress)
    plan = plan_jobs(
        wanted.desired,
        connection,
        progress,
        config=config,
        verify=args.verify,
        only=Only(tuple(args.only)) if args.only else None,
        adopt=args.adopt,
        remove="disable" if args.disable else None,
    )
    plugins = connection.plugins() if plan.of(CREATE, UPDATE) else None
    if plugins is not None and (missing := missing_plugins(wanted.desired.items, plugins)):
        progress.warn(f"Jenkins lacks {', '.join(missing)}. {install_hint(missing, connection.url)}")
    return wanted, plan


def exit_code(wanted: Wanted) -> int:
    """2 when a source is broken, or a provider failed: the run did what it could."""
    broken = bool(wanted.discovery.failures) or any(one.level == ERROR for one in wanted.findings)
    return InputError.exit_code if broken else 0


def problem(wanted: Wanted) -> str:
    """Why :func:`exit_code` is not 0, in one line."""
    found = [f"{one.provider.name}: {one.what}" for one in wanted.discovery.failures]
    found += [f"{one.where}: {one.what}" for one in wanted.findings if one.level == ERROR]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{found[0]}{more}" if found else ""


def as_data(findings: Sequence[Finding]) -> list[dict[str, object]]:
    return [finding.as_dict() for finding in findings]


def write_page(path: Path | None, text: str) -> None:
    """:raises UsageError: it cannot be written"""
    if path is None:
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the page cannot be written: {error.strerror} ({path})") from error
