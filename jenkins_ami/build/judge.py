"""The judgement: does what the cloud and the console say prove success, prove failure, or nothing yet? Pure.

Success takes both: the instance stopped *by itself*, and its console carries this build's OK marker and no FAIL. All
else is failure sooner or later: an image ships only if it proved itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..artifacts import Manifest
from ..errors import InstanceFailure
from ..progress import duration
from ..verdict import markers
from ..verdict.markers import Verdict

BY_ITSELF = "Client.InstanceInitiatedShutdown"
REASONS = {
    "Client.UserInitiatedShutdown": "somebody stopped or terminated it",
    "Client.InternalError": "it could not start: usually a KMS key that EC2 may not use",
    "Client.VolumeLimitExceeded": "the account's limit of volumes is reached",
    "Client.InvalidSnapshot.NotFound": "the snapshot of the base image does not exist",
    "Server.InsufficientInstanceCapacity": "EC2 has no capacity for it",
    "Server.InternalError": "EC2 had an internal error",
    "Server.ScheduledStop": "EC2 stopped it for maintenance",
    "Server.SpotInstanceShutdown": "EC2 took the spot capacity back",
    "Server.SpotInstanceTermination": "EC2 took the spot capacity back",
}
"""StateReason codes for people (EC2 API reference, StateReason)."""
LOST = frozenset(
    {
        "Server.InsufficientInstanceCapacity",
        "Server.InternalError",
        "Server.ScheduledStop",
        "Server.SpotInstanceShutdown",
        "Server.SpotInstanceTermination",
    }
)
"""Those with which EC2 took the instance away: nobody's fault, and another one may do."""

Kind = Literal["continue", "success", "failure", "timeout", "lost"]


@dataclass(frozen=True)
class Observation:
    """What is known at one moment.

    :ivar state: the instance's, e.g. ``running``
    :ivar reason, message: its StateReason's code and message, or empty
    :ivar elapsed: seconds since the launch
    :ivar ended: seconds since it was first seen stopped; 0 while it is not
    :ivar impaired: its host fails EC2's system status check
    """

    state: str
    verdict: Verdict
    reason: str = ""
    message: str = ""
    elapsed: float = 0.0
    ended: float = 0.0
    impaired: bool = False


@dataclass(frozen=True)
class Decision:
    """What follows, and, for a failure, why."""

    kind: Kind
    why: str = ""


def judge(seen: Observation, *, timeout: float, lag: float, require_marker: bool = True) -> Decision:
    """Decide.

    :param timeout: seconds that the instance has to stop
    :param lag: seconds that a console may be behind when the instance has stopped
    :param require_marker: whether to power off without a word on the console is no success
    """
    verdict = seen.verdict
    if verdict.state == markers.FAIL:
        return Decision("failure", "the instance reported failure")
    if verdict.panic:
        return Decision("failure", f"the instance's kernel died: {verdict.panic}")
    if taken := taken_away(seen):
        return taken
    if seen.state == "stopped":
        if verdict.state == markers.OK:
            return Decision("success")
        if seen.ended < lag:
            return Decision("continue")
        if not require_marker and not verdict.foreign:
            return Decision("success")
        other = ", its console carries the verdict of another build" if verdict.foreign else ""
        return Decision("failure", f"the instance powered off before it proved success{other}")
    if verdict.ignored:
        return Decision("failure", "cloud-init finished without using the user-data")
    if seen.elapsed >= timeout:
        return Decision("timeout", f"the instance is still {seen.state} after {duration(timeout)}")
    return Decision("continue")


def taken_away(seen: Observation) -> Decision | None:
    """What it means when something else than the instance itself has ended it; ``None`` when nothing has."""
    kind: Kind = "lost" if seen.reason in LOST else "failure"
    if seen.state in ("shutting-down", "terminated"):
        return Decision(kind, f"the instance was terminated: {_reason(seen)}")
    if seen.state == "stopped" and seen.reason != BY_ITSELF:
        return Decision(kind, f"the instance was stopped: {_reason(seen)}")
    if seen.state == "stopping" and kind == "lost":
        return Decision(kind, f"the instance is being stopped: {_reason(seen)}")
    if seen.impaired and seen.state == "running":
        return Decision("lost", "the instance's host has failed: it does not pass EC2's system status check")
    return None


def judge_tests(seen: Observation, *, complete: bool, timeout: float, lag: float) -> Decision:
    """Decide about an instance that runs an image's tests.

    :param complete: whether the console has the result of each
    """
    if seen.verdict.panic:
        return Decision("failure", f"the instance's kernel died: {seen.verdict.panic}")
    if taken := taken_away(seen):
        return taken
    if seen.state == "stopped":
        if complete or seen.ended >= lag:
            return Decision("success")
        return Decision("continue")
    if seen.elapsed >= timeout:
        return Decision("timeout", f"the instance is still {seen.state} after {duration(timeout)}")
    return Decision("continue")


def _reason(seen: Observation) -> str:
    if seen.reason == BY_ITSELF:
        return "it did so itself, although it was launched to stop"
    known = REASONS.get(seen.reason) or seen.message or "EC2 gives no reason"
    return f"{known} [{seen.reason}]" if seen.reason else known


def failure(why: str, verdict: Verdict, manifest: Manifest, tail: list[str]) -> InstanceFailure:
    """The error for a failure: the command that failed by its place and text, and a log's tail.

    :param tail: the console's last lines, for want of a log in the verdict
    """
    where, what, detail = None, why, []
    texts = {command.where: command.run for command in manifest.commands}
    if verdict.reasons:
        first, *others = verdict.reasons
        what += f": {first}"
        for place, text in texts.items():
            if first == place or first.startswith(f"{place} "):
                where = place
                lines = text.strip().splitlines()
                detail += [f"command: {lines[0] if lines else ''}", *(f"         {line}" for line in lines[1:])]
                what = f"{why}: '{_short(text)}'{first.removeprefix(place)}"
        detail += [f"also: {reason}" for reason in others]
    detail += verdict.log or tail
    return InstanceFailure(what, where=where, detail=detail, hint="console.log has all that it said")


def _short(text: str, limit: int = 80) -> str:
    first, *rest = text.strip().splitlines() or [""]
    if len(first) > limit or rest:
        return first[: limit - 2].rstrip() + " …"
    return first
