"""The fake against the recorded config.xml files: as posted, as returned, as saved, as builds leave it."""

from __future__ import annotations

import re

import pytest

from .builds import Declared
from .fake import FakeJenkins
from .recorded import CONFIG, Client, config, load

NAMES = sorted(path.name.removesuffix(".posted.xml") for path in CONFIG.glob("*.posted.xml"))
ITEMS = [name for name in NAMES if name != "listview"]
SAVED = [name for name in ITEMS if (CONFIG / f"{name}.saved.xml").exists()]

DISCARDER = """<jenkins.model.BuildDiscarderProperty><strategy class="hudson.tasks.LogRotator">
<daysToKeep>-1</daysToKeep><numToKeep>{}</numToKeep><artifactDaysToKeep>-1</artifactDaysToKeep><artifactNumToKeep>-1</artifactNumToKeep></strategy>
</jenkins.model.BuildDiscarderProperty>"""
CONCURRENCY = "org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty"
TRIGGERS = "org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty"
PARAMETERS = "hudson.model.ParametersDefinitionProperty"
TIMER = "<hudson.triggers.TimerTrigger><spec>{}</spec></hudson.triggers.TimerTrigger>"
REGION = """<hudson.model.StringParameterDefinition><name>REGION</name>{}<defaultValue>{}</defaultValue>
</hudson.model.StringParameterDefinition>"""


@pytest.mark.parametrize("name", ITEMS)
def test_a_posted_item_is_returned_as_recorded(client: Client, name: str) -> None:
    client.create("", "it", config(f"{name}.posted"))
    assert client.get("/job/it") == config(f"{name}.returned")


@pytest.mark.parametrize("name", ITEMS)
def test_what_was_returned_can_be_posted_again(client: Client, name: str) -> None:
    client.create("", "it", config(f"{name}.posted"))
    client.post("/job/it", config(f"{name}.returned"))
    again = CONFIG / f"{name}.returned-again.xml"
    assert client.get("/job/it") == config(f"{name}.returned-again" if again.exists() else f"{name}.returned")


@pytest.mark.parametrize("name", SAVED)
def test_a_saved_item_is_as_recorded(client: Client, name: str) -> None:
    """escaping was posted a second time before it was saved: XML 1.1 lengthens its CDATA each time (rule 3)."""
    client.create("", "it", config(f"{name}.posted"))
    if name == "escaping":
        client.post("/job/it", client.get("/job/it"))
    client.describe("/job/it", client.api("/job/it", "description")["description"])
    assert client.get("/job/it") == config(f"{name}.saved")


def test_the_saved_form_is_stable(client: Client) -> None:
    for name in SAVED:
        client.create("", name, config(f"{name}.saved").replace("version='1.1'", "version='1.0'"))
        client.describe(f"/job/{name}", client.api(f"/job/{name}", "description")["description"])
        assert client.get(f"/job/{name}") == config(f"{name}.saved")


def test_a_posted_view_is_canonical_at_once(client: Client) -> None:
    client.create("", "amis", config("folder.posted"))
    answer = client.send("POST", "/job/amis/createView?name=base", config("listview.posted").encode())
    assert (answer.status_code, answer.content) == (200, b"")
    assert client.get("/job/amis/view/base") == config("listview.returned")
    assert client.get("/job/amis") == config("folder.after-create-view")


@pytest.mark.parametrize("event", load("rewrite-events.json"), ids=lambda event: event["event"])
def test_an_event_rewrites_config_xml_or_does_not(fake: FakeJenkins, client: Client, event: dict[str, str]) -> None:
    """The events that the fake has; builds by what their Jenkinsfile declares."""
    posted = config("pipeline-inline.posted")
    client.create("", "f", config("folder.posted"))
    client.create("/job/f", "it", posted)
    path, before, name = "/job/f/job/it", client.get("/job/f/job/it"), event["event"]
    legacy = re.search(r"concurrentBuild=(true|false)", name)
    if name == "createItem of a folder":
        path, before = "/job/f", config("folder.returned")
    elif name.endswith("of the folder") or name.startswith("createView"):
        path, before = "/job/f", client.get("/job/f")
    if name.startswith("submitDescription"):
        client.describe(path, "d")
    elif name == "disable":
        client.send("POST", f"{path}/disable")
    elif name.startswith("enable"):
        client.send("POST", f"{path}/enable")
    elif name.startswith("copy"):
        client.send("POST", "/job/f/createItem?name=copy&mode=copy&from=it")
        path = f"/job/f/job/{'copy' if 'the copy' in name else 'it'}"
    elif name.startswith("reload"):
        client.send("POST", f"{path}/reload")
    elif name.startswith("createView"):
        client.send("POST", "/job/f/createView?name=v", config("listview.posted").encode())
    elif legacy:
        client.post(
            path, posted.replace("<properties/>", f"<properties/><concurrentBuild>{legacy[1]}</concurrentBuild>")
        )
    elif "filled top-level" in name:
        client.post(
            path, posted.replace("<properties/>", f"<properties/><triggers>{TIMER.format('H 1 * * *')}</triggers>")
        )
    elif name.startswith("createItem with a legacy"):
        client.create(
            "/job/f", "new", posted.replace("<disabled>", "<concurrentBuild>false</concurrentBuild><disabled>")
        )
        path = "/job/f/job/new"
    elif name.startswith("createItem of a job with"):
        pass  # a trigger's start saves nothing
    elif "properties([...])" in name:
        fake.build("f/it", Declared(scripted=True, properties=(DISCARDER.format(3),)))
    elif "options { disable" in name:
        fake.build("f/it", Declared(properties=(f"<{CONCURRENCY}/>",)))
    elif "inline declarative" in name:
        fake.build("f/it", Declared())
    elif "currentBuild.description" in name or name.startswith("build of a job with parameters"):
        fake.build("f/it")
    elif name.startswith("restart"):
        fake.restart()
    elif "named in a ListView" in name:
        client.send(
            "POST", "/job/f/createView?name=v", config("listview.posted").replace("pipeline-scm", "it").encode()
        )
        client.send("POST", f"{path}/doDelete")
        assert "<string>it</string>" not in client.get("/job/f/view/v")
        return
    elif not name.startswith("createItem"):
        assert name.split()[0] in ("confirmRename", "move", "GET", "rename"), name  # not in the fake
        return
    now = client.get(path)
    expected = event["config_xml"]
    if expected == "unchanged":
        assert now == before
    elif expected == "as posted":
        assert now.startswith('<?xml version="1.1"') and ("<concurrentBuild>" in now or "TimerTrigger" in now)
    else:
        assert now.startswith("<?xml version='1.1'") and "plugin=" in now


# Builds

DECLARATIVE = Declared(
    properties=(DISCARDER.format(20), f"<{CONCURRENCY}><abortPrevious>true</abortPrevious></{CONCURRENCY}>"),
    triggers=(TIMER.format("H 4 * * 1"),),
    parameters=(
        REGION.format("<description>AWS region to build in</description>", "eu-west-1"),
        """<hudson.model.ChoiceParameterDefinition><name>FLAVOUR</name><description>Package set</description><choices>
        <string>minimal</string><string>full</string></choices></hudson.model.ChoiceParameterDefinition>""",
        """<hudson.model.BooleanParameterDefinition><name>PUBLISH</name><description>Share the image</description>
        <defaultValue>false</defaultValue></hudson.model.BooleanParameterDefinition>""",
    ),
)


def without_space(text: str) -> str:
    """For the file into which credentialsId was put back by hand, on the line of the url."""
    return re.sub(r">\s+<", "><", text)


def test_a_declarative_jenkinsfile_leaves_its_trackers(fake: FakeJenkins, client: Client) -> None:
    posted = config("pipeline-scm.posted")
    client.create("", "it", posted)
    fake.build("it", DECLARATIVE)
    assert client.get("/job/it") == config("pipeline-scm.after-build")
    client.post("/job/it", posted)
    assert without_space(client.get("/job/it")) == without_space(config("pipeline-scm.after-build-reposted"))
    fake.build("it", DECLARATIVE)
    assert client.get("/job/it") == config("pipeline-scm.after-build")
    fake.build("it", DECLARATIVE)
    assert client.get("/job/it") == config("pipeline-scm.after-build-reposted-third-build")


SCRIPTED = Declared(
    scripted=True,
    properties=(
        DISCARDER.format(10),
        f"<{PARAMETERS}><parameterDefinitions>{REGION.format('', 'us-east-1')}</parameterDefinitions></{PARAMETERS}>",
        f"<{TRIGGERS}><triggers>{TIMER.format('H 5 * * *')}</triggers></{TRIGGERS}>",
    ),
)


def test_a_scripted_jenkinsfile_adds_and_then_replaces(fake: FakeJenkins, client: Client) -> None:
    name, posted = "pipeline-properties-step", config("pipeline-properties-step.posted")
    client.create("", "it", posted)
    fake.build("it", SCRIPTED)
    assert client.get("/job/it") == config(f"{name}.after-build")
    client.describe("/job/it", "Sets its own properties from the script.")
    assert client.get("/job/it") == config(f"{name}.after-build-saved")
    merged = re.search("  <actions>.*</actions>\n", client.get("/job/it"), re.S)
    assert merged
    fake.build("it", SCRIPTED)
    assert client.get("/job/it") == config(f"{name}.second-build")
    client.post("/job/it", posted)
    fake.build("it", SCRIPTED)
    assert client.get("/job/it") == config(f"{name}.after-build-reposted-second-build")
    client.post("/job/it", posted.replace("<flow-definition>\n", f"<flow-definition>\n{merged[0]}"))
    fake.build("it", SCRIPTED)
    assert client.get("/job/it") == config(f"{name}.second-build")


def state(text: str) -> dict[str, list[str]]:
    """What properties-interplay.json says of a config.xml."""
    from xml.etree import ElementTree

    root = ElementTree.fromstring(text[text.index("<flow-definition") :])
    short = [element.tag.rpartition(".")[2] for element in root.iterfind("properties/*")]
    triggers = [element.tag.rpartition(".")[2] for element in root.iterfind("properties/*/triggers/*")]
    return {
        "properties": short,
        "triggers": triggers,
        "actions": [element.tag.rpartition(".")[2] for element in root.iterfind("actions/*")],
    }


INTERPLAY = {
    "declarative without options/triggers/parameters": Declared(),
    "declarative triggers { cron(..) }": Declared(triggers=(TIMER.format("H 4 * * *"),)),
    "declarative options { disableConcurrentBuilds() }": Declared(properties=(f"<{CONCURRENCY}/>",)),
    "declarative parameters { string(..) }": Declared(parameters=(REGION.format("", "x"),)),
    "scripted properties([disableConcurrentBuilds()])": Declared(True, (f"<{CONCURRENCY}/>",)),
    "scripted properties([pipelineTriggers([cron(..)])])": Declared(True, SCRIPTED.properties[2:]),
    "scripted properties([parameters([..])])": Declared(True, SCRIPTED.properties[1:2]),
    "scripted properties([])": Declared(True),
    "scripted without properties": None,
}


@pytest.mark.parametrize("case", load("properties-interplay.json"), ids=lambda case: case["jenkinsfile"])
def test_xml_and_jenkinsfile_meet_as_recorded(fake: FakeJenkins, client: Client, case: dict[str, object]) -> None:
    declares = INTERPLAY[str(case["jenkinsfile"])]
    posted = config("pipeline-gerrit-merged.posted")
    client.create("", "it", posted)
    assert state(client.get("/job/it")) == case["posted"]
    for step in ("build 1", "build 2"):
        fake.build("it", declares)
        assert ["SUCCESS", state(client.get("/job/it"))] == case[step]
    client.post("/job/it", posted)
    assert state(client.get("/job/it")) == case["config.xml re-POSTed without actions"]
    fake.build("it", declares)
    assert ["SUCCESS", state(client.get("/job/it"))] == case["build 3"]
