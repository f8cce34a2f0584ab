"""Finds AMI sources: asks the providers of ``jobs.yaml`` for repositories, and these for ``ami.env`` and ``ami.yaml``.

Nothing is cloned whole and nothing of a repository is executed. What cannot be used is told, not raised: a source that
is broken, a repository that cannot be read, a provider that does not answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ...errors import AmiError, InputError, Location, without_stop
from ...findings import ERROR, Finding, Findings, InvalidSource
from ...progress import Progress
from ...source.settings import identity_of
from ..model import Broken, Discovery, Failure, Found, Provider, Repository
from .cache import Cache
from .common import JENKINSFILE, Context, Listed, Recipe, Source, as_fact, branch_problem, matcher, name_problem, place
from .gitfetch import url_problem

RULE = "discovery"


def discover(
    providers: Sequence[Provider],
    *,
    environ: Mapping[str, str],
    cache: Path | None,
    progress: Progress,
    workers: int = 8,
) -> Discovery:
    """All AMI sources of all providers, sorted by the repository's name and the folder.

    :param environ: holds the secrets that ``auth`` names, and is what Git runs in
    :param cache: where contents are kept between runs; ``None`` keeps none
    :param workers: repositories that are read at a time
    """
    context = Context(environ, progress, workers)
    store = Cache(cache and cache / "discovery")
    sources: list[Source] = []
    failures: list[Failure] = []
    listings: list[tuple[Provider, Source, list[Listed]]] = []
    pool = ThreadPoolExecutor(workers, thread_name_prefix="discover")
    try:
        opened = [_open(provider, context) for provider in providers]
        sources = [source for source in opened if not isinstance(source, AmiError)]
        answers = pool.map(_listing, opened)
        for provider, source, answer in zip(providers, opened, answers, strict=True):
            if isinstance(answer, AmiError):
                failures.append(Failure(provider, as_fact(answer)))
            elif not isinstance(source, AmiError):
                listings.append((provider, source, answer))
                progress.detail(f"{provider.name}: {len(answer)} repositories")
        work = list(_chosen(listings, progress.warn))
        results = list(pool.map(lambda each: _read(each[0], each[1], each[2], store), work))
    finally:
        context.stopped.set()
        for source in sources:
            source.stop()
        pool.shutdown(wait=True, cancel_futures=True)
    store.tidy()
    found = [one for result in results for one in result if isinstance(one, Found)]
    broken = [one for result in results for one in result if isinstance(one, Broken)]
    return Discovery(
        tuple(sorted(found, key=lambda one: (one.repository.name, one.folder))),
        tuple(sorted(broken, key=lambda one: (one.repository.name, one.folder or ""))),
        tuple(failures),
        sum(source.requests for source in sources),
    )


def _open(provider: Provider, context: Context) -> Source | AmiError:
    from .folder import FolderSource
    from .gerrit import GerritSource
    from .git import GitSource
    from .github import GitHubSource
    from .gitlab import GitLabSource

    kinds: dict[str, Callable[[Provider, Context], Source]] = {
        "gerrit": GerritSource,
        "git": GitSource,
        "github": GitHubSource,
        "gitlab": GitLabSource,
        "folder": FolderSource,
    }
    try:
        return kinds[provider.kind](provider, context)
    except AmiError as error:
        return error


def _listing(source: Source | AmiError) -> list[Listed] | AmiError:
    if isinstance(source, AmiError):
        return source
    try:
        return source.listing()
    except AmiError as error:
        return error


def _chosen(
    listings: Sequence[tuple[Provider, Source, list[Listed]]], warn: Callable[[str], None]
) -> Iterator[tuple[Provider, Source, Listed]]:
    """The repositories that are asked for; of those that are there twice, the first."""
    names: dict[str, str] = {}
    urls: dict[str, str] = {}
    for provider, source, answer in listings:
        included, excluded = matcher(provider.include), matcher(provider.exclude)
        for listed in sorted(answer, key=lambda one: one.repository.name):
            name, url = listed.repository.name, listed.repository.url.rstrip("/").removesuffix(".git")
            if not included(name) or excluded(name):
                continue
            if problem := name_problem(name) or (url and url_problem(url)):
                warn(f"{provider.name}: the repository '{name}' is left out: {problem}")
            elif name in names:
                warn(f"{provider.name}: the repository '{name}' is left out: {names[name]} has one of that name")
            elif url in urls:
                warn(f"{provider.name}: the repository '{name}' is left out: it is {urls[url]}")
            else:
                names[name] = provider.name
                if url:
                    urls[url] = name
                yield provider, source, listed


def _read(provider: Provider, source: Source, listed: Listed, store: Cache) -> list[Found | Broken]:
    """The AMI sources of a repository."""
    try:
        resolved = source.resolve(listed)
        if resolved is None:
            return []
        listed = resolved
        contents = store.load(provider, listed)
        if contents is None:
            contents = source.read(listed)
            if contents.recipes and (problem := branch_problem(contents.branch)):
                raise InputError(problem)
            if contents.commit and listed.repository.commit in ("", contents.commit):
                store.save(provider, listed, contents)
    except AmiError as error:
        return [Broken(listed.repository, None, (_unreadable(listed.repository, error),))]
    repository = replace(listed.repository, branch=contents.branch, commit=contents.commit)
    return [_judged(repository, one) for one in contents.recipes]


def _unreadable(repository: Repository, error: AmiError) -> Finding:
    what = without_stop(error.what)
    if error.where is not None and str(error.where) != repository.name:
        what += f" ({error.where})"
    return Finding(RULE, ERROR, what, Location(repository.name), error.hint or "")


def _judged(repository: Repository, recipe: Recipe) -> Found | Broken:
    """Read as ``jenkins-ami compile`` would."""
    root = place(repository.name, recipe.folder)
    found = Findings()
    for name, problem in recipe.problems:
        found.error(RULE, problem, Location(root / name))
    if not found.items:
        try:
            identity = identity_of(recipe.env, recipe.yaml, root)
        except InvalidSource as error:
            return Broken(repository, recipe.folder, error.findings)
        except InputError as error:
            with found.catch(RULE):
                raise error
        else:
            jenkinsfile = "/".join(filter(None, (recipe.folder, JENKINSFILE))) if recipe.jenkinsfile else ""
            return Found(repository, recipe.folder, identity, jenkinsfile)
    return Broken(repository, recipe.folder, tuple(found.items))
