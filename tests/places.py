"""Where an overlay comes from, on loopback: servers that answer as a test says, and an instance's metadata."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from jenkins_ami.localcloud.imds import MetadataService, connect

DATA = os.urandom(100_000)
SECRET = "X-Amz-Signature=5ec2e7"

Answer = Callable[[BaseHTTPRequestHandler], None]


def send(body: bytes = DATA, status: int = 200, *, length: int | None = None, **headers: str) -> Answer:
    """An answer; ``length`` is what it claims, -1 claims nothing."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        if length != -1:
            handler.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@dataclass
class Store:
    """A server that gives one answer after the other, the last one for ever."""

    port: int = 0
    answers: list[Answer] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/bucket/fs.tgz?{SECRET}"


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Store]:
    store = Store()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            store.asked.append(self.path)
            answer = store.answers.pop(0) if len(store.answers) > 1 else store.answers[0]
            with contextlib.suppress(ConnectionError):
                answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """The client went away in the middle of an answer."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    store.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Tls:
    """A server's context, and the certificate that makes a client trust it."""

    context: ssl.SSLContext
    file: Path


def make_tls(folder: Path, names: str = "DNS:localhost") -> Tls:
    """For ``names`` (as subjectAltName has them), signed by nobody else."""
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem -days 2"
    subject = ["-subj", "/CN=localhost", "-addext", f"subjectAltName={names}"]
    subprocess.run(["openssl", *request.split(), *subject], cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return Tls(context, folder / "cert.pem")


@contextlib.contextmanager
def metadata_on_tcp(service: MetadataService) -> Iterator[str]:
    """The service as it is on an instance, but for the address; gives its URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def carry() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, connect(service.socket_path) as peer:
                    peer.sendall(client.recv(65536))
                    while data := peer.recv(65536):
                        client.sendall(data)

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
