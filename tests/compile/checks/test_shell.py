"""Shell scripts and commands: syntax by the shells themselves, and a real ShellCheck."""

import shutil
import sys
from pathlib import Path

import pytest

from jenkins_ami.compile.checks import scripts
from jenkins_ami.process import which

from .conftest import check_folder

YML, SH = "cloudinit/10_a.yml", "cloudinit/10_a.sh"
SYNTAX = "shell-syntax error"
EOF = "syntax error: end of file unexpected (expecting"

BAD = {
    "script": ({SH: "#!/bin/sh\nif true; then\n  ls\n"}, f'{SYNTAX} {SH}:3: {EOF} "fi").'),
    "script of bash": (
        {SH: "#!/usr/bin/env bash\na=(1 2)\nfi\n"},
        f"{SYNTAX} {SH}:3: syntax error near unexpected token `fi'.",
    ),
    "bash in a script of sh": ({SH: "#!/bin/sh\na=(1 2)\n"}, f'{SYNTAX} {SH}:2: syntax error: "(" unexpected.'),
    "open quote": ({SH: "#!/bin/sh -e\necho 'a\n"}, f"{SYNTAX} {SH}:2: syntax error: Unterminated quoted string."),
    "boothook": (
        {YML: "#cloud-boothook\n#!/bin/sh\n)\n"},
        f'{SYNTAX} {YML}:3: syntax error: ")" unexpected.',
    ),
    "per-boot script": (
        {"cloudinit/10_a.per-boot.sh": "#!/bin/sh\ndone\n"},
        f'{SYNTAX} cloudinit/10_a.per-boot.sh:2: syntax error: "done" unexpected.',
    ),
    "script in an archive": (
        {YML: "#cloud-config-archive\n- type: text/x-shellscript\n  content: |\n    #!/bin/sh\n    esac\n"},
        f'{SYNTAX} {YML}:5: syntax error: "esac" unexpected.',
    ),
    "runcmd": ({YML: "#cloud-config\nruncmd:\n  - ls\n  - ls |\n"}, f"{SYNTAX} {YML}:4: syntax error: end of file"),
    "runcmd of several lines": (
        {YML: '#cloud-config\nruncmd:\n  - |\n    ls\n    for a in b; do\n      ls\n  - [ls, "it\'s"]\n'},
        f'{SYNTAX} {YML}:6: {EOF} "done").',
    ),
    "runcmd in one long line": (
        {YML: "#cloud-config\nruncmd:\n  - >-\n    if true;\n    then ls\n"},
        f'{SYNTAX} {YML}:3: {EOF} "fi").',
    ),
    "bootcmd": ({YML: "#cloud-config\nbootcmd:\n  - fi\n"}, f'{SYNTAX} {YML}:3: syntax error: "fi" unexpected.'),
    "script that is written": (
        {YML: "#cloud-config\nwrite_files:\n  - path: /x\n    content: |\n      #!/bin/bash\n      (\n"},
        f"{SYNTAX} {YML}:6: syntax error: unexpected end of file.",
    ),
    "install.sh": ({"script/install.sh": "#!/bin/sh\n}\n"}, f'{SYNTAX} script/install.sh:2: syntax error: "}}" unexp'),
    "compile.sh without #!": ({"script/compile.sh": "a() {\n"}, f'{SYNTAX} script/compile.sh:1: {EOF} "}}").'),
    "Windows line ends": (
        {"script/install.sh": "#!/bin/sh\r\nls\r\n"},
        "shell-line-ends error script/install.sh:1: Windows line ends, which no shell understands. "
        "Save it with LF, and write '*.sh text eol=lf' into .gitattributes.",
    ),
}


@pytest.mark.parametrize(("files", "line"), BAD.values(), ids=BAD)
def test_a_mistake_is_one_line_that_names_the_place(files, line, found):
    (one,) = found(files)
    assert one.startswith(line)


GOOD = {
    "construct over several commands": "runcmd:\n  - if true; then\n  - echo a\n  - fi",
    "words that look like a mistake": 'runcmd: [[echo, "(", fi, "it\'s"]]',
    "here-document": "runcmd:\n  - |\n    cat >/x <<'END'\n    if (\n    END",
    "another interpreter": 'write_files: [{path: /x, content: "#!/usr/bin/python3\\nif x:\\n  y((1))\\n"}]',
    "encoded content": "write_files: [{path: /x, encoding: b64, content: '#!/bin/sh (('}]",
    "no script": "write_files: [{path: /x, content: 'if (('}]",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_what_a_shell_can_read_is_not_reported(text, found):
    assert found({YML: f"#cloud-config\n{text}\n"}) == []


def test_a_construct_over_several_commands_stays_unblamed_beside_a_mistake(found):
    commands = ["if true; then", "echo a", "fi", "echo 'a", "for a in b; do", "ls", "done"]
    text = "\n  - ".join(["#cloud-config\nruncmd:", *commands])
    assert found({YML: text}) == [f"shell-syntax error {YML}:6: syntax error: Unterminated quoted string."]


def test_a_binary_compile_sh_is_left_alone(found):
    assert found({"script/compile.sh": Path(sys.executable).resolve().read_bytes()[:5000]}) == []


@pytest.mark.parametrize(
    ("first", "shell"),
    {
        "#!/bin/sh": "sh",
        "#!/bin/sh -eu": "sh",
        "#! /bin/dash": "sh",
        "#!/usr/bin/env bash": "bash",
        "#!/usr/bin/env -S A=1 bash -e": "bash",
        "#!/bin/busybox sh": "sh",
        "#!/usr/bin/python3": None,
        "#!/bin/zsh": None,
        "#!": None,
        "echo": None,
    }.items(),
)
def test_the_interpreter_is_what_the_first_line_says(first, shell):
    assert scripts.interpreter(f"{first}\n:\n") == shell


def test_scripts_of_the_overlay_are_read_by_their_shells_only_when_thorough(found):
    files = {"fs/usr/local/bin/x": "#!/bin/sh\nfi\n", "fs/usr/local/bin/y": "#!/usr/bin/perl\nfi\n"}
    assert found(files) == []
    line = 'shell-syntax error fs/usr/local/bin/x:2: syntax error: "fi" unexpected.'
    assert found(files, thorough=True) == [line]


def test_one_wrong_script_of_many_is_found(make_source):
    files = {f"cloudinit/{n:02}_{m}.sh": "#!/bin/sh\nls\n" for n in range(10, 50) for m in range(5)}
    (finding,) = check_folder(make_source(files | {"cloudinit/30_3.sh": "#!/bin/sh\n)\n"}))
    assert str(finding.where).endswith("cloudinit/30_3.sh:2")


SHELLCHECKED = {
    "script/install.sh": "#!/bin/sh\nfor f in $(ls /srv); do\n\techo $f a\ndone\n. /etc/os-release\n",
    YML: "#cloud-config\nruncmd:\n  - echo $HOME\n  - |\n    for f in $(ls /srv); do :; done\n",
    SH: "#!/bin/bash\nx=1\n",
}


def test_shellcheck_adds_what_it_knows_with_its_number_and_fix(make_source):
    which("shellcheck")
    root = make_source(SHELLCHECKED)
    findings = {(str(one.where).removeprefix(f"{root}/"), one.rule): one for one in check_folder(root, thorough=True)}
    assert {key: one.level for key, one in findings.items()} == {
        ("script/install.sh:2:10", "SC2045"): "error",
        ("script/install.sh:3:7", "SC2086"): "warning",
        (f"{YML}:5", "SC2045"): "error",
        (f"{SH}:2:1", "SC2034"): "warning",
    }
    quoting = findings["script/install.sh:3:7", "SC2086"]
    assert quoting.what == "Double quote to prevent globbing and word splitting"
    assert quoting.hint == "See https://www.shellcheck.net/wiki/SC2086"
    assert quoting.fix is not None
    assert (quoting.fix.start.column, quoting.fix.end.column, quoting.fix.text) == (7, 9, '"$f"')


def test_compile_does_not_wait_for_shellcheck(make_source):
    assert check_folder(make_source(SHELLCHECKED)) == []


def test_shellcheck_follows_the_sources_own_settings(make_source):
    root = make_source(SHELLCHECKED | {".shellcheckrc": "disable=SC2045,SC2034\n", YML: "#cloud-config\n{locale: a}\n"})
    assert [one.rule for one in check_folder(root, thorough=True)] == ["SC2086"]


def test_what_a_shell_refuses_is_not_told_again_by_shellcheck(found):
    assert len(found({SH: "#!/bin/sh\nif true; then\n"}, thorough=True)) == 1


def test_a_machine_without_shellcheck_checks_the_rest(make_source, tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "bash"):
        (tools / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tools))
    assert check_folder(make_source(SHELLCHECKED), thorough=True) == []
