"""Makes a static site of README.md and docs/, and refuses links that lead nowhere.

    python tools/docs.py [-o out/docs] [--root .]

A link to a page or to a heading in one leads there in the site; one to another file of the repository must name a file
that is there, and becomes its name. Every command of the CLI and every step in vars/ has to have a page. All that is
wrong is told at once, and then nothing is written. There is no script in the site, and no style but style.css.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from posixpath import normpath
from urllib.parse import unquote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.token import Token

from jenkins_ami.cli import COMMANDS

HERE = Path(__file__).parent / "docs"
README = PurePosixPath("README.md")
_EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_USAGE = re.compile(r"^ *(?:\$ )?jenkins-ami ([a-z][a-z-]*)", re.MULTILINE)


@dataclass
class Page:
    """One Markdown file.

    :ivar path: from the top of the repository
    :ivar anchors: of its headings, as GitHub makes them
    """

    path: PurePosixPath
    text: str
    tokens: list[Token]
    title: str
    anchors: list[str]

    @property
    def file(self) -> str:
        """Its name in the site."""
        return "index.html" if self.path == README else f"{self.path.stem}.html"

    @property
    def used(self) -> set[str]:
        """Commands whose use it shows."""
        blocks = [token.content for token in self.tokens if token.type in ("code_block", "fence")]
        return {name for block in blocks for name in _USAGE.findall(block)}


def read_page(root: Path, path: PurePosixPath) -> Page:
    """Reads a page and gives its headings their anchors."""
    text = (root / path).read_text(encoding="utf-8")
    tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(text)
    title = ""
    anchors: list[str] = []
    for token in tokens:
        token.attrs.pop("style", None)  # of an aligned column; a content security policy may forbid it
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            words = "".join(child.content for child in inline.children or ())
            title = title or words
            anchors.append(_anchor(words, anchors))
            opening.attrSet("id", anchors[-1])
    return Page(path, text, tokens, title or path.stem, anchors)


def _anchor(words: str, taken: Sequence[str]) -> str:
    slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
    names = (slug if number == 0 else f"{slug}-{number}" for number in range(len(taken) + 1))
    return next(name for name in names if name not in taken)


class Site:
    """All pages, and what is wrong with them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        paths = [README, *(PurePosixPath("docs", path.name) for path in sorted((root / "docs").glob("*.md")))]
        self.pages = {path: read_page(root, path) for path in paths}
        self.steps = sorted(path.stem for path in (root / "vars").glob("*.groovy"))
        self.problems: list[str] = []
        for page in self.pages.values():
            for token in _links(page.tokens):
                self._resolve(page, token)
        self._check_pages()

    def _check_pages(self) -> None:
        pages = [page for path, page in self.pages.items() if path != README]
        used = set().union(*(page.used for page in pages)) if pages else set()
        for name in COMMANDS:
            if name not in used:
                self.problems.append(f"docs: no page shows how to use 'jenkins-ami {name}'")
        for name in self.steps:
            if PurePosixPath("docs", f"{name}.md") not in self.pages:
                self.problems.append(f"docs: there is no page {name}.md for the step {name}()")

    def _resolve(self, page: Page, token: Token) -> None:
        """Gives a link where it leads in the site; one that leads out of the pages becomes a mere name."""
        href = str(token.attrGet("href"))
        if _EXTERNAL.match(href):
            return
        name, _, anchor = href.partition("#")
        target = PurePosixPath(normpath(page.path.parent / unquote(name))) if name else page.path
        there = self.pages.get(target)
        if there is not None:
            token.attrSet("href", (there.file if name else "") + (f"#{anchor}" if anchor else ""))
            if anchor and unquote(anchor) not in there.anchors:
                self.problems.append(f"{page.path}: {href} leads to no heading of {target}")
        elif ".." in target.parts or not (self.root / target).exists():
            self.problems.append(f"{page.path}: {href} leads nowhere")
        else:
            token.attrs = {"class": "file", "title": str(target)}

    def groups(self) -> dict[str, list[Page]]:
        """The pages, as the navigation shows them."""
        groups: dict[str, list[Page]] = {"Commands": [], "Steps": [], "More": []}
        for path, page in self.pages.items():
            if page.title.startswith("jenkins-ami "):
                groups["Commands"].append(page)
            elif path != README:
                groups["Steps" if path.stem in self.steps else "More"].append(page)
        for pages in groups.values():
            pages.sort(key=lambda page: page.title.lower())
        return groups

    def write(self, out: Path) -> None:
        """Writes the whole site, in the place of an earlier one."""
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
        jinja = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined)
        template = jinja.get_template("page.html.j2")
        for page in self.pages.values():
            body = renderer.renderer.render(page.tokens, renderer.options, {})
            text = template.render(page=page, body=body, groups=self.groups())
            (out / page.file).write_text(text, encoding="utf-8")
        shutil.copyfile(HERE / "style.css", out / "style.css")


def _links(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        if token.type == "link_open":
            yield token
        yield from _links(token.children or ())


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Make a static site of README.md and docs/.")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/docs"))
    parser.add_argument("--root", type=Path, default=Path(__file__).parent.parent)
    args = parser.parse_args(argv)
    site = Site(args.root)
    if site.problems:
        print("\n".join(f"error: {problem}" for problem in site.problems), file=sys.stderr)
        return 2
    site.write(args.output)
    print(f"{len(site.pages)} pages in {args.output}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
