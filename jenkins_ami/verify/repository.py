"""A Git repository, read and nothing else: its commits, what is in them, and clean copies of that.

Who cloned it is trusted; what has run in it since, and so its configuration, is not. Only commands that read objects
are run: no index, no work tree, no hook, no filter, no pager, no program for diffs, and no fetching of objects that a
partial clone lacks. Contents are written as Git stores them (``git cat-file``), whatever ``.gitattributes`` say.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import AmiError, HostError, InputError, UsageError, one_line
from ..process import ProcessError, run

FILE, EXECUTABLE, LINK, SUBMODULE = "100644", "100755", "120000", "160000"
"""Modes of a tree's entries (gitformat-pack has none else; ``100664`` is in old ones)."""

TIMEOUT = 600.0
"""Seconds that one command may take."""
_BATCH = 64 * 1024 * 1024
"""Bytes of contents that are asked for at once; more only for a single file."""
_SUBJECT = 500
_LONGEST_LINK = 4096
"""Bytes of a link's target: Linux takes one less (PATH_MAX with its NUL)."""
_DEEPEST = 200
"""Folders that a file may lie in."""
_SCOPED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE")
"""What Git sets for its hooks: another repository than the one that is meant."""
_SETTINGS = ("core.fsmonitor=false", "core.hooksPath=/dev/null")
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "none",  # an object that is missing is fetched by nobody: remotes may name commands
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_PARTIAL = "Clone it whole: no --filter, and --depth 2 at least"


@dataclass(frozen=True)
class Commit:
    """A commit as it says of itself, also where a shallow clone hides its parents.

    :ivar id: full object id
    :ivar subject: the first line of its message; a stranger's, and not bounded to one line
    """

    id: str
    parents: tuple[str, ...]
    subject: str


@dataclass(frozen=True)
class Entry:
    """A file of a commit.

    :ivar path: from the top, with ``/``; bytes that are no UTF-8 as ``os.fsdecode`` has them
    :ivar mode: :data:`FILE`, :data:`EXECUTABLE`, :data:`LINK` or :data:`SUBMODULE`
    :ivar id: of its content
    """

    path: str
    mode: str
    id: str


Tree = Mapping[str, Entry]
"""The files of a commit by their paths."""


class Repository:
    """The repository around a folder.

    :param environ: what Git inherits
    :raises InputError: there is none, or it has no work tree
    :raises HostError: Git is missing, or refuses to read it
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._environ = {key: value for key, value in environ.items() if key not in _SCOPED} | _ENVIRONMENT
        self._folder = Path(os.path.realpath(folder))
        if not self._folder.is_dir():
            raise InputError("there is no such folder", where=folder, hint="Name the work tree with --work-tree")
        try:
            said = self._read("rev-parse", "--show-toplevel")
        except ProcessError as error:
            raise _unreadable(error, folder) from None
        self.top = Path(os.fsdecode(said.removesuffix(b"\n")))
        """The folder that its paths begin at."""

    def inside(self, folder: str) -> str:
        """A folder of the work tree as a path from its top; it need not be there.

        :param folder: from the folder that the repository was found by, or absolute
        :raises UsageError: it is outside
        """
        path = os.path.relpath(os.path.join(self._folder, folder), self.top)  # noqa: PTH118  (no link is followed)
        if path.split("/")[0] == "..":
            raise UsageError(f"{one_line(folder)} is not in the work tree", hint=f"Its top is {self.top}")
        return path

    def commit(self, revision: str) -> Commit:
        """The commit that a revision means (gitrevisions(7)).

        :raises InputError: it means none, or one that this clone does not have
        """
        try:
            named = self._read("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
            raw = self._read("cat-file", "commit", named.decode().strip())
        except ProcessError as error:
            what = f"there is no commit '{one_line(revision)}' here: {_reason(error)}"
            raise InputError(what, where=self.top, hint=_PARTIAL) from None
        head, _, message = raw.partition(b"\n\n")
        parents = re.findall(rb"^parent ([0-9a-f]+)$", head.partition(b"\nauthor ")[0], re.MULTILINE)
        lines = (line.strip() for line in message.decode("utf-8", "replace").split("\n"))
        subject = next((line for line in lines if line), "")
        return Commit(named.decode().strip(), tuple(one.decode() for one in parents), subject[:_SUBJECT])

    def parent(self, commit: Commit) -> Commit | None:
        """The first parent; ``None`` for a first commit.

        :raises InputError: it has one, and this clone does not
        """
        if not commit.parents:
            return None
        try:
            self._read("cat-file", "-e", f"{commit.parents[0]}^{{tree}}")
        except ProcessError:
            what = f"the parent {commit.parents[0][:12]} of {commit.id[:12]} is not in this clone"
            raise InputError(what, where=self.top, hint=_PARTIAL) from None
        return self.commit(commit.parents[0])

    def tree(self, commit: Commit) -> Tree:
        """All files of a commit, in the order of their paths' bytes.

        :raises InputError: one that no work tree could hold, or which is not in this clone
        """
        try:
            listing = self._read("ls-tree", "-r", "-z", "--full-tree", commit.id)
        except ProcessError as error:
            what = f"the files of {commit.id[:12]} cannot be listed: {_reason(error)}"
            raise InputError(what, where=self.top, hint=_PARTIAL) from None
        found: dict[str, Entry] = {}
        for line in listing.split(b"\0"):
            head, _, name = line.partition(b"\t")
            if name:
                mode, _, one = head.decode().split(" ")
                entry = Entry(os.fsdecode(name), mode, one)
                if entry.path in found or not _is_path(entry.path):
                    raise _impossible(commit, entry.path)
                found[entry.path] = entry
        for path in found:
            if any(folder in found for folder in folders_above(path)):
                raise _impossible(commit, path)
        return found

    def export(self, entries: Iterable[Entry], target: Path) -> None:
        """Write files below a folder that nobody else writes to: modes 0644 and 0755, links as they say, submodules as
        empty folders. Of one tree: no file in that lies below a link.

        :raises InputError: a content is not in this clone
        :raises HostError: they cannot be written
        """
        entries = list(entries)
        for entry, content, size in self._contents([each for each in entries if each.mode != SUBMODULE], target):
            with _writing(entry, target) as path:
                if entry.mode == LINK:
                    path.symlink_to(os.fsdecode(content.read(min(size, _LONGEST_LINK))))
                    continue
                mode = 0o755 if entry.mode == EXECUTABLE else 0o644
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as file:
                    os.fchmod(file.fileno(), mode)
                    _copy(content, file, size)
        for entry in entries:
            if entry.mode == SUBMODULE:
                with _writing(entry, target) as path:
                    path.mkdir()

    def _contents(self, entries: list[Entry], near: Path) -> Iterator[tuple[Entry, IO[bytes], int]]:
        """Each with its content: a stream to read so many bytes from.

        :param near: a folder on the disk that has room for them
        """
        for batch in _batches(entries, self._sizes(entries)):
            with tempfile.TemporaryFile(dir=near) as file:
                self._run(["cat-file", "--batch"], file, batch)
                file.seek(0)
                for entry in batch:
                    size = int(file.readline().rpartition(b" ")[2])
                    end = file.tell() + size + 1
                    yield entry, file, size
                    file.seek(end)

    def _sizes(self, entries: list[Entry]) -> dict[str, int]:
        """The size of each content, by its id.

        :raises InputError: one is not in this clone
        """
        sizes: dict[str, int] = {}
        if not entries:
            return sizes
        with tempfile.TemporaryFile() as file:
            self._run(["cat-file", "--batch-check"], file, entries)
            file.seek(0)
            for entry, line in zip(entries, file, strict=False):
                words = line.decode("ascii", "replace").split()
                if len(words) != 3 or words[1] != "blob":
                    break
                sizes[entry.id] = int(words[2])
        for entry in entries:
            if entry.id not in sizes:
                raise InputError(
                    f"the content of '{shown_path(entry.path)}' is not in this clone", where=self.top, hint=_PARTIAL
                )
        return sizes

    def _run(self, words: list[str], output: IO[bytes], entries: Iterable[Entry]) -> None:
        """:raises InputError: Git fails, as for a content that a partial clone lacks"""
        wanted = "".join(f"{entry.id}\n" for entry in entries).encode()
        try:
            run(self._argv(words), env=self._environ, input=wanted, stdout=output, timeout=TIMEOUT)
        except ProcessError as error:
            what = f"the files of the commit cannot be read: {_reason(error)}"
            raise InputError(what, where=self.top, hint=_PARTIAL) from None

    def _read(self, *words: str) -> bytes:
        """:raises ProcessError: it fails"""
        with tempfile.TemporaryFile() as file:
            run(self._argv(list(words)), env=self._environ, stdout=file, timeout=TIMEOUT)
            file.seek(0)
            return file.read()

    def _argv(self, words: list[str]) -> list[str | Path]:
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        return ["git", "--no-pager", *settings, "-C", self._folder, *words]


def _batches(entries: list[Entry], sizes: Mapping[str, int]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    taken = 0
    for entry in entries:
        if batch and taken + sizes[entry.id] > _BATCH:
            yield batch
            batch, taken = [], 0
        batch.append(entry)
        taken += sizes[entry.id]
    if batch:
        yield batch


def folders_above(path: str) -> Iterator[str]:
    """The folders that a path lies in, without the top."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def shown_path(path: str) -> str:
    """A path as text that can be written as UTF-8: other bytes become ``\\xff``."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _is_path(path: str) -> bool:
    """Whether Git would check it out (its ``verify_path``), and whoever walks through folders gets to it."""
    return path.count("/") < _DEEPEST and all(
        part not in ("", ".", "..") and part.lower() != ".git" for part in path.split("/")
    )


def _impossible(commit: Commit, path: str) -> InputError:
    what = f"the commit {commit.id[:12]} holds a file that no work tree can have: '{one_line(path)}'"
    return InputError(what, hint="Look at it with 'git fsck'")


@contextlib.contextmanager
def _writing(entry: Entry, target: Path) -> Iterator[Path]:
    """The path of an entry below a folder, the folders above it made.

    :raises HostError: it cannot be written; says which one it is
    """
    path = target / entry.path
    try:
        for folder in reversed([*folders_above(entry.path)]):
            with contextlib.suppress(FileExistsError):
                (target / folder).mkdir()
                (target / folder).chmod(0o755)
        yield path
    except (OSError, ValueError) as error:  # ValueError: a link to a name with a NUL in it
        why = error.strerror if isinstance(error, OSError) else error
        hint = "Free some space, or set TMPDIR" if isinstance(error, OSError) and error.errno == errno.ENOSPC else None
        what = f"'{one_line(entry.path)}' of the commit cannot be written: {why}"
        raise HostError(what, where=target, hint=hint) from error


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    while size > 0 and (block := source.read(min(size, 1 << 20))):
        target.write(block)
        size -= len(block)


def _reason(error: ProcessError) -> str:
    """The line in which Git says why."""
    lines = [one_line(line) for line in error.stderr.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    return re.sub(r"^(?:fatal|error): ", "", (said or lines or [error.what])[0])[:300].rstrip(".")


def _unreadable(error: ProcessError, folder: Path) -> AmiError:
    if "dubious ownership" in error.stderr:
        hint = f"Run this as its owner, or trust it: git config --global --add safe.directory {folder.absolute()}"
        return HostError("the repository belongs to another user, and Git does not read it", where=folder, hint=hint)
    if "must be run in a work tree" in error.stderr:
        return InputError("the repository has no work tree", where=folder, hint="Clone it without --bare")
    if "not a git repository" in error.stderr:
        return InputError("there is no Git work tree here", where=folder, hint="Name one with --work-tree")
    return HostError(f"Git cannot read the repository: {_reason(error)}", where=folder)
