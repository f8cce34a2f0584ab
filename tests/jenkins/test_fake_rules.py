"""Rules of the recordings that no single recording shows, and what the fake can be told to do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import requests

from .classes import CLASSES, MULTIBRANCH, NOT_RECORDED, PLUGINS, PROJECTS
from .fake import FakeJenkins
from .live import LiveJenkins, describe
from .recorded import FORM, Client, config
from .tree import BadTree, Exported, parse, pick, whole
from .xstream import SECRET

CONCURRENCY = "org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty"
GERRIT = "com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger"
INLINE = config("pipeline-inline.posted")


def with_legacy(value: str, *, beside: bool) -> str:
    """A pipeline with ``<concurrentBuild>``, and the property beside it or not."""
    text = INLINE.replace("<disabled>", f"<concurrentBuild>{value}</concurrentBuild><disabled>")
    return text.replace("<properties/>", f"<properties><{CONCURRENCY}/></properties>") if beside else text


# Rule 5: legacy elements


@pytest.mark.parametrize(
    ("value", "beside", "saves", "has_property"),
    [
        pytest.param("false", False, True, True, id="false adds the property"),
        pytest.param("true", True, True, False, id="true removes the property"),
        pytest.param("false", True, False, True, id="false beside the property changes nothing"),
        pytest.param("true", False, False, False, id="true without the property changes nothing"),
    ],
)
def test_create_item_saves_at_once_when_concurrent_build_changes_something(
    client: Client, value: str, beside: bool, saves: bool, has_property: bool
) -> None:
    client.create("", "it", with_legacy(value, beside=beside))
    text = client.get("/job/it")
    assert ("plugin=" in text) is saves
    assert ("concurrentBuild" in text) is not saves
    assert (CONCURRENCY in text) is has_property
    assert client.api("/job/it", "concurrentBuild")["concurrentBuild"] is not has_property


def test_posting_concurrent_build_changes_the_job_and_not_the_text(client: Client) -> None:
    client.create("", "it", INLINE)
    client.post("/job/it", with_legacy("false", beside=False))
    assert "<concurrentBuild>false</concurrentBuild>" in client.get("/job/it")
    assert client.api("/job/it", "concurrentBuild")["concurrentBuild"] is False
    client.describe("/job/it", "d")
    assert "concurrentBuild" not in client.get("/job/it") and CONCURRENCY in client.get("/job/it")


def test_create_item_moves_top_level_triggers_into_the_property(client: Client) -> None:
    timer = "<triggers><hudson.triggers.TimerTrigger><spec>H 1 * * *</spec></hudson.triggers.TimerTrigger></triggers>"
    client.create("", "it", INLINE.replace("<disabled>", f"{timer}<disabled>"))
    text = client.get("/job/it")
    assert "PipelineTriggersJobProperty>\n      <triggers>\n        <hudson.triggers.TimerTrigger>" in text


# Rules 6 to 9


def test_left_out_numbers_of_a_log_rotator_are_zero(client: Client) -> None:
    rotator = """<properties><jenkins.model.BuildDiscarderProperty><strategy class="hudson.tasks.LogRotator"/>
    </jenkins.model.BuildDiscarderProperty></properties>"""
    client.create("", "it", INLINE.replace("<properties/>", rotator))
    client.describe("/job/it", "d")
    assert "<daysToKeep>0</daysToKeep>\n        <numToKeep>0</numToKeep>" in client.get("/job/it")


def test_a_post_enables_what_somebody_disabled(client: Client) -> None:
    client.create("", "it", INLINE)
    client.send("POST", "/job/it/disable")
    assert client.api("/job/it", "disabled,buildable,color") == {
        "_class": "org.jenkinsci.plugins.workflow.job.WorkflowJob",
        "buildable": False,
        "color": "disabled",
        "disabled": True,
    }
    client.post("/job/it", INLINE.replace("<disabled>false</disabled>", ""))
    assert client.api("/job/it", "disabled")["disabled"] is False


def test_posting_a_folder_replaces_its_views_and_properties_and_keeps_its_jobs(client: Client) -> None:
    client.create("", "f", config("folder-libraries.posted"))
    client.create("/job/f", "it", INLINE)
    client.send("POST", "/job/f/createView?name=v", config("listview.posted").encode())
    assert "FolderLibraries" in client.get("/job/f") and "<name>v</name>" in client.get("/job/f")
    client.post("/job/f", config("folder.posted"))
    client.describe("/job/f", "d")
    text = client.get("/job/f")
    assert "FolderLibraries" not in text and "<name>v</name>" not in text and "<name>All</name>" in text
    assert [job["name"] for job in client.api("/job/f", "jobs[name]")["jobs"]] == ["it"]


def test_views_forget_what_is_deleted_in_folders_below_too(client: Client) -> None:
    client.create("", "f", config("folder.posted"))
    client.create("/job/f", "sub", config("folder.posted"))
    client.create("/job/f/job/sub", "it", INLINE)
    view = config("listview.posted").replace("pipeline-scm", "sub/it").replace("pipeline-inline", "sub")
    client.send("POST", "/job/f/createView?name=v", view.encode())
    client.send("POST", "/job/f/job/sub/doDelete")
    assert "<string>Absent-job</string>" in client.get("/job/f/view/v")
    assert "sub" not in client.get("/job/f/view/v")
    assert "<string>sub" not in client.get("/job/f")


def test_a_description_of_a_view_can_be_set(client: Client) -> None:
    client.send("POST", "/createView?name=v", config("listview.posted").encode())
    client.describe("/view/v", "for the team")
    assert client.api("/view/v", "description")["description"] == "for the team"
    assert "<description>for the team</description>\n  <filterExecutors>" in client.get("/view/v")


def test_secrets_are_encrypted_by_a_save_and_a_masked_one_is_lost_when_posted(client: Client) -> None:
    password = """<properties><hudson.model.ParametersDefinitionProperty><parameterDefinitions>
    <hudson.model.PasswordParameterDefinition><name>PW</name><defaultValue>plain</defaultValue>
    </hudson.model.PasswordParameterDefinition></parameterDefinitions></hudson.model.ParametersDefinitionProperty>
    </properties>"""
    client.create("", "it", INLINE.replace("<properties/>", password))
    client.describe("/job/it", "d")
    encrypted = SECRET.search(client.get("/job/it"))
    assert encrypted
    client.post("/job/it", client.get("/job/it").replace("'1.1'", "'1.0'"))
    client.describe("/job/it", "e")
    assert encrypted[0] in client.get("/job/it")
    client.post("/job/it", client.get("/job/it").replace("'1.1'", "'1.0'").replace(encrypted[0], "********"))
    client.describe("/job/it", "f")
    assert encrypted[0] not in client.get("/job/it")


# Plugins


def test_classes_of_an_absent_plugin_are_dropped_by_the_save() -> None:
    with FakeJenkins(without={"gerrit-trigger"}) as fake:
        client = Client(fake)
        client.create("", "it", config("pipeline-gerrit-merged.posted"))
        assert "GerritTrigger" in client.get("/job/it")
        client.describe("/job/it", "d")
        assert "GerritTrigger" not in client.get("/job/it")
        assert "PipelineTriggersJobProperty>\n      <triggers/>" in client.get("/job/it")
        client.close()


def test_an_item_of_an_absent_plugin_is_refused() -> None:
    with FakeJenkins(without={"workflow-multibranch"}) as fake:
        client = Client(fake)
        answer = client.send("POST", "/createItem?name=m", f"<{MULTIBRANCH}/>".encode())
        assert (answer.status_code, client.fake.items) == (500, {})
        assert fake.log == [f"com.thoughtworks.xstream.mapper.CannotResolveClassException: {MULTIBRANCH}"]
        client.close()


def test_a_gerrit_trigger_without_events_listens_for_patch_sets(client: Client) -> None:
    text = config("pipeline-gerrit-merged.posted")
    begin, end = text.index("<triggerOnEvents>"), text.index("</triggerOnEvents>")
    client.create("", "it", text[:begin] + "<triggerOnEvents>" + text[end:])
    client.describe("/job/it", "d")
    assert f"<{GERRIT}.events.PluginPatchsetCreatedEvent>" in client.get("/job/it")


def test_every_known_class_is_of_a_known_plugin() -> None:
    assert {each.plugin for each in CLASSES.values()} - {""} <= {*PLUGINS, *NOT_RECORDED}
    assert {*CLASSES} >= PROJECTS


# Multibranch projects, which were not recorded

MULTIBRANCH_XML = f"""<?xml version="1.0"?><{MULTIBRANCH}><description>verify</description>
<sources class="jenkins.branch.MultiBranchProject$BranchSourceList"><data><jenkins.branch.BranchSource>
<source class="jenkins.plugins.gerrit.GerritSCMSource"><id>base</id><remote>https://gerrit.example.com/a/base</remote>
<traits><jenkins.plugins.gerrit.traits.ChangeDiscoveryTrait><queryString>status:open</queryString>
</jenkins.plugins.gerrit.traits.ChangeDiscoveryTrait></traits></source>
<strategy class="jenkins.branch.DefaultBranchPropertyStrategy"><properties class="empty-list"/></strategy>
</jenkins.branch.BranchSource></data></sources>
<factory class="org.jenkinsci.plugins.workflow.multibranch.WorkflowBranchProjectFactory">
<scriptPath>Jenkinsfile</scriptPath>
</factory></{MULTIBRANCH}>"""


def test_a_multibranch_project_gets_owners_and_strategies_when_it_is_saved(fake: FakeJenkins, client: Client) -> None:
    client.create("", "m", MULTIBRANCH_XML)
    client.describe("/job/m", "verify")
    text = client.get("/job/m")
    assert text.count(f'<owner class="{MULTIBRANCH}" reference="../.."/>') == 4
    assert '<source class="jenkins.plugins.gerrit.GerritSCMSource" plugin="gerrit-code-review@' in text
    assert "orphanedItemStrategy" in text and "<disabled>false</disabled>" in text
    saved_again = text.replace("'1.1'", "'1.0'")
    client.post("/job/m", saved_again)
    client.describe("/job/m", "verify")
    assert client.get("/job/m") == text
    client.send("POST", "/job/m/disable")
    assert "<disabled>true</disabled>" in client.get("/job/m")


def test_a_multibranch_project_has_branch_jobs_and_takes_no_others(fake: FakeJenkins, client: Client) -> None:
    client.create("", "m", MULTIBRANCH_XML)
    fake.index("m", "main", "42%2F1")
    listed = client.api("", "jobs[name,_class,jobs[name]]")["jobs"][0]
    assert listed["_class"] == MULTIBRANCH
    assert [job["name"] for job in listed["jobs"]] == ["42%2F1", "main"]
    assert client.send("POST", "/job/m/createItem?name=x", INLINE.encode()).status_code == 404


# The remote API


def job(name: str, **fields: object) -> Exported:
    made = {key: partial(lambda value: value, value) for key, value in {"name": name, **fields}.items()}
    return Exported("Job", {**made}, ("name",))


def test_the_tree_language() -> None:
    folder = job("f", jobs=[job("a", color="blue"), job("b", color="red"), job("c")])
    assert pick(folder, parse("name,jobs[name]{1,3}")) == {
        "_class": "Job",
        "name": "f",
        "jobs": [{"_class": "Job", "name": "b"}, {"_class": "Job", "name": "c"}],
    }
    assert pick(folder, parse("jobs[name]{2}"))["jobs"] == [{"_class": "Job", "name": "c"}]
    assert pick(folder, parse("jobs[*]{,1}"))["jobs"] == [{"_class": "Job", "name": "a", "color": "blue"}]
    assert pick(folder, parse("jobs")) == {"_class": "Job", "jobs": [{"_class": "Job"}] * 3}
    assert pick(folder, parse("nosuch")) == {"_class": "Job"}
    assert whole(folder, 0)["jobs"][0] == {"_class": "Job", "name": "a"}
    assert whole(folder, 1)["jobs"][0] == {"_class": "Job", "name": "a", "color": "blue"}


@pytest.mark.parametrize("text", ["jobs[name", "jobs[name]]", "jobs{1", "jobs{x}"])
def test_a_malformed_tree_is_refused(client: Client, text: str) -> None:
    with pytest.raises(BadTree):
        parse(text)
    assert client.send("GET", f"/api/json?tree={text}").status_code == 500


# What it can be told to do


def test_a_dropped_answer_has_taken_effect(fake: FakeJenkins, client: Client) -> None:
    fake.drop_next()
    with pytest.raises(requests.ConnectionError):
        client.create("", "it", INLINE)
    assert ("it",) in fake.items
    assert client.send("POST", "/createItem?name=it", INLINE.encode()).status_code == 400


def test_a_failing_request_has_no_effect(fake: FakeJenkins, client: Client) -> None:
    fake.fail_next("createItem", 502, times=2)
    for _ in range(2):
        assert client.send("POST", "/createItem?name=it", INLINE.encode()).status_code == 502
    assert fake.items == {}
    client.create("", "it", INLINE)


def test_a_restart_refuses_connections_then_starts_and_keeps_what_was_stored(fake: FakeJenkins, client: Client) -> None:
    client.create("", "it", INLINE)
    text = client.get("/job/it")
    crumb = client.send("GET", "/crumbIssuer/api/json", auth=(fake.user, fake.password))
    fake.restart(down=0.3, starting=1)
    with pytest.raises(requests.ConnectionError):
        client.get("/job/it")
    for _ in range(100):
        try:
            answer = client.send("GET", "/job/it/config.xml")
            break
        except requests.ConnectionError:
            time.sleep(0.05)
    assert (answer.status_code, "Starting Jenkins" in answer.text) == (503, True)
    assert client.get("/job/it") == text
    headers = {"Jenkins-Crumb": crumb.json()["crumb"], "Cookie": crumb.headers["Set-Cookie"].partition(";")[0]}
    lost = client.send("POST", "/job/it/disable", auth=(fake.user, fake.password), headers=headers)
    assert (lost.status_code, "crumb" in lost.text) == (403, True)


def test_quiet_mode_is_shown_and_stops_nothing(fake: FakeJenkins, client: Client) -> None:
    fake.quiet = True
    assert client.api("", "quietingDown")["quietingDown"] is True
    client.create("", "it", INLINE)
    client.send("POST", "/cancelQuietDown")
    assert fake.quiet is False


def test_a_person_edits_the_saved_form_and_saves(fake: FakeJenkins, client: Client) -> None:
    client.create("", "it", INLINE)
    fake.edit("it", lambda text: text.replace("<sandbox>true", "<sandbox>false"))
    assert client.get("/job/it").startswith("<?xml version='1.1'")
    assert "<sandbox>false</sandbox>" in client.get("/job/it")


def test_somebody_else_makes_and_deletes_items(fake: FakeJenkins, client: Client) -> None:
    fake.create("f", config("folder.posted"))
    fake.create(("f", "it"), INLINE)
    assert set(fake.items) == {("f",), ("f", "it")}
    assert fake.config("f/it") == client.get("/job/f/job/it")
    fake.delete("f")
    assert fake.items == {}
    with pytest.raises(KeyError):
        fake.config("f")


def test_requests_are_noted(fake: FakeJenkins, client: Client) -> None:
    client.create("", "it", INLINE)
    client.get("/job/it")
    assert fake.requests == [("POST", "/createItem?name=it"), ("GET", "/job/it/config.xml")]


def test_every_request_takes_the_latency_and_workers_limit_how_many_at_once() -> None:
    with FakeJenkins(latency=0.05, workers=1) as fake:
        client = Client(fake)
        begin = time.monotonic()
        client.send("GET", "/login")
        client.send("GET", "/login")
        assert time.monotonic() - begin >= 0.1
        client.close()


def test_it_runs_in_a_process_of_its_own() -> None:
    argv = [sys.executable, "-m", "tests.jenkins.fake", "--latency", "0.001", "--workers", "2"]
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(argv, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url, user, token = process.stdout.readline().split()
        try:
            answer = requests.get(f"{url}/whoAmI/api/json", auth=(user, token), timeout=10)
        finally:
            process.terminate()
    assert answer.json()["name"] == "admin"


def test_a_form_may_come_in_the_query_or_the_body(client: Client) -> None:
    client.create("", "it", INLINE)
    client.send("POST", "/job/it/submitDescription?description=in%20the%20query")
    assert client.api("/job/it", "description")["description"] == "in the query"
    client.send("POST", "/job/it/submitDescription", b"description=in+the+body", FORM)
    assert client.api("/job/it", "description")["description"] == "in the body"


def test_many_items_can_be_loaded_at_once(fake: FakeJenkins, tmp_path: Path) -> None:
    lines = [
        {"path": ["f"], "xml": config("folder.posted"), "view": False},
        {"path": ["f", "it"], "xml": INLINE, "view": False},
        {"path": ["f", "base"], "xml": config("listview.posted"), "view": True},
    ]
    (tmp_path / "items").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    fake.load(tmp_path / "items")
    assert fake.config("f/it") == config("pipeline-inline.saved")
    assert fake.view("f", "base") is not None


# The live server in its place


def test_a_live_server_gets_a_folder_that_goes_again(fake: FakeJenkins, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("URL", f"{fake.url}/"), ("USER", fake.user), ("TOKEN", fake.token)):
        monkeypatch.setenv(f"JENKINS_{name}", value)
    assert describe() == f"jenkins: {fake.url}/"
    with LiveJenkins() as live:
        assert list(fake.items) == [(live.folder,)]
    assert fake.items == {}


def test_the_header_says_that_there_is_no_live_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JENKINS_URL", "http://jenkins.example.com")  # as in every build of a Jenkins
    monkeypatch.delenv("JENKINS_TOKEN", raising=False)
    live = "set JENKINS_URL, JENKINS_USER and JENKINS_TOKEN for a live one"
    assert describe() == f"jenkins: a replay of recordings of 2.504.3; {live}"
