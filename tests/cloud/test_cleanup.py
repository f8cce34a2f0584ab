from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jenkins_ami.cloud.cleanup import end_all
from jenkins_ami.cloud.ledger import Ledger, Scope, read
from jenkins_ami.cloud.session import Cloud
from jenkins_ami.progress import Progress

from .conftest import FAST
from .server import ACCOUNT


class Build:
    """Half a build: asks for things as a build does, and forgets about them."""

    def __init__(self, server, cloud: Cloud, path: Path) -> None:
        self.server, self.cloud, self.path = server, cloud, path
        self.base = server.base()
        with Ledger(path) as ledger:
            ledger.begin(Scope.of(cloud.environment, "b1", ACCOUNT))

    def tags(self, *kinds: str, build: str = "b1"):
        return [{"ResourceType": kind, "Tags": [{"Key": "jenkins-ami:build", "Value": build}]} for kind in kinds]

    def note(self, kind: str, key: str, *ids: str) -> None:
        with Ledger(self.path) as ledger:
            ledger._scope = Scope.of(self.cloud.environment, "b1", ACCOUNT)
            entry = ledger.intent(kind, key)
            if ids:
                ledger.created(entry, *ids)

    def instance(self, build: str = "b1") -> str:
        answer = self.cloud.ec2.run_instances(
            ImageId=self.base, MinCount=1, MaxCount=1, TagSpecifications=self.tags("instance", build=build)
        )
        return answer["Instances"][0]["InstanceId"]

    def image(self, name: str, instance: str, build: str = "b1") -> str:
        answer = self.cloud.ec2.create_image(
            Name=name, InstanceId=instance, TagSpecifications=self.tags("image", "snapshot", build=build)
        )
        return answer["ImageId"]

    def clean(self):
        with Ledger(self.path) as ledger:
            return end_all(ledger, ledger.open_entries(), lambda _: self.cloud, Progress())


@pytest.fixture
def half(server, cloud, tmp_path) -> Build:
    return Build(server, cloud, tmp_path / "ledger.jsonl")


def test_an_instance_is_ended_by_its_id(half, server):
    half.note("instance", "b1-0", half.instance())
    assert [outcome.text for outcome in half.clean()] == ["terminated"]
    assert not server.instances


def test_an_instance_whose_id_never_came_is_found_by_the_builds_tag(half, server):
    half.note("instance", "b1-0")
    half.instance()
    assert [outcome.text for outcome in half.clean()] == ["terminated"]
    assert not server.instances


def test_an_instance_that_appears_late_is_waited_for(half, server):
    """The call was under way when its process was killed."""
    half.cloud.environment = replace(half.cloud.environment, pace=replace(FAST, settle=60))
    half.note("instance", "b1-0")
    looks = []

    def appear():
        looks.append(1)
        if len(looks) == 3:
            half.instance()

    server.before["describe_instances"] = appear
    assert [outcome.text for outcome in half.clean()] == ["terminated"]
    assert len(looks) >= 3
    assert not server.instances


def test_an_instance_that_never_was_is_settled(half):
    half.note("instance", "b1-0")
    assert [outcome.text for outcome in half.clean()] == ["was never made"]
    assert half.clean() == []


def test_another_builds_instance_lives_on(half, server):
    half.note("instance", "b1-0")
    half.instance(build="b2")
    half.clean()
    assert len(server.instances) == 1


def test_an_image_and_its_snapshots_go_together(half, server):
    instance = half.instance()
    half.note("instance", "b1-0", instance)
    half.note("snapshot", "b1")
    half.note("image", "web-1.0-1", half.image("web-1.0-1", instance))
    outcomes = {outcome.entry.kind: outcome.text for outcome in half.clean()}
    assert outcomes == {"instance": "terminated", "image": "deregistered", "snapshot": "deleted"}
    server.assert_nothing_is_left()


def test_a_snapshot_without_the_tag_is_found_through_its_image(half, server):
    half.note("snapshot", "b1")
    half.note("image", "web-1.0-1", half.image("web-1.0-1", half.instance()))
    (snapshot,) = server.snapshots
    server.ec2.delete_tags([snapshot.id], {"jenkins-ami:build": None})
    half.clean()
    assert (server.images, server.snapshots) == ([], [])


def test_the_snapshots_are_in_the_ledger_before_their_image_goes(half, server):
    half.note("snapshot", "b1")
    half.note("image", "web-1.0-1", half.image("web-1.0-1", half.instance()))
    seen = []
    server.before["deregister_image"] = lambda: seen.extend(read(half.path))
    half.clean()
    (entry,) = [entry for entry in seen if entry.kind == "snapshot"]
    assert len(entry.ids) == 1


def test_an_image_of_the_same_name_that_another_build_made_lives_on(half, server):
    half.note("snapshot", "b1")
    half.note("image", "web-1.0-1")
    half.image("web-1.0-1", half.instance(), build="b2")
    half.clean()
    assert len(server.images) == 1
    assert len(server.snapshots) == 1


def test_a_snapshot_that_its_image_still_holds_is_tried_again(half, server):
    half.note("snapshot", "b1")
    half.note("image", "web-1.0-1", half.image("web-1.0-1", half.instance()))
    server.refuse("delete_snapshot", "InvalidSnapshot.InUse")
    half.clean()
    assert server.snapshots == []


def test_what_is_gone_already_is_fine(half, server, cloud):
    instance = half.instance()
    image = half.image("web-1.0-1", instance)
    (snapshot,) = server.snapshots
    cloud.ec2.deregister_image(ImageId=image)
    cloud.ec2.delete_snapshot(SnapshotId=snapshot.id)
    half.note("instance", "b1-0", "i-0123456789abcdef0")
    half.note("image", "web-1.0-1", image)
    half.note("snapshot", "b1", snapshot.id)
    half.note("object", "test-none/key", "s3://test-none/key")
    outcomes = half.clean()
    assert [outcome.text for outcome in outcomes] == [*["was gone already"] * 3, "deleted"]
    assert not [outcome for outcome in outcomes if outcome.error]


def test_what_cannot_be_ended_stays_open_and_the_rest_is_ended(half, server):
    instance = half.instance()
    half.note("instance", "b1-0", instance)
    half.note("snapshot", "b1")
    half.note("image", "web-1.0-1", half.image("web-1.0-1", instance))
    server.refuse("terminate_instances", "UnauthorizedOperation")
    errors = {outcome.entry.kind: outcome.error for outcome in half.clean()}
    assert errors["instance"].code == "UnauthorizedOperation"
    assert (errors["image"], errors["snapshot"]) == (None, None)
    assert (server.images, server.snapshots) == ([], [])
    assert [outcome.text for outcome in half.clean()] == ["terminated"]


def test_another_accounts_credentials_prove_nothing(half, server):
    half.note("instance", "b1-0", half.instance())
    half.path.write_text(half.path.read_text().replace(ACCOUNT, "999999999999"))
    (outcome,) = half.clean()
    assert outcome.error.code == "WrongAccount"
    assert len(server.instances) == 1
    assert read(half.path)[0].open


def test_an_images_result_file_goes_with_it(half, tmp_path):
    (tmp_path / "ami.json").write_text("{}")
    (tmp_path / "ami.env").write_text("")
    half.note("snapshot", "b1")
    half.note("image", "web-1.0-1", half.image("web-1.0-1", half.instance()))
    half.clean()
    assert not (tmp_path / "ami.json").exists()
    assert not (tmp_path / "ami.env").exists()


# The command


def test_cleanup_takes_the_file_or_its_folder_as_often_as_one_likes(half, server, cli):
    half.note("instance", "b1-0", instance := half.instance())
    assert cli("cleanup", half.path.parent) == 0
    assert cli.out == f"instance {instance}: terminated\n"
    assert not server.instances
    for _ in range(2):
        assert cli("cleanup", half.path) == 0
        assert cli.out == "Nothing is left of any build\n"


def test_cleanup_as_json(half, cli):
    half.note("instance", "b1-0", instance := half.instance())
    assert cli("cleanup", "--json", half.path) == 0
    assert json.loads(cli.out) == {
        "ended": [{"kind": "instance", "key": "b1-0", "ids": [instance], "outcome": "terminated"}]
    }


def test_cleanup_that_is_refused_exits_with_the_clouds_error(half, server, cli):
    half.note("instance", "b1-0", half.instance())
    server.refuse("terminate_instances", "UnauthorizedOperation")
    assert cli("cleanup", half.path) == 7
    assert "the cloud refused TerminateInstances" in cli.error
    assert "may still exist" in cli.err


@pytest.mark.parametrize("name", ["none", "none/ledger.jsonl"])
def test_cleanup_without_a_ledger(cli, tmp_path, name):
    assert cli("cleanup", tmp_path / name) == 2
    assert cli.error.startswith("there is no ledger")
    assert list(tmp_path.iterdir()) == []


def test_cleanup_of_a_folder_without_a_ledger(cli, tmp_path):
    assert cli("cleanup", tmp_path) == 2
    assert not (tmp_path / "ledger.jsonl").exists()
