"""Launching by the first way that has capacity, and again when EC2 takes an instance away."""

from __future__ import annotations

import io
import random
from dataclasses import replace

import pytest

from jenkins_ami.artifacts import ImageTest
from jenkins_ami.build.prepare import Options
from jenkins_ami.build.run import build
from jenkins_ami.cloud.ledger import read
from jenkins_ami.errors import CloudError, InstanceFailure, StorageError
from jenkins_ami.progress import PlainProgress, Progress

from ..cloud.simulated import Script, Shortage
from .compiled import FAIL, OK, write

ITSELF = "Client.InstanceInitiatedShutdown"


@pytest.fixture
def subnets(server, cloud) -> tuple[str, ...]:
    found = cloud.ec2.describe_subnets()["Subnets"]
    return tuple(sorted(subnet["SubnetId"] for subnet in found))[:2]


@pytest.fixture
def run(server, environment, tmp_path):
    base = server.base()
    server.stop(ITSELF, console=OK)

    def run(environment=environment, options=Options(), progress=None, **changes):  # noqa: B008
        target = write(tmp_path / "compiled", **({"base": base} | changes))
        return build(target, environment, target, progress or Progress(), options)

    return run


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


def taken(server, reason: str, *, times: int = 1, state: str = "stopped") -> None:
    """The first instances are taken away; those after them succeed."""

    def launch():
        count = len(server.launches)
        lost = Script(state=state, reason=reason, console=b"booting\n")
        server.cloud.simulation.script = lost if count < times else Script(state="stopped", reason=ITSELF, console=OK)

    server.before["run_instances"] = launch


def test_types_and_subnets_are_tried_in_their_order(server, run, environment, subnets):
    server.cloud.simulation.shortages += [Shortage(instance_type="m5.large"), Shortage(subnet=subnets[0])]
    result = run(replace(environment, subnets=subnets), instance_types=("m5.large", "m6i.large"))
    assert (result.instance_type, result.subnet) == ("m6i.large", subnets[1])
    assert len(server.launches) == 1


def test_spare_capacity_gives_way_to_the_ordinary_kind(server, run, log):
    server.cloud.simulation.shortages.append(Shortage(spot=True, code="MaxSpotInstanceCountExceeded"))
    result = run(spot=True, progress=PlainProgress(log))
    assert (result.spot, result.attempts) == (False, 1)
    assert "t3.small spot cannot be had [MaxSpotInstanceCountExceeded], trying t3.small" in log.getvalue()


def test_a_spot_instance_leaves_no_request_that_launches_another(server, run, cloud):
    result = run(spot=True)
    assert result.spot
    requests = cloud.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert [each["State"] for each in requests] in ([], ["cancelled"])
    assert not server.instances


def test_anything_but_lack_of_capacity_ends_the_build_at_once(server, run):
    server.cloud.simulation.shortages.append(Shortage(instance_type="m5.large", code="VcpuLimitExceeded"))
    with pytest.raises(CloudError, match="VcpuLimitExceeded"):
        run(instance_types=("m5.large", "m6i.large"))
    assert server.launches == []
    server.assert_nothing_is_left()


def test_capacity_that_comes_within_the_deadline_is_waited_for(server, run, environment):
    server.cloud.simulation.shortages.append(Shortage(times=5))
    pace = replace(environment.pace, capacity=0.05)
    assert run(replace(environment, pace=pace), instance_types=("m5.large", "m6i.large")).verdict == "ok"


def test_capacity_that_does_not_come_within_the_deadline_is_the_reason(server, run, environment):
    server.cloud.simulation.shortages.append(Shortage())
    pace = replace(environment.pace, capacity=0.05)
    with pytest.raises(CloudError, match="InsufficientInstanceCapacity"):
        run(replace(environment, pace=pace), Options(timeout=0.5))
    server.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("reason", "state", "said"),
    [
        ("Server.SpotInstanceTermination", "terminated", "EC2 took the spot capacity back"),
        ("Server.SpotInstanceShutdown", "stopped", "EC2 took the spot capacity back"),
        ("Server.InsufficientInstanceCapacity", "terminated", "EC2 has no capacity for it"),
        ("Server.InternalError", "stopped", "EC2 had an internal error"),
        ("Server.ScheduledStop", "stopped", "EC2 stopped it for maintenance"),
    ],
)
def test_an_instance_that_ec2_takes_away_is_named_and_another_one_launched(server, run, log, reason, state, said):
    taken(server, reason, state=state)
    result = run(progress=PlainProgress(log))
    assert (result.verdict, result.attempts) == ("ok", 2)
    assert f"{said} [{reason}]" in log.getvalue()
    assert not server.instances
    assert len(server.images) == 1


def test_after_a_spot_reclaim_the_ordinary_kind_is_launched(server, run):
    taken(server, "Server.SpotInstanceTermination", state="terminated")
    result = run(spot=True)
    assert (result.spot, result.attempts) == (False, 2)
    assert "InstanceMarketOptions" in server.launches[0]["params"]


def test_the_consoles_of_all_attempts_are_kept(server, run, tmp_path):
    taken(server, "Server.InternalError")
    run()
    text = (tmp_path / "compiled" / "console.log").read_text()
    assert text.count("== i-") == 2
    assert "(t3.small): the instance was stopped: EC2 had an internal error" in text
    assert "booting" in text
    assert "VERDICT:OK" in text


def test_an_instance_that_is_taken_away_each_time_is_the_reason(server, run):
    taken(server, "Server.InternalError", times=100)
    with pytest.raises(InstanceFailure, match=r"EC2 had an internal error \[Server.InternalError\] \(5 instances"):
        run()
    assert len(server.launches) == 5
    server.assert_nothing_is_left()


def test_an_instance_that_is_taken_away_is_not_replaced_once_the_time_is_over(server, run):
    taken(server, "Server.InternalError", times=100)
    server.before["describe_instances_by_id"] = lambda: None
    with pytest.raises(InstanceFailure, match=r"Server\.InternalError"):
        run(options=Options(timeout=0.0))
    assert len(server.launches) == 1
    server.assert_nothing_is_left()


# The image's first boot


TESTS = (ImageTest("serves", "curl localhost"), ImageTest("is quiet", "true"))


@pytest.fixture
def by_user_data(server):
    """Instances do what their user-data makes of them."""
    server.cloud.simulation.script = Script()


def test_an_image_that_passes_its_tests_is_the_result(server, run, by_user_data, tmp_path):
    result = run(options=Options(test=True), tests=TESTS)
    assert [(test.name, test.ok) for test in result.tested] == [("serves", True), ("is quiet", True)]
    assert len(server.launches) == 2
    assert server.launches[1]["params"]["ImageId"] == result.images["eu-central-1"].image_id
    assert not server.instances
    assert "JENKINS-AMI-TEST" in (tmp_path / "compiled" / "console-test.log").read_text()


def test_an_image_that_fails_a_test_is_deregistered(server, run, by_user_data, tmp_path):
    server.cloud.simulation.script.failing = {1: 7}
    with pytest.raises(InstanceFailure) as caught:
        run(options=Options(test=True), tests=TESTS)
    assert caught.value.what == "the image web-1.0-1 fails its test 'is quiet': exited with 7 instead of 0"
    server.assert_nothing_is_left()
    assert not (tmp_path / "compiled" / "ami.json").exists()
    assert [entry for entry in read(tmp_path / "compiled" / "ledger.jsonl") if entry.open] == []


def test_an_image_without_tests_has_to_boot(server, run, by_user_data):
    result = run(options=Options(test=True))
    assert result.tested == ()
    assert len(server.launches) == 2


def test_an_image_that_somebody_stops_while_it_is_tested_is_no_image(server, run, by_user_data):
    def second():
        if server.launches:
            server.stop("Client.UserInitiatedShutdown")

    server.before["run_instances"] = second
    with pytest.raises(InstanceFailure, match="does not pass its test: the instance was stopped: somebody stopped"):
        run(options=Options(test=True), tests=TESTS)
    server.assert_nothing_is_left()


def test_tests_that_do_not_fit_into_user_data_are_told(server, run, by_user_data):
    noise = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=60_000))
    with pytest.raises(StorageError, match=r"the tests have .* bytes as user-data, EC2 takes 16,384"):
        run(options=Options(test=True), tests=(ImageTest("long", f"echo {noise}"),))
    server.assert_nothing_is_left()


def test_without_a_marker_required_a_silent_power_off_is_an_image_that_says_so(server, run, log):
    server.stop(ITSELF, console=b"bye\n")
    result = run(options=Options(require_marker=False), progress=PlainProgress(log))
    assert result.verdict == "unproved"
    assert "powered itself off without proving success" in log.getvalue()


def test_without_a_marker_required_a_fail_still_counts(server, run):
    server.stop(ITSELF, console=FAIL)
    with pytest.raises(InstanceFailure, match="the instance reported failure"):
        run(options=Options(require_marker=False))
    server.assert_nothing_is_left()
