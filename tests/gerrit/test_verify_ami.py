"""``verifyAmi()`` with the real command and a real Gerrit: what a reviewer sees of a change."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.groovy.conftest import Build, Scenario, run_builds

from .conftest import CI, TOKEN, Project, Pushed

pytestmark = [pytest.mark.gerrit, pytest.mark.groovy, pytest.mark.xdist_group("gerrit")]

JENKINSFILE = """\
@Library('jenkins-ami') _
def found = verifyAmi(repository: params.PROJECT, refspec: params.REFSPEC, boot: 'no', gerritUrl: params.GERRIT,
                      gerritCredentialsId: 'votes')
echo "verified ${found.commit}: ${found.outcome}"
"""
MINIMAL = REPOSITORY / "examples" / "minimal"
SOURCE = {f"web/{path.relative_to(MINIMAL)}": path.read_text() for path in MINIMAL.rglob("*") if path.is_file()}
PART = "web/cloudinit/30_more.yml"
SCRIPT = "#!/bin/sh\nenv >&2; touch /pwned pwned; cat ~/.netrc ../../*; echo 'A=<b>$(id)'\n"
HOSTILE = "a'b\"; $(touch pwned) `touch pwned` ${HOME} <script>alert(1)</script> é"


@pytest.fixture
def verified(project: Project) -> Project:
    """A project with an AMI source."""
    project.gerrit.push(project.name, SOURCE)
    return project


def run(folder: Path, change: Pushed, patch_set: int = 1) -> Build:
    number = change.number
    scenario = Scenario(
        JENKINSFILE,
        env={"BUILD_URL": f"https://ci.example.com/{patch_set}/"},
        agents={"ami-verify": {}},
        commands={"jenkins-ami": (sys.executable, "-m", "jenkins_ami")},
        credentials={"votes": {"kind": "usernamePassword", "name": CI, "secret": TOKEN}},
        params={
            "PROJECT": f"{change.gerrit.url}/{change.project}",
            "REFSPEC": f"refs/changes/{number % 100:02d}/{number}/{patch_set}",
            "GERRIT": change.gerrit.url,
        },
    )
    build = run_builds(folder, {f"build{patch_set}": scenario})[f"build{patch_set}"]
    assert TOKEN not in build.console
    assert not [name for name, path in build.archive.items() if TOKEN.encode() in path.read_bytes()]
    return build


def test_a_good_change_gets_a_vote_and_shows_what_changes_on_the_machine(verified: Project, tmp_path: Path) -> None:
    change = verified.push(
        {"web/fs/etc/motd": "Hello\n", "web/cloudinit/30_more.yml": "#cloud-config\npackages: [htop]\n"}
    )
    build = run(tmp_path, change)
    assert build.result == "SUCCESS", build.console
    assert f"verified {change.commit}: passed\n" in build.console
    assert change.vote() == 1
    (message,) = change.messages()
    for line in ("+ packages: htop", "+ fs/etc/motd (6 B, 0644 root:root)", "More: https://ci.example.com/1/"):
        assert line in message
    assert {"verify/verification.json", "verify/report/index.html"} <= build.archive.keys()


def test_a_bad_change_gets_a_comment_at_the_line_and_its_next_patch_set_resolves_it(
    verified: Project, tmp_path: Path
) -> None:
    change = verified.push({PART: "#cloud-config\npakages: [htop]\n"})
    build = run(tmp_path, change)
    assert build.result == "FAILURE"
    assert change.vote() == -1
    (comment,) = change.comments()
    assert (comment["path"], comment["line"], comment["unresolved"]) == (PART, 2, True)
    assert "Write `packages`" in comment["message"]

    again = verified.push({PART: "#cloud-config\npackages: [htop]\n"}, change_id=change.change_id)
    assert run(tmp_path, again, 2).result == "SUCCESS"
    assert again.vote() == 1
    assert [one["message"] for one in again.comments() if "in_reply_to" in one] == ["Fixed in patch set 2."]
    assert again.detail()["unresolved_comment_count"] == 0


def test_a_change_that_touches_no_source_gets_its_vote_too(verified: Project, tmp_path: Path) -> None:
    change = verified.push({"README": "x"})
    build = run(tmp_path, change)
    assert build.result == "SUCCESS", build.console
    assert change.vote() == 1
    assert change.messages()[0].partition("\n\n")[2].startswith("Verified: no AMI source is touched")


def test_nothing_that_a_hostile_change_says_runs_or_breaks_a_page(verified: Project, tmp_path: Path) -> None:
    change = verified.push(
        {
            f"web/fs/{HOSTILE}/x": HOSTILE,
            f"web/cloudinit/40 {HOSTILE.replace('/', '_')}.yml": f"#cloud-config\npakages: [{HOSTILE!r}]\n",
            "web/ami.yaml": f"description: {HOSTILE!r}\ntags: {{'{'x' * 5}': '<b>'}}\nbogus: '<i>'\n",
            "web/script/compile.sh": SCRIPT,
        },
        subject=HOSTILE,
    )
    build = run(tmp_path, change)
    assert build.result == "FAILURE"
    assert change.vote() == -1
    assert not list(tmp_path.rglob("pwned"))
    assert not Path("/pwned").exists()
    page = build.archive["verify/report/index.html"].read_text()
    assert "<script>alert" not in page
    assert "<b>" not in page
    assert "<script>" not in build.description
