"""One AMI source of a commit: checked, compiled, compared with the parent's, and booted. What is known of it grows with
each step, so that it can be told at any time."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..artifacts import USERDATA, CompiledAmi, TestRecord
from ..compile.compare import compare
from ..compile.difftext import change_lines, counts
from ..compile.run import Options, compile_source, validate_source
from ..errors import AmiError, HostError, UsageError, one_line, visible
from ..findings import ERROR, InvalidSource, Problems
from ..progress import QUIET, Progress
from ..source.model import Identity
from ..source.parameters import PREFIX
from ..verification import BROKEN, FAILED, PASSED, SKIPPED, Boot, Sizes, VerifiedSource
from .copies import Copy
from .notes import CopiedProgress, findings_of
from .repository import shown_path

BOOT = "boot"
"""The folder for what a boot leaves, in that of the compiled AMI."""
FAILURES = range(2, 7)
"""Exit codes of errors that are the source's; others are this machine's, or of how this was called."""
UNFINISHED = "it was not verified to its end"
UNCHANGED = "nothing changes on the machine"

Booting = Callable[[CompiledAmi, Path, list[TestRecord]], Boot]
"""Makes an image of a compiled AMI and boots it; what that leaves is in the folder, and nowhere else. The list gets how
the tests ended, whatever becomes of it. Raises why the image does not prove itself; ``HostError``: this machine cannot
find out."""


@dataclass(frozen=True)
class Wanted:
    """What whoever asks for a verification may choose.

    :ivar sources: folders, from the work tree that is named; empty: all
    :ivar base: revision to compare with, instead of the first parent
    :ivar sandbox: of ``compile.sh``: ``None``, ``offline`` or ``network``
    :ivar parameters: each for the sources that declare it. Nothing in them is secret
    :ivar boot: ``None``: nothing is booted
    :ivar must_boot: a machine that cannot is an error; and what changes nothing is booted too
    """

    sources: tuple[str, ...] = ()
    base: str | None = None
    sandbox: str | None = "offline"
    parameters: Mapping[str, str] = field(default_factory=dict)
    boot: Booting | None = None
    must_boot: bool = False


@dataclass(frozen=True)
class Side:
    """A source in one of the two commits.

    :ivar copy: the commit, written out
    :ivar commit: its id
    """

    copy: Copy
    commit: str
    folder: str

    @property
    def root(self) -> Path:
        return self.copy.root(self.folder)

    @property
    def identity(self) -> Identity | None:
        return self.copy.identity(self.folder)


class OneSource:
    """A source under way.

    :param before: ``None`` when it is new
    :param output: gets a folder ``<number>-<name>``
    :param work: a folder that is not there yet
    :ivar known: what is known of it by now
    """

    def __init__(
        self,
        now: Side,
        before: Side | None,
        wanted: Wanted,
        *,
        output: Path,
        number: int,
        work: Path,
        progress: Progress,
    ) -> None:
        self._now = now
        self._before = before
        self._wanted = wanted
        self._output = output
        self._number = number
        self._work = work
        self._copied = now.copy.copied
        self._progress = CopiedProgress(progress, self._copied)
        self.known = VerifiedSource(shown_path(now.folder), BROKEN, reason=UNFINISHED)

    def verify(self) -> int:
        """All steps; gives the exit code."""
        try:
            with self._progress.step(f"verify {visible(self.known.folder)}"):
                self._steps()
        except AmiError as error:
            for line in error.detail:
                self._progress.info(visible(line))
            self._know(outcome=FAILED if error.exit_code in FAILURES else BROKEN, reason=self._reason(error))
            return error.exit_code if error.exit_code in FAILURES else HostError.exit_code
        self._know(outcome=PASSED, reason="")
        return 0

    def _steps(self) -> None:
        """:raises AmiError: it does not pass, or that cannot be found out"""
        identity = self._now.identity
        if identity is not None:
            self._know(name=identity.name, version=identity.version)
        if self._before is not None and self._before.folder != self._now.folder:
            self._know(moved_from=shown_path(self._before.folder))
        options = self._options(self._now)
        _require_values(identity, options)
        found = validate_source(self._now.root, options, self._progress)
        self._know(notes=self._copied.notes(found))
        self._progress.told = frozenset(each.line() for each in found)
        if errors := [each for each in found if each.level == ERROR]:
            raise InvalidSource(errors)
        compiled = self._compile(options)
        unchanged = self._compare(compiled)
        if self._wanted.boot is not None:
            self._boot(self._wanted.boot, compiled, unchanged=unchanged)

    def _know(self, **more: Any) -> None:
        self.known = replace(self.known, **more)

    def _reason(self, error: AmiError) -> str:
        """One line; the hint of what is the source's fault is in its notes."""
        reason = self._copied.line(error)
        count = len(error.findings) if isinstance(error, InvalidSource) else 1
        if isinstance(error, Problems):
            count = len(error.problems)
        if count > 1:
            return f"{reason}, and {count - 1} more"
        return reason if error.exit_code in FAILURES or not error.hint else f"{reason}. {self._copied.text(error.hint)}"

    def _options(self, side: Side) -> Options:
        """How to compile it. Nothing of the caller's environment is in it: nobody has reviewed this source."""
        identity = side.identity
        declared = {each.name: each.kind for each in identity.parameters} if identity else {}
        values = {name: value for name, value in self._wanted.parameters.items() if name in declared}
        return Options(
            commit=side.commit,
            parameters={name: value for name, value in values.items() if declared[name] != "secret"},
            environ={PREFIX + name.upper(): value for name, value in values.items() if declared[name] == "secret"},
            sandbox=self._wanted.sandbox if os.path.lexists(side.root / "script" / "compile.sh") else None,
        )

    def _compile(self, options: Options) -> CompiledAmi:
        target = self._output / f"{self._number}-{self._slug()}"
        try:
            compiled = compile_source(self._now.root, target, options, self._progress)
        except AmiError as error:
            if error.exit_code in FAILURES:
                more = self._copied.notes(findings_of(error))
                self._know(notes=(*self.known.notes, *(note for note in more if note not in self.known.notes)))
            raise
        userdata, overlay = _sizes(compiled)
        self._know(files=target.name, userdata=Sizes(None, userdata), overlay=Sizes(None, overlay))
        return compiled

    def _slug(self) -> str:
        name = self.known.name or self.known.folder.rpartition("/")[2]
        return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:60]

    def _compare(self, compiled: CompiledAmi) -> bool:
        """Compare it with the parent's; whether nothing changes.

        :raises HostError: this machine cannot compile the parent's
        """
        before = self._before
        if before is None:
            self._know(parent="it is new")
            return False
        try:
            with self._progress.step("compile the parent's"):
                earlier = compile_source(before.root, self._work, self._options(before), Progress(QUIET))
        except AmiError as error:
            if error.exit_code not in FAILURES:
                raise
            self._know(parent=f"the parent does not compile: {before.copy.copied.line(error)}")
            return False
        comparison = compare(earlier, compiled)
        userdata, overlay = map(Sizes, _sizes(earlier), _sizes(compiled))
        self._know(
            counts={section: dict(numbers) for section, numbers in counts(comparison).items()},
            changes=tuple(change_lines(comparison)),
            userdata=userdata,
            overlay=overlay,
        )
        return not comparison.changes

    def _boot(self, boot: Booting, compiled: CompiledAmi, *, unchanged: bool) -> None:
        """:raises AmiError: the image does not prove itself, or this machine cannot find out although it must"""
        if unchanged and not self._wanted.must_boot:
            self._know(boot=Boot(SKIPPED, UNCHANGED))
            return
        began = time.monotonic()
        tested: list[TestRecord] = []
        try:
            booted = boot(compiled, compiled.path / BOOT, tested)
        except HostError as error:
            booted = Boot(SKIPPED, error.line())
            if self._wanted.must_boot:
                raise
        except AmiError as error:
            if error.exit_code in FAILURES:
                self._know(boot=_told(Boot(FAILED, self._copied.line(error)), began, tested))
            raise
        self._know(boot=_told(booted, began, tested))
        if booted.outcome == SKIPPED:
            self._progress.warn(f"the image is not booted: {booted.reason}")


def _require_values(identity: Identity | None, options: Options) -> None:
    """:raises UsageError: a parameter has no value, which is the caller's to give"""
    for each in identity.parameters if identity else ():
        given = each.name in options.parameters or PREFIX + each.name.upper() in options.environ
        if each.default is None and not given:
            stand_in = ", a stand-in: no secret meets what nobody has reviewed" if each.kind == "secret" else ""
            hint = f"Give --param {each.name}=VALUE{stand_in}"
            raise UsageError(f"the parameter '{each.name}' has no value", hint=hint)


def _told(boot: Boot, began: float, tested: Iterable[TestRecord]) -> Boot:
    """A boot with what is known of it besides, in lines."""
    return replace(
        boot,
        reason=one_line(boot.reason),
        seconds=0.0 if boot.outcome == SKIPPED else round(time.monotonic() - began, 1),
        tested=tuple(replace(test, name=one_line(test.name), reason=one_line(test.reason)) for test in tested),
    )


def _sizes(compiled: CompiledAmi) -> tuple[int, int]:
    return compiled.manifest.files[USERDATA].size, compiled.manifest.overlay.size
