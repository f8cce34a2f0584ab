"""Being root without being root: a user namespace in which an ordinary user owns files of every uid.

Inside, uid 0 is the caller and uids 1 to 65535 are the caller's subordinate range, so what root owns inside is the
caller's own outside: the image can be written, and most of a tree be removed, without entering again.
Not for isolation: nothing is hidden from what runs inside.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from ..errors import HostError
from ..process import ProcessError, run, which

_COUNT = 65535
"""Ids 1 to 65535: all that a Debian system gives to users and services, 'nobody' (65534) included."""


@dataclass(frozen=True)
class FakeRoot:
    """How a command is run with root's view of owners. ``prefix`` is empty for the real root."""

    prefix: tuple[str, ...] = ()

    def argv(self, *words: str | Path) -> list[str]:
        return [*self.prefix, *map(str, words)]


def prefix(uid_start: int, gid_start: int, unshare: str = "unshare") -> tuple[str, ...]:
    """The words before a command that run it in the namespace (unshare(1))."""
    return (
        unshare,
        "--user",
        "--map-root-user",
        f"--map-users={uid_start},1,{_COUNT}",
        f"--map-groups={gid_start},1,{_COUNT}",
        "--setuid=0",
        "--setgid=0",
        "--",
    )


def range_start(text: str, names: set[str]) -> int | None:
    """Where the first large enough range of one of ``names`` begins, in the text of ``/etc/subuid`` or ``subgid``."""
    for line in text.splitlines():
        owner, _, rest = line.strip().partition(":")
        start, _, count = rest.partition(":")
        if owner in names and start.isdigit() and count.isdigit() and int(count) >= _COUNT:
            return int(start)
    return None


def _own_range(file: Path, names: set[str], user: str) -> int:
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        text = ""
    start = range_start(text, names)
    if start is None:
        raise HostError(
            f"user {user} has no range of {_COUNT} subordinate ids",
            where=file,
            hint=f"Give it one: sudo usermod --add-subuids 1000000-1065535 --add-subgids 1000000-1065535 {user}; "
            "or run this as root",
        )
    return start


def fake_root() -> FakeRoot:
    """For the user who runs this.

    :raises HostError: an ordinary user lacks a subordinate range, ``uidmap``, or the right to make user namespaces
    """
    if os.geteuid() == 0:
        return FakeRoot()
    uid = os.geteuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        raise HostError(f"uid {uid} is not in /etc/passwd", hint="Run this as a user that exists, or as root") from None
    uid_start = _own_range(Path("/etc/subuid"), {user, str(uid)}, user)
    gid_start = _own_range(Path("/etc/subgid"), {user, str(uid)}, user)
    which("newuidmap")
    which("newgidmap")
    root = FakeRoot(prefix(uid_start, gid_start, which("unshare")))
    try:
        run(root.argv("true"), timeout=20)
    except ProcessError as error:
        raise HostError(
            "this host does not let an ordinary user make a user namespace",
            hint="Run this as root, or see the sysctls kernel.unprivileged_userns_clone and "
            "kernel.apparmor_restrict_unprivileged_userns",
            detail=error.detail,
        ) from error
    return root
