"""An instance that runs to a decision; and another one when EC2 takes it away: spot reclaim, capacity, a dead host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Literal

from ..cloud.ledger import INSTANCE, SPOT, Ledger
from ..cloud.session import Cloud
from ..cloud.waiting import Clock
from ..errors import InstanceFailure
from ..progress import Progress, Step, duration
from .console import Console
from .judge import Decision, Observation
from .launch import Launched, Launcher
from .plan import Candidate, Plan
from .watch import Watch

MOST = 5
"""Instances that are lost to EC2 until that is the answer, deadline or not."""


@dataclass(frozen=True)
class Errand:
    """What an instance is launched for.

    :ivar kind: ``build`` or ``test``: what its steps are called
    :ivar key: what client tokens begin with
    :ivar nonce: of the markers on the console
    :ivar timeout: seconds for all attempts together
    :ivar decide: the judgement of what is seen
    """

    kind: Literal["build", "test"]
    key: str
    user_data: bytes
    tagged: Mapping[str, str]
    nonce: str
    timeout: float
    decide: Callable[[Observation], Decision]


@dataclass(frozen=True)
class Ended:
    """How the last attempt ended; no decision means that its deadline has passed without any."""

    launched: Launched
    console: Console
    decision: Decision | None
    attempts: int


class Attempts:
    """The attempts of one errand.

    :param step: a step of the build, by its key in the timings and its title
    :param end: ends all of this build that the ledger has of these kinds, or raises
    :ivar proved: the last one ended in success
    """

    def __init__(
        self,
        cloud: Cloud,
        ledger: Ledger,
        plan: Plan,
        progress: Progress,
        clock: Clock,
        step: Callable[[str, str], AbstractContextManager[Step]],
        end: Callable[[tuple[str, ...]], None],
    ) -> None:
        self._cloud = cloud
        self._ledger = ledger
        self._plan = plan
        self._progress = progress
        self._clock = clock
        self._step = step
        self._end = end
        self._consoles: list[tuple[Launched, Console, str]] = []
        self.proved = False

    def run(self, errand: Errand, *, running: Launched | None = None, elapsed: float = 0.0) -> Ended:
        """Launch and watch.

        :param running: an instance that was launched before, to be gone on with
        :param elapsed: seconds since then
        :raises CloudError: refused, or there is no capacity
        :raises InstanceFailure: EC2 took each away
        """
        began = self._clock.now() - elapsed
        until = began + errand.timeout
        ways = self._plan.candidates
        why = ""
        for attempt in range(1, MOST + 1):
            launched = running or self._launch(errand, ways, until)
            running = None
            console = Console(self._cloud, launched.instance_id, self._progress)
            self._consoles.append((launched, console, ""))
            decision = self._watch(errand, launched, console, elapsed=self._clock.now() - began)
            self.proved = decision is not None and decision.kind == "success"
            if decision is None or decision.kind != "lost":
                return Ended(launched, console, decision, attempt)
            why = decision.why
            self._consoles[-1] = launched, console, why
            if self._clock.now() >= until:
                break
            self._progress.warn(f"{launched}: {why}")
            self._end((SPOT, INSTANCE))
            if launched.candidate.spot:
                ways = tuple(dict.fromkeys(replace(way, spot=False) for way in ways))
        taken = f"{attempt} instances within " if attempt > 1 else "within "
        raise InstanceFailure(
            f"{why} ({taken}{duration(self._clock.now() - began)})", hint="Name other instance_types or subnets"
        )

    def _launch(self, errand: Errand, ways: tuple[Candidate, ...], until: float) -> Launched:
        key, title = ("launch", "Launch") if errand.kind == "build" else ("test", "Launch the image")
        launcher = Launcher(self._cloud, self._ledger, self._plan, self._progress, self._clock)
        so_far = len(self._ledger.find(self._plan.identity, INSTANCE))  # no token is used twice, resumed or not
        with self._step(key, title) as step:
            launched = launcher.launch(
                ways,
                key=f"{errand.key}-{so_far}",
                user_data=errand.user_data,
                tagged=errand.tagged,
                until=until,
                step=step,
            )
            step.done(str(launched))
        return launched

    def _watch(self, errand: Errand, launched: Launched, console: Console, *, elapsed: float) -> Decision | None:
        pace = self._cloud.environment.pace
        key, title = ("instance", "Instance") if errand.kind == "build" else ("test", "Test instance")
        with self._step(key, f"{title} {launched.instance_id}") as step:
            watch = Watch(self._cloud, launched.instance_id, console, self._clock, nonce=errand.nonce, elapsed=elapsed)
            longest = max(0.0, errand.timeout - elapsed) + pace.console_lag + pace.state_longest
            decision = watch.until(errand.decide, step, seconds=longest)
            if decision is not None:
                success = "proved success and powered off" if errand.kind == "build" else "powered off"
                step.done(success if decision.kind == "success" else decision.why)
        return decision

    def console_text(self) -> str | None:
        """The consoles of all attempts; ``None`` without any."""
        if not self._consoles:
            return None
        if len(self._consoles) == 1:
            return "\n".join(self._consoles[0][1].lines())
        texts = []
        for launched, console, why in self._consoles:
            texts += [f"== {launched}{f': {why}' if why else ''}", *console.lines()]
        return "\n".join(texts)

    @property
    def console(self) -> Console | None:
        """Of the last attempt."""
        return self._consoles[-1][1] if self._consoles else None
