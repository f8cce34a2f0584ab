"""What comes before the first resource: base, number, plan, and what is checked. Asks, and makes nothing."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from ..artifacts import CompiledAmi, Manifest, read_compiled
from ..cloud import storage
from ..cloud.environments import Environment
from ..cloud.session import Cloud
from ..cloud.tags import BUILD, EXPIRES, MAX_VALUE, URL
from ..cloud.waiting import CLOCK, Clock, insist
from ..cloud.wanted import wanted
from ..errors import StorageError
from ..progress import Progress, Step, size
from . import base as bases
from . import request
from .base import Base, Reference
from .image import next_number
from .plan import Plan, candidates
from .preflight import preflight

_EXPIRY_MARGIN = 3600
"""Seconds that a build's resources outlive its deadlines before ``gc`` may sweep them."""


@dataclass(frozen=True)
class Options:
    """What whoever asks for a build may choose.

    :ivar timeout: seconds that the instance has, instead of the manifest's
    :ivar reuse: an available image that was made of the same inputs is the result, and nothing is launched
    :ivar test: the image is launched once, and has to pass the source's tests
    :ivar require_marker: to power off without a word on the console is no success
    """

    timeout: float | None = None
    reuse: bool = False
    test: bool = False
    require_marker: bool = True


DEFAULTS = Options()


class Preparation:
    """Of one build.

    :ivar timings: seconds of the steps so far
    """

    def __init__(
        self,
        ami: CompiledAmi,
        environment: Environment,
        progress: Progress,
        options: Options,
        clock: Clock,
        stack: ExitStack,
    ) -> None:
        self.ami = ami
        self.manifest = ami.manifest
        self.environment = environment
        self.progress = progress
        self.options = options
        self.timeout = options.timeout if options.timeout is not None else float(ami.manifest.timeouts.instance)
        self.clock = clock
        self.stack = stack
        self.wanted = wanted(ami.manifest.image, environment)
        self.cloud = stack.enter_context(Cloud(environment))
        self.timings: dict[str, float] = {}

    def check_account(self) -> str:
        """:raises CloudError: the credentials are another account's"""
        return insist(
            lambda: self.cloud.check_account(self.environment.account), pace=self.environment.pace, clock=self.clock
        )

    def find_base(self) -> Base:
        """The base image that the manifest asks for."""
        reference = bases.parse(self.manifest.base, self.manifest.base_query)
        with self.step("base", f"Base image {self.manifest.base}") as step:
            base = self.resolve(reference)
            step.done(f"{base.image_id} {base.name}".rstrip())
        for warning in base.warnings:
            self.progress.warn(warning)
        return base

    def resolve(self, reference: Reference) -> Base:
        """The image that is meant, as soon as the cloud has a certain answer."""
        return insist(
            lambda: bases.resolve(self.cloud, reference, self.manifest.architecture),
            pace=self.environment.pace,
            clock=self.clock,
        )

    def prepare(self, identity: str, base: Base | None = None) -> tuple[Plan, list[str]]:
        """The plan, checked against the cloud."""
        place = self.place()
        base = base or self.find_base()
        self.check_there()
        with self.step("number", "Build number") as step:
            number = next_number(self.cloud, self.manifest, self.clock)
            step.done(request.image_name(self.manifest, number))
        plan = self.plan(identity, base, number, place)
        with self.step("preflight", "Preflight") as step:
            checked = preflight(
                self.cloud, plan, cloud_for_region=self.cloud_in, progress=self.progress, clock=self.clock
            )
            step.done(f"{len(checked.lines)} checks")
        return replace(plan, candidates=checked.candidates), list(checked.lines)

    def plan(self, identity: str, base: Base, number: int, place: storage.Place | None) -> Plan:
        """Pure, but for the clock and Jenkins' word on where this build is."""
        return Plan(
            manifest=self.manifest,
            environment=self.environment,
            wanted=self.wanted,
            base=base,
            number=number,
            identity=identity,
            tagged=request.tags(self.manifest, self.environment, base, self._own_tags(identity)),
            candidates=candidates(self.manifest, self.environment),
            user_data=self.ami.userdata,
            place=place,
        )

    def _own_tags(self, identity: str) -> dict[str, str]:
        deadlines = 2 * self.timeout + self.manifest.timeouts.image + _EXPIRY_MARGIN
        expires = datetime.now(UTC) + timedelta(seconds=max(self.environment.expiry, deadlines))
        own = {BUILD: identity, EXPIRES: expires.isoformat(timespec="seconds")}
        if url := build_url():
            own[URL] = url[:MAX_VALUE]
        return own

    def place(self) -> storage.Place | None:
        """Where the overlay is to be uploaded, if it is."""
        overlay = self.manifest.overlay
        if overlay.placement != "storage" or overlay.access == "https":
            return None
        if overlay.access == "profile" and self.environment.instance_profile is None:
            raise StorageError(
                "the instance is to download its overlay with the rights of its profile, and there is no profile",
                where=f"environment {self.environment.name}",
                hint="Give the environment an 'instance_profile', or compile with 'access: presigned'",
            )
        return storage.place(overlay.storage, self.environment)

    def check_there(self) -> None:
        """An overlay that somebody else should have put where the instance looks."""
        overlay = self.manifest.overlay
        if overlay.placement != "storage" or overlay.access != "https":
            return
        url = overlay.storage or ""
        with self.step("storage", f"Overlay at {urlsplit(url).hostname}") as step:
            unclear = storage.check_there(url, overlay.size)
            step.done("not checked" if unclear else size(overlay.size))
        if unclear:
            self.progress.warn(f"{unclear}; whether the overlay is there, the instance will find out")

    def cloud_in(self, region: str) -> Cloud:
        """The same account's API in another region."""
        if region == self.environment.region:
            return self.cloud
        return self.stack.enter_context(Cloud(self.environment.in_region(region)))

    @contextmanager
    def step(self, key: str, title: str, total: int | None = None) -> Iterator[Step]:
        """A step, whose seconds count for ``key`` in the result."""
        with self.progress.step(title, total) as step:
            try:
                yield step
            finally:
                self.timings[key] = round(self.timings.get(key, 0.0) + step.seconds, 3)


def dry_run(
    compiled: Path,
    environment: Environment,
    progress: Progress,
    options: Options = DEFAULTS,
    *,
    change: Callable[[Manifest], Manifest] = lambda manifest: manifest,
    clock: Clock = CLOCK,
) -> tuple[Plan, list[str]]:
    """All that a build does before it asks for anything: its plan, and what was checked. Writes nothing.

    :raises AmiError: what :func:`build` would raise by then
    """
    ami = read_compiled(compiled)
    ami = replace(ami, manifest=change(ami.manifest))
    with ExitStack() as stack:
        prepared = Preparation(ami, environment, progress, options, clock, stack)
        prepared.check_account()
        return prepared.prepare(uuid.uuid4().hex)


def build_url() -> str | None:
    """The page of the Jenkins build that this process belongs to."""
    url = os.environ.get("BUILD_URL", "")
    return url if url.startswith(("https://", "http://")) and url.isprintable() else None
