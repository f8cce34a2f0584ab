"""A base that is another AMI source of the same repository, by its path: found here, and called by its image's name."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError
from ..forms import is_path
from .model import Identity
from .reader import identity_at
from .settings import AMI_ENV, AMI_YAML


def base_name(root: Path, identity: Identity) -> str:
    """The base as ``build`` looks it up: for the path of another AMI source, the name of that source's image.

    :param root: where the source is in its repository; ``identity`` may be of a copy
    :raises InputError: the path leads out of the repository or to no AMI source, or images are each other's base; or
        what is wrong with the other source's own files
    """
    if not is_path(identity.base):
        return identity.base
    here = root.resolve()
    top = work_tree(here)
    first = _follow(here, identity, top)
    walk = [here]
    at, said = first, identity_at(first) if first != here else identity
    name = said.name
    while at not in walk and is_path(said.base):
        walk.append(at)
        at = _follow(at, said, top)
        said = identity_at(at)
    if at == here and len(walk) == 1:
        raise InputError("the image is its own base", where=identity.base_where, hint="Start from another image")
    if at in walk:
        cycle = [*walk[walk.index(at) :], at]
        names = " → ".join(each.relative_to(top or here).as_posix() for each in cycle)
        hint = "Start one of them from another image"
        raise InputError(f"images are each other's base: {names}", where=identity.base_where, hint=hint)
    return name


def work_tree(folder: Path) -> Path | None:
    """The top of the Git work tree that a folder (absolute) lies in."""
    # os.path.exists is false for whatever cannot be looked at; Path.exists raises
    return next((each for each in (folder, *folder.parents) if os.path.exists(each / ".git")), None)  # noqa: PTH110


def _follow(source: Path, identity: Identity, top: Path | None) -> Path:
    """The folder of the AMI source that the base of another one leads to."""
    base, where = identity.base, identity.base_where
    found = (source / base).resolve()
    if top is None and not found.is_relative_to(source):
        hint = "A path leads to another AMI source of one Git repository; elsewhere use the name of its image"
        raise InputError(
            f"the base '{base}' leads out of the AMI source, which no Git work tree is around", where=where, hint=hint
        )
    if top is not None and not found.is_relative_to(top):
        hint = "Use the name of the image that another repository makes"
        raise InputError(f"the base '{base}' leads out of the repository", where=where, hint=hint)
    if not any((found / name).is_file() for name in (AMI_ENV, AMI_YAML)):
        hint = f"One is a folder with {AMI_ENV} or {AMI_YAML}"
        raise InputError(f"there is no AMI source at the base '{base}'", where=where, hint=hint)
    return found
