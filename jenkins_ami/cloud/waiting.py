"""Waiting for the cloud: one loop with a deadline, growing intervals and jitter.

botocore's own waiters give up after ten minutes at most and fail on states that are only on their way; nothing here
uses them. What is waited for, and what it means that it did not come, is the caller's business.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..errors import CloudError

T = TypeVar("T")

THROTTLED = frozenset(
    {
        "EC2ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Error codes that mean: ask less often (EC2 API reference, "Common client error codes"; S3, "Error responses")."""

UNCERTAIN = THROTTLED | {
    "EndpointUnreachable",
    "InternalError",
    "InternalFailure",
    "NoAnswer",
    "RequestTimeout",
    "ServiceUnavailable",
    "Unavailable",
}
"""Error codes that do not tell whether the call had an effect, and may not come again."""


@dataclass(frozen=True)
class Pace:
    """How gently to ask, in seconds.

    :ivar state: between two looks at a resource's state at first; grows up to ``state_longest``
    :ivar console: between two reads of a console (GetConsoleOutput is in EC2's lowest throttle class)
    :ivar console_lag: how far the console may be behind when the instance has stopped
    :ivar settle: how long a resource just made may be unknown to the calls that describe it
    :ivar patience: how long there may be no answer, or an uncertain one, before that is the answer
    :ivar capacity: between two rounds through all types and subnets when none has capacity; 0 ends at the first
    """

    state: float
    state_longest: float
    console: float
    console_lag: float
    settle: float
    patience: float = 600
    capacity: float = 30


AWS = Pace(state=5, state_longest=15, console=30, console_lag=300, settle=60)
LOCAL = Pace(state=0.25, state_longest=2, console=2, console_lag=10, settle=5, patience=20, capacity=0)


@dataclass(frozen=True)
class Clock:
    """Where time comes from; tests bring their own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


CLOCK = Clock()


class Stopped(Exception):
    """The command is ending: a thread ends at its next wait."""


def stoppable(clock: Clock, stop: threading.Event) -> Clock:
    """A clock for a thread: it wakes up, and whoever waits by it ends with :class:`Stopped`, when ``stop`` is set."""

    def sleep(seconds: float) -> None:
        if clock is CLOCK:
            stop.wait(seconds)
        else:
            clock.sleep(seconds)
        if stop.is_set():
            raise Stopped

    return Clock(clock.now, sleep)


def poll(check: Callable[[], T | None], *, seconds: float, pace: Pace, clock: Clock = CLOCK) -> T | None:
    """Call ``check`` until it gives something, at least once, and once more at the deadline.

    :param seconds: until the deadline
    :returns: what ``check`` gave; ``None`` when the deadline has passed
    :raises CloudError: from ``check``; uncertain ones are passed over until nothing else has come for the pace's
        patience, throttling doubles the interval
    """
    deadline = clock.now() + seconds
    interval, longest = pace.state, pace.state_longest
    certain = clock.now()
    while True:
        last = clock.now() >= deadline
        try:
            found = check()
            certain = clock.now()
        except CloudError as error:
            if error.code not in UNCERTAIN or last or clock.now() - certain >= pace.patience:
                raise
            found = None
            if error.code in THROTTLED:
                interval, longest = interval * 2, max(longest, interval * 2)
        if found is not None or last:
            return found
        clock.sleep(max(0.0, min(interval * random.uniform(0.8, 1.2), deadline - clock.now())))
        interval = min(interval * 1.3, longest)


def insist(call: Callable[[], T], *, pace: Pace, clock: Clock = CLOCK) -> T:
    """Make a call that does the same however often it is made, until it has a certain answer.

    :raises CloudError: refused; or no certain answer within the pace's patience
    """
    answer = poll(lambda: (call(),), seconds=pace.patience, pace=pace, clock=clock)
    assert answer is not None, "a call gives something, or raises"
    return answer[0]
