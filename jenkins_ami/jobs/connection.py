"""A Jenkins over HTTP: what plan and apply ask of it, each with one clear error.

python-jenkins reads version and plugins; items, views and their config.xml are asked for here, since python-jenkins
makes three requests to create a job. A request that may be sent twice is, when its answer was lost; a Jenkins that
starts is waited for. An API token needs no crumb; a password does, and that shows when Jenkins refuses.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from ..credentials import Credentials
from ..errors import InputError, ServerError
from ..progress import duration
from .model import ItemPath
from .refusals import SIGN_IN, is_sign_in, is_starting, lacks_crumb, no_jenkins, refusal
from .transport import Answer, Lost, Transport, Unreachable
from .xmltree import parse

_XML = {"Content-Type": "text/xml; charset=utf-8"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_PAUSE, _LONGEST = 0.25, 2.0
"""Seconds before a second try, which double with each further one, and how many at most."""
_TRIES = 4
"""How often a request is sent whose answer is lost."""
_UNKNOWN = 30.0
"""Seconds to wait for a Jenkins that has not answered yet: a process that starts listens by then, a wrong port never
does."""

Warn = Callable[[str], None]


class Stopped(ServerError):
    """Not sent: the run was stopped."""


class Connection:
    """One Jenkins. All methods may be called from many threads.

    :param credentials: a user with an API token (or a password); ``None`` is anonymous
    :param ca: certificates to trust instead of the system's
    :param timeout: seconds to connect, and to wait for an answer
    :param workers: how many requests there may be at a time
    :param wait: seconds to wait for a Jenkins that starts
    :param warn: told when it begins to wait
    :raises InputError: the URL, the credentials or the certificates cannot be used
    :raises ServerError: from every method, when Jenkins refuses or cannot be reached
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials | None,
        *,
        ca: Path | None = None,
        timeout: tuple[float, float] = (10.0, 60.0),
        workers: int = 16,
        wait: float = 300.0,
        warn: Warn | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.requests = 0
        self._transport = Transport(self.url, ca, timeout, workers)
        self._user = credentials.user if credentials else ""
        self._headers: dict[str, str] = {}
        if credentials is not None:
            if not credentials.user:
                raise InputError("Jenkins wants a user with the API token", where=self.url, hint=SIGN_IN)
            pair = f"{credentials.user}:{credentials.secret}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        self._crumb: dict[str, str] = {}
        self._wait = wait
        self._warn = warn or (lambda _: None)
        self._counting, self._renewing = threading.Lock(), threading.Lock()
        self._stopped = threading.Event()
        self._is_known = False
        self._waiting = 0

    def close(self) -> None:
        self._transport.close()

    def stop(self) -> None:
        """Send no more requests; those under way end."""
        self._stopped.set()

    # Items and views

    def listing(self, path: ItemPath, depth: int) -> dict[str, Any] | None:
        """The item at ``path`` with all below it, ``depth`` levels deep; ``None`` when there is none.

        A level that was not asked for is missing without a sign.
        """
        query = urlencode({"tree": _tree(depth)})
        answer = self._ask("GET", f"{_url(path)}/api/json?{query}", f"list {_name(path)}", missing=True)
        if answer is not None:
            return self._json(answer)
        if not self._is_known:
            self.whoami()  # a 404 is what a wrong prefix gives, too
        return None

    def config(self, path: ItemPath, *, view: bool = False) -> str | None:
        """The config.xml of an item or view; ``None`` when there is none."""
        answer = self._ask("GET", f"{_url(path, view)}/config.xml", f"read {_name(path)}", missing=True)
        return None if answer is None else answer.text

    def create(self, path: ItemPath, xml: str, *, view: bool = False) -> None:
        """Make an item or a view. When its answer was lost, look whether it is there, and try again only if not.

        :raises ServerError: with status 400, when the name is taken or illegal
        """
        query = urlencode({"name": path[-1]})
        url = f"{_url(path[:-1])}/{'createView' if view else 'createItem'}?{query}"
        for attempt in range(1, _TRIES + 1):
            try:
                self._ask("POST", url, f"create {_name(path)}", xml.encode(), _XML, again=False)
                return
            except Lost:
                if self._has(path, xml, view=view):
                    return
                if attempt == _TRIES:
                    raise
            except ServerError as error:
                # The first try may have come to its end after we had looked.
                if attempt > 1 and error.status == 400 and self._has(path, xml, view=view):
                    return
                raise
            self._pause(attempt)

    def _has(self, path: ItemPath, xml: str, *, view: bool) -> bool:
        """Whether it is there as we sent it, going by the description, which holds owner and digest."""
        there = self.config(path, view=view)
        return there is not None and parse(there).findtext("description") == parse(xml).findtext("description")

    def update(self, path: ItemPath, xml: str, *, view: bool = False) -> None:
        """Replace a config.xml."""
        self._ask("POST", f"{_url(path, view)}/config.xml", f"update {_name(path)}", xml.encode(), _XML)

    def describe(self, path: ItemPath, text: str) -> None:
        """Set an item's description; this makes Jenkins save it, and so show what it understood (rule 12)."""
        body = urlencode({"description": text}).encode()
        self._ask("POST", f"{_url(path)}/submitDescription", f"describe {_name(path)}", body, _FORM)

    def delete(self, path: ItemPath, *, view: bool = False) -> None:
        """Delete an item or view; one that is gone already is fine."""
        self._ask("POST", f"{_url(path, view)}/doDelete", f"delete {_name(path)}", b"", _FORM, missing=True)

    def disable(self, path: ItemPath) -> None:
        self._ask("POST", f"{_url(path)}/disable", f"disable {_name(path)}", b"", _FORM)

    def enable(self, path: ItemPath) -> None:
        self._ask("POST", f"{_url(path)}/enable", f"enable {_name(path)}", b"", _FORM)

    # The server

    def whoami(self) -> str:
        """The user's name; ``anonymous`` without credentials. Every Jenkins answers that, to anybody."""
        answer = self._ask("GET", "/whoAmI/api/json", "say who this is", missing=True)
        if answer is None:
            raise no_jenkins(self.url, 404)
        return str(self._json(answer).get("name", ""))

    def version(self) -> str:
        return str(self._client().get_version())

    def plugins(self) -> dict[str, str] | None:
        """Versions of the active plugins by short name; ``None`` when this user may not see them."""
        try:
            found = self._client().get_plugins(depth=1)
        except ServerError as error:
            if error.status in (403, 404):
                return None
            raise
        return {each["shortName"]: str(each["version"]) for each in found.values() if each["active"]}

    def is_quiet(self) -> bool:
        """Whether it is about to shut down: everything works, but builds wait."""
        answer = self._ask("GET", "/api/json?tree=quietingDown", "say whether it is quiet")
        assert answer is not None
        return bool(self._json(answer).get("quietingDown"))

    def _client(self) -> Any:
        """python-jenkins, with its requests sent from here."""
        import jenkins
        import requests

        ask, url = self._ask, self.url

        class Client(jenkins.Jenkins):  # type: ignore[misc]
            def _request(self, req: Any, *_: object) -> Any:
                prepared = req.prepare()
                answer = ask(prepared.method, prepared.url.removeprefix(url), "tell about itself")
                assert answer is not None
                response = requests.Response()
                response.status_code, response._content = answer.status, answer.data
                response.headers.update(answer.headers.items())
                return response

        client = Client(self.url)
        client.crumb = False
        client._auth_resolved = True
        return client

    # One request

    def _ask(
        self,
        method: str,
        path: str,
        action: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        missing: bool = False,
        again: bool = True,
    ) -> Answer | None:
        """Send a request until it is answered for good.

        :param missing: a 404 is an answer: ``None``
        :param again: whether it may be sent a second time when its answer was lost
        """
        started = time.monotonic()
        tries = crumbs = 0
        is_waiting = False
        try:
            while True:
                tries += 1
                crumb = self._crumb
                try:
                    answer = self._send(method, path, body, {**self._headers, **crumb, **(headers or {})})
                except Unreachable as error:
                    if not (self._is_known or error.is_refused) or self._is_late(started):
                        raise
                except Lost:
                    if not again or tries >= _TRIES:
                        raise
                    self._pause(tries)
                    continue
                else:
                    text = answer.text if answer.status >= 400 else ""
                    if lacks_crumb(answer.status, text) and crumbs < 2:
                        crumbs += 1
                        self._renew_crumb(crumb, action)
                        continue
                    if answer.status not in (502, 503, 504):
                        return self._final(method, answer, action, missing=missing)
                    if answer.status != 503 and not again:
                        what = f"Jenkins gave no answer: its proxy says {answer.status}"
                        raise Lost(what, where=self.url, status=answer.status)
                    self._is_known |= is_starting(answer.status, text)
                    if self._is_late(started):
                        what = f"Jenkins is not there yet after {duration(time.monotonic() - started)}"
                        hint = "Look at its log; --wait makes this wait longer"
                        raise Unreachable(what, where=self.url, hint=hint, status=answer.status)
                is_waiting = is_waiting or self._begin_to_wait()
                self._pause(tries)
        finally:
            if is_waiting:
                with self._counting:
                    self._waiting -= 1

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        if self._stopped.is_set():
            raise Stopped("the run was stopped", where=self.url)
        with self._counting:
            self.requests += 1
        return self._transport.send(method, path, body, headers)

    def _pause(self, tries: int) -> None:
        self._stopped.wait(min(_PAUSE * 2 ** min(tries - 1, 8), _LONGEST))

    def _limit(self) -> float:
        return self._wait if self._is_known else min(self._wait, _UNKNOWN)

    def _is_late(self, started: float) -> bool:
        return time.monotonic() - started >= self._limit()

    def _begin_to_wait(self) -> bool:
        """Tell it, if no other request waits already."""
        with self._counting:
            self._waiting += 1
            is_first = self._waiting == 1
        if is_first:
            self._warn(f"Jenkins is starting; waiting up to {duration(self._limit())}")
        return True

    def _final(self, method: str, answer: Answer, action: str, *, missing: bool) -> Answer | None:
        location = answer.headers.get("Location", "")
        done = answer.status < 300 or (
            method == "POST" and answer.status in (302, 303) and not is_sign_in(answer.status, location)
        )
        if done:
            return answer
        if answer.status == 404 and missing:
            return None
        raise refusal(action, self.url, answer.status, answer.headers, answer.text, user=self._user)

    def _renew_crumb(self, used: Mapping[str, str], action: str) -> None:
        """Get a crumb and the cookie of its session, unless another thread just did."""
        with self._renewing:
            if self._crumb is not used:
                return
            answer = self._ask("GET", "/crumbIssuer/api/json", action, missing=True)
            if answer is None:
                return
            found = self._json(answer)
            cookies = [each.partition(";")[0] for each in answer.headers.get_all("Set-Cookie") or []]
            self._crumb = {str(found["crumbRequestField"]): str(found["crumb"]), "Cookie": "; ".join(cookies)}

    def _json(self, answer: Answer) -> dict[str, Any]:
        try:
            data = json.loads(answer.data)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise no_jenkins(self.url)
        self._is_known = True
        return data


def _url(path: ItemPath, view: bool = False) -> str:
    """The URL of an item, or of a view in the folder of that path."""
    names = [quote(name, safe="") for name in path]
    items = names[:-1] if view else names
    return "".join(f"/job/{name}" for name in items) + (f"/view/{names[-1]}" if view else "")


def _name(path: ItemPath) -> str:
    return "/".join(path) or "its items"


def _tree(depth: int) -> str:
    """What a listing asks of each item."""
    fields = "name,description"
    tree = fields
    for _ in range(depth):
        tree = f"{fields},views[{fields}],jobs[{tree}]"
    return tree
