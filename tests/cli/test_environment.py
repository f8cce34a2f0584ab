"""Which environment a command works in: options, variables, files, and ``BUILDAMI_*`` over them."""

from __future__ import annotations

import argparse
import io
import os
from pathlib import Path

import pytest

from jenkins_ami.cli import environment
from jenkins_ami.cloud.environments import Environment
from jenkins_ami.errors import InputError, StorageError, UsageError
from jenkins_ami.progress import PlainProgress

DEV = "environments: {dev: {region: eu-west-1, account: '123456789012', subnet: subnet-1}}\n"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("AWS_", "BUILDAMI_", "JENKINS_AMI_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def said():
    return io.StringIO()


@pytest.fixture
def chosen(said):
    def choose(*argv: str, source: Path | None = None) -> Environment:
        parser = argparse.ArgumentParser()
        environment.configure(parser)
        args = parser.parse_args(argv)
        environment.check(args)
        with environment.chosen(args, PlainProgress(said), base="", source=source) as found:
            return found

    return choose


def test_the_option_goes_over_the_variable(chosen, monkeypatch):
    Path("environments.yaml").write_text(DEV.replace("{dev:", "{prod: {region: us-east-1}, dev:"))
    monkeypatch.setenv("JENKINS_AMI_ENVIRONMENT", "prod")
    assert chosen().name == "prod"
    assert chosen("--environment", "dev").name == "dev"


def test_without_any_name_it_is_a_usage_error(chosen):
    with pytest.raises(UsageError, match="no environment to build in is named"):
        chosen()


def test_the_sources_own_file_is_the_last_resort(chosen, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "environments.yaml").write_text(DEV)
    assert chosen("--environment", "dev", source=tmp_path / "out").region == "eu-west-1"
    with pytest.raises(InputError, match=r"there is no environments\.yaml"):
        chosen("--environment", "dev")


def test_variables_of_a_build_go_over_the_environment(chosen, monkeypatch):
    Path("environments.yaml").write_text(DEV)
    monkeypatch.setenv("BUILDAMI_SUBNET", "subnet-2")
    monkeypatch.setenv("BUILDAMI_TYPE", "m5.large")
    found = chosen("--environment", "dev")
    assert (found.name, found.subnets, found.instance_types) == ("dev", ("subnet-2",), ("m5.large",))


def test_a_subnet_alone_is_an_environment(chosen, monkeypatch):
    monkeypatch.setenv("BUILDAMI_SUBNET", "subnet-2")
    monkeypatch.setenv("BUILDAMI_PROFILE", "image-build")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    wanted = Environment("variables", "us-west-2", subnets=("subnet-2",), instance_profile="image-build")
    assert chosen() == wanted
    assert chosen("--environment", "variables") == wanted


def test_a_named_environment_is_not_replaced_by_a_subnet(chosen, monkeypatch):
    Path("environments.yaml").write_text(DEV)
    monkeypatch.setenv("JENKINS_AMI_ENVIRONMENT", "dev")
    monkeypatch.setenv("BUILDAMI_SECURITYGROUPS", "sg-1")
    assert (chosen().name, chosen().security_groups) == ("dev", ("sg-1",))


def test_a_bad_variable_is_told_before_anything_is_done(chosen, monkeypatch):
    monkeypatch.setenv("BUILDAMI_WAIT_AMI", "600")
    with pytest.raises(StorageError, match="BUILDAMI_WAIT_AMI is 600, not between 1 and 60"):
        chosen("--environment", "dev")


def test_an_output_without_a_folder_is_told_before_anything_is_done(chosen, monkeypatch, tmp_path):
    monkeypatch.setenv("BUILDAMI_OUTPUT", str(tmp_path / "none" / "out"))
    with pytest.raises(UsageError, match="BUILDAMI_OUTPUT: there is no folder for"):
        chosen("--environment", "dev")


def test_what_is_odd_about_them_is_a_warning(chosen, said, monkeypatch):
    Path("environments.yaml").write_text(DEV)
    monkeypatch.setenv("BUILDAMI_SUBNETS", "subnet-2")
    monkeypatch.setenv("BUILDAMI_KEYPAIR", "me")
    assert chosen("--environment", "dev").key_pair == "me"
    text = said.getvalue()
    assert text.count("BUILDAMI_SUBNETS is no variable of a build. Did you mean 'BUILDAMI_SUBNET'") == 1
    assert text.count("BUILDAMI_KEYPAIR: a build needs no key pair") == 1
