"""HTTP to one Jenkins: pooled, with time-outs, proxies and TLS, and safe to use from many threads.

urllib3, on which requests and python-jenkins stand: they cost three times as much for each request, and a run makes
thousands. (python-jenkins' own ``retries=`` has no effect, and it has no time-out unless told.)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import InputError, ServerError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse


class Lost(ServerError):
    """No answer came, or not all of it: what was asked may have been done."""


class Unreachable(ServerError):
    """The request was never sent: nothing was done."""


@dataclass(frozen=True)
class Answer:
    """One answer. ``headers`` are found whatever their case."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


class Transport:
    """Requests to one server.

    :param ca: a file of certificates to trust, else ``$REQUESTS_CA_BUNDLE``, else the system's
    :param timeout: seconds to connect, and to wait for each part of an answer
    :param pool: connections that are kept open
    """

    def __init__(self, url: str, ca: Path | None, timeout: tuple[float, float], pool: int) -> None:
        import urllib3
        from requests.utils import get_environ_proxies, select_proxy

        self.url = url.rstrip("/")
        self._path = urlsplit(self.url).path
        settings: dict[str, Any] = {
            "maxsize": pool,
            "block": True,
            "retries": False,
            "timeout": urllib3.Timeout(connect=timeout[0], read=timeout[1]),
        }
        if self.url.startswith("https:"):
            bundle = ca or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
            if bundle and not Path(bundle).is_file():
                raise InputError("there is no such file of certificates", where=Path(bundle))
            settings |= {"cert_reqs": "CERT_REQUIRED"} | ({"ca_certs": str(bundle)} if bundle else {})
        proxy = select_proxy(self.url, get_environ_proxies(self.url))
        self.proxy = "" if not proxy else urlsplit(proxy).netloc.rpartition("@")[2]
        if proxy:
            credentials = urlsplit(proxy).netloc.rpartition("@")[0]
            headers = urllib3.make_headers(proxy_basic_auth=credentials) if credentials else None
            self._pool: urllib3.PoolManager = urllib3.ProxyManager(proxy, proxy_headers=headers, **settings)
        else:
            self._pool = urllib3.PoolManager(**settings)

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """One request.

        :param path: below the server's URL, with its query, encoded
        :raises Unreachable: it could not be sent
        :raises Lost: no whole answer came
        """
        import urllib3

        try:
            answer: BaseHTTPResponse = self._pool.request(
                method, f"{self.url}{path}", body=body, headers=dict(headers), redirect=False
            )
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
            raise Unreachable(
                f"Jenkins cannot be reached: {_reason(error)}", where=self.url, hint=self._hint()
            ) from error
        except urllib3.exceptions.ProxyError as error:
            what = f"the proxy {self.proxy} cannot be used: {_reason(error)}"
            hint = "Correct the proxy variables, or name the host in NO_PROXY"
            raise Unreachable(what, where=self.url, hint=hint) from error
        except urllib3.exceptions.SSLError as error:
            raise Unreachable(
                f"its TLS certificate is not trusted: {_reason(error)}",
                where=self.url,
                hint="Name a file with the certificates of its authority: 'ca' in jobs.yaml",
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Lost(f"Jenkins gave no answer: {_reason(error)}", where=self.url) from error
        return Answer(answer.status, answer.headers, answer.data)

    def _hint(self) -> str:
        return "Check the URL, and that Jenkins runs" + (f"; the proxy is {self.proxy}" if self.proxy else "")

    def close(self) -> None:
        self._pool.clear()


def _reason(error: BaseException) -> str:
    """The innermost reason, for people: ``connection refused``."""
    import ssl

    import urllib3

    while isinstance(error, urllib3.exceptions.HTTPError):
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        if not isinstance(inner, BaseException) or isinstance(inner, str):
            break
        error = inner
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, (TimeoutError, urllib3.exceptions.TimeoutError)):
        return "it took too long"
    return type(error).__name__ if not str(error) else str(error).rpartition(": ")[2]
