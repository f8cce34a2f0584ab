"""What is laid over the packages: our configuration files, the host name, masked units, as one tar in memory. Pure.

The files are in ``files/rootfs``, at the paths that they have in the image. Modes and owners are decided here, because
neither Git nor a wheel keeps them.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

FILES = Path(__file__).parent / "files" / "rootfs"

MASKED_UNITS = (
    "e2scrub_all.timer",  # both scrub ext4 on LVM, of which there is none
    "e2scrub_reap.service",
    "systemd-pstore.service",  # no firmware of a cloud instance keeps crash logs
)
"""Units that have nothing to do in an instance and cost time in every boot."""


def _entry(name: str, kind: bytes, mode: int, epoch: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = kind, mode, epoch
    entry.uname = entry.gname = "root"
    return entry


def overlay_tar(hostname: str, epoch: int) -> bytes:
    """An uncompressed tar, the same bytes for the same arguments. All of it is root's, directories included."""
    files = {f"./{path.relative_to(FILES)}": path.read_bytes() for path in FILES.rglob("*") if path.is_file()}
    files["./etc/hostname"] = f"{hostname}\n".encode()
    links = {f"./etc/systemd/system/{unit}": "/dev/null" for unit in MASKED_UNITS}
    folders = {str(parent) for name in (*files, *links) for parent in Path(name).parents if str(parent) != "."}
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in sorted(folders):
            tar.addfile(_entry(f"./{folder}", tarfile.DIRTYPE, 0o755, epoch))
        for name, content in sorted(files.items()):
            entry = _entry(name, tarfile.REGTYPE, 0o644, epoch)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        for name, link in sorted(links.items()):
            entry = _entry(name, tarfile.SYMTYPE, 0o777, epoch)
            entry.linkname = link
            tar.addfile(entry)
    return target.getvalue()
