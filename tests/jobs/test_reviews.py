"""Changes that ``verifyAmi`` votes on: a repository has one job for them, whatever the number of its sources."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from jenkins_ami.errors import Location
from jenkins_ami.findings import ERROR, Finding
from jenkins_ami.jobs.desired import desired
from jenkins_ami.jobs.model import VERIFY, Broken, Desired, Found
from tests.jobs.sources import CONFIG, GERRIT, GIT, config, discovery, source

VOTES = CONFIG + "defaults: {credentials: {gerrit: votes}}\n"
EVERYWHERE = replace(GERRIT, folders=("**",))
WRONG = (Finding("x", ERROR, "wrong", Location("a/ami.yaml")),)


def wanted(
    folder: Path, *found: Found, broken: tuple[Broken, ...] = (), text: str = VOTES
) -> tuple[Desired, list[str]]:
    result, findings = desired(config(folder, text), replace(discovery(*found), broken=broken))
    return result, [f"{one.where}: {one.what}" for one in findings]


def verify_jobs(result: Desired) -> dict[str, ElementTree.Element]:
    return {"/".join(item.path): ElementTree.fromstring(item.xml) for item in result.items if item.kind == VERIFY}


def script(result: Desired, path: str) -> str:
    return verify_jobs(result)[path].findtext("definition/script") or ""


def test_a_repository_has_one_job_that_verifies_all_its_sources(tmp_path: Path) -> None:
    result, findings = wanted(tmp_path, source("a", "images/web"), source("a", "images/db"), source("b"))
    assert findings == []
    assert verify_jobs(result).keys() == {"amis/a/verify", "amis/b/verify"}
    assert "    source: ['images/db', 'images/web'],\n" in script(result, "amis/a/verify")
    assert "    source: ['.'],\n" in script(result, "amis/b/verify")


def test_it_starts_for_every_change_and_leaves_the_vote_to_the_step(tmp_path: Path) -> None:
    result, _ = wanted(tmp_path, source("a", "images/web"))
    trigger = verify_jobs(result)["amis/a/verify"].find(".//triggers/*")
    assert trigger is not None
    assert trigger.find(".//filePaths") is None
    assert trigger.findtext("silentMode") == "true"
    assert "    gerritUrl: 'https://gerrit.example.com',\n    gerritCredentialsId: 'votes',\n" in script(
        result, "amis/a/verify"
    )


def test_without_credentials_each_source_has_its_own_for_its_folder_and_the_plugin_votes(tmp_path: Path) -> None:
    result, _ = wanted(tmp_path, source("a", "images/web"), source("a", "images/db"), text=CONFIG)
    jobs = verify_jobs(result)
    assert jobs.keys() == {"amis/a/images/web/verify", "amis/a/images/db/verify"}
    for path, job in jobs.items():
        assert job.findtext(".//filePaths/*/pattern") == path.removeprefix("amis/a/").replace("verify", "**")
        assert job.findtext(".//silentMode") == "false"
        assert "gerritUrl" not in script(result, path)


def test_a_repository_in_which_every_folder_may_hold_a_source_has_new_ones_verified_too(tmp_path: Path) -> None:
    result, _ = wanted(tmp_path, source("a", "x", provider=EVERYWHERE), source("a", "y", provider=EVERYWHERE))
    assert "source:" not in script(result, "amis/a/verify")


def test_a_source_that_is_not_to_be_verified_is_not(tmp_path: Path) -> None:
    sources = [
        source("a", name, provider=EVERYWHERE, **jobs) for name, jobs in {"x": {}, "y": {"verify": "none"}}.items()
    ]
    result, _ = wanted(tmp_path, *sources)
    assert "    source: ['x'],\n" in script(result, "amis/a/verify")


def test_a_source_that_is_broken_is_verified_as_a_change_may_mend_it(tmp_path: Path) -> None:
    broken = Broken(source("a").repository, "y", WRONG)
    result, _ = wanted(tmp_path, source("a", "x"), broken=(broken,))
    assert "    source: ['x', 'y'],\n" in script(result, "amis/a/verify")
    assert ("amis", "a", "verify") not in result.kept


def test_a_source_whose_settings_are_refused_is_verified_as_well_and_they_do_not_count(tmp_path: Path) -> None:
    text = VOTES + "locked: [labels, verify]\n"
    label = source("a", "w", verify_label="root")
    result, findings = wanted(tmp_path, label, source("a", "x"), source("a", "y", verify="none"), text=text)
    assert findings == [
        "a:w: ami.yaml sets 'jobs: labels', which jobs.yaml locks",
        "a:y: ami.yaml sets 'jobs: verify', which jobs.yaml locks",
    ]
    assert "    source: ['w', 'x', 'y'],\n" in script(result, "amis/a/verify")
    assert "    label: 'ami-verify',\n" in script(result, "amis/a/verify")


@pytest.mark.parametrize("folder", ["", "images/web"])
def test_the_job_of_a_repository_is_kept_when_all_its_sources_are_broken(tmp_path: Path, folder: str) -> None:
    result, _ = wanted(tmp_path, source("b"), broken=(Broken(source("a").repository, folder, WRONG),))
    assert ("amis", "a", "verify") in result.kept
    assert "amis/a/verify" not in verify_jobs(result)


def test_a_source_that_is_refused_does_not_hold_back_the_job_of_another(tmp_path: Path) -> None:
    text = CONFIG + "locked: [timeout]\n"
    result, _ = wanted(tmp_path, source("a"), source("a", "x", timeout=5), text=text)
    assert "amis/a/verify" in verify_jobs(result)
    assert result.kept == (("amis", "a", "x", "build"), ("amis", "a", "x", "verify"))


def test_its_settings_are_those_of_its_first_source(tmp_path: Path) -> None:
    found = [source("a", "y", timeout=5, verify_label="last"), source("a", "x", timeout=90)]
    result, _ = wanted(tmp_path, *found)
    assert "    label: 'ami-verify',\n    timeout: 90,\n" in script(result, "amis/a/verify")


@pytest.mark.parametrize(
    "jobs", [{"verify_jenkinsfile": "ci/verify"}, {"gerrit_credentials": "", "verify": "gerrit-trigger"}]
)
def test_a_source_with_a_job_of_its_own_keeps_it(tmp_path: Path, jobs: dict[str, Any]) -> None:
    result, findings = wanted(tmp_path, source("a", "x", **jobs), source("a", "y"))
    assert findings == []
    assert verify_jobs(result).keys() == {"amis/a/x/verify", "amis/a/verify"}
    assert "    source: ['y'],\n" in script(result, "amis/a/verify")


def test_a_repository_that_no_gerrit_has_is_verified_as_without_credentials(tmp_path: Path) -> None:
    result, _ = wanted(tmp_path, source("a", "x", provider=GIT, verify="gerrit-trigger"))
    assert "gerrit" not in script(result, "amis/a/x/verify")


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (
            [source("a", "verify")],
            ["a:verify: its job 'verify' would be at the place of the folder of a:verify"],
        ),
        (
            [source("a", "x"), source("a/verify/y", verify="none")],
            ["a:x: its job 'verify' would be at the place of the folder of a/verify/y"],
        ),
        (
            [source("a", verify_jenkinsfile="J"), source("a", "x")],
            [
                "a: its job 'verify' would be that of a:x of gerrit as well",
                "a:x: its job 'verify' would be that of a of gerrit as well",
            ],
        ),
        (
            [source("a", "x"), source("a", "y", provider=replace(GERRIT, name="other"))],
            [
                "a:x: its job 'verify' would be that of a:y of other as well",
                "a:y: its job 'verify' would be that of a:x of gerrit as well",
            ],
        ),
    ],
    ids=["its own folder", "another repository", "a job of a source", "another Gerrit"],
)
def test_a_place_that_is_taken_is_told(tmp_path: Path, found: list[Found], what: list[str]) -> None:
    result, findings = wanted(tmp_path, *found)
    assert findings == what
    refused = {message.partition(": ")[0] for message in what}
    assert not refused & {item.source for item in result.items}


def test_agents_take_the_command_that_the_configuration_says_beside_the_library(tmp_path: Path) -> None:
    text = VOTES.replace("version: v1}", "version: v1, cli: {from: 'https://h/cli', extras: [local]}}")
    result, _ = wanted(tmp_path, source("a"), text=text)
    scripts = [ElementTree.fromstring(item.xml).findtext("definition/script") for item in result.items]
    made = [script for script in scripts if script]
    assert len(made) == 2
    assert all("    cli: [from: 'https://h/cli', extras: ['local']],\n" in script for script in made)
