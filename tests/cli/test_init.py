"""`jenkins-ami init`: a new AMI source that compiles as it is, and one clear line where there can be none."""

import json

import pytest

from jenkins_ami.source.scaffold import TEMPLATES


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_source_validates_and_compiles_as_it_is(template, cli, tmp_path):
    assert cli("init", tmp_path / "new", "--template", template) == 0
    assert cli("validate", tmp_path / "new") == 0
    assert cli.out == "no findings\n"
    assert cli("compile", tmp_path / "new", tmp_path / "out", "--json") == 0
    result = json.loads(cli.out)
    assert (result["name"], result["version"], result["overlay"]) == ("new", "1.0.0", "inline")


def test_what_was_written_and_what_comes_next_is_told(cli, tmp_path):
    assert cli("init", tmp_path / "a web", "--name", "web") == 0
    assert cli.out.splitlines() == [
        f"web: a new AMI source in {tmp_path}/a web, from the template minimal",
        "  .gitattributes",
        "  .gitignore",
        "  Jenkinsfile",
        "  README.md",
        "  ami.env",
        "  ami.schema.json",
        "  ami.yaml",
        "  cloudinit/10_base.yml",
        "  fs/etc/motd",
        f"next: jenkins-ami compile '{tmp_path}/a web' out",
    ]


def test_json_tells_the_same(cli, tmp_path):
    assert cli("init", tmp_path / "new", "--template", "web-server", "--json") == 0
    result = json.loads(cli.out)
    assert (result["path"], result["name"], result["template"]) == (str(tmp_path / "new"), "new", "web-server")
    assert "script/install.sh" in result["files"]


def test_the_templates_are_listed_and_nothing_is_written(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("init", "--list") == 0
    assert [line.split()[0] for line in cli.out.splitlines()] == list(TEMPLATES)
    assert list(tmp_path.iterdir()) == []


def in_the_way(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "ami.env").write_text("mine")
    (tmp_path / "file").write_text("mine")


BAD = {
    "no folder": ([], 1, "DIR is missing. Name the folder for the new AMI source, or use --list."),
    "no such template": (
        ["{tmp}/x", "--template", "webserver"],
        1,
        "there is no template 'webserver'. Did you mean 'web-server'.",
    ),
    "nothing like a template": (
        ["{tmp}/x", "--template", "zzz"],
        1,
        "there is no template 'zzz'. Known: application, jenkins-agent, minimal, web-server.",
    ),
    "common is no template": (["{tmp}/x", "--template", "common"], 1, "there is no template 'common'. "),
    "a path as template": (["{tmp}/x", "--template", "../templates"], 1, "there is no template '../templates'. "),
    "name that EC2 refuses": (
        ["{tmp}/x", "--name", "a*b"],
        1,
        "EC2 refuses the image name 'a*b'. Use up to 100 letters, digits, spaces and ( ) [ ] . / - ' @ _.",
    ),
    "empty name": (["{tmp}/x", "--name", ""], 1, "EC2 refuses the image name ''. "),
    "name with a newline": (["{tmp}/x", "--name", "a\nb"], 1, "EC2 refuses the image name 'a b'. "),
    "no name in the folder's": (
        ["{tmp}/日本"],
        1,
        "no image name can be made of '日本'. Give one with --name.",
    ),
    "the root": (["/", "--name", ""], 1, "EC2 refuses the image name ''. "),
    "a file": (
        ["{tmp}/file"],
        2,
        "this is a file, not a folder ({tmp}/file). Choose a new or empty folder.",
    ),
    "below a file": (["{tmp}/file/x"], 1, "the folder cannot be read: Not a directory ({tmp}/file/x)."),
    "an AMI source": (
        ["{tmp}/new"],
        2,
        "the folder holds ami.env ({tmp}/new). Choose a new or empty folder, or a repository with no more than README "
        "and LICENSE; nothing was written.",
    ),
    "two folders": (["{tmp}/x", "{tmp}/y"], 1, "unrecognized arguments: {tmp}/y. See 'jenkins-ami init --help'."),
}


@pytest.mark.parametrize(("argv", "code", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_is_one_line_and_nothing_is_written(argv, code, message, cli, tmp_path):
    in_the_way(tmp_path)
    assert cli("init", *(word.format(tmp=tmp_path) for word in argv)) == code
    assert cli.error.startswith(message.format(tmp=tmp_path))
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["file", "new", "new/ami.env"]
