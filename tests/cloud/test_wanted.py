"""What an image is to be: the source's word, and the environment's over it."""

from __future__ import annotations

from jenkins_ami.artifacts import ImageSettings, Sharing
from jenkins_ami.cloud.environments import Environment, Region
from jenkins_ami.cloud.wanted import Wanted, wanted

HERE = Environment("dev", "eu-central-1")


def test_without_a_word_an_image_is_encrypted_and_stays_where_it_is():
    assert wanted(ImageSettings(), HERE) == Wanted(encrypted=True, imds="v2.0", home=Region())


def test_the_source_is_heard_where_the_environment_is_silent():
    image = ImageSettings(encrypted=False, deprecate_after=90, protect=True, imds="any", boot_mode="uefi")
    found = wanted(image, HERE)
    assert (found.encrypted, found.deprecate_after, found.protect) == (False, 90, True)
    assert (found.imds, found.boot_mode) == ("any", "uefi")


def test_the_environments_word_counts_where_it_says_something():
    image = ImageSettings(encrypted=False, deprecate_after=90, protect=True)
    there = Environment("dev", "eu-central-1", encrypted=True, deprecate_after=7, protect=False)
    found = wanted(image, there)
    assert (found.encrypted, found.deprecate_after, found.protect) == (True, 7, False)


def test_an_environment_with_a_key_wants_encryption():
    found = wanted(ImageSettings(encrypted=False), Environment("dev", "eu-central-1", kms_key="alias/images"))
    assert (found.encrypted, found.kms_key, found.home.kms_key) == (True, "alias/images", "alias/images")


def test_regions_are_those_of_both_and_the_environments_settings_count():
    there = Environment("dev", "eu-central-1", regions={"us-east-1": Region(kms_key="alias/us")})
    found = wanted(ImageSettings(regions=("us-east-1", "us-west-2", "eu-central-1")), there)
    assert found.copies == {"us-east-1": Region(kms_key="alias/us"), "us-west-2": Region()}


def test_the_builds_own_region_may_be_among_the_regions():
    own = Region(kms_key="alias/own", tags={"a": "b"}, launch_template="lt-12345678")
    found = wanted(ImageSettings(), Environment("dev", "eu-central-1", regions={"eu-central-1": own}))
    assert (found.kms_key, found.home, found.copies) == ("alias/own", own, {})


def test_the_environments_parameter_is_called_the_same_in_all_regions_but_its_template_is_not():
    regions = {"us-east-1": Region(), "us-west-2": Region(ssm_parameter="/west")}
    there = Environment("dev", "eu-central-1", ssm_parameter="/all", launch_template="web", regions=regions)
    found = wanted(ImageSettings(), there)
    assert found.home == Region(ssm_parameter="/all", launch_template="web")
    assert found.copies == {"us-east-1": Region(ssm_parameter="/all"), "us-west-2": Region(ssm_parameter="/west")}


def test_it_is_shared_with_those_of_both_each_once():
    image = ImageSettings(share=Sharing(accounts=("1" * 12, "2" * 12), units=("u",)))
    there = Environment("dev", "eu-central-1", share=Sharing(accounts=("2" * 12, "3" * 12), organizations=("o",)))
    assert wanted(image, there).share == Sharing(("1" * 12, "2" * 12, "3" * 12), ("o",), ("u",))
