"""What is sent to Jenkins: ours is as wanted, and nothing that is somebody else's is lost."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jenkins_ami.errors import InputError
from jenkins_ami.jobs.compare import difference
from jenkins_ami.jobs.merge import for_create, merged
from jenkins_ami.jobs.xmltree import parse, serialize
from tests.jenkins.fake import FakeJenkins
from tests.jenkins.recorded import RECORDINGS

CONFIG = RECORDINGS / "config"
NAMES = [path.name.split(".")[0] for path in sorted(CONFIG.glob("*.saved.xml")) if "escaping" not in path.name]
TRACKED = "org.jenkinsci.plugins.workflow.multibranch.JobPropertyTrackerAction"


def read(name):
    return (CONFIG / f"{name}.xml").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_after_an_update_there_is_no_difference_and_a_second_changes_nothing(name):
    wanted = read(f"{name}.posted")
    once = merged(wanted, read(f"{name}.saved"))
    assert difference(wanted, once) == ()
    assert merged(wanted, once) == once
    assert once.startswith('<?xml version="1.0"')


def edits(text):
    """The same document with some texts, elements and their order changed."""
    root = parse(text)
    elements = [each for each in root.iter() if each is not root]

    @st.composite
    def edited(draw):
        again = parse(text)
        there = [each for each in again.iter() if each is not again]
        for number in draw(st.sets(st.integers(0, len(elements) - 1), max_size=4)):
            each = there[number]
            match draw(st.sampled_from(["text", "drop", "twice", "turn"])):
                case "text" if not len(each):
                    each.text = draw(st.sampled_from(["", "true", "7", "changed"]))
                case "drop":
                    each[:] = []
                case "twice" if len(each):
                    each.append(each[0])
                case "turn":
                    each[:] = list(each)[::-1]
        return serialize(again)

    return edited()


@pytest.mark.parametrize("name", ["pipeline-scm", "pipeline-gerrit-patchset", "folder-libraries", "seed", "listview"])
@settings(max_examples=40)
@given(data=st.data())
def test_whatever_was_edited_by_hand_an_update_mends_it(name, data):
    wanted = read(f"{name}.posted")
    live = data.draw(edits(read(f"{name}.saved" if name != "listview" else f"{name}.returned")))
    assert difference(wanted, merged(wanted, live)) == ()


def test_what_a_jenkinsfile_declared_is_kept_word_for_word():
    live = read("pipeline-scm.after-build")
    sent = merged(read("pipeline-scm.posted").replace("<scriptPath>Jenkinsfile", "<scriptPath>Other"), live)
    assert "<scriptPath>Other<" in sent
    for kept in ("H 4 * * 1", "FLAVOUR", "PUBLISH", "DeclarativeJobPropertyTrackerAction", "<numToKeep>50"):
        assert kept in sent
    assert re.findall(r"<name>(REGION|FLAVOUR|PUBLISH|ARCH|DRY_RUN|EXTRA_VARS)<", sent) == [
        "REGION",
        "FLAVOUR",
        "PUBLISH",
        "ARCH",
        "DRY_RUN",
        "EXTRA_VARS",
    ]


def test_notes_about_properties_are_kept_so_that_the_next_build_deletes_none():
    sent = merged(read("pipeline-properties-step.posted"), read("pipeline-properties-step.second-build"))
    assert parse(sent).find(f"actions/{TRACKED}") is not None
    assert difference(read("pipeline-properties-step.posted"), sent) == ()
    assert "<numToKeep>10" in sent


PEOPLES = {
    "folder credentials": (
        "folder-libraries",
        "<properties>",
        "com.cloudbees.hudson.plugins.folder.properties.FolderCredentialsProvider_-FolderCredentialsProperty",
    ),
    "folder permissions": (
        "folder",
        "<properties/>",
        "com.cloudbees.hudson.plugins.folder.properties.AuthorizationMatrixProperty",
    ),
    "job permissions": ("pipeline-scm", "<properties>", "hudson.security.AuthorizationMatrixProperty"),
    "a class named in the configuration": ("pipeline-scm", "<properties>", "com.example.Mine"),
}


@pytest.mark.parametrize("kind", PEOPLES)
def test_what_belongs_to_others_is_kept(kind):
    name, place, cls = PEOPLES[kind]
    secret = f"<{cls}><value>{{AQAAABAAAAAQabcdefgh==}}</value></{cls}>"
    closed = "</properties>" if place.endswith("/>") else ""
    live = read(f"{name}.saved").replace(place, f"<properties>{secret}{closed}", 1)
    sent = merged(read(f"{name}.posted"), live, preserve=["com.example.Mine"])
    assert parse(sent).findtext(f"properties/{cls}/value") == "{AQAAABAAAAAQabcdefgh==}"


def test_a_folders_views_icon_and_other_libraries_are_kept():
    other = "<org.jenkinsci.plugins.workflow.libs.LibraryConfiguration><name>mine</name>"
    other += "</org.jenkinsci.plugins.workflow.libs.LibraryConfiguration>"
    live = read("folder-libraries.saved").replace("</libraries>", f"{other}</libraries>")
    live = live.replace("<healthMetrics/>", "<healthMetrics><x.Y/></healthMetrics>")
    sent = parse(merged(read("folder-libraries.posted"), live))
    assert [each.text for each in sent.iterfind("properties/*/libraries/*/name")] == ["ami", "mine"]
    assert sent.find("folderViews/views/hudson.model.AllView") is not None
    assert sent.find("healthMetrics/x.Y") is not None
    assert sent.find("icon") is not None


def test_a_property_added_by_hand_goes():
    live = read("pipeline-scm.saved").replace("</properties>", "<com.example.Mine/></properties>", 1)
    assert "com.example.Mine" not in merged(read("pipeline-scm.posted"), live)


@pytest.mark.parametrize("value", ["true", "false"])
def test_whether_a_person_disabled_it_stays(value):
    live = read("pipeline-scm.saved").replace("<disabled>false", f"<disabled>{value}")
    assert f"<disabled>{value}</disabled>" in merged(read("pipeline-scm.posted"), live)


def test_the_key_of_a_webhook_stays_with_its_source():
    source = "<sources><data><x><source><id>{}</id>{}</source></x></data></sources>"
    project = "<org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject>{}"
    project += "</org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject>"
    key = "<apiKey>{AQAAABAAAAAQabcdefgh==}</apiKey>"
    wanted = project.format(source.format("one", ""))
    assert key in merged(wanted, project.format(source.format("one", key)))


def test_marks_of_other_owners_stay_and_words_of_an_adopted_folder():
    cls = "com.cloudbees.hudson.plugins.folder.Folder"
    folder = f"<{cls}><description>{{}}</description></{cls}>"
    wanted = folder.format("ours\n[jenkins-ami a 0123456789abcdef]")
    live = folder.format("theirs\n[jenkins-ami a 0000000000000000 adopted]\n[jenkins-ami b 1111111111111111]")
    assert parse(merged(wanted, live)).findtext("description") == (
        "theirs\n[jenkins-ami a 0123456789abcdef adopted]\n[jenkins-ami b 1111111111111111]"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("********", "Jenkins shows value masked to this user, and would store the mask. "),
        ("x&#27;y", "value holds a control character, which cannot be sent back to Jenkins. "),
    ],
)
def test_what_cannot_be_sent_back_is_refused(text, line):
    cls = "hudson.security.AuthorizationMatrixProperty"
    live = read("pipeline-scm.saved").replace("<properties>", f"<properties><{cls}><value>{text}</value></{cls}>", 1)
    with pytest.raises(InputError) as caught:
        merged(read("pipeline-scm.posted"), live)
    assert caught.value.line().startswith(line)


@pytest.mark.parametrize("name", ["pipeline-scm", "pipeline-inline", "pipeline-gerrit-merged", "seed"])
def test_the_form_for_createItem_is_saved_at_once_and_means_the_same(name):
    wanted = read(f"{name}.posted").replace("version='1.1'", "version='1.0'")
    with FakeJenkins() as server:
        server.create("x", for_create(wanted))
        assert server.config("x").startswith("<?xml version='1.1'")
        assert difference(wanted, server.config("x")) == ()


def test_a_job_that_aborts_older_builds_is_not_bent_for_it():
    text = read("seed.posted").replace("<abortPrevious>false", "<abortPrevious>true")
    assert for_create(text) == text


def test_a_folder_has_no_such_form():
    assert for_create(read("folder.posted")) == read("folder.posted")


def test_a_secret_that_a_person_set_in_a_part_of_ours_survives():
    secret = "<authToken>{AQAAABAAAAAQ1234567890abcdef==}</authToken>"
    deep = "<hidden><token>{AQAAABAAAAAQabcdefgh==}</token></hidden>"
    live = read("pipeline-scm.saved").replace("<disabled>", f"{secret}<disabled>")
    live = live.replace("<configVersion>", f"{deep}<configVersion>")
    sent = parse(merged(read("pipeline-scm.posted").replace("<numToKeep>50", "<numToKeep>5"), live))
    assert sent.findtext("authToken") == "{AQAAABAAAAAQ1234567890abcdef==}"
    assert sent.findtext("definition/scm/hidden/token") == "{AQAAABAAAAAQabcdefgh==}"
    assert sent.findtext("properties/*/strategy/numToKeep") == "5"


def test_a_masked_secret_in_a_part_of_ours_is_refused_and_our_own_asterisks_are_not():
    live = read("pipeline-scm.saved").replace("<disabled>", "<authToken>********</authToken><disabled>")
    with pytest.raises(InputError) as caught:
        merged(read("pipeline-scm.posted"), live)
    assert caught.value.what == "Jenkins shows authToken masked to this user, and would store the mask"
    wanted = read("pipeline-scm.posted").replace("<scriptPath>Jenkinsfile", "<scriptPath>********")
    assert "<scriptPath>********<" in merged(wanted, read("pipeline-scm.saved"))


def test_another_type_is_refused():
    with pytest.raises(InputError) as caught:
        merged(read("pipeline-scm.posted"), read("folder.saved"))
    assert caught.value.what.endswith("and Jenkins cannot change the type of an item")


def test_our_library_is_put_into_a_folder_that_was_there_before():
    cls = "com.cloudbees.hudson.plugins.folder.Folder"
    live = f"<{cls}><description>Team</description></{cls}>"
    wanted = read("folder-libraries.posted").replace(
        "shared library.</description>", "shared library.\n[jenkins-ami a 0123456789abcdef]</description>"
    )
    assert difference(wanted, live) != ()
    sent = merged(wanted, live)
    assert difference(wanted, sent) == ()
    assert merged(wanted, sent) == sent
    assert parse(sent).findtext("description") == "Team\n[jenkins-ami a 0123456789abcdef adopted]"
