"""What compile itself adds to the cloud-config: the overlay's arrival and unpacking, the bookkeeping, the verdict.

Its scripts are in ``instance/`` and lie in ``/var/lib/jenkins-ami`` on the instance while it builds. In ``runcmd`` each
command is announced by ``step WHERE`` (a shell function of ``steps.sh``), so that a failure, or a hang, can be named.
"""

from __future__ import annotations

import base64
import shlex
from dataclasses import dataclass
from importlib import resources

from ..artifacts import STORAGE_TOKEN, Command
from ..errors import Location
from ..yamlfile import Node
from .merge import place, short

HERE = "/var/lib/jenkins-ami"
INSTALL_SCRIPT = f"{HERE}/install.sh"
"""Where ``script/install.sh`` lies on the instance: it travels in the overlay's tarball."""


@dataclass(frozen=True)
class Tarball:
    """``fs.tgz``: its bytes and digest, and whether ``script/install.sh`` is in it."""

    data: bytes
    sha256: str
    has_install: bool


def _script(name: str) -> str:
    return resources.files(__package__).joinpath("instance", name).read_text("utf-8")


def _file(name: str, content: str) -> dict[str, str]:
    return {"path": f"{HERE}/{name}", "permissions": "0700", "content": content}


def opening() -> Node:
    """Before all parts: the bookkeeping, and the verdict's script first of all, so that nothing can keep it away."""
    from .. import verdict

    text = resources.files(verdict).joinpath("verdict.sh").read_text("utf-8")
    files = [_file("verdict.sh", text), _file("steps.sh", _script("steps.sh"))]
    return place({"write_files": files, "runcmd": [f". {HERE}/steps.sh"]}, Location("compile 00_begin"))


def arrival(tarball: Tarball, *, inline: bool) -> Node:
    """Priority 50: the tarball arrives, inside the user-data or by download."""
    if inline:
        content = base64.b64encode(tarball.data).decode()
        files = [{"path": f"{HERE}/fs.tgz", "permissions": "0600", "encoding": "b64", "content": content}]
        return place({"write_files": files}, Location("compile 50_overlay"))
    files = [
        {"path": f"{HERE}/fs.url", "permissions": "0600", "content": STORAGE_TOKEN},
        _file("fetch.sh", _script("fetch.sh")),
    ]
    return place({"write_files": files, "runcmd": [[f"{HERE}/fetch.sh"]]}, Location("compile 50_overlay"))


def unpacking(tarball: Tarball) -> Node:
    """Priority 51: the tarball is verified and unpacked; ``install.sh`` runs and is removed."""
    here = Location("compile 51_overlay")
    commands = [place([f"{HERE}/overlay.sh", str(len(tarball.data)), tarball.sha256], here)]
    if tarball.has_install:
        commands.append(place([INSTALL_SCRIPT], Location("script/install.sh")))
        commands.append(place(["rm", "-f", INSTALL_SCRIPT], Location("compile 51_remove")))
    files = place([_file("overlay.sh", _script("overlay.sh"))], here)
    return Node({"write_files": files, "runcmd": Node(commands, here)}, here, {"write_files": here, "runcmd": here})


def closing() -> Node:
    """Priority 98: what the machine is like goes to the log; from here on all of runcmd is known to have run."""
    return place({"runcmd": [["sh", "-c", _script("summary.sh").strip()]]}, Location("compile 98_logs"))


def verdict_entry(nonce: str) -> Node:
    """Priority 99: power off when, and only when, the verdict's script says so."""
    return place(
        {
            "runcmd": [["touch", f"{HERE}/complete"]],
            "power_state": {
                "mode": "poweroff",
                "timeout": 120,
                "condition": ["sh", f"{HERE}/verdict.sh", nonce],
            },
        },
        Location("compile 99_verdict"),
    )


def announce(runcmd: list[Node], root: str) -> tuple[list[object], tuple[Command, ...]]:
    """``runcmd`` with a ``step`` before each command, and the list of those commands for the manifest.

    :param root: the source's path, which is cut off the places so that they are the same everywhere
    """
    out: list[object] = []
    commands: list[Command] = []
    for index, node in enumerate(runcmd):
        plain = node.plain()
        if index:  # the first entry is what defines `step`
            where = short(node.where, [root])
            out.append(f"jenkins_ami_step {shlex.quote(where)}")
            text = plain if isinstance(plain, str) else shlex.join(map(str, plain))
            commands.append(Command(where, text))
        out.append(plain)
    return out, tuple(commands)
