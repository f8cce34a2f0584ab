"""Going on with a build that was cut off: what its ledger says about how far it came.

Every step of a build first looks whether it is done already. So to go on is to run again with the same identity; this
module finds that identity, and what is running or pending under it.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..artifacts import COMPILE_JSON
from ..cloud.ledger import GONE, IMAGE, INSTANCE, INTENT, KEPT, Book, Entry, Ledger, Scope, read_book
from ..cloud.session import Cloud
from ..cloud.waiting import Clock
from ..errors import InputError
from .launch import Launched, find
from .plan import Candidate

PLAN = "plan"
"""The fact that a build writes down before it asks for anything."""


@dataclass(frozen=True)
class Recorded:
    """What a build was told, as its ledger has it: enough to be run again from nothing but that.

    :ivar finished: it succeeded; there is nothing left to do but to mark its image
    """

    scope: Scope
    compiled: Path
    manifest: str
    base: str
    number: int
    began: float
    options: dict[str, Any]
    finished: bool

    @property
    def elapsed(self) -> float:
        """Seconds since it began to launch."""
        return max(0.0, time.time() - self.began)


def recorded(ledger: Ledger) -> Recorded | None:
    """The last build of a ledger if there is something of it to go on with, or it succeeded; else ``None``."""
    return _recorded(ledger.book)


def read(path: Path) -> Recorded | None:
    """The same from a file that is not held open.

    :raises InputError: no such file, or it is no ledger
    """
    return _recorded(read_book(path))


def _recorded(book: Book) -> Recorded | None:
    if not book.scopes:
        return None
    scope = list(book.scopes.values())[-1]
    own = [entry for entry in book.entries.values() if entry.scope.build == scope.build]
    plan = book.facts.get(scope.build, {}).get(PLAN)
    finished = any((entry.kind, entry.state) == (IMAGE, KEPT) for entry in own)
    if plan is None or not (finished or any(entry.open for entry in own)):
        return None
    return Recorded(
        scope=scope,
        compiled=Path(plan["compiled"]),
        manifest=plan["manifest"],
        base=plan["base"],
        number=plan["number"],
        began=plan["began"],
        options=plan["options"],
        finished=finished,
    )


def manifest_digest(compiled: Path) -> str:
    """By which a compiled AMI is known again."""
    return hashlib.sha256((compiled / COMPILE_JSON).read_bytes()).hexdigest()


def check_same(found: Recorded, compiled: Path, ledger: Path) -> None:
    """:raises InputError: the compiled AMI is another one than the build began with"""
    if manifest_digest(compiled) != found.manifest:
        raise InputError(
            "this compiled AMI is not the one that the build began with",
            where=compiled,
            hint=f"Run 'jenkins-ami cleanup {ledger}' and build anew",
        )


def image_entry(ledger: Ledger, build: str) -> Entry | None:
    """The image that was asked for last and may be there."""
    found = [entry for entry in ledger.find(build, IMAGE) if entry.open]
    return found[-1] if found else None


def running_instance(cloud: Cloud, ledger: Ledger, build: str, clock: Clock) -> Launched | None:
    """The instance of the last attempt that is not terminated.

    What an image's test left is for the caller to end.

    :raises CloudError: refused
    """
    for entry in reversed(ledger.find(build, INSTANCE)):
        if entry.state == GONE or entry.key.startswith(f"{build}-test-"):
            continue
        young = cloud.environment.pace.settle - entry.age if entry.state == INTENT else 0.0
        found = find(cloud, build, entry.key, seconds=young, clock=clock)
        if found is None:
            continue
        if entry.state == INTENT:
            ledger.created(entry, found["InstanceId"])
        candidate = Candidate(
            found.get("InstanceType", ""), found.get("SubnetId"), found.get("InstanceLifecycle") == "spot"
        )
        return Launched(found["InstanceId"], candidate, entry.key)
    return None
