"""Discovery in a folder of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .conftest import RECIPE, Discoverer, MakeRepository, commit, git, provider


def of(path: Path, **settings: Any) -> Any:
    return provider("folder", path=path, **settings)


def write(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(RECIPE)
    return root


def test_work_trees_in_the_folder_are_repositories(make_repository: MakeRepository, find: Discoverer) -> None:
    base = make_repository("team/base", {"ami.env": RECIPE, "Jenkinsfile": "x"})
    web = make_repository("web", {"ami.env": RECIPE})
    git(base, "remote", "add", "origin", "https://me:s3cr3t@git.example.com/team/base.git")
    git(web, "remote", "add", "origin", "git@git.example.com:web")
    discovery = find(of(base.parent.parent))
    assert [one.id for one in discovery.found] == ["team/base", "web"]
    assert discovery.found[0].repository.url == "https://me@git.example.com/team/base.git"
    assert discovery.found[1].repository.url == "git@git.example.com:web"
    first = discovery.found[0]
    assert (first.repository.branch, first.repository.commit) == ("main", git(base, "rev-parse", "HEAD"))
    assert (first.jenkinsfile, discovery.requests) == ("Jenkinsfile", 0)


def test_a_work_tree_may_be_called_like_the_folder(make_repository: MakeRepository, find: Discoverer) -> None:
    folder = make_repository("base/base", {"ami.env": RECIPE})
    assert [one.id for one in find(of(folder.parent, clone="https://x/")).found] == ["base"]
    assert find.heard.warnings == []


def test_jobs_clone_from_where_the_configuration_says(make_repository: MakeRepository, find: Discoverer) -> None:
    base = make_repository("team/base", {"ami.env": RECIPE})
    discovery = find(of(base.parent.parent, clone="https://git.example.com/", branch="stable"))
    (found,) = discovery.found
    assert (found.repository.url, found.repository.branch) == ("https://git.example.com/team/base", "stable")


def test_one_work_tree_with_many_sources(make_repository: MakeRepository, find: Discoverer) -> None:
    files = {"images/web/ami.env": RECIPE, "images/db/ami.env": RECIPE, "images/db/Jenkinsfile": "x", "ami.env": RECIPE}
    folder = make_repository("company-images", files)
    url = "ssh://git@git.example.com/images.git"
    discovery = find(of(folder, clone=url, folders=("images/*",)))
    assert [one.id for one in discovery.found] == ["company-images:images/db", "company-images:images/web"]
    assert discovery.found[0].repository.url == url
    assert discovery.found[0].jenkinsfile == "images/db/Jenkinsfile"


def test_a_folder_without_git_is_one_repository(find: Discoverer, tmp_path: Path) -> None:
    root = write(tmp_path / "sources", "web/ami.env", "db/ami.env", "db/inner/ami.env", ".hidden/ami.env")
    discovery = find(of(root, clone="https://git.example.com/sources.git", folders=("*",)))
    assert [one.id for one in discovery.found] == ["sources:db", "sources:web"]
    assert (discovery.found[0].repository.commit, discovery.found[0].repository.branch) == ("", "")


def test_sources_that_jenkins_cannot_clone_are_broken(make_repository: MakeRepository, find: Discoverer) -> None:
    folder = make_repository("base", {"ami.env": RECIPE})
    (broken,) = find(of(folder)).broken
    assert broken.findings[0].line() == (
        f"nothing says where Jenkins can clone it ({folder}) (base). Set 'url:', or add a remote 'origin'."
    )


def test_what_is_not_committed_counts(make_repository: MakeRepository, find: Discoverer) -> None:
    folder = make_repository("base", {"ami.env": RECIPE})
    (folder / "ami.env").write_text(RECIPE.replace("1.0", "2.0"))
    for version in ("2.0", "3.0"):
        (folder / "ami.env").write_text(RECIPE.replace("1.0", version))
        assert find(of(folder, clone="https://x/y")).found[0].identity.version == version


def test_links_and_submodules_are_not_followed(
    make_repository: MakeRepository, find: Discoverer, tmp_path: Path
) -> None:
    folder = make_repository("base", {"images/web/ami.env": RECIPE})
    (folder / "images/link").symlink_to("web")
    (folder / "images/half").mkdir()
    (folder / "images/half/ami.env").symlink_to("../web/ami.env")
    write(folder, "images/sub/ami.env", "images/sub/.git")
    (tmp_path / "git" / "outside").symlink_to(folder)
    discovery = find(of(folder, clone="https://x/y", folders=("**",)))
    assert [one.folder for one in discovery.found] == ["images/web"]
    assert [one.folder for one in discovery.broken] == ["images/half"]
    everything = find(of(tmp_path / "git", clone="https://x/", folders=("**",)))
    assert [one.id for one in everything.found] == ["base:images/web"]


def test_a_folder_that_is_not_there_fails_the_provider(find: Discoverer, tmp_path: Path) -> None:
    (failure,) = find(of(tmp_path / "none")).failures
    assert failure.what == f"there is no folder {tmp_path}/none (jobs.yaml:3:5)"


def test_a_work_tree_without_a_commit_is_found(find: Discoverer, tmp_path: Path) -> None:
    root = write(tmp_path / "new", "ami.env")
    git(root, "init", "-q", "-b", "main")
    (found,) = find(of(root, clone="https://x/y")).found
    assert (found.repository.branch, found.repository.commit) == ("main", "")
    commit(root, {})
    assert len(find(of(root, clone="https://x/y")).found[0].repository.commit) == 40
