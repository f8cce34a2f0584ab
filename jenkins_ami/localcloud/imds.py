"""The instance metadata service of one machine, as EC2 serves it at http://169.254.169.254/.

:func:`entries` computes what it knows from a :class:`Metadata`; :class:`MetadataService` serves that over a Unix socket
with IMDSv2's tokens. Hop limits are not modelled: every request comes from the instance itself.

Facts: AWS, "Instance metadata categories" and "Configure the Instance Metadata Service"; what cloud-init asks for is in
its ``sources/DataSourceEc2.py`` and ``sources/helpers/ec2.py``.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Self

from .profile import Credentials

VERSIONS = (
    *("1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01"),
    *("2009-04-04", "2011-01-01", "2011-05-01", "2012-01-12", "2014-02-25", "2014-11-05", "2015-10-20", "2016-04-19"),
    *("2016-06-30", "2016-09-02", "2018-03-28", "2018-08-17", "2018-09-24", "2019-10-01", "2020-10-27", "2021-01-03"),
    *("2021-03-23", "2021-07-15", "2022-09-24", "2024-04-11", "latest"),
)
"""What ``/`` lists. All of them give the same tree here."""

TOKEN_HEADER = "X-aws-ec2-metadata-token"
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
MAX_TTL = 21600
"""Seconds a token may live at most."""


@dataclass(frozen=True)
class SecurityGroup:
    id: str
    name: str


@dataclass(frozen=True)
class KeyPair:
    name: str
    openssh: str


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """All that the service tells an instance. ``None`` is what EC2 answers 404 for.

    :ivar instance_profile: its ARN
    :ivar credentials: gives the current ones of the profile's role
    """

    instance_id: str
    image_id: str
    instance_type: str
    region: str
    zone: str
    account: str
    mac: str
    private_ip: str
    interface_id: str
    subnet_id: str
    vpc_id: str
    subnet_cidr: str
    reservation_id: str
    security_groups: tuple[SecurityGroup, ...] = ()
    root_device: str = "/dev/xvda"
    launch_index: int = 0
    life_cycle: str = "on-demand"
    launched: datetime = field(default_factory=lambda: datetime.now(UTC))
    user_data: bytes | None = None
    key: KeyPair | None = None
    tags: Mapping[str, str] | None = None
    instance_profile: str | None = None
    credentials: Callable[[], Credentials] | None = None
    endpoint_enabled: bool = True
    tokens_required: bool = True

    @property
    def hostname(self) -> str:
        """The private DNS name: AWS, "EC2 instance hostnames and domains"."""
        domain = "ec2" if self.region == "us-east-1" else f"{self.region}.compute"
        return f"ip-{self.private_ip.replace('.', '-')}.{domain}.internal"


def entries(metadata: Metadata) -> dict[str, bytes]:
    """Every document below a version, by its path without a leading slash."""
    m = metadata
    stamp = m.launched.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    group_names = "\n".join(group.name for group in m.security_groups)
    basics = {
        "ami-id": m.image_id,
        "ami-launch-index": str(m.launch_index),
        "ami-manifest-path": "(unknown)",
        "block-device-mapping/ami": m.root_device,
        "block-device-mapping/root": m.root_device,
        "hostname": m.hostname,
        "instance-action": "none",
        "instance-id": m.instance_id,
        "instance-life-cycle": m.life_cycle,
        "instance-type": m.instance_type,
        "local-hostname": m.hostname,
        "local-ipv4": m.private_ip,
        "mac": m.mac,
        "placement/availability-zone": m.zone,
        "placement/region": m.region,
        "profile": "default-hvm",
        "reservation-id": m.reservation_id,
        "security-groups": group_names,
        "services/domain": "amazonaws.com",
        "services/partition": "aws",
        "system": "nitro",
    }
    interface = {
        "device-number": "0",
        "interface-id": m.interface_id,
        "local-hostname": m.hostname,
        "local-ipv4s": m.private_ip,
        "mac": m.mac,
        "owner-id": m.account,
        "security-group-ids": "\n".join(group.id for group in m.security_groups),
        "security-groups": group_names,
        "subnet-id": m.subnet_id,
        "subnet-ipv4-cidr-block": m.subnet_cidr,
        "vpc-id": m.vpc_id,
    }
    basics |= {f"network/interfaces/macs/{m.mac}/{name}": value for name, value in interface.items()}
    if m.key is not None:
        basics["public-keys/0/openssh-key"] = m.key.openssh.rstrip("\n") + "\n"
    if m.tags is not None:
        basics |= {f"tags/instance/{name}": value for name, value in m.tags.items()}
    if m.instance_profile is not None:
        basics["iam/info"] = json.dumps(
            {"Code": "Success", "LastUpdated": stamp, "InstanceProfileArn": m.instance_profile}, indent=2
        )
    document = {
        "accountId": m.account,
        "architecture": "x86_64",
        "availabilityZone": m.zone,
        "billingProducts": None,
        "devpayProductCodes": None,
        "imageId": m.image_id,
        "instanceId": m.instance_id,
        "instanceType": m.instance_type,
        "kernelId": None,
        "marketplaceProductCodes": None,
        "pendingTime": stamp,
        "privateIp": m.private_ip,
        "ramdiskId": None,
        "region": m.region,
        "version": "2017-09-30",
    }
    found = {f"meta-data/{name}": value.encode() for name, value in basics.items()}
    found["dynamic/instance-identity/document"] = json.dumps(document, indent=2).encode()
    if m.credentials is not None:
        current = m.credentials()
        found[f"meta-data/iam/security-credentials/{current.role}"] = current.document()
    if m.user_data is not None:
        found["user-data"] = m.user_data
    return found


def answer(metadata: Metadata, path: str) -> bytes | None:
    """The body for ``GET path``, a document or a listing; ``None``: 404.

    A listing has one name a line and no final newline; folders end with a slash, save right below a version, and a
    public key is listed as ``0=NAME``.
    """
    version, _, rest = path.strip("/").partition("/")
    if not version:
        return "\n".join(VERSIONS).encode()
    if version not in VERSIONS:
        return None
    known = entries(metadata)
    if rest in known:
        return known[rest]
    prefix = f"{rest}/" if rest else ""
    below = [name.removeprefix(prefix).partition("/") for name in known if name.startswith(prefix)]
    if not below:
        return None
    if rest == "meta-data/public-keys" and metadata.key is not None:
        return f"0={metadata.key.name}".encode()
    slash = "/" if rest else ""
    return "\n".join(sorted({head + (slash if tail else "") for head, tail, _ in below})).encode()


class MetadataService:
    """Serves a :class:`Metadata`, which may be replaced at any time, on a Unix socket of its owner only.

    :param socket_path: where; removed at the end. Its folder must exist.
    :param on_request: called from other threads with a line for each request: ``"GET /latest/ HTTP/1.1" 200 -``
    """

    def __init__(self, metadata: Metadata, socket_path: Path, on_request: Callable[[str], None] | None = None) -> None:
        self.metadata = metadata
        self.socket_path = socket_path
        self.on_request = on_request
        self._tokens: dict[str, float] = {}
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True, name="imds")
        self._thread.start()

    def close(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None
            self.socket_path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def new_token(self, ttl: int) -> str:
        """A token that is good for ``ttl`` seconds."""
        now = time.monotonic()
        self._tokens = {token: end for token, end in list(self._tokens.items()) if end > now}
        token = secrets.token_urlsafe(40)
        self._tokens[token] = now + ttl
        return token

    def seconds_left(self, token: str) -> int:
        """How long ``token`` is still good for; 0 when it never was."""
        return max(0, math.ceil(self._tokens.get(token, 0.0) - time.monotonic()))


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, service: MetadataService) -> None:
        self.service = service
        super().__init__(str(service.socket_path), _Handler)

    def server_bind(self) -> None:
        """Bind below the folder's descriptor: a socket's path may have 107 bytes at most, a folder's may be longer."""
        path = self.service.socket_path
        path.unlink(missing_ok=True)
        with _opened(path.parent) as folder:
            self.socket.bind(f"/proc/self/fd/{folder}/{path.name}")
        path.chmod(0o600)

    def handle_error(self, request: object, client_address: object) -> None:
        """The guest went away in the middle of a request."""


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def connect(socket_path: Path) -> socket.socket:
    """A connection to the service on ``socket_path``, whatever the path's length."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _opened(socket_path.parent) as folder:
            client.connect(f"/proc/self/fd/{folder}/{socket_path.name}")
    except BaseException:
        client.close()
        raise
    return client


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 60

    def version_string(self) -> str:
        return "EC2ws"

    def log_message(self, format: str, *args: object) -> None:
        if self.server.service.on_request is not None:
            self.server.service.on_request(format % args)

    def do_PUT(self) -> None:
        metadata = self.server.service.metadata
        ttl = self.headers.get(TTL_HEADER, "")
        if not metadata.endpoint_enabled or "X-Forwarded-For" in self.headers:
            self._send(HTTPStatus.FORBIDDEN)
        elif self.path.rstrip("/") != "/latest/api/token":
            self._send(HTTPStatus.METHOD_NOT_ALLOWED)
        elif not (ttl.isdecimal() and 1 <= int(ttl) <= MAX_TTL):
            self._send(HTTPStatus.BAD_REQUEST)
        else:
            self._send(HTTPStatus.OK, self.server.service.new_token(int(ttl)).encode(), ttl=int(ttl))

    def do_GET(self) -> None:
        service = self.server.service
        token = self.headers.get(TOKEN_HEADER)
        left = 0 if token is None else service.seconds_left(token)
        if not service.metadata.endpoint_enabled:
            self._send(HTTPStatus.FORBIDDEN)
        elif not left and (token is not None or service.metadata.tokens_required):
            self._send(HTTPStatus.UNAUTHORIZED)
        elif (body := answer(service.metadata, self.path.partition("?")[0])) is None:
            self._send(HTTPStatus.NOT_FOUND, ttl=left)
        else:
            self._send(HTTPStatus.OK, body, ttl=left)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._send(HTTPStatus.METHOD_NOT_ALLOWED)

    do_DELETE = do_POST

    def _send(self, status: HTTPStatus, body: bytes = b"", ttl: int = 0) -> None:
        kind = "text/plain"
        if status != HTTPStatus.OK:
            kind = "text/html"
            body = f"<html><head><title>{status.value} - {status.phrase}</title></head></html>\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if ttl:
            self.send_header(TTL_HEADER, str(ttl))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
