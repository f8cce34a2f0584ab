"""``jenkins-ami validate`` as a user and as a Jenkins job call it."""

import json
import subprocess
from pathlib import Path

import pytest

from ..conftest import EXAMPLES

YML = "cloudinit/10_a.yml"
BAD = "#cloud-config\npakages: [a]\nhostname: 1\n"
WARN = "#cloud-config\nmine: [a]\n"
HINT = "cloud-init ignores it, unless a part-handler or a newer version knows it; 'x-…' is for your own."


def git(folder: Path, *words: str) -> None:
    settings = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *settings, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    """Two AMI sources in one repository; the last commit changed ``web/cloudinit/10_a.yml`` only."""
    top = tmp_path / "repository"
    for name in ("web", "db"):
        (top / name / "cloudinit").mkdir(parents=True)
        (top / name / "ami.env").write_text("NAME=a\nVERSION=1\nBASE=scratch\n")
        (top / name / YML).write_text(WARN)
    git(top, "init")
    git(top, "add", ".")
    git(top, "commit", "-m", "one")
    (top / "web" / YML).write_text(BAD)
    (top / "db" / YML).write_text(BAD)
    git(top, "commit", "-m", "two", f"web/{YML}")
    return top


def test_a_good_source_has_no_findings(make_source, cli):
    assert cli("validate", make_source(), "-q") == 0
    assert cli.out == "no findings\n"


@pytest.mark.parametrize("name", ["minimal", "web-server", "jenkins-agent"])
def test_the_examples_are_valid_even_strictly(name, cli):
    assert cli("validate", "--strict", EXAMPLES / name) == 0
    assert cli.out == "no findings\n"


def test_findings_are_lines_on_stdout_and_the_code_is_2(make_source, cli):
    source = make_source({YML: BAD})
    assert cli("validate", source) == 2
    assert cli.out.splitlines() == [
        f"{source}/{YML}:2:1: error: there is no cloud-config key 'pakages'. "
        "Did you mean 'packages'. [cloud-config-key]",
        f"{source}/{YML}:3:11: error: 'hostname' is a whole number, not a text. Put it in quotes. [cloud-config-type]",
        "2 errors",
    ]


def test_warnings_fail_only_a_strict_run(make_source, cli):
    source = make_source({YML: WARN})
    assert cli("validate", source) == 0
    assert f"{YML}:2:1: warning: there is no cloud-config key 'mine'. {HINT} [cloud-config-key]" in cli.out
    assert cli("validate", "--strict", source) == 2


def test_all_kinds_of_mistakes_are_told_in_one_run(make_source, cli):
    source = make_source(
        {
            YML: BAD,
            "cloudinit/20_b.yml": "#cloud-config\na: [\n",
            "cloudinit/30_c.sh": "#!/bin/sh\nfi\n",
            "cloudinit/40_d.yml": "#cloud-config\npassword: sesame\n",
            "cloudinit/50_e.yml": "packages: [a]\n",
            "fs/proc/x": "x",
        }
    )
    assert cli("validate", source) == 2
    places = [line.removeprefix(f"{source}/").split(": ")[0] for line in cli.out.splitlines()[:-1]]
    for place in (f"{YML}:2:1", f"{YML}:3:11", "30_c.sh:2", "40_d.yml:2:11", "50_e.yml:1"):
        assert any(one.endswith(place) for one in places), place
    assert any(one.startswith("cloudinit/20_b.yml:3") for one in places)
    assert any(one.startswith("fs/proc") for one in places)


def test_a_source_that_is_none_is_a_finding(cli, tmp_path):
    assert cli("validate", tmp_path / "nowhere") == 2
    assert cli.out.splitlines()[0] == f"{tmp_path}/nowhere: error: the AMI source does not exist. [source]"


def test_nothing_is_written_and_compile_sh_is_not_run(make_source, cli):
    source = make_source({YML: "#cloud-config\npackages: [a]\n", "script/compile.sh": "#!/bin/sh\ntouch fs/made\n"})
    before = sorted(source.rglob("*"))
    assert cli("validate", source) == 0
    assert sorted(source.rglob("*")) == before


def test_a_missing_parameter_is_a_finding_and_a_given_one_is_not(make_source, cli, monkeypatch):
    monkeypatch.delenv("AMI_PARAM_SIZE", raising=False)
    source = make_source({"ami.yaml": "parameters:\n  size: {type: integer}\n", YML: "#cloud-config\npackages: [a]\n"})
    assert cli("validate", source) == 2
    assert "[parameter]" in cli.out
    assert cli("validate", source, "--param", "size=3") == 0


@pytest.mark.parametrize("option", [["--format", "json"], ["--json"]])
def test_json_is_one_object_on_stdout(option, make_source, cli):
    source = make_source({YML: BAD})
    assert cli("validate", source, *option) == 2
    data = json.loads(cli.out)
    assert (data["errors"], data["warnings"]) == (2, 0)
    first = data["findings"][0]
    assert (first["file"], first["line"], first["column"]) == (f"{source}/{YML}", 2, 1)
    assert first["fix"]["text"] == "packages"


def test_sarif_paths_begin_at_the_top_of_the_work_tree(repository, cli, monkeypatch):
    monkeypatch.chdir(repository / "web")
    assert cli("validate", ".", "--format", "sarif") == 2
    run = json.loads(cli.out)["runs"][0]
    assert run["originalUriBaseIds"]["SRCROOT"]["uri"] == f"file://{repository}/"
    uris = {result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in run["results"]}
    assert uris == {f"web/{YML}"}


def test_paths_begin_where_one_says(repository, cli):
    assert cli("validate", repository / "web", "--format", "gerrit", "--relative-to", repository / "web") == 2
    assert json.loads(cli.out)["comments"].keys() == {YML}


def test_paths_outside_git_begin_at_the_source(make_source, cli):
    assert cli("validate", make_source({YML: BAD}), "--format", "gerrit") == 2
    assert json.loads(cli.out)["comments"].keys() == {YML}


def test_gerrit_gets_comments_on_what_the_commit_changes(repository, cli):
    assert cli("validate", repository / "web", "--format", "gerrit") == 2
    review = json.loads(cli.out)
    (first, second) = review["comments"].pop(f"web/{YML}")
    assert review["comments"] == {}
    assert (first["line"], first["range"]["end_character"], second["line"]) == (2, 7, 3)
    assert first["fix_suggestions"][0]["replacements"][0]["path"] == f"web/{YML}"


def test_gerrit_gets_the_rest_as_a_comment_on_the_patch_set(repository, cli):
    assert cli("validate", repository / "db", "--format", "gerrit") == 2
    review = json.loads(cli.out)
    assert review["comments"].keys() == {"/PATCHSET_LEVEL"}
    assert f"db/{YML}:2:1: error: " in review["comments"]["/PATCHSET_LEVEL"][0]["message"]


def test_a_shallow_clone_cannot_tell_what_changed_and_says_so(repository, tmp_path, cli):
    git(tmp_path, "clone", "--depth", "1", f"file://{repository}", "clone")
    assert cli("validate", tmp_path / "clone" / "web", "--format", "gerrit") == 2
    assert json.loads(cli.out)["comments"].keys() == {"/PATCHSET_LEVEL"}
    assert "too shallow" in cli.err


def test_a_base_that_is_no_folder_is_a_usage_error(make_source, cli):
    assert cli("validate", make_source(), "--relative-to", "/nowhere") == 1
    assert cli.error == "--relative-to: /nowhere is not a folder."
