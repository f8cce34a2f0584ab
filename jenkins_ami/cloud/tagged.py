"""The kinds of EC2 resources that carry tags: how they are listed, looked up and ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .ledger import IMAGE, INSTANCE, SNAPSHOT, SPOT
from .pages import PAGE, pages
from .session import Cloud

VOLUME = "volume"

Filters = list[dict[str, Any]]


@dataclass(frozen=True)
class Kind:
    """How a kind of resource is looked at.

    :ivar key: of its id, and ``created`` of its time, in what describes it
    :ivar find: those that there are of the account's, by filters
    :ivar by_id: the filter that finds one by its id
    :ivar note: what it is, for people
    :ivar end: asks for the end of one, by its id
    """

    key: str
    find: Callable[[Cloud, Filters], list[Any]]
    by_id: str
    created: str
    note: Callable[[Any], str]
    end: Callable[[Cloud, str], object]


def _spot_requests(cloud: Cloud, filters: Filters) -> list[Any]:
    alive = {"Name": "state", "Values": ["open", "active", "disabled"]}
    return pages(
        cloud,
        cloud.ec2,
        "describe_spot_instance_requests",
        "SpotInstanceRequests",
        Filters=[*filters, alive],
    )


def instances(cloud: Cloud, filters: Filters) -> list[Any]:
    found = pages(cloud, cloud.ec2, "describe_instances", "Reservations", PAGE, Filters=filters)
    instances = (instance for reservation in found for instance in reservation["Instances"])
    return [instance for instance in instances if instance["State"]["Name"] != "terminated"]


def images(cloud: Cloud, filters: Filters) -> list[Any]:
    found = pages(
        cloud,
        cloud.ec2,
        "describe_images",
        "Images",
        PAGE,
        Owners=["self"],
        Filters=filters,
        IncludeDeprecated=True,
        IncludeDisabled=True,
    )
    return [image for image in found if image.get("State") != "deregistered"]


def _snapshots(cloud: Cloud, filters: Filters) -> list[Any]:
    return pages(cloud, cloud.ec2, "describe_snapshots", "Snapshots", PAGE, OwnerIds=["self"], Filters=filters)


def _volumes(cloud: Cloud, filters: Filters) -> list[Any]:
    found = pages(cloud, cloud.ec2, "describe_volumes", "Volumes", PAGE, Filters=filters)
    return [volume for volume in found if volume["State"] not in ("deleting", "deleted")]


KINDS = {
    SPOT: Kind(
        "SpotInstanceRequestId",
        _spot_requests,
        "spot-instance-request-id",
        "CreateTime",
        lambda each: f"{each['State']}",
        lambda cloud, identity: cloud.ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[identity]),
    ),
    INSTANCE: Kind(
        "InstanceId",
        instances,
        "instance-id",
        "LaunchTime",
        lambda each: f"{each['State']['Name']} {each.get('InstanceType', '')}",
        lambda cloud, identity: cloud.ec2.terminate_instances(InstanceIds=[identity]),
    ),
    IMAGE: Kind(
        "ImageId",
        images,
        "image-id",
        "CreationDate",
        lambda each: f"{each.get('State')} {each.get('Name', '')}",
        lambda cloud, identity: cloud.ec2.deregister_image(ImageId=identity),
    ),
    SNAPSHOT: Kind(
        "SnapshotId",
        _snapshots,
        "snapshot-id",
        "StartTime",
        lambda each: f"{each.get('VolumeSize', 0)} GiB",
        lambda cloud, identity: cloud.ec2.delete_snapshot(SnapshotId=identity),
    ),
    VOLUME: Kind(
        "VolumeId",
        _volumes,
        "volume-id",
        "CreateTime",
        lambda each: f"{each['Size']} GiB",
        lambda cloud, identity: cloud.ec2.delete_volume(VolumeId=identity),
    ),
}
