"""The page as values: a build, or a verification and what was built for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..verification import BROKEN, FAILED, PASSED, SKIPPED, Verification
from . import build, verified
from .build import Build
from .read import Left
from .verified import Source


@dataclass(frozen=True)
class Page:
    """The page.

    :ivar state: what came out, in one or two words
    :ivar line: the same of a verification, as a sentence without its full stop
    :ivar build: ``None`` when the folder of a verification holds no build of its own
    :ivar problems: what could not be read, and why
    :ivar links: addresses of files beside the page, by their names
    """

    title: str
    state: str
    good: bool
    build: Build | None = None
    verification: Verification | None = None
    sources: tuple[Source, ...] = ()
    line: str = ""
    problems: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)


def page(left: Left, links: dict[str, str]) -> Page:
    """The page of what was found."""
    made = build.build(left)
    found = left.verification
    if found is None:
        good = made.state in ("built", "reused", "compiled")
        return Page(made.name, made.state, good, made, problems=left.problems, links=links)
    sources = tuple(verified.view(each, (left.sources or {}).get(each.folder)) for each in found.sources)
    lines = {
        PASSED: "All that the commit touches is fine",
        SKIPPED: "The commit touches no AMI source",
        FAILED: "The commit would break an AMI source",
        BROKEN: "It could not be verified, through no fault of the commit's",
    }
    return Page(
        title=f"{found.commit[:10]} {found.subject}".rstrip(),
        state=found.outcome,
        good=found.outcome in (PASSED, SKIPPED),
        build=made if left.result or left.failure else None,
        verification=found,
        sources=sources,
        line=lines.get(found.outcome, ""),
        problems=left.problems,
        links=links,
    )
