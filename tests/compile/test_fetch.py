"""The instance's download, run for real: dash or bash, curl, Python or wget, and servers on loopback."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qsl, urlsplit

import pytest

from jenkins_ami.compile.own import script_text
from jenkins_ami.compile.place import https_url
from jenkins_ami.localcloud.imds import MetadataService
from jenkins_ami.localcloud.profile import Issuer
from tests.localcloud.test_imds import METADATA
from tests.places import DATA, SECRET, Store, Tls, make_tls, metadata_on_tcp, send, serving

INSTANCE = Path(__file__).parent.parent.parent / "jenkins_ami" / "compile" / "instance"
DENIED = (
    b"<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code><Message>Request has expired</Message>"
    b"<RequestId>1</RequestId></Error>"
)
TOOLS = ("cat", "rm", "tr", "sed", "head", "tail", "wc")
WAITS = ["1", "2", "4", "8", "15", "30"]


@pytest.fixture
def store() -> Iterator[Store]:
    with serving() as store:
        yield store


@dataclass
class Instance:
    """A folder with the scripts as an instance has them, and a PATH of chosen tools; sleeping is only written down."""

    folder: Path
    env: dict[str, str]
    said: str = ""

    def provide(self, *names: str) -> None:
        for name in names:
            found = os.path.realpath(sys.executable) if name == "python3" else shutil.which(name)
            (self.folder / "bin" / name).symlink_to(found or name)

    def fetch(self, url: str, size: int = len(DATA), access: str = "presigned", shell: tuple[str, ...] = ()) -> int:
        (self.folder / "fs.url").write_text(url)
        argv = [*shell, self.folder / "fetch.sh", access, str(size)]
        done = subprocess.run(argv, cwd="/", env=self.env, capture_output=True, text=True, timeout=120)
        self.said = done.stdout + done.stderr
        assert "Signature" not in self.said and "5ec2e7" not in self.said
        assert not (self.folder / "fs.url").exists()
        left = {path.name for path in self.folder.iterdir()} - {"bin", "waits"}
        assert left == {"fetch.sh", "sign.py"} | ({"fs.tgz"} if done.returncode == 0 else set())
        return done.returncode

    @property
    def got(self) -> bytes:
        return (self.folder / "fs.tgz").read_bytes()

    @property
    def waits(self) -> list[str]:
        path = self.folder / "waits"
        return path.read_text().split() if path.exists() else []


@pytest.fixture(params=["curl", "python3", "wget"])
def tool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def instance(tmp_path: Path, tool: str) -> Instance:
    folder = tmp_path / "jenkins-ami"
    (folder / "bin").mkdir(parents=True)
    (folder / "fetch.sh").write_text(script_text("fetch.sh"))
    shutil.copy(INSTANCE / "sign.py", folder)
    (folder / "fetch.sh").chmod(0o700)
    sleep = folder / "bin" / "sleep"
    sleep.write_text(f"#!/bin/sh\necho $1 >>{folder}/waits\n")
    sleep.chmod(0o700)
    instance = Instance(folder, {"PATH": str(folder / "bin")})
    instance.provide(*TOOLS, tool)
    return instance


only_curl = pytest.mark.parametrize("tool", ["curl"], indirect=True)


def test_the_overlay_arrives_whole_and_for_root_only(instance: Instance, store: Store) -> None:
    store.answers = [send()]
    assert instance.fetch(store.url) == 0
    assert instance.got == DATA
    assert instance.said == ""
    assert store.asked == [f"/bucket/fs.tgz?{SECRET}"]
    assert stat.S_IMODE((instance.folder / "fs.tgz").stat().st_mode) == 0o600


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_nobody_sees_the_url_not_even_who_traces_or_looks_at_processes(
    instance: Instance, store: Store, shell: str
) -> None:
    seen: list[bytes] = []

    def look(handler: BaseHTTPRequestHandler) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                seen.append((process / "cmdline").read_bytes())
        seen.extend(path.read_bytes() for path in instance.folder.iterdir() if path.is_file())
        send()(handler)

    store.answers = [look]
    found = shutil.which(shell)
    assert found
    assert instance.fetch(store.url, shell=(found, "-x")) == 0
    assert len(seen) > 3
    assert not [each for each in seen if b"5ec2e7" in each]


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_refusal_ends_it_at_once_with_the_reason(instance: Instance, store: Store, status: int) -> None:
    store.answers = [send(DENIED, status)]
    assert instance.fetch(store.url) == 1
    assert len(store.asked) == 1
    assert instance.said == (f"the overlay could not be downloaded: HTTP {status}, AccessDenied: Request has expired\n")


def test_a_refusal_without_a_reason(instance: Instance, store: Store) -> None:
    store.answers = [send(b"<html>?secret=5ec2e7</html>", 404)]
    assert instance.fetch(store.url) == 1
    assert instance.said == "the overlay could not be downloaded: HTTP 404\n"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_asked_again(instance: Instance, store: Store, status: int) -> None:
    store.answers = [send(b"", status), send(b"busy", status), send()]
    assert instance.fetch(store.url) == 0
    assert instance.got == DATA
    assert instance.waits == ["1", "2"]
    assert f"the overlay: HTTP {status}; once more in 2 s\n" in instance.said


def test_it_gives_up_after_a_minute(instance: Instance, store: Store) -> None:
    store.answers = [send(b"busy", 503)]
    assert instance.fetch(store.url) == 1
    assert instance.waits == WAITS
    assert len(store.asked) == 7
    assert instance.said.endswith("the overlay could not be downloaded: HTTP 503 (7 attempts)\n")


def test_an_error_page_of_the_right_size_is_no_overlay(instance: Instance, store: Store) -> None:
    store.answers = [send(b"x" * 100, 503), send(b"y" * 100)]
    assert instance.fetch(store.url, 100) == 0
    assert instance.got == b"y" * 100


def test_nobody_at_the_address(instance: Instance) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    assert instance.fetch(f"http://127.0.0.1:{port}/fs.tgz?{SECRET}") == 1
    assert instance.waits == WAITS
    assert "refused" in instance.said or "Failed to connect" in instance.said


def test_a_download_that_breaks_off_begins_again(instance: Instance, store: Store) -> None:
    store.answers = [send(DATA[:60_000], length=len(DATA)), send()]
    assert instance.fetch(store.url) == 0
    assert instance.got == DATA
    assert instance.said == f"the overlay: it broke off after 60000 of {len(DATA)} bytes; once more in 1 s\n"


def test_too_much_is_cut_off(instance: Instance, store: Store) -> None:
    sizes: list[int] = []

    def flood(handler: BaseHTTPRequestHandler) -> None:
        send(b"", length=-1)(handler)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            handler.wfile.write(DATA[:1000])
            with contextlib.suppress(FileNotFoundError):
                sizes.append((instance.folder / "fs.tgz").stat().st_size)

    store.answers = [flood]
    assert instance.fetch(store.url, 50_000) == 1
    assert max(sizes) <= 50_001
    assert len(store.asked) == 1
    assert instance.said == "the overlay could not be downloaded: there are more than 50000 bytes in its place\n"


def test_too_little_is_another_file(instance: Instance, store: Store) -> None:
    store.answers = [send(b"x" * 10)]
    assert instance.fetch(store.url) == 1
    assert len(store.asked) == 1
    assert instance.said == (
        f"the overlay could not be downloaded: there are 10 bytes in its place instead of {len(DATA)}\n"
    )


def test_a_slow_server_is_waited_for(instance: Instance, store: Store) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        send(b"", length=len(DATA))(handler)
        for at in range(0, len(DATA), 10_000):
            time.sleep(0.05)
            handler.wfile.write(DATA[at : at + 10_000])
            handler.wfile.flush()

    store.answers = [drip]
    assert instance.fetch(store.url) == 0
    assert instance.got == DATA


def test_a_redirection_is_followed(instance: Instance, store: Store) -> None:
    store.answers = [send(b"over there", 302, Location="/else?where=1"), send()]
    assert instance.fetch(store.url) == 0
    assert store.asked[1] == "/else?where=1"
    assert instance.got == DATA


@only_curl
def test_without_a_url_it_fails(instance: Instance) -> None:
    done = subprocess.run([instance.folder / "fetch.sh", "presigned", "1"], env=instance.env, capture_output=True)
    assert done.returncode == 1


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return make_tls(tmp_path)


@pytest.mark.parametrize("tool", ["curl", "python3"], indirect=True)
def test_https_is_checked_against_the_instances_authorities(instance: Instance, tls: Tls) -> None:
    with serving(tls.context) as store:
        store.answers = [send()]
        url = store.url.replace("http:", "https:").replace("127.0.0.1", "localhost")
        assert instance.fetch(url, access="https") == 1
        assert "certificate" in instance.said
        assert store.asked == []
        instance.env["SSL_CERT_FILE"] = str(tls.file)
        assert instance.fetch(url, access="https") == 0
        assert instance.got == DATA


# Signing


@pytest.fixture(scope="session")
def sign() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sign", INSTANCE / "sign.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://bucket.s3.eu-central-1.amazonaws.com/a/b.tgz", "eu-central-1"),
        ("https://bucket.s3.us-east-1.amazonaws.com/with%20space/%C3%A4%2B~_-.tgz", "us-east-1"),
        ("https://s3.eu-west-1.amazonaws.com/dotted.bucket/key", "eu-west-1"),
        ("https://bucket.s3.cn-north-1.amazonaws.com.cn/a", "cn-north-1"),
        ("http://169.254.169.253/bucket/key", "us-east-1"),
        ("http://127.0.0.1:5000/bucket/key", "us-east-1"),
    ],
)
def test_the_signature_is_botocores(sign: ModuleType, url: str, region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore import auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    document = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "a/b+c=", "Token": "t+o/k=e&n%"}
    request = AWSRequest("GET", url)
    monkeypatch.setattr(auth, "get_current_datetime", lambda: datetime(2026, 1, 2, 3, 4, 5))
    credentials = Credentials(*document.values())
    auth.S3SigV4QueryAuth(credentials, "s3", region, expires=300).add_auth(request)
    ours = sign.presign(url, region, document, "20260102T030405Z")
    assert sorted(urlsplit(ours).query.split("&")) == sorted(urlsplit(request.url).query.split("&"))
    assert ours.partition("?")[0] == url


def test_the_oldest_python_of_an_instance_can_read_it() -> None:
    ast.parse((INSTANCE / "sign.py").read_text(), feature_version=(3, 6))


@pytest.fixture
def metadata(tmp_path: Path, instance: Instance) -> Iterator[MetadataService]:
    """The instance's metadata service, with a profile."""
    issuer = Issuer()
    known = replace(METADATA, credentials=lambda: issuer.credentials("i-1", "image-build"))
    with MetadataService(known, tmp_path / "imds.sock") as service, metadata_on_tcp(service) as url:
        instance.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = url
        if not (instance.folder / "bin" / "python3").exists():
            instance.provide("python3")
        yield service


@only_curl
def test_with_a_profile_the_instance_signs_for_itself(
    instance: Instance, store: Store, metadata: MetadataService
) -> None:
    store.answers = [send(b"", 503), send()]
    assert instance.fetch(store.url.partition("?")[0], access="profile") == 0
    assert instance.got == DATA
    for path in store.asked:
        query = dict(parse_qsl(urlsplit(path).query))
        assert "/eu-central-1/s3/aws4_request" in query["X-Amz-Credential"]
        assert len(query["X-Amz-Signature"]) == 64
    assert store.asked[0] != "/bucket/fs.tgz"
    assert metadata.metadata.credentials
    secret = metadata.metadata.credentials().secret_key
    assert secret not in "".join(store.asked) + instance.said


@only_curl
def test_a_profile_that_is_not_there_yet_is_waited_for_and_then_named(
    instance: Instance, store: Store, metadata: MetadataService
) -> None:
    metadata.metadata = replace(metadata.metadata, credentials=None)
    assert instance.fetch(store.url.partition("?")[0], access="profile") == 1
    assert instance.waits == WAITS
    assert instance.said.endswith(
        "could not be downloaded: the instance's profile gives no credentials: HTTP Error 404: Not Found (7 attempts)\n"
    )


@only_curl
def test_an_instance_without_python_cannot_sign(instance: Instance) -> None:
    assert instance.fetch("http://127.0.0.1:1/x", access="profile") == 1
    assert instance.said == ("the overlay could not be downloaded: there is no Python 3 to sign the request with\n")


@only_curl
def test_the_python_of_cloud_init_will_do(instance: Instance, store: Store, metadata: MetadataService) -> None:
    (instance.folder / "bin" / "python3").unlink()
    cloud_init = instance.folder / "bin" / "cloud-init"
    cloud_init.write_text(f"#! {sys.executable} -s\nprint()\n")
    cloud_init.chmod(0o700)
    store.answers = [send()]
    assert instance.fetch(store.url.partition("?")[0], access="profile") == 0


# Where


@pytest.mark.parametrize(
    ("url", "compression", "expected"),
    [
        ("https://h/dir/", "gzip", "https://h/dir/abc.tgz"),
        ("https://h/dir/", "zstd", "https://h/dir/abc.tar.zst"),
        ("https://h/", "gzip", "https://h/abc.tgz"),
        ("https://h/dir/?key=a/", "gzip", "https://h/dir/abc.tgz?key=a/"),
        ("https://h/file.bin", "gzip", "https://h/file.bin"),
        ("https://h/file?v=/", "zstd", "https://h/file?v=/"),
    ],
)
def test_a_folder_gets_the_overlays_name_and_a_file_is_taken_as_it_is(
    url: str, compression: str, expected: str
) -> None:
    assert https_url(url, "abc", compression) == expected
