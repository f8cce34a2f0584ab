from __future__ import annotations

from pathlib import Path

import pytest

from jenkins_ami.cloud import waiting
from jenkins_ami.cloud.environments import DUMMY, Environment, load, local, parse_file
from jenkins_ami.errors import InputError

FULL = b"""\
environments:
  dev:
    region: eu-central-1
    account: '012345678901'
    profile: build
    subnet: subnet-0123456789abcdef0
    security_groups: [sg-0123456789abcdef0]
    instance_profile: image-build
    storage: s3://images-dev/overlays
    instance_types: [m5.large, m6i.large]
    tags: {team: infra}
  lab:
    region: us-east-1
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
        subnet="subnet-0123456789abcdef0",
        security_groups=("sg-0123456789abcdef0",),
        instance_profile="image-build",
        storage="s3://images-dev/overlays",
        instance_types=("m5.large", "m6i.large"),
        tags={"team": "infra"},
    )
    assert (lab.endpoint, lab.instance_s3_endpoint) == ("http://127.0.0.1:5000", "http://169.254.169.253")


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


BAD = {
    "not YAML": ("environments: [", "invalid YAML"),
    "empty": ("", "environments.yaml lacks 'environments' (e.yaml:1:1). Add 'environments:'."),
    "a list": ("environments: [a]", "'environments' is a list, not a mapping (e.yaml:1:15)."),
    "unknown top key": (
        "environment: {}",
        "environments.yaml has no key 'environment' (e.yaml:1:1). Did you mean 'env",
    ),
    "unknown key": (
        "environments:\n  dev:\n    region: us-east-1\n    subnets: x",
        "environment 'dev' has no key 'subnets' (e.yaml:4:5). Did you mean 'subnet'.",
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
        "'default' does not fit 'security_groups' (e.yaml:1:59). One looks like sg-0123456789abcdef0.",
    ),
    "groups as a text": (
        "environments: {dev: {region: us-east-1, security_groups: sg-1}}",
        "'security_groups' is a text, not a list",
    ),
    "bad type": (
        "environments: {dev: {region: us-east-1, instance_types: [big]}}",
        "'big' does not fit 'instance_types'",
    ),
    "tag that is no text": (
        "environments: {dev: {region: us-east-1, tags: {a: 1}}}",
        "'a' of 'tags' is a whole number, not a text",
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
