"""Git repositories for tests: real ones, of which nobody's own settings are part."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

WHO = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}
Files = Mapping[str, str | bytes | None]

MINIMAL = {"ami.env": "NAME=web\nVERSION=1.0\nBASE=scratch\n", "cloudinit/10_a.yml": "#cloud-config\nhostname: a\n"}


def below(folder: str, files: Files = MINIMAL) -> dict[str, str | bytes | None]:
    """Files in a folder."""
    return {f"{folder}/{path}": content for path, content in files.items()}


class Repo:
    """A repository with a work tree."""

    def __init__(self, path: Path, kind: str = "sha1") -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main", f"--object-format={kind}")

    def raw(self, *words: str, input: bytes = b"") -> bytes:
        argv = ["git", "-C", str(self.path), *words]
        return subprocess.run(argv, check=True, env=os.environ | WHO, input=input, stdout=subprocess.PIPE).stdout

    def git(self, *words: str, input: bytes = b"") -> str:
        return self.raw(*words, input=input).decode().strip()

    def write(self, files: Files) -> None:
        """Write files, executable when they begin with ``#!``; a path whose content is ``None`` goes."""
        for name, content in files.items():
            path = self.path / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            data = content.encode() if isinstance(content, str) else content
            path.write_bytes(data)
            path.chmod(0o755 if data.startswith(b"#!") else 0o644)

    def commit(self, files: Files | None = None, message: str | bytes = "a change") -> str:
        """Commit all that is in the work tree; gives the id."""
        self.write(files or {})
        self.git("add", "-A", "-f")
        data = message if isinstance(message, bytes) else message.encode()
        self.git("commit", "-q", "--allow-empty", "--allow-empty-message", "--cleanup=verbatim", "-F", "-", input=data)
        return self.git("rev-parse", "HEAD")

    def commit_tree(self, entries: list[tuple[str, bytes, bytes]]) -> str:
        """Commit a tree that Git itself would not make: modes, names and contents (or ids of trees)."""
        data = b""
        for mode, name, content in entries:
            one = content.decode() if mode == "40000" else self.blob(content)
            data += mode.encode() + b" " + name + b"\0" + bytes.fromhex(one)
        tree = self.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", input=data)
        commit = self.git("commit-tree", tree, "-p", "HEAD", "-m", "made by hand")
        self.git("update-ref", "HEAD", commit)
        return commit

    def blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", input=content)
