"""Run ``script/compile.sh`` in a work copy of the source, and read the variables it prints."""

from __future__ import annotations

import contextlib
import re
import signal
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import HostError, InputError, Location, ScriptError, UsageError
from ..findings import Findings, InvalidSource
from ..folders import remove_tree
from ..process import which
from ..progress import NORMAL, Progress, size
from ..source import amienv
from ..source.model import AmiSource, Identity
from ..source.reader import read_source
from ..source.settings import AMI_ENV, AMI_YAML
from ..supervise import LINE_LIMIT, TimedOut, supervise
from . import sandbox as walls
from .workcopy import as_named, copy_source

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SOURCE_DATE_EPOCH = "315619200"
"""The second of January 1980, the first day that a zip file can hold in every time zone."""

RESERVED_KEYS = ("AMIID", "AMINAME", "AWSREGION", "FSS3URL")
"""Keys of ``vars.env`` and ``ami.env`` that compile and build write."""

SHOWN_LIMIT = 10 * 1024 * 1024
"""Bytes of compile.sh's messages that are shown; the last lines of more are kept for the error."""

_PRINTED_LIMIT = 1024 * 1024
_TAIL = 30
_WIDTH = 2_000
_OURS = re.compile(r"(PATH|HOME|TMPDIR|AMI_NAME|AMI_VERSION|AMI_PARAM_.*)\Z")
_STARTUP = re.compile(r"(LD_.*|GCONV_PATH|GLIBC_TUNABLES|BASH_ENV|SHELLOPTS|BASHOPTS|IFS|PS4)\Z")
_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)\Z", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")


def run_compile_script(
    source: AmiSource,
    root: Path,
    work: Path,
    progress: Progress,
    *,
    parameters: Mapping[str, str],
    passed: Mapping[str, str],
    sandbox: str | None,
) -> tuple[AmiSource, dict[str, str]]:
    """Copy the source into ``work``, run its ``compile.sh`` there, read the copy again: it may have made files.

    :param root: the source as the user named it, for places
    :param parameters: values of all parameters, secrets too; those are masked in whatever is shown
    :param passed: variables of the caller that ``--env`` names
    :param sandbox: ``None``, ``offline`` or ``network`` (:data:`~jenkins_ami.compile.sandbox.MODES`)
    :returns: the source to compile (its root is the copy), and the variables printed as ``KEY=VALUE`` lines
    :raises ScriptError: it failed, took too long, or printed something else
    :raises InvalidSource: what it made is wrong, or ``ami.env`` assigns what is not its to assign
    :raises HostError: the sandbox cannot be had, also when there is nothing to run in it
    """
    script = source.compile_script
    area = work / "compile"
    if sandbox is None and script is None:
        return source, {}
    area.mkdir(mode=0o700)
    if script is None:
        with _leftovers_removed(area):
            walls.prepare(area, sandbox or "")
        return source, {}
    secrets = [parameters[p.name] for p in source.identity.parameters if p.kind == "secret" and p.name in parameters]
    shown = root / "script" / "compile.sh"
    copy = area / "source"
    base = walls.SOURCE if sandbox else copy
    environment = _environment(source.identity, root, parameters, passed) | (
        {"HOME": str(walls.HOME), "TMPDIR": str(walls.TMP)}
        if sandbox
        else {"HOME": str(area / "home"), "TMPDIR": str(area / "tmp")}
    )
    with _leftovers_removed(area):
        for name in ("home", "tmp"):
            (area / name).mkdir(mode=0o700)
        copy_source(source.root, copy, leave_out=[work])
        argv = [*_interpreter(copy / "script" / "compile.sh", shown), str(base / "script" / "compile.sh")]
        with progress.step("run script/compile.sh" + (f" (sandbox, {sandbox})" if sandbox else "")):
            if sandbox:
                walls.prepare(area, sandbox)
                argv = walls.command(area, sandbox, argv, which("bwrap"))
            watcher = _Watcher(progress, shown, secrets)
            left = _execute(argv, copy, environment, source.identity.compile_timeout, watcher)
            if left and not sandbox:  # (bubblewrap's own, on their way out, are no news)
                names = ", ".join(sorted(set(left)))
                progress.warn(f"compile.sh left something running in the background, which was ended: {names}")
    return _read_again(source, copy, root), watcher.variables


@contextlib.contextmanager
def _leftovers_removed(area: Path) -> Iterator[None]:
    try:
        yield
    finally:
        for name in ("home", "tmp", "etc"):
            remove_tree(area / name)


def _environment(
    identity: Identity, root: Path, parameters: Mapping[str, str], passed: Mapping[str, str]
) -> dict[str, str]:
    """All that compile.sh sees, save for HOME and TMPDIR."""
    found = Findings()
    if any(_OURS.match(name) or _STARTUP.match(name) for name in identity.variables):
        for name, assignment in amienv.parse((root / AMI_ENV).read_text("utf-8"), root / AMI_ENV).items():
            if _OURS.match(name):
                found.error(
                    AMI_ENV, f"{name} is what compile sets for compile.sh", assignment.where, "Use another name"
                )
            elif _STARTUP.match(name):
                what = f"{name} would change how every program of compile.sh starts"
                found.error(AMI_ENV, what, assignment.where, "Set it in compile.sh, where it is needed")
    found.raise_errors()
    for name in passed:
        if _OURS.match(name) and name != "PATH":
            raise UsageError(f"--env {name}: compile sets {name} for compile.sh itself", hint="Leave it out")
    return {
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH,
        "PATH": PATH,
        **identity.variables,
        **passed,
        "AMI_NAME": identity.name,
        "AMI_VERSION": identity.version,
        **{f"AMI_PARAM_{name.upper()}": value for name, value in parameters.items()},
    }


def _interpreter(script: Path, shown: Path) -> list[str]:
    """What runs the script: its ``#!`` line says it, whether the file is executable or not.

    :raises InputError: the copy has no such file: a link that leads out of the source
    """
    if not script.resolve().is_relative_to(script.parents[1].resolve()) or not script.is_file():
        raise InputError("the link leads out of the AMI source", where=shown, hint="Put the file itself here")
    with script.open("rb") as stream:
        first = stream.readline(4096)
    if first.endswith(b"\r\n"):
        raise ScriptError(
            "compile.sh has Windows line ends, which no shell understands",
            where=shown,
            hint="Save it with LF, and write '*.sh text eol=lf' into .gitattributes",
        )
    if first.startswith(b"\x7fELF"):
        return []
    words = first[2:].decode("utf-8", "replace").strip().split(None, 1) if first.startswith(b"#!") else ["/bin/sh"]
    if not words or not words[0].startswith("/"):
        raise ScriptError("the '#!' line of compile.sh names no absolute path", where=shown, hint="Write #!/bin/sh")
    return words


def _execute(
    argv: Sequence[str], cwd: Path, environment: Mapping[str, str], timeout: int, watcher: _Watcher
) -> tuple[str, ...]:
    """Run it; the names of the processes that it left running."""
    try:
        ended = supervise(
            argv,
            cwd=cwd,
            env=environment,
            timeout=timeout,
            on_stdout=watcher.on_stdout,
            on_stderr=watcher.on_stderr,
        )
    except TimedOut as error:
        hint = "Make it faster, or raise 'compile' of 'timeouts' in ami.yaml"
        raise watcher.failed(f"compile.sh {error.what}", hint) from error
    except HostError as error:
        raise watcher.not_started(error.what.replace(" could not be started", "")) from error
    code, last = ended.returncode, watcher.last()
    if code in (126, 127) and last.startswith(walls.NOT_STARTED):
        raise watcher.not_started(last.removeprefix(walls.NOT_STARTED))
    if code < 0:
        raise watcher.failed(f"compile.sh was ended by {_signal(-code)}")
    if code > 0:
        by = f" ({_signal(code - 128)})" if code - 128 in set(signal.Signals) else ""
        raise watcher.failed(f"compile.sh exited with {code}{by}" + (f": {last}" if last else ""))
    return ended.left


def _signal(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


class _Watcher:
    """Reads what compile.sh prints, line by line: messages are shown, variables are checked and kept."""

    def __init__(self, progress: Progress, shown: Path, secrets: Sequence[str]) -> None:
        self.progress = progress
        self.shown = shown
        self.variables: dict[str, str] = {}
        self._masked = _spellings(secrets)
        self._tail: deque[bytes] = deque(maxlen=_TAIL)
        self._messages = 0
        self._printed = 0
        self._lines: dict[str, int] = {}
        self._number = 0

    def last(self) -> str:
        """The last message, in a length for an error line."""
        lines = (self._readable(raw).strip() for raw in reversed(self._tail))
        return next((line[:200] for line in lines if line), "")

    def failed(self, what: str, hint: str | None = None) -> ScriptError:
        """An error with the last messages, unless they can be seen above it."""
        seen = self.progress.verbosity >= NORMAL and self._messages <= SHOWN_LIMIT
        detail = [] if seen else [self._readable(raw) for raw in self._tail]
        return ScriptError(what, where=self.shown, hint=hint, detail=detail)

    def not_started(self, why: str) -> ScriptError:
        return ScriptError(f"compile.sh could not be started: {why}", where=self.shown)

    def _readable(self, raw: bytes) -> str:
        """A message without what steers terminals and logs, and without secrets."""
        text = raw.decode("utf-8", "replace")
        if len(raw) < LINE_LIMIT:  # of a line that overwrites itself, what one would see in the end
            text = text.rstrip("\r").rpartition("\r")[2]
        text = _CONTROL.sub("", _ESCAPE.sub("", text))
        for spelling in self._masked:
            text = text.replace(spelling, "***")
        return text if len(text) <= _WIDTH else f"{text[:_WIDTH]} …"

    def on_stderr(self, raw: bytes) -> None:
        self._tail.append(raw)
        before, self._messages = self._messages, self._messages + len(raw) + 1
        if self._messages <= SHOWN_LIMIT:
            self.progress.output("compile.sh", self._readable(raw), NORMAL)
        elif before <= SHOWN_LIMIT:
            self.progress.warn(f"compile.sh has more than {size(SHOWN_LIMIT)} to say; the rest is not shown")

    def on_stdout(self, raw: bytes) -> None:
        """:raises ScriptError: it is no line for ``vars.env``"""
        self._number += 1
        self._printed += len(raw) + 1
        place = f"in line {self._number} of its output"

        def refuse(what: str, hint: str) -> ScriptError:
            return ScriptError(what, where=self.shown, hint=hint)

        if len(raw) >= LINE_LIMIT or self._printed > _PRINTED_LIMIT:
            raise refuse(
                f"compile.sh printed more than vars.env should hold, {place}", "Send messages to stderr: echo ... >&2"
            )
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise refuse(f"compile.sh printed what is not UTF-8, {place}", "Print KEY=VALUE as UTF-8 text") from None
        if any(secret in text for secret in self._masked):
            raise refuse(f"compile.sh printed a secret, {place}", "Whoever sees the build reads vars.env; leave it out")
        match = _LINE.match(text)
        if match is None:
            said = _CONTROL.sub("?", text)[:60]
            raise refuse(
                f"compile.sh printed '{said}' {place}, which is not KEY=VALUE", "Send messages to stderr: echo ... >&2"
            )
        key, value = match[1], match[2]
        if _CONTROL.search(value):
            code = ord(_CONTROL.search(value)[0])  # type: ignore[index]
            raise refuse(f"compile.sh printed {key} with the control character U+{code:04X}, {place}", "Remove it")
        if key in RESERVED_KEYS:
            raise refuse(f"compile.sh printed {key}, which compile and build set, {place}", "Use another name")
        if self.variables.get(key, value) != value:
            raise refuse(
                f"compile.sh printed {key} {place}, after another value in line {self._lines[key]}", "Print it once"
            )
        self.variables[key] = value
        self._lines.setdefault(key, self._number)


def _spellings(secrets: Sequence[str]) -> list[str]:
    """How secrets look in messages: as they are, as ``set -x`` quotes them, inside a URL or JSON. The longest first."""
    import json
    from urllib.parse import quote

    found: set[str] = set()
    for secret in secrets:
        found |= {secret, secret.replace("'", "'\\''"), secret.replace("'", "'\"'\"'")}
        found |= {quote(secret, safe=""), json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return sorted(found, key=len, reverse=True)


def _read_again(source: AmiSource, copy: Path, root: Path) -> AmiSource:
    """The source that compile.sh left.

    :raises InvalidSource: something is wrong in it; with the paths of the source that the user named
    """
    found = Findings()
    for name in (AMI_ENV, AMI_YAML):
        if _content(copy / name) != _content(source.root / name):
            what = f"compile.sh changed {name}, which was read before it ran"
            found.error("compile.sh", what, Location(root / name), "Change fs/ and cloudinit/ only")
    found.raise_errors()
    again = source
    with found.catch("source"):
        again = read_source(copy)
    if found.errors:
        raise InvalidSource(as_named(finding, copy, root) for finding in found.errors)
    return replace(again, identity=source.identity)


def _content(path: Path) -> bytes | None:
    if path.is_symlink() or not path.is_file():
        return str(path.readlink()).encode() if path.is_symlink() else None
    return path.read_bytes()
