"""The account's own images: what is read of them, who uses them, and the console of the instance behind one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jenkins_ami.distribute import images, usage
from jenkins_ami.errors import CloudError, InputError
from tests.cloud.server import REGION

TAGS = {
    "jenkins-ami:name": "web",
    "jenkins-ami:version": "1.4.0",
    "jenkins-ami:number": "3",
    "jenkins-ami:build": "b1",
    "jenkins-ami:input": "f00d",
}


def described(**more):
    return {"ImageId": "ami-0123456789abcdef0", "Name": "web-1.4.0-3", "State": "available", **more}


def tagged(**tags):
    return described(Tags=[{"Key": key, "Value": value} for key, value in tags.items()])


def test_an_image_is_read_from_its_tags(server, cloud):
    image_id = server.image(
        "web-1.4.0-3",
        {**TAGS, "jenkins-ami:base": "ami-base"},
        volume_size=12,
        created="2026-01-02T03:04:05.000Z",
        deprecated="2026-02-02T00:00:00.000Z",
        protection="enabled-without-cooldown",
    )
    (image,) = images.own(cloud)
    assert image.image_id == image_id
    assert (image.name, image.version, image.number, image.label) == ("web", "1.4.0", 3, "web-1.4.0-3")
    assert (image.size, image.created[:10], image.region, image.base) == (12, "2026-01-02", REGION, "ami-base")
    assert (image.finished, image.usable, image.protected, len(image.snapshots)) == (True, True, True, 1)
    assert image.is_deprecated(datetime(2026, 2, 2, tzinfo=UTC))
    assert not image.is_deprecated(datetime(2026, 2, 1, tzinfo=UTC))


def test_images_of_the_scripts_before_us_are_ours_too_and_finished():
    image = images.read(tagged(Name="web", Version="1.4.0", Build="3"), REGION)
    assert (image.name, image.version, image.number, image.finished) == ("web", "1.4.0", 3, True)


def test_a_name_alone_makes_no_image_ours():
    assert not images.read(tagged(Name="web", Version="1"), REGION).ours


def test_an_image_is_unfinished_until_its_build_says_so():
    image = images.read(tagged(**{"jenkins-ami:name": "web", "jenkins-ami:build": "b1"}), REGION)
    assert (image.finished, image.usable) == (False, False)


def test_images_are_listed_by_name_and_by_version_and_build_as_numbers(server, cloud):
    for name, version, number in [("web", "1.10", 2), ("web", "1.9", 10), ("web", "1.9", 9), ("api", "3", 1)]:
        tags = {**TAGS, "jenkins-ami:name": name, "jenkins-ami:version": version, "jenkins-ami:number": str(number)}
        server.image(f"{name}-{version}-{number}", tags)
    labels = [image.label for image in images.own(cloud)]
    assert labels == ["api-3-1", "web-1.9-9", "web-1.9-10", "web-1.10-2"]


def test_deprecated_and_disabled_images_are_listed_and_of_another_region_none(server, cloud):
    server.image("old", TAGS, deprecated="2020-01-01T00:00:00.000Z")
    server.image("off", TAGS, disabled=True)
    server.image("there", TAGS, region="eu-west-1")
    assert {image.label for image in images.own(cloud)} == {"old", "off"}


def test_of_names_picks_ours_and_all_when_asked():
    ours, other = images.read(tagged(**TAGS), REGION), images.read(described(), REGION)
    assert images.of_names([ours, other], []) == [ours]
    assert images.of_names([ours, other], [], foreign=True) == [ours, other]
    assert images.of_names([ours, other], ["api"]) == []


def test_images_are_found_by_id_and_what_is_not_there_is_left_out(server, cloud):
    image = server.image("web", TAGS)
    assert set(images.find(cloud, [image, "ami-0123456789abcdef0"])) == {image}
    assert images.find(cloud, []) == {}


def test_whether_an_image_is_shared_is_asked_of_each(server, cloud):
    own, shared, public = (server.image(name, TAGS) for name in ("own-image", "shared-image", "public-image"))
    cloud.ec2.modify_image_attribute(ImageId=shared, LaunchPermission={"Add": [{"UserId": "111122223333"}]})
    cloud.ec2.modify_image_attribute(ImageId=public, LaunchPermission={"Add": [{"Group": "all"}]})
    found = {image.image_id: image.shared for image in images.with_sharing(cloud, images.own(cloud))}
    assert found == {own: False, shared: True, public: True}


def test_without_the_right_to_ask_sharing_is_not_known(server, cloud):
    server.image("web", TAGS)
    server.refuse("describe_image_attribute", "UnauthorizedOperation")
    assert [image.shared for image in images.with_sharing(cloud, images.own(cloud))] == [None]


# Users


@pytest.fixture
def image(server, cloud):
    return server.image("web-1.4.0-3", TAGS)


def test_an_image_that_nobody_uses_has_no_users(image, cloud):
    assert usage.look(cloud, [image]) == usage.Usage()


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_an_instance_uses_its_image_until_it_is_terminated(image, cloud, state):
    instance = cloud.ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    if state == "stopped":
        cloud.ec2.stop_instances(InstanceIds=[instance])
    (user,) = usage.look(cloud, [image]).of(image)
    assert user.startswith(f"instance {instance} (")
    cloud.ec2.terminate_instances(InstanceIds=[instance])
    assert usage.look(cloud, [image]).of(image) == ()


def test_any_version_of_a_launch_template_uses_its_image(image, cloud):
    made = cloud.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": image})
    template = made["LaunchTemplate"]["LaunchTemplateId"]
    cloud.ec2.create_launch_template_version(
        LaunchTemplateId=template, LaunchTemplateData={"ImageId": "ami-0123456789abcdef0"}
    )
    cloud.ec2.create_launch_template_version(LaunchTemplateId=template, LaunchTemplateData={"ImageId": image})
    assert usage.look(cloud, [image]).of(image) == (
        f"launch template web ({template}), version 1",
        f"launch template web ({template}), version 3",
    )


def test_a_launch_configuration_uses_its_image(image, cloud):
    cloud.autoscaling.create_launch_configuration(LaunchConfigurationName="web", ImageId=image, InstanceType="t3.small")
    try:
        assert usage.look(cloud, [image]).of(image) == ("launch configuration web",)
    finally:
        cloud.autoscaling.delete_launch_configuration(LaunchConfigurationName="web")


@pytest.fixture
def parameters(cloud):
    """Puts SSM parameters, which outlive a test's server otherwise."""
    made = []

    def put(name, value, kind="String"):
        cloud.ssm.put_parameter(Name=name, Value=value, Type=kind)
        made.append(name)

    yield put
    for name in made:
        cloud.ssm.delete_parameter(Name=name)


def test_a_parameter_with_its_id_uses_an_image_wherever_it_stands_among_many(image, cloud, parameters):
    for number in range(60):  # more than a page, and more than one GetParameters
        parameters(f"/other/{number:02}", "nothing")
    parameters("/web/latest", image)
    parameters("/web/list", f"ami-0123456789abcdef0,{image}", "StringList")
    parameters("/web/secret", image, "SecureString")
    assert usage.look(cloud, [image]).of(image) == ("SSM parameter /web/latest", "SSM parameter /web/list")


def test_a_missing_right_is_named(image, server, cloud):
    server.refuse("describe_launch_templates", "UnauthorizedOperation")
    found = usage.look(cloud, [image])
    assert (found.users, found.unknown) == ({}, {"launch-template": "ec2:DescribeLaunchTemplates"})


def test_another_refusal_is_no_missing_right(image, server, cloud):
    server.refuse("describe_launch_templates", "InvalidParameterValue")
    with pytest.raises(CloudError, match="DescribeLaunchTemplates"):
        usage.look(cloud, [image])


def test_an_endpoint_without_a_service_has_no_users_of_its_kind(image, server, cloud):
    server.refuse("describe_launch_templates", "InvalidAction")
    assert usage.look(cloud, [image]) == usage.Usage()


def test_a_kind_that_is_not_asked_for_is_not_looked_at(image, server, cloud):
    server.refuse("describe_launch_templates", "UnauthorizedOperation")
    assert usage.look(cloud, [image], [usage.INSTANCE]) == usage.Usage()


# Consoles


def test_a_console_is_found_by_the_instance_or_by_the_image_that_was_made_of_it(server, cloud, image):
    server.script.console = b"hello\n"
    instance = cloud.ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    made = server.image("made-of-it", {"jenkins-ami:instance": instance})
    assert images.builder(cloud, instance) == instance
    assert images.builder(cloud, made) == instance
    assert images.console(cloud, instance) == b"hello\n"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("web", "'web' is neither an instance nor an image. One looks like i-0123456789abcdef0."),
        (
            "ami-0123456789abcdef0",
            "there is no image ami-0123456789abcdef0 in eu-central-1. "
            "Image ids differ from region to region: name another with --region.",
        ),
    ],
)
def test_what_is_neither_there_nor_an_id_has_no_console(cloud, what, said):
    with pytest.raises(InputError) as error:
        images.builder(cloud, what)
    assert error.value.line() == said


def test_an_image_that_does_not_say_of_what_it_was_made_has_no_console(cloud, image):
    with pytest.raises(InputError) as error:
        images.builder(cloud, image)
    assert error.value.line() == (
        f"image {image} does not say of which instance it was made. It has no tag 'jenkins-ami:instance'."
    )


def test_a_console_that_ec2_keeps_no_more_is_told(cloud):
    with pytest.raises(InputError) as error:
        images.console(cloud, "i-0123456789abcdef0")
    assert error.value.line() == (
        "EC2 does not know instance i-0123456789abcdef0 in eu-central-1 any more. "
        "It keeps a console for about an hour after termination; a build's is in its console.log."
    )


def test_an_empty_console_is_told(cloud, image):
    instance = cloud.ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    with pytest.raises(InputError) as error:
        images.console(cloud, instance)
    assert error.value.what == f"EC2 has no console of instance {instance}"


def test_an_instance_that_is_not_of_nitro_is_asked_without_latest(server, cloud, image):
    server.script.console = b"hello\n"
    instance = cloud.ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    server.refuse("get_console_output", "UnsupportedOperation")
    assert images.console(cloud, instance) == b"hello\n"
