"""Who may launch an image, and who may read its snapshots."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jenkins_ami.artifacts import Sharing
from jenkins_ami.cloud.waiting import CLOCK
from jenkins_ami.distribute import described, share
from jenkins_ami.errors import CloudError
from tests.cloud.server import ACCOUNT, REGION

FRIEND, OTHER = "111122223333", "444455556666"
ORGANIZATION = "arn:aws:organizations::123456789012:organization/o-a1b2c3d4e5"
UNIT = "arn:aws:organizations::123456789012:ou/o-a1b2c3d4e5/ou-a1b2-c3d4e5f6"
EVERYBODY = Sharing((FRIEND, OTHER), (ORGANIZATION,), (UNIT,))


@pytest.fixture
def image(built, cloud):
    return described.read(cloud, built.image_id, ACCOUNT)


def launchers(cloud, image) -> Sharing:
    return share.permissions(cloud, image.image_id, CLOCK)


def readers(cloud, image) -> list[str]:
    (snapshot,) = image.snapshot_ids
    answer = cloud.ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    return sorted(each["UserId"] for each in answer["CreateVolumePermissions"])


def test_an_image_is_shared_with_accounts_organizations_and_units(cloud, image):
    assert share.share(cloud, image, EVERYBODY, ACCOUNT, CLOCK) == EVERYBODY
    assert launchers(cloud, image) == EVERYBODY


def test_accounts_may_read_its_snapshots_which_organizations_cannot_be_let(cloud, image):
    share.share(cloud, image, EVERYBODY, ACCOUNT, CLOCK)
    assert readers(cloud, image) == [FRIEND, OTHER]


def test_an_organization_alone_asks_for_nothing_of_snapshots(built, cloud, image):
    changes = built.changes(
        lambda: share.share(_through(built, cloud), image, Sharing((), (ORGANIZATION,)), ACCOUNT, CLOCK)
    )
    assert changes == [f"ModifyImageAttribute {REGION}"]


def _through(built, cloud):
    """The same API, through the proxy that counts."""
    from jenkins_ami.cloud.session import Cloud

    return Cloud(replace(cloud.environment, endpoint=built.proxy.url))


def test_whom_it_is_shared_with_already_is_left_alone(cloud, image):
    share.share(cloud, image, Sharing((FRIEND,)), ACCOUNT, CLOCK)
    assert share.share(cloud, image, Sharing((FRIEND, OTHER)), ACCOUNT, CLOCK) == Sharing((OTHER,))
    assert launchers(cloud, image) == Sharing((FRIEND, OTHER))


def test_the_accounts_own_needs_no_permission(cloud, image):
    assert not share.share(cloud, image, Sharing((ACCOUNT,)), ACCOUNT, CLOCK)
    assert not launchers(cloud, image)
    assert readers(cloud, image) == []


def test_nobodys_permission_is_taken_away(cloud, image):
    share.share(cloud, image, Sharing((OTHER,)), ACCOUNT, CLOCK)
    share.share(cloud, image, Sharing((FRIEND,)), ACCOUNT, CLOCK)
    assert set(launchers(cloud, image).accounts) == {FRIEND, OTHER}


def test_a_snapshot_that_was_left_out_before_is_shared(cloud, image):
    cloud.ec2.modify_image_attribute(ImageId=image.image_id, LaunchPermission={"Add": [{"UserId": FRIEND}]})
    share.share(cloud, image, Sharing((FRIEND,)), ACCOUNT, CLOCK)
    assert readers(cloud, image) == [FRIEND]


def test_more_accounts_than_one_call_takes(cloud, image):
    many = tuple(f"{number:012}" for number in range(1, 151))
    share.share(cloud, image, Sharing(many), ACCOUNT, CLOCK)
    assert sorted(launchers(cloud, image).accounts) == list(many)
    assert readers(cloud, image) == list(many)


def test_permissions_are_taken_away_from_image_and_snapshots(cloud, image):
    share.share(cloud, image, EVERYBODY, ACCOUNT, CLOCK)
    gone = share.unshare(cloud, image, Sharing((FRIEND,), (ORGANIZATION,), (UNIT,)), CLOCK)
    assert gone == Sharing((FRIEND,), (ORGANIZATION,), (UNIT,))
    assert launchers(cloud, image) == Sharing((OTHER,))
    assert readers(cloud, image) == [OTHER]


def test_what_was_not_shared_is_not_unshared(cloud, image):
    assert not share.unshare(cloud, image, EVERYBODY, CLOCK)


# Keys


def encrypted(image, key: str):
    (snapshot,) = image.snapshots
    return replace(image, snapshots=(replace(snapshot, encrypted=True, kms_key=key),))


def test_what_the_accounts_default_key_encrypts_is_not_shared(cloud, image):
    key = cloud.kms.describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]
    if key["KeyManager"] != "AWS":
        pytest.fail("the endpoint's alias/aws/ebs is not AWS's")
    with pytest.raises(CloudError) as refused:
        share.share(cloud, encrypted(image, key["Arn"]), Sharing((FRIEND,)), ACCOUNT, CLOCK)
    assert refused.value.line() == (
        f"{image.image_id} is encrypted with the account's default key, which nobody else may use. Set a 'kms_key' of "
        "your own, and build or copy the image with that."
    )
    assert not launchers(cloud, image)


def test_what_a_key_of_ones_own_encrypts_is_shared(cloud, image):
    key = cloud.kms.create_key()["KeyMetadata"]["Arn"]
    assert share.share(cloud, encrypted(image, key), Sharing((FRIEND,)), ACCOUNT, CLOCK)


def test_a_refusal_about_what_is_encrypted_says_what_to_do(server, cloud, image):
    server.refuse("modify_snapshot_attribute", "InvalidParameter", "cannot be shared")
    with pytest.raises(CloudError) as refused:
        share.share(cloud, encrypted(image, "arn:aws:kms:x"), Sharing((FRIEND,)), ACCOUNT, CLOCK)
    assert refused.value.hint.startswith("An image that is encrypted with the account's default key cannot be shared")
