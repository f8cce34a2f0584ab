"""The image: its number, CreateImage, and the wait until it is available."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..artifacts import Manifest
from ..cloud.cleanup import UNKNOWN, snapshot_ids
from ..cloud.ledger import CREATED, IMAGE, SNAPSHOT, Entry, Ledger
from ..cloud.pages import pages, tags_of
from ..cloud.session import Cloud
from ..cloud.tags import BUILD, escaped, tag_filter
from ..cloud.waiting import UNCERTAIN, Clock, insist, poll
from ..errors import CloudError, ImageTimeout
from ..progress import Step, duration
from . import request
from .plan import Plan

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ImageTypeDef

_TAKEN = "InvalidAMIName.Duplicate"
_GOING = frozenset({"pending", "transient"})
"""States of an image that is on its way (EC2 API reference, Image)."""


@dataclass(frozen=True)
class Made:
    """An image that is available.

    :ivar created: when, as EC2 writes it: ISO 8601 in UTC
    """

    image_id: str
    name: str
    number: int
    snapshot_ids: tuple[str, ...]
    created: str = ""
    kms_key: str | None = None


def next_number(cloud: Cloud, manifest: Manifest, clock: Clock) -> int:
    """The first build number above all that the account's images of this name and version have.

    :raises CloudError: refused
    """
    stem = f"{escaped(manifest.name)}-{manifest.version}-*"

    def look() -> int:
        taken = pages(
            cloud,
            cloud.ec2,
            "describe_images",
            "Images",
            Owners=["self"],
            Filters=[{"Name": "name", "Values": [stem]}],
            IncludeDeprecated=True,
            IncludeDisabled=True,
        )
        return request.next_number(manifest, (image.get("Name", "") for image in taken))

    return insist(look, pace=cloud.environment.pace, clock=clock)


def key_of(cloud: Cloud, snapshots: Sequence[str]) -> str | None:
    """The key that an image is encrypted with, which its snapshots tell (DescribeImages does not).

    :raises CloudError: refused
    """
    if not snapshots:
        return None
    with cloud.calls():
        found = cloud.ec2.describe_snapshots(SnapshotIds=list(snapshots))["Snapshots"]
    return next((snapshot["KmsKeyId"] for snapshot in found if snapshot.get("KmsKeyId")), None)


class ImageMaker:
    """Makes the image of one plan."""

    def __init__(self, cloud: Cloud, ledger: Ledger, plan: Plan, clock: Clock) -> None:
        self._cloud = cloud
        self._ledger = ledger
        self._plan = plan
        self._manifest = plan.manifest
        self._clock = clock
        self._pace = cloud.environment.pace

    def make(self, instance: str, step: Step) -> Made:
        """Image a stopped instance, under the next number when another build has taken this one meanwhile.

        :raises ImageTimeout: it is not available by the manifest's deadline
        :raises CloudError: refused, or the image failed
        """
        known = [entry for entry in self._ledger.find(self._plan.identity, SNAPSHOT) if entry.open]
        snapshots = known[0] if known else self._ledger.intent(SNAPSHOT, self._plan.identity)
        number = self._plan.number
        deadline = self._clock.now() + self._manifest.timeouts.image
        for turn in itertools.count():
            name = request.image_name(self._manifest, number)
            entry = self._ledger.intent(IMAGE, name)
            tagged = request.image_tags(self._plan.tagged, self._manifest, number, instance)
            image = self._create(instance, name, tagged, entry)
            if image is not None:
                return self._wait(self._ledger.created(entry, image), number, snapshots, step)
            if self._clock.now() >= deadline:
                break
            step.status(f"{name} is taken, looking for the next number")
            self._clock.sleep(random.uniform(0, min(self._pace.state * turn, self._pace.state_longest)))
            number = max(number + 1, next_number(self._cloud, self._manifest, self._clock))
        raise CloudError("no free name for the image was found", code=_TAKEN, operation="CreateImage")

    def go_on(self, entry: Entry, step: Step) -> Made | None:
        """Wait for an image that was asked for before; ``None`` when there is none."""
        number = request.next_number(self._manifest, [entry.key]) - 1
        if entry.state != CREATED:
            image = self._own(entry.key)
            if image is None:
                self._ledger.gone(entry)
                return None
            entry = self._ledger.created(entry, image)
        (snapshots,) = self._ledger.find(self._plan.identity, SNAPSHOT)
        try:
            return self._wait(entry, number, snapshots, step)
        except CloudError as error:
            if error.code not in UNKNOWN:
                raise
        self._ledger.gone(entry)  # it was ended, and the disk was too full to say so
        return None

    def _create(self, instance: str, name: str, tagged: Mapping[str, str], entry: Entry) -> str | None:
        """The image's id; ``None`` when the name is taken."""
        wanted = request.create_image(self._manifest, instance, name, tagged)

        def call() -> tuple[str | None]:
            try:
                with self._cloud.calls():
                    return (self._cloud.ec2.create_image(**wanted)["ImageId"],)
            except CloudError as error:
                if error.code != _TAKEN:
                    raise
            return (self._own(name),)  # an earlier answer may have been lost

        try:
            (image,) = insist(call, pace=self._pace, clock=self._clock)
        except CloudError as error:
            if error.code not in UNCERTAIN:  # a call without a clear answer may have had an effect
                self._ledger.gone(entry)
            raise
        if image is None:
            self._ledger.gone(entry)
        return image

    def _own(self, name: str) -> str | None:
        """The id of the image of that name if this build has made it; a name just taken may take a while to show."""

        def look() -> tuple[str | None] | None:
            with self._cloud.calls():
                images = self._cloud.ec2.describe_images(
                    Owners=["self"], Filters=[{"Name": "name", "Values": [escaped(name)]}]
                )["Images"]
            if not images:
                return None
            ours = tags_of(images[0]).get(BUILD) == self._plan.identity
            return (images[0]["ImageId"] if ours else None,)

        found = poll(look, seconds=self._pace.settle, pace=self._pace, clock=self._clock)
        return found[0] if found else None

    def _wait(self, entry: Entry, number: int, snapshots: Entry, step: Step) -> Made:
        (image,) = entry.ids
        limit = float(self._manifest.timeouts.image)
        asked = self._clock.now() - entry.age

        def look() -> ImageTypeDef | None:
            nonlocal snapshots
            found = self._describe(image, young=self._clock.now() - asked < self._pace.settle)
            if found is None:
                return None
            state = found.get("State", "pending")
            ids = snapshot_ids([found])
            if new := set(ids) - set(snapshots.ids):
                snapshots = self._ledger.created(snapshots, *snapshots.ids, *sorted(new))
            if state == "available":
                return found
            if state not in _GOING:
                why = found.get("StateReason", {}).get("Message", "EC2 gives no reason")
                raise CloudError(f"image {image} is {state}: {why}", code=state, operation="CreateImage")
            step.status(state)
            self._show(step)
            return None

        remaining = max(asked + limit - self._clock.now(), self._pace.settle)
        available = poll(look, seconds=remaining, pace=self._pace, clock=self._clock)
        if available is None:
            raise ImageTimeout(
                f"image {image} is not available after {duration(limit)}",
                hint="'timeouts: image:' in ami.yaml gives it more seconds",
            )
        if self._plan.wanted.imds == "v2.0" and available.get("ImdsSupport") != "v2.0":
            self._require_tokens(image)
        created = available.get("CreationDate") or datetime.now(UTC).isoformat(timespec="seconds")
        encrypted = self._plan.wanted.encrypted
        key = (
            insist(lambda: key_of(self._cloud, snapshots.ids), pace=self._pace, clock=self._clock)
            if encrypted
            else None
        )
        return Made(image, entry.key, number, snapshots.ids, created, key)

    def _describe(self, image: str, *, young: bool) -> ImageTypeDef | None:
        try:
            with self._cloud.calls():
                found = self._cloud.ec2.describe_images(ImageIds=[image])["Images"]
        except CloudError as error:
            if error.code not in UNKNOWN or not young:
                raise
            return None
        if not found and not young:
            raise CloudError(f"image {image} is gone", code="InvalidAMIID.NotFound", operation="DescribeImages")
        return found[0] if found else None

    def _require_tokens(self, image: str) -> None:
        """Instances of the image answer no metadata request without a token (CreateImage cannot be told so)."""

        def call() -> bool:
            with self._cloud.calls():
                self._cloud.ec2.modify_image_attribute(ImageId=image, ImdsSupport={"Value": "v2.0"})
            return True

        insist(call, pace=self._pace, clock=self._clock)

    def _show(self, step: Step) -> None:
        """How far the snapshots are, as EC2 tells in percent. Asked for by tag: an id may not be known there yet."""
        with self._cloud.calls():
            found = self._cloud.ec2.describe_snapshots(
                OwnerIds=["self"], Filters=[tag_filter(BUILD, self._plan.identity)]
            )
        progress = (snapshot.get("Progress", "").rstrip("%") for snapshot in found["Snapshots"])
        percents = [int(text) for text in progress if text.isdigit()]
        if percents:
            step.advance(sum(percents) // len(percents), 100)
