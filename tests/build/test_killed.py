"""A build that is killed at any line of its ledger, and the cleanup that follows: nothing is ever left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .compiled import OK, write

ITSELF = "Client.InstanceInitiatedShutdown"
LINES = [
    "build",
    "object",
    "its URL",
    "instance",
    "its id",
    "snapshot",
    "image",
    "its id",
    "snapshot's id",
    "instance gone",
]
LINES += ["object gone", "kept"]


@pytest.fixture
def killed(server, cloud, tmp_path):
    """Run a build in a process of its own that dies at a line; gives the output folder."""
    cloud.s3.create_bucket(Bucket="test-storage", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    server.stop(ITSELF, console=OK)

    def kill(when: str, line: int) -> Path:
        target = write(tmp_path / "compiled", base=server.base(), overlay=b"the overlay")
        words = [sys.executable, "-W", "error", "-m", "tests.build.driver", target, server.endpoint, when, str(line)]
        root = Path(__file__).parents[2]
        done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (-9, "")
        return target

    return kill


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("line", range(1, len(LINES)), ids=LINES[:-1])
def test_a_build_killed_at_any_line_is_cleaned_up(server, killed, cli, line, when):
    out = killed(when, line)
    assert cli("cleanup", out) == 0, cli.err
    server.assert_nothing_is_left()
    assert cli("cleanup", out / "ledger.jsonl") == 0
    assert cli.out == "Nothing is left of any build\n"


def test_a_build_killed_before_its_last_line_has_no_result(server, killed, cli):
    out = killed("before", len(LINES))
    assert (out / "ami.json").exists()
    assert cli("cleanup", out) == 0
    server.assert_nothing_is_left()
    assert not (out / "ami.json").exists()
    assert not (out / "ami.env").exists()


def test_a_build_killed_after_its_last_line_is_complete(server, killed, cli):
    out = killed("after", len(LINES))
    assert cli("cleanup", out) == 0
    assert [image.name for image in server.images] == ["web-1.0-1"]
    assert len(server.snapshots) == 1
    assert (out / "ami.json").exists()
    assert not server.instances
