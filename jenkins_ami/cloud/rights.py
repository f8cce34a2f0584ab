"""What policies are put together from: ARNs, the options that are in use, statements. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..artifacts import ImageSettings, Manifest, Sharing
from . import storage
from .environments import Environment
from .tags import BUILD
from .wanted import Wanted, wanted

Statement = dict[str, Any]

MANY = 3
"""Regions from which on one pattern stands for all: a policy's length is limited."""
OURS = {"Null": {f"aws:ResourceTag/{BUILD}": "false"}}
"""Of what carries a build's tag."""
BECOMES_OURS = {"Null": {f"aws:RequestTag/{BUILD}": "false"}}
"""Of what is made with a build's tag."""


@dataclass(frozen=True)
class Names:
    """Makes ARNs of one account, which may not be known."""

    region: str
    account: str

    @property
    def partition(self) -> str:
        return "aws-cn" if self.region.startswith("cn-") else "aws-us-gov" if "-gov-" in self.region else "aws"

    @property
    def suffix(self) -> str:
        """Of service names in conditions."""
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    def ec2(self, kind: str, name: str = "*", region: str | None = None) -> str:
        account = "" if kind in ("image", "snapshot") else self.account
        return f"arn:{self.partition}:ec2:{region or self.region}:{account}:{kind}/{name}"

    def of(self, service: str, name: str, region: str | None = None) -> str:
        return f"arn:{self.partition}:{service}:{self.region if region is None else region}:{self.account}:{name}"

    def bucket(self, name: str) -> str:
        return f"arn:{self.partition}:s3:::{name}"


@dataclass(frozen=True)
class Needs:
    """The options in use."""

    environment: Environment
    manifest: Manifest | None
    wanted: Wanted
    place: storage.Place | None
    access: str
    spot: bool
    base: str
    tests: bool

    @property
    def names(self) -> Names:
        return Names(self.environment.region, self.environment.account or "*")

    @property
    def regions(self) -> list[str]:
        """The build's own first."""
        return [self.environment.region, *self.wanted.copies]


def needs_of(manifest: Manifest | None, environment: Environment) -> Needs:
    settings = wanted(manifest.image if manifest else ImageSettings(), environment)
    if manifest is None:
        anybody = Sharing(accounts=("*",))
        settings = replace(settings, share=anybody, deprecate_after=1, protect=True)
        place = storage.place(None, environment) if environment.storage else None
        spot = environment.spot is not False
        return Needs(environment, None, settings, place, "presigned", spot, "", tests=True)
    overlay = manifest.overlay
    uploaded = overlay.placement == "storage" and overlay.access != "https"
    return Needs(
        environment=environment,
        manifest=manifest,
        wanted=settings,
        place=storage.place(overlay.storage, environment) if uploaded else None,
        access=overlay.access,
        spot=environment.spot if environment.spot is not None else manifest.spot,
        base=manifest.base if manifest.base_query is None else "",
        tests=bool(manifest.tests),
    )


def everywhere(needs: Needs, kind: str) -> list[str]:
    """In all regions that the image goes to."""
    if len(needs.regions) > MANY:
        return [needs.names.ec2(kind, region="*")]
    return [needs.names.ec2(kind, region=region) for region in needs.regions]


def allow(
    sid: str, actions: Iterable[str], resources: Sequence[str], conditions: Mapping[str, Any] | None = None
) -> Statement:
    statement: Statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": sorted(actions),
        "Resource": list(dict.fromkeys(resources)),
    }
    return statement | ({"Condition": dict(conditions)} if conditions else {})


def in_regions(regions: Sequence[str]) -> dict[str, Any]:
    return {"StringEquals": {"aws:RequestedRegion": list(regions)}}


def keys(needs: Needs) -> list[Statement]:
    """For EBS to encrypt with keys of one's own (EBS User Guide, "Requirements for Amazon EBS encryption").

    All but looking at a key is allowed to EC2 only, for whoever asks it. The account's default key needs no right.
    """
    settings, names = needs.wanted, needs.names
    if not settings.encrypted:
        return []
    home = {needs.environment.region: settings.kms_key}
    by_region = home | {region: own.kms_key for region, own in settings.copies.items()}
    arns, anys, aliases = [], [], []
    for region, key in by_region.items():
        if not key:
            continue
        account, _, name = (
            key.rpartition(":") if key.startswith("arn:") else (names.of("kms", "", region)[:-1], "", key)
        )
        if name.startswith("alias/"):
            anys.append(f"{account}:key/*")
            aliases.append(name)
        else:
            arns.append(f"{account}:{name if key.startswith('arn:') else f'key/{name}'}")
    by_alias = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": list(dict.fromkeys(aliases))}}
    return [*_key_statements(needs, "", arns, {}), *_key_statements(needs, "ByAlias", anys, by_alias)]


def _key_statements(needs: Needs, suffix: str, arns: Sequence[str], which: Mapping[str, Any]) -> Iterable[Statement]:
    if not arns:
        return
    services = [f"ec2.{region}.{needs.names.suffix}" for region in needs.regions]
    if len(services) > MANY:
        services = [f"ec2.*.{needs.names.suffix}"]
    via = {"StringLike": {"kms:ViaService": services}}
    use = ["kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*"]
    yield allow(f"LookAtKey{suffix}", ["kms:DescribeKey"], arns, which)
    yield allow(f"UseKey{suffix}", use, arns, {**which, **via})
    for_ec2 = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    yield allow(f"GrantKey{suffix}", ["kms:CreateGrant"], arns, {**which, **for_ec2})
