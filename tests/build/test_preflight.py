from __future__ import annotations

import gzip
import json
import os
import random
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from jenkins_ami.artifacts import ImageSettings, Overlay, Sharing
from jenkins_ami.build import base as bases
from jenkins_ami.build.checks import Api
from jenkins_ami.build.plan import Plan, candidates
from jenkins_ami.build.preflight import Checked, dry_run, preflight
from jenkins_ami.cloud import storage
from jenkins_ami.cloud.environments import Environment, Region
from jenkins_ami.cloud.session import Cloud
from jenkins_ami.cloud.wanted import wanted
from jenkins_ami.errors import AmiError, InputError, StorageError
from jenkins_ami.findings import Problems
from jenkins_ami.progress import Progress

from .compiled import manifest, write


class Heard(Progress):
    """Keeps warnings and infos."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def _line(self, kind: str, text: str) -> None:
        self.lines.append(f"{kind}: {text}")


@pytest.fixture
def plan(server, cloud: Cloud, environment: Environment) -> Callable[..., Plan]:
    """A plan for the test environment with changes to it, and changes to the manifest."""

    def plan(base: str | None = None, user_data: bytes = b"data", **changes: Any) -> Plan:
        in_environment = {key: changes.pop(key) for key in list(changes) if key != "name" and hasattr(environment, key)}
        asked, where = manifest(**changes), replace(environment, **in_environment)
        return Plan(
            manifest=asked,
            environment=where,
            wanted=wanted(asked.image, where),
            base=bases.resolve(cloud, bases.parse(base or server.base_id or server.base()), asked.architecture),
            number=1,
            identity="b" * 32,
            tagged={"jenkins-ami:build": "b" * 32},
            candidates=candidates(asked, where),
            user_data=user_data,
        )

    return plan


@pytest.fixture
def check(run):
    """Run the preflight of a plan; gives what was checked and what was said."""

    def check(plan: Plan) -> tuple[list[str], list[str]]:
        checked, said = run(plan)
        return list(checked.lines), said

    return check


@pytest.fixture
def run(environment: Environment):
    """Run the preflight of a plan; gives all that came out, and what was said."""

    def run(plan: Plan) -> tuple[Checked, list[str]]:
        heard = Heard()
        with ExitStack() as stack:
            cloud = stack.enter_context(Cloud(plan.environment))

            def elsewhere(region: str) -> Cloud:
                return stack.enter_context(Cloud(plan.environment.in_region(region)))

            checked = preflight(cloud, plan, cloud_for_region=elsewhere, progress=heard)
        return checked, heard.lines

    return run


@pytest.fixture
def problems(check):
    """The errors of a preflight, a line for each."""

    def problems(plan: Plan) -> list[str]:
        with pytest.raises(AmiError) as caught:
            check(plan)
        found = caught.value.problems if isinstance(caught.value, Problems) else [caught.value]
        return [problem.line() for problem in found]

    return problems


@pytest.fixture
def network(cloud: Cloud) -> dict[str, str]:
    """Two VPCs with a subnet and a security group each."""
    found = {}
    for number in (1, 2):
        vpc = cloud.ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"]
        subnet = cloud.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.{number}.0.0/24")["Subnet"]["SubnetId"]
        group = cloud.ec2.create_security_group(GroupName="build", Description="build", VpcId=vpc)["GroupId"]
        found |= {f"vpc{number}": vpc, f"subnet{number}": subnet, f"group{number}": group}
    return found


def test_all_is_well(plan, check, server):
    checked, said = check(plan())
    assert checked == [
        "settings",
        "user-data of 4 bytes",
        "image name web-1.0-1 is free",
        "the default VPC's network",
        "instance types t3.small for x86_64",
        "1 of 1 ways to launch, as dry runs",
    ]
    assert said == []
    assert server.instances == []


def test_all_problems_are_told_at_once_in_a_fixed_order(plan, problems, server):
    wrong = plan(
        user_data=b"x" * 20_000,
        subnets=("subnet-0123",),
        security_groups=("sg-0123",),
        instance_profile="none",
        instance_types=("t9.huge",),
        image=ImageSettings(boot_mode="uefi"),
    )
    assert [line.partition(" (")[0].partition(":")[0] for line in problems(wrong)] == [
        f"the image is to boot by uefi, and the base {server.base_id} leaves that to the instance type",
        "the user-data has 20,000 bytes, EC2 takes 16,384. Move files from cloudinit/ to fs/.",
        "there is no subnet subnet-0123 in eu-central-1",
        "there is no security group sg-0123 in eu-central-1",
        "there is no instance profile 'none'",
        "instance type t9.huge is not known in eu-central-1. Name others in 'instance_types'.",
    ]


def test_the_exit_code_is_that_of_the_first(plan, check):
    with pytest.raises(Problems) as caught:
        check(plan(user_data=b"x" * 20_000, subnets=("subnet-0123",)))
    assert caught.value.exit_code == StorageError.exit_code
    data = caught.value.as_dict()
    assert [problem["exit_code"] for problem in data["problems"]] == [3, 2]
    assert json.loads(json.dumps(data))["error"] == "Problems"


def test_one_problem_is_raised_as_it_is(plan, check):
    with pytest.raises(StorageError, match=r"^the user-data has 16,385 bytes, EC2 takes 16,384$"):
        check(plan(user_data=b"x" * 16_385))


def test_the_command_tells_each_on_a_line_and_makes_nothing(server, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "environments.yaml").write_text(
        f"environments:\n  lab:\n    region: eu-central-1\n    endpoint: {server.endpoint}\n"
        "    subnet: subnet-0123\n    security_groups: [sg-0123]\n"
    )
    assert cli("build", write(tmp_path / "compiled", base=server.base()), "--environment", "lab") == 2
    assert [line for line in cli.err.splitlines() if line.startswith("error:")] == [
        "error: there is no subnet subnet-0123 in eu-central-1 (environment lab). Correct it.",
        "error: there is no security group sg-0123 in eu-central-1 (environment lab). Correct it.",
    ]
    server.assert_nothing_is_left()


# Settings


def test_a_root_volume_below_the_bases(plan, problems, server):
    base = server.image("large", volume_size=10)
    assert problems(plan(base, volume_size=9)) == [
        f"volume_size 9 GiB is below the 10 GiB of the base {base} (volume_size). Give at least 10, or leave it out."
    ]


def test_a_boot_mode_that_is_not_the_bases(plan, problems, server):
    base = server.image("uefi", boot_mode="uefi")
    wrong = plan(base, image=ImageSettings(boot_mode="legacy-bios"))
    assert problems(wrong) == [
        f"the image is to boot by legacy-bios, and the base {base} boots by uefi (boot_mode). "
        "An image takes it over from its base: choose another base, or leave it out."
    ]


def test_an_encrypted_base_for_an_image_that_is_not_to_be(plan, problems, server):
    base = server.image("secret", kms_key="arn:aws:kms:eu-central-1:123456789012:key/1")
    assert problems(plan(base, encrypted=False)) == [
        f"the image is not to be encrypted, and the base {base} is (encrypted). "
        "What is launched from an encrypted base is encrypted: choose another base, or leave it out."
    ]


def test_sharing_with_the_default_key_in_any_region(plan, problems):
    wrong = plan(share=Sharing(accounts=("222222222222",)), regions={"eu-west-1": Region()})
    assert [line.partition(" (")[0] for line in problems(wrong)] == [
        "the image is to be shared, and in eu-central-1 it would be encrypted with the account's default key",
        "the image is to be shared, and in eu-west-1 it would be encrypted with the account's default key",
    ]


def test_an_image_that_is_not_encrypted_can_be_shared(plan, check):
    check(plan(share=Sharing(accounts=("222222222222",)), encrypted=False))


@pytest.mark.parametrize("name", ["/golden/{name}/{version}", "golden", "/a/{name}"])
def test_names_of_parameters(plan, check, name):
    check(plan(ssm_parameter=name))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/golden/{name}", "/golden/my web"),
        ("/golden/{other}", "/golden/{other}"),
        ("/golden/{", "/golden/{"),
        ("/golden/", "/golden/"),
        ("/aws/x", "/aws/x"),
        ("ssmx", "ssmx"),
        ("/a" * 16, "/a" * 16),
    ],
)
def test_names_that_no_parameter_can_have(plan, problems, name, shown):
    (line,) = problems(plan(ssm_parameter=name, name="my web"))
    assert line.startswith(f"'{shown}' is no name of an SSM parameter (ssm_parameter).")


def test_too_many_tags_in_one_region(plan, problems):
    many = {str(number): "" for number in range(43)}
    (line,) = problems(plan(regions={"eu-west-1": Region(tags=many)}))
    assert line == "with those of eu-west-1 the image has more than 50 tags (environment test). Leave some out."


# User-data


def test_the_user_data_is_measured_with_the_overlays_url(plan, check, server, cloud, tmp_path):
    cloud.s3.create_bucket(Bucket="test-storage", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    userdata = (write(tmp_path / "c", overlay=b"overlay") / "userdata.gz").read_bytes()
    overlay = Overlay("storage", 7, "f" * 64)
    here = replace(plan(overlay=overlay), user_data=userdata, place=storage.Place("test-storage", "p/"))
    checked, _ = check(here)
    (line,) = [line for line in checked if line.startswith("user-data")]
    assert int(line.split()[2]) > len(userdata) + 100
    assert "bucket test-storage" in checked


def test_user_data_that_only_the_url_makes_too_large(plan, problems, cloud):
    noise = "".join(random.Random(1).choices("0123456789abcdef", k=27_700))
    cloud.s3.create_bucket(Bucket="test-storage", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    userdata = gzip.compress(f"#cloud-config\nurl: '@JENKINS-AMI-STORAGE-URL@'\nx: {noise}\n".encode(), 9, mtime=0)
    assert 16_384 - 400 < len(userdata) <= 16_384
    wrong = replace(
        plan(overlay=Overlay("storage", 7, "f" * 64)), user_data=userdata, place=storage.Place("test-storage")
    )
    (line,) = problems(wrong)
    assert "bytes with the storage URL in it, EC2 takes 16,384" in line


def test_a_bucket_that_is_not_there(plan, problems, tmp_path):
    userdata = (write(tmp_path / "c", overlay=b"overlay") / "userdata.gz").read_bytes()
    wrong = replace(plan(overlay=Overlay("storage", 7, "f" * 64)), user_data=userdata, place=storage.Place("test-none"))
    assert problems(wrong) == [
        "there is no bucket 'test-none' (environment test, eu-central-1). "
        "Make it, or name another with 'storage:' or --storage."
    ]


# The name


def test_a_name_that_another_build_takes_at_the_same_time_is_no_problem(plan, check, server):
    taken = server.image("web-1.0-1")
    lines, _ = check(plan())
    assert f"image name web-1.0-1 was taken just now by {taken}: the next number will do" in lines


# Instance types


def test_a_type_for_another_architecture(plan, problems):
    assert problems(plan(instance_types=("t4g.small",))) == [
        "instance type t4g.small is for arm64, the base for x86_64. Name others in 'instance_types'."
    ]


def test_one_type_that_does_not_do_is_a_warning_while_another_does(plan, check):
    checked, said = check(plan(instance_types=("t4g.small", "t9.huge", "t3.small")))
    assert said == [
        "warning: instance type t4g.small is for arm64, the base for x86_64",
        "warning: instance type t9.huge is not known in eu-central-1",
    ]
    assert checked[-1] == "1 of 3 ways to launch, as dry runs"


def test_a_base_without_ena(plan, problems, server):
    base = server.image("old", ena_support=False)
    assert problems(plan(base)) == ["instance type t3.small needs a base with ENA. Name others in 'instance_types'."]


def test_a_boot_mode_that_the_type_does_not_have(plan, problems, server):
    base = server.image("bios", boot_mode="uefi")
    (line,) = problems(plan(base, instance_types=("m4.large",)))
    assert line == "instance type m4.large boots by legacy-bios, the base by uefi. Name others in 'instance_types'."


def test_a_type_without_spot_capacity(plan, problems):
    (line,) = problems(plan(instance_types=("mac1.metal",), spot=True))
    assert line.startswith("instance type mac1.metal ")


# The network


def test_subnets_and_groups_of_one_vpc(plan, check, network):
    checked, _ = check(plan(subnets=(network["subnet1"],), security_groups=(network["group1"],)))
    assert f"network {network['subnet1']}, {network['group1']}" in checked


def test_a_group_of_another_vpc_than_the_subnet(plan, problems, network):
    (line, *_) = problems(plan(subnets=(network["subnet1"],), security_groups=(network["group2"],)))
    assert line == (
        f"not all are of one VPC: {network['subnet1']} is of {network['vpc1']}, {network['group2']} is of "
        f"{network['vpc2']} (environment test). An instance is in one VPC, with its subnet and all its groups."
    )


# The profile


def test_a_profile_with_a_role(plan, check, cloud):
    name = "test-profile"
    cloud.iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    cloud.iam.create_instance_profile(InstanceProfileName=name)
    try:
        with pytest.raises(InputError, match="the instance profile 'test-profile' has no role in it"):
            check(plan(instance_profile=name))
        cloud.iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        checked, _ = check(plan(instance_profile=name))
        assert "instance profile test-profile" in checked
    finally:
        cloud.iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
        cloud.iam.delete_instance_profile(InstanceProfileName=name)
        cloud.iam.delete_role(RoleName=name)


# Keys


def key_in(environment: Environment, region: str, **wanted: Any) -> str:
    with Cloud(environment.in_region(region)) as cloud:
        return str(cloud.kms.create_key(**wanted)["KeyMetadata"]["KeyId"])


def test_keys_of_one_s_own_in_all_regions(plan, check, environment):
    home, away = key_in(environment, "eu-central-1"), key_in(environment, "eu-west-1")
    checked, _ = check(
        plan(kms_key=home, regions={"eu-west-1": Region(kms_key=away)}, share=Sharing(accounts=("222222222222",)))
    )
    assert f"KMS key {home} in eu-central-1" in checked
    assert f"KMS key {away} in eu-west-1" in checked


def test_a_key_of_another_region(plan, problems, environment):
    home = key_in(environment, "eu-central-1")
    (line,) = problems(plan(kms_key=home, regions={"eu-west-1": Region(kms_key=home)}))
    assert line.startswith(f"there is no KMS key {home} in eu-west-1 (environment test). Correct 'kms_key'")


def test_a_key_that_is_not_to_be_used(plan, problems, environment, cloud):
    off = key_in(environment, "eu-central-1")
    signing = key_in(environment, "eu-west-1", KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
    cloud.kms.disable_key(KeyId=off)
    lines = problems(plan(kms_key=off, regions={"eu-west-1": Region(kms_key=signing)}))
    assert [line.partition(" (")[0] for line in lines] == [
        f"the KMS key {off} in eu-central-1 is in state Disabled",
        f"the KMS key {signing} in eu-west-1 is not for symmetric encryption",
    ]


def test_a_shared_image_with_aws_own_key(plan, problems):
    (line,) = problems(plan(kms_key="alias/aws/ebs", share=Sharing(accounts=("222222222222",))))
    assert line.startswith("the KMS key alias/aws/ebs in eu-central-1 is AWS's own, and the image is to be shared")


# Other regions, templates


def test_regions_that_the_account_has_not_or_that_are_none(plan, problems):
    lines = problems(plan(regions={"eu-west-1": Region(), "ap-east-1": Region(), "xx-none-1": Region()}))
    assert lines == [
        "the account has not enabled ap-east-1 (regions). Enable it, or leave it out.",
        "there is no region xx-none-1 (regions). Correct it.",
    ]


def test_a_launch_template_that_is_not_there(plan, problems):
    lines = problems(plan(launch_template="web", regions={"eu-west-1": Region(launch_template="lt-0123456789abcdef0")}))
    assert lines == [
        "there is no launch template web in eu-central-1 (environment test). Make it, or correct it.",
        "there is no launch template lt-0123456789abcdef0 in eu-west-1 (environment test). Make it, or correct it.",
    ]


def test_a_launch_template_by_name_and_by_id(plan, check, cloud):
    made = cloud.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={})["LaunchTemplate"]
    assert "launch template web in eu-central-1" in check(plan(launch_template="web"))[0]
    check(plan(launch_template=made["LaunchTemplateId"]))


# Rights


def test_a_look_without_the_right_to_it_is_noted_and_no_problem(plan, check, server, network):
    server.refuse("describe_subnets", "UnauthorizedOperation", "You are not authorized to perform this operation.")
    checked, said = check(plan(subnets=(network["subnet1"],)))
    assert said == ["info: not checked: subnets, since the builder lacks the right to DescribeSubnets"]
    assert f"network {network['subnet1']}" not in checked


def test_a_look_that_the_endpoint_has_not_is_noted(plan, check, server, network):
    server.refuse("describe_subnets", "InvalidAction", "The action is not valid.")
    _, said = check(plan(subnets=(network["subnet1"],)))
    assert said == ["info: not checked: subnets, since this endpoint has no DescribeSubnets"]


ROLE = "arn:aws:sts::123456789012:assumed-role/build/x"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            f"You are not authorized to perform this operation. User: {ROLE} is not authorized to perform: "
            "iam:PassRole on resource: arn:aws:iam::123456789012:role/image because no identity-based policy allows "
            "the iam:PassRole action. Encoded authorization failure message: abcdef",
            "the builder lacks the right iam:PassRole on arn:aws:iam::123456789012:role/image [UnauthorizedOperation]",
        ),
        (
            "You are not authorized to perform this operation. Encoded authorization failure message: abcdef",
            "the builder may not launch: of ec2:RunInstances, ec2:CreateTags and iam:PassRole it lacks one "
            "[UnauthorizedOperation]",
        ),
    ],
)
def test_a_right_that_is_missing_for_the_launch_is_named(plan, problems, server, message, told):
    server.refuse("run_instances", "UnauthorizedOperation", message)
    assert problems(plan()) == [
        f"{told} (environment test, {server.endpoint}). 'jenkins-ami iam-policy' prints all that it needs."
    ]


def test_a_way_that_is_refused_is_left_out_with_a_warning_while_another_is_granted(plan, run, server):
    server.refuse("run_instances", "VcpuLimitExceeded", "You have requested more vCPU capacity than your limit")
    checked, (line,) = run(plan(instance_types=("t3.small", "t3.medium")))
    (left,) = checked.candidates
    other = {"t3.small": "t3.medium", "t3.medium": "t3.small"}[left.instance_type]
    assert line.startswith(f"warning: {other} is left out: the cloud refused RunInstances: You have requested more ")
    assert checked.lines[-1] == "1 of 2 ways to launch, as dry runs"


def test_types_that_do_not_do_are_left_out(plan, run):
    checked, _ = run(plan(instance_types=("t4g.small", "t3.medium", "t9.huge", "t3.small")))
    assert [each.instance_type for each in checked.candidates] == ["t3.medium", "t3.small"]


def test_what_refuses_all_ways_is_told_once(plan, problems, server):
    for _ in range(4):
        server.refuse("run_instances", "VPCIdNotSpecified", "No default VPC for this user.")
    (line,) = problems(plan(instance_types=("t3.small", "t3.medium"), spot=True))
    assert "[VPCIdNotSpecified]" in line


def test_credentials_that_do_not_count_are_told_once(plan, problems, server):
    planned = plan()
    for action in ("describe_images", "describe_instance_types", "run_instances"):
        server.refuse(action, "AuthFailure", "AWS was not able to validate the provided access credentials")
    (line,) = problems(planned)
    assert "[AuthFailure]" in line


def test_an_uncertain_answer_is_asked_for_again(plan, check, server):
    planned = plan()
    for action in ("describe_instance_types", "describe_instance_types", "run_instances"):
        server.refuse(action, "InternalError")
    checked, said = check(planned)
    assert "instance types t3.small for x86_64" in checked
    assert said == []


def test_an_endpoint_that_takes_a_dry_run_for_a_launch_gets_no_instance_to_keep(plan, cloud, server):
    def for_real(params: dict[str, Any], **_: Any) -> None:
        del params["body"]["DryRun"]

    cloud.ec2.meta.events.register("before-call.ec2.RunInstances", for_real)
    planned = plan()
    error = dry_run(Api(cloud), planned, planned.candidates[0], b"")
    assert error is not None
    assert error.what.startswith("the endpoint takes a dry run for a launch; i-")
    assert server.instances == []


def test_an_interrupt_ends_checks_that_would_ask_again(plan, check, server, environment):
    planned = plan(pace=replace(environment.pace, patience=60))
    for _ in range(10_000):
        server.refuse("describe_instance_types", "InternalError")
    server.before["run_instances"] = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        check(planned)
    assert server.refusals["describe_instance_types"]
