"""What points to an image: SSM parameters and launch templates."""

from __future__ import annotations

import pytest

from jenkins_ami.cloud.waiting import CLOCK
from jenkins_ami.distribute import publish
from jenkins_ami.errors import CloudError
from tests.cloud.proxy import Answer, answer_lost

IMAGE, OLD = "ami-0123456789abcdef0", "ami-00000000000000000"
NAME = "/images/web"


def parameter(cloud) -> dict:
    return cloud.ssm.get_parameter(Name=NAME)["Parameter"]


# SSM parameters


def test_a_new_parameter_holds_the_image_with_its_type_and_tags(cloud):
    assert publish.parameter(cloud, NAME, IMAGE, {"team": "infra"}, CLOCK)
    found = parameter(cloud)
    assert (found["Value"], found["Type"], found["DataType"]) == (IMAGE, "String", "aws:ec2:image")
    tags = cloud.ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=NAME)["TagList"]
    assert tags == [{"Key": "team", "Value": "infra"}]


def test_a_parameter_that_is_there_gets_a_new_value_and_keeps_its_type(cloud):
    cloud.ssm.put_parameter(Name=NAME, Value=OLD, Type="String", DataType="text")
    assert publish.parameter(cloud, NAME, IMAGE, {"team": "infra"}, CLOCK)
    found = parameter(cloud)
    assert (found["Value"], found["DataType"], found["Version"]) == (IMAGE, "text", 2)


def test_a_parameter_that_holds_the_image_is_not_written(cloud):
    publish.parameter(cloud, NAME, IMAGE, {}, CLOCK)
    assert not publish.parameter(cloud, NAME, IMAGE, {}, CLOCK)
    assert parameter(cloud)["Version"] == 1


@pytest.mark.parametrize("before", [None, OLD])
def test_an_answer_that_is_lost_leaves_the_parameter_right(built, cloud, before):
    if before:
        cloud.ssm.put_parameter(Name=NAME, Value=before, Type="String")
    built.proxy.on(answer_lost, action="PutParameter", times=6)
    built.settle(ssm_parameter=NAME)
    assert built.distribute().failures == {}
    assert parameter(cloud)["Value"] == built.image_id


def test_a_value_that_systems_manager_does_not_take_is_told(built):
    def ignored(exchange) -> None:
        """PutParameter answers before the value is checked."""
        exchange.answer(Answer(200, (("Content-Type", "application/x-amz-json-1.1"),), b'{"Version": 1}'))

    built.proxy.on(ignored, action="PutParameter", times=None)
    built.settle(ssm_parameter=NAME)
    (failure,) = built.distribute().failures.values()
    assert f"parameter {NAME} does not hold {built.image_id} after 0.2 s" in failure


def test_the_environments_tags_are_the_parameters(built, cloud):
    built.settle(ssm_parameter=NAME, tags={"team": "infra"})
    built.distribute()
    tags = cloud.ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=NAME)["TagList"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "infra", "jenkins-ami:name": "web"}


# Launch templates


@pytest.fixture
def template(cloud) -> str:
    made = cloud.ec2.create_launch_template(
        LaunchTemplateName="web", LaunchTemplateData={"ImageId": OLD, "InstanceType": "m5.large"}
    )
    return made["LaunchTemplate"]["LaunchTemplateId"]


def versions(cloud) -> list[dict]:
    answer = cloud.ec2.describe_launch_template_versions(LaunchTemplateName="web")
    return sorted(answer["LaunchTemplateVersions"], key=lambda each: each["VersionNumber"])


@pytest.mark.parametrize("by", ["id", "name"])
def test_a_template_gets_a_version_like_its_latest_but_for_the_image(cloud, template, by):
    which = template if by == "id" else "web"
    assert publish.template_version(cloud, which, IMAGE, "web-1.4.0-3", CLOCK) == (2, True)
    _, made = versions(cloud)
    assert made["LaunchTemplateData"]["ImageId"] == IMAGE
    assert made["LaunchTemplateData"]["InstanceType"] == "m5.large"
    assert made["VersionDescription"] == "web-1.4.0-3"


def test_the_default_version_stays_what_it_was(cloud, template):
    publish.template_version(cloud, template, IMAGE, "", CLOCK)
    assert [each["DefaultVersion"] for each in versions(cloud)] == [True, False]


def test_a_template_whose_latest_version_has_the_image_is_left_alone(cloud, template):
    publish.template_version(cloud, template, IMAGE, "", CLOCK)
    assert publish.template_version(cloud, template, IMAGE, "", CLOCK) == (2, False)
    assert len(versions(cloud)) == 2


def test_an_answer_that_is_lost_makes_one_version(built, cloud, template):
    built.proxy.on(answer_lost, action="CreateLaunchTemplateVersion")
    built.settle(launch_template="web")
    assert built.distribute().failures == {}
    assert len(versions(cloud)) == 2


def test_a_template_that_is_not_there_is_told(cloud):
    with pytest.raises(CloudError) as refused:
        publish.template_version(cloud, "none", IMAGE, "", CLOCK)
    assert refused.value.operation == "DescribeLaunchTemplateVersions"


def test_the_result_says_what_points_to_the_image(built, template):
    built.settle(ssm_parameter=NAME, launch_template="web")
    assert built.distribute().published == {"eu-central-1": (f"ssm:{NAME}", "launch-template:web:2")}
    assert built.distribute().published == {"eu-central-1": (f"ssm:{NAME}", "launch-template:web:2")}
