"""The image's first boot: it is launched once and runs the source's tests. One that fails is no image."""

from __future__ import annotations

import gzip
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..artifacts import USERDATA_LIMIT, TestRecord
from ..cloud.session import Cloud
from ..errors import InstanceFailure, InstanceTimeout, StorageError
from ..progress import duration
from ..verdict import image_tests
from ..verdict.image_tests import TestOutcome
from . import base as bases
from . import request
from .attempts import Attempts, Errand
from .base import Reference
from .image import Made
from .judge import Decision, Observation, judge_tests
from .plan import Plan

BOOT = 600.0
"""Seconds that an image has to boot, besides what its tests may take."""


@dataclass
class FirstBoot:
    """How the first boot goes, for those who have to tell it although the build fails.

    :ivar image: name of the image; empty as long as there is none to boot
    :ivar began: when it began, as ``time.monotonic()`` has it
    :ivar over: the instance has powered itself off
    :ivar outcomes: of the tests, as far as they got
    """

    image: str = ""
    began: float = 0.0
    over: bool = False
    outcomes: tuple[TestOutcome, ...] = ()


def plan_of(cloud: Cloud, plan: Plan, made: Made) -> Plan:
    """The plan for a launch of the image that was just made.

    :raises CloudError: refused
    """
    base = bases.resolve(cloud, Reference("ami", made.image_id), plan.manifest.architecture)
    return replace(plan, base=base)


def first_boot(attempts: Attempts, plan: Plan, made: Made, seen: FirstBoot) -> tuple[TestRecord, ...]:
    """Run the tests.

    :param attempts: of this errand, with the plan of :func:`plan_of`
    :param seen: gets what happens
    :raises InstanceFailure: a test failed, or the image does not boot
    :raises InstanceTimeout: it did not power off in time
    :raises StorageError: the tests do not fit into user-data
    """
    seen.image, seen.began = made.name, time.monotonic()
    manifest = plan.manifest
    nonce = uuid.uuid4().hex[:16]
    user_data = gzip.compress(image_tests.user_data(manifest.tests, nonce), 9, mtime=0)
    if len(user_data) > USERDATA_LIMIT:
        raise StorageError(
            f"the tests have {len(user_data):,} bytes as user-data, EC2 takes {USERDATA_LIMIT:,}",
            hint="Put what is long into a file of fs/ and call that",
        )
    lag = plan.environment.pace.console_lag

    def decide(now: Observation) -> Decision:
        assert attempts.console is not None
        outcomes = image_tests.parse(attempts.console.raw, manifest.tests, nonce)
        complete = all(outcome.exit_code is not None for outcome in outcomes) if outcomes else now.ended > 0
        return judge_tests(now, complete=complete, timeout=errand.timeout, lag=lag)

    errand = Errand(
        kind="test",
        key=f"{plan.identity}-test",
        user_data=user_data,
        tagged={**request.instance_tags(plan.tagged, made.name, made.number), "Name": f"test of {made.name}"},
        nonce=nonce,
        timeout=BOOT + sum(test.timeout for test in manifest.tests),
        decide=decide,
    )
    ended = attempts.run(errand)
    seen.outcomes = outcomes = tuple(image_tests.parse(ended.console.raw, manifest.tests, nonce))
    if ended.decision is None or ended.decision.kind == "timeout":
        why = ended.decision.why if ended.decision else f"it did not stop within {duration(errand.timeout)}"
        raise InstanceTimeout(f"the image {made.name} does not pass its test: {why}", detail=ended.console.tail())
    if ended.decision.kind == "failure":
        raise InstanceFailure(
            f"the image {made.name} does not pass its test: {ended.decision.why}", detail=ended.console.tail()
        )
    seen.over = True
    failed = [outcome for outcome in outcomes if not outcome.ok]
    if failed:
        detail = []
        for outcome in failed:
            detail += [f"{outcome.test.name}: {outcome.reason}", *(f"  {line}" for line in outcome.output.splitlines())]
        others = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
        raise InstanceFailure(
            f"the image {made.name} fails its test '{failed[0].test.name}': {failed[0].reason}{others}",
            detail=detail,
            hint="The image is deregistered; console-test.log has all that its instance said",
        )
    return records(outcomes)


def records(outcomes: Sequence[TestOutcome]) -> tuple[TestRecord, ...]:
    """What of them the result keeps."""
    return tuple(TestRecord(o.test.name, o.ok, o.reason, float(o.seconds)) for o in outcomes)
