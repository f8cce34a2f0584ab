"""ami.env is read as a shell would, as far as assignments go, and nothing is run."""

import subprocess

import pytest

from jenkins_ami.errors import InputError
from jenkins_ami.source import amienv

UNDERSTOOD = [
    "A=plain",
    "A='single # quoted'",
    'A="double quoted"',
    "export A=exported",
    "A=one' two '\"three\"",
    'B=x\nA="${B}-y"',
    "B=x\nA=$B.y",
    'A="a\\"b\\\\c"',
    "A=a\\ b",
    "A=value   # a comment",
    "A=val#ue",
    "A=",
    "A=first\nA=second",
    "# comment\n\n   A=indented",
    "A=a=b",
]


@pytest.mark.parametrize("text", UNDERSTOOD)
def test_a_value_is_what_a_shell_makes_of_it(text):
    shell = subprocess.run(["sh", "-c", f'{text}\nprintf %s "$A"'], capture_output=True, text=True, check=True)
    assert amienv.parse(text, "ami.env")["A"].value == shell.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NAME = x", "not an assignment: NAME = x (ami.env:1:1). Write NAME=value, without spaces around '='."),
        ("\necho hello", "not an assignment: echo hello (ami.env:2:1). Write NAME=value, without spaces around '='."),
        ("A=$(date)", "'$' begins something that only a shell can do (ami.env:1:3)."),
        ('A="`date`"', "a backtick would run a command (ami.env:1:4)."),
        ("A=x; rm -rf /", "';' is for a shell, and this is read without one (ami.env:1:4)."),
        ("A='open", "a quote is not closed on its line (ami.env:1:3). Close it with '."),
        ('A="open', 'a quote is not closed on its line (ami.env:1:3). Close it with ".'),
        ("A=two words", "'words' after the value (ami.env:1:7). Quote a value that contains spaces."),
        ("A=$B", "$B is not assigned above (ami.env:1:3)."),
    ],
)
def test_what_is_not_an_assignment_is_refused_with_its_place(text, message):
    with pytest.raises(InputError) as caught:
        amienv.parse(text, "ami.env")
    assert caught.value.line().startswith(message)
