"""Which AMI sources count, and which of their files are looked at."""

from __future__ import annotations

import pytest

from jenkins_ami.verify.repository import EXECUTABLE, FILE, LINK, SUBMODULE, Entry
from jenkins_ami.verify.touched import needed, sources_in, touched


def tree(*paths: str, mode: str = FILE, one: str = "1") -> dict[str, Entry]:
    return {path: Entry(path, mode, one) for path in paths}


@pytest.mark.parametrize(
    ("paths", "folders"),
    [
        (["ami.env", "fs/a"], {"."}),
        (["a/ami.yaml", "b/c/ami.env", "README.md"], {"a", "b/c"}),
        (["a/ami.env", "a/ami.yaml", "a/b/ami.env"], {"a", "a/b"}),
        (["a/my-ami.env", "a/ami.env.bak", "a/AMI.ENV", "ami.yml"], set()),
        (["a/ami.env", "a/fs/opt/ami.env", "a/fs/ami.yaml"], {"a"}),
        (["ami.env", "fs/opt/ami.env"], {"."}),
        (["fs/ami.env"], {"fs"}),
        (["a/ami.env", "a/fsx/ami.env"], {"a", "a/fsx"}),
        ([" \n'/ami.env"], {" \n'"}),
        ([], set()),
    ],
)
def test_an_ami_source_is_a_folder_with_its_file_but_for_what_lies_in_an_overlay(paths, folders):
    assert sources_in(tree(*paths)) == folders


def test_a_link_may_be_that_file_and_a_submodule_may_not():
    assert sources_in(tree("a/ami.env", mode=LINK) | tree("b/ami.env", mode=SUBMODULE)) == {"a"}


OLD = tree("a/ami.env", "a/fs/x", "b/ami.env", "b/c/ami.env", "doc/y")


@pytest.mark.parametrize(
    ("new", "folders"),
    [
        (OLD, set()),
        (OLD | tree("doc/y", one="2"), set()),
        (OLD | tree("aa/fs/x", one="2"), set()),
        (OLD | tree("a/fs/x", one="2"), {"a"}),
        (OLD | tree("a/fs/x", mode=EXECUTABLE), {"a"}),
        (OLD | tree("a/fs/x", mode=LINK), {"a"}),
        (OLD | tree("b/c/new"), {"b", "b/c"}),
        (OLD | tree("b/new"), {"b"}),
        (OLD | tree("d/ami.env"), {"d"}),
        ({path: entry for path, entry in OLD.items() if not path.startswith("a/")}, {"a"}),
        ({path: entry for path, entry in OLD.items() if path != "a/fs/x"}, {"a"}),
        (OLD | tree("ami.yaml"), {"."}),
    ],
)
def test_a_source_is_touched_by_a_path_below_its_folder_that_differs(new, folders):
    assert touched(OLD, new).folders == folders


def test_of_a_first_commit_all_is_new():
    seen = touched({}, OLD)
    assert seen.changed == tuple(sorted(OLD))
    assert (seen.before, seen.after, seen.folders) == (set(), {"a", "b", "b/c"}, {"a", "b", "b/c"})


def test_what_compiling_looks_at_is_the_source_and_what_a_base_may_lead_through():
    every = OLD | tree("link", mode=LINK) | tree("top", "a2/z")
    assert [entry.path for entry in needed(every, ["a"])] == ["a/ami.env", "a/fs/x", "b/ami.env", "b/c/ami.env", "link"]
    assert [entry.path for entry in needed(every, ["."])] == list(every)
    assert [entry.path for entry in needed(every, [])] == ["a/ami.env", "b/ami.env", "b/c/ami.env", "link"]
