"""The copy of an image in another region: found, or asked for and waited for.

The same copy comes of it however often it is tried: it is found by the tag that names its original, and asked for with
a token that belongs to the ledger's entry, so that a lost answer, or a process that is killed before it came, makes no
second one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ..cloud.cleanup import UNKNOWN
from ..cloud.session import Cloud
from ..cloud.tags import BUILD, EXPIRES, SOURCE_IMAGE, specifications, tag_filter
from ..cloud.waiting import UNCERTAIN, Clock, poll
from ..errors import CloudError, ImageTimeout
from ..progress import Step, duration
from . import described
from .books import Books, Copy
from .described import AVAILABLE, Described
from .images import BROKEN
from .plan import RegionPlan, copy_tags

_BUSY = "ResourceLimitExceeded"
"""Too many copies are under way in a region (EC2 API reference, "Error codes"); it passes."""
_IN_USE = "InvalidSnapshot.InUse"


def request(original: Described, plan: RegionPlan, build: str, asked: float, expiry: float) -> dict[str, Any]:
    """Parameters of CopyImage.

    The tags are given in full, and not taken over by ``CopyImageTags``: that takes no tags to snapshots, and would take
    the one that says that an image is finished.

    :param asked: when, in Unix seconds: the token follows from it, so a copy that failed is not what comes next time
    :param expiry: seconds until ``gc`` may sweep a copy that was not finished
    """
    expires = datetime.fromtimestamp(int(asked + expiry), UTC).isoformat()
    tags = {**copy_tags(original, plan), BUILD: build, EXPIRES: expires}
    wanted: dict[str, Any] = {
        "SourceRegion": original.image.region,
        "SourceImageId": original.image_id,
        "Name": original.image.label,
        "Encrypted": plan.encrypted,
        "TagSpecifications": specifications(tags, "image", "snapshot"),
    }
    if original.description:
        wanted["Description"] = original.description
    if plan.kms_key:
        wanted["KmsKeyId"] = plan.kms_key
    content = json.dumps([plan.region, asked, wanted], sort_keys=True)
    return wanted | {"ClientToken": hashlib.sha256(content.encode()).hexdigest()}


class Copier:
    """Provides the copy of an image in one region.

    :param cloud: that region's
    :param seconds: that a copy may take
    """

    def __init__(
        self,
        cloud: Cloud,
        original: Described,
        plan: RegionPlan,
        books: Books,
        step: Step,
        *,
        seconds: float,
        clock: Clock,
    ) -> None:
        self.cloud = cloud
        self.original = original
        self.plan = plan
        self.books = books
        self.step = step
        self.seconds = seconds
        self.clock = clock
        self.pace = cloud.environment.pace

    def provide(self) -> tuple[Described, bool]:
        """The copy, available, and whether it was made just now.

        :raises CloudError: refused, or the copy failed; then nothing is left of it
        :raises ImageTimeout: it is still pending; the next run waits on
        """
        noted = self.books.open(self.plan.region, self.original.image.label)
        found = self._look(noted)
        if found is not None and found.state in BROKEN:
            self._discard(found, noted)
            found = noted = None
        if found is not None and found.state == AVAILABLE and noted is None:
            return self._checked(found), False
        noted = noted or self.books.intend(self.plan.region, self.original.image.label)
        image_id = found.image_id if found else self._ask(noted)
        self.books.created(noted, image_id)
        found = self._wait(image_id, noted)
        self.books.keep(noted)
        return self._checked(found), True

    def _look(self, noted: Copy | None) -> Described | None:
        """The copy that is there. One that was asked for just now by a process that was killed may appear late."""
        wait = self.pace.settle - noted.image.age if noted else 0.0
        return poll(self._find, seconds=max(0.0, wait), pace=self.pace, clock=self.clock)

    def _find(self) -> Described | None:
        found = described.find(self.cloud, Filters=[tag_filter(SOURCE_IMAGE, self.original.place)])
        return min(found, key=lambda image: (image.state != AVAILABLE, image.state in BROKEN), default=None)

    def _ask(self, noted: Copy) -> str:
        expiry = self.cloud.environment.expiry
        wanted = request(self.original, self.plan, self.books.build, noted.image.time, expiry)
        unclear = False

        def ask() -> str | None:
            nonlocal unclear
            if unclear and (found := self._find()):
                return found.image_id
            try:
                with self.cloud.calls():
                    return self.cloud.ec2.copy_image(**wanted)["ImageId"]
            except CloudError as error:
                if error.code == _BUSY:
                    self.step.status("too many copies are under way here")
                    return None
                if error.code in UNCERTAIN:
                    unclear = True
                elif not unclear:
                    self.books.gone(noted)
                raise

        image = poll(ask, seconds=self.seconds, pace=self.pace, clock=self.clock)
        if image is None:
            if not unclear:
                self.books.gone(noted)
            raise CloudError(
                f"there was no room for a copy within {duration(self.seconds)}", code=_BUSY, operation="CopyImage"
            )
        return image

    def _wait(self, image: str, noted: Copy) -> Described:
        asked = self.clock.now()

        def look() -> Described | None:
            found = next(iter(described.find(self.cloud, ImageIds=[image])), None)
            if found is None:
                if self.clock.now() - asked < self.pace.settle:
                    return None
                self.books.gone(noted)
                raise CloudError(f"the copy {image} is not there any more", code="InvalidAMIID.NotFound")
            self.books.created(noted, image, found.snapshot_ids)
            if found.state == AVAILABLE:
                return found
            if found.state in BROKEN:
                self._discard(found, noted)
                why = found.image.reason or "EC2 gives no reason"
                raise CloudError(f"the copy {image} {found.state}: {why}", code=found.state, operation="CopyImage")
            self.step.status(f"{image} is pending")
            percents = [snapshot.percent for snapshot in found.snapshots if snapshot.percent is not None]
            if percents:
                self.step.advance(sum(percents) // len(percents), 100)
            return None

        available = poll(look, seconds=self.seconds, pace=self.pace, clock=self.clock)
        if available is None:
            raise ImageTimeout(
                f"the copy {image} is not available after {duration(self.seconds)}",
                hint="It may still become so: run this again to wait on",
            )
        return available

    def _checked(self, found: Described) -> Described:
        if self.plan.encrypted and not found.encrypted:
            raise CloudError(
                f"the copy {found.image_id} is not encrypted, and is to be",
                code="NotEncrypted",
                hint="Deregister it, and run this again",
            )
        return found

    def _discard(self, image: Described, noted: Copy | None) -> None:
        """Deregister a copy that came to nothing, and delete its snapshots."""
        discard(self.cloud, image, self.clock)
        if noted:
            self.books.gone(noted)


def discard(cloud: Cloud, image: Described, clock: Clock) -> None:
    """End an image and its snapshots, however much of them there is still.

    :raises CloudError: refused
    """
    _end(cloud, partial(cloud.ec2.deregister_image, ImageId=image.image_id), clock)
    for snapshot in image.snapshot_ids:
        _end(cloud, partial(cloud.ec2.delete_snapshot, SnapshotId=snapshot), clock)


def _end(cloud: Cloud, call: Callable[[], object], clock: Clock) -> None:
    """Until what the call ends is gone. A snapshot is in use as long as its image, deregistered just now, is known."""

    def ended() -> bool | None:
        try:
            with cloud.calls():
                call()
        except CloudError as error:
            if error.code == _IN_USE:
                return None
            if error.code not in UNKNOWN:
                raise
        return True

    pace = cloud.environment.pace
    if not poll(ended, seconds=max(pace.settle, pace.patience), pace=pace, clock=clock):
        raise CloudError("a snapshot is still in use", code=_IN_USE, operation="DeleteSnapshot")
