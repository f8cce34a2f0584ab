"""What is wanted of an image in each region: computed from a build's result and an environment, before any call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

from ..artifacts import AMI_JSON, BuildResult, Sharing
from ..cloud.environments import Environment, Region
from ..cloud.moments import moment
from ..cloud.tags import EXPIRES, INPUT, LIMIT, PREFIX, SOURCE_IMAGE
from ..cloud.wanted import Wanted, parameter_name, wanted
from ..errors import InputError, UsageError
from .described import Described


@dataclass(frozen=True)
class RegionPlan:
    """What is wanted in one region.

    :ivar copy: whether the image comes here as a copy, rather than having been built here
    :ivar encrypted: of a copy, with ``kms_key``; ``None`` is the account's default key
    :ivar tags: of image and snapshots, over those that the image has
    :ivar deprecate_at: from when on it counts as old, in UTC, to the minute
    :ivar ssm_parameter: name of the parameter that holds the image's id
    :ivar launch_template: id or name of the template that gets a version with the image
    """

    region: str
    copy: bool
    encrypted: bool = False
    kms_key: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    share: Sharing = Sharing()
    deprecate_at: datetime | None = None
    protect: bool = False
    ssm_parameter: str | None = None
    launch_template: str | None = None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        after = self.tags or self.share or self.deprecate_at or self.protect
        return not (self.copy or after or self.ssm_parameter or self.launch_template)

    def as_dict(self) -> dict[str, object]:
        """For ``--json``."""
        when = self.deprecate_at.isoformat() if self.deprecate_at else None
        return asdict(self) | {"deprecate_at": when}

    def __str__(self) -> str:
        key = f" with {self.kms_key}" if self.kms_key else " with the default key"
        what = [f"copy, encrypted{key}" if self.encrypted else "copy"] if self.copy else []
        if self.tags:
            what.append("tags " + ", ".join(f"{key}={value}" for key, value in sorted(self.tags.items())))
        if self.share:
            what.append(f"share with {sharing_text(self.share)}")
        if self.deprecate_at:
            what.append(f"deprecate at {self.deprecate_at:%Y-%m-%d %H:%M} UTC")
        if self.protect:
            what.append("protect")
        if self.ssm_parameter:
            what.append(f"parameter {self.ssm_parameter}")
        if self.launch_template:
            what.append(f"launch template {self.launch_template}")
        return f"{self.region}: {'; '.join(what) or 'nothing to do'}"


def plan(result: BuildResult, environment: Environment, regions: Sequence[str] = ()) -> tuple[RegionPlan, ...]:
    """What is wanted in each region, the one that the image was built in first.

    :param regions: only these; empty is all
    :raises InputError: the image is of another region than the environment, or a setting makes no sense for it
    :raises UsageError: ``regions`` names one that the image is not to go to
    """
    if result.region not in result.images:
        raise InputError(f"there is no image of {result.region} in it", where=AMI_JSON, hint="Run 'jenkins-ami build'")
    if result.region != environment.region:
        raise InputError(
            f"{result.image_name} was built in {result.region}, and environment {environment.name} is in "
            f"{environment.region}",
            hint=f"It was built in environment {result.environment}",
        )
    settings = wanted(result.image, environment)
    every = {result.region: settings.home} | dict(sorted(settings.copies.items()))
    if unknown := [region for region in regions if region not in every]:
        raise UsageError(
            f"the image is not to go to {unknown[0]}",
            hint=f"Its regions are {', '.join(every)}: 'regions' of the environment or of ami.yaml says so",
        )
    return tuple(
        _region_plan(result, settings, region, own) for region, own in every.items() if not regions or region in regions
    )


def _region_plan(result: BuildResult, settings: Wanted, region: str, own: Region) -> RegionPlan:
    copy = region != result.region
    check_tags(own.tags, region)
    return RegionPlan(
        region=region,
        copy=copy,
        encrypted=copy and settings.encrypted,
        kms_key=own.kms_key if copy and settings.encrypted else None,
        tags=dict(own.tags),
        share=settings.share,
        deprecate_at=deprecation(result.created, settings.deprecate_after),
        protect=settings.protect,
        ssm_parameter=parameter_name(own.ssm_parameter, result.name, result.version) if own.ssm_parameter else None,
        launch_template=own.launch_template,
    )


def deprecation(created: str, days: int | None) -> datetime | None:
    """``days`` after an image was made (ISO 8601), to the minute; after now where nobody knows when that was."""
    if days is None:
        return None
    return to_minute((moment(created) if created else datetime.now(UTC)) + timedelta(days=days))


def to_minute(when: datetime) -> datetime:
    """The nearest minute, to which EC2 rounds such a date (EC2 API reference, EnableImageDeprecation)."""
    return (when.astimezone(UTC) + timedelta(seconds=30)).replace(second=0, microsecond=0)


def check_tags(tags: Mapping[str, str], region: str) -> None:
    """:raises InputError: a region's own tags are not for users to set"""
    for key in tags:
        if key.startswith(PREFIX) or key.lower().startswith("aws:"):
            raise InputError(f"the tag '{key}' is reserved", where=f"tags of {region}", hint="Choose another key")


def copy_tags(original: Described, plan: RegionPlan) -> dict[str, str]:
    """The tags that a copy and its snapshots have while it is not finished: without the digest of its inputs.

    :raises InputError: more than EC2 takes
    """
    own = {key: value for key, value in original.image.tags.items() if not key.lower().startswith("aws:")}
    merged = {**own, **plan.tags, SOURCE_IMAGE: original.place}
    merged = {key: value for key, value in merged.items() if key not in (INPUT, EXPIRES)}
    if len(merged) >= LIMIT:
        raise InputError(
            f"{len(merged)} tags are too many for a copy in {plan.region}",
            hint=f"EC2 takes {LIMIT}, and a copy gets one more while it is made",
        )
    return merged


def final_tags(original: Described, plan: RegionPlan) -> dict[str, str]:
    """The tags that an image in a region has to have in the end, as far as distribution is concerned."""
    if not plan.copy:
        return dict(plan.tags)
    made_of = original.image.tags.get(INPUT)
    return copy_tags(original, plan) | ({INPUT: made_of} if made_of else {})


def sharing_text(share: Sharing) -> str:
    """Who it is, for people."""
    return ", ".join((*share.accounts, *share.organizations, *share.units))
