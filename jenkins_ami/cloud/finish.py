"""An image that stays is marked so: later builds may use it as one of the same inputs, and ``gc`` leaves it alone.

Until then its build may still end it, and nobody must count on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..progress import Progress
from .ledger import IMAGE, KEPT, Ledger, Scope
from .session import Cloud
from .tags import EXPIRES, INPUT
from .waiting import CLOCK, Clock, insist

RESULT, MARKED = "result", "marked"
"""Facts of a build in its ledger: what it made, and that this has been marked."""


def finish(cloud: Cloud, resources: Sequence[str], digest: str, *, clock: Clock = CLOCK) -> None:
    """Mark an image and its snapshots as finished. Can be called again.

    :param digest: of all that the image was made of
    :raises CloudError: refused
    """

    def mark() -> bool:
        with cloud.calls():
            cloud.ec2.create_tags(Resources=list(resources), Tags=[{"Key": INPUT, "Value": digest}])
            cloud.ec2.delete_tags(Resources=list(resources), Tags=[{"Key": EXPIRES}])
        return True

    insist(mark, pace=cloud.environment.pace, clock=clock)


def unmarked(ledger: Ledger) -> list[Scope]:
    """Builds that succeeded and were cut off before their image was marked."""
    kept = {entry.scope.build for entry in ledger.entries if (entry.kind, entry.state) == (IMAGE, KEPT)}
    return [
        scope
        for scope in ledger.scopes
        if scope.build in kept and RESULT in (facts := ledger.facts(scope.build)) and MARKED not in facts
    ]


def finish_build(cloud: Cloud, ledger: Ledger, scope: Scope, progress: Progress, *, clock: Clock = CLOCK) -> None:
    """Mark what a build that succeeded has made, as its ledger says.

    :raises CloudError: refused
    """
    made = ledger.facts(scope.build)[RESULT]
    with progress.step(f"Finish {made['image']}"):
        finish(cloud, [made["image"], *made["snapshots"]], made["input"], clock=clock)
        ledger.resume(scope)
        ledger.fact(MARKED)
