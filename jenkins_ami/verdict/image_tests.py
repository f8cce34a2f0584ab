"""A source's ``tests:`` on a booted image: user-data that runs them, and the reading of what it printed.

Nothing reaches the instance: the tests are in its user-data, their results come over the serial console, and it powers
itself off when they are done. The tests run when the boot is finished (``systemctl is-system-running --wait``), each
with ``/bin/sh`` in ``/`` and its own time limit. One line per test::

    JENKINS-AMI-TEST:NONCE:INDEX:ok|fail:EXIT_CODE:SECONDS:BASE64 of the output's last 3,000 bytes
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from ..artifacts import ImageTest
from .markers import console_lines

_FOLDER = "/run/jenkins-ami-tests"
_LINE = re.compile(r"JENKINS-AMI-TEST:([0-9a-f]{16}):(\d+):(ok|fail):(\d+):(\d+):([A-Za-z0-9+/=]*)")
TIMED_OUT = 124
"""Exit code of coreutils' ``timeout`` when it ended the command."""


@dataclass(frozen=True)
class TestOutcome:
    """How one test ended. ``exit_code`` is ``None`` when the instance never told; ``seconds`` are whole ones."""

    __test__ = False  # not a pytest class

    test: ImageTest
    ok: bool
    exit_code: int | None
    output: str
    seconds: int

    @property
    def reason(self) -> str:
        """Why it failed; empty when it did not."""
        if self.ok:
            return ""
        if self.exit_code is None:
            return "no result came from the instance"
        if self.exit_code == TIMED_OUT:
            return f"did not end within {self.test.timeout} s"
        if self.exit_code != self.test.exit_code:
            return f"exited with {self.exit_code} instead of {self.test.exit_code}"
        return f"its output lacks {self.test.stdout!r}"


def user_data(tests: Sequence[ImageTest], nonce: str) -> bytes:
    """User-data (a cloud-config, JSON being YAML) that runs ``tests`` and powers off whatever comes out.

    :param nonce: 16 hex digits, told apart from other runs' on the same console
    """
    files = [{"path": f"{_FOLDER}/run.sh", "permissions": "0700", "content": _runner()}]
    for index, test in enumerate(tests):
        files.append({"path": f"{_FOLDER}/{index}.sh", "permissions": "0700", "content": test.run + "\n"})
        files.append({"path": f"{_FOLDER}/{index}.want", "content": f"{test.exit_code} {test.timeout}\n"})
        if test.stdout is not None:
            files.append({"path": f"{_FOLDER}/{index}.stdout", "content": test.stdout})
    config = {
        "write_files": files,
        "power_state": {
            "mode": "poweroff",
            "timeout": 30,
            "condition": ["sh", f"{_FOLDER}/run.sh", nonce, str(len(tests))],
        },
    }
    return b"#cloud-config\n" + json.dumps(config, indent=1).encode()


def _runner() -> str:
    return resources.files(__package__).joinpath("image_tests.sh").read_text("utf-8")


def parse(console: bytes, tests: Sequence[ImageTest], nonce: str) -> list[TestOutcome]:
    """What became of each test, in their order; one without a line on the console has failed."""
    found: dict[int, TestOutcome] = {}
    for line in console_lines(console):
        match = _LINE.search(line)
        if match and match[1] == nonce and int(match[2]) < len(tests):
            index = int(match[2])
            padded = match[6] + "=" * (-len(match[6]) % 4)
            output = base64.b64decode(padded).decode("utf-8", "replace")
            found[index] = TestOutcome(tests[index], match[3] == "ok", int(match[4]), output, int(match[5]))
    return [found.get(index, TestOutcome(test, False, None, "", 0)) for index, test in enumerate(tests)]
