"""Compiled AMIs for tests, written as compile writes them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from jenkins_ami.artifacts import (
    COMPILE_JSON,
    OVERLAY,
    STORAGE_TOKEN,
    USERDATA,
    Manifest,
    Overlay,
    describe_file,
    to_json,
)

NONCE = "0123456789abcdef"
OK = f"[  OK  ] Started things.\r\n\r\nJENKINS-AMI-VERDICT:OK:{NONCE}\r\n".encode()
FAIL = (
    "JENKINS-AMI-STEP| cloudinit/60_x.yml:4\r\n"
    "JENKINS-AMI-REASON| cloudinit/60_x.yml:4 exited with 7\r\n"
    "JENKINS-AMI-LOG| + systemctl enable nothing\r\n"
    "JENKINS-AMI-LOG| Failed to enable unit\r\n"
    f"JENKINS-AMI-VERDICT:FAIL:{NONCE}\r\n"
).encode()


def manifest(**changes: Any) -> Manifest:
    return Manifest(
        **(
            {"name": "web", "version": "1.0", "base": "scratch", "nonce": NONCE, "digest": "d" * 64, "files": {}}
            | changes
        )
    )


def write(
    folder: Path,
    overlay: bytes | None = None,
    storage: str | None = None,
    access: str = "presigned",
    file: str = OVERLAY,
    **changes: Any,
) -> Path:
    """A compiled AMI in ``folder``; ``overlay`` puts one beside the user-data."""
    folder.mkdir(parents=True, exist_ok=True)
    url = "" if overlay is None else storage if access == "https" else STORAGE_TOKEN
    text = f"#cloud-config\n# nonce: {NONCE}\nurl: '{url}'\n"  # what a simulated machine says its OK with
    (folder / USERDATA).write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    names = [USERDATA]
    if overlay is not None:
        (folder / file).write_bytes(overlay)
        names.append(file)
        entry = describe_file(folder / file)
        changes["overlay"] = Overlay("storage", entry.size, entry.sha256, storage, access, file)
    files = {name: describe_file(folder / name) for name in names}
    (folder / COMPILE_JSON).write_text(to_json(manifest(files=files, **changes)))
    return folder
