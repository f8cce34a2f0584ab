"""``BUILDAMI_*``: what they say, and what it goes over."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jenkins_ami.artifacts import BaseQuery, BuildResult, ImageRecord, Manifest, Overlay, Timeouts, describe_file
from jenkins_ami.cloud import environments, waiting
from jenkins_ami.cloud.environments import Environment
from jenkins_ami.cloud.variables import NAMES, Variables, read, with_digest
from jenkins_ami.errors import AmiError, HostError, InputError, StorageError, UsageError

DEV = Environment("dev", "eu-central-1", subnets=("subnet-1",), storage="s3://env/x", instance_types=("m5.large",))
MANIFEST = Manifest("web", "1.0", "scratch", "0" * 16, "0" * 64, {}, description="A web server")


def said(**variables: str) -> Variables:
    return read({f"BUILDAMI_{key}": value for key, value in variables.items()})


def test_without_variables_nothing_changes():
    assert read({"PATH": "/bin", "BUILDAMI": "x"}) == Variables()
    assert Variables().over_environment(DEV) == DEV
    assert Variables().over_manifest(MANIFEST) == MANIFEST


def test_an_empty_variable_is_not_set():
    assert read({f"BUILDAMI_{name}": " " for name in NAMES}) == Variables()


ENVIRONMENT = {
    "SUBNET": ("subnet-2", {"subnets": ("subnet-2",)}),
    "SECURITYGROUPS": ("sg-1, sg-2 sg-3", {"security_groups": ("sg-1", "sg-2", "sg-3")}),
    "PROFILE": ("build", {"instance_profile": "build"}),
    "TYPE": ("t3.small", {"instance_types": ("t3.small",)}),
    "KEYPAIR": ("me at home", {"key_pair": "me at home"}),
    "BLOCKDEVICEMAPPING": (
        "DeviceName=/dev/xvda,Ebs={VolumeSize=10}",
        {"block_devices": ({"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 10}},)},
    ),
    "WAIT_INSTANCE": ("7", {"pace": replace(waiting.AWS, state=7, state_longest=7)}),
    "WAIT_AMI": ("60", {"pace": replace(waiting.AWS, state=60, state_longest=60)}),
}
MANIFESTS = {
    "BASEAMI": ("ami-0123456789abcdef0", {"base": "ami-0123456789abcdef0"}),
    "TARGETNAME": ("web (new)", {"name": "web (new)"}),
    "TARGETVERSION": ("2.0", {"version": "2.0"}),
    "TARGETDESCRIPTION": ("Another one", {"description": "Another one"}),
    "TIMEOUT_INSTANCE": ("120", {"timeouts": Timeouts(instance=120)}),
    "TIMEOUT_AMI": ("604800", {"timeouts": Timeouts(image=604_800)}),
}


@pytest.mark.parametrize(("name", "value", "changes"), [(k, *v) for k, v in ENVIRONMENT.items()], ids=ENVIRONMENT)
def test_a_variable_goes_over_what_the_environment_says(name, value, changes):
    assert said(**{name: value}).over_environment(DEV) == replace(DEV, **changes)
    assert said(**{name: value}).over_manifest(MANIFEST) == MANIFEST


@pytest.mark.parametrize(("name", "value", "changes"), [(k, *v) for k, v in MANIFESTS.items()], ids=MANIFESTS)
def test_a_variable_goes_over_what_the_compiled_ami_says(name, value, changes):
    assert said(**{name: value}).over_manifest(MANIFEST) == replace(MANIFEST, **changes)
    assert said(**{name: value}).over_environment(DEV) == DEV


def test_both_intervals_are_the_bounds_of_the_pace():
    pace = said(WAIT_INSTANCE="30", WAIT_AMI="10").over_environment(DEV).pace
    assert (pace.state, pace.state_longest) == (10, 30)


def test_the_local_cloud_has_no_subnets_and_no_groups():
    local = environments.local("http://127.0.0.1:1", "http://127.0.0.1:1", "us-east-1")
    assert said(SUBNET="subnet-1", SECURITYGROUPS="sg-1", PROFILE="p").over_environment(local) == local


@pytest.mark.parametrize("base", ["ami-01234567", "web", "web-1.4.0", "web-1.4.0-17", "ssm:/a/b", "scratch"])
def test_a_base_goes_over_a_query_too(base):
    manifest = replace(MANIFEST, base="debian-*", base_query=BaseQuery("debian-*", ("amazon",)))
    assert said(BASEAMI=base).over_manifest(manifest) == replace(MANIFEST, base=base)
    assert said().over_manifest(manifest).base_query is not None


def test_the_compiled_ami_is_where_its_userdata_is():
    assert said(USERDATA="out/userdata.gz").userdata_folder == Path("out")
    assert said(USERDATA="userdata.gz").userdata_folder == Path()
    assert said().userdata_folder is None


BAD = {
    "base": (
        {"BASEAMI": "a:b"},
        1,
        "BUILDAMI_BASEAMI: 'a:b' is not a base image. Use ami-0123456789abcdef0, ssm:/path",
    ),
    "base by path": ({"BASEAMI": "../base"}, 1, "BUILDAMI_BASEAMI: '../base' is not a base image."),
    "base by an id": ({"BASEAMI": "ami-123"}, 1, "BUILDAMI_BASEAMI: 'ami-123' is not a base image."),
    "subnet": (
        {"SUBNET": "vpc-1"},
        1,
        "BUILDAMI_SUBNET: 'vpc-1' is not a subnet id. It looks like subnet-0123456789abcdef0.",
    ),
    "group": ({"SECURITYGROUPS": "sg-1 default"}, 1, "BUILDAMI_SECURITYGROUPS: 'default' is not the id of a security"),
    "profile": (
        {"PROFILE": "arn:aws:iam::1"},
        1,
        "BUILDAMI_PROFILE: 'arn:aws:iam::1' is not the name of an instance pro",
    ),
    "type": ({"TYPE": "small"}, 1, "BUILDAMI_TYPE: 'small' is not an instance type. It looks like t3.small."),
    "name": ({"TARGETNAME": "a*b"}, 1, "BUILDAMI_TARGETNAME: 'a*b' is not the name of an image."),
    "version": (
        {"TARGETVERSION": "latest"},
        1,
        "BUILDAMI_TARGETVERSION: 'latest' is not a version. It looks like 1.4.0.",
    ),
    "description": ({"TARGETDESCRIPTION": "x" * 256}, 1, "is not a description of one line."),
    "devices": (
        {"BLOCKDEVICEMAPPING": "/dev/xvda"},
        1,
        "BUILDAMI_BLOCKDEVICEMAPPING: at character 1 there should be a key. Write DeviceName=/dev/xvda,Ebs=",
    ),
    "timeout too short": (
        {"TIMEOUT_INSTANCE": "119"},
        3,
        "BUILDAMI_TIMEOUT_INSTANCE is 119, not between 120 and 604800. Give seconds.",
    ),
    "timeout too long": ({"TIMEOUT_AMI": "604801"}, 3, "BUILDAMI_TIMEOUT_AMI is 604801, not between 120 and 604800."),
    "timeout in minutes": (
        {"TIMEOUT_AMI": "30m"},
        1,
        "BUILDAMI_TIMEOUT_AMI: '30m' is not a whole number. Give seconds.",
    ),
    "wait too long": ({"WAIT_AMI": "61"}, 3, "BUILDAMI_WAIT_AMI is 61, not between 1 and 60. Give seconds."),
    "no wait": ({"WAIT_INSTANCE": "0"}, 3, "BUILDAMI_WAIT_INSTANCE is 0, not between 1 and 60."),
    "storage in part": (
        {"S3URL": "s3://bucket/a/fs.tgz"},
        1,
        "BUILDAMI_S3REGION and BUILDAMI_FSTGZ are not set. Set all of BUILDAMI_S3URL, BUILDAMI_S3REGION and BUILDAMI_F",
    ),
    "one of storage missing": (
        {"S3URL": "s3://bucket/a/fs.tgz", "FSTGZ": "fs.tgz"},
        1,
        "BUILDAMI_S3REGION is not set. Set all",
    ),
    "storage without an object": (
        {"S3URL": "s3://bucket/", "FSTGZ": "fs.tgz", "S3REGION": "us-east-1"},
        1,
        "BUILDAMI_S3URL: 's3://bucket/' is not the URL of an object in S3. It looks like s3://bucket/images/fs.tgz.",
    ),
    "region of storage": (
        {"S3URL": "s3://bucket/a", "FSTGZ": "fs.tgz", "S3REGION": "Oregon"},
        1,
        "BUILDAMI_S3REGION: 'Oregon' is not a region.",
    ),
}


@pytest.mark.parametrize(("variables", "code", "message"), BAD.values(), ids=BAD)
def test_a_bad_value_names_its_variable(variables, code, message):
    with pytest.raises(AmiError) as caught:
        said(**variables)
    assert message in caught.value.line()
    assert caught.value.exit_code == code


def test_an_unknown_variable_is_a_warning():
    assert said(SUBNETS="subnet-1").warnings == (
        "BUILDAMI_SUBNETS is no variable of a build. Did you mean 'BUILDAMI_SUBNET'",
    )


def test_a_key_pair_is_a_warning():
    (warning,) = said(KEYPAIR="me").warnings
    assert warning.startswith("BUILDAMI_KEYPAIR: a build needs no key pair")


# Storage

OVERLAY = replace(MANIFEST, overlay=Overlay("storage", 4, "", "s3://source/y"))


@pytest.fixture
def tarball(tmp_path):
    path = tmp_path / "fs.tgz"
    path.write_bytes(b"data")
    return path


def stored(tarball: Path, url: str = "s3://bucket/a/b/fs.tgz") -> Variables:
    return with_digest(said(S3URL=url, S3REGION="eu-central-1", FSTGZ=str(tarball)))


@pytest.mark.parametrize(
    ("url", "place"), [("s3://bucket/a/b/fs.tgz", "s3://bucket/a/b"), ("s3://bucket/fs.tgz", "s3://bucket")]
)
def test_the_overlay_goes_where_the_object_was_to_be(url, place, tarball):
    variables = stored(tarball, url)
    overlay = replace(OVERLAY.overlay, sha256=describe_file(tarball).sha256)
    assert variables.over_environment(DEV).storage == place
    assert variables.over_manifest(replace(OVERLAY, overlay=overlay)).overlay == replace(overlay, storage=place)


def test_an_overlay_inside_the_user_data_stays_there(tarball):
    inline = replace(MANIFEST, overlay=Overlay("inline", 4, describe_file(tarball).sha256))
    assert stored(tarball).over_manifest(inline) == inline


def test_storage_in_another_region_is_refused(tarball):
    with pytest.raises(StorageError) as caught:
        stored(tarball).over_environment(replace(DEV, region="us-east-1"))
    assert caught.value.line() == (
        "BUILDAMI_S3REGION is eu-central-1, the build is in us-east-1. Name a bucket in the build's own region."
    )


@pytest.mark.parametrize(
    ("overlay", "there"),
    [(OVERLAY.overlay, "that is fs.tgz in its folder"), (Overlay(), "it has none outside")],
    ids=["another", "none"],
)
def test_another_overlay_than_the_compiled_amis_is_refused(overlay, there, tarball):
    with pytest.raises(StorageError) as caught:
        stored(tarball).over_manifest(replace(MANIFEST, overlay=overlay))
    assert caught.value.line() == (
        f"BUILDAMI_FSTGZ is not the overlay that the compiled AMI was made with: {there} ({tarball}). Correct it, or "
        "leave BUILDAMI_S3URL, BUILDAMI_S3REGION and BUILDAMI_FSTGZ out: build uploads what compile wrote."
    )


def test_an_overlay_that_somebody_else_puts_there_stays_where_it_is(tarball):
    overlay = Overlay("storage", 4, describe_file(tarball).sha256, "https://host/fs.tgz", "https")
    with pytest.raises(StorageError, match="which BUILDAMI_S3URL cannot change"):
        stored(tarball).over_manifest(replace(MANIFEST, overlay=overlay))


def test_an_overlay_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(InputError) as caught:
        stored(tmp_path / "none")
    assert caught.value.line() == (
        f"BUILDAMI_FSTGZ cannot be read: No such file or directory ({tmp_path}/none). Correct it."
    )


# Where to build


@pytest.mark.parametrize(
    "environ", [{"AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "x"}, {"AWS_DEFAULT_REGION": "us-west-2"}]
)
def test_a_subnet_or_groups_say_where_to_build(environ):
    assert said(SUBNET="subnet-1").say_where
    assert said(SECURITYGROUPS="sg-1").say_where
    assert not said(TYPE="t3.small", PROFILE="p").say_where
    assert said(SUBNET="subnet-1").environment(environ) == Environment("variables", "us-west-2")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "BUILDAMI_SUBNET and BUILDAMI_SECURITYGROUPS say where to build, but no region. Set AWS_REGION, or name"),
        ({"AWS_REGION": "Oregon"}, "AWS_REGION: 'Oregon' is not a region."),
    ],
)
def test_without_a_region_they_do_not(environ, message):
    with pytest.raises(UsageError) as caught:
        said(SUBNET="subnet-1").environment(environ)
    assert message in caught.value.line()


# The result


def built() -> BuildResult:
    images = {"us-east-1": ImageRecord("ami-2"), "eu-central-1": ImageRecord("ami-1")}
    return BuildResult("web", "1.0", 7, "web-1.0-7", images, "ami-0", "dev", "eu-central-1", "i-1", "t", "OK", "", "")


def test_the_output_gets_name_and_id(tmp_path):
    said(OUTPUT=str(tmp_path / "out")).write_output(built())
    assert (tmp_path / "out").read_text() == "AMINAME=web-1.0-7\nAMIID=ami-1\n"
    said().write_output(built())


def test_an_output_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(HostError) as caught:
        said(OUTPUT=str(tmp_path)).write_output(built())
    assert caught.value.line() == f"BUILDAMI_OUTPUT cannot be written: Is a directory ({tmp_path})."


def test_json_is_taken_for_devices_too():
    value = json.dumps([{"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"}])
    assert said(BLOCKDEVICEMAPPING=value).block_devices == ({"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},)
