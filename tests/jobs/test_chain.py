"""Images that are each other's base."""

from dataclasses import replace

import pytest

from jenkins_ami.artifacts import BaseQuery
from jenkins_ami.findings import ERROR, WARNING
from jenkins_ami.jobs.chain import chain
from tests.jobs.sources import source


def bases(result):
    return {key: value.id for key, value in result.base.items()}


def test_a_base_that_is_the_image_of_another_source_is_found():
    result = chain([source("a/base"), source("a/web", base="base"), source("a/app", base="web-1.2")])
    assert bases(result) == {"a/web": "a/base", "a/app": "a/web"}
    assert result.findings == ()


def test_ids_parameters_and_scratch_are_nobodys_image():
    names = ["ami-0123456789abcdef0", "ssm:/a/b", "scratch", "scratch:0123456789"]
    assert chain([source("a/scratch"), *(source(f"b/{n}", base=each) for n, each in enumerate(names))]).base == {}


def test_a_name_with_digits_at_its_end_is_taken_whole_first():
    result = chain([source("a/web-2"), source("a/web"), source("a/app", base="web-2")])
    assert bases(result) == {"a/app": "a/web-2"}


def test_a_base_that_nobody_makes_has_no_upstream():
    assert chain([source("a/app", base="elsewhere")]).base == {}


def test_two_sources_of_one_image_are_told_and_trigger_nothing():
    result = chain([source("a/base"), source("b/base"), source("a/app", base="base")])
    assert result.base == {}
    assert [finding.level for finding in result.findings] == [WARNING, WARNING]
    assert result.findings[0].what == "the image name 'base' is that of several AMI sources: a/base, b/base"
    assert str(result.findings[1].where) == "a/app"


def test_a_cycle_is_told_to_each_member_and_nobody_else():
    ring = [source("r/a", base="c"), source("r/b", base="a"), source("r/c", base="b")]
    result = chain([*ring, source("r/d", base="c"), source("r/e")])
    assert result.unusable == {"r/a", "r/b", "r/c"}
    assert {finding.level for finding in result.findings} == {ERROR}
    assert {finding.what for finding in result.findings} == {"images are each other's base: r/a → r/c → r/b → r/a"}
    assert bases(result) == {"r/d": "r/c"}


def test_an_image_that_is_its_own_base_is_a_cycle():
    (finding,) = chain([source("r/a", base="a")]).findings
    assert finding.what == "the image is its own base"


def test_a_chain_of_ten_thousand_is_walked_once():
    long = [source(f"l/i{n}", base=f"i{n - 1}" if n else "scratch") for n in range(10_000)]
    assert len(chain(long).base) == 9_999


def test_a_path_leads_to_another_source_of_the_same_repository():
    found = [
        source("a/images", "base", image="ours"),
        source("b/images", "base", image="theirs"),
        source("a/images", "web", base="../base"),
        source("a/images", "web/deep", base="../../base"),
        source("a/images", "", image="all", base="./web"),
        source("b/images", "", image="root"),
        source("b/images", "app", base=".."),
    ]
    result = chain(found)
    assert bases(result) == {
        "a/images:web": "a/images:base",
        "a/images:web/deep": "a/images:base",
        "a/images": "a/images:web",
        "b/images:app": "b/images",
    }
    assert result.findings == ()


def test_a_folder_whose_name_begins_with_dots_is_in_the_repository():
    assert bases(chain([source("r", "..a"), source("r", "b", base="../..a")])) == {"r:b": "r:..a"}


@pytest.mark.parametrize(("folder", "base"), [("", ".."), ("", "../base"), ("web", "../../base")])
def test_a_path_out_of_the_repository_makes_a_source_unusable(folder, base):
    result = chain([source("r", folder, base=base), source("base")])
    (finding,) = result.findings
    assert (finding.level, finding.what) == (ERROR, f"the base '{base}' leads out of the repository")
    assert len(result.unusable) == 1


def test_a_path_to_no_source_is_told_and_triggers_nothing():
    result = chain([source("r", "web", base="../base"), source("r", "other")])
    (finding,) = result.findings
    assert (finding.level, finding.what) == (
        WARNING,
        "no AMI source was found at the base '../base': it triggers no build",
    )
    assert (result.base, result.unusable) == ({}, frozenset())


def test_a_cycle_of_paths_and_names_is_a_cycle():
    result = chain([source("r", "a", base="../b"), source("r", "b", base="a")])
    assert result.unusable == {"r:a", "r:b"}


def test_the_name_in_a_query_is_an_image_of_others():
    app = source("r", "app", base="base")
    asked = replace(app, identity=replace(app.identity, base_query=BaseQuery("base", ("self",))))
    assert chain([source("base"), asked]).base == {}
