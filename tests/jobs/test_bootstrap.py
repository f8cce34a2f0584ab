"""``jobs bootstrap``: what an empty Jenkins gets, and what it never does."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from jenkins_ami.credentials import Credentials
from jenkins_ami.errors import ServerError
from jenkins_ami.jobs.apply import Options, apply
from jenkins_ami.jobs.bootstrap import bootstrap, missing_plugins
from jenkins_ami.jobs.compare import difference
from jenkins_ami.jobs.connection import Connection
from jenkins_ami.jobs.desired import desired, without_sources
from jenkins_ami.jobs.run import plan_jobs
from jenkins_ami.jobs.xmltree import parse
from jenkins_ami.progress import PlainProgress, Progress
from jenkins_ami.source.model import Throttle
from tests.jenkins.classes import PLUGINS
from tests.jenkins.fake import FakeJenkins
from tests.jenkins.live import FOLDER_XML
from tests.jobs.sources import CONFIG, GITHUB, config, discovery, source

ALL = ["amis", "amis/Builds", "amis/Changes", "amis/drift", "amis/seed"]
PIPELINE_XML = '<?xml version="1.0"?><flow-definition><description>a person\'s</description></flow-definition>'


@pytest.fixture
def run():
    """Bootstrap a configuration on a server, as some user; gives what was done and what was said."""
    open_ones = []

    def run(server, settings, user=None):
        login = Credentials(user or server.user, server.access.tokens[user] if user else server.token)
        connection = Connection(server.url, login, wait=20)
        open_ones.append(connection)
        log = io.StringIO()
        return bootstrap(settings, connection, PlainProgress(log)), log.getvalue()

    yield run
    for connection in open_ones:
        connection.close()


@pytest.fixture
def settings(tmp_path):
    return config(tmp_path)


def names(done) -> list[str]:
    assert [one.what for one in done if not one.ok] == []
    return sorted(one.name for one in done)


def test_an_empty_jenkins_gets_folder_library_seed_and_alarm(jenkins, run, settings):
    settings = replace(settings, folder=(jenkins.folder, "amis"))
    done, _ = run(jenkins, settings)
    assert names(done) == [f"{jenkins.folder}/{name}" for name in ALL]
    connection = Connection(jenkins.url, Credentials(jenkins.user, jenkins.token))
    for item in without_sources(settings).items:
        if len(item.path) > 1:
            text = connection.config(item.path, view=item.kind == "view")
            assert text is not None
            assert difference(item.xml, text) == ()
    library = parse(connection.config(settings.folder) or "").find("properties/*/libraries/*")
    assert library is not None
    assert (library.findtext("name"), library.findtext("defaultVersion")) == ("jenkins-ami", "v1")
    connection.close()


def test_again_it_finds_all_of_it_there(fake, run, settings):
    run(fake, settings)
    before = {path: item.text for path, item in fake.items.items()}
    done, _ = run(fake, settings)
    assert done == ()
    assert {path: item.text for path, item in fake.items.items()} == before


def test_the_seeds_first_plan_has_nothing_to_do_to_what_it_made(fake, run, settings):
    run(fake, settings)
    connection = Connection(fake.url, Credentials(fake.user, fake.token))
    plan = plan_jobs(desired(settings, discovery(source()))[0], connection, Progress(), config=settings, verify=True)
    connection.close()
    assert sorted(each.name for each in plan.of("unchanged")) == ALL
    assert not plan.of("update", "drifted")


def test_what_a_person_changed_is_mended_and_nothing_is_deleted(fake, run, settings):
    run(fake, settings)
    fake.create("amis/mine", PIPELINE_XML)
    fake.create("amis/old", PIPELINE_XML.replace("a person's", f"[jenkins-ami amis {'0' * 16}]"))
    fake.edit("amis/seed", lambda text: text.replace("*/main", "*/other"))
    done, _ = run(fake, settings)
    assert names(done) == ["amis/seed"]
    assert "*/main" in fake.config("amis/seed")
    assert {"mine", "old"} <= {path[-1] for path in fake.items if path}


def test_the_jobs_of_sources_are_left_alone(fake, run, settings):
    connection = Connection(fake.url, Credentials(fake.user, fake.token))
    wanted = desired(settings, discovery(source()))[0]
    apply(plan_jobs(wanted, connection, Progress(), config=settings), connection, Progress(), Options())
    connection.close()
    before = set(fake.items)
    done, _ = run(fake, settings)
    assert done == ()
    assert set(fake.items) == before


def test_folders_that_are_there_are_used_as_they_are(fake, run, settings):
    fake.create("company", FOLDER_XML)
    done, said = run(fake, replace(settings, folder=("company", "amis")))
    assert "warning" not in said
    assert names(done) == [f"company/{name}" for name in ALL]
    assert fake.config("company") == FOLDER_XML.replace('"1.0"', '"1.0" encoding="UTF-8"')


def test_a_root_folder_that_is_there_is_adopted_with_what_is_in_it(fake, run, settings):
    fake.create("amis", FOLDER_XML)
    fake.create("amis/mine", PIPELINE_XML)
    done, said = run(fake, settings)
    assert names(done) == ALL
    assert "warning" not in said
    assert "adopted" in parse(fake.config("amis")).findtext("description")
    assert ("amis", "mine") in fake.items


def test_a_job_of_somebody_else_in_the_place_of_the_seed_is_left_alone_and_told(fake, run, settings):
    fake.create("amis", FOLDER_XML)
    fake.create("amis/seed", PIPELINE_XML)
    done, said = run(fake, settings)
    assert "amis/seed" not in names(done)
    assert "amis/seed is not ours: left alone" in said
    assert "a person's" in fake.config("amis/seed")


def test_without_a_seed_the_folder_is_made_and_it_is_told(fake, run, settings):
    done, said = run(fake, replace(settings, seed=None))
    assert names(done) == ["amis", "amis/Builds", "amis/Changes"]
    assert "there will be no seed job and no drift alarm" in said


# Plugins


def test_missing_plugins_are_named_at_once_with_the_command_and_nothing_is_changed(run, settings):
    with FakeJenkins(without=("gerrit-trigger", "git", "workflow-cps")) as server:
        with pytest.raises(ServerError) as caught:
            run(server, settings)
        assert caught.value.line() == (
            f"Jenkins lacks the plugins gerrit-trigger, git, workflow-cps ({server.url}). Install with: "
            f"java -jar jenkins-cli.jar -s {server.url} install-plugin gerrit-trigger git workflow-cps -restart."
        )
        assert set(server.items) == set()
        assert {method for method, _ in server.requests} == {"GET"}


def test_plugins_that_nothing_needs_may_be_missing(run, tmp_path):
    gerrit = '{gerrit: "https://gerrit.example.com", prefix: automation/'
    settings = config(tmp_path, CONFIG.replace(gerrit, "{git: [https://git.example.com/a]"))
    with FakeJenkins(without=("gerrit-trigger", "job-dsl", "workflow-multibranch")) as server:
        assert names(run(server, settings)[0]) == ALL


def test_who_may_not_see_the_plugins_gets_a_warning_and_goes_on(fake, run, settings):
    done, said = run(fake, settings, user="ci")
    assert "may not see which plugins there are" in said
    assert [one.name for one in done if one.ok] == ["amis", "amis/seed", "amis/drift"]
    assert all("View/Create" in one.what for one in done if not one.ok)


def test_the_recorded_jenkins_has_what_the_usual_jobs_need(settings):
    wanted = desired(settings, discovery(source(), source("b", jenkinsfile="Jenkinsfile", verify="multibranch")))[0]
    assert missing_plugins(wanted.items, PLUGINS) == ("gerrit-code-review",)


def test_each_kind_of_job_needs_its_plugins(settings):
    throttled = source("a", throttle=Throttle(categories=("ami-build",)))
    hub = source("acme/hub", provider=GITHUB, jenkinsfile="Jenkinsfile")
    wanted = desired(settings, discovery(throttled, hub))[0]
    needed = set(missing_plugins(wanted.items, ()))
    assert {
        "cloudbees-folder",
        "workflow-job",
        "workflow-cps",
        "git",
        "gerrit-trigger",
        "pipeline-groovy-lib",
    } <= needed
    assert {"throttle-concurrents", "github-branch-source", "branch-api", "workflow-multibranch"} <= needed
    assert {"pipeline-model-definition", "credentials-binding", "timestamper", "workflow-basic-steps"} <= needed


def test_a_text_that_looks_like_a_class_needs_no_plugin(settings):
    wanted = desired(settings, discovery(source("x/hudson.plugins.throttleconcurrents.X")))[0]
    assert "throttle-concurrents" not in missing_plugins(wanted.items, ())
