"""A build that is killed: around the line of its ledger that decides, and gone on with from what it had begun.

At every line and every call, and with all other faults: ``tests/faults``.
"""

from __future__ import annotations

import base64
import gzip
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from jenkins_ami.artifacts import read_build_result
from jenkins_ami.build.run import build
from jenkins_ami.cloud.ledger import read
from jenkins_ami.progress import Progress

from .compiled import OK, write

ITSELF = "Client.InstanceInitiatedShutdown"
LINES = [
    "build",
    "its plan",
    "object",
    "its URL",
    "instance",
    "its id",
    "snapshot",
    "image",
    "its id",
    "snapshot's id",
    "instance gone",
    "object gone",
    "its result",
    "kept",
    "marked",
]
KEPT = LINES.index("kept") + 1


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


def test_a_build_killed_before_it_is_kept_has_no_result(server, killed, cli):
    out = killed("before", KEPT)
    assert (out / "ami.json").exists()
    assert cli("cleanup", out) == 0
    server.assert_nothing_is_left()
    assert not (out / "ami.json").exists()
    assert not (out / "ami.env").exists()


@pytest.mark.parametrize(("when", "line"), [("after", KEPT), ("before", KEPT + 1), ("after", KEPT + 1)])
def test_a_build_killed_once_it_is_kept_is_complete_and_cleanup_marks_its_image(server, killed, cli, when, line):
    out = killed(when, line)
    assert cli("cleanup", out) == 0
    (image,) = server.images
    assert (image.name, len(server.snapshots)) == ("web-1.0-1", 1)
    assert (out / "ami.json").exists()
    assert not server.instances
    for resource in (image, *server.snapshots):
        tags = {tag["key"] for tag in resource.get_tags()}
        assert "jenkins-ami:input" in tags
        assert "jenkins-ami:expires" not in tags


@pytest.mark.parametrize("line", ["its plan", "its URL", "instance", "image", "instance gone"])
def test_a_build_that_was_killed_is_gone_on_with(server, environment, killed, line):
    out = killed("after", LINES.index(line) + 1)
    where = replace(environment, storage="s3://test-storage", instance_s3_endpoint=None)
    result = build(out, where, out, Progress(), go_on=True)
    (image,) = server.images
    assert result.images["eu-central-1"].image_id == image.id
    assert read_build_result(out) == result
    assert {tag["key"]: tag["value"] for tag in image.get_tags()}["jenkins-ami:input"] == result.input
    assert not server.instances
    assert len(server.snapshots) == 1
    assert server.objects == []
    assert [entry for entry in read(out / "ledger.jsonl") if entry.open] == []
    assert len(server.launches) == 1, "it went on with the instance that was there"


def test_an_instance_that_is_taken_away_after_a_resume_is_launched_anew_with_the_overlay(server, environment, killed):
    out = killed("after", LINES.index("instance") + 2)

    def taken_away():
        server.before.clear()
        (instance,) = server.cloud.fleet.guests.values()
        instance.come_to("terminated", ("Server.InternalError", "Server.InternalError"))

    server.before["describe_instances"] = taken_away
    where = replace(environment, storage="s3://test-storage", instance_s3_endpoint=None)
    build(out, where, out, Progress(), go_on=True)
    assert len(server.launches) == 2
    text = gzip.decompress(base64.b64decode(server.launches[1]["user_data"])).decode()
    assert f"{server.endpoint}/test-storage/" in text
