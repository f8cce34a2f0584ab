"""What an account holds, in all its regions: to be compared with what it should hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3

from jenkins_ami.cloud.tags import BUILD, BUILDER, EXPIRES, INPUT, LEGACY_BUILD, NUMBER, SOURCE_IMAGE, URL

THEIR_OWN = (BUILD, BUILDER, EXPIRES, NUMBER, LEGACY_BUILD, SOURCE_IMAGE, URL, INPUT)
"""Tags whose values no two builds have in common."""
_NOT_TERMINATED = {
    "Name": "instance-state-name",
    "Values": ["pending", "running", "shutting-down", "stopping", "stopped"],
}


@dataclass(frozen=True)
class Image:
    """An image as others see it.

    :ivar shared: who may launch it, and what else a distribution sets
    """

    region: str
    id: str
    name: str
    state: str
    tags: Mapping[str, str]
    snapshots: tuple[str, ...]
    snapshot_tags: tuple[Mapping[str, str], ...]
    settings: Mapping[str, Any]
    shared: Mapping[str, Any]

    def looks(self) -> dict[str, Any]:
        """What it has in common with the image of any other build of the same settings."""
        return {
            "name": plain(self.name),
            "state": self.state,
            "tags": _in_common(self.tags),
            "snapshots' tags": [_in_common(tags) for tags in self.snapshot_tags],
            "settings": dict(self.settings),
        }


@dataclass(frozen=True)
class Inventory:
    """All that there is, by ``REGION/ID``; buckets' objects by ``BUCKET/KEY``.

    :ivar pointers: the image that an SSM parameter or a version of a launch template names, by the name of that
    """

    instances: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, Image] = field(default_factory=dict)
    snapshots: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    objects: frozenset[str] = frozenset()
    pointers: Mapping[str, str] = field(default_factory=dict)

    def beyond(self, before: Inventory) -> Inventory:
        """What has come to it."""

        def more(now: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
            return {key: value for key, value in now.items() if then.get(key) != value}

        return Inventory(
            more(self.instances, before.instances),
            more(self.volumes, before.volumes),
            {key: image for key, image in self.images.items() if key not in before.images},
            {key: tags for key, tags in self.snapshots.items() if key not in before.snapshots},
            self.objects - before.objects,
            more(self.pointers, before.pointers),
        )

    def leftovers(self) -> list[str]:
        """What no build may leave, with or without an image."""
        known = {f"{image.region}/{snapshot}" for image in self.images.values() for snapshot in image.snapshots}
        left = [f"instance {key} {state}" for key, state in self.instances.items()]
        left += [f"volume {key} {state}" for key, state in self.volumes.items()]
        left += [f"snapshot {key} of no image" for key in self.snapshots if key not in known]
        left += [f"object {key}" for key in self.objects]
        there = {image.id for image in self.images.values()}
        left += [
            f"{key} names {value}, which is not there" for key, value in self.pointers.items() if value not in there
        ]
        return sorted(left)


def _in_common(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: "…" if key in THEIR_OWN else plain(value) for key, value in tags.items()}


def plain(text: str) -> str:
    """Without what numbers a build, its cell and its place."""
    return re.sub(r"cell\d+(-1\.0-\d+)?", "cell", re.sub(r"\bami-[0-9a-f]+", "ami", text))


class Account:
    """Looks at an account without the proxy. Closed by its owner."""

    def __init__(self, endpoint: str, regions: Iterable[str]) -> None:
        session = boto3.Session("local", "local")
        self.regions = tuple(regions)
        self._first = Inventory()

        def client(service: str, region: str) -> Any:
            return session.client(service, region, endpoint_url=endpoint)  # type: ignore[call-overload]

        self.ec2 = {region: client("ec2", region) for region in self.regions}
        self.ssm = {region: client("ssm", region) for region in self.regions}
        self.kms = {region: client("kms", region) for region in self.regions}
        self.s3 = client("s3", self.regions[0])

    def close(self) -> None:
        for client in (*self.ec2.values(), *self.ssm.values(), *self.kms.values(), self.s3):
            client.close()

    def look(self) -> Inventory:
        """All that there is now, but for what was there when the first look was taken: bases, buckets, networks."""
        instances, volumes, images, snapshots, pointers = {}, {}, {}, {}, {}
        for region, ec2 in self.ec2.items():
            for reservation in ec2.describe_instances(Filters=[_NOT_TERMINATED])["Reservations"]:
                for instance in reservation["Instances"]:
                    instances[f"{region}/{instance['InstanceId']}"] = instance["State"]["Name"]
            for volume in ec2.describe_volumes()["Volumes"]:
                volumes[f"{region}/{volume['VolumeId']}"] = volume["State"]
            for snapshot in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
                snapshots[f"{region}/{snapshot['SnapshotId']}"] = _tags(snapshot)
            for image in ec2.describe_images(Owners=["self"], IncludeDeprecated=True)["Images"]:
                if f"{region}/{image['ImageId']}" not in self._first.images:
                    images[f"{region}/{image['ImageId']}"] = self._image(region, image, snapshots)
            for parameter in self.ssm[region].get_parameters_by_path(Path="/", Recursive=True)["Parameters"]:
                pointers[f"{region}{parameter['Name']}"] = parameter["Value"]
            for template in ec2.describe_launch_templates()["LaunchTemplates"]:
                name = template["LaunchTemplateName"]
                versions = ec2.describe_launch_template_versions(LaunchTemplateName=name)["LaunchTemplateVersions"]
                for version in versions:
                    if image_id := version.get("LaunchTemplateData", {}).get("ImageId"):
                        pointers[f"{region}/{name}:{version['VersionNumber']}"] = image_id
        objects = {
            f"{bucket['Name']}/{item['Key']}"
            for bucket in self.s3.list_buckets()["Buckets"]
            for item in self.s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", [])
        }
        return Inventory(instances, volumes, images, snapshots, frozenset(objects), pointers).beyond(self._first)

    def settle(self) -> None:
        """What there is now does not count from now on."""
        self._first = Inventory()
        self._first = self.look()

    def _image(self, region: str, image: dict[str, Any], known: Mapping[str, Mapping[str, str]]) -> Image:
        ec2 = self.ec2[region]
        volumes = [mapping["Ebs"] for mapping in image.get("BlockDeviceMappings", []) if "Ebs" in mapping]
        snapshots = tuple(sorted(volume["SnapshotId"] for volume in volumes if "SnapshotId" in volume))
        permissions = ec2.describe_image_attribute(ImageId=image["ImageId"], Attribute="launchPermission")
        there = [snapshot for snapshot in snapshots if f"{region}/{snapshot}" in known]
        use = [
            ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
            for snapshot in there
        ]
        shared: dict[str, Any] = {
            "launch": sorted("".join(each.values()) for each in permissions["LaunchPermissions"]),
            "use": [sorted("".join(each.values()) for each in found["CreateVolumePermissions"]) for found in use],
            "deprecated": "DeprecationTime" in image,
            "protected": image.get("DeregistrationProtection", "disabled"),
        }
        settings = {key: image.get(key) for key in ("Architecture", "RootDeviceName", "BootMode", "ImdsSupport")}
        settings["Encrypted"] = [volume.get("Encrypted", False) for volume in volumes]
        return Image(
            region=region,
            id=image["ImageId"],
            name=image["Name"],
            state=image["State"],
            tags=_tags(image),
            snapshots=snapshots,
            snapshot_tags=tuple(known[f"{region}/{snapshot}"] for snapshot in there),
            settings=settings,
            shared=shared,
        )

    def remove(self, what: Inventory) -> None:
        """End all of it."""
        for key in what.instances:
            region, _, name = key.partition("/")
            self.ec2[region].terminate_instances(InstanceIds=[name])
        for image in what.images.values():
            if image.shared["protected"] != "disabled":
                self.ec2[image.region].disable_image_deregistration_protection(ImageId=image.id)
            self.ec2[image.region].deregister_image(ImageId=image.id)
        for key in what.snapshots:
            region, _, name = key.partition("/")
            self.ec2[region].delete_snapshot(SnapshotId=name)
        for key in what.objects:
            bucket, _, name = key.partition("/")
            self.s3.delete_object(Bucket=bucket, Key=name)
        for key in what.pointers:
            region, _, name = key.partition("/")
            if ":" in name:
                make_template(self.ec2[region], name.partition(":")[0])
            else:
                self.ssm[region].delete_parameter(Name=f"/{name}")


def make_template(ec2: Any, name: str) -> None:
    """A launch template of one version without an image, in the place of the one that is there, if any."""
    if any(each["LaunchTemplateName"] == name for each in ec2.describe_launch_templates()["LaunchTemplates"]):
        ec2.delete_launch_template(LaunchTemplateName=name)
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData={"InstanceType": "t3.small"})


def _tags(resource: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in resource.get("Tags", [])}
