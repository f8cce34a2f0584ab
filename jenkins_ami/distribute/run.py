"""Distribution: an image that was built goes to its regions, to those who may launch it, and to what points to it.

Each region has a thread, and does not wait for others nor fall with them. Every step looks before it asks, so that the
same distribution can be run again: what is there already is left alone. ``ami.json`` says after each region where the
image is.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path

from ..artifacts import AMI_ENV, AMI_JSON, BuildResult, ImageRecord, env_text, to_json, write_file
from ..cloud.environments import Environment
from ..cloud.ledger import Ledger, Scope
from ..cloud.session import Cloud
from ..cloud.tags import BUILD
from ..cloud.waiting import CLOCK, Clock, insist
from ..progress import Progress
from . import described
from .books import Books
from .described import Described
from .plan import copy_tags, plan
from .regions import Work, work_in

COPY_SECONDS = 2 * 3600.0
"""That a copy may take. EC2 promises no time: it depends on the size, on the regions, and on who else is copying."""


def distribute(
    result: BuildResult,
    environment: Environment,
    output: Path,
    ledger: Ledger,
    progress: Progress,
    *,
    regions: Sequence[str] = (),
    seconds: float = COPY_SECONDS,
    clock: Clock = CLOCK,
) -> BuildResult:
    """Bring an image to where it is wanted. Can be called again, for what failed or was cut off.

    A region that fails is told in ``failures`` of the result, which is raised for nothing; the others go on.

    :param result: of the build, which ``ami.json`` in ``output`` holds; that file is written anew as regions are done
    :param ledger: where copies are noted until they are available
    :param regions: only these; empty is all
    :param seconds: that a copy may take
    :raises InputError: the image is not there, or a setting makes no sense for it
    :raises UsageError: ``regions`` names one that the image is not to go to
    :raises CloudError: refused before the first region
    """
    plans = [each for each in plan(result, environment, regions) if not each.idle]
    record = _Record(result, output)
    if not regions:
        record.forget_all_but({each.region for each in plans})
    if not plans:
        return record.result
    original, account = look(environment, result.images[result.region].image_id, clock)
    for each in plans:
        if each.copy:
            copy_tags(original, each)
    build = original.image.tags.get(BUILD, original.image_id)
    begin(ledger, Scope.of(environment, build, account))
    books = Books(ledger, build)
    work_in(plans, Work(environment, original, account, books, record, progress, seconds, clock))
    return record.result


def look(environment: Environment, image_id: str, clock: Clock = CLOCK) -> tuple[Described, str]:
    """An image of the account's own, and the account.

    :raises InputError: it is not there, somebody else's, or not available
    :raises CloudError: the credentials belong to another account, or refused
    """
    with Cloud(environment) as cloud:
        account = insist(lambda: cloud.check_account(environment.account), pace=environment.pace, clock=clock)
        image = insist(lambda: described.read(cloud, image_id, account), pace=environment.pace, clock=clock)
        return image, account


def begin(ledger: Ledger, scope: Scope) -> None:
    """What follows in the ledger belongs to the build that made the image."""
    if scope.build in {known.build for known in ledger.scopes}:
        ledger.resume(scope)
    else:
        ledger.begin(scope)


class _Record:
    """The result as it grows, and the files that hold it."""

    def __init__(self, result: BuildResult, output: Path) -> None:
        self.result = result
        self._output = output
        self._lock = threading.Lock()

    def forget_all_but(self, regions: Container[str]) -> None:
        """Where the image is not to go any more, it has not failed to."""
        with self._lock:
            failures = {region: why for region, why in self.result.failures.items() if region in regions}
            self._write(replace(self.result, failures=failures))

    def image(self, region: str, image: Described) -> None:
        with self._lock:
            there = ImageRecord(image.image_id, image.snapshot_ids, image.kms_key)
            self._write(replace(self.result, images={**self.result.images, region: there}))

    def done(self, region: str, pointers: tuple[str, ...]) -> None:
        with self._lock:
            published = {**self.result.published, region: pointers} if pointers else self.result.published
            failures = {key: why for key, why in self.result.failures.items() if key != region}
            self._write(replace(self.result, published=published, failures=failures))

    def failed(self, region: str, why: str) -> None:
        with self._lock:
            self._write(replace(self.result, failures={**self.result.failures, region: why}))

    def _write(self, result: BuildResult) -> None:
        if result == self.result:
            return
        self.result = result
        home = result.images[result.region].image_id
        write_file(self._output / AMI_ENV, env_text({"AMINAME": result.image_name, "AMIID": home}))
        write_file(self._output / AMI_JSON, to_json(result))
