"""The local cloud's HTTP server: moto's services and our EC2 on one port of 127.0.0.1, for as long as it is wanted.

A state folder has one server at most: ``STATE/lock`` is held while it runs, and ``STATE/endpoint.json`` says where. All
that does not outlive it (machines, their disks, S3 objects) goes with it; images stay.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from xml.etree import ElementTree

from .. import __version__
from ..errors import HostError
from ..progress import Progress
from . import accel
from .hardware import QemuHardware
from .instances import Fleet
from .machine import S3_ADDRESS
from .profile import PROFILE
from .store import REGION, ImageStore

if TYPE_CHECKING:
    from .ec2 import Responses

HEALTH = "/.jenkins-ami"
"""Answers with the state folder that is served. No bucket can have such a name."""

IDLE = 2.0
"""Seconds without a lease after which a server that runs until unused ends."""

_SIGNED_FOR_EC2 = {
    "PATH_INFO": "/",
    "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=local/20260101/{REGION}/ec2/aws4_request, x",
}
log = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]


class Application:
    """The WSGI application: what may come in, and where it goes.

    A browser can be made to send requests to loopback by any page it visits. So a request must name a loopback host
    (a page's own name that resolves to 127.0.0.1 does not), and must not carry an ``Origin``.

    :param responses: the EC2 actions, when not those of :mod:`.ec2`
    """

    def __init__(self, fleet: Fleet, responses: type[Responses] | None = None) -> None:
        os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # 1,300 images of other people, and a second of time
        try:
            from moto.core.base_backend import BackendDict
            from moto.ec2 import urls
            from moto.server import DomainDispatcherApplication, create_backend_app

            from . import ec2
        except ImportError as error:
            raise HostError(
                f"the local cloud needs moto's server: {error}", hint="Install it: pip install 'jenkins-ami[local]'"
            ) from error

        BackendDict.reset()  # what an earlier server of this process left
        self.ec2 = ec2.bound_to(fleet, responses or ec2.Responses)
        urls.url_paths["{0}/"] = self.ec2.dispatch
        _provide_profile()
        self._issuer = fleet.issuer
        self._state = str(fleet.store.state)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._s3 = self._moto.get_application({"PATH_INFO": "/"})  # where unsigned requests go
        self._moto.get_application(_SIGNED_FOR_EC2)  # before another application changes the paths for its own

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "").rpartition(":")[0] or environ.get("HTTP_HOST", "")
        path = environ.get("PATH_INFO", "")
        if host not in ("127.0.0.1", "localhost", S3_ADDRESS) or "HTTP_ORIGIN" in environ:
            return _refuse(environ, start_response, "403 Forbidden", "AccessDenied", "This is no place for browsers.")
        if path == HEALTH:
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps({"state": self._state, "version": __version__}).encode()]
        if path.startswith(("/moto-api", "/latest/")):  # moto's remote control, and a metadata service of no instance
            return _refuse(environ, start_response, "404 Not Found", "NoSuchKey", "There is nothing here.")
        if refused := self._issuer.refuse(environ):
            return _refuse(environ, start_response, "403 Forbidden", *refused)
        try:
            app = self._s3 if host == S3_ADDRESS else self._moto.get_application(environ)
            answer: Iterable[bytes] = app(environ, start_response)
            return answer
        except NotImplementedError as error:
            return _refuse(environ, start_response, "501 Not Implemented", "NotImplemented", str(error))
        except Exception:
            log.exception("%s %s failed", environ.get("REQUEST_METHOD"), path)
            message = "An internal error has occurred: see the local cloud's log."
            return _refuse(environ, start_response, "500 Internal Server Error", "InternalError", message)


def _provide_profile() -> None:
    """Make the instance profile that is always there."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.iam import iam_backends

    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    iam.create_role(PROFILE, policy, "/", None, "Of the local cloud's instances", [], None)
    iam.create_instance_profile(PROFILE, "/", [PROFILE])


def _refuse(environ: Environ, start_response: StartResponse, status: str, code: str, message: str) -> list[bytes]:
    """An error as AWS clients read it: JSON for the services that speak it, S3's XML otherwise."""
    kind = environ.get("CONTENT_TYPE", "")
    if kind.startswith("application/x-amz-json"):
        body = json.dumps({"__type": code, "message": message}).encode()
    else:
        kind, root = "application/xml", ElementTree.Element("Error")
        ElementTree.SubElement(root, "Code").text = code
        ElementTree.SubElement(root, "Message").text = message
        body = ElementTree.tostring(root)
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


class LocalCloudServer:
    """One running server; a context manager. When it ends, every machine has ended and every instance's disk is gone.

    :param port: on 127.0.0.1; 0 takes a free one
    :raises HostError: on entry: the state folder has a server, the port is in use, QEMU is missing
    """

    def __init__(self, state: Path, port: int, progress: Progress) -> None:
        self.state = state.absolute()
        self.port = port
        self.progress = progress
        self._stack = contextlib.ExitStack()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> LocalCloudServer:
        with contextlib.ExitStack() as stack:
            store = ImageStore(self.state)
            store.require_space()
            self._leases = stack.enter_context((self.state / "leases").open("w"))
            self._hold(stack)
            machines = accel.probe()
            self.machines = f"machines run under {machines.reason}"
            self.progress.info(self.machines)
            store.sweep()
            Fleet.sweep(self.state)
            listener = stack.enter_context(listen(self.port))
            self.port = listener.getsockname()[1]
            self.fleet = Fleet(store, QemuHardware(machines, self.port), self.progress)
            stack.callback(self.fleet.close)
            serve(stack, listener, Application(self.fleet), self.progress)
            self._announce(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def wait(self, *, until_unused: bool) -> None:
        """Return when nobody has held a lease for a while; without ``until_unused`` only an interrupt ends it."""
        unused_since = time.monotonic()
        while True:
            time.sleep(0.2)
            if not until_unused:
                continue
            try:
                fcntl.flock(self._leases, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                unused_since = time.monotonic()
                continue
            if time.monotonic() - unused_since >= IDLE:
                return  # with the lock held to our very end: who wants a lease now waits for that, and starts another
            fcntl.flock(self._leases, fcntl.LOCK_UN)

    def _hold(self, stack: contextlib.ExitStack) -> None:
        lock = stack.enter_context((self.state / "lock").open("w"))
        deadline = time.monotonic() + 0.5  # a client that looks whether somebody serves has the lock for a moment
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            if time.monotonic() >= deadline:
                break
            time.sleep(0.05)
        known = endpoint_of(self.state)
        where = f" at {known['endpoint']} (process {known['pid']})" if known else ""
        raise HostError(
            f"a local cloud runs on this state folder already{where}",
            where=self.state,
            hint="Use that one, end it, or give this one another --state",
        )

    def _announce(self, stack: contextlib.ExitStack) -> None:
        file, part = self.state / "endpoint.json", self.state / ".endpoint.json.part"
        started = datetime.now(UTC).isoformat(timespec="seconds")
        data = {
            "endpoint": self.endpoint,
            "port": self.port,
            "pid": os.getpid(),
            "region": REGION,
            "started": started,
            "machines": self.machines,
        }
        stack.callback(file.unlink, missing_ok=True)
        part.write_text(json.dumps(data))
        part.rename(file)


def listen(port: int) -> socket.socket:
    """A socket on 127.0.0.1 that takes connections; port 0 takes a free one.

    :raises HostError: when the port is in use, or is none
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(512)
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise HostError(f"port {port} is in use", hint="Choose another with --port; 0 finds a free one") from None
        raise HostError(f"port {port} cannot be used: {error}") from None
    return listener


def serve(stack: contextlib.ExitStack, listener: socket.socket, application: Wsgi, progress: Progress) -> None:
    """Serve an application on a listening socket, from now until ``stack`` is closed. Every request is a detail."""
    from moto.server import MotoRequestHandler
    from werkzeug.serving import make_server

    class Handler(MotoRequestHandler):  # type: ignore[misc]
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
            if self.path != "/":  # EC2's say what they are by themselves
                progress.detail(f"{self.command} {self.path.partition('?')[0]} {code}")

        def log(self, type: str, message: str, *args: object) -> None:
            progress.detail(f"{type}: {message % args}")

    host, port = listener.getsockname()
    server = make_server(host, port, application, threaded=True, request_handler=Handler, fd=listener.fileno())
    stack.callback(server.server_close)
    thread = threading.Thread(target=server.serve_forever, name="http", daemon=True)
    thread.start()
    stack.callback(thread.join)
    stack.callback(server.shutdown)


def endpoint_of(state: Path) -> dict[str, Any] | None:
    """What ``STATE/endpoint.json`` says; ``None`` when it is not there (or half there: it belongs to nobody then)."""
    with contextlib.suppress(OSError, ValueError):
        data = json.loads((state / "endpoint.json").read_text())
        if isinstance(data, dict) and {"endpoint", "port", "pid"} <= data.keys():
            return data
    return None


@contextlib.contextmanager
def locked(path: Path, operation: int = fcntl.LOCK_EX) -> Iterator[IO[str]]:
    """Hold ``flock(2)`` on a file, which is made when it is missing. It goes with the process, however that ends."""
    with path.open("a") as file:
        fcntl.flock(file, operation)
        yield file
