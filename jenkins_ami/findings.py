"""What is wrong with an input, all of it: findings are collected first and told together.

A check adds a :class:`Finding`; code that raises :class:`~jenkins_ami.errors.InputError` runs under
:meth:`Findings.catch`, so that one bad file does not hide the next. What is raised in the end, :class:`InvalidSource`,
is an ``InputError`` that carries them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import AmiError, InputError, Location

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Fix:
    """A replacement that would mend it: the text from ``start`` up to, not including, ``end``, in one line."""

    start: Location
    end: Location
    text: str


@dataclass(frozen=True)
class Finding:
    """One thing to say about an input.

    :ivar rule: a stable name for tools, like ``cloud-config`` or ``secret``
    :ivar level: :data:`ERROR` (nothing is written) or :data:`WARNING`
    :ivar what: a sentence fragment without a full stop; ``hint`` is what to do
    """

    rule: str
    level: str
    what: str
    where: Location
    hint: str = ""
    fix: Fix | None = None

    def line(self) -> str:
        """``what (file:line:column). hint.`` on one line."""
        return InputError(self.what, where=self.where, hint=self.hint or None).line()

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        data: dict[str, object] = {
            "rule": self.rule,
            "level": self.level,
            "what": self.what,
            "file": str(self.where.file),
            "line": self.where.line,
            "column": self.where.column,
        }
        return data | ({"hint": self.hint} if self.hint else {})


class InvalidSource(InputError):
    """Some findings that are errors. Told as the one it is, or one line each."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        first = self.findings[0]
        super().__init__(first.what, where=first.where, hint=first.hint or None)

    def as_dict(self) -> dict[str, object]:
        return super().as_dict() | {"findings": [finding.as_dict() for finding in self.findings]}


class Problems(AmiError):
    """Errors of any kind that were found together. Told one line each; the exit code is that of the first."""

    def __init__(self, problems: Iterable[AmiError]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        super().__init__(first.what, where=first.where, hint=first.hint, detail=first.detail)
        self.exit_code = first.exit_code

    def as_dict(self) -> dict[str, object]:
        data = self.problems[0].as_dict()
        return data | {"error": type(self).__name__, "problems": [problem.as_dict() for problem in self.problems]}


class Findings:
    """A collection under way, in the order of discovery."""

    def __init__(self) -> None:
        self.items: list[Finding] = []

    def error(self, rule: str, what: str, where: Location, hint: str = "", fix: Fix | None = None) -> None:
        self.add(Finding(rule, ERROR, what, where, hint, fix))

    def warn(self, rule: str, what: str, where: Location, hint: str = "", fix: Fix | None = None) -> None:
        self.add(Finding(rule, WARNING, what, where, hint, fix))

    def add(self, finding: Finding) -> None:
        """Add one; what was said already, of the same place, is not said again."""
        if finding not in self.items:
            self.items.append(finding)

    @contextmanager
    def catch(self, rule: str) -> Iterator[None]:
        """Turn an ``InputError`` from within into findings under ``rule``, and go on after the block."""
        try:
            yield
        except InvalidSource as error:
            for finding in error.findings:
                self.add(finding)
        except InputError as error:
            where = error.where if isinstance(error.where, Location) else Location(error.where or Path())
            self.error(rule, error.what, where, error.hint or "")

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.items if finding.level == ERROR]

    @property
    def warnings(self) -> list[Finding]:
        return [finding for finding in self.items if finding.level == WARNING]

    def raise_errors(self) -> None:
        """:raises InvalidSource: when there is an error among them; those of a file are in the order of its lines"""
        if errors := self.errors:
            files = {str(error.where.file): number for number, error in reversed(list(enumerate(errors)))}
            raise InvalidSource(
                sorted(errors, key=lambda one: (files[str(one.where.file)], one.where.line, one.where.column))
            )
