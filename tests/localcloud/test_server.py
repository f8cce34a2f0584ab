from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jenkins_ami.errors import HostError
from jenkins_ami.localcloud.server import LocalCloudServer
from jenkins_ami.localcloud.store import ImageStore
from jenkins_ami.progress import Progress
from tests.conftest import Cli
from tests.localcloud import bootsector
from tests.localcloud.conftest import Cloud, client, until

ARGV = [sys.executable, "-m", "jenkins_ami", "local-cloud"]


@contextlib.contextmanager
def foreground(state: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """``jenkins-ami local-cloud`` as a person runs it, and the exports that it prints."""
    argv = [*ARGV, "--state", str(state), "--port", "0", *more]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout
        try:
            exports = {}
            for _ in range(3):
                line = child.stdout.readline().removeprefix("export ")
                exports |= dict(word.split("=", 1) for word in line.split())
            yield child, exports
        finally:
            if child.poll() is None:
                child.kill()


def launched(endpoint: str, state: Path) -> tuple[Any, str, int]:
    """An EC2 client, an instance that runs, and the process of its machine."""
    image = ImageStore(state).add(bootsector.disk(state.parent / "disk.raw", bootsector.HANG), name="base")
    ec2 = client(endpoint, "ec2")
    instance = ec2.run_instances(ImageId=image.id, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ours = [
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if instance.encode() in _words(process) and b"qemu" in _words(process)[0]
    ]
    assert len(ours) == 1
    return ec2, instance, ours[0]


def _words(process: Path) -> list[bytes]:
    try:
        return (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return [b""]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_exports_are_all_that_an_aws_client_needs(tmp_path: Path) -> None:
    with foreground(tmp_path / "state") as (_, exports):
        code = (
            "import boto3; print(boto3.client('ec2').describe_images(), boto3.client('s3').list_buckets()['Buckets'])"
        )
        env = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")} | exports
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert "'Images': []" in done.stdout
        assert exports["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_machines_and_leaves_images_only(tmp_path: Path, number: signal.Signals) -> None:
    state = tmp_path / "state"
    with foreground(state) as (child, exports):
        _, _, machine = launched(exports["AWS_ENDPOINT_URL"], state)
        child.send_signal(number)
        assert child.wait(30) == 130
        assert child.stderr and f"interrupted: {number.name}." in child.stderr.read()
    assert not alive(machine)
    assert [path.name[:5] for path in (state / "disks").iterdir()] == ["snap-"]
    assert not (state / "endpoint.json").exists() and not (state / "instances").exists()


def test_a_killed_server_takes_its_machines_along_and_the_next_clears_up(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with foreground(state) as (child, exports):
        _, _, machine = launched(exports["AWS_ENDPOINT_URL"], state)
        child.kill()
        child.wait(30)
        until(lambda: not alive(machine))
    assert list((state / "disks").glob("vol-*"))
    with LocalCloudServer(state, 0, Progress()) as server:
        assert not list((state / "disks").glob("vol-*")) and not (state / "instances").exists()
        (image,) = client(server.endpoint, "ec2").describe_images(Owners=["self"])["Images"]
        assert image["Name"] == "base"


def test_images_are_the_same_after_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state"
    disk = bootsector.disk(tmp_path / "disk.raw", bootsector.HANG)
    ImageStore(state).add(disk, name="base", description="d", tags={"a": "b"}, boot_mode="uefi-preferred")
    seen = []
    for _ in range(2):
        with LocalCloudServer(state, 0, Progress()) as server:
            ec2 = client(server.endpoint, "ec2")
            snapshots = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
            seen.append((ec2.describe_images(Owners=["self"])["Images"], snapshots))
    assert seen[0] == seen[1]
    assert seen[0][0][0]["Tags"] == [{"Key": "a", "Value": "b"}]


def test_a_folder_has_one_server(cloud: Cloud, cli: Cli) -> None:
    assert cli("local-cloud", "--state", cloud.store.state, "--port", "0") == 1
    assert cli.error.startswith(f"a local cloud runs on this state folder already at {cloud.server.endpoint} (process ")
    assert (cloud.store.state / "endpoint.json").exists()


def test_each_server_of_a_process_answers_for_its_own_folder(cloud: Cloud, tmp_path: Path) -> None:
    image = cloud.image()
    with LocalCloudServer(tmp_path / "other", 0, Progress()) as other:
        assert len(cloud.ec2.describe_images(Owners=["self"])["Images"]) == 1
        assert client(other.endpoint, "ec2").describe_images(Owners=["self"])["Images"] == []
        assert [one["ImageId"] for one in cloud.ec2.describe_images(Owners=["self"])["Images"]] == [image]


def test_a_port_in_use_is_a_clear_error(tmp_path: Path, cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert cli("local-cloud", "--state", tmp_path / "state", "--port", str(port)) == 1
    assert cli.error == f"port {port} is in use. Choose another with --port; 0 finds a free one."


@pytest.mark.parametrize("port", ["-1", "65536", "80x"])
def test_a_port_that_is_none_is_a_clear_error(tmp_path: Path, cli: Cli, port: str) -> None:
    assert cli("local-cloud", "--state", tmp_path / "state", f"--port={port}") == 1
    assert "port" in cli.error


def test_a_state_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "file").touch()
    assert cli("local-cloud", "--state", tmp_path / "file" / "state", "--port", "0") == 1
    assert cli.error.startswith("the state folder cannot be made: Not a directory (")


def test_without_qemu_there_is_no_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jenkins_ami.localcloud import accel

    accel.probe.cache_clear()
    monkeypatch.setattr(accel, "QEMU", "qemu-system-none")
    with pytest.raises(HostError, match="qemu-system-none is not installed"):
        LocalCloudServer(tmp_path / "state", 0, Progress()).__enter__()
    accel.probe.cache_clear()


def test_the_endpoint_is_told_to_machines_too(cloud: Cloud) -> None:
    told = json.loads((cloud.store.state / "endpoint.json").read_text())
    assert (told["endpoint"], told["pid"]) == (cloud.server.endpoint, os.getpid())


# S3 and the other services


def test_s3_works_and_forgets(cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.upload_file(str(bootsector.disk(cloud.folder / "file", b"x")), "bucket", "a/b")
    assert s3.get_object(Bucket="bucket", Key="a/b")["Body"].read()[:1] == b"x"


def test_an_instance_can_use_urls_that_are_presigned_for_its_own_view_of_s3(cloud: Cloud) -> None:
    cloud.client("s3").create_bucket(Bucket="bucket")
    inside = client("http://169.254.169.253", "s3")
    put = inside.generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": "a b/c"})
    get = inside.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "a b/c"})
    assert get.startswith("http://169.254.169.253/bucket/a%20b/c?")
    for method, url, body in (("PUT", put, b"data"), ("GET", get, None)):
        connection = http.client.HTTPConnection("127.0.0.1", cloud.server.port)
        path = url.removeprefix("http://169.254.169.253")
        connection.request(method, path, body=body, headers={"Host": "169.254.169.253"})
        answer = connection.getresponse()
        assert answer.status == 200
        assert method == "PUT" or answer.read() == b"data"
        connection.close()


def test_from_inside_there_is_s3_only(cloud: Cloud) -> None:
    inside = {
        "Host": "169.254.169.253",
        "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/ec2/aws4_request, x",
    }
    request = urllib.request.Request(cloud.server.endpoint, b"Action=DescribeInstances&Version=2016-11-15", inside)
    with urllib.request.urlopen(request) as answer:
        assert b"<ListAllMyBucketsResult" in answer.read()


def test_sts_and_ssm_answer(cloud: Cloud) -> None:
    assert cloud.client("sts").get_caller_identity()["Account"] == "123456789012"
    ssm = cloud.client("ssm")
    ssm.put_parameter(Name="/images/web", Value="ami-1", Type="String")
    assert ssm.get_parameter(Name="/images/web")["Parameter"]["Value"] == "ami-1"


def test_what_another_service_does_not_have_is_an_error_in_its_own_form(cloud: Cloud) -> None:
    ssm = cloud.client("ssm")
    with pytest.raises(ssm.exceptions.ClientError, match="NotImplemented"):
        ssm.describe_ops_items()


# Who may ask


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({"Host": "rebound.example"}, "/", 403),
        ({"Host": "rebound.example:5000"}, "/", 403),
        ({"Origin": "http://rebound.example"}, "/", 403),
        ({"Host": "localhost"}, "/.jenkins-ami", 200),
        ({}, "/moto-api/data.json", 404),
        ({}, "/moto-api/reset", 404),
        ({}, "/latest/meta-data/", 404),
    ],
)
def test_browsers_and_motos_back_doors_are_kept_out(
    cloud: Cloud, headers: dict[str, str], path: str, status: int
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", cloud.server.port)
    connection.request("GET", path, headers=headers)
    assert connection.getresponse().status == status
    connection.close()


def test_it_listens_on_loopback_only(cloud: Cloud) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", cloud.server.port))


# The other actions of the command


def test_images_are_imported_listed_and_removed_from_the_command_line(tmp_path: Path, cli: Cli) -> None:
    state = ["--state", str(tmp_path / "state")]
    disk = bootsector.disk(tmp_path / "disk.raw", bootsector.HANG)
    assert cli("local-cloud", "images", *state) == 0
    assert cli.out == "no images\n"
    assert cli("local-cloud", "import", disk, "--name", "base", "--tag", "a=b=c", *state, "--json") == 0
    image = json.loads(cli.out)
    assert image["tags"] == {"a": "b=c"}
    assert cli("local-cloud", "images", *state) == 0
    assert cli.out.split()[0] == image["id"]
    assert cli("local-cloud", "remove", image["id"], *state) == 0
    assert cli("local-cloud", "remove", image["id"], *state) == 2
    assert cli.error.startswith(f"there is no image '{image['id']}'")


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["import"], 1, "import takes one disk and --name"),
        (["import", "/nowhere", "--name", "base"], 2, "the disk image does not exist (/nowhere)"),
        (["import", "/nowhere", "--name", "a:b"], 2, "'a:b' is not a name for an image"),
        (["import", "/nowhere", "--name", "base", "--tag", "x"], 1, "argument --tag: 'x' is not KEY=VALUE"),
        (["remove"], 1, "remove takes the ids of images"),
        (["explode"], 1, "argument action: invalid choice: 'explode'"),
        (["run", "x"], 1, "run takes no argument, and there is 'x'"),
    ],
)
def test_a_wrong_command_line_is_a_clear_error(
    tmp_path: Path, cli: Cli, words: list[str], code: int, error: str
) -> None:
    assert cli("local-cloud", *words, "--state", tmp_path / "state") == code
    assert cli.error.startswith(error)
