"""`explain` names the file and line of every value, and what became of the others."""

import json

import pytest

FILES = {
    "ami.yaml": "merge: {scalars: last}\n",
    "cloudinit/10_a.yml": "#cloud-config\nlocale: C\npackages: [a]\napt: {x: {y: 1}}\n",
    "cloudinit/15_s.sh": "#!/bin/sh\n",
    "cloudinit/20_b.yml": "#cloud-config\nlocale: D\npackages:\n  - b\nruncmd:\n  - [echo, 'a b']\n",
    "cloudinit/30_c.yml": (
        "#cloud-config\nmerge_how: dict(no_replace,recurse_list,recurse_str,allow_delete)+list(append)+str(append)\n"
        "locale: E\npackages: [c]\napt:\n"
    ),
}


@pytest.fixture
def explained(make_source, cli):
    source = make_source(FILES)

    def explain(*key):
        code = cli("explain", source, *key)
        return code, [line.split() for line in cli.out.splitlines()]

    return explain


def test_a_value_is_shown_with_its_place_and_what_it_overrode(explained):
    code, lines = explained("locale")
    assert code == 0
    assert lines == [
        ["locale", "cloudinit/20_b.yml:2", "DE"],
        ["cloudinit/10_a.yml:2", "overrode", "C"],
        ["cloudinit/30_c.yml:3", "appended", "E"],
    ]


def test_each_list_element_has_its_own_place(explained):
    _, lines = explained("packages")
    assert lines == [
        ["packages[0]", "cloudinit/10_a.yml:3", "a"],
        ["packages[1]", "cloudinit/20_b.yml:4", "b"],
        ["packages[2]", "cloudinit/30_c.yml:4", "c"],
    ]


def test_a_path_goes_into_lists(explained):
    assert explained("packages[1]") == (0, [["packages[1]", "cloudinit/20_b.yml:4", "b"]])


def test_a_script_and_a_command_of_words_stand_among_the_commands(explained):
    _, lines = explained("runcmd")
    assert lines == [
        ["runcmd[0]", "cloudinit/15_s.sh:1", '["/var/lib/jenkins-ami/parts/15_s.sh"]'],
        ["runcmd[1]", "cloudinit/20_b.yml:6", '["echo",', '"a', 'b"]'],
    ]


def test_a_removed_key_is_told_and_nothing_of_compile_itself_is(explained):
    code, lines = explained()
    assert code == 0
    text = "\n".join(" ".join(line) for line in lines)
    assert 'removed {"x": {"y": 1}}' in text
    assert "cloudinit/30_c.yml:5 removed 'apt'" in text
    assert "compile" not in text
    assert "jenkins_ami_step" not in text


def test_an_unknown_key_is_one_line_with_the_closest(explained, cli):
    code, _ = explained("package")
    assert code == 2
    assert cli.error.startswith("the merged cloud-config has no 'package' (")
    assert cli.error.endswith("Did you mean 'packages'.")


def test_json_has_the_same(make_source, cli):
    assert cli("explain", make_source(FILES), "locale", "--json") == 0
    (origin,) = json.loads(cli.out)["origins"]
    assert origin["where"] == "cloudinit/20_b.yml:2"
    assert origin["past"][0] == ["overrode", "C", "cloudinit/10_a.yml:2"]
