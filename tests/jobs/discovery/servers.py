"""Servers on loopback for these tests: one that answers as a test says, and one that serves Git repositories."""

from __future__ import annotations

import base64
import os
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from jenkins_ami.process import run


@dataclass(frozen=True)
class Request:
    """:ivar path: as it was sent, encoded"""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """``drop``: close the connection instead. ``short``: send that many bytes less than was promised."""

    status: int = 200
    body: bytes | str = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    short: int = 0


class Server:
    """Answers with what ``answer`` gives; keeps what it was asked."""

    def __init__(self, answer: Callable[[Request], Answer], tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.sent: list[int] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                query = dict(parse_qsl(parts.query, keep_blank_values=True))
                request = Request(self.command, parts.path, query, self.headers, body)
                server.requests.append(request)
                given = answer(request)
                if given.drop:
                    self.close_connection = True
                    return
                data = given.body.encode() if isinstance(given.body, str) else given.body
                self.send_response_only(given.status)
                headers = {"Date": formatdate(usegmt=True), "Content-Type": "application/json"} | dict(given.headers)
                for name, value in (headers | {"Content-Length": str(len(data))}).items():
                    self.send_header(name, value)
                self.end_headers()
                server.sent.append(len(data))
                if self.command != "HEAD":
                    self.wfile.write(data[: len(data) - given.short])
                if given.short:
                    self.close_connection = True

            do_GET = do_POST = do_HEAD = _any

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Server:
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


@contextmanager
def git_over_http(root: Path, *, user: str = "", password: str = "", filters: bool = True) -> Iterator[Server]:
    """The repositories below ``root`` through Git's own ``git http-backend`` (git-http-backend(1)).

    :param filters: whether it lets clients leave out blobs
    """
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""

    def answer(request: Request) -> Answer:
        if wanted and request.headers.get("Authorization") != wanted:
            return Answer(401, "", {"WWW-Authenticate": 'Basic realm="git"'})
        env = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "uploadpack.allowFilter",
            "GIT_CONFIG_VALUE_0": str(filters).lower(),
            "PATH_INFO": request.path,
            "QUERY_STRING": "&".join(f"{key}={value}" for key, value in request.query.items()),
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("Content-Type") or "",
            "CONTENT_LENGTH": str(len(request.body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding") or "",
            "GIT_PROTOCOL": request.headers.get("Git-Protocol") or "",
        }
        out = root / f".answer-{threading.get_ident()}"
        with out.open("wb") as file:
            run(["git", "http-backend"], env=env, input=request.body, stdout=file)
        head, _, body = out.read_bytes().partition(b"\r\n\r\n")
        out.unlink()
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        return Answer(int(headers.pop("Status", "200").split()[0]), body, headers)

    with Server(answer) as server:
        yield server
