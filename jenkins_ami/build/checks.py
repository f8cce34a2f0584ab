"""What a build relies on, looked at one thing at a time: each check of the preflight, and what it found.

A check asks for a whole list at once and with a filter, so that everything that is missing is told and not only the
first. It changes nothing. What the builder has no right to look at is noted as not checked, and is no problem: only a
launch tells whether the rights suffice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..artifacts import USERDATA_LIMIT
from ..cloud import storage
from ..cloud.environments import LOCAL
from ..cloud.pages import pages
from ..cloud.session import Cloud, lacks_right
from ..cloud.tags import INPUT, LIMIT, SOURCE_IMAGE
from ..cloud.waiting import CLOCK, Clock, insist
from ..cloud.wanted import parameter_name
from ..errors import AmiError, CloudError, InputError, StorageError
from . import request
from .plan import Plan

T = TypeVar("T")

_UNKNOWN_CALL = frozenset({"501", "InvalidAction", "NotImplemented", "UnknownOperation", "UnknownOperationException"})
"""Error codes of an endpoint that does not have the call: a look-alike of EC2."""


@dataclass
class Found:
    """What a check came to.

    :ivar told: for the list of what was checked
    :ivar problems: for which the build would fail
    :ivar warnings: for which it may not turn out as it was meant
    :ivar notes: what could not be checked
    :ivar covers: error codes by which a dry run would tell the same problems again
    """

    told: str = ""
    covers: tuple[str, ...] = ()
    problems: list[AmiError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def refuse(self, what: str, where: str | None = None, hint: str | None = None) -> None:
        self.problems.append(InputError(what, where=where, hint=hint))

    @contextmanager
    def optional(self, what: str) -> Iterator[None]:
        """Calls that the builder need not have the right to."""
        try:
            yield
        except CloudError as error:
            if lacks_right(error):
                self.notes.append(f"not checked: {what}, since the builder lacks the right to {error.operation}")
            elif error.code in _UNKNOWN_CALL:
                self.notes.append(f"not checked: {what}, since this endpoint has no {error.operation}")
            else:
                self.problems.append(error)


@dataclass(frozen=True)
class Api:
    """That of one region, and the clock by which it is asked again."""

    cloud: Cloud
    clock: Clock = CLOCK

    def ask(self, call: Callable[[], T]) -> T:
        """One call that changes nothing, made again while its answer is uncertain.

        :raises CloudError: refused
        """

        def once() -> T:
            with self.cloud.calls():
                return call()

        return insist(once, pace=self.cloud.environment.pace, clock=self.clock)


def _where(plan: Plan) -> str:
    return f"environment {plan.environment.name}"


def check_settings(plan: Plan) -> Found:
    """What needs no call: sizes, boot mode, encryption, sharing, tags, names of parameters."""
    found = Found("settings", ("InvalidBlockDeviceMapping",))
    base, wanted = plan.base, plan.wanted
    try:
        request.check_volume(plan.manifest, base)
    except InputError as error:
        found.problems.append(error)
    if wanted.boot_mode and wanted.boot_mode != base.boot_mode:
        found.refuse(
            f"the image is to boot by {wanted.boot_mode}, and the base {base.image_id} "
            + (f"boots by {base.boot_mode}" if base.boot_mode else "leaves that to the instance type"),
            "boot_mode",
            "An image takes it over from its base: choose another base, or leave it out",
        )
    if base.encrypted and not wanted.encrypted:
        found.refuse(
            f"the image is not to be encrypted, and the base {base.image_id} is",
            "encrypted",
            "What is launched from an encrypted base is encrypted: choose another base, or leave it out",
        )
    for region, key in _keys(plan).items():
        if wanted.share and key is None:
            found.refuse(
                f"the image is to be shared, and in {region} it would be encrypted with the account's default key",
                _where(plan),
                "Nobody else may use that one: name a 'kms_key' of your own there, or set 'encrypted: false'",
            )
    tags = {*request.image_tags(plan.tagged, plan.manifest, plan.number, ""), INPUT, SOURCE_IMAGE}
    for region, own in ((plan.environment.region, wanted.home), *wanted.copies.items()):
        if len(tags | set(own.tags)) > LIMIT:
            found.refuse(f"with those of {region} the image has more than {LIMIT} tags", _where(plan), "Leave some out")
        try:
            if own.ssm_parameter:
                parameter_name(own.ssm_parameter, plan.manifest.name, plan.manifest.version)
        except InputError as error:
            found.problems.append(error)
    return found


def check_user_data(user_data: bytes) -> Found:
    """EC2's limit. :param user_data: with the URL of the overlay, if there is one"""
    found = Found(f"user-data of {len(user_data):,} bytes")
    if len(user_data) > USERDATA_LIMIT:
        found.problems.append(
            StorageError(
                f"the user-data has {len(user_data):,} bytes, EC2 takes {USERDATA_LIMIT:,}",
                hint="Move files from cloudinit/ to fs/",
            )
        )
    return found


def check_name(api: Api, plan: Plan) -> Found:
    """The image's name, which another build may have taken since the number was chosen."""
    name = request.image_name(plan.manifest, plan.number)
    found = Found(f"image name {name} is free")
    taken = api.ask(
        lambda: api.cloud.ec2.describe_images(
            Owners=["self"],
            Filters=[{"Name": "name", "Values": [name]}],
            IncludeDeprecated=True,
            IncludeDisabled=True,
        )["Images"],
    )
    if taken:  # by a build at the same time; CreateImage is asked for the next number then
        found.told = f"image name {name} was taken just now by {taken[0]['ImageId']}: the next number will do"
    return found


def check_types(api: Api, plan: Plan) -> tuple[Found, dict[str, str]]:
    """The instance types: whether there are such, and what is against launching the base on one.

    :returns: also why a type does not do, by its name
    """
    types = list(dict.fromkeys(candidate.instance_type for candidate in plan.candidates))
    found = Found(f"instance types {', '.join(types)} for {plan.base.architecture}")
    with found.optional("instance types"):
        filters = [{"Name": "instance-type", "Values": types}]
        known = api.ask(
            lambda: pages(api.cloud, api.cloud.ec2, "describe_instance_types", "InstanceTypes", Filters=filters)
        )
        described = {each["InstanceType"]: each for each in known}
        spot = any(candidate.spot for candidate in plan.candidates)
        against = {name: why for name in types if (why := unfit(plan, described.get(name), spot=spot))}
        texts = [f"instance type {name} {why}" for name, why in against.items()]
        if len(against) < len(types):
            found.warnings += texts
        else:
            for text in texts:
                found.refuse(text, hint="Name others in 'instance_types'")
        return found, against
    return found, {}


def unfit(plan: Plan, described: Mapping[str, Any] | None, *, spot: bool) -> str:
    """What is against the base on an instance type, as DescribeInstanceTypes tells it; empty if nothing is."""
    base = plan.base
    if described is None:
        return f"is not known in {plan.environment.region}"
    architectures = described.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
    if base.architecture not in architectures:
        return f"is for {' and '.join(architectures)}, the base for {base.architecture}"
    if base.virtualization not in described.get("SupportedVirtualizationTypes", [base.virtualization]):
        return f"has no {base.virtualization}, which the base needs"
    modes = described.get("SupportedBootModes", [])
    if modes and base.boot_mode in ("legacy-bios", "uefi") and base.boot_mode not in modes:
        return f"boots by {' and '.join(modes)}, the base by {base.boot_mode}"
    if described.get("NetworkInfo", {}).get("EnaSupport") == "required" and not base.ena_support:
        return "needs a base with ENA"
    if spot and "spot" not in described.get("SupportedUsageClasses", ["spot"]):
        return "has no spot capacity"
    return ""


def check_network(api: Api, plan: Plan) -> Found:
    """Subnets and security groups: they exist, and are of one VPC."""
    environment = plan.environment
    if not (environment.subnets or environment.security_groups):
        found = Found("the default VPC's network")
        if not environment.public_address and environment.endpoint is None:
            found.warnings.append(
                "without a subnet the instance is in the default VPC, with no way out but a public address: "
                f"name a subnet with a way out, or set 'public_address: true' ({_where(plan)})"
            )
        return found
    found = Found(
        f"network {', '.join((*environment.subnets, *environment.security_groups))}",
        ("InvalidGroup.NotFound", "InvalidParameter", "InvalidSubnetID.NotFound"),
    )
    of: dict[str, str] = {}
    if environment.subnets:
        with found.optional("subnets"):
            filters = [{"Name": "subnet-id", "Values": list(environment.subnets)}]
            subnets = api.ask(lambda: pages(api.cloud, api.cloud.ec2, "describe_subnets", "Subnets", Filters=filters))
            of |= {subnet["SubnetId"]: subnet["VpcId"] for subnet in subnets}
            _missing(found, plan, "subnet", environment.subnets, of)
            found.warnings += [
                f"subnet {subnet['SubnetId']} has no free address"
                for subnet in subnets
                if subnet.get("AvailableIpAddressCount") == 0
            ]
    if environment.security_groups:
        with found.optional("security groups"):
            filters = [{"Name": "group-id", "Values": list(environment.security_groups)}]
            groups = api.ask(
                lambda: pages(api.cloud, api.cloud.ec2, "describe_security_groups", "SecurityGroups", Filters=filters)
            )
            of |= {group["GroupId"]: group["VpcId"] for group in groups}
            _missing(found, plan, "security group", environment.security_groups, of)
    if len(set(of.values())) > 1:
        found.refuse(
            f"not all are of one VPC: {', '.join(f'{name} is of {vpc}' for name, vpc in of.items())}",
            _where(plan),
            "An instance is in one VPC, with its subnet and all its groups",
        )
    return found


def _missing(found: Found, plan: Plan, kind: str, wanted: Iterable[str], there: Mapping[str, str]) -> None:
    for name in wanted:
        if name not in there:
            found.refuse(f"there is no {kind} {name} in {plan.environment.region}", _where(plan), "Correct it")


def check_profile(api: Api, plan: Plan) -> Found:
    """The instance profile, and that there is a role in it."""
    name = plan.environment.instance_profile
    found = Found(f"instance profile {name}", ("InvalidParameterValue",))
    with found.optional("the instance profile"):
        try:
            profile = api.ask(lambda: api.cloud.iam.get_instance_profile(InstanceProfileName=name))["InstanceProfile"]
        except CloudError as error:
            if error.code != "NoSuchEntity":
                raise
            found.refuse(f"there is no instance profile '{name}'", _where(plan), "Correct 'instance_profile'")
            return found
        if not profile.get("Roles"):
            found.refuse(f"the instance profile '{name}' has no role in it", _where(plan), "Add one to it")
    return found


def keys_to_look_at(plan: Plan) -> dict[str, str]:
    """The KMS keys that are named, by region."""
    return {region: key for region, key in _keys(plan).items() if key}


def _keys(plan: Plan) -> dict[str, str | None]:
    """The key of each region that the image is encrypted in; ``None`` is the default one."""
    if not plan.wanted.encrypted:
        return {}
    home = {plan.environment.region: plan.wanted.kms_key}
    return home | {region: own.kms_key for region, own in plan.wanted.copies.items()}


def check_key(api: Api, plan: Plan, key: str) -> Found:
    """A KMS key: it exists, encrypts, and if the image is to be shared is not one of AWS's own.

    Whom its policy lets use it cannot be seen from here.
    """
    region = api.cloud.environment.region
    found = Found(f"KMS key {key} in {region}")

    def refuse(what: str, hint: str) -> None:
        found.refuse(f"the KMS key {key} in {region} {what}", _where(plan), hint)

    data: Mapping[str, Any] = {}
    with found.optional(f"the KMS key {key} in {region}"):
        try:
            data = api.ask(lambda: api.cloud.kms.describe_key(KeyId=key))["KeyMetadata"]
        except CloudError as error:
            if error.code not in ("InvalidArnException", "NotFoundException", "ValidationException"):
                raise
            hint = "Correct 'kms_key': it is an id, an ARN or alias/NAME, and keys differ from region to region"
            found.refuse(f"there is no KMS key {key} in {region}", _where(plan), hint)
            return found
    state = data.get("KeyState", "Enabled")
    if state != "Enabled":
        refuse(f"is in state {state}", "Enable it, or name another")
    if data.get("KeyUsage", "ENCRYPT_DECRYPT") != "ENCRYPT_DECRYPT" or not _is_symmetric(data):
        refuse("is not for symmetric encryption", "EBS takes no other: name one of the kind SYMMETRIC_DEFAULT")
    if plan.wanted.share and (data.get("KeyManager") == "AWS" or "alias/aws/" in key):
        refuse("is AWS's own, and the image is to be shared", "Nobody else may use it: name a key of your own")
    return found


def _is_symmetric(data: Mapping[str, Any]) -> bool:
    kind: str = data.get("KeySpec", "SYMMETRIC_DEFAULT")
    return kind == "SYMMETRIC_DEFAULT"


def check_bucket(api: Api, plan: Plan) -> Found:
    """The bucket for the overlay. The local cloud's is made when it is missing, so it is not looked at."""
    assert plan.place is not None
    found = Found(f"bucket {plan.place.bucket}")
    if plan.environment.name != LOCAL:
        place = plan.place
        try:
            insist(lambda: storage.check_bucket(api.cloud, place), pace=plan.environment.pace, clock=api.clock)
        except AmiError as error:
            found.problems.append(error)
    return found


def check_regions(api: Api, plan: Plan) -> Found:
    """The regions that the image is copied to: the account has them enabled."""
    regions = list(plan.wanted.copies)
    found = Found(f"regions {', '.join(regions)}")
    with found.optional("regions"):
        filters: list[Any] = [{"Name": "region-name", "Values": regions}]
        answer = api.ask(lambda: api.cloud.ec2.describe_regions(AllRegions=True, Filters=filters))
        status = {each["RegionName"]: each.get("OptInStatus", "") for each in answer["Regions"]}
        for region in regions:
            if region not in status:
                found.refuse(f"there is no region {region}", "regions", "Correct it")
            elif status[region] == "not-opted-in":
                found.refuse(f"the account has not enabled {region}", "regions", "Enable it, or leave it out")
    return found


def templates_to_look_at(plan: Plan) -> dict[str, str]:
    """The launch templates that are to get a version, by region."""
    of = {plan.environment.region: plan.wanted.home} | dict(plan.wanted.copies)
    return {region: own.launch_template for region, own in of.items() if own.launch_template}


def check_template(api: Api, plan: Plan, template: str) -> Found:
    """A launch template: there is one of that id or name."""
    region = api.cloud.environment.region
    found = Found(f"launch template {template} in {region}")
    by: dict[str, Any] = (
        {"LaunchTemplateIds": [template]}
        if re.fullmatch(r"lt-[0-9a-f]+", template)
        else {"LaunchTemplateNames": [template]}
    )
    with found.optional(f"the launch template {template} in {region}"):
        try:
            there = api.ask(lambda: api.cloud.ec2.describe_launch_templates(**by)["LaunchTemplates"])
        except CloudError as error:
            if not error.code.startswith("InvalidLaunchTemplate"):
                raise
            there = []
        if not there:
            found.refuse(f"there is no launch template {template} in {region}", _where(plan), "Make it, or correct it")
    return found
