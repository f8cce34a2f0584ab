"""``jenkins-ami iam-policy``: for what and for whom, and what it says when there is nothing to print."""

from __future__ import annotations

import json

import pytest

from tests.build.compiled import write

FILE = """\
environments:
  dev:
    region: eu-central-1
    account: "123456789012"
    storage: s3://images/overlays
    instance_profile: image-build
  prod:
    region: eu-west-1
    account: "123456789012"
    role: arn:aws:iam::123456789012:role/build
"""


@pytest.fixture(autouse=True)
def _file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JENKINS_AMI_ENVIRONMENT", raising=False)
    monkeypatch.delenv("JENKINS_AMI_ENVIRONMENTS", raising=False)
    (tmp_path / "environments.yaml").write_text(FILE)


def sids(document) -> list[str]:
    return [statement["Sid"] for statement in document["Statement"]]


def test_for_a_compiled_ami_it_is_the_least(cli, tmp_path):
    target = write(tmp_path / "compiled", base="ami-0123456789abcdef0")
    assert cli("iam-policy", target, "--environment", "dev") == 0, cli.err
    document = json.loads(cli.out)
    assert "Overlay" not in sids(document)
    assert "BaseParameter" not in sids(document)
    assert "PassRole" in sids(document)


def test_without_one_it_is_for_any(cli):
    assert cli("iam-policy", "--environment", "dev") == 0, cli.err
    assert {"Overlay", "BaseParameter", "SpotServiceRole"} <= set(sids(json.loads(cli.out)))


def test_as_json_it_is_the_same(cli):
    assert cli("iam-policy", "--environment", "dev") == 0
    plain = json.loads(cli.out)
    assert cli("iam-policy", "--environment", "dev", "--json") == 0
    assert json.loads(cli.out) == plain


def test_a_variable_can_name_the_environment(cli, monkeypatch):
    monkeypatch.setenv("JENKINS_AMI_ENVIRONMENT", "dev")
    assert cli("iam-policy") == 0


def test_several_environments_make_one_policy(cli):
    assert cli("iam-policy", "--environment", "dev", "--environment", "prod") == 0
    assert {"Look", "LookProd"} <= set(sids(json.loads(cli.out)))


def test_all_of_them_in_one_object(cli):
    assert cli("iam-policy", "--environment", "dev", "--environment", "prod", "--all") == 0
    documents = json.loads(cli.out)
    assert list(documents) == ["builder", "instance", "images", "gc", "caller"]
    assert sids(documents["caller"]) == ["AssumeBuilder"]


@pytest.mark.parametrize(
    ("whom", "name", "said"),
    [
        ("instance", "prod", "The instance needs no rights for what we do on it"),
        ("caller", "dev", "The environment names no 'role', so nobody assumes one"),
    ],
)
def test_where_no_right_is_needed_that_is_said(cli, whom, name, said):
    assert cli("iam-policy", "--environment", name, "--for", whom) == 0
    assert cli.out == ""
    assert said in cli.err


def test_the_instance_that_signs_for_its_overlay(cli, tmp_path):
    target = write(tmp_path / "compiled", overlay=b"overlay", access="profile")
    assert cli("iam-policy", target, "--environment", "dev", "--for", "instance") == 0
    assert json.loads(cli.out)["Statement"][0]["Resource"] == ["arn:aws:s3:::images/overlays/*"]


def test_a_policy_that_is_too_long_is_printed_with_a_warning(cli, tmp_path):
    names = [f"e{number}" for number in range(8)]
    regions = ["eu-west-1", "eu-west-2", "eu-west-3", "us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-west-1"]
    lines = [f"  {name}: {{region: {region}}}" for name, region in zip(names, regions, strict=True)]
    (tmp_path / "environments.yaml").write_text("\n".join(["environments:", *lines]))
    arguments = [word for name in names for word in ("--environment", name)]
    assert cli("iam-policy", *arguments) == 0
    assert "characters, and a managed policy takes 6,144: make one for each environment" in cli.err
    assert json.loads(cli.out)


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        ([], 1, "no environment is named. Use --environment NAME"),
        (["--environment", "local"], 1, "the local cloud has no rights to give. Name an environment of AWS."),
        (["--environment", "test"], 2, "there is no environment 'test' (environments.yaml)."),
        (["--environment", "dev", "--for", "me"], 1, "argument --for: invalid choice: 'me'"),
        (["--environment", "dev", "--for", "gc", "--all"], 1, "argument --all: not allowed with argument --for"),
        (["none", "--environment", "dev"], 2, "there is no compiled AMI here (none)."),
    ],
)
def test_what_it_cannot_do(cli, arguments, code, error):
    assert cli("iam-policy", *arguments) == code
    assert cli.error.startswith(error)


def test_an_overlay_without_storage(cli, tmp_path):
    target = write(tmp_path / "compiled", overlay=b"overlay")
    assert cli("iam-policy", target, "--environment", "prod") == 3
    assert "there is no storage for it" in cli.error
