"""Servers for what a Jenkins cannot show: any answer, TLS, proxies, other people's web pages. All real sockets."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

JSON = {"X-Jenkins": "2.504.3", "Content-Type": "application/json"}
PAGE = {"X-Jenkins": "2.504.3", "Content-Type": "text/html;charset=UTF-8"}


class Call(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Reply(NamedTuple):
    status: int = 200
    body: str = ""
    headers: dict[str, str] = {}  # noqa: RUF012
    raw: bytes | None = None
    """Instead of all that: these bytes, and the end of the connection."""


class Small:
    """Answers every request as ``answer`` says; an answer of None is the end of the connection without a word."""

    def __init__(self, answer: Callable[[Call], Reply | None], tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.calls: list[Call] = []
        self.connections = 0
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self._tls = tls
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Close all connections, as a server does with idle ones."""
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, ValueError):
            connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            self._open.append(connection)
            with connection, connection.makefile("rb") as stream:
                while self._one(connection, stream):
                    pass
        plain.close()

    def _one(self, connection: socket.socket, stream) -> bool:
        line = stream.readline().decode("latin-1").split()
        if not line:
            return False
        headers = {}
        while (head := stream.readline().strip()) != b"":
            name, _, value = head.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        call = Call(line[0], line[1], headers, stream.read(int(headers.get("content-length", 0))))
        with self._lock:
            self.calls.append(call)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        reply = self.answer(call)
        with self._lock:
            self.at_once -= 1
        if reply is None:
            return False
        if call.method == "CONNECT" and reply.status == 200:
            connection.sendall(b"HTTP/1.1 200 ok\r\n\r\n")
            _relay(connection, call.target)
            return False
        if reply.raw is not None:
            connection.sendall(reply.raw)
            return False
        body = reply.body.encode()
        lines = [f"HTTP/1.1 {reply.status} x", *(f"{name}: {value}" for name, value in reply.headers.items())]
        lines.append(f"Content-Length: {len(body)}")
        connection.sendall("\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body)
        return True


def _relay(one: socket.socket, target: str) -> None:
    host, _, port = target.rpartition(":")
    with socket.create_connection((host, int(port))) as other:

        def copy(source: socket.socket, sink: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)

        back = threading.Thread(target=copy, args=(other, one), daemon=True)
        back.start()
        copy(one, other)
        back.join()


@contextmanager
def small(answer: Callable[[Call], Reply | None], tls: ssl.SSLContext | None = None) -> Iterator[Small]:
    server = Small(answer, tls)
    try:
        yield server
    finally:
        server.close()


def certificate(folder: Path, *, host: str = "127.0.0.1", days: int = 1) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS with a certificate that nobody signed, and that as a file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    with contextlib.suppress(ValueError):
        host = ipaddress.ip_address(host)  # type: ignore[assignment]
    names = [x509.DNSName(host) if isinstance(host, str) else x509.IPAddress(host)]
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "server.pem", folder / "server.key"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public
