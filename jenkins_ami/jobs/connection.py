"""A Jenkins over HTTP: what plan and apply ask of it, each with one clear error.

python-jenkins answers who we are, its version and plugins; items, views and their config.xml are asked for here, since
python-jenkins makes three requests to create a job. A password needs a crumb of its session, an API token does not.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from ..credentials import Credentials
from ..errors import ServerError
from .model import ItemPath
from .refusals import is_starting, lacks_crumb, refusal
from .transport import Answer, Lost, Transport, Unreachable

_XML = {"Content-Type": "text/xml; charset=utf-8"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_BUSY = (502, 503, 504)
"""A proxy before Jenkins speaks, or Jenkins on its way up: nothing was done."""
_PAUSE = 0.5
"""Seconds before a second try; each further one waits twice as long, up to 5."""
_TRIES = 4

Warn = Callable[[str], None]


class Connection:
    """One Jenkins. All methods may be called from many threads.

    :param credentials: a user with an API token (or a password); ``None`` is anonymous
    :param timeout: seconds to connect, and to wait for an answer
    :param workers: how many requests there may be at a time
    :param wait: seconds to wait for a Jenkins that starts
    :param warn: told once when it waits
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
        self._credentials = credentials
        self._headers: dict[str, str] = {}
        if credentials is not None:
            from urllib3 import make_headers

            pair = f"{credentials.user}:{credentials.secret}"
            self._headers = {name.title(): value for name, value in make_headers(basic_auth=pair).items()}
        self._crumb: dict[str, str] = {}
        self._wait = wait
        self._warn = warn or (lambda _: None)
        self._lock = threading.Lock()
        self._was_there = False
        self._told = False

    def close(self) -> None:
        self._transport.close()

    # Items and views

    def listing(self, path: ItemPath, depth: int) -> dict[str, Any] | None:
        """The item at ``path`` with all below it, ``depth`` levels deep; ``None`` when there is none."""
        query = urlencode({"tree": _tree(depth)})
        answer = self._ask("GET", f"{_url(path)}/api/json?{query}", f"list {_name(path)}", missing=True)
        return None if answer is None else self._json(answer, "the listing")

    def config(self, path: ItemPath, *, view: bool = False) -> str | None:
        """The config.xml of an item or view; ``None`` when there is none."""
        answer = self._ask("GET", f"{_url(path, view)}/config.xml", f"read {_name(path)}", missing=True)
        return None if answer is None else answer.text

    def create(self, path: ItemPath, xml: str, *, view: bool = False) -> None:
        """Make an item or a view. When its answer is lost, look whether it is there, and try again only if not."""
        action = "createView" if view else "createItem"
        url = f"{_url(path[:-1])}/{action}?{urlencode({'name': path[-1]})}"
        for attempt in range(_TRIES):
            try:
                self._ask("POST", url, f"create {_name(path)}", xml.encode(), _XML, again=False)
                return
            except Lost:
                if self.config(path, view=view) is not None:
                    return
                if attempt == _TRIES - 1:
                    raise

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
        """The user's name; ``anonymous`` without credentials. Works on every Jenkins, so it is a good first request."""
        answer = self._ask("GET", "/whoAmI/api/json", "say who this is")
        return str(self._json(answer, "an answer")["name"])

    def version(self) -> str:
        return str(self._client().get_version())

    def plugins(self) -> dict[str, str] | None:
        """Versions of the active plugins by short name; ``None`` when this user may not see them."""
        from jenkins import JenkinsException

        try:
            found = self._client().get_plugins_info(depth=1)
        except ServerError as error:
            if error.status in (403, 404):
                return None
            raise
        except JenkinsException:
            return None
        return {each["shortName"]: str(each["version"]) for each in found if each.get("active", True)}

    def is_quiet(self) -> bool:
        """Whether it is about to shut down: everything works, but builds wait."""
        answer = self._ask("GET", "/api/json?tree=quietingDown", "say whether it is quiet")
        return bool(self._json(answer, "an answer").get("quietingDown"))

    def _client(self) -> Any:
        """python-jenkins, with its requests sent by our transport."""
        import jenkins
        import requests

        outer = self

        class Client(jenkins.Jenkins):  # type: ignore[misc]
            def _request(self, req: Any, *_: object) -> Any:
                prepared = requests.Session().prepare_request(req)
                path = str(prepared.url).removeprefix(outer.url)
                answer = outer._ask(str(prepared.method), path, "answer")
                assert answer is not None
                response = requests.Response()
                response.status_code = answer.status
                response._content = answer.data
                response.headers.update(dict(answer.headers))
                response.request = prepared
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
        deadline = time.monotonic() + self._wait
        tries = 0
        while True:
            tries += 1
            try:
                answer = self._send(method, path, body, headers or {})
            except Unreachable:
                if not self._was_there or time.monotonic() > deadline:
                    raise
                self._tell()
            except Lost:
                if not again or tries >= _TRIES:
                    raise
            else:
                text = answer.text if answer.status >= 400 else ""
                if is_starting(answer.status, text):
                    if time.monotonic() > deadline:
                        what = f"Jenkins is still starting after {self._wait:.0f} s"
                        raise ServerError(what, where=self.url, status=answer.status)
                    self._tell()
                elif lacks_crumb(answer.status, text) and tries < _TRIES and self._credentials is not None:
                    self._get_crumb()
                    continue
                elif answer.status in _BUSY and tries < _TRIES:
                    pass
                else:
                    return self._final(answer, action, missing=missing)
            time.sleep(min(_PAUSE * 2 ** min(tries - 1, 8), 5.0))

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        self.requests += 1
        return self._transport.send(method, path, body, {**self._headers, **self._crumb, **headers})

    def _final(self, answer: Answer, action: str, *, missing: bool) -> Answer | None:
        if answer.status < 300 or (answer.status in (302, 303) and not _is_login(answer)):
            self._was_there = True
            return answer
        if answer.status == 404 and missing and (self._was_there or answer.headers.get("X-Jenkins")):
            self._was_there = True
            return None
        signed_in = self._credentials is not None
        raise refusal(action, self.url, answer.status, answer.headers, answer.text, signed_in=signed_in)

    def _get_crumb(self) -> None:
        with self._lock:
            answer = self._transport.send("GET", "/crumbIssuer/api/json", None, self._headers)
            self.requests += 1
            if answer.status == 200:
                with suppress(ValueError, KeyError):
                    found = json.loads(answer.data)
                    cookie = answer.headers.get("Set-Cookie", "").partition(";")[0]
                    self._crumb = {found["crumbRequestField"]: found["crumb"]} | ({"Cookie": cookie} if cookie else {})

    def _tell(self) -> None:
        with self._lock:
            told, self._told = self._told, True
        if not told:
            self._warn(f"Jenkins is starting: waiting for it, up to {self._wait:.0f} s")

    def _json(self, answer: Answer | None, what: str) -> dict[str, Any]:
        assert answer is not None
        try:
            data = json.loads(answer.data)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise ServerError(
                f"{what} is not JSON: this is no Jenkins",
                where=self.url,
                hint="Check the URL: it must be Jenkins' own, with its prefix, and no login page before it",
                status=answer.status,
            )
        return data


def _is_login(answer: Answer) -> bool:
    """Whether a redirect leads to a page to sign in, which a security realm or a proxy in front may answer with."""
    location = answer.headers.get("Location", "")
    return any(word in location for word in ("/login", "/securityRealm", "oauth", "saml", "openid"))


def _url(path: ItemPath, view: bool = False) -> str:
    """The URL of an item, or of a view in the folder of that path."""
    names = [quote(name, safe="") for name in path]
    items = names[:-1] if view else names
    return "".join(f"/job/{name}" for name in items) + (f"/view/{names[-1]}" if view else "")


def _name(path: ItemPath) -> str:
    return "/".join(path) or "the top"


def _tree(depth: int) -> str:
    """What a listing asks of each item: a level that is not asked for is missing without a sign."""
    fields = "name,description,views[name,description]"
    tree = fields
    for _ in range(depth):
        tree = f"{fields},jobs[{tree}]"
    return tree
