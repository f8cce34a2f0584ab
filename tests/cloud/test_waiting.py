from __future__ import annotations

import pytest

from jenkins_ami.cloud.waiting import Clock, Pace, insist, poll
from jenkins_ami.errors import CloudError

PACE = Pace(state=5, state_longest=15, console=30, console_lag=300, settle=60)


class Time:
    """A clock that sleeps at once, and remembers for how long."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.sleep)


def answers(*values):
    left = list(values)

    def check():
        value = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(value, Exception):
            raise value
        return value

    return check


def test_what_is_there_at_once_costs_no_wait():
    time = Time()
    assert poll(lambda: "there", seconds=60, pace=PACE, clock=time.clock) == "there"
    assert time.sleeps == []


def test_a_deadline_in_the_past_still_looks_once():
    time = Time()
    assert poll(lambda: "there", seconds=0, pace=PACE, clock=time.clock) == "there"
    assert poll(lambda: None, seconds=0, pace=PACE, clock=time.clock) is None
    assert time.sleeps == []


def test_something_false_is_an_answer_too():
    assert poll(lambda: 0, seconds=60, pace=PACE, clock=Time().clock) == 0


def test_intervals_grow_with_jitter_up_to_the_longest():
    time = Time()
    poll(lambda: None, seconds=600, pace=PACE, clock=time.clock)
    assert 4 <= time.sleeps[0] <= 6
    assert all(12 <= seconds <= 18 for seconds in time.sleeps[10:-1])
    assert len(set(time.sleeps)) > 10


def test_the_last_look_is_at_the_deadline():
    time = Time()
    looks = []
    assert poll(lambda: looks.append(time.now), seconds=61, pace=PACE, clock=time.clock) is None
    assert looks[-1] == pytest.approx(61)


def test_throttling_widens_the_interval():
    calm, throttled = Time(), Time()
    busy = CloudError("slow down", code="RequestLimitExceeded")
    poll(answers(None, None, None, "x"), seconds=600, pace=PACE, clock=calm.clock)
    poll(answers(busy, busy, busy, "x"), seconds=600, pace=PACE, clock=throttled.clock)
    assert throttled.sleeps[2] > 2 * calm.sleeps[2]


def test_an_uncertain_answer_is_passed_over():
    lost = CloudError("no answer", code="NoAnswer")
    assert poll(answers(lost, lost, "x"), seconds=600, pace=PACE, clock=Time().clock) == "x"


def test_uncertain_answers_for_longer_than_the_patience_are_the_answer():
    time = Time()
    lost = CloudError("no answer", code="EndpointUnreachable")
    with pytest.raises(CloudError, match="no answer"):
        poll(answers(lost, lost, lost, lost, None, lost), seconds=6000, pace=PACE, clock=time.clock)
    certain = sum(time.sleeps[:4])
    assert certain + PACE.patience <= time.now < certain + PACE.patience + 20


def test_a_call_is_made_until_it_has_a_certain_answer():
    time = Time()
    lost, busy = CloudError("no answer", code="NoAnswer"), CloudError("slow down", code="RequestLimitExceeded")
    assert insist(answers(lost, busy, lost, None), pace=PACE, clock=time.clock) is None
    assert len(time.sleeps) == 3


def test_a_call_without_a_certain_answer_ends_with_the_patience():
    time = Time()
    with pytest.raises(CloudError, match="no answer"):
        insist(answers(CloudError("no answer", code="NoAnswer")), pace=PACE, clock=time.clock)
    assert time.now == pytest.approx(PACE.patience)


def test_a_refusal_is_a_certain_answer():
    time = Time()
    with pytest.raises(CloudError, match="no"):
        insist(answers(CloudError("no", code="UnauthorizedOperation")), pace=PACE, clock=time.clock)
    assert time.sleeps == []


def test_any_other_refusal_ends_the_wait():
    with pytest.raises(CloudError, match="no"):
        poll(answers(CloudError("no", code="UnauthorizedOperation")), seconds=600, pace=PACE, clock=Time().clock)
