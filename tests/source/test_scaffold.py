"""A new AMI source: it is complete, it is what it says, and nothing is lost or left half-written."""

import configparser
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jenkins_ami.errors import HostError, InputError, UsageError
from jenkins_ami.source import scaffold as module
from jenkins_ami.source.reader import read_source
from jenkins_ami.source.scaffold import TEMPLATES, render, scaffold
from tests.conftest import REPOSITORY

FOLDER = Path(module.__file__).parent / "templates"
ALWAYS = {
    ".gitattributes",
    ".gitignore",
    "Jenkinsfile",
    "README.md",
    "ami.env",
    "ami.schema.json",
    "ami.yaml",
}
every_template = pytest.mark.parametrize("template", TEMPLATES)


def files_of(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def git(*argv, cwd):
    who = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
    return subprocess.run(["git", *argv], cwd=cwd, env=who, capture_output=True, text=True, check=True).stdout


def test_the_templates_are_the_folders():
    assert set(TEMPLATES) == {path.name for path in FOLDER.iterdir()} - {"common"}


@every_template
def test_a_new_source_is_read_without_an_error(template, tmp_path):
    new = scaffold(tmp_path / "new", template)
    source = read_source(tmp_path / "new")
    assert (source.identity.name, source.identity.version, source.identity.base) == ("new", "1.0.0", "scratch")
    assert source.parts and source.overlay and source.identity.tests and source.identity.description
    assert set(new.files) == files_of(tmp_path / "new") >= ALWAYS


@every_template
def test_the_readme_names_every_file_and_every_command(template, tmp_path):
    new = scaffold(tmp_path / "new", template)
    text = (tmp_path / "new" / "README.md").read_text()
    named = re.findall(r"`([^`\n]+)`", text)
    for file in set(new.files) - {"README.md", ".gitignore"}:
        assert any(file == name or (name.endswith("/") and file.startswith(name)) for name in named), file
    for command in (
        "validate .",
        "compile . out",
        "bake . --local -o out",
        "boot out --test",
        "build out",
        "cleanup out",
    ):
        assert f"jenkins-ami {command}" in text
    assert text.startswith("# new\n\n")
    assert "\n\n\n" not in text and "{" not in text.replace("%{", "")


@every_template
def test_scripts_may_be_run_and_other_files_may_not(template, tmp_path):
    old = os.umask(0o077)
    try:
        scaffold(tmp_path / "new", template)
    finally:
        os.umask(old)
    for path in (tmp_path / "new").rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        is_script = path.is_file() and path.read_bytes().startswith(b"#!")
        assert mode == (0o755 if path.is_dir() or is_script else 0o644), path


@every_template
def test_shell_scripts_pass_a_shell(template, tmp_path):
    new = scaffold(tmp_path / "new", template)
    for file in new.files:
        path = tmp_path / "new" / file
        if path.read_bytes().startswith(b"#!/bin/sh"):
            subprocess.run(["sh", "-n", path], check=True)


def test_the_programs_of_the_templates_compile(tmp_path):
    scaffold(tmp_path / "new", "application")
    path = tmp_path / "new" / "app" / "application"
    compile(path.read_text(), path, "exec")


def test_the_first_line_of_ami_yaml_leads_an_editor_to_the_schema(tmp_path):
    for template in TEMPLATES:
        files = render(template, "n")
        first = files["ami.yaml"].decode().splitlines()[0]
        assert first == "# yaml-language-server: $schema=./ami.schema.json"
        assert files["ami.schema.json"].startswith(b"{")


@pytest.mark.parametrize("name", ["a", "it's (a) [test]", "a/b", "@home", "-v", "a b", "_under_"])
def test_a_name_is_quoted_for_the_file_that_it_goes_into(name, tmp_path):
    scaffold(tmp_path / "new", "minimal", name)
    assert read_source(tmp_path / "new").identity.name == name
    shell = subprocess.run(["sh", "-c", '. ./ami.env; printf %s "$NAME"'], cwd=tmp_path / "new", capture_output=True)
    assert shell.stdout.decode() == name


def test_markdown_in_a_name_stays_text():
    assert render("minimal", "_a_ [b](c)")["README.md"].decode().splitlines()[0] == r"# \_a\_ \[b\](c)"


@pytest.mark.parametrize(
    ("folder", "name"),
    [("web", "web"), ("my image!", "my image"), ("über:größe", "ber-gr-e"), ("x" * 120, "x" * 100), ("a+b", "a-b")],
)
def test_the_name_is_the_folders_made_fit(folder, name, tmp_path):
    assert scaffold(tmp_path / folder, "minimal").name == name


def test_the_folder_may_be_the_current_one(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert scaffold(Path(), "minimal").name == "here"
    assert files_of(tmp_path / "here") > ALWAYS


def test_a_new_repository_is_filled_and_what_it_holds_is_kept(tmp_path):
    git("init", "-q", ".", cwd=tmp_path)
    for name in ("README.md", "LICENSE", ".gitreview"):
        (tmp_path / name).write_text("mine")
    new = scaffold(tmp_path, "minimal", "n")
    assert [(tmp_path / name).read_text() for name in ("README.md", "LICENSE", ".gitreview")] == ["mine"] * 3
    assert "README-ami.md" in new.files and "README.md" not in new.files
    assert (tmp_path / "README-ami.md").read_text().startswith("# n\n")


@pytest.mark.parametrize(
    ("present", "told"),
    [
        (["thesis.txt"], "thesis.txt"),
        (["ami.env"], "ami.env"),
        ([".gitignore", "README.md"], ".gitignore"),
        (["fs/etc/x"], "fs"),
        (["README.md", "README-ami.md"], "README-ami.md"),
        ([f"f{number}" for number in range(9)], "f0, f1, f2, f3, f4 and 4 more"),
    ],
)
def test_a_folder_with_other_things_is_refused_and_left_alone(present, told, tmp_path):
    for name in present:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    with pytest.raises(InputError) as caught:
        scaffold(tmp_path, "minimal", "n")
    assert caught.value.what == f"the folder holds {told}"
    assert files_of(tmp_path) == set(present)
    assert all((tmp_path / name).read_text() == "mine" for name in present)


@pytest.mark.parametrize("name", ["", "a*b", "x" * 101, "a\n", "ä", "$(reboot)", "a\0"])
def test_a_name_that_ec2_refuses_writes_nothing(name, tmp_path):
    with pytest.raises(UsageError, match="EC2 refuses the image name"):
        scaffold(tmp_path / "new", "minimal", name)
    assert not (tmp_path / "new").exists()


def test_a_folder_of_which_no_name_can_be_made_asks_for_one(tmp_path):
    with pytest.raises(UsageError, match="no image name can be made of '日本'"):
        scaffold(tmp_path / "日本", "minimal")
    assert scaffold(tmp_path / "日本", "minimal", "n").name == "n"


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "LICENSE").write_text("mine")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
        "from pathlib import Path\n"
        "from jenkins_ami.errors import HostError\n"
        "from jenkins_ami.source.scaffold import scaffold\n"
        "for path in sys.argv[1:]:\n"
        "    try: scaffold(Path(path), 'minimal')\n"
        "    except HostError as error: print(error.line())"
    )
    folders = [str(tmp_path / "a" / "b"), str(tmp_path / "repository")]
    done = subprocess.run(
        [sys.executable, "-Wignore", "-c", code, *folders], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"the folder cannot be written: File too large ({path})." for path in folders]
    assert files_of(tmp_path) == {"repository/LICENSE"}
    assert not (tmp_path / "a").exists()


def test_a_failure_while_files_are_put_in_place_takes_them_out_again(tmp_path, monkeypatch):
    moves = []
    rename = Path.rename

    def interrupted(path, target):
        moves.append(target.name)
        if len(moves) == 4:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    (tmp_path / "LICENSE").write_text("mine")
    with pytest.raises(KeyboardInterrupt):
        scaffold(tmp_path, "minimal", "n")
    assert files_of(tmp_path) == {"LICENSE"}
    assert [path.name for path in tmp_path.iterdir()] == ["LICENSE"]


def test_a_parent_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(HostError) as caught:
        scaffold(tmp_path / "file" / "new", "minimal")
    assert caught.value.line() == f"the folder cannot be read: Not a directory ({tmp_path}/file/new)."


@every_template
def test_a_checkout_on_windows_changes_nothing_that_reaches_the_machine(template, tmp_path):
    new = scaffold(tmp_path / "new", template)
    overlay = tmp_path / "new" / "fs" / "windows.txt"
    overlay.write_bytes(b"one\r\ntwo\n")
    git("init", "-q", ".", cwd=tmp_path / "new")
    git("add", "-A", cwd=tmp_path / "new")
    git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "m", cwd=tmp_path / "new")
    git("-c", "core.autocrlf=true", "clone", "-q", "new", "windows", cwd=tmp_path)
    for file in [*new.files, "fs/windows.txt"]:
        assert (tmp_path / "windows" / file).read_bytes() == (tmp_path / "new" / file).read_bytes(), file


def test_what_a_compile_writes_is_not_committed(tmp_path):
    scaffold(tmp_path / "new", "minimal")
    git("init", "-q", ".", cwd=tmp_path / "new")
    (tmp_path / "new" / "out").mkdir()
    (tmp_path / "new" / "out" / "userdata.gz").touch()
    assert "out/" not in git("status", "--porcelain", "-uall", cwd=tmp_path / "new")


def test_an_installed_package_has_every_file_of_the_templates():
    """setuptools' ``*`` leaves out names with a leading dot."""
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    patterns = [text.strip() for text in config["options.package_data"]["jenkins_ami.source"].split(",")]
    for file in files_of(FOLDER):
        *folders, name = file.split("/")
        assert not any(folder.startswith(".") for folder in folders)
        assert ("templates/**/.*" if name.startswith(".") else "templates/**/*") in patterns
