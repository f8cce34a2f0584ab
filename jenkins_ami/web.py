"""The REST API of one server: Gerrit, GitHub, GitLab.

One client for one server: connections are kept, every wait has an end, answers have a greatest size, and each failure
is one line that says what was asked of whom and what to do. No secret is ever in it. Paging, and what the JSON means,
is the caller's.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from .credentials import Credentials
from .errors import InputError, ServerError, one_line

if TYPE_CHECKING:
    import requests

Params = Mapping[str, str | int] | Sequence[tuple[str, str | int]]

LARGEST = 64 * 1024 * 1024
"""Bytes of an answer that are accepted."""
LONGEST = 300.0
"""Seconds that a whole answer may take, however steadily it drips."""
PATIENCE = 60.0
"""Seconds that a server may ask us to wait before the next try (``Retry-After``); if it asks for more, that is told."""
GERRIT_MAGIC = b")]}'\n"
"""Stands before all of Gerrit's JSON ("REST API", *Output Format*)."""
_BACKOFF = 0.3
_REDIRECTS = 5
_AGAIN = (429, 502, 503, 504)
_CHUNK = 65_536


class TooLarge(ServerError):
    """The answer is larger than was asked for."""


class _NoAnswer(ServerError):
    """Worth another try, where asking twice does no harm."""


class _NotSent(_NoAnswer):
    """There was no connection, so the server has not seen the request."""


@dataclass(frozen=True)
class Response:
    """An answer with a status below 300.

    :ivar url: that was asked, without its query, for messages
    :ivar headers: found whatever their case
    """

    what: str
    url: str
    headers: Mapping[str, str]
    data: bytes

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")

    def json(self, prefix: bytes = b"") -> Any:
        """The JSON that it holds.

        :param prefix: comes off its beginning when it is there
        :raises ServerError: it is none
        """
        data = self.data.removeprefix(prefix)
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            page = data.lstrip()[:1] == b"<"
            raise ServerError(
                f"{self.what} answered with {'a web page' if page else 'something'} where JSON was expected",
                where=self.url,
                hint="Check the URL: it must be the server's own, with no login page before it",
                status=200,
            ) from None


class Web:
    """Requests to one server; safe to use from many threads.

    Proxies and certificates come from the environment (``HTTPS_PROXY``, ``NO_PROXY``, ``REQUESTS_CA_BUNDLE``).

    :param url: of the server, with the prefix that all paths have
    :param what: what to call it in messages, like ``Gerrit``
    :param credentials: sent as Basic authentication, or as a bearer token when there is no user
    :param timeout: seconds to connect, and to wait for each part of an answer
    :param retries: how often a request is tried again that got no answer, or 429, 502, 503 or 504
    :param pool: connections that are kept open
    :raises InputError: the credentials cannot be sent
    """

    def __init__(
        self,
        url: str,
        what: str,
        *,
        credentials: Credentials | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: tuple[float, float] = (10.0, 60.0),
        retries: int = 3,
        pool: int = 8,
    ) -> None:
        from requests.adapters import HTTPAdapter

        if credentials and not (credentials.user + credentials.secret).isprintable():
            raise InputError(f"the credentials for {what} hold control characters", hint="Check what 'auth' names")
        self.url = url.rstrip("/")
        self.what = what
        self.requests = 0
        self._credentials = credentials
        self._timeout = timeout
        self._retries = retries
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._session = _session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_connections=2, pool_maxsize=pool))
        self._session.headers.update({"User-Agent": "jenkins-ami", **(headers or {})})
        self._session.auth = self._sign  # set, else requests would look into ~/.netrc by itself

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        from requests.auth import HTTPBasicAuth

        if self._credentials is None:
            return request
        if self._credentials.user:
            user, secret = (text.encode() for text in (self._credentials.user, self._credentials.secret))
            signed: requests.PreparedRequest = HTTPBasicAuth(user, secret)(request)
            return signed
        # as UTF-8: http.client sends each character of a header as one byte
        request.headers["Authorization"] = f"Bearer {self._credentials.secret}".encode().decode("latin-1")
        return request

    def get(
        self,
        path: str,
        params: Params = (),
        *,
        missing_ok: bool = False,
        limit: int = LARGEST,
        head: bool = False,
    ) -> Response | None:
        """``GET url/path``.

        :param path: encoded, with a ``/`` at its beginning
        :param missing_ok: a 404 is ``None``
        :param limit: bytes of the answer
        :param head: ask for no body
        :raises TooLarge: the answer is larger than ``limit``
        :raises ServerError: in one line, why there is no answer to use
        """
        method = "HEAD" if head else "GET"
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            try:
                status, headers, data = self._ask(method, self.url + path, params, limit)
            except _NoAnswer:
                if last:
                    raise
                self.pause(_BACKOFF * 2**attempt)
                continue
            if status in _AGAIN and not last:
                delay = _seconds(headers.get("Retry-After", ""))
                if delay is None:
                    delay = _BACKOFF * 2**attempt
                if delay <= PATIENCE and not _used_up(status, headers):
                    self.pause(delay)
                    continue
            break
        if status == 404 and missing_ok:
            return None
        if status >= 300:
            raise self._refusal(path, status, headers, data)
        return Response(self.what, _shown(self.url + path), headers, data)

    def post(self, path: str, body: object, *, limit: int = LARGEST) -> Response:
        """``POST url/path`` with JSON.

        It is sent once. It is sent again only when it cannot have been carried out: there was no connection, or the
        server put it off (429 or 503 with ``Retry-After``). Redirects are not followed.

        :param path: encoded, with a ``/`` at its beginning
        :param limit: bytes of the answer
        :raises TooLarge: the answer is larger than ``limit``
        :raises ServerError: in one line, why there is no answer to use
        """
        data = json.dumps(body).encode()
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            try:
                status, headers, answer = self._ask("POST", self.url + path, (), limit, data=data)
            except _NotSent:
                if last:
                    raise
                self.pause(_BACKOFF * 2**attempt)
                continue
            except _NoAnswer as error:
                hint = "It may have arrived all the same: look there before it is sent again"
                raise ServerError(error.what, where=error.where, hint=hint) from None
            delay = _seconds(headers.get("Retry-After", "")) if status in (429, 503) else None
            if delay is None or delay > PATIENCE or last or _used_up(status, headers):
                break
            self.pause(delay)
        if status >= 300:
            raise self._refusal(path, status, headers, answer)
        return Response(self.what, _shown(self.url + path), headers, answer)

    def pause(self, seconds: float) -> None:
        """Wait so long, or until :meth:`stop`."""
        self._stopped.wait(seconds)

    def stop(self) -> None:
        """Ask for nothing more: waits end at once, and later requests fail. For an interrupt."""
        self._stopped.set()

    def close(self) -> None:
        self._session.close()

    def _ask(
        self, method: str, url: str, params: Params, limit: int, hops: int = 0, data: bytes | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One request, and without ``data`` those to where it is redirected on the same host."""
        if self._stopped.is_set():
            raise ServerError(f"{self.what} was not asked: the run was stopped", where=_shown(self.url))
        with self._lock:
            self.requests += 1
        status, headers, answer = self._exchange(method, url, params, limit, data)
        if status not in (301, 302, 303, 307, 308) or not headers.get("Location"):
            return status, headers, answer
        target = joined(url, headers["Location"])
        if data is not None or not _same_server(url, target) or hops >= _REDIRECTS:
            raise ServerError(
                f"{self.what} sends us to another place{target and f', {_shown(target)}'}",
                where=_shown(url),
                hint="If that is the server, give its URL instead; if it is a login page, check 'auth'",
                status=status,
            )
        return self._ask(method, target, (), limit, hops + 1)

    def _exchange(
        self, method: str, url: str, params: Params, limit: int, body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        import requests

        deadline = time.monotonic() + LONGEST
        try:
            with self._session.request(
                method,
                url,
                params=params if isinstance(params, Mapping) else list(params),
                data=body,
                headers={"Content-Type": "application/json; charset=utf-8"} if body is not None else None,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as answer:
                data = bytearray()
                for chunk in answer.iter_content(_CHUNK):
                    data += chunk
                    if len(data) > limit and answer.status_code < 300:
                        raise TooLarge(
                            f"{self.what}'s answer is larger than {limit} bytes", where=_shown(url), status=200
                        )
                    if len(data) > LARGEST:
                        break
                    if time.monotonic() > deadline:
                        raise requests.Timeout
                return answer.status_code, answer.headers, bytes(data)
        except requests.exceptions.SSLError as error:
            raise ServerError(
                f"{self.what}'s TLS certificate is not trusted: {_reason(error)}",
                where=_shown(self.url),
                hint="Name a file with the certificates of its authority in REQUESTS_CA_BUNDLE",
            ) from None
        except requests.exceptions.ProxyError as error:
            raise _no_answer(error)(
                f"the proxy to {self.what} cannot be used: {_reason(error)}",
                where=_shown(self.url),
                hint="Correct HTTPS_PROXY, or name the host in NO_PROXY",
            ) from None
        except (requests.RequestException, OSError) as error:
            raise _no_answer(error)(
                f"{self.what} cannot be reached: {_reason(error)}",
                where=_shown(self.url),
                hint="Check the URL and the network",
            ) from None

    def _refusal(self, path: str, status: int, headers: Mapping[str, str], data: bytes) -> ServerError:
        who = self._credentials
        said = _said(headers, data)
        hint = None
        if until := _used_up(status, headers):
            what = f"{self.what}'s rate limit is used up until {until}"
            hint = "Wait, or use a token with a higher limit" if who else "Sign in: a token has a higher limit"
        elif status == 401 and who:
            what = f"{self.what} does not accept {f'the secret of {who.user}' if who.user else 'the token'}"
            hint = "Make a new one, and check what 'auth' names"
        elif status == 401:
            what, hint = f"{self.what} wants a user", "Add 'auth:' with a user and the variable of its secret"
        elif status == 403:
            whom = (who.user or "this token") if who else "anonymous"
            what, hint = f"{self.what} forbids it to {whom}{said}", "Grant the right to read, or use another account"
        elif status == 404:
            what, hint = f"{self.what} has no such thing, or hides it{said}", "Check the name, and the right to read it"
        elif status >= 500:
            what, hint = f"{self.what} failed with {status}{said}", "Try again later; its own log says why"
        else:
            what = f"{self.what} answered {status}{said}"
        return ServerError(what, where=_shown(self.url + path), hint=hint, status=status)


def joined(url: str, reference: str) -> str:
    """What a reference in an answer from ``url`` means; empty when it makes no sense."""
    try:
        target = urljoin(url, reference)
        return target if urlsplit(target).port != 0 else ""
    except ValueError:
        return ""


def _session() -> requests.Session:
    """One that keeps no cookies and leaves redirects to us."""
    from http.cookiejar import DefaultCookiePolicy

    import requests

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 (its name is requests')
            return None

    session = Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


def _shown(url: str) -> str:
    """A URL for messages: no user, no query."""
    parts = urlsplit(url)
    return one_line(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")


def _same_server(one: str, other: str) -> bool:
    """Whether the credentials for one URL may be sent to the other."""
    a, b = urlsplit(one), urlsplit(other)
    if a.hostname != b.hostname:
        return False
    return (a.scheme, a.netloc) == (b.scheme, b.netloc) or (
        (a.scheme, b.scheme) == ("http", "https") and a.port is None and b.port is None
    )


def _seconds(retry_after: str) -> float | None:
    """``Retry-After``: seconds, or a date (RFC 9110, section 10.2.3)."""
    from email.utils import parsedate_to_datetime

    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _used_up(status: int, headers: Mapping[str, str]) -> str:
    """When a rate limit that is used up ends, as ``14:05 UTC``; empty when that is not what the answer says.

    GitHub answers 403 or 429 with ``x-ratelimit-remaining: 0`` and ``x-ratelimit-reset`` in Unix seconds, or with
    ``retry-after`` ("Rate limits for the REST API"); GitLab 429 with ``RateLimit-Reset`` ("Rate limits").
    """
    if status not in (403, 429):
        return ""
    end: float | None = None
    for prefix in ("X-RateLimit", "RateLimit"):
        reset = headers.get(f"{prefix}-Reset", "")
        if headers.get(f"{prefix}-Remaining") == "0" and reset.isdecimal():
            end = float(reset)
    if end is None and (delay := _seconds(headers.get("Retry-After", ""))) and (status == 403 or delay > PATIENCE):
        end = time.time() + delay
    if end is None or end > time.time() + 366 * 86_400:
        return ""
    return time.strftime("%H:%M UTC" if end < time.time() + 43_200 else "%Y-%m-%d %H:%M UTC", time.gmtime(end))


def _said(headers: Mapping[str, str], data: bytes) -> str:
    """``: `` and the server's own words, when they are short and no page; else nothing."""
    kind = headers.get("Content-Type", "")
    text = data[:10_000].decode("utf-8", "replace")
    if "json" in kind:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        text = ""
        if isinstance(found, dict):
            text = next((found[key] for key in ("message", "error") if isinstance(found.get(key), str)), "")
    elif "text/plain" not in kind:
        return ""
    words = one_line(text)
    return f": {words[:200]}" if words else ""


def _no_answer(error: BaseException) -> type[_NoAnswer]:
    """What kind of failure it is: whether the request can have reached the server."""
    import urllib3

    unsent = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    return _NotSent if any(isinstance(one, unsent) for one in _chain(error)) else _NoAnswer


def _chain(error: BaseException) -> list[BaseException]:
    """An error and those that it comes from."""
    chain: list[BaseException] = []
    todo: list[object] = [error]
    while todo and len(chain) < 20:
        one = todo.pop()
        if isinstance(one, BaseException) and one not in chain:
            chain.append(one)
            todo += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return chain


def _reason(error: BaseException) -> str:
    """The innermost reason, in words that hold no URL: ``connection refused``."""
    import socket
    import ssl

    import requests
    import urllib3

    chain = _chain(error)
    for one in chain:
        if isinstance(one, ssl.SSLCertVerificationError):
            return one.verify_message
        if isinstance(one, ConnectionRefusedError):
            return "connection refused"
        if isinstance(one, (socket.gaierror, urllib3.exceptions.NameResolutionError)):
            return "there is no such host"
    if any(isinstance(one, (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError)) for one in chain):
        return "it took too long"
    for one in chain:
        if isinstance(one, OSError) and one.strerror and not isinstance(one, requests.RequestException):
            return one.strerror.lower()
    return "the answer broke off" if any("IncompleteRead" in repr(one) for one in chain) else "no answer"
