"""What repositories held at a commit, kept between runs: texts of ``ami.env`` and ``ami.yaml``, nothing else.

One JSON file for one repository and set of folders. It is replaced when the commit is another, and removed when nothing
asked for it in a month. Files are written whole or not at all, so processes may share a cache; one that makes no sense
counts as missing. A cache only saves work: what cannot be written is not told.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...artifacts import write_file
from ...errors import HostError
from ..model import Provider
from .common import Contents, Listed, Recipe

SCHEMA = 1
KEPT = 30 * 86_400
"""Seconds that a file stays which nobody asks for."""
_FRESH = 86_400
_LARGEST = 64 * 1024 * 1024


class Cache:
    """A folder of such files, or nothing at all.

    :param folder: made when it is not there; ``None`` keeps nothing
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def _path(self, folder: Path, provider: Provider, listed: Listed) -> Path:
        # the URL is the server's for Gerrit and others, and the repository's own for Git
        key = [provider.kind, provider.url, listed.id or listed.repository.name, sorted(provider.folders)]
        return folder / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:40]}.json"

    def load(self, provider: Provider, listed: Listed) -> Contents | None:
        """What was kept of this version."""
        if self._folder is None or not listed.version:
            return None
        path = self._path(self._folder, provider, listed)
        try:
            if path.stat().st_size > _LARGEST:
                return None
            data = json.loads(path.read_bytes())
            if data["schema"] != SCHEMA or data["version"] != listed.version:
                return None
            contents = _contents(data["contents"])
            if time.time() - path.stat().st_mtime > _FRESH:
                os.utime(path)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return contents

    def save(self, provider: Provider, listed: Listed, contents: Contents) -> None:
        """Keep it for the next run."""
        if self._folder is None or not listed.version:
            return
        data = {"schema": SCHEMA, "version": listed.version, "contents": asdict(contents)}
        with contextlib.suppress(OSError, HostError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_file(self._path(self._folder, provider, listed), json.dumps(data), 0o600)

    def tidy(self) -> None:
        """Remove what nobody asked for in a month."""
        if self._folder is None or not self._folder.is_dir():
            return
        limit = time.time() - KEPT
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime < limit:
                    path.unlink()


def _contents(data: Any) -> Contents:
    """:raises ValueError, KeyError, TypeError: it is not what :meth:`Cache.save` writes"""
    recipes = []
    for each in data["recipes"]:
        problems = tuple((_text(name), _text(problem)) for name, problem in each["problems"])
        texts = {key: None if each[key] is None else _text(each[key]) for key in ("env", "yaml")}
        recipes.append(
            Recipe(_text(each["folder"]), **texts, jenkinsfile=each["jenkinsfile"] is True, problems=problems)
        )
    return Contents(_text(data["branch"]), _text(data["commit"]), tuple(recipes))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
