"""Which images may go: the rules, who stands in their way, and the deregistering. Plan first.

A plan has a line for each image that was looked at, and why it stays or goes. What is in use, or may be, stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ..artifacts import Retention
from ..cloud.cleanup import UNKNOWN
from ..cloud.moments import moment
from ..cloud.session import Cloud
from ..cloud.waiting import CLOCK, Clock, poll
from ..errors import AmiError, CloudError, visible
from ..progress import Progress, Step
from . import usage
from .ancestry import ancestors
from .images import BEING_MADE, BROKEN, Image, find, own

PRUNE, KEEP = "prune", "keep"

FRESH = 30.0
"""Seconds for which a look at templates and parameters counts while images are deregistered, one after the other."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of an image, and why."""

    image: Image
    action: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What is to be done about the images of some names.

    :ivar unchecked: kinds of users that could not be looked at, and the right that is missing: nothing goes then
    """

    verdicts: tuple[Verdict, ...]
    unchecked: Mapping[str, str] = field(default_factory=dict)

    def of(self, action: str) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.action == action]

    @property
    def doomed(self) -> list[Image]:
        return [verdict.image for verdict in self.of(PRUNE)]


def newest_first(image: Image) -> tuple[datetime, tuple[object, ...]]:
    """A key that sorts by age; what was made in the same second by version and number."""
    return moment(image.created), image.order


def kept_by_rules(images: Collection[Image], rules: Retention, now: datetime) -> dict[str, str]:
    """The images of one name in one region that a rule keeps, and which.

    Images that are not finished, or broken, take no part: no rule counts or keeps them.
    """
    ordinary = [image for image in images if image.finished and image.state not in (*BEING_MADE, *BROKEN)]
    ordinary.sort(key=newest_first, reverse=True)
    kept: dict[str, str] = {}

    def keep(image: Image, why: str) -> None:
        kept.setdefault(image.image_id, why)

    if rules.images is not None:
        for image in ordinary[: rules.images]:
            keep(image, f"one of the newest {rules.images}" if rules.images > 1 else "the newest")
    if rules.versions is not None:
        highest: dict[object, Image] = {}
        for image in sorted(ordinary, key=lambda image: (image.version_key, *newest_first(image)), reverse=True):
            highest.setdefault(image.version_key, image)
        for image in list(highest.values())[: rules.versions]:
            keep(image, f"the newest of version {image.version}")
    if rules.days is not None:
        youngest = now - timedelta(days=rules.days)
        for image in ordinary:
            if moment(image.created) > youngest:
                keep(image, f"younger than {rules.days} days")
    return kept


def candidates(images: Iterable[Image], rules: Retention, names: Collection[str], now: datetime) -> list[Verdict]:
    """The first word on the images of these names, of all for none: what rules, state and protection say."""
    series: dict[tuple[str, str], list[Image]] = {}
    for image in images:
        if image.ours and (not names or image.name in names):
            series.setdefault((image.name, image.region), []).append(image)
    verdicts = []
    for group in series.values():
        kept = kept_by_rules(group, rules, now)
        usable = [image for image in group if image.usable]
        newest = max(usable, key=newest_first, default=None)
        # What a base NAME comes to, for each architecture.
        highest = {image.architecture: image for image in sorted(usable, key=lambda image: _as_base(image, now))}
        for image in group:
            reasons = []
            if image.image_id in kept:
                reasons.append(kept[image.image_id])
            if image is newest:
                reasons.append("the newest finished one of its name")
            elif image is highest.get(image.architecture):
                reasons.append("the highest version of its name")
            if image.state in BEING_MADE:
                reasons.append(f"it is {image.state}")
            elif not image.finished:
                reasons.append("not finished: its build may go on, 'jenkins-ami gc' sweeps it when it has not")
            if image.protected:
                reasons.append("protected against deregistration")
            doomed = f"it is {image.state}" if image.state in BROKEN else "no rule keeps it"
            verdicts.append(Verdict(image, KEEP, tuple(reasons)) if reasons else Verdict(image, PRUNE, (doomed,)))
    return verdicts


def _as_base(image: Image, now: datetime) -> tuple[object, ...]:
    """How good an image is as what a build by its name starts from: the last one is taken."""
    return not image.is_deprecated(now), image.version_key, image.number, image.created


def settle(
    verdicts: Sequence[Verdict],
    images: Collection[Image],
    used: Mapping[str, usage.Usage],
    unchecked: Collection[str] = (),
) -> Plan:
    """The last word: what is in use stays, and so does what those that stay were made from.

    :param images: all of the account in the regions that were looked at, and copies under way elsewhere
    :param used: by region
    :param unchecked: kinds of users that need not have been looked at
    """
    unknown = {kind: right for region in used.values() for kind, right in region.unknown.items()}
    unknown = {kind: right for kind, right in unknown.items() if kind not in unchecked}
    why: dict[str, list[str]] = {}
    for verdict in verdicts:
        if verdict.action == PRUNE:
            image = verdict.image
            users = used[image.region].of(image.image_id) if image.region in used else ()
            if users:
                why[image.image_id] = [f"used by {user}" for user in users]
    for copy in images:
        if copy.copy_of and copy.state in BEING_MADE:
            why.setdefault(copy.copy_of[1], []).append(f"{copy.image_id} in {copy.region} is being copied from it")
    doomed = {verdict.image.image_id for verdict in verdicts if verdict.action == PRUNE} - why.keys()
    known = {image.image_id: image for image in images}
    for needed, user in ancestors((image for image in images if image.image_id not in doomed), known).items():
        why.setdefault(needed, []).append(f"{user} was made from it")
    last = []
    for verdict in verdicts:
        reasons = tuple(why.get(verdict.image.image_id, ()))
        if verdict.action == PRUNE and not reasons and unknown:
            reasons = tuple(f"whether {usage.WORDS[kind]} uses it is not known" for kind in sorted(unknown))
        last.append(Verdict(verdict.image, KEEP, reasons) if verdict.action == PRUNE and reasons else verdict)
    return Plan(tuple(last), unknown)


def plan(
    images: Mapping[str, Sequence[Image]],
    clouds: Mapping[str, Cloud],
    rules: Retention,
    names: Collection[str] = (),
    *,
    elsewhere: Collection[Image] = (),
    unchecked: Collection[str] = (),
    now: datetime | None = None,
) -> Plan:
    """What the rules let go, and nothing uses.

    :param images: all of the account, by region
    :param clouds: the API of each of these regions
    :param elsewhere: images of other regions, of which some may be copies under way
    :param unchecked: kinds of users not to look for
    :raises CloudError: refused for another reason than a missing right
    """
    everything = [image for region in images.values() for image in region]
    first = candidates(everything, rules, names, now or datetime.now(UTC))
    used = {}
    for region, cloud in clouds.items():
        asked = [each.image.image_id for each in first if each.action == PRUNE and each.image.region == region]
        used[region] = usage.look(cloud, asked, [kind for kind in usage.KINDS if kind not in unchecked])
    return settle(first, [*everything, *elsewhere], used, unchecked)


@dataclass(frozen=True)
class Outcome:
    """What became of an image that was to go: ``text`` for people.

    :ivar gone: whether it is not there any more
    :ivar error: why it, or a snapshot of it, is still there
    """

    image: Image
    text: str
    gone: bool = True
    error: AmiError | None = None


def prune(
    doomed: Sequence[Image],
    clouds: Mapping[str, Cloud],
    progress: Progress,
    *,
    unchecked: Collection[str] = (),
    clock: Clock = CLOCK,
) -> list[Outcome]:
    """Deregister images with their snapshots; each is looked at once more just before. What fails is an outcome.

    :param clouds: the API of each region
    """
    outcomes = []
    pruners = {
        region: _Pruner(cloud, [image for image in doomed if image.region == region], unchecked, clock)
        for region, cloud in clouds.items()
    }
    known = {image.image_id: image for image in doomed}
    needed: dict[str, str] = {}
    # The newest first: when one stays after all, what it was made from is still there, and stays as well.
    for image in sorted(doomed, key=newest_first, reverse=True):
        with progress.step(f"Deregister {image.label or image.image_id} ({image.image_id})") as step:
            try:
                if image.image_id in needed:
                    outcome = Outcome(image, f"stays: {needed[image.image_id]} was made from it", gone=False)
                else:
                    outcome = pruners[image.region].prune(image, step)
            except AmiError as error:
                outcome = Outcome(image, "could not be deregistered", gone=False, error=error)
            if not outcome.gone:
                needed |= ancestors([image], known)
            outcomes.append(outcome)
            step.done(outcome.text)
    return outcomes


class _Pruner:
    def __init__(self, cloud: Cloud, doomed: Sequence[Image], unchecked: Collection[str], clock: Clock) -> None:
        self.cloud = cloud
        self.doomed = [image.image_id for image in doomed]
        self.kinds = [kind for kind in usage.KINDS if kind not in unchecked]
        self.clock = clock
        self.looked = float("-inf")
        self.seen = usage.Usage()

    def prune(self, image: Image, step: Step) -> Outcome:
        """:raises CloudError: refused, or not gone in time"""
        now = find(self.cloud, [image.image_id]).get(image.image_id)
        if now is None:
            return Outcome(image, "was gone already")
        if changed := _changed(image, now):
            return Outcome(image, f"stays: {changed}", gone=False)
        if users := self._users(image.image_id):
            return Outcome(image, f"stays: used by {', '.join(users)}", gone=False)
        step.status("deregistering")
        told = self._deregister(image.image_id)
        left, first = [], None
        for snapshot in now.snapshots:
            try:
                if not self._deleted(snapshot, told.get(snapshot)):
                    left.append(f"{snapshot} stays, another image uses it")
            except CloudError as error:
                left.append(f"{snapshot} could not be deleted")
                first = first or error
        count = len(now.snapshots) - len(left)
        deleted = f" with {count} snapshot{'s' * (count != 1)}" if count else ""
        return Outcome(image, "; ".join([f"deregistered{deleted}", *left]), error=first)

    def _users(self, image_id: str) -> tuple[str, ...]:
        """Instances as they are now; of the rest, which is dear to ask for, what was seen a moment ago."""
        if self.clock.now() - self.looked > FRESH:
            self.seen = usage.look(self.cloud, self.doomed, [kind for kind in self.kinds if kind != usage.INSTANCE])
            self.looked = self.clock.now()
        instances = usage.look(self.cloud, [image_id], [kind for kind in self.kinds if kind == usage.INSTANCE])
        for kind, right in {**self.seen.unknown, **instances.unknown}.items():
            raise CloudError(
                f"whether {usage.WORDS[kind]} uses it is not known any more",
                code="UnauthorizedOperation",
                hint=f"Give back {right}",
            )
        return (*instances.of(image_id), *self.seen.of(image_id))

    def _deregister(self, image_id: str) -> dict[str, str]:
        """What became of the snapshots, as far as it is told."""
        try:
            with self.cloud.calls():
                answer = self.cloud.ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
        except CloudError as error:
            if error.code not in UNKNOWN:  # as it is when the answer was lost, and botocore asked again
                raise
            return {}
        return {each["SnapshotId"]: each["ReturnCode"] for each in answer.get("DeleteSnapshotResults", [])}

    def _deleted(self, snapshot: str, told: str | None) -> bool:
        """Make sure that a snapshot is gone; ``False``: another image uses it.

        :param told: what DeregisterImage said of it; ``None``: nothing, as when its answer was lost
        :raises CloudError: refused
        """
        if told in ("success", "skipped"):  # skipped: in use (EC2 API reference, DeleteSnapshotReturnCode)
            return told == "success"
        if told is None and any(snapshot in image.snapshots for image in own(self.cloud)):
            return False

        def delete() -> bool | None:
            try:
                with self.cloud.calls():
                    self.cloud.ec2.delete_snapshot(SnapshotId=snapshot)
            except CloudError as error:
                if error.code == "InvalidSnapshot.InUse":  # by the image that was deregistered just now, or by another
                    return None
                if error.code not in UNKNOWN:
                    raise
            return True

        pace = self.cloud.environment.pace
        return poll(delete, seconds=pace.settle, pace=pace, clock=self.clock) or False


def _changed(before: Image, now: Image) -> str:
    """Why an image is not the one that was planned to go."""
    if now.protected:
        return "it is protected meanwhile"
    if now.state != before.state:
        return f"it is {now.state} meanwhile, it was {before.state}"
    if now.tags != before.tags:
        return "its tags have changed meanwhile"
    return ""


def title(image: Image) -> str:
    """An image in a line of a plan."""
    return f"{image.label or image.name}  {image.image_id}  {image.region}  {image.created[:10]}"


def as_text(found: Plan) -> list[str]:
    """A line for each image, its reasons behind it, and the summary last."""
    signs = {PRUNE: "-", KEEP: " "}
    lines = [
        visible(f"{signs[verdict.action]} {title(verdict.image)}  {verdict.action}: {'; '.join(verdict.reasons)}")
        for verdict in found.verdicts
    ]
    for kind, right in sorted(found.unchecked.items()):
        lines.append(f"Nothing goes: without the right {right} it is not known what {usage.WORDS[kind]} uses.")
    doomed = found.doomed
    what = f"{len(doomed)} to prune"
    if doomed:
        snapshots = {snapshot for image in doomed for snapshot in image.snapshots}
        plural = "s" * (len(snapshots) != 1)
        what += f" with {len(snapshots)} snapshot{plural} of {sum(image.size for image in doomed)} GiB"
    return [*lines, f"Plan: {what}, {len(found.of(KEEP))} to keep."]
