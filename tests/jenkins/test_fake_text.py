"""The fake against recorded texts, charsets, the parser's fault of XML 1.1, names, and races."""

from __future__ import annotations

import html
import http.client
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from .fake import FakeJenkins
from .recorded import CONFIG, XML, Client, config, load

ROOT = "<flow-definition>\n  <description>{}</description>\n  <properties/>\n</flow-definition>"


def escaping_request(case: dict[str, Any]) -> tuple[bytes, str | None]:
    """The document and Content-Type that a case's name tells of; XML 1.1 declared unless it says otherwise."""
    name = case["case"]
    version = "1.0" if "decl 1.0" in name or name.startswith(("declared", "DOCTYPE", "standalone")) else "1.1"
    encoding = "ISO-8859-1" if name.startswith("declared") else "UTF-8"
    declaration = f"<?xml version='{version}' encoding='{encoding}'?>\n"
    if name == "no declaration":
        declaration = ""
    elif name == "BOM before the declaration":
        declaration = "\ufeff" + declaration
    elif name == "newline before the declaration":
        declaration = "\n" + declaration
    elif name.startswith("DOCTYPE"):
        declaration += '<!DOCTYPE flow-definition [<!ENTITY e "x">]>\n'
    elif name.startswith("standalone"):
        declaration = "<?xml version='1.0' encoding='UTF-8' standalone=\"yes\"?>\n"
    types: dict[str, str | None] = {
        "Content-Type text/xml without charset": "text/xml",
        "ISO-8859-1, Content-Type text/xml": "text/xml",
        "application/xml without charset": "application/xml",
        "application/xml;charset=utf-8": "application/xml;charset=utf-8",
        "application/octet-stream": "application/octet-stream",
        "charset=ISO-8859-1": "text/xml; charset=ISO-8859-1",
        "no Content-Type": None,
    }
    content_type = next((value for key, value in types.items() if name.endswith(key)), XML)
    return (declaration + ROOT.format(case["posted"])).encode(encoding), content_type


@pytest.mark.parametrize("case", load("escaping.json"), ids=lambda case: case["case"])
def test_a_text_arrives_as_recorded(client: Client, case: dict[str, Any]) -> None:
    body, content_type = escaping_request(case)
    answer = client.send("POST", "/createItem?name=it", body, content_type)
    assert answer.status_code == case["create_status"]
    if answer.status_code == 400:
        assert answer.headers["X-Error"] == case["error"]
    if answer.status_code != 200:
        assert client.fake.items == {}
        return
    returned = client.get("/job/it")
    shown = re.search("<description>(.*)</description>|<description/>", returned, re.S)
    assert shown and (shown[1] if shown[1] is not None else shown[0]) == case["returned"]
    assert returned.startswith(case["decl_returned"] + "<flow-definition>")
    text = client.api("/job/it", "description")["description"]
    assert text == case["api_json"]
    client.describe("/job/it", text)
    saved = re.search("<description>(.*)</description>", client.get("/job/it"), re.S)
    assert saved and saved[1] == case["saved"]


DOCUMENTS = {
    "UTF-8 bytes, declared UTF-8": ("é \u2013 日", "UTF-8", "UTF-8"),
    "UTF-8 bytes, no declaration": ("é \u2013 日", "", "UTF-8"),
    "ISO-8859-1 bytes, declared so": ("é", "ISO-8859-1", "ISO-8859-1"),
    "ASCII with character references, declared UTF-8": ("&#233; &#8211; &#26085;", "UTF-8", "UTF-8"),
}
VIEW = "<hudson.model.ListView><description>{}</description></hudson.model.ListView>"


@pytest.mark.parametrize(
    "case",
    load("encoding.json"),
    ids=lambda case: f"{case['request']}: {case['document']} as {case['content_type']}",
)
def test_a_charset_counts_where_it_was_recorded_to(client: Client, case: dict[str, Any]) -> None:
    text, declared, encoding = DOCUMENTS[case["document"]]
    begin = f"<?xml version='1.0' encoding='{declared}'?>\n" if declared else ""
    is_view = "view" in case["request"].lower()
    body = (begin + (VIEW if is_view else ROOT).format(text)).encode(encoding)
    where = "/view/it" if is_view else "/job/it"
    create = "/createView?name=it" if is_view else "/createItem?name=it"
    if case["request"] in ("createItem", "createView"):
        answer = client.send("POST", create, body, case["content_type"])
    else:
        client.send("POST", create, (VIEW if is_view else ROOT).format("before").encode())
        answer = client.send("POST", f"{where}/config.xml", body, case["content_type"])
    assert answer.status_code == case["status"]
    shown = client.api(where, "description")["description"]
    assert shown == (case["description_in_api_json"] or "before")
    if case.get("declaration_returned"):
        assert client.get(where).startswith(case["declaration_returned"] + "<flow-definition>")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_xml_1_1_loses_brackets_where_it_was_recorded_to(client: Client, version: str) -> None:
    client.create("", "it", ROOT.format("before"))
    begin = f'<?xml version="{version}" encoding="UTF-8"?>\n<flow-definition>\n  <description>'
    for case in load("xml-1.1-corruption.json")["cases"]:
        if case["xml_version"] != version:
            continue
        text = "y" * case["n"] + "ab[0]cd " * 2500
        client.post("/job/it", f"{begin}{text}</description>\n</flow-definition>")
        shown = client.api("/job/it", "description")["description"]
        assert (shown == text) is case["stored_as_sent"]
        if "first_difference_at_byte" in case:
            place = case["first_difference_at_byte"]
            assert (shown[:place], shown[place]) == (text[:place], "c")


@pytest.mark.parametrize("case", load("item-names.json"), ids=lambda case: repr(case["name"]))
def test_a_name_is_taken_or_refused_as_recorded(client: Client, case: dict[str, Any]) -> None:
    client.create("", "http", config("folder.posted"))
    name = case["name"]
    if name == "a ":
        client.create("/job/http", "a", config("pipeline-inline.posted"))
    if times := re.fullmatch(r"<(\d+) times x>", name):
        name = "x" * int(times[1])
    answer = client.send("POST", f"/job/http/createItem?name={quote(name, safe='')}", config("seed.posted").encode())
    assert answer.status_code == case["status"]
    if "x_error" in case:
        assert answer.headers["X-Error"] == case["x_error"].encode("latin-1", "replace").decode()
        assert case["x_error"] in html.unescape(answer.text)
    listed = [job["name"] for job in client.api("/job/http", "jobs[name]")["jobs"]]
    assert (name.strip() in listed) is (case["status"] == 200 or name == "a ")


# Races


def at_once(client: Client, *requests_: tuple[str, str, bytes]) -> list[int]:
    """The statuses of requests that are sent at the same time, each on a connection of its own."""

    def send(request: tuple[str, str, bytes]) -> int:
        own = Client(client.fake)
        try:
            return own.send(*request).status_code
        finally:
            own.close()

    with ThreadPoolExecutor(len(requests_)) as pool:
        return list(pool.map(send, requests_))


def test_races_end_as_recorded(client: Client) -> None:
    recorded = load("races.json")
    job, view = config("pipeline-inline.posted"), config("listview.posted").encode()
    client.create("", "f", config("folder.posted"))

    created = at_once(client, *[("POST", "/job/f/createItem?name=r", job.encode())] * 8)
    assert Counter(created) == Counter(recorded["createItem of one new name by 8 threads, try 1"])

    texts = [job.replace("Smoke test", f"Writer {number}") for number in range(8)]
    posted = at_once(client, *[("POST", "/job/f/job/r/config.xml", text.encode()) for text in texts])
    assert posted == recorded["POST config.xml to one job by 8 threads"]
    shown = client.api("/job/f/job/r", "description")["description"]
    assert re.fullmatch(re.sub(r"\d", r"\\d", recorded["config.xml after it"]), shown)

    deleted = at_once(client, *[("POST", "/job/f/job/r/doDelete", b"")] * 8)
    assert Counter(deleted) == Counter(recorded["doDelete of one job by 8 threads"])

    views = at_once(client, *[("POST", "/job/f/createView?name=rv", view)] * 8)
    assert Counter(views) == Counter(recorded["createView of one name by 8 threads"])
    names = [each["name"] for each in client.api("/job/f", "views[name]")["views"]]
    assert names.count("rv") == recorded["views named rv after it"]

    different = at_once(client, *[("POST", f"/job/f/createView?name=dv{number}", view) for number in range(8)])
    assert different == recorded["createView of 8 different names by 8 threads"]
    names = [each["name"] for each in client.api("/job/f", "views[name]")["views"]]
    assert sum(name.startswith("dv") for name in names) == recorded["views dv* after it"]
    stored = client.get("/job/f").count("<name>dv")
    assert stored == recorded["views dv* in the folder config.xml after it"]

    mixed = [("POST", f"/job/f/createItem?name=m{number}", job.encode()) for number in range(4)]
    mixed += [("GET", "/job/f/api/json?tree=jobs[name]", b"")] * 4
    assert at_once(client, *mixed) == recorded["createItem and GET of the listing interleaved"]


def test_a_large_document_is_kept_whole(client: Client) -> None:
    large = config("pipeline-inline.posted").replace("Smoke", "x" * 2_000_000).replace("'1.1'", "'1.0'")
    client.create("", "large", large)
    assert "x" * 2_000_000 in client.get("/job/large")


def test_every_recording_used_is_kept_in_the_repository() -> None:
    size = sum(path.stat().st_size for path in CONFIG.parent.rglob("*") if path.is_file())
    assert size < 600_000


def test_a_connection_is_kept(fake: FakeJenkins) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(fake.url.rpartition(":")[2]))
    sockets = set()
    for _ in range(3):
        connection.request("GET", "/login")
        connection.getresponse().read()
        sockets.add(connection.sock)
    connection.close()
    assert len(sockets) == 1 and None not in sockets
