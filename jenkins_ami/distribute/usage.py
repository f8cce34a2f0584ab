"""Who uses an image: instances, launch templates, launch configurations, SSM parameters. Reads; changes nothing.

What cannot be looked at for want of a right is told and not passed over: an image that may be in use is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..cloud.pages import PAGE, chunks, pages
from ..cloud.session import Cloud, lacks_right
from ..errors import CloudError

INSTANCE, TEMPLATE, CONFIGURATION, PARAMETER = "instance", "launch-template", "launch-configuration", "ssm-parameter"
WORDS = {
    INSTANCE: "an instance",
    TEMPLATE: "a launch template",
    CONFIGURATION: "a launch configuration",
    PARAMETER: "an SSM parameter",
}
"""Each kind of user, for people."""

_ALIVE = ["pending", "running", "shutting-down", "stopping", "stopped"]
_NAMES = 10
"""Of one GetParameters (Systems Manager API reference)."""
_PARAMETERS = 50
"""On a page of DescribeParameters (Systems Manager API reference)."""
_ABSENT = frozenset({"InvalidAction", "NotImplemented", "UnknownOperationException", "404", "501"})
"""Error codes of an endpoint that does not have the service."""

Users = Mapping[str, tuple[str, ...]]
"""By image id, who uses it."""


@dataclass(frozen=True)
class Usage:
    """Who uses images of a region, as far as could be seen.

    :ivar users: by image id, in words
    :ivar unknown: kinds of users that could not be looked at, and the right that is missing
    """

    users: Users = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)

    def of(self, image_id: str) -> tuple[str, ...]:
        return self.users.get(image_id, ())


def look(cloud: Cloud, image_ids: Collection[str], kinds: Iterable[str] | None = None) -> Usage:
    """Look who uses these images.

    :param kinds: of users; ``None`` for all
    :raises CloudError: refused for another reason than a missing right
    """
    users: dict[str, list[str]] = {}
    unknown: dict[str, str] = {}
    for kind in KINDS if kinds is None else kinds:
        if not image_ids:
            break
        service, finder = _FINDERS[kind]
        try:
            for image, user in finder(cloud, frozenset(image_ids)):
                users.setdefault(image, []).append(user)
        except CloudError as error:
            if lacks_right(error):
                unknown[kind] = f"{service}:{error.operation}"
            elif cloud.environment.endpoint is None or error.code not in _ABSENT:
                raise
            # A look-alike that has no such service has no such user either.
    return Usage({image: tuple(sorted(set(found))) for image, found in users.items()}, unknown)


Found = Iterable[tuple[str, str]]
"""Pairs: an image, and who uses it."""


def _instances(cloud: Cloud, image_ids: frozenset[str]) -> Found:
    for some in chunks(sorted(image_ids)):
        wanted = [{"Name": "image-id", "Values": some}, {"Name": "instance-state-name", "Values": _ALIVE}]
        for reservation in pages(cloud, cloud.ec2, "describe_instances", "Reservations", PAGE, Filters=wanted):
            for instance in reservation["Instances"]:
                yield instance["ImageId"], f"instance {instance['InstanceId']} ({instance['State']['Name']})"


def _templates(cloud: Cloud, image_ids: frozenset[str]) -> Found:
    for template in pages(cloud, cloud.ec2, "describe_launch_templates", "LaunchTemplates"):
        identity = template["LaunchTemplateId"]
        try:
            versions = pages(
                cloud,
                cloud.ec2,
                "describe_launch_template_versions",
                "LaunchTemplateVersions",
                LaunchTemplateId=identity,
            )
        except CloudError as error:
            if error.code != "InvalidLaunchTemplateId.NotFound":  # deleted a moment ago
                raise
            continue
        for version in versions:
            image = version["LaunchTemplateData"].get("ImageId")
            if image in image_ids:
                name = f"{template['LaunchTemplateName']} ({identity})"
                yield image, f"launch template {name}, version {version['VersionNumber']}"


def _configurations(cloud: Cloud, image_ids: frozenset[str]) -> Found:
    listed = pages(cloud, cloud.autoscaling, "describe_launch_configurations", "LaunchConfigurations")
    for configuration in listed:
        if configuration["ImageId"] in image_ids:
            yield configuration["ImageId"], f"launch configuration {configuration['LaunchConfigurationName']}"


def _parameters(cloud: Cloud, image_ids: frozenset[str]) -> Found:
    listed = pages(cloud, cloud.ssm, "describe_parameters", "Parameters", _PARAMETERS)
    readable = [each["Name"] for each in listed if each["Type"] != "SecureString"]
    for some in chunks(readable, _NAMES):
        with cloud.calls():
            answer = cloud.ssm.get_parameters(Names=some)
        for parameter in answer["Parameters"]:
            for value in parameter["Value"].split(","):  # of a StringList
                if value.strip() in image_ids:
                    yield value.strip(), f"SSM parameter {parameter['Name']}"


_FINDERS: dict[str, tuple[str, Callable[[Cloud, frozenset[str]], Any]]] = {
    INSTANCE: ("ec2", _instances),
    TEMPLATE: ("ec2", _templates),
    CONFIGURATION: ("autoscaling", _configurations),
    PARAMETER: ("ssm", _parameters),
}
"""Each kind of user: the service that its rights begin with, and how it is found."""
KINDS = tuple(_FINDERS)
