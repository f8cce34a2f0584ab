"""What the providers have in common: what one of them is, which folders and files are wanted, and what may be a name.

All that comes from a server or a repository is somebody else's: names are checked, sizes are bounded, links are not
followed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from ...credentials import Credentials, lookup
from ...errors import AmiError, InputError, ServerError
from ...progress import Progress
from ...source.settings import AMI_ENV, AMI_YAML
from ...web import Response, Web, joined
from ...yamlfile import decode
from ..model import Provider, Repository

JENKINSFILE = "Jenkinsfile"
RECIPES = (AMI_ENV, AMI_YAML)
"""A folder with one of these is an AMI source."""

LARGEST_FILE = 1024 * 1024
"""Bytes of ``ami.env`` or ``ami.yaml``."""
MOST_SOURCES = 1000
"""AMI sources in one repository."""
MOST_PAGES = 10_000
_LONGEST_NAME = 1024

OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
"""Git's name of a commit, tree or file: SHA-1 or SHA-256."""


@dataclass(frozen=True)
class Recipe:
    """An AMI source as a repository holds it.

    :ivar env, yaml: texts of ``ami.env`` and ``ami.yaml``; ``None`` where there is no such file
    :ivar jenkinsfile: whether there is one beside them
    :ivar problems: name of a file, and why it cannot be used
    """

    folder: str
    env: str | None = None
    yaml: str | None = None
    jenkinsfile: bool = False
    problems: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Contents:
    """The AMI sources of one commit. An empty ``commit``: there is no such branch, or no Git."""

    branch: str
    commit: str
    recipes: tuple[Recipe, ...] = ()


@dataclass(frozen=True)
class Listed:
    """A repository that a provider has.

    :ivar repository: as far as the provider's listing tells; branch and commit may be empty
    :ivar version: changes whenever the contents may have changed; empty: do not keep the contents
    :ivar id: what the provider itself calls it
    """

    repository: Repository
    version: str = ""
    id: str = ""


class Source(Protocol):
    """One provider under way. Methods raise :class:`~jenkins_ami.errors.AmiError` and may run in any thread."""

    @property
    def requests(self) -> int:
        """What was asked of servers so far."""
        ...

    def listing(self) -> list[Listed]:
        """Its repositories; an error means that what the provider has is unknown."""
        ...

    def resolve(self, listed: Listed) -> Listed | None:
        """With a version, if the listing had none; ``None`` when the repository has no such branch."""
        ...

    def read(self, listed: Listed) -> Contents:
        """Its AMI sources."""
        ...

    def stop(self) -> None:
        """Begin nothing more, end what runs, and let go of connections."""
        ...


@dataclass(frozen=True)
class Context:
    """What all providers of a run are given."""

    environ: Mapping[str, str]
    progress: Progress
    workers: int = 8
    stopped: threading.Event = field(default_factory=threading.Event)

    def credentials(self, provider: Provider, url: str) -> Credentials | None:
        """:raises InputError: what ``auth`` names is not there"""
        return lookup(provider.auth, url, self.environ, provider.where)


class OverHttp:
    """The part of a :class:`Source` that all with a REST API share."""

    def __init__(self, provider: Provider, web: Web) -> None:
        self.provider = provider
        self.web = web
        self.date = ""
        """The server's clock at the last page."""

    @property
    def requests(self) -> int:
        return self.web.requests

    def resolve(self, listed: Listed) -> Listed | None:
        return listed

    def stop(self) -> None:
        self.web.stop()
        self.web.close()

    def branch(self, path: str) -> Response | None:
        """A branch as GitHub and GitLab tell of it; ``None`` when they say that there is none.

        Any other 404 is an error: a repository that is hidden or moved is not one without the branch.
        """
        try:
            return self.web.get(path)
        except ServerError as error:
            if error.status == 404 and "branch not found" in error.what.lower():
                return None
            raise

    def pages(self, path: str, params: Mapping[str, str | int], *, missing_ok: bool = False) -> list[Any] | None:
        """The rows of all pages of a listing, by ``Link: <…>; rel="next"`` (RFC 8288; GitHub and GitLab send it).

        :returns: ``None`` for a 404 with ``missing_ok``
        :raises ServerError: a page is missing or makes no sense
        """
        rows: list[Any] = []
        seen = {path}
        answer = self.web.get(path, params, missing_ok=missing_ok)
        while answer is not None:
            page = answer.json()
            if not isinstance(page, list):
                raise nonsense(self.web.what, path)
            rows += page
            self.date = answer.headers.get("Date", "")
            following = _next(answer.headers.get("Link", ""))
            if not following:
                return rows
            url = joined(answer.url, following)
            if not url.startswith(f"{self.web.url}/"):
                raise ServerError(f"{self.web.what}'s next page would be at another server", where=self.web.url)
            path = url.removeprefix(self.web.url)
            if path in seen or len(seen) > MOST_PAGES:
                raise ServerError(f"{self.web.what}'s pages have no end", where=self.web.url)
            seen.add(path)
            answer = self.web.get(path)
        return None


def nonsense(what: str, path: str) -> ServerError:
    """An answer that is not what the API's documentation says."""
    return ServerError(f"{what} answered something unexpected", where=path, hint="Check that the URL is its API's")


def _next(link: str) -> str:
    from requests.utils import parse_header_links

    return next((one.get("url", "") for one in parse_header_links(link) if one.get("rel") == "next"), "")


def text(row: Any, *keys: str) -> str:
    """A text somewhere in JSON; empty when there is none."""
    for key in keys:
        row = row.get(key) if isinstance(row, dict) else None
    return row if isinstance(row, str) else ""


def quoted(name: str) -> str:
    """One part of a path, slashes encoded too."""
    return quote(name, safe="")


_GLOB = re.compile(r"(?P<any>\A\*\*\Z)|(?P<deep>(?:(?<=/)|\A)\*\*/)|(?P<rest>/\*\*\Z)|(?P<star>\*+)|(?P<one>\?)")


def matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """Whether a name with slashes matches one of them.

    ``*`` and ``?`` stay between slashes, ``**/`` is any number of folders, ``a/**`` all below ``a``, ``**`` everything.
    """
    pattern = re.compile("|".join(f"(?:{_pattern(glob)})" for glob in globs) or r"(?!)", re.DOTALL)
    return lambda name: pattern.fullmatch(name) is not None


def _pattern(glob: str) -> str:
    made, position = "", 0
    for match in _GLOB.finditer(glob):
        made += re.escape(glob[position : match.start()])
        made += {"any": ".*", "deep": "(?:[^/]+/)*", "rest": "/.+", "star": "[^/]*", "one": "[^/]"}[
            match.lastgroup or ""
        ]
        position = match.end()
    return made + re.escape(glob[position:])


class Folders:
    """Which folders of a repository may hold an AMI source."""

    def __init__(self, globs: Sequence[str]) -> None:
        self.globs = tuple(globs)
        self.match = matcher(globs)
        self._parts = [glob.split("/") if glob else [] for glob in globs]

    @property
    def literal(self) -> bool:
        """Whether they are names, so that nothing need be listed."""
        return not any("*" in glob or "?" in glob for glob in self.globs)

    def leads(self, folder: str) -> bool:
        """Whether a wanted folder may be inside this one."""
        names = folder.split("/") if folder else []
        return any(_leads(parts, names) for parts in self._parts)

    def roots(self) -> tuple[tuple[str, bool], ...]:
        """Folders to list, and whether with all that is below."""
        found: dict[str, bool] = {}
        for parts in self._parts:
            wild = next((index for index, part in enumerate(parts) if "*" in part or "?" in part), len(parts))
            root = "/".join(parts[:wild])
            found[root] = found.get(root, False) or wild < len(parts)
        whole = [root for root, below in found.items() if below]
        return tuple(
            (root, below)
            for root, below in found.items()
            if not any(other != root and (not other or root.startswith(f"{other}/")) for other in whole)
        )


def _leads(parts: Sequence[str], names: Sequence[str]) -> bool:
    for part, name in zip(parts, names, strict=False):
        if part == "**":
            return True
        if not matcher([part])(name):
            return False
    return len(parts) > len(names)


@dataclass(frozen=True)
class Entry:
    """A file in a repository's tree.

    :ivar kind: ``file``, ``link`` or ``other`` (a submodule)
    :ivar size: bytes, ``None`` where the listing does not tell
    :ivar id: by which its content is asked for
    """

    path: str
    kind: str
    size: int | None = None
    id: str = ""


KINDS = {"100644": "file", "100755": "file", "100664": "file", "120000": "link"}
"""Modes of Git's tree entries."""


def sources_in(entries: Iterable[Entry], folders: Folders, warn: Callable[[str], None]) -> dict[str, dict[str, Entry]]:
    """Folders with an AMI source, each with its files by name.

    :raises InputError: there are too many
    """
    found: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        folder, _, name = entry.path.rpartition("/")
        if name in (*RECIPES, JENKINSFILE) and folders.match(folder):
            if folder and (problem := name_problem(folder)):
                if name in RECIPES:
                    warn(f"the folder '{folder}' is left out: {problem}")
                continue
            found.setdefault(folder, {})[name] = entry
    sources = {folder: files for folder, files in sorted(found.items()) if any(name in files for name in RECIPES)}
    if len(sources) > MOST_SOURCES:
        raise InputError(f"more than {MOST_SOURCES} AMI sources in one repository", hint="Name fewer folders")
    return sources


def recipe(folder: str, files: Mapping[str, Entry], read: Callable[[Entry], bytes | None]) -> Recipe:
    """Read an AMI source's files.

    :param read: gives an entry's bytes, ``None`` when they are too many
    """
    texts: dict[str, str] = {}
    problems = []
    for name in RECIPES:
        if (entry := files.get(name)) is None:
            continue
        text, problem = content(name, entry, read)
        if text is None:
            problems.append((name, problem))
        else:
            texts[name] = text
    jenkinsfile = JENKINSFILE in files and files[JENKINSFILE].kind == "file"
    return Recipe(folder, texts.get(AMI_ENV), texts.get(AMI_YAML), jenkinsfile, tuple(problems))


def content(name: str, entry: Entry, read: Callable[[Entry], bytes | None]) -> tuple[str | None, str]:
    """The text of a file, or ``None`` and why there is none."""
    if entry.kind != "file":
        return None, "a symbolic link, which is not followed" if entry.kind == "link" else "not a file"
    data = None if (entry.size or 0) > LARGEST_FILE else read(entry)
    if data is None or len(data) > LARGEST_FILE:
        return None, f"larger than {LARGEST_FILE // 1024} KiB"
    try:
        return decode(data, name), ""
    except InputError as error:
        return None, error.what


def name_problem(name: str) -> str:
    """Why a repository or folder cannot have this name, empty when it can."""
    if len(name.encode("utf-8", "replace")) > _LONGEST_NAME:
        return "its name is too long"
    if not name.isprintable():
        return "there are control characters in its name"
    parts = name.split("/")
    if "" in parts:
        return "a part of its name is empty"
    if "." in parts or ".." in parts:
        return "a part of its name is '.' or '..'"
    return "its name ends with '.git'" if parts[-1].endswith(".git") else ""


_NO_BRANCH = re.compile(r"[\s~^:?*\[\\]|\.\.|\A[-/]|/\Z|\.lock\Z|@\{")


def branch_problem(branch: str) -> str:
    """Why Git has no such branch, empty when it may have (git-check-ref-format(1))."""
    return "" if branch.isprintable() and not _NO_BRANCH.search(branch) else "its branch has an impossible name"


def page(url: str) -> str:
    """A page for people, if it can be one."""
    return (
        url
        if url.startswith(("https://", "http://")) and url.isprintable() and not re.search(r"[\s<>\"']", url)
        else ""
    )


def clone_url(base: str, name: str) -> str:
    """Where a repository is below ``base``: ``https://host/``, ``ssh://host:29418`` or ``git@host:``.

    In URLs the name is percent-encoded (``$`` too, which Jenkins' git plugin would expand).
    """
    path = quote(name) if "://" in base else name
    return f"{base}{'' if base.endswith(('/', ':')) else '/'}{path}"


def warner(progress: Progress, where: str) -> Callable[[str], None]:
    """A warning that begins with whom it is about."""
    return lambda what: progress.warn(f"{where}: {what}")


def as_fact(error: AmiError) -> str:
    """An error as a part of a sentence."""
    return error.line().removesuffix(".")


def place(name: str, folder: str | None = None) -> Path:
    """What to call an AMI source in findings: ``automation/base``, ``automation/base:images/web``."""
    return Path(f"{name}:{folder}" if folder else name)
