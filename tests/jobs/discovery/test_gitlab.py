"""Discovery in GitLab: a replay that speaks as its documentation says (docs.gitlab.com, REST API: "List all projects in
a group", "Retrieve a repository branch", "List all repository trees in a project", "Retrieve a raw file", and
"Pagination").
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlencode

import pytest

from .conftest import RECIPE, Discoverer, provider
from .servers import Answer, Request, Server


class GitLab:
    """Groups with projects."""

    def __init__(self) -> None:
        self.projects: dict[int, dict[str, Any]] = {}
        self.page = 2
        self.broken_page = 0
        self.token = ""
        self.url = ""

    def add(self, path: str, files: Mapping[str, Any], branch: str | None = "main", **more: Any) -> int:
        number = len(self.projects) + 1
        row = {"id": number, "path_with_namespace": path, "default_branch": branch}
        row |= {"http_url_to_repo": f"https://gitlab.example/{path}.git", "web_url": f"https://gitlab.example/{path}"}
        self.projects[number] = {"row": row | more, "files": dict(files)}
        return number

    def __call__(self, request: Request) -> Answer:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return Answer(401, '{"message": "401 Unauthorized"}')
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        if parts[0] == "groups":
            assert request.query["archived"] == "false" and request.query["include_subgroups"] == "true"
            rows = [
                one["row"]
                for one in self.projects.values()
                if one["row"]["path_with_namespace"].startswith(parts[1] + "/")
            ]
            return self.paged(rows, request) if rows else Answer(404, '{"message": "404 Group Not Found"}')
        project = self.projects[int(parts[1])]
        if project["files"] is None:
            return Answer(404, '{"message": "404 Project Not Found"}')
        if parts[3] == "branches":
            return self.branch(project, parts[4])
        assert request.query["ref"] == self.commit(project)
        if parts[3] == "tree":
            return self.tree(project["files"], request)
        content = project["files"][parts[4]]
        return Answer(body=content, headers={"Content-Type": "text/plain"})

    def commit(self, project: dict[str, Any]) -> str:
        return hashlib.sha1(repr(project["files"]).encode()).hexdigest()

    def paged(self, rows: list[Any], request: Request) -> Answer:
        number = int(request.query.get("page", "1"))
        if number == self.broken_page:
            return Answer(500, '{"message": "500 Internal Server Error"}')
        size = min(self.page, int(request.query["per_page"]))
        headers = {}
        if number * size < len(rows):
            more = urlencode({**request.query, "page": number + 1})
            headers["Link"] = f'<{self.url}{request.path}?{more}>; rel="next"'
        return Answer(body=json.dumps(rows[(number - 1) * size : number * size]), headers=headers)

    def branch(self, project: dict[str, Any], name: str) -> Answer:
        if name != project["row"]["default_branch"]:
            return Answer(404, '{"message": "404 Branch Not Found"}')
        return Answer(body=json.dumps({"name": name, "commit": {"id": self.commit(project)}}))

    def tree(self, files: Mapping[str, Any], request: Request) -> Answer:
        root = request.query.get("path", "")
        rows = {}
        for path, content in files.items():
            if root and not path.startswith(f"{root}/"):
                continue
            names = path.split("/")
            mode, kind = ("120000", "blob") if isinstance(content, tuple) else ("100644", "blob")
            for depth in range(1, len(names)):
                rows["/".join(names[:depth])] = ("040000", "tree")
            rows[path] = (mode, kind)
        inside = f"{root}/" if root else ""
        rows = {
            path: row
            for path, row in rows.items()
            if path.startswith(inside)
            and path != root
            and ("recursive" in request.query or "/" not in path.removeprefix(inside))
        }
        if not rows:
            return Answer(404, '{"message": "404 Tree Not Found"}')
        listed = [
            {"id": "a" * 40, "name": path, "type": kind, "path": path, "mode": mode}
            for path, (mode, kind) in rows.items()
        ]
        return self.paged(listed, request)


@pytest.fixture
def lab() -> Iterator[GitLab]:
    gitlab = GitLab()
    with Server(gitlab) as server:
        gitlab.url = server.url
        yield gitlab


def of(lab: GitLab, **settings: Any) -> Any:
    return provider("gitlab", url=lab.url, group=settings.pop("group", "acme"), **settings)


def test_all_pages_of_a_group_and_its_subgroups_are_read(lab: GitLab, find: Discoverer) -> None:
    for name in ("base", "web", "sub/a", "sub/b", "sub/sub/c"):
        lab.add(f"acme/{name}", {"ami.env": RECIPE, "Jenkinsfile": "x", "x": "x", "y": "y", "fs/ami.env": "x"})
    discovery = find(of(lab))
    names = ["acme/base", "acme/sub/a", "acme/sub/b", "acme/sub/sub/c", "acme/web"]
    assert [one.id for one in discovery.found] == names
    first = discovery.found[0].repository
    assert (first.url, first.branch, len(first.commit)) == ("https://gitlab.example/acme/base.git", "main", 40)
    assert discovery.found[0].jenkinsfile == "Jenkinsfile"


def test_a_group_in_a_group_is_named_by_its_path(lab: GitLab, find: Discoverer) -> None:
    lab.add("acme/images/base", {"ami.env": RECIPE})
    lab.add("acme/other", {"ami.env": RECIPE})
    assert [one.id for one in find(of(lab, group="acme/images")).found] == ["acme/images/base"]


def test_what_did_not_change_costs_one_request_a_project(lab: GitLab, find: Discoverer) -> None:
    lab.page = 100
    number = lab.add("acme/base", {"ami.env": RECIPE})
    lab.add("acme/web", {"ami.env": RECIPE})
    first = find(of(lab))
    second = find(of(lab))
    assert (first.requests, second.requests) == (7, 3)
    assert second.found == first.found
    lab.projects[number]["files"]["ami.env"] = RECIPE.replace("1.0", "2.0")
    assert find(of(lab)).found[0].identity.version == "2.0"


def test_sources_in_folders_are_found(lab: GitLab, find: Discoverer) -> None:
    files = {"images/web/ami.env": RECIPE, "images/d b/ami.yaml": "name: d\nversion: '1'\nbase: scratch\n"}
    lab.add("acme/mono", {"a.txt": "x", **files, "docs/deep/ami.env": RECIPE, "images/web/fs/etc/x": "x"})
    assert [one.folder for one in find(of(lab, folders=("images/*",))).found] == ["images/d b", "images/web"]
    assert [one.folder for one in find(of(lab, folders=("", "images/web", "none"))).found] == ["images/web"]
    assert len(find(of(lab, folders=("**",))).found) == 3


def test_projects_without_commits_or_without_the_branch_are_not_there(lab: GitLab, find: Discoverer) -> None:
    lab.add("acme/empty", {}, branch=None)
    lab.add("acme/other", {"ami.env": RECIPE}, branch="trunk")
    lab.add("acme/good", {"ami.env": RECIPE})
    discovery = find(of(lab, branch="main"))
    assert [one.id for one in discovery.found] == ["acme/good"]
    assert discovery.broken == ()
    assert [one.repository.branch for one in find(of(lab)).found] == ["main", "trunk"]


def test_a_project_that_cannot_be_read_is_broken_not_gone(lab: GitLab, find: Discoverer) -> None:
    number = lab.add("acme/hidden", {"ami.env": RECIPE})
    lab.projects[number]["files"] = None
    (broken,) = find(of(lab)).broken
    assert (broken.repository.name, broken.folder) == ("acme/hidden", None)
    assert "404 Project Not Found" in broken.findings[0].what


def test_links_and_files_too_large_are_broken(lab: GitLab, find: Discoverer) -> None:
    lab.add("acme/large", {"ami.env": "#" * 1_100_000})
    lab.add("acme/link", {"ami.env": ("link", "/etc/passwd")})
    assert [one.findings[0].line() for one in find(of(lab)).broken] == [
        "larger than 1024 KiB (acme/large/ami.env).",
        "a symbolic link, which is not followed (acme/link/ami.env).",
    ]


def test_a_failure_in_the_middle_of_paging_fails_the_provider(lab: GitLab, find: Discoverer) -> None:
    for number in range(5):
        lab.add(f"acme/r{number}", {"ami.env": RECIPE})
    lab.broken_page = 3
    discovery = find(of(lab))
    assert discovery.found == discovery.broken == ()
    assert discovery.failures[0].what.startswith("GitLab failed with 500")


def test_a_group_that_is_not_there_fails_the_provider(lab: GitLab, find: Discoverer) -> None:
    (failure,) = find(of(lab, group="none")).failures
    assert failure.what.startswith(
        f"GitLab has no such thing, or hides it: 404 Group Not Found ({lab.url}/groups/none/"
    )


def test_the_token_is_sent_and_a_missing_one_told(lab: GitLab, find: Discoverer) -> None:
    lab.token = find.environ["TOKEN"] = "glpat-x"
    lab.add("acme/base", {"ami.env": RECIPE})
    assert len(find(of(lab, auth={"secret_env": "TOKEN"})).found) == 1
    (failure,) = find(of(lab, auth={"secret_env": "OTHER"})).failures
    assert failure.what.startswith("the variable OTHER is not set (jobs.yaml:3:5)")


@pytest.mark.parametrize("body", ["{}", '[{"id": "1"}]', '[{"id": 1, "path_with_namespace": null}]', "[3]", "null"])
def test_answers_that_make_no_sense_fail_the_provider(find: Discoverer, body: str) -> None:
    with Server(lambda request: Answer(body=body)) as server:
        discovery = find(provider("gitlab", url=server.url, group="acme"))
    assert len(discovery.failures) == 1 and discovery.found == ()
