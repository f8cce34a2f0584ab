"""How instances are launched: spot, network interfaces, subnets, templates; and what a build asks of other services."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localcloud.conftest import Simulated, refusal
from tests.localcloud.test_ec2 import as_dict, tags

STAYS = {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"}
POWERS_OFF = b"# nonce: 0123456789abcdef\n"


def spot(**options: str) -> dict[str, Any]:
    return {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": options}}


def request_of(cloud: Simulated, instance: str) -> dict[str, Any]:
    request = cloud.instance(instance)["SpotInstanceRequestId"]
    return dict(cloud.ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[request])["SpotInstanceRequests"][0])


def test_a_spot_instance_has_a_request_with_tags_of_its_own(simulated: Simulated) -> None:
    instance = simulated.launch(
        simulated.image(),
        **spot(),
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": tags(a="1")},
            {"ResourceType": "spot-instances-request", "Tags": tags(b="2")},
        ],
    )
    seen, request = simulated.instance(instance), request_of(simulated, instance)
    assert (seen["InstanceLifecycle"], as_dict(seen["Tags"])) == ("spot", {"a": "1"})
    assert (request["State"], request["InstanceId"], request["Type"]) == ("active", instance, "one-time")
    assert as_dict(request["Tags"]) == {"b": "2"}
    plain = simulated.launch(simulated.image(name="other"))
    assert "InstanceLifecycle" not in simulated.instance(plain)


def test_an_instance_of_a_one_time_request_cannot_be_stopped_and_is_terminated_by_its_power_off(
    simulated: Simulated,
) -> None:
    image = simulated.image()
    runs, ends = simulated.launch(image, **spot()), simulated.launch(image, **spot(), UserData=POWERS_OFF)
    assert refusal(simulated.ec2.stop_instances, InstanceIds=[runs]) == "UnsupportedOperation"
    seen = simulated.instance(ends)
    assert (seen["State"]["Name"], seen["StateReason"]["Code"]) == (
        "terminated",
        "Client.InstanceInitiatedShutdown",
    )
    assert request_of(simulated, ends)["State"] == "closed"


def test_an_instance_of_a_persistent_request_stops_and_the_request_outlives_it_until_it_is_cancelled(
    simulated: Simulated,
) -> None:
    instance = simulated.launch(simulated.image(), **spot(**STAYS), UserData=POWERS_OFF)
    assert simulated.instance(instance)["State"]["Name"] == "stopped"
    assert simulated.ec2.create_image(InstanceId=instance, Name="made")["ImageId"]
    simulated.ec2.terminate_instances(InstanceIds=[instance])
    request = request_of(simulated, instance)
    assert request["State"] == "open"
    simulated.ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request["SpotInstanceRequestId"]])
    assert request_of(simulated, instance)["State"] == "cancelled"
    left = simulated.ec2.describe_spot_instance_requests(Filters=[{"Name": "state", "Values": ["open", "active"]}])
    assert left["SpotInstanceRequests"] == []


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"InstanceMarketOptions": {"MarketType": "capacity-block"}}, "UnsupportedOperation"),
        (spot(SpotInstanceType="sometimes"), "InvalidParameterValue"),
        (spot(InstanceInterruptionBehavior="stop"), "InvalidParameterCombination"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}], "SubnetId": "subnet-1"}, "InvalidParameterCombination"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}], "SecurityGroupIds": ["sg-1"]}, "InvalidParameterCombination"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}, {"DeviceIndex": 1}]}, "UnsupportedOperation"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": "subnet-0123abcd"}]}, "InvalidSubnetID.NotFound"),
        (
            {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"KmsKeyId": "k"}}]},
            "InvalidParameterDependency",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_launch_that_ec2_refuses(simulated: Simulated, options: dict[str, Any], code: str) -> None:
    params = {"ImageId": simulated.image(), "MinCount": 1, "MaxCount": 1} | options
    assert refusal(simulated.ec2.run_instances, **params) == code
    assert simulated.ec2.describe_instances()["Reservations"] == []


def test_requests_and_instances_that_are_not_there(simulated: Simulated) -> None:
    for call in (simulated.ec2.describe_spot_instance_requests, simulated.ec2.cancel_spot_instance_requests):
        assert refusal(call, SpotInstanceRequestIds=["sir-01234567"]) == "InvalidSpotInstanceRequestID.NotFound"


def test_an_instance_is_launched_into_the_subnet_that_is_asked_for(simulated: Simulated) -> None:
    image = simulated.image()
    subnets = {each["SubnetId"]: each["AvailabilityZone"] for each in simulated.ec2.describe_subnets()["Subnets"]}
    assert len(subnets) > 1
    for subnet, zone in list(subnets.items())[:2]:
        seen = simulated.instance(simulated.launch(image, SubnetId=subnet))
        assert (seen["SubnetId"], seen["Placement"]["AvailabilityZone"]) == (subnet, zone)


@pytest.mark.parametrize("public", [True, False])
def test_a_network_interface_says_whether_there_is_a_public_address(simulated: Simulated, public: bool) -> None:
    subnet = simulated.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    group = simulated.ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    interface = {"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group], "AssociatePublicIpAddress": public}
    instance = simulated.launch(simulated.image(), NetworkInterfaces=[interface])
    seen = simulated.instance(instance)
    assert (seen["SubnetId"], seen["SecurityGroups"][0]["GroupId"]) == (subnet, group)
    assert ("PublicIpAddress" in seen) is public
    simulated.ec2.terminate_instances(InstanceIds=[instance])
    assert simulated.ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_a_token_holds_for_a_request_whose_options_are_left_out(simulated: Simulated) -> None:
    """What the server fills in is not compared with what is asked."""
    simulated.image(imds_support="v2.0")
    image = simulated.store.images()[0].id
    params = {
        "ClientToken": "t",
        "MetadataOptions": {"HttpEndpoint": "enabled"},
        "NetworkInterfaces": [{"DeviceIndex": 0}],
    }
    assert simulated.launch(image, **params) == simulated.launch(image, **params)


# Launch templates


def test_a_new_version_has_what_its_source_has_but_for_what_is_given(simulated: Simulated) -> None:
    ec2 = simulated.ec2
    data = {"ImageId": "ami-0123456789abcdef0", "InstanceType": "t3.small", "KeyName": "k"}
    template = ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)["LaunchTemplate"]
    create = {"LaunchTemplateName": "web", "LaunchTemplateData": {"ImageId": "ami-0fedcba9876543210"}}
    first = ec2.create_launch_template_version(**create, SourceVersion="$Latest", ClientToken="t")
    again = ec2.create_launch_template_version(**create, SourceVersion="$Latest", ClientToken="t")
    version = first["LaunchTemplateVersion"]
    assert version["VersionNumber"] == again["LaunchTemplateVersion"]["VersionNumber"] == 2
    assert version["LaunchTemplateData"] == data | {"ImageId": "ami-0fedcba9876543210"}
    (latest,) = ec2.describe_launch_template_versions(
        LaunchTemplateId=template["LaunchTemplateId"], Versions=["$Latest"]
    )["LaunchTemplateVersions"]
    assert (latest["VersionNumber"], latest["DefaultVersion"]) == (2, False)
    bare = ec2.create_launch_template_version(**create)["LaunchTemplateVersion"]
    assert bare["LaunchTemplateData"] == {"ImageId": "ami-0fedcba9876543210"}
    ec2.modify_launch_template(LaunchTemplateName="web", DefaultVersion="2")
    (seen,) = ec2.describe_launch_templates(LaunchTemplateNames=["web"])["LaunchTemplates"]
    assert (seen["DefaultVersionNumber"], seen["LatestVersionNumber"]) == (2, 3)


def test_a_version_of_no_template(simulated: Simulated) -> None:
    create = simulated.ec2.create_launch_template_version
    assert refusal(create, LaunchTemplateData={}) == "MissingParameter"
    code = refusal(create, LaunchTemplateName="none", LaunchTemplateData={})
    assert code == "InvalidLaunchTemplateName.NotFoundException"
    code = refusal(create, LaunchTemplateId="lt-0123456789abcdef0", LaunchTemplateData={})
    assert code == "InvalidLaunchTemplateId.NotFound"


# Other services


def test_the_services_that_a_build_looks_at_answer(simulated: Simulated) -> None:
    key = simulated.client("kms").create_key()["KeyMetadata"]["KeyId"]
    assert simulated.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyManager"] == "CUSTOMER"
    profile = simulated.client("iam").get_instance_profile(InstanceProfileName="jenkins-ami-local")["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == ["jenkins-ami-local"]
    simulated.client("ssm").put_parameter(Name="/images/web", Value="ami-1", Type="String")
    assert simulated.client("ssm").get_parameter(Name="/images/web")["Parameter"]["Value"] == "ami-1"
    s3 = simulated.client("s3")
    s3.create_bucket(Bucket="settings")
    s3.put_object(Bucket="settings", Key="a", Body=b"x")
    assert s3.head_bucket(Bucket="settings")["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="settings")["Contents"]] == ["a"]
    sts = simulated.client("sts")
    role = sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/build", RoleSessionName="session")
    assert role["Credentials"]["AccessKeyId"]
    types = simulated.ec2.describe_instance_types(InstanceTypes=["t3.small"])["InstanceTypes"]
    assert types[0]["ProcessorInfo"]["SupportedArchitectures"] == ["x86_64"]
