"""What other tools read of a build: JSON Schema, Packer's manifest, Terraform's variables, JUnit's XML."""

from __future__ import annotations

import dataclasses
import json
import uuid
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from jenkins_ami import artifacts, exports
from jenkins_ami.artifacts import AMI_JSON, BuildResult, ImageRecord, Manifest, TestRecord, to_json
from jenkins_ami.build.run import build
from jenkins_ami.errors import InputError
from jenkins_ami.progress import Progress
from tests.build.compiled import OK, write
from tests.cloud.conftest import _endpoint, _home, environment, server

__all__ = ["_endpoint", "_home", "environment", "server"]

RESULT = BuildResult(
    name="web",
    version="1.4.0",
    build=3,
    image_name="web-1.4.0-3",
    images={"eu-west-1": ImageRecord("ami-2"), "eu-central-1": ImageRecord("ami-1", ("snap-1",), "key")},
    base="ami-0",
    environment="prod",
    region="eu-central-1",
    instance_id="i-1",
    instance_type="t3.small",
    verdict="ok",
    userdata_sha256="0",
    digest="d1",
    created="2026-01-02T03:04:05+00:00",
    commit="c0ffee",
    tested=(TestRecord("serves", True, seconds=1.5),),
    failures={"us-east-1": "no"},
    published={"eu-central-1": ("ssm:/web",)},
)


def check(schema, text: str) -> None:
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(json.loads(text), schema, jsonschema.Draft7Validator)


# The schema


def test_the_schema_takes_the_result_of_a_build(server, environment, tmp_path):
    server.stop("Client.InstanceInitiatedShutdown", console=OK)
    compiled = write(tmp_path, base=server.base())
    build(compiled, environment, tmp_path, Progress())
    check(exports.schema(), (tmp_path / AMI_JSON).read_text())
    check(exports.compiled_schema(), (tmp_path / artifacts.COMPILE_JSON).read_text())


def test_the_schema_takes_all_that_a_result_may_hold():
    check(exports.schema(), to_json(RESULT))


@pytest.mark.parametrize(
    "change",
    [
        {"more": 1},
        {"build": "3"},
        {"build": 1.5},
        {"schema": 2},
        {"images": {"eu-central-1": "ami-1"}},
        {"images": {"eu-central-1": {"image_id": "ami-1", "more": 1}}},
        {"commit": 1},
        {"timings": {"launch": "1"}},
        {"tested": [{"name": "serves"}]},
        {"image": {"imds": None}},
    ],
    ids=str,
)
def test_the_schema_refuses_what_the_reader_refuses(change, tmp_path):
    text = json.dumps(json.loads(to_json(RESULT)) | change)
    (tmp_path / AMI_JSON).write_text(text)
    with pytest.raises(jsonschema.ValidationError):
        check(exports.schema(), text)
    with pytest.raises(InputError):
        artifacts.read_build_result(tmp_path)


@pytest.mark.parametrize("key", sorted(exports.schema()["required"]))
def test_what_the_schema_requires_the_reader_does_too(key, tmp_path):
    text = json.dumps({name: value for name, value in json.loads(to_json(RESULT)).items() if name != key})
    (tmp_path / AMI_JSON).write_text(text)
    with pytest.raises(jsonschema.ValidationError, match=f"'{key}' is a required property"):
        check(exports.schema(), text)
    with pytest.raises(InputError):
        artifacts.read_build_result(tmp_path)


def test_what_the_schema_does_not_require_the_reader_does_not_either(tmp_path):
    required = exports.schema()["required"]
    text = json.dumps({name: value for name, value in json.loads(to_json(RESULT)).items() if name in required})
    check(exports.schema(), text)
    (tmp_path / AMI_JSON).write_text(text)
    assert artifacts.read_build_result(tmp_path).image_name == "web-1.4.0-3"


def test_the_schema_describes_every_key_of_a_result():
    schema = exports.schema()
    assert set(schema["properties"]) == {field.name for field in dataclasses.fields(BuildResult)}
    assert [key for key, value in schema["properties"].items() if not value.get("description")] == []
    records = {name: value["properties"] for name, value in schema["definitions"].items() if name != "ImageSettings"}
    missing = [f"{name}.{key}" for name, keys in records.items() for key in keys if "description" not in keys[key]]
    assert missing == []


def test_a_description_is_plain_text():
    text = json.dumps([exports.schema(), exports.compiled_schema()])
    assert "``" not in text
    assert ":data:" not in text
    assert exports.described(ImageRecord)[1]["image_id"] == "The AMI's id."


def test_no_docstring_describes_a_key_that_is_not_there():
    for kind in (BuildResult, Manifest, ImageRecord, TestRecord, artifacts.ImageSettings):
        assert set(exports.described(kind)[1]) <= {field.name for field in dataclasses.fields(kind)}


# Packer


def test_packers_manifest_names_the_images_as_packer_does():
    manifest = json.loads(exports.packer_manifest(RESULT))
    (build,) = manifest["builds"]
    assert build["artifact_id"] == "eu-central-1:ami-1,eu-west-1:ami-2"
    assert (build["name"], build["builder_type"], build["files"]) == ("web", "amazon-ebs", None)
    assert build["build_time"] == 1767323045
    assert build["custom_data"]["commit"] == "c0ffee"
    assert all(isinstance(value, str) for value in build["custom_data"].values())
    assert manifest["last_run_uuid"] == build["packer_run_uuid"] == str(uuid.UUID(build["packer_run_uuid"]))


def test_a_manifest_that_is_there_keeps_its_builds(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"builds": [{"name": "old", "packer_run_uuid": "x"}], "last_run_uuid": "x", "own": 1}))
    exports.write(RESULT, packer=path)
    manifest = json.loads(path.read_text())
    assert [build["name"] for build in manifest["builds"]] == ["old", "web"]
    assert (manifest["own"], manifest["last_run_uuid"]) == (1, manifest["builds"][1]["packer_run_uuid"])


def test_a_result_that_is_written_again_takes_its_own_place(tmp_path):
    path = tmp_path / "manifest.json"
    exports.write(dataclasses.replace(RESULT, images={"eu-central-1": ImageRecord("ami-1")}), packer=path)
    exports.write(RESULT, packer=path)
    (build,) = json.loads(path.read_text())["builds"]
    assert build["artifact_id"] == "eu-central-1:ami-1,eu-west-1:ami-2"


def test_an_empty_file_is_no_manifest_yet(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text("\n")
    exports.write(RESULT, packer=path)
    assert len(json.loads(path.read_text())["builds"]) == 1


KEPT = "It is left as it is: name another file, or move it away."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"builds": [', "the Packer manifest is no JSON: Expecting value ({}:1:13). " + KEPT),
        ("[]", "this is no manifest of Packer's: it has no list 'builds' ({}). " + KEPT),
        ("{}", "this is no manifest of Packer's: it has no list 'builds' ({}). " + KEPT),
        ('{"builds": {}}', "this is no manifest of Packer's: it has no list 'builds' ({}). " + KEPT),
        ('{"builds": ["web"]}', "this is no manifest of Packer's: it has no list 'builds' ({}). " + KEPT),
        ("[" * 100_000, "this is no manifest of Packer's: it has no list 'builds' ({}). " + KEPT),
    ],
    ids=["cut off", "list", "empty", "builds no list", "build no object", "deep"],
)
def test_a_file_that_is_no_manifest_is_left_as_it_is(tmp_path, text, said):
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        exports.write(RESULT, packer=path)
    assert error.value.line() == said.format(path)
    assert path.read_text() == text


def test_a_manifest_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(InputError, match="the Packer manifest cannot be read"):
        exports.write(RESULT, packer=tmp_path)


# Terraform


def test_terraform_gets_the_image_by_region(tmp_path):
    path = tmp_path / "web.auto.tfvars.json"
    path.write_text("something else")
    exports.write(RESULT, terraform=path)
    assert json.loads(path.read_text()) == {
        "ami_id": "ami-1",
        "ami_ids": {"eu-central-1": "ami-1", "eu-west-1": "ami-2"},
        "ami_name": "web-1.4.0-3",
        "ami_version": "1.4.0",
        "ami_build": 3,
        "ami_region": "eu-central-1",
        "ami_base_id": "ami-0",
    }


def test_nothing_is_written_that_is_not_asked_for(tmp_path):
    exports.write(RESULT)
    assert list(Path(tmp_path).iterdir()) == []


# JUnit


HOSTILE = "<b onclick='x'>&amp;]]>\x00\x1b[31mred\x0b\ud800\ufffe\u202e\"\r\n--> 'end'"


def test_what_xml_cannot_carry_is_visible_in_junits():
    case = exports.Case(HOSTILE, HOSTILE, 1.5, failure=HOSTILE, detail=HOSTILE, output=HOSTILE)
    root = ElementTree.fromstring(exports.junit(HOSTILE, [case]).encode())
    assert [element.tag for element in root.iter()] == ["testsuites", "testsuite", "testcase", "failure", "system-out"]
    line = "<b onclick='x'>&amp;]]>\\x00\\x1b[31mred\\x0b\\ud800\\ufffe\\u202e\""
    found = root.find(".//testcase")
    assert found.attrib == {
        "classname": f"{line} --> 'end'.{line} --> 'end'",
        "name": f"{line} --> 'end'",
        "time": "1.500",
    }
    assert found.find("failure").get("message") == f"{line} --> 'end'"
    assert found.find("failure").text == found.find("system-out").text == f"{line}\n--> 'end'"


def test_junits_counts_are_those_of_the_cases():
    cases = [exports.Case("a", "1", 1.0), exports.Case("a", "2", 0.25, "no"), exports.Case("a", "3", skipped="why")]
    root = ElementTree.fromstring(exports.junit("web", cases).encode())
    counts = {"tests": "3", "failures": "1", "errors": "0", "skipped": "1", "time": "1.250"}
    assert root.attrib == counts
    assert root.find("testsuite").attrib == {"name": "web", **counts}
    assert [case.get("classname") for case in root.iter("testcase")] == ["web.a"] * 3
