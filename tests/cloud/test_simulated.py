"""The simulated cloud itself: what its scripts do, in the process and over HTTP."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from jenkins_ami.artifacts import ImageTest
from jenkins_ami.compile.own import verdict_config
from jenkins_ami.verdict import image_tests, markers
from tests.localcloud.conftest import client

from . import simulated
from .simulated import Script, Shortage

NONCE = "0123456789abcdef"
PROVES_ITSELF = f"# nonce: {NONCE}\n".encode()


@pytest.fixture
def own(server):
    """The server, with machines that do what their user-data says."""
    server.cloud.simulation.script = Script()
    return server


def launch(cloud, server, name: str = "web", **more) -> str:
    base = server.base_id or server.base()
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "jenkins-ami:name", "Value": name}]}]
    answer = cloud.ec2.run_instances(ImageId=base, MinCount=1, MaxCount=1, TagSpecifications=tags, **more)
    return answer["Instances"][0]["InstanceId"]


def state(cloud, instance: str) -> tuple[str, str]:
    (reservation,) = cloud.ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    seen = reservation["Instances"][0]
    return seen["State"]["Name"], seen.get("StateReason", {}).get("Code", "")


def console(cloud, instance: str) -> bytes:
    return cloud.ec2.get_console_output(InstanceId=instance, Latest=True).get("Output", "").encode()


def refusal(call, **params) -> str:
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value.response["Error"]["Code"]


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["gzip", "plain"])
def test_user_data_as_compile_writes_it_proves_itself_and_stops(own, cloud, pack):
    power = json.dumps(verdict_config(NONCE, []).plain())
    instance = launch(cloud, own, UserData=pack(f"#cloud-config\n{power}\n".encode()))
    assert state(cloud, instance) == ("stopped", "Client.InstanceInitiatedShutdown")
    assert markers.parse(console(cloud, instance), NONCE).state == markers.OK


def test_any_other_user_data_runs_for_ever(own, cloud):
    assert state(cloud, launch(cloud, own, UserData=b"#!/bin/sh\n"))[0] == "running"


@pytest.mark.parametrize(("failing", "verdict"), [({}, markers.OK), ({1: 3}, markers.FAIL)])
def test_tests_on_the_first_boot_are_run(own, cloud, failing, verdict):
    own.script.failing = failing
    tests = [ImageTest("one", "true"), ImageTest("two", "true")]
    instance = launch(cloud, own, UserData=image_tests.user_data(tests, NONCE))
    assert state(cloud, instance)[0] == "stopped"
    said = console(cloud, instance)
    assert [outcome.ok for outcome in image_tests.parse(said, tests, NONCE)] == [True, not failing]
    assert markers.parse(said, NONCE).state == verdict


@pytest.mark.parametrize(
    ("come_to", "reason"),
    [
        ("stopped", "Client.UserInitiatedShutdown"),
        ("stopped", "Server.InternalError"),
        ("terminated", "Server.SpotInstanceTermination"),
    ],
)
def test_an_instance_comes_to_what_its_script_says(own, cloud, come_to, reason):
    own.stop(reason, state=come_to)
    assert state(cloud, launch(cloud, own)) == (come_to, reason)


def test_a_console_may_lag_and_lose_its_beginning(own, cloud):
    own.script.console_reads = 2
    own.script.console_window = 10
    instance = launch(cloud, own, UserData=PROVES_ITSELF)
    assert [console(cloud, instance) for _ in range(3)] == [b"", b"", b"89abcdef\r\n"]
    own.script.console_delay = 60
    assert console(cloud, instance) == b""


def test_an_instance_may_run_for_a_while(own, cloud):
    own.script.delay = 3600
    instance = launch(cloud, own, UserData=PROVES_ITSELF)
    assert state(cloud, instance)[0] == "running"
    own.cloud.simulation.running[instance].due = 0
    assert state(cloud, instance)[0] == "stopped"


def test_an_image_goes_through_its_states_and_its_snapshot_makes_progress(own, cloud):
    own.script.image_states = ["pending", "pending", "failed"]
    own.script.image_reason = "Client.InternalError"
    own.script.snapshot_progress = [10, 60]
    image = cloud.ec2.create_image(InstanceId=launch(cloud, own, UserData=PROVES_ITSELF), Name="web-1.0-1")["ImageId"]
    seen = []
    for _ in range(3):
        snapshots = cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        (found,) = cloud.ec2.describe_images(ImageIds=[image])["Images"]
        seen.append((found["State"], max(int(snapshot["Progress"][:-1]) for snapshot in snapshots[1:])))
    assert seen == [("pending", 10), ("pending", 60), ("failed", 100)]
    assert found["StateReason"]["Code"] == "Client.InternalError"


def test_a_snapshot_without_progress_is_unknown_as_long_as_its_image_is_pending(own, cloud):
    own.script.image_states = ["pending"]
    image = cloud.ec2.create_image(InstanceId=launch(cloud, own, UserData=PROVES_ITSELF), Name="web-1.0-1")["ImageId"]
    assert len(own.snapshots) == 0
    states = [cloud.ec2.describe_images(ImageIds=[image])["Images"][0]["State"] for _ in range(2)]
    assert states == ["pending", "available"]
    assert len(own.snapshots) == 1


def test_copies_in_other_regions_go_through_their_states_as_well(own, cloud):
    own.script.image_states = ["pending", "pending"]
    there = client(own.endpoint, "ec2", "eu-west-1")
    params = {"SourceImageId": own.base(), "SourceRegion": "eu-central-1", "Name": "copy"}
    copy = there.copy_image(**params)["ImageId"]
    cloud.ec2.describe_images(Owners=["self"])
    states = [there.describe_images(ImageIds=[copy])["Images"][0]["State"] for _ in range(3)]
    assert states == ["pending", "pending", "available"]


def test_a_pending_image_can_be_deregistered_and_its_snapshot_appears(own, cloud):
    own.script.image_states = ["pending"] * 9
    image = cloud.ec2.create_image(InstanceId=launch(cloud, own, UserData=PROVES_ITSELF), Name="web-1.0-1")["ImageId"]
    assert own.snapshots == []
    cloud.ec2.deregister_image(ImageId=image)
    assert len(own.snapshots) == 1


def test_what_was_just_made_is_unknown_for_a_while(own, cloud):
    own.script.unknown = 2
    instance = launch(cloud, own, UserData=PROVES_ITSELF)
    describe = cloud.ec2.describe_instances
    assert refusal(describe, InstanceIds=[instance]) == "InvalidInstanceID.NotFound"
    assert describe()["Reservations"] == []
    assert state(cloud, instance)[0] == "stopped"
    image = cloud.ec2.create_image(InstanceId=instance, Name="web-1.0-1")["ImageId"]
    assert refusal(cloud.ec2.describe_images, ImageIds=[image]) == "InvalidAMIID.NotFound"
    assert len(cloud.ec2.describe_images(Owners=["self"])["Images"]) == 1
    assert cloud.ec2.describe_images(ImageIds=[image])["Images"][0]["State"] == "available"


def test_capacity_may_lack_for_a_type_or_for_spot(own, cloud):
    own.cloud.simulation.shortages = [Shortage("m5.large", times=1), Shortage(spot=True, code="SpotMaxPriceTooLow")]
    params = {"ImageId": own.base(), "MinCount": 1, "MaxCount": 1, "InstanceType": "m5.large"}
    run = cloud.ec2.run_instances
    assert refusal(run, **params, DryRun=True) == "DryRunOperation"
    assert refusal(run, **params) == "InsufficientInstanceCapacity"
    assert refusal(run, **params, InstanceMarketOptions={"MarketType": "spot"}) == "SpotMaxPriceTooLow"
    assert run(**params)["Instances"]


def test_a_lost_answer_comes_after_the_effect(own, cloud):
    own.lose("run_instances")
    params = {"ImageId": own.base(), "MinCount": 1, "MaxCount": 1, "ClientToken": "t"}
    run = cloud.ec2.run_instances
    first = run(**params)["Instances"][0]["InstanceId"]  # botocore asks again
    assert [instance.id for instance in own.instances] == [first]
    own.lose("create_image", "UnauthorizedOperation")
    assert refusal(cloud.ec2.create_image, InstanceId=first, Name="web-1.0-1") == "UnauthorizedOperation"
    assert [image.name for image in own.images] == ["web-1.0-1"]


def test_builds_of_different_names_have_different_scripts(own, cloud):
    own.cloud.simulation.rules = {"hangs": Script(state="running")}
    assert state(cloud, launch(cloud, own, "hangs", UserData=PROVES_ITSELF))[0] == "running"
    assert state(cloud, launch(cloud, own, "web", UserData=PROVES_ITSELF))[0] == "stopped"


def test_a_hook_is_called_before_the_action_and_may_use_the_endpoint(own, cloud):
    instance, seen = launch(cloud, own), []
    own.before["terminate_instances"] = lambda: seen.append(state(cloud, instance)[0])
    cloud.ec2.terminate_instances(InstanceIds=[instance])
    assert seen == ["running"]
    assert not own.instances


# As a process of its own


def control(url: str, data: object = None) -> dict:
    body = None if data is None else json.dumps(data).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/.simulated", body)) as answer:
        return json.load(answer)


@pytest.fixture
def process(tmp_path: Path):
    argv = [sys.executable, "-m", "tests.cloud.simulated", "--state", str(tmp_path / "state")]
    root = Path(__file__).parents[2]
    with subprocess.Popen(argv, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout and child.stderr
        try:
            yield child.stdout.readline().strip()
            child.send_signal(signal.SIGTERM)
            assert child.wait(30) == 0
            assert "Traceback" not in child.stderr.read()
        finally:
            child.kill()


def test_it_runs_as_a_process_that_is_scripted_over_http(process):
    (base,) = control(process)["images"]
    control(process, {"rules": {"hangs": {"state": "running"}, "fails": {"console": "no\n", "state": "stopped"}}})
    ec2 = client(process, "ec2", "eu-central-1")
    states = {}
    for name in ("hangs", "fails", "web"):
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "jenkins-ami:name", "Value": name}]}]
        params = {"ImageId": base, "MinCount": 1, "MaxCount": 1, "UserData": PROVES_ITSELF, "TagSpecifications": tags}
        instance = ec2.run_instances(**params)["Instances"][0]["InstanceId"]
        states[name] = instance
    report = control(process)
    assert {name: report["instances"][instance] for name, instance in states.items()} == {
        "hangs": "running",
        "fails": "stopped",
        "web": "stopped",
    }
    assert (report["launches"], report["calls"]) == (3, {"RunInstances": 3})
    output = ec2.get_console_output(InstanceId=states["fails"])
    assert output["Output"] == "no\n"
    control(process, {"refuse": {"run_instances": [["UnauthorizedOperation", "no"]]}})
    assert refusal(ec2.run_instances, ImageId=base, MinCount=1, MaxCount=1) == "UnauthorizedOperation"


@pytest.mark.parametrize("data", [{"scripts": {}}, {"script": {"stat": "running"}}, {"shortages": [{"x": 1}]}, []])
def test_a_script_that_makes_no_sense_is_refused(process, data):
    with pytest.raises(urllib.error.HTTPError) as caught:
        control(process, data)
    with caught.value as answer:
        assert answer.code == 400
        assert json.load(answer)["error"]


def test_instances_are_forgotten_some_time_after_their_end(own, cloud, monkeypatch):
    monkeypatch.setattr(simulated, "TERMINATED", 2)
    launched = [launch(cloud, own) for _ in range(6)]
    cloud.ec2.terminate_instances(InstanceIds=launched[:5])
    known = [each["Instances"][0]["InstanceId"] for each in cloud.ec2.describe_instances()["Reservations"]]
    assert known == launched[3:]
