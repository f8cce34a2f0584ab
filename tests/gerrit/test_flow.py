"""A verification's way into a real Gerrit, and read back."""

from __future__ import annotations

import dataclasses

import pytest

from jenkins_ami.artifacts import TestRecord
from jenkins_ami.verification import FAILED, SKIPPED, Boot

from .conftest import LABEL, TAG, Project, Reviewer
from .verifications import YML, broken, changed, error, failed, passed, skipped, slip, source, warning

pytestmark = [pytest.mark.gerrit, pytest.mark.xdist_group("gerrit")]

FILES = {YML: "#cloud-config\npakages: [nginx]\nruncmd: [x]\n", "web/ami.env": "NAME=web-server\n"}


def test_what_passes_gets_a_vote_and_a_message_that_shows_the_machine(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    line = review.ok(change, passed(changed(), commit=change.commit), "--link", "https://ci.example/job/1/")
    assert line == (f"change {change.number} ({project.name}, master), patch set 1: Verified +1, a message")
    assert change.vote() == 1
    assert change.messages() == [
        "Patch Set 1: Verified+1\n\n"
        "Verified: web-server 1.2 compiles, boots, 3 of 3 tests passed\n\n"
        "web-server 1.2 in `web`:\n\n"
        "What changes on the machine (cloud-config 1 added; overlay 1 changed):\n\n"
        "    cloud-config\n"
        "      + packages: htop\n"
        "    overlay\n"
        "      ~ fs/etc/motd mode 0644 -> 0600, 3 -> 4 bytes\n\n"
        "Sizes:\n\n"
        "    user-data  2819 -> 6088 bytes\n"
        "    overlay    509 bytes, as before\n\n"
        "Boot: passed in 1 min 35 s; 3 of 3 tests passed.\n\n"
        "More: https://ci.example/job/1/"
    ]
    (own,) = [one for one in change.detail()["messages"] if one.get("tag") == TAG]
    assert own["_revision_number"] == 1


def test_what_fails_gets_a_negative_vote_and_comments_at_the_lines(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    line = review.ok(change, failed(slip(), warning(), commit=change.commit))
    assert line.endswith("patch set 1: Verified -1, a message, 2 comments")
    assert change.vote() == -1
    assert change.messages()[0].startswith(
        "Patch Set 1: Verified-1\n\n(2 comments)\n\njenkins-ami: 1 error in web-server"
    )
    odd, wrong = change.comments()
    assert (wrong["path"], wrong["line"], wrong["unresolved"], wrong["tag"]) == (YML, 2, True, TAG)
    assert wrong["message"] == (
        "there is no cloud-config key 'pakages'. Did you mean 'packages'. Write `packages`. (cloud-config-key)"
    )
    assert wrong["range"] == {"start_line": 2, "start_character": 0, "end_line": 2, "end_character": 7}
    assert (odd["line"], odd["unresolved"], odd["message"]) == (1, False, "this is odd. (odd)")


def test_a_second_run_adds_nothing(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    verification = failed(slip(), warning(), error("elsewhere", "other/x"), commit=change.commit)
    review.ok(change, verification)
    before = change.detail()
    comments = change.comments()
    assert review.ok(change, verification).endswith("patch set 1: nothing new to say")
    assert change.comments() == comments and len(comments) == 3
    after = change.detail()
    assert (after["messages"], after["updated"]) == (before["messages"], before["updated"])


def test_a_new_patch_set_resolves_what_is_fixed_and_does_not_repeat_the_rest(
    project: Project, review: Reviewer
) -> None:
    first = project.push({**FILES, "web/b.yml": "x"})
    notes = (slip(), error("the second", YML, 3), error("the third", "web/b.yml", 1), warning())
    review.ok(first, failed(*notes, commit=first.commit))
    again = project.push({**FILES, YML: "#cloud-config\n\npackages: [x]\nruncmd: [x]\n"}, change_id=first.change_id)
    # one is mended, one has moved, the file of one is not in the patch set any more
    line = review.ok(again, failed(error("the second", YML, 4), warning(), commit=again.commit))
    assert line.endswith("patch set 2: Verified -1, a message, 2 resolved")
    replies = [one for one in again.comments() if "in_reply_to" in one]
    assert {one["message"] for one in replies} == {"Fixed in patch set 2."}
    assert {(one["path"], one["patch_set"], one["unresolved"]) for one in replies} == {
        (YML, 1, False),
        ("web/b.yml", 1, False),
    }
    assert len(again.comments()) == 6
    assert again.detail()["unresolved_comment_count"] == 1
    # and once more there is nothing to do
    assert review.ok(again, failed(error("the second", YML, 4), warning(), commit=again.commit)).endswith(
        "nothing new to say"
    )


def test_a_comment_that_a_person_resolved_is_repeated_on_a_newer_patch_set_only(
    project: Project, review: Reviewer
) -> None:
    first = project.push(FILES)
    review.ok(first, failed(slip(), commit=first.commit))
    (comment,) = first.comments()
    done = {"message": "Done", "line": 2, "in_reply_to": comment["id"], "unresolved": False}
    first.post("revisions/1/review", {"comments": {YML: [done]}})
    assert review.ok(first, failed(slip(), commit=first.commit)).endswith("nothing new to say")
    again = project.push({**FILES, "x": "y"}, change_id=first.change_id)
    review.ok(again, failed(slip(), commit=again.commit))
    assert [(one["patch_set"], one["unresolved"]) for one in again.comments()] == [(1, True), (2, True)]


def test_what_was_resolved_by_us_and_comes_back_is_told_again(project: Project, review: Reviewer) -> None:
    one = project.push(FILES)
    review.ok(one, failed(slip(), commit=one.commit))
    two = project.push({**FILES, "x": "2"}, change_id=one.change_id)
    review.ok(two, passed(commit=two.commit))
    three = project.push({**FILES, "x": "3"}, change_id=one.change_id)
    review.ok(three, failed(slip(), commit=three.commit))
    states = [(each["patch_set"], each["unresolved"]) for each in three.comments()]
    assert sorted(states) == [(1, False), (1, True), (3, True)]
    assert three.vote() == -1


def test_what_others_say_is_left_alone(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    theirs = {"message": "Why?", "line": 2, "unresolved": True}
    change.post("revisions/1/review", {"comments": {YML: [theirs]}})
    # nor what the account said without being this program
    change.post("revisions/1/review", {"comments": {YML: [theirs]}}, user="ci", password=review.environ["GERRIT_TOKEN"])
    review.ok(change, passed(commit=change.commit))
    assert change.detail()["unresolved_comment_count"] == 2


def test_findings_in_files_that_the_patch_set_does_not_touch_are_one_comment_on_it(
    project: Project, review: Reviewer
) -> None:
    change = project.push(FILES)
    outside = (error("one", "other/a.yml", 3), error("two", "", 0), warning("three", "other/b.yml", 1))
    review.ok(change, failed(*outside, commit=change.commit))
    (comment,) = change.comments()
    assert (comment["path"], comment["unresolved"]) == ("/PATCHSET_LEVEL", True)
    assert comment["message"] == (
        "3 findings outside of the files that this patch set touches:\n\n"
        "    error: two. Did you mean 'packages'\n"
        "    other/a.yml:3:1: error: one. Did you mean 'packages'\n"
        "    other/b.yml:1: warning: three"
    )
    again = project.push({**FILES, "x": ""}, change_id=change.change_id)
    review.ok(again, failed(outside[0], commit=again.commit))
    _, reply, new = sorted(again.comments(), key=lambda one: (one["patch_set"], one["updated"], "in_reply_to" in one))
    assert (reply["message"], reply["unresolved"]) == ("See the newer comment on patch set 2.", False)
    assert new["message"].startswith("1 finding outside")


def test_places_that_are_not_there_hinder_nothing(project: Project, review: Reviewer) -> None:
    change = project.push({**FILES, "bin": b"\0\1"})
    notes = (
        error("far below", YML, 9000),
        error("beyond the line", YML, 1, column=4000),
        error("a binary file", "bin", 7),
        error("the whole file", "web/ami.env", 0),
        error("a file that never was", "none.yml", 1),
    )
    assert review.ok(change, failed(*notes, commit=change.commit)).endswith("Verified -1, a message, 5 comments")
    assert change.vote() == -1


def test_a_comment_on_a_deleted_file_is_on_the_file(project: Project, review: Reviewer) -> None:
    project.gerrit.push(project.name, {"gone.yml": "1\n2\n"})
    change = project.push({"gone.yml": None, **FILES})
    review.ok(change, failed(error("gone", "gone.yml", 2), commit=change.commit))
    (comment,) = change.comments()
    assert comment["path"] == "gone.yml" and "line" not in comment


def test_a_merge_is_reviewed_by_what_it_changes_itself(project: Project, review: Reviewer) -> None:
    project.gerrit.push(project.name, {"a": "1"}, ref="refs/heads/side")
    change = project.push(FILES)
    merged = project.gerrit.api(
        "POST",
        "/changes/",
        {"project": project.name, "branch": "master", "subject": "M", "merge": {"source": "side"}},
    )
    commit = project.gerrit.api("GET", f"/changes/{merged['_number']}/detail?o=CURRENT_REVISION")["current_revision"]
    merge = dataclasses.replace(change, number=merged["_number"], commit=commit)
    review.ok(merge, failed(error("in a", "a", 1), commit=commit))
    (comment,) = merge.comments()
    assert comment["path"] == "/PATCHSET_LEVEL"
    assert merge.vote() == -1


def test_a_change_that_touches_no_source_gets_its_vote(project: Project, review: Reviewer) -> None:
    change = project.push({"README": "x"})
    review.ok(change, skipped(change.commit))
    assert change.vote() == 1
    assert change.messages() == ["Patch Set 1: Verified+1\n\nVerified: no AMI source is touched"]


def test_what_could_not_be_verified_gets_a_message_and_no_vote(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    assert review.ok(change, broken(commit=change.commit)).endswith("patch set 1: a message")
    assert change.vote() in (None, 0)
    assert change.messages() == ["Patch Set 1:\n\njenkins-ami: not verified: there is no bwrap"]


def test_without_a_verification_the_reason_is_told(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    words = ("--url", change.gerrit.url, "--commit", change.commit, "--broken", "the agent's disk is full")
    done = review(*words)
    assert done.code == 0, done
    assert change.messages() == ["Patch Set 1:\n\njenkins-ami: not verified: the agent's disk is full"]


def test_broken_resolves_nothing_and_takes_no_vote_back(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    review.ok(change, failed(slip(), commit=change.commit))
    review.ok(change, broken(commit=change.commit))
    assert change.vote() == -1 and len(change.comments()) == 1


def test_another_outcome_on_the_same_patch_set_is_told_each_time(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    for verification in (
        passed(commit=change.commit),
        failed(commit=change.commit, reason="it hangs", boot=Boot(FAILED, "it hangs")),
        passed(commit=change.commit),
    ):
        review.ok(change, verification)
    assert [one.split("\n")[0] for one in change.messages()] == [
        "Patch Set 1: Verified+1",
        "Patch Set 1: Verified-1",
        "Patch Set 1: Verified+1",
    ]


def test_a_vote_that_somebody_removed_is_given_again_without_the_message(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    review.ok(change, passed(commit=change.commit))
    change.gerrit.api("DELETE", f"{change.path}/reviewers/ci/votes/{LABEL}")
    assert change.vote() in (None, 0)
    assert review.ok(change, passed(commit=change.commit)).endswith("patch set 1: Verified +1")
    assert change.vote() == 1


def test_a_recheck_by_another_build_is_answered(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    for number in (1, 2):
        review.ok(change, passed(commit=change.commit), "--link", f"https://ci.example/{number}")
    assert [one.rpartition("\n")[2] for one in change.messages()] == [
        "More: https://ci.example/1",
        "More: https://ci.example/2",
    ]


def test_why_it_fails_and_what_was_not_compared_is_told(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    boot = Boot(FAILED, "a test failed", tested=(TestRecord("web", False, "exit code 7, not 0"), TestRecord("b", True)))
    review.ok(change, failed(commit=change.commit, reason="1 of 2 tests failed", parent="it is new", boot=boot))
    assert change.messages()[0].partition("\n\n")[2] == (
        "jenkins-ami: web-server 1.2: 1 of 2 tests failed\n\n"
        "web-server 1.2 in `web`:\n\n"
        "Failed: 1 of 2 tests failed.\n\n"
        "Not compared with the parent: it is new.\n\n"
        "Boot: failed: a test failed.\n\n"
        "Tests that failed:\n\n"
        "    web: exit code 7, not 0"
    )


def test_what_was_not_booted_says_why(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    review.ok(change, passed(source(boot=Boot(SKIPPED, "this host has no QEMU")), commit=change.commit))
    text = change.messages()[0]
    assert "Verified: web-server 1.2 compiles\n" in text and "Not booted: this host has no QEMU." in text


def test_a_dry_run_prints_the_review_and_posts_nothing(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    before = change.detail()
    data = review.json(change, failed(slip(), commit=change.commit))
    assert change.detail() == before and change.comments() == []
    assert (data["change"], data["patch_set"], data["posted"]) == (change.number, 1, False)
    assert data["review"]["labels"] == {LABEL: -1}
    assert data["review"]["notify"] == "OWNER"
    (comment,) = data["review"]["comments"][YML]
    (fix,) = comment["fix_suggestions"]
    assert fix["replacements"][0]["replacement"] == "packages"


def test_a_long_diff_is_cut_and_says_so(project: Project, review: Reviewer) -> None:
    change = project.push(FILES)
    lines = tuple(f"  + write_files: /srv/\N{GRINNING FACE}/{number} {'x' * 200}" for number in range(500))
    many = tuple(source(folder=f"s{number}", changes=lines) for number in range(3))
    review.ok(change, passed(*many, commit=change.commit), "--link", "https://ci.example/1")
    (text,) = change.messages()
    assert text.count("more lines") == 3 and text.endswith("More: https://ci.example/1")


def test_a_hundred_findings_get_comments_and_the_rest_is_counted(project: Project, review: Reviewer) -> None:
    change = project.push({YML: "x\n" * 200})
    notes = tuple(error(f"finding {number}", YML, number) for number in range(1, 131))
    review.ok(change, failed(*notes, commit=change.commit))
    assert len(change.comments()) == 100
    assert "Of 130 findings 30 are not shown at their lines." in change.messages()[0]
    assert review.ok(change, failed(*notes, commit=change.commit)).endswith("nothing new to say")
