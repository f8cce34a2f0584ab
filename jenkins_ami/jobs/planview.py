"""A plan for people, for programs, and as a page. Pure: text from a plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import visible
from .plan import CREATE, DELETE, DISABLE, DRIFTED, FOREIGN, KEPT, REPLACE, UNCHANGED, UPDATE, Change, Plan

SIGNS = {
    CREATE: "+",
    UPDATE: "~",
    DRIFTED: "!",
    REPLACE: "±",
    DELETE: "-",
    DISABLE: "-",
    UNCHANGED: " ",
    FOREIGN: "?",
    KEPT: "=",
}
LABELS = {
    CREATE: "to create",
    UPDATE: "to update",
    DRIFTED: "drifted",
    REPLACE: "to replace",
    DELETE: "to delete",
    DISABLE: "to disable",
    UNCHANGED: "unchanged",
    FOREIGN: "foreign",
    KEPT: "kept",
}
"""What a summary calls each action."""
_HEADINGS = {
    CREATE: "Create",
    UPDATE: "Update",
    DRIFTED: "Drifted: changed by hand in Jenkins",
    REPLACE: "Replace: the history is lost",
    DELETE: "Delete",
    DISABLE: "Disable",
    KEPT: "Kept: nothing is changed or deleted here",
    FOREIGN: "Foreign: somebody else's, left alone",
}
_COLOURS = {CREATE: "32", UPDATE: "33", DRIFTED: "33", REPLACE: "31", DELETE: "31", DISABLE: "31"}
_LINE_COLOURS = {"+": "32", "-": "31", "@": "36"}


def summary(plan: Plan) -> str:
    """``3 to create, 1 to update, 96 unchanged``."""
    text = ", ".join(f"{count} {LABELS[action]}" for action, count in plan.counts().items())
    return text or "nothing to do, and nothing there"


def as_text(plan: Plan, *, color: bool = False, diffs: bool = True) -> list[str]:
    """A line for each change, its notes and diff below it, and the summary last. What is unchanged has no line."""
    lines: list[str] = []
    for change in plan.changes:
        if change.action != UNCHANGED:
            lines += _text(change, color=color, diffs=diffs)
    if not plan.complete:
        lines.append("Discovery was not complete: nothing is deleted.")
    if plan.filtered:
        lines.append("Only a part was looked at: nothing is deleted.")
    return [*lines, f"Plan: {summary(plan)}."]


def _text(change: Change, *, color: bool, diffs: bool) -> Iterator[str]:
    sign = SIGNS[change.action]
    notes = f"  ({'; '.join(map(visible, change.notes))})" if change.notes else ""
    yield _paint(f"{sign} {visible(change.name)}  {LABELS[change.action]} [{visible(change.kind)}]{notes}",
                 _COLOURS.get(change.action, ""), color=color)  # fmt: skip
    for line in change.diff[2:] if diffs else ():  # after the two names
        yield _paint(f"    {visible(line)}".rstrip(), _LINE_COLOURS.get(line[:1], ""), color=color)


def _paint(text: str, code: str, *, color: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if color and code else text


def as_json(plan: Plan) -> dict[str, Any]:
    """All of it; keys stay as they are."""
    return {
        "owner": plan.owner,
        "root": "/".join(plan.root),
        "verified": plan.verified,
        "complete": plan.complete,
        "filtered": plan.filtered,
        "differs": plan.differs(),
        "counts": plan.counts(),
        "changes": [
            {
                "action": change.action,
                "path": list(change.path),
                "kind": change.kind,
                "source": change.item.source if change.item else "",
                "diff": list(change.diff),
                "notes": list(change.notes),
            }
            for change in plan.changes
        ],
    }


def as_html(plan: Plan, title: str) -> str:
    """One page that needs nothing else, readable without a script."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "html"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    groups = [(heading, plan.of(action)) for action, heading in _HEADINGS.items() if plan.of(action)]
    return environment.get_template("plan.html.j2").render(
        plan=plan,
        title=title,
        counts=plan.counts(),
        labels=LABELS,
        signs=SIGNS,
        groups=groups,
        styles={"+": "plus", "-": "minus", "@": "at"},
    )
