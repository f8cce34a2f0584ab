"""Plans carried out on a Jenkins that behaves as recorded: every change confirmed, nothing lost, nothing done twice."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from jenkins_ami.credentials import Credentials
from jenkins_ami.errors import Interrupted, UsageError
from jenkins_ami.jobs import mark
from jenkins_ami.jobs.apply import Options, apply
from jenkins_ami.jobs.connection import Connection
from jenkins_ami.jobs.desired import desired
from jenkins_ami.jobs.plan import Only
from jenkins_ami.jobs.run import plan_jobs
from jenkins_ami.jobs.xmltree import parse
from jenkins_ami.progress import Progress
from tests.conftest import REPOSITORY
from tests.jenkins.builds import Declared
from tests.jenkins.fake import FakeJenkins
from tests.jobs.sources import CONFIG, GITHUB, GITLAB, config, discovery, source

QUIET = Progress()
FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
EVERY_KIND = (
    source("every/build"),
    source("every/kind", "images/web", base="build", nightly="H 3 * * *", poll="@hourly", environments=("dev", "prod")),
    source("every/own", jenkinsfile="Jenkinsfile", verify_jenkinsfile="ci/Jenkinsfile", concurrent=True),
    source("every/multi", verify="multibranch", jenkinsfile="Jenkinsfile"),
    source("acme/hub", provider=GITHUB, jenkinsfile="Jenkinsfile"),
    source("acme/lab", provider=GITLAB, jenkinsfile="Jenkinsfile"),
    source('hostile/it\'s ${jndi:x} ]]> & <b>"q"</b>\n' + "w" * 300),
)


@pytest.fixture
def settings(tmp_path):
    return config(tmp_path)


OPEN = []


@pytest.fixture(autouse=True)
def closing():
    yield
    while OPEN:
        OPEN.pop().close()


class Run:
    """One configuration against one server."""

    def __init__(self, server, settings):
        self.server = server
        self.settings = settings
        self.connection = Connection(server.url, Credentials(server.user, server.token), wait=20)
        OPEN.append(self.connection)

    def wanted(self, *found):
        return desired(self.settings, discovery(*found))[0]

    def plan(self, wanted, **more):
        return plan_jobs(wanted, self.connection, QUIET, config=self.settings, **more)

    def apply(self, wanted, options=None, **more):
        return apply(self.plan(wanted, **more), self.connection, QUIET, options or Options())


@pytest.fixture
def run(fake, settings):
    return Run(fake, settings)


def failed(done):
    return {one.name: one.what for one in done if not one.ok}


def requests(server):
    """How many there were since the last call."""
    count = len(server.requests)
    server.requests.clear()
    return count


def own_mark(server, path, owner="amis"):
    return mark.of(parse(server.config(path)).findtext("description") or "", owner)


def test_every_kind_of_item_is_made_understood_and_unchanged_afterwards(jenkins, tmp_path):
    settings = config(tmp_path, CONFIG.replace("folder: amis", f"folder: {jenkins.folder}/amis"))
    run = Run(jenkins, settings)
    wanted = run.wanted(*EVERY_KIND)
    done = run.apply(wanted)
    assert failed(done) == {}
    assert run.plan(wanted).counts()["unchanged"] >= len(wanted.items) - 1
    assert not run.plan(wanted, verify=True).differs()


def test_a_second_run_is_one_request(run):
    wanted = run.wanted(*EVERY_KIND)
    run.apply(wanted)
    requests(run.server)
    assert run.apply(wanted) == ()
    assert requests(run.server) == 1


def test_creating_a_job_takes_two_requests(run):
    run.apply(run.wanted())
    requests(run.server)
    run.apply(run.wanted(source("r", verify="none")))
    kinds = [target.partition("?")[0].rpartition("/")[2] for _, target in run.server.requests]
    assert kinds == [
        "json",
        "submitDescription",  # the root says that a run is under way
        "createItem",
        "config.xml",
        "submitDescription",
        "config.xml",  # the folder
        "createItem",
        "config.xml",  # the job
        "submitDescription",  # the root says that it ended
    ]


def test_a_job_that_changed_by_hand_is_changed_back(run):
    wanted = run.wanted(source("r"))
    run.apply(wanted)
    run.server.edit("amis/r/build", lambda text: text.replace("<numToKeep>30", "<numToKeep>1"))
    assert run.apply(wanted) == ()
    (done,) = run.apply(wanted, verify=True)
    assert (done.name, done.ok) == ("amis/r/build", True)
    assert "<numToKeep>30" in run.server.config("amis/r/build")
    assert not run.plan(wanted, verify=True).differs()


def test_a_job_that_was_deleted_by_hand_comes_back(run):
    wanted = run.wanted(source("r"))
    run.apply(wanted)
    run.server.delete("amis/r/build")
    assert [one.name for one in run.apply(wanted)] == ["amis/r/build"]


def test_a_change_in_the_source_arrives(run):
    run.apply(run.wanted(source("r")))
    wanted = run.wanted(source("r", nightly="@daily"))
    assert failed(run.apply(wanted)) == {}
    assert "@daily" in run.server.config("amis/r/build")
    assert not run.plan(wanted, verify=True).differs()


def test_what_a_jenkinsfile_declared_survives_an_update(run):
    run.apply(run.wanted(source("r", jenkinsfile="Jenkinsfile")))
    run.server.build(
        "amis/r/build",
        Declared(triggers=["<hudson.triggers.TimerTrigger><spec>H 4 * * 1</spec></hudson.triggers.TimerTrigger>"]),
    )
    wanted = run.wanted(source("r", jenkinsfile="Jenkinsfile", quiet_period=7))
    assert failed(run.apply(wanted)) == {}
    text = run.server.config("amis/r/build")
    assert "H 4 * * 1" in text and "<quietPeriod>7" in text and "DeclarativeJobPropertyTrackerAction" in text
    assert not run.plan(wanted, verify=True).differs()


def test_properties_of_a_script_that_jenkins_has_not_noted_yet_are_not_lost(run):
    run.apply(run.wanted(source("r", jenkinsfile="Jenkinsfile")))
    declares = Declared(
        scripted=True,
        properties=[
            "<hudson.model.ParametersDefinitionProperty><parameterDefinitions/></hudson.model.ParametersDefinitionProperty>"
        ],
    )
    run.server.build("amis/r/build", declares)
    wanted = run.wanted(source("r", jenkinsfile="Jenkinsfile", quiet_period=7))
    assert failed(run.apply(wanted)) == {}
    run.server.build("amis/r/build", declares)
    assert "GerritTrigger" in run.server.config("amis/r/build")


CREDENTIALS = "com.cloudbees.hudson.plugins.folder.properties.FolderCredentialsProvider_-FolderCredentialsProperty"
PERMISSIONS = "com.cloudbees.hudson.plugins.folder.properties.AuthorizationMatrixProperty"


@pytest.mark.parametrize("cls", [CREDENTIALS, PERMISSIONS])
def test_credentials_and_permissions_of_a_folder_survive_an_update(cls, run):
    run.apply(run.wanted(source("r")))
    added = f"<properties><{cls}><x>{{AQAAABAAAAAQabcdefgh==}}</x></{cls}></properties>"
    run.server.edit("amis/r", lambda text: text.replace("<properties/>", added))
    kept = run.server.config("amis/r")
    wanted = run.wanted(source("r", image="other"))
    assert "amis/r" in [one.name for one in run.apply(wanted) if one.ok]
    assert (cls in run.server.config("amis/r")) == (cls in kept)
    assert "The image other." in run.server.config("amis/r")


def test_views_of_a_folder_survive_an_update(run):
    run.apply(run.wanted(source("r")))
    run.connection.create(
        ("amis", "Mine"), "<hudson.model.ListView><name>Mine</name></hudson.model.ListView>", view=True
    )
    run.server.edit("amis", lambda text: text.replace("Amazon Machine Images", "Something"))
    assert failed(run.apply(run.wanted(source("r")), verify=True)) == {}
    text = run.server.config("amis")
    assert "<name>Mine</name>" in text and "Amazon Machine Images" in text


def test_a_job_that_a_person_disabled_stays_disabled(run):
    run.apply(run.wanted(source("r")))
    run.connection.disable(("amis", "r", "build"))
    run.apply(run.wanted(source("r", nightly="@daily")))
    text = run.server.config("amis/r/build")
    assert "<disabled>true</disabled>" in text and "@daily" in text


def test_a_missing_plugin_is_told_and_seen_by_the_next_plan(settings):
    with FakeJenkins(without=["throttle-concurrents"]) as server:
        run = Run(server, settings)
        from jenkins_ami.source.model import Throttle

        wanted = run.wanted(source("r", throttle=Throttle(("x",))))
        done = failed(run.apply(wanted))
        cls = "hudson.plugins.throttleconcurrents.ThrottleJobProperty"
        what = f"Jenkins dropped {cls}; is the plugin throttle-concurrents installed?"
        assert done == {"amis/r/build": what, "amis/r/verify": what}
        assert own_mark(server, "amis/r/build").digest == mark.UNPROVED
        assert mark.APPLYING in own_mark(server, "amis").words
        assert {change.name for change in run.plan(wanted).of("update", "drifted")} == {"amis/r/build", "amis/r/verify"}


def test_what_is_inside_a_folder_that_failed_is_left_out(run):
    run.apply(run.wanted())
    run.server.fail_next("/job/amis/createItem?name=r", 500, times=9)
    done = failed(run.apply(run.wanted(source("r"), source("s"))))
    assert done.pop("amis/r").startswith("Jenkins refused to create amis/r: an error inside Jenkins")
    assert done == {
        "amis/r/build": "left out: the folder around it failed",
        "amis/r/verify": "left out: the folder around it failed",
    }
    assert ("amis", "s", "build") in run.server.items


def test_prune_takes_away_what_nobody_wants(run):
    run.apply(run.wanted(source("r"), source("s")))
    wanted = run.wanted(source("r"))
    assert run.apply(wanted) == ()
    assert ("amis", "s", "build") in run.server.items
    assert [one.name for one in run.apply(wanted, Options(prune=True))] == ["amis/s/build", "amis/s/verify", "amis/s"]
    assert ("amis", "s") not in run.server.items and ("amis", "r", "build") in run.server.items


def test_prune_disables_instead_when_asked_and_enables_again(run):
    run.apply(run.wanted(source("r")))
    nothing = run.wanted()
    assert [one.action for one in run.apply(nothing, Options(prune=True), remove="disable")] == ["disable"] * 2
    assert "<disabled>true</disabled>" in run.server.config("amis/r/build")
    assert not run.plan(nothing, remove="disable").differs()
    assert failed(run.apply(run.wanted(source("r")))) == {}
    assert "<disabled>false</disabled>" in run.server.config("amis/r/build")
    assert own_mark(run.server, "amis/r/build").words == frozenset()
    assert not run.plan(run.wanted(source("r")), verify=True).differs()


@pytest.mark.parametrize(
    ("more", "options", "line"),
    [
        ({"only": Only(("r",))}, Options(prune=True), "a filtered run never deletes. Leave out --only, or --prune."),
        ({}, Options(prune=True, max_deletes=2), "3 items would be deleted, and at most 2 may be."),
    ],
)
def test_a_prune_that_may_not_be_is_refused_before_anything_is_changed(more, options, line, run):
    run.apply(run.wanted(source("r"), source("s")))
    before = {path: item.text for path, item in run.server.items.items()}
    with pytest.raises(UsageError) as caught:
        run.apply(run.wanted(source("r", nightly="@daily")), options, **more)
    assert caught.value.line().startswith(line)
    assert {path: item.text for path, item in run.server.items.items()} == before


def test_nothing_is_pruned_when_a_provider_failed(run):
    run.apply(run.wanted(source("r"), source("s")))
    wanted = replace(run.wanted(source("r")), complete=False)
    with pytest.raises(UsageError, match="discovery was not complete"):
        run.apply(wanted, Options(prune=True))
    assert ("amis", "s", "build") in run.server.items


def test_jobs_of_other_people_survive_everything(run):
    run.apply(run.wanted(source("r")))
    theirs = (
        "<flow-definition><description>&lt;!-- Managed by Jenkins Job Builder --&gt;</description></flow-definition>"
    )
    run.server.create("amis/r/theirs", theirs)
    run.server.create("theirs", theirs)
    run.apply(run.wanted(), Options(prune=True))
    assert {("amis", "r"), ("amis", "r", "theirs"), ("theirs",)} <= set(run.server.items)
    assert ("amis", "r", "build") not in run.server.items


def test_what_somebody_put_into_a_folder_since_the_plan_is_not_deleted_with_it(run):
    run.apply(run.wanted(source("r")))
    plan = run.plan(run.wanted())
    run.server.create("amis/r/theirs", "<flow-definition/>")
    done = failed(apply(plan, run.connection, QUIET, Options(prune=True)))
    assert done["amis/r"].startswith("it holds amis/r/theirs since the plan: left alone")
    assert ("amis", "r", "theirs") in run.server.items


def test_what_somebody_took_over_since_the_plan_is_left_alone(run):
    run.apply(run.wanted(source("r")))
    plan = run.plan(run.wanted(source("r", nightly="@daily")))
    run.server.edit("amis/r/build", lambda text: text.replace("[jenkins-ami amis", "[was"))
    done = failed(apply(plan, run.connection, QUIET, Options()))
    assert done["amis/r/build"].startswith("it was taken over by somebody since the plan")


def test_a_type_is_replaced_only_with_prune(run):
    run.apply(run.wanted(source("r", jenkinsfile="Jenkinsfile")))
    wanted = run.wanted(source("r", jenkinsfile="Jenkinsfile", verify="multibranch"))
    run.apply(wanted)
    assert run.server.config("amis/r/verify").count("flow-definition") > 0
    assert failed(run.apply(wanted, Options(prune=True))) == {}
    assert "WorkflowMultiBranchProject" in run.server.config("amis/r/verify")


def test_two_owners_share_a_root_folder(run, tmp_path):
    (tmp_path / "other").mkdir()
    other = Run(run.server, config(tmp_path / "other", CONFIG.replace("owner: amis", "owner: b-team")))
    mine, theirs = run.wanted(source("r")), other.wanted(source("s"))
    for _ in range(2):
        assert failed(run.apply(mine, Options(prune=True))) == {}
        assert failed(other.apply(theirs, Options(prune=True))) == {}
    assert {("amis", "r", "build"), ("amis", "s", "build")} <= set(run.server.items)
    assert own_mark(run.server, "amis", "b-team").words == {mark.ADOPTED}
    assert not run.plan(mine).differs() and not other.plan(theirs).differs()


def test_a_limit_makes_a_part_and_the_next_runs_the_rest(run):
    wanted = run.wanted(source("r"), source("s"))
    made = []
    for _ in range(9):
        done = run.apply(wanted, Options(limit=3))
        made.append(
            len([one for one in done if one.path[-1] in ("build", "verify", "seed", "drift", "Builds", "Changes")])
        )
        if not done:
            break
    assert sum(made) == 8 and max(made) == 3


def test_an_answer_that_was_lost_is_no_second_job(run):
    run.apply(run.wanted())
    for target in ("createItem", "submitDescription", "config.xml"):
        dropped = drop(run.server, target)
        assert failed(run.apply(run.wanted(source(target.lower().replace(".", "-"))))) == {}
        assert dropped()
    assert not run.plan(
        run.wanted(*(source(n) for n in ("createitem", "submitdescription", "config-xml"))), verify=True
    ).differs()


def drop(server, part):
    """Lose the answer to the next request whose target holds ``part``; returns whether it came."""
    original = server._served
    seen = []

    def served(request):
        answer = original(request)
        if part in request.target and not seen:
            seen.append(request.target)
            return None
        return answer

    server._served = served
    return lambda: bool(seen)


def test_a_restart_in_the_middle_is_waited_for(run):
    run.apply(run.wanted())
    timer = threading.Timer(0.15, lambda: run.server.restart(down=0.5, starting=3))
    run.server.latency = 0.02
    timer.start()
    found = [source(f"r{n}") for n in range(12)]
    assert failed(run.apply(run.wanted(*found), Options(workers=4))) == {}
    timer.join()
    run.server.latency = 0
    assert not run.plan(run.wanted(*found), verify=True).differs()


def test_quiet_mode_stops_nothing(run):
    run.server.quiet = True
    assert failed(run.apply(run.wanted(source("r")))) == {}


def test_two_runs_at_once_end_with_the_same(run, settings):
    wanted = run.wanted(*(source(f"r{n}") for n in range(6)))
    run.server.latency = 0.005
    other = Run(run.server, settings)
    results = []
    threads = [threading.Thread(target=lambda each=each: results.append(each.apply(wanted))) for each in (run, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.server.latency = 0
    run.apply(wanted)
    assert not run.plan(wanted, verify=True).differs()


KILLED = """
import sys
from pathlib import Path
from jenkins_ami.credentials import Credentials
from jenkins_ami.jobs.connection import Connection
from jenkins_ami.jobs.apply import Options, apply
from jenkins_ami.jobs.run import plan_jobs
from jenkins_ami.progress import Progress
from tests.jobs.test_apply import Run, MANY
from tests.jobs.sources import config
class Server:
    url, user, token = sys.argv[1:4]
run = Run(Server, config(Path(sys.argv[4])))
run.apply(run.wanted(*MANY), Options(workers=4))
"""
MANY = [source(f"m{n}") for n in range(10)]


@pytest.mark.parametrize("after", [8, 25, 60])
def test_a_killed_run_is_resumed_by_the_next(after, run, tmp_path):
    (tmp_path / "killed").mkdir()
    run.server.latency = 0.01
    argv = [sys.executable, "-c", KILLED, run.server.url, run.server.user, run.server.token, str(tmp_path / "killed")]
    with subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}) as process:
        while len(run.server.requests) < after and process.poll() is None:
            threading.Event().wait(0.002)
        process.send_signal(signal.SIGKILL)
    run.server.latency = 0
    assert len(run.server.items) < 10 * 3
    if ("amis",) in run.server.items and own_mark(run.server, "amis"):
        assert mark.APPLYING in own_mark(run.server, "amis").words or len(run.server.items) == 1
    wanted = run.wanted(*MANY)
    assert failed(run.apply(wanted)) == {}
    assert mark.APPLYING not in own_mark(run.server, "amis").words
    assert not run.plan(wanted, verify=True).differs()


def test_an_interrupt_ends_the_run_and_the_next_goes_on(run):
    class Interrupting(Progress):
        def detail(self, text):
            if "m3" in text:
                raise Interrupted("SIGINT")

    wanted = run.wanted(*MANY)
    with pytest.raises(Interrupted):
        apply(run.plan(wanted), run.connection, Interrupting(), Options(workers=2))
    assert len(run.server.items) < 10 * 3
    assert failed(run.apply(wanted)) == {}
    assert not run.plan(wanted, verify=True).differs()


def test_a_user_who_may_not_is_told_which_permission_he_lacks(fake, settings):
    run = Run(fake, settings)
    run.apply(run.wanted(source("r")))
    ci = Run(fake, settings)
    ci.connection = Connection(fake.url, Credentials("ci", fake.access.tokens["ci"]))
    OPEN.append(ci.connection)
    done = failed(ci.apply(ci.wanted(), Options(prune=True)))
    assert done["amis/r/build"].startswith("Jenkins refused to delete amis/r/build: ci lacks the permission Job/Delete")
