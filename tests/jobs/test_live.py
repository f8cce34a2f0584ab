"""What Jenkins has, in one request."""

import pytest

from jenkins_ami.credentials import Credentials
from jenkins_ami.jobs.connection import Connection
from jenkins_ami.jobs.live import read_live
from jenkins_ami.jobs.plan import FOLDER_CLASS, MULTIBRANCH_CLASS, PIPELINE_CLASS

FOLDER = f"<{FOLDER_CLASS}><description>{{}}</description><properties/></{FOLDER_CLASS}>"
JOB = "<flow-definition><description>words\n[x]</description></flow-definition>"


@pytest.fixture
def connection(fake):
    with Connection(fake.url, Credentials(fake.user, fake.token)) as found:
        yield found


def test_all_items_and_views_come_with_their_descriptions_in_one_request(fake, connection):
    fake.create("r", FOLDER.format("root"))
    fake.create("r/a", FOLDER.format("&lt;b&gt; é"))
    fake.create("r/a/j", JOB)
    connection.create(("r", "V"), "<hudson.model.ListView><description>v</description></hudson.model.ListView>", view=True)
    fake.requests.clear()
    live = read_live(connection, ("r",))
    assert len(fake.requests) == 1
    found = {"/".join(path): (item.cls, item.description) for path, item in live.items.items()}
    assert found == {
        "r": (FOLDER_CLASS, "root"),
        "r/a": (FOLDER_CLASS, "<b> é"),
        "r/a/j": (PIPELINE_CLASS, "words\n[x]"),
    }
    assert live.views[("r", "V")].description == "v"


def test_a_missing_root_is_nothing(connection):
    live = read_live(connection, ("r",))
    assert (live.items, live.views) == ({}, {})


def test_the_folders_around_a_root_are_known(fake, connection):
    fake.create("a", FOLDER.format("theirs"))
    assert list(read_live(connection, ("a", "b", "c")).items) == [("a",)]
    fake.create("a/b", FOLDER.format("theirs"))
    fake.create("a/b/c", FOLDER.format("ours"))
    live = read_live(connection, ("a", "b", "c"))
    assert [(item.path, item.description) for item in live.items.values()] == [
        (("a",), ""),
        (("a", "b"), ""),
        (("a", "b", "c"), "ours"),
    ]


def test_what_lies_deeper_than_was_asked_for_is_asked_for(fake, connection):
    path = "r"
    fake.create(path, FOLDER.format(""))
    for depth in range(9):
        path += f"/{depth}"
        fake.create(path, FOLDER.format(""))
    fake.create(f"{path}/j", JOB)
    assert tuple(f"{path}/j".split("/")) in read_live(connection, ("r",), 2).items


def test_the_branches_of_a_multibranch_project_are_its_own(fake, connection):
    fake.create("r", FOLDER.format(""))
    fake.create("r/m", f"<{MULTIBRANCH_CLASS}><description>m</description></{MULTIBRANCH_CLASS}>")
    fake.index("r/m", "main", "42")
    assert list(read_live(connection, ("r",)).items) == [("r",), ("r", "m")]


def test_names_of_any_kind_are_found(fake, connection):
    fake.create("r", FOLDER.format(""))
    for name in ("é 日本 😀", "a~3ab", "it's", "100", "a+b", "view"):
        fake.create(("r", name), JOB)
        assert ("r", name) in read_live(connection, ("r",)).items
        assert connection.config(("r", name)) is not None
