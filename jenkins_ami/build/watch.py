"""Watches an instance until there is a decision about it: its state, its console, its host."""

from __future__ import annotations

from collections.abc import Callable

from ..cloud.cleanup import UNKNOWN
from ..cloud.session import Cloud
from ..cloud.waiting import Clock, poll
from ..errors import CloudError
from ..progress import Step
from ..verdict import markers
from .console import Console
from .judge import Decision, Observation

_IMPAIRED_LOOKS = 3
"""Failed looks at the host in a row that count: a single one is often gone by the next."""


class Watch:
    """One instance.

    :param nonce: of the markers on its console
    :param elapsed: seconds since its build first launched one, before this begins
    """

    def __init__(
        self, cloud: Cloud, instance: str, console: Console, clock: Clock, *, nonce: str, elapsed: float = 0.0
    ) -> None:
        self._cloud = cloud
        self._instance = instance
        self._console = console
        self._clock = clock
        self._pace = cloud.environment.pace
        self._nonce = nonce
        self._began = clock.now()
        self._elapsed = elapsed
        self._next_read = self._began
        self._ended: float | None = None
        self._impaired = 0
        self._may_ask_host = True

    def until(self, decide: Callable[[Observation], Decision], step: Step, *, seconds: float) -> Decision | None:
        """Look until ``decide`` says something else than ``continue``.

        :param seconds: until the deadline, after which the answer is ``None``
        :raises CloudError: refused
        """

        def look() -> Decision | None:
            seen = self._look()
            decision = decide(seen)
            at = seen.verdict.steps[-1].strip() if seen.verdict.steps else self._console.last_line()
            step.status(f"{seen.state}: {at[:60]}" if at else seen.state)
            return None if decision.kind == "continue" else decision

        return poll(look, seconds=seconds, pace=self._pace, clock=self._clock)

    def _look(self) -> Observation:
        now = self._clock.now()
        state, reason, message = self._state()
        if self._ended is None and state in ("stopped", "shutting-down", "terminated"):
            self._ended = self._next_read = now
        if now >= self._next_read:
            self._next_read = now + self._pace.console
            self._console.read()
            if state == "running":
                self._look_at_host()
        return Observation(
            state=state,
            verdict=markers.parse(self._console.raw, self._nonce),
            reason=reason,
            message=message,
            elapsed=self._elapsed + now - self._began,
            ended=0.0 if self._ended is None else now - self._ended,
            impaired=self._impaired >= _IMPAIRED_LOOKS,
        )

    def _state(self) -> tuple[str, str, str]:
        """The instance's state, and StateReason's code and message."""
        try:
            with self._cloud.calls():
                answer = self._cloud.ec2.describe_instances(InstanceIds=[self._instance])
        except CloudError as error:
            if error.code in UNKNOWN and self._clock.now() - self._began < self._pace.settle:
                return "pending", "", ""
            raise
        found = [each for reservation in answer["Reservations"] for each in reservation["Instances"]]
        if not found:
            if self._clock.now() - self._began < self._pace.settle:
                return "pending", "", ""
            return "terminated", "", "EC2 does not know it any more"
        reason = found[0].get("StateReason", {})
        return found[0]["State"]["Name"], reason.get("Code", ""), reason.get("Message", "")

    def _look_at_host(self) -> None:
        if not self._may_ask_host:
            return
        try:
            with self._cloud.calls():
                answer = self._cloud.ec2.describe_instance_status(InstanceIds=[self._instance])
        except CloudError as error:
            if error.code in UNKNOWN:
                return
            if error.code == "UnauthorizedOperation":  # then the deadline has to do
                self._may_ask_host = False
                return
            raise
        statuses = [each.get("SystemStatus", {}).get("Status", "") for each in answer["InstanceStatuses"]]
        self._impaired = self._impaired + 1 if "impaired" in statuses else 0
