"""Tags, dates and protection: what an image has on itself in a region."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ..cloud.moments import moment
from ..cloud.session import Cloud
from ..cloud.waiting import Clock
from .asking import ask
from .described import Described
from .plan import to_minute

_SOON = timedelta(minutes=2)
"""From now: EC2 takes no date that has passed (EC2 API reference, EnableImageDeprecation)."""


def tag(cloud: Cloud, image: Described, wanted: Mapping[str, str], clock: Clock) -> bool:
    """Give an image and its snapshots these tags.

    :returns: whether they had not all of them
    :raises CloudError: refused
    """
    lacking = [each for each, tags in _tags(image).items() if not wanted.items() <= tags.items()]
    if lacking:
        listed: Any = [{"Key": key, "Value": value} for key, value in sorted(wanted.items())]
        ask(cloud, lambda: cloud.ec2.create_tags(Resources=lacking, Tags=listed), clock)
    return bool(lacking)


def take_off(cloud: Cloud, image: Described, keys: Iterable[str], clock: Clock) -> None:
    """Take tags off an image and its snapshots.

    :raises CloudError: refused
    """
    listed: Any = [{"Key": key} for key in keys]
    having = [each for each, tags in _tags(image).items() if any(tag["Key"] in tags for tag in listed)]
    if having:
        ask(cloud, lambda: cloud.ec2.delete_tags(Resources=having, Tags=listed), clock)


def _tags(image: Described) -> dict[str, Mapping[str, str]]:
    return {image.image_id: image.image.tags} | {each.snapshot_id: each.tags for each in image.snapshots}


def deprecate(cloud: Cloud, image: Described, wanted: datetime | None, clock: Clock) -> bool:
    """Let an image count as old from a date on; from now on when that has passed; ``None``: never.

    :returns: whether there was something to do
    :raises CloudError: refused
    """
    current = moment(image.image.deprecated) if image.image.deprecated else None
    image_id = image.image_id
    if wanted is None:
        if current is not None:
            ask(cloud, lambda: cloud.ec2.disable_image_deprecation(ImageId=image_id), clock)
        return current is not None
    soon = to_minute(datetime.now(UTC) + _SOON)
    when = max(to_minute(wanted), soon)
    if current is not None and (to_minute(current) == when or max(current, wanted) <= soon):
        return False
    ask(cloud, lambda: cloud.ec2.enable_image_deprecation(ImageId=image_id, DeprecateAt=when), clock)
    return True


def protect(cloud: Cloud, image: Described, clock: Clock) -> bool:
    """Keep an image from being deregistered until somebody takes that off.

    :returns: whether there was something to do
    :raises CloudError: refused
    """
    if image.image.protected:
        return False
    image_id = image.image_id
    ask(
        cloud,
        lambda: cloud.ec2.enable_image_deregistration_protection(ImageId=image_id, WithCooldown=False),
        clock,
    )
    return True
