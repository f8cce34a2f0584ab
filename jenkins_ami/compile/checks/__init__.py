"""What is checked before anything is written: keys and types of cloud-configs, shell scripts, secrets.

All of it adds to the findings; nothing here raises because of what a source says. What makes a part a part at all
(headers, YAML, types) was checked when it was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...findings import Findings
from ...source.model import AmiSource
from .config import check_config
from .secrets import SecretsCheck
from .shell import check_shell

if TYPE_CHECKING:
    from ..members import Member
    from ..parts import Loaded


def check(
    parts: Sequence[Loaded],
    source: AmiSource,
    root: Path,
    members: Sequence[Member],
    findings: Findings,
    *,
    thorough: bool = False,
) -> None:
    """Check a source.

    :param root: the source as the user named it, for places; ``source.root`` may be a work copy
    :param thorough: with the tools of others (``cloud-init schema``, ShellCheck), and every file of the overlay: for
        ``validate``. Without it, in ``compile``, the overlay's configuration only.
    """
    for part in parts:
        check_config(part, findings)
    check_shell(parts, source, root, members, findings, thorough=thorough)
    secrets = SecretsCheck(source, root, findings)
    secrets.files()
    for part in parts:
        secrets.part(part)
    secrets.members(members, thorough=thorough)
    if thorough:
        from .schema import check_schema

        check_schema(parts, findings)
