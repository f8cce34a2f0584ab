from __future__ import annotations

import pytest

from jenkins_ami.build.base import FORMS, Reference, describe, parse, resolve
from jenkins_ami.cloud.session import Cloud
from jenkins_ami.errors import InputError

SCRATCH = Reference("scratch", "scratch/*")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("ami-0123456789abcdef0", "ami", "ami-0123456789abcdef0"),
        ("ami-01234567", "ami", "ami-01234567"),
        ("ssm:/aws/service/debian/release/12/latest/amd64", "ssm", "/aws/service/debian/release/12/latest/amd64"),
        ("ssm:name", "ssm", "name"),
        ("scratch", "scratch", "scratch/*"),
        ("scratch:0123abcd", "scratch", "scratch/0123abcd"),
    ],
)
def test_forms_of_a_base(text, kind, value):
    assert parse(text) == Reference(kind, value)


@pytest.mark.parametrize(
    "text", ["", "ubuntu", "ami-xyz", "AMI-01234567", "ssm:", "ssm://", "scratch:", "scratch:xyz", "name=d*,owner=1"]
)
def test_another_form_is_refused_with_those_there_are(text):
    with pytest.raises(InputError) as caught:
        parse(text)
    assert caught.value.line() == f"'{text}' does not name a base image (BASE). {FORMS}."


def test_an_image_by_its_id(server, cloud: Cloud):
    image = server.base(root_device_name="/dev/xvda", name="debian")
    base = resolve(cloud, parse(image), "x86_64")
    assert (base.image_id, base.name, base.root_device, base.root_size) == (image, "debian", "/dev/xvda", 15)
    assert (base.volumes, base.architecture) == ({"/dev/xvda": 15}, "x86_64")


def test_an_unknown_id_is_an_input_error(cloud: Cloud):
    with pytest.raises(InputError, match="there is no image ami-0123456789abcdef0 in eu-central-1"):
        resolve(cloud, parse("ami-0123456789abcdef0"), "x86_64")


def test_an_image_by_an_ssm_parameter(server, cloud: Cloud):
    image = server.base()
    cloud.ssm.put_parameter(Name="/base/debian", Value=image, Type="String", Overwrite=True)
    assert resolve(cloud, parse("ssm:/base/debian"), "x86_64").image_id == image


def test_a_missing_ssm_parameter(cloud: Cloud):
    with pytest.raises(InputError, match="there is no SSM parameter /base/none in eu-central-1"):
        resolve(cloud, parse("ssm:/base/none"), "x86_64")


def test_an_ssm_parameter_that_holds_no_image(cloud: Cloud):
    cloud.ssm.put_parameter(Name="/base/wrong", Value="hello", Type="String", Overwrite=True)
    with pytest.raises(InputError, match="SSM parameter /base/wrong holds no image id but 'hello'"):
        resolve(cloud, parse("ssm:/base/wrong"), "x86_64")


def test_scratch_is_the_newest_of_the_accounts_own_images(server, cloud: Cloud):
    from datetime import datetime

    for name, year in (("old", 2023), ("new", 2025), ("middle", 2024)):
        image = server.image(name, {"jenkins-ami:base": f"scratch/{name}"})
        server.ec2.amis[image].creation_date = datetime(year, 1, 1)
    assert resolve(cloud, SCRATCH, "x86_64").name == "new"


def test_scratch_with_a_digest_is_exactly_that_one(server, cloud: Cloud):
    server.image("one", {"jenkins-ami:base": "scratch/0123abcd"})
    server.image("two", {"jenkins-ami:base": "scratch/0123abcdef"})
    assert resolve(cloud, parse("scratch:0123abcd"), "x86_64").name == "one"


def test_an_image_that_a_build_made_is_no_scratch_base(server, cloud: Cloud):
    server.image("web-1.0-1", {"jenkins-ami:base": "ami-0123456789abcdef0"})
    with pytest.raises(InputError, match="there is no base image from scratch for x86_64"):
        resolve(cloud, SCRATCH, "x86_64")


def test_somebody_elses_image_is_no_scratch_base(server, cloud: Cloud):
    image = server.image("evil", {"jenkins-ami:base": "scratch/0123abcd"})
    server.ec2.amis[image].owner_id = "999999999999"
    with pytest.raises(InputError, match="there is no base image from scratch"):
        resolve(cloud, SCRATCH, "x86_64")


def test_a_base_of_another_architecture_is_refused(server, cloud: Cloud):
    image = server.base(architecture="arm64")
    with pytest.raises(InputError, match=f"the base {image} is for arm64, the image is to be for x86_64"):
        resolve(cloud, parse(image), "x86_64")


def test_a_base_that_is_not_available_is_refused(server, cloud: Cloud):
    image = server.base(state="failed")
    with pytest.raises(InputError, match=f"the base {image} is failed"):
        resolve(cloud, parse(image), "x86_64")


def test_an_instance_store_image_is_refused():
    with pytest.raises(InputError, match="the base ami-1 has no EBS root volume"):
        describe({"ImageId": "ami-1", "State": "available", "RootDeviceName": "/dev/sda1"})
