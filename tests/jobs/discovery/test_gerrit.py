"""Discovery in a real Gerrit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from jenkins_ami.jobs.discovery.common import Context
from jenkins_ami.jobs.discovery.gerrit import GerritSource
from jenkins_ami.jobs.model import Provider
from tests.gerrit_server import ADMIN, ANONYMOUS, PASSWORD, REGISTERED, Gerrit

from .conftest import RECIPE, Discoverer, provider

pytestmark = [pytest.mark.gerrit, pytest.mark.xdist_group("gerrit")]

_numbers = count(1)


@pytest.fixture
def area(gerrit: Gerrit) -> Iterator[str]:
    """A prefix of project names that only this test uses."""
    yield f"test{next(_numbers)}/"


@pytest.fixture
def find(find: Discoverer) -> Discoverer:
    find.environ["SECRET"] = PASSWORD
    return find


def of(gerrit: Gerrit, prefix: str = "", **settings: object) -> Provider:
    auth = settings.pop("auth", {"user": ADMIN, "secret_env": "SECRET"})
    return provider("gerrit", url=gerrit.url, prefix=prefix, auth=auth, **settings)


def source(gerrit: Gerrit, name: str, files: dict[str, str] | None = None, **settings: str) -> str:
    gerrit.create_project(name)
    return gerrit.push(name, files if files is not None else {"ami.env": RECIPE}, **settings)


def test_a_source_at_the_root_of_a_project_is_found_with_its_commit(
    gerrit: Gerrit, area: str, find: Discoverer
) -> None:
    commit = source(
        gerrit, f"{area}base", {"ami.env": RECIPE, "ami.yaml": "volume_size: 9\n", "Jenkinsfile": "buildAmi()"}
    )
    (found,) = find(of(gerrit, area)).found
    assert found.id == f"{area}base"
    assert (found.repository.branch, found.repository.commit) == ("master", commit)
    assert found.repository.url == f"{gerrit.url}/{area}base"
    assert (found.identity.name, found.identity.volume_size, found.jenkinsfile) == ("base", 9, "Jenkinsfile")


def test_the_clone_url_is_the_one_for_signed_in_users_where_jobs_have_credentials(
    gerrit: Gerrit, area: str, find: Discoverer
) -> None:
    source(gerrit, f"{area}base")
    (found,) = find(of(gerrit, area, credentials="gerrit")).found
    assert found.repository.url == f"{gerrit.url}/a/{area}base"
    (found,) = find(of(gerrit, area, clone="ssh://ci@gerrit:29418")).found
    assert found.repository.url == f"ssh://ci@gerrit:29418/{area}base"


def test_discovery_again_is_one_request(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    for name in ("base", "web", "empty"):
        source(gerrit, area + name, {} if name == "empty" else None)
    first = find(of(gerrit, area))
    assert first.requests > 1
    second = find(of(gerrit, area))
    assert second.requests == 1
    assert second.found == first.found


def test_a_new_commit_is_read_and_only_that(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    source(gerrit, f"{area}base")
    source(gerrit, f"{area}web")
    find(of(gerrit, area))
    commit = gerrit.push(f"{area}web", {"ami.env": RECIPE.replace("1.0", "2.0")})
    again = find(of(gerrit, area))
    assert [one.identity.version for one in again.found] == ["1.0", "2.0"]
    assert again.found[1].repository.commit == commit
    assert again.requests == 5  # the listing, HEAD, ami.env, ami.yaml, Jenkinsfile


def test_projects_without_the_branch_are_not_there(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    for name, branch in {"a": "main", "b": "master", "c": "main", "d": "master", "e": "main"}.items():
        gerrit.create_project(area + name, branch=branch)
        gerrit.push(area + name, {"ami.env": RECIPE}, base=f"refs/heads/{branch}", ref=f"refs/heads/{branch}")
    gerrit.create_project(f"{area}f", empty=True)
    names = [one.repository.name.removeprefix(area) for one in find(of(gerrit, area, branch="master")).found]
    assert names == ["b", "d"]


def test_every_project_of_many_is_found(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    source(gerrit, f"{area}source")
    for number in range(30):
        gerrit.create_project(f"{area}{number}", empty=number % 3 == 0)
    listed = GerritSource(of(gerrit, area), Context(find.environ, find.heard)).listing()
    assert len(listed) == 21


def test_a_regular_expression_chooses_projects(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    for name in ("ami-base", "ami-web", "other"):
        source(gerrit, area + name)
    assert [one.id for one in find(of(gerrit, regex=f"{area}ami-.*")).found] == [f"{area}ami-base", f"{area}ami-web"]


def test_a_bad_regular_expression_is_gerrits_word_in_one_line(gerrit: Gerrit, find: Discoverer) -> None:
    (failure,) = find(of(gerrit, regex="[x")).failures
    assert failure.what == f"Gerrit answered 400: expected ']' at position 2 ({gerrit.url}/a/projects/)"


def test_include_and_exclude_choose_names(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    for name in ("base", "web", "old/base"):
        source(gerrit, area + name)
    discovery = find(of(gerrit, area, include=(f"{area}*", f"{area}old/*"), exclude=("**/web",)))
    assert [one.id.removeprefix(area) for one in discovery.found] == ["base", "old/base"]


def test_a_branch_other_than_the_default_counts_where_it_is_named(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    source(gerrit, f"{area}base", {})
    source(gerrit, f"{area}without", {"ami.env": RECIPE})
    commit = gerrit.push(f"{area}base", {"ami.env": RECIPE}, ref="refs/heads/stable/1.x")
    (found,) = find(of(gerrit, area, branch="stable/1.x")).found
    assert (found.repository.name, found.repository.branch) == (f"{area}base", "stable/1.x")
    assert found.repository.commit == commit


def test_sources_in_named_folders_are_found(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    source(
        gerrit,
        f"{area}mono",
        {"images/web/ami.env": RECIPE, "images/web/Jenkinsfile": "x", "images/db/ami.env": RECIPE},
    )
    (found,) = find(of(gerrit, area, folders=("", "images/web", "images/none"))).found
    assert (found.id, found.folder, found.jenkinsfile) == (
        f"{area}mono:images/web",
        "images/web",
        "images/web/Jenkinsfile",
    )


def test_sources_in_folders_by_glob_are_found_and_cached(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    files = {
        "images/web/ami.env": RECIPE,
        "images/d b ü/ami.yaml": "name: db\nversion: '1'\nbase: scratch\n",
        "ami.env": RECIPE,
    }
    source(gerrit, f"{area}mono repo", files | {"images/web/deep/ami.env": RECIPE, "images/web/fs/x": "x" * 100_000})
    first = find(of(gerrit, area, folders=("images/*",)))
    assert [one.folder for one in first.found] == ["images/d b ü", "images/web"]
    assert find(of(gerrit, area, folders=("images/*",))).requests == 1
    assert len(find(of(gerrit, area, folders=("**",))).found) == 4


def test_names_with_blanks_and_other_alphabets_arrive_as_they_are(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    name = f"{area}größe & x+/日本 (1)"
    source(gerrit, name)
    (found,) = find(of(gerrit, area)).found
    assert found.repository.name == name
    assert " " not in found.repository.url
    assert find(of(gerrit, area, folders=("*", ""))).found[0].repository.name == name


def test_a_source_that_does_not_parse_is_broken_with_its_place(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    source(gerrit, f"{area}base", {"ami.env": RECIPE, "ami.yaml": "volume_size: 9\nvolume_sise: 10\n"})
    source(gerrit, f"{area}good")
    discovery = find(of(gerrit, area))
    assert [one.id for one in discovery.found] == [f"{area}good"]
    (broken,) = discovery.broken
    assert (broken.repository.name, broken.folder) == (f"{area}base", "")
    assert str(broken.findings[0].where) == f"{area}base/ami.yaml:2:1"


def test_a_link_is_not_followed(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    gerrit.create_project(f"{area}base")
    gerrit.push(f"{area}base", {"ami.env": RECIPE}, links={"ami.yaml": "/etc/passwd"})
    for folders in (("",), ("*", "")):
        (broken,) = find(of(gerrit, area, folders=folders)).broken
        (finding,) = broken.findings
        assert finding.line() == f"a symbolic link, which is not followed ({area}base/ami.yaml)."


def test_a_file_too_large_is_broken(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    source(gerrit, f"{area}base", {"ami.env": RECIPE, "ami.yaml": "#" * 1_100_000})
    for folders in (("",), ("*", "")):
        (broken,) = find(of(gerrit, area, folders=folders)).broken
        assert broken.findings[0].what == "larger than 1024 KiB"


def test_a_folder_named_like_a_recipe_is_no_recipe(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    source(gerrit, f"{area}base", {"ami.env": RECIPE, "Jenkinsfile/x": "x"})
    (found,) = find(of(gerrit, area)).found
    assert found.jenkinsfile == ""


def test_a_wrong_password_is_a_failure_in_one_line(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    find.environ["SECRET"] = "wrong"
    discovery = find(of(gerrit, area))
    (failure,) = discovery.failures
    assert failure.what.startswith(f"Gerrit does not accept the secret of admin ({gerrit.url}/a/projects/).")
    assert "wrong" not in failure.what


def test_projects_that_the_account_may_not_read_are_not_there(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    gerrit.create_account(f"{area.strip('/')}user", "pw")
    source(gerrit, f"{area}open")
    source(gerrit, f"{area}closed")
    gerrit.permit(f"{area}closed", "read", "BLOCK", group=REGISTERED)
    find.environ["SECRET"] = "pw"
    discovery = find(of(gerrit, area, auth={"user": f"{area.strip('/')}user", "secret_env": "SECRET"}))
    assert [one.id for one in discovery.found] == [f"{area}open"]
    assert discovery.broken == discovery.failures == ()


def test_without_credentials_it_looks_as_anonymous(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    source(gerrit, f"{area}open")
    source(gerrit, f"{area}closed")
    gerrit.permit(f"{area}closed", "read", "BLOCK", group=ANONYMOUS)
    assert [one.id for one in find(of(gerrit, area, auth={})).found] == [f"{area}open"]


def test_no_project_at_all_is_no_failure(gerrit: Gerrit, area: str, find: Discoverer) -> None:
    discovery = find(of(gerrit, area))
    assert (discovery.found, discovery.failures) == ((), ())
