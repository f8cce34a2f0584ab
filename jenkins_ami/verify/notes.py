"""What was found in a copy of a repository, as one says it of the repository: paths from its top, one line each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..compile.formats import ordered, relative
from ..errors import AmiError, Location, ScriptError, StorageError, one_line, without_stop
from ..findings import ERROR, Finding, Fix, InvalidSource
from ..progress import Progress, Step
from ..verification import Note, Replacement
from .repository import shown_path


class Copied:
    """Speaks of the files of a copy.

    :param top: the folder that stands for the top of the repository, absolute
    """

    def __init__(self, top: Path) -> None:
        self.top = top

    def renamed(self, text: str) -> str:
        """A text without the copy's folder in it."""
        return text.replace(f"{self.top}/", "").replace(str(self.top), "the top of the repository")

    def text(self, text: str) -> str:
        """The same on one line."""
        return one_line(self.renamed(text))

    def line(self, error: AmiError) -> str:
        """An error without the hint, which is a note's."""
        return without_stop(self.text(AmiError(error.what, where=error.where).line()))

    def path(self, file: str | Path) -> str:
        """A path from the top; empty for the top and for what is not below it."""
        found = relative(file, self.top)
        return "" if found in (None, ".") else shown_path(str(found))

    def note(self, finding: Finding) -> Note:
        """A finding as a note."""
        where = finding.where
        return Note(
            rule=finding.rule,
            level=finding.level,
            what=without_stop(self.text(finding.what)),
            hint=without_stop(self.text(finding.hint)),
            path=self.path(where.file),
            line=where.line,
            column=where.column,
            fix=_replacement(finding.fix, where) if finding.fix else None,
        )

    def notes(self, findings: tuple[Finding, ...]) -> tuple[Note, ...]:
        """All of them, by place."""
        return tuple(self.note(finding) for finding in ordered(findings))


def findings_of(error: AmiError) -> tuple[Finding, ...]:
    """An error as findings: those that it carries, or the one that it is, when it has a place."""
    if isinstance(error, InvalidSource):
        return error.findings
    if error.where is None:
        return ()
    rule = {ScriptError: "compile.sh", StorageError: "size"}.get(type(error), "source")
    where = error.where if isinstance(error.where, Location) else Location(error.where)
    return (Finding(rule, ERROR, error.what, where, error.hint or ""),)


def _replacement(fix: Fix, where: Location) -> Replacement | None:
    start, end = fix.start, fix.end
    inside = start.line == end.line > 0 and 0 < start.column <= end.column and start.file == end.file == where.file
    return Replacement(start.line, start.column, end.column, fix.text) if inside and _is_text(fix.text) else None


def _is_text(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


class CopiedProgress(Progress):
    """Tells another progress what this one is told, with a copy's paths as the repository has them.

    :ivar told: warnings that are told elsewhere
    """

    def __init__(self, to: Progress, copied: Copied) -> None:
        super().__init__(to.verbosity)
        self._to = to
        self._copied = copied
        self.told: frozenset[str] = frozenset()

    @contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Step]:
        with self._to.step(self._copied.text(title), total) as step:
            yield step

    def _say(self, kind: str, text: str, level: int) -> None:
        if kind != "warning" or text not in self.told:
            self._to._say(kind, self._copied.renamed(text), level)
