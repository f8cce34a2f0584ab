"""What a real Gerrit refuses, and what is said and done then."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from jenkins_ami.credentials import Credentials
from jenkins_ami.gerrit.client import Gerrit as Client
from jenkins_ami.gerrit.find import Hints
from jenkins_ami.gerrit.model import Change
from jenkins_ami.gerrit.publish import publish
from jenkins_ami.gerrit.review import ReviewInput
from jenkins_ami.progress import Progress
from tests.gerrit_server import REGISTERED, Gerrit

from .conftest import CI, LABEL, TOKEN, Project, Pushed, Reviewer
from .verifications import COMMIT, YML, changed, error, failed, passed, skipped, slip

pytestmark = [pytest.mark.gerrit, pytest.mark.xdist_group("gerrit")]

FILES = {YML: "#cloud-config\npakages: [nginx]\n"}


def without_label(gerrit: Gerrit, name: str, *, label: bool = False) -> Project:
    """A project in which nobody may vote ``Verified``; it has the label or not."""
    gerrit.create_project(name)
    if label:
        gerrit.create_label(name, LABEL)
    return Project(gerrit, name)


def test_a_wrong_password_is_one_line(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    done = review.of(change, passed(commit=change.commit), GERRIT_TOKEN="wrong-p4ssword")
    assert done.code == 7 and "wrong-p4ssword" not in done.out + done.err
    assert done.error == (
        f"Gerrit does not accept the secret of ci ({change.gerrit.url}). "
        "Check GERRIT_USER and GERRIT_TOKEN, or netrc: what counts is the account's HTTP password or token."
    )


def test_nobody_is_not_let_in(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    done = review.of(change, passed(commit=change.commit), GERRIT_USER=None, GERRIT_TOKEN=None)
    assert done.code == 2
    assert done.error == (
        f"there is nobody to sign in as ({change.gerrit.url}). "
        "Set GERRIT_USER and GERRIT_TOKEN, or add the host to netrc."
    )


def test_netrc_is_an_account_too(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    netrc = review.folder / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login {CI} password {TOKEN}\n")
    netrc.chmod(0o600)
    review.ok(change, passed(commit=change.commit), GERRIT_USER=None, GERRIT_TOKEN=None)
    assert change.vote() == 1


@pytest.mark.parametrize("private", [False, True], ids=["hidden project", "private change"])
def test_a_change_that_may_not_be_read_is_like_none(project: Project, review: Reviewer, private: bool) -> None:
    change = project.push(FILES, ref="refs/for/master%private" if private else "refs/for/master")
    if not private:
        access = {"exclusive": True, "rules": {REGISTERED: {"action": "BLOCK"}}}
        body = {"add": {"refs/*": {"permissions": {"read": access}}}}
        project.gerrit.api("POST", f"/projects/{project.name.replace('/', '%2F')}/access", body)
    done = review.of(change, passed(commit=change.commit), "--wait", "0")
    assert done.code == 7
    assert done.error == (
        f"Gerrit has no change with commit {change.commit}, or hides it from ci (asked for 0 s) ({change.gerrit.url}). "
        "Check that it was pushed for review there, and that the account may read it."
    )


def test_a_deleted_change_is_like_none(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    project.gerrit.api("DELETE", change.path)
    done = review.of(change, passed(commit=change.commit), "--wait", "0.1", "--change", str(change.number))
    assert done.code == 7
    assert done.error.startswith(
        f"Gerrit has no change {change.number} with commit {change.commit}, or hides it from ci"
    )


def test_an_account_that_may_not_vote_comments_all_the_same(accounts: Gerrit, review: Reviewer) -> None:
    project = without_label(accounts, "refusals/novote", label=True)
    change = project.push(FILES)
    done = review.of(change, failed(slip(), commit=change.commit))
    assert done.code == 7
    assert done.error == (
        f"the account may not vote on 'Verified' in {project.name}, -1 is needed ({accounts.url}). "
        f"Grant it 'Label Verified' -1..+1 on refs/heads/* in the access of {project.name} or of a parent."
    )
    assert done.out.endswith("patch set 1: a message, 1 comment\n")
    assert len(change.comments()) == 1 and len(change.messages()) == 1


def test_a_label_that_the_project_does_not_have_is_named(accounts: Gerrit, review: Reviewer) -> None:
    project = without_label(accounts, "refusals/nolabel")
    change = project.push(FILES)
    done = review.of(change, skipped(change.commit))
    assert done.code == 7
    assert done.error == (
        f"the project {project.name} has no label 'Verified' for the branch master ({accounts.url}). "
        "Define it ('[label \"Verified\"]' in project.config of it or of a parent), or give --label."
    )
    assert change.messages() == ["Patch Set 1:\n\nVerified: no AMI source is touched"]


def test_another_label_can_be_voted_on(accounts: Gerrit, review: Reviewer) -> None:
    project = without_label(accounts, "refusals/other")
    accounts.create_label(project.name, "AMI-Check", low=-2, high=2)
    accounts.permit_label(project.name, "AMI-Check", -2, 2)
    change = project.push(FILES)
    review.ok(change, failed(slip(), commit=change.commit), "--label", "AMI-Check")
    assert change.vote("AMI-Check") == -1


def test_a_vote_out_of_range_is_clipped_and_takes_the_old_one_back(accounts: Gerrit, review: Reviewer) -> None:
    project = without_label(accounts, "refusals/range", label=True)
    accounts.permit_label(project.name, LABEL, 0, 1)
    change = project.push(FILES)
    review.ok(change, passed(commit=change.commit))
    done = review.of(change, failed(slip(), commit=change.commit))
    assert (done.code, change.vote()) == (7, 0)
    assert done.error.startswith(f"the account may vote +0 to +1 only on 'Verified' in {project.name}, -1 is needed")


@pytest.mark.parametrize("status", ["abandoned", "merged"])
def test_a_closed_change_gets_nothing_and_that_is_no_failure(project: Project, review: Reviewer, status: str) -> None:
    change = project.push(FILES)
    if status == "abandoned":
        change.post("abandon")
    else:
        change.post("revisions/1/review", {"labels": {"Code-Review": 2, LABEL: 1}})
        change.post("submit")
    before = change.detail()
    done = review.of(change, failed(slip(), commit=change.commit))
    assert (done.code, done.err.count("error")) == (0, 0)
    assert done.out == (
        f"change {change.number} ({project.name}, master), patch set 1: nothing posted, it is {status}\n"
    )
    assert change.detail() == before


class Meanwhile(Client):
    """Something happens between looking and posting."""

    def __init__(self, pushed: Pushed, happens: str = "") -> None:
        super().__init__(pushed.gerrit.url, Credentials(CI, TOKEN))
        self.pushed = pushed
        self.happens = happens
        self.posts = 0

    def review(self, change: Change, patch_set: int, review: ReviewInput) -> None:
        self.posts += 1
        if self.happens:
            self.pushed.post(self.happens)
            self.happens = ""
        super().review(change, patch_set, review)


def test_a_change_that_is_closed_at_that_moment_is_closed(project: Project) -> None:
    change = project.push(FILES)
    client = Meanwhile(change, "abandon")
    done = publish(client, passed(commit=change.commit), Hints(), label=LABEL, progress=Progress())
    assert done.closed == "abandoned" and client.posts == 1


def test_an_outdated_patch_set_gets_vote_and_message_and_no_comments(project: Project, review: Reviewer) -> None:
    first = project.push(FILES)
    second = project.push({**FILES, "x": "y"}, change_id=first.change_id)
    line = review.ok(first, failed(slip(), commit=first.commit))
    assert line.endswith("patch set 1 (outdated, the newest is 2): Verified -1, a message")
    assert (first.comments(), second.vote() or 0) == ([], 0)
    assert first.messages() == [
        "Patch Set 1: Verified-1\n\n"
        "jenkins-ami: 1 error in web-server\n\n"
        "Patch set 1 is outdated, the newest is 2.\n\n"
        "Findings:\n\n"
        f"    {YML}:2:1: error: there is no cloud-config key 'pakages'. Did you mean 'packages'\n\n"
        "web-server 1.2 in `web`:\n\n"
        "Findings: 1 error."
    ]
    attention = first.detail().get("attention_set", {})
    assert CI not in {one["account"].get("username") for one in attention.values()}
    assert review.ok(first, failed(slip(), commit=first.commit)).endswith("nothing new to say")


def test_a_late_vote_is_copied_to_a_newer_patch_set_where_the_label_says_so(project: Project, review: Reviewer) -> None:
    body = {"copy_condition": "changekind:NO_CODE_CHANGE"}
    project.gerrit.api("PUT", f"/projects/{project.name.replace('/', '%2F')}/labels/{LABEL}", body)
    first = project.push(FILES)
    second = project.push(FILES, change_id=first.change_id, subject="A better subject")
    review.ok(first, passed(commit=first.commit))
    assert second.vote() == 1


def test_the_index_may_lag_behind_a_push(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    client = Slow(change.gerrit.url, Credentials(CI, TOKEN))
    done = publish(client, passed(commit=change.commit), Hints(), label=LABEL, progress=Progress())
    assert done.change.number == change.number and client.asked == 3


class Slow(Client):
    """Its index knows nothing the first two times."""

    asked = 0

    def query(self, commit: str) -> list[Mapping[str, Any]]:
        self.asked += 1
        return super().query(commit) if self.asked > 2 else []


def test_several_changes_with_the_commit_want_a_choice(project: Project, review: Reviewer) -> None:
    name = project.name.replace("/", "%2F")
    base = project.gerrit.api("GET", f"/projects/{name}/branches/master")["revision"]
    project.gerrit.api("PUT", f"/projects/{name}/branches/stable", {"revision": base})
    change = project.push(FILES, ref=("refs/for/master", f"refs/for/stable%base={base}"))
    rows = project.gerrit.api("GET", f"/changes/?q=commit:{change.commit}")
    by_branch = {row["branch"]: row["_number"] for row in rows}
    master, stable = (f"{project.name}~{by_branch[branch]}" for branch in ("master", "stable"))
    verification = passed(commit=change.commit)

    done = review.of(change, verification)
    listed = ", ".join(sorted((f"{master} (master)", f"{stable} (stable)")))
    assert (done.code, done.error) == (1, f"several changes have this commit: {listed}. Say which with --change.")

    assert f"({project.name}, stable)" in review.ok(change, verification, "--change", stable)
    assert review.ok(change, verification, "--change", str(by_branch["stable"])).endswith("nothing new to say")
    hints = {"GERRIT_PROJECT": project.name, "GERRIT_CHANGE_NUMBER": str(by_branch["master"])}
    assert f"({project.name}, master)" in review.ok(change, verification, **hints)
    triplet = f"{project.name}~stable~{change.change_id}"
    assert review.ok(change, verification, "--change", triplet).endswith("nothing new to say")
    done = review.of(change, verification, "--change", change.change_id)
    assert done.error.startswith("several changes have this commit: ")
    # the one that is open is meant
    project.gerrit.api("POST", f"/changes/{by_branch['stable']}/abandon", {})
    assert f"({project.name}, master)" in review.ok(change, verification)


def test_hints_of_another_change_are_not_followed(project: Project, review: Reviewer) -> None:
    other, change = project.push({"x": "1"}), project.push(FILES)
    hints = {"GERRIT_PROJECT": project.name, "GERRIT_CHANGE_NUMBER": str(other.number)}
    assert review.ok(change, passed(commit=change.commit), **hints).startswith(f"change {change.number} ")


def test_a_change_that_was_named_and_does_not_have_the_commit_is_refused(project: Project, review: Reviewer) -> None:
    other, change = project.push({"x": "1"}), project.push(FILES)
    done = review.of(change, passed(commit=change.commit), "--change", str(other.number), "--wait", "0")
    assert (done.code, done.error) == (
        1,
        f"commit {change.commit} is no patch set of change {project.name}~{other.number}. Correct --change.",
    )


class Wrong(Meanwhile):
    """Thinks that a patch set touches a file that it does not."""

    def files(self, change: Change, patch_set: int) -> dict[str, str]:
        return {**super().files(change, patch_set), "not/there.yml": "M"}


def test_one_comment_that_gerrit_refuses_does_not_keep_the_rest_back(project: Project) -> None:
    change = project.push(FILES)
    verification = failed(slip(), error("lost", "not/there.yml", 1), commit=change.commit)
    client = Wrong(change)
    publish(client, verification, Hints(), label=LABEL, progress=Progress())
    assert change.vote() == -1
    assert {one["path"] for one in change.comments()} == {YML, "/PATCHSET_LEVEL"}


@pytest.mark.parametrize(("there", "code", "vote"), [(4997, 0, -1), (4998, 7, None)], ids=["almost full", "full"])
def test_a_change_that_is_full_of_comments_gets_a_vote_as_long_as_gerrit_takes_one(
    project: Project, review: Reviewer, there: int, code: int, vote: int | None
) -> None:
    change = project.push(FILES)
    # change.maxComments is 5000, and counts messages: there are two
    change.post("revisions/1/review", {"comments": {YML: [{"message": f"{n}"} for n in range(there)]}})
    done = review.of(change, failed(slip(), commit=change.commit))
    assert (done.code, change.vote(), change.comments()) == (code, vote, [])
    if code:
        assert done.error.startswith("Gerrit answered 400: One or more comments were rejected in validation: ")
    else:
        assert "Gerrit does not take comments here.\n\nFindings:\n\n    web/" in change.messages()[0]


def test_a_lower_limit_for_messages_leaves_the_first_line(project: Project) -> None:
    change = project.push(FILES)
    publish(Terse(change), passed(changed(), commit=change.commit), Hints(), label=LABEL, progress=Progress())
    assert change.messages() == [
        "Patch Set 1: Verified+1\n\nVerified: web-server 1.2 compiles, boots, 3 of 3 tests passed"
    ]


class Terse(Meanwhile):
    """Its messages are too long for the server, whose limit is 16 KiB."""

    def review(self, change: Change, patch_set: int, review: ReviewInput) -> None:
        if "\n" in review.message:
            review = dataclasses.replace(review, message=review.message + "x" * 16_384)
        super().review(change, patch_set, review)


def test_fixes_that_gerrit_does_not_take_are_told_in_words(project: Project) -> None:
    change = project.push(FILES)
    client = Meanwhile(change)
    publish(client, failed(slip(), commit=change.commit), Hints(), label=LABEL, progress=Progress())
    (comment,) = change.comments()
    assert client.posts == 2 and "fix_suggestions" not in comment
    assert "Write `packages`." in comment["message"]


def test_an_experiment_of_gerrit_lets_fixes_in(tmp_path_factory: pytest.TempPathFactory, review: Reviewer) -> None:
    from tests.gerrit_server import running_gerrit

    on = {"experiments__enabled": "GerritBackendFeature__allow_fix_suggestions_in_comments"}
    with running_gerrit(tmp_path_factory.mktemp("experiments"), **on) as server:
        server.create_account(CI, TOKEN)
        server.create_project("p")
        server.create_label("p", LABEL)
        server.permit_label("p", LABEL, -1, 1)
        change = Project(server, "p").push(FILES)
        review.ok(change, failed(slip(), commit=change.commit))
        (comment,) = change.comments()
    (fix,) = comment["fix_suggestions"]
    (replacement,) = fix["replacements"]
    assert (fix["description"], replacement["path"], replacement["replacement"]) == ("Write packages", YML, "packages")
    span = {"start_line": 2, "start_character": 0, "end_line": 2, "end_character": 7}
    assert replacement["range"] == span == comment["range"]


def test_another_server_is_not_taken_for_gerrit(review: Reviewer) -> None:
    from tests.jobs.discovery.servers import Answer, Server

    page = {"Content-Type": "text/html"}
    for answer, line in [
        (
            Answer(404, "<html>", page),
            "there is no Gerrit at this URL (U). Check --url: it is what stands before '/c/' in a change's.",
        ),
        (
            Answer(200, "<html>Welcome", page),
            "Gerrit answered with a web page where JSON was expected (U/a/accounts/self). "
            "Check the URL: it must be the server's own, with no login page before it.",
        ),
        (
            Answer(200, "[1]"),
            "there is no Gerrit at this URL (U). Check --url: it is what stands before '/c/' in a change's.",
        ),
        (
            Answer(302, headers={"Location": "https://sso.example/login"}),
            "Gerrit sends us to another place, https://sso.example/login (U). "
            "If that is the server, give its URL; if it is a login page, give one that takes HTTP passwords.",
        ),
    ]:
        with Server(lambda _, answer=answer: answer) as server:  # type: ignore[misc]
            done = review(review.write(passed(commit=COMMIT)), "--url", server.url)
        assert (done.code, done.error) == (7, line.replace("U/", f"{server.url}/").replace("(U)", f"({server.url})"))
