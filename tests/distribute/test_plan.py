"""What is wanted in each region, before any call."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from jenkins_ami.artifacts import BuildResult, ImageRecord, ImageSettings, Sharing
from jenkins_ami.cloud.environments import Environment, Region
from jenkins_ami.distribute.copies import request
from jenkins_ami.distribute.described import Described, Snapshot
from jenkins_ami.distribute.images import Image
from jenkins_ami.distribute.plan import RegionPlan, copy_tags, final_tags, plan
from jenkins_ami.errors import InputError, UsageError

HOME = Environment(name="dev", region="eu-central-1")
RESULT = BuildResult(
    name="web",
    version="1.4.0",
    build=3,
    image_name="web-1.4.0-3",
    images={"eu-central-1": ImageRecord("ami-0123456789abcdef0")},
    base="ami-00000000000000000",
    environment="dev",
    region="eu-central-1",
    instance_id="",
    instance_type="",
    verdict="OK",
    userdata_sha256="",
    digest="",
    created="2026-11-29T10:00:29+00:00",
)
ORIGINAL = Described(
    Image(
        "ami-0123456789abcdef0",
        "eu-central-1",
        "web-1.4.0-3",
        tags={"Name": "web", "team": "infra", "jenkins-ami:build": "b1", "jenkins-ami:input": "f00d", "aws:x": "y"},
    ),
    "A web server",
    (Snapshot("snap-1", {}),),
)


def test_without_settings_nothing_is_to_be_done():
    (home,) = plan(RESULT, HOME)
    assert home.idle
    assert str(home) == "eu-central-1: nothing to do"


def test_the_home_region_comes_first_and_is_no_copy():
    environment = replace(HOME, regions={"us-east-1": Region(), "af-south-1": Region()})
    assert [(each.region, each.copy) for each in plan(RESULT, environment)] == [
        ("eu-central-1", False),
        ("af-south-1", True),
        ("us-east-1", True),
    ]


def test_each_region_has_its_own_key_tags_and_pointers():
    environment = replace(
        HOME,
        kms_key="alias/home",
        regions={
            "us-east-1": Region("alias/east", {"team": "us"}, "/images/{name}/{version}", "lt-0123456789abcdef0"),
            "us-west-2": Region(),
        },
    )
    _, east, west = plan(RESULT, environment)
    assert east == RegionPlan(
        region="us-east-1",
        copy=True,
        encrypted=True,
        kms_key="alias/east",
        tags={"team": "us"},
        ssm_parameter="/images/web/1.4.0",
        launch_template="lt-0123456789abcdef0",
    )
    assert (west.encrypted, west.kms_key) == (True, None)


def test_what_is_not_to_be_encrypted_has_no_key():
    environment = replace(HOME, encrypted=False, regions={"us-east-1": Region("alias/east")})
    copy = plan(RESULT, environment)[1]
    assert (copy.encrypted, copy.kms_key) == (False, None)


def test_sharing_dates_and_protection_are_for_every_region():
    image = ImageSettings(regions=("us-east-1",), deprecate_after=30, protect=True)
    environment = replace(HOME, share=Sharing(accounts=("111122223333",)))
    for each in plan(replace(RESULT, image=image), environment):
        assert each.share.accounts == ("111122223333",)
        assert each.deprecate_at == datetime(2026, 12, 29, 10, 0, tzinfo=UTC)
        assert each.protect


def test_a_plan_reads_as_a_line_for_each_region():
    environment = replace(
        HOME,
        regions={"us-east-1": Region("alias/east", {"team": "us"}, None, "web")},
        share=Sharing(accounts=("111122223333",)),
        deprecate_after=30,
        protect=True,
        ssm_parameter="/images/{name}",
    )
    assert [str(each) for each in plan(RESULT, environment)] == [
        "eu-central-1: share with 111122223333; deprecate at 2026-12-29 10:00 UTC; protect; parameter /images/web",
        "us-east-1: copy, encrypted with alias/east; tags team=us; share with 111122223333; "
        "deprecate at 2026-12-29 10:00 UTC; protect; parameter /images/web; launch template web",
    ]


def test_some_regions_of_all():
    environment = replace(HOME, regions={"us-east-1": Region(), "us-west-2": Region()})
    assert [each.region for each in plan(RESULT, environment, ["us-west-2"])] == ["us-west-2"]


@pytest.mark.parametrize(
    ("change", "regions", "error", "line"),
    [
        pytest.param(
            {},
            ["us-east-1"],
            UsageError,
            "the image is not to go to us-east-1. Its regions are eu-central-1: 'regions' of the environment or of "
            "ami.yaml says so.",
            id="a region that is not wanted",
        ),
        pytest.param(
            {"region": "us-east-1"},
            [],
            InputError,
            "web-1.4.0-3 was built in eu-central-1, and environment dev is in us-east-1. It was built in environment "
            "dev.",
            id="an environment elsewhere",
        ),
        pytest.param(
            {"regions": {"us-east-1": Region(tags={"jenkins-ami:input": "x"})}},
            [],
            InputError,
            "the tag 'jenkins-ami:input' is reserved (tags of us-east-1). Choose another key.",
            id="a tag of ours",
        ),
        pytest.param(
            {"regions": {"us-east-1": Region(tags={"AWS:x": "x"})}},
            [],
            InputError,
            "the tag 'AWS:x' is reserved (tags of us-east-1). Choose another key.",
            id="a tag of AWS's",
        ),
        *(
            pytest.param(
                {"ssm_parameter": name},
                [],
                InputError,
                f"'{filled}' is no name of an SSM parameter (ssm_parameter). One looks like /images/web: letters, "
                "digits and . _ -, up to 15 levels, none that begins with aws or ssm first; only {name} and {version} "
                "are replaced.",
                id=name,
            )
            for name, filled in (
                ("/images/{build}", "/images/{build}"),
                ("images/{name}", "images/web"),
                ("/aws/{name}", "/aws/web"),
                ("SSMparameter", "SSMparameter"),
                ("/a b", "/a b"),
                ("/a//b", "/a//b"),
                ("/a/", "/a/"),
                ("/a" * 16, "/a" * 16),
            )
        ),
    ],
)
def test_what_makes_no_sense_is_refused(change, regions, error, line):
    with pytest.raises(error) as refused:
        plan(RESULT, replace(HOME, **change), regions)
    assert refused.value.line() == line


def test_a_result_without_its_home_image_is_refused():
    with pytest.raises(InputError, match="there is no image of eu-central-1 in it"):
        plan(replace(RESULT, images={}), HOME)


# Tags


COPY = RegionPlan("us-east-1", copy=True, tags={"team": "us"})


def test_a_copy_that_is_under_way_does_not_say_that_it_is_finished():
    assert copy_tags(ORIGINAL, COPY) == {
        "Name": "web",
        "team": "us",
        "jenkins-ami:build": "b1",
        "jenkins-ami:copy-of": "eu-central-1/ami-0123456789abcdef0",
    }


def test_a_copy_that_is_there_says_so():
    assert final_tags(ORIGINAL, COPY)["jenkins-ami:input"] == "f00d"


def test_more_tags_than_ec2_takes_are_refused():
    with pytest.raises(InputError, match="50 tags are too many for a copy in us-east-1"):
        copy_tags(ORIGINAL, replace(COPY, tags={f"t{index}": "" for index in range(46)}))


# The request


def asked(plan: RegionPlan = COPY, **changes: float) -> dict:
    return request(ORIGINAL, plan, "b1", **({"asked": 1764410400.0, "expiry": 3600.0} | changes))


def test_the_snapshots_of_a_copy_have_the_images_tags_and_when_they_expire():
    image, snapshot = asked()["TagSpecifications"]
    assert (image["ResourceType"], snapshot["ResourceType"]) == ("image", "snapshot")
    assert image["Tags"] == snapshot["Tags"]
    assert {"Key": "jenkins-ami:expires", "Value": "2025-11-29T11:00:00+00:00"} in image["Tags"]


def test_the_same_entry_of_the_ledger_asks_for_the_same_copy():
    assert asked() == asked()


@pytest.mark.parametrize(
    "other",
    [
        {"asked": 1764410401.0},
        {"plan": replace(COPY, region="us-west-2")},
        {"plan": replace(COPY, kms_key="alias/x", encrypted=True)},
    ],
    ids=["a later entry", "another region", "another key"],
)
def test_a_token_is_for_one_request_only(other):
    assert asked(**other)["ClientToken"] != asked()["ClientToken"]


def test_a_key_is_named_only_for_what_is_encrypted():
    assert "KmsKeyId" not in asked()
    encrypted = asked(replace(COPY, encrypted=True, kms_key="alias/east"))
    assert (encrypted["Encrypted"], encrypted["KmsKeyId"]) == (True, "alias/east")
