"""The command line of ``gerrit review``, and servers that are none: no Gerrit is needed."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.jobs.discovery.servers import Answer, Request, Server

from .conftest import CI, TOKEN, Reviewer
from .verifications import COMMIT, passed

SECRET = "s3cr3t"
URL = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GERRIT_URL", "GERRIT_PROJECT", "GERRIT_CHANGE_NUMBER", "NETRC", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GERRIT_USER", CI)
    monkeypatch.setenv("GERRIT_TOKEN", TOKEN)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


BROKEN = ["--commit", COMMIT, "--broken", "why"]

BAD = {
    "nothing to say": (
        ["--url", URL],
        1,
        "there is nothing to say. Give the verification, or --commit and --broken when there is none.",
    ),
    "a commit without a reason": (
        ["--url", URL, "--commit", COMMIT],
        1,
        "there is nothing to say. Give the verification, or --commit and --broken when there is none.",
    ),
    "a branch for a commit": (
        ["--url", URL, "--commit", "main", "--broken", "x"],
        1,
        "--commit: 'main' is no full commit. 'git rev-parse HEAD' prints one.",
    ),
    "both": (
        ["verification.json", *BROKEN, "--url", URL],
        1,
        "--broken is for when there is no verification. Leave out one of them.",
    ),
    "another commit": (
        ["verification.json", "--commit", "b" * 40, "--url", URL],
        1,
        f"--commit is {'b' * 40}, the verification is of {COMMIT}. Verify that commit.",
    ),
    "no such verification": (
        ["none.json", "--url", URL],
        2,
        "none.json is missing (none.json). 'jenkins-ami verify' writes it.",
    ),
    "no URL": (BROKEN, 1, "no Gerrit is named. Give --url, or set GERRIT_URL."),
    "no server": (
        [*BROKEN, "--url", "gerrit.example"],
        1,
        "--url is no http or https URL. It is what stands before '/c/' in a change's URL.",
    ),
    "a password in the URL": (
        [*BROKEN, "--url", f"https://me:{SECRET}@gerrit.example"],
        1,
        "--url has a user in it. Set GERRIT_USER and GERRIT_TOKEN, or use netrc.",
    ),
    "a query in the URL": (
        [*BROKEN, "--url", f"https://gerrit.example/?token={SECRET}"],
        1,
        "--url has a query or a fragment. It is what stands before '/c/' in a change's URL.",
    ),
    "a URL on two lines": (
        [*BROKEN, "--url", "https://gerrit.example/\nX: y"],
        1,
        "--url is no http or https URL. It is what stands before '/c/' in a change's URL.",
    ),
    "a label with a colon": (
        [*BROKEN, "--url", URL, "--label", "Verified: x"],
        1,
        "--label: 'Verified: x' is no name of a label. Letters, digits and '-' make one.",
    ),
    "a link that runs": (
        [*BROKEN, "--url", URL, "--link", "javascript:alert(1)"],
        1,
        "--link is no http or https URL.",
    ),
    "a link with a password": (
        [*BROKEN, "--url", URL, "--link", f"https://me:{SECRET}@ci.example/1"],
        1,
        "--link has a user in it. All who can read the change would see it.",
    ),
    "a wait without end": (
        [*BROKEN, "--url", URL, "--wait", "inf"],
        1,
        "argument --wait: 'inf' is not 0 to 3600 seconds. See 'jenkins-ami gerrit review --help'.",
    ),
}


@pytest.mark.parametrize(("words", "code", "line"), BAD.values(), ids=BAD)
def test_what_makes_no_sense_is_one_line(
    cli: Cli, review: Reviewer, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, line: str
) -> None:
    monkeypatch.chdir(review.write(passed()).parent)
    assert cli("gerrit", "review", *words) == code
    assert SECRET not in cli.out + cli.err
    assert cli.error == line


def test_half_of_the_credentials_is_none(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GERRIT_TOKEN")
    assert cli("gerrit", "review", *BROKEN, "--url", URL) == 2
    assert cli.error == "the variable GERRIT_TOKEN is not set (environment). Set it, or name another."


def test_the_variable_is_a_url_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(lambda _: Answer(404)) as server:
        monkeypatch.setenv("GERRIT_URL", f"{server.url}/r/")
        assert cli("gerrit", "review", *BROKEN) == 7
        assert server.paths == ["/r/a/accounts/self"]


def test_a_server_that_hangs_is_given_up(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def answer(_: Request) -> Answer:
        release.wait(20)
        return Answer()

    from jenkins_ami.web import Web

    made = Web.__init__

    def impatient(self: Web, *words: object, **more: object) -> None:
        made(self, *words, **{**more, "timeout": (1, 0.2), "retries": 0})  # type: ignore[arg-type]

    monkeypatch.setattr(Web, "__init__", impatient)
    with Server(answer) as server:
        assert cli("gerrit", "review", *BROKEN, "--url", server.url) == 7
        release.set()
    assert cli.error == (f"Gerrit cannot be reached: it took too long ({server.url}). Check the URL and the network.")


def test_a_server_that_is_not_there_is_one_line(cli: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert cli("gerrit", "review", *BROKEN, "--url", url) == 7
    assert cli.error.startswith(f"Gerrit cannot be reached: connection refused ({url}).")


def test_a_password_that_goes_out_without_tls_is_warned_of(cli: Cli) -> None:
    assert cli("gerrit", "review", *BROKEN, "--url", "http://gerrit.invalid") == 7
    assert "gerrit.invalid is reached without TLS: who listens on the way can read the password" in cli.err
    assert TOKEN not in cli.err


def test_the_password_goes_to_no_other_server(cli: Cli) -> None:
    with Server(lambda _: Answer(200, "{}")) as other:
        with Server(lambda _: Answer(302, headers={"Location": f"{other.url}/a/accounts/self"})) as server:
            assert cli("gerrit", "review", *BROKEN, "--url", server.url) == 7
        assert other.requests == []
    assert cli.error.startswith(f"Gerrit sends us to another place, {other.url}/a/accounts/self ({server.url}).")


@pytest.mark.parametrize(
    ("path", "body", "line"),
    [
        ("/a/accounts/self", '{"_account_id": "x"}', "there is no Gerrit at this URL (U). Check --url"),
        ("/a/changes/", "{}", "there is no Gerrit at this URL (U). Check --url"),
        ("/a/changes/", '[{"project": 1, "_number": null}]', "Gerrit answered with something that is not a change."),
    ],
)
def test_answers_that_make_no_sense_are_one_line(cli: Cli, path: str, body: str, line: str) -> None:
    def answer(request: Request) -> Answer:
        if request.path == path:
            return Answer(200, body)
        return Answer(200, '{"_account_id": 7}' if request.path == "/a/accounts/self" else "[]")

    with Server(answer) as server:
        assert cli("gerrit", "review", *BROKEN, "--url", server.url, "--wait", "0") == 7
    assert cli.error.startswith(line.replace("(U)", f"({server.url})"))
