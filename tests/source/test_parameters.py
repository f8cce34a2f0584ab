"""Parameters: where a value comes from, and what is said about those that cannot be."""

from pathlib import Path

import pytest

from jenkins_ami.errors import Location
from jenkins_ami.findings import InvalidSource
from jenkins_ami.source.model import Parameter
from jenkins_ami.source.parameters import Values, resolve

FILE = Path("src/ami.yaml")
PLACE = Location(FILE, 3, 5)


def parameter(name="flavour", kind="string", default=None, choices=()):
    return Parameter(name, kind, PLACE, default, choices=choices)


def refused(declared, given=None, environ=None):
    with pytest.raises(InvalidSource) as caught:
        resolve(declared, given or {}, environ or {}, FILE)
    return [finding.line() for finding in caught.value.findings]


def test_the_command_line_wins_over_the_environment_and_that_over_the_default():
    declared = [parameter(default="d")]
    environ = {"AMI_PARAM_FLAVOUR": "e", "PATH": "/bin", "ami_param_x": "no matter"}
    assert resolve(declared, {}, {}, FILE).public == {"flavour": "d"}
    assert resolve(declared, {}, environ, FILE).public == {"flavour": "e"}
    assert resolve(declared, {"flavour": "g"}, environ, FILE).public == {"flavour": "g"}


def test_secrets_come_from_the_environment_and_are_kept_apart():
    declared = [parameter(), parameter("token", "secret")]
    values = resolve(declared, {"flavour": "x"}, {"AMI_PARAM_TOKEN": "hidden"}, FILE)
    assert values == Values({"flavour": "x"}, {"token": "hidden"})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", ""),
        ("string", "two words = ü"),
        ("integer", "0"),
        ("integer", "-42"),
        ("integer", "9" * 18),
        ("boolean", "true"),
        ("boolean", "false"),
        ("choice", "b"),
    ],
)
def test_a_value_that_fits_its_type_is_taken_as_it_is(kind, value):
    declared = [parameter(kind=kind, choices=("a", "b") if kind == "choice" else ())]
    assert resolve(declared, {"flavour": value}, {}, FILE).public == {"flavour": value}


NO_SUCH = [
    ({"flavor": "x"}, {}, "--param flavor: there is no such parameter (src/ami.yaml). Did you mean 'flavour'."),
    ({"FLAVOUR": "x"}, {}, "--param FLAVOUR: there is no such parameter (src/ami.yaml). Did you mean 'flavour'."),
    ({"zzz": "x"}, {}, "--param zzz: there is no such parameter (src/ami.yaml). Known: flavour."),
    (
        {},
        {"AMI_PARAM_FLAVOR": "x"},
        "AMI_PARAM_FLAVOR is set, and there is no such parameter (src/ami.yaml). Did you mean 'AMI_PARAM_FLAVOUR'.",
    ),
    (
        {},
        {"AMI_PARAM_flavour": "x"},
        "AMI_PARAM_flavour is set, and there is no such parameter (src/ami.yaml). Did you mean 'AMI_PARAM_FLAVOUR'.",
    ),
]


@pytest.mark.parametrize(("given", "environ", "line"), NO_SUCH)
def test_a_name_that_is_not_declared_is_refused_with_the_closest(given, environ, line):
    assert refused([parameter(default="d")], given, environ) == [line]


BAD = [
    (
        "string",
        {},
        {},
        "parameter 'flavour' has no value (src/ami.yaml:3:5). Give --param flavour=VALUE, or set AMI_PARAM_FLAVOUR.",
    ),
    (
        "secret",
        {},
        {},
        "parameter 'flavour' has no value (src/ami.yaml:3:5). Set AMI_PARAM_FLAVOUR in the environment.",
    ),
    (
        "secret",
        {"flavour": "x"},
        {},
        (
            "the secret 'flavour' was given by --param, where everybody on this machine can read it "
            "(src/ami.yaml:3:5). Set AMI_PARAM_FLAVOUR in the environment."
        ),
    ),
    ("secret", {}, {"AMI_PARAM_FLAVOUR": ""}, "AMI_PARAM_FLAVOUR: the value of 'flavour' is empty (src/ami.yaml:3:5)."),
    (
        "secret",
        {},
        {"AMI_PARAM_FLAVOUR": "hidden\nhere"},
        "AMI_PARAM_FLAVOUR: the value of 'flavour' has more than one line (src/ami.yaml:3:5).",
    ),
    (
        "string",
        {"flavour": "a\nb"},
        {},
        "--param flavour: the value of 'flavour' has more than one line (src/ami.yaml:3:5).",
    ),
    (
        "string",
        {},
        {"AMI_PARAM_FLAVOUR": "\udcff"},
        "AMI_PARAM_FLAVOUR: the value of 'flavour' is not UTF-8 text (src/ami.yaml:3:5).",
    ),
    (
        "integer",
        {"flavour": "ten"},
        {},
        "--param flavour: the value of 'flavour' is 'ten', not a whole number (src/ami.yaml:3:5).",
    ),
    (
        "integer",
        {"flavour": "1.5"},
        {},
        "--param flavour: the value of 'flavour' is '1.5', not a whole number (src/ami.yaml:3:5).",
    ),
    (
        "integer",
        {"flavour": ""},
        {},
        "--param flavour: the value of 'flavour' is '', not a whole number (src/ami.yaml:3:5).",
    ),
    (
        "integer",
        {"flavour": "9" * 5000},
        {},
        "--param flavour: the value of 'flavour' has more than 18 digits (src/ami.yaml:3:5).",
    ),
    (
        "boolean",
        {},
        {"AMI_PARAM_FLAVOUR": "yes"},
        "AMI_PARAM_FLAVOUR: the value of 'flavour' is 'yes', not true or false (src/ami.yaml:3:5).",
    ),
    (
        "boolean",
        {"flavour": "True"},
        {},
        "--param flavour: the value of 'flavour' is 'True', not true or false (src/ami.yaml:3:5).",
    ),
    (
        "choice",
        {"flavour": "c"},
        {},
        "--param flavour: the value of 'flavour' is 'c', not one of a, b (src/ami.yaml:3:5).",
    ),
]


@pytest.mark.parametrize(("kind", "given", "environ", "line"), BAD)
def test_a_value_that_cannot_be_is_refused_with_its_origin(kind, given, environ, line):
    declared = [parameter(kind=kind, choices=("a", "b") if kind == "choice" else ())]
    assert refused(declared, given, environ) == [line]


def test_a_source_without_parameters_says_so():
    assert refused([], {"x": "1"}) == [
        "--param x: there is no such parameter (src/ami.yaml). The source declares no parameters."
    ]


def test_everything_that_is_wrong_is_told_at_once():
    declared = [parameter(), parameter("size", "integer", "3"), parameter("token", "secret")]
    lines = refused(declared, {"flavor": "x", "size": "big"}, {"AMI_PARAM_OTHER": "x"})
    assert len(lines) == 5
