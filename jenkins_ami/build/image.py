"""The image: its number, CreateImage, and the wait until it is available."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..artifacts import Manifest
from ..cloud.cleanup import UNKNOWN, snapshot_ids
from ..cloud.ledger import IMAGE, SNAPSHOT, Entry, Ledger
from ..cloud.session import Cloud
from ..cloud.tags import BUILD, NUMBER, tag_filter
from ..cloud.waiting import UNCERTAIN, Clock, poll
from ..errors import CloudError, ImageTimeout
from ..progress import Step, duration
from . import request

_TAKEN = "InvalidAMIName.Duplicate"
_ATTEMPTS = 5


@dataclass(frozen=True)
class Made:
    """An image that is available."""

    image_id: str
    name: str
    number: int
    snapshot_ids: tuple[str, ...]


class ImageMaker:
    """Makes the image of one build, whose identity is ``build``."""

    def __init__(self, cloud: Cloud, ledger: Ledger, manifest: Manifest, build: str, clock: Clock) -> None:
        self._cloud = cloud
        self._ledger = ledger
        self._manifest = manifest
        self._build = build
        self._clock = clock

    def next_number(self) -> int:
        """The first build number above all that the account's images of this name and version have."""
        stem = f"{self._manifest.name}-{self._manifest.version}-*"
        with self._cloud.calls():
            images = self._cloud.ec2.describe_images(
                Owners=["self"],
                Filters=[{"Name": "name", "Values": [stem]}],
                IncludeDeprecated=True,
                IncludeDisabled=True,
            )["Images"]
        return request.next_number(self._manifest, (image.get("Name", "") for image in images))

    def make(self, instance: str, number: int, tagged: Mapping[str, str], step: Step) -> Made:
        """Image a stopped instance, under the next number when another build has taken this one meanwhile.

        :raises ImageTimeout: it is not available by the manifest's deadline
        :raises CloudError: refused, or the image failed
        """
        snapshots = self._ledger.intent(SNAPSHOT, self._build)
        for _ in range(_ATTEMPTS):
            name = request.image_name(self._manifest, number)
            entry = self._ledger.intent(IMAGE, name)
            image = self._create(instance, name, {**tagged, "Name": name, NUMBER: str(number)}, entry)
            if image is not None:
                self._ledger.created(entry, image)
                return Made(image, name, number, self._wait(image, snapshots, step))
            number = max(number + 1, self.next_number())
        raise CloudError("no free name for the image was found", code=_TAKEN, operation="CreateImage")

    def _create(self, instance: str, name: str, tagged: Mapping[str, str], entry: Entry) -> str | None:
        """The image's id; ``None`` when the name is taken."""
        wanted = request.create_image(self._manifest, instance, name, tagged)
        try:
            with self._cloud.calls():
                return self._cloud.ec2.create_image(**wanted)["ImageId"]
        except CloudError as error:
            if error.code == _TAKEN and (ours := self._own()):
                return ours  # the first answer was lost, and botocore asked again
            if error.code not in UNCERTAIN:  # a call without a clear answer may have had an effect
                self._ledger.gone(entry)
            if error.code == _TAKEN:
                return None
            raise

    def _own(self) -> str | None:
        with self._cloud.calls():
            images = self._cloud.ec2.describe_images(Owners=["self"], Filters=[tag_filter(BUILD, self._build)])[
                "Images"
            ]
        return images[0]["ImageId"] if images else None

    def _wait(self, image: str, entry: Entry, step: Step) -> tuple[str, ...]:
        pace, limit = self._cloud.environment.pace, float(self._manifest.timeouts.image)
        asked = self._clock.now()

        def look() -> tuple[str, ...] | None:
            nonlocal entry
            try:
                with self._cloud.calls():
                    found = self._cloud.ec2.describe_images(ImageIds=[image])["Images"]
            except CloudError as error:
                if error.code in UNKNOWN and self._clock.now() - asked < pace.settle:
                    return None
                raise
            if not found:
                return None
            state = found[0].get("State", "pending")
            ids = snapshot_ids(found)
            if set(ids) - set(entry.ids):
                entry = self._ledger.created(entry, *ids)
            if state == "available":
                return ids
            if state != "pending":
                why = found[0].get("StateReason", {}).get("Message", "EC2 gives no reason")
                raise CloudError(f"image {image} is {state}: {why}", code=state, operation="CreateImage")
            step.status(state)
            self._show(step)
            return None

        available = poll(look, seconds=limit, pace=pace, clock=self._clock)
        if available is None:
            raise ImageTimeout(
                f"image {image} is not available after {duration(limit)}",
                hint="'timeouts: image:' in ami.yaml gives it more seconds",
            )
        return available

    def _show(self, step: Step) -> None:
        """How far the snapshots are, as EC2 tells in percent. Asked for by tag: an id may not be known there yet."""
        with self._cloud.calls():
            found = self._cloud.ec2.describe_snapshots(OwnerIds=["self"], Filters=[tag_filter(BUILD, self._build)])
        progress = (snapshot.get("Progress", "").rstrip("%") for snapshot in found["Snapshots"])
        percents = [int(text) for text in progress if text.isdigit()]
        if percents:
            step.advance(sum(percents) // len(percents), 100)
