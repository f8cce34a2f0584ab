"""The exception tree. Every error says what happened, where, and what to do about it.

::

    AmiError                   1   anything this program can explain
    ├── UsageError             1   the command line is wrong
    ├── HostError              1   this machine lacks something: a tool, disk space, a free port
    ├── InputError             2   an input file is missing or invalid
    ├── StorageError           3   storage is missing, or a size is out of range
    ├── ScriptError            4   compile.sh failed
    ├── InstanceTimeout        4   the instance did not finish by its deadline
    ├── ImageTimeout           5   the image did not become available by its deadline
    ├── InstanceFailure        6   the instance reported failure, or ended without proof of success
    ├── CloudError             7   the cloud refused a call (carries the API's error code)
    ├── ServerError            7   Jenkins, Gerrit, GitHub or GitLab refused a request, or cannot be reached
    └── PlanDiffers            8   a plan is not empty and ``--exit-code`` was given
    Interrupted              130   SIGINT, SIGTERM or SIGHUP (a KeyboardInterrupt: ``except Exception`` lets it pass)

``cli.main`` turns these, and only these, into one line on stderr and the exit code. 1 to 5 match the scripts this
process is known by.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Location:
    """A place in a file: 1-based ``line`` and ``column``, 0 where unknown."""

    file: str | Path
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [str(self.file)]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)


def visible(text: str) -> str:
    """A text for a terminal or log: what cannot be seen or steers them (ESC, NUL, NBSP, half a pair) as an escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\t" else _escape(char) for char in text)


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file's name that is no UTF-8 (os.fsdecode)
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str) -> str:
    """A :func:`visible` text on one line."""
    return visible(" ".join(re.split(r"[ \t\r\n]+", text.strip(" \t\r\n"))))


def without_stop(text: str) -> str:
    """A sentence without its full stop; ``../..`` and ``…`` keep their dots."""
    return re.sub(r"(?<=[^./])\.\Z", "", text)


class AmiError(Exception):
    """An error with an explanation.

    :param what: one sentence fragment without a final full stop, e.g. ``"NAME is missing"``
    :param where: the file, optionally with line and column, that it is about
    :param hint: what to do, a whole sentence without its final full stop
    :param detail: further lines for people (a log's tail); printed after the error line, never in it
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: Location | Path | str | None = None,
        hint: str | None = None,
        detail: list[str] | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint
        self.detail = detail or []

    def line(self) -> str:
        """``what, where (file:line:col). hint.`` on one line."""
        text = without_stop(self.what)
        if self.where is not None:
            text += f" ({self.where})"
        text += "."
        if self.hint:
            text += f" {without_stop(self.hint)}."
        return one_line(text)

    def as_dict(self) -> dict[str, object]:
        """The same for ``--json``."""
        data: dict[str, object] = {
            "error": type(self).__name__,
            "what": self.what,
            "exit_code": self.exit_code,
        }
        if isinstance(self.where, Location):
            data |= {"file": str(self.where.file), "line": self.where.line, "column": self.where.column}
        elif self.where is not None:
            data["file"] = str(self.where)
        if self.hint:
            data["hint"] = self.hint
        if self.detail:
            data["detail"] = self.detail
        return data


class UsageError(AmiError):
    exit_code = 1


class HostError(AmiError):
    exit_code = 1


class InputError(AmiError):
    exit_code = 2


class StorageError(AmiError):
    exit_code = 3


class ScriptError(AmiError):
    exit_code = 4


class InstanceTimeout(AmiError):
    exit_code = 4


class ImageTimeout(AmiError):
    exit_code = 5


class InstanceFailure(AmiError):
    exit_code = 6


class CloudError(AmiError):
    """The cloud refused a call.

    :param code: the API's own error code, e.g. ``InvalidAMIID.NotFound``
    :param operation: the API call, e.g. ``RunInstances``
    """

    exit_code = 7

    def __init__(self, what: str, *, code: str = "", operation: str = "", **rest: object) -> None:
        super().__init__(what, **rest)  # type: ignore[arg-type]
        self.code = code
        self.operation = operation

    def as_dict(self) -> dict[str, object]:
        return super().as_dict() | {"code": self.code, "operation": self.operation}


class ServerError(AmiError):
    """A server other than the cloud refused a request, or cannot be reached.

    :param status: the HTTP status, 0 when there was no answer
    """

    exit_code = 7

    def __init__(self, what: str, *, status: int = 0, **rest: object) -> None:
        super().__init__(what, **rest)  # type: ignore[arg-type]
        self.status = status

    def as_dict(self) -> dict[str, object]:
        return super().as_dict() | {"status": self.status}


class PlanDiffers(AmiError):
    exit_code = 8


class Interrupted(KeyboardInterrupt):
    """A signal asked us to stop. Not an ``Exception``: only ``finally`` and ``cli.main`` see it."""

    exit_code = 130
