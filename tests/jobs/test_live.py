"""What Jenkins has in the root folder, in one request."""

from __future__ import annotations

import pytest

from jenkins_ami.credentials import Credentials
from jenkins_ami.jobs.connection import Connection
from jenkins_ami.jobs.live import read_live
from jenkins_ami.jobs.plan import FOLDER_CLASS, MULTIBRANCH_CLASS, PIPELINE_CLASS, VIEW_CLASS
from tests.jenkins.live import FOLDER_XML

JOB = "<flow-definition><description>about {}</description></flow-definition>"
MULTIBRANCH = (
    f"<{MULTIBRANCH_CLASS}><description/><properties/><sources/><factory "
    'class="org.jenkinsci.plugins.workflow.multibranch.WorkflowBranchProjectFactory">'
    f"<scriptPath>Jenkinsfile</scriptPath></factory></{MULTIBRANCH_CLASS}>"
)


@pytest.fixture
def connection(fake):
    connection = Connection(fake.url, Credentials(fake.user, fake.token))
    yield connection
    connection.close()


def test_items_of_all_levels_come_with_class_and_description_in_one_request(connection, fake):
    fake.create("amis", FOLDER_XML)
    fake.create("amis/a b", FOLDER_XML)
    fake.create("amis/a b/é", JOB.format("é"))
    fake.create("other", FOLDER_XML)
    live = read_live(connection, ("amis",))
    assert {path: (each.cls, each.description) for path, each in live.items.items()} == {
        ("amis",): (FOLDER_CLASS, ""),
        ("amis", "a b"): (FOLDER_CLASS, ""),
        ("amis", "a b", "é"): (PIPELINE_CLASS, "about é"),
    }
    assert len(fake.requests) == 1


def test_views_are_apart_from_items_of_the_same_name(connection, fake):
    fake.create("amis", FOLDER_XML)
    fake.create("amis/x", JOB.format("x"))
    connection.create(
        ("amis", "x"), "<hudson.model.ListView><description>view</description></hudson.model.ListView>", view=True
    )
    live = read_live(connection, ("amis",))
    there = live.views["amis", "x"]
    assert (there.cls, there.description) == (VIEW_CLASS, "view")
    assert live.items["amis", "x"].description == "about x"


def test_branches_of_a_multibranch_project_are_no_items(connection, fake):
    fake.create("amis", FOLDER_XML)
    fake.create("amis/multi", MULTIBRANCH)
    fake.index("amis/multi", "main", "PR-1")
    assert ("amis", "multi", "main") in fake.items
    live = read_live(connection, ("amis",))
    assert set(live.items) == {("amis",), ("amis", "multi")}
    assert [path for path in live.views if path[:2] == ("amis", "multi")] == []


def test_a_root_that_is_not_there_is_empty(connection, fake):
    live = read_live(connection, ("amis",))
    assert (live.items, live.views) == ({}, {})
    assert [target.partition("?")[0] for _, target in fake.requests] == ["/job/amis/api/json", "/whoAmI/api/json"]


def test_a_root_that_is_a_job_is_shown_as_one(connection, fake):
    fake.create("amis", JOB.format("x"))
    assert read_live(connection, ("amis",)).items["amis",].cls == PIPELINE_CLASS


def test_the_folders_around_the_root_are_told_too_but_not_what_else_is_in_them(connection, fake):
    for path in ("team", "team/amis", "team/other"):
        fake.create(path, FOLDER_XML)
    live = read_live(connection, ("team", "amis"))
    assert set(live.items) == {("team",), ("team", "amis")}


@pytest.mark.parametrize(
    ("there", "found"), [([], []), (["a"], [("a",)]), (["a", "a/b"], [("a",), ("a", "b")])], ids=str
)
def test_of_folders_around_a_root_that_is_not_there_those_are_told_that_are(connection, fake, there, found):
    for path in there:
        fake.create(path, FOLDER_XML)
    assert list(read_live(connection, ("a", "b", "c")).items) == found


@pytest.mark.parametrize(("depth", "requests"), [(1, 7), (2, 4), (6, 2), (7, 1), (12, 1)])
def test_what_lies_deeper_than_was_asked_for_is_asked_for(connection, fake, depth, requests):
    path = "amis"
    fake.create(path, FOLDER_XML)
    for name in "abcdef":
        path = f"{path}/{name}"
        fake.create(path, FOLDER_XML)
    fake.create(f"{path}/job", JOB.format("deep"))
    connection.create((*path.split("/"), "v"), "<hudson.model.ListView/>", view=True)
    fake.requests.clear()
    live = read_live(connection, ("amis",), depth)
    assert set(live.items) == set(fake.items)
    assert (*path.split("/"), "v") in live.views
    assert len(fake.requests) == requests


def test_a_listing_of_a_live_jenkins_has_what_was_made(jenkins):
    connection = Connection(jenkins.url, Credentials(jenkins.user, jenkins.token))
    root = (jenkins.folder,)
    connection.create((*root, "f"), FOLDER_XML)
    connection.create((*root, "f", "j"), JOB.format("j"))
    live = read_live(connection, root)
    connection.close()
    assert {path: each.cls for path, each in live.items.items()} == {
        root: FOLDER_CLASS,
        (*root, "f"): FOLDER_CLASS,
        (*root, "f", "j"): PIPELINE_CLASS,
    }
    assert live.items[(*root, "f", "j")].description == "about j"
