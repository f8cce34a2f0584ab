"""The commands of this room, end to end: what is wanted, the plan, the change. The only place that joins its parts."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..credentials import Credentials, lookup
from ..errors import InputError, Location
from ..findings import Finding
from ..progress import Progress
from .config import JobsConfig
from .connection import Connection
from .desired import desired
from .live import read_live
from .model import Desired, Discovery, ItemPath
from .plan import VIEW_STEP, Only, Plan, compute, to_read
from .planview import summary

URL, USER, TOKEN = "JENKINS_URL", "JENKINS_USER", "JENKINS_TOKEN"
"""Variables for the Jenkins and who signs in there, where the configuration does not say."""


@dataclass(frozen=True)
class Wanted:
    """What Jenkins should have, what was found on the way to it, and what is wrong with sources."""

    desired: Desired
    discovery: Discovery
    findings: tuple[Finding, ...]


def look(config: JobsConfig, environ: Mapping[str, str], progress: Progress, cache: Path | None) -> Wanted:
    """Discover the sources and work out their jobs.

    :param cache: where contents are kept between runs; ``None`` keeps none
    :raises InputError: in a template
    """
    from .discovery import discover

    with progress.step("Discover", len(config.providers)) as step:
        found = discover(config.providers, environ=environ, cache=cache, progress=progress)
        step.done(f"{len(found.found)} AMI source{'s' * (len(found.found) != 1)}")
    for failure in found.failures:
        progress.warn(f"{failure.provider.name}: {failure.what}; nothing is deleted")
    result, findings = desired(config, found)
    return Wanted(result, found, findings)


def connect(
    config: JobsConfig, environ: Mapping[str, str], progress: Progress, url: str | None = None, wait: float = 300.0
) -> Connection:
    """A connection to the Jenkins that the configuration or the environment names.

    :raises InputError: none is named, or the credentials are not where they should be
    """
    settings = config.jenkins
    where = Location(config.path)
    place = url or settings.url or environ.get(URL, "")
    if not place.startswith(("http://", "https://")):
        what = f"'{place}' is no URL of a Jenkins" if place else "no Jenkins is named"
        raise InputError(what, where=where, hint=f"Set 'jenkins: {{url: https://...}}', --url, or {URL}")
    credentials = None
    if settings.auth:
        credentials = lookup(settings.auth, place, environ, where)
    elif environ.get(USER) and environ.get(TOKEN):
        credentials = Credentials(environ[USER], environ[TOKEN])
    else:
        credentials = lookup({}, place, environ, where)
    return Connection(place, credentials, ca=settings.ca, workers=settings.workers, wait=wait, warn=progress.warn)


def plan_jobs(
    wanted: Desired,
    connection: Connection,
    progress: Progress,
    *,
    config: JobsConfig,
    verify: bool = False,
    only: Only | None = None,
    adopt: bool = False,
    remove: str | None = None,
) -> Plan:
    """Read what Jenkins has and compare.

    :raises ServerError: Jenkins refuses, or cannot be reached
    :raises InputError: ``only`` matches nothing
    """
    if only is not None and not any(only.takes(item) for item in wanted.items):
        raise InputError(f"no item matches '{' '.join(only.globs)}'", hint="Globs match paths, and ids of AMI sources")
    with progress.step("Plan") as step:
        live = read_live(connection, wanted.root)
        keys = to_read(wanted, live, verify=verify, only=only, adopt=adopt)
        configs = read_configs(connection, keys, config.jenkins.workers)
        plan = compute(
            wanted,
            live,
            configs,
            verify=verify,
            only=only,
            adopt=adopt,
            remove=remove or config.remove,
            preserve=config.preserve,
        )
        step.done(summary(plan))
    return plan


def read_configs(connection: Connection, keys: tuple[ItemPath, ...], workers: int) -> dict[ItemPath, str]:
    """Documents by key, read beside each other; those that are gone are left out."""

    def read(key: ItemPath) -> str | None:
        if len(key) > 1 and key[-2] == VIEW_STEP:
            return connection.config((*key[:-2], key[-1]), view=True)
        return connection.config(key)

    with ThreadPoolExecutor(workers) as pool:
        texts = list(pool.map(read, keys))
    return {key: text for key, text in zip(keys, texts, strict=True) if text is not None}
