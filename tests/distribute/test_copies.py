"""One copy and no second one, whatever becomes of the call that asks for it; and nothing of one that fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jenkins_ami.cloud.environments import Region
from jenkins_ami.cloud.ledger import Ledger, Scope, read
from tests.cloud import proxy as faults
from tests.cloud.server import ACCOUNT, REGION

EAST = "us-east-1"


@pytest.fixture
def east(built):
    built.settle(regions={EAST: Region()})
    return built


def open_entries(built) -> list[str]:
    return [f"{entry.kind} {entry.key}" for entry in read(built.folder / "ledger.jsonl") if entry.open]


def assert_one_copy(built) -> None:
    (copy,), (snapshot,) = built.images(EAST), built.snapshots(EAST)
    for resource in (copy.id, snapshot.id):
        tags = built.tags(EAST, resource)
        assert "jenkins-ami:expires" not in tags
        assert tags["jenkins-ami:input"] == "f00d"
    assert built.result.images[EAST].image_id == copy.id
    assert open_entries(built) == []


# The call


@pytest.mark.parametrize("fault", ["throttled", "failed", "reset", "answer_lost"])
def test_a_fault_of_the_call_makes_one_copy(east, fault):
    east.proxy.on(getattr(faults, fault), action="CopyImage")
    assert east.distribute().failures == {}
    assert_one_copy(east)


def test_a_copy_that_nobody_knows_yet_is_waited_for(east):
    east.proxy.on(faults.unseen(3), action="CopyImage")
    assert east.distribute().failures == {}
    assert_one_copy(east)


def test_a_region_that_is_full_of_copies_is_waited_for(east):
    def full(exchange) -> None:
        exchange.refuse(400, "ResourceLimitExceeded", "Too many snapshot copies in progress")

    east.proxy.on(full, action="CopyImage", times=3)
    assert east.distribute().failures == {}
    assert_one_copy(east)


def test_a_region_that_stays_full_of_copies_is_a_failure(east):
    def full(exchange) -> None:
        exchange.refuse(400, "ResourceLimitExceeded", "Too many snapshot copies in progress")

    east.proxy.on(full, action="CopyImage", times=None)
    assert "there was no room for a copy within 0.1 s" in east.distribute(seconds=0.1).failures[EAST]
    assert open_entries(east) == []


def test_copies_are_in_the_ledger_before_they_are_asked_for(east):
    seen = []

    def look(exchange) -> None:
        seen.extend(open_entries(east))
        faults.passed(exchange)

    east.proxy.on(look, action="CopyImage")
    east.distribute()
    assert seen == [f"snapshot {EAST}/b1", f"image {EAST}/web-1.4.0-3"]


# Killed


@pytest.fixture
def killed(east, server):
    """Run the command in a process of its own, which dies at a call."""
    (east.folder / "environments.yaml").write_text(
        f"environments:\n  lab:\n    region: {REGION}\n    endpoint: {east.proxy.url}\n    encrypted: false\n"
        f"    regions: [{EAST}]\n"
    )

    def kill(fault, **call: object) -> None:
        rule = east.proxy.on(fault, **call)
        words = [sys.executable, "-W", "error", "-m", "jenkins_ami", "distribute", str(east.folder)]
        words += ["--environment", "lab", "--environments", str(east.folder / "environments.yaml")]
        root = Path(__file__).parents[2]
        client = subprocess.Popen(words, cwd=root, stderr=subprocess.PIPE, text=True, env=os.environ.copy())
        east.proxy.client = client.pid
        _, said = client.communicate()
        assert (client.returncode, rule.used) == (-9, 1), said

    return kill


@pytest.mark.parametrize("when", [faults.killed_before, faults.killed_after])
@pytest.mark.parametrize("action", ["CopyImage", "CreateTags", "DeleteTags"])
def test_what_is_killed_is_gone_on_with(east, killed, action, when):
    killed(when, action=action, region=EAST)
    east.distribute()
    assert east.result.failures == {}
    assert_one_copy(east)


@pytest.mark.parametrize("when", [faults.killed_before, faults.killed_after])
def test_what_is_killed_at_its_copy_is_cleaned_up(east, killed, cli, when):
    killed(when, action="CopyImage", region=EAST)
    assert cli("cleanup", east.folder) == 0, cli.err
    assert (east.images(EAST), east.snapshots(EAST)) == ([], [])
    assert [image.id for image in east.images(REGION)] == [east.image_id]
    assert open_entries(east) == []


@pytest.mark.parametrize("when", [faults.killed_before, faults.killed_after])
def test_the_result_of_the_build_survives_the_cleanup_of_a_copy(east, killed, cli, when):
    killed(when, action="CopyImage", region=EAST)
    assert cli("cleanup", east.folder) == 0
    assert (east.folder / "ami.json").exists()


# Waiting


def test_a_copy_that_is_pending_is_waited_for_and_its_progress_shown(east, server):
    server.script.image_states = ["pending"] * 4
    server.script.snapshot_progress = [10, 40, 80]
    assert east.distribute().failures == {}
    assert_one_copy(east)


def test_a_copy_that_fails_is_told_with_its_reason_and_nothing_is_left_of_it(east, server):
    server.script.image_states = ["pending", "failed"]
    server.script.image_reason = "Given key ID is not accessible"
    failure = east.distribute().failures[EAST]
    assert failure.startswith("the copy ami-")
    assert "failed: Given key ID is not accessible" in failure
    assert (east.images(EAST), east.snapshots(EAST)) == ([], [])
    assert open_entries(east) == []
    server.script.image_states = []
    assert east.distribute().failures == {}
    assert_one_copy(east)


def test_a_copy_that_takes_too_long_is_left_to_the_next_run(east, server):
    server.script.image_states = ["pending"] * 10_000
    failure = east.distribute(seconds=0.1).failures[EAST]
    assert "is not available after 0.1 s" in failure
    assert len(open_entries(east)) == 2
    east.let_pending_be("available")
    assert [change for change in east.changes(east.distribute) if change.startswith("CopyImage")] == []
    assert_one_copy(east)


def test_a_copy_that_somebody_deregisters_meanwhile_is_told(east, server, cloud):
    server.script.image_states = ["pending"] * 10_000
    looks = []

    def deregister() -> None:
        looks.append(1)
        if len(looks) == 5:
            east.server.cloud.simulation.images.clear()
            for image in east.images(EAST):
                east.server.cloud.store.remove_image(image.id)

    server.before["describe_images"] = deregister
    assert "is not there any more" in east.distribute().failures[EAST]


def test_a_copy_that_failed_before_is_replaced(east, server):
    server.script.image_states = ["pending"] * 10_000
    east.distribute(seconds=0.1)
    (before,) = east.images(EAST)
    east.let_pending_be("failed")
    server.script.image_states = []
    assert east.distribute().failures == {}
    assert_one_copy(east)
    assert east.images(EAST)[0].id != before.id


def test_another_images_copy_is_not_taken_for_this_ones(east, server):
    server.image("other", {"jenkins-ami:copy-of": f"{REGION}/ami-00000000000000000"}, region=EAST)
    east.distribute()
    assert len(east.images(EAST)) == 2


def test_a_copy_is_noted_with_the_identity_of_the_build(east):
    east.distribute()
    with Ledger(east.folder / "ledger.jsonl") as ledger:
        assert ledger.scopes == [Scope.of(east.environment, "b1", ACCOUNT)]
