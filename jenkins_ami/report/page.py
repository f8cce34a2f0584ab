"""The page as files: ``index.html`` and ``style.css``.

Jenkins shows artifacts under a Content-Security-Policy that takes style sheets of the same origin and neither inline
styles nor scripts (``hudson.model.DirectoryBrowserSupport.CSP``). So there are none.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from ..artifacts import write_file
from ..errors import HostError
from . import read, view
from .read import Left
from .texts import harmless
from .view import Page

INDEX, STYLE = "index.html", "style.css"
_TEMPLATES = Path(__file__).parent / "html"


def write(left: Left, folder: Path) -> Page:
    """Write the page of what was found.

    :param folder: made when it is not there; other files in it stay
    :raises HostError: it cannot be written
    """
    page = view.page(left, _links(left, folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"the report's folder cannot be made: {error.strerror}", where=folder) from error
    write_file(folder / STYLE, (_TEMPLATES / STYLE).read_bytes())
    write_file(folder / INDEX, render(page))
    return page


def render(page: Page) -> str:
    """The page as HTML. Every text is escaped, has no control characters, and signs no URL."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: harmless(value) if type(value) is str else value,
    )
    return environment.get_template("index.html.j2").render(page=page)


def _links(left: Left, folder: Path) -> dict[str, str]:
    """Addresses of the files that lie beside the page: those that are archived with it."""
    top = Path(os.path.abspath(folder)).parent  # noqa: PTH100  (as it is served: links are not followed)
    found = {}
    for name in read.FILES:
        if name in left.paths:
            path = Path(os.path.abspath(left.paths[name]))  # noqa: PTH100
            if path.is_relative_to(top):
                found[name] = quote(os.path.relpath(path, top / folder.name))
    return found
