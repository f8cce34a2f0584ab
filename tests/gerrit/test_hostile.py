"""A change whose every text is meant badly, pushed to a real Gerrit, reviewed, and read back."""

from __future__ import annotations

import pytest

from jenkins_ami.artifacts import TestRecord
from jenkins_ami.verification import FAILED, Boot, Note, Replacement, Sizes, Verification, VerifiedSource
from tests.gerrit_server import Gerrit

from .conftest import LABEL, Project, Reviewer
from .test_text import HOSTILE, check

pytestmark = [pytest.mark.gerrit, pytest.mark.xdist_group("gerrit")]

NAMES = [
    "a b/%2F+?#&=.yml",
    "$(touch pwned)`id`;'\"<b>.yml",
    "\u202egnp.yml",
    "new\nline\ttab.yml",
    "ünï\N{GRINNING FACE}/x.yml",
    "*[x](evil.example)_`.yml",
    "-rf",
    "@admin@example.com",
]


def test_a_hostile_change_is_reviewed_and_nothing_in_it_is_obeyed(accounts: Gerrit, review: Reviewer) -> None:
    project = Project(accounts, "hostile/it's & ümläut;(1)")
    branch = "x$(id)'\"<b>&;`"
    accounts.create_project(project.name, branch=branch)
    accounts.create_label(project.name, LABEL)
    accounts.permit_label(project.name, LABEL, -1, 1)
    change = project.push(
        dict.fromkeys(NAMES, "1\n2\n"),
        base=f"refs/heads/{branch}",
        ref=f"refs/for/{branch}",
        subject="<script>alert(1)</script> $(id) ${IFS} `x` \u202e [x](http://evil.example) @admin@example.com",
    )
    accounts.api("PUT", f"{change.path}/topic", {"topic": "$(id) <b> `x` \N{RIGHT-TO-LEFT OVERRIDE}"})
    notes = [
        Note("r<b>`", "error", text, hint=text, path=name, line=1, column=1, fix=Replacement(1, 1, 2, text[:50]))
        for name, text in zip(NAMES, HOSTILE, strict=False)
    ]
    notes += [Note(f"rule{number}", "error", text, path="not/there <b>`") for number, text in enumerate(HOSTILE)]
    bad = VerifiedSource(
        folder=NAMES[5],
        outcome=FAILED,
        name="[x](http://evil.example)",
        version="<GERRIT_ACCOUNT_1000000>",
        reason=HOSTILE[1],
        notes=tuple(notes),
        parent=HOSTILE[3],
        counts={"cloud-config": {"added": 1}},
        changes=tuple(text[:3000] for text in HOSTILE),
        userdata=Sizes(1, 2),
        boot=Boot(FAILED, HOSTILE[4], tested=tuple(TestRecord(text[:99], False, text[:99]) for text in HOSTILE)),
    )
    verification = Verification(change.commit, FAILED, reason=HOSTILE[0], subject=HOSTILE[0], sources=(bad,))
    path = review.folder / "verification.json"
    path.write_bytes(_json(verification))

    done = review(path, "--url", accounts.url, "-v")
    assert (done.code, done.out.count("\n")) == (0, 1), done
    assert all(char.isprintable() or char == "\n" for char in done.out + done.err)

    assert change.vote() == -1
    (message,) = change.messages()
    check(message.partition("\n\n")[2].partition("\n\n")[2])  # below votes and the count, which are Gerrit's
    own = [one for one in change.detail()["messages"] if one["author"].get("username") == "ci"]
    assert own[0]["accounts_in_message"] == []
    comments = change.comments()
    assert {one["path"] for one in comments} == {*NAMES, "/PATCHSET_LEVEL"}
    for comment in comments:
        check(comment["message"])
    attention = change.detail()["attention_set"].values()
    assert "mentioned" not in str(attention)

    again = review(path, "--url", accounts.url)
    assert (again.code, again.out.endswith("nothing new to say\n")) == (0, True), again


def _json(verification: Verification) -> bytes:
    """As ``to_json``, with what is no UTF-8 as JSON writes it."""
    import dataclasses
    import json

    return json.dumps(dataclasses.asdict(verification)).encode()
