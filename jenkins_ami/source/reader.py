"""Find the parts of an AMI source and check its layout."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import InputError
from .model import AmiSource, Part
from .settings import read_identity

_PART = re.compile(r"[0-9]{2}_.+\.(yml|yaml|cfg|sh)\Z")


def read_source(root: Path) -> AmiSource:
    """Read an AMI source.

    :raises InputError: it is missing, no folder, no AMI source, describes nothing, or ``cloudinit/`` holds a file
        that would silently be left out
    """
    if not root.exists():
        raise InputError("the AMI source does not exist", where=root)
    if not root.is_dir():
        raise InputError(
            "the AMI source is a file, not a folder", where=root, hint="Name the folder that holds ami.env"
        )
    identity = read_identity(root)
    source = AmiSource(
        root=root,
        identity=identity,
        parts=_parts(root),
        overlay=_folder(root / "fs"),
        compile_script=_file(root / "script" / "compile.sh"),
        install_script=_file(root / "script" / "install.sh"),
    )
    if not source.parts and source.overlay is None and source.install_script is None and source.compile_script is None:
        raise InputError(
            "the AMI source describes nothing to do",
            where=root,
            hint="Add cloudinit/NN_name.yml, fs/ or script/install.sh",
        )
    return source


def _parts(root: Path) -> tuple[Part, ...]:
    folder = _folder(root / "cloudinit")
    if folder is None:
        return ()
    parts = []
    for path in sorted(folder.iterdir(), key=lambda path: path.name.encode()):
        if path.name.startswith(".") or path.name.lower().startswith("readme"):
            continue
        if not path.is_file() or not _PART.match(path.name):
            raise InputError(
                f"{path.name} would not be used",
                where=path,
                hint="Files here are named NN_name.yml, .yaml, .cfg or .sh; rename it or move it away",
            )
        parts.append(Part(f"cloudinit/{path.name}", path))
    return tuple(parts)


def _folder(path: Path) -> Path | None:
    if not path.exists():
        return None
    if not path.is_dir():
        raise InputError(f"{path.name} is a file, not a folder", where=path)
    return path


def _file(path: Path) -> Path | None:
    if not path.exists():
        return None
    if not path.is_file():
        raise InputError(f"{path.name} is not a file", where=path)
    return path
