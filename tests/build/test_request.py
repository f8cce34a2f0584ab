from __future__ import annotations

from dataclasses import replace

import pytest

from jenkins_ami.build import request
from jenkins_ami.build.base import Base
from jenkins_ami.build.plan import Plan, candidates
from jenkins_ami.cloud.environments import Environment
from jenkins_ami.cloud.wanted import wanted
from jenkins_ami.errors import InputError

from .compiled import manifest

BASE = Base("ami-1", "debian", "x86_64", "/dev/xvda", {"/dev/xvda": 2, "/dev/sdf": 5})
PLAIN = Environment("dev", "eu-central-1")


def plan_of(environment: Environment = PLAIN, base: Base = BASE, **changes: object) -> Plan:
    made = manifest(**changes)
    return Plan(
        manifest=made,
        environment=environment,
        wanted=wanted(made.image, environment),
        base=base,
        number=3,
        identity="build-1",
        tagged={},
        candidates=candidates(made, environment),
        user_data=b"data",
    )


def launch(environment: Environment = PLAIN, base: Base = BASE, **changes: object) -> dict:
    plan = plan_of(environment, base, **changes)
    tagged = {"b": "2", "a": "1"}
    return request.run_instances(plan, plan.candidates[0], token="token-0", user_data=b"data", tagged=tagged)


def test_the_launch():
    listed = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    assert launch() == {
        "ImageId": "ami-1",
        "InstanceType": "t3.small",
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": "token-0",
        "UserData": b"data",
        "InstanceInitiatedShutdownBehavior": "stop",
        "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {"DeleteOnTermination": True, "VolumeSize": 2, "VolumeType": "gp3", "Encrypted": True},
            },
            {"DeviceName": "/dev/sdf", "Ebs": {"DeleteOnTermination": True, "VolumeSize": 5, "Encrypted": True}},
        ],
        "NetworkInterfaces": [{"DeviceIndex": 0, "AssociatePublicIpAddress": False}],
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": listed},
            {"ResourceType": "volume", "Tags": listed},
        ],
    }


def test_the_launch_takes_place_where_the_environment_says():
    environment = replace(PLAIN, subnets=("subnet-1",), security_groups=("sg-1", "sg-2"), instance_profile="build")
    params = launch(environment)
    assert params["NetworkInterfaces"] == [
        {
            "DeviceIndex": 0,
            "AssociatePublicIpAddress": False,
            "SubnetId": "subnet-1",
            "Groups": ["sg-1", "sg-2"],
        }
    ]
    assert params["IamInstanceProfile"] == {"Name": "build"}
    assert "KeyName" not in params


def test_a_public_address_is_given_when_it_is_asked_for():
    params = launch(replace(PLAIN, public_address=True))
    assert params["NetworkInterfaces"] == [{"DeviceIndex": 0, "AssociatePublicIpAddress": True}]


def test_a_key_pair_only_when_the_old_variable_names_one():
    assert launch(replace(PLAIN, key_pair="mine"))["KeyName"] == "mine"


def test_volumes_are_encrypted_with_the_environments_key_or_not_at_all():
    volumes = launch(replace(PLAIN, kms_key="alias/images"))["BlockDeviceMappings"]
    assert [(volume["Ebs"]["Encrypted"], volume["Ebs"]["KmsKeyId"]) for volume in volumes] == [
        (True, "alias/images")
    ] * 2
    for volume in launch(replace(PLAIN, encrypted=False, kms_key="alias/images"))["BlockDeviceMappings"]:
        assert volume["Ebs"].keys().isdisjoint({"Encrypted", "KmsKeyId"})


def test_spare_capacity_is_of_a_request_that_lets_its_instance_stop():
    params = launch(spot=True)
    assert params["InstanceMarketOptions"] == {
        "MarketType": "spot",
        "SpotOptions": {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"},
    }
    kinds = [each["ResourceType"] for each in params["TagSpecifications"]]
    assert kinds == ["instance", "volume", "spot-instances-request"]
    assert "InstanceMarketOptions" not in launch()


def test_block_devices_of_the_old_variable_go_over_the_bases():
    given = ({"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 10}}, {"DeviceName": "/dev/sdg", "NoDevice": ""})
    assert launch(replace(PLAIN, block_devices=given))["BlockDeviceMappings"] == [
        {
            "DeviceName": "/dev/xvda",
            "Ebs": {"DeleteOnTermination": True, "VolumeSize": 10, "VolumeType": "gp3", "Encrypted": True},
        },
        {"DeviceName": "/dev/sdf", "Ebs": {"DeleteOnTermination": True, "VolumeSize": 5, "Encrypted": True}},
        {"DeviceName": "/dev/sdg", "NoDevice": ""},
    ]


def test_the_ways_to_launch_are_tried_spare_capacity_first_types_before_subnets():
    environment = replace(PLAIN, subnets=("subnet-1", "subnet-2"))
    ways = plan_of(environment, instance_types=("m5.large", "m6i.large"), spot=True).candidates
    assert [str(way) for way in ways] == [
        "m5.large spot in subnet-1",
        "m5.large spot in subnet-2",
        "m6i.large spot in subnet-1",
        "m6i.large spot in subnet-2",
        "m5.large in subnet-1",
        "m5.large in subnet-2",
        "m6i.large in subnet-1",
        "m6i.large in subnet-2",
    ]


def test_the_environment_can_forbid_spare_capacity():
    assert [str(way) for way in plan_of(replace(PLAIN, spot=False), spot=True).candidates] == ["t3.small"]


def test_the_root_volume_gets_its_size():
    assert launch(volume_size=8)["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 8


def test_a_root_volume_below_the_bases_is_refused():
    request.check_volume(manifest(volume_size=2), BASE)
    with pytest.raises(InputError, match="volume_size 1 GiB is below the 2 GiB of the base ami-1"):
        request.check_volume(manifest(volume_size=1), BASE)


def test_the_image_and_its_snapshots_are_tagged_at_creation():
    params = request.create_image(manifest(description="d" * 300), "i-1", "web-1.0-3", {"a": "1"})
    assert params == {
        "InstanceId": "i-1",
        "Name": "web-1.0-3",
        "Description": "d" * 255,
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": [{"Key": "a", "Value": "1"}]} for kind in ("image", "snapshot")
        ],
    }


@pytest.mark.parametrize(
    ("names", "number"),
    [
        ([], 1),
        (["web-1.0-1"], 2),
        (["web-1.0-9", "web-1.0-10"], 11),
        (["web-1.0-3", "web-1.0-7"], 8),
        (["web-1.0-beta", "web-1.0-", "web-1.0-5-6", "web-1.0.1-7", "other-1.0-8", "web-1.0-٣"], 1),
    ],
)
def test_the_next_build_number(names, number):
    assert request.next_number(manifest(), names) == number


@pytest.mark.parametrize("name", ["a" * 124, "a+b", "a*b", "ä"])
def test_a_name_that_ec2_refuses(name):
    with pytest.raises(InputError, match="EC2 refuses the image name"):
        request.image_name(manifest(name=name), 1)


def test_the_longest_name():
    assert len(request.image_name(manifest(name="a" * 122), 1)) == 128


OWN = {"jenkins-ami:build": "build-1"}


def test_the_tags():
    environment = replace(PLAIN, tags={"team": "infra", "cost": "1"})
    source = manifest(tags={"cost": "2", "Name": "x"}, commit="abc")
    tags = request.tags(source, environment, BASE, OWN)
    assert tags == {
        "team": "infra",
        "cost": "2",
        "Name": "x",
        "jenkins-ami:name": "web",
        "jenkins-ami:version": "1.0",
        "jenkins-ami:build": "build-1",
        "jenkins-ami:base": "ami-1",
        "jenkins-ami:digest": "d" * 64,
        "jenkins-ami:payload": request.payload_digest(source),
        "jenkins-ami:commit": "abc",
    }
    assert request.image_tags(tags, source, 3, "i-1") == tags | {
        "Name": "web",
        "Version": "1.0",
        "Build": "3",
        "jenkins-ami:number": "3",
        "jenkins-ami:instance": "i-1",
    }
    named = {"Name": "build of web-1.0-3", "jenkins-ami:number": "3"}
    assert request.instance_tags(tags, "web-1.0-3", 3) == tags | named


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"aws:x": "1"}, "the tag 'aws:x' is reserved"),
        ({"AWS:x": "1"}, "the tag 'AWS:x' is reserved"),
        ({"jenkins-ami:mine": "1"}, "the tag 'jenkins-ami:mine' is reserved"),
        ({"": "1"}, "the tag '' is empty or too long"),
        ({"k" * 129: "1"}, "is empty or too long"),
        ({"k": "v" * 257}, "the tag 'k' is empty or too long"),
        ({str(number): "" for number in range(38)}, "44 tags are too many"),
    ],
)
def test_tags_that_ec2_refuses(tags, message):
    with pytest.raises(InputError, match=message):
        request.tags(manifest(tags=tags), PLAIN, BASE, OWN)


def test_the_builds_identity_cannot_be_taken_away():
    tags = request.tags(manifest(tags={"jenkins-ami:build": "other"}), PLAIN, BASE, OWN)
    assert tags["jenkins-ami:build"] == "build-1"
