"""Plans carried out on a Jenkins that behaves as recorded: every change confirmed, nothing lost, nothing done twice."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace

import pytest

from jenkins_ami.credentials import Credentials
from jenkins_ami.errors import Interrupted, ServerError, UsageError
from jenkins_ami.jobs import mark
from jenkins_ami.jobs.apply import Options, apply
from jenkins_ami.jobs.connection import Connection
from jenkins_ami.jobs.desired import desired
from jenkins_ami.jobs.plan import Only
from jenkins_ami.jobs.run import plan_jobs
from jenkins_ami.jobs.xmltree import parse
from jenkins_ami.progress import PlainProgress, Progress
from jenkins_ami.source.model import Throttle
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
    assert kinds[:3] == ["json", "json", "submitDescription"]  # plan; the root says that a run is under way
    assert Counter(kinds[3:-2]) == Counter(
        [
            *("createItem", "config.xml"),  # the job
            *("createItem", "submitDescription", "config.xml"),  # the folder, which has to be made to save
            "json",  # whether Jenkins is about to shut down
        ]
    )
    assert kinds[-2:] == ["json", "submitDescription"]  # the root says that it ended


def test_a_new_root_folder_says_from_the_start_that_a_run_is_under_way(run):
    run.server.fail_next("/job/amis/createItem", 500, times=99)
    assert failed(run.apply(run.wanted(source("r"))))
    assert own_mark(run.server, "amis").words == {mark.APPLYING}
    first = next(target for method, target in run.server.requests if method == "POST")
    assert first == "/createItem?name=amis"


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
    assert done.pop("amis/r").startswith("Jenkins refused to create amis/r: an error inside it")
    assert done == {"amis/r/build": "left out: amis/r failed", "amis/r/verify": "left out: amis/r failed"}
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


def test_when_a_provider_failed_nothing_is_pruned_and_the_rest_is_done(run):
    run.apply(run.wanted(source("r"), source("s"), source("t", jenkinsfile="Jenkinsfile")))
    wanted = run.wanted(source("r", nightly="@daily"), source("t", jenkinsfile="Jenkinsfile", verify="multibranch"))
    assert failed(run.apply(replace(wanted, complete=False), Options(prune=True))) == {}
    assert ("amis", "s", "build") in run.server.items
    assert "flow-definition" in run.server.config("amis/t/verify")
    assert "@daily" in run.server.config("amis/r/build")


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
    assert done["amis/r"] == f"theirs is in it since the plan: left alone ({run.server.url})."
    assert ("amis", "r", "theirs") in run.server.items


def test_what_somebody_took_over_since_the_plan_is_left_alone(run):
    run.apply(run.wanted(source("r")))
    plan = run.plan(run.wanted(source("r", nightly="@daily")))
    run.server.edit("amis/r/build", lambda text: text.replace("[jenkins-ami amis", "[was"))
    done = failed(apply(plan, run.connection, QUIET, Options()))
    assert done == {"amis/r/build": f"it is somebody else's since the plan: left alone ({run.server.url})."}
    run.apply(run.wanted(source("r")), Options(prune=True))
    assert ("amis", "r", "build") in run.server.items


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


def test_a_jenkins_that_goes_away_and_stays_away_ends_the_run_at_once(fake, settings):
    run = Run(fake, settings)
    run.connection = Connection(fake.url, Credentials(fake.user, fake.token), wait=0.5)
    OPEN.append(run.connection)
    wanted = run.wanted(*MANY)
    run.apply(run.wanted())
    plan = run.plan(wanted)
    fake.latency = 0.02
    timer = threading.Timer(0.1, lambda: fake.restart(down=3))
    timer.start()
    lines = io.StringIO()
    with pytest.raises(ServerError, match="Jenkins cannot be reached: connection refused"):
        apply(plan, run.connection, PlainProgress(lines), Options(workers=4))
    timer.join()
    assert "warning" not in lines.getvalue()
    again = Run(fake, settings)
    assert failed(again.apply(wanted)) == {}
    fake.latency = 0
    assert not again.plan(wanted, verify=True).differs()


def test_a_token_that_is_revoked_ends_the_run(run):
    run.apply(run.wanted())
    plan = run.plan(run.wanted(*MANY))
    run.server.access.tokens["admin"] = "another"
    run.server.access._known.clear()
    with pytest.raises(ServerError, match="the user admin or that user's API token is wrong"):
        apply(plan, run.connection, QUIET, Options())


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
from jenkins_ami.cli import _signals
class Server:
    url, user, token = sys.argv[1:4]
run = Run(Server, config(Path(sys.argv[4])))
with _signals():
    run.apply(run.wanted(*MANY), Options(workers=4))
"""
MANY = [source(f"m{n}") for n in range(10)]


@pytest.mark.parametrize(
    ("number", "after"),
    [(signal.SIGKILL, 8), (signal.SIGKILL, 25), (signal.SIGKILL, 60), (signal.SIGINT, 25), (signal.SIGTERM, 25)],
)
def test_a_run_that_was_killed_or_stopped_is_resumed_by_the_next(number, after, run, tmp_path):
    (tmp_path / "killed").mkdir()
    run.server.latency = 0.01
    argv = [sys.executable, "-c", KILLED, run.server.url, run.server.user, run.server.token, str(tmp_path / "killed")]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(argv, env=environment, stderr=subprocess.DEVNULL) as process:
        while len(run.server.requests) < after and process.poll() is None:
            threading.Event().wait(0.002)
        process.send_signal(number)
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
    run = Run(run.server, run.settings)
    assert failed(run.apply(wanted)) == {}
    assert not run.plan(wanted, verify=True).differs()


def test_a_user_who_may_not_is_told_which_permission_he_lacks(fake, settings):
    run = Run(fake, settings)
    run.apply(run.wanted(source("r")))
    ci = Run(fake, settings)
    ci.connection = Connection(fake.url, Credentials("ci", fake.access.tokens["ci"]))
    OPEN.append(ci.connection)
    done = failed(ci.apply(ci.wanted(), Options(prune=True)))
    assert done["amis/r/build"].startswith("Jenkins refused to delete amis/r/build: the user ci lacks Job/Delete (")


# The root folder


def test_a_run_that_left_nothing_to_do_but_its_mark_is_brought_to_its_end(run):
    wanted = run.wanted(source("r"))
    run.apply(wanted)
    run.server.edit("amis", lambda text: re.sub(r"(\[jenkins-ami amis \w+)\]", r"\1 applying]", text, count=1))
    assert [(one.name, one.action) for one in run.apply(wanted)] == [("amis", "unchanged")]
    assert own_mark(run.server, "amis").words == frozenset()
    requests(run.server)
    assert run.apply(wanted) == ()
    assert requests(run.server) == 1


@pytest.mark.parametrize(("options", "more"), [(Options(limit=1), {}), (Options(), {"only": Only(("amis/r/*",))})])
def test_a_run_that_does_a_part_does_not_speak_for_one_that_was_killed(options, more, run):
    run.apply(run.wanted(source("r"), source("s")))
    run.server.edit("amis", lambda text: re.sub(r"(\[jenkins-ami amis \w+)\]", r"\1 applying]", text, count=1))
    wanted = run.wanted(source("r", nightly="@daily"), source("s", nightly="@daily"))
    assert failed(run.apply(wanted, options, **more)) == {}
    assert own_mark(run.server, "amis").words == {mark.APPLYING}
    assert failed(run.apply(wanted)) == {}
    assert own_mark(run.server, "amis").words == frozenset()


def test_a_root_folder_that_was_there_before_keeps_what_it_had(run):
    credentials = f"<{CREDENTIALS}/>"
    run.server.create(
        "amis",
        f"<{FOLDER}><description>Ours since 2019</description><displayName>Images!</displayName>"
        f"<properties>{credentials}</properties></{FOLDER}>",
    )
    run.server.create("amis/theirs", "<flow-definition/>")
    wanted = run.wanted(source("r"))
    assert failed(run.apply(wanted)) == {}
    text = run.server.config("amis")
    assert "Ours since 2019\n[jenkins-ami amis" in text and "<displayName>Images!<" in text and CREDENTIALS in text
    assert own_mark(run.server, "amis").words == {mark.ADOPTED}
    assert not run.plan(wanted, verify=True).differs()
    assert ("amis", "theirs") in run.server.items


def test_what_another_owner_wrote_into_the_root_folder_since_the_plan_stays(run):
    run.apply(run.wanted())
    plan = run.plan(run.wanted(source("r")))
    theirs = mark.Mark("b-team", "0123456789abcdef", frozenset({mark.ADOPTED, mark.APPLYING}))
    described = mark.put(parse(run.server.config("amis")).findtext("description") or "", theirs)
    run.connection.describe(("amis",), described)
    assert failed(apply(plan, run.connection, QUIET, Options())) == {}
    assert own_mark(run.server, "amis", "b-team") == theirs
    assert own_mark(run.server, "amis").words == frozenset()


def test_a_root_folder_in_a_folder_of_others(run, tmp_path):
    (tmp_path / "deep").mkdir()
    deep = Run(run.server, config(tmp_path / "deep", CONFIG.replace("folder: amis", "folder: team/x/amis")))
    run.server.create("team", f"<{FOLDER}><description>The team</description></{FOLDER}>")
    before = run.server.config("team")
    wanted = deep.wanted(source("r"))
    assert failed(deep.apply(wanted)) == {}
    assert ("team", "x", "amis", "r", "build") in run.server.items
    assert run.server.config("team") == before
    assert deep.apply(wanted) == () and not deep.plan(wanted, verify=True).differs()


def test_nothing_is_tried_when_the_root_folder_cannot_be_made(run):
    run.server.fail_next("/createItem?name=amis", 500)
    lines = io.StringIO()
    with pytest.raises(ServerError, match="nothing can be made without amis"):
        apply(run.plan(run.wanted(source("r"))), run.connection, PlainProgress(lines), Options())
    assert "warning: amis: Jenkins refused to create amis: an error inside it" in lines.getvalue()
    assert sum("createItem" in target for _, target in run.server.requests) == 1


def test_a_job_in_the_place_of_the_root_folder_is_told(run):
    run.server.create("amis", "<flow-definition/>")
    with pytest.raises(ServerError) as caught:
        run.apply(run.wanted(source("r")))
    assert caught.value.line() == f"amis is no folder ({run.server.url}). Name another root folder."
    assert set(run.server.items) == {("amis",)}


# What others do between plan and apply


def test_what_a_person_changed_since_the_plan_and_is_not_ours_stays(run):
    run.apply(run.wanted(source("r")))
    plan = run.plan(run.wanted(source("r", nightly="@daily"), source("r", "sub", nightly="@daily")))
    run.connection.disable(("amis", "r", "build"))
    run.server.edit("amis/r", lambda text: text.replace("<properties/>", f"<properties><{CREDENTIALS}/></properties>"))
    assert failed(apply(plan, run.connection, QUIET, Options())) == {}
    text = run.server.config("amis/r/build")
    assert "<disabled>true</disabled>" in text and "@daily" in text
    assert CREDENTIALS in run.server.config("amis/r")


def test_what_a_person_changed_since_the_plan_and_is_ours_becomes_what_it_should_be(run):
    run.apply(run.wanted(source("r")))
    wanted = run.wanted(source("r", nightly="@daily"))
    plan = run.plan(wanted)
    run.server.edit("amis/r/build", lambda text: text.replace("<numToKeep>30", "<numToKeep>1"))
    assert failed(apply(plan, run.connection, QUIET, Options())) == {}
    assert not run.plan(wanted, verify=True).differs()


def test_what_was_deleted_since_the_plan_is_made_again_or_is_gone(run):
    run.apply(run.wanted(source("r"), source("s")))
    wanted = run.wanted(source("r", nightly="@daily"))
    plan = run.plan(wanted)
    run.server.delete("amis/r/build")
    run.server.delete("amis/s")
    assert failed(apply(plan, run.connection, QUIET, Options(prune=True))) == {}
    assert not run.plan(wanted, verify=True).differs()


def test_what_somebody_made_since_the_plan_is_left_alone(run):
    run.apply(run.wanted())
    plan = run.plan(run.wanted(source("r")))
    run.server.create("amis/r", f"<{FOLDER}/>")
    run.server.create("amis/r/build", "<flow-definition/>")
    done = failed(apply(plan, run.connection, QUIET, Options()))
    what = f"it is somebody else's since the plan: left alone ({run.server.url})."
    assert done == {"amis/r": what, "amis/r/build": what}
    assert ("amis", "r", "verify") in run.server.items


def test_what_became_another_thing_since_the_plan_is_left_alone(run):
    run.apply(run.wanted(source("r")))
    plan = run.plan(run.wanted(source("r", nightly="@daily")))
    run.server.delete("amis/r/build")
    run.server.create("amis/r/build", f"<{FOLDER}/>")
    done = failed(apply(plan, run.connection, QUIET, Options()))
    assert done == {"amis/r/build": f"it is a Folder since the plan: left alone ({run.server.url})."}


# Things in each other's place


def test_a_job_in_the_place_of_a_folder_makes_way_only_with_prune(run):
    run.apply(run.wanted(source("r")))
    wanted = run.wanted(source("r/build/deep", verify="none"))
    what = "left out: amis/r/build is replaced only with --prune"
    assert failed(run.apply(wanted)) == {"amis/r/build/deep": what, "amis/r/build/deep/build": what}
    assert failed(run.apply(wanted, Options(prune=True))) == {}
    assert ("amis", "r", "build", "deep", "build") in run.server.items
    assert not run.plan(wanted, verify=True).differs()


def test_a_folder_in_the_place_of_a_job_makes_way_once_it_is_empty(run):
    run.apply(run.wanted(source("r/build/deep", verify="none")))
    wanted = run.wanted(source("r", verify="none"))
    assert failed(run.apply(wanted, Options(prune=True))) == {}
    assert "flow-definition" in run.server.config("amis/r/build")
    assert not run.plan(wanted, verify=True).differs()


def test_somebody_elses_job_in_the_place_of_a_folder_stays(run):
    run.apply(run.wanted())
    run.server.create("amis/r", "<flow-definition/>")
    before = run.server.config("amis/r")
    assert run.apply(run.wanted(source("r")), Options(prune=True)) == ()
    assert run.server.config("amis/r") == before


# How far, and what is told


def test_a_canary_makes_only_the_folders_that_it_needs(run):
    wanted = run.wanted(source("r"), source("s"))
    run.apply(run.wanted())
    done = run.apply(wanted, Options(limit=1))
    assert [one.name for one in done] == ["amis/r", "amis/r/build"]
    assert ("amis", "s") not in run.server.items
    assert own_mark(run.server, "amis").words == frozenset()


def test_a_canary_counts_what_goes_as_well(run):
    run.apply(run.wanted(source("r"), source("s")))
    done = run.apply(run.wanted(source("r", nightly="@daily")), Options(limit=2, prune=True))
    assert [(one.name, one.action) for one in done] == [("amis/r/build", "update"), ("amis/s/build", "delete")]


def test_no_change_is_a_limit_too(run):
    run.apply(run.wanted())
    requests(run.server)
    assert run.apply(run.wanted(source("r")), Options(limit=0)) == ()
    assert requests(run.server) == 1


def test_a_view_that_nobody_wants_goes_and_one_of_others_stays(run, tmp_path):
    run.apply(run.wanted(source("r")))
    run.connection.create(
        ("amis", "Mine"), "<hudson.model.ListView><name>Mine</name></hudson.model.ListView>", view=True
    )
    (tmp_path / "none").mkdir()
    bare = Run(run.server, config(tmp_path / "none", CONFIG + "views: []\n"))
    done = bare.apply(bare.wanted(source("r")), Options(prune=True))
    assert failed(done) == {} and {one.action for one in done} == {"delete"}
    assert run.server.view("amis", "Mine") is not None
    assert not bare.plan(bare.wanted(source("r"))).differs()


def test_a_log_tells_what_was_done_and_what_failed(run):
    run.apply(run.wanted(source("s")))
    run.server.fail_next("/job/amis/job/r/createItem?name=verify", 500)
    lines = io.StringIO()
    plan = run.plan(run.wanted(source("r"), source("s", nightly="@daily")))
    apply(plan, run.connection, PlainProgress(lines), Options())
    told = [line[9:] for line in lines.getvalue().splitlines()]
    assert told[0] == "Apply ..."
    assert told[1].startswith("  warning: amis/r/verify: Jenkins refused to create amis/r/verify: an error inside it")
    assert told[2] == "  1 failed: the next run looks at every item again"
    assert re.fullmatch(r"Apply: 2 created, 1 updated, 1 failed \(.* s\)", told[3])
    assert len(told) == 4


def test_quiet_mode_is_told(run):
    run.server.quiet = True
    lines = io.StringIO()
    apply(run.plan(run.wanted(source("r"))), run.connection, PlainProgress(lines), Options())
    assert "Jenkins is about to shut down: jobs are made all the same, builds wait" in lines.getvalue()


def test_a_view_waits_for_the_update_of_its_folder(run):
    """A POST of a folder's config.xml replaces its views: one that was made beside it would be lost."""
    run.apply(run.wanted(source("r")))
    run.server.edit("amis", lambda text: text.replace("Amazon Machine Images", "Something"))
    for name in ("Builds", "Changes"):
        run.connection.delete(("amis", name), view=True)
    run.server.latency = 0.005
    assert failed(run.apply(run.wanted(source("r")), verify=True)) == {}
    assert run.server.view("amis", "Builds") is not None and run.server.view("amis", "Changes") is not None


def test_a_run_of_thousands_costs_as_much_for_each_as_one_of_hundreds(run):
    """Requests, not seconds: a job is two, whatever there is beside it."""
    found = [source(f"f/s{number}", verify="none") for number in range(300)]
    assert failed(run.apply(run.wanted(*found))) == {}
    per_source = len(run.server.requests) / len(found)
    assert per_source < 3 + 2 + 0.2
