"""What compile itself adds: the overlay's arrival and unpacking, the bookkeeping, the verdict.

Its scripts are in ``instance/`` and lie in ``/var/lib/jenkins-ami`` on the instance while it builds. In ``runcmd`` each
command is announced by ``jenkins_ami_step WHERE`` (a shell function of ``steps.sh``), so that a failure, or a hang, can
be named; by ``jenkins_ami_try WHERE`` where a failure is allowed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from ..artifacts import STORAGE_TOKEN, Overlay
from ..errors import Location
from ..yamlfile import Node
from .kinds import FREQUENCIES, JINJA_SCRIPT
from .members import INSTALL, RESERVED
from .merge import place
from .overlay import Tarball
from .parts import Loaded

HERE = f"/{RESERVED}"
INSTALL_SCRIPT = f"/{INSTALL}"
"""Where ``script/install.sh`` lies on the instance: it travels in the overlay's tarball."""
SCRIPTS = f"{HERE}/parts/"
"""Where parts that are scripts lie."""
ANNOUNCED = re.compile(r"jenkins_ami_(step|try) ")
"""What an announcement in ``runcmd`` begins with."""
USER_DATA = "/var/lib/cloud/instance/user-data.txt"
"""Where cloud-init keeps the user-data as it came (``cloudinit.stages``, ``userdata_raw``; root only)."""

COMPILE = "compile "
"""What the places of compile's own entries begin with; their sort key follows."""
_RANKS = {"script/install.sh": "51_overlay", f"{COMPILE}51_remove": "51_overlay"}


@dataclass(frozen=True)
class Addition:
    """Entries that take no part in merging, because no user's cloud-config said them.

    :ivar key: the name by which they are sorted among the parts
    :ivar files, commands: entries of ``write_files`` and ``runcmd``
    """

    key: str
    files: tuple[Node, ...] = ()
    commands: tuple[Node, ...] = ()


def rank(where: Location, root: str) -> tuple[bytes, int]:
    """The order of a place: its part's name as bytes, then its line."""
    file = str(where.file)
    name = _RANKS.get(file, file.removeprefix(f"{root}/").removeprefix("cloudinit/").removeprefix(COMPILE))
    return name.encode("utf-8", "surrogateescape"), 0 if file in _RANKS else where.line


def script_text(name: str) -> str:
    """A script of ``instance/`` without its comments and indentation, which the user-data has no room for."""
    text = resources.files(__package__).joinpath("instance", name).read_text("utf-8")
    return text if name.endswith(".py") else shrink(text)


def shrink(script: str) -> str:
    """A shell script of our own without comment lines, blank lines and indentation. (It has no here-documents.)"""
    lines = [line.strip() for line in script.splitlines()]
    return "".join(f"{line}\n" for line in lines if line and (line.startswith("#!") or not line.startswith("#")))


def _file(name: str, content: str) -> dict[str, str]:
    return {"path": f"{HERE}/{name}", "permissions": "0700", "content": content}


def _add(key: str, files: Sequence[object], commands: Sequence[object]) -> Addition:
    where = Location(f"{COMPILE}{key}")
    return Addition(
        key,
        tuple(place(file, where) for file in files),
        tuple(command if isinstance(command, Node) else place(command, where) for command in commands),
    )


def opening(parameters: Mapping[str, str]) -> Addition:
    """Before all parts: the bookkeeping, and the verdict's script first of all, so that nothing can keep it away."""
    from .. import verdict

    text = shrink(resources.files(verdict).joinpath("verdict.sh").read_text("utf-8"))
    steps = script_text("steps.sh")
    if parameters:
        exports = " ".join(f"AMI_PARAM_{name.upper()}={shlex.quote(value)}" for name, value in parameters.items())
        steps += f"export {exports}\n"
    return _add("00", [_file("verdict.sh", text), _file("steps.sh", steps)], [f". {HERE}/steps.sh"])


def arrival(tarball: Tarball, overlay: Overlay) -> Addition:
    """Priority 50: the tarball arrives, from inside the user-data or by download."""
    if overlay.placement == "inline":
        take = f"tail -c +{1 + HEADER} {USER_DATA} | head -c {tarball.size} >{HERE}/fs.tgz"
        return _add("50_overlay", [], [take])
    url = overlay.storage if overlay.access == "https" else STORAGE_TOKEN
    files: list[object] = [
        {"path": f"{HERE}/fs.url", "permissions": "0600", "content": url},
        _file("fetch.sh", script_text("fetch.sh")),
    ]
    if overlay.access == "profile":
        files.append(_file("sign.py", script_text("sign.py")))
    return _add("50_overlay", files, [[f"{HERE}/fetch.sh", overlay.access, str(tarball.size)]])


HEADER = 16
"""Bytes before an inlined tarball in the user-data: gzip's fixed header (10), XLEN (2), the subfield's id and length
(RFC 1952, 2.3.1.1)."""


def unpacking(tarball: Tarball) -> Addition:
    """Priority 51: the tarball is verified and unpacked; ``install.sh`` runs and is removed."""
    commands: list[object] = [
        [f"{HERE}/overlay.sh", str(tarball.size), tarball.sha256, tarball.compression, *tarball.owners]
    ]
    if tarball.has_install:
        commands.append(place([INSTALL_SCRIPT], Location("script/install.sh")))
        commands.append(place(["rm", "-f", INSTALL_SCRIPT], Location(f"{COMPILE}51_remove")))
    return _add("51_overlay", [_file("overlay.sh", script_text("overlay.sh"))], commands)


def closing(parts: Sequence[Loaded]) -> Addition:
    """Priority 98: scripts that had their once are removed; what the machine is like goes to the log."""
    once = [f"/var/lib/cloud/scripts/per-once/{part.file}" for part in parts if part.kind == "per-once"]
    commands: list[object] = [["rm", "-f", *once]] if once else []
    commands.append(["sh", "-c", script_text("summary.sh").strip()])
    return _add("98_logs", [], commands)


def verdict_config(nonce: str, words: Sequence[str]) -> Node:
    """Power off when, and only when, the verdict's script says so.

    :param words: further arguments of ``verdict.sh``: what is allowed to fail
    """
    condition = ["sh", f"{HERE}/verdict.sh", nonce, *words]
    power = {"mode": "poweroff", "timeout": 120, "condition": condition}
    return place({"power_state": power}, Location(f"{COMPILE}99_verdict"))


def of_script(part: Loaded) -> Addition:
    """A script, a template of one, or a per-boot, per-instance or per-once script: written, and run in its place.

    Those of a frequency lie where cloud-init's own handler puts them (``ShellScriptByFreqPartHandler``) and are run by
    cloud-init, on this instance and on those of the image.
    """
    if part.kind in FREQUENCIES:
        path = f"/var/lib/cloud/scripts/{part.kind}/{part.file}"
        file = place({"path": path, "permissions": "0700", "content": part.text}, part.where)
        return Addition(part.file, (file,))
    path = f"{SCRIPTS}{part.file}"
    if part.kind != JINJA_SCRIPT:
        file = place({"path": path, "permissions": "0700", "content": part.text}, part.where)
        return Addition(part.file, (file,), (place([path], part.where),))
    files = (
        place(_file("render.sh", script_text("render.sh")), part.where),
        place({"path": f"{path}.tmpl", "permissions": "0600", "content": part.text}, part.where),
    )
    commands = (place([f"{HERE}/render.sh", f"{path}.tmpl", path], part.where), place([path], part.where))
    return Addition(part.file, files, commands)
