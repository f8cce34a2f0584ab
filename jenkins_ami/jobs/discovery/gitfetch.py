"""Files of a remote Git repository's branch without cloning it: one commit, its trees, and the few blobs that count.

The only place of this room that runs Git. It asks nobody anything, takes credentials from its environment only (never
argv, never a URL), runs no hook, and speaks no protocol that runs a command.
"""

from __future__ import annotations

import base64
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from ...credentials import Credentials
from ...errors import InputError, ServerError, one_line
from ...process import ProcessError, run
from .common import KINDS, LARGEST_FILE, OBJECT_ID, RECIPES, Contents, Entry, Folders, recipe, sources_in

PROTOCOLS = "https:ssh:git:file:http"
TIMEOUT = 300.0
"""Seconds that one command may take."""
LARGEST_TREE = 256 * 1024 * 1024
"""Bytes of the listing of a commit's files."""
_SCOPED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE")
"""What Git sets for its hooks: another repository than ours."""
_REF = "refs/heads/found"


class Git:
    """Runs Git.

    :param environ: what it inherits
    :param stopped: ends what runs
    """

    def __init__(self, environ: Mapping[str, str], stopped: threading.Event) -> None:
        self._environ = {key: value for key, value in environ.items() if key not in _SCOPED}
        self._stopped = stopped
        self._lock = threading.Lock()
        self.requests = 0

    def environment(self, url: str, credentials: Credentials | None) -> dict[str, str]:
        """The environment for a command that talks to ``url``; empty for one that talks to nobody.

        Credentials are an HTTP header for that server alone, so they follow no redirect (git-config(1), http.<url>.*).
        """
        settings = [("core.hooksPath", "/dev/null"), ("protocol.version", "2"), ("gc.auto", "0")]
        if url:
            settings.append(("remote.origin.url", url))
        if credentials is not None and url.startswith(("https://", "http://")):
            pair = f"{credentials.user or 'oauth2'}:{credentials.secret}"
            scheme, _, rest = url.partition("://")
            server = f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}/"
            header = f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}"
            settings += [(f"http.{server}.extraHeader", header), ("http.followRedirects", "false")]
        given = self._environ.get("GIT_CONFIG_COUNT", "")
        first = int(given) if given.isdecimal() else 0
        numbered: dict[str, str] = {}
        for number, (key, value) in enumerate(settings, first):
            numbered |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return {
            **self._environ,
            **numbered,
            "GIT_CONFIG_COUNT": str(first + len(settings)),
            "GIT_ALLOW_PROTOCOL": PROTOCOLS,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "SSH_ASKPASS_REQUIRE": "never",
            "GIT_SSH_COMMAND": f"{self._environ.get('GIT_SSH_COMMAND') or 'ssh'} -o BatchMode=yes -o ConnectTimeout=20",
            "LC_ALL": "C",
        }

    def _remote(
        self, words: Sequence[str | Path], url: str, credentials: Credentials | None, input: bytes | None = None
    ) -> str:
        """Run a command that talks to a server.

        :raises ServerError: it failed, with Git's own reason
        """
        with self._lock:
            self.requests += 1
        env = self.environment(url, credentials)
        try:
            return run(["git", *words], env=env, timeout=TIMEOUT, stop=self._stopped, input=input).stdout
        except ProcessError as error:
            what = f"Git cannot read it: {_reason(error)}"
            raise ServerError(
                what, where=without_password(url), hint=_hint(error.stderr, signed_in=credentials is not None)
            ) from None

    def local(self, words: Sequence[str | Path], input: bytes | None = None, stdout: IO[bytes] | None = None) -> str:
        """Run a command on a repository of this machine.

        :raises ProcessError: it failed
        """
        env = self.environment("", None)
        return run(["git", *words], env=env, timeout=TIMEOUT, stop=self._stopped, input=input, stdout=stdout).stdout

    def head(self, url: str, branch: str, credentials: Credentials | None) -> tuple[str, str] | None:
        """A branch of a remote repository, and its commit; ``None`` when there is no such branch.

        :param branch: empty for the default branch
        :raises ServerError: the repository cannot be read
        """
        ref = f"refs/heads/{branch}" if branch else "HEAD"
        answer = self._remote(["ls-remote", "--symref", "--", url, ref], url, credentials)
        commit = ""
        for line in answer.splitlines():
            value, _, name = line.partition("\t")
            if name == ref and value.startswith("ref: refs/heads/"):
                branch = value.removeprefix("ref: refs/heads/")
            elif name == ref and OBJECT_ID.match(value):
                commit = value
        if commit and not branch:
            raise ServerError("its HEAD is no branch", where=without_password(url), hint="Set 'branch:'")
        return (branch, commit) if commit else None

    def read(
        self,
        url: str,
        branch: str,
        credentials: Credentials | None,
        folders: Folders,
        warn: Callable[[str], None],
        *,
        sha256: bool = False,
    ) -> Contents:
        """The AMI sources of a branch of a remote repository.

        :param sha256: whether its object ids are the long ones
        :raises ServerError: the repository cannot be read
        """
        with tempfile.TemporaryDirectory(prefix="jenkins-ami-", ignore_cleanup_errors=True) as folder:
            root = Path(folder)
            kind = "sha256" if sha256 else "sha1"
            self.local(["init", "-q", "--bare", "--template=", f"--object-format={kind}", root])
            fetch: list[str | Path] = [
                "-C",
                root,
                "fetch",
                "-q",
                "--no-tags",
                "--no-write-fetch-head",
                "--filter=blob:none",
            ]
            self._remote([*fetch, "--depth=1", "origin", f"+refs/heads/{branch}:{_REF}"], url, credentials)
            commit = self.local(["-C", root, "rev-parse", _REF]).strip()
            sources = sources_in(self._tree(root), folders, warn)
            files = [entry for each in sources.values() for name, entry in each.items() if name in RECIPES]
            ids = sorted({entry.id for entry in files if entry.kind == "file"})
            if missing := self._missing(root, ids):
                negotiate_nothing = ["-c", "fetch.negotiationAlgorithm=noop"]
                asked = "\n".join(missing).encode()
                self._remote([*negotiate_nothing, *fetch, "--stdin", "origin"], url, credentials, asked)
            blobs = self._blobs(root, ids)
            recipes = tuple(recipe(each, found, lambda entry: blobs[entry.id]) for each, found in sources.items())
        return Contents(branch, commit, recipes)

    def _tree(self, root: Path) -> Iterator[Entry]:
        with tempfile.TemporaryFile(dir=root) as out:
            self.local(["-C", root, "ls-tree", "-r", "-z", "--full-tree", _REF], stdout=out)
            out.seek(0)
            data = out.read(LARGEST_TREE + 1)
        if len(data) > LARGEST_TREE:
            raise InputError("the repository has too many files")
        for line in data.split(b"\0"):
            head, _, path = line.partition(b"\t")
            if path:
                mode, _, one = head.decode().split(" ")
                yield Entry(path.decode("utf-8", "surrogateescape"), KINDS.get(mode, "other"), None, one)

    def _missing(self, root: Path, ids: Sequence[str]) -> list[str]:
        """Which objects did not come with the commit. (A server that knows no filter sent all.)"""
        with tempfile.TemporaryFile(dir=root) as out:
            self.local(["-C", root, "rev-list", "--objects", "--missing=print", "--no-object-names", _REF], stdout=out)
            out.seek(0)
            absent = {line[1:].decode() for line in out.read().split() if line.startswith(b"?")}
        return [one for one in ids if one in absent]

    def _blobs(self, root: Path, ids: Sequence[str]) -> dict[str, bytes | None]:
        """Contents by object id, ``None`` where they are too large."""
        found: dict[str, bytes | None] = {}
        with tempfile.TemporaryFile(dir=root) as out:
            self.local(["-C", root, "cat-file", "--batch"], "".join(f"{one}\n" for one in ids).encode(), out)
            out.seek(0)
            for one in ids:
                size = int(out.readline().rpartition(b" ")[2])
                if size > LARGEST_FILE:
                    found[one] = None
                    out.seek(size + 1, os.SEEK_CUR)
                else:
                    found[one] = out.read(size + 1)[:size]
        return found


def url_problem(url: str) -> str:
    """Why Git must not be given this as a URL, empty when it may: a word of its own command line, or of a helper's."""
    if not url or url.startswith("-"):
        return "it looks like an option"
    if not url.isprintable() or " " in url:
        return "there are blanks or control characters in it"
    if "::" in url.partition("/")[0]:
        return "it names a remote helper"
    scheme, separator, _ = url.partition("://")
    if separator and scheme not in PROTOCOLS.split(":"):
        return f"the protocol '{scheme}' is not allowed"
    return ""


def without_password(url: str) -> str:
    """A URL for messages and jobs."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1@", url)


def _reason(error: ProcessError) -> str:
    """The line in which Git says why."""
    if not error.stderr.strip():
        return error.what
    lines = [one_line(line) for line in error.stderr.splitlines() if line.strip()]
    lines = [line for line in lines if "Could not read from remote repository" not in line] or lines
    said = [line for line in lines if line.startswith(("fatal: ", "ERROR: ", "remote: ", "error: "))]
    reason = re.sub(r"^(?:fatal|ERROR|remote|error): ", "", (said or lines)[-1])
    return without_password(reason)[:300]


def _hint(stderr: str, *, signed_in: bool) -> str:
    wrong = "Check the user and secret that 'auth' names"
    for sign, hint in (
        ("Authentication failed", wrong),
        ("could not read Username", wrong if signed_in else "Add 'auth:' with a user and the variable of its secret"),
        ("Permission denied (publickey", "Give the SSH agent a key that may read it"),
        ("Host key verification failed", "Put the host's key into known_hosts"),
        ("redirect", "Give the URL to which it redirects"),
    ):
        if sign in stderr:
            return hint
    return "Check the URL, and the right to read it"
