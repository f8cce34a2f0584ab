"""Where secrets come from: the environment, a file, a netrc."""

from __future__ import annotations

import os

import pytest

from jenkins_ami.credentials import Credentials, lookup
from jenkins_ami.errors import InputError, Location

URL = "https://jenkins.example.com:8443/ci"
WHERE = Location("jobs.yaml", 3, 9)
NETRC = "machine jenkins.example.com login ci password hunter2\n"


@pytest.fixture
def write(tmp_path):
    def write(text, mode=0o600, name="secret"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return str(path)

    return write


def find(auth, environ=None, url=URL):
    return lookup(auth, url, {"HOME": "/nonexistent"} | (environ or {}), WHERE)


def test_user_and_secret_come_from_variables():
    environ = {"WHO": "ci", "TOKEN": "11abc\n"}
    assert find({"user_env": "WHO", "secret_env": "TOKEN"}, environ) == Credentials("ci", "11abc")
    assert find({"user": "bot", "secret_env": "TOKEN"}, environ) == Credentials("bot", "11abc")


def test_a_secret_without_a_user_is_a_token_alone():
    assert find({"secret_env": "TOKEN"}, {"TOKEN": "11abc"}) == Credentials("", "11abc")


def test_a_secret_comes_from_a_file_without_its_line_break(write):
    assert find({"user": "ci", "secret_file": write("geheim mit Länge\n")}) == Credentials("ci", "geheim mit Länge")


def test_a_secret_file_lies_beside_the_configuration_or_at_home(write, tmp_path):
    write("11abc")
    where = Location(tmp_path / "jobs.yaml", 3)
    assert lookup({"secret_file": "secret"}, URL, {}, where) == Credentials("", "11abc")
    assert lookup({"secret_file": "~/secret"}, URL, {"HOME": str(tmp_path)}, WHERE) == Credentials("", "11abc")


def test_a_secret_comes_from_a_pipe_which_has_no_permissions_to_check():
    reading, writing = os.pipe()
    os.write(writing, b"11abc\n")
    os.close(writing)
    try:
        assert find({"user": "ci", "secret_file": f"/dev/fd/{reading}"}) == Credentials("ci", "11abc")
    finally:
        os.close(reading)


def test_no_repr_shows_the_secret():
    assert repr(Credentials("ci", "hunter2")) == "Credentials(user='ci')"


@pytest.mark.parametrize("place", ["named", "variable", "home"])
def test_a_netrc_is_found(write, tmp_path, place):
    path = write(NETRC, name=".netrc")
    auth = {"netrc": path} if place == "named" else {}
    environ = {"named": {}, "variable": {"NETRC": path}, "home": {"HOME": str(tmp_path)}}[place]
    assert find(auth, environ) == Credentials("ci", "hunter2")


def test_a_netrc_knows_hosts_whatever_their_case(write):
    path = write("machine Jenkins.Example.com login ci password hunter2\n")
    assert find({"netrc": path}) == Credentials("ci", "hunter2")


def test_a_netrc_has_a_default(write):
    assert find({"netrc": write("default login any password p\n")}) == Credentials("any", "p")


def test_nobody_signs_in_where_a_netrc_does_not_know_the_host(write):
    path = write(NETRC, mode=0o644)
    assert find({}, {"NETRC": path}, "http://other.example.com") is None


def test_nobody_signs_in_without_a_netrc():
    assert find({}) is None
    assert find({}, {"NETRC": os.devnull}) is None


@pytest.mark.parametrize(
    ("auth", "environ", "line"),
    [
        pytest.param(
            {"secret_env": "TOKEN"},
            {},
            "the variable TOKEN is not set (jobs.yaml:3:9). Set it, or name another.",
            id="no variable",
        ),
        pytest.param(
            {"user_env": "WHO", "secret_env": "TOKEN"},
            {"TOKEN": "x", "WHO": "  "},
            "the variable WHO is not set (jobs.yaml:3:9). Set it, or name another.",
            id="empty variable",
        ),
        pytest.param(
            {"secret_file": "/nonexistent/t"},
            {},
            "the secret file /nonexistent/t cannot be read: No such file or directory (jobs.yaml:3:9).",
            id="no file",
        ),
        pytest.param(
            {"netrc": "/nonexistent/n"},
            {},
            "the netrc /nonexistent/n cannot be read: No such file or directory (jobs.yaml:3:9).",
            id="no netrc",
        ),
        pytest.param(
            {},
            {"NETRC": "/nonexistent/n"},
            "the netrc /nonexistent/n cannot be read: No such file or directory (NETRC).",
            id="no netrc where the variable says",
        ),
        pytest.param(
            {"user": "a:b", "secret_env": "TOKEN"},
            {"TOKEN": "x"},
            "the user 'a:b' has a colon, which HTTP cannot send (jobs.yaml:3:9).",
            id="colon",
        ),
        pytest.param(
            {"user": "ci", "secret_env": "TOKEN"},
            {"TOKEN": "a\nb"},
            "the user or the secret has a line break or a control character in it (jobs.yaml:3:9).",
            id="two lines",
        ),
    ],
)
def test_what_is_missing_is_named(auth, environ, line):
    with pytest.raises(InputError) as caught:
        find(auth, environ)
    assert caught.value.line() == line


@pytest.mark.parametrize(
    ("content", "mode", "line"),
    [
        pytest.param(
            "x",
            0o640,
            "others may read the secret file FILE (jobs.yaml:3:9). Run 'chmod 600 FILE'.",
            id="group may read",
        ),
        pytest.param("", 0o600, "the secret file FILE holds no secret on one line (jobs.yaml:3:9).", id="empty"),
        pytest.param("a\nb\n", 0o600, "the secret file FILE holds no secret on one line (jobs.yaml:3:9).", id="lines"),
        pytest.param(
            b"\xff\xfe", 0o600, "the secret file FILE cannot be read: it is not UTF-8 (jobs.yaml:3:9).", id="bytes"
        ),
    ],
)
def test_a_file_that_is_no_secret_is_refused(write, content, mode, line):
    path = write(content, mode)
    with pytest.raises(InputError) as caught:
        find({"user": "ci", "secret_file": path})
    assert caught.value.line() == line.replace("FILE", path)


@pytest.mark.parametrize(
    ("content", "mode", "line"),
    [
        pytest.param(
            NETRC, 0o644, "others may read the netrc FILE (jobs.yaml:3:9). Run 'chmod 600 FILE'.", id="others may read"
        ),
        pytest.param(
            "machine a\n  user b\n  lgoin c\n",
            0o600,
            "the netrc cannot be read: bad follower token 'lgoin' (FILE:3).",
            id="typo",
        ),
        pytest.param(b"\xff", 0o600, "the netrc FILE cannot be read: it is not UTF-8 (jobs.yaml:3:9).", id="bytes"),
    ],
)
def test_a_netrc_that_is_none_is_refused(write, content, mode, line):
    path = write(content, mode)
    with pytest.raises(InputError) as caught:
        find({"netrc": path})
    assert caught.value.line() == line.replace("FILE", path)
