"""``verification.json``, as those read it who act on it."""

from __future__ import annotations

import json

import pytest

from jenkins_ami.artifacts import TestRecord, to_json
from jenkins_ami.errors import InputError
from jenkins_ami.verification import (
    FAILED,
    PASSED,
    VERIFICATION,
    Boot,
    Note,
    Replacement,
    Sizes,
    Verification,
    VerifiedSource,
    read_verification,
)

WHOLE = Verification(
    commit="c" * 40,
    outcome=FAILED,
    parent="d" * 40,
    reason="web: odd",
    subject="A subject <b>",
    changed=("web/a\nb", "é"),
    sources=(
        VerifiedSource(
            "web",
            FAILED,
            notes=(Note("r", "error", "odd", "Look", "web/a", 3, 4, Replacement(3, 4, 8, "x\t")),),
            counts={"overlay": {"added": 1}},
            changes=("overlay", "  + fs/a"),
            userdata=Sizes(None, 5),
            boot=Boot(PASSED, seconds=2.5, tested=(TestRecord("t", True),)),
        ),
    ),
)


def test_what_is_written_is_what_is_read_by_its_file_or_its_folder(tmp_path):
    (tmp_path / VERIFICATION).write_text(to_json(WHOLE))
    assert read_verification(tmp_path) == read_verification(tmp_path / VERIFICATION) == WHOLE


def test_one_that_is_not_there_says_who_writes_it(tmp_path):
    with pytest.raises(InputError) as caught:
        read_verification(tmp_path)
    assert caught.value.line() == (
        f"verification.json is missing ({tmp_path}/verification.json). 'jenkins-ami verify' writes it."
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "schema 2 is not 1"),
        ({"commit": 1}, "verification.json.commit is not a text"),
        ({"sources": [{"folder": "a"}]}, "verification.json.sources[0].outcome is missing"),
        ({"more": 1}, "verification.json.more is not known"),
    ],
)
def test_one_that_is_of_another_form_is_refused(tmp_path, change, said):
    (tmp_path / VERIFICATION).write_text(json.dumps(json.loads(to_json(WHOLE)) | change))
    with pytest.raises(InputError) as caught:
        read_verification(tmp_path)
    assert caught.value.what == said
