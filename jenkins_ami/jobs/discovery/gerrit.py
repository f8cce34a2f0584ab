"""Provider ``gerrit``: projects by prefix or regular expression, over REST.

``GET /projects/?b=BRANCH`` lists projects together with the commits of that branch (Gerrit's documentation, "REST API
- Projects", *List Projects*), so that one request tells that nothing changed. Files come from ``/projects/NAME/commits/
SHA/files/PATH/content`` (*Get Content From Commit*), in base64 unless the request accepts JSON. Gerrit's REST API lists
no trees: only where ``folders`` has wildcards a commit's trees are fetched by Git.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from ...errors import ServerError
from ...web import GERRIT_MAGIC, TooLarge, Web
from ..model import Provider, Repository
from .common import (
    JENKINSFILE,
    LARGEST_FILE,
    OBJECT_ID,
    RECIPES,
    Contents,
    Context,
    Entry,
    Folders,
    Listed,
    OverHttp,
    Recipe,
    clone_url,
    nonsense,
    quoted,
    recipe,
    text,
    warner,
)
from .gitfetch import Git

_BASE64 = LARGEST_FILE * 4 // 3 + 8


class GerritSource(OverHttp):
    """A Gerrit under way."""

    def __init__(self, provider: Provider, context: Context) -> None:
        self._credentials = context.credentials(provider, provider.url)
        super().__init__(provider, Web(provider.url, "Gerrit", credentials=self._credentials, pool=context.workers))
        self._context = context
        self._git = Git(context.environ, context.stopped)
        self._folders = Folders(provider.folders)
        self._prefix = "/a" if self._credentials else ""  # "REST API", Authentication

    @property
    def requests(self) -> int:
        return self.web.requests + self._git.requests

    def listing(self) -> list[Listed]:
        branch = self.provider.branch or "HEAD"
        asked: list[tuple[str, str | int]] = [("type", "CODE"), ("state", "ACTIVE"), ("b", branch)]
        for key, value in (("p", self.provider.prefix), ("r", self.provider.regex)):
            if value:
                asked.append((key, value))
        # All in one answer. With "n" Gerrit counts projects to a page before it leaves out those without the branch,
        # and then often does not say that there are more (seen with 3.10); without, there is no limit.
        answer = self.web.get(f"{self._prefix}/projects/", asked)
        projects = answer.json(GERRIT_MAGIC) if answer else None
        if not isinstance(projects, dict):
            raise nonsense("Gerrit", self.web.url)
        found = []
        for name, project in projects.items():
            commit = text(project, "branches", branch)
            if not OBJECT_ID.match(commit):
                raise nonsense("Gerrit", self.web.url)
            if project.get("_more_projects"):
                raise ServerError("Gerrit did not list all projects", where=self.web.url)
            found.append(self._listed(name, commit))
        return found

    def _listed(self, name: str, commit: str) -> Listed:
        provider = self.provider
        base = provider.clone or (f"{provider.url}/a/" if provider.credentials else f"{provider.url}/")
        web = f"{provider.url}/admin/repos/{quoted(name)}"
        repository = Repository(provider, name, clone_url(base, name), provider.branch, commit, web)
        return Listed(repository, f"{provider.branch or 'HEAD'}@{commit}")

    def read(self, listed: Listed) -> Contents:
        repository = listed.repository
        branch = repository.branch or self._default_branch(repository.name)
        if not self._folders.literal:
            url = clone_url(f"{self.web.url}{self._prefix}", repository.name)
            warn = warner(self._context.progress, repository.name)
            return self._git.read(url, branch, self._credentials, self._folders, warn)
        recipes = []
        for folder in sorted(set(self._folders.globs)):
            files = self._files(repository, folder)
            if any(name in files for name in RECIPES):
                recipes.append(_recipe(folder, files))
        if not recipes:
            self._check(repository)
        return Contents(branch, repository.commit, tuple(recipes))

    def _default_branch(self, name: str) -> str:
        answer = self.web.get(f"{self._prefix}/projects/{quoted(name)}/HEAD")
        ref = answer.json(GERRIT_MAGIC) if answer else None
        if not isinstance(ref, str) or not ref.startswith("refs/heads/"):
            raise ServerError("its HEAD is no branch", where=name, hint="Set 'branch:'")
        return ref.removeprefix("refs/heads/")

    def _files(self, repository: Repository, folder: str) -> dict[str, tuple[str, bytes | None]]:
        """Kind and bytes of a source's files by name; the Jenkinsfile is asked for only beside a recipe."""
        found: dict[str, tuple[str, bytes | None]] = {}
        for name in (*RECIPES, JENKINSFILE):
            if name == JENKINSFILE and not found:
                break
            path = f"{folder}/{name}" if folder else name
            if (file := self._file(repository, path, head=name == JENKINSFILE)) is not None:
                found[name] = file
        return found

    def _file(self, repository: Repository, path: str, *, head: bool) -> tuple[str, bytes | None] | None:
        commit = f"{self._prefix}/projects/{quoted(repository.name)}/commits/{repository.commit}"
        url = f"{commit}/files/{quoted(path)}/content"
        try:
            answer = self.web.get(url, missing_ok=True, limit=_BASE64, head=head)
        except TooLarge:
            return "file", None
        except ServerError as error:
            if error.status == 400:  # a folder of that name
                return "other", None
            raise
        if answer is None:
            return None
        # for links and submodules too there is content: where they lead
        kind = {"x-git/symlink": "link", "x-git/gitlink": "other"}.get(
            answer.headers.get("X-FYI-Content-Type", ""), "file"
        )
        if head:
            return kind, b""
        try:
            return kind, base64.b64decode(answer.data, validate=True)
        except (binascii.Error, ValueError):
            raise nonsense("Gerrit", f"{repository.name}/{path}") from None

    def _check(self, repository: Repository) -> None:
        """A commit that may not be read, or is gone, answers like one without files: make sure that it is there.

        :raises ServerError: it is not
        """
        self.web.get(f"{self._prefix}/projects/{quoted(repository.name)}/commits/{repository.commit}")

    def stop(self) -> None:
        super().stop()
        self._context.stopped.set()


def _recipe(folder: str, files: Mapping[str, tuple[str, bytes | None]]) -> Recipe:
    entries = {name: Entry(name, kind) for name, (kind, _) in files.items()}
    return recipe(folder, entries, lambda entry: files[entry.path][1])
