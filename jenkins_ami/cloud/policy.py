"""IAM policies: the least rights that a build, its instance, and what looks after images need. Pure.

What a policy allows follows from the options in use: an AMI source's (its manifest) and an environment's. Without a
manifest it is for any source that is built in the environment, whatever it asks for. Where a right can be limited to
what a build has made, it is: everything that we make carries the tag ``jenkins-ami:build`` from its first moment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..artifacts import Manifest
from .environments import Environment
from .rights import BECOMES_OURS, OURS, Names, Needs, Statement, allow, everywhere, in_regions, keys, needs_of

Policy = dict[str, Any]

LIMIT = 6144
"""Characters of a managed policy, white space not counted (IAM User Guide, "IAM and AWS STS quotas")."""
_VERSION = "2012-10-17"


def builder(manifest: Manifest | None, environment: Environment) -> Policy:
    """Of whoever runs ``build``, ``cleanup`` and ``distribute``.

    :param manifest: of the compiled AMI; ``None``: of any
    :raises StorageError: the overlay needs storage, and there is none
    """
    needs = needs_of(manifest, environment)
    names = needs.names
    return _policy(
        _look(needs),
        *_launch(needs),
        *_make(needs),
        *_distribute(needs),
        *_base_parameter(needs),
        *_storage(needs),
        *_profile(needs),
        *keys(needs),
        allow(
            "SpotServiceRole",
            ["iam:CreateServiceLinkedRole"],
            [names.of("iam", "role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot", "")],
            {"StringEquals": {"iam:AWSServiceName": "spot.amazonaws.com"}},
        )
        if needs.spot
        else None,
    )


def instance(manifest: Manifest | None, environment: Environment) -> Policy | None:
    """Of the role in the instance profile: what our part of the instance needs; ``None`` if that is nothing.

    :raises StorageError: the overlay needs storage, and there is none
    """
    needs = needs_of(manifest, environment)
    if needs.place is None or not (needs.access == "profile" or manifest is None) or not environment.instance_profile:
        return None
    return _policy(
        allow("ReadOverlay", ["s3:GetObject"], [needs.names.bucket(f"{needs.place.bucket}/{needs.place.prefix}*")])
    )


def caller(environment: Environment) -> Policy | None:
    """Of whose credentials are there at first, when the environment names a role to assume; else ``None``."""
    if environment.role is None:
        return None
    return _policy(allow("AssumeBuilder", ["sts:AssumeRole"], [environment.role]))


def merged(policies: Mapping[str, Policy]) -> Policy:
    """One policy of several environments': what two of them allow alike is in it once.

    :param policies: by the environment's name, which tells statements of one purpose apart
    """
    found: list[Statement] = []
    for name, policy in policies.items():
        for statement in policy["Statement"]:
            if statement in found:
                continue
            taken = {each["Sid"] for each in found}
            sid = statement["Sid"]
            if sid in taken:
                sid += "".join(re.findall(r"[A-Za-z0-9]+", name.title()))
            found.append(statement | {"Sid": sid})
    return {"Version": _VERSION, "Statement": found}


def length(policy: Policy) -> int:
    """Characters that count against :data:`LIMIT`."""
    return len(json.dumps(policy, separators=(",", ":")))


# The builder's, part by part


def _look(needs: Needs) -> Statement:
    """Calls that EC2 cannot limit to single resources (Service Authorization Reference, "Amazon EC2")."""
    settings = needs.wanted
    actions = [
        "ec2:DescribeImages",
        "ec2:DescribeInstanceStatus",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeInstances",
        "ec2:DescribeSnapshots",
    ]
    if needs.environment.subnets:
        actions.append("ec2:DescribeSubnets")
    if needs.environment.security_groups:
        actions.append("ec2:DescribeSecurityGroups")
    if needs.spot:
        actions.append("ec2:DescribeSpotInstanceRequests")
    if settings.copies:
        actions.append("ec2:DescribeRegions")
    if settings.share:
        actions += ["ec2:DescribeImageAttribute", "ec2:DescribeSnapshotAttribute"]
    if any(own.launch_template for own in (settings.home, *settings.copies.values())):
        actions += ["ec2:DescribeLaunchTemplateVersions", "ec2:DescribeLaunchTemplates"]
    return allow("Look", actions, ["*"], in_regions(needs.regions))


def _launch(needs: Needs) -> list[Statement]:
    environment, names = needs.environment, needs.names
    made = ["instance", "volume", *(["spot-instances-request"] if needs.spot else [])]
    of_ami = re.fullmatch(r"ami-[0-9a-f]+", needs.base) is not None
    used = [
        names.ec2("network-interface"),
        names.ec2("image", needs.base if of_ami else "*"),
        *(names.ec2("subnet", each) for each in environment.subnets or ("*",)),
        *(names.ec2("security-group", each) for each in environment.security_groups or ("*",)),
        *([names.ec2("key-pair", environment.key_pair)] if environment.key_pair else []),
    ]
    statements = [
        allow("LaunchTagged", ["ec2:RunInstances"], [names.ec2(kind) for kind in made], BECOMES_OURS),
        allow("LaunchWith", ["ec2:RunInstances"], used),
    ]
    if of_ami and needs.tests:
        statements.append(allow("LaunchToTest", ["ec2:RunInstances"], [names.ec2("image")], OURS))
    return statements


def _make(needs: Needs) -> list[Statement]:
    """Tags at creation and on what is ours, the image, and the end of all that a build has made."""
    names, settings = needs.names, needs.wanted
    creators = ["RunInstances", "CreateImage", *(["CopyImage"] if settings.copies else [])]
    made = ["instance", "volume", *(["spot-instances-request"] if needs.spot else [])]
    images, snapshots = everywhere(needs, "image"), everywhere(needs, "snapshot")
    own = [
        "ec2:CreateImage",
        "ec2:DeleteSnapshot",
        "ec2:DeregisterImage",
        "ec2:GetConsoleOutput",
        "ec2:TerminateInstances",
    ]
    if needs.spot:
        own.append("ec2:CancelSpotInstanceRequests")
    if settings.imds != "any" or settings.share:
        own.append("ec2:ModifyImageAttribute")
    if settings.share:
        own.append("ec2:ModifySnapshotAttribute")
    if settings.deprecate_after is not None:
        own.append("ec2:EnableImageDeprecation")
    if settings.protect:
        own.append("ec2:EnableImageDeregistrationProtection")
    ours = [names.ec2(kind) for kind in made if kind != "volume"] + images + snapshots
    return [
        allow(
            "TagAtCreation",
            ["ec2:CreateTags"],
            [*(names.ec2(kind) for kind in made), *images, *snapshots],
            {"StringEquals": {"ec2:CreateAction": creators}},
        ),
        allow("TagOwn", ["ec2:CreateTags", "ec2:DeleteTags"], images + snapshots, OURS),
        allow("Own", own, ours, OURS),
        allow("CreateImage", ["ec2:CreateImage"], [names.ec2("image"), names.ec2("snapshot")], BECOMES_OURS),
    ]


def _distribute(needs: Needs) -> list[Statement | None]:
    names, settings = needs.names, needs.wanted
    home = needs.environment.region
    of = {home: settings.home} | dict(settings.copies)
    parameters = [
        names.of("ssm", f"parameter/{_pattern(own.ssm_parameter)}", region)
        for region, own in of.items()
        if own.ssm_parameter
    ]
    templates = [
        names.ec2("launch-template", own.launch_template if own.launch_template.startswith("lt-") else "*", region)
        for region, own in of.items()
        if own.launch_template
    ]
    copies = list(settings.copies)
    return [
        allow(
            "Copy",
            ["ec2:CopyImage"],
            everywhere(needs, "image") + everywhere(needs, "snapshot"),
            in_regions(copies),
        )
        if copies
        else None,
        allow("PublishParameter", ["ssm:AddTagsToResource", "ssm:GetParameter", "ssm:PutParameter"], parameters)
        if parameters
        else None,
        allow("PublishTemplate", ["ec2:CreateLaunchTemplateVersion"], templates) if templates else None,
    ]


def _base_parameter(needs: Needs) -> list[Statement]:
    names = needs.names
    if needs.manifest is None:
        return [allow("BaseParameter", ["ssm:GetParameter"], [names.of("ssm", "parameter/*"), _public(names, "*")])]
    if not needs.base.startswith("ssm:"):
        return []
    name = needs.base.removeprefix("ssm:").partition(":")[0].lstrip("/")
    arn = _public(names, name.removeprefix("aws/service/")) if name.startswith("aws/service/") else None
    return [allow("BaseParameter", ["ssm:GetParameter"], [arn or names.of("ssm", f"parameter/{name}")])]


def _public(names: Names, name: str) -> str:
    """A parameter that AWS publishes (Systems Manager User Guide, "Discovering public parameters")."""
    return f"arn:{names.partition}:ssm:{names.region}::parameter/aws/service/{name}"


def _storage(needs: Needs) -> list[Statement]:
    if needs.place is None:
        return []
    bucket, prefix = needs.place.bucket, needs.place.prefix
    on_objects = ["s3:DeleteObject", *(["s3:GetObject"] if needs.access == "presigned" else []), "s3:PutObject"]
    return [
        allow("Bucket", ["s3:ListBucket"], [needs.names.bucket(bucket)]),
        allow("Overlay", on_objects, [needs.names.bucket(f"{bucket}/{prefix}*")]),
    ]


def _profile(needs: Needs) -> list[Statement]:
    """The role in a profile is taken to be called as the profile: so the console and most tools call it."""
    name, names = needs.environment.instance_profile, needs.names
    if not name:
        return []
    return [
        allow("Profile", ["iam:GetInstanceProfile"], [names.of("iam", f"instance-profile/{name}", "")]),
        allow(
            "PassRole",
            ["iam:PassRole"],
            [names.of("iam", f"role/{name}", "")],
            {"StringEquals": {"iam:PassedToService": f"ec2.{names.suffix}"}},
        ),
    ]


# Looking after images


def images(environment: Environment) -> Policy:
    """Of whoever runs ``jenkins-ami images``: list, show, prune, deprecate, copy, share, console."""
    needs = needs_of(None, environment)
    of_images, of_snapshots = everywhere(needs, "image"), everywhere(needs, "snapshot")
    copies = list(needs.wanted.copies)
    return _policy(
        allow(
            "Look",
            [
                "autoscaling:DescribeLaunchConfigurations",
                "ec2:DescribeImageAttribute",
                "ec2:DescribeImages",
                "ec2:DescribeInstances",
                "ec2:DescribeLaunchTemplateVersions",
                "ec2:DescribeLaunchTemplates",
                "ec2:DescribeSnapshotAttribute",
                "ec2:DescribeSnapshots",
                "ssm:DescribeParameters",
                "ssm:GetParameters",
            ],
            ["*"],
            in_regions(needs.regions),
        ),
        allow("Console", ["ec2:GetConsoleOutput"], [needs.names.ec2("instance")], OURS),
        allow(
            "OwnImages",
            [
                "ec2:CreateTags",
                "ec2:DeleteTags",
                "ec2:DeregisterImage",
                "ec2:DisableImageDeprecation",
                "ec2:EnableImageDeprecation",
                "ec2:ModifyImageAttribute",
            ],
            of_images,
            OURS,
        ),
        allow(
            "OwnSnapshots",
            ["ec2:CreateTags", "ec2:DeleteSnapshot", "ec2:DeleteTags", "ec2:ModifySnapshotAttribute"],
            of_snapshots,
            OURS,
        ),
        *(
            [
                allow("Copy", ["ec2:CopyImage"], of_images + of_snapshots, in_regions(copies)),
                allow(
                    "TagAtCreation",
                    ["ec2:CreateTags"],
                    of_images + of_snapshots,
                    {"StringEquals": {"ec2:CreateAction": ["CopyImage"]}},
                ),
                *keys(needs),
            ]
            if copies
            else []
        ),
    )


def gc(environment: Environment) -> Policy:
    """Of whoever runs ``jenkins-ami gc``."""
    needs = needs_of(None, environment)
    names = needs.names
    return _policy(
        allow(
            "Look",
            [
                "ec2:DescribeImages",
                "ec2:DescribeInstances",
                "ec2:DescribeSnapshots",
                "ec2:DescribeSpotInstanceRequests",
                "ec2:DescribeVolumes",
            ],
            ["*"],
            in_regions(needs.regions),
        ),
        allow(
            "EndOwn",
            [
                "ec2:CancelSpotInstanceRequests",
                "ec2:DeleteSnapshot",
                "ec2:DeleteVolume",
                "ec2:DeregisterImage",
                "ec2:TerminateInstances",
            ],
            [
                *(names.ec2(kind) for kind in ("instance", "volume", "spot-instances-request")),
                *everywhere(needs, "image"),
                *everywhere(needs, "snapshot"),
            ],
            OURS,
        ),
        *(
            [
                allow("Bucket", ["s3:ListBucket"], [names.bucket(needs.place.bucket)]),
                allow("Overlay", ["s3:DeleteObject"], [names.bucket(f"{needs.place.bucket}/{needs.place.prefix}*")]),
            ]
            if needs.place
            else []
        ),
    )


def _policy(*statements: Statement | None) -> Policy:
    return {"Version": _VERSION, "Statement": [each for each in statements if each]}


def _pattern(parameter: str) -> str:
    """A parameter's name as a pattern: what stands for a name or version may be any."""
    return re.sub(r"\{[^}]*\}", "*", parameter.lstrip("/"))
