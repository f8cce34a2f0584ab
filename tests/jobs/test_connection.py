"""A Jenkins over HTTP: what is sent, what is told when it refuses, what is waited for, what is tried again."""

from __future__ import annotations

import base64
import gc
import json
import socket
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from jenkins_ami.credentials import Credentials
from jenkins_ami.errors import AmiError, InputError, ServerError
from jenkins_ami.jobs.connection import Connection, Stopped
from tests.jenkins.live import FOLDER_XML
from tests.jobs.small_servers import JSON, PAGE, Reply, certificate, small

SECRET = "11hunter2hunter2"
CI = Credentials("ci", SECRET)
MARKED = "<flow-definition><description>[jenkins-ami amis {}]</description></flow-definition>"
JOB = MARKED.format("0123456789abcdef")
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in (*PROXIES, *(name.upper() for name in PROXIES), "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def connect():
    """Makes connections that are closed at the end."""
    made = []

    def connect(server, credentials=None, **more):
        if credentials is None and hasattr(server, "token"):
            credentials = Credentials(server.user, server.token)
        made.append(Connection(getattr(server, "url", server), credentials, **{"wait": 10, **more}))
        return made[-1]

    yield connect
    for each in made:
        each.close()


def as_user(server, name):
    return Credentials(name, server.access.tokens[name])


def said(action, *, url):
    """The error line of what an action raises, with URL for the server's."""
    with pytest.raises(ServerError) as caught:
        action()
    line = caught.value.line()
    assert SECRET not in line
    return line.replace(url, "URL")


# What refuses, word for word

OOPS = "<html><body><h1>Oops!</h1><p>Logging ID=3b7c1f0e-1111-2222-3333-444455556666</p></body></html>"
ERROR = "<html><head><title>Jenkins</title></head><body><h1>Error</h1><p>{}</p></body></html>"
SIGN_IN = "Give a user and an API token: JENKINS_USER and JENKINS_TOKEN, 'auth' in jobs.yaml, or a netrc."
CHECK = "Check the URL: it must be Jenkins' own, with its prefix, and no page to sign in before it."
NEEDS_CONFIGURE = {"X-You-Are-Authenticated-As": "ci", "X-Required-Permission": "hudson.model.Item.Configure"}


def create(connection):
    connection.create(("amis", "a b"), JOB)


def listing(connection):
    connection.listing(("amis",), 1)


@pytest.mark.parametrize(
    ("action", "user", "reply", "line"),
    [
        pytest.param(
            listing,
            CI,
            Reply(401, "Unauthorized"),
            "Jenkins refused to list amis: the user ci or that user's API token is wrong (URL). Make a new token in "
            "Jenkins, on that user's page under Security.",
            id="wrong token",
        ),
        pytest.param(
            listing,
            None,
            Reply(403, "Authentication required", PAGE),
            f"Jenkins refused to list amis: nobody is signed in (URL). {SIGN_IN}",
            id="anonymous",
        ),
        pytest.param(
            listing,
            None,
            Reply(401, "Unauthorized"),
            f"Jenkins refused to list amis: nobody is signed in (URL). {SIGN_IN}",
            id="anonymous, and a proxy wants a user",
        ),
        pytest.param(
            create,
            CI,
            Reply(403, "<h1>Access Denied</h1><p>ci is missing the Job/Create permission</p>", NEEDS_CONFIGURE | PAGE),
            "Jenkins refused to create amis/a b: the user ci lacks Job/Create (URL). Grant it in Jenkins, on that "
            "folder.",
            id="permission by its name on the page",
        ),
        pytest.param(
            create,
            CI,
            Reply(403, "", NEEDS_CONFIGURE | PAGE),
            "Jenkins refused to create amis/a b: the user ci lacks Job/Configure (URL). Grant it in Jenkins, on that "
            "folder.",
            id="permission by its class",
        ),
        pytest.param(
            create,
            CI,
            Reply(403, "<html><body>Blocked by policy &amp; rule 7</body></html>"),
            f"Jenkins refused to create amis/a b: the answer is 403, Blocked by policy & rule 7 (URL). {CHECK}",
            id="forbidden by a proxy",
        ),
        pytest.param(
            create,
            CI,
            Reply(404, "<p>This page may not exist, or you may not have permission to see it.</p>", PAGE),
            "Jenkins refused to create amis/a b: there is no such item, or this user may not see it (URL). Grant "
            "Job/Read, or check the path.",
            id="not found",
        ),
        pytest.param(
            create,
            CI,
            Reply(400, ERROR.format("A job already exists with the name \u2018a b\u2019"), PAGE),
            "Jenkins refused to create amis/a b: A job already exists with the name \u2018a b\u2019 (URL).",
            id="reason on the page",
        ),
        pytest.param(
            create,
            CI,
            Reply(
                400,
                ERROR.format("\u2018?\u2019 is an unsafe character"),
                PAGE | {"X-Error": "\u2018?\u2019 is an unsafe character"},
            ),
            "Jenkins refused to create amis/a b: \u2018?\u2019 is an unsafe character (URL).",
            id="reason with the quotes that a header cannot have",
        ),
        pytest.param(
            create,
            CI,
            Reply(400, "", PAGE | {"X-Error": "No such job: x"}),
            "Jenkins refused to create amis/a b: No such job: x (URL).",
            id="reason in the header",
        ),
        pytest.param(
            create,
            CI,
            Reply(500, OOPS, PAGE),
            "Jenkins refused to create amis/a b: an error inside it, of which it does not say more (URL). See Jenkins' "
            "own log for Logging ID 3b7c1f0e-1111-2222-3333-444455556666; a plugin that the document needs may be "
            "missing.",
            id="error inside, of a document",
        ),
        pytest.param(
            listing,
            CI,
            Reply(500, OOPS, PAGE),
            "Jenkins refused to list amis: an error inside it, of which it does not say more (URL). See Jenkins' own "
            "log for Logging ID 3b7c1f0e-1111-2222-3333-444455556666.",
            id="error inside",
        ),
        pytest.param(
            listing,
            CI,
            Reply(301, "", {"Location": "https://jenkins.example.com/job/amis/api/json?tree=x"}),
            "Jenkins refused to list amis: it is at https://jenkins.example.com/job/amis/api/json (URL). Give that "
            "URL.",
            id="moved",
        ),
        pytest.param(
            listing,
            None,
            Reply(302, "", {"Location": "/securityRealm/commenceLogin?from=%2F"}),
            f"Jenkins refused to list amis: it wants a person to sign in at /securityRealm/commenceLogin (URL). "
            f"{SIGN_IN}",
            id="single sign-on",
        ),
        pytest.param(
            create,
            CI,
            Reply(302, "", {"Location": "https://sso.example.com/login?next=x"}),
            f"Jenkins refused to create amis/a b: it wants a person to sign in at https://sso.example.com/login (URL). "
            f"{CHECK}",
            id="single sign-on before it",
        ),
        pytest.param(
            listing,
            CI,
            Reply(200, "<html>Welcome!</html>"),
            f"there is no Jenkins, but another page (URL). {CHECK}",
            id="a web page",
        ),
        pytest.param(
            listing, CI, Reply(200, "[1]"), f"there is no Jenkins, but another page (URL). {CHECK}", id="other JSON"
        ),
        pytest.param(
            listing, CI, Reply(404, "not here"), f"there is no Jenkins, but a 404 (URL). {CHECK}", id="wrong prefix"
        ),
        pytest.param(
            listing,
            CI,
            Reply(404, "not here", PAGE),
            f"there is no Jenkins, but a 404 (URL). {CHECK}",
            id="wrong prefix of a Jenkins",
        ),
        pytest.param(
            create,
            CI,
            Reply(404, "not here"),
            f"there is no Jenkins, but a 404 (URL). {CHECK}",
            id="POST to a web server",
        ),
        pytest.param(
            create,
            CI,
            Reply(413, "<html><body>Request Entity Too Large</body></html>"),
            f"Jenkins refused to create amis/a b: the answer is 413, Request Entity Too Large (URL). {CHECK}",
            id="any other answer",
        ),
        pytest.param(
            listing,
            CI,
            Reply(503, "Starting Jenkins"),
            "Jenkins is not there yet after 0.0 s (URL). Look at its log; --wait makes this wait longer.",
            id="starting, and no time",
        ),
        pytest.param(
            listing,
            CI,
            Reply(502, "Bad Gateway"),
            "Jenkins is not there yet after 0.0 s (URL). Look at its log; --wait makes this wait longer.",
            id="a proxy without a Jenkins",
        ),
        pytest.param(
            listing,
            CI,
            Reply(raw=b"SSH-2.0-OpenSSH_9.2\r\n"),
            "Jenkins gave no answer: it is no HTTP (URL). See its log and that of any proxy.",
            id="no HTTP",
        ),
        pytest.param(
            listing,
            CI,
            Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"),
            "Jenkins gave no answer: it ended too early (URL). See its log and that of any proxy.",
            id="half an answer",
        ),
        pytest.param(
            listing,
            CI,
            None,
            "Jenkins gave no answer: remote end closed connection without response (URL). See its log and that of any "
            "proxy.",
            id="no answer",
        ),
    ],
)
def test_a_refusal_says_what_why_and_what_to_do(connect, monkeypatch, action, user, reply, line):
    monkeypatch.setattr("jenkins_ami.jobs.connection._PAUSE", 0.001)
    with small(lambda _: reply) as server:
        assert said(lambda: action(connect(server, user, wait=0)), url=server.url) == line


@pytest.mark.parametrize(
    ("user", "action", "line"),
    [
        pytest.param(
            "reader", lambda c: c.config(("amis",)), "read amis: the user reader lacks Job/ExtendedRead", id="read"
        ),
        pytest.param("reader", create, "create amis/a b: the user reader lacks Job/Create", id="create"),
        pytest.param(
            "seer",
            lambda c: c.update(("amis",), FOLDER_XML),
            "update amis: the user seer lacks Job/Configure",
            id="update",
        ),
        pytest.param(
            "seer",
            lambda c: c.describe(("amis",), "x"),
            "describe amis: the user seer lacks Job/Configure",
            id="describe",
        ),
        pytest.param("ci", lambda c: c.delete(("amis",)), "delete amis: the user ci lacks Job/Delete", id="delete"),
        pytest.param(
            "ci",
            lambda c: c.create(("amis", "v"), "<hudson.model.ListView/>", view=True),
            "create amis/v: the user ci lacks View/Create",
            id="create view",
        ),
    ],
)
def test_a_permission_that_is_missing_is_named_with_the_user(connect, fake, user, action, line):
    fake.create("amis", FOLDER_XML)
    connection = connect(fake, as_user(fake, user))
    whole = f"Jenkins refused to {line} (URL). Grant it in Jenkins, on that folder."
    assert said(lambda: action(connection), url=fake.url) == whole


@pytest.mark.parametrize(
    ("credentials", "line"),
    [
        (
            CI,
            "the user ci or that user's API token is wrong (URL). Make a new token in Jenkins, on that user's page "
            "under Security.",
        ),
        (None, f"nobody is signed in (URL). {SIGN_IN}"),
    ],
)
def test_who_is_not_known_is_told_so(fake, credentials, line):
    connection = Connection(fake.url, credentials)
    assert said(lambda: listing(connection), url=fake.url) == f"Jenkins refused to list amis: {line}"
    connection.close()


def test_whoever_may_not_see_an_item_is_told_that_it_may_be_that(connect, fake):
    fake.create("amis", FOLDER_XML)
    connection = connect(fake, as_user(fake, "nobody"))
    assert connection.listing(("amis",), 1) is None
    line = said(lambda: create(connection), url=fake.url)
    assert line.startswith("Jenkins refused to create amis/a b: there is no such item, or this user may not see it")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_a_port_where_nobody_listens_is_told(connect):
    url = f"http://127.0.0.1:{free_port()}"
    line = "Jenkins cannot be reached: connection refused (URL). Check the URL, and that Jenkins runs."
    assert said(lambda: listing(connect(url, CI, wait=0)), url=url) == line


def test_a_name_that_nobody_has_is_told_at_once(connect):
    url = "http://jenkins.invalid"
    line = said(lambda: listing(connect(url, CI)), url=url)
    assert line.startswith("Jenkins cannot be reached: ") and "name" in line
    assert line.endswith(" (URL). Check the URL, and that Jenkins runs.")


def test_a_server_that_says_nothing_is_given_up(connect, monkeypatch):
    monkeypatch.setattr("jenkins_ami.jobs.connection._PAUSE", 0.001)
    ended = threading.Event()
    with small(lambda _: ended.wait(30) and None) as server:
        line = said(lambda: listing(connect(server, CI, timeout=(5, 0.05))), url=server.url)
        assert line == "Jenkins gave no answer: it took too long (URL). See its log and that of any proxy."
        assert len(server.calls) == 4
        ended.set()


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("jenkins.example.com", "'jenkins.example.com' is no URL of a server. It begins with https:// or http://."),
        ("http://", "'http:' is no URL of a server. It begins with https:// or http://."),
        ("http://h:x1/", "'http://h:x1' is no URL of a server. It begins with https:// or http://."),
        (
            f"https://ci:{SECRET}@jenkins.example.com",
            "the URL of a Jenkins has a user in it. Leave it out, and give user and token as credentials.",
        ),
    ],
)
def test_what_is_no_url_is_refused(url, line):
    with pytest.raises(InputError) as caught:
        Connection(url, CI)
    assert caught.value.line() == line


def test_a_token_without_a_user_is_refused():
    with pytest.raises(InputError) as caught:
        Connection("http://jenkins.example.com", Credentials("", SECRET))
    assert caught.value.line() == f"Jenkins wants a user with the API token (http://jenkins.example.com). {SIGN_IN}"


# TLS


def whoami(call):
    return Reply(200, '{"name": "ci"}', JSON)


def test_a_certificate_of_a_company_is_trusted_when_named(connect, tmp_path, monkeypatch):
    tls, public = certificate(tmp_path)
    with small(whoami, tls) as server:
        assert connect(server, CI, ca=public).whoami() == "ci"
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(public))
        assert connect(server, CI).whoami() == "ci"


@pytest.mark.parametrize(
    ("made", "trusted", "line"),
    [
        (
            {},
            False,
            "self-signed certificate (URL). Name a file with the certificates of its authority: 'ca' of 'jenkins' in "
            "jobs.yaml.",
        ),
        (
            {"host": "jenkins.example.com"},
            True,
            "IP address mismatch, certificate is not valid for '127.0.0.1' (URL). Use the name for which it was made.",
        ),
        ({"days": -1}, True, "certificate has expired (URL). Renew it, and check this machine's clock."),
    ],
    ids=["authority", "host", "expired"],
)
def test_a_certificate_that_is_not_trusted_is_explained(connect, tmp_path, made, trusted, line):
    tls, public = certificate(tmp_path, **made)
    with small(whoami, tls) as server:
        connection = connect(server, CI, ca=public if trusted else None)
        assert said(connection.whoami, url=server.url) == f"Jenkins' certificate is not trusted: {line}"


def test_https_to_a_port_without_tls_is_explained(connect):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        line = said(connect(url, CI).whoami, url=url)
        thread.join()
    assert line in [
        f"Jenkins cannot be reached by TLS: {reason} (URL). Check whether its URL begins with http://."
        for reason in ("wrong version number", "record layer failure")  # of OpenSSL 3.0 and later ones
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "the file of certificates cannot be read: No such file or directory (FILE)."),
        ("nothing", "a file of certificates (PEM) holds none (FILE)."),
    ],
)
def test_a_file_without_certificates_is_refused(tmp_path, content, line):
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    with pytest.raises(InputError) as caught:
        Connection("https://jenkins.example.com", CI, ca=path)
    assert caught.value.line() == line.replace("FILE", str(path))


# Proxies


def proxied(monkeypatch, server, scheme="http", user=""):
    monkeypatch.setenv(f"{scheme}_proxy", f"http://{user}127.0.0.1:{server.port}")


def test_a_proxy_is_asked_for_the_whole_url_and_told_its_own_password(connect, monkeypatch):
    with small(whoami) as proxy:
        proxied(monkeypatch, proxy, user="me:p%40ss@")
        assert connect("http://jenkins.example.com/ci", CI).whoami() == "ci"
    (call,) = proxy.calls
    assert call.target == "http://jenkins.example.com/ci/whoAmI/api/json"
    assert call.headers["host"] == "jenkins.example.com"
    assert call.headers["proxy-authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()


def test_tls_goes_through_a_proxy_untouched(connect, monkeypatch, tmp_path):
    tls, public = certificate(tmp_path)
    with small(whoami, tls) as server, small(lambda _: Reply()) as proxy:
        proxied(monkeypatch, proxy, "https", "me:pass@")
        assert connect(server, CI, ca=public).whoami() == "ci"
        assert "proxy-authorization" not in server.calls[0].headers
    (call,) = proxy.calls
    assert (call.method, call.target) == ("CONNECT", f"127.0.0.1:{server.port}")
    assert "proxy-authorization" in call.headers and "authorization" not in call.headers


@pytest.mark.parametrize("exception", ["127.0.0.1", "127.0.0.0/8", "*"])
def test_no_proxy_is_obeyed(connect, monkeypatch, exception):
    with small(whoami) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
        monkeypatch.setenv("no_proxy", exception)
        assert connect(server, CI).whoami() == "ci"


def test_a_proxy_that_does_not_answer_is_named_without_its_password(connect, monkeypatch):
    port = free_port()
    monkeypatch.setenv("http_proxy", f"http://me:{SECRET}@127.0.0.1:{port}")
    line = said(connect("http://jenkins.example.com", CI).whoami, url="http://jenkins.example.com")
    assert line == (
        f"the proxy 127.0.0.1:{port} cannot be used: connection refused (URL). Correct the proxy variables, or name "
        "the host in NO_PROXY."
    )


@pytest.mark.parametrize(
    ("scheme", "line"),
    [
        (
            "http",
            "Jenkins refused to say who this is: the proxy wants another user or password (URL). Correct the proxy "
            "variables.",
        ),
        (
            "https",
            "the proxy PROXY cannot be used: tunnel connection failed: 407 x (URL). Correct the proxy variables, or "
            "name the host in NO_PROXY.",
        ),
    ],
)
def test_a_proxy_that_wants_a_password_is_told(connect, monkeypatch, scheme, line):
    with small(lambda _: Reply(407, "who are you?")) as proxy:
        proxied(monkeypatch, proxy, scheme)
        url = f"{scheme}://jenkins.example.com"
        assert said(connect(url, CI).whoami, url=url) == line.replace("PROXY", f"127.0.0.1:{proxy.port}", 1)
    with warnings.catch_warnings():  # http.client of Python 3.11.2 leaves a refused tunnel's socket to the collector
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://127.0.0.1:x"])
def test_a_proxy_that_cannot_be_used_is_refused(monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(InputError) as caught:
        Connection("http://jenkins.example.com", CI)
    assert caught.value.line() == (
        "the proxy for http:// is no http://HOST:PORT. Correct the proxy variables, or name the host in NO_PROXY."
    )


# What is sent


def test_names_are_encoded_and_documents_sent_as_utf8(connect, fake):
    fake.create("amis", FOLDER_XML)
    path = ("amis", "a b\N{SECTION SIGN}+~")
    connection = connect(fake)
    connection.create(path, JOB)
    text = "<flow-definition><description>\u00e9 \u2028 \U0001f600</description></flow-definition>"
    connection.update(path, text)
    assert "\u00e9 \u2028 " in connection.config(path)
    assert fake.requests[0][1] == "/job/amis/createItem?name=a+b%C2%A7%2B~"
    assert fake.requests[1][1] == "/job/amis/job/a%20b%C2%A7%2B~/config.xml"


def test_every_request_signs_in_unasked_and_wants_english(connect):
    with small(lambda _: Reply()) as server:
        connect(server, Credentials("j\u0142", SECRET)).update(("a",), JOB)
    (call,) = server.calls
    assert base64.b64decode(call.headers["authorization"].removeprefix("Basic ")).decode() == f"j\u0142:{SECRET}"
    assert call.headers["accept-language"] == "en"
    assert call.headers["content-type"] == "text/xml; charset=utf-8"


def test_a_prefix_of_the_url_is_kept(connect):
    with small(whoami) as server:
        connect(f"{server.url}/ci/jenkins/", CI).whoami()
    assert server.calls[0].target == "/ci/jenkins/whoAmI/api/json"


def test_connections_are_kept_and_no_more_than_workers(connect):
    with small(whoami) as server:
        connection = connect(server, CI, workers=3)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: connection.whoami(), range(60)))
        assert connection.requests == len(server.calls) == 60
        assert server.connections <= 3 and server.most_at_once <= 3


def test_a_kept_connection_that_the_server_closed_is_not_used(connect):
    with small(whoami) as server:
        connection = connect(server, CI)
        connection.whoami()
        server.hang_up()
        connection.update(("a",), JOB)
        assert [call.method for call in server.calls] == ["GET", "POST"]


# Items and views on a Jenkins


def test_items_and_views_are_made_changed_and_taken_away(connect, jenkins):
    connection = connect(jenkins)
    folder, job, view = (jenkins.folder, "f"), (jenkins.folder, "f", "j"), (jenkins.folder, "f", "v")
    connection.create(folder, FOLDER_XML)
    connection.create(job, JOB)
    connection.create(view, "<hudson.model.ListView><name>v</name></hudson.model.ListView>", view=True)
    connection.describe(job, "new \u00e9")
    assert "<description>new \u00e9</description>" in connection.config(job)
    connection.disable(job)
    assert "<disabled>true</disabled>" in connection.config(job)
    connection.enable(job)
    connection.update(view, "<hudson.model.ListView><description>d</description></hudson.model.ListView>", view=True)
    assert "<description>d</description>" in connection.config(view, view=True)
    found = connection.listing(folder, 1)
    assert [(each["name"], each["description"]) for each in found["jobs"]] == [("j", "new \u00e9")]
    assert {each["name"]: each.get("description") for each in found["views"]}["v"] == "d"
    connection.delete(view, view=True)
    connection.delete(job)
    connection.delete(job)
    assert connection.config(job) is None and connection.config(view, view=True) is None
    assert connection.listing(job, 1) is None


def test_python_jenkins_tells_version_and_plugins(connect, jenkins):
    connection = connect(jenkins)
    assert connection.version()[:1].isdigit()
    assert "workflow-job" in connection.plugins()
    assert connection.whoami() == jenkins.user


def test_whoever_may_not_see_plugins_gets_none(connect, fake):
    connection = connect(fake, as_user(fake, "reader"))
    assert connection.plugins() is None
    assert connection.version() == "2.504.3"


def test_a_jenkins_that_is_about_to_shut_down_says_so(connect, fake):
    connection = connect(fake)
    assert not connection.is_quiet()
    fake.quiet = True
    assert connection.is_quiet()


def test_a_job_called_like_a_page_to_sign_in_is_no_such_page(connect, fake):
    fake.create("login", FOLDER_XML)
    connection = connect(fake)
    connection.create(("login", "oauth"), JOB)
    connection.describe(("login", "oauth"), "x")
    connection.delete(("login", "oauth"))
    connection.delete(("login",))
    assert ("login",) not in fake.items


# Answers that are lost


def test_what_may_be_sent_twice_is_sent_again_when_its_answer_was_lost(connect, fake):
    fake.create("amis", FOLDER_XML)
    connection = connect(fake)
    create(connection)
    for action in (
        listing,
        lambda c: c.config(("amis",)),
        lambda c: c.update(("amis", "a b"), JOB),
        lambda c: c.describe(("amis",), "x"),
        lambda c: c.disable(("amis", "a b")),
        lambda c: c.delete(("amis", "a b")),
    ):
        fake.requests.clear()
        fake.drop_next()
        action(connection)
        assert len(fake.requests) == 2 and len(set(fake.requests)) == 1
    assert ("amis", "a b") not in fake.items


def targets(server):
    return [target.partition("?")[0].rpartition("/")[2] for _, target in server.requests]


def test_an_item_whose_answer_was_lost_is_looked_for_before_it_is_made_again(connect, fake):
    fake.create("amis", FOLDER_XML)
    fake.drop_next()
    create(connect(fake))
    assert targets(fake) == ["createItem", "config.xml"]


def test_an_item_that_is_not_there_is_made_again(connect):
    made = []

    def answer(call):
        if call.method == "POST":
            made.append(call)
            return None if len(made) == 1 else Reply()
        return Reply(404, "", PAGE)

    with small(answer) as server:
        create(connect(server, CI))
        assert [call.method for call in server.calls] == ["POST", "GET", "POST"]


def test_an_item_that_came_after_the_look_is_no_error(connect):
    posts = []

    def answer(call):
        if call.method == "POST":
            posts.append(call)
            return None if len(posts) == 1 else Reply(400, ERROR.format("A job already exists"), PAGE)
        return Reply(404, "", PAGE) if len(posts) == 1 else Reply(200, JOB)

    with small(answer) as server:
        create(connect(server, CI))
        assert [call.method for call in server.calls] == ["POST", "GET", "POST", "GET"]


def test_somebody_elses_item_is_not_taken_for_the_one_whose_answer_was_lost(connect, fake):
    fake.create("amis", FOLDER_XML)
    fake.create("amis/a b", MARKED.format("fedcba9876543210"))
    fake.drop_next()
    with pytest.raises(ServerError, match="A job already exists with the name"):
        create(connect(fake))


@pytest.mark.parametrize("status", [502, 504])
def test_a_proxy_that_lost_jenkins_answer_makes_it_look_as_well(connect, status):
    def answer(call):
        return Reply(status, "Bad Gateway") if call.method == "POST" else Reply(200, JOB)

    with small(answer) as server:
        create(connect(server, CI))
        assert [call.method for call in server.calls] == ["POST", "GET"]


# Jenkins that starts


def test_a_restart_is_waited_for_and_told_once(connect, fake):
    told = []
    connection = connect(fake, warn=told.append, wait=20)
    listing(connection)
    for count in (1, 2):
        fake.restart(down=0.3, starting=2)
        connection.create((f"f{count}",), FOLDER_XML)
        assert told == ["Jenkins is starting; waiting up to 20 s"] * count
    assert {("f1",), ("f2",)} <= set(fake.items)


def test_a_jenkins_that_is_not_up_yet_is_waited_for(connect, fake):
    told = []
    fake.restart(down=0.3)
    assert connect(fake, warn=told.append, wait=20).whoami() == "admin"
    assert told == ["Jenkins is starting; waiting up to 20 s"]


def test_the_crumb_that_a_jenkins_wants_just_before_it_is_up_is_not_the_end(connect):
    """starting-06 to starting-10 of the recordings: a POST is refused for its crumb while GET still says 'Starting'."""
    seen = []

    def answer(call):
        seen.append(call.method)
        if call.method == "POST":
            return Reply(403, "No valid crumb was included in the request") if seen.count("POST") == 1 else Reply()
        if seen.count("GET") < 3:
            return Reply(503, "<html>Starting Jenkins Jenkins is getting ready to work</html>", PAGE)
        return Reply(200, json.dumps({"crumb": "c", "crumbRequestField": "Jenkins-Crumb"}), JSON)

    with small(answer) as server:
        create(connect(server, CI))
        assert seen == ["POST", "GET", "GET", "GET", "POST"]


def test_a_run_that_is_stopped_waits_no_more(connect, fake):
    connection = connect(fake, wait=60)
    fake.starting = 10**6
    threading.Timer(0.2, connection.stop).start()
    with pytest.raises(Stopped):
        listing(connection)


# Crumbs


def test_a_password_gets_a_crumb_of_its_session_once(connect, fake):
    fake.create("amis", FOLDER_XML)
    connection = connect(fake, Credentials("admin", fake.password))
    listing(connection)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: connection.create(("amis", f"j{number}"), JOB), range(12)))
    assert targets(fake).count("json") == 2  # the listing, and the crumb
    assert len(fake.items["amis",].children) == 12


def test_a_crumb_is_renewed_when_a_restart_lost_its_session(connect, fake):
    connection = connect(fake, Credentials("admin", fake.password))
    connection.create(("a",), FOLDER_XML)
    fake.restart()
    connection.create(("b",), FOLDER_XML)
    assert {("a",), ("b",)} <= set(fake.items)


def test_an_api_token_asks_for_no_crumb(connect, fake):
    connect(fake).create(("a",), FOLDER_XML)
    assert targets(fake) == ["createItem"]


def test_a_crumb_that_is_not_taken_is_told(connect):
    def answer(call):
        if call.method == "POST":
            return Reply(403, "No valid crumb was included in the request")
        return Reply(200, json.dumps({"crumb": "c", "crumbRequestField": "Jenkins-Crumb"}), JSON)

    with small(answer) as server:
        line = said(lambda: create(connect(server, CI)), url=server.url)
        assert line == (
            "Jenkins refused to create amis/a b: its crumb was not taken (URL). Use an API token instead of a password."
        )
        assert len([call for call in server.calls if call.method == "POST"]) == 3


def test_nobody_is_told_to_sign_in_when_a_crumb_is_missing(connect, fake):
    connection = Connection(fake.url, None)
    line = said(lambda: connection.create(("a",), FOLDER_XML), url=fake.url)
    assert line == f"Jenkins refused to create a: nobody is signed in (URL). {SIGN_IN}"
    connection.close()


def test_nothing_that_is_printed_shows_the_secret(connect):
    connection = connect("http://jenkins.example.com", CI)
    assert SECRET not in repr(connection)
    with pytest.raises(AmiError) as caught:
        connect("http://jenkins.invalid", CI).whoami()
    assert SECRET not in repr(caught.value) + str(caught.value.as_dict())
