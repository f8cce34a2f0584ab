from __future__ import annotations

import http.client
import json
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jenkins_ami.localcloud import imds
from jenkins_ami.localcloud.imds import (
    TOKEN_HEADER,
    TTL_HEADER,
    KeyPair,
    Metadata,
    MetadataService,
    SecurityGroup,
    answer,
    connect,
)
from jenkins_ami.localcloud.profile import Issuer

METADATA = Metadata(
    instance_id="i-0123456789abcdef0",
    image_id="ami-0123456789abcdef0",
    instance_type="t3.small",
    region="eu-central-1",
    zone="eu-central-1b",
    account="123456789012",
    mac="02:00:00:00:00:01",
    private_ip="169.254.10.15",
    interface_id="eni-1",
    subnet_id="subnet-1",
    vpc_id="vpc-1",
    subnet_cidr="169.254.0.0/16",
    reservation_id="r-1",
    security_groups=(SecurityGroup("sg-1", "default"), SecurityGroup("sg-2", "web")),
    launched=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
)


class Connection(http.client.HTTPConnection):
    """HTTP to the service's Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("169.254.169.254", timeout=10)
        self.path = path

    def connect(self) -> None:
        self.sock = connect(self.path)


class Client:
    def __init__(self, service: MetadataService) -> None:
        self.service = service

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, bytes]:
        status, body, _ = self.full(method, path, **headers)
        return status, body

    def full(self, method: str, path: str, **headers: str) -> tuple[int, bytes, http.client.HTTPMessage]:
        connection = Connection(self.service.socket_path)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        finally:
            connection.close()

    def token(self, ttl: str = "60") -> dict[str, str]:
        status, body = self.ask("PUT", "/latest/api/token", **{TTL_HEADER: ttl})
        assert status == 200
        return {TOKEN_HEADER: body.decode()}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with MetadataService(METADATA, tmp_path / "imds.sock") as service:
        yield Client(service)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/latest", b"dynamic\nmeta-data"),
        ("/latest/dynamic/", b"instance-identity/"),
        ("/latest/meta-data/ami-id", b"ami-0123456789abcdef0"),
        ("/2021-03-23/meta-data/instance-id", b"i-0123456789abcdef0"),
        ("/latest/meta-data/local-hostname", b"ip-169-254-10-15.eu-central-1.compute.internal"),
        ("/latest/meta-data/placement/", b"availability-zone\nregion"),
        ("/latest/meta-data/placement", b"availability-zone\nregion"),
        ("/latest/meta-data/network/interfaces/macs/", b"02:00:00:00:00:01/"),
        ("/latest/meta-data/network/interfaces/macs/02:00:00:00:00:01/security-group-ids", b"sg-1\nsg-2"),
        ("/latest/meta-data/block-device-mapping/root", b"/dev/xvda"),
        ("/latest/meta-data/services/partition", b"aws"),
        ("/latest/meta-data/system", b"nitro"),
        ("/latest/user-data", None),
        ("/latest/meta-data/public-keys/", None),
        ("/latest/meta-data/iam/info", None),
        ("/latest/meta-data/tags/instance/", None),
        ("/latest/meta-data/place", None),
        ("/latest/meta-data/../user-data", None),
        ("/1999-01-01/meta-data/", None),
    ],
)
def test_a_path_answers_what_ec2_answers(path: str, body: bytes | None) -> None:
    assert answer(METADATA, path) == body


def test_the_root_lists_versions_and_latest_is_the_last() -> None:
    versions = (answer(METADATA, "/") or b"").decode().split("\n")
    assert {"2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23"} < set(versions)
    assert versions[-1] == "latest"


def test_a_listing_has_slashes_after_folders_and_no_final_newline() -> None:
    names = (answer(METADATA, "/latest/meta-data/") or b"").decode().split("\n")
    assert {"ami-id", "mac", "network/", "placement/", "services/"} < set(names)
    assert names == sorted(names)
    assert "" not in names


def test_every_listed_document_is_served() -> None:
    def walk(folder: str) -> int:
        count = 0
        for name in (answer(METADATA, folder) or b"").decode().split("\n"):
            assert answer(METADATA, folder + name) is not None
            count += walk(folder + name) if name.endswith("/") else 1
        return count

    assert walk("/latest/meta-data/") > 25


def test_names_in_the_first_region_are_shorter() -> None:
    assert replace(METADATA, region="us-east-1").hostname == "ip-169-254-10-15.ec2.internal"


def test_user_data_is_served_byte_for_byte() -> None:
    raw = bytes(range(256))
    assert answer(replace(METADATA, user_data=raw), "/latest/user-data") == raw
    assert answer(replace(METADATA, user_data=raw), "/latest/") == b"dynamic\nmeta-data\nuser-data"


def test_a_key_pair_is_listed_by_number_and_name() -> None:
    metadata = replace(METADATA, key=KeyPair("mine", "ssh-ed25519 AAAA mine"))
    assert answer(metadata, "/latest/meta-data/public-keys/") == b"0=mine"
    assert answer(metadata, "/latest/meta-data/public-keys/0/") == b"openssh-key"
    assert answer(metadata, "/latest/meta-data/public-keys/0/openssh-key") == b"ssh-ed25519 AAAA mine\n"


def test_tags_are_served_when_they_are_enabled() -> None:
    metadata = replace(METADATA, tags={"Name": "web", "team": "a b"})
    assert answer(metadata, "/latest/meta-data/tags/instance/") == b"Name\nteam"
    assert answer(metadata, "/latest/meta-data/tags/instance/team") == b"a b"


def test_a_profile_is_told_when_there_is_one() -> None:
    arn = "arn:aws:iam::123456789012:instance-profile/web"
    body = answer(replace(METADATA, instance_profile=arn), "/latest/meta-data/iam/info")
    assert json.loads(body or b"")["InstanceProfileArn"] == arn


def test_the_profiles_credentials_are_listed_by_role() -> None:
    credentials = Issuer().credentials("i-1", "image-build", datetime(2026, 1, 2, tzinfo=UTC))
    metadata = replace(METADATA, credentials=lambda: credentials)
    assert answer(metadata, "/latest/meta-data/iam/security-credentials/") == b"image-build"
    body = json.loads(answer(metadata, "/latest/meta-data/iam/security-credentials/image-build") or b"")
    assert body == {
        "Code": "Success",
        "LastUpdated": "2026-01-02T00:00:00Z",
        "Type": "AWS-HMAC",
        "AccessKeyId": credentials.access_key,
        "SecretAccessKey": credentials.secret_key,
        "Token": credentials.token,
        "Expiration": "2026-01-02T06:00:00Z",
    }
    assert answer(METADATA, "/latest/meta-data/iam/security-credentials/") is None


def test_the_identity_document_describes_the_instance() -> None:
    document = json.loads(answer(METADATA, "/latest/dynamic/instance-identity/document") or b"")
    assert document["instanceId"] == METADATA.instance_id
    assert document["region"] == "eu-central-1"
    assert document["pendingTime"] == "2026-01-02T03:04:05Z"


def test_a_token_opens_the_service(client: Client) -> None:
    status, body, headers = client.full("GET", "/latest/meta-data/instance-id", **client.token())
    assert (status, body) == (200, b"i-0123456789abcdef0")
    assert 0 < int(headers[TTL_HEADER]) <= 60
    assert headers["Server"] == "EC2ws"
    assert headers["Content-Type"] == "text/plain"


def test_without_a_token_it_stays_shut(client: Client) -> None:
    assert client.ask("GET", "/latest/meta-data/")[0] == 401
    assert client.ask("GET", "/latest/meta-data/", **{TOKEN_HEADER: "made-up"})[0] == 401


def test_tokens_may_be_made_optional_but_a_wrong_one_stays_wrong(client: Client) -> None:
    client.service.metadata = replace(METADATA, tokens_required=False)
    assert client.ask("GET", "/latest/meta-data/ami-id") == (200, b"ami-0123456789abcdef0")
    assert client.ask("GET", "/latest/meta-data/ami-id", **client.token())[0] == 200
    assert client.ask("GET", "/latest/meta-data/ami-id", **{TOKEN_HEADER: "made-up"})[0] == 401


def test_a_token_expires(client: Client) -> None:
    token = client.token("1")
    time.sleep(1.01)
    assert client.ask("GET", "/latest/meta-data/", **token)[0] == 401


@pytest.mark.parametrize("ttl", [None, "", "0", "21601", "-1", "soon", "1.5"])
def test_a_token_needs_a_lifetime_within_six_hours(client: Client, ttl: str | None) -> None:
    headers = {} if ttl is None else {TTL_HEADER: ttl}
    assert client.ask("PUT", "/latest/api/token", **headers)[0] == 400


def test_a_request_that_came_through_a_proxy_gets_no_token(client: Client) -> None:
    headers = {TTL_HEADER: "60", "X-Forwarded-For": "10.0.0.1"}
    assert client.ask("PUT", "/latest/api/token", **headers)[0] == 403


def test_a_disabled_endpoint_refuses_everything(client: Client) -> None:
    token = client.token()
    client.service.metadata = replace(METADATA, endpoint_enabled=False)
    assert client.ask("GET", "/latest/meta-data/", **token)[0] == 403
    assert client.ask("PUT", "/latest/api/token", **{TTL_HEADER: "60"})[0] == 403


def test_what_is_not_there_is_404(client: Client) -> None:
    assert client.ask("GET", "/latest/user-data", **client.token())[0] == 404


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/latest/"), ("DELETE", "/latest/"), ("PUT", "/latest/user-data")]
)
def test_nothing_can_be_changed_from_inside(client: Client, method: str, path: str) -> None:
    assert client.ask(method, path, **{TTL_HEADER: "60"})[0] == 405


def test_head_tells_the_length_and_sends_nothing(client: Client) -> None:
    status, body, headers = client.full("HEAD", "/latest/meta-data/ami-id", **client.token())
    assert (status, body, headers["Content-Length"]) == (200, b"", "21")


def test_the_owner_may_hear_of_each_request(tmp_path: Path) -> None:
    lines: list[str] = []
    with MetadataService(METADATA, tmp_path / "imds.sock", lines.append) as service:
        Client(service).ask("GET", "/latest/user-data")
    assert lines == ['"GET /latest/user-data HTTP/1.1" 401 -']


def test_a_path_too_long_for_a_socket_is_fine(tmp_path: Path) -> None:
    folder = tmp_path / ("long folder, with a comma " * 8)
    folder.mkdir()
    with MetadataService(METADATA, folder / "imds.sock") as service:
        assert Client(service).token()
        assert stat.S_IMODE(service.socket_path.stat().st_mode) == 0o600
    assert list(folder.iterdir()) == []


def test_it_can_be_closed_twice_and_started_again(tmp_path: Path) -> None:
    service = MetadataService(METADATA, tmp_path / "imds.sock")
    for _ in range(2):
        service.start()
        assert Client(service).token()
        service.close()
        service.close()


RELAY = [sys.executable, "-I", "-S", imds.__file__.replace("imds.py", "relay.py")]


def test_a_relay_carries_a_guests_request_to_the_service(tmp_path: Path) -> None:
    folder = tmp_path / ("long folder, with a comma " * 8)
    folder.mkdir()
    with MetadataService(METADATA, folder / "imds.sock") as service:
        argv = [*RELAY, str(service.socket_path)]
        done = subprocess.run(argv, input=b"GET /latest/ HTTP/1.1\r\n\r\n", capture_output=True, timeout=30)
    assert done.stdout.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_relay_to_a_port_passes_on_that_the_guest_has_finished() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        argv = [*RELAY, str(server.getsockname()[1])]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as relay:
            assert relay.stdin is not None and relay.stdout is not None
            peer, _ = server.accept()
            with peer, peer.makefile("rb") as incoming:
                relay.stdin.write(b"x" * 100_000)
                relay.stdin.close()
                assert incoming.read() == b"x" * 100_000
                peer.sendall(b"y" * 10_000)
            assert relay.stdout.read() == b"y" * 10_000
            assert relay.wait(30) == 0


def test_a_relay_to_nowhere_just_ends(tmp_path: Path) -> None:
    done = subprocess.run([*RELAY, str(tmp_path / "imds.sock")], stdin=subprocess.DEVNULL, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
