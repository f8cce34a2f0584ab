"""Write a new AMI source from a template: all of it or nothing.

A template is a folder of ``templates/``, laid over ``templates/common``. Files whose names end in ``.j2`` are rendered;
every value in them is quoted for the file that it goes into.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import HostError, InputError, UsageError
from ..forms import NAME, NAME_HINT
from ..yamlfile import did_you_mean
from .schema import ami_yaml

TEMPLATES = {
    "minimal": "one file on the machine, one command, one test: to grow from",
    "web-server": "nginx with a page of its own",
    "jenkins-agent": "an agent that a Jenkins controller starts over SSH",
    "application": "an application of your own, built by compile.sh, as a service",
}
"""Each template and its line of help."""

SCHEMA_FILE = "ami.schema.json"
"""Lies beside ``ami.yaml``, whose first line names it for editors."""

_FOLDER = Path(__file__).parent / "templates"
_KEPT = re.compile(r"\.git|\.gitreview|((README|LICEN[CS]E|COPYING|NOTICE)([.-].*)?)", re.IGNORECASE)
_README, _OTHER_README = "README.md", "README-ami.md"


@dataclass(frozen=True)
class NewSource:
    """What was written: ``files`` are relative to ``root``, sorted."""

    root: Path
    name: str
    template: str
    files: tuple[str, ...]


def scaffold(root: Path, template: str, name: str | None = None) -> NewSource:
    """Write a new AMI source into ``root``, a folder that is new, empty, or a repository without content.

    :param name: the image's name; by default ``root``'s own, made to fit
    :raises UsageError: no such template, or a name that EC2 refuses
    :raises InputError: ``root`` holds other things, which are left alone
    :raises HostError: it cannot be written; what was written is removed again
    """
    if template not in TEMPLATES:
        raise UsageError(f"there is no template '{template}'", hint=did_you_mean(template, TEMPLATES))
    name = _default_name(root) if name is None else _checked(name)
    present = _present(root)
    files = render(template, name)
    if any(entry.lower().startswith("readme") for entry in present):
        files[_OTHER_README] = files.pop(_README)
    in_the_way = sorted(entry for entry in present if not _KEPT.fullmatch(entry) or entry in files)
    if in_the_way:
        more = f" and {len(in_the_way) - 5} more" if len(in_the_way) > 5 else ""
        raise InputError(
            f"the folder holds {', '.join(in_the_way[:5])}{more}",
            where=root,
            hint="Choose a new or empty folder, or a repository with no more than README and LICENSE; "
            "nothing was written",
        )
    _write(root, files)
    return NewSource(root, name, template, tuple(sorted(files)))


def render(template: str, name: str) -> dict[str, bytes]:
    """The files of a new AMI source by name, without writing any."""
    files = {SCHEMA_FILE: (json.dumps(ami_yaml(), indent=2, ensure_ascii=False) + "\n").encode()}
    for folder in (_FOLDER / "common", _FOLDER / template):
        for path in sorted(folder.rglob("*")):
            if path.is_dir():
                continue
            target = path.relative_to(folder)
            if path.suffix == ".j2":
                source = path.relative_to(_FOLDER).as_posix()
                files[target.with_suffix("").as_posix()] = _rendered(source, {"name": name}).encode()
            else:
                files[target.as_posix()] = path.read_bytes()
    return files


def _rendered(source: str, values: Mapping[str, str]) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        undefined=jinja2.StrictUndefined,
        finalize=_QUOTES[Path(source).with_suffix("").suffix],
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(source).render(values)


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", text)


_QUOTES: dict[str, Callable[[str], str]] = {".env": shlex.quote, ".md": _markdown}
"""How a value is quoted, by the name's ending of the file that it goes into."""


def _default_name(root: Path) -> str:
    own = root.resolve().name
    fit = re.sub(r"[^A-Za-z0-9()\[\] ./\-'@_]+", "-", own).strip(" -")[:100]
    if not fit:
        raise UsageError(f"no image name can be made of '{own}'", hint="Give one with --name")
    return _checked(fit)


def _checked(name: str) -> str:
    if not NAME.match(name):
        raise UsageError(f"EC2 refuses the image name '{name}'", hint=NAME_HINT)
    return name


def _present(root: Path) -> set[str]:
    if root.is_file():
        raise InputError("this is a file, not a folder", where=root, hint="Choose a new or empty folder")
    try:
        return {path.name for path in root.iterdir()}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise HostError(f"the folder cannot be read: {error.strerror}", where=root) from error


def _write(root: Path, files: Mapping[str, bytes]) -> None:
    """Into a temporary folder within ``root`` first, then each entry by a rename."""
    made: list[Path] = []
    moved: list[Path] = []
    try:
        for folder in reversed([root, *root.parents]):
            if not folder.is_dir():
                folder.mkdir()
                made.append(folder)
        with tempfile.TemporaryDirectory(prefix=".init.", dir=root) as name:
            work = Path(name)
            for file, data in files.items():
                _write_file(work, work / file, data)
            for entry in sorted(work.iterdir()):
                moved.append(root / entry.name)
                entry.rename(root / entry.name)
    except BaseException as error:
        for path in moved:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for folder in reversed(made):
            with contextlib.suppress(OSError):  # somebody else has put something there
                folder.rmdir()
        if isinstance(error, OSError):
            raise HostError(f"the folder cannot be written: {error.strerror}", where=root) from error
        raise


def _write_file(work: Path, path: Path, data: bytes) -> None:
    """Modes are set, not left to the umask: those of ``fs/`` are the machine's."""
    for folder in reversed(path.relative_to(work).parents):
        if folder != Path() and not (work / folder).is_dir():
            (work / folder).mkdir()
            (work / folder).chmod(0o755)
    path.write_bytes(data)
    path.chmod(0o755 if data.startswith(b"#!") else 0o644)
