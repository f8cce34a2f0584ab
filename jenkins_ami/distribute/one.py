"""Copies of one image that somebody names by its id, whoever made it, as long as it is the account's own."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..artifacts import LEDGER, ImageSettings
from ..cloud.environments import Environment, Region
from ..cloud.ledger import Ledger, Scope
from ..cloud.tags import BUILD
from ..cloud.waiting import CLOCK, Clock
from ..cloud.wanted import wanted
from ..errors import UsageError
from ..progress import Progress
from .books import Books
from .described import Described
from .plan import RegionPlan, check_tags, copy_tags
from .regions import Work, work_in
from .run import COPY_SECONDS, begin, look


@dataclass
class Copies:
    """What became of it, by region."""

    images: dict[str, Described] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def image(self, region: str, image: Described) -> None:
        with self._lock:
            self.images[region] = image

    def done(self, region: str, pointers: tuple[str, ...]) -> None:
        """Nothing points to it."""

    def failed(self, region: str, why: str) -> None:
        with self._lock:
            self.failures[region] = why


def plan(environment: Environment, regions: Sequence[str]) -> tuple[RegionPlan, ...]:
    """A copy in each of the regions, with the key and the tags that the environment has for it.

    :raises UsageError: the image's own region is among them
    :raises InputError: a tag is reserved
    """
    if environment.region in regions:
        raise UsageError(f"the image is in {environment.region} already", hint="Name other regions with --to")
    settings = wanted(ImageSettings(), environment)
    plans = []
    for region in dict.fromkeys(regions):
        own = settings.copies.get(region, Region())
        check_tags(own.tags, region)
        key = own.kms_key if settings.encrypted else None
        plans.append(RegionPlan(region, copy=True, encrypted=settings.encrypted, kms_key=key, tags=dict(own.tags)))
    return tuple(plans)


def copy(
    environment: Environment,
    original: Described,
    account: str,
    plans: Sequence[RegionPlan],
    progress: Progress,
    *,
    seconds: float = COPY_SECONDS,
    clock: Clock = CLOCK,
) -> Copies:
    """Copy an image to regions. What is there already is found; a region that fails is told in the result.

    No ledger outlives the command: a copy that it did not see through carries the tag by which ``gc`` sweeps it, until
    the same command is run again and finds it.

    :raises InputError: it has too many tags
    """
    for each in plans:
        copy_tags(original, each)
    build = original.image.tags.get(BUILD, original.image_id)
    copies = Copies()
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / LEDGER) as ledger:
        begin(ledger, Scope.of(environment, build, account))
        work_in(plans, Work(environment, original, account, Books(ledger, build), copies, progress, seconds, clock))
    return copies


__all__ = ["Copies", "copy", "look", "plan"]
