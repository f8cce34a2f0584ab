"""Garbage collection: what builds left in a region, found by tags, and its end. Plan first.

Only what carries a build's tag and an expiry that is over is touched; of images and snapshots only those that were
never finished. An uploaded overlay has no tags: it is known by its place, the form of its key and its age. What a build
leaves is ended by its ledger (:mod:`.cleanup`); this is for what no ledger leads to any more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ..errors import AmiError, CloudError
from ..progress import Progress, size
from . import storage, tagged
from .cleanup import PATIENCE, UNKNOWN, snapshot_ids
from .ledger import IMAGE, INSTANCE, OBJECT, SNAPSHOT, SPOT
from .pages import pages, tags_of
from .session import Cloud, lacks_right
from .tagged import VOLUME
from .tags import BUILD, EXPIRES, INPUT
from .waiting import CLOCK, Clock, poll

KINDS = (SPOT, INSTANCE, IMAGE, SNAPSHOT, VOLUME, OBJECT)
"""In the order in which they are ended: what makes others first, then what costs most and what others depend on."""

_IN_USE = ("InvalidAMIID.Unavailable", "InvalidSnapshot.InUse", "VolumeInUse")
"""Error codes that may pass: an image is still pending, or what uses the thing is still ending."""


@dataclass(frozen=True)
class Leftover:
    """Something that a build left.

    :ivar id: an object's is ``bucket/key``
    :ivar expired: when its time was over; ``None``: not known
    :ivar created: ``None``: not known
    :ivar note: what it is, for people
    :ivar left_alone: why it is not to be touched; empty when it is to go
    """

    kind: str
    id: str
    region: str
    build: str = ""
    expired: datetime | None = None
    created: datetime | None = None
    note: str = ""
    left_alone: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


@dataclass(frozen=True)
class Outcome:
    """What became of a leftover: ``text`` for people, ``error`` when it is still there though it should not be."""

    leftover: Leftover
    text: str
    error: AmiError | None = None


def plan(
    cloud: Cloud,
    now: datetime,
    older_than: timedelta = timedelta(),
    tell: Callable[[str], None] = lambda _: None,
) -> list[Leftover]:
    """What is left in a region, in the order in which it goes; what is not to be touched is among it, with the reason.

    :param older_than: leave out what was made less than so long ago
    :param tell: is told of what cannot be looked at for want of a right
    :raises CloudError: refused for another reason
    """
    found: list[Leftover] = []
    instances: list[Any] = []
    for kind in KINDS:
        try:
            if kind == OBJECT:
                found += _objects(cloud, now)
                continue
            resources = tagged.KINDS[kind].find(cloud, [_WITH_EXPIRY])
            if kind == INSTANCE:
                instances = resources
            if kind == VOLUME:
                ending = {each.id for each in found if each.kind == INSTANCE and not each.left_alone}
                behind = _left_behind([each for each in instances if each["InstanceId"] in ending])
                resources = [each for each in resources if not each["Attachments"] or each["VolumeId"] in behind]
            leftovers = _expired(cloud, kind, resources, now)
            found += _unused(cloud, leftovers, found) if kind == SNAPSHOT and leftovers else leftovers
        except CloudError as error:
            if not lacks_right(error):
                raise
            tell(f"{kind}s in {cloud.environment.region} are not looked at: {error.line()}")
    if not older_than:  # a clock may be behind the cloud's
        return found
    return [each for each in found if each.created and each.created <= now - older_than]


def sweep(
    cloud: Cloud,
    leftovers: Sequence[Leftover],
    progress: Progress,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    clock: Clock = CLOCK,
) -> list[Outcome]:
    """End what is to go, after one more look at each just before. What fails is an outcome, not an exception.

    :param leftovers: of this region, from :func:`plan`
    """
    outcomes: list[Outcome] = []
    for kind in KINDS:
        mine = [each for each in leftovers if each.kind == kind and not each.left_alone]
        if not mine:
            continue
        with progress.step(f"End {len(mine)} {kind}{'s' * (len(mine) != 1)}") as step:
            asked: list[tuple[Leftover, str]] = []
            for index, leftover in enumerate(mine):
                step.advance(index, len(mine))
                try:
                    if why := _left_alone(cloud, leftover, now()):
                        outcomes.append(Outcome(leftover, why))
                    else:
                        _end(cloud, leftover, clock)
                        asked.append((leftover, _DONE[kind]))
                except AmiError as error:
                    outcomes.append(Outcome(leftover, "could not be ended", error))
            # All are asked to end before the first is waited for.
            outcomes += [_awaited(cloud, leftover, text, clock) for leftover, text in asked]
            failed = sum(1 for each in outcomes if each.error and each.leftover.kind == kind)
            step.done(f"{failed} failed" if failed else "done")
    return outcomes


_DONE = {
    SPOT: "cancelled",
    INSTANCE: "terminated",
    IMAGE: "deregistered",
    SNAPSHOT: "deleted",
    VOLUME: "deleted",
    OBJECT: "deleted",
}

_WITH_EXPIRY = {"Name": "tag-key", "Values": [EXPIRES]}


def _expired(cloud: Cloud, kind: str, resources: Iterable[Any], now: datetime) -> list[Leftover]:
    """Those of a build whose time is over, or cannot be told."""
    how = tagged.KINDS[kind]
    found = []
    for resource in resources:
        tags = tags_of(resource)
        if BUILD not in tags or EXPIRES not in tags or (kind in (IMAGE, SNAPSHOT) and INPUT in tags):
            continue
        expires = _moment(tags[EXPIRES])
        if expires is not None and expires > now:
            continue
        created = resource.get(how.created)
        found.append(
            Leftover(
                kind,
                resource[how.key],
                cloud.environment.region,
                build=tags[BUILD],
                expired=expires,
                created=_moment(created) if isinstance(created, str) else created,
                note=how.note(resource).strip(),
                left_alone="" if expires else f"its tag '{EXPIRES}' is no time: '{tags[EXPIRES]}'",
            )
        )
    return found


def _moment(text: str) -> datetime | None:
    """A time with its offset from UTC; ``None`` for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None


def _left_behind(instances: Iterable[Any]) -> set[str]:
    """The volumes that do not go with their instances."""
    volumes = [each["Ebs"] for instance in instances for each in instance.get("BlockDeviceMappings", [])]
    return {each["VolumeId"] for each in volumes if not each.get("DeleteOnTermination")}


def _unused(cloud: Cloud, snapshots: Iterable[Leftover], ending: Iterable[Leftover]) -> list[Leftover]:
    """The same snapshots, where an image that stays uses one with that as the reason to leave it alone."""
    images = {each.id for each in ending if each.kind == IMAGE and not each.left_alone}
    users = {
        snapshot: image["ImageId"]
        for image in tagged.images(cloud, [])
        if image["ImageId"] not in images
        for snapshot in snapshot_ids([image])
    }
    return [
        replace(each, left_alone=f"image {users[each.id]} uses it") if each.id in users else each for each in snapshots
    ]


# Objects


def _place(cloud: Cloud) -> storage.Place | None:
    environment = cloud.environment
    return storage.place(None, environment) if environment.storage else None


def _objects(cloud: Cloud, now: datetime, key: str | None = None) -> list[Leftover]:
    """Overlays in the environment's storage that are older than its expiry, and of no build that still runs.

    :param key: look at this one alone
    """
    where = _place(cloud)
    if where is None:
        return []
    form = re.compile(rf"{re.escape(where.prefix)}[0-9a-f]{{64}}/([0-9a-f]{{32}})\.[a-z.]+")  # storage.object_key
    try:
        listed = pages(cloud, cloud.s3, "list_objects_v2", "Contents", Bucket=where.bucket, Prefix=key or where.prefix)
    except CloudError as error:
        if error.code not in UNKNOWN:
            raise
        return []  # a bucket of the local cloud is made when something is put there
    expiry = timedelta(seconds=cloud.environment.expiry)
    found = [
        Leftover(
            OBJECT,
            f"{where.bucket}/{each['Key']}",
            cloud.environment.region,
            build=match[1],
            expired=each["LastModified"] + expiry,
            created=each["LastModified"],
            note=size(each["Size"]),
        )
        for each in listed
        if (match := form.fullmatch(each["Key"])) and each["LastModified"] + expiry <= now
    ]
    running = _running(cloud, now) if found else set()
    return [each for each in found if each.build not in running]


def _running(cloud: Cloud, now: datetime) -> set[str]:
    """Builds that have an instance whose time is not over, or not to be told."""
    builds = set()
    for instance in tagged.instances(cloud, [{"Name": "tag-key", "Values": [BUILD]}]):
        tags = tags_of(instance)
        expires = _moment(tags.get(EXPIRES, ""))
        if expires is None or expires > now:
            builds.add(tags[BUILD])
    return builds


# One leftover


def _left_alone(cloud: Cloud, leftover: Leftover, now: datetime) -> str:
    """Look again: why it is not to be ended after all; empty when it is."""
    if leftover.kind == OBJECT:
        key = leftover.id.partition("/")[2]
        if leftover.id in (each.id for each in _objects(cloud, now, key)):
            return ""
        return "is gone, or used again"
    found = _find(cloud, leftover)
    if not found:
        return "was gone already"
    if leftover.kind == VOLUME and found[0]["Attachments"]:
        return "stays: it is attached meanwhile"
    again = _expired(cloud, leftover.kind, found, now)
    if not again or again[0].left_alone or again[0].build != leftover.build:
        return "stays: its tags have changed meanwhile"
    return ""


def _find(cloud: Cloud, leftover: Leftover) -> list[Any]:
    kind = tagged.KINDS[leftover.kind]
    return kind.find(cloud, [{"Name": kind.by_id, "Values": [leftover.id]}])


def _end(cloud: Cloud, leftover: Leftover, clock: Clock) -> None:
    """:raises CloudError: refused, or in use"""
    used: list[CloudError] = []

    def once() -> bool | None:
        try:
            with cloud.calls():
                if leftover.kind == OBJECT:
                    bucket, _, key = leftover.id.partition("/")
                    cloud.s3.delete_object(Bucket=bucket, Key=key)
                else:
                    tagged.KINDS[leftover.kind].end(cloud, leftover.id)
        except CloudError as error:
            if error.code in _IN_USE:
                used.append(error)
                return None
            if error.code not in UNKNOWN:
                raise
        return True

    pace = cloud.environment.pace
    if not poll(once, seconds=pace.settle, pace=pace, clock=clock):
        raise used[-1]


def _awaited(cloud: Cloud, leftover: Leftover, text: str, clock: Clock) -> Outcome:
    if leftover.kind == OBJECT:
        return Outcome(leftover, text)
    pace = cloud.environment.pace
    try:
        if poll(lambda: not _find(cloud, leftover) or None, seconds=PATIENCE, pace=pace, clock=clock):
            return Outcome(leftover, text)
        raise CloudError(f"{leftover} is still there after {PATIENCE:.0f} s", code="Timeout", hint="Run 'gc' again")
    except AmiError as error:
        return Outcome(leftover, "could not be ended", error)
