"""The fake against the recorded requests: status, headers, ``X-Error``, and what the pages say.

The recordings are in groups that follow one another on one server; a group is sent as a whole after what it finds there
has been made, and each of its requests is a test. What the fake does not do is named in ``LEFT_OUT``.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import requests

from .fake import FakeJenkins
from .recorded import FORM, XML, Client, config, load

RECORDED: dict[str, dict[str, Any]] = {each["id"]: each for each in load("http.json")}
ORDER = list(RECORDED)


def between(first: str, end: str) -> tuple[str, ...]:
    return tuple(ORDER[ORDER.index(first) : ORDER.index(end)])


LEFT_OUT = {
    "builds that run": ("create-unknown-definition-build", "build-still-running", "delete-folder-with-stuck-build"),
    "queue, parameters, console, artifacts of builds": tuple(
        ORDER[ORDER.index("build-get") : ORDER.index("rename-confirm")]
    ),
    "rename and move": between("rename-confirm", "delete"),
    "the queue in quiet mode": ("quiet-queue-item",),
    "the validator's errors": (
        *("validate-unknown-section", "validate-groovy-syntax", "validate-wrong-param", "validate-empty-steps"),
        *("validate-script-outside", "validate-if-in-steps", "validate-unknown-option", "validate-unknown-post"),
        *("validate-bad-agent", "validate-multipart", "tojson-good", "validate-json-multi-error"),
    ),
    "api/xml": ("list-xml",),
    "the command line interface": ("job-dsl-absent-cli",),
    "connections refused: there is no answer to compare (test_fake_rules.py)": (
        "starting-00",
        "starting-01",
        "starting-02",
    ),
    "the last moments of a start": ("starting-06", "starting-07"),
    "a body that was not kept": ("starting-10",),
}
IN_SCOPE = [each for each in ORDER if not any(each in names for names in LEFT_OUT.values())]

INLINE = config("pipeline-inline.posted")


def inline(old: str = "", new: str = "") -> str:
    assert old in INLINE
    return INLINE.replace(old, new, 1) if old else INLINE


BAD_CRON = """<properties><org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty><triggers>\
<hudson.triggers.TimerTrigger><spec>not a cron</spec></hudson.triggers.TimerTrigger></triggers>\
</org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty></properties>"""
SECRET = """<properties><hudson.model.ParametersDefinitionProperty><parameterDefinitions>\
<hudson.model.PasswordParameterDefinition><name>PW</name><defaultValue>plain-secret</defaultValue>\
</hudson.model.PasswordParameterDefinition></parameterDefinitions></hudson.model.ParametersDefinitionProperty>\
</properties>"""
NO_SUCH = """<properties><com.example.NoSuchProperty plugin="no-such-plugin@1.0"><a>1</a></com.example.NoSuchProperty>\
</properties>"""
BODIES = {
    "<pipeline-inline.posted.xml>": INLINE,
    "<folder.posted.xml>": config("folder.posted"),
    "<listview.posted.xml>": config("listview.posted"),
    "<folder.posted.xml>, which has no folderViews": config("folder.posted"),
    "<pipeline-inline.posted.xml with an unknown class in properties>": inline("<properties/>", NO_SUCH),
    '<pipeline-inline.posted.xml with definition class="no.such.Definition">': inline(
        "org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition", "no.such.Definition"
    ),
    "<unknown trigger class>": inline(
        "<properties/>", BAD_CRON.replace("hudson.triggers.TimerTrigger", "com.example.NoSuchTrigger")
    ),
    '<TimerTrigger spec "not a cron">': inline("<properties/>", BAD_CRON),
    "<quietPeriod>soon</quietPeriod>": inline("<disabled>", "<quietPeriod>soon</quietPeriod><disabled>"),
    "<listview.posted.xml with an unknown column>": config("listview.posted").replace(
        "<hudson.views.StatusColumn/>", "<com.example.NoSuchColumn/>"
    ),
    "<listview.posted.xml with name other>": config("listview.posted").replace("<name>base<", "<name>other<"),
    "<a job that sleeps>": INLINE,
}
USERS = {
    "user with Overall/Read, Job/Read": "reader",
    "user with Overall/Read, Job/Read, Job/Create, Job/Configure, Job/Build": "ci",
    "user with Overall/Read only": "nobody",
    "user with Overall/Read, Job/Read, Job/ExtendedRead": "seer",
}


# What the groups find


def make(client: Client, *paths: str) -> None:
    """Folders (with a slash at the end) and jobs."""
    for path in paths:
        *parents, name = path.strip("/").split("/")
        xml = config("folder.posted") if path.endswith("/") else INLINE
        client.create("".join(f"/job/{each}" for each in parents), quote(name), xml)


def names_of_before(client: Client) -> None:
    make(client, "http/", "rootcase")
    for case in load("item-names.json"):
        if case["status"] == 200 and "times" not in case["name"]:
            make(client, f"http/{case['name']}")
    make(client, f"http/{'x' * 255}")


def some_jobs(client: Client) -> None:
    make(client, "http/", "http/base-arm", "http/base-x86", "http/sub/", "http/sub/base-arm", "http/sub/base-x86")
    make(client, "http/sub/deeper/", "http/sub/deeper/base-arm", "http/sub/deeper/base-x86")
    client.send("POST", "/job/http/job/base-arm/disable")


def for_deletion(client: Client) -> None:
    make(client, "http/", "http/a3", "http/busy", "http/sub2/", "http/sub2/deep", "http-target/", "http-target/a2")


def permissions(client: Client) -> None:
    make(client, "http/", "http/a1")
    client.create("/job/http", "sec", inline("<properties/>", SECRET))


GROUPS: dict[str, Callable[[Client], None]] = {
    "create-job": names_of_before,
    "whoami-token": lambda client: make(client, "http/", "http/base-x86"),
    "list-depth-0": some_jobs,
    "disable": some_jobs,
    "create-view": some_jobs,
    "delete": for_deletion,
    "quiet-down": lambda client: make(client, "http/", "http/q"),
    "validate-good": lambda client: None,
    "version-plugin-list": lambda client: make(client, "amis/", "http/", "http-target/"),
    "perm-reader-get-config": permissions,
    "post-config-while-building-prepare": lambda client: make(client, "http/"),
    "starting-00": lambda client: setattr(client.fake, "starting", 3),
}
"""By the first request of the group: what has to be there."""
BEFORE: dict[str, Callable[[Client], object]] = {
    "perm-admin-get-secret-saved": lambda client: client.describe(
        "/job/http/job/sec", "Smoke test of a fresh base AMI."
    ),
}


def group_of(name: str) -> str:
    return [each for each in ORDER[: ORDER.index(name) + 1] if each in GROUPS][-1]


def body_of(text: str | None) -> bytes | None:
    if text is None:
        return None
    if text.startswith("jenkinsfile=<"):
        script = text.removeprefix("jenkinsfile=<").removesuffix(">")
        return urlencode({"jenkinsfile": script}).encode()
    text = BODIES.get(text, text)
    assert not re.match(r"<[a-z ]+\.posted", text), text
    return text.encode()


def send(client: Client, recorded: dict[str, Any]) -> requests.Response:
    request = recorded["request"]
    fake, who = client.fake, request.get("auth")
    auth: tuple[str, str] | str | None = "token"
    if who == "anonymous":
        auth = None
    elif who in ("user + password", "wrong password"):
        auth = (fake.user, fake.password if who == "user + password" else "wrong")
    elif who in USERS:
        auth = (USERS[who], fake.access.tokens[USERS[who]])
    headers = {name: value for name, value in request.get("headers", {}).items() if "<" not in value}
    if "Jenkins-Crumb" in request.get("headers", {}):
        issued = client.send("GET", "/crumbIssuer/api/json", auth=(fake.user, fake.password))
        headers["Jenkins-Crumb"] = issued.json()["crumb"]
        if "Cookie" in request["headers"]:
            headers["Cookie"] = issued.headers["Set-Cookie"].partition(";")[0]
    content_type: str | None = request.get("content_type", XML)
    if recorded["id"] == "post-config-no-content-type":
        content_type = None
    body = body_of(request.get("body"))
    if body is None and content_type == FORM:
        body = b""
    return client.send(request["method"], request["path"], body, content_type, auth=auth, headers=headers)


@pytest.fixture(scope="module")
def answers() -> Iterator[Callable[[str], requests.Response]]:
    """The answer to a recorded request, in the course of its group."""
    known: dict[str, requests.Response] = {}

    def answer(name: str) -> requests.Response:
        if name not in known:
            first = group_of(name)
            with FakeJenkins() as fake:
                client = Client(fake)
                GROUPS[first](client)
                for each in ORDER[ORDER.index(first) :]:
                    if group_of(each) != first:
                        break
                    if each in IN_SCOPE:
                        if each in BEFORE:
                            BEFORE[each](client)
                        known[each] = send(client, RECORDED[each])
                        known[each].fake_url = fake.url  # type: ignore[attr-defined]
                client.close()
        return known[name]

    yield answer


def in_words(page: str) -> str:
    """A page as the recordings have it: ``[title] main text``."""
    title = re.search("<title>(.*?)</title>", page)
    main = re.search('<div id="main-panel">(.*)</div>', page, re.S)
    text = re.sub("<[^>]*>", " ", main[1] if main else page)
    text = re.sub(r"Logging ID=\S+", "Logging ID=<UUID>", " ".join(html.unescape(text).split()))
    text = text.removesuffix(" Retry using POST") if "URL being accessed" in text else text
    return f"[{html.unescape(title[1]).strip()}] {text}" if main and title else text


@pytest.mark.parametrize("name", IN_SCOPE)
def test_a_request_is_answered_as_recorded(answers: Callable[[str], requests.Response], name: str) -> None:
    recorded, answer = RECORDED[name], answers(name)
    assert answer.status_code == recorded["status"]
    url = answer.fake_url  # type: ignore[attr-defined]
    headers = recorded.get("headers", {})
    for header, value in headers.items():
        if header == "Set-Cookie":
            if "JSESSIONID" in value:
                assert answer.headers[header].startswith("JSESSIONID=")
        elif "<" in value:
            assert answer.headers[header]
        else:
            mine = answer.headers[header].replace(url, "http://jenkins.example.com:8080")
            assert re.sub("item/[0-9]+", "item/N", mine) == re.sub("item/[0-9]+", "item/N", value)
    assert ("X-Jenkins" in answer.headers) is ("X-Jenkins" in headers)
    if "x_error_lost_in_container" in recorded:
        expected = recorded["x_error_lost_in_container"]
        assert answer.headers["X-Error"] == expected.encode("latin-1", "replace").decode()
    elif name != "perm-ci-create-existing-name":  # whose lost header was not noted
        assert answer.headers.get("X-Error") == headers.get("X-Error")
    if name == "folder-all-nested-folders" or recorded["request"]["method"] == "HEAD" or recorded.get("container_page"):
        return
    check_body(recorded, answer.content.decode().replace(url, "http://jenkins.example.com:8080"))


def check_body(recorded: dict[str, Any], mine: str) -> None:
    kind, body = recorded.get("body_kind"), recorded.get("body", "")
    mine = re.sub("[{][A-Za-z0-9+/]{40,}=*[}]", "{<ENCRYPTED>}", mine)
    if recorded.get("body_truncated"):
        if recorded["id"] in ("perm-seer-get-config", "options", "crumb-token", "crumb-password"):
            return  # after a build that the fake does not run; fields that change; secrets
        assert kind != "json" or mine.startswith(body[:40])
        assert kind != "xml" or mine.startswith(body)
    elif kind == "html" or recorded["id"].startswith("starting"):
        expected = body.replace(" Retry using POST", "") if "URL being accessed" in body else body
        assert in_words(mine) == expected
    elif kind == "json":
        expected = json.loads(body.replace("<255 times x>", "x" * 255))
        assert json.loads(mine) == expected
        assert list(json.loads(mine)) == list(expected)
    elif kind == "xml":
        assert mine == body
    else:
        assert mine == body


def test_everything_that_was_recorded_is_tested_or_left_out_by_name() -> None:
    named = [name for names in LEFT_OUT.values() for name in names]
    assert sorted([*named, *IN_SCOPE]) == sorted(RECORDED)
    assert len(named) == len(set(named))
