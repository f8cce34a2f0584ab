from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jenkins_ami.artifacts import BaseQuery, ImageSettings, ImageTest, Overlay, Sharing, read_compiled
from jenkins_ami.build.prepare import Options
from jenkins_ami.build.run import build
from jenkins_ami.cloud import gc as sweeping
from jenkins_ami.cloud import policy
from jenkins_ami.cloud.environments import Environment, Region
from jenkins_ami.cloud.ledger import Ledger
from jenkins_ami.cloud.session import Cloud
from jenkins_ami.distribute.run import distribute
from jenkins_ami.errors import AmiError, StorageError
from jenkins_ami.progress import Progress
from tests.build.compiled import manifest, write

DEFAULTS = Options()
ACCOUNT = "123456789012"
PLAIN = Environment("dev", "eu-central-1", account=ACCOUNT)
OURS = {"aws:ResourceTag/jenkins-ami:build": "false"}
RICH = replace(
    PLAIN,
    subnets=("subnet-1", "subnet-2"),
    security_groups=("sg-1",),
    instance_profile="image-build",
    storage="s3://images/overlays",
    kms_key="alias/images",
    spot=True,
    key_pair="old",
    share=Sharing(accounts=("222222222222",)),
    regions={
        "eu-west-1": Region(kms_key="arn:aws:kms:eu-west-1:123456789012:key/1", ssm_parameter="/golden/{name}"),
        "us-east-1": Region(kms_key="0123abcd-1234-1234-1234-0123456789ab", launch_template="web"),
        "us-east-2": Region(),
        "us-west-2": Region(),
    },
    ssm_parameter="/golden/{name}/{version}",
    launch_template="lt-0123",
    deprecate_after=90,
    protect=True,
)


def actions(document: policy.Policy) -> set[str]:
    return {action for statement in document["Statement"] for action in statement["Action"]}


def statement(document: policy.Policy, sid: str) -> dict[str, Any]:
    (found,) = [each for each in document["Statement"] if each["Sid"] == sid]
    return found


def of(environment: Environment = PLAIN, **changes: Any) -> policy.Policy:
    return policy.builder(manifest(**({"base": "ami-0123456789abcdef0"} | changes)), environment)


DOCUMENTS = {
    "plain": of(),
    "rich": of(RICH, base="ssm:/golden/base", overlay=Overlay("storage", 7, "f" * 64)),
    "any": policy.builder(None, PLAIN),
    "any, rich": policy.builder(None, RICH),
    "images": policy.images(RICH),
    "gc": policy.gc(RICH),
    "instance": policy.instance(None, RICH),
    "caller": policy.caller(replace(PLAIN, role="arn:aws:iam::123456789012:role/build")),
    "two": policy.merged({"dev": of(), "prod": of(replace(RICH, name="prod"))}),
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_policy_is_one_as_iam_reads_it(document):
    assert set(document) == {"Version", "Statement"}
    assert document["Version"] == "2012-10-17"
    sids = [each["Sid"] for each in document["Statement"]]
    assert len(set(sids)) == len(sids)
    for each in document["Statement"]:
        assert set(each) - {"Condition"} == {"Sid", "Effect", "Action", "Resource"}
        assert re.fullmatch(r"[A-Za-z0-9]+", each["Sid"])
        assert each["Effect"] == "Allow"
        assert each["Action"] == sorted(set(each["Action"]))
        for action in each["Action"]:
            assert re.fullmatch(r"[a-z0-9-]+:[A-Z][A-Za-z]+\*?", action)
        assert each["Resource"]
        for arn in each["Resource"]:
            assert arn == "*" or re.fullmatch(r"arn:aws:[a-z0-9]+:[a-z0-9*-]*:[0-9]*\*?:\S+", arn), arn
        for operator, keys in each.get("Condition", {}).items():
            assert operator in ("Bool", "ForAnyValue:StringEquals", "Null", "StringEquals", "StringLike")
            for key, value in keys.items():
                assert re.fullmatch(r"[a-z0-9]+:\S+", key)
                assert value


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "two"])
def test_a_policy_fits_into_a_managed_one(name):
    document = DOCUMENTS[name]
    assert policy.length(document) <= policy.LIMIT


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_what_ends_or_changes_something_is_limited_to_what_is_ours(document):
    dangerous = re.compile(r"ec2:(Terminate|Deregister|Delete|Cancel|Modify|Enable|Disable)")
    for each in document["Statement"]:
        if any(dangerous.match(action) for action in each["Action"]):
            assert each["Condition"] == {"Null": OURS}
        if "ec2:CreateTags" in each["Action"]:
            condition = each["Condition"]
            assert condition == {"Null": OURS} or "ec2:CreateAction" in condition["StringEquals"]


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_what_cannot_be_limited_to_resources_only_looks(document):
    for each in document["Statement"]:
        if each["Resource"] == ["*"]:
            assert all(action.split(":")[1].startswith(("Describe", "Get")) for action in each["Action"])
            assert each["Condition"]["StringEquals"]["aws:RequestedRegion"]


def test_a_launch_is_limited_to_the_region_and_to_what_is_tagged():
    made = statement(of(), "LaunchTagged")
    assert made["Resource"] == [
        f"arn:aws:ec2:eu-central-1:{ACCOUNT}:instance/*",
        f"arn:aws:ec2:eu-central-1:{ACCOUNT}:volume/*",
    ]
    assert made["Condition"] == {"Null": {"aws:RequestTag/jenkins-ami:build": "false"}}
    launches = [each for each in of()["Statement"] if "ec2:RunInstances" in each["Action"]]
    assert {arn.split(":")[3] for each in launches for arn in each["Resource"]} == {"eu-central-1"}


def test_a_launch_uses_the_base_and_the_environments_network_only():
    environment = replace(PLAIN, subnets=("subnet-1",), security_groups=("sg-1",))
    assert statement(of(environment), "LaunchWith")["Resource"] == [
        f"arn:aws:ec2:eu-central-1:{ACCOUNT}:network-interface/*",
        "arn:aws:ec2:eu-central-1::image/ami-0123456789abcdef0",
        f"arn:aws:ec2:eu-central-1:{ACCOUNT}:subnet/subnet-1",
        f"arn:aws:ec2:eu-central-1:{ACCOUNT}:security-group/sg-1",
    ]


@pytest.mark.parametrize("base", ["ssm:/golden", "web-1.4", "scratch"])
def test_a_base_that_is_not_an_id_may_be_any_image(base):
    assert "arn:aws:ec2:eu-central-1::image/*" in statement(of(base=base), "LaunchWith")["Resource"]


def test_a_base_by_what_it_is_may_be_any_image():
    document = of(base="ami-0123456789abcdef0", base_query=BaseQuery("ami-0123456789abcdef0", ("self",)))
    assert "arn:aws:ec2:eu-central-1::image/*" in statement(document, "LaunchWith")["Resource"]


def test_tests_launch_an_image_of_ours():
    assert statement(of(tests=(ImageTest("t", "true"),)), "LaunchToTest")["Condition"]["Null"] == OURS
    assert "LaunchToTest" not in [each["Sid"] for each in of()["Statement"]]


def test_a_role_is_passed_to_ec2_and_to_nobody_else():
    document = of(replace(PLAIN, instance_profile="image-build"))
    assert statement(document, "PassRole") == {
        "Sid": "PassRole",
        "Effect": "Allow",
        "Action": ["iam:PassRole"],
        "Resource": [f"arn:aws:iam::{ACCOUNT}:role/image-build"],
        "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    }


@pytest.mark.parametrize(
    ("key", "sid", "arn", "condition"),
    [
        ("0123", "UseKey", f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/0123", {}),
        ("arn:aws:kms:eu-central-1:999999999999:key/1", "UseKey", "arn:aws:kms:eu-central-1:999999999999:key/1", {}),
        (
            "alias/images",
            "UseKeyByAlias",
            f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/*",
            {"ForAnyValue:StringEquals": {"kms:ResourceAliases": ["alias/images"]}},
        ),
        (
            "arn:aws:kms:eu-central-1:999999999999:alias/images",
            "UseKeyByAlias",
            "arn:aws:kms:eu-central-1:999999999999:key/*",
            {"ForAnyValue:StringEquals": {"kms:ResourceAliases": ["alias/images"]}},
        ),
    ],
)
def test_a_key_is_used_by_ec2_only(key, sid, arn, condition):
    document = of(replace(PLAIN, kms_key=key))
    use = statement(document, sid)
    assert use["Resource"] == [arn]
    assert use["Condition"] == condition | {"StringLike": {"kms:ViaService": ["ec2.eu-central-1.amazonaws.com"]}}
    grant = statement(document, sid.replace("Use", "Grant"))
    assert grant["Action"] == ["kms:CreateGrant"]
    assert grant["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}


def test_the_default_key_and_no_encryption_need_no_right():
    assert not [action for action in actions(of()) if action.startswith("kms:")]
    assert not [a for a in actions(of(replace(PLAIN, kms_key="1", encrypted=False))) if a.startswith("kms:")]


@pytest.mark.parametrize(
    ("base", "arn"),
    [
        ("ssm:/golden/base", f"arn:aws:ssm:eu-central-1:{ACCOUNT}:parameter/golden/base"),
        ("ssm:golden:3", f"arn:aws:ssm:eu-central-1:{ACCOUNT}:parameter/golden"),
        ("ssm:/aws/service/debian/12", "arn:aws:ssm:eu-central-1::parameter/aws/service/debian/12"),
    ],
)
def test_a_base_by_a_parameter_needs_that_one(base, arn):
    assert statement(of(base=base), "BaseParameter")["Resource"] == [arn]


def test_storage_is_the_prefix_alone():
    environment = replace(PLAIN, storage="s3://images/overlays")
    document = of(environment, overlay=Overlay("storage", 7, "f" * 64))
    assert statement(document, "Bucket")["Resource"] == ["arn:aws:s3:::images"]
    assert statement(document, "Overlay")["Resource"] == ["arn:aws:s3:::images/overlays/*"]
    assert "s3:GetObject" in statement(document, "Overlay")["Action"]


def test_an_instance_that_signs_by_itself_reads_and_the_builder_does_not():
    environment = replace(PLAIN, storage="s3://images/overlays", instance_profile="image-build")
    overlay = Overlay("storage", 7, "f" * 64, access="profile")
    assert "s3:GetObject" not in actions(of(environment, overlay=overlay))
    own = policy.instance(manifest(overlay=overlay), environment)
    assert own is not None
    assert statement(own, "ReadOverlay")["Action"] == ["s3:GetObject"]
    assert statement(own, "ReadOverlay")["Resource"] == ["arn:aws:s3:::images/overlays/*"]


@pytest.mark.parametrize(
    "overlay",
    [
        Overlay(),
        Overlay("inline", 7),
        Overlay("storage", 7, "f" * 64),
        Overlay("storage", 7, "f", "https://x/", "https"),
    ],
)
def test_other_instances_need_no_right(overlay):
    environment = replace(PLAIN, storage="s3://images/overlays", instance_profile="image-build")
    assert policy.instance(manifest(overlay=overlay), environment) is None


def test_an_overlay_without_storage_is_told_here_as_well():
    with pytest.raises(StorageError, match="there is no storage for it"):
        of(overlay=Overlay("storage", 7, "f" * 64))


@pytest.mark.parametrize(
    ("region", "partition", "service"),
    [
        ("cn-north-1", "aws-cn", "ec2.amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "ec2.amazonaws.com"),
        ("eu-central-1", "aws", "ec2.amazonaws.com"),
    ],
)
def test_partitions(region, partition, service):
    document = of(replace(PLAIN, region=region, instance_profile="p"))
    arns = {arn.split(":")[1] for each in document["Statement"] for arn in each["Resource"] if arn != "*"}
    assert arns == {partition}
    assert statement(document, "PassRole")["Condition"]["StringEquals"]["iam:PassedToService"] == service


def test_an_account_that_is_not_known_is_any():
    document = of(replace(PLAIN, account=None))
    assert statement(document, "LaunchTagged")["Resource"][0] == "arn:aws:ec2:eu-central-1:*:instance/*"


def test_parameters_with_a_name_in_them_are_a_pattern():
    document = of(replace(PLAIN, ssm_parameter="/golden/{name}/{version}"))
    assert statement(document, "PublishParameter")["Resource"] == [
        f"arn:aws:ssm:eu-central-1:{ACCOUNT}:parameter/golden/*/*"
    ]


def test_what_two_environments_allow_alike_is_in_their_policy_once():
    one, other = of(), of(replace(PLAIN, name="prod-2", subnets=("subnet-9",)))
    both = policy.merged({"dev": one, "prod-2": other})
    sids = [each["Sid"] for each in both["Statement"]]
    assert sids.count("TagOwn") == 1
    assert {"Look", "LookProd2", "LaunchWith", "LaunchWithProd2"} <= set(sids)
    assert "TagOwnProd2" not in sids


# Held against what builds do

EXPLAINED = {
    "iam:CreateServiceLinkedRole": "EC2 calls it, for an account's first spot request",
    "iam:PassRole": "is checked by RunInstances",
    "kms:CreateGrant": "EC2 calls it",
    "kms:Decrypt": "EC2 calls it",
    "kms:GenerateDataKeyWithoutPlaintext": "EC2 calls it",
    "kms:ReEncrypt*": "EC2 calls it",
    "s3:GetObject": "is checked when the instance uses a URL that the builder has signed",
    "ssm:AddTagsToResource": "is checked by PutParameter with tags",
    "ec2:DescribeInstanceStatus": "is called while an instance runs long",
}
"""Rights that no call of ours shows, and why there must be one."""
OTHERWISE = {"s3:HeadBucket": "s3:ListBucket", "s3:ListObjectsV2": "s3:ListBucket"}
"""Calls whose right has another name (Service Authorization Reference, "Amazon S3")."""
FREE = {"sts:GetCallerIdentity"}
"""Calls that need no right (IAM User Guide)."""


@pytest.fixture
def calls(monkeypatch) -> Iterator[set[str]]:
    """The rights that all API calls need, as IAM calls them."""
    from botocore.client import BaseClient

    seen: set[str] = set()
    real = BaseClient._make_api_call

    def record(self: Any, operation: str, params: Any) -> Any:
        action = f"{self.meta.service_model.service_name}:{operation}"
        seen.add(OTHERWISE.get(action, action))
        return real(self, operation, params)

    monkeypatch.setattr(BaseClient, "_make_api_call", record)
    yield seen


@pytest.fixture
def work(server, environment, tmp_path):
    """Build and distribute; then build what fails, and clean up."""

    def work(options: Options = DEFAULTS, environment: Environment = environment, **changes: Any) -> policy.Policy:
        server.script.state = server.script.console = None  # instances do what their user-data says
        target = write(tmp_path / "compiled", **({"base": server.base()} | changes))
        result = build(target, environment, target, Progress(), options)
        with Ledger(target / "ledger.jsonl") as ledger:
            assert distribute(result, environment, target, ledger, Progress()).failures == {}
        server.script.image_states = ["pending", "failed"]
        with pytest.raises(AmiError):
            build(target, environment, tmp_path / "failed", Progress(), options)
        return policy.builder(read_compiled(target).manifest, environment)

    return work


def held(document: policy.Policy, calls: set[str]) -> None:
    """Every call is allowed, and there is a reason for everything that is allowed."""
    assert calls - FREE - actions(document) == set()
    assert actions(document) - calls - EXPLAINED.keys() == set()


def made(environment: Environment, region: str, **key: Any) -> str:
    with Cloud(environment.in_region(region)) as cloud:
        return str(cloud.kms.create_key(**key)["KeyMetadata"]["KeyId"])


def test_the_policy_of_a_plain_build_is_what_it_calls(work, calls):
    held(work(), calls)


def test_the_policy_of_a_build_with_an_overlay_in_storage(work, calls, cloud, environment):
    cloud.s3.create_bucket(Bucket="test-storage", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    calls.clear()
    held(work(environment=replace(environment, storage="s3://test-storage/p"), overlay=b"overlay"), calls)


def test_the_policy_of_a_build_with_a_profile(work, calls, cloud, environment):
    from jenkins_ami.localcloud.profile import PROFILE

    cloud.s3.create_bucket(Bucket="test-storage", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    calls.clear()
    where = replace(environment, storage="s3://test-storage/p", instance_profile=PROFILE)
    held(work(environment=where, overlay=b"overlay", access="profile"), calls)


def test_the_policy_of_a_build_on_spot_in_a_network_of_ones_own(work, calls, cloud, environment):
    vpc = cloud.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnet = cloud.ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.0.0/24")["Subnet"]["SubnetId"]
    group = cloud.ec2.create_security_group(GroupName="build", Description="build", VpcId=vpc)["GroupId"]
    calls.clear()
    where = replace(environment, spot=True, subnets=(subnet,), security_groups=(group,))
    held(work(environment=where), calls)


def test_the_policy_of_a_build_on_a_base_by_parameter_with_a_test(work, calls, cloud, server):
    cloud.ssm.put_parameter(Name="/golden", Value=server.image("golden"), Type="String", Overwrite=True)
    calls.clear()
    held(work(Options(test=True), base="ssm:/golden", tests=(ImageTest("t", "true"),)), calls)


def test_the_policy_of_a_build_that_leaves_metadata_open_changes_no_attribute(work, calls):
    document = work(image=ImageSettings(imds="any"))
    held(document, calls)
    assert "ec2:ModifyImageAttribute" not in actions(document)


def test_the_policy_of_a_build_that_distributes(work, calls, cloud, environment):
    cloud.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"InstanceType": "t3.small"})
    home, away = made(environment, "eu-central-1"), made(environment, "eu-west-1")
    calls.clear()
    where = replace(
        environment,
        kms_key=home,
        regions={"eu-west-1": Region(kms_key=away, ssm_parameter="/golden/{name}")},
        share=Sharing(accounts=("222222222222",)),
        launch_template="web",
        ssm_parameter="/golden/{name}",
        deprecate_after=30,
        protect=True,
    )
    held(work(environment=where), calls)


def test_the_policy_of_gc_is_what_it_calls(calls, cloud, server, environment):
    tags = {"jenkins-ami:build": "b", "jenkins-ami:expires": "2020-01-01T00:00:00+00:00"}
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    kinds = ["instance", "volume"]
    server.script.state = "running"
    cloud.ec2.run_instances(
        ImageId=server.base(),
        MinCount=1,
        MaxCount=1,
        InstanceType="t3.small",
        TagSpecifications=[{"ResourceType": kind, "Tags": listed} for kind in kinds],
    )
    server.image("left", tags)
    calls.clear()
    with Cloud(environment) as where:
        leftovers = sweeping.plan(where, datetime.now(UTC))
        assert leftovers
        sweeping.sweep(where, leftovers, Progress())
    document = policy.gc(environment)
    assert calls - FREE - actions(document) == set()
    unseen = {"ec2:CancelSpotInstanceRequests", "ec2:DeleteVolume"}  # there was none of those
    assert actions(document) - calls <= unseen


def test_the_policy_of_images_is_what_the_commands_can_call():
    """Their calls are few and all in two rooms, so the source says which there are."""
    root = Path(policy.__file__).parent.parent
    text = "".join(path.read_text() for path in sorted((root / "distribute").glob("*.py")))
    text += "".join(path.read_text() for path in sorted((root / "cli" / "images").glob("*.py")))
    called = {
        f"{service}:{''.join(word.title() for word in name.split('_'))}"
        for service, name in re.findall(r"cloud\.(ec2|ssm|autoscaling)\.([a-z_]+)[,(]", text)
    } | {
        f"{service}:{''.join(word.title() for word in name.split('_'))}"
        for service, name in re.findall(r'cloud\.(ec2|ssm|autoscaling),\s+"([a-z_]+)"', text)
    }
    builds_alone = {
        "ec2:CreateLaunchTemplateVersion",
        "ec2:EnableImageDeregistrationProtection",
        "ssm:GetParameter",
        "ssm:PutParameter",
    }
    allowed = actions(policy.images(replace(PLAIN, regions={"eu-west-1": Region()})))
    assert called - builds_alone - allowed == set()
    assert allowed - called - {"ec2:GetConsoleOutput"} == set()
