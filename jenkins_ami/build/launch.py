"""The launch: one instance, by the first way that has capacity."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..cloud.ledger import INSTANCE, SPOT, Ledger
from ..cloud.session import Cloud
from ..cloud.tags import BUILD, tag_filter
from ..cloud.waiting import UNCERTAIN, Clock, insist, poll
from ..errors import CloudError
from ..progress import Progress, Step, duration
from . import request
from .plan import Candidate, Plan

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

NO_CAPACITY = frozenset(
    {
        "InstanceTypeNotSupported",
        "InsufficientCapacityOnHost",
        "InsufficientFreeAddressesInSubnet",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "InsufficientReservedInstanceCapacity",
        "MaxSpotInstanceCountExceeded",
        "SpotMaxPriceTooLow",
        "Unsupported",
    }
)
"""Error codes of RunInstances that another type, zone or kind of capacity may not meet (EC2 API reference, "Error codes
for the Amazon EC2 API"). ``Unsupported`` is what a zone says that does not have a type at all."""


@dataclass(frozen=True)
class Launched:
    """An instance that was launched, by which way, and under which key it is in the ledger."""

    instance_id: str
    candidate: Candidate
    key: str

    def __str__(self) -> str:
        return f"{self.instance_id} ({self.candidate})"


class Launcher:
    """Launches for one plan."""

    def __init__(self, cloud: Cloud, ledger: Ledger, plan: Plan, progress: Progress, clock: Clock) -> None:
        self._cloud = cloud
        self._ledger = ledger
        self._plan = plan
        self._progress = progress
        self._clock = clock
        self._pace = cloud.environment.pace

    def launch(
        self,
        ways: Sequence[Candidate],
        *,
        key: str,
        user_data: bytes,
        tagged: Mapping[str, str],
        until: float,
        step: Step,
    ) -> Launched:
        """Try the ways in their order, moving on only for lack of capacity; then from the first again, to a deadline.

        :param key: of this attempt: what the client tokens begin with
        :param until: by the clock
        :raises CloudError: refused, or none has capacity
        """
        for turn in itertools.count():
            for index, candidate in enumerate(ways):
                token = f"{key}-{turn}-{index}"  # EC2 refuses one token for two different requests
                wanted = request.run_instances(self._plan, candidate, token=token, user_data=user_data, tagged=tagged)
                try:
                    return self._ask(wanted, candidate, token)
                except CloudError as error:
                    if error.code not in NO_CAPACITY:
                        raise
                    refused = error
                    if candidate != ways[-1]:
                        self._progress.info(f"{candidate} cannot be had [{error.code}], trying {ways[index + 1]}")
            pause = self._pace.capacity * random.uniform(0.8, 1.2)
            if not pause or self._clock.now() + pause >= until:
                raise refused
            step.status(f"no capacity [{refused.code}], trying again in {duration(pause)}")
            self._clock.sleep(pause)
        raise AssertionError("unreachable")

    def _ask(self, wanted: Mapping[str, object], candidate: Candidate, token: str) -> Launched:
        entry = self._ledger.intent(INSTANCE, token)
        spot = self._ledger.intent(SPOT, token) if candidate.spot else None

        def call() -> InstanceTypeDef:
            with self._cloud.calls():
                return self._cloud.ec2.run_instances(**wanted)["Instances"][0]  # type: ignore[arg-type]

        try:
            instance = insist(call, pace=self._pace, clock=self._clock)
        except CloudError as error:
            if error.code not in UNCERTAIN:  # a call without a clear answer may have had an effect
                self._ledger.gone(entry)
                if spot:
                    self._ledger.gone(spot)
            raise
        self._ledger.created(entry, instance["InstanceId"])
        if spot:
            self._ledger.created(spot, *filter(None, [instance.get("SpotInstanceRequestId")]))
        return Launched(instance["InstanceId"], candidate, token)


def find(cloud: Cloud, build: str, token: str, *, seconds: float, clock: Clock) -> InstanceTypeDef | None:
    """The instance of a build that was launched with a client token and is not terminated, once it shows.

    :param seconds: that it may take to show
    :raises CloudError: refused
    """

    def look() -> InstanceTypeDef | None:
        with cloud.calls():
            answer = cloud.ec2.describe_instances(Filters=[tag_filter(BUILD, build)])
        found = [each for reservation in answer["Reservations"] for each in reservation["Instances"]]
        return next((each for each in found if each.get("ClientToken") == token and _is_there(each)), None)

    return poll(look, seconds=max(0.0, seconds), pace=cloud.environment.pace, clock=clock)


def _is_there(instance: InstanceTypeDef) -> bool:
    return instance["State"]["Name"] not in ("shutting-down", "terminated")
