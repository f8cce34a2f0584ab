"""``--sandbox``: the walls around ``compile.sh``, by bubblewrap. Computes the command line, and proves that it works.

Inside there is: the system's programs and libraries (``/usr``), a few files of ``/etc`` that programs need, the work
copy at ``/build/source``, an empty ``/build/home`` and ``/tmp``. All but the last three is read-only. Nothing else of
this machine's files, no other process, no caller's environment, and no network unless asked for.

Root is not root inside, nor outside: a process of user 0 without a single capability still may read root's files and
write to ``/proc/sys``, and services that listen on abstract sockets trust it. So as root, an outer bubblewrap binds the
work folder to where an ordinary user reaches it, and the sandbox proper is made by that user (:data:`UNPRIVILEGED`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import HostError
from ..process import run, which
from .workcopy import give_to

MODES = ("offline", "network")

UNPRIVILEGED = 65_534
"""The user and group (nobody) that stands in for root. Files of the work copy belong to it from then on."""

SOURCE = Path("/build/source")
HOME = Path("/build/home")
TMP = Path("/tmp")

_STARTER = """\
"$@"
code=$?
tries=0
set -- /proc/[0-9]*
while [ $# -gt 2 ] && [ $tries -lt 20 ]; do
  sleep 0.05
  tries=$((tries + 1))
  set -- /proc/[0-9]*
done
exit $code
"""
"""Lets what the script left running (its ``tee``) write to its end, for a second: when this ends, all is killed."""

NOT_STARTED = "build: 1: "
"""What a message begins with when the command could not be run inside."""

_INSIDE = 1000
"""The user and group inside, whoever runs it: what ``compile.sh`` makes does not depend on that."""

# What programs read in /etc and is no secret. Not /etc/ssl itself: private keys lie there.
_ETC = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "magic",
    "mime.types",
    "pki/ca-trust",
    "pki/tls/certs",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
)
_USERS = {
    "passwd": f"root:x:0:0:root:/root:/bin/sh\nbuild:x:{_INSIDE}:{_INSIDE}:build:{HOME}:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": f"root:x:0:\nbuild:x:{_INSIDE}:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
}
_SYSCTLS = (
    "user/max_user_namespaces",
    "kernel/unprivileged_userns_clone",
    "kernel/apparmor_restrict_unprivileged_userns",
)


def prepare(area: Path, mode: str) -> None:
    """Make ``area`` ready: it gets ``source`` (if it is not there), ``home``, ``tmp`` and ``etc``.

    :raises HostError: it cannot be made, or the sandbox cannot be had on this machine
    """
    bwrap = which("bwrap")
    for name in ("source", "home", "tmp", "etc"):
        (area / name).mkdir(exist_ok=True)
    files = dict(_USERS)
    if mode == "network":
        files |= {name: text for name in ("hosts", "resolv.conf") if (text := _host_file(name))}
    for name, text in files.items():
        (area / "etc" / name).write_text(text, "utf-8")
        (area / "etc" / name).chmod(0o644)
    if _stand_in_needed():
        give_to(area, UNPRIVILEGED)
    argv = command(area, mode, ["/usr/bin/env", "true"], bwrap)
    done = run(argv, env={"PATH": os.defpath}, timeout=30, check=False)
    if done.returncode != 0:
        raise refusal(done.stderr, _facts())


def _host_file(name: str) -> str:
    try:
        return Path("/etc", name).read_text("utf-8", "replace")
    except OSError:
        return ""


def command(area: Path, mode: str, argv: Sequence[str], bwrap: str) -> list[str]:
    """The command line that runs ``argv`` inside. The environment is the child's own: on the command line, everybody
    on this machine could read the secrets in it."""
    start = ["/bin/sh", "-c", _STARTER, "build", *argv]
    if not _stand_in_needed():
        return [bwrap, *_walls(area, mode), "--", *start]
    user = str(UNPRIVILEGED)
    return [
        *(bwrap, "--dev-bind", "/", "/", "--bind", str(area), str(TMP)),
        # An own process namespace: when we are killed, all in it ends, of whatever user.
        *("--unshare-pid", "--die-with-parent", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"),
        *("--", which("setpriv"), "--reuid", user, "--regid", user, "--clear-groups"),
        *("--", bwrap, *_walls(TMP, mode), "--", *start),
    ]


def _stand_in_needed(uid_map: Path = Path("/proc/self/uid_map")) -> bool:
    """Whether we are root, and would be so outside of our user namespace too (user_namespaces(7))."""
    if os.geteuid() != 0:
        return False
    ranges = [tuple(map(int, line.split())) for line in uid_map.read_text().splitlines()]
    return any(inside == 0 and outside == 0 for inside, outside, _ in ranges)


def _walls(area: Path, mode: str) -> list[str]:
    words = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if mode != "network":
        words.append("--unshare-net")
    words += ["--uid", str(_INSIDE), "--gid", str(_INSIDE), "--hostname", "build"]
    words += ["--die-with-parent", "--new-session"]
    words += ["--ro-bind", "/usr", "/usr", *_system_links(Path("/"))]
    words += ["--dir", "/etc", *_etc(Path("/etc"))]
    for name in (*_USERS, *(["resolv.conf"] if mode == "network" else [])):
        words += ["--ro-bind-try", str(area / "etc" / name), f"/etc/{name}"]
    words += ["--proc", "/proc", "--dev", "/dev", "--dir", "/run", "--dir", "/var", "--symlink", "../tmp", "/var/tmp"]
    for name, place in (("source", SOURCE), ("home", HOME), ("tmp", TMP)):
        words += ["--bind", str(area / name), str(place)]
    return [*words, "--remount-ro", "/", "--chdir", str(SOURCE)]


def _system_links(root: Path) -> list[str]:
    """``/bin``, ``/lib`` and their like: links into ``/usr``, or folders on systems that have not merged them."""
    words: list[str] = []
    for path in sorted([root / "bin", root / "sbin", *root.glob("lib*")]):
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), f"/{path.name}"]
        elif path.is_dir():
            words += ["--ro-bind", str(path), f"/{path.name}"]
    return words


def _etc(etc: Path) -> list[str]:
    words: list[str] = []
    for path in [*(etc / name for name in _ETC), *sorted(etc.glob("java-*"))]:
        target = f"/etc/{path.relative_to(etc)}"
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), target]
        elif path.exists():
            words += ["--ro-bind", str(path), target]
    return words


def _facts() -> dict[str, str]:
    facts = {}
    for name in _SYSCTLS:
        path = Path("/proc/sys", name)
        if path.exists():
            facts[name.replace("/", ".")] = path.read_text().strip()
    return facts


def refusal(stderr: str, sysctls: Mapping[str, str]) -> HostError:
    """Why bubblewrap does not start, and what would help.

    :param stderr: what it said
    :param sysctls: the kernel's settings about user namespaces, as far as it has them
    """
    lines = [line for line in stderr.splitlines() if line.strip()]
    said = lines[-1].removeprefix("bwrap: ") if lines else "bwrap fails without a word"
    if sysctls.get("user.max_user_namespaces") == "0" or "ENOSPC" in said:
        hint = "The kernel allows no user namespaces: sysctl -w user.max_user_namespaces=10000"
    elif sysctls.get("kernel.unprivileged_userns_clone") == "0":
        hint = "The kernel keeps user namespaces for root: sysctl -w kernel.unprivileged_userns_clone=1"
    elif sysctls.get("kernel.apparmor_restrict_unprivileged_userns") == "1":
        hint = (
            "AppArmor keeps user namespaces for programs with a profile: give bwrap one, "
            "or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        )
    elif "proc" in said:
        hint = "This container hides parts of /proc: start it with --security-opt systempaths=unconfined"
    else:
        hint = (
            "Containers forbid namespaces by default: start this one with --security-opt seccomp=unconfined "
            "--security-opt apparmor=unconfined --security-opt systempaths=unconfined --cap-add SYS_ADMIN"
        )
    return HostError(f"the sandbox does not start here: {said}", hint=hint)
