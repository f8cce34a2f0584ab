"""``verify``: every AMI source that a commit touches; and ``verification.json``, which is written whatever happens."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..artifacts import to_json, write_file
from ..errors import AmiError, HostError, InputError, UsageError, one_line
from ..folders import remove_tree
from ..progress import Progress
from ..verification import BROKEN, FAILED, PASSED, SKIPPED, VERIFICATION, Verification, VerifiedSource
from ..yamlfile import did_you_mean
from .copies import Copy, heirs, moves
from .one import OneSource, Side, Wanted
from .repository import Commit, Repository, shown_path
from .touched import Touched, touched

UNTOUCHED = "the commit touches no AMI source"
_OURS = re.compile(r"[0-9]+-.*")


def verify(
    work_tree: Path, wanted: Wanted, output: Path, progress: Progress, environ: Mapping[str, str]
) -> tuple[Verification, int]:
    """Verify the commit that is checked out in ``work_tree``, whatever lies there besides, into the folder ``output``.

    :param environ: what Git inherits
    :returns: what was found out, and the exit code: 0, that of the first source that failed, 1 for ``broken``
    :raises InputError: ``output`` holds something else; nothing is written then
    :raises HostError: it cannot be written
    """
    _clear(output)
    run = _Run(wanted, output, progress)
    try:
        with _temporary() as work:
            run.verify(work_tree, work, environ)
    except AmiError as error:
        run.broken = error.line()
    except OSError as error:
        run.broken = one_line(f"this machine failed: {error}")
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        run.broken = f"interrupted by {str(error) or 'SIGINT'}" if interrupted else f"a bug: {type(error).__name__}"
        with contextlib.suppress(AmiError):
            run.write()
        raise
    run.write()
    return run.verification(), run.code()


def _clear(output: Path) -> None:
    """Make the folder, or remove what an earlier verification wrote."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        there = list(output.iterdir())
        if there and not any(path.name == VERIFICATION for path in there):
            hint = "Choose a new or empty folder; nothing was changed"
            raise InputError("the folder holds other things than a verification", where=output, hint=hint)
        (output / VERIFICATION).unlink(missing_ok=True)
        for path in there:
            if _OURS.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                remove_tree(path)
    except OSError as error:
        hint = "Choose a folder that you may write"
        raise HostError(f"the output cannot be written: {error.strerror}", where=output, hint=hint) from error


@contextlib.contextmanager
def _temporary() -> Iterator[Path]:
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="jenkins-ami-verify-")))
    try:
        yield folder
    finally:
        remove_tree(folder)


class _Run:
    """One verification under way.

    :ivar broken: why it could not be carried out
    """

    def __init__(self, wanted: Wanted, output: Path, progress: Progress) -> None:
        self._wanted = wanted
        self._output = output
        self._progress = progress
        self._commit: Commit | None = None
        self._parent: Commit | None = None
        self._touched: Touched | None = None
        self._sources: list[OneSource | VerifiedSource] = []
        self._codes: list[int] = []
        self.broken = ""

    def verification(self) -> Verification:
        """What is known by now."""
        sources = [source.known if isinstance(source, OneSource) else source for source in self._sources]
        outcome, reason = PASSED, ""
        if self.broken:
            outcome, reason = BROKEN, self.broken
        elif not sources:
            outcome, reason = SKIPPED, UNTOUCHED
        else:
            for worst in (FAILED, BROKEN):
                if not reason and (those := [source for source in sources if source.outcome == worst]):
                    more = f" (and {len(those) - 1} more)" if len(those) > 1 else ""
                    outcome, reason = worst, f"{one_line(those[0].folder)}: {those[0].reason}{more}"
        return Verification(
            commit=self._commit.id if self._commit else "",
            outcome=outcome,
            parent=self._parent.id if self._parent else "",
            reason=reason,
            subject=one_line(self._commit.subject) if self._commit else "",
            changed=tuple(map(shown_path, self._touched.changed)) if self._touched else (),
            sources=tuple(sources),
        )

    def code(self) -> int:
        """The exit code."""
        outcome = self.verification().outcome
        if outcome == FAILED:
            return next(code for code in self._codes if code > HostError.exit_code)
        return HostError.exit_code if outcome == BROKEN else 0

    def write(self) -> None:
        """:raises HostError: it cannot be written"""
        write_file(self._output / VERIFICATION, to_json(self.verification()))

    def verify(self, work_tree: Path, work: Path, environ: Mapping[str, str]) -> None:
        """Verify every source that counts.

        :raises AmiError: which ones these are, or what is in them, cannot be found out
        """
        repository = Repository(work_tree, environ)
        self._commit = commit = repository.commit("HEAD")
        self._parent = parent = repository.commit(self._wanted.base) if self._wanted.base else repository.parent(commit)
        new, old = repository.tree(commit), repository.tree(parent) if parent else {}
        self._touched = seen = touched(old, new)
        every = seen.before | seen.after
        named = self._named(repository, every)
        before, after = Copy(repository, old, work / "parent"), Copy(repository, new, work / "commit")
        counting = (seen.folders | heirs(before, after, seen)) & named
        moved = {now: was for now, was in moves(before, after, seen).items() if now in counting}
        counting -= set(moved.values())
        before.add((counting | set(moved.values())) & seen.before)
        after.add(counting & seen.after)
        for number, folder in enumerate(sorted(counting), 1):
            was = moved.get(folder, folder)
            earlier = Side(before, parent.id, was) if parent and was in seen.before else None
            if folder in seen.after:
                source = OneSource(
                    Side(after, commit.id, folder),
                    earlier,
                    self._wanted,
                    output=self._output,
                    number=number,
                    work=work / str(number),
                    progress=self._progress,
                )
                self._sources.append(source)
                self._codes.append(source.verify())
            elif earlier is not None:
                self._sources.append(_removed(earlier))

    def _named(self, repository: Repository, every: frozenset[str]) -> frozenset[str]:
        """The folders that count. A job names all those of its branch, and not every commit has them.

        :raises UsageError: there is no source in any of the folders that were named
        """
        folders = [repository.inside(named) for named in self._wanted.sources]
        unknown = [folder for folder in folders if folder not in every]
        if folders and len(unknown) == len(folders):
            what = f"there is no AMI source in '{one_line(unknown[0])}', neither in the commit nor in its parent"
            hint = (
                did_you_mean(unknown[0], map(shown_path, every))
                if every
                else "One is a folder with ami.env or ami.yaml"
            )
            raise UsageError(what, hint=hint)
        for folder in unknown:
            self._progress.warn(f"there is no AMI source in '{one_line(folder)}'")
        return frozenset(folders) - set(unknown) or every


def _removed(source: Side) -> VerifiedSource:
    identity = source.identity
    name, version = (identity.name, identity.version) if identity else ("", "")
    return VerifiedSource(shown_path(source.folder), PASSED, name, version, removed=True)
