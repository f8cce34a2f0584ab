"""What Jenkins should have for what was found: the right items at the right places, byte for byte."""

import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from jenkins_ami.errors import Location
from jenkins_ami.findings import ERROR, WARNING, Finding
from jenkins_ami.jobs import mark
from jenkins_ami.jobs.compare import difference, understood
from jenkins_ami.jobs.config import Library
from jenkins_ami.jobs.desired import desired
from jenkins_ami.jobs.merge import for_create
from jenkins_ami.jobs.model import Broken, Discovery, Failure
from jenkins_ami.jobs.places import source_path
from tests.jenkins.fake import FakeJenkins
from tests.jobs.sources import CONFIG, GERRIT, GIT, GITHUB, GITLAB, config, discovery, source

GOLDEN = Path(__file__).parent / "golden"
"""Written anew with ``REWRITE_GOLDEN=1``; read the difference before you commit it."""


@pytest.fixture
def settings(tmp_path):
    return config(tmp_path)


def items(settings, *found):
    result, findings = desired(settings, discovery(*found))
    assert [finding for finding in findings if finding.level == ERROR] == []
    return {"/".join(item.path): item for item in result.items}


def xml(settings, *found, path="amis/automation/ami/base/build"):
    return ElementTree.fromstring(items(settings, *found)[path].xml)


CASES = {
    "build": (source(base="parent"), "build"),
    "build-with-jenkinsfile": (source(jenkinsfile="Jenkinsfile"), "build"),
    "build-in-a-folder": (source(folder="images/web"), "images/web/build"),
    "build-with-everything-set": (
        source(
            nightly="H 3 * * *",
            poll="H/15 * * * *",
            environment="prod",
            environments=("dev", "prod"),
            quiet_period=30,
            concurrent=True,
            throttle={"categories": ("ami-build",), "total": 4, "per_node": 1},
            discard={"builds": 5, "days": 30, "artifact_builds": 2, "artifact_days": 7},
            aws_credentials="aws",
        ),
        "build",
    ),
    "build-in-the-local-cloud": (source(local=True), "build"),
    "build-from-github": (source("acme/base", provider=GITHUB), "build"),
    "verify": (source(), "verify"),
    "verify-with-votes": (source(gerrit_credentials="gerrit-votes"), "verify"),
    "verify-with-jenkinsfile": (source(verify_jenkinsfile="ci/Jenkinsfile", jenkinsfile="Jenkinsfile"), "verify"),
    "multibranch-gerrit": (source(verify="multibranch", jenkinsfile="Jenkinsfile"), "verify"),
    "multibranch-github": (source("acme/base", provider=GITHUB, jenkinsfile="Jenkinsfile"), "verify"),
    "multibranch-gitlab": (source("acme/base", provider=GITLAB, jenkinsfile="Jenkinsfile"), "verify"),
    "folder-of-a-source": (source(), ""),
}


def golden(name, text):
    path = GOLDEN / f"{name}.xml"
    if os.environ.get("REWRITE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_each_kind_of_job_is_rendered_as_it_was_read_and_approved(name, settings):
    found, job = CASES[name]
    parent = source("automation/ami/parent")
    everything = items(settings, found, parent)
    golden(name, everything["/".join(filter(None, ["amis", found.repository.name, job]))].xml)


@pytest.mark.parametrize("path", ["amis", "amis/seed", "amis/drift", "amis/Builds", "amis/Changes"])
def test_what_belongs_to_no_source_is_rendered_as_it_was_read_and_approved(path, settings):
    golden(f"around-{path.replace('/', '-')}", items(settings)[path].xml)


@pytest.mark.parametrize("name", CASES)
def test_jenkins_understands_each_of_them(name, settings):
    found, job = CASES[name]
    path = "/".join(filter(None, ["amis", found.repository.name, job]))
    item = items(settings, found)[path]
    with FakeJenkins() as server:
        server.create("x", for_create(item.xml))
        server.edit("x", lambda text: text)
        assert understood(item.xml, server.config("x")) == ()
        assert difference(item.xml, server.config("x")) == ()


def test_folders_mirror_repositories_and_come_before_what_is_in_them(settings):
    result, _ = desired(settings, discovery(source("a/b/base"), source("a/b/base", "images/web"), source("a/c")))
    paths = ["/".join(item.path) for item in result.items]
    for path in ("amis/a/b/base/build", "amis/a/b/base/images/web/verify", "amis/a/c/build"):
        assert path in paths
        parents = ["/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 1)]
        assert [paths.index(parent) for parent in parents] == sorted(paths.index(parent) for parent in parents)
        assert paths.index(parents[-1]) < paths.index(path)
    assert len(paths) == len(set(paths))


def test_the_root_may_lie_in_a_folder(tmp_path):
    settings = config(tmp_path, CONFIG.replace("folder: amis", "folder: teams/images"))
    assert list(items(settings, source("a")))[:2] == ["teams", "teams/images"]
    assert "teams/images/a/build" in items(settings, source("a"))


def test_the_same_sources_give_the_same_bytes_in_any_order_of_settings(settings):
    found = [source("a/b"), source("a/c", nightly="@daily", local=True)]
    again = [source("a/b"), source("a/c", local=True, nightly="@daily")]
    assert items(settings, *found) == items(settings, *again)


def test_every_item_carries_its_owners_mark_with_the_digest_of_its_text(settings):
    for item in items(settings, source()).values():
        own = mark.of(ElementTree.fromstring(item.xml).findtext("description"), "amis")
        assert own == mark.Mark("amis", item.digest)


def test_the_digest_changes_with_the_text_and_only_then(settings):
    one = items(settings, source())["amis/automation/ami/base/build"].digest
    assert one == items(settings, source())["amis/automation/ami/base/build"].digest
    assert one != items(settings, source(nightly="@daily"))["amis/automation/ami/base/build"].digest


def test_an_image_is_built_after_its_base(settings):
    root = xml(settings, source("a/parent"), source(base="parent-1.0"))
    assert root.findtext(".//upstreamProjects") == "/amis/a/parent/build"


def test_no_build_follows_a_base_that_has_no_build_job(settings):
    root = xml(settings, source("a/parent", build=False), source(base="parent"))
    assert root.find(".//upstreamProjects") is None


def test_a_comma_in_a_name_makes_no_second_upstream_job(settings):
    root = xml(settings, source("a,b/parent"), source(base="parent"))
    assert root.findtext(".//upstreamProjects") == "/amis/a~2cb/parent/build"


def test_an_image_may_refuse_to_follow_its_base(settings):
    root = xml(settings, source("a/parent"), source(base="parent", follow_base=False))
    assert root.find(".//upstreamProjects") is None


def test_defaults_of_jobs_yaml_count_where_the_source_says_nothing(tmp_path):
    settings = config(tmp_path, CONFIG + "defaults: {nightly: '@daily', environment: test}\n")
    root = xml(settings, source(environment="prod"))
    assert root.findtext(".//hudson.triggers.TimerTrigger/spec") == "@daily"
    assert root.findtext(".//hudson.model.StringParameterDefinition/defaultValue") == "prod"


def test_a_source_says_only_what_differs_of_discard_and_throttle(tmp_path):
    settings = config(tmp_path, CONFIG + "defaults: {discard: {days: 90}, throttle: {total: 3}}\n")
    root = xml(settings, source(discard={"builds": 7}, throttle={"per_node": 1}))
    kept = root.find(".//strategy")
    assert (kept.findtext("daysToKeep"), kept.findtext("numToKeep")) == ("90", "7")
    assert root.findtext(".//maxConcurrentTotal") == "3" and root.findtext(".//maxConcurrentPerNode") == "1"


def test_the_credentials_of_a_source_win_over_its_providers_and_these_over_the_defaults(tmp_path):
    settings = config(tmp_path, CONFIG + "defaults: {credentials: {git: default}}\n")

    def id_of(found):
        return xml(settings, found, path=f"amis/{found.id}/build").findtext(".//credentialsId")

    assert id_of(source("a", provider=GIT, jenkinsfile="J")) == "default"
    assert id_of(source("a", jenkinsfile="J")) == "gerrit-http"
    assert id_of(source("a", jenkinsfile="J", git_credentials="own")) == "own"


def test_without_a_recheck_expression_no_comment_starts_a_verification(settings):
    root = xml(settings, source(recheck=""), path="amis/automation/ami/base/verify")
    assert [event.tag.rpartition(".")[2] for event in root.find(".//triggerOnEvents")] == ["PluginPatchsetCreatedEvent"]


def test_a_folder_whose_name_is_a_pattern_matches_only_itself(settings):
    root = xml(settings, source(folder="a*(b)"), path="amis/automation/ami/base/a~2a(b)/build")
    path = root.find(".//filePaths/*")
    assert (path.findtext("compareType"), path.findtext("pattern")) == ("REG_EXP", r"a\*\(b\)/.*")


def test_the_gerrit_code_review_plugin_gets_a_url_that_it_understands(settings):
    found = source("a/b", verify="multibranch", jenkinsfile="J")
    by_ssh = replace(found, repository=replace(found.repository, url="ssh://git@gerrit.example.com:29418/a/b"))
    root = xml(settings, by_ssh, path="amis/a/b/verify")
    assert root.findtext(".//source/remote") == "https://gerrit.example.com/a/a/b"


@pytest.mark.parametrize(
    ("found", "jobs"),
    [
        (source("r"), {"build", "verify"}),
        (source("r", build=False), {"verify"}),
        (source("r", verify="none"), {"build"}),
        (source("r", provider=GIT), {"build"}),
        (source("r", provider=GITHUB), {"build"}),
        (source("r", provider=GITHUB, jenkinsfile="Jenkinsfile"), {"build", "verify"}),
        (source("r", provider=GIT, verify="gerrit-trigger"), {"build", "verify"}),
    ],
)
def test_which_jobs_a_source_has(found, jobs, settings):
    assert {path.rpartition("/")[2] for path in items(settings, found) if path.startswith("amis/r/")} == jobs


def test_a_multibranch_project_without_a_jenkinsfile_is_a_warning_and_no_project(settings):
    result, (finding,) = desired(settings, discovery(source(verify="multibranch")))
    assert finding.level == WARNING and "needs a Jenkinsfile" in finding.what
    assert "verify" not in {item.path[-1] for item in result.items}


def test_a_multibranch_project_where_none_finds_changes_is_a_warning_and_no_project(settings):
    result, (finding,) = desired(settings, discovery(source(verify="multibranch", jenkinsfile="J", provider=GIT)))
    assert finding.level == WARNING
    assert finding.what == "changes are not verified: multibranch projects are for Gerrit, GitHub and GitLab"
    assert "verify" not in {item.path[-1] for item in result.items}


def test_the_ids_of_sources_are_stable_and_their_own(settings):
    one, other = (
        source("a/b", verify="multibranch", jenkinsfile="J"),
        source("a/c", verify="multibranch", jenkinsfile="J"),
    )
    ids = {xml(settings, each, path=f"amis/{each.id}/verify").findtext(".//source/id") for each in (one, one, other)}
    assert len(ids) == 2


def errors(settings, *found, **more):
    result, findings = desired(settings, replace(discovery(*found), **more))
    return result, [(str(one.where), one.what) for one in findings if one.level == ERROR]


def test_a_broken_source_is_told_and_what_it_has_is_kept(settings):

    broken = Broken(
        source("a/b").repository, "images", (Finding("x", ERROR, "wrong", Location("a/b/images/ami.yaml", 3)),)
    )
    result, found = errors(settings, source("a/c"), broken=(broken,))
    assert found == [("a/b/images/ami.yaml:3", "wrong")]
    kept = {"amis/a/b/images/build", "amis/a/b/images/verify", "amis/a/b/verify"}
    assert {"/".join(path) for path in result.kept} == kept
    assert any(item.path == ("amis", "a", "c", "build") for item in result.items)


def test_of_a_repository_that_cannot_be_read_all_is_kept(settings):
    broken = Broken(source("a/b").repository, None, (Finding("x", ERROR, "wrong", Location("a/b", 0)),))
    assert errors(settings, source("a/c"), broken=(broken,))[0].kept == (("amis", "a", "b"),)


def test_a_broken_source_does_not_hold_back_another_below_it(settings):
    broken = Broken(source("a/b").repository, "", (Finding("x", ERROR, "wrong", Location("a/b/ami.yaml", 3)),))
    result, _ = errors(settings, source("a/b", "images"), broken=(broken,))
    below = ("amis", "a", "b", "images", "build")
    assert below in {item.path for item in result.items}
    assert not any(below[: len(kept)] == kept for kept in result.kept)


def test_a_provider_that_failed_makes_it_incomplete(settings):
    assert not desired(settings, Discovery(failures=(Failure(GERRIT, "no answer"),)))[0].complete
    assert desired(settings, discovery(source()))[0].complete


def test_cycles_are_refused_and_their_jobs_kept(settings):
    result, found = errors(settings, source("r/a", base="b"), source("r/b", base="a"), source("r/c"))
    assert [what for _, what in found] == ["images are each other's base: r/a → r/b → r/a"] * 2
    assert {path[:3] for path in result.kept} == {("amis", "r", "a"), ("amis", "r", "b")}
    assert {item.source for item in result.items if item.source} == {"r/c"}


def test_two_sources_at_one_place_are_both_refused_whatever_their_order(settings):
    one, other = source("a/b", "c"), source("a/b/c")
    for order in ((one, other), (other, one)):
        result, found = errors(settings, *order)
        assert {what for _, what in found} == {
            "its folder in Jenkins would be that of a/b/c of gerrit as well",
            "its folder in Jenkins would be that of a/b:c of gerrit as well",
        }
        assert ("amis", "a", "b", "c", "build") in result.kept
        assert not any(item.source for item in result.items)


def test_one_repository_that_two_providers_have_is_refused(settings):
    _, found = errors(settings, source("a/b"), source("a/b", provider=GIT))
    assert [what for _, what in found] == [
        "its folder in Jenkins would be that of a/b of git-1 as well",
        "its folder in Jenkins would be that of a/b of gerrit as well",
    ]


def test_a_source_in_a_folder_called_like_a_job_is_refused(settings):
    for below in ("build", "verify/web"):
        result, found = errors(settings, source("a/b"), source("a/b", below))
        job = below.partition("/")[0]
        assert found == [("a/b", f"its job '{job}' would be at the place of the folder of a/b:{below}")]
        assert ("amis", "a", "b", "build") in result.kept


def test_a_repository_called_like_the_seed_job_is_refused(settings):
    _, found = errors(settings, source("seed"), source("drift/x"))
    assert found == [
        ("seed", "its folder would be at the place of the job 'seed'"),
        ("drift/x", "its folder would be at the place of the job 'drift'"),
    ]


def test_a_locked_setting_is_refused_in_ami_yaml(tmp_path):
    settings = config(tmp_path, CONFIG + "locked: [credentials, verify]\n")
    _, found = errors(
        settings, source("a", aws_credentials="x"), source("b", verify_jenkinsfile="J"), source("c", local=True)
    )
    assert [what for _, what in found] == [
        "ami.yaml sets 'jobs: credentials', which jobs.yaml locks",
        "ami.yaml sets 'jobs: verify', which jobs.yaml locks",
    ]


def test_a_branch_or_path_that_jenkins_would_expand_is_refused(settings):
    _, found = errors(settings, source("a", branch="x$HOME"), source("b", "$X", jenkinsfile="$X/Jenkinsfile"))
    assert [what for _, what in found] == [
        "the branch 'x$HOME' cannot be given to Jenkins, which expands '$'",
        "the path '$X/Jenkinsfile' cannot be given to Jenkins, which expands '$'",
    ]


HOSTILE = 'it\'s "q" ]]> $HOME ${jndi:ldap://x} <script>alert(1)</script> &amp; é日😀 \\u0027'


def test_hostile_texts_arrive_as_they_were(settings):
    found = source("r", image="base")
    found = replace(found, identity=replace(found.identity, description=f"{HOSTILE}\nsecond line"))
    root = xml(settings, found, path="amis/r")
    assert root.findtext("description").startswith(f"{HOSTILE}\nsecond line\n")


def test_names_that_jenkins_refuses_have_a_place_and_keep_their_name(settings):
    found = source("a/x:y ${z}\n" + "w" * 300)
    path = source_path(settings, found.repository.name)
    assert path[:2] == ("amis", "a") and path[2].startswith("x~3ay ~24{z}~0a")
    root = xml(settings, found, path="/".join(path))
    assert root.findtext("displayName") == "x:y ${z}\n" + "w" * 300


def test_descriptions_are_escaped_where_jenkins_takes_them_for_html(tmp_path):
    settings = config(tmp_path, CONFIG + "markup: html\n")
    found = source("r")
    found = replace(found, identity=replace(found.identity, description="<b onmouseover=x>"))
    lines = xml(settings, found, path="amis/r").findtext("description").split("\n")
    assert lines[0] == "&lt;b onmouseover=x&gt;<br>"
    assert lines[-1].startswith("[jenkins-ami amis ") and lines[-1].endswith("]")


def test_an_implicit_library_is_not_named_in_scripts(settings):
    implicit = replace(settings, library=Library("ami", "https://h/l", implicit=True))
    assert "@Library" not in xml(implicit, source()).findtext(".//script")
    assert "@Library('jenkins-ami@v1') _" in xml(settings, source()).findtext(".//script")


def test_ten_times_the_sources_are_ten_times_the_items(settings):
    found = [source(f"r/i{n:04}", base=f"i{n - 1:04}" if n % 9 else "scratch") for n in range(1000)]
    assert len(items(settings, *found)) == 3 * 1000 + 1 + 5
