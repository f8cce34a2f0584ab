from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jenkins_ami.cloud import gc, tagged
from jenkins_ami.cloud.session import Cloud
from jenkins_ami.errors import CloudError
from jenkins_ami.progress import Progress

from .server import REGION

NOW = datetime.now(UTC)
PAST = (NOW - timedelta(hours=1)).isoformat(timespec="seconds")
FUTURE = (NOW + timedelta(hours=1)).isoformat(timespec="seconds")
OURS = {"jenkins-ami:build": "b1", "jenkins-ami:expires": PAST}
HEX, OTHER_HEX = "0" * 32, "1" * 32


class Left:
    """Makes what builds may leave."""

    def __init__(self, server, cloud: Cloud) -> None:
        self.server, self.cloud = server, cloud
        self.base = server.base()

    def tags(self, tags, *kinds: str):
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        return [{"ResourceType": kind, "Tags": listed} for kind in kinds] if listed else []

    def instance(self, tags=OURS, **more) -> str:
        answer = self.cloud.ec2.run_instances(
            ImageId=self.base, MinCount=1, MaxCount=1, TagSpecifications=self.tags(tags, "instance"), **more
        )
        return answer["Instances"][0]["InstanceId"]

    def image(self, tags=OURS, snapshot_tags=None, name: str = "web-1.0-1") -> tuple[str, str]:
        """An image and its snapshot."""
        image = self.server.image(name, dict(tags))
        snapshot = self.server.ec2.amis[image].record.snapshot_id
        if snapshot_tags is not None:
            self.cloud.ec2.delete_tags(Resources=[snapshot], Tags=[{"Key": key} for key in tags])
            for key, value in snapshot_tags.items():
                self.retag(snapshot, key, value)
        return image, snapshot

    def volume(self, tags=OURS) -> str:
        answer = self.cloud.ec2.create_volume(
            AvailabilityZone=f"{REGION}a", Size=1, TagSpecifications=self.tags(tags, "volume")
        )
        return answer["VolumeId"]

    def object(self, key: str) -> str:
        bucket = "test-overlays"
        self.cloud.environment = replace(self.cloud.environment, storage=f"s3://{bucket}/prefix", expiry=3600)
        if bucket not in self.server.s3.buckets:
            self.cloud.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.cloud.s3.put_object(Bucket=bucket, Key=key, Body=b"overlay")
        return f"{bucket}/{key}"

    def plan(self, now: datetime = NOW, **options) -> list[gc.Leftover]:
        return gc.plan(self.cloud, now, **options)

    def doomed(self, **options) -> list[str]:
        return [each.id for each in self.plan(**options) if not each.left_alone]

    def sweep(self, leftovers=None) -> dict[str, str]:
        outcomes = gc.sweep(self.cloud, self.plan() if leftovers is None else leftovers, Progress())
        return {outcome.leftover.id: outcome.text for outcome in outcomes}

    def retag(self, resource: str, key: str, value: str) -> None:
        self.cloud.ec2.create_tags(Resources=[resource], Tags=[{"Key": key, "Value": value}])


@pytest.fixture
def left(server, cloud) -> Left:
    return Left(server, cloud)


def test_nothing_is_left_of_nothing(left):
    assert left.plan() == []


def test_all_that_has_outlived_its_expiry_goes_in_an_order_that_works(left, server):
    instance, (image, snapshot), volume = left.instance(), left.image(), left.volume()
    plan = left.plan()
    assert [(each.kind, each.id) for each in plan] == [
        ("instance", instance),
        ("image", image),
        ("snapshot", snapshot),
        ("volume", volume),
    ]
    assert left.sweep(plan) == {instance: "terminated", image: "deregistered", snapshot: "deleted", volume: "deleted"}
    server.assert_nothing_is_left()
    assert volume not in server.ec2.volumes


def test_a_plan_changes_nothing(left, server):
    left.instance()
    left.image()
    left.volume()
    left.plan()
    assert (len(server.instances), len(server.images), len(server.snapshots)) == (1, 1, 1)


def test_a_second_sweep_finds_nothing(left):
    left.instance()
    left.image()
    left.sweep()
    assert left.plan() == []


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"jenkins-ami:build": "b1"},
        {"jenkins-ami:expires": PAST},
        {"jenkins-ami:build": "b1", "jenkins-ami:expires": FUTURE},
        {"Name": "web", "Version": "1.0", "Build": "1"},
    ],
    ids=["no tags", "no expiry", "no build", "not expired", "of the scripts before us"],
)
def test_what_is_not_ours_or_not_expired_is_not_even_in_the_plan(left, tags):
    left.instance(tags)
    left.image(tags)
    left.volume(tags)
    assert left.plan() == []


def test_an_image_that_is_finished_stays_with_its_snapshots_whatever_its_expiry(left):
    left.image({**OURS, "jenkins-ami:input": "d" * 64})
    assert left.plan() == []


def test_a_snapshot_without_the_mark_stays_as_long_as_an_image_uses_it(left):
    image, snapshot = left.image({**OURS, "jenkins-ami:input": "d" * 64}, snapshot_tags=OURS)
    (leftover,) = left.plan()
    assert (leftover.id, leftover.left_alone) == (snapshot, f"image {image} uses it")
    assert left.sweep() == {}


@pytest.mark.parametrize("text", ["soon", "", "2026-01-01T00:00:00", "2026-13-01T00:00:00+00:00"])
def test_an_expiry_that_is_no_time_is_told_and_not_touched(left, server, text):
    instance = left.instance({**OURS, "jenkins-ami:expires": text})
    (leftover,) = left.plan()
    assert (leftover.id, leftover.left_alone) == (instance, f"its tag 'jenkins-ami:expires' is no time: '{text}'")
    assert left.sweep() == {}
    assert len(server.instances) == 1


def test_an_expiry_may_be_in_any_time_zone(left):
    left.instance({**OURS, "jenkins-ami:expires": f"{NOW:%Y-%m-%dT%H:%M:%S}-11:00"})
    assert left.plan() == []
    instance = left.instance({**OURS, "jenkins-ami:expires": f"{NOW:%Y-%m-%dT%H:%M:%S}+11:00"})
    assert left.doomed() == [instance]


def test_only_what_is_old_enough_is_asked_for(left):
    instance = left.instance()
    assert left.doomed(older_than=timedelta(days=1)) == []
    assert left.doomed(now=NOW + timedelta(days=2), older_than=timedelta(days=1)) == [instance]


def test_a_volume_that_goes_with_its_instance_is_left_to_that(left, server):
    instance = left.instance()
    (volume,) = [each.id for each in server.ec2.volumes.values() if each.attachment]
    for key, value in OURS.items():
        left.retag(volume, key, value)
    assert left.doomed() == [instance]


def test_a_volume_that_stays_behind_its_instance_goes_after_it(left, server):
    (base,) = left.cloud.ec2.describe_images(ImageIds=[left.base])["Images"]
    keep = {"DeviceName": base["RootDeviceName"], "Ebs": {"DeleteOnTermination": False}}
    instance = left.instance(BlockDeviceMappings=[keep])
    (volume,) = [each.id for each in server.ec2.volumes.values() if each.attachment]
    for key, value in OURS.items():
        left.retag(volume, key, value)
    assert left.doomed() == [instance, volume]
    left.sweep()
    assert volume not in server.ec2.volumes


def test_a_volume_on_an_instance_that_stays_is_left_alone(left, server):
    left.instance({})
    (volume,) = [each.id for each in server.ec2.volumes.values() if each.attachment]
    for key, value in OURS.items():
        left.retag(volume, key, value)
    assert left.plan() == []


def test_tags_are_read_again_just_before_the_end(left, server):
    instance, (image, snapshot) = left.instance(), left.image()
    plan = left.plan()
    left.retag(instance, "jenkins-ami:expires", FUTURE)
    for resource in (image, snapshot):
        left.retag(resource, "jenkins-ami:input", "d" * 64)
    assert left.sweep(plan) == dict.fromkeys((instance, image, snapshot), "stays: its tags have changed meanwhile")
    assert (len(server.instances), len(server.images)) == (1, 1)


def test_what_another_sweep_ended_is_no_failure(left):
    instance, (image, snapshot) = left.instance(), left.image()
    plan = left.plan()
    left.sweep(plan)
    assert left.sweep(plan) == dict.fromkeys((instance, image, snapshot), "was gone already")


def test_a_failure_is_told_and_the_rest_goes_on(left, server):
    first, second, (image, snapshot) = left.instance(), left.instance(), left.image()
    plan = left.plan()
    server.refuse("terminate_instances", "OperationNotPermitted", "It is protected")
    outcomes = gc.sweep(left.cloud, plan, Progress())
    failed = [outcome for outcome in outcomes if outcome.error]
    assert [outcome.leftover.kind for outcome in failed] == ["instance"]
    assert str(failed[0].error) == "the cloud refused TerminateInstances: It is protected [OperationNotPermitted]"
    (alive,) = server.instances
    assert alive.id in (first, second)
    assert {outcome.leftover.id for outcome in outcomes if not outcome.error} >= {image, snapshot}


def test_what_cannot_be_looked_at_is_told_and_the_rest_is_planned(left, server):
    instance = left.instance()
    left.volume()
    told = []
    server.refuse("describe_volumes", "UnauthorizedOperation", "No")
    assert left.doomed(tell=told.append) == [instance]
    (text,) = told
    assert text.startswith("volumes in eu-central-1 are not looked at: the cloud refused DescribeVolumes: No")


def test_another_refusal_ends_the_plan(left, server):
    server.refuse("describe_volumes", "InvalidParameterValue", "No")
    with pytest.raises(CloudError, match="DescribeVolumes"):
        left.plan()


# Objects

KEY = f"prefix/{'a' * 64}/{HEX}.tgz"
LATER = NOW + timedelta(hours=2)


def test_an_old_overlay_in_storage_goes(left, server):
    name = left.object(KEY)
    assert left.doomed() == []  # it is younger than the environment's expiry
    plan = left.plan(LATER)
    assert [each.id for each in plan] == [name]
    outcomes = gc.sweep(left.cloud, plan, Progress(), now=lambda: LATER)
    assert [outcome.text for outcome in outcomes] == ["deleted"]
    assert name not in server.objects


@pytest.mark.parametrize(
    "key",
    [
        f"other/{'a' * 64}/{HEX}.tgz",
        f"{'a' * 64}/{HEX}.tgz",
        f"prefix/{'a' * 63}/{HEX}.tgz",
        f"prefix/{'a' * 64}/{HEX}0.tgz",
        f"prefix/more/{'a' * 64}/{HEX}.tgz",
        f"prefix/{'a' * 64}/{HEX}.tgz/more",
        "prefix/readme.txt",
    ],
)
def test_an_object_of_another_form_or_place_is_not_ours(left, key):
    left.object(key)
    assert left.plan(LATER) == []


def test_the_overlay_of_a_build_that_still_runs_stays(left):
    name = left.object(KEY)
    left.object(KEY.replace(HEX, OTHER_HEX))
    left.instance({"jenkins-ami:build": OTHER_HEX, "jenkins-ami:expires": (LATER + timedelta(hours=1)).isoformat()})
    assert [each.id for each in left.plan(LATER)] == [name]


def test_a_bucket_that_is_not_there_holds_nothing(left):
    left.cloud.environment = replace(left.cloud.environment, storage="s3://test-nowhere")
    assert left.plan(LATER) == []


def test_an_object_that_was_put_there_again_stays(left):
    name = left.object(KEY)
    plan = left.plan(LATER)
    left.object(KEY)
    assert left.sweep(plan) == {name: "is gone, or used again"}


# Spot requests


def test_a_spot_request_is_cancelled_before_its_instance_goes(left):
    answer = left.cloud.ec2.run_instances(
        ImageId=left.base,
        MinCount=1,
        MaxCount=1,
        InstanceMarketOptions={"MarketType": "spot"},
        TagSpecifications=left.tags(OURS, "instance", "spot-instances-request"),
    )
    (instance,) = answer["Instances"]
    request = instance["SpotInstanceRequestId"]
    assert [(each.kind, each.id) for each in left.plan()] == [
        ("spot request", request),
        ("instance", instance["InstanceId"]),
    ]
    assert left.sweep() == {request: "cancelled", instance["InstanceId"]: "terminated"}
    assert left.plan() == []


def test_more_than_a_page_is_found(left, server, monkeypatch):
    monkeypatch.setattr(tagged, "PAGE", 5)
    made = {left.instance() for _ in range(12)}
    assert set(left.doomed()) == made
