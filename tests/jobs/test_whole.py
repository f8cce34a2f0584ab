"""From what was found to Jenkins and back, by requests alone: the same on the replay and on a live Jenkins.

What a person does in the web page is done here by a second connection, so nothing needs to know which server it is.
"""

import re

import pytest

from jenkins_ami.credentials import Credentials
from jenkins_ami.jobs import mark
from jenkins_ami.jobs.apply import Options, apply
from jenkins_ami.jobs.connection import Connection
from jenkins_ami.jobs.desired import desired
from jenkins_ami.jobs.run import plan_jobs
from jenkins_ami.jobs.xmltree import parse
from jenkins_ami.progress import Progress
from tests.jobs.sources import CONFIG, config, discovery, source

QUIET = Progress()
BUILD = ("r", "build")


class Team:
    """One configuration, and a person who goes about in the same folder."""

    def __init__(self, jenkins, folder, owner="amis"):
        folder.mkdir(exist_ok=True)
        root = f"folder: {jenkins.folder}/amis"
        self.settings = config(folder, CONFIG.replace("folder: amis", root).replace("owner: amis", f"owner: {owner}"))
        self.connection = Connection(jenkins.url, Credentials(jenkins.user, jenkins.token))
        self.root = self.settings.folder

    def plan(self, *found, **more):
        wanted, findings = desired(self.settings, discovery(*found))
        assert findings == ()
        return plan_jobs(wanted, self.connection, QUIET, config=self.settings, **more)

    def apply(self, *found, prune=False, **more):
        done = apply(self.plan(*found, **more), self.connection, QUIET, Options(prune=prune))
        assert [one for one in done if not one.ok] == []
        return [(one.action, "/".join(one.path[len(self.root) :])) for one in done]

    def text(self, *names):
        return self.connection.config((*self.root, *names))

    def edit(self, *names, change):
        """In the web page: the server saves what was changed."""
        path = (*self.root, *names)
        text = re.sub(r"\A<\?xml[^>]*\?>", '<?xml version="1.0" encoding="UTF-8"?>', self.text(*names))
        self.connection.update(path, change(text))
        self.connection.describe(path, parse(text).findtext("description") or "")


@pytest.fixture
def team(jenkins, tmp_path):
    found = Team(jenkins, tmp_path / "amis")
    yield found
    found.connection.close()


def test_what_was_applied_is_unchanged_also_when_looked_at(team):
    team.apply(source("r"), source("s", jenkinsfile="Jenkinsfile", nightly="H 3 * * *"))
    assert team.apply(source("r"), source("s", jenkinsfile="Jenkinsfile", nightly="H 3 * * *")) == []
    assert not team.plan(
        source("r"), source("s", jenkinsfile="Jenkinsfile", nightly="H 3 * * *"), verify=True
    ).differs()


def test_drift_is_found_by_looking_and_changed_back(team):
    team.apply(source("r"))
    team.edit(*BUILD, change=lambda text: text.replace("<numToKeep>30", "<numToKeep>1"))
    assert team.apply(source("r")) == []
    (change,) = team.plan(source("r"), verify=True).of("drifted")
    assert [line.strip("+- ") for line in change.diff if line[:1] in "+-"][2:] == ["numToKeep: 1", "numToKeep: 30"]
    assert team.apply(source("r"), verify=True) == [("update", "r/build")]
    assert "<numToKeep>30" in team.text(*BUILD)


def test_a_change_in_the_source_keeps_what_a_person_disabled(team):
    team.apply(source("r"))
    team.connection.disable((*team.root, *BUILD))
    assert ("update", "r/build") in team.apply(source("r", nightly="@daily"))
    assert "<disabled>true</disabled>" in team.text(*BUILD) and "@daily" in team.text(*BUILD)


def test_prune_takes_what_is_ours_and_leaves_what_is_not(team):
    team.apply(source("r"), source("s"))
    theirs = (*team.root, "r", "theirs")
    team.connection.create(theirs, "<flow-definition><description>by hand</description></flow-definition>")
    gone = team.apply(prune=True)
    assert ("delete", "s") in gone and ("delete", "r") not in gone
    assert team.connection.config(theirs) is not None
    assert team.text("s") is None and team.text(*BUILD) is None


def test_disabled_instead_of_deleted_and_enabled_again(team):
    team.apply(source("r"))
    assert ("disable", "r/build") in team.apply(prune=True, remove="disable")
    assert "<disabled>true</disabled>" in team.text(*BUILD)
    team.apply(source("r"))
    assert "<disabled>false</disabled>" in team.text(*BUILD)
    assert not team.plan(source("r"), verify=True).differs()


def test_a_job_of_somebody_else_in_the_way_is_left_alone_until_adopted(team):
    team.apply()
    team.connection.create((*team.root, "r"), FOLDER)
    team.connection.create((*team.root, *BUILD), "<flow-definition><description>mine</description></flow-definition>")
    team.apply(source("r", verify="none"))
    assert "mine" in team.text(*BUILD)
    team.apply(source("r", verify="none"), adopt=True)
    assert mark.of(parse(team.text(*BUILD)).findtext("description"), "amis") is not None


CLASS = "com.cloudbees.hudson.plugins.folder.Folder"
FOLDER = f"<{CLASS}><description>theirs</description></{CLASS}>"


def test_two_owners_in_one_folder_do_not_disturb_each_other(team, jenkins, tmp_path):
    other = Team(jenkins, tmp_path / "other", owner="b-team")
    try:
        for _ in range(2):
            team.apply(source("r"), prune=True)
            other.apply(source("s"), prune=True)
        assert team.text(*BUILD) is not None and team.text("s", "build") is not None
        assert not team.plan(source("r")).differs() and not other.plan(source("s")).differs()
    finally:
        other.connection.close()


def test_hostile_texts_arrive_as_they_were(team):
    name = 'it\'s ${jndi:x} ]]> & <b>"q"</b> é日😀'
    team.apply(source(f"x/{name}", image="base"))
    (item,) = [each for each in team.plan(source(f"x/{name}", image="base")).changes if each.name.endswith("/build")]
    text = team.connection.config(item.path)
    assert parse(text).findtext("displayName") == f"x/{name} build"
    assert f"x/{name}" in parse(text).findtext("description")
    assert not team.plan(source(f"x/{name}", image="base"), verify=True).differs()
