"""A server that answers like the recorded Jenkins 2.504.3, for tests and benches that must run without one.

It keeps items in memory and runs nothing: builds only do to a config.xml what the recordings show (``build``). Not
here: queue, console, rename, move, agents. Multibranch and organisation folders were not recorded: multibranch projects
behave as the sources of the plugins read, and their saved form is an extrapolation.

``python -m tests.jenkins.fake --latency 0.02`` runs one in a process of its own; it prints URL, user and token.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import pathlib
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

from . import builds, pages
from .access import Access
from .builds import Declared
from .document import Node
from .items import Item, ItemPath, Items
from .pages import Answer
from .routes import Request, Site
from .transport import Server
from .xstream import XStream

Path = str | Sequence[str]
"""An item's: names, or a text with ``/`` between them. ``""`` is the controller itself."""


@dataclass
class _Failing:
    path: str
    status: int
    times: int


class FakeJenkins:
    """A controller on a port of the loopback, from ``with`` to its end.

    :param latency: seconds that every request takes, whatever it does
    :param workers: how many requests are served at once; None is any number
    :param without: plugins that are not installed
    :ivar url: without a slash at the end
    :ivar folder: where the fixture ``jenkins`` has made a folder for a test
    :ivar quiet: whether it is about to shut down
    :ivar starting: how many of the next requests are answered with 503
    :ivar requests: (method, target) of everything that came in
    :ivar log: the causes of answers with status 500
    """

    def __init__(
        self, *, latency: float = 0.0, workers: int | None = None, without: Collection[str] = (), port: int = 0
    ) -> None:
        self.latency = latency
        self.starting = 0
        self.folder = "jenkins-ami-test"
        self.requests: list[tuple[str, str]] = []
        self.access = Access()
        self.user, self.token, self.password = "admin", self.access.tokens["admin"], self.access.passwords["admin"]
        self._items = Items(XStream(without))
        self._site = Site(self._items, self.access, "")
        self._lock = threading.RLock()
        self._slots: AbstractContextManager[object] = (
            threading.BoundedSemaphore(workers) if workers else contextlib.nullcontext()
        )
        self._failing: list[_Failing] = []
        self._dropping = 0
        self._port = port
        self._server: Server | None = None
        self._timer: threading.Timer | None = None

    def __enter__(self) -> FakeJenkins:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        self._close()

    def _open(self) -> None:
        self._server = Server(self._port, self.serve)
        self._port = self._server.server_address[1]
        self._site.url = f"{self.url}/"

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def log(self) -> list[str]:
        return self._items.log

    @property
    def quiet(self) -> bool:
        return self._site.quiet

    @quiet.setter
    def quiet(self, value: bool) -> None:
        self._site.quiet = value

    @property
    def items(self) -> Mapping[ItemPath, Item]:
        """All items by path, as they are now."""
        with self._lock:
            return {item.path: item for item in self._items.root.walk()}

    def config(self, path: Path) -> str:
        """The stored config.xml, without a request."""
        with self._lock:
            return self._found(path).text

    # What happens without this program

    def edit(self, path: Path, change: Callable[[str], str]) -> None:
        """A person in the web page: ``change`` gets the saved form and gives a new one, which is saved."""
        with self._lock:
            self._items.edit(self._found(path), change)

    def create(self, path: Path, xml: str) -> None:
        """Somebody else's item."""
        *parents, name = _names(path)
        with self._lock:
            self._items.create(self._found(parents), name, xml)

    def load(self, file: pathlib.Path) -> None:
        """Many items at once, in their saved form: lines of JSON with ``path``, ``xml``, and ``view`` for a view."""
        with self._lock, file.open(encoding="utf-8") as lines:
            for each in map(json.loads, lines):
                *parents, name = each["path"]
                if each["view"]:
                    self._items.create_view(self._found(parents), name, each["xml"])
                else:
                    self._items.save(self._items.create(self._found(parents), name, each["xml"]))

    def delete(self, path: Path) -> None:
        with self._lock:
            self._items.delete(self._found(path))

    def view(self, path: Path, name: str) -> Node | None:
        """A folder's view in memory."""
        with self._lock:
            return self._found(path).view(name)

    def build(self, path: Path, declares: Declared | None = None) -> None:
        """One build that succeeds, with what its Jenkinsfile declares."""
        with self._lock:
            builds.run(self._items, self._found(path), declares)

    def index(self, path: Path, *branches: str) -> None:
        """Give a multibranch project its branch jobs."""
        with self._lock:
            builds.index(self._items, self._found(path), branches)

    def restart(self, *, down: float = 0.0, starting: int = 0) -> None:
        """Close all connections; lose the sessions and what was only in memory.

        :param down: seconds during which connections are refused; this returns at once
        :param starting: how many requests after that are answered with 503
        """
        self._close()
        with self._lock:
            self.access.forget_sessions()
            self.starting = starting
            for item in self._items.root.walk():
                self._items.reload(item)
        if down:
            self._timer = threading.Timer(down, self._open)
            self._timer.start()
        else:
            self._open()

    def drop_next(self, count: int = 1) -> None:
        """The next requests take effect, and the connection is closed instead of an answer."""
        self._dropping += count

    def fail_next(self, path: str, status: int, times: int = 1) -> None:
        """The next requests whose target contains ``path`` get this status and take no effect."""
        self._failing.append(_Failing(path, status, times))

    def _found(self, path: Path) -> Item:
        item = self._items.find(_names(path))
        if item is None:
            raise KeyError(path)
        return item

    # Requests

    def serve(self, request: Request) -> Answer | None:
        """The answer, or None: close the connection."""
        with self._slots:
            if self.latency:
                time.sleep(self.latency)
            with self._lock:
                return self._served(request)

    def _served(self, request: Request) -> Answer | None:
        self.requests.append((request.method, request.target))
        if self.starting:
            self.starting -= 1
            return pages.starting()
        for failing in self._failing:
            if failing.times and failing.path in request.target:
                failing.times -= 1
                return pages.oops(failing.status)
        answer = self._site.answer(request)
        if self._dropping:
            self._dropping -= 1
            return None
        return answer


def _names(path: Path) -> ItemPath:
    return tuple(each for each in path.split("/") if each) if isinstance(path, str) else tuple(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="a stand-in for Jenkins; prints its URL, a user and the user's token")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that every request takes")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--workers", type=int, default=None, help="how many requests are served at once")
    parser.add_argument("--load", type=pathlib.Path, help="a file of items (FakeJenkins.load)")
    given = parser.parse_args()
    with FakeJenkins(latency=given.latency, workers=given.workers, port=given.port) as fake:
        if given.load:
            fake.load(given.load)
        gc.freeze()
        gc.set_threshold(100_000, 50, 50)  # items stay: looking for garbage among them is most of a createItem
        print(fake.url, fake.user, fake.token, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
