"""What is set on images and snapshots: sharing, encryption, deprecation, protection. The machines are simulated."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cloud.simulated import make_image
from tests.localcloud.conftest import Simulated, refusal
from tests.localcloud.test_ec2 import as_dict, tags

FRIEND = {"UserId": "111122223333"}
ORGANIZATION = {"OrganizationArn": "arn:aws:organizations::123456789012:organization/o-abcdefghij"}
UNIT = {"OrganizationalUnitArn": "arn:aws:organizations::123456789012:ou/o-abcdefghij/ou-abcd-efghijkl"}


def permissions(cloud: Simulated, image: str) -> list[dict[str, str]]:
    answer = cloud.ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")
    return list(answer["LaunchPermissions"])


def snapshot_of(cloud: Simulated, image: str) -> str:
    return str(cloud.describe(image)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"])


def in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


# Copies


def test_a_copy_has_its_own_tags_and_those_of_its_source_when_asked_for(simulated: Simulated) -> None:
    image = simulated.image(tags={"a": "1", "b": "1"})
    there = simulated.client("ec2", "eu-west-1")
    copy = there.copy_image(
        SourceImageId=image,
        SourceRegion="us-east-1",
        Name="copy",
        Description="d",
        CopyImageTags=True,
        TagSpecifications=[
            {"ResourceType": "image", "Tags": tags(b="2")},
            {"ResourceType": "snapshot", "Tags": tags(c="3")},
        ],
    )["ImageId"]
    (seen,) = there.describe_images(ImageIds=[copy])["Images"]
    assert (as_dict(seen["Tags"]), seen["Description"]) == ({"a": "1", "b": "2"}, "d")
    assert (seen["SourceImageId"], seen["SourceImageRegion"]) == (image, "us-east-1")
    (snapshot,) = there.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert as_dict(snapshot["Tags"]) == {"c": "3"}
    plain = there.copy_image(SourceImageId=image, SourceRegion="us-east-1", Name="plain")["ImageId"]
    assert there.describe_images(ImageIds=[plain])["Images"][0].get("Tags", []) == []


def test_a_token_makes_one_copy_and_belongs_to_one_request(simulated: Simulated) -> None:
    there = simulated.client("ec2", "eu-west-1")
    params = {"SourceImageId": simulated.image(), "SourceRegion": "us-east-1", "Name": "copy", "ClientToken": "t"}
    assert there.copy_image(**params)["ImageId"] == there.copy_image(**params)["ImageId"]
    assert refusal(there.copy_image, **params | {"Name": "other"}) == "IdempotentParameterMismatch"
    assert len(there.describe_images(Owners=["self"])["Images"]) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"SourceImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"SourceRegion": "eu-north-1"}, "InvalidAMIID.NotFound"),
        ({"Name": "a:b"}, "InvalidAMIName.Malformed"),
        ({"Name": "base"}, "InvalidAMIName.Duplicate"),
        ({"KmsKeyId": "alias/x"}, "InvalidParameterDependency"),
        ({"DryRun": True}, "DryRunOperation"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_copy_that_ec2_refuses(simulated: Simulated, change: dict[str, Any], code: str) -> None:
    params = {"SourceImageId": simulated.image(), "SourceRegion": "us-east-1", "Name": "copy"} | change
    assert refusal(simulated.ec2.copy_image, **params) == code
    assert len(simulated.ec2.describe_images(Owners=["self"])["Images"]) == 1


def test_what_was_set_on_an_image_is_not_taken_over(simulated: Simulated) -> None:
    image, ec2 = simulated.image(), simulated.ec2
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [FRIEND]})
    ec2.enable_image_deprecation(ImageId=image, DeprecateAt=in_days(9))
    ec2.enable_image_deregistration_protection(ImageId=image)
    made = [
        ec2.copy_image(SourceImageId=image, SourceRegion="us-east-1", Name="copy")["ImageId"],
        ec2.create_image(InstanceId=simulated.launch(image), Name="made")["ImageId"],
    ]
    for each in made:
        assert permissions(simulated, each) == []
        assert "DeprecationTime" not in simulated.describe(each)
        assert simulated.describe(each)["DeregistrationProtection"] == "disabled"


# Encryption


def key(cloud: Simulated, region: str = "us-east-1") -> str:
    return str(cloud.client("kms", region).create_key()["KeyMetadata"]["Arn"])


def test_an_encrypted_volume_makes_an_encrypted_image(simulated: Simulated) -> None:
    own = key(simulated)
    mapping = [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "KmsKeyId": own, "VolumeType": "gp3"}}]
    instance = simulated.launch(simulated.image(), BlockDeviceMappings=mapping)
    (volume,) = simulated.ec2.describe_volumes()["Volumes"]
    assert (volume["Encrypted"], volume["KmsKeyId"], volume["VolumeType"]) == (True, own, "gp3")
    image = simulated.ec2.create_image(InstanceId=instance, Name="made")["ImageId"]
    assert simulated.describe(image)["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    (snapshot,) = simulated.ec2.describe_snapshots(SnapshotIds=[snapshot_of(simulated, image)])["Snapshots"]
    assert (snapshot["Encrypted"], snapshot["KmsKeyId"]) == (True, own)
    again = simulated.launch(image)
    volumes = simulated.ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [again]}])["Volumes"]
    assert [(volume["Encrypted"], volume["KmsKeyId"]) for volume in volumes] == [(True, own)]


def test_a_key_may_be_named_by_its_alias_and_is_told_by_its_arn(simulated: Simulated) -> None:
    own = key(simulated)
    simulated.client("kms").create_alias(AliasName="alias/images", TargetKeyId=own)
    copy = simulated.copy(simulated.image(), Encrypted=True, KmsKeyId="alias/images")
    (snapshot,) = simulated.ec2.describe_snapshots(SnapshotIds=[snapshot_of(simulated, copy)])["Snapshots"]
    assert snapshot["KmsKeyId"] == own


def test_without_a_key_it_is_the_one_that_aws_manages(simulated: Simulated) -> None:
    copy = simulated.copy(simulated.image(), Encrypted=True)
    (snapshot,) = simulated.ec2.describe_snapshots(SnapshotIds=[snapshot_of(simulated, copy)])["Snapshots"]
    managed = simulated.client("kms").describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]
    assert (snapshot["KmsKeyId"], managed["KeyManager"]) == (managed["Arn"], "AWS")


def test_an_encrypted_image_stays_encrypted_and_gets_a_key_of_the_region_it_is_copied_to(simulated: Simulated) -> None:
    own = key(simulated)
    image = simulated.copy(simulated.image(), Encrypted=True, KmsKeyId=own)
    there = simulated.client("ec2", "eu-west-1")
    copy = there.copy_image(SourceImageId=image, SourceRegion="us-east-1", Name="copy")["ImageId"]
    (seen,) = there.describe_images(ImageIds=[copy])["Images"]
    ebs = seen["BlockDeviceMappings"][0]["Ebs"]
    (snapshot,) = there.describe_snapshots(SnapshotIds=[ebs["SnapshotId"]])["Snapshots"]
    assert (ebs["Encrypted"], snapshot["KmsKeyId"].split(":")[3]) == (True, "eu-west-1")


def test_a_copy_with_a_key_that_cannot_be_used_fails_later(simulated: Simulated) -> None:
    image = simulated.image()
    for name in ("alias/none", "1234abcd-12ab-34cd-56ef-1234567890ab", key(simulated, "eu-west-1")):
        copy = simulated.copy(image, Encrypted=True, KmsKeyId=name)
        seen = simulated.describe(copy)
        assert (seen["State"], seen["StateReason"]["Code"]) == ("failed", "Client.InvalidKMSKey")
        simulated.ec2.deregister_image(ImageId=copy)


def test_an_instance_with_a_key_that_cannot_be_used_is_terminated(simulated: Simulated) -> None:
    mapping = [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "KmsKeyId": "alias/none"}}]
    instance = simulated.launch(simulated.image(), BlockDeviceMappings=mapping)
    seen = simulated.instance(instance)
    assert (seen["State"]["Name"], seen["StateReason"]["Code"]) == ("terminated", "Client.InternalError")
    assert simulated.ec2.describe_volumes()["Volumes"] == []


# Sharing


def test_an_image_is_shared_with_accounts_organizations_and_units(simulated: Simulated) -> None:
    image, modify = simulated.image(), simulated.ec2.modify_image_attribute
    modify(ImageId=image, LaunchPermission={"Add": [FRIEND, ORGANIZATION, UNIT]})
    modify(ImageId=image, Attribute="launchPermission", OperationType="add", UserIds=["444455556666"])
    assert permissions(simulated, image) == [FRIEND, ORGANIZATION, UNIT, {"UserId": "444455556666"}]
    modify(ImageId=image, LaunchPermission={"Remove": [FRIEND, UNIT]})
    arn = ORGANIZATION["OrganizationArn"]
    modify(ImageId=image, Attribute="launchPermission", OperationType="remove", OrganizationArns=[arn])
    assert permissions(simulated, image) == [{"UserId": "444455556666"}]
    simulated.ec2.reset_image_attribute(ImageId=image, Attribute="launchPermission")
    assert permissions(simulated, image) == []


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"LaunchPermission": {"Add": [{"UserId": "1234"}]}}, "InvalidAMIAttributeItemValue"),
        ({"LaunchPermission": {"Add": [{"OrganizationArn": "o-abcdefghij"}]}}, "InvalidAMIAttributeItemValue"),
        ({"LaunchPermission": {"Add": [{"OrganizationalUnitArn": "ou-1"}]}}, "InvalidAMIAttributeItemValue"),
        ({"Attribute": "launchPermission", "UserIds": ["111122223333"]}, "InvalidParameterValue"),
        ({"ImdsSupport": {"Value": "v1.0"}}, "InvalidParameterValue"),
        ({"ImdsSupport": {"Value": "v2.0"}, "Description": {"Value": "d"}}, "InvalidParameterCombination"),
        ({}, "InvalidParameterCombination"),
        ({"ImageId": "ami-0123456789abcdef0", "Description": {"Value": "d"}}, "InvalidAMIID.NotFound"),
        ({"Description": {"Value": "d"}, "DryRun": True}, "DryRunOperation"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_change_that_ec2_refuses(simulated: Simulated, params: dict[str, Any], code: str) -> None:
    image = simulated.image()
    before = simulated.describe(image)
    assert refusal(simulated.ec2.modify_image_attribute, **{"ImageId": image} | params) == code
    assert simulated.describe(image) == before


def test_description_and_imds_support_are_changed(simulated: Simulated) -> None:
    image = simulated.image()
    simulated.ec2.modify_image_attribute(ImageId=image, ImdsSupport={"Value": "v2.0"})
    simulated.ec2.modify_image_attribute(ImageId=image, Attribute="description", Value="new")
    seen = simulated.describe(image)
    assert (seen["ImdsSupport"], seen["Description"]) == ("v2.0", "new")
    attribute = simulated.ec2.describe_image_attribute
    assert attribute(ImageId=image, Attribute="imdsSupport")["ImdsSupport"] == {"Value": "v2.0"}
    assert attribute(ImageId=image, Attribute="description")["Description"] == {"Value": "new"}
    assert refusal(attribute, ImageId=image, Attribute="kernel", DryRun=True) == "DryRunOperation"
    options = simulated.instance(simulated.launch(image))["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 2)


def test_what_the_managed_key_encrypts_cannot_be_shared(simulated: Simulated) -> None:
    image = simulated.copy(simulated.image(), Encrypted=True)
    share = {"ImageId": image, "LaunchPermission": {"Add": [FRIEND]}}
    assert refusal(simulated.ec2.modify_image_attribute, **share) == "InvalidParameter"
    modify = {"SnapshotId": snapshot_of(simulated, image), "Attribute": "createVolumePermission"}
    add = {"OperationType": "add", "UserIds": ["111122223333"]}
    assert refusal(simulated.ec2.modify_snapshot_attribute, **modify, **add) == "OperationNotPermitted"
    own = simulated.copy(image, name="own", Encrypted=True, KmsKeyId=key(simulated))
    simulated.ec2.modify_image_attribute(ImageId=own, LaunchPermission={"Add": [FRIEND]})
    public = {"ImageId": own, "LaunchPermission": {"Add": [{"Group": "all"}]}}
    assert refusal(simulated.ec2.modify_image_attribute, **public) == "InvalidParameter"
    assert permissions(simulated, own) == [FRIEND]


def test_snapshots_are_shared_with_accounts(simulated: Simulated) -> None:
    snapshot = snapshot_of(simulated, simulated.image())
    modify = {"SnapshotId": snapshot, "Attribute": "createVolumePermission"}
    simulated.ec2.modify_snapshot_attribute(**modify, OperationType="add", UserIds=["111122223333", "444455556666"])
    simulated.ec2.modify_snapshot_attribute(**modify, CreateVolumePermission={"Remove": [{"UserId": "444455556666"}]})
    assert simulated.ec2.describe_snapshot_attribute(**modify)["CreateVolumePermissions"] == [FRIEND]
    wrong = {"CreateVolumePermission": {"Add": [FRIEND], "Remove": [FRIEND]}}
    assert refusal(simulated.ec2.modify_snapshot_attribute, **modify, **wrong) == "InvalidParameterCombination"
    bad = {"OperationType": "add", "UserIds": ["me"]}
    assert refusal(simulated.ec2.modify_snapshot_attribute, **modify, **bad) == "InvalidParameterValue"


# Deprecation, protection, disabling


def test_a_deprecation_date_is_rounded_to_the_minute_and_can_be_taken_off(simulated: Simulated) -> None:
    image = simulated.image()
    date = in_days(30).replace(minute=7, second=31, microsecond=0)
    simulated.ec2.enable_image_deprecation(ImageId=image, DeprecateAt=date)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:08:00\.000Z", simulated.describe(image)["DeprecationTime"])
    simulated.ec2.disable_image_deprecation(ImageId=image)
    assert "DeprecationTime" not in simulated.describe(image)


@pytest.mark.parametrize("days", [-1, 3700])
def test_a_deprecation_date_that_ec2_refuses(simulated: Simulated, days: float) -> None:
    params = {"ImageId": simulated.image(), "DeprecateAt": in_days(days)}
    assert refusal(simulated.ec2.enable_image_deprecation, **params) == "InvalidParameterValue"


def test_who_owns_a_deprecated_image_sees_it_and_others_when_they_ask(simulated: Simulated) -> None:
    own = make_image(simulated.store, "own", region="us-east-1", deprecated="2026-01-01T00:00:00.000Z").id
    other = make_image(simulated.store, "other", region="us-east-1", deprecated="2026-01-01T00:00:00.000Z").id
    simulated.cloud.backend("us-east-1").amis[other].owner_id = "111122223333"
    describe = simulated.ec2.describe_images
    assert [image["ImageId"] for image in describe()["Images"]] == [own]
    assert len(describe(IncludeDeprecated=True)["Images"]) == 2
    assert len(describe(ImageIds=[other])["Images"]) == 1


def test_a_protected_image_is_not_deregistered(simulated: Simulated) -> None:
    image, ec2 = simulated.image(), simulated.ec2
    ec2.enable_image_deregistration_protection(ImageId=image)
    assert simulated.describe(image)["DeregistrationProtection"] == "enabled-without-cooldown"
    assert refusal(ec2.deregister_image, ImageId=image) == "OperationNotPermitted"
    assert refusal(ec2.deregister_image, ImageId=image, DryRun=True) == "OperationNotPermitted"
    ec2.disable_image_deregistration_protection(ImageId=image)
    assert refusal(ec2.deregister_image, ImageId=image, DryRun=True) == "DryRunOperation"
    ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)
    assert simulated.store.images() == [] and not simulated.store.snapshots()


def test_a_protection_with_a_cooldown_outlasts_its_end(simulated: Simulated) -> None:
    image, ec2 = simulated.image(), simulated.ec2
    ec2.enable_image_deregistration_protection(ImageId=image, WithCooldown=True)
    assert simulated.describe(image)["DeregistrationProtection"] == "enabled-with-cooldown"
    ec2.disable_image_deregistration_protection(ImageId=image)
    assert simulated.describe(image)["DeregistrationProtection"] == "disabled"
    assert refusal(ec2.deregister_image, ImageId=image) == "OperationNotPermitted"
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    simulated.store.revise_image(image, protected_until=past)
    ec2.deregister_image(ImageId=image)


def test_a_disabled_image_is_hidden_private_and_cannot_be_launched(simulated: Simulated) -> None:
    image, ec2 = simulated.image(), simulated.ec2
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [FRIEND]})
    ec2.disable_image(ImageId=image)
    assert ec2.describe_images(Owners=["self"])["Images"] == []
    (seen,) = ec2.describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
    assert (seen["State"], permissions(simulated, image)) == ("disabled", [])
    params = {"ImageId": image, "MinCount": 1, "MaxCount": 1}
    assert refusal(ec2.run_instances, **params) == "InvalidAMIID.Unavailable"
    ec2.enable_image(ImageId=image)
    assert simulated.describe(image)["State"] == "available"


def test_what_is_set_outlives_the_server(simulated: Simulated) -> None:
    image, ec2 = simulated.copy(simulated.image(), Encrypted=True, KmsKeyId=key(simulated)), simulated.ec2
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [FRIEND, ORGANIZATION]})
    ec2.modify_image_attribute(ImageId=image, ImdsSupport={"Value": "v2.0"})
    ec2.enable_image_deprecation(ImageId=image, DeprecateAt=in_days(30))
    ec2.enable_image_deregistration_protection(ImageId=image)
    ec2.modify_snapshot_attribute(
        SnapshotId=(snapshot := snapshot_of(simulated, image)),
        Attribute="createVolumePermission",
        CreateVolumePermission={"Add": [FRIEND]},
    )
    before = simulated.describe(image)
    with simulated.again() as later:
        assert later.describe(image) == before
        assert permissions(later, image) == [FRIEND, ORGANIZATION]
        attribute = {"SnapshotId": snapshot, "Attribute": "createVolumePermission"}
        assert later.ec2.describe_snapshot_attribute(**attribute)["CreateVolumePermissions"] == [FRIEND]
