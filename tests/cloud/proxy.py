"""A proxy between boto3 and an endpoint that counts all calls, and lets some of them go wrong.

It stands on loopback and speaks HTTP/1.1 with connections that stay. A call is known by what the AWS protocols say of
it: the service and the region that it is signed for, and its action, from the form (EC2, STS, IAM), the target (SSM,
KMS), or method and path (S3). What goes wrong is a :class:`Rule`: which calls, and a fault, which is a function that
has a call in its hands (:class:`Exchange`) and decides whether the endpoint, and whether the client, ever hears of it.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit
from xml.etree import ElementTree

from .protocols import FAILED, THROTTLED, Answer, Call, recognise, refusal
from .rates import Limiter

FORM_LIMIT = 1 << 20
"""Bytes of a body that is looked into; a longer one is passed on as it comes."""
_NEW_ID = re.compile(rb"\b(?:i|ami|snap|vol|lt)-[0-9a-f]{8,17}\b")
_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}
"""Headers that belong to one connection (RFC 9110, "Connection")."""


class Exchange:
    """A call on its way. A fault calls some of these; the last thing that happens is an answer, or a cut."""

    def __init__(self, handler: _Handler, call: Call, body: Iterable[bytes], length: int | None) -> None:
        """``length`` of the body in bytes; ``None``: it comes in chunks."""
        self.call = call
        self.proxy = handler.server.proxy
        self._handler = handler
        self._body = body
        self._length = length

    def forward(self) -> Answer:
        """Let it take effect; the client hears nothing of it yet."""
        handler = self._handler
        upstream = http.client.HTTPConnection(self.proxy.host, self.proxy.upstream_port, timeout=120)
        try:
            upstream.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
            for name, value in handler.headers.items():
                if name.lower() not in _HOP | {"content-length"}:
                    upstream.putheader(name, value)
            chunked = self._length is None
            upstream.putheader(
                *(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(self._length)))
            )
            upstream.putheader("Connection", "close")
            upstream.endheaders()
            for piece in self._body:
                upstream.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                upstream.send(b"0\r\n\r\n")
            response = upstream.getresponse()
            body = response.read()
            return Answer(response.status, tuple(response.getheaders()), body)
        finally:
            upstream.close()

    def answer(self, answer: Answer) -> None:
        """Give the client an answer."""
        self._drain()
        self.proxy.know(answer.body)
        self._handler.reply(answer)

    def refuse(self, status: int, code: str, message: str) -> None:
        """Answer with an error, in the form that the service's protocol has for it."""
        self.answer(refusal(self.call, status, code, message))

    def reset(self) -> None:
        """Cut the connection with a reset, as a router or a load balancer that lost it does."""
        connection = self._handler.connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.cut = True

    def hold(self, seconds: float) -> None:
        """Say nothing until the client goes away, ``seconds`` at most; then cut the connection."""
        self._drain()
        connection = self._handler.connection
        connection.settimeout(seconds)
        with contextlib.suppress(OSError):
            while connection.recv(65536):
                pass
        self._handler.cut = True

    def _drain(self) -> None:
        for _ in self._body:
            pass


Fault = Callable[[Exchange], None]


@dataclass
class Rule:
    """Which calls a fault happens to.

    :ivar times: at most so many; ``None``: all
    """

    matches: Callable[[Call], bool]
    fault: Fault
    times: int | None = 1
    used: int = 0


# Faults


def passed(exchange: Exchange) -> None:
    """None: the call takes effect, and the client gets the answer."""
    exchange.answer(exchange.forward())


def throttled(exchange: Exchange) -> None:
    """The service says: ask less often."""
    status, code = THROTTLED.get(exchange.call.service, (400, "Throttling"))
    exchange.refuse(status, code, "Rate exceeded")


def failed(exchange: Exchange) -> None:
    """The service has an error of its own: HTTP 500."""
    exchange.refuse(500, FAILED.get(exchange.call.service, "InternalFailure"), "An internal error has occurred")


def reset(exchange: Exchange) -> None:
    """The connection is reset before the endpoint hears of the call."""
    exchange.reset()


def timed_out(exchange: Exchange) -> None:
    """The endpoint never hears of the call, and the client never hears of the endpoint."""
    exchange.hold(30.0)


def answer_lost(exchange: Exchange) -> None:
    """The call takes effect, and the connection is reset before the answer."""
    exchange.forward()
    exchange.reset()


def killed_before(exchange: Exchange) -> None:
    """The client dies (SIGKILL) before the endpoint hears of the call."""
    exchange.proxy.signal_client(signal.SIGKILL)
    exchange.reset()


def killed_after(exchange: Exchange) -> None:
    """The client dies (SIGKILL) when the call has taken effect, and before it knows."""
    exchange.forward()
    exchange.proxy.signal_client(signal.SIGKILL)
    exchange.reset()


def signalled(number: signal.Signals) -> Fault:
    """The client gets a signal when the call has taken effect, and before it knows."""

    def fault(exchange: Exchange) -> None:
        answer = exchange.forward()
        exchange.proxy.signal_client(number)
        exchange.answer(answer)

    return fault


def unseen(looks: int) -> Fault:
    """What the call makes is unknown to the next ``looks`` calls that ask for it, as in a cloud of many machines."""

    def fault(exchange: Exchange) -> None:
        answer = exchange.forward()
        exchange.proxy.hide(answer.body, looks)
        exchange.answer(answer)

    return fault


_MISSING = {
    "i": "InvalidInstanceID.NotFound",
    "ami": "InvalidAMIID.NotFound",
    "snap": "InvalidSnapshot.NotFound",
    "vol": "InvalidVolume.NotFound",
    "lt": "InvalidLaunchTemplateId.NotFound",
}


def _kind(resource: bytes) -> str:
    return resource.partition(b"-")[0].decode()


def without(body: bytes, unlisted: bytes) -> bytes:
    """The answer of a Describe action without what has the id ``unlisted`` in it."""
    root = ElementTree.fromstring(body)
    ElementTree.register_namespace("", root.tag[1:].partition("}")[0])
    for listed in root:
        for item in list(listed):
            if unlisted in ElementTree.tostring(item):
                listed.remove(item)
    return ElementTree.tostring(root)


# The proxy


class Proxy:
    """A proxy to one endpoint; a context manager.

    :param endpoint: URL of what it stands before
    :ivar rules: the first that matches decides; may be changed while it runs
    :ivar calls: all, in the order in which they came
    :ivar client: the process that is killed, or gets a signal, when a fault says so
    """

    def __init__(self, endpoint: str, limiter: Limiter | None = None) -> None:
        parts = urlsplit(endpoint)
        self.host, self.upstream_port = parts.hostname or "127.0.0.1", parts.port or 80
        self.rules: list[Rule] = []
        self.calls: list[Call] = []
        self.client: int | None = None
        self.limiter = limiter
        self._hidden: dict[bytes, int] = {}
        self._known: set[bytes] = set()
        self._occurrences: Counter[tuple[str, str, str]] = Counter()
        self._lock = threading.Lock()

    def __enter__(self) -> Proxy:
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="proxy", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def on(self, fault: Fault, *, times: int | None = 1, **wanted: object) -> Rule:
        """A fault for the calls whose attributes are as ``wanted``: ``on(reset, action="RunInstances")``."""
        return self.rule(lambda call: all(getattr(call, name) == value for name, value in wanted.items()), fault, times)

    def rule(self, matches: Callable[[Call], bool], fault: Fault, times: int | None = 1) -> Rule:
        """A fault for the calls that match."""
        rule = Rule(matches, fault, times)
        self.rules.append(rule)
        return rule

    def forget(self) -> None:
        """Begin anew: no rules, no calls, nothing hidden."""
        with self._lock:
            self.rules.clear()
            self.calls.clear()
            self._hidden.clear()
            self._occurrences.clear()

    def signal_client(self, number: signal.Signals) -> None:
        """Send a signal to the client, if it is there to get it."""
        assert self.client is not None, "a fault that needs the client's process id has none"
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.client, number)

    def hide(self, body: bytes, looks: int) -> None:
        """Make what an answer names for the first time unknown to the next calls that ask for it.

        Of an instance with its volumes, that is the instance.
        """
        with self._lock:
            new = set(_NEW_ID.findall(body)) - self._known
            kind = next((kind for kind in _MISSING if any(_kind(each) == kind for each in new)), None)
            self._hidden |= {each: looks for each in new if _kind(each) == kind}

    def know(self, body: bytes) -> None:
        """The ids in it are not new any more."""
        with self._lock:
            self._known.update(_NEW_ID.findall(body))

    # What the handler calls

    def seen(self, service: str, action: str, region: str, body: bytes) -> Call:
        with self._lock:
            self._occurrences[service, action, region] += 1
            occurrence = self._occurrences[service, action, region]
            call = Call(len(self.calls) + 1, service, action, region, occurrence, body)
            self.calls.append(call)
            self._known |= set(_NEW_ID.findall(body))
            return call

    def fault_for(self, call: Call) -> Fault:
        with self._lock:
            for rule in self.rules:
                if (rule.times is None or rule.used < rule.times) and rule.matches(call):
                    rule.used += 1
                    return rule.fault
        if self.limiter is not None and not self.limiter.allows(call):
            return throttled
        return self._veiled if self._hidden else passed

    def _veiled(self, exchange: Exchange) -> None:
        """A call while something is hidden: by its id it is not found, by a filter it is not listed."""
        asked = self._looked_for(exchange.call.body)
        if asked:
            return exchange.refuse(400, _MISSING[_kind(asked[0])], f"The ID '{asked[0].decode()}' does not exist")
        answer = exchange.forward()
        if exchange.call.action.startswith("Describe"):
            for unlisted in self._looked_for(answer.body):
                answer = replace(answer, body=without(answer.body, unlisted))
        return exchange.answer(answer)

    def _looked_for(self, body: bytes) -> list[bytes]:
        """Those ids in it that are hidden. One look less is left for each."""
        with self._lock:
            found = sorted({each for each in _NEW_ID.findall(body) if each in self._hidden})
            for each in found:
                self._hidden[each] -= 1
                if not self._hidden[each]:
                    del self._hidden[each]
            return found


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # connections that stay are closed by their clients
    request_queue_size = 256

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """The client or the endpoint went away in the middle of a call."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = 65536
    server: _Server
    cut = False

    def handle_one_request(self) -> None:
        super().handle_one_request()
        if self.cut:
            self.close_connection = True

    def finish(self) -> None:
        super().finish()
        if self.cut:  # before socketserver says goodbye, which would make an orderly end of a reset
            self.connection.close()

    def pass_on(self) -> None:
        """Any request."""
        form, body, length = self._read_body()
        service, action, region = recognise(self.command, self.path, self.headers, form)
        call = self.server.proxy.seen(service, action, region, form)
        self.server.proxy.fault_for(call)(Exchange(self, call, body, length))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on

    def reply(self, answer: Answer) -> None:
        headers = [(name, value) for name, value in answer.headers if name.lower() not in _HOP | {"content-length"}]
        given = next((value for name, value in answer.headers if name.lower() == "content-length"), None)
        length = given if self.command == "HEAD" and given else str(len(answer.body))
        head = f"HTTP/1.1 {answer.status} {http.client.responses.get(answer.status, '')}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in (*headers, ("Content-Length", length)))
        body = b"" if self.command == "HEAD" else answer.body
        self.wfile.write(f"{head}\r\n".encode("latin-1") + body)

    def _read_body(self) -> tuple[bytes, Iterable[bytes], int | None]:
        """What can be looked into, the pieces of the body, and its length if that is known."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return b"", self._chunks(), None
        length = int(self.headers.get("Content-Length", 0))
        if length <= FORM_LIMIT and self.command == "POST":
            form = self.rfile.read(length)
            if len(form) < length:
                raise ConnectionError("the client went away")
            return form, iter([form]), length
        return b"", self._pieces(length), length

    def _pieces(self, length: int) -> Iterator[bytes]:
        while length:
            piece = self.rfile.read(min(length, 65536))
            if not piece:
                raise ConnectionError("the client went away")
            length -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().partition(b";")[0] or b"0", 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the calls are the log."""
