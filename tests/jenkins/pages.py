"""Answers as the recorded server gives them: which headers come with what, and the pages for errors.

A page that Jenkins makes carries ``X-Jenkins``; those of the servlet container (401, crumb 403, some 400) do not, nor
do config.xml, empty answers and redirects.
"""

from __future__ import annotations

import html
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

VERSION = "2.504.3"
_PAGE = "text/html;charset=UTF-8"
_CONTAINER_PAGE = "text/html;charset=utf-8"


@dataclass
class Answer:
    """An HTTP answer. ``headers`` without Content-Length."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """Ends a request with an answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def _page(status: int, title: str, main: str, **headers: str) -> Answer:
    text = (
        f"<!DOCTYPE html><html><head><title>{html.escape(title)}</title></head>"
        f'<body id="jenkins"><div id="main-panel">{main}</div></body></html>'
    )
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, text.encode(), {"X-Jenkins": VERSION, "Content-Type": _PAGE, **named})


def empty(status: int = 200) -> Answer:
    return Answer(status)


def redirect(location: str) -> Answer:
    return Answer(302, b"", {"Location": location})


def xml(text: str) -> Answer:
    return Answer(200, text.encode(), {"Content-Type": "application/xml"})


def json_page(data: Any, *, pretty: bool = False) -> Answer:
    if pretty:
        text = json.dumps(data, ensure_ascii=False, indent=2, separators=(",", " : "))
    else:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Answer(200, text.encode(), {"X-Jenkins": VERSION, "Content-Type": "application/json;charset=UTF-8"})


def plain(text: str) -> Answer:
    return Answer(200, text.encode(), {"Content-Type": "text/plain;charset=UTF-8"})


def page(title: str, text: str, **headers: str) -> Answer:
    return _page(200, title, html.escape(text), **headers)


def failure(message: str) -> Answer:
    """hudson.model.Failure: 400, and the message as ``X-Error`` as well."""
    return _page(400, "Jenkins - Jenkins", f"<h1>Error</h1><p>{html.escape(message)}</p>", X_Error=message)


def oops(status: int = 500) -> Answer:
    """A page for an exception: it does not say which."""
    main = f"<h1>Oops!</h1><p>A problem occurred while processing the request</p><p>Logging ID={uuid.uuid4()}</p>"
    return _page(status, "Jenkins - Jenkins", main)


def not_found() -> Answer:
    text = "This page may not exist, or you may not have permission to see it."
    return _page(404, "- Jenkins", f"<h1>Oops!</h1><p>{text}</p>")


def needs_post(url: str) -> Answer:
    main = (
        "<h1>This URL requires POST</h1><p>The URL you're trying to access requires that requests be sent using POST "
        "(like a form submission). The button below allows you to retry accessing this URL using POST.</p>"
        f"<p>URL being accessed: {html.escape(url)}</p><p>If you were sent here from an untrusted source, please "
        "proceed with caution.</p><button>Retry using POST</button>"
    )
    return _page(405, "Method Not Allowed - Jenkins", main)


def build_needs_post() -> Answer:
    main = (
        "You must use POST method to trigger builds. (From scripts you may instead pass a per-project authentication "
        "token, or authenticate with your API token.) If you see this page, it may be because a plugin offered a GET "
        "link; file a bug report for that plugin."
    )
    return _page(405, "Form post required - Jenkins", main, Allow="POST")


def denied(user: str, permission: str, shown: str, implied_by: str) -> Answer:
    headers = {"X_You_Are_Authenticated_As": user, "X_Required_Permission": permission}
    if implied_by:
        headers["X_Permission_Implied_By"] = implied_by
    main = f"<h1>Access Denied</h1><p>{html.escape(user)} is missing the {shown} permission</p>"
    return _page(403, "Jenkins", main, **headers)


def authentication_required(session: str) -> Answer:
    body = b"<html><head></head><body>Authentication required</body></html>"
    cookie = f"JSESSIONID={session}; Path=/; HttpOnly"
    return Answer(403, body, {"X-Jenkins": VERSION, "Content-Type": _PAGE, "Set-Cookie": cookie})


def login(session: str) -> Answer:
    text = "<h1>Sign in to Jenkins</h1>Username Password Keep me signed in Sign in"
    body = f"<html><head><title>Sign in - Jenkins</title></head><body>{text}</body></html>"
    headers = {
        "Cache-Control": "no-cache,no-store,must-revalidate",
        "X-Content-Type-Options": "nosniff",
        "X-Hudson": "1.395",
        "X-Jenkins": VERSION,
        "X-Jenkins-Session": "0f1e2d3c",
        "X-Instance-Identity": "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A",
        "Set-Cookie": f"JSESSIONID={session}; Path=/; HttpOnly",
        "Content-Type": _PAGE,
    }
    return Answer(200, body.encode(), headers)


def container_page(status: int, text: str, **headers: str) -> Answer:
    """Of the servlet container: the words are right, the page around them is made up."""
    body = f"<html><body>{html.escape(text)}</body></html>".encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, body, {"Content-Type": _CONTAINER_PAGE, **named})


def unauthorized() -> Answer:
    return container_page(401, "Unauthorized", WWW_Authenticate='Basic realm="Jenkins"')


def no_crumb() -> Answer:
    return container_page(403, "No valid crumb was included in the request")


def starting() -> Answer:
    """Early in the start: without ``X-Jenkins``."""
    text = (
        "Starting Jenkins Jenkins is getting ready to work "
        "Your browser will reload automatically when Jenkins is ready."
    )
    return Answer(503, f"<html><body>{text}</body></html>".encode(), {"Content-Type": _PAGE})
