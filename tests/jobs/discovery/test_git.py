"""Discovery in Git repositories by URL: over file:// and over a real ``git http-backend``."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from jenkins_ami.credentials import Credentials
from jenkins_ami.errors import ServerError
from jenkins_ami.jobs.discovery.git import repository_name
from jenkins_ami.jobs.discovery.gitfetch import Git, url_problem, without_password
from jenkins_ami.process import ProcessError, run

from .conftest import RECIPE, Discoverer, MakeRepository, commit, git, provider
from .servers import Answer, Server, git_over_http


def of(*urls: str, **settings: object) -> object:
    return provider("git", urls=urls, **settings)


def test_a_source_is_found_with_branch_and_commit(make_repository: MakeRepository, find: Discoverer) -> None:
    folder = make_repository("base", {"ami.env": RECIPE, "Jenkinsfile": "x"})
    (found,) = find(of(f"file://{folder}")).found
    assert (found.id, found.jenkinsfile, found.repository.branch) == ("base", "Jenkinsfile", "main")
    assert found.repository.commit == git(folder, "rev-parse", "HEAD")
    assert found.repository.url == f"file://{folder}"


def test_a_path_of_this_machine_is_a_url_too(make_repository: MakeRepository, find: Discoverer) -> None:
    folder = make_repository("base", {"ami.env": RECIPE})
    assert [one.id for one in find(of(str(folder))).found] == ["base"]


def test_what_did_not_change_is_not_fetched_again(make_repository: MakeRepository, find: Discoverer) -> None:
    folder = make_repository("base", {"ami.env": RECIPE})
    assert find(of(f"file://{folder}")).requests > 1
    assert find(of(f"file://{folder}")).requests == 1
    commit(folder, {"ami.env": RECIPE.replace("1.0", "1.1")})
    again = find(of(f"file://{folder}"))
    assert again.requests > 1 and again.found[0].identity.version == "1.1"


def test_a_branch_may_be_named(make_repository: MakeRepository, find: Discoverer) -> None:
    folder = make_repository("base", {"ami.env": RECIPE})
    git(folder, "checkout", "-q", "-b", "stable/1")
    commit(folder, {"ami.env": RECIPE.replace("1.0", "0.9")})
    git(folder, "checkout", "-q", "main")
    (found,) = find(of(f"file://{folder}", branch="stable/1")).found
    assert (found.repository.branch, found.identity.version) == ("stable/1", "0.9")


@pytest.mark.parametrize("branch", ["", "none"])
def test_a_repository_without_the_branch_is_broken_not_gone(find: Discoverer, tmp_path: Path, branch: str) -> None:
    tmp_path.joinpath("empty").mkdir()
    git(tmp_path / "empty", "init", "-q")
    (broken,) = find(of(f"file://{tmp_path}/empty", branch=branch)).broken
    assert (broken.repository.name, broken.folder) == ("empty", None)
    what = "there is no branch 'none'" if branch else "it has no commit"
    assert broken.findings[0].line() == f"{what} (file://{tmp_path}/empty) (empty)."


def test_a_repository_that_is_not_there_is_broken_and_the_others_are_found(
    make_repository: MakeRepository, find: Discoverer, tmp_path: Path
) -> None:
    folder = make_repository("base", {"ami.env": RECIPE})
    discovery = find(of(f"file://{tmp_path}/gone", f"file://{folder}"))
    assert [one.id for one in discovery.found] == ["base"]
    (broken,) = discovery.broken
    assert (broken.repository.name, broken.folder) == ("gone", None)
    assert broken.findings[0].what.startswith("Git cannot read it: ")
    assert discovery.failures == ()


def test_sources_in_folders_links_and_submodules(make_repository: MakeRepository, find: Discoverer) -> None:
    files = {"images/web/ami.env": RECIPE, "images/a b/ami.yaml": "name: x\nversion: '1'\nbase: scratch\n"}
    folder = make_repository("mono", {**files, "docs/ami.env": RECIPE, "images/web/deep/ami.env": RECIPE})
    (folder / "images/linked").symlink_to("web")
    (folder / "images/half").mkdir()
    (folder / "images/half/ami.env").symlink_to("../web/ami.env")
    sub = git(folder, "rev-parse", "HEAD")
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{sub},images/sub")
    commit(folder, {})
    discovery = find(of(f"file://{folder}", folders=("images/*",)))
    assert [one.folder for one in discovery.found] == ["images/a b", "images/web"]
    assert [one.folder for one in discovery.broken] == ["images/half"]
    everything = find(of(f"file://{folder}", folders=("**",)))
    assert [one.folder for one in everything.found] == ["docs", "images/a b", "images/web", "images/web/deep"]


def test_object_ids_may_be_long_ones(make_repository: MakeRepository, find: Discoverer) -> None:
    folder = make_repository("base", {"ami.env": RECIPE}, object_format="sha256")
    (found,) = find(of(f"file://{folder}")).found
    assert len(found.repository.commit) == 64


def test_only_what_is_needed_is_fetched_over_http(
    make_repository: MakeRepository, find: Discoverer, tmp_path: Path
) -> None:
    folder = make_repository("team/base", {"ami.env": RECIPE, "fs/large": os.urandom(3_000_000), "fs/small": "x"})
    for number in range(5):
        commit(folder, {f"fs/{number}": os.urandom(100_000)})
    with git_over_http(tmp_path / "git") as server:
        (found,) = find(of(f"{server.url}/team/base/.git", include=("**",))).found
        assert found.identity.name == "base"
        assert sum(server.sent) < 20_000


def test_a_server_that_knows_no_filter_is_read_all_the_same(
    make_repository: MakeRepository, find: Discoverer, tmp_path: Path
) -> None:
    make_repository("base", {"ami.env": RECIPE, "ami.yaml": "", "other": "x"})
    with git_over_http(tmp_path / "git", filters=False) as server:
        assert [one.id for one in find(of(f"{server.url}/base/.git")).found] == ["base"]


def test_credentials_go_to_the_server_and_nowhere_else(
    make_repository: MakeRepository, find: Discoverer, tmp_path: Path
) -> None:
    make_repository("base", {"ami.env": RECIPE})
    find.environ["TOKEN"] = "s3cr3t"
    auth = {"user": "ci", "secret_env": "TOKEN"}
    with git_over_http(tmp_path / "git", user="ci", password="s3cr3t") as server:
        url = f"{server.url}/base/.git"
        assert [one.id for one in find(of(url, auth=auth)).found] == ["base"]
        find.environ["TOKEN"] = "other"
        (broken,) = find(of(url, auth=auth)).broken
        assert broken.findings[0].hint == "Check the user and secret that 'auth' names"
        (broken,) = find(of(url)).broken
        assert broken.findings[0].hint == "Add 'auth:' with a user and the variable of its secret"
    kept = [path for path in find.cache.rglob("*") if path.is_file()]
    assert kept and not any("s3cr3t" in path.read_text() for path in kept)


def test_no_secret_is_in_an_argv_or_in_a_url() -> None:
    environment = Git({"GIT_CONFIG_COUNT": "1", "GIT_DIR": "/x"}, threading.Event()).environment(
        "https://me@host:8443/a/b.git", Credentials("ci", "s3cr3t")
    )
    numbered = {environment[f"GIT_CONFIG_KEY_{one}"] for one in range(1, int(environment["GIT_CONFIG_COUNT"]))}
    assert "http.https://host:8443/.extraHeader" in numbered
    assert "s3cr3t" not in str(environment)
    assert "GIT_DIR" not in environment
    other = Git({}, threading.Event()).environment("ssh://host/a", Credentials("ci", "s3cr3t"))
    assert not any(value.startswith("Authorization") for value in other.values())


def test_a_redirect_takes_no_credentials_along(
    make_repository: MakeRepository, find: Discoverer, tmp_path: Path
) -> None:
    make_repository("base", {"ami.env": RECIPE})
    find.environ["TOKEN"] = "s3cr3t"
    with git_over_http(tmp_path / "git") as target:

        def away(request: object) -> Answer:
            return Answer(302, headers={"Location": f"{target.url}/base/.git/info/refs?service=git-upload-pack"})

        with Server(away) as server:
            auth = {"user": "ci", "secret_env": "TOKEN"}
            (broken,) = find(of(f"{server.url}/base/.git", auth=auth)).broken
        assert target.requests == []
    assert "s3cr3t" not in broken.findings[0].line()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("--upload-pack=touch /tmp/x", "it looks like an option"),
        ("ext::sh -c touch% /tmp/x", "there are blanks or control characters in it"),
        ("ext::sh", "it names a remote helper"),
        ("fd::17", "it names a remote helper"),
        ("ftp://host/x", "the protocol 'ftp' is not allowed"),
        ("https://host/x\ny", "there are blanks or control characters in it"),
        ("", "it looks like an option"),
    ],
)
def test_a_url_that_would_be_a_command_is_refused(find: Discoverer, url: str, problem: str) -> None:
    assert url_problem(url) == problem
    (failure,) = find(of(url)).failures
    assert problem in failure.what


def test_git_itself_would_refuse_it_too() -> None:
    environment = Git(dict(os.environ), threading.Event()).environment("", None)
    with pytest.raises(ProcessError, match="transport 'ext' not allowed"):
        run(["git", "ls-remote", "--", "ext::true"], env=environment)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://git.example.com/team/base.git", "team/base"),
        ("https://git.example.com/team/base.git/", "team/base"),
        ("https://git.example.com/t%C3%B6/a%20b", "tö/a b"),
        ("ssh://git@git.example.com:29418/team/base", "team/base"),
        ("git@git.example.com:team/base.git", "team/base"),
        ("/srv/git/base.git", "base"),
        ("file:///srv/git/base", "base"),
    ],
)
def test_a_repository_is_called_as_its_url_says(url: str, name: str) -> None:
    assert repository_name(url) == name


def test_a_name_that_leads_out_is_left_out(find: Discoverer) -> None:
    discovery = find(of("https://host/a/../../b.git", "https://host/x.git.git", "https://host//"))
    assert discovery.found == discovery.broken == ()
    assert len(find.heard.warnings) == 3


def test_a_password_in_a_url_is_not_told() -> None:
    assert without_password("https://me:pw@host/x") == "https://me@host/x"
    assert without_password("ssh://git@host:22/x:y") == "ssh://git@host:22/x:y"


def test_jobs_may_clone_from_elsewhere(make_repository: MakeRepository, find: Discoverer) -> None:
    folder = make_repository("b $x", {"ami.env": RECIPE})
    folder = folder.rename(folder.with_name("b$x"))
    (found,) = find(of(f"file://{folder}", clone="ssh://git@host/images/")).found
    assert found.repository.url == "ssh://git@host/images/b%24x"


def test_what_runs_ends_when_it_is_stopped(tmp_path: Path) -> None:
    stopped = threading.Event()
    environ = {**os.environ, "GIT_SSH_COMMAND": "sleep 60;:"}
    threading.Timer(0.3, stopped.set).start()
    with pytest.raises(ServerError, match="was stopped"):
        Git(environ, stopped).head("ssh://host/x", "", None)
