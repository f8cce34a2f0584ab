"""A base that is another AMI source of the same repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from jenkins_ami.errors import InputError
from jenkins_ami.source.bases import base_name
from jenkins_ami.source.reader import identity_at


@pytest.fixture
def make(tmp_path):
    """A repository, or a folder with AMI sources that is none."""

    def make_it(*, git: bool = True, **bases: str) -> Path:
        root = tmp_path / "repository"
        root.mkdir()
        if git:
            (root / ".git").mkdir()
        for folder, base in bases.items():
            (root / folder).mkdir(parents=True)
            (root / folder / "ami.env").write_text(f"NAME=image-{folder}\nVERSION=1.0\nBASE={base}\n")
        return root

    return make_it


def name_of(source: Path) -> str:
    return base_name(source, identity_at(source))


def refused(source: Path) -> str:
    with pytest.raises(InputError) as caught:
        name_of(source)
    return caught.value.line()


@pytest.mark.parametrize("base", ["ami-0123456789abcdef0", "ssm:/a", "scratch", "image-a-1.0", "a/b"])
def test_any_other_base_stays_what_it_is(make, base):
    assert name_of(make(a=base) / "a") == base


def test_a_path_becomes_the_name_of_that_sources_image(make):
    root = make(a="scratch", b="../a", c="../b")
    assert name_of(root / "b") == "image-a"
    assert name_of(root / "c") == "image-b"


def test_a_path_may_lead_up_and_down(make):
    root = make(a="scratch", b="..")
    (root / "ami.yaml").write_text("name: top\nversion: '1'\nbase: ./a\n")
    assert name_of(root / "b") == "top"
    assert name_of(root) == "image-a"


def test_a_source_is_found_from_any_folder(make, monkeypatch):
    monkeypatch.chdir(make(a="scratch", b="../a") / "b")
    assert name_of(Path()) == "image-a"


def test_a_path_out_of_the_repository_is_refused(make):
    root = make(a="../../elsewhere")
    (root.parent / "elsewhere").mkdir()
    (root.parent / "elsewhere" / "ami.env").write_text("NAME=x\nVERSION=1\nBASE=scratch\n")
    assert refused(root / "a") == (
        f"the base '../../elsewhere' leads out of the repository ({root}/a/ami.env:3:1). "
        "Use the name of the image that another repository makes."
    )


def test_so_is_a_link_that_does(make):
    root = make(a="../b")
    (root.parent / "elsewhere").mkdir()
    (root.parent / "elsewhere" / "ami.env").write_text("NAME=x\nVERSION=1\nBASE=scratch\n")
    (root / "b").symlink_to(root.parent / "elsewhere")
    assert "the base '../b' leads out of the repository" in refused(root / "a")


def test_a_link_in_the_other_source_is_not_followed(make, tmp_path):
    root = make(a="../b", b="scratch")
    (tmp_path / "secret").write_text("hunter2\n")
    (root / "b" / "ami.yaml").symlink_to(tmp_path / "secret")
    line = refused(root / "a")
    assert line.startswith(f"the link leads out of the AMI source ({root}/b/ami.yaml)")


def test_without_git_only_what_is_inside_the_source_is_its_repository(make):
    root = make(git=False, a="../b", b="scratch")
    (root / "a" / "in").mkdir()
    (root / "a" / "in" / "ami.env").write_text("NAME=inner\nVERSION=1\nBASE=scratch\n")
    assert refused(root / "a") == (
        f"the base '../b' leads out of the AMI source, which no Git work tree is around ({root}/a/ami.env:3:1). "
        "A path leads to another AMI source of one Git repository; elsewhere use the name of its image."
    )
    (root / "a" / "ami.env").write_text("NAME=outer\nVERSION=1\nBASE=./in\n")
    assert name_of(root / "a") == "inner"


def test_a_path_to_no_source_is_refused(make):
    root = make(a="../b")
    assert refused(root / "a") == (
        f"there is no AMI source at the base '../b' ({root}/a/ami.env:3:1). One is a folder with ami.env or ami.yaml."
    )
    (root / "b").mkdir()
    assert "there is no AMI source at the base '../b'" in refused(root / "a")


def test_what_is_wrong_with_the_other_source_is_told_with_its_place(make):
    root = make(a="../b", b="")
    assert refused(root / "a") == f"BASE is empty ({root}/b/ami.env:3:1). Give it a value."


@pytest.mark.parametrize("base", [".", "../a", "./../a/."])
def test_an_image_cannot_be_its_own_base(make, base):
    root = make(a=base)
    assert refused(root / "a") == f"the image is its own base ({root}/a/ami.env:3:1). Start from another image."


def test_a_cycle_is_told(make):
    root = make(a="../b", b="../c", c="../a")
    assert refused(root / "a") == (
        f"images are each other's base: a → b → c → a ({root}/a/ami.env:3:1). Start one of them from another image."
    )


def test_a_cycle_further_down_is_told(make):
    root = make(a="../b", b="../c", c="../b")
    assert "images are each other's base: b → c → b" in refused(root / "a")


def test_an_image_whose_base_is_its_own_base_is_told(make):
    root = make(a="../b", b=".")
    assert "images are each other's base: b → b" in refused(root / "a")
