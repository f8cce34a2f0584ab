"""The recordings, and a client that sends them: for the tests that hold the fake against them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import requests

from .classes import RECORDINGS
from .fake import FakeJenkins

CONFIG = RECORDINGS / "config"
XML = "text/xml; charset=utf-8"
FORM = "application/x-www-form-urlencoded"


def load(name: str) -> Any:
    return json.loads((RECORDINGS / name).read_text(encoding="utf-8"))


def config(name: str) -> str:
    """A file of ``config/``, byte for byte."""
    return (CONFIG / f"{name}.xml").read_bytes().decode()


class Client:
    """Sends requests as the recordings were made: with user and API token, unless told otherwise."""

    def __init__(self, fake: FakeJenkins) -> None:
        self.fake = fake
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        self._session.close()

    def send(
        self,
        method: str,
        path: str,
        body: str | bytes | None = None,
        content_type: str | None = XML,
        *,
        auth: tuple[str, str] | str | None = "token",
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """``auth`` is (user, secret), None for anonymous, or ``token`` for the administrator's API token."""
        sent = dict(headers or {})
        if body is not None and content_type is not None:
            sent["Content-Type"] = content_type
        pair = (self.fake.user, self.fake.token) if auth == "token" else auth
        request = requests.Request(method, self.fake.url + path, headers=sent, data=body)
        prepared = request.prepare()
        if isinstance(pair, tuple):
            prepared.prepare_auth(pair)
        prepared.url = self.fake.url + path  # as it is: not normalised
        self._session.cookies.clear()
        return self._session.send(prepared, allow_redirects=False, timeout=30)

    def create(self, path: str, name: str, xml: str | bytes) -> None:
        answer = self.send("POST", f"{path}/createItem?name={name}", _bytes(xml))
        assert answer.status_code == 200, answer.text

    def post(self, path: str, xml: str | bytes) -> None:
        answer = self.send("POST", f"{path}/config.xml", _bytes(xml))
        assert answer.status_code == 200, answer.text

    def get(self, path: str) -> str:
        """config.xml of an item or view, byte for byte."""
        answer = self.send("GET", f"{path}/config.xml")
        assert answer.status_code == 200, answer.text
        return answer.content.decode()

    def describe(self, path: str, text: str) -> None:
        answer = self.send("POST", f"{path}/submitDescription", urlencode({"description": text}), FORM)
        assert answer.status_code == 302, answer.text

    def api(self, path: str, tree: str) -> Any:
        answer = self.send("GET", f"{path}/api/json?tree={tree}")
        assert answer.status_code == 200, answer.text
        return answer.json()


def _bytes(xml: str | bytes) -> bytes:
    return xml.encode() if isinstance(xml, str) else xml
