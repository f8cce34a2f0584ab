"""Discovery in GitHub: a replay that speaks as its documentation says (docs.github.com, REST API, version 2022-11-28:
"List organization repositories", "Get a branch", "Get a tree", "Get a blob", "Using pagination", "Rate limits").
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

import pytest

from .conftest import RECIPE, Discoverer, provider
from .servers import Answer, Request, Server

OLD = "2020-01-01T00:00:00Z"


def sha(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


class GitHub:
    """Organisations with repositories, whose files are given by path; a value of ``("link", target)`` is a link."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, Any]] = {}
        self.users: set[str] = set()
        self.token = ""
        self.page = 2
        self.truncated = False
        self.broken_page = 0
        self.url = ""

    def add(self, name: str, files: Mapping[str, Any], *, branch: str = "main", pushed: str = OLD, **more: Any) -> None:
        row = {"full_name": name, "name": name.partition("/")[2], "default_branch": branch, "pushed_at": pushed}
        row |= {"clone_url": f"https://github.example/{name}.git", "html_url": f"https://github.example/{name}"}
        self.repositories[name] = {"row": row | {"archived": False, "disabled": False} | more, "files": files}

    def __call__(self, request: Request) -> Answer:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return self.error(401, "Bad credentials")
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        if len(parts) == 3 and parts[0] in ("orgs", "users") and parts[2] == "repos":
            return self.listing(parts[0], parts[1], request)
        repository = self.repositories.get("/".join(parts[1:3]))
        if parts[0] != "repos" or repository is None:
            return self.error(404, "Not Found")
        if parts[3] == "branches":
            return self.branch(repository, parts[4])
        return self.git(repository, parts[4], parts[5], recursive="recursive" in request.query)

    def error(self, status: int, message: str) -> Answer:
        return Answer(status, json.dumps({"message": message, "status": str(status)}))

    def listing(self, kind: str, owner: str, request: Request) -> Answer:
        rows = [one["row"] for name, one in self.repositories.items() if name.startswith(f"{owner}/")]
        if not rows or (kind == "orgs") == (owner in self.users):
            return self.error(404, "Not Found")
        number = int(request.query.get("page", "1"))
        if number == self.broken_page:
            return self.error(500, "Server Error")
        size = min(self.page, int(request.query["per_page"]))
        headers = {}
        if number * size < len(rows):
            more = f"{self.url}{request.path}?per_page={size}&page={number + 1}"
            headers["Link"] = f'<{more}>; rel="next", <{more}>; rel="last"'
        return Answer(body=json.dumps(rows[(number - 1) * size : number * size]), headers=headers)

    def branch(self, repository: dict[str, Any], name: str) -> Answer:
        if name != repository["row"]["default_branch"] or not repository["files"]:
            return self.error(404, "Branch not found")
        commit = {"sha": sha(str(repository)), "commit": {"tree": {"sha": sha("tree")}}}
        return Answer(body=json.dumps({"name": name, "commit": commit, "protected": False}))

    def git(self, repository: dict[str, Any], kind: str, wanted: str, *, recursive: bool) -> Answer:
        files = repository["files"]
        if kind == "blobs":
            content = next(one for path, one in files.items() if sha(path) == wanted)
            data = content if isinstance(content, bytes) else content.encode()
            text = base64.encodebytes(data).decode()
            return Answer(body=json.dumps({"sha": wanted, "content": text, "encoding": "base64", "size": len(data)}))
        folder = next((path for path in self.folders(files) if sha(f"{path}/") == wanted), "")
        rows = {}
        for path, content in files.items():
            if folder and not path.startswith(f"{folder}/"):
                continue
            names = path.removeprefix(f"{folder}/" if folder else "").split("/")
            for depth in range(1, len(names)):
                inner = "/".join(names[:depth])
                whole = f"{folder}/{inner}" if folder else inner
                rows[inner] = {"path": inner, "mode": "040000", "type": "tree", "sha": sha(f"{whole}/")}
            mode = "120000" if isinstance(content, tuple) else "100644"
            size = len(content[1] if isinstance(content, tuple) else content)
            name = "/".join(names)
            rows[name] = {"path": name, "mode": mode, "type": "blob", "size": size, "sha": sha(path)}
        if not recursive:
            rows = {name: row for name, row in rows.items() if "/" not in name}
        whole_tree = not (recursive and self.truncated)
        tree = list(rows.values()) if whole_tree else list(rows.values())[:1]
        return Answer(body=json.dumps({"sha": wanted, "tree": tree, "truncated": not whole_tree}))

    def folders(self, files: Mapping[str, Any]) -> Iterator[str]:
        for path in files:
            names = path.split("/")
            yield from ("/".join(names[:depth]) for depth in range(1, len(names)))


@pytest.fixture
def hub() -> Iterator[GitHub]:
    github = GitHub()
    with Server(github) as server:
        github.url = server.url
        yield github


def of(hub: GitHub, **settings: Any) -> Any:
    return provider("github", url=hub.url, group=settings.pop("group", "acme"), **settings)


def test_all_pages_of_an_organisation_are_read(hub: GitHub, find: Discoverer) -> None:
    for number in range(5):
        hub.add(f"acme/r{number}", {"ami.env": RECIPE, "Jenkinsfile": "x", "fs/etc/motd": "x"})
    hub.add("other/r", {"ami.env": RECIPE})
    discovery = find(of(hub))
    assert [one.id for one in discovery.found] == [f"acme/r{number}" for number in range(5)]
    first = discovery.found[0]
    assert first.repository.url == "https://github.example/acme/r0.git"
    assert first.repository.web == "https://github.example/acme/r0"
    assert (first.repository.branch, len(first.repository.commit), first.jenkinsfile) == ("main", 40, "Jenkinsfile")


def test_a_user_may_stand_where_an_organisation_does(hub: GitHub, find: Discoverer) -> None:
    hub.users.add("me")
    hub.add("me/base", {"ami.env": RECIPE})
    assert [one.id for one in find(of(hub, group="me")).found] == ["me/base"]


def test_archived_disabled_and_empty_repositories_are_left_out(hub: GitHub, find: Discoverer) -> None:
    hub.add("acme/archived", {"ami.env": RECIPE}, archived=True)
    hub.add("acme/disabled", {"ami.env": RECIPE}, disabled=True)
    hub.add("acme/empty", {})
    hub.add("acme/good", {"ami.env": RECIPE})
    discovery = find(of(hub))
    assert [one.id for one in discovery.found] == ["acme/good"]
    assert discovery.broken == ()


def test_what_was_not_pushed_to_is_not_read_again(hub: GitHub, find: Discoverer) -> None:
    hub.page = 100
    hub.add("acme/base", {"ami.env": RECIPE})
    hub.add("acme/web", {"ami.env": RECIPE})
    first = find(of(hub))
    second = find(of(hub))
    assert (first.requests, second.requests) == (7, 1)
    assert second.found == first.found
    hub.add("acme/web", {"ami.env": RECIPE.replace("1.0", "2.0")}, pushed="2021-01-01T00:00:00Z")
    assert [one.identity.version for one in find(of(hub)).found] == ["1.0", "2.0"]


def test_a_push_of_this_minute_is_not_trusted_to_be_the_last(hub: GitHub, find: Discoverer) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    hub.add("acme/base", {"ami.env": RECIPE}, pushed=now)
    find(of(hub))
    hub.add("acme/base", {"ami.env": RECIPE.replace("1.0", "2.0")}, pushed=now)
    assert find(of(hub)).found[0].identity.version == "2.0"


@pytest.mark.parametrize("truncated", [False, True])
def test_sources_in_folders_are_found_also_in_a_tree_too_large_for_one_answer(
    hub: GitHub, find: Discoverer, truncated: bool
) -> None:
    hub.truncated = truncated
    files = {"images/web/ami.env": RECIPE, "images/d b/ami.yaml": "name: d\nversion: '1'\nbase: scratch\n"}
    hub.add("acme/mono", {"a.txt": "x", **files, "docs/deep/ami.env": RECIPE, "images/web/fs/etc/x": "x"})
    discovery = find(of(hub, folders=("images/*",)))
    assert [one.folder for one in discovery.found] == ["images/d b", "images/web"]
    assert [one.folder for one in find(of(hub, folders=("**",))).found] == ["docs/deep", "images/d b", "images/web"]


def test_links_and_files_too_large_are_broken(hub: GitHub, find: Discoverer) -> None:
    hub.add("acme/large", {"ami.env": "#" * 1_100_000})
    hub.add("acme/link", {"ami.env": ("link", "../../etc/passwd")})
    hub.add("acme/text", {"ami.env": b"NAME=\xff\n"})
    discovery = find(of(hub))
    assert [one.findings[0].line() for one in discovery.broken] == [
        "larger than 1024 KiB (acme/large/ami.env).",
        "a symbolic link, which is not followed (acme/link/ami.env).",
        "not UTF-8 text (acme/text/ami.env).",
    ]


def test_a_failure_in_the_middle_of_paging_fails_the_provider(hub: GitHub, find: Discoverer) -> None:
    for number in range(5):
        hub.add(f"acme/r{number}", {"ami.env": RECIPE})
    hub.broken_page = 2
    discovery = find(of(hub))
    assert discovery.found == discovery.broken == ()
    assert discovery.failures[0].what.startswith("GitHub failed with 500: Server Error")


def test_a_repository_that_is_hidden_is_broken_not_gone(hub: GitHub, find: Discoverer) -> None:
    hub.add("acme/base", {"ami.env": RECIPE})
    row = hub.repositories["acme/base"]["row"]
    hub.add("acme/hidden", {"ami.env": RECIPE}, full_name="acme/gone")
    assert row
    (broken,) = find(of(hub)).broken
    assert (broken.repository.name, broken.folder) == ("acme/gone", None)


def test_the_token_is_sent_and_a_wrong_one_told(hub: GitHub, find: Discoverer) -> None:
    hub.token = find.environ["TOKEN"] = "ghp_x"
    hub.add("acme/base", {"ami.env": RECIPE})
    auth = {"user": "ci", "secret_env": "TOKEN"}
    assert len(find(of(hub, auth=auth)).found) == 1
    find.environ["TOKEN"] = "ghp_wrong"
    (failure,) = find(of(hub, auth=auth)).failures
    assert failure.what.startswith("GitHub does not accept the token") and "ghp" not in failure.what


def test_a_rate_limit_is_one_line(find: Discoverer) -> None:
    ends = int(time.time()) + 600
    limit = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(ends), "Date": formatdate(usegmt=True)}
    with Server(lambda request: Answer(403, '{"message": "API rate limit exceeded"}', limit)) as server:
        (failure,) = find(provider("github", url=server.url, group="acme")).failures
    assert failure.what.startswith(
        f"GitHub's rate limit is used up until {time.strftime('%H:%M UTC', time.gmtime(ends))}"
    )


@pytest.mark.parametrize(
    "body",
    ['{"message": "x"}', "[1]", '[{"full_name": 7}]', "[[]]", "<html>", '[null, {"full_name": ""}]'],
)
def test_answers_that_make_no_sense_fail_the_provider(find: Discoverer, body: str) -> None:
    with Server(lambda request: Answer(body=body)) as server:
        discovery = find(provider("github", url=server.url, group="acme"))
    assert len(discovery.failures) == 1 and discovery.found == ()


@pytest.mark.parametrize(
    "link", ["https://evil.example/x", "/orgs/acme/repos", "http://["], ids=["elsewhere", "loop", "bad"]
)
def test_a_next_page_that_leads_astray_fails_the_provider(find: Discoverer, link: str) -> None:
    with Server(lambda request: Answer(body="[]", headers={"Link": f'<{link}>; rel="next"'})) as server:
        discovery = find(provider("github", url=server.url, group="acme"))
    assert len(discovery.failures) == 1


def test_hostile_names_are_left_out_with_a_word(hub: GitHub, find: Discoverer) -> None:
    good = {"ami.env": RECIPE}
    for name in ("acme/..", "acme/a\nb", "acme//x", "acme/" + "x" * 2000):
        hub.add(name, good)
    hub.add("acme/good", {"a\x1b[31m/ami.env": RECIPE, "../up/ami.env": RECIPE, "x//ami.env": RECIPE, **good})
    discovery = find(of(hub, folders=("**",)))
    assert [one.id for one in discovery.found] == ["acme/good"]
    assert discovery.broken == discovery.failures == ()
    assert len(find.heard.warnings) == 7


@pytest.mark.parametrize("url", ["ext::sh", "--upload-pack=x", "ftp://x/y", "https://x/a b"])
def test_a_clone_url_that_would_be_a_command_is_left_out(hub: GitHub, find: Discoverer, url: str) -> None:
    hub.add("acme/base", {"ami.env": RECIPE}, clone_url=url)
    assert find(of(hub)).found == ()
    assert "the repository 'acme/base' is left out" in find.heard.warnings[0]


@pytest.mark.parametrize("page", ["javascript:alert(1)", 'https://x/"onload=', 7])
def test_a_page_that_is_none_is_left_out(hub: GitHub, find: Discoverer, page: object) -> None:
    hub.add("acme/base", {"ami.env": RECIPE}, html_url=page)
    assert find(of(hub)).found[0].repository.web == ""


@pytest.mark.parametrize("branch", ["a b", "a\x07", "../x", "-x", "x:y", "a\ncredentials"])
def test_a_branch_that_git_would_refuse_is_broken(hub: GitHub, find: Discoverer, branch: str) -> None:
    hub.add("acme/base", {"ami.env": RECIPE}, branch=branch)
    discovery = find(of(hub))
    assert discovery.found == ()
    assert [one.findings[0].what for one in discovery.broken] == ["its branch has an impossible name"]
