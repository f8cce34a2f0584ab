"""The JSON Schema of ``ami.yaml``, for editors and for checks without this program.

Names, bounds, choices and patterns are those that ``settings`` and ``options`` read with; what is here beside them is
what an editor shows. Draft 7, which editors know best. A key without a value counts as absent, so ``null`` is allowed
wherever a key may be left out. Four things JSON Schema cannot say: that the default of a ``choice`` is one of its
choices, that a whole number is not written as ``10.0``, what a cron line is, and what a regular expression.
"""

from __future__ import annotations

import re
from typing import Any

from .. import forms
from ..artifacts import BaseQuery, ImageSettings, ImageTest, Timeouts
from ..forms import NAME, NAME_HINT, VERSION
from . import image, jobs
from .image import ARCHITECTURES
from .model import Discard, Identity, JobSettings, OverlaySettings
from .options import ACCESSES, COMPRESSIONS, HTTPS, KINDS, MODE, OWNER, PARAMETER, S3, SCALARS
from .settings import SECONDS, TEST_SECONDS, VOLUME_SIZE

DRAFT = "http://json-schema.org/draft-07/schema#"

Schema = dict[str, Any]


def ami_yaml() -> Schema:
    """The schema as a JSON object."""
    return {
        "$schema": DRAFT,
        "title": "ami.yaml of jenkins-ami",
        "description": "What an image is called, what it is made from, and how.",
        **_mapping(
            "",
            {
                "name": _text(
                    "Name of the image; version and build number are appended. Here or as NAME in ami.env.",
                    pattern=_regex(NAME),
                    patternErrorMessage=f"EC2 refuses this image name. {NAME_HINT}.",
                    examples=["web-server"],
                ),
                "version": _text(
                    "Version of the image, in quotes (YAML reads 1.10 as 1.1). Here or as VERSION in ami.env.",
                    pattern=_regex(VERSION),
                    patternErrorMessage="Write numbers with dots, like 1.4.0.",
                    examples=["1.0.0"],
                ),
                "base": _base(),
                "description": _text("One line about the image, for people.", examples=["A small web server"]),
                "architecture": _choice("Of the base image and the instance.", ARCHITECTURES, ARCHITECTURES[0]),
                "instance_types": _texts(
                    "Instance types to build on, in order of preference.",
                    default=list(Identity.instance_types),
                    examples=[["t3.small", "t3a.small"]],
                ),
                "volume_size": _number("Size of the root volume in GiB. Without it: the base image's.", *VOLUME_SIZE),
                "spot": _boolean("Build on spare capacity, if there is some.", Identity.spot),
                "image": _image(),
                "storage": _storage(),
                "tags": _tags("Tags of the image and its snapshots: text to text.", examples=[{"team": "web"}]),
                "tests": _tests(),
                "timeouts": _mapping(
                    "Time limits in seconds.",
                    {
                        "compile": _number("For script/compile.sh.", *SECONDS, Identity.compile_timeout),
                        "instance": _number("Until the instance has powered itself off.", *SECONDS, Timeouts.instance),
                        "image": _number("Until the image is available.", *SECONDS, Timeouts.image),
                    },
                ),
                "parameters": _parameters(),
                "merge": _mapping(
                    "How the parts in cloudinit/ become one, where they do not say it themselves.",
                    {
                        "scalars": _choice(
                            "What it means when two parts set one key to different values: an error, "
                            "or that the first or the last part wins.",
                            SCALARS,
                            SCALARS[0],
                        )
                    },
                ),
                "strict": _strict(),
                "overlay": _overlay(),
                "checks": _mapping(
                    "The checks before anything is written.",
                    {
                        "allow_secrets": _texts(
                            "Globs of files in which a secret is meant to be, relative to the source.",
                            examples=[["fs/etc/ssl/snakeoil.key"]],
                        )
                    },
                ),
                "jobs": _jobs(),
            },
        ),
    }


def _base() -> Schema:
    text = _text(
        "An AMI id, ssm:/path/of/a/parameter, scratch, NAME or NAME-1.4.0 of an image of one's own, or the path of "
        "another AMI source in the repository.",
        pattern=_form(forms.BASE),
        patternErrorMessage=f"{forms.BASE_HINT}.",
    )
    query = _mapping(
        "The newest image that fits.",
        {
            "name": {
                "type": "string",
                "description": "Its name, in which * and ? are wildcards.",
                "pattern": _form(forms.IMAGE_PATTERN),
                "examples": [forms.IMAGE_PATTERN.example],
            },
            "owners": {
                **_listed("Whose images count: account numbers in quotes, self, or amazon.", forms.OWNER),
                "type": "array",
                "minItems": 1,
                "examples": [["136693071363"], ["self", "amazon"]],
            },
            "architecture": _text("Without it, the source's.", enum=[*ARCHITECTURES, None]),
            "virtualization": _choice("hvm, or paravirtual.", image.VIRTUALIZATIONS, BaseQuery.virtualization),
            "tags": _tags("That it must have."),
        },
        required=("name", "owners"),
        optional=False,
    )
    return {
        "description": "The image to start from. Here or as BASE in ami.env.",
        "anyOf": [text, query],
        "examples": [
            "scratch",
            "ami-0123456789abcdef0",
            "ssm:/aws/service/debian/release/12/latest/amd64",
            "../base",
            {"name": forms.IMAGE_PATTERN.example, "owners": ["136693071363"]},
        ],
    }


def _image() -> Schema:
    share = {
        "accounts": "Account numbers, in quotes.",
        "organizations": "ARNs of organizations.",
        "organizational_units": "ARNs of organizational units.",
    }
    kept = {
        "images": "The newest so many.",
        "days": "Those that are younger.",
        "versions": "The newest of each of so many of the highest versions.",
    }
    return _mapping(
        "How the image is to be, wherever it is built. An environment's word goes over it.",
        {
            "regions": _listed("Where it is copied to, besides the region that it is built in.", forms.REGION),
            "encrypted": {
                "type": ["boolean", "null"],
                "description": "Whether its snapshots are. Without it: the environment's, whose default is true.",
            },
            "share": _mapping(
                "Who may launch it, besides those that the environment names.",
                {key: _listed(share[key], form) for key, form in forms.SHARING.items()},
            ),
            "imds": _choice(
                "v2.0: instances answer no metadata request without a token. any: they answer all.",
                image.IMDS,
                ImageSettings.imds,
            ),
            "boot_mode": _text("That the base must have; the image takes it over.", enum=[*image.BOOT_MODES, None]),
            "deprecate_after": _number("Days until it counts as old, and is not listed any more.", *forms.DEPRECATION),
            "protect": _boolean("Whether EC2 refuses to deregister it.", ImageSettings.protect),
            "retention": _mapping(
                "Which images of this name 'images prune' keeps: those that any of these keeps.",
                {key: _number(kept[key], *bounds) for key, bounds in image.RETENTION.items()},
            ),
        },
    )


def _jobs() -> Schema:
    cron = "A Jenkins cron line: five fields in which H stands for a time of Jenkins' choice, or @daily."
    identity = {"pattern": _regex(jobs.ID), "patternErrorMessage": "Use letters, digits, '.', '_' and '-'."}
    label = {"pattern": _regex(jobs.LABEL), "patternErrorMessage": "Write a label of Jenkins."}
    name = {"pattern": _regex(jobs.ENVIRONMENT), "patternErrorMessage": "Use letters, digits, '.', '_' and '-'."}
    way = _choice("How changes are verified; auto goes by where the repository is.", jobs.WAYS, jobs.WAYS[0])
    inside = r"^(?!/)(?!(?:.*/)?\.\.(?:/|$))[^\x00-\x1f\x7f$]+$(?!\n)"
    path = {"description": "Path in the repository.", "minLength": 1, "pattern": inside}
    return _mapping(
        "The source's Jenkins jobs, where they differ from the defaults in jobs.yaml.",
        {
            "build": _boolean("Whether there is a build pipeline.", JobSettings.build),
            "verify": {
                "description": "How changes are verified, and by which Jenkinsfile.",
                "anyOf": [
                    way,
                    _mapping(
                        "",
                        {"by": way, "jenkinsfile": {**path, "type": ["string", "null"]}},
                        optional=False,
                    ),
                ],
            },
            "environment": _text("Where builds go when nobody chooses.", **name, examples=["dev"]),
            "environments": _optional(
                {
                    "type": "array",
                    "description": "What a person may choose from. Without it any name may be typed in.",
                    "items": {"type": "string", **name},
                    "examples": [["dev", "prod"]],
                }
            ),
            "local": _boolean("Build in the agent's local cloud instead.", JobSettings.local),
            "timeout": _number("Minutes for each stage.", *jobs.MINUTES, JobSettings.timeout),
            "concurrent": _boolean("Whether builds of one job may run beside each other.", JobSettings.concurrent),
            "quiet_period": _number("Seconds that a build waits for more changes.", *jobs.QUIET),
            "nightly": _text(cron, examples=["H 3 * * *"]),
            "poll": _text(
                f"When Git is asked for merged changes, where nothing tells. {cron}", examples=["H/15 * * * *"]
            ),
            "recheck": _text("Java regular expression of comments that ask for another verification; empty: none."),
            "gerrit_server": _text(
                "Name of the server in the Gerrit Trigger plugin.",
                pattern=_regex(jobs.SERVER),
                default=JobSettings.gerrit_server,
            ),
            "follow_base": _boolean("Build again when the base image was built.", JobSettings.follow_base),
            "labels": _mapping(
                "Labels of agents.", {each: _text(f"Agent to {each} on.", **label) for each in jobs.LABELS}
            ),
            "credentials": _mapping(
                "Ids of Jenkins credentials.", {each: _text(f"For {each}.", **identity) for each in jobs.CREDENTIALS}
            ),
            "discard": _mapping(
                "How long Jenkins keeps builds and artifacts; -1 is for ever.",
                {each: _number("Days or number.", *jobs.KEPT, getattr(Discard, each)) for each in jobs.DISCARD},
            ),
            "throttle": _mapping(
                "Limits of the Throttle Concurrent Builds plugin; 0 is none.",
                {
                    "categories": _texts("Categories whose limits count.", examples=[["ami-build"]]),
                    "total": _number("Builds at a time.", *jobs.LIMIT, 0),
                    "per_node": _number("Builds at a time on one agent.", *jobs.LIMIT, 0),
                },
            ),
        },
    )


def _boolean(description: str, default: bool) -> Schema:
    return {"type": ["boolean", "null"], "description": description, "default": default}


def _storage() -> Schema:
    url = {
        "type": "string",
        "description": "s3://bucket/prefix, or https://host/path/ for a place that somebody else fills.",
        "pattern": f"{_regex(S3)}|{_regex(HTTPS)}",
        "patternErrorMessage": "Use s3://bucket/prefix or https://host/path/, escaped with %XX.",
        "examples": ["s3://my-bucket/images"],
    }
    access = _choice(
        "How the instance may read it: by a presigned URL, or with the credentials of its instance profile.",
        ACCESSES,
        ACCESSES[0],
    )
    mapping = _mapping("", {"url": {**url, "type": ["string", "null"]}, "access": access}, optional=False)
    of_https = {"properties": {"url": {"type": "string", "pattern": "^https:"}}, "required": ["url"]}
    return {
        "description": "Where an overlay goes that does not fit into the user-data. A URL, or a mapping that also "
        "says how the instance may read it. Without it: the environment's.",
        "anyOf": [
            {**url, "type": ["string", "null"]},
            {**mapping, "if": of_https, "then": {"properties": {"access": {"type": "null"}}}},
        ],
    }


def _tests() -> Schema:
    command = {
        "type": "string",
        "description": "Command for /bin/sh on the booted image.",
        "pattern": r"\S",
        "patternErrorMessage": "A test's command is empty.",
        "examples": ["curl -fsS http://localhost/"],
    }
    test = _mapping(
        "",
        {
            "name": _text("What it shows, for people. Without it: the command's first line."),
            "run": command,
            "stdout": _text("Text that must be in the command's standard output."),
            "exit_code": _number("What the command must exit with.", 0, 255, 0),
            "timeout": _number("Seconds that the command may take.", *TEST_SECONDS, ImageTest.timeout),
        },
        required=("run",),
        optional=False,
    )
    return _optional(
        {
            "type": "array",
            "description": "What 'jenkins-ami boot --test' runs on the booted image: commands, or mappings that say "
            "more. A command that exits with 0 has passed.",
            "items": {"anyOf": [command, test]},
        }
    )


def _parameters() -> Schema:
    one = _mapping(
        "",
        {
            "type": _choice("What the value may be.", KINDS, KINDS[0]),
            "default": {
                "type": ["string", "integer", "boolean", "null"],
                "description": "The value when a build gives none. Without it, the parameter is required.",
            },
            "description": _text("One line about it, for people."),
            "choices": _texts("The values that a choice may have."),
        },
    )
    line = r"^[^\n\r\u0000]*$(?!\n)"
    has_choices = {"properties": {"choices": {"type": "array", "minItems": 1}}, "required": ["choices"]}
    no_choices = {"properties": {"choices": {"maxItems": 0}}}
    one["allOf"] = [
        {"properties": {"default": {"pattern": line}}},
        _when_type("choice", has_choices, otherwise=no_choices),
        _when_type("integer", _default({"type": ["integer", "string", "null"], "pattern": r"^-?[0-9]+$(?!\n)"})),
        _when_type("boolean", _default({"enum": [True, False, "true", "false", None]})),
        _when_type("secret", _default({"type": "null"})),
    ]
    return _optional(
        {
            "type": "object",
            "description": "Values that a build may choose, by name: for script/compile.sh and for templates. Set by "
            "--param NAME=VALUE or AMI_PARAM_NAME in the environment.",
            "propertyNames": {"pattern": _regex(PARAMETER)},
            "additionalProperties": one,
            "examples": [{"java": {"type": "choice", "choices": ["17", "21"], "default": "21"}}],
        }
    )


def _default(schema: Schema) -> Schema:
    return {"properties": {"default": schema}}


def _when_type(kind: str, then: Schema, *, otherwise: Schema | None = None) -> Schema:
    rule: Schema = {"if": {"properties": {"type": {"const": kind}}, "required": ["type"]}, "then": then}
    return rule if otherwise is None else rule | {"else": otherwise}


def _strict() -> Schema:
    lenient = _mapping(
        "",
        {
            "except": _texts(
                "Globs of parts whose failing commands do not end the build.", examples=[["cloudinit/90_*.yml"]]
            )
        },
        optional=False,
    )
    return {
        "description": "Whether a command that fails ends the build: true, false, or all parts but those that match.",
        "default": True,
        "anyOf": [{"type": ["boolean", "null"]}, lenient],
    }


def _overlay() -> Schema:
    rule = _mapping(
        "",
        {
            "path": {
                "type": "string",
                "minLength": 1,
                "description": "Glob relative to fs/, in which ** crosses folders.",
                "examples": ["etc/app/*.key"],
            },
            "mode": _text(
                "Octal permissions, in quotes.",
                pattern=_regex(MODE),
                patternErrorMessage='Write octal digits in quotes, like "0640".',
                examples=["0640"],
            ),
            "owner": _text(
                "user or user:group, names (of the instance) or ids.",
                pattern=_regex(OWNER),
                patternErrorMessage="Write user or user:group, names or ids.",
                examples=["root:www-data"],
            ),
        },
        required=("path",),
        optional=False,
    )
    given = [{"properties": {key: {"type": "string"}}, "required": [key]} for key in ("mode", "owner")]
    return _mapping(
        "The files of fs/ on the instance.",
        {
            "compression": _choice(
                "gzip, which every instance can read, or zstd for base images that have it.",
                COMPRESSIONS,
                OverlaySettings.compression,
            ),
            "rules": _optional(
                {
                    "type": "array",
                    "description": "Modes and owners by glob, because Git keeps neither. Later rules win.",
                    "items": {**rule, "anyOf": given},
                }
            ),
            "setuid": _texts(
                "Globs of files that are wanted with set-uid, set-gid or sticky bits.",
                examples=[["usr/local/bin/helper"]],
            ),
        },
    )


def _regex(pattern: re.Pattern[str]) -> str:
    r"""A pattern of the reader for JavaScript, which has no ``\Z``, and for Python, whose ``$`` allows a newline."""
    return rf"^(?:{pattern.pattern.removesuffix(chr(92) + 'Z')})$(?!\n)"


def _form(form: forms.Form) -> str:
    return _regex(form.pattern)


def _listed(description: str, form: forms.Form) -> Schema:
    item = {"type": "string", "pattern": _form(form), "patternErrorMessage": f"Write {form.what}, like {form.example}."}
    return _optional({"type": "array", "description": description, "items": item})


def _tags(description: str, **more: object) -> Schema:
    schema = {"type": "object", "description": description, "additionalProperties": {"type": "string"}, **more}
    return _optional(schema)


def _optional(schema: Schema) -> Schema:
    return schema | {"type": [schema["type"], "null"]}


def _text(description: str, **more: object) -> Schema:
    return {"type": ["string", "null"], "description": description, **more}


def _texts(description: str, **more: object) -> Schema:
    return {"type": ["array", "null"], "description": description, "items": {"type": "string"}, **more}


def _number(description: str, minimum: int, maximum: int, default: int | None = None) -> Schema:
    schema = {"type": ["integer", "null"], "description": description, "minimum": minimum, "maximum": maximum}
    return schema if default is None else schema | {"default": default}


def _choice(description: str, known: tuple[str, ...], default: str) -> Schema:
    return {"type": ["string", "null"], "description": description, "enum": [*known, None], "default": default}


def _mapping(description: str, keys: Schema, *, required: tuple[str, ...] = (), optional: bool = True) -> Schema:
    """A mapping of known keys."""
    schema: Schema = {
        "type": ["object", "null"] if optional else "object",
        "properties": keys,
        "additionalProperties": False,
    }
    if required:
        schema["required"] = list(required)
    return {"description": description, **schema} if description else schema
