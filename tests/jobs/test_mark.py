"""The owner mark: read back as it was put, among whatever people write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jenkins_ami.jobs.mark import ADOPTED, APPLYING, Mark, of, put, read, without

OWN = Mark("amis", "0123456789abcdef")
OTHER = Mark("b-team", "fedcba9876543210", frozenset({APPLYING}))
texts = st.text(st.sampled_from("ab \n[]jenkins-ami<&"), max_size=40)


def test_it_is_a_line_for_people_as_well():
    assert str(OWN) == "[jenkins-ami amis 0123456789abcdef]"
    assert str(OTHER) == "[jenkins-ami b-team fedcba9876543210 applying]"


@given(texts)
def test_what_was_put_is_read_back_and_the_words_stay(text):
    marked = put(text, OWN)
    assert of(marked, "amis") == OWN
    assert put(marked, OWN) == marked
    assert without(marked).rstrip("\n") == text.rstrip("\n")


@given(texts)
def test_two_owners_do_not_disturb_each_other(text):
    marked = put(put(text, OTHER), OWN)
    assert read(marked) == (OTHER, OWN)
    changed = put(marked, Mark("b-team", "0" * 16))
    assert of(changed, "amis") == OWN
    assert of(changed, "b-team") == Mark("b-team", "0" * 16)


def test_words_are_kept_in_one_order():
    mark = Mark("a", "0" * 16, frozenset({APPLYING, ADOPTED}))
    assert str(mark).endswith(" adopted applying]")
    assert of(put("", mark), "a") == mark


@pytest.mark.parametrize(
    "text",
    [
        "",
        "amis 0123456789abcdef",
        "[jenkins-ami amis 0123]",
        "[jenkins-ami Amis 0123456789abcdef]",
        "see [jenkins-ami amis 0123456789abcdef]",
        "[jenkins-ami amis 0123456789abcdef] and more",
        "[jenkins-ami amis 0123456789ABCDEF]",
        "<!-- Managed by Jenkins Job Builder -->",
    ],
)
def test_what_is_no_mark_is_nobodys(text):
    assert read(text) == ()


def test_a_line_like_a_mark_in_an_images_own_description_counts_for_nothing():
    forged = f"Nice.\n{OTHER}\nGenerated from automation/ami/base.\n{OWN}"
    assert read(forged) == (OWN,)
    assert of(forged, OTHER.owner) is None
    assert str(OTHER) in without(forged)


def test_what_a_person_writes_below_and_line_ends_of_a_form_hide_no_mark():
    assert of(f"An image.\r\n{OWN}\r\nAsk Jo about it.\r\n", OWN.owner) == OWN


def test_an_empty_description_becomes_the_mark_alone():
    assert put("", OWN) == str(OWN)
    assert without(str(OWN)) == ""
