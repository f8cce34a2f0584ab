"""What may go, and its going. The rules alone are pure; the rest is against the endpoint of tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jenkins_ami.artifacts import Retention
from jenkins_ami.distribute import images as own_images
from jenkins_ami.distribute import retention, usage
from jenkins_ami.distribute.images import Image
from jenkins_ami.progress import Progress
from tests.cloud.server import REGION

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NEWEST = Retention(images=1)


def image(version: str, number: int, days: float, **more) -> Image:
    """An image of ``web`` that is so many days old."""
    created = (NOW - timedelta(days=days)).isoformat()
    label = f"web-{version}-{number}"
    return Image(f"ami-{version}-{number}", REGION, label, "web", version, number, created, **more)


def series() -> list[Image]:
    """Two versions, ten to one days old."""
    return [
        image("1.9", 1, 10),
        image("1.9", 2, 8),
        image("1.10", 1, 6),
        image("1.10", 2, 4),
        image("1.9", 3, 2),
        image("2.0", 1, 1),
    ]


def kept(rules: Retention, images: list[Image] | None = None) -> list[str]:
    found = retention.kept_by_rules(images or series(), rules, NOW)
    return [each.label.removeprefix("web-") for each in images or series() if each.image_id in found]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (Retention(images=1), ["2.0-1"]),
        (Retention(images=3), ["1.10-2", "1.9-3", "2.0-1"]),
        (Retention(images=100), ["1.9-1", "1.9-2", "1.10-1", "1.10-2", "1.9-3", "2.0-1"]),
        (Retention(days=5), ["1.10-2", "1.9-3", "2.0-1"]),
        (Retention(days=0), []),
        (Retention(versions=1), ["2.0-1"]),
        (Retention(versions=2), ["1.10-2", "2.0-1"]),
        (Retention(versions=3), ["1.10-2", "1.9-3", "2.0-1"]),
        (Retention(images=1, days=3), ["1.9-3", "2.0-1"]),
        (Retention(versions=2, days=3), ["1.10-2", "1.9-3", "2.0-1"]),
    ],
    ids=str,
)
def test_an_image_stays_that_any_rule_keeps(rules, expected):
    assert kept(rules) == expected


def test_an_image_of_exactly_so_many_days_is_not_younger():
    assert kept(Retention(days=4)) == ["1.9-3", "2.0-1"]


UNFINISHED = {"tags": {"jenkins-ami:build": "b1"}}


@pytest.mark.parametrize("more", [{"state": "pending"}, {"state": "failed"}, UNFINISHED], ids=str)
def test_an_image_that_is_not_done_is_not_counted(more):
    assert kept(Retention(images=1), [*series(), image("2.0", 2, 0.5, **more)]) == ["2.0-1"]


# The plan


def decided(images: list[Image], rules: Retention = NEWEST, *names: str, **more) -> dict[str, str]:
    """What a plan says of each image."""
    verdicts = retention.candidates(images, rules, names, NOW)
    plan = retention.settle(verdicts, images, more.pop("used", {REGION: usage.Usage()}), **more)
    return {each.image.image_id: f"{each.action}: {'; '.join(each.reasons)}" for each in plan.verdicts}


def test_what_no_rule_keeps_goes():
    assert decided([image("1.0", 1, 2), image("1.0", 2, 1)]) == {
        "ami-1.0-1": "prune: no rule keeps it",
        "ami-1.0-2": "keep: the newest; the newest finished one of its name",
    }


def test_the_newest_finished_image_stays_whatever_the_rules_say():
    found = decided([image("1.0", 1, 9), image("1.0", 2, 8), image("1.0", 3, 7, **UNFINISHED)], Retention(days=1))
    assert found["ami-1.0-2"] == "keep: the newest finished one of its name"


def test_the_highest_version_stays_since_a_base_by_name_means_it():
    found = decided([image("2.0", 1, 9), image("1.9", 1, 8), image("1.9", 2, 1)])
    assert found["ami-2.0-1"] == "keep: the highest version of its name"
    assert found["ami-1.9-1"] == "prune: no rule keeps it"


def test_each_architecture_has_its_highest_version():
    arm = image("1.0", 1, 9, architecture="arm64")
    found = decided([arm, image("1.0", 2, 1, architecture="x86_64")])
    assert found[arm.image_id] == "keep: the highest version of its name"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"protected": True}, "protected against deregistration"),
        ({"state": "pending"}, "it is pending"),
        (UNFINISHED, "not finished: its build may go on, 'jenkins-ami gc' sweeps it when it has not"),
    ],
)
def test_some_stay_for_what_they_are(more, why):
    assert decided([image("1.0", 1, 9, **more), image("1.0", 2, 1)])["ami-1.0-1"] == f"keep: {why}"


def test_an_image_that_failed_goes_although_a_rule_would_keep_it():
    found = decided([image("1.0", 1, 9), image("1.0", 2, 1, state="failed")], Retention(days=5))
    assert found["ami-1.0-2"] == "prune: it is failed"


def test_each_name_and_region_is_a_series_of_its_own():
    away = replace(image("1.0", 1, 9), image_id="ami-away", region="eu-west-1")
    other = replace(image("1.0", 1, 9), image_id="ami-api", name="api")
    found = decided([away, other, image("1.0", 2, 1)], used={})
    assert [text.split(":")[0] for text in found.values()] == ["keep", "keep", "keep"]


def test_other_names_than_those_asked_for_and_foreign_images_are_no_matter():
    images = [image("1.0", 1, 9), image("1.0", 2, 1), replace(image("1.0", 1, 9), image_id="ami-x", name="")]
    assert decided(images, NEWEST, "api") == {}
    assert set(decided(images, Retention(images=1))) == {"ami-1.0-1", "ami-1.0-2"}


def test_an_image_in_use_stays():
    used = {REGION: usage.Usage({"ami-1.0-1": ("instance i-1 (running)", "SSM parameter /web")})}
    found = decided([image("1.0", 1, 2), image("1.0", 2, 1)], used=used)
    assert found["ami-1.0-1"] == "keep: used by instance i-1 (running); used by SSM parameter /web"


def based(one: Image, base: str, **tags: str) -> Image:
    return replace(one, tags={"jenkins-ami:base": base, **tags})


def test_what_an_image_that_stays_was_made_from_stays_near_and_far():
    images = [
        image("1.0", 1, 9),
        based(image("1.0", 2, 8), "ami-1.0-1"),
        based(image("1.0", 3, 7), "ami-1.0-2"),
        based(image("1.0", 4, 6), "ami-1.0-2"),
    ]
    assert decided(images) == {
        "ami-1.0-1": "keep: ami-1.0-2 was made from it",
        "ami-1.0-2": "keep: ami-1.0-4 was made from it",
        "ami-1.0-3": "prune: no rule keeps it",
        "ami-1.0-4": "keep: the newest; the newest finished one of its name",
    }


def test_an_image_of_another_name_keeps_what_it_was_made_from():
    shop = replace(based(image("1.0", 7, 1), "ami-1.0-1"), image_id="ami-shop", name="shop")
    found = decided([image("1.0", 1, 9), image("1.0", 2, 1), shop], NEWEST, "web")
    assert found["ami-1.0-1"] == "keep: ami-shop was made from it"


def test_an_image_that_goes_keeps_nothing():
    images = [image("1.0", 1, 9), based(image("1.0", 2, 8), "ami-1.0-1"), image("1.0", 3, 1)]
    found = decided(images)
    assert (found["ami-1.0-1"], found["ami-1.0-2"]) == ("prune: no rule keeps it",) * 2


def test_an_image_that_stays_for_its_use_keeps_its_ancestors():
    images = [image("1.0", 1, 9), based(image("1.0", 2, 8), "ami-1.0-1"), image("1.0", 3, 1)]
    used = {REGION: usage.Usage({"ami-1.0-2": ("instance i-1 (stopped)",)})}
    assert decided(images, used=used)["ami-1.0-1"] == "keep: ami-1.0-2 was made from it"


@pytest.mark.parametrize(("state", "action"), [("pending", "keep"), ("available", "prune")])
def test_an_original_stays_as_long_as_it_is_being_copied(state, action):
    tags = {"jenkins-ami:copy-of": f"{REGION}/ami-1.0-1"}
    copy = replace(image("1.0", 1, 0.1), image_id="ami-copy", region="eu-west-1", state=state, tags=tags)
    found = decided([image("1.0", 1, 9), image("1.0", 2, 1), copy], used={})
    assert found["ami-1.0-1"].startswith(action)


def test_nothing_goes_while_a_kind_of_user_is_not_known():
    used = {REGION: usage.Usage({}, {"ssm-parameter": "ssm:DescribeParameters"})}
    images = [image("1.0", 1, 2), image("1.0", 2, 1)]
    assert decided(images, used=used)["ami-1.0-1"] == "keep: whether an SSM parameter uses it is not known"
    assert decided(images, used=used, unchecked=["ssm-parameter"])["ami-1.0-1"] == "prune: no rule keeps it"


def test_a_plan_says_of_each_image_why_and_ends_with_a_summary():
    images = [
        image("1.0", 1, 2, size=8, snapshots=("snap-1",)),
        image("1.0", 2, 1, size=8, snapshots=("snap-2",)),
    ]
    verdicts = retention.candidates(images, Retention(images=1), [], NOW)
    assert retention.as_text(retention.settle(verdicts, images, {})) == [
        "- web-1.0-1  ami-1.0-1  eu-central-1  2026-05-30  prune: no rule keeps it",
        "  web-1.0-2  ami-1.0-2  eu-central-1  2026-05-31  keep: the newest; the newest finished one of its name",
        "Plan: 1 to prune with 1 snapshot of 8 GiB, 1 to keep.",
    ]


# Against the endpoint


class Shelf:
    """Images of ``web``, a day apart."""

    def __init__(self, server, cloud) -> None:
        self.server, self.cloud = server, cloud
        self.ids = [self.add(number) for number in range(1, 4)]

    def add(self, number: int, **more) -> str:
        tags = {
            "jenkins-ami:name": "web",
            "jenkins-ami:version": "1.0",
            "jenkins-ami:number": str(number),
            "jenkins-ami:build": f"b{number}",
            "jenkins-ami:input": "f00d",
        }
        return self.server.image(f"web-1.0-{number}", tags, created=f"2026-01-{number:02}T00:00:00.000Z", **more)

    def plan(self, rules: Retention = NEWEST, **more) -> retention.Plan:
        return retention.plan({REGION: own_images.own(self.cloud)}, {REGION: self.cloud}, rules, **more)

    def prune(self, plan: retention.Plan, **more) -> list[retention.Outcome]:
        return retention.prune(plan.doomed, {REGION: self.cloud}, Progress(), **more)

    @property
    def there(self) -> list[str]:
        return sorted(image.name for image in self.server.images)


@pytest.fixture
def shelf(server, cloud) -> Shelf:
    return Shelf(server, cloud)


def texts(outcomes: list[retention.Outcome]) -> list[str]:
    return [outcome.text for outcome in outcomes]


def test_images_go_with_their_snapshots(shelf, server):
    plan = shelf.plan()
    assert [image.label for image in plan.doomed] == ["web-1.0-1", "web-1.0-2"]
    outcomes = shelf.prune(plan)
    assert texts(outcomes) == ["deregistered with 1 snapshot"] * 2
    assert shelf.there == ["web-1.0-3"]
    assert len(server.snapshots) == 1
    assert shelf.plan().doomed == []


def test_a_plan_changes_nothing(shelf):
    shelf.plan()
    assert shelf.there == ["web-1.0-1", "web-1.0-2", "web-1.0-3"]


def test_every_kind_of_user_keeps_an_image(shelf, cloud):
    first, second, _ = shelf.ids
    cloud.ec2.run_instances(ImageId=first, MinCount=1, MaxCount=1)
    cloud.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": second})
    assert shelf.plan().doomed == []


def test_a_snapshot_that_another_image_uses_stays_and_is_told(shelf, server, cloud):
    (snapshot,) = next(image for image in own_images.own(cloud) if image.number == 1).snapshots
    cloud.ec2.register_image(
        Name="other",
        RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}],
    )
    outcomes = shelf.prune(shelf.plan(Retention(images=2)))
    assert texts(outcomes) == [f"deregistered; {snapshot} stays, another image uses it"]
    assert (outcomes[0].gone, outcomes[0].error) == (True, None)
    assert snapshot in server.ec2.snapshots


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda cloud, image: cloud.ec2.disable_image(ImageId=image), "stays: it is disabled meanwhile"),
        (
            lambda cloud, image: cloud.ec2.enable_image_deregistration_protection(ImageId=image),
            "stays: it is protected meanwhile",
        ),
        (
            lambda cloud, image: cloud.ec2.create_tags(Resources=[image], Tags=[{"Key": "keep", "Value": "me"}]),
            "stays: its tags have changed meanwhile",
        ),
        (lambda cloud, image: cloud.ec2.deregister_image(ImageId=image), "was gone already"),
        (
            lambda cloud, image: cloud.ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1),
            "stays: used by instance",
        ),
        (
            lambda cloud, image: cloud.ec2.create_launch_template(
                LaunchTemplateName="web", LaunchTemplateData={"ImageId": image}
            ),
            "stays: used by launch template web",
        ),
    ],
    ids=["disabled", "protected", "tagged", "gone", "launched", "in a template"],
)
def test_an_image_is_looked_at_once_more_before_it_goes(shelf, cloud, change, said):
    plan = shelf.plan(Retention(images=2))
    change(cloud, shelf.ids[0])
    (outcome,) = shelf.prune(plan)
    assert outcome.text.startswith(said)
    assert outcome.error is None


def test_an_instance_that_is_launched_between_two_images_keeps_the_second(shelf, server, cloud):
    plan = shelf.plan()
    launched = []

    def launch():
        if not launched:
            launched.append(1)
            server.before.clear()
            cloud.ec2.run_instances(ImageId=shelf.ids[0], MinCount=1, MaxCount=1)

    server.before["deregister_image"] = launch
    first, second = shelf.prune(plan)
    assert first.gone
    assert second.text.startswith("stays: used by instance")


def test_what_an_image_that_stays_after_all_was_made_from_stays_too(shelf, cloud):
    first, second, _ = shelf.ids
    cloud.ec2.create_tags(Resources=[second], Tags=[{"Key": "jenkins-ami:base", "Value": first}])
    plan = shelf.plan()
    cloud.ec2.run_instances(ImageId=second, MinCount=1, MaxCount=1)
    outcomes = {outcome.image.image_id: outcome.text for outcome in shelf.prune(plan)}
    assert outcomes[second].startswith("stays: used by instance")
    assert outcomes[first] == f"stays: {second} was made from it"
    assert len(shelf.there) == 3


@pytest.mark.parametrize("code", ["InternalError", "RequestLimitExceeded"])
def test_a_lost_answer_leaves_no_snapshot_behind(shelf, server, code):
    """botocore asks again, and the image is gone by then."""
    plan = shelf.plan(Retention(images=2))
    server.lose("deregister_image", code)
    assert texts(shelf.prune(plan)) == ["deregistered with 1 snapshot"]
    assert len(server.snapshots) == 2


def test_one_failure_does_not_keep_the_rest_from_going(shelf, server):
    plan = shelf.plan()
    server.refuse("deregister_image", "UnauthorizedOperation", "Not you")
    first, second = shelf.prune(plan)
    assert (first.text, first.gone) == ("could not be deregistered", False)
    assert str(first.error) == "the cloud refused DeregisterImage: Not you [UnauthorizedOperation]"
    assert second.text == "deregistered with 1 snapshot"
    assert shelf.there == ["web-1.0-2", "web-1.0-3"]


def test_a_right_that_is_lost_meanwhile_keeps_all(shelf, server):
    plan = shelf.plan(Retention(images=2))
    server.refuse("describe_launch_templates", "UnauthorizedOperation", "Not you")
    (outcome,) = shelf.prune(plan)
    assert str(outcome.error) == "whether a launch template uses it is not known any more"
    assert shelf.there == ["web-1.0-1", "web-1.0-2", "web-1.0-3"]


def test_without_a_right_nothing_goes_and_the_right_is_named(shelf, server):
    server.refuse("describe_launch_templates", "UnauthorizedOperation", "Not you")
    plan = shelf.plan()
    assert (plan.doomed, plan.unchecked) == ([], {"launch-template": "ec2:DescribeLaunchTemplates"})
    assert retention.as_text(plan)[-2:] == [
        "Nothing goes: without the right ec2:DescribeLaunchTemplates it is not known what a launch template uses.",
        "Plan: 0 to prune, 3 to keep.",
    ]


def test_a_kind_that_may_be_left_out_is_not_asked_for(shelf, server):
    server.refuse("describe_launch_templates", "UnauthorizedOperation", "Not you")
    assert len(shelf.plan(unchecked=[usage.TEMPLATE]).doomed) == 2


class Silent:
    """DeregisterImage of an endpoint that leaves snapshots alone and does not mention them."""

    def __init__(self, client) -> None:
        self._client = client

    def __getattr__(self, name: str):
        return getattr(self._client, name)

    def deregister_image(self, *, ImageId: str, DeleteAssociatedSnapshots: bool):
        assert DeleteAssociatedSnapshots
        return self._client.deregister_image(ImageId=ImageId)


def test_at_an_endpoint_that_leaves_snapshots_alone_they_are_deleted_after_the_image(shelf, server, cloud):
    plan = shelf.plan()
    cloud.ec2 = Silent(cloud.ec2)
    assert texts(shelf.prune(plan)) == ["deregistered with 1 snapshot"] * 2
    assert len(server.snapshots) == 1
