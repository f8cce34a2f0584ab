from __future__ import annotations

from dataclasses import replace

import pytest

from jenkins_ami.build import request
from jenkins_ami.build.base import Base
from jenkins_ami.cloud.environments import Environment
from jenkins_ami.errors import InputError

from .compiled import manifest

BASE = Base("ami-1", "debian", "x86_64", "/dev/xvda", {"/dev/xvda": 2, "/dev/sdf": 5})
PLAIN = Environment("dev", "eu-central-1")


def launch(environment: Environment = PLAIN, base: Base = BASE, **changes: object) -> dict:
    return request.run_instances(
        manifest(**changes),
        environment,
        base,
        instance_type="t3.small",
        token="token-0",
        user_data=b"data",
        tagged={"b": "2", "a": "1"},
    )


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
            {"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": True, "VolumeSize": 2, "VolumeType": "gp3"}},
            {"DeviceName": "/dev/sdf", "Ebs": {"DeleteOnTermination": True, "VolumeSize": 5}},
        ],
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": listed},
            {"ResourceType": "volume", "Tags": listed},
        ],
    }


def test_the_launch_takes_place_where_the_environment_says():
    environment = replace(PLAIN, subnet="subnet-1", security_groups=("sg-1", "sg-2"), instance_profile="build")
    params = launch(environment)
    assert params["SubnetId"] == "subnet-1"
    assert params["SecurityGroupIds"] == ["sg-1", "sg-2"]
    assert params["IamInstanceProfile"] == {"Name": "build"}


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


def test_the_tags():
    environment = replace(PLAIN, tags={"team": "infra", "cost": "1"})
    tags = request.tags(manifest(tags={"cost": "2"}, commit="abc"), environment, BASE, "build-1", 3)
    assert tags == {
        "team": "infra",
        "cost": "2",
        "Name": "web-1.0-3",
        "jenkins-ami:name": "web",
        "jenkins-ami:version": "1.0",
        "jenkins-ami:number": "3",
        "jenkins-ami:build": "build-1",
        "jenkins-ami:base": "ami-1",
        "jenkins-ami:digest": "d" * 64,
        "jenkins-ami:commit": "abc",
    }


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"aws:x": "1"}, "the tag 'aws:x' is reserved"),
        ({"AWS:x": "1"}, "the tag 'AWS:x' is reserved"),
        ({"jenkins-ami:mine": "1"}, "the tag 'jenkins-ami:mine' is reserved"),
        ({"": "1"}, "the tag '' is empty or too long"),
        ({"k" * 129: "1"}, "is empty or too long"),
        ({"k": "v" * 257}, "the tag 'k' is empty or too long"),
        ({str(number): "" for number in range(44)}, "51 tags are too many"),
    ],
)
def test_tags_that_ec2_refuses(tags, message):
    with pytest.raises(InputError, match=message):
        request.tags(manifest(tags=tags), PLAIN, BASE, "build-1", 3)


def test_the_builds_identity_cannot_be_taken_away():
    tags = request.tags(manifest(tags={"jenkins-ami:build": "other"}), PLAIN, BASE, "build-1", 3)
    assert tags["jenkins-ami:build"] == "build-1"
