"""Bad input to ``compile``, ``validate`` and ``explain``: the whole line that each one gets, and nothing is written.

The tables of files are in ``bad_settings``, ``bad_configs`` and ``bad_kinds``; here is what else can be wrong.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from jenkins_ami.errors import Location
from jenkins_ami.findings import Finding

from . import bad_configs, bad_kinds, bad_settings
from .bad_configs import CONFIG, YML
from .bad_settings import Files, Table, settings

TABLES: dict[str, Table] = {
    "ami.env": bad_settings.AMI_ENV,
    "ami.yaml": bad_settings.AMI_YAML,
    "blocks of ami.yaml": bad_settings.BLOCKS,
    "layout": bad_configs.LAYOUT,
    "headers": bad_configs.HEADERS,
    "YAML": bad_configs.YAML_ERRORS,
    "cloud-config": bad_configs.CONFIG_VALUES,
    "merging": bad_configs.MERGING,
    "kinds of parts": bad_kinds.KINDS,
    "templates": bad_kinds.TEMPLATES,
}
CASES = {f"{group}: {name}": case for group, table in TABLES.items() for name, case in table.items()}


def make(make_source, files: Files) -> Path:
    """A good source with one part, save for ``files``."""
    content = {YML: CONFIG} | dict(files)
    source = make_source({path: text for path, text in content.items() if text is not None})
    if files.get("ami.env", "") is None:
        (source / "ami.env").unlink()
    return source


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def errors(cli, source: Path) -> list[str]:
    """The error lines in the spelling of the tables."""
    lines = [line.removeprefix("error: ") for line in cli.err.splitlines() if line.startswith("error: ")]
    return [line.replace(f"({source}/{YML}", "({part}").replace(str(source), "{src}") for line in lines]


def in_full(lines: tuple[str, ...], source: Path) -> list[str]:
    return [line.replace("{part}", f"{source}/{YML}").replace("{src}", str(source)) for line in lines]


def reported(cli) -> list[str]:
    """What ``validate --json`` calls errors, as lines."""
    found = [item for item in json.loads(cli.out)["findings"] if item["level"] == "error"]
    return [
        Finding(
            item["rule"],
            item["level"],
            item["what"],
            Location(item["file"], item["line"], item["column"]),
            item.get("hint", ""),
        ).line()
        for item in found
    ]


def test_there_are_enough_of_them():
    assert len(CASES) == sum(map(len, TABLES.values())) > 300


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_bad_file_gets_its_line_from_all_three_commands(case, make_source, cli, tmp_path):
    files, *lines = case
    source = make(make_source, files)
    expected = in_full(tuple(lines), source)
    assert cli("compile", source, tmp_path / "out") == 2
    assert [line.removeprefix("error: ") for line in cli.err.splitlines() if line.startswith("error: ")] == expected
    assert cli("explain", source) == 2
    assert [line.removeprefix("error: ") for line in cli.err.splitlines() if line.startswith("error: ")] == expected
    assert cli("validate", source, "--json") == 2
    assert set(expected) <= set(reported(cli))
    assert names(tmp_path) == ["source"]


PARAMETER = "parameters: {workers: {type: integer}, channel: {}}\n"
OPTIONS: dict[str, tuple[Files, list[str], dict[str, str], int, tuple[str, ...]]] = {
    "--param without =": ({}, ["--param", "channel"], {}, 1, ("--param 'channel' is not NAME=VALUE.",)),
    "--param without a name": ({}, ["--param", "=x"], {}, 1, ("--param '=x' is not NAME=VALUE.",)),
    "--param twice": ({}, ["--param", "a=1", "--param", "a=2"], {}, 1, ("--param a is given twice.",)),
    "--param of nothing that is declared": (
        {},
        ["--param", "channel=b"],
        {},
        2,
        ("--param channel: there is no such parameter ({src}/ami.yaml). The source declares no parameters.",),
    ),
    "--param with a slip": (
        settings("parameters: {channel: {default: a}}\n"),
        ["--param", "chanel=b"],
        {},
        2,
        ("--param chanel: there is no such parameter ({src}/ami.yaml). Did you mean 'channel'.",),
    ),
    "a word for an integer": (
        settings(PARAMETER),
        ["--param", "workers=four", "--param", "channel=a"],
        {},
        2,
        ("--param workers: the value of 'workers' is 'four', not a whole number ({src}/ami.yaml:1:23).",),
    ),
    "yes for a boolean": (
        settings("parameters: {debug: {type: boolean}}\n"),
        ["--param", "debug=yes"],
        {},
        2,
        ("--param debug: the value of 'debug' is 'yes', not true or false ({src}/ami.yaml:1:21).",),
    ),
    "another case of a choice": (
        settings("parameters: {c: {type: choice, choices: [a, b]}}\n"),
        ["--param", "c=A"],
        {},
        2,
        ("--param c: the value of 'c' is 'A', not one of a, b ({src}/ami.yaml:1:17).",),
    ),
    "a value of two lines": (
        settings("parameters: {w: {}}\n"),
        ["--param", "w=a\nb"],
        {},
        2,
        ("--param w: the value of 'w' has more than one line ({src}/ami.yaml:1:17).",),
    ),
    "a secret on the command line": (
        settings("parameters: {token: {type: secret}}\n"),
        ["--param", "token=x"],
        {},
        2,
        (
            "the secret 'token' was given by --param, where everybody on this machine can read it "
            "({src}/ami.yaml:1:21). Set AMI_PARAM_TOKEN in the environment.",
        ),
    ),
    "a variable for a parameter that is not declared": (
        {},
        [],
        {"AMI_PARAM_X": "y"},
        2,
        ("AMI_PARAM_X is set, and there is no such parameter ({src}/ami.yaml). The source declares no parameters.",),
    ),
    "wrong, unknown and missing parameters at once": (
        settings(PARAMETER),
        ["--param", "foo=1"],
        {"AMI_PARAM_CHANEL": "y", "AMI_PARAM_WORKERS": "many"},
        2,
        (
            "--param foo: there is no such parameter ({src}/ami.yaml). Known: channel, workers.",
            "AMI_PARAM_CHANEL is set, and there is no such parameter ({src}/ami.yaml). "
            "Did you mean 'AMI_PARAM_CHANNEL'.",
            "AMI_PARAM_WORKERS: the value of 'workers' is 'many', not a whole number ({src}/ami.yaml:1:23).",
            "parameter 'channel' has no value ({src}/ami.yaml:1:49). "
            "Give --param channel=VALUE, or set AMI_PARAM_CHANNEL.",
        ),
    ),
    "--env of a variable that is not set": (
        {},
        ["--env", "NOWHERE"],
        {},
        2,
        ("--env NOWHERE: there is no such variable (environment).",),
    ),
    "--env of a variable that compile sets": (
        {"script/compile.sh": "#!/bin/sh\n"},
        ["--env", "AMI_NAME"],
        {"AMI_NAME": "x"},
        1,
        ("--env AMI_NAME: compile sets AMI_NAME for compile.sh itself. Leave it out.",),
    ),
    "an unknown sandbox": (
        {},
        ["--sandbox", "open"],
        {},
        1,
        (
            "argument --sandbox: invalid choice: 'open' (choose from 'offline', 'network'). "
            "See 'jenkins-ami compile --help'.",
        ),
    ),
    "a sandbox that is not installed": (
        {"script/compile.sh": "#!/bin/sh\n"},
        ["--sandbox", "offline"],
        {"PATH": "/nonexistent"},
        1,
        ("bwrap is not installed. Install it: apt-get install bubblewrap.",),
    ),
    "--storage without a scheme": (
        {},
        ["--storage", "bucket"],
        {},
        1,
        ("--storage: 'bucket' is no storage. Use s3://bucket/prefix or https://host/path/.",),
    ),
    "S3URL that is none": (
        {},
        [],
        {"S3URL": "my bucket"},
        1,
        ("--storage: 'my bucket' is no storage. Use s3://bucket/prefix or https://host/path/.",),
    ),
    "--storage with a bucket that S3 does not allow": (
        {},
        ["--storage", "s3://My_Bucket/x"],
        {},
        1,
        (
            "--storage: 's3://My_Bucket/x' is no storage. "
            "A bucket's name has 3 to 63 lower-case letters, digits, dots and dashes, a prefix no spaces.",
        ),
    ),
    "--storage by HTTPS with an access": (
        {},
        ["--storage", "https://files.example.org/", "--storage-access", "profile"],
        {},
        1,
        ("--storage: https storage has no access 'profile'. Leave it out.",),
    ),
    "--storage-access alone": (
        {},
        ["--storage-access", "profile"],
        {},
        1,
        ("--storage-access needs --storage. Or write 'storage: {url, access}' in ami.yaml.",),
    ),
    "a negative --inline-limit": ({}, ["--inline-limit=-1"], {}, 1, ("--inline-limit is -1. Give bytes, like 8192.",)),
    "--inline-limit with a unit": (
        {},
        ["--inline-limit", "8K"],
        {},
        1,
        ("argument --inline-limit: invalid int value: '8K'. See 'jenkins-ami compile --help'.",),
    ),
    "an unknown option": (
        {},
        ["--frobnicate"],
        {},
        1,
        ("unrecognized arguments: --frobnicate. See 'jenkins-ami compile --help'.",),
    ),
    "ami.env sets what starts programs otherwise": (
        {
            "ami.env": "NAME=web\nVERSION=1\nBASE=x\nLD_PRELOAD=x.so\nPATH=/x\n",
            "script/compile.sh": "#!/bin/sh\n",
        },
        [],
        {},
        2,
        (
            "LD_PRELOAD would change how every program of compile.sh starts ({src}/ami.env:4:1). "
            "Set it in compile.sh, where it is needed.",
            "PATH is what compile sets for compile.sh ({src}/ami.env:5:1). Use another name.",
        ),
    ),
    "compile.sh fails": (
        {"script/compile.sh": "#!/bin/sh\necho no >&2\nexit 3\n"},
        [],
        {},
        4,
        ("compile.sh exited with 3: no ({src}/script/compile.sh).",),
    ),
    "compile.sh prints something else than variables": (
        {"script/compile.sh": "#!/bin/sh\necho hello\n"},
        [],
        {},
        4,
        (
            "compile.sh printed 'hello' in line 1 of its output, which is not KEY=VALUE ({src}/script/compile.sh). "
            "Send messages to stderr: echo ... >&2.",
        ),
    ),
    "compile.sh breaks a part": (
        {"script/compile.sh": "#!/bin/sh\necho '- a' >cloudinit/10_a.yml\n"},
        [],
        {},
        2,
        (
            "the first line is no header that cloud-init knows: it would ignore the file; compile.sh changed it "
            "({part}:1). Begin it with '#cloud-config'.",
        ),
    ),
    "compile.sh for an interpreter that is not there": (
        {"script/compile.sh": "#!/usr/bin/nothing\n"},
        [],
        {},
        4,
        ("compile.sh could not be started: /usr/bin/nothing: No such file or directory ({src}/script/compile.sh).",),
    ),
}
"""Files, words of the command line, variables of the environment; the exit code, and the errors."""


@pytest.mark.parametrize("case", OPTIONS.values(), ids=OPTIONS)
def test_a_bad_option_or_script_gets_its_line(case, make_source, cli, tmp_path, monkeypatch):
    files, words, environ, code, lines = case
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    source = make(make_source, files)
    assert cli("compile", source, tmp_path / "out", *words) == code
    assert errors(cli, source) == list(lines)
    assert names(tmp_path) == ["source"]


def link(path: str, target: str) -> Callable[[Path], None]:
    def make(source: Path) -> None:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).unlink(missing_ok=True)
        (source / path).symlink_to(target.format(src=source))

    return make


def pipe(path: str) -> Callable[[Path], None]:
    def make(source: Path) -> None:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(source / path)

    return make


def make_socket(source: Path) -> None:
    (source / "fs").mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(source / "fs" / "s"))


def make_setuid(source: Path) -> None:
    (source / "fs").mkdir()
    (source / "fs" / "x").touch()
    (source / "fs" / "x").chmod(0o4755)


def make_hard_link(source: Path) -> None:
    (source / "ami.yaml").write_text('overlay: {rules: [{path: b, mode: "0600"}]}\n')
    (source / "fs").mkdir()
    (source / "fs" / "a").touch()
    (source / "fs" / "b").hardlink_to(source / "fs" / "a")


OUT = "the link leads out of the AMI source ({src}/%s). Put the file itself here."
NOWHERE = "the link leads to nothing ({src}/%s). Put the file itself here, or remove it."
MADE: dict[str, tuple[Callable[[Path], object], str]] = {
    "ami.env is a link out of the source": (link("ami.env", "/etc/hostname"), OUT % "ami.env"),
    "ami.yaml is a link out of the source": (link("ami.yaml", "/etc/hostname"), OUT % "ami.yaml"),
    "a part is a link out of the source": (link("cloudinit/20_x.yml", "/etc/hostname"), OUT % "cloudinit/20_x.yml"),
    "compile.sh is a link out of the source": (link("script/compile.sh", "/bin/true"), OUT % "script/compile.sh"),
    "install.sh is a link out of the source": (link("script/install.sh", "/bin/true"), OUT % "script/install.sh"),
    "script is a link out of the source": (link("script", "/etc"), OUT % "script"),
    "fs is a link out of the source": (link("fs", "/etc"), OUT % "fs"),
    "ami.env is a link to nothing": (link("ami.env", "nowhere"), NOWHERE % "ami.env"),
    "ami.yaml is a link to itself": (link("ami.yaml", "ami.yaml"), NOWHERE % "ami.yaml"),
    "a part is a link to nothing": (link("cloudinit/20_x.yml", "nowhere"), NOWHERE % "cloudinit/20_x.yml"),
    "a part is a link to itself": (link("cloudinit/20_x.yml", "20_x.yml"), NOWHERE % "cloudinit/20_x.yml"),
    "install.sh is a link to nothing": (link("script/install.sh", "nowhere"), NOWHERE % "script/install.sh"),
    "fs is a link to nothing": (link("fs", "nowhere"), NOWHERE % "fs"),
    "fs is a link to itself": (link("fs", "fs"), NOWHERE % "fs"),
    "ami.yaml is a pipe": (pipe("ami.yaml"), "ami.yaml is not a file ({src}/ami.yaml). Move it away."),
    "ami.env is a folder": (
        lambda source: ((source / "ami.env").unlink(), (source / "ami.env").mkdir()),
        "ami.env is not a file ({src}/ami.env). Move it away.",
    ),
    "a part is a pipe": (
        pipe("cloudinit/20_x.yml"),
        "20_x.yml is not a file ({src}/cloudinit/20_x.yml). Move it away.",
    ),
    "a pipe in the overlay": (
        pipe("fs/p"),
        "a named pipe cannot be in an overlay ({src}/fs/p). Remove it; what uses it makes it on the instance.",
    ),
    "a socket in the overlay": (
        make_socket,
        "a socket cannot be in an overlay ({src}/fs/s). Remove it; what uses it makes it on the instance.",
    ),
    "a link that leaves the overlay": (
        link("fs/etc/x", "../../../x"),
        "the link leaves the overlay, to ../../../x ({src}/fs/etc/x). "
        "/etc is at the top on the instance: take away one ../.",
    ),
    "a link to this machine": (
        link("fs/etc/x", "{src}/fs/y"),
        "the link points into the source on this machine, to {src}/fs/y ({src}/fs/etc/x). "
        "Link to where the file is on the instance, or relative to the link.",
    ),
    "a set-uid file that is not listed": (
        make_setuid,
        "/x is set-uid (mode 4755) and is not listed as wanted ({src}/fs/x). "
        "List it in ami.yaml, overlay: setuid: [..], or take the bit away: chmod ug-s.",
    ),
    "one file with two modes": (
        make_hard_link,
        "/b is one file with /a (a hard link), and the rules give them other modes or owners ({src}/fs/b). "
        "Make it a file of its own, or one rule for both.",
    ),
}


@pytest.mark.parametrize("case", MADE.values(), ids=MADE)
def test_what_no_plain_file_can_do_gets_its_line(case, make_source, cli, tmp_path):
    change, line = case
    source = make(make_source, {})
    change(source)
    assert cli("compile", source, tmp_path / "out") == 2
    assert errors(cli, source) == [line]
    assert cli("validate", source, "--json") == 2
    assert reported(cli) == [line.replace("{src}", str(source))]
    assert names(tmp_path) == ["source"]


SOURCES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("nowhere", lambda _: None, "the AMI source does not exist ({root}/nowhere)."),
    "a file": (
        "file",
        lambda root: (root / "file").touch(),
        "the AMI source is a file, not a folder ({root}/file). Name the folder that holds ami.env.",
    ),
    "empty": (
        "empty",
        lambda root: (root / "empty").mkdir(),
        "no ami.env and no ami.yaml: this is not an AMI source ({root}/empty). "
        "Write ami.env with NAME=, VERSION= and BASE=.",
    ),
    "a link to itself": (
        "loop",
        lambda root: (root / "loop").symlink_to("loop"),
        "the AMI source cannot be read: Too many levels of symbolic links ({root}/loop).",
    ),
    "a name that no file can have": (
        "x" * 300,
        lambda _: None,
        f"the AMI source cannot be read: File name too long ({{root}}/{'x' * 300}).",
    ),
}


@pytest.mark.parametrize("case", SOURCES.values(), ids=SOURCES)
def test_a_source_that_is_none_gets_its_line(case, cli, tmp_path):
    name, change, line = case
    change(tmp_path)
    for argv in (["compile", tmp_path / name, tmp_path / "out"], ["explain", tmp_path / name]):
        assert cli(*argv) == 2
        assert cli.error == line.replace("{root}", str(tmp_path))
    assert cli("validate", tmp_path / name, "--json") == 2
    assert reported(cli) == [line.replace("{root}", str(tmp_path))]
    assert not (tmp_path / "out").exists()


TARGETS: dict[str, tuple[str, Callable[[Path], object], int, str]] = {
    "a file": (
        "file",
        lambda root: (root / "file").touch(),
        2,
        "the target is a file, not a folder ({root}/file). Choose another name.",
    ),
    "something else's folder": (
        "thesis",
        lambda root: ((root / "thesis").mkdir(), (root / "thesis" / "all.txt").touch()),
        2,
        "the target holds other things than a compiled AMI ({root}/thesis). "
        "Choose a new or empty folder; nothing was changed.",
    ),
    "the source": (
        "source",
        lambda _: None,
        2,
        "the target would replace the AMI source ({root}/source). Choose a folder outside it.",
    ),
    "around the source": (
        ".",
        lambda _: None,
        2,
        "the target would replace the AMI source ({root}). Choose a folder outside it.",
    ),
    "a link to nothing": (
        "link",
        lambda root: (root / "link").symlink_to("nowhere"),
        2,
        "the target is a link to nothing ({root}/link). Remove it, or make the folder.",
    ),
    "below a file": (
        "file/out",
        lambda root: (root / "file").touch(),
        1,
        "the target cannot be written: File exists ({root}/file/out). Choose a folder that you may write.",
    ),
    "below a link to itself": (
        "loop/out",
        lambda root: (root / "loop").symlink_to("loop"),
        1,
        "the target cannot be written: Symlink loop from '{root}/loop/out' ({root}/loop/out). "
        "Choose a folder that you may write.",
    ),
    "a name that no file can have": (
        "x" * 300,
        lambda _: None,
        1,
        f"the target cannot be written: File name too long ({{root}}/{'x' * 300}). Choose a folder that you may write.",
    ),
}


@pytest.mark.parametrize("case", TARGETS.values(), ids=TARGETS)
def test_a_target_that_cannot_be_one_gets_its_line(case, make_source, cli, tmp_path):
    name, change, code, line = case
    source = make(make_source, {})
    change(tmp_path)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    assert cli("compile", source, tmp_path / name) == code
    assert cli.error == line.replace("{root}", str(tmp_path))
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


USAGE = {
    "compile": "the following arguments are required: SOURCE, TARGET. See 'jenkins-ami compile --help'.",
    "compile a": "the following arguments are required: TARGET. See 'jenkins-ami compile --help'.",
    "compile a b c": "unrecognized arguments: c. See 'jenkins-ami compile --help'.",
    "compil a b": "there is no command 'compil'. Did you mean 'compile'.",
    "validate": "the following arguments are required: SOURCE. See 'jenkins-ami validate --help'.",
    "validate a --format xml": "argument --format: invalid choice: 'xml' (choose from 'text', 'json', 'sarif', "
    "'gerrit'). See 'jenkins-ami validate --help'.",
    "validate a --relative-to nowhere": "--relative-to: nowhere is not a folder.",
    "explain": "the following arguments are required: SOURCE. See 'jenkins-ami explain --help'.",
    "explain a --param b": "--param 'b' is not NAME=VALUE.",
}


@pytest.mark.parametrize("words", USAGE)
def test_a_wrong_command_line_gets_its_line(words, cli):
    assert cli(*words.split()) == 1
    assert cli.error == USAGE[words]


def test_a_key_that_the_config_does_not_have_gets_its_line(make_source, cli):
    source = make(make_source, {})
    assert cli("explain", source, "runcmds") == 2
    assert errors(cli, source) == ["the merged cloud-config has no 'runcmds' ({src}). Did you mean 'runcmd'."]


def test_what_could_steer_a_terminal_is_shown_as_an_escape(make_source, cli, tmp_path):
    source = make(make_source, {YML: '#cloud-config\n"\\e[2J": a\n"\\u202e": b\n', "ami.yaml": "strict: false\n"})
    (source / os.fsdecode(b"fs/\xff\n")).parent.mkdir()
    (source / os.fsdecode(b"fs/\xff\n")).symlink_to("../..")
    assert cli("compile", source, tmp_path / "out") == 2
    assert errors(cli, source) == [
        "the link leaves the overlay, to ../.. ({src}/fs/\\xff ). /\\xff is at the top on the instance: take "
        "away one ../."
    ]
    assert cli("validate", source) == 2
    assert all(line.isprintable() for line in cli.out.splitlines())
    assert "there is no cloud-config key '\\x1b[2J'" in cli.out


def test_user_data_that_does_not_fit_gets_its_line_and_a_table(make_source, cli, tmp_path):
    noise = os.urandom(20_000).hex()
    source = make(make_source, {"cloudinit/20_b.sh": f"#!/bin/sh\n# {noise}\n"})
    assert cli("compile", source, tmp_path / "out") == 3
    (line,) = errors(cli, source)
    size = line.split()[3]
    assert line == (
        f"the user-data has {size} bytes and 16,384 are allowed ({{src}}). Move content from write_files or scripts "
        "into fs/, which can go to storage; cloudinit/20_b.sh is the largest."
    )
    assert names(tmp_path) == ["source"]
