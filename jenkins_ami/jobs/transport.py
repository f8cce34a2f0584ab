"""HTTP to one Jenkins: connections that are kept, time-outs, proxies and TLS, from many threads.

``http.client`` alone: the layers above it (urllib3, requests, python-jenkins) cost two to five times as much for each
request, and a run makes thousands. python-jenkins' own ``retries=`` has no effect, and it has no time-out unless told.
"""

from __future__ import annotations

import os
import select
import ssl
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPSConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

from ..errors import InputError, ServerError


class Lost(ServerError):
    """No answer came, or not all of it: what was asked may have been done."""


class Unreachable(ServerError):
    """The request was never sent, or nobody was there yet to take it: nothing was done."""

    is_refused = False
    """Whether there is a host, but nobody at that port: not yet, perhaps."""


@dataclass(frozen=True)
class Answer:
    """One answer. ``headers`` are found whatever their case."""

    status: int
    headers: HTTPMessage
    data: bytes

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


class Transport:
    """Requests to one server.

    :param ca: certificates to trust (a file, or a folder as OpenSSL wants it), else ``$REQUESTS_CA_BUNDLE``, else the
        system's
    :param timeout: seconds to connect, and to wait for each part of an answer
    :param pool: how many requests there may be at a time; further ones wait
    :raises InputError: the URL, the proxy or the certificates cannot be used
    """

    def __init__(self, url: str, ca: Path | None, timeout: tuple[float, float], pool: int) -> None:
        self.url = url.rstrip("/")
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https"):
            raise InputError(f"'{self.url}' is no URL of a server", hint="It begins with https:// or http://")
        if parts.username is not None:
            raise InputError(
                "the URL of a Jenkins has a user in it", hint="Leave it out, and give user and token as credentials"
            )
        self._is_tls = parts.scheme == "https"
        self._host, self._port = host, port or (443 if self._is_tls else 80)
        self._prefix = quote(parts.path, safe="/%:@!$&'()*+,;=~")
        self._timeout = timeout
        self._tls = _trust(ca) if self._is_tls else None
        self._proxy = Proxy.of(self.url)
        self._headers = {"Accept-Language": "en"}  # the words of errors would be of any language otherwise
        if self._proxy and not self._is_tls:
            self._prefix = f"{parts.scheme}://{parts.netloc}{self._prefix}"
            self._headers |= self._proxy.headers
        self._idle: deque[HTTPConnection] = deque()
        self._slots = threading.BoundedSemaphore(pool)

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """One request.

        :param path: below the server's URL, with its query, encoded
        :raises Unreachable: it could not be sent
        :raises Lost: no whole answer came
        """
        with self._slots:
            connection = self._connection()
            try:
                connection.request(method, self._prefix + path, body, {**self._headers, **headers})
                with connection.getresponse() as response:
                    data = response.read()
            except (HTTPException, OSError) as error:
                connection.close()
                what = f"Jenkins gave no answer: {_reason(error)}"
                raise Lost(what, where=self.url, hint=self._hint("see its log and that of any proxy")) from error
            except BaseException:
                connection.close()
                raise
            if response.will_close:
                connection.close()
            else:
                self._idle.append(connection)
        return Answer(response.status, response.headers, data)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _connection(self) -> HTTPConnection:
        """One that is kept and that the server has not closed, else a new one."""
        while self._idle:
            try:
                kept = self._idle.pop()
            except IndexError:  # another thread had it
                break
            if kept.sock is not None and not _is_readable(kept.sock):
                return kept
            kept.close()
        host, port = (self._proxy.host, self._proxy.port) if self._proxy else (self._host, self._port)
        new = (
            HTTPSConnection(host, port, timeout=self._timeout[0], context=self._tls)
            if self._tls
            else HTTPConnection(host, port, timeout=self._timeout[0])
        )
        if self._proxy and self._tls:
            new.set_tunnel(self._host, self._port, self._proxy.headers)
        try:
            new.connect()
        except (HTTPException, OSError, ValueError) as error:
            new.close()
            raise self._unreachable(error) from error
        new.sock.settimeout(self._timeout[1])
        return new

    def _unreachable(self, error: Exception) -> Unreachable:
        if isinstance(error, ssl.SSLCertVerificationError):
            hint = _CERTIFICATES.get(error.verify_code, _UNKNOWN_AUTHORITY)
            return Unreachable(f"Jenkins' certificate is not trusted: {_reason(error)}", where=self.url, hint=hint)
        if isinstance(error, ssl.SSLError):
            what = f"Jenkins cannot be reached by TLS: {_reason(error)}"
            return Unreachable(what, where=self.url, hint="Check whether its URL begins with http://")
        if self._proxy:
            what = f"the proxy {self._proxy} cannot be used: {_reason(error)}"
            return Unreachable(what, where=self.url, hint="Correct the proxy variables, or name the host in NO_PROXY")
        result = Unreachable(
            f"Jenkins cannot be reached: {_reason(error)}",
            where=self.url,
            hint=self._hint("check the URL, and that Jenkins runs"),
        )
        result.is_refused = isinstance(error, ConnectionError)
        return result

    def _hint(self, text: str) -> str:
        return text[:1].upper() + text[1:] + (f"; the proxy is {self._proxy}" if self._proxy else "")


@dataclass(frozen=True)
class Proxy:
    """What stands between, by the environment's word. Its ``str`` shows no password."""

    host: str
    port: int
    headers: dict[str, str]

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def of(cls, url: str) -> Proxy | None:
        """:raises InputError: the variable names one that cannot be used"""
        from urllib.request import getproxies_environment

        if not getproxies_environment():
            return None
        from requests.utils import get_auth_from_url, get_environ_proxies, select_proxy  # knows networks in NO_PROXY
        from urllib3 import make_headers

        text = select_proxy(url, get_environ_proxies(url))
        if not text:
            return None
        text = text if "://" in text else f"http://{text}"
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port or 80
        except ValueError:
            host = ""
        if parts.scheme != "http" or not host:
            what = f"the proxy for {urlsplit(url).scheme}:// is no http://HOST:PORT"
            raise InputError(what, hint="Correct the proxy variables, or name the host in NO_PROXY")
        user, password = get_auth_from_url(text)
        given = make_headers(proxy_basic_auth=f"{user}:{password}") if user else {}
        return cls(host, port, dict(given))


_UNKNOWN_AUTHORITY = "Name a file with the certificates of its authority: 'ca' of 'jenkins' in jobs.yaml"
_CERTIFICATES = {
    9: "Check this machine's clock",
    10: "Renew it, and check this machine's clock",
    62: "Use the name for which it was made",
    64: "Use the name for which it was made",
}
"""What to do by OpenSSL's code (X509_V_ERR_…): not yet valid, expired, another host name, another address."""


def _trust(ca: Path | None) -> ssl.SSLContext:
    bundle = ca or Path(os.environ.get("REQUESTS_CA_BUNDLE") or "")
    if bundle == Path():
        return ssl.create_default_context()
    try:
        if bundle.is_dir():
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except ssl.SSLError as error:
        raise InputError("a file of certificates (PEM) holds none", where=bundle) from error
    except OSError as error:
        raise InputError(f"the file of certificates cannot be read: {error.strerror}", where=bundle) from error


def _is_readable(sock: object) -> bool:
    """Of an idle connection: whether the server has closed it, or says what nobody asked for."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)  # type: ignore[arg-type]
    return bool(poll.poll(0))


def _reason(error: Exception) -> str:
    """For people: ``connection refused``."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or "the handshake failed").replace("_", " ").lower()
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, OSError):
        text = error.strerror or str(error)
        return text[:1].lower() + text[1:]
    return {"IncompleteRead": "it ended too early", "BadStatusLine": "it is no HTTP"}.get(
        type(error).__name__, str(error) or type(error).__name__
    )
