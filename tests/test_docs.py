"""``make docs``: a static site of the pages, in which every link leads somewhere."""

from __future__ import annotations

import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from jenkins_ami.process import Completed, run
from tests.conftest import REPOSITORY

LINKED = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def docs(root: Path, out: Path) -> Completed:
    return run([sys.executable, REPOSITORY / "tools" / "docs.py", "--root", root, "-o", out], check=False)


class Read(HTMLParser):
    """Tags of a page: their names, attributes, ids and links."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.attributes |= given.keys()
        self.ids |= {given["id"]} if "id" in given else set()
        self.links += [given[name] for name in ("href", "src") if name in given]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "docs"
    made = docs(REPOSITORY, out)
    assert (made.returncode, made.stderr) == (0, "")
    return out


def test_every_page_is_in_the_site_and_the_readme_is_its_first(site: Path) -> None:
    pages = {f"{path.stem}.html" for path in (REPOSITORY / "docs").glob("*.md")}
    assert {path.name for path in site.iterdir()} == pages | {"index.html", "style.css"}


def test_every_link_of_the_site_leads_somewhere_in_it(site: Path) -> None:
    pages = {path.name: Read(path) for path in site.glob("*.html")}
    for name, page in pages.items():
        for link in page.links:
            if "://" not in link and not link.startswith("mailto:"):
                file, _, anchor = link.partition("#")
                assert file in ("", "style.css") or file in pages, (name, link)
                assert not anchor or anchor in pages[file or name].ids, (name, link)


def test_a_content_security_policy_without_scripts_and_styles_in_pages_shows_it_whole(site: Path) -> None:
    for path in site.glob("*.html"):
        page = Read(path)
        assert not page.tags & {"script", "style"}
        assert not {name for name in page.attributes if name == "style" or name.startswith("on")}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The pages, and an empty file or folder for all else that they link to."""
    root = tmp_path / "repository"
    for name in ("docs", "vars"):
        shutil.copytree(REPOSITORY / name, root / name)
    shutil.copy(REPOSITORY / "README.md", root)
    for path in [root / "README.md", *(root / "docs").glob("*.md")]:
        for target in LINKED.findall(path.read_text()):
            (path.parent / target).exists() or (path.parent / target).mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[x](nowhere.md)", "docs/gc.md: nowhere.md leads nowhere"),
        ("[x](build.md#nowhere)", "docs/gc.md: build.md#nowhere leads to no heading of docs/build.md"),
        ("[x](#nowhere)", "docs/gc.md: #nowhere leads to no heading of docs/gc.md"),
        ("[x](../jenkins_ami/nowhere.py)", "docs/gc.md: ../jenkins_ami/nowhere.py leads nowhere"),
        ("[x](../../etc)", "docs/gc.md: ../../etc leads nowhere"),
        ("| a |\n| - |\n| [x](nowhere.md) |", "docs/gc.md: nowhere.md leads nowhere"),
    ],
)
def test_a_link_that_leads_nowhere_is_told_and_nothing_is_written(copy: Path, text: str, what: str) -> None:
    with (copy / "docs" / "gc.md").open("a") as page:
        page.write(f"\n{text}\n")
    made = docs(copy, copy / "out")
    assert (made.returncode, made.stderr) == (2, f"error: {what}")
    assert not (copy / "out").exists()


def test_a_command_without_a_page_is_told(copy: Path) -> None:
    (copy / "docs" / "gc.md").write_text("# Sweep\n\n## How it works\n\n## In Jenkins\n")
    assert "error: docs: no page shows how to use 'jenkins-ami gc'" in docs(copy, copy / "out").stderr


def test_a_step_without_a_page_is_told(copy: Path) -> None:
    (copy / "vars" / "newAmi.groovy").write_text("def call() { }\n")
    made = docs(copy, copy / "out")
    assert made.stderr == "error: docs: there is no page newAmi.md for the step newAmi()"


def test_a_column_that_is_aligned_has_no_style_of_its_own(copy: Path) -> None:
    with (copy / "docs" / "gc.md").open("a") as page:
        page.write("\n| a |\n| -: |\n| 1 |\n")
    assert docs(copy, copy / "out").returncode == 0
    assert "style" not in Read(copy / "out" / "gc.html").attributes


def test_text_that_looks_like_html_is_text(copy: Path) -> None:
    with (copy / "docs" / "gc.md").open("a") as page:
        page.write("\n<script>alert(1)</script> <b onclick=x>\n")
    assert docs(copy, copy / "out").returncode == 0
    assert "<script>" not in (copy / "out" / "gc.html").read_text()
