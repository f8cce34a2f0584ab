"""Images that are each other's base."""

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
