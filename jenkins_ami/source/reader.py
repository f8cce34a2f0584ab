"""Find the parts of an AMI source and check its layout."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..artifacts import ENVIRONMENTS
from ..errors import InputError, Location
from ..findings import Findings
from ..yamlfile import parse
from .model import AmiSource, Identity, Part
from .settings import AMI_ENV, AMI_YAML, read_identity

_PART = re.compile(r"[0-9]{2}_.+\.((yml|yaml|cfg|sh)(\.j2)?|py|txt|mime)\Z")


def read_source(root: Path) -> AmiSource:
    """Read an AMI source.

    :raises InputError: it is missing, no folder, no AMI source, describes nothing, or ``cloudinit/`` holds a file
        that would silently be left out; all that is wrong at once
    """
    try:
        if not stat.S_ISDIR(root.stat().st_mode):
            hint = "Name the folder that holds ami.env"
            raise InputError("the AMI source is a file, not a folder", where=root, hint=hint)
    except FileNotFoundError:
        raise InputError("the AMI source does not exist", where=root) from None
    except OSError as error:
        raise InputError(f"the AMI source cannot be read: {error.strerror}", where=root) from error
    found = Findings()
    values: dict[str, Any] = {}
    readers: dict[str, Callable[[], object]] = {
        "identity": lambda: identity_at(root),
        "parts": lambda: _parts(root),
        "overlay": lambda: _folder(root / "fs", root),
        "compile_script": lambda: _file(root / "script" / "compile.sh", root),
        "install_script": lambda: _file(root / "script" / "install.sh", root),
        "environments": lambda: _environments(root),
    }
    with found.catch("source"):
        _folder(root / "script", root)
    for name, read in readers.items():
        with found.catch("source"):
            values[name] = read()
    found.raise_errors()
    source = AmiSource(root=root, **values)
    if not source.parts and source.overlay is None and source.install_script is None and source.compile_script is None:
        raise InputError(
            "the AMI source describes nothing to do",
            where=root,
            hint="Add cloudinit/NN_name.yml, fs/ or script/install.sh",
        )
    return source


def identity_at(root: Path) -> Identity:
    """Who the image of the AMI source in ``root`` is.

    :raises InputError: as :func:`~.settings.read_identity`, or a file is none, or a link out of the source
    """
    for name in (AMI_ENV, AMI_YAML):
        _file(root / name, root)
    return read_identity(root)


def _environments(root: Path) -> Path | None:
    """:raises InputError: it is no YAML; what it says, ``build`` reads"""
    path = _file(root / ENVIRONMENTS, root)
    if path is not None:
        try:
            parse(path.read_bytes(), path)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", where=path) from error
    return path


def _parts(root: Path) -> tuple[Part, ...]:
    folder = _folder(root / "cloudinit", root)
    if folder is None:
        return ()
    parts = []
    found = Findings()
    for path in sorted(folder.iterdir(), key=lambda path: os.fsencode(path.name)):
        if path.name.startswith(".") or path.name.lower().startswith("readme"):
            continue
        if path.is_dir():
            found.error("source", f"{path.name} is a folder", Location(path), "Move its files up, or move it away")
        elif not _PART.match(path.name):
            hint = "Name it NN_name (two digits) with .yml, .yaml, .cfg, .sh, .py, .txt or .mime, or move it away"
            found.error("source", f"{path.name} would not be used", Location(path), hint)
        elif not path.name.isprintable():
            hint = "Rename it: the instance names its parts in the log"
            found.error("source", f"the name '{path.name}' cannot be printed", Location(path), hint)
        else:
            with found.catch("source"):
                _file(path, root)
        parts.append(Part(f"cloudinit/{path.name}", path))
    found.raise_errors()
    return tuple(parts)


def _folder(path: Path, root: Path) -> Path | None:
    if _is_missing(path):
        return None
    if not path.is_dir():
        raise InputError(f"{path.name} is a file, not a folder", where=path, hint="Move it away")
    return _inside(path, root)


def _file(path: Path, root: Path) -> Path | None:
    if _is_missing(path):
        return None
    if not path.is_file():
        raise InputError(f"{path.name} is not a file", where=path, hint="Move it away")
    return _inside(path, root)


def _is_missing(path: Path) -> bool:
    """:raises InputError: it is a link to nothing, which is somebody's mistake"""
    if path.exists():
        return False
    if path.is_symlink():
        raise InputError("the link leads to nothing", where=path, hint="Put the file itself here, or remove it")
    return True


def _inside(path: Path, root: Path) -> Path:
    """:raises InputError: it is a link out of the source, which could bring in anything that this user may read"""
    if not path.resolve().is_relative_to(root.resolve()):
        raise InputError("the link leads out of the AMI source", where=path, hint="Put the file itself here")
    return path
