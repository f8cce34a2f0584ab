"""Names of items: legal in Jenkins, as far as recorded, and never the same for two texts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jenkins_ami.jobs.names import LONGEST, item_name, name_problem
from tests.jenkins.names import problem as refused_by_jenkins
from tests.jenkins.recorded import RECORDINGS

texts = st.text(min_size=1, max_size=300)


@given(texts)
def test_any_text_has_a_name_that_jenkins_takes(text):
    name = item_name(text)
    assert name_problem(name) == ""
    assert refused_by_jenkins(name) == ""
    assert len(name.encode()) <= LONGEST


@given(texts, texts)
def test_different_texts_have_different_names(one, other):
    assert (item_name(one) == item_name(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("base", "base"),
        ("web-server_2.x", "web-server_2.x"),
        ("é日本 😀", "é日本 😀"),
        ("a:b", "a~3ab"),
        ("a~b", "a~7eb"),
        ("a.", "a~2e"),
        ("..", ".~2e"),
        (" a ", "~20a~20"),
        ("a\nb", "a~0ab"),
        ("${jndi:x}", "~24{jndi~3ax}"),
    ],
)
def test_what_is_refused_is_written_in_hexadecimal(text, name):
    assert item_name(text) == name


def test_a_long_name_is_cut_and_keeps_its_difference():
    one, other = item_name("x" * 300), item_name("x" * 299 + "y")
    assert one.startswith("x" * 100) and one != other
    assert len(item_name("日" * 300).encode()) <= LONGEST


RECORDED = json.loads((RECORDINGS / "item-names.json").read_text())


@pytest.mark.parametrize(
    "case", [each for each in RECORDED if not each["name"].startswith("<")], ids=lambda c: repr(c["name"])
)
def test_a_name_that_jenkins_refused_is_seen(case):
    # ' a' is accepted and trimmed, which makes another name of it: refused here
    expected = case["status"] != 200 or case["name"] != case["name"].strip()
    assert bool(name_problem(case["name"])) == expected
