from __future__ import annotations

import base64
import os
import signal
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from jenkins_ami.errors import HostError
from jenkins_ami.localcloud import hardware, instances
from jenkins_ami.localcloud import store as store_module
from jenkins_ami.localcloud.hardware import Size, firmware_for, size_of
from tests.localcloud import bootsector
from tests.localcloud.bootsector import HANG, OBEY_POWER_BUTTON, POWEROFF, RESET, say
from tests.localcloud.conftest import COUNT_BOOTS, Cloud, refusal, until


def tags(**pairs: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def as_dict(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {pair["Key"]: pair["Value"] for pair in pairs}


# RunInstances


def test_an_instance_is_a_machine_that_runs_the_image(cloud: Cloud) -> None:
    image = cloud.image(say("hello from inside") + HANG)
    instance = cloud.launch(
        image,
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": tags(Name="a <b> & c")},
            {"ResourceType": "volume", "Tags": tags(Name="disk")},
        ],
    )
    seen = cloud.wait(instance, "running")
    assert (seen["ImageId"], seen["InstanceType"], seen["RootDeviceName"]) == (image, "t3.micro", "/dev/xvda")
    assert as_dict(seen["Tags"]) == {"Name": "a <b> & c"}
    assert seen["PrivateIpAddress"] == "169.254.10.15"
    assert "PublicIpAddress" not in seen
    cloud.wait_console(instance, "hello from inside")
    (volume,) = cloud.ec2.describe_volumes()["Volumes"]
    assert (volume["Size"], volume["State"], as_dict(volume["Tags"])) == (1, "in-use", {"Name": "disk"})
    assert seen["BlockDeviceMappings"][0]["Ebs"]["VolumeId"] == volume["VolumeId"]


def test_several_instances_are_started_at_once(cloud: Cloud) -> None:
    answer = cloud.ec2.run_instances(ImageId=cloud.image(), MinCount=1, MaxCount=2, InstanceType="t3.nano")
    assert [one["AmiLaunchIndex"] for one in answer["Instances"]] == [0, 1]
    for one in answer["Instances"]:
        cloud.wait(one["InstanceId"], "running")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "debian"}, "InvalidAMIID.Malformed"),
        ({"UserData": "x" * 16385}, "InvalidParameterValue"),
        ({"InstanceType": "t3.gigantic"}, "InvalidParameterValue"),
        ({"InstanceType": "t4g.micro"}, "InvalidParameterValue"),
        ({"KeyName": "nobody"}, "InvalidKeyPair.NotFound"),
        ({"SubnetId": "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound"),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
        ({"MinCount": 3, "MaxCount": 2}, "InvalidParameterValue"),
        ({"MinCount": 21, "MaxCount": 21}, "InstanceLimitExceeded"),
        ({"InstanceInitiatedShutdownBehavior": "explode"}, "InvalidParameterValue"),
        ({"LaunchTemplate": {"LaunchTemplateName": "x"}}, "UnsupportedOperation"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 9}}]}, "UnsupportedOperation"),
        (
            {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": "snap-0123456789abcdef0"}}]},
            "InvalidBlockDeviceMapping",
        ),
        ({"TagSpecifications": [{"ResourceType": "image", "Tags": []}]}, "InvalidParameterValue"),
        (
            {"TagSpecifications": [{"ResourceType": "instance", "Tags": tags(**{"aws:x": "1"})}]},
            "InvalidParameterValue",
        ),
        ({"DryRun": True}, "DryRunOperation"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_what_ec2_refuses_is_refused_and_starts_nothing(cloud: Cloud, change: dict[str, Any], code: str) -> None:
    params = {"ImageId": cloud.image(), "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1} | change
    assert refusal(cloud.ec2.run_instances, **params) == code
    assert cloud.ec2.describe_instances()["Reservations"] == []
    assert cloud.ec2.describe_volumes()["Volumes"] == []


def test_a_volume_may_be_larger_than_its_image_but_not_smaller(cloud: Cloud) -> None:
    image = cloud.image(POWEROFF)
    volume = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 3, "DeleteOnTermination": True}}]
    instance = cloud.launch(image, BlockDeviceMappings=volume)
    cloud.wait(instance, "stopped")
    larger = cloud.create_image(instance, "larger")
    assert larger["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 3
    volume[0]["Ebs"]["VolumeSize"] = 2  # type: ignore[index]
    params = {"ImageId": larger["ImageId"], "MinCount": 1, "MaxCount": 1, "BlockDeviceMappings": volume}
    assert refusal(cloud.ec2.run_instances, **params) == "InvalidBlockDeviceMapping"


def test_user_data_of_16384_bytes_is_taken_and_kept(cloud: Cloud) -> None:
    data = os.urandom(16384)
    instance = cloud.launch(cloud.image(), UserData=data)
    kept = cloud.ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")["UserData"]["Value"]
    assert base64.b64decode(kept) == data


def test_a_client_token_makes_one_instance_however_often_it_is_sent(cloud: Cloud) -> None:
    image = cloud.image()
    first = cloud.launch(image, ClientToken="once", UserData="a")
    assert cloud.launch(image, ClientToken="once", UserData="a") == first
    assert cloud.launch(image, ClientToken="twice", UserData="a") != first
    params = {"ImageId": image, "MinCount": 1, "MaxCount": 1, "ClientToken": "once", "UserData": "b"}
    assert refusal(cloud.ec2.run_instances, **params) == "IdempotentParameterMismatch"
    assert len(cloud.ec2.describe_instances()["Reservations"]) == 2


def test_a_client_token_holds_when_two_ask_at_the_same_time(cloud: Cloud) -> None:
    image, made = cloud.image(), []
    ask = [threading.Thread(target=lambda: made.append(cloud.launch(image, ClientToken="once"))) for _ in range(4)]
    for one in ask:
        one.start()
    for one in ask:
        one.join()
    assert len(made) == 4 and len(set(made)) == 1


def test_metadata_options_are_honoured(cloud: Cloud) -> None:
    instance = cloud.launch(cloud.image(), MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2})
    options = cloud.instance(instance)["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 2)
    imds = cloud.computer(instance).imds
    assert imds.metadata.tokens_required
    cloud.ec2.modify_instance_metadata_options(InstanceId=instance, HttpTokens="optional", HttpEndpoint="enabled")
    assert not imds.metadata.tokens_required


def test_without_disk_space_nothing_is_launched(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    image = cloud.image()
    monkeypatch.setattr(store_module, "RESERVE", 1 << 60)
    params = {"ImageId": image, "MinCount": 1, "MaxCount": 1}
    assert refusal(cloud.ec2.run_instances, **params) == "InsufficientVolumeCapacity"
    assert cloud.ec2.describe_instances()["Reservations"] == []


def test_a_host_that_cannot_run_the_machine_says_so(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    image = cloud.image()
    with monkeypatch.context() as patch:
        patch.setattr(hardware, "MAX_MEMORY", 1)  # QEMU refuses
        patch.setattr("jenkins_ami.localcloud.accel.QEMU", "qemu-system-none")
        params = {"ImageId": image, "MinCount": 1, "MaxCount": 1}
        assert refusal(cloud.ec2.run_instances, **params) == "InsufficientInstanceCapacity"
    (reservation,) = cloud.ec2.describe_instances()["Reservations"]
    until(lambda: cloud.instance(reservation["Instances"][0]["InstanceId"])["State"]["Name"] == "terminated")
    assert not list(cloud.store.disks.glob("vol-*"))


@pytest.mark.parametrize(
    ("vcpus", "memory", "size"), [(2, 1024, Size(2, 1024)), (1, 512, Size(1, 512)), (96, 393216, Size(4, 4096))]
)
def test_a_machine_is_as_large_as_its_type_within_reason(
    vcpus: int, memory: int, size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert size_of({"VCpuInfo": {"DefaultVCpus": vcpus}, "MemoryInfo": {"SizeInMiB": memory}}) == size


def test_a_busy_host_can_give_its_machines_fewer_processors(monkeypatch):
    large = {"VCpuInfo": {"DefaultVCpus": 8}, "MemoryInfo": {"SizeInMiB": 1024}}
    monkeypatch.setenv("JENKINS_AMI_VCPUS", "1")
    assert size_of(large).vcpus == 1
    monkeypatch.setenv("JENKINS_AMI_VCPUS", "none")
    with pytest.raises(HostError, match="JENKINS_AMI_VCPUS is 'none'"):
        size_of(large)


def test_the_firmware_is_the_boot_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "OVMF_CODE", Path("/"))
    assert [firmware_for(mode) for mode in ("", "legacy-bios", "uefi", "uefi-preferred")] == [
        "bios",
        "bios",
        "uefi",
        "uefi",
    ]
    monkeypatch.setattr(hardware, "OVMF_CODE", Path("/nowhere"))
    assert firmware_for("uefi-preferred") == "bios"


# States


def test_a_power_off_from_inside_stops_the_instance(cloud: Cloud) -> None:
    instance = cloud.launch(cloud.image(say("bye") + POWEROFF))
    seen = cloud.wait(instance, "stopped")
    assert seen["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert seen["StateTransitionReason"] == ""
    assert "bye" in cloud.console(instance)
    assert cloud.ec2.describe_volumes()["Volumes"][0]["State"] == "in-use"


def test_a_power_off_from_inside_terminates_where_that_was_asked_for(cloud: Cloud) -> None:
    instance = cloud.launch(cloud.image(say("bye") + POWEROFF), InstanceInitiatedShutdownBehavior="terminate")
    seen = cloud.wait(instance, "terminated")
    assert seen["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert cloud.ec2.describe_volumes()["Volumes"] == []
    assert not list(cloud.store.disks.glob("vol-*"))
    assert "bye" in cloud.console(instance)


def test_a_reset_from_inside_changes_nothing(cloud: Cloud) -> None:
    instance = cloud.launch(cloud.image(COUNT_BOOTS + RESET))
    cloud.wait_console(instance, "3")
    assert cloud.instance(instance)["State"]["Name"] == "running"


def test_stop_presses_the_power_button_and_start_goes_on_with_the_same_disk(cloud: Cloud) -> None:
    instance = cloud.launch(cloud.image(COUNT_BOOTS + say("up") + OBEY_POWER_BUTTON))
    cloud.wait_console(instance, "1\r\nup")
    (change,) = cloud.ec2.stop_instances(InstanceIds=[instance])["StoppingInstances"]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "stopping")
    seen = cloud.wait(instance, "stopped")
    assert seen["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert seen["StateTransitionReason"].startswith("User initiated (")
    (change,) = cloud.ec2.start_instances(InstanceIds=[instance])["StartingInstances"]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("stopped", "pending")
    cloud.wait_console(instance, "2\r\nup")
    assert "StateReason" not in cloud.wait(instance, "running")


def test_stop_ends_a_guest_that_does_not_listen(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "STOP_GRACE", 0.2)
    instance = cloud.launch(cloud.image())
    cloud.ec2.stop_instances(InstanceIds=[instance])
    cloud.wait(instance, "stopped")


def test_a_forced_stop_pulls_the_plug(cloud: Cloud) -> None:
    instance = cloud.launch(cloud.image())
    cloud.ec2.stop_instances(InstanceIds=[instance], Force=True)
    assert cloud.wait(instance, "stopped")["StateReason"]["Code"] == "Client.UserInitiatedShutdown"


def test_reboot_resets_the_machine(cloud: Cloud) -> None:
    instance = cloud.launch(cloud.image(COUNT_BOOTS + HANG))
    cloud.wait_console(instance, "1\r\n")
    cloud.ec2.reboot_instances(InstanceIds=[instance])
    cloud.wait_console(instance, "2\r\n")


def test_terminate_ends_the_machine_and_frees_its_disk(cloud: Cloud) -> None:
    instance = cloud.launch(cloud.image(say("alive") + HANG))
    cloud.wait_console(instance, "alive")
    pid = cloud.computer(instance).machine.pid
    (change,) = cloud.ec2.terminate_instances(InstanceIds=[instance])["TerminatingInstances"]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "shutting-down")
    seen = cloud.wait(instance, "terminated")
    assert seen["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert not Path(f"/proc/{pid}").exists()
    assert not list(cloud.store.disks.glob("vol-*"))
    assert cloud.ec2.describe_volumes()["Volumes"] == []
    assert "alive" in cloud.console(instance)
    cloud.ec2.terminate_instances(InstanceIds=[instance])
    assert refusal(cloud.ec2.start_instances, InstanceIds=[instance]) == "IncorrectInstanceState"


def test_terminate_does_not_wait_for_a_guest_that_is_being_stopped(cloud: Cloud) -> None:
    instance = cloud.launch(cloud.image())
    cloud.ec2.stop_instances(InstanceIds=[instance])
    assert cloud.instance(instance)["State"]["Name"] == "stopping"
    cloud.ec2.terminate_instances(InstanceIds=[instance])
    cloud.wait(instance, "terminated")


def test_a_volume_stays_when_it_is_not_to_go_with_its_instance(cloud: Cloud) -> None:
    mapping = [{"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": False}}]
    instance = cloud.launch(cloud.image(), BlockDeviceMappings=mapping)
    cloud.ec2.terminate_instances(InstanceIds=[instance])
    cloud.wait(instance, "terminated")
    (volume,) = cloud.ec2.describe_volumes()["Volumes"]
    assert volume["State"] == "available"
    snapshot = cloud.ec2.create_snapshot(VolumeId=volume["VolumeId"])["SnapshotId"]
    assert cloud.store.snapshot(snapshot).size == 1
    cloud.ec2.delete_volume(VolumeId=volume["VolumeId"])
    assert not list(cloud.store.disks.glob("vol-*"))


def test_a_machine_that_dies_is_the_servers_fault(cloud: Cloud) -> None:
    instance = cloud.launch(cloud.image())
    os.kill(cloud.computer(instance).machine.pid, signal.SIGKILL)
    assert cloud.wait(instance, "stopped")["StateReason"]["Code"] == "Server.InternalError"


def test_a_kernel_panic_leaves_the_instance_running_and_impaired(cloud: Cloud) -> None:
    instance = cloud.launch(cloud.image(say("Kernel panic - not syncing: test\r\n") + HANG))
    until(lambda: cloud.server.fleet.guests[instance].panic)
    (status,) = cloud.ec2.describe_instance_status(InstanceIds=[instance])["InstanceStatuses"]
    assert (status["InstanceState"]["Name"], status["InstanceStatus"]["Status"]) == ("running", "impaired")
    assert "Kernel panic" in cloud.console(instance)
    cloud.ec2.stop_instances(InstanceIds=[instance])
    cloud.wait(instance, "stopped")


def test_the_status_of_a_running_instance_is_ok(cloud: Cloud) -> None:
    cloud.launch(cloud.image())
    (status,) = cloud.ec2.describe_instance_status()["InstanceStatuses"]
    assert (status["InstanceStatus"]["Status"], status["SystemStatus"]["Status"]) == ("ok", "ok")


def test_the_console_is_its_last_64_kib(cloud: Cloud) -> None:
    twice_65535_x = bytes.fromhex("baf803 b078 bb0200 b9ffff ee e2fd 4b 75f7")
    instance = cloud.launch(cloud.image(twice_65535_x + POWEROFF))
    cloud.wait(instance, "stopped")
    answer = cloud.ec2.get_console_output(InstanceId=instance)
    assert answer["Output"] == "x" * 65536
    assert answer["Timestamp"]


# CreateImage and its relatives


def test_an_image_of_a_stopped_instance_can_be_launched_again_and_has_the_changes(cloud: Cloud) -> None:
    base = cloud.image(COUNT_BOOTS + POWEROFF, boot_mode="legacy-bios")
    first = cloud.launch(base)
    cloud.wait(first, "stopped")
    image = cloud.create_image(
        first,
        "made",
        Description="d",
        TagSpecifications=[
            {"ResourceType": "image", "Tags": tags(role="image")},
            {"ResourceType": "snapshot", "Tags": tags(role="snapshot")},
        ],
    )
    assert (image["State"], image["Description"], as_dict(image["Tags"])) == ("available", "d", {"role": "image"})
    assert (image["SourceInstanceId"], image["SourceImageId"], image["BootMode"]) == (first, base, "legacy-bios")
    ebs = image["BlockDeviceMappings"][0]["Ebs"]
    (snapshot,) = cloud.ec2.describe_snapshots(SnapshotIds=[ebs["SnapshotId"]])["Snapshots"]
    assert (snapshot["VolumeSize"], as_dict(snapshot["Tags"])) == (1, {"role": "snapshot"})
    assert (snapshot["State"], snapshot["Progress"]) == ("completed", "100%")
    second = cloud.launch(image["ImageId"])
    cloud.wait(second, "stopped")
    assert "2\r\n" in cloud.console(second)
    cloud.ec2.start_instances(InstanceIds=[first])
    cloud.wait_console(first, "2\r\n")
    third = cloud.launch(base)
    cloud.wait(third, "stopped")
    assert "1\r\n" in cloud.console(third)


def test_imaging_costs_no_copy(cloud: Cloud) -> None:
    instance = cloud.launch(cloud.image(COUNT_BOOTS + POWEROFF))
    cloud.wait(instance, "stopped")
    image = cloud.create_image(instance, "made")
    layer = cloud.store.path(image["ImageId"])
    assert store_module.backing(layer) is not None
    assert layer.stat().st_blocks * 512 < 1 << 20


def test_a_running_instance_is_rebooted_for_its_image(cloud: Cloud) -> None:
    instance = cloud.launch(cloud.image(COUNT_BOOTS + OBEY_POWER_BUTTON))
    cloud.wait_console(instance, "1\r\n")
    assert refusal(cloud.ec2.create_image, InstanceId=instance, Name="made", NoReboot=True) == "UnsupportedOperation"
    assert cloud.create_image(instance, "made")["State"] == "available"
    cloud.wait_console(instance, "2\r\n")
    assert cloud.instance(instance)["State"]["Name"] == "running"


def test_an_image_is_pending_until_its_disk_is_frozen(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "STOP_GRACE", 1.5)
    image = cloud.ec2.create_image(InstanceId=cloud.launch(cloud.image()), Name="made")["ImageId"]
    pending = cloud.describe(image)
    snapshot = pending["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    seen = cloud.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]
    assert (pending["State"], seen["State"], seen["Progress"]) == ("pending", "pending", "0%")
    params = {"ImageId": image, "MinCount": 1, "MaxCount": 1}
    assert refusal(cloud.ec2.run_instances, **params) == "InvalidAMIID.Unavailable"
    until(lambda: cloud.describe(image)["State"] == "available")
    seen = cloud.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]
    assert (seen["State"], seen["Progress"]) == ("completed", "100%")


@pytest.mark.parametrize("with_snapshots", [True, False])
def test_a_pending_image_can_be_deregistered(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, with_snapshots: bool
) -> None:
    monkeypatch.setattr(instances, "STOP_GRACE", 1.5)
    base = cloud.image()
    image = cloud.ec2.create_image(InstanceId=(instance := cloud.launch(base)), Name="made")["ImageId"]
    snapshot = cloud.describe(image)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    assert refusal(cloud.ec2.delete_snapshot, SnapshotId=snapshot) == "InvalidSnapshot.InUse"
    cloud.ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=with_snapshots)
    until(lambda: cloud.server.fleet.guests[instance].machine_runs is False)
    until(lambda: cloud.server.fleet.guests[instance].machine_runs)
    assert [known.id for known in cloud.store.images()] == [base]
    assert (snapshot in cloud.store.snapshots()) is not with_snapshots
    assert len(cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == (1 if with_snapshots else 2)


def test_an_image_that_fails_says_why_and_its_name_is_free(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = cloud.launch(cloud.image(POWEROFF))
    cloud.wait(instance, "stopped")
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "RESERVE", 1 << 60)
        image = cloud.create_image(instance, "made")
    assert image["State"] == "failed"
    assert "no disk space" in image["StateReason"]["Message"]
    assert cloud.create_image(instance, "made")["State"] == "available"
    cloud.ec2.deregister_image(ImageId=image["ImageId"])
    assert len(cloud.ec2.describe_images(Owners=["self"])["Images"]) == 2


def test_create_image_refuses_what_ec2_refuses(cloud: Cloud) -> None:
    instance = cloud.launch(cloud.image())
    create = cloud.ec2.create_image
    assert refusal(create, InstanceId=instance, Name="base") == "InvalidAMIName.Duplicate"
    assert refusal(create, InstanceId=instance, Name="a:b") == "InvalidAMIName.Malformed"
    assert refusal(create, InstanceId="i-0123456789abcdef0", Name="made") == "InvalidInstanceID.NotFound"
    assert refusal(create, InstanceId=instance, Name="made", DryRun=True) == "DryRunOperation"
    cloud.ec2.terminate_instances(InstanceIds=[instance])
    assert refusal(create, InstanceId=instance, Name="made") == "IncorrectInstanceState"


def test_images_are_found_by_filters(cloud: Cloud) -> None:
    image = cloud.image(name="web 1", tags={"jenkins-ami:base": "scratch/1234"})
    cloud.image(name="other")
    for name, value in {
        "name": "web*",
        "tag:jenkins-ami:base": "scratch/1234",
        "tag-key": "jenkins-ami:base",
        "image-id": image,
        "block-device-mapping.snapshot-id": cloud.store.get(image).snapshot_id,
    }.items():
        found = cloud.ec2.describe_images(Owners=["self"], Filters=[{"Name": name, "Values": [value]}])["Images"]
        assert [one["ImageId"] for one in found] == [image], name
    for name, value in {
        "state": "available",
        "architecture": "x86_64",
        "owner-id": "123456789012",
        "root-device-type": "ebs",
        "root-device-name": "/dev/xvda",
        "virtualization-type": "hvm",
        "is-public": "false",
        "ena-support": "true",
    }.items():
        assert len(cloud.ec2.describe_images(Filters=[{"Name": name, "Values": [value]}])["Images"]) == 2, name
    assert cloud.ec2.describe_images(Owners=["amazon"])["Images"] == []


def test_deregistering_keeps_the_snapshot_unless_asked_otherwise(cloud: Cloud) -> None:
    image, other = cloud.image(), cloud.image(name="other")
    snapshot = cloud.store.get(image).snapshot_id
    assert refusal(cloud.ec2.delete_snapshot, SnapshotId=snapshot) == "InvalidSnapshot.InUse"
    cloud.ec2.deregister_image(ImageId=image)
    assert refusal(cloud.ec2.deregister_image, ImageId=image) == "InvalidAMIID.Unavailable"
    assert len(cloud.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]) == 1
    cloud.ec2.delete_snapshot(SnapshotId=snapshot)
    assert refusal(cloud.ec2.describe_snapshots, SnapshotIds=[snapshot]) == "InvalidSnapshot.NotFound"
    answer = cloud.ec2.deregister_image(ImageId=other, DeleteAssociatedSnapshots=True)
    assert [result["ReturnCode"] for result in answer["DeleteSnapshotResults"]] == ["success"]
    assert list(cloud.store.disks.iterdir()) == []


def test_a_snapshot_can_be_registered_as_another_image(cloud: Cloud) -> None:
    instance = cloud.launch(cloud.image(COUNT_BOOTS + POWEROFF))
    (volume,) = cloud.ec2.describe_volumes()["Volumes"]
    cloud.wait(instance, "stopped")
    snapshot = cloud.ec2.create_snapshot(VolumeId=volume["VolumeId"], Description="s")["SnapshotId"]
    params = {
        "Name": "registered",
        "Architecture": "x86_64",
        "VirtualizationType": "hvm",
        "RootDeviceName": "/dev/sda1",
        "BootMode": "uefi-preferred",
        "ImdsSupport": "v2.0",
        "EnaSupport": True,
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot, "VolumeType": "gp3"}}],
        "TagSpecifications": [{"ResourceType": "image", "Tags": tags(a="b")}],
    }
    image = cloud.describe(cloud.ec2.register_image(**params)["ImageId"])
    assert (image["RootDeviceName"], image["BootMode"], image["ImdsSupport"]) == ("/dev/sda1", "uefi-preferred", "v2.0")
    assert (image["Architecture"], image["EnaSupport"], as_dict(image["Tags"])) == ("x86_64", True, {"a": "b"})
    assert image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"] == snapshot
    assert refusal(cloud.ec2.register_image, **params) == "InvalidAMIName.Duplicate"
    del params["Architecture"], params["VirtualizationType"]
    old = cloud.ec2.register_image(**params | {"Name": "old"})["ImageId"]
    assert cloud.describe(old)["Architecture"] == "i386"
    assert refusal(cloud.ec2.run_instances, ImageId=old, MinCount=1, MaxCount=1) == "Unsupported"
    params["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"] = "snap-0123456789abcdef0"  # type: ignore[index]
    assert refusal(cloud.ec2.register_image, **params | {"Name": "none"}) == "InvalidSnapshot.NotFound"


def test_an_image_can_be_copied_to_another_region(cloud: Cloud) -> None:
    image = cloud.image(say("copied") + POWEROFF, tags={"a": "b"})
    there = cloud.client("ec2", "eu-west-1")
    params = {
        "SourceImageId": image,
        "SourceRegion": "us-east-1",
        "Name": "base",
        "CopyImageTags": True,
        "ClientToken": "t",
    }
    copy = there.copy_image(**params)["ImageId"]
    assert there.copy_image(**params)["ImageId"] == copy
    (seen,) = there.describe_images(Owners=["self"])["Images"]
    assert (seen["ImageId"], as_dict(seen["Tags"])) == (copy, {"a": "b"})
    cloud.ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)
    instance = there.run_instances(ImageId=copy, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    until(lambda: "copied" in there.get_console_output(InstanceId=instance).get("Output", ""))


def test_tags_given_later_are_kept(cloud: Cloud) -> None:
    image = cloud.image(tags={"old": "1"})
    snapshot = cloud.store.get(image).snapshot_id
    cloud.ec2.create_tags(Resources=[image, snapshot], Tags=tags(new="2"))
    cloud.ec2.delete_tags(Resources=[image], Tags=[{"Key": "old"}])
    assert cloud.store.get(image).tags == {"new": "2"}
    assert cloud.store.snapshot(snapshot).tags == {"old": "1", "new": "2"}
    assert as_dict(cloud.describe(image)["Tags"]) == {"new": "2"}


def test_what_others_do_to_the_folder_is_seen_at_once(cloud: Cloud) -> None:
    assert cloud.ec2.describe_images()["Images"] == []
    image = cloud.image()
    assert [one["ImageId"] for one in cloud.ec2.describe_images()["Images"]] == [image]
    cloud.store.delete(image)
    assert cloud.ec2.describe_images()["Images"] == []
    assert cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


# What is not there


@pytest.mark.parametrize(
    ("action", "params"),
    [
        ("import_snapshot", {}),
        ("enable_fast_launch", {"ImageId": "ami-1"}),
        ("describe_volume_status", {}),
        ("create_store_image_task", {"ImageId": "ami-1", "Bucket": "b"}),
        ("attach_volume", {"VolumeId": "vol-1", "InstanceId": "i-1", "Device": "/dev/sdf"}),
        ("request_spot_instances", {}),
    ],
)
def test_an_unsupported_action_is_refused_as_ec2_does(cloud: Cloud, action: str, params: dict[str, Any]) -> None:
    assert refusal(getattr(cloud.ec2, action), **params) == "UnsupportedOperation"


def test_an_action_that_ec2_does_not_have_is_invalid(cloud: Cloud) -> None:
    request = urllib.request.Request(
        cloud.server.endpoint,
        data=b"Action=MakeCoffee&Version=2016-11-15",
        headers={"Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/ec2/aws4_request, x"},
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as answer:
        assert answer.code == 400
        assert b"<Code>InvalidAction</Code>" in answer.read()


def test_a_disk_that_does_not_boot_says_so_on_the_console(cloud: Cloud) -> None:
    disk = bootsector.disk(cloud.folder / "empty.raw", b"")
    disk.write_bytes(bytes(1 << 20))
    instance = cloud.launch(cloud.store.add(disk, name="empty").id)
    cloud.wait_console(instance, "not a bootable disk")
