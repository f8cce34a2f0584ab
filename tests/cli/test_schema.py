"""`jenkins-ami schema`: JSON Schemas on standard output."""

import json

import jsonschema
import pytest


def test_the_schema_is_printed_ready_to_be_redirected_into_a_file(cli):
    assert cli("schema") == 0
    assert cli.err == ""
    schema = json.loads(cli.out)
    jsonschema.Draft7Validator.check_schema(schema)
    assert list(schema)[:2] == ["$schema", "title"]
    assert list(schema["properties"])[:3] == ["name", "version", "base"]


def test_it_is_what_init_writes_beside_ami_yaml(cli, tmp_path):
    assert cli("schema") == 0
    printed = cli.out
    assert cli("init", tmp_path / "new") == 0
    assert (tmp_path / "new" / "ami.schema.json").read_text() == printed


def test_json_gives_the_same_schema(cli):
    assert cli("schema") == 0
    schema = json.loads(cli.out)
    assert cli("schema", "--json") == 0
    assert json.loads(cli.out) == schema


@pytest.mark.parametrize("file", ["ami.yaml", "compile.json", "ami.json"])
def test_a_file_may_be_named(file, cli):
    assert cli("schema", file) == 0
    schema = json.loads(cli.out)
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["title"] == f"{file} of jenkins-ami"
    assert {"name", "version", "base"} <= schema["properties"].keys()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["ami.yml"], "argument FILE: invalid choice: 'ami.yml' (choose from 'ami.yaml', 'compile.json', 'ami.json')"),
        (["ami.yaml", "ami.json"], "unrecognized arguments: ami.json"),
        (["--draft=4"], "unrecognized arguments: --draft=4"),
    ],
)
def test_what_it_does_not_take_is_a_usage_error(argv, message, cli):
    assert cli("schema", *argv) == 1
    assert cli.error == f"{message}. See 'jenkins-ami schema --help'."
