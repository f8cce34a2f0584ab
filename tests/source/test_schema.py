"""The JSON Schema of ami.yaml says what the reader does: the same keys, and the same verdict at every edge."""

import json
import re

import jsonschema
import pytest
import yaml

from jenkins_ami.errors import InputError
from jenkins_ami.findings import InvalidSource
from jenkins_ami.source import image, options, settings
from jenkins_ami.source.model import Discard, JobSettings, Throttle
from jenkins_ami.source.scaffold import TEMPLATES, scaffold
from jenkins_ami.source.schema import ami_yaml
from tests.conftest import EXAMPLES

SCHEMA = ami_yaml()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def reader_accepts(text, folder):
    """Whether ami.yaml is read without an error, ami.env saying nothing that it may say too."""
    data = yaml.safe_load(text) or {}
    given = data if isinstance(data, dict) else {}
    env = {"NAME": "n", "VERSION": "1", "BASE": "b"}
    lines = [f"{key}={value}" for key, value in env.items() if given.get(key.lower()) is None]
    (folder / "ami.env").write_text("\n".join(lines) + "\n")
    (folder / "ami.yaml").write_text(text)
    try:
        settings.read_identity(folder)
    except InputError:
        return False
    return True


def test_it_is_a_valid_schema_of_draft_7():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"


UNKNOWN = "zzqqzzqq"
IMAGE = SCHEMA["properties"]["image"]
JOBS = SCHEMA["properties"]["jobs"]
LEVELS = {
    "the file": ("{unknown}: 1", SCHEMA),
    "timeouts": ("timeouts: {{{unknown}: 1}}", SCHEMA["properties"]["timeouts"]),
    "merge": ("merge: {{{unknown}: 1}}", SCHEMA["properties"]["merge"]),
    "checks": ("checks: {{{unknown}: 1}}", SCHEMA["properties"]["checks"]),
    "strict": ("strict: {{{unknown}: 1}}", SCHEMA["properties"]["strict"]["anyOf"][1]),
    "base": ("base: {{{unknown}: 1}}", SCHEMA["properties"]["base"]["anyOf"][1]),
    "image": ("image: {{{unknown}: 1}}", IMAGE),
    "share": ("image: {{share: {{{unknown}: 1}}}}", IMAGE["properties"]["share"]),
    "retention": ("image: {{retention: {{{unknown}: 1}}}}", IMAGE["properties"]["retention"]),
    "storage": ("storage: {{{unknown}: 1}}", SCHEMA["properties"]["storage"]["anyOf"][1]),
    "overlay": ("overlay: {{{unknown}: 1}}", SCHEMA["properties"]["overlay"]),
    "an overlay rule": (
        "overlay: {{rules: [{{{unknown}: 1}}]}}",
        SCHEMA["properties"]["overlay"]["properties"]["rules"]["items"],
    ),
    "a test": ("tests: [{{{unknown}: 1}}]", SCHEMA["properties"]["tests"]["items"]["anyOf"][1]),
    "jobs": ("jobs: {{{unknown}: 1}}", JOBS),
    "how to verify": ("jobs: {{verify: {{{unknown}: 1}}}}", JOBS["properties"]["verify"]["anyOf"][1]),
    "labels": ("jobs: {{labels: {{{unknown}: 1}}}}", JOBS["properties"]["labels"]),
    "credentials": ("jobs: {{credentials: {{{unknown}: 1}}}}", JOBS["properties"]["credentials"]),
    "discard": ("jobs: {{discard: {{{unknown}: 1}}}}", JOBS["properties"]["discard"]),
    "throttle": ("jobs: {{throttle: {{{unknown}: 1}}}}", JOBS["properties"]["throttle"]),
    "a parameter": ("parameters: {{p: {{{unknown}: 1}}}}", SCHEMA["properties"]["parameters"]["additionalProperties"]),
}


@pytest.mark.parametrize(("text", "schema"), LEVELS.values(), ids=LEVELS)
def test_its_keys_are_those_that_the_reader_knows(text, schema, tmp_path):
    (tmp_path / "ami.yaml").write_text(text.format(unknown=UNKNOWN))
    (tmp_path / "ami.env").write_text("NAME=n\nVERSION=1\nBASE=b\n")
    with pytest.raises(InvalidSource) as caught:
        settings.read_identity(tmp_path)
    (hint,) = [finding.hint for finding in caught.value.findings if UNKNOWN in finding.what]
    assert hint.removeprefix("Known: ").split(", ") == sorted(schema["properties"])
    assert schema["additionalProperties"] is False


def mappings(schema, path=""):
    """All sub-schemas that describe a mapping by its keys."""
    if isinstance(schema, dict):
        if "properties" in schema and "additionalProperties" in schema:
            yield path, schema
        for key, value in schema.items():
            if key not in ("if", "then", "else"):
                yield from mappings(value, f"{path}/{key}")
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from mappings(value, f"{path}/{index}")


def test_every_level_is_held_against_the_reader():
    listed = [json.dumps(schema, sort_keys=True) for _, schema in LEVELS.values()]
    assert sorted(listed) == sorted(json.dumps(schema, sort_keys=True) for _, schema in mappings(SCHEMA))


def test_every_key_has_a_description_for_the_editor():
    missing = [
        f"{path}/{key}"
        for path, schema in mappings(SCHEMA)
        for key, one in schema["properties"].items()
        if not one.get("description")
    ]
    assert missing == []


def test_choices_and_bounds_come_from_the_reader():
    keys = SCHEMA["properties"]
    assert keys["architecture"]["enum"][:-1] == list(image.ARCHITECTURES)
    assert keys["image"]["properties"]["imds"]["enum"][:-1] == list(image.IMDS)
    assert keys["image"]["properties"]["boot_mode"]["enum"][:-1] == list(image.BOOT_MODES)
    assert keys["base"]["anyOf"][1]["properties"]["virtualization"]["enum"][:-1] == list(image.VIRTUALIZATIONS)
    assert keys["merge"]["properties"]["scalars"]["enum"][:-1] == list(options.SCALARS)
    assert keys["overlay"]["properties"]["compression"]["enum"][:-1] == list(options.COMPRESSIONS)
    assert keys["parameters"]["additionalProperties"]["properties"]["type"]["enum"][:-1] == list(options.KINDS)
    assert keys["storage"]["anyOf"][1]["properties"]["access"]["enum"][:-1] == list(options.ACCESSES)


UNIT = "arn:aws:organizations::123456789012:ou/o-a1b2c3d4e5/ou-a1b2-c3d4e5f6"
GOOD = [
    "",
    "{}",
    "name: web\nversion: '1'\nbase: scratch",
    f"name: {'x' * 100}",
    'name: "a b ( ) [ ] . / - \' @ _"',
    "name:\nversion:\nbase:",
    "version: 1.0.0",
    "version: '1'",
    "version: 1.0.rc1",
    "base: ami-0123456789abcdef0",
    "description: ''",
    "description:",
    "architecture: x86_64",
    "architecture: arm64",
    "architecture:",
    "instance_types: []",
    "instance_types: [t3.small, t3a.small]",
    "instance_types:",
    "volume_size: 1",
    "volume_size: 16384",
    "volume_size:",
    "storage: s3://abc",
    "storage: s3://a-b.c/p/q",
    "storage: https://host/",
    "storage: https://host:8443/a/%20b?x=1",
    "storage: {url: s3://abc/d}",
    "storage: {url: s3://abc/d, access: profile}",
    "storage: {url: s3://abc/d, access: presigned}",
    "storage: {url: s3://abc/d, access: }",
    "storage: {url: https://host/d}",
    "storage: {url: https://host/d, access: }",
    "storage: {access: profile}",
    "storage: {url: , access: presigned}",
    "storage: {}",
    "storage:",
    "tags: {team: web, a b: ''}",
    "tags: {}",
    "tags:",
    "tests: []",
    "tests:",
    "tests: [uname]",
    "tests: [{run: uname}]",
    "tests: [{run: uname, name: n, stdout: Linux, exit_code: 0, timeout: 1}]",
    "tests: [{run: uname, exit_code: 255, timeout: 3600}]",
    "tests: [{run: uname, name: '', stdout: '', exit_code: , timeout: }]",
    "timeouts:",
    "timeouts: {}",
    "timeouts: {compile: 1, instance: 1, image: 1}",
    "timeouts: {compile: 86400, instance: 86400, image: 86400}",
    "timeouts: {compile: , instance: , image: }",
    "merge: {scalars: error}",
    "merge: {scalars: first}",
    "merge: {scalars: last}",
    "merge: {scalars: }",
    "merge:",
    "strict: true",
    "strict: no",
    "strict:",
    "strict: {}",
    "strict: {except: [cloudinit/9*]}",
    "strict: {except: }",
    "overlay:",
    "overlay: {compression: gzip}",
    "overlay: {compression: zstd, rules: , setuid: }",
    "overlay: {rules: [{path: etc/*, mode: '0640'}]}",
    "overlay: {rules: [{path: etc/*, mode: '640', owner: root}]}",
    "overlay: {rules: [{path: /etc/*, owner: 'www-data:0'}]}",
    "overlay: {rules: [{path: etc/*, owner: 'machine$'}]}",
    "overlay: {rules: [{path: etc/*, owner: '4294967295:1'}]}",
    "overlay: {rules: [{path: etc/*, mode: , owner: root}]}",
    "overlay: {setuid: [usr/bin/x]}",
    "checks:",
    "checks: {allow_secrets: }",
    "checks: {allow_secrets: [fs/x]}",
    "parameters:",
    "parameters: {}",
    "parameters: {p: }",
    f"parameters: {{p{'x' * 63}: {{}}}}",
    "parameters: {p: {type: }}",
    "parameters: {p_1: {default: text, description: d}}",
    "parameters: {p: {default: 7}}",
    "parameters: {p: {default: yes}}",
    "parameters: {p: {default: ''}}",
    "parameters: {p: {default: }}",
    "parameters: {p: {choices: []}}",
    "parameters: {p: {type: integer, default: -7}}",
    "parameters: {p: {type: integer, default: '7'}}",
    "parameters: {p: {type: integer}}",
    "parameters: {p: {type: boolean, default: on}}",
    "parameters: {p: {type: boolean, default: 'false'}}",
    "parameters: {p: {type: choice, choices: [a, b]}}",
    "parameters: {p: {type: choice, choices: [a, b], default: b}}",
    "parameters: {p: {type: choice, choices: ['1', '2'], default: 1}}",
    "parameters: {p: {type: secret}}",
    "parameters: {p: {type: secret, default: }}",
]
GOOD += [
    "base: ami-01234567",
    "base: ssm:/aws/service/x/image_id",
    "base: ssm:/a/b:3",
    "base: scratch:01234567",
    "base: web-1.4.0",
    "base: ami-base",
    f"base: {'x' * 128}",
    "base: ../base",
    "base: .",
    "base: {name: debian-12-*, owners: ['136693071363']}",
    "base: {name: a, owners: [self, amazon, aws-marketplace, aws-backup-vault], architecture: arm64}",
    "base: {name: a, owners: [self], architecture: , virtualization: paravirtual, tags: {a: ''}}",
    "base: {name: a, owners: [self], virtualization: , tags: }",
    "spot: true",
    "spot:",
    "image:",
    "image: {}",
    "image: {regions: [eu-west-1, us-gov-west-1], encrypted: false, imds: any, boot_mode: uefi, protect: true}",
    "image: {regions: , encrypted: , share: , imds: , boot_mode: , deprecate_after: , protect: , retention: }",
    "image: {regions: [], share: {accounts: [], organizations: , organizational_units: []}}",
    "image: {imds: v2.0, boot_mode: legacy-bios}",
    "image: {boot_mode: uefi-preferred}",
    "image: {deprecate_after: 1}",
    "image: {deprecate_after: 3650}",
    "image: {share: {accounts: ['123456789012']}}",
    "image: {share: {organizations: ['arn:aws:organizations::123456789012:organization/o-a1b2c3d4e5']}}",
    f"image: {{share: {{organizational_units: ['{UNIT}', '{UNIT.replace(':aws:', ':aws-cn:')}']}}}}",
    "image: {retention: {images: 1, days: 1, versions: 1}}",
    "image: {retention: {images: 10000, days: 3650, versions: 10000}}",
    "image: {retention: {images: , days: }}",
    "jobs:",
    "jobs: {build: false, local: true, concurrent: true, follow_base: false}",
    "jobs: {verify: none}",
    "jobs: {verify: {by: gerrit-trigger, jenkinsfile: ci/Jenkinsfile}}",
    "jobs: {verify: {jenkinsfile: }}",
    "jobs: {environment: dev, environments: [dev, prod-1.x]}",
    "jobs: {environments: []}",
    "jobs: {timeout: 1, quiet_period: 0}",
    "jobs: {nightly: 'H 3 * * 1-5', poll: '@daily'}",
    "jobs: {recheck: '(?i)again', gerrit_server: main}",
    "jobs: {labels: {compile: 'linux && big', build: b, verify: v}}",
    "jobs: {credentials: {git: gerrit-http, aws: aws_1}}",
    "jobs: {discard: {builds: -1, days: 30, artifact_builds: 5, artifact_days: -1}}",
    "jobs: {throttle: {categories: [a, b], total: 4, per_node: 0}}",
]
BAD = [
    "base: '   '",
    "base: ami-123",
    "base: ami-ABC*",
    "base: debian-12-*",
    "base: 'ssm:'",
    "base: ssm://a",
    "base: scratch:latest",
    "base: 'a:b'",
    'base: "a\\n"',
    f"base: {'x' * 129}",
    "base: {}",
    "base: {name: a}",
    "base: {name: a, owners: }",
    "base: {name: a, owners: []}",
    "base: {name: a, owners: self}",
    "base: {name: a, owners: [everybody]}",
    "base: {name: a, owners: ['12345678901']}",
    "base: {name: a, owners: [123456789012]}",
    "base: {owners: [self]}",
    "base: {name: '', owners: [self]}",
    "base: {name: 'a:b', owners: [self]}",
    f"base: {{name: {'x' * 129}, owners: [self]}}",
    "base: {name: a, owners: [self], architecture: i386}",
    "base: {name: a, owners: [self], virtualization: pv}",
    "base: {name: a, owners: [self], tags: {a: 1}}",
    "base: {name: a, owner: [self]}",
    "spot: 1",
    "spot: 'yes'",
    "image: true",
    "image: []",
    "image: {region: [eu-west-1]}",
    "image: {regions: eu-west-1}",
    "image: {regions: [Ireland]}",
    "image: {regions: [eu-west-1a]}",
    "image: {regions: [1]}",
    "image: {encrypted: 1}",
    "image: {share: ['123456789012']}",
    "image: {share: {accounts: '123456789012'}}",
    "image: {share: {accounts: [123456789012]}}",
    "image: {share: {accounts: ['1234']}}",
    "image: {share: {accounts: [all]}}",
    "image: {share: {organizations: [o-a1b2c3d4e5]}}",
    "image: {share: {organizational_units: ['arn:aws:organizations::123456789012:organization/o-a1b2c3d4e5']}}",
    "image: {share: {units: []}}",
    "image: {imds: 'v1.0'}",
    "image: {imds: 2.0}",
    "image: {imds: ''}",
    "image: {boot_mode: bios}",
    "image: {boot_mode: ''}",
    "image: {deprecate_after: 0}",
    "image: {deprecate_after: 3651}",
    "image: {deprecate_after: 90d}",
    "image: {protect: 'true'}",
    "image: {retention: 5}",
    "image: {retention: {images: 0}}",
    "image: {retention: {days: 3651}}",
    "image: {retention: {versions: 10001}}",
    "image: {retention: {keep: 3}}",
    "jobs: true",
    "jobs: {buidl: true}",
    "jobs: {build: 1}",
    "jobs: {verify: maybe}",
    "jobs: {verify: [none]}",
    "jobs: {verify: {by: maybe}}",
    "jobs: {verify: {jenkinsfile: /etc/passwd}}",
    "jobs: {verify: {jenkinsfile: a/../../b}}",
    "jobs: {verify: {jenkinsfile: ..}}",
    "jobs: {verify: {jenkinsfile: 'ci/$HOME'}}",
    'jobs: {verify: {jenkinsfile: "a\\x7f"}}',
    "jobs: {gerrit_server: ''}",
    "jobs: {environment: 'a b'}",
    "jobs: {environment: -dev}",
    "jobs: {environments: ['a b']}",
    "jobs: {environments: dev}",
    "jobs: {timeout: 0}",
    "jobs: {timeout: 10081}",
    "jobs: {quiet_period: -1}",
    "jobs: {nightly: 3}",
    "jobs: {labels: {compile: ''}}",
    'jobs: {labels: {compile: "a\\nb"}}',
    "jobs: {credentials: {git: 'a b'}}",
    "jobs: {discard: {builds: -2}}",
    "jobs: {throttle: {categories: a}}",
    "jobs: {throttle: {total: -1}}",
    "[]",
    "text",
    "nmae: x",
    "name: ''",
    "name: 7",
    "name: a*b",
    'name: "a\\n"',
    "name: ä",
    f"name: {'x' * 101}",
    "version: 1.10",
    "version: latest",
    "version: '1.'",
    'version: "1\\n"',
    "base: ''",
    "base: [a]",
    "description: 1",
    "architecture: i386",
    "architecture: ''",
    "architecture: [arm64]",
    "instance_types: t3.small",
    "instance_types: [1]",
    "instance_types: [null]",
    "volume_size: 0",
    "volume_size: 16385",
    "volume_size: '8'",
    "volume_size: true",
    "volume_size: 8.5",
    "storage: bucket",
    "storage: ''",
    "storage: s3://ab",
    "storage: s3://Abc",
    f"storage: s3://{'a' * 64}",
    "storage: 's3://abc/a b'",
    "storage: http://host/",
    "storage: https://host",
    "storage: 'https://host/a b'",
    "storage: [s3://abc]",
    "storage: {url: bucket}",
    "storage: {url: s3://abc, access: public}",
    "storage: {url: s3://abc, acess: profile}",
    "storage: {url: https://host/d, access: profile}",
    "storage: {url: https://host/d, access: ''}",
    "tags: [a]",
    "tags: {a: 1}",
    "tags: {a: }",
    "tests: uname",
    "tests: {run: uname}",
    "tests: ['']",
    "tests: ['  ']",
    "tests: [null]",
    "tests: [7]",
    "tests: [{}]",
    "tests: [{name: n}]",
    "tests: [{run: ' '}]",
    "tests: [{run: }]",
    "tests: [{run: [uname]}]",
    "tests: [{run: uname, exit_code: -1}]",
    "tests: [{run: uname, exit_code: 256}]",
    "tests: [{run: uname, timeout: 0}]",
    "tests: [{run: uname, timeout: 3601}]",
    "tests: [{run: uname, stdout: 1}]",
    "tests: [{run: uname, stdot: x}]",
    "timeouts: 60",
    "timeouts: {compile: 0}",
    "timeouts: {instance: 86401}",
    "timeouts: {image: '60'}",
    "timeouts: {build: 60}",
    "merge: last",
    "merge: {scalars: any}",
    "merge: {scalars: ''}",
    "merge: {lists: append}",
    "strict: 'true'",
    "strict: []",
    "strict: {except: '*'}",
    "strict: {but: []}",
    "overlay: {compression: xz}",
    "overlay: {rules: {path: x, mode: '0644'}}",
    "overlay: {rules: [{path: x}]}",
    "overlay: {rules: [{path: x, mode: , owner: }]}",
    "overlay: {rules: [{mode: '0644'}]}",
    "overlay: {rules: [{path: '', mode: '0644'}]}",
    "overlay: {rules: [{path: , mode: '0644'}]}",
    "overlay: {rules: [{path: x, mode: 0644}]}",
    "overlay: {rules: [{path: x, mode: '0844'}]}",
    "overlay: {rules: [{path: x, mode: '06440'}]}",
    "overlay: {rules: [{path: x, mode: '44'}]}",
    "overlay: {rules: [{path: x, owner: 0}]}",
    "overlay: {rules: [{path: x, owner: ''}]}",
    "overlay: {rules: [{path: x, owner: 'a:'}]}",
    "overlay: {rules: [{path: x, owner: 'A'}]}",
    "overlay: {rules: [{path: x, group: a}]}",
    "overlay: {rules: [null]}",
    "overlay: {setuid: usr/bin/x}",
    "overlay: [zstd]",
    "checks: {allow_secrets: fs/x}",
    "checks: {secrets: [x]}",
    "parameters: []",
    "parameters: {P: }",
    "parameters: {'': }",
    "parameters: {1p: }",
    f"parameters: {{p{'x' * 64}: {{}}}}",
    "parameters: {p: text}",
    "parameters: {p: {type: text}}",
    "parameters: {p: {kind: string}}",
    "parameters: {p: {default: 1.5}}",
    "parameters: {p: {default: [a]}}",
    "parameters: {p: {default: {}}}",
    'parameters: {p: {default: "a\\nb"}}',
    'parameters: {p: {default: "a\\0b"}}',
    "parameters: {p: {choices: [a]}}",
    "parameters: {p: {type: string, choices: [a]}}",
    "parameters: {p: {type: choice}}",
    "parameters: {p: {type: choice, choices: }}",
    "parameters: {p: {type: choice, choices: []}}",
    "parameters: {p: {type: choice, choices: [1]}}",
    "parameters: {p: {type: integer, default: seven}}",
    "parameters: {p: {type: integer, default: true}}",
    'parameters: {p: {type: integer, default: "7\\n"}}',
    "parameters: {p: {type: boolean, default: 1}}",
    "parameters: {p: {type: boolean, default: 'yes'}}",
    "parameters: {p: {type: secret, default: x}}",
    "parameters: {p: {description: 1}}",
]


@pytest.mark.parametrize("text", GOOD, ids=lambda text: text[:60])
def test_what_the_reader_accepts_the_schema_accepts(text, tmp_path):
    assert reader_accepts(text, tmp_path)
    assert [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:60])
def test_what_the_reader_refuses_the_schema_refuses(text, tmp_path):
    assert not reader_accepts(text, tmp_path)
    assert not VALIDATOR.is_valid(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "volume_size: 8.0",
        "parameters: {p: {type: choice, choices: [a], default: b}}",
        "jobs: {nightly: never}",
        "jobs: {recheck: '('}",
    ],
    ids=["float", "choice", "cron", "regular expression"],
)
def test_the_four_things_a_schema_cannot_say_are_left_to_the_reader(text, tmp_path):
    assert VALIDATOR.is_valid(yaml.safe_load(text))
    assert not reader_accepts(text, tmp_path)


def defaults(schema):
    for key, one in schema.get("properties", {}).items():
        if "default" in one:
            yield key, one
        yield from defaults(one)


def test_defaults_and_examples_are_values_that_the_schema_itself_accepts():
    for path, schema in mappings(SCHEMA):
        for key, one in schema["properties"].items():
            if "default" in one:
                jsonschema.Draft7Validator(one).validate(one["default"])
            for example in one.get("examples", []):
                assert jsonschema.Draft7Validator(one).is_valid(example), f"{path}/{key}"


JOB_KEYS = [one for _, one in defaults(JOBS)]


def test_defaults_of_jobs_are_those_of_their_type():
    said = {key: one["default"] for key, one in JOBS["properties"].items() if "default" in one}
    assert said == {key: getattr(JobSettings, key) for key in said}
    for name, kind in (("discard", Discard), ("throttle", Throttle)):
        keys = JOBS["properties"][name]["properties"]
        assert all(one["default"] == getattr(kind, key) for key, one in keys.items() if "default" in one)


def test_defaults_are_those_of_the_reader(tmp_path):
    (tmp_path / "ami.env").write_text("NAME=n\nVERSION=1\nBASE=b\n")
    identity = settings.read_identity(tmp_path)
    said = {key: one["default"] for key, one in defaults(SCHEMA) if one not in JOB_KEYS}
    assert said == {
        "architecture": identity.architecture,
        "instance_types": list(identity.instance_types),
        "compile": identity.compile_timeout,
        "instance": identity.timeouts.instance,
        "image": identity.timeouts.image,
        "spot": identity.spot,
        "imds": identity.image.imds,
        "protect": identity.image.protect,
        "scalars": identity.scalars,
        "strict": identity.strict.default,
        "compression": identity.overlay.compression,
    }


def patterns(schema):
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        for value in schema.values():
            yield from patterns(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from patterns(value)


def test_patterns_are_regular_expressions_of_javascript_too():
    # What Python has and ECMA-262 lacks: \A, \Z, named groups as (?P, inline flags, comments.
    for pattern in patterns(SCHEMA):
        re.compile(pattern)
        assert not re.search(r"\\[AZ]|\(\?P|\(\?[aiLmsux#]", pattern), pattern


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("ami.yaml")), ids=lambda path: path.parent.name)
def test_every_example_validates(path):
    VALIDATOR.validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_validates(template, tmp_path):
    scaffold(tmp_path / "new", template)
    VALIDATOR.validate(yaml.safe_load((tmp_path / "new" / "ami.yaml").read_text()))
