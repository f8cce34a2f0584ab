"""``jobs/seed/``: files to copy. They agree with the example ``jobs.yaml`` and each other, and hold no secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from jenkins_ami.errors import Location
from jenkins_ami.jobs import mark
from jenkins_ami.jobs.bootstrap import missing_plugins
from jenkins_ami.jobs.check import check_xml
from jenkins_ami.jobs.compare import difference
from jenkins_ami.jobs.config import JobsConfig, read_config
from jenkins_ami.jobs.desired import desired, without_sources
from jenkins_ami.jobs.model import SEED, Item
from jenkins_ami.jobs.xmltree import parse
from tests.conftest import REPOSITORY
from tests.jenkins.classes import PLUGINS
from tests.jobs.sources import discovery, source

FOLDER = REPOSITORY / "jobs" / "seed"
CONFIG_XML = (FOLDER / "config.xml").read_text()
CASC: dict[str, Any] = yaml.safe_load((FOLDER / "jenkins.yaml").read_text())
SCRIPT: str = CASC["jobs"][0]["script"]
NOT_RECORDED = {"configuration-as-code", "throttle-concurrents"}
"""Plugins that the recorded Jenkins did not have."""


@pytest.fixture(scope="module")
def config() -> JobsConfig:
    return read_config(REPOSITORY / "jobs" / "jobs.yaml")


@pytest.fixture(scope="module")
def seed(config: JobsConfig) -> Item:
    (item,) = (item for item in without_sources(config).items if item.kind == SEED)
    return item


def test_config_xml_means_what_the_template_makes_of_the_example(seed: Item) -> None:
    """Else: ``jenkins-ami jobs render OUT --config jobs/jobs.yaml``, and copy OUT/amis/seed/config.xml."""
    assert difference(seed.xml, CONFIG_XML) == ()


def test_config_xml_carries_the_mark_so_that_the_first_run_finds_it_done(seed: Item, config: JobsConfig) -> None:
    own = mark.of(parse(CONFIG_XML).findtext("description"), config.owner)
    assert own is not None
    assert own.digest == seed.digest


def test_config_xml_is_valid() -> None:
    assert check_xml(CONFIG_XML, SEED, Location(FOLDER / "config.xml")) == ()


def test_the_jenkinsfile_declares_nothing_that_the_configuration_owns() -> None:
    text = (FOLDER / "Jenkinsfile").read_text()
    for word in ("parameters {", "triggers {", "buildDiscarder(", "disableConcurrentBuilds(", "properties("):
        assert word not in text


def test_the_jenkinsfile_knows_the_parameters_of_the_template(seed: Item) -> None:
    declared = {each.findtext("name") for each in parse(seed.xml).iter() if each.tag.endswith("ParameterDefinition")}
    used = set(re.findall(r"params\.([A-Z_]+)", (FOLDER / "Jenkinsfile").read_text()))
    assert declared <= used


def test_configuration_as_code_makes_what_jobs_yaml_says(config: JobsConfig) -> None:
    assert config.seed is not None
    assert config.library is not None
    folder = "/".join(config.folder)
    assert f"folder('{folder}')" in SCRIPT
    assert f"pipelineJob('{folder}/seed')" in SCRIPT
    assert f"url('{config.seed.url}')" in SCRIPT
    assert f"credentials('{config.seed.credentials}')" in SCRIPT
    assert f"branch('*/{config.seed.branch}')" in SCRIPT
    assert f"scriptPath('{config.seed.script}')" in SCRIPT
    assert f"stringParam('CONFIG', '{config.seed.config}'" in SCRIPT
    assert f"[jenkins-ami {config.owner} {mark.UNPROVED}]" in SCRIPT
    (library,) = CASC["unclassified"]["globalLibraries"]["libraries"]
    git = library["retriever"]["modernSCM"]["scm"]["git"]
    assert (library["name"], library["defaultVersion"]) == (config.library.name, config.library.version)
    assert (git["remote"], git["credentialsId"]) == (config.library.url, config.library.credentials)
    ids = {each["usernamePassword"]["id"] for each in credentials()}
    assert ids == {config.seed.api_credentials, config.seed.credentials}


def test_what_configuration_as_code_made_is_made_once_only() -> None:
    """Job DSL writes at every start of Jenkins, and would take the library from the folder."""
    assert SCRIPT.startswith("if (!jenkins.model.Jenkins.get().getItemByFullName('amis/seed')) {\n")
    assert SCRIPT.rstrip().endswith("\n}")
    assert "${" not in SCRIPT


def credentials() -> list[dict[str, Any]]:
    (domain,) = CASC["credentials"]["system"]["domainCredentials"]
    found: list[dict[str, Any]] = domain["credentials"]
    return found


def test_secrets_come_from_outside() -> None:
    for each in credentials():
        assert re.fullmatch(r"\$\{[A-Z_]+\}", each["usernamePassword"]["password"])


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_no_file_holds_a_secret(path: Path) -> None:
    for line in path.read_text().splitlines():
        assert (
            not re.search(r"(?i)(password|token|secret)\w*\s*[:=]\s*['\"]?[A-Za-z0-9+/{]{6,}", line)
            or "Variable" in line
        )


def plugins() -> list[str]:
    lines = (line.strip() for line in (FOLDER / "plugins.txt").read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def test_the_plugins_are_all_that_the_examples_jobs_need(config: JobsConfig) -> None:
    wanted, findings = desired(config, discovery(source()))
    assert findings == ()
    assert missing_plugins(wanted.items, plugins()) == ()


def test_the_plugins_names_are_those_of_a_real_jenkins() -> None:
    assert set(plugins()) - set(PLUGINS) == NOT_RECORDED
    assert len(plugins()) == len(set(plugins()))
