"""Run ``script/compile.sh`` in a work copy of the source, and read the variables it prints."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import HostError, InputError, ScriptError
from ..process import ProcessError, run
from ..progress import Progress
from ..source.model import AmiSource
from ..source.reader import read_source

_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)\Z")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run_compile_script(source: AmiSource, work: Path, progress: Progress) -> tuple[AmiSource, dict[str, str]]:
    """Copy the source to ``work``, run its ``compile.sh`` there, read the copy again: it may have made files.

    The script gets a clean environment: PATH, HOME, LANG, AMI_NAME, AMI_VERSION and the assignments of ``ami.env``.

    :returns: the source to compile, and the variables printed as ``KEY=VALUE`` lines
    :raises ScriptError: it failed, took too long, or printed something else
    """
    script = source.compile_script
    if script is None:
        return source, {}
    copy = work / "source"
    home = work / "home"
    home.mkdir()
    try:
        shutil.copytree(source.root, copy, symlinks=True, ignore=_ignore_git)
    except shutil.Error as error:
        path, _, why = error.args[0][0]
        raise InputError(f"cannot be copied: {why}", where=path) from error
    except OSError as error:
        raise HostError(f"the source cannot be copied: {error.strerror}", where=error.filename) from error
    identity = source.identity
    environment = {
        **identity.variables,
        "AMI_NAME": identity.name,
        "AMI_VERSION": identity.version,
        "PATH": _PATH,
        "HOME": str(home),
        "LANG": "C.UTF-8",
    }
    with progress.step("run script/compile.sh"):
        variables = _execute(
            copy / "script" / "compile.sh", script, copy, environment, identity.compile_timeout, progress
        )
    again = read_source(copy)
    return replace(again, identity=identity), variables


def _ignore_git(_folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name == ".git"}


def _execute(
    script: Path, shown: Path, cwd: Path, environment: Mapping[str, str], timeout: int, progress: Progress
) -> dict[str, str]:
    with script.open("rb") as stream:
        argv = [str(script)] if stream.read(2) == b"#!" and script.stat().st_mode & 0o100 else ["/bin/sh", str(script)]
    variables: dict[str, str] = {}
    try:
        done = run(
            argv,
            cwd=cwd,
            env=environment,
            timeout=timeout,
            on_stderr=lambda line: progress.output("compile.sh", line),
        )
    except ProcessError as error:
        tail = [line for line in error.stderr.splitlines() if line.strip()][-30:]
        what = (
            f"compile.sh exited with {error.returncode}"
            if error.returncode > 0
            else f"compile.sh {error.what.split(' ', 1)[1]}"
        )
        raise ScriptError(what, where=shown, hint="Its last lines are above" if tail else None, detail=tail) from error
    except HostError as error:
        raise ScriptError(f"compile.sh could not be started: {error.what}", where=shown) from error
    for line in done.stdout.splitlines():
        match = _LINE.match(line)
        if match is None:
            raise ScriptError(
                f"compile.sh printed '{line[:60]}', which is not KEY=VALUE",
                where=shown,
                hint="Send messages to stderr: echo ... >&2",
            )
        variables[match[1]] = match[2]
    return variables
