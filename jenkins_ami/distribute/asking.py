"""The calls of a distribution: made until they have a certain answer, since each does no harm when it is made twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..cloud.session import Cloud
from ..cloud.waiting import Clock, insist

T = TypeVar("T")


def ask(cloud: Cloud, call: Callable[[], T], clock: Clock) -> T:
    """:raises CloudError: refused, or no certain answer within the pace's patience"""

    def once() -> T:
        with cloud.calls():
            return call()

    return insist(once, pace=cloud.environment.pace, clock=clock)
