"""The client of REST servers, against servers on loopback."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jenkins_ami.credentials import Credentials
from jenkins_ami.errors import InputError, ServerError
from jenkins_ami.web import TooLarge, Web
from tests.jobs.discovery.servers import Answer, Request, Server

SECRET = "s3cr3t-töken"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Script:
    """Answers in turn, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)

    def __call__(self, request: Request) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def refused(web: Web, path: str = "/x") -> str:
    with pytest.raises(ServerError) as caught:
        web.get(path)
    line = caught.value.line()
    assert SECRET not in line and "\n" not in line
    return line


def test_json_comes_back_with_its_headers() -> None:
    with Server(Script(Answer(body='{"a": 1}', headers={"X-More": "yes"}))) as server:
        answer = Web(server.url + "/api/", "GitLab").get("/x%2Fy", {"b": 1})
    assert answer is not None and answer.json() == {"a": 1} and answer.headers["x-more"] == "yes"
    assert (server.requests[0].path, server.requests[0].query) == ("/api/x%2Fy", {"b": "1"})


def test_a_prefix_before_json_is_taken_off() -> None:
    with Server(Script(Answer(body=")]}'\n[1]"))) as server:
        answer = Web(server.url, "Gerrit").get("/x")
    assert answer is not None and answer.json(b")]}'\n") == [1]


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        (None, None),
        (Credentials("", "token"), "Bearer token"),
        (Credentials("", "tokén"), "Bearer tok\xc3\xa9n"),
        (Credentials("jö", "pä"), "Basic asO2OnDDpA=="),
    ],
    ids=["nobody", "token", "unicode", "user"],
)
def test_it_signs_in_as_it_is_told(credentials: Credentials | None, header: str | None) -> None:
    with Server(Script(Answer(body="{}"))) as server:
        Web(server.url, "Gerrit", credentials=credentials).get("/x")
    assert server.requests[0].headers.get("Authorization") == header


def test_credentials_that_no_header_can_carry_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        Web("http://x", "Gerrit", credentials=Credentials("", f"{SECRET}\nX-Other: 1"))
    assert SECRET not in caught.value.line()


def test_a_netrc_is_not_looked_up_behind_our_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Server(Script(Answer(body="{}"))) as server:
        Web(server.url, "Gerrit").get("/x")
    assert "Authorization" not in server.requests[0].headers


def test_cookies_are_not_kept() -> None:
    with Server(Script(Answer(body="{}", headers={"Set-Cookie": "a=b; Path=/"}))) as server:
        web = Web(server.url, "Gerrit")
        web.get("/x"), web.get("/x")
    assert "Cookie" not in server.requests[1].headers


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(status: int) -> None:
    with Server(Script(Answer(status, headers={"Retry-After": "0"}), Answer(body="{}"))) as server:
        web = Web(server.url, "GitLab")
        assert web.get("/x") is not None
    assert web.requests == 2


@pytest.mark.parametrize("first", [Answer(drop=True), Answer(body="x" * 100, short=50)], ids=["dropped", "broken off"])
def test_an_answer_that_does_not_come_whole_is_asked_for_again(first: Answer) -> None:
    with Server(Script(first, Answer(body='"whole"'))) as server:
        answer = Web(server.url, "GitLab").get("/x")
    assert answer is not None and answer.json() == "whole"


def test_after_some_tries_it_gives_up() -> None:
    with Server(Script(Answer(503, "busy", {"Content-Type": "text/plain", "Retry-After": "0"}))) as server:
        web = Web(server.url, "GitLab", retries=2)
        assert refused(web) == f"GitLab failed with 503: busy ({server.url}/x). Try again later; its own log says why."
    assert web.requests == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_what_would_not_change_is_not_asked_again(status: int) -> None:
    with Server(Script(Answer(status))) as server:
        web = Web(server.url, "GitLab")
        refused(web)
    assert web.requests == 1


def test_each_refusal_says_what_to_do() -> None:
    user, token = Credentials("ci", SECRET), Credentials("", SECRET)
    message = {"Content-Type": "application/json"}
    for credentials, answer, line in [
        (
            user,
            Answer(401),
            "Gerrit does not accept the secret of ci (U). Make a new one, and check what 'auth' names.",
        ),
        (token, Answer(401), "Gerrit does not accept the token (U). Make a new one, and check what 'auth' names."),
        (None, Answer(401), "Gerrit wants a user (U). Add 'auth:' with a user and the variable of its secret."),
        (
            user,
            Answer(403, '{"message": "no\\nright"}', message),
            "Gerrit forbids it to ci: no right (U). Grant the right to read, or use another account.",
        ),
        (
            token,
            Answer(404, "<html>lost</html>", {"Content-Type": "text/html"}),
            "Gerrit has no such thing, or hides it (U). Check the name, and the right to read it.",
        ),
        (None, Answer(400, '{"error": "bad"}', message), "Gerrit answered 400: bad (U)."),
    ]:
        with Server(Script(answer)) as server:
            line_seen = refused(Web(server.url, "Gerrit", credentials=credentials))
        assert line_seen == line.replace("U", f"{server.url}/x")


def test_a_missing_page_is_none_where_that_is_fine() -> None:
    with Server(Script(Answer(404))) as server:
        assert Web(server.url, "GitLab").get("/x", missing_ok=True) is None


def test_a_rate_limit_says_when_it_ends() -> None:
    ends = int(time.time()) + 3000
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(ends)}
    with Server(Script(Answer(403, headers=headers))) as server:
        web = Web(server.url, "GitHub")
        at = time.strftime("%H:%M UTC", time.gmtime(ends))
        assert refused(web).startswith(f"GitHub's rate limit is used up until {at} ({server.url}/x). Sign in")
    assert web.requests == 1


def test_a_wait_that_is_asked_for_and_too_long_is_told() -> None:
    with Server(Script(Answer(429, headers={"Retry-After": "900"}))) as server:
        web = Web(server.url, "GitLab", credentials=Credentials("", SECRET))
        assert "GitLab's rate limit is used up until" in refused(web)
    assert web.requests == 1


@pytest.mark.parametrize(
    "body", ["<html>Sign in</html>", "no json", "", "[" * 100_000], ids=["page", "text", "empty", "deep"]
)
def test_what_is_no_json_is_one_line(body: str) -> None:
    with Server(Script(Answer(body=body))) as server:
        answer = Web(server.url, "GitLab").get("/x")
        assert answer is not None
        with pytest.raises(ServerError) as caught:
            answer.json()
    what = "a web page" if body.startswith("<") else "something"
    assert caught.value.line().startswith(f"GitLab answered with {what} where JSON was expected ({server.url}/x).")


def test_an_answer_larger_than_asked_for_is_not_read_to_its_end() -> None:
    with Server(Script(Answer(body="x" * 1000))) as server:
        with pytest.raises(TooLarge):
            Web(server.url, "GitLab").get("/x", limit=999)
        answer = Web(server.url, "GitLab").get("/x", limit=1000)
    assert answer is not None and len(answer.data) == 1000


def test_a_redirect_on_the_same_server_is_followed_with_credentials() -> None:
    with Server(
        lambda request: Answer(body='"new"') if request.path == "/new" else Answer(301, headers={"Location": "/new"})
    ) as server:
        answer = Web(server.url, "GitHub", credentials=Credentials("", "token")).get("/old")
    assert answer is not None and answer.json() == "new"
    assert server.requests[1].headers["Authorization"] == "Bearer token"


def test_a_redirect_to_another_server_is_refused() -> None:
    with Server(Script(Answer(body="{}"))) as other:
        elsewhere = f"{other.url}/login?token=x"
        with Server(Script(Answer(302, headers={"Location": elsewhere}))) as server:
            line = refused(Web(server.url, "GitLab", credentials=Credentials("", SECRET)))
        assert line.startswith(f"GitLab sends us to another place, {other.url}/login ({server.url}/x).")
        assert other.requests == []


@pytest.mark.parametrize("location", ["http://[", "http://x:99999999/", "javascript:1", "file:///etc/passwd"])
def test_a_redirect_that_makes_no_sense_is_refused(location: str) -> None:
    with Server(Script(Answer(302, headers={"Location": location}))) as server:
        assert refused(Web(server.url, "GitLab")).startswith("GitLab sends us to another place")


def test_redirects_without_end_are_refused() -> None:
    with Server(Script(Answer(302, headers={"Location": "/x"}))) as server:
        assert "sends us to another place" in refused(Web(server.url, "GitLab"))


def test_a_server_that_is_not_there_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        line = refused(Web(url, "Gerrit", retries=1))
    assert line == f"Gerrit cannot be reached: connection refused ({url}). Check the URL and the network."


def test_a_host_that_is_not_there_is_one_line() -> None:
    url = "http://gerrit.invalid"
    assert refused(Web(url, "Gerrit", retries=0)).startswith(
        f"Gerrit cannot be reached: there is no such host ({url})."
    )


def test_a_server_that_does_not_answer_is_one_line() -> None:
    release = threading.Event()

    def answer(request: Request) -> Answer:
        release.wait(10)
        return Answer()

    with Server(answer) as server:
        line = refused(Web(server.url, "Gerrit", timeout=(1, 0.2), retries=0))
        release.set()
    assert line.startswith(f"Gerrit cannot be reached: it took too long ({server.url}).")


def test_a_certificate_that_nobody_signed_is_one_line(tls_server: str) -> None:
    line = refused(Web(tls_server, "Gerrit"))
    assert line.startswith(f"Gerrit's TLS certificate is not trusted: self-signed certificate ({tls_server}).")
    assert "REQUESTS_CA_BUNDLE" in line


def test_a_certificate_that_the_bundle_names_is_trusted(
    tls_server: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    answer = Web(tls_server, "Gerrit").get("/x")
    assert answer is not None and answer.json() == "safe"


def test_a_proxy_that_is_not_there_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{SECRET}@127.0.0.1:1")
    line = refused(Web("http://gerrit.invalid", "Gerrit", retries=0))
    assert line.startswith("the proxy to Gerrit cannot be used: connection refused (http://gerrit.invalid).")


def test_a_user_in_the_url_is_not_told() -> None:
    with Server(Script(Answer(404))) as server:
        url = server.url.replace("http://", f"http://me:{SECRET}@")
        assert refused(Web(url, "Gerrit")).count("me") == refused(Web(server.url, "Gerrit")).count("me")


def test_a_post_carries_json_and_credentials() -> None:
    with Server(Script(Answer(201, ")]}'\n{}"))) as server:
        answer = Web(server.url, "Gerrit", credentials=Credentials("jö", "pä")).post("/x%2Fy", {"ä": [1]})
    (request,) = server.requests
    assert answer.json(b")]}'\n") == {}
    assert (request.method, request.path, json.loads(request.body)) == ("POST", "/x%2Fy", {"ä": [1]})
    assert request.headers["Content-Type"] == "application/json; charset=utf-8"
    assert request.headers["Authorization"] == "Basic asO2OnDDpA=="


@pytest.mark.parametrize(
    "answer",
    [
        Answer(drop=True),
        Answer(body="x" * 100, short=50),
        Answer(500),
        Answer(502, headers={"Retry-After": "0"}),
        Answer(503),
        Answer(504, headers={"Retry-After": "0"}),
    ],
    ids=["dropped", "broken off", "500", "502", "503", "504"],
)
def test_a_post_that_may_have_arrived_is_not_repeated(answer: Answer) -> None:
    with Server(Script(answer, Answer(body="{}"))) as server:
        with pytest.raises(ServerError) as caught:
            Web(server.url, "Gerrit").post("/x", {})
        assert len(server.requests) == 1
    if answer.status == 200:
        assert caught.value.line().endswith("It may have arrived all the same: look there before it is sent again.")


def test_a_post_that_takes_too_long_is_not_repeated() -> None:
    release = threading.Event()

    def answer(request: Request) -> Answer:
        release.wait(10)
        return Answer()

    with Server(answer) as server:
        with pytest.raises(ServerError, match="Gerrit cannot be reached: it took too long"):
            Web(server.url, "Gerrit", timeout=(1, 0.2)).post("/x", {})
        release.set()
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_post_that_is_put_off_is_sent_again(status: int) -> None:
    with Server(Script(Answer(status, headers={"Retry-After": "0"}), Answer(body="1"))) as server:
        assert Web(server.url, "Gerrit").post("/x", {}).json() == 1
    assert len(server.requests) == 2


def test_a_post_without_a_connection_is_tried_again() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        web = Web(f"http://127.0.0.1:{taken.getsockname()[1]}", "Gerrit", retries=2)
        with pytest.raises(ServerError) as caught:
            web.post("/x", {})
    assert caught.value.line().startswith("Gerrit cannot be reached: connection refused (")
    assert web.requests == 3


def test_a_post_is_not_redirected() -> None:
    with Server(Script(Answer(307, headers={"Location": "/other"}))) as server:
        with pytest.raises(ServerError) as caught:
            Web(server.url, "Gerrit").post("/x", {"a": 1})
        assert server.paths == ["/x"]
    assert caught.value.line().startswith(f"Gerrit sends us to another place, {server.url}/other ({server.url}/x).")


def test_what_is_stopped_asks_for_nothing_more() -> None:
    with Server(Script(Answer(503, headers={"Retry-After": "50"}))) as server:
        web = Web(server.url, "Gerrit")
        threading.Timer(0.1, web.stop).start()
        assert "the run was stopped" in refused(web)
    assert web.requests == 1


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    from jenkins_ami.process import run

    key, path = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    words += [
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(path),
    ]
    run(words)
    path.write_text(path.read_text() + key.read_text())
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[str]:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Server(Script(Answer(body=json.dumps("safe"))), tls=context) as server:
        yield server.url
