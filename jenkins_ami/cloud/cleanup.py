"""Ends what a ledger says may still exist. Can be called as often as one likes.

Nothing is guessed: a resource is ended by the id that the ledger holds, or, when the answer with the id never came, by
the build's own tag (an object by its key). What cannot be ended now is reported and stays open in the ledger.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..artifacts import AMI_ENV, AMI_JSON
from ..errors import AmiError, CloudError, HostError
from ..progress import Progress
from .ledger import CREATED, IMAGE, INSTANCE, OBJECT, SNAPSHOT, SPOT, Entry, Ledger, Scope
from .session import Cloud
from .tags import BUILD, tag_filter
from .waiting import CLOCK, UNCERTAIN, Clock, Pace, insist, poll

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ImageTypeDef, InstanceTypeDef

T = TypeVar("T")

PATIENCE = 600.0
"""Seconds to wait for one resource to be gone."""

UNKNOWN = frozenset(
    {
        "InvalidAMIID.NotFound",
        "InvalidAMIID.Unavailable",
        "InvalidInstanceID.NotFound",
        "InvalidSnapshot.NotFound",
        "InvalidSpotInstanceRequestID.NotFound",
        "NoSuchBucket",
        "NoSuchKey",
    }
)
"""Error codes that mean: no such thing (or not yet, when it was asked for just now)."""


@dataclass(frozen=True)
class Outcome:
    """What became of an entry: ``text`` for people, ``error`` when it may still exist."""

    entry: Entry
    text: str
    error: AmiError | None = None


def end_all(
    ledger: Ledger,
    entries: Iterable[Entry],
    cloud_for: Callable[[Scope], Cloud],
    progress: Progress,
    *,
    patience: float | None = None,
    clock: Clock = CLOCK,
) -> list[Outcome]:
    """End the entries and note it in the ledger. What fails is an outcome, not an exception.

    :param entries: open ones, in the order to end them in (:meth:`.Ledger.open_entries`)
    :param cloud_for: the API of the place where an entry was made
    :param patience: seconds without a certain answer, if less than the environment's; once they are over, the rest is
        tried once
    """
    outcomes = []
    ender = _Ender(ledger, clock, patience)
    for entry in entries:
        with progress.step(f"End {entry}") as step:
            try:
                text = ender.end(cloud_for(entry.scope), ledger.current(entry))
                if entry.kind == IMAGE and not _is_copy(ledger, entry):
                    retract(ledger.path.parent)
                ledger.gone(ledger.current(entry))
                outcomes.append(Outcome(entry, text))
            except AmiError as error:
                outcomes.append(Outcome(entry, "could not be ended", error))
                if isinstance(error, CloudError) and error.code in UNCERTAIN:
                    ender.patience = 0.0
            step.done(outcomes[-1].text)
    return outcomes


def snapshot_ids(images: Iterable[ImageTypeDef]) -> tuple[str, ...]:
    """The snapshots behind images, as far as EC2 names them yet."""
    volumes = [mapping.get("Ebs", {}) for image in images for mapping in image.get("BlockDeviceMappings", [])]
    return tuple(sorted({volume["SnapshotId"] for volume in volumes if volume.get("SnapshotId")}))


def retract(folder: Path) -> None:
    """Remove a build's result: the image that it names is not there any more, or not yet."""
    for name in (AMI_JSON, AMI_ENV):
        with contextlib.suppress(OSError):
            (folder / name).unlink()


def _is_copy(ledger: Ledger, entry: Entry) -> bool:
    """Whether it is in another region than its build: the image that the build made is there all the same."""
    return any(scope.build == entry.scope.build and scope.region != entry.scope.region for scope in ledger.scopes)


class _Ender:
    def __init__(self, ledger: Ledger, clock: Clock, patience: float | None) -> None:
        self.ledger = ledger
        self.clock = clock
        self.patience = patience

    def _pace(self, cloud: Cloud) -> Pace:
        pace = cloud.environment.pace
        return pace if self.patience is None else replace(pace, patience=min(pace.patience, self.patience))

    def end(self, cloud: Cloud, entry: Entry) -> str:
        """:raises CloudError: refused, or not gone in time"""
        # To another account's credentials everything looks gone.
        insist(lambda: cloud.check_account(entry.scope.account), pace=self._pace(cloud), clock=self.clock)
        how = {
            SPOT: self._spot,
            INSTANCE: self._instance,
            IMAGE: self._image,
            SNAPSHOT: self._snapshots,
            OBJECT: self._object,
        }
        return how[entry.kind](cloud, entry)

    def _spot(self, cloud: Cloud, entry: Entry) -> str:
        found = self._settled(cloud, entry, lambda: _spot_requests(cloud, entry))
        if not found:
            return _never(entry)
        self._insist(cloud, lambda: cloud.ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=found))
        return "cancelled"

    def _instance(self, cloud: Cloud, entry: Entry) -> str:
        found = self._settled(cloud, entry, lambda: _instances(cloud, entry))
        if not found:
            return _never(entry)
        ids = [instance["InstanceId"] for instance in found]
        self._insist(cloud, lambda: cloud.ec2.terminate_instances(InstanceIds=ids))
        self._until(cloud, f"{entry} is not terminated", lambda: not _instances(cloud, entry))
        return "terminated"

    def _image(self, cloud: Cloud, entry: Entry) -> str:
        found = self._settled(cloud, entry, lambda: _images(cloud, entry))
        if not found:
            return _never(entry)
        for known in self.ledger.find(entry.scope.build, SNAPSHOT):
            if known.scope.region != entry.scope.region:
                continue
            if missing := set(snapshot_ids(found)) - set(known.ids):  # once the image is gone, nothing leads to them
                with contextlib.suppress(HostError):  # a full disk: they are known in memory
                    self.ledger.created(known, *known.ids, *sorted(missing))

        def deregistered() -> bool:
            for image in _images(cloud, entry):  # one that is pending may be refused until it is not
                self._insist(cloud, partial(cloud.ec2.deregister_image, ImageId=image["ImageId"]))
            return not _images(cloud, entry)

        self._until(cloud, f"{entry} is not deregistered", deregistered)
        return "deregistered"

    def _snapshots(self, cloud: Cloud, entry: Entry) -> str:
        found = self._settled(cloud, entry, lambda: _snapshots(cloud, entry))
        if not found:
            return _never(entry)

        def deleted() -> bool:
            for snapshot in _snapshots(cloud, entry):
                try:
                    with cloud.calls():
                        cloud.ec2.delete_snapshot(SnapshotId=snapshot)
                except CloudError as error:
                    if error.code != "InvalidSnapshot.InUse":  # by the image that was deregistered just now
                        raise
            return not _snapshots(cloud, entry)

        images = self.ledger.find(entry.scope.build, IMAGE)
        in_the_way = any(image.open for image in images if image.scope.region == entry.scope.region)
        self._until(cloud, f"{entry} is not deleted", deleted, 0.0 if in_the_way else PATIENCE)
        return "deleted"

    def _object(self, cloud: Cloud, entry: Entry) -> str:
        bucket, _, key = entry.key.partition("/")
        try:
            self._insist(cloud, lambda: cloud.s3.delete_object(Bucket=bucket, Key=key))
        except CloudError as error:
            if error.code not in UNKNOWN:
                raise
        return "deleted"

    def _insist(self, cloud: Cloud, call: Callable[[], object]) -> None:
        """What is gone by now is as it should be: the answer to an earlier try may have been lost."""

        def once() -> bool:
            with cloud.calls():
                call()
            return True

        try:
            insist(once, pace=self._pace(cloud), clock=self.clock)
        except CloudError as error:
            if error.code not in UNKNOWN:
                raise

    def _settled(self, cloud: Cloud, entry: Entry, look: Callable[[], list[T]]) -> list[T]:
        """What there is of an entry. A call that was cut off may still take effect: at first, nothing means little."""
        pace = self._pace(cloud)
        found = insist(look, pace=pace, clock=self.clock)
        if found or (wait := pace.settle - entry.age) <= 0:
            return found
        return poll(lambda: look() or None, seconds=wait, pace=pace, clock=self.clock) or []

    def _until(self, cloud: Cloud, what: str, done: Callable[[], bool], seconds: float = PATIENCE) -> None:
        if not poll(lambda: done() or None, seconds=seconds, pace=self._pace(cloud), clock=self.clock):
            raise CloudError(f"{what} after {seconds:.0f} s", code="Timeout", hint="Run 'jenkins-ami cleanup' again")


def _never(entry: Entry) -> str:
    return "was gone already" if entry.state == CREATED else "was never made"


def _spot_requests(cloud: Cloud, entry: Entry) -> list[str]:
    """The spot requests of an entry that may still launch something."""
    try:
        with cloud.calls():
            if entry.ids:
                answer = cloud.ec2.describe_spot_instance_requests(SpotInstanceRequestIds=list(entry.ids))
            else:
                answer = cloud.ec2.describe_spot_instance_requests(Filters=[tag_filter(BUILD, entry.scope.build)])
    except CloudError as error:
        if error.code in UNKNOWN:
            return []
        raise
    alive = ("open", "active", "disabled")
    return [each["SpotInstanceRequestId"] for each in answer["SpotInstanceRequests"] if each.get("State") in alive]


def _instances(cloud: Cloud, entry: Entry) -> list[InstanceTypeDef]:
    """The instances of an entry that are not terminated."""
    try:
        with cloud.calls():
            if entry.ids:
                answer = cloud.ec2.describe_instances(InstanceIds=list(entry.ids))
            else:
                answer = cloud.ec2.describe_instances(Filters=[tag_filter(BUILD, entry.scope.build)])
    except CloudError as error:
        if error.code in UNKNOWN:
            return []
        raise
    found = [instance for reservation in answer["Reservations"] for instance in reservation["Instances"]]
    return [instance for instance in found if instance["State"]["Name"] != "terminated"]


def _images(cloud: Cloud, entry: Entry) -> list[ImageTypeDef]:
    """The images of an entry that are registered."""
    try:
        with cloud.calls():
            if entry.ids:
                answer = cloud.ec2.describe_images(ImageIds=list(entry.ids))
            else:
                answer = cloud.ec2.describe_images(Owners=["self"], Filters=[tag_filter(BUILD, entry.scope.build)])
    except CloudError as error:
        if error.code in UNKNOWN:
            return []
        raise
    return [image for image in answer["Images"] if image.get("State") != "deregistered"]


def _snapshots(cloud: Cloud, entry: Entry) -> list[str]:
    """The ids of an entry's snapshots that exist: those known, and those that carry the build's tag."""
    with cloud.calls():
        answer = cloud.ec2.describe_snapshots(OwnerIds=["self"], Filters=[tag_filter(BUILD, entry.scope.build)])
    found = {snapshot["SnapshotId"] for snapshot in answer["Snapshots"]}
    for snapshot in set(entry.ids) - found:
        try:
            with cloud.calls():
                cloud.ec2.describe_snapshots(SnapshotIds=[snapshot])
            found.add(snapshot)
        except CloudError as error:
            if error.code not in UNKNOWN:
                raise
    return sorted(found)
