"""What `jobs validate` says of a config.xml: each thing that Jenkins would swallow."""

import pytest

from jenkins_ami.errors import Location
from jenkins_ami.findings import ERROR
from jenkins_ami.jobs.check import check_xml
from jenkins_ami.jobs.desired import desired
from tests.jenkins.recorded import RECORDINGS
from tests.jobs.sources import config, discovery, source

WHERE = Location("config.xml")
INLINE = '<definition class="org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition">'
FROM_SCM = '<definition class="org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition">'
GERRIT = "com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.GerritTrigger"
GOOD = f"{INLINE}<script>x()</script><sandbox>true</sandbox></definition>"
EVENT = "<triggerOnEvents><x/></triggerOnEvents><gerritProjects><x/></gerritProjects>"
ENCODED = "<commentTextParameterMode>BASE64</commentTextParameterMode>"


def job(inner):
    return f'<?xml version="1.0"?><flow-definition>{inner}</flow-definition>'


def scm(inner="<configVersion>2</configVersion><userRemoteConfigs><x><url>u</url></x></userRemoteConfigs>", more=""):
    return job(f"{FROM_SCM}<scm>{inner}</scm>{more}</definition>")


def said(text, kind="build"):
    return [finding.what for finding in check_xml(text, kind, WHERE)]


def test_a_good_one_has_nothing_wrong():
    assert said(job(GOOD)) == []
    assert said(scm()) == []


def test_all_that_we_render_has_nothing_wrong(tmp_path):
    found = [source("a"), source("b", verify="multibranch", jenkinsfile="J", nightly="H 3 * * *", poll="@hourly")]
    result, _ = desired(config(tmp_path), discovery(*found))
    for item in result.items:
        assert check_xml(item.xml, item.kind, WHERE) == (), item.path


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("<a>", "not well-formed XML: no element found in line 1, column 4"),
        ("", "not well-formed XML: no element found in line 1, column 1"),
        (job(GOOD).replace("1.0", "1.1"), "it is declared as XML 1.1"),
        (job(GOOD + "<description>&#27;</description>"), "it holds a control character"),
        (job(GOOD.replace("x()", "<![CDATA[x()]]>")), "it has a CDATA section"),
        ("<project/>", "its root is project"),
        ("<hudson.model.ListView/>", "its root is hudson.model.ListView"),
        (job(""), "the job has no definition"),
        (job(f"{INLINE}<script>x()</script></definition>"), "its script is not sandboxed"),
        (job(f"{INLINE}<script> </script><sandbox>true</sandbox></definition>"), "its script is empty"),
        (job(GOOD + "<triggers><x/></triggers>"), "triggers stand in the deprecated place"),
        (scm("<configVersion>2</configVersion>"), "its script comes from no repository"),
        (scm("<userRemoteConfigs><x><url>u</url></x></userRemoteConfigs>"), "configVersion of the Git plugin is not 2"),
        (
            scm(
                "<configVersion>2</configVersion><userRemoteConfigs><x><refspec>$X</refspec><url>u</url></x>"
                "</userRemoteConfigs>",
                "<lightweight>true</lightweight>",
            ),
            "its refspec or branch is a parameter, and its checkout lightweight",
        ),
        (
            job(GOOD + '<a><strategy class="hudson.tasks.LogRotator"><numToKeep>5</numToKeep></strategy></a>'),
            "LogRotator lacks daysToKeep, artifactDaysToKeep, artifactNumToKeep",
        ),
        (job(f"{GOOD}<{GERRIT}>{EVENT}{ENCODED}</{GERRIT}>"), "GerritTrigger lacks spec"),
        (
            job(f"{GOOD}<{GERRIT}><spec/><gerritProjects><x/></gerritProjects>{ENCODED}</{GERRIT}>"),
            "GerritTrigger has no event",
        ),
        (
            job(f"{GOOD}<{GERRIT}><spec/><triggerOnEvents><x/></triggerOnEvents>{ENCODED}</{GERRIT}>"),
            "GerritTrigger has no project",
        ),
        (job(f"{GOOD}<{GERRIT}><spec/>{EVENT}</{GERRIT}>"), "GerritTrigger lacks commentTextParameterMode"),
        (
            job(f"{GOOD}<hudson.triggers.TimerTrigger><spec>H 25 * * *</spec></hudson.triggers.TimerTrigger>"),
            "'H 25 * * *' is no cron line: '25' is not within 0-23",
        ),
        (
            job(f"{GOOD}<hudson.model.PasswordParameterDefinition/>"),
            "a password parameter has its default in clear",
        ),
        (job(f"{GOOD}<source><remote>x</remote></source>"), "a branch source has no id"),
    ],
)
def test_each_thing_that_jenkins_would_swallow_is_said(text, what):
    assert said(text) == [what]


def test_a_comment_in_a_cron_spec_is_none():
    spec = "# why\nH 3 * * *\n\n@daily"
    assert said(job(f"{GOOD}<hudson.triggers.TimerTrigger><spec>{spec}</spec></hudson.triggers.TimerTrigger>")) == []


@pytest.mark.parametrize(
    "name", ["pipeline-scm", "pipeline-gerrit-merged", "pipeline-inline", "seed", "folder", "listview"]
)
def test_recorded_documents_have_nothing_wrong_but_their_version(name):
    text = (RECORDINGS / "config" / f"{name}.posted.xml").read_text()
    found = [finding for finding in check_xml(text, "", WHERE) if finding.level == ERROR]
    assert [finding.what for finding in found] == ["it is declared as XML 1.1"]
