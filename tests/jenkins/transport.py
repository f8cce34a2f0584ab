"""HTTP/1.1 over sockets, as little as a test server needs and as fast as that makes it: keep-alive, no Nagle.

``http.server`` would spend more time on a request than Jenkins does.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from .pages import Answer
from .routes import Request

_REASONS = {status.value: status.phrase for status in HTTPStatus}
Serve = Callable[[Request], Answer | None]


class Server(socketserver.ThreadingTCPServer):
    """Serves on a port of the loopback until ``close``. ``serve`` gives an answer, or None to close the connection."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, serve: Serve) -> None:
        self.serve = serve
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        for each in list(self._connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: Server

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a client that went away
            for request in self._requests():
                answer = self.server.serve(request)
                if answer is None:
                    return
                self.connection.sendall(_encoded(answer, with_body=request.method != "HEAD"))
                if request.headers.get("connection", "").lower() == "close":
                    return

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def _requests(self) -> Iterator[Request]:
        while line := self.rfile.readline(65537):
            if not line.strip():
                continue
            method, target, _ = line.decode("latin-1").split(" ", 2)
            headers = {}
            while (line := self.rfile.readline(65537)) not in (b"\r\n", b"\n", b""):
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.strip().lower()] = value.strip()
            if headers.get("expect", "").lower() == "100-continue":
                self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            yield Request(method, target, headers, self._body(headers))

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("content-length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)


def _encoded(answer: Answer, *, with_body: bool) -> bytes:
    """Jetty writes ``?`` for what is not Latin-1 in a header."""
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, '')}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if answer.status != 204:
        lines.append(f"Content-Length: {len(answer.body)}")
    head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
    return head + answer.body if with_body else head
