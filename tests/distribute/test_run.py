"""Distribution from end to end: what is in each region afterwards, what a second run does, what one failure does."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from jenkins_ami.artifacts import ImageRecord, ImageSettings, Sharing, read_build_result
from jenkins_ami.cloud.environments import Region
from jenkins_ami.cloud.ledger import read
from jenkins_ami.cloud.session import Cloud
from jenkins_ami.errors import CloudError, InputError
from tests.cloud.proxy import answer_lost, passed
from tests.cloud.server import REGION

EAST, WEST = "us-east-1", "us-west-2"
FRIEND = "111122223333"


def open_entries(built) -> list[str]:
    return [f"{entry.kind} {entry.key}" for entry in read(built.folder / "ledger.jsonl") if entry.open]


def refused(exchange) -> None:
    exchange.refuse(403, "UnauthorizedOperation", "You are not authorized to perform this operation")


# Copies


def test_a_copy_and_its_snapshot_carry_the_builds_tags_and_the_regions(built):
    built.settle(regions={EAST: Region(tags={"team": "us"})})
    built.distribute()
    (copy,), (snapshot,) = built.images(EAST), built.snapshots(EAST)
    assert (copy.name, copy.description) == ("web-1.4.0-3", "A web server")
    expected = {
        "Name": "web",
        "Version": "1.4.0",
        "Build": "3",
        "team": "us",
        "jenkins-ami:name": "web",
        "jenkins-ami:build": "b1",
        "jenkins-ami:input": "f00d",
        "jenkins-ami:copy-of": f"{REGION}/{built.image_id}",
    }
    assert built.tags(EAST, copy.id) == expected
    assert built.tags(EAST, snapshot.id) == expected


def test_until_it_is_available_a_copy_expires_and_is_not_finished(built, server):
    seen = []
    server.script.image_states = ["pending"] * 3
    server.before["describe_images"] = lambda: seen.extend(built.tags(EAST, each.id) for each in built.images(EAST))
    built.settle(regions={EAST: Region()})
    built.distribute()
    assert seen
    for tags in seen:
        assert datetime.fromisoformat(tags["jenkins-ami:expires"]) > datetime.now(UTC)
        assert "jenkins-ami:input" not in tags
        assert tags["jenkins-ami:build"] == "b1"


def key_in(region: str, built) -> str:
    with Cloud(built.environment.in_region(region)) as cloud:
        return cloud.kms.create_key()["KeyMetadata"]["Arn"]


def test_each_regions_copy_is_encrypted_with_its_own_key(built):
    keys = {region: key_in(region, built) for region in (EAST, WEST)}
    built.settle(encrypted=True, regions={region: Region(key) for region, key in keys.items()})
    result = built.distribute()
    assert result.failures == {}
    for region, key in keys.items():
        (snapshot,) = built.snapshots(region)
        assert (snapshot.encrypted, snapshot.kms_key_id) == (True, key)
        assert result.images[region].kms_key == key


def test_without_a_key_of_ones_own_a_copy_is_encrypted_with_the_accounts_default_key(built):
    built.settle(encrypted=True, regions={EAST: Region()})
    assert built.distribute().failures == {}
    (snapshot,) = built.snapshots(EAST)
    assert snapshot.encrypted
    assert built.result.images[EAST].kms_key == snapshot.kms_key_id


def test_what_the_accounts_default_key_encrypts_is_not_shared(built):
    built.settle(encrypted=True, regions={EAST: Region()}, share=Sharing(accounts=(FRIEND,)))
    result = built.distribute()
    assert result.failures.keys() == {EAST}
    assert "is encrypted with the account's default key, which nobody else may use" in result.failures[EAST]


def test_a_copy_that_is_not_encrypted_and_is_to_be_is_a_failure(built):
    built.settle(regions={EAST: Region()})
    built.distribute()
    built.settle(encrypted=True)
    assert f"the copy {built.result.images[EAST].image_id} is not encrypted" in built.distribute().failures[EAST]


def test_the_result_names_every_regions_image_and_is_on_disk(built):
    built.settle(regions={EAST: Region(), WEST: Region()})
    result = built.distribute()
    assert read_build_result(built.folder) == result
    for region in (EAST, WEST):
        (copy,), (snapshot,) = built.images(region), built.snapshots(region)
        assert result.images[region] == ImageRecord(copy.id, (snapshot.id,))
    assert (built.folder / "ami.env").read_text() == f"AMINAME=web-1.4.0-3\nAMIID={built.image_id}\n"


def test_copies_are_made_at_the_same_time(built):
    both = threading.Barrier(2, timeout=60)

    def together(exchange) -> None:
        both.wait()
        passed(exchange)

    built.proxy.on(together, action="CopyImage", times=2)
    built.settle(regions={EAST: Region(), WEST: Region()})
    assert built.distribute().failures == {}


def test_the_home_image_is_left_as_it_is(built):
    before = built.tags(REGION, built.image_id)
    built.settle(regions={EAST: Region()})
    changes = built.changes(built.distribute)
    assert built.tags(REGION, built.image_id) == before
    assert [change for change in changes if change.endswith(REGION)] == []


def test_regions_of_the_ami_source_count_as_well(built):
    built.result = replace(built.result, image=ImageSettings(regions=(EAST,)))
    built.settle(regions={WEST: Region()})
    assert sorted(built.distribute().images) == [REGION, EAST, WEST]


def test_without_settings_there_is_no_call(built):
    built.proxy.calls.clear()
    assert built.distribute().failures == {}
    assert built.proxy.calls == []


# Again


def everything(built, cloud) -> None:
    cloud.ec2.create_launch_template(
        LaunchTemplateName="web", LaunchTemplateData={"ImageId": "ami-00000000000000000", "InstanceType": "m5.large"}
    )
    built.settle(
        regions={EAST: Region(tags={"team": "us"}, ssm_parameter="/images/{name}"), WEST: Region()},
        share=Sharing(accounts=(FRIEND,)),
        deprecate_after=3650,
        protect=True,
        ssm_parameter="/images/{name}/{version}",
        launch_template="web",
    )


def test_a_second_run_changes_nothing(built, cloud):
    everything(built, cloud)
    assert built.distribute().failures == {}
    before = (built.folder / "ami.json").stat().st_mtime_ns, (built.folder / "ledger.jsonl").read_bytes()
    assert built.changes(built.distribute) == []
    assert built.result.failures == {}
    assert ((built.folder / "ami.json").stat().st_mtime_ns, (built.folder / "ledger.jsonl").read_bytes()) == before


def test_a_run_without_the_first_ones_folder_finds_the_copies(built, tmp_path):
    built.settle(regions={EAST: Region()})
    first = built.distribute().images[EAST]
    built.folder = tmp_path / "elsewhere"
    built.folder.mkdir()
    built.result = replace(built.result, images={REGION: built.result.images[REGION]})
    assert built.changes(built.distribute) == []
    assert built.result.images[EAST] == first


def test_what_was_added_since_is_done(built):
    built.settle(regions={EAST: Region()})
    built.distribute()
    built.settle(share=Sharing(accounts=(FRIEND,)), regions={EAST: Region(tags={"team": "us"})})
    assert built.changes(built.distribute) == [
        f"CreateTags {EAST}",
        f"ModifyImageAttribute {REGION}",
        f"ModifyImageAttribute {EAST}",
        f"ModifySnapshotAttribute {REGION}",
        f"ModifySnapshotAttribute {EAST}",
    ]
    assert built.tags(EAST, built.result.images[EAST].image_id)["team"] == "us"


# One region's failure


def test_one_regions_failure_is_told_and_leaves_the_others_alone(built):
    built.proxy.on(refused, action="CopyImage", region=EAST)
    built.settle(regions={EAST: Region(), WEST: Region()}, share=Sharing(accounts=(FRIEND,)))
    result = built.distribute()
    assert result.failures.keys() == {EAST}
    assert "the cloud refused CopyImage" in result.failures[EAST]
    assert sorted(result.images) == [REGION, WEST]
    assert built.images(EAST) == []
    assert open_entries(built) == []
    assert read_build_result(built.folder) == result


def test_a_region_can_be_retried_alone(built):
    built.proxy.on(refused, action="CopyImage", region=EAST)
    built.proxy.on(refused, action="CopyImage", region=WEST)
    built.settle(regions={EAST: Region(), WEST: Region()})
    built.distribute()
    changes = built.changes(lambda: built.distribute(EAST))
    assert {change.split()[1] for change in changes} == {EAST}
    assert built.result.failures.keys() == {WEST}
    assert built.distribute().failures == {}


def test_a_region_that_fails_late_keeps_its_copy_for_the_next_run(built):
    built.proxy.on(refused, action="ModifyImageAttribute", region=EAST)
    built.settle(regions={EAST: Region()}, share=Sharing(accounts=(FRIEND,)))
    result = built.distribute()
    assert result.failures.keys() == {EAST}
    assert EAST in result.images
    assert built.changes(built.distribute) == [f"ModifyImageAttribute {EAST}"]
    assert built.result.failures == {}


def test_a_parameter_never_names_an_image_that_is_not_as_it_should_be(built, cloud):
    built.proxy.on(refused, action="ModifyImageAttribute")
    built.settle(share=Sharing(accounts=(FRIEND,)), ssm_parameter="/images/web")
    assert built.distribute().failures.keys() == {REGION}
    assert cloud.ssm.describe_parameters()["Parameters"] == []


def test_a_region_that_is_not_wanted_any_more_has_not_failed(built):
    built.proxy.on(refused, action="CopyImage", region=EAST)
    built.settle(regions={EAST: Region()})
    built.distribute()
    built.settle(regions={})
    assert built.distribute().failures == {}
    assert read_build_result(built.folder).failures == {}


def test_a_region_that_the_account_has_not_enabled_is_named(built):
    built.proxy.rule(
        lambda call: call.region == EAST, lambda exchange: exchange.refuse(401, "AuthFailure", "not validated"), None
    )
    built.settle(regions={EAST: Region()})
    assert built.distribute().failures[EAST].endswith("Perhaps the account has not enabled us-east-1.")


# What is wrong before the first region


def test_an_image_that_is_gone_is_an_error(built, cloud):
    cloud.ec2.deregister_image(ImageId=built.image_id)
    built.settle(regions={EAST: Region()})
    with pytest.raises(InputError, match=f"there is no image {built.image_id} in {REGION}"):
        built.distribute()


def test_credentials_of_another_account_are_an_error(built):
    built.settle(regions={EAST: Region()}, account="999999999999")
    with pytest.raises(CloudError, match="the credentials are for account 123456789012, not 999999999999"):
        built.distribute()
    assert built.images(EAST) == []


def test_too_many_tags_are_an_error_before_any_copy(built):
    built.settle(regions={EAST: Region(), WEST: Region(tags={f"t{index}": "" for index in range(45)})})
    with pytest.raises(InputError, match="tags are too many for a copy in us-west-2"):
        built.distribute()
    assert built.images(EAST) == []


# Interrupted


def test_an_interrupt_ends_all_regions_and_the_next_run_goes_on(built, server):
    server.script.image_states = ["pending"] * 10_000
    built.settle(regions={EAST: Region(), WEST: Region()})
    copies = []

    def interrupt() -> None:
        copies.append(1)
        if len(copies) == 8:
            os.kill(os.getpid(), signal.SIGINT)

    server.before["describe_snapshots"] = interrupt
    with pytest.raises(KeyboardInterrupt):
        built.distribute()
    assert len(open_entries(built)) == 4
    server.before.clear()
    built.let_pending_be("available")
    assert [change for change in built.changes(built.distribute) if change.startswith("CopyImage")] == []
    assert sorted(built.result.images) == [REGION, EAST, WEST]
    assert open_entries(built) == []


def test_an_answer_that_is_lost_is_asked_for_again(built):
    for action in ("ModifyImageAttribute", "ModifySnapshotAttribute", "CreateTags", "DeleteTags"):
        built.proxy.on(answer_lost, action=action, region=EAST, times=6)
    built.settle(regions={EAST: Region()}, share=Sharing(accounts=(FRIEND,)))
    assert built.distribute().failures == {}
