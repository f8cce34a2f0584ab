"""How often EC2 takes a call: token buckets, for a proxy that throttles as EC2 does."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .protocols import Call


@dataclass
class Bucket:
    """A token bucket: ``size`` calls at once, ``refill`` of them back in a second."""

    size: float
    refill: float
    tokens: float = 0.0
    since: float = 0.0

    def take(self, now: float) -> bool:
        """Whether there is a token left, which is gone then. ``now`` in seconds."""
        self.tokens = min(self.size, self.tokens + (now - self.since) * self.refill)
        self.since = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


NON_MUTATING, UNFILTERED, MUTATING = (100, 20), (50, 10), (50, 5)
RUN_INSTANCES = (5, 2)


def limits(call: Call) -> tuple[float, float]:
    """Size and refill of the bucket that EC2 keeps for the action, in an account and region.

    Amazon EC2 Developer Guide, "Request throttling for the Amazon EC2 API": the tables of request token limits.
    """
    if call.action == "RunInstances":
        return RUN_INSTANCES
    if call.changes:
        return MUTATING
    if call.action == "GetConsoleOutput":  # in the lowest class of those that read
        return UNFILTERED
    if call.action.startswith("Describe") and not re.search(rb"(?:^|&)(?:Filter|MaxResults|\w+Id\.1)", call.body):
        return UNFILTERED
    return NON_MUTATING


class Limiter:
    """Throttles EC2's calls as EC2 does, each action by a bucket of its own.

    :param hurry: how much faster the buckets are refilled
    :ivar refused: how many calls of each action were throttled
    """

    def __init__(self, hurry: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.refused: Counter[str] = Counter()
        self._buckets: dict[tuple[str, str, tuple[float, float]], Bucket] = {}
        self._clock = clock
        self._hurry = hurry
        self._lock = threading.Lock()

    def allows(self, call: Call) -> bool:
        if call.service != "ec2":
            return True
        wanted, now = limits(call), self._clock() * self._hurry
        with self._lock:
            key = call.region, call.action, wanted
            bucket = self._buckets.setdefault(key, Bucket(*wanted, tokens=wanted[0], since=now))
            if bucket.take(now):
                return True
            self.refused[call.action] += 1
            return False
