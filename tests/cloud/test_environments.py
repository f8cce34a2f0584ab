from __future__ import annotations

from pathlib import Path

import pytest

from jenkins_ami.artifacts import Sharing
from jenkins_ami.cloud import waiting
from jenkins_ami.cloud.environments import DUMMY, ONLY_OF_OPERATORS, Environment, Region, load, local, parse_file
from jenkins_ami.errors import InputError

FULL = b"""\
environments:
  dev:
    region: eu-central-1
    account: '012345678901'
    profile: build
    role: arn:aws:iam::012345678901:role/ci/image-build
    external_id: images
    subnets: [subnet-0123456789abcdef0, subnet-1]
    public_address: true
    encrypted: true
    kms_key: alias/images
    spot: false
    regions:
      us-east-1:
        kms_key: arn:aws:kms:us-east-1:012345678901:key/01234567-89ab-cdef-0123-456789abcdef
        tags: {cost: us}
        ssm_parameter: /us/{name}
        launch_template: lt-0123456789abcdef0
      us-west-2:
    share: {accounts: ['123456789012']}
    ssm_parameter: /images/{name}/{version}
    launch_template: web-servers
    deprecate_after: 90
    protect: false
    expiry: 48
    security_groups: [sg-0123456789abcdef0]
    instance_profile: image-build
    storage: s3://images-dev/overlays
    instance_types: [m5.large, m6i.large]
    tags: {team: infra}
  lab:
    region: us-east-1
    subnet: subnet-0123456789abcdef0
    regions: [us-west-2, eu-west-1]
    endpoint: http://127.0.0.1:5000
    instance_s3_endpoint: http://169.254.169.253
"""


def test_all_that_an_environment_can_say():
    dev, lab = parse_file(FULL, Path("environments.yaml"))
    assert dev == Environment(
        name="dev",
        region="eu-central-1",
        account="012345678901",
        profile="build",
        role="arn:aws:iam::012345678901:role/ci/image-build",
        external_id="images",
        subnets=("subnet-0123456789abcdef0", "subnet-1"),
        public_address=True,
        encrypted=True,
        kms_key="alias/images",
        spot=False,
        regions={
            "us-east-1": Region(
                kms_key="arn:aws:kms:us-east-1:012345678901:key/01234567-89ab-cdef-0123-456789abcdef",
                tags={"cost": "us"},
                ssm_parameter="/us/{name}",
                launch_template="lt-0123456789abcdef0",
            ),
            "us-west-2": Region(),
        },
        share=Sharing(accounts=("123456789012",)),
        ssm_parameter="/images/{name}/{version}",
        launch_template="web-servers",
        deprecate_after=90,
        protect=False,
        expiry=48 * 3600,
        security_groups=("sg-0123456789abcdef0",),
        instance_profile="image-build",
        storage="s3://images-dev/overlays",
        instance_types=("m5.large", "m6i.large"),
        tags={"team": "infra"},
    )
    assert (lab.endpoint, lab.instance_s3_endpoint) == ("http://127.0.0.1:5000", "http://169.254.169.253")
    assert lab.subnets == ("subnet-0123456789abcdef0",)
    assert lab.regions == {"us-west-2": Region(), "eu-west-1": Region()}


def test_what_an_environment_does_not_say_is_left_open():
    (dev,) = parse_file(b"environments: {dev: {region: us-east-1}}", Path("e.yaml"))
    assert dev == Environment("dev", "us-east-1")
    assert (dev.encrypted, dev.spot, dev.protect, dev.deprecate_after, dev.expiry) == (None, None, None, None, 86400)


@pytest.mark.parametrize("url", ["http://127.0.0.1:5000", "http://127.1.2.3", "http://[::1]:80", "http://localhost:1"])
def test_a_loopback_endpoint_gets_dummy_credentials_and_a_quick_pace(url):
    text = f"environments: {{lab: {{region: us-east-1, endpoint: '{url}'}}}}".encode()
    (lab,) = parse_file(text, Path("e.yaml"))
    assert (lab.credentials, lab.pace) == (DUMMY, waiting.LOCAL)


@pytest.mark.parametrize(
    "text", ["region: us-east-1", "{region: us-east-1, endpoint: 'http://10.0.0.1'}", "{region: us-east-1, profile: p}"]
)
def test_any_other_endpoint_gets_none(text):
    (dev,) = parse_file(
        f"environments: {{dev: {text}}}".replace("dev: region", "dev: {region").encode()
        + (b"}" if "{" not in text else b""),
        Path("e.yaml"),
    )
    assert (dev.credentials, dev.pace) == (None, waiting.AWS)


ROLE = "arn:aws:iam::123456789012:role/image-build"


def dev(text: str) -> str:
    return f"environments: {{dev: {{region: us-east-1, {text}}}}}"


BAD = {
    "not YAML": ("environments: [", "invalid YAML"),
    "empty": ("", "environments.yaml lacks 'environments' (e.yaml:1:1). Add 'environments:'."),
    "a list": ("environments: [a]", "'environments' is a list, not a mapping (e.yaml:1:15)."),
    "unknown top key": (
        "environment: {}",
        "environments.yaml has no key 'environment' (e.yaml:1:1). Did you mean 'env",
    ),
    "unknown key": (
        "environments:\n  dev:\n    region: us-east-1\n    sub-net: x",
        "environment 'dev' has no key 'sub-net' (e.yaml:4:5). Did you mean 'subnet'.",
    ),
    "no region": ("environments:\n  dev: {}", "environment 'dev' lacks 'region' (e.yaml:2:8). Add 'region:'."),
    "bad region": (
        "environments: {dev: {region: Frankfurt}}",
        "'Frankfurt' is not a region (e.yaml:1:30). 'region' looks like eu-central-1.",
    ),
    "account as a number": (
        "environments: {dev: {region: us-east-1, account: 123456789012}}",
        "'account' is a whole number, not a text (e.yaml:1:50). Put it in quotes.",
    ),
    "short account": ("environments: {dev: {region: us-east-1, account: '12'}}", "'12' is not an account number"),
    "bad subnet": ("environments: {dev: {region: us-east-1, subnet: vpc-1}}", "'vpc-1' is not a subnet id"),
    "bad storage": ("environments: {dev: {region: us-east-1, storage: bucket}}", "'bucket' is not storage"),
    "bad endpoint": ("environments: {dev: {region: us-east-1, endpoint: 'localhost:1'}}", "'localhost:1' is not a URL"),
    "bad group": (
        "environments: {dev: {region: us-east-1, security_groups: [default]}}",
        "'default' is not the id of a security group (e.yaml:1:59). 'security_groups' has some like sg-01234",
    ),
    "groups as a text": (
        "environments: {dev: {region: us-east-1, security_groups: sg-1}}",
        "'security_groups' is a text, not a list",
    ),
    "bad type": (
        "environments: {dev: {region: us-east-1, instance_types: [big]}}",
        "'big' is not an instance type (e.yaml:1:58). 'instance_types' has some like t3.small.",
    ),
    "tag that is no text": (
        "environments: {dev: {region: us-east-1, tags: {a: 1}}}",
        "'a' of 'tags' is a whole number, not a text",
    ),
    "bad role": (dev("role: build"), "'build' is not the ARN of a role (e.yaml:1:47). 'role' looks like arn:aws:iam::"),
    "role of another account": (
        dev(f"account: '111111111111', role: {ROLE}"),
        "the role is not of the account 111111111111 (e.yaml:1:72). Correct one of them.",
    ),
    "external id alone": (dev("external_id: x1"), "'external_id' without a 'role' (e.yaml:1:54)."),
    "bad external id": (dev(f"role: {ROLE}, external_id: 'a b'"), "'a b' is not an external id"),
    "subnets as a text": (
        dev("subnets: subnet-1"),
        "'subnets' is a text, not a list (e.yaml:1:50). Write [ ] around it",
    ),
    "bad subnets": (dev("subnets: [vpc-1]"), "'vpc-1' is not a subnet id (e.yaml:1:51)."),
    "subnet and subnets": (
        dev("subnet: subnet-1, subnets: [subnet-2]"),
        "'subnet' and 'subnets' are both given (e.yaml:1:68). Remove one of them.",
    ),
    "public address as a text": (dev("public_address: 'yes'"), "'public_address' is a text, not true or false"),
    "encrypted as a number": (dev("encrypted: 1"), "'encrypted' is a whole number, not true or false (e.yaml:1:52)."),
    "bad key": (dev("kms_key: images"), "'images' is not the id, alias or ARN of a KMS key (e.yaml:1:50)."),
    "key and no encryption": (
        dev("kms_key: alias/x, encrypted: false"),
        "'kms_key', and 'encrypted' is false (e.yaml:1:50). Remove one of them.",
    ),
    "key elsewhere": (
        dev("kms_key: 'arn:aws:kms:eu-west-1:123456789012:alias/x'"),
        "the key is in eu-west-1, not in us-east-1 (e.yaml:1:50). Name one in us-east-1; those of other",
    ),
    "regions as a text": (dev("regions: us-west-2"), "'regions' is a text, not a list"),
    "bad region in a list": (dev("regions: [Oregon]"), "'Oregon' is not a region (e.yaml:1:51)."),
    "bad region in a mapping": (
        dev("regions: {Oregon: }"),
        "'Oregon' is not a region (e.yaml:1:51). One looks like eu-central-1.",
    ),
    "unknown key of a region": (
        dev("regions: {us-west-2: {kms: x}}"),
        "region 'us-west-2' has no key 'kms' (e.yaml:1:63). Did you mean 'kms_key'.",
    ),
    "key of a region elsewhere": (
        dev("regions: {us-west-2: {kms_key: 'arn:aws:kms:us-east-1:123456789012:alias/x'}}"),
        "the key is in us-east-1, not in us-west-2 (e.yaml:1:72).",
    ),
    "bad tags of a region": (dev("regions: {us-west-2: {tags: [a]}}"), "'tags' is a list, not a mapping"),
    "bad share": (
        dev("share: {accounts: [123]}"),
        "'accounts' has an entry that is a whole number, not a text (e.yaml:1:60).",
    ),
    "unknown key of share": (dev("share: {account: []}"), "share has no key 'account' (e.yaml:1:49). Did you mean"),
    "parameter with an unknown word": (
        dev("ssm_parameter: '/a/{build}'"),
        "'/a/{build}' is not the name of an SSM parameter (e.yaml:1:56). 'ssm_parameter' looks like /images/{name}/",
    ),
    "bad launch template": (dev("launch_template: 'a b'"), "'a b' is not the id or name of a launch template"),
    "deprecated at once": (dev("deprecate_after: 0"), "'deprecate_after' is 0, not between 1 and 3650 (e.yaml:1:58)."),
    "deprecated in days": (dev("deprecate_after: 90d"), "'deprecate_after' is a text, not a whole number"),
    "protect as a text": (dev("protect: 'no'"), "'protect' is a text, not true or false"),
    "expiry too long": (dev("expiry: 8761"), "'expiry' is 8761, not between 1 and 8760 (e.yaml:1:49)."),
    "a key pair": (dev("key_pair: me"), "environment 'dev' has no key 'key_pair'"),
    "variables": (
        "environments: {variables: {region: us-east-1}}",
        "'variables' always means what BUILDAMI_ variables say (e.yaml:1:16).",
    ),
    "bad name": ("environments: {'a b': {region: us-east-1}}", "'a b' is no name (e.yaml:1:16)."),
    "local": ("environments: {local: {region: us-east-1}}", "'local' always means the local cloud (e.yaml:1:16)."),
    "twice": ("environments:\n  a: {region: us-east-1}\n  a: {region: us-east-2}", "key 'a' is given twice"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_mistakes_are_told_with_their_place(text, message):
    with pytest.raises(InputError) as caught:
        parse_file(text.encode(), Path("e.yaml"))
    assert message in caught.value.line()


def test_the_file_is_the_one_named_else_the_variables_else_the_current_folders(tmp_path, monkeypatch):
    for name, region in (("a", "eu-west-1"), ("b", "eu-west-2"), ("environments", "eu-west-3")):
        (tmp_path / f"{name}.yaml").write_text(f"environments: {{dev: {{region: {region}}}}}")
    monkeypatch.chdir(tmp_path)
    assert load("dev").region == "eu-west-3"
    monkeypatch.setenv("JENKINS_AMI_ENVIRONMENTS", str(tmp_path / "b.yaml"))
    assert load("dev").region == "eu-west-2"
    assert load("dev", tmp_path / "a.yaml").region == "eu-west-1"


def test_an_unknown_name_lists_those_there_are(tmp_path):
    (tmp_path / "e.yaml").write_bytes(FULL)
    with pytest.raises(InputError) as caught:
        load("prod", tmp_path / "e.yaml")
    assert caught.value.line() == f"there is no environment 'prod' ({tmp_path}/e.yaml). There are: dev, lab."
    with pytest.raises(InputError, match="there is no environment 'dve'") as caught:
        load("dve", tmp_path / "e.yaml")
    assert caught.value.hint == "Did you mean 'dev'. There are: dev, lab"


def test_a_missing_file_says_where_one_can_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        load("dev")
    assert "there is no environments.yaml, so no environment 'dev'" in caught.value.what
    assert "--environments" in str(caught.value.hint)


def test_the_local_environment_has_dummy_credentials_that_are_not_shown():
    environment = local("http://127.0.0.1:1", "http://169.254.169.253", "us-east-1")
    assert environment.credentials == DUMMY
    assert "secret" not in repr(environment)
    assert environment.pace == waiting.LOCAL


OWN = """\
environments:
  dev: {region: eu-north-1, account: '123456789012', subnet: subnet-1}
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """An AMI source, or what compile made of it, with a file of its own, and another current folder."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "environments.yaml").write_text(OWN)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


def test_the_sources_own_file_is_the_last_that_is_looked_for(own, tmp_path, monkeypatch):
    assert load("dev", source=own).region == "eu-north-1"
    Path("environments.yaml").write_text("environments: {dev: {region: eu-west-3}}")
    assert load("dev", source=own).region == "eu-west-3"
    (tmp_path / "b.yaml").write_text("environments: {dev: {region: eu-west-2}}")
    monkeypatch.setenv("JENKINS_AMI_ENVIRONMENTS", str(tmp_path / "b.yaml"))
    assert load("dev", source=own).region == "eu-west-2"
    (tmp_path / "a.yaml").write_text("environments: {dev: {region: eu-west-1}}")
    assert load("dev", tmp_path / "a.yaml", own).region == "eu-west-1"


def test_a_file_that_an_operator_names_is_not_replaced_by_the_sources(own, tmp_path, monkeypatch):
    monkeypatch.setenv("JENKINS_AMI_ENVIRONMENTS", str(tmp_path / "none.yaml"))
    with pytest.raises(InputError, match=r"there is no none\.yaml"):
        load("dev", source=own)


def test_a_source_without_a_file_changes_nothing(own):
    (own / "environments.yaml").unlink()
    with pytest.raises(InputError) as caught:
        load("dev", source=own)
    assert caught.value.where == Path("environments.yaml")


EXAMPLES = {
    "endpoint": "http://10.0.0.1",
    "instance_s3_endpoint": "http://10.0.0.1",
    "profile": "admin",
    "role": ROLE,
    "external_id": "images",
    "instance_profile": "admin",
    "ssm_parameter": "/prod/web",
    "launch_template": "web",
}


def test_every_key_of_operators_has_an_example():
    assert set(EXAMPLES) == set(ONLY_OF_OPERATORS)


@pytest.mark.parametrize(("key", "value"), EXAMPLES.items())
def test_a_source_cannot_say_whose_rights_it_uses_and_what_else_it_changes(key, value, own):
    (own / "environments.yaml").write_text(f"{OWN}  other:\n    region: us-east-1\n    {key}: {value}\n")
    with pytest.raises(InputError) as caught:
        load("dev", source=own)
    assert caught.value.line() == (
        f"an AMI source's own environment cannot have '{key}' ({own}/environments.yaml:5:{7 + len(key)}). "
        "Put it into a file that you name with --environments or $JENKINS_AMI_ENVIRONMENTS."
    )


@pytest.mark.parametrize("key", ["ssm_parameter", "launch_template"])
def test_nor_can_it_for_a_region(key, own):
    text = f"{OWN[:-2]}, regions: {{us-east-1: {{{key}: web}}}}}}\n"
    (own / "environments.yaml").write_text(text)
    with pytest.raises(InputError, match=f"an AMI source's own environment cannot have '{key}'"):
        load("dev", source=own)


def test_a_source_says_which_account_it_means(own):
    (own / "environments.yaml").write_text("environments:\n  dev: {region: us-east-1}\n")
    with pytest.raises(InputError) as caught:
        load("dev", source=own)
    assert caught.value.line() == (
        f"environment 'dev' lacks 'account' ({own}/environments.yaml:2:8). "
        "Add 'account:', so that it is built with credentials of that account only."
    )


def test_a_checkout_of_the_source_is_not_an_operators_word(own):
    text = f"environments: {{dev: {{region: us-east-1, role: '{ROLE}'}}}}"
    for folder in (own, Path()):
        (folder / "environments.yaml").write_text(text)
    with pytest.raises(InputError, match="cannot have 'role'"):
        load("dev", source=own)
    assert load("dev", Path("environments.yaml"), own).role == ROLE
