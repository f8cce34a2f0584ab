"""Discovery as a whole: what one bad source, repository or provider does to the others, names, and the cache."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from jenkins_ami.jobs.discovery.cache import KEPT
from jenkins_ami.jobs.discovery.common import Folders, clone_url, matcher, name_problem
from jenkins_ami.process import run

from .conftest import RECIPE, Discoverer, MakeRepository, commit, provider
from .servers import Answer, Server


def test_one_provider_that_fails_does_not_stop_the_others(make_repository: MakeRepository, find: Discoverer) -> None:
    folder = make_repository("base", {"ami.env": RECIPE})
    with Server(lambda request: Answer(401)) as server:
        discovery = find(
            provider("gerrit", url=server.url, name="review"),
            provider("github", url="http://127.0.0.1:1", group="acme", auth={"secret_env": "NONE"}),
            provider("git", urls=(f"file://{folder}",)),
        )
    assert [one.id for one in discovery.found] == ["base"]
    assert [one.provider.name for one in discovery.failures] == ["review", "github"]
    assert discovery.failures[0].what == (
        f"Gerrit wants a user ({server.url}/projects/). Add 'auth:' with a user and the variable of its secret"
    )


def test_a_source_that_is_broken_has_its_place_and_does_not_hide_its_neighbours(
    make_repository: MakeRepository, find: Discoverer
) -> None:
    files = {"good/ami.env": RECIPE, "bad/ami.env": "NAME=x\n", "worse/ami.yaml": "name: [\n", "empty/ami.env": ""}
    folder = make_repository("mono", files)
    discovery = find(provider("git", urls=(f"file://{folder}",), folders=("*",)))
    assert [one.id for one in discovery.found] == ["mono:good"]
    assert [one.folder for one in discovery.broken] == ["bad", "empty", "worse"]
    lines = [one.findings[0].line() for one in discovery.broken]
    assert lines[0].startswith("VERSION is missing (mono:bad/ami.env). ")
    assert "(mono:worse/ami.yaml:2:1)" in lines[2]


@pytest.mark.parametrize(
    "text",
    ["[" * 5000, "a: &a [*a, *a]\n", "!!python/object/apply:os.system [x]\n", "\0", "{{7*7}}", "a: " + "x" * 1_000_000],
    ids=["deep", "loop", "python", "nul", "template", "long"],
)
def test_hostile_yaml_is_broken_and_no_more(make_repository: MakeRepository, find: Discoverer, text: str) -> None:
    folder = make_repository("base", {"ami.env": RECIPE, "ami.yaml": text})
    discovery = find(provider("git", urls=(f"file://{folder}",)))
    assert len(discovery.broken) == 1 and len(discovery.broken[0].findings) >= 1


def test_a_repository_of_two_providers_is_the_first_ones(
    make_repository: MakeRepository, find: Discoverer, tmp_path: Path
) -> None:
    base = make_repository("one/base", {"ami.env": RECIPE})
    other = make_repository("two/base", {"ami.env": RECIPE.replace("1.0", "2.0")})
    discovery = find(
        provider("git", urls=(f"file://{base}",), name="first"),
        provider("git", urls=(f"file://{other}",), name="second"),
        provider("folder", path=tmp_path / "git", name="third", clone=f"file://{tmp_path}/git/"),
    )
    assert [(one.id, one.identity.version) for one in discovery.found] == [("base", "1.0"), ("two/base", "2.0")]
    assert find.heard.warnings == [
        "second: the repository 'base' is left out: first has one of that name",
        "third: the repository 'one/base' is left out: it is base",
    ]


def test_what_is_found_is_sorted(make_repository: MakeRepository, find: Discoverer) -> None:
    urls = [f"file://{make_repository(name, {'b/ami.env': RECIPE, 'a/ami.env': RECIPE})}" for name in ("z", "y", "x")]
    discovery = find(provider("git", urls=tuple(urls), folders=("*",)))
    assert [one.id for one in discovery.found] == ["x:a", "x:b", "y:a", "y:b", "z:a", "z:b"]


@pytest.mark.parametrize(
    ("glob", "name", "matches"),
    [
        ("**", "", True),
        ("**", "a/b", True),
        ("", "", True),
        ("", "a", False),
        ("a", "a", True),
        ("a", "a/b", False),
        ("images/*", "images/a", True),
        ("images/*", "images/a/b", False),
        ("images/*", "images", False),
        ("images/**", "images/a/b", True),
        ("images/**", "images", False),
        ("**/ami", "ami", True),
        ("**/ami", "a/b/ami", True),
        ("**/ami", "a/bami", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a.[b]", "a.[b]", True),
        ("a.c", "abc", False),
        ("*", "new\nline", True),
    ],
)
def test_a_glob_keeps_to_the_slashes(glob: str, name: str, matches: bool) -> None:
    assert matcher([glob])(name) is matches


def test_without_globs_nothing_matches() -> None:
    assert not matcher([])("a")


def test_folders_know_where_to_look() -> None:
    folders = Folders(("", "images/*", "images/x/y", "a/b", "deep/**/c"))
    assert [name for name in ("", "images", "a", "deep", "deep/x/y") if folders.leads(name)] == [
        "",
        "images",
        "a",
        "deep",
        "deep/x/y",
    ]
    assert not any(folders.leads(name) for name in ("b", "a/b", "images/z", "imagesx"))
    assert dict(folders.roots()) == {"": False, "images": True, "a/b": False, "deep": True}
    assert Folders(("**", "a")).roots() == (("", True),)


@pytest.mark.parametrize(
    "name",
    ["", "/a", "a/", "a//b", ".", "a/../b", "a/.", "a\nb", "a\x00b", "a\u202eb", "x.git", "a\udcffb", "x" * 1025],
)
def test_names_that_mean_something_else_are_refused(name: str) -> None:
    assert name_problem(name)


@pytest.mark.parametrize("name", ["a", "a b/c", "...", ".a", "größe/日本", "a.git/b", "x'\"$`{}", "${jndi:ldap:x}"])
def test_odd_names_are_fine(name: str) -> None:
    assert not name_problem(name)


def test_a_clone_url_is_one_whatever_the_name() -> None:
    assert clone_url("https://h/", "a b/$c") == "https://h/a%20b/%24c"
    assert clone_url("ssh://h:29418", "a") == "ssh://h:29418/a"
    assert clone_url("git@h:", "a/b") == "git@h:a/b"


def test_without_a_cache_all_is_read_again(make_repository: MakeRepository, find: Discoverer) -> None:
    folder = make_repository("base", {"ami.env": RECIPE})
    cache, find.cache = find.cache, None  # type: ignore[assignment]
    first, second = find(provider("git", urls=(f"file://{folder}",))), find(provider("git", urls=(f"file://{folder}",)))
    assert first.requests == second.requests > 1
    assert not (cache / "discovery").exists()


def test_the_cache_holds_recipes_and_nothing_else(make_repository: MakeRepository, find: Discoverer) -> None:
    folder = make_repository("base", {"ami.env": RECIPE, "Jenkinsfile": "pipeline {}", "fs/x": "content"})
    find(provider("git", urls=(f"file://{folder}",)))
    (path,) = (find.cache / "discovery").iterdir()
    assert "pipeline" not in path.read_text() and 'content"' not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:50],
        lambda text: "[]",
        lambda text: text.replace('"schema": 1', '"schema": 99'),
        lambda text: text.replace('"recipes": [', '"recipes": [7, '),
        lambda text: text.replace('"folder": ""', '"folder": null'),
        lambda text: "[" * 200_000,
    ],
    ids=["empty", "cut", "list", "schema", "shape", "type", "deep"],
)
def test_a_damaged_cache_counts_as_none(make_repository: MakeRepository, find: Discoverer, damage: object) -> None:
    folder = make_repository("base", {"ami.env": RECIPE})
    git = provider("git", urls=(f"file://{folder}",))
    first = find(git)
    (path,) = (find.cache / "discovery").iterdir()
    path.write_text(damage(path.read_text()))  # type: ignore[operator]
    assert find(git) == first
    assert find(git).requests == 1


def test_other_folders_are_another_entry(make_repository: MakeRepository, find: Discoverer) -> None:
    folder = make_repository("base", {"ami.env": RECIPE, "a/ami.env": RECIPE})
    url = f"file://{folder}"
    assert [one.folder for one in find(provider("git", urls=(url,))).found] == [""]
    assert [one.folder for one in find(provider("git", urls=(url,), folders=("a",))).found] == ["a"]
    assert find(provider("git", urls=(url,))).requests == 1


def test_a_cache_that_cannot_be_written_is_no_error(make_repository: MakeRepository, find: Discoverer) -> None:
    folder = make_repository("base", {"ami.env": RECIPE})
    find.cache.mkdir()
    (find.cache / "discovery").write_text("a file where the folder would be")
    assert len(find(provider("git", urls=(f"file://{folder}",))).found) == 1


def test_what_nobody_asks_for_is_dropped_and_what_is_used_stays(
    make_repository: MakeRepository, find: Discoverer
) -> None:
    git = provider("git", urls=(f"file://{make_repository('base', {'ami.env': RECIPE})}",))
    find(git)
    (used,) = (find.cache / "discovery").iterdir()
    old = find.cache / "discovery" / "old.json"
    old.write_text("{}")
    for path in (used, old):
        os.utime(path, (time.time() - KEPT - 10,) * 2)
    assert find(git).requests == 1
    assert list((find.cache / "discovery").iterdir()) == [used]
    assert json.loads(used.read_text())["schema"] == 1


PROGRAM = """
    import os, sys
    from pathlib import Path
    from jenkins_ami.errors import Location
    from jenkins_ami.jobs.discovery import discover
    from jenkins_ami.jobs.model import Provider
    from jenkins_ami.progress import Progress
    try:
        print("begin", flush=True)
        for _ in range(int(sys.argv[3])):
            found = discover([Provider("git", "git", Location("x"), urls=tuple(sys.argv[4:]))],
                             environ=os.environ, cache=Path(sys.argv[1]), progress=Progress())
            assert [one.identity.name for one in found.found] == sys.argv[2].split(), found
    except KeyboardInterrupt:
        sys.exit(130)
"""


def start(find: Discoverer, names: str, times: int, *urls: str, **environ: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(find.cache), names, str(times), *urls]
    env = {**find.environ, **environ}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def test_two_processes_share_a_cache(make_repository: MakeRepository, find: Discoverer) -> None:
    folders = [make_repository(name, {"ami.env": RECIPE}) for name in ("a", "b", "c")]
    urls = [f"file://{folder}" for folder in folders]
    children = [start(find, "base base base", 6, *urls) for _ in range(2)]
    for number in range(4):
        commit(folders[0], {"ami.env": RECIPE.replace("1.0", f"1.{number}")})
    for child in children:
        _, err = child.communicate(timeout=120)
        assert (child.returncode, err) == (0, "")
    assert all(path.suffix == ".json" and json.loads(path.read_text()) for path in (find.cache / "discovery").iterdir())


def test_an_interrupt_leaves_no_process_and_no_file(find: Discoverer, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    mark = "86397"  # seconds that no other sleep of this machine sleeps
    child = start(
        find, "", 1, "ssh://host/x", "ssh://host/y", GIT_SSH_COMMAND=f"sleep {mark};:", TMPDIR=str(tmp_path / "tmp")
    )
    assert child.stdout is not None and child.stdout.readline() == "begin\n"
    deadline = time.monotonic() + 30
    while f"sleep {mark}" not in run(["ps", "-eo", "args"]).stdout:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (130, "")
    assert f"sleep {mark}" not in run(["ps", "-eo", "args"]).stdout
    assert list((tmp_path / "tmp").iterdir()) == []
