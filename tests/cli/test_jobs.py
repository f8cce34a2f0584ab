"""`jenkins-ami jobs`: from repositories on disk to a Jenkins and back, and what goes wrong on the way."""

import json
import subprocess

import pytest

from jenkins_ami.cli.jobs import ACTIONS
from tests.jenkins.fake import FakeJenkins

CONFIG = """\
owner: amis
sources:
- folder: repos
  folders: ["**"]
  clone: https://git.example.com/
library: {url: "https://git.example.com/library"}
"""


@pytest.fixture
def repos(tmp_path, monkeypatch):
    """Two repositories, one image made from the other; the current folder has a jobs.yaml."""
    for name, base in (("base", "scratch"), ("web", "base")):
        folder = tmp_path / "repos" / name
        folder.mkdir(parents=True)
        (folder / "ami.env").write_text(f"NAME={name}\nVERSION=1.0\nBASE={base}\n")
        git = ["git", "-C", str(folder), "-c", "user.email=a@example.com", "-c", "user.name=a"]
        for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "x"]):
            subprocess.run([*git, *words], check=True, capture_output=True)
    (tmp_path / "jobs.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JENKINS_AMI_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("JENKINS_URL", raising=False)
    return tmp_path


@pytest.fixture
def server(repos, monkeypatch):
    with FakeJenkins() as fake:
        monkeypatch.setenv("JENKINS_URL", fake.url)
        monkeypatch.setenv("JENKINS_USER", fake.user)
        monkeypatch.setenv("JENKINS_TOKEN", fake.token)
        yield fake


@pytest.mark.parametrize("action", ACTIONS)
def test_every_command_of_the_group_explains_itself(action, cli):
    assert cli("jobs", action, "--help") == 0
    assert cli.out.startswith(f"usage: jenkins-ami jobs {action}")


def test_the_group_lists_its_commands(cli):
    assert cli("jobs") == 0
    assert all(f"  {action}" in cli.out for action in ACTIONS)
    assert cli("jobs", "aply") == 1
    assert cli.error == "there is no command 'aply'. Did you mean 'apply'."


def test_the_sources_are_listed(repos, cli):
    assert cli("jobs", "discover") == 0
    assert cli.out.splitlines() == ["base  base 1.0  from scratch", "web   web 1.0  from base"]
    assert cli("jobs", "discover", "--json") == 0
    data = json.loads(cli.out)
    assert [(one["id"], one["url"], one["branch"]) for one in data["sources"]] == [
        ("base", "https://git.example.com/base", "main"),
        ("web", "https://git.example.com/web", "main"),
    ]


def test_apply_makes_what_plan_says_and_a_second_plan_is_empty(server, cli):
    assert cli("jobs", "plan", "--exit-code") == 8
    assert "+ amis/web/build  to create [build]" in cli.out.splitlines()
    assert cli("jobs", "apply") == 0
    assert ("amis", "web", "build") in server.items
    assert "/amis/base/build" in server.config("amis/web/build")
    assert cli("jobs", "plan", "--verify", "--exit-code") == 0
    assert cli.out.splitlines()[-1].startswith("Plan: ")


def test_drift_is_an_exit_code_and_a_page(server, cli, repos):
    cli("jobs", "apply")
    server.edit("amis/web/build", lambda text: text.replace("<numToKeep>30", "<numToKeep>1"))
    assert cli("jobs", "plan", "--exit-code") == 0
    assert cli("jobs", "plan", "--verify", "--exit-code", "--html", "plan.html") == 8
    assert "! amis/web/build  drifted [build]" in cli.out.splitlines()
    assert "amis/web/build" in (repos / "plan.html").read_text()
    assert cli("jobs", "plan", "--verify", "--json") == 0
    assert json.loads(cli.out)["counts"]["drifted"] == 1


def test_a_source_that_is_gone_is_pruned_only_when_asked(server, cli, repos):
    cli("jobs", "apply")
    (repos / "repos" / "web").rename(repos / "elsewhere")
    assert cli("jobs", "apply") == 0
    assert "2 left in place: --prune takes them away." in cli.out.splitlines()
    assert cli("jobs", "apply", "--prune", "--max-deletes", "1") == 1
    assert cli.error.startswith("2 items would be deleted, and at most 1 may be.")
    assert cli("jobs", "apply", "--prune") == 0
    assert ("amis", "web") not in server.items and ("amis", "base", "build") in server.items


def test_a_broken_source_is_told_its_jobs_stay_and_the_rest_is_done(server, cli, repos):
    cli("jobs", "apply")
    (repos / "repos" / "web" / "ami.env").write_text("NAME=web\nVERSION=one\nBASE=base\n")
    (repos / "repos" / "base" / "ami.yaml").write_text("jobs: {nightly: '@daily'}\n")
    assert cli("jobs", "apply", "--prune") == 2
    assert "web/ami.env:2:1: error: 'one' is no version." in cli.err
    assert ("amis", "web", "build") in server.items
    assert "@daily" in server.config("amis/base/build")


def test_why_a_run_did_not_do_all_of_it_is_left_for_the_job_that_called(server, cli, repos, monkeypatch):
    monkeypatch.setenv("JENKINS_AMI_ERROR_FILE", "error.txt")
    (repos / "repos" / "web" / "ami.env").write_text("NAME=web\nVERSION=one\nBASE=base\n")
    assert cli("jobs", "apply") == 2
    assert (repos / "error.txt").read_text() == "web/ami.env:2:1: 'one' is no version\n"
    server.fail_next("createItem?name=late", 500, times=9)
    (repos / "repos" / "base").rename(repos / "repos" / "late")
    assert cli("jobs", "apply") == 7
    assert (repos / "error.txt").read_text().startswith("amis/late: Jenkins refused to create amis/late")


def test_apply_says_what_it_did(server, cli):
    assert cli("jobs", "apply") == 0
    assert "created amis/web/build" in cli.out.splitlines()
    assert cli("jobs", "apply") == 0
    assert cli.out.splitlines() == ["Nothing to change: 7 unchanged."]


def test_a_plugin_that_is_not_there_is_told_before_anything_is_made(repos, cli, monkeypatch):
    with FakeJenkins(without=["pipeline-groovy-lib"]) as fake:
        for name, value in (("URL", fake.url), ("USER", fake.user), ("TOKEN", fake.token)):
            monkeypatch.setenv(f"JENKINS_{name}", value)
        assert cli("jobs", "plan") == 0
        assert "warning: Jenkins lacks pipeline-groovy-lib. Install with: java -jar" in cli.err
        assert cli("jobs", "apply") == 7
        assert any(line.startswith("failed: amis: Jenkins dropped") for line in cli.out.splitlines())


def test_render_writes_the_same_bytes_and_replaces_only_its_own(repos, cli):
    assert cli("jobs", "render", "out") == 0
    before = {path: path.read_bytes() for path in (repos / "out").rglob("*") if path.is_file()}
    assert repos / "out" / "amis" / "web" / "build" / "config.xml" in before
    assert cli("jobs", "render", "out") == 0
    assert {path: path.read_bytes() for path in (repos / "out").rglob("*") if path.is_file()} == before
    assert cli("jobs", "render", "repos") == 2
    assert cli.error.startswith("the output holds other things than rendered jobs (repos).")
    assert (repos / "repos" / "web" / "ami.env").exists()


def test_what_was_rendered_is_valid_and_what_was_spoilt_is_not(repos, cli):
    cli("jobs", "render", "out")
    assert cli("jobs", "validate", "out") == 0
    assert cli.out.splitlines() == ["no findings"]
    file = repos / "out" / "amis" / "web" / "build" / "config.xml"
    file.write_text(file.read_text().replace("<sandbox>true", "<sandbox>false"))
    assert cli("jobs", "validate", "out") == 2
    assert "its script is not sandboxed" in cli.out
    assert cli("jobs", "validate", "nowhere") == 2
    assert cli("jobs", "validate") == 0


def test_bootstrap_makes_root_and_seed_in_an_empty_jenkins(server, cli, repos):
    (repos / "jobs.yaml").write_text(CONFIG + "seed: {url: 'https://git.example.com/jobs'}\n")
    assert cli("jobs", "bootstrap") == 0
    assert {("amis",), ("amis", "seed"), ("amis", "drift")} <= set(server.items)
    assert ("amis", "web") not in server.items
    assert cli.out.splitlines()[-1] == "Run the job amis/seed to make the jobs of the AMI sources."
    assert cli("jobs", "apply") == 0
    assert cli("jobs", "plan", "--verify", "--exit-code") == 0


@pytest.mark.parametrize(
    ("argv", "code", "line"),
    [
        (["plan", "--config", "other.yaml"], 2, "there is no such file (other.yaml)."),
        (["plan", "--only", "nothing"], 2, "no item matches 'nothing'."),
        (["apply", "--limit", "-1"], 1, "--limit is -1, and cannot be less than 0."),
        (["apply", "--prune", "--only", "web"], 1, "a filtered run never deletes. Leave out --only, or --prune."),
        (["plan", "--url", "jenkins"], 2, "'jenkins' is no URL of a Jenkins (jobs.yaml)."),
        (["plan", "--html", "no/such/folder/p.html"], 1, "the page cannot be written: No such file or directory"),
    ],
)
def test_bad_input_gets_one_line(argv, code, line, server, cli):
    assert cli("jobs", *argv) == code
    assert cli.error.startswith(line)


def test_without_a_jenkins_it_says_how_to_name_one(repos, cli):
    assert cli("jobs", "plan") == 2
    assert cli.error.startswith("no Jenkins is named (jobs.yaml). Set 'jenkins: {url:")


def test_no_secret_is_ever_printed(server, cli, monkeypatch):
    monkeypatch.setenv("JENKINS_TOKEN", "wr0ng-s3cret")
    assert cli("jobs", "plan", "-v") == 7
    assert "wr0ng-s3cret" not in cli.err + cli.out
