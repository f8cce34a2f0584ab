"""``make pipeline``: a step in the harness, with the real command, in one go. A build that boots is in tests/groovy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jenkins_ami.process import run
from tests.conftest import REPOSITORY
from tests.pipeline import main

pytestmark = pytest.mark.groovy


def test_the_console_is_printed_and_then_what_is_archived_and_the_result(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "ami.env").write_text("NAME=minimal\nVERSION=1.0\nBASE=scratch\n")
    (source / "ami.yaml").write_text("nonsense: 1\n")
    words = [sys.executable, "-m", "tests.pipeline", source, "-o", tmp_path / "out"]
    done = run(words, cwd=REPOSITORY, check=False, timeout=300)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    (failed,) = (number for number, line in enumerate(lines) if line.startswith("ERROR: jenkins-ami compile failed"))
    assert "nonsense" in lines[failed]
    assert lines[failed + 1 :] == [
        "Finished: FAILURE",
        "",
        f"Archived in {tmp_path / 'out' / 'build' / 'archive'}:",
        "FAILURE",
    ]


def test_a_source_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path / "nowhere")])
    assert f"error: {tmp_path / 'nowhere'} is no folder" in capsys.readouterr().err
