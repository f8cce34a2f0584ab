from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jenkins_ami.artifacts import BaseQuery
from jenkins_ami.build.base import FORMS, Reference, describe, parse, resolve
from jenkins_ami.build.own_images import is_past
from jenkins_ami.cloud.session import Cloud
from jenkins_ami.cloud.tags import escaped
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
        ("ssm:/golden/base:3", "ssm", "/golden/base:3"),
        ("web", "own", "web"),
        ("web-1.4.2", "own", "web-1.4.2"),
        ("ami-builder", "own", "ami-builder"),
        ("Web [blue] (x)/a@b", "own", "Web [blue] (x)/a@b"),
    ],
)
def test_forms_of_a_base(text, kind, value):
    assert parse(text) == Reference(kind, value)


@pytest.mark.parametrize(
    "text", ["", " ", "ssm:", "ssm://", "ssm:/a:", "scratch:", "scratch:xyz", "name=d*,owner=1", "web*", "a" * 129]
)
def test_another_form_is_refused_with_those_there_are(text):
    with pytest.raises(InputError) as caught:
        parse(text)
    assert caught.value.line() == f"'{text}' does not name a base image (BASE). {FORMS}."


@pytest.mark.parametrize(
    "text", ["ami-", "ami-0123", "AMI-01234567", "ami-0123456789abcdef01", "ami-0123456789ABCDEF0"]
)
def test_an_id_with_a_slip_is_not_taken_for_a_name(text):
    with pytest.raises(InputError) as caught:
        parse(text)
    assert caught.value.line() == (f"'{text}' is no image id (BASE). It is ami- and 8 or 17 of the digits 0-9 and a-f.")


def test_an_image_by_its_id(server, cloud: Cloud):
    image = server.image("debian", root_device="/dev/xvda", volume_size=9)
    base = resolve(cloud, parse(image), "x86_64")
    assert (base.image_id, base.name, base.root_device, base.root_size) == (image, "debian", "/dev/xvda", 9)
    assert (base.volumes, base.architecture) == ({"/dev/xvda": 9}, "x86_64")


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
    for name, year in (("old", 2023), ("new", 2025), ("middle", 2024)):
        newer(server, name, year, {"jenkins-ami:base": f"scratch/{name}"})
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
    server.image("evil", {"jenkins-ami:base": "scratch/0123abcd"}, owner_id="999999999999")
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


def test_what_a_launch_and_a_report_know_of_a_base():
    base = describe(
        {
            "ImageId": "ami-1",
            "Name": "debian",
            "State": "available",
            "Architecture": "arm64",
            "RootDeviceName": "/dev/xvda",
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "Encrypted": True}},
                {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 2, "Encrypted": False}},
                {"DeviceName": "/dev/sdc", "VirtualName": "ephemeral0"},
            ],
            "BootMode": "uefi",
            "EnaSupport": True,
            "ImdsSupport": "v2.0",
            "VirtualizationType": "hvm",
            "CreationDate": "2026-01-02T03:04:05.000Z",
            "DeprecationTime": "2028-01-02T03:04:00.000Z",
            "OwnerId": "123456789012",
            "Tags": [{"Key": "a", "Value": "b"}],
        }
    )
    assert (base.root_size, base.volumes) == (8, {"/dev/xvda": 8, "/dev/sdb": 2})
    assert (base.boot_mode, base.ena_support, base.encrypted) == ("uefi", True, True)
    assert (base.imds_support, base.virtualization, base.owner) == ("v2.0", "hvm", "123456789012")
    assert (base.created, base.deprecated) == ("2026-01-02T03:04:05.000Z", "2028-01-02T03:04:00.000Z")
    assert (base.tags, base.warnings) == ({"a": "b"}, ())


def days_from_now(days: int) -> str:
    """As EC2 writes a time."""
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:00.000Z")


def test_a_deprecated_base_is_built_on_with_a_warning(server, cloud: Cloud):
    since = days_from_now(-1)
    image = server.image("debian", deprecated=since)
    assert resolve(cloud, parse(image), "x86_64").warnings == (
        f"the base {image} (debian) is deprecated since {since}",
    )


def test_a_base_that_will_be_deprecated_one_day_needs_no_warning(server, cloud: Cloud):
    image = server.base(deprecated=days_from_now(1))
    assert resolve(cloud, parse(image), "x86_64").warnings == ()


@pytest.mark.parametrize(
    ("time", "past"),
    [("", False), ("2026-01-01T00:00:00.000Z", True), ("2026-01-01T00:00:00", True), ("2026-01-01T00:00:01Z", False)],
)
def test_times_that_are_over(time, past):
    assert is_past(time, datetime(2026, 1, 1, tzinfo=UTC)) is past


# SSM parameters that Amazon publishes


def test_a_parameter_that_is_json_names_its_image_in_it(server, cloud: Cloud):
    image = server.base()
    cloud.ssm.put_parameter(Name="/ecs", Value=f'{{"image_id": "{image}", "os": "x"}}', Type="String", Overwrite=True)
    assert resolve(cloud, parse("ssm:/ecs"), "x86_64").image_id == image


@pytest.mark.parametrize("value", ["{", "{}", '{"image_id": 1}', "ami-0123", "x" * 50])
def test_a_parameter_with_anything_else(cloud: Cloud, value):
    cloud.ssm.put_parameter(Name="/base/odd", Value=value, Type="String", Overwrite=True)
    shown = value if len(value) <= 40 else value[:40] + "…"
    with pytest.raises(InputError) as caught:
        resolve(cloud, parse("ssm:/base/odd"), "x86_64")
    assert caught.value.what == f"SSM parameter /base/odd holds no image id but '{shown}'"


def test_a_parameter_that_names_an_image_that_is_gone(cloud: Cloud):
    cloud.ssm.put_parameter(Name="/base/gone", Value="ami-0123456789abcdef0", Type="String", Overwrite=True)
    with pytest.raises(
        InputError, match="there is no image ami-0123456789abcdef0 in eu-central-1, which SSM parameter /ba"
    ):
        resolve(cloud, parse("ssm:/base/gone"), "x86_64")


# A base by what it is


def debian(*owners: str, **changes) -> BaseQuery:
    return BaseQuery(**({"name": "debian-12-*", "owners": owners or ("self",)} | changes))


def newer(server, name: str, year: int, tags: dict[str, str] | None = None, **attributes) -> str:
    """An image made in the given year."""
    return server.image(name, tags, created=f"{year}-01-01T00:00:00.000Z", **attributes)


def by_query(cloud: Cloud, query: BaseQuery, architecture: str = "x86_64") -> str:
    return resolve(cloud, parse(query.name, query), architecture).name


def test_the_newest_image_that_fits_is_chosen(server, cloud: Cloud):
    newer(server, "debian-12-old", 2023)
    newer(server, "debian-12-new", 2025)
    newer(server, "debian-12-middle", 2024)
    newer(server, "ubuntu", 2026)
    assert by_query(cloud, debian()) == "debian-12-new"


def test_only_images_of_the_named_owners_count(server, cloud: Cloud):
    newer(server, "debian-12-ours", 2023)
    newer(server, "debian-12-theirs", 2024, owner_id="222222222222")
    newer(server, "debian-12-alias", 2025, owner_id="333333333333", owner_alias="amazon")
    newer(server, "debian-12-evil", 2026, owner_id="666666666666")
    assert by_query(cloud, debian("self")) == "debian-12-ours"
    assert by_query(cloud, debian("self", "222222222222")) == "debian-12-theirs"
    assert by_query(cloud, debian("amazon")) == "debian-12-alias"


def test_only_images_of_the_architecture_count(server, cloud: Cloud):
    newer(server, "debian-12-arm", 2026, architecture="arm64")
    newer(server, "debian-12-pc", 2025)
    assert by_query(cloud, debian()) == "debian-12-pc"
    assert by_query(cloud, debian(architecture="arm64"), "arm64") == "debian-12-arm"
    with pytest.raises(InputError, match="is for arm64, the image is to be for x86_64"):
        by_query(cloud, debian(architecture="arm64"))


def test_only_images_of_the_virtualization_type_count(server, cloud: Cloud):
    newer(server, "debian-12-hvm", 2025, virtualization_type="hvm")
    newer(server, "debian-12-pv", 2026, virtualization_type="paravirtual")
    assert by_query(cloud, debian()) == "debian-12-hvm"
    assert by_query(cloud, debian(virtualization="paravirtual")) == "debian-12-pv"


def test_only_images_with_the_tags_count(server, cloud: Cloud):
    newer(server, "debian-12-gold", 2025, {"grade": "gold"})
    newer(server, "debian-12-none", 2026)
    assert by_query(cloud, debian(tags={"grade": "gold"})) == "debian-12-gold"


def test_a_tag_has_no_wildcards(server, cloud: Cloud):
    newer(server, "debian-12-gold", 2025, {"grade": "gold"})
    with pytest.raises(InputError, match=r"there is no available image .*, tag grade=g\* in eu-central-1"):
        by_query(cloud, debian(tags={"grade": "g*"}))


def test_images_that_are_not_available_and_deprecated_ones_are_left_out(server, cloud: Cloud):
    newer(server, "debian-12-good", 2023)
    newer(server, "debian-12-pending", 2025, state="pending")
    newer(server, "debian-12-old", 2026, deprecated=days_from_now(-1))
    assert by_query(cloud, debian()) == "debian-12-good"


def test_nothing_found_says_what_was_looked_for(server, cloud: Cloud):
    with pytest.raises(InputError) as caught:
        by_query(cloud, debian("self", "amazon", tags={"grade": "gold"}))
    assert caught.value.line() == (
        "there is no available image 'debian-12-*' of self or amazon, x86_64, hvm, tag grade=gold in eu-central-1 "
        "(base). Correct 'name' and 'owners': * and ? in a name are wildcards, and images differ from region to region."
    )


def test_nothing_but_deprecated_ones_says_so(server, cloud: Cloud):
    image = newer(server, "debian-12-old", 2023, deprecated=days_from_now(-1))
    with pytest.raises(InputError) as caught:
        by_query(cloud, debian())
    assert caught.value.hint == f"What there is, is deprecated: {image}; an ami- id can name it nevertheless"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            BaseQuery("debian", ()),
            "the base 'debian' has no owners (base). Without an owner anybody's public image of ",
        ),
        (BaseQuery("", ("self",)), "the base '' has no name (base). Give it one, in which * and ? are wildcards."),
        (debian("me"), "'me' is no owner of images (base). Use an account's 12 digits, self, amazon, aws-market"),
        (debian("self", "12345678901"), "'12345678901' is no owner of images (base). Use"),
    ],
)
def test_a_query_that_asks_for_too_much_or_too_little(query, message):
    with pytest.raises(InputError) as caught:
        parse(query.name, query)
    assert caught.value.line().startswith(message)


# One's own images by name and version


def own(server, name: str, version: str, build: int, *more: str, **attributes) -> str:
    """An image with the three tags; ``more``: keys of ours that it has as well."""
    tags = {"Name": name, "Version": version, "Build": str(build)} | {f"jenkins-ami:{key}": "x" for key in more}
    return server.image(f"{name}-{version}-{build}", tags, **attributes)


def by_name(cloud: Cloud, text: str, architecture: str = "x86_64") -> str:
    return resolve(cloud, parse(text), architecture).name


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("web", "web-10.0-1"),
        ("web-1", "web-1.40.0-1"),
        ("web-1.4", "web-1.4.10-2"),
        ("web-1.4.10", "web-1.4.10-2"),
        ("web-1.4.9", "web-1.4.9-10"),
        ("web-1.4.9-9", "web-1.4.9-9"),
        ("web-blue", "web-blue-1.0-1"),
        ("web-blue-1", "web-blue-1.0-1"),
        ("Web 2 (a)/b", "Web 2 (a)/b-1-1"),
        ("Web 2 (a)/b-1", "Web 2 (a)/b-1-1"),
    ],
)
def test_versions_and_builds_are_compared_as_numbers(server, cloud: Cloud, asked, found):
    for name, version, build in (
        ("web", "1.4.9", 9),
        ("web", "1.4.9", 10),
        ("web", "1.4.10", 1),
        ("web", "1.4.10", 2),
        ("web", "1.40.0", 1),
        ("web", "10.0", 1),
        ("web", "9.0", 7),
        ("web-blue", "1.0", 1),
        ("Web 2 (a)/b", "1", 1),
    ):
        own(server, name, version, build)
    assert by_name(cloud, asked) == found


def test_a_name_may_look_like_one_with_a_version(server, cloud: Cloud):
    own(server, "web", "1", 5)
    own(server, "web-1", "7.0", 1)
    assert by_name(cloud, "web-1") == "web-1-7.0-1"
    assert by_name(cloud, "web") == "web-1-5"


def test_an_image_that_its_build_may_still_end_does_not_count(server, cloud: Cloud):
    own(server, "web", "1.0", 1, "build", "input")
    own(server, "web", "1.0", 2, "build")
    assert by_name(cloud, "web") == "web-1.0-1"


@pytest.mark.parametrize("asked", ["web", "web-1.0", "web-1.0-2"])
def test_nothing_but_an_unfinished_one_says_so(server, cloud: Cloud, asked):
    image = own(server, "web", "1.0", 2, "build")
    with pytest.raises(InputError) as caught:
        by_name(cloud, asked)
    assert caught.value.hint == f"{image} is of a build that is not over: wait for it, or build it again"


def test_images_of_others_pending_ones_and_such_without_a_build_number_do_not_count(server, cloud: Cloud):
    own(server, "web", "1.0", 1)
    own(server, "web", "2.0", 1, owner_id="666666666666")
    own(server, "web", "3.0", 1, state="pending")
    server.image("by hand", {"Name": "web"})
    server.image("by hand too", {"Name": "web", "Version": "4.0", "Build": "x"})
    assert by_name(cloud, "web") == "web-1.0-1"


def test_an_image_of_the_architecture_is_preferred(server, cloud: Cloud):
    own(server, "web", "1.0", 1)
    own(server, "web", "2.0", 1, architecture="arm64")
    assert by_name(cloud, "web") == "web-1.0-1"
    assert by_name(cloud, "web", "arm64") == "web-2.0-1"
    with pytest.raises(InputError, match="is for arm64, the image is to be for x86_64"):
        by_name(cloud, "web-2")


def test_a_deprecated_one_is_only_taken_when_there_is_no_other(server, cloud: Cloud):
    own(server, "web", "1.0", 1)
    own(server, "web", "1.1", 1, deprecated=days_from_now(-1))
    assert by_name(cloud, "web") == "web-1.0-1"
    base = resolve(cloud, parse("web-1.1"), "x86_64")
    assert base.name == "web-1.1-1"
    assert len(base.warnings) == 1


def test_an_image_without_tags_is_found_by_its_whole_name(server, cloud: Cloud):
    server.image("web-1.0-3")
    assert by_name(cloud, "web-1.0-3") == "web-1.0-3"


def test_no_such_image_says_what_was_looked_for(server, cloud: Cloud):
    with pytest.raises(InputError) as caught:
        by_name(cloud, "web-1.0-3")
    assert caught.value.line() == (
        "there is no available image 'web-1.0-3' of your own in eu-central-1: looked for tags Name=web-1.0-3, or "
        "Name=web-1.0 and Version=3 or 3.*, or its whole name (BASE). Build it first, in this account and region; or "
        "name a base of another owner with 'name' and 'owners'."
    )


def test_another_version_than_those_there_are(server, cloud: Cloud):
    own(server, "web", "1.9", 1)
    own(server, "web", "1.10", 1)
    with pytest.raises(InputError) as caught:
        by_name(cloud, "web-2")
    assert caught.value.hint == "Of web there is 1.10, 1.9"


@pytest.mark.parametrize(("value", "text"), [("a*b", r"a\*b"), ("?", r"\?"), ("\\", r"\\"), ("[x]", "[x]")])
def test_a_filters_value_means_itself(value, text):
    assert escaped(value) == text
