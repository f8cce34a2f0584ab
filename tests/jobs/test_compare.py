"""What is a difference and what is not, held against what a real Jenkins did to documents."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jenkins_ami.jobs.compare import difference, plugin_of, understood
from jenkins_ami.jobs.merge import for_create, merged
from tests.jenkins.fake import FakeJenkins
from tests.jenkins.recorded import RECORDINGS

CONFIG = RECORDINGS / "config"
CORRUPTED = ("escaping",)
"""Jenkins' parser spoilt a CDATA section of it, which its recordings show: a difference, and a real one."""
PAIRS = [
    (path.name.split(".")[0], after)
    for path in sorted(CONFIG.glob("*.posted.xml"))
    for after in ("returned", "saved")
    if (CONFIG / f"{path.name.split('.')[0]}.{after}.xml").exists()
]


def read(name):
    return (CONFIG / f"{name}.xml").read_text()


@pytest.mark.parametrize(("name", "after"), [pair for pair in PAIRS if pair[0] not in (*CORRUPTED, "noise")])
def test_what_jenkins_does_to_a_document_is_no_difference(name, after):
    assert difference(read(f"{name}.posted"), read(f"{name}.{after}")) == ()
    assert understood(read(f"{name}.posted"), read(f"{name}.{after}")) == ()


def test_a_document_that_jenkins_spoilt_is_seen():
    lines = difference(read("escaping.posted"), read("escaping.saved"))
    assert [line for line in lines if line.startswith("+ ")] == ["+      def a = [1][0]]]>"]
    (said,) = understood(read("escaping.posted"), read("escaping.saved"))
    assert said.startswith("Jenkins changed it: ")


def test_what_jenkins_did_not_know_is_named():
    assert "Jenkins dropped com.example.NoSuchProperty" in understood(read("noise.posted"), read("noise.returned"))


def test_a_missing_plugin_is_named(tmp_path):
    with FakeJenkins(without=["gerrit-trigger"]) as server:
        server.create("x", read("pipeline-gerrit-merged.posted"))
        server.edit("x", lambda text: text)
        said = understood(read("pipeline-gerrit-merged.posted"), server.config("x"))
    trigger = "com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger.GerritTrigger"
    assert f"Jenkins dropped {trigger}; is the plugin gerrit-trigger installed?" in said


def test_what_a_jenkinsfile_declared_is_its_own():
    assert difference(read("pipeline-scm.posted"), read("pipeline-scm.after-build")) == ()


def test_what_a_jenkinsfile_does_not_own_is_compared_all_the_same():
    live = read("pipeline-scm.after-build").replace("<scriptPath>Jenkinsfile<", "<scriptPath>Other<")
    assert "-    scriptPath: Other" in difference(read("pipeline-scm.posted"), live)
    live = read("pipeline-scm.after-build").replace("<defaultValue></defaultValue>", "<defaultValue>x</defaultValue>")
    assert "-          defaultValue: x" in difference(read("pipeline-scm.posted"), live)


CHANGES = [
    ("pipeline-gerrit-patchset", "<pattern>main</pattern>", "<pattern>release</pattern>"),
    ("pipeline-gerrit-patchset", "<silentMode>false", "<silentMode>true"),
    ("pipeline-gerrit-patchset", "<silentStartMode>false", "<silentStartMode>true"),
    ("pipeline-gerrit-patchset", "(?im)^\\s*recheck\\s*$", "again"),
    ("pipeline-scm", "<numToKeep>", "<numToKeep>9"),
    ("pipeline-scm", "<removeLastBuild>false", "<removeLastBuild>true"),
    ("pipeline-scm", "<string>x86_64</string>", "<string>riscv</string>"),
    ("pipeline-inline", "uname -a", "id"),
    ("seed", "H 3 * * 1-5", "H 4 * * 1-5"),
    ("folder", "<displayName>AMI builds", "<displayName>Images"),
    ("folder-libraries", "<defaultVersion>main", "<defaultVersion>v1"),
    ("listview", "<recurse>false", "<recurse>true"),
]


@pytest.mark.parametrize(("name", "before", "after"), CHANGES, ids=lambda text: text[:24])
def test_a_change_by_hand_is_a_difference(name, before, after):
    live = read(f"{name}.saved" if (CONFIG / f"{name}.saved.xml").exists() else f"{name}.returned")
    assert before in live, before
    lines = difference(read(f"{name}.posted"), live.replace(before, after, 1))
    assert any(line.startswith("-") for line in lines[2:])


def test_a_property_added_by_hand_is_a_difference():
    added = "<com.example.Mine><on>true</on></com.example.Mine>"
    live = read("pipeline-scm.saved").replace("</properties>", f"{added}</properties>", 1)
    assert "-    Mine" in difference(read("pipeline-scm.posted"), live)
    assert difference(read("pipeline-scm.posted"), live, preserve=["com.example.Mine"]) == ()


@pytest.mark.parametrize("value", ["false", "0", ""])
def test_a_zero_that_jenkins_adds_is_none_and_another_value_is(value):
    added = read("pipeline-scm.saved").replace(
        "<keepDependencies>", f"<aNewField>{value}</aNewField><keepDependencies>"
    )
    assert difference(read("pipeline-scm.posted"), added) == ()
    changed = added.replace(f"<aNewField>{value}<", "<aNewField>7<")
    assert "-  aNewField: 7" in difference(read("pipeline-scm.posted"), changed)


PEOPLES = {
    "disabled": ("<disabled>false</disabled>", "<disabled>true</disabled>"),
    "permissions": (
        "<properties>",
        "<properties><hudson.security.AuthorizationMatrixProperty><permission>x</permission>"
        "</hudson.security.AuthorizationMatrixProperty>",
    ),
    "runtime state": ("<description>", "<actions><x.Y/></actions><description>"),
}


@pytest.mark.parametrize("change", PEOPLES)
def test_what_belongs_to_others_is_no_difference(change):
    before, after = PEOPLES[change]
    live = read("pipeline-scm.saved")
    assert before in live
    assert difference(read("pipeline-scm.posted"), live.replace(before, after, 1)) == ()


def test_a_folders_credentials_views_and_other_libraries_are_others():
    credentials = "com.cloudbees.hudson.plugins.folder.properties.FolderCredentialsProvider_-FolderCredentialsProperty"
    other = "<org.jenkinsci.plugins.workflow.libs.LibraryConfiguration><name>mine</name>"
    other += "</org.jenkinsci.plugins.workflow.libs.LibraryConfiguration>"
    live = read("folder-libraries.saved").replace("<properties>", f"<properties><{credentials}><x/></{credentials}>", 1)
    live = live.replace("</libraries>", f"{other}</libraries>").replace("<name>All</name>", "<name>Everything</name>")
    assert difference(read("folder-libraries.posted"), live) == ()


def test_marks_are_compared_elsewhere_and_words_are_compared():
    def job(description):
        return f"<flow-definition><description>{description}</description></flow-definition>"

    one, other = "words\n[jenkins-ami a 0123456789abcdef]", "words\n[jenkins-ami a fedcba9876543210 applying]"
    assert difference(job(one), job(other)) == ()
    assert difference(job(one), job(other.replace("words", "changed"))) != ()


def test_the_words_of_an_adopted_folder_are_its_owners():
    cls = "com.cloudbees.hudson.plugins.folder.Folder"
    folder = f"<{cls}><description>{{}}</description></{cls}>"
    ours = folder.format("ours\n[jenkins-ami a 0123456789abcdef]")
    assert difference(ours, folder.format("theirs\n[jenkins-ami a 0123456789abcdef adopted]")) == ()


def test_the_order_of_fields_is_none_and_that_of_lists_counts():
    text = read("seed.posted")
    timer = re.search(r" *<hudson.triggers.TimerTrigger>.*?</hudson.triggers.TimerTrigger>\n", text, re.S)[0]
    scm = re.search(r" *<hudson.triggers.SCMTrigger>.*?</hudson.triggers.SCMTrigger>\n", text, re.S)[0]
    assert difference(text, text.replace(timer + scm, scm + timer)) != ()
    keep = "  <keepDependencies>false</keepDependencies>\n"
    moved = text.replace(keep, "").replace("  <definition", f"{keep}  <definition", 1)
    assert difference(text, moved) == ()


def test_a_masked_secret_is_no_drift_and_never_shown():
    live = read("pipeline-scm.saved").replace(
        "<disabled>", "<authToken>{AQAAABAAAAAQ1234567890abcdef==}</authToken><disabled>"
    )
    assert difference(read("pipeline-scm.posted"), live) == ()
    wanted = read("pipeline-scm.posted").replace("<disabled>", "<authToken>mine</authToken><disabled>")
    assert "AQAAAB" not in "\n".join(difference(wanted, live))


def test_the_form_for_createItem_means_the_same():
    for name in ("pipeline-scm", "pipeline-inline", "pipeline-gerrit-merged", "folder", "seed"):
        text = read(f"{name}.posted")
        assert difference(text, for_create(text)) == ()
        assert difference(for_create(text), text) == ()


def test_two_classes_of_one_short_name_are_told_apart():
    one = "<flow-definition><properties><a.X><v>1</v></a.X></properties></flow-definition>"
    lines = difference(one, one.replace("a.X", "b.X"))
    assert "-    b.X" in lines and "+    a.X" in lines


def test_a_changed_line_of_a_script_is_one_line_of_the_diff():
    lines = difference(read("pipeline-inline.posted"), read("pipeline-inline.saved").replace("uname -a", "id"))
    assert [line for line in lines[3:] if line[0] in "+-"] == [
        "-              sh 'id'",
        "+              sh 'uname -a'",
    ]


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=30))
def test_the_quick_comparison_of_texts_says_what_the_trees_say(text):
    element = ElementTree.Element("flow-definition")
    ElementTree.SubElement(element, "description").text = text
    plain = ElementTree.tostring(element, "unicode")
    saved = plain.replace("<flow-definition", '<flow-definition plugin="workflow-job@1"').replace("'", "&apos;")
    assert difference(plain, f"<?xml version='1.1' encoding='UTF-8'?>\n{saved}") == ()
    assert (
        difference(
            plain,
            plain.replace("</description>", "!</description>").replace(
                "<description />", "<description>!</description>"
            ),
        )
        != ()
    )


def test_plugins_of_classes():
    assert plugin_of("hudson.plugins.git.GitSCM") == "git"
    assert plugin_of("jenkins.plugins.gerrit.GerritSCMSource") == "gerrit-code-review"
    assert plugin_of("com.example.Mine") == ""


def test_a_blank_at_the_end_of_a_value_is_seen():
    live = read("pipeline-scm.saved").replace("<scriptPath>Jenkinsfile<", "<scriptPath>Jenkinsfile <")
    assert "-    scriptPath: 'Jenkinsfile '" in difference(read("pipeline-scm.posted"), live)


def test_braces_alone_make_no_secret():
    live = read("pipeline-scm.saved").replace("<scriptPath>", "<other>{deadbeefcafe}</other><scriptPath>")
    assert "-    other: {deadbeefcafe}" in difference(read("pipeline-scm.posted"), live)


PASSWORD = (
    "<hudson.model.PasswordParameterDefinition><name>P</name><defaultValue>hunter2</defaultValue>"
    "</hudson.model.PasswordParameterDefinition>"
)


@pytest.mark.parametrize(
    ("place", "added"),
    [
        ("</parameterDefinitions>", f"{PASSWORD}</parameterDefinitions>"),
        ("<disabled>", "<authToken>hunter2</authToken><disabled>"),
    ],
)
def test_a_secret_in_clear_is_a_difference_and_is_not_shown(place, added):
    live = read("pipeline-scm.saved").replace(place, added, 1)
    lines = difference(read("pipeline-scm.posted"), live)
    assert any(line.startswith("-") and "(secret 1)" in line for line in lines)
    other = live.replace("hunter2", "hunter3")
    lines = difference(live, other)
    assert lines and "hunter" not in "\n".join(lines)


def test_a_secret_that_jenkins_encrypted_was_understood():
    posted = read("pipeline-scm.posted").replace("<disabled>", "<authToken>mine</authToken><disabled>")
    saved = posted.replace("<authToken>mine", "<authToken>{AQAAABAAAAAQ1234567890abcdef==}")
    assert understood(posted, saved) == ()


def test_what_plugins_take_for_a_field_that_is_not_there_is_no_difference():
    live = read("pipeline-scm.saved").replace("<extensions/>", "<gitTool>Default</gitTool><extensions/>")
    assert difference(read("pipeline-scm.posted"), live) == ()
    live = live.replace("<gitTool>Default", "<gitTool>jgit")
    assert "-      gitTool: jgit" in difference(read("pipeline-scm.posted"), live)


def test_what_other_generators_write_and_jenkins_does_not_know_is_no_difference():
    wanted = read("pipeline-scm.posted").replace(
        "<disabled>", "<canRoam>true</canRoam><scm class='hudson.scm.NullSCM'/><disabled>"
    )
    wanted = wanted.replace("<lightweight>", "<sandbox>true</sandbox><lightweight>")
    assert difference(wanted, read("pipeline-scm.saved")) == ()
    inline = read("pipeline-inline.saved")
    assert difference(read("pipeline-inline.posted"), inline.replace("<sandbox>true", "<sandbox>false")) != ()


TRACKER = "org.jenkinsci.plugins.pipeline.modeldefinition.actions.DeclarativeJobPropertyTrackerAction"


def test_a_jenkinsfile_owns_classes_whatever_their_elements_are_called():
    triggers = "org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty"
    owned = "<jobProperties><string>a.b_c.P$Q</string></jobProperties><triggers><string>x.y_z.T$U</string></triggers>"
    live = read("pipeline-scm.saved").replace(
        "<description>", f"<actions><{TRACKER}>{owned}</{TRACKER}></actions><description>", 1
    )
    live = live.replace(
        "<properties>",
        f"<properties><a.b__c.P_-Q><v>1</v></a.b__c.P_-Q><{triggers}><triggers><x.y__z.T_-U/></triggers></{triggers}>",
        1,
    )
    assert difference(read("pipeline-scm.posted"), live) == ()
    sent = merged(read("pipeline-scm.posted"), live)
    assert "<a.b__c.P_-Q>" in sent and "<x.y__z.T_-U/>" in sent


@pytest.mark.parametrize("preserve", ["a.b_c.P$Q", "a.b__c.P_-Q"])
def test_a_preserved_class_may_be_written_as_in_java_or_as_in_xml(preserve):
    live = read("pipeline-scm.saved").replace("<properties>", "<properties><a.b__c.P_-Q><v>1</v></a.b__c.P_-Q>", 1)
    assert difference(read("pipeline-scm.posted"), live) != ()
    assert difference(read("pipeline-scm.posted"), live, [preserve]) == ()


def test_the_order_of_entries_counts_in_any_list_and_that_of_properties_in_none():
    def job(tag, *classes):
        return f"<project><{tag}>{''.join(f'<{name}><v>1</v></{name}>' for name in classes)}</{tag}></project>"

    assert difference(job("buildStrategies", "a.B", "c.D"), job("buildStrategies", "c.D", "a.B")) != ()
    assert difference(job("properties", "a.B", "c.D"), job("properties", "c.D", "a.B")) == ()


def test_the_names_of_a_view_are_a_set():
    live = read("listview.returned").replace("<string>pipeline-scm</string>", "")
    moved = live.replace("</jobNames>", "<string>pipeline-scm</string></jobNames>").replace(
        "java.lang.String$CaseInsensitiveComparator", "hudson.util.CaseInsensitiveComparator"
    )
    assert difference(read("listview.posted"), moved) == ()
    assert difference(read("listview.posted"), live) != ()


FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
OURS = (
    f"<{FOLDER}><description>ours\n[jenkins-ami a 0123456789abcdef]</description><displayName>Ours</displayName>"
    f"<properties/></{FOLDER}>"
)
THEIRS = (
    f"<{FOLDER}><description>{{}}</description><displayName>Theirs</displayName>"
    f"<properties><x.Env><v>1</v></x.Env></properties></{FOLDER}>"
)


@pytest.mark.parametrize(
    "description",
    ["Team folder", "Team folder\n[jenkins-ami b 0123456789abcdef]", "x\n[jenkins-ami a 0123456789abcdef adopted]"],
)
def test_of_a_folder_that_was_there_before_only_our_libraries_are_compared_and_changed(description):
    live = THEIRS.format(description)
    assert difference(OURS, live) == ()
    sent = merged(OURS, live)
    assert "Theirs" in sent and "<x.Env>" in sent and description.partition("\n")[0] in sent
    assert difference(OURS, THEIRS.format("ours\n[jenkins-ami a 0123456789abcdef]")) != ()


def test_a_property_in_which_nothing_is_set_is_none_in_a_folder_and_one_in_a_job():
    empty = "<x.Env><variables/><on>false</on></x.Env>"
    assert difference(OURS, OURS.replace("<properties/>", f"<properties>{empty}</properties>")) == ()
    live = read("pipeline-scm.saved").replace("<properties>", f"<properties>{empty}", 1)
    assert difference(read("pipeline-scm.posted"), live) != ()


MULTIBRANCH = "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"


def multibranch(number, more=""):
    source = f"<id>{number}</id><remote>https://gerrit.example.com/a/x</remote>{more}"
    return (
        f"<{MULTIBRANCH}><sources class='jenkins.branch.MultiBranchProject$BranchSourceList'><data>"
        f"<jenkins.branch.BranchSource><source class='jenkins.plugins.gerrit.GerritSCMSource'>{source}</source>"
        f"</jenkins.branch.BranchSource></data><owner class='{MULTIBRANCH}' reference='../..'/></sources>"
        f"</{MULTIBRANCH}>"
    )


def test_the_id_of_a_source_stays_as_it_is_because_another_one_builds_every_branch_anew():
    key = "<apiKey>{AQAAABAAAAAQ1234567890abcdef==}</apiKey>"
    live = multibranch("d9428888-122b", key)
    assert difference(multibranch("ours"), live) == ()
    sent = merged(multibranch("ours", "<insecureHttps>true</insecureHttps>"), live)
    assert "<id>d9428888-122b</id>" in sent and key in sent and "insecureHttps" in sent


def test_text_in_the_place_of_fields_is_a_difference():
    assert difference("<a><x>text</x></a>", "<a><x><y>false</y></x></a>") != ()


def test_only_what_changed_is_shown_when_a_class_changes():
    live = read("pipeline-scm.saved").replace('<choices class="java.util.Arrays$ArrayList">', '<choices class="x.Y">')
    changed = [line for line in difference(read("pipeline-scm.posted"), live)[2:] if line[0] in "+-"]
    assert changed == ["-          choices class=x.Y", "+          choices"]
