"""The regions of a distribution, each at work in a thread of its own: a failure stays where it is."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from ..cloud.environments import Environment
from ..cloud.session import Cloud
from ..cloud.tags import BUILD, EXPIRES, NAME
from ..cloud.waiting import CLOCK, Clock, Stopped, stoppable
from ..errors import AmiError, CloudError
from ..progress import Progress, Step
from . import marks, publish, share
from .books import Books
from .copies import Copier
from .described import Described
from .plan import RegionPlan, final_tags, sharing_text


class Record(Protocol):
    """What regions report to, from their threads."""

    def image(self, region: str, image: Described) -> None:
        """The image is available there."""

    def done(self, region: str, pointers: tuple[str, ...]) -> None:
        """All is as it is wanted; ``pointers``: what points to the image."""

    def failed(self, region: str, why: str) -> None:
        """It is not as it is wanted."""


@dataclass(frozen=True)
class Work:
    """What all regions of a distribution share.

    :ivar environment: that the image is in
    :ivar account: that it belongs to
    :ivar seconds: that a copy may take
    """

    environment: Environment
    original: Described
    account: str
    books: Books
    record: Record
    progress: Progress
    seconds: float
    clock: Clock = CLOCK


def work_in(plans: Sequence[RegionPlan], work: Work) -> None:
    """Do what is planned in each region, at the same time. An interrupt ends all of them at their next look."""
    stop = threading.Event()
    with ThreadPoolExecutor(len(plans)) as pool:
        regions = [_Region(plan, work, stoppable(work.clock, stop)) for plan in plans]
        try:
            for future in [pool.submit(region.run) for region in regions]:
                future.result()
        finally:
            stop.set()


class _Region:
    """The work in one region."""

    def __init__(self, plan: RegionPlan, work: Work, clock: Clock) -> None:
        self.plan = plan
        self.work = work
        self.clock = clock

    def run(self) -> None:
        region = self.plan.region
        try:
            with (
                self.work.progress.step(f"Region {region}") as step,
                Cloud(self.work.environment.in_region(region)) as cloud,
            ):
                pointers = self._distribute(cloud, step)
            self.work.record.done(region, pointers)
        except Stopped:
            pass
        except AmiError as error:
            self.work.record.failed(region, _reason(error, self.plan))

    def _distribute(self, cloud: Cloud, step: Step) -> tuple[str, ...]:
        plan, clock = self.plan, self.clock
        done: list[str] = []
        image = self.work.original
        if plan.copy:
            copier = Copier(cloud, image, plan, self.work.books, step, seconds=self.work.seconds, clock=clock)
            image, made = copier.provide()
            self.work.record.image(plan.region, image)
            done += ["copied"] if made else []
        self._go_on()
        if marks.tag(cloud, image, final_tags(self.work.original, plan), clock) and not plan.copy:
            done.append("tagged")
        if plan.copy:
            # The identity of no build was only for sweeping what is not finished.
            temporary = [key for key in (EXPIRES, BUILD) if key not in self.work.original.image.tags]
            marks.take_off(cloud, image, temporary, clock)
        self._go_on()
        if plan.share and (new := share.share(cloud, image, plan.share, self.work.account, clock)):
            done.append(f"shared with {sharing_text(new)}")
        self._go_on()
        if plan.deprecate_at and marks.deprecate(cloud, image, plan.deprecate_at, clock):
            done.append(f"deprecated from {plan.deprecate_at:%Y-%m-%d} on")
        if plan.protect and marks.protect(cloud, image, clock):
            done.append("protected")
        self._go_on()
        pointers, news = self._publish(cloud, image.image_id)
        step.done(f"{image.image_id} {', '.join([*done, *news]) or 'is as it should be'}")
        return pointers

    def _publish(self, cloud: Cloud, image_id: str) -> tuple[tuple[str, ...], list[str]]:
        """What points to the image now, and what of it is new."""
        plan, label = self.plan, self.work.original.image.label
        pointers, news = [], []
        if plan.ssm_parameter:
            tags = {**self.work.environment.tags, **plan.tags}
            if name := self.work.original.image.tags.get(NAME):
                tags[NAME] = name
            pointers.append(f"ssm:{plan.ssm_parameter}")
            if publish.parameter(cloud, plan.ssm_parameter, image_id, tags, self.clock):
                news.append(f"in parameter {plan.ssm_parameter}")
        if plan.launch_template:
            number, made = publish.template_version(cloud, plan.launch_template, image_id, label, self.clock)
            pointers.append(f"launch-template:{plan.launch_template}:{number}")
            if made:
                news.append(f"in version {number} of {plan.launch_template}")
        return tuple(pointers), news

    def _go_on(self) -> None:
        """:raises Stopped: the command is ending"""
        self.clock.sleep(0)


def _reason(error: AmiError, plan: RegionPlan) -> str:
    if isinstance(error, CloudError) and plan.copy and error.code in ("AuthFailure", "OptInRequired"):
        # AWS says so of good credentials too, in a region that the account has not enabled.
        return error.line() + f" Perhaps the account has not enabled {plan.region}."
    return error.line()
