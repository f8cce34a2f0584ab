"""What points to an image once it is distributed: an SSM parameter, a version of a launch template."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..cloud.session import Cloud
from ..cloud.waiting import Clock, poll
from ..errors import CloudError
from ..progress import duration
from .asking import ask

if TYPE_CHECKING:
    from mypy_boto3_ssm.type_defs import ParameterTypeDef

_IMAGE = "aws:ec2:image"
_UNKNOWN, _EXISTS = "ParameterNotFound", "ParameterAlreadyExists"
_TEMPLATE_ID = re.compile(r"lt-[0-9a-f]{8,17}")


def parameter(cloud: Cloud, name: str, image_id: str, tags: Mapping[str, str], clock: Clock) -> bool:
    """Let an SSM parameter hold an image's id.

    A parameter that is new has the data type ``aws:ec2:image``, which launches and launch templates take and whose
    value Systems Manager checks. That it checks only after it has answered (Systems Manager API reference,
    PutParameter), so the value is read back. One that is there keeps its type: that cannot be changed.

    :param tags: of a parameter that is new
    :returns: whether it held something else before
    :raises CloudError: refused, or the value did not come to be the parameter's
    """
    before = _read(cloud, name, clock)
    if before and before.get("Value") == image_id:
        return False
    if before is None:
        _create(cloud, name, image_id, tags, clock)
    else:
        _overwrite(cloud, name, image_id, before.get("DataType", "text"), clock)

    def holds() -> bool | None:
        now = _read(cloud, name, clock)
        return True if now and now.get("Value") == image_id else None

    pace = cloud.environment.pace
    if not poll(holds, seconds=pace.settle, pace=pace, clock=clock):
        raise CloudError(
            f"parameter {name} does not hold {image_id} after {duration(pace.settle)}",
            code="NotUpdated",
            operation="PutParameter",
            hint="Systems Manager found the image not available to it, or somebody else writes this parameter",
        )
    return True


def _read(cloud: Cloud, name: str, clock: Clock) -> ParameterTypeDef | None:
    try:
        return ask(cloud, lambda: cloud.ssm.get_parameter(Name=name), clock)["Parameter"]
    except CloudError as error:
        if error.code == _UNKNOWN:
            return None
        raise


def _create(cloud: Cloud, name: str, image_id: str, tags: Mapping[str, str], clock: Clock) -> None:
    """Tags and Overwrite exclude each other (Systems Manager API reference, PutParameter)."""
    listed: Any = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
    try:
        ask(
            cloud,
            lambda: cloud.ssm.put_parameter(Name=name, Value=image_id, Type="String", DataType=_IMAGE, Tags=listed),
            clock,
        )
    except CloudError as error:
        if error.code != _EXISTS:
            raise
        _overwrite(cloud, name, image_id, _IMAGE, clock)


def _overwrite(cloud: Cloud, name: str, image_id: str, data_type: str, clock: Clock) -> None:
    ask(
        cloud,
        lambda: cloud.ssm.put_parameter(Name=name, Value=image_id, DataType=data_type, Overwrite=True),
        clock,
    )


def template_version(cloud: Cloud, template: str, image_id: str, description: str, clock: Clock) -> tuple[int, bool]:
    """A version of a launch template that launches an image, like its latest one in all else.

    What the template's default version is stays as it is: who launches ``$Latest`` gets the image.

    :param template: its id or its name
    :returns: the version's number, and whether it was made just now
    :raises CloudError: refused
    """
    which: Any = {"LaunchTemplateId" if _TEMPLATE_ID.fullmatch(template) else "LaunchTemplateName": template}
    versions = ask(cloud, lambda: cloud.ec2.describe_launch_template_versions(**which, Versions=["$Latest"]), clock)[
        "LaunchTemplateVersions"
    ]
    latest = versions[0] if versions else {}
    number = latest.get("VersionNumber", 0)
    if latest.get("LaunchTemplateData", {}).get("ImageId") == image_id:
        return number, False
    # The same call again, after an answer that was lost, is for the same version.
    token = hashlib.sha256(f"{template} {number} {image_id}".encode()).hexdigest()
    made = ask(
        cloud,
        lambda: cloud.ec2.create_launch_template_version(
            **which,
            SourceVersion=str(number),
            VersionDescription=description,
            LaunchTemplateData={"ImageId": image_id},
            ClientToken=token,
        ),
        clock,
    )
    return made["LaunchTemplateVersion"].get("VersionNumber", 0), True
