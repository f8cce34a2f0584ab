"""Fixtures for all tests: AMI sources as files, the command line, the base image, a local cloud's state."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from jenkins_ami.cli import main

REPOSITORY = Path(__file__).parent.parent
EXAMPLES = REPOSITORY / "examples"

MakeSource = Callable[..., Path]


@pytest.fixture
def make_source(tmp_path: Path) -> MakeSource:
    """Write an AMI source: ``make_source({"cloudinit/10_x.yml": "..."})``; ami.env comes with it unless given."""

    def make(files: Mapping[str, str | bytes] | None = None, *, name: str = "source", env: str | None = None) -> Path:
        root = tmp_path / name
        content: dict[str, str | bytes] = {"ami.env": env or "NAME=test\nVERSION=1.0\nBASE=scratch\n"}
        content.update(files if files is not None else {"cloudinit/10_a.yml": '#cloud-config\nruncmd: ["true"]\n'})
        for path, text in content.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text if isinstance(text, bytes) else text.encode())
        return root

    return make


class Cli:
    """Runs the command line in this process and keeps what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *argv: str | Path) -> int:
        code = main([str(word) for word in argv])
        self.out, self.err = self._capsys.readouterr()
        return code

    @property
    def error(self) -> str:
        """The one line that begins with ``error:``."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("error: ")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)
