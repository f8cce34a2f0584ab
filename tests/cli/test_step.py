"""A command line out of JSON: names, kinds, and values that look like something else."""

import argparse
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jenkins_ami.cli import COMMANDS, Parser, commands, parser_of
from jenkins_ami.cli.step import VARIABLE, parameters, words
from jenkins_ami.errors import UsageError


@pytest.fixture
def step(monkeypatch, cli):
    """Runs ``jenkins-ami step`` with a command and arguments, and returns the exit code."""

    def run(command, arguments=None, *options):
        monkeypatch.setenv(VARIABLE, json.dumps({"command": command, "arguments": arguments or {}}))
        return cli("step", *options)

    return run


def parsed(command, arguments):
    parser = parser_of(command)
    return vars(parser.parse_args(words(command, parser, arguments)))


@pytest.fixture
def parser():
    """All forms of options and positionals."""
    made = Parser(prog="jenkins-ami try")
    made.add_argument("folder")
    made.add_argument("files", nargs="*")
    made.add_argument("-n", "--max-count", type=int, dest="limit")
    made.add_argument("--colour", action=argparse.BooleanOptionalAction)
    made.add_argument("--level", nargs="?", const="high")
    made.add_argument("--to", nargs="+", action="extend")
    made.add_argument("--set", metavar="KEY=VALUE", action="append")
    made.add_argument("--hidden", help=argparse.SUPPRESS)
    either = made.add_argument_group("either").add_mutually_exclusive_group()
    either.add_argument("--one", action="store_true")
    made.add_argument("--version", action="version", version="1")
    return made


def test_each_argument_of_a_parser_has_a_name_and_a_kind(parser):
    assert {each.name: each.kind for each in parameters(parser)} == {
        "folder": "positional",
        "files": "positional",
        "max-count": "number",
        "colour": "flag",
        "level": "text",
        "to": "list",
        "set": "mapping",
        "one": "flag",
    }


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({}, []),
        ({"folder": "a"}, ["--", "a"]),
        ({"files": ["b", "c"], "folder": "a"}, ["--", "a", "b", "c"]),
        ({"folder": "a", "files": "b"}, ["--", "a", "b"]),
        ({"max-count": 3}, ["--max-count=3"]),
        ({"maxCount": "3"}, ["--max-count=3"]),
        ({"max_count": 3}, ["--max-count=3"]),
        ({"n": 3}, ["--max-count=3"]),
        ({"colour": True}, ["--colour"]),
        ({"colour": False}, ["--no-colour"]),
        ({"one": True}, ["--one"]),
        ({"one": False}, []),
        ({"level": True}, ["--level"]),
        ({"level": False}, []),
        ({"level": "low"}, ["--level=low"]),
        ({"to": ["a", "b"]}, ["--to=a", "--to=b"]),
        ({"to": "a"}, ["--to=a"]),
        ({"to": [1, 2.5]}, ["--to=1", "--to=2.5"]),
        ({"set": {"A": "1", "B": 2, "C": True, "D": None}}, ["--set=A=1", "--set=B=2", "--set=C=true"]),
        ({"set": ["A=1", "B=2"]}, ["--set=A=1", "--set=B=2"]),
        ({"set": {"A": "x=y"}}, ["--set=A=x=y"]),
        ({"folder": None, "one": None, "to": None, "set": {}, "files": []}, []),
    ],
    ids=str,
)
def test_arguments_become_a_command_line(parser, arguments, line):
    assert words("try", parser, arguments) == line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"colour": "yes"}, "try: 'colour' is a text, not true or false."),
        ({"one": 1}, "try: 'one' is a number, not true or false."),
        ({"max-count": [3]}, "try: 'max-count' is a list, not a number."),
        ({"max-count": True}, "try: 'max-count' is true, not a number."),
        ({"folder": ["a"]}, "try: 'folder' is a list, not a text."),
        ({"folder": False}, "try: 'folder' is false, not a text."),
        ({"level": {"a": "b"}}, "try: 'level' is an object, not a text."),
        ({"to": {"a": "b"}}, "try: 'to' is an object, not a list of texts."),
        ({"to": ["a", None]}, "try: 'to' has null in it, not only texts."),
        ({"to": [["a"]]}, "try: 'to' has a list in it, not only texts."),
        ({"set": {"a": ["b"]}}, "try: 'set' has a list in it, not only texts."),
        ({"set": {"a=b": "c"}}, "try: 'set' has a name with '=' in it."),
        ({"set": True}, "try: 'set' is true, not an object of texts."),
        ({"folder": "a\0b"}, "try: 'folder' has a NUL in it."),
        ({"set": {"a\0": "b"}}, "try: 'set' has a NUL in it."),
        ({"folder": "\ud800"}, "try: 'folder' has half a character in it (a lone surrogate)."),
        ({"folder": "a", "files": ["--"]}, "try: 'files' is '--': write ./-- for a file of that name."),
        ({"files": ["a"]}, "try needs 'folder' when there is 'files'."),
        ({"maxCount": 1, "max-count": 2}, "try has 'max-count' twice. One of them is called 'max-count'."),
        ({"maxCuont": 1}, "try has no parameter 'maxCuont'. Did you mean 'max-count'."),
        ({"help": True}, "try has no parameter 'help'."),
        ({"hidden": "x"}, "try has no parameter 'hidden'."),
        ({"--one": True}, "try has no parameter '--one'."),
    ],
    ids=str,
)
def test_what_a_command_cannot_take_is_one_line(parser, arguments, line):
    with pytest.raises(UsageError) as caught:
        words("try", parser, arguments)
    assert caught.value.line().startswith(line)


HOSTILE = [
    "-x",
    "--json",
    "--output=/etc",
    "a\nb",
    "\n",
    "$(reboot)",
    "`id`",
    "'\"",
    "é🦊",
    "",
    " ",
    "=",
    "@file",
    "\\",
    "%s",
]


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
def test_a_hostile_value_is_one_value(text):
    given = {"source": text, "target": text, "storage": text, "param": {"NAME": text}, "env": [text, text]}
    found = parsed("compile", given)
    assert (str(found["source"]), str(found["target"])) == (text or ".", text or ".")
    assert found["storage"] == text
    assert found["param"] == [f"NAME={text}"]
    assert found["env"] == [text, text]
    assert found["json"] is False


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_any_texts_arrive_as_they_are(texts):
    names = [text for text in texts if text != "--"]
    assert parsed("images list", {"names": names, "region": texts})["names"] == names
    assert parsed("images list", {"names": names, "region": texts})["regions"] == texts


def test_every_command_can_be_described():
    for command in commands():
        names = [each.name for each in parameters(parser_of(command))]
        assert len(names) == len(set(names)), command
        assert {"json", "verbose", "quiet"} <= set(names)


def test_the_list_has_every_command_and_the_kinds_of_its_parameters(cli):
    assert cli("step", "--list") == 0
    listed = json.loads(cli.out)
    assert {command.split()[0] for command in listed} == set(COMMANDS)
    assert listed["build"]["target"] == "positional"
    assert listed["build"]["timeout"] == "number"
    assert listed["boot"]["memory"] == "number"
    assert listed["compile"]["param"] == "mapping"
    assert listed["images share"]["account"] == "list"
    assert listed["images deprecate"]["region"] == "text"
    assert listed["jobs plan"]["verify"] == "flag"


def test_output_and_exit_code_are_the_commands_own(step, cli, make_source, tmp_path):
    source = make_source()
    direct = cli("validate", source, "--json"), cli.out
    assert (step("validate", {"source": str(source), "json": True}), cli.out) == direct
    assert (step("validate", {"source": str(source)}, "--json"), cli.out) == direct
    assert step("compile", {"source": str(tmp_path / "none"), "target": str(tmp_path / "out")}) == 2
    assert cli.error == f"the AMI source does not exist ({tmp_path / 'none'})."


def test_verbose_and_quiet_may_come_either_way(step, cli, make_source):
    source = str(make_source())
    assert step("validate", {"source": source, "quiet": True}) == 0
    assert cli.err == ""
    assert step("validate", {"source": source}, "-q") == 0
    assert cli.err == ""
    assert step("validate", {"source": source, "quiet": False}, "-q") == 0
    assert "check" in cli.err


def test_the_commands_own_parser_checks_the_command_line(step, cli, tmp_path):
    assert step("build", {"target": str(tmp_path), "local": True, "environment": "dev"}) == 1
    assert cli.error.startswith("argument --environment: not allowed with argument --local.")
    assert step("diff", {"old": "a"}) == 1
    assert cli.error == "the following arguments are required: B. See 'jenkins-ami diff --help'."


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("buidl", "there is no command 'buidl'. Did you mean 'build'."),
        ("", "there is no command ''. See 'jenkins-ami --help'."),
        ("--version", "there is no command '--version'. See 'jenkins-ami --help'."),
        ("images", "there is no command 'images'. "),
        ("images lst", "there is no command 'images lst'. Did you mean 'images list'."),
        ("validate --json", "there is no command 'validate --json'. Did you mean 'validate'."),
        ("step", "JENKINS_AMI_STEP is not set. "),
    ],
    ids=str,
)
def test_a_command_that_there_is_not_is_one_line(step, cli, command, line):
    assert step(command) == 1
    assert cli.error.startswith(line)
    assert cli.out == ""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, "JENKINS_AMI_STEP is not set. It holds what to run, like "),
        ("", "JENKINS_AMI_STEP is no JSON: Expecting value: line 1 column 1 (char 0)."),
        ("{'command': 'build'}", "JENKINS_AMI_STEP is no JSON: Expecting property name enclosed in double quotes: "),
        (
            '{"command": "build", "arguments": {"timeout": NaN}}',
            "JENKINS_AMI_STEP is no JSON: NaN is no number of JSON.",
        ),
        ("1" * 5000, "JENKINS_AMI_STEP is no JSON: "),
        ("[" * 100_000, "JENKINS_AMI_STEP is no object with 'command' and 'arguments'."),
        ("[]", "JENKINS_AMI_STEP is no object with 'command' and 'arguments'."),
        ("{}", "JENKINS_AMI_STEP is no object with 'command' and 'arguments'."),
        ('{"command": ["build"]}', "JENKINS_AMI_STEP is no object with 'command' and 'arguments'."),
        ('{"command": "build", "arguments": ["a"]}', "JENKINS_AMI_STEP is no object with 'command' and 'arguments'."),
        ('{"command": "build", "args": {}}', "JENKINS_AMI_STEP is no object with 'command' and 'arguments'."),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_variable_that_describes_nothing_is_one_line(monkeypatch, cli, text, line):
    monkeypatch.delenv(VARIABLE, raising=False)
    if text is not None:
        monkeypatch.setenv(VARIABLE, text)
    assert cli("step") == 1
    assert cli.error.startswith(line)


def test_arguments_may_be_missing(monkeypatch, cli):
    monkeypatch.setenv(VARIABLE, '{"command": "schema"}')
    assert cli("step") == 0
    assert json.loads(cli.out)["title"]


def test_what_the_command_starts_does_not_see_the_variable(step, cli, make_source, tmp_path):
    source = make_source({"script/compile.sh": "#!/bin/sh\n"})
    assert step("compile", {"source": str(source), "target": str(tmp_path / "out"), "env": [VARIABLE]}) == 2
    assert cli.error.startswith(f"--env {VARIABLE}: there is no such variable")
    assert VARIABLE not in os.environ


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        ({"source": "$(touch here)", "target": "out"}, 2, "the AMI source does not exist ($(touch here)).\n"),
        ({"suorce": "a"}, 1, "compile has no parameter 'suorce'. Did you mean 'source'.\n"),
    ],
    ids=["of the command", "of the step"],
)
def test_the_reason_is_in_the_error_file(tmp_path, arguments, code, line):
    described = json.dumps({"command": "compile", "arguments": arguments})
    environ = {**os.environ, VARIABLE: described, "JENKINS_AMI_ERROR_FILE": "error.txt"}
    argv = [sys.executable, "-m", "jenkins_ami", "step"]
    done = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert (tmp_path / "error.txt").read_text() == line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["error.txt"]


def test_two_dashes_behind_a_command_end_its_options(cli):
    assert cli("diff", "--", "-a", "--json") == 2
    assert cli.error.startswith("there is no compiled AMI here (-a).")
