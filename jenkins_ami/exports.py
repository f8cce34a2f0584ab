"""A build's result for other tools: its JSON Schema, Packer's manifest, variables for Terraform, JUnit's XML.

The schema follows from the types of :mod:`.artifacts` and what their docstrings say.
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from .artifacts import AMI_JSON, COMPILE_JSON, SCHEMA, BuildResult, Manifest, write_file
from .errors import InputError, Location, one_line, visible

DRAFT = "http://json-schema.org/draft-07/schema#"

Json = dict[str, Any]

# JSON Schema


def schema() -> Json:
    """The JSON Schema of ``ami.json``."""
    return _document(BuildResult, AMI_JSON)


def compiled_schema() -> Json:
    """The JSON Schema of ``compile.json``."""
    return _document(Manifest, COMPILE_JSON)


def _document(kind: type, file: str) -> Json:
    definitions: Json = {}
    root = _object(kind, definitions)
    root["properties"]["schema"] = {"const": SCHEMA, "description": "Version of this format."}
    root["required"] = sorted({*root["required"], "schema"})
    document = {"$schema": DRAFT, "title": f"{file} of jenkins-ami", **root}
    return document | {"definitions": dict(sorted(definitions.items()))}


def _object(kind: type, definitions: Json) -> Json:
    """A dataclass as the reader takes it: with no other keys, and with all that have no default."""
    hints = typing.get_type_hints(kind)
    summary, texts = described(kind)
    properties: Json = {}
    required = []
    for field in dataclasses.fields(kind):
        found = _type(hints[field.name], definitions)
        if text := texts.get(field.name):
            # Draft 7 overlooks what stands beside a $ref.
            found = {"allOf": [found]} if "$ref" in found else found
            found = {"description": text, **found}
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            required.append(field.name)
        elif isinstance(field.default, str | int | float | None):
            found["default"] = field.default
        properties[field.name] = found
    return {
        "type": "object",
        "description": summary,
        "properties": properties,
        "required": sorted(required),
        "additionalProperties": False,
    }


_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}


def _type(hint: Any, definitions: Json) -> Json:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (some,) = (arg for arg in args if arg is not type(None))
        found = _type(some, definitions)
        return found | {"type": [found["type"], "null"]} if "type" in found else {"anyOf": [found, {"type": "null"}]}
    if origin is tuple:
        return {"type": "array", "items": _type(args[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(args[1], definitions)}
    if dataclasses.is_dataclass(hint):
        name = hint.__name__  # type: ignore[union-attr]
        if name not in definitions:
            definitions[name] = {}  # holds the place: a type may hold itself
            definitions[name] = _object(typing.cast(type, hint), definitions)
        return {"$ref": f"#/definitions/{name}"}
    return {"type": _SCALARS[hint]}


def described(kind: type) -> tuple[str, dict[str, str]]:
    """What a class's docstring says of it, and of its fields by name (``:ivar name: text``)."""
    lines = [line.strip() for line in (kind.__doc__ or "").splitlines()]
    text, *ivars = re.split(r"^:ivar ", "\n".join(lines), flags=re.M)
    fields = {}
    for ivar in ivars:
        name, _, rest = ivar.partition(":")
        fields[name] = _sentence(rest)
    return _sentence(text), fields


def _sentence(text: str) -> str:
    """reStructuredText as a plain sentence."""
    plain = re.sub(r":\w+:`~?([^`]*)`", r"\1", " ".join(text.split())).replace("``", "")
    return f"{plain[:1].upper()}{plain[1:]}{'' if plain.endswith('.') or not plain else '.'}"


# Packer and Terraform


def packer_manifest(result: BuildResult, existing: Json | None = None) -> str:
    """What Packer's manifest post-processor writes of an amazon-ebs build, this build the last of ``builds``.

    :param existing: a manifest whose other builds are kept, as Packer does
    """
    build = _packer_build(result)
    others = [
        each for each in (existing or {}).get("builds", []) if each.get("packer_run_uuid") != build["packer_run_uuid"]
    ]
    merged = {**(existing or {}), "builds": [*others, build], "last_run_uuid": build["packer_run_uuid"]}
    return json.dumps(merged, indent=2, ensure_ascii=False) + "\n"


def _packer_build(result: BuildResult) -> Json:
    images = sorted(f"{region}:{record.image_id}" for region, record in result.images.items())
    custom = {
        "name": result.name,
        "version": result.version,
        "build": str(result.build),
        "image_name": result.image_name,
        "base": result.base,
        "commit": result.commit or "",
        "build_url": result.build_url or "",
        "digest": result.digest,
        "input": result.input,
    }
    # Of one build the same each time, so that writing it again after a distribution is no second build.
    run = uuid.uuid5(uuid.NAMESPACE_URL, f"jenkins-ami:{result.region}:{result.images[result.region].image_id}")
    return {
        "name": result.name,
        "builder_type": "amazon-ebs",
        "build_time": int(datetime.fromisoformat(result.created).timestamp()) if result.created else 0,
        "files": None,
        "artifact_id": ",".join(images),
        "packer_run_uuid": str(run),
        "custom_data": {key: value for key, value in custom.items() if value},
    }


def tfvars(result: BuildResult) -> str:
    """Variables for Terraform, which loads them by itself from a file ``*.auto.tfvars.json``."""
    values = {
        "ami_id": result.images[result.region].image_id,
        "ami_ids": {region: record.image_id for region, record in sorted(result.images.items())},
        "ami_name": result.image_name,
        "ami_version": result.version,
        "ami_build": result.build,
        "ami_region": result.region,
        "ami_base_id": result.base,
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def write(result: BuildResult, *, packer: Path | None = None, terraform: Path | None = None) -> None:
    """Write what is asked for.

    :param packer: a manifest of Packer's form; the builds that it has already are kept
    :param terraform: a file of variables, replaced
    :raises InputError: the manifest that is there is none
    :raises HostError: a file cannot be written
    """
    if packer is not None:
        write_file(packer, packer_manifest(result, read_packer_manifest(packer)))
    if terraform is not None:
        write_file(terraform, tfvars(result))


def read_packer_manifest(path: Path) -> Json | None:
    """A manifest that is there, ``None`` for no file or an empty one; for a check before a build as well.

    :raises InputError: it cannot be read, or is something else
    """
    hint = "It is left as it is: name another file, or move it away"
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the Packer manifest cannot be read: {error}", where=path, hint=hint) from error
    if not text.strip():
        return None
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        where = Location(path, error.lineno, error.colno)
        raise InputError(f"the Packer manifest is no JSON: {error.msg}", where=where, hint=hint) from error
    except RecursionError:
        found = None
    builds = found.get("builds") if isinstance(found, dict) else None
    if not isinstance(builds, list) or not all(isinstance(each, dict) for each in builds):
        raise InputError("this is no manifest of Packer's: it has no list 'builds'", where=path, hint=hint)
    return typing.cast(Json, found)


# JUnit


@dataclass(frozen=True)
class Case:
    """One test case.

    :ivar group: what Jenkins shows as its class
    :ivar seconds: that it took
    :ivar failure: why it failed, in one line; empty when it did not
    :ivar detail: more about that
    :ivar skipped: why it did not run; empty when it did
    :ivar output: what it printed
    """

    group: str
    name: str
    seconds: float = 0.0
    failure: str = ""
    detail: str = ""
    skipped: str = ""
    output: str = ""


def junit(suite: str, cases: Sequence[Case]) -> str:
    """Test cases as the XML that Jenkins' step ``junit`` reads, its classes in a package of the suite's name."""
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(bool(case.failure) for case in cases)),
        "errors": "0",
        "skipped": str(sum(bool(case.skipped) for case in cases)),
        "time": f"{sum(case.seconds for case in cases):.3f}",
    }
    root = ElementTree.Element("testsuites", counts)
    holder = ElementTree.SubElement(root, "testsuite", {"name": one_line(suite), **counts})
    for case in cases:
        names = {"classname": one_line(f"{suite}.{case.group}"), "name": one_line(case.name)}
        element = ElementTree.SubElement(holder, "testcase", {**names, "time": f"{case.seconds:.3f}"})
        if case.failure:
            failed = ElementTree.SubElement(element, "failure", {"message": one_line(case.failure)})
            failed.text = _xml_text(case.detail or case.failure)
        if case.skipped:
            ElementTree.SubElement(element, "skipped", {"message": one_line(case.skipped)})
        if case.output:
            ElementTree.SubElement(element, "system-out").text = _xml_text(case.output)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _xml_text(text: str) -> str:
    """Text with escapes for the characters that XML 1.0 cannot carry."""
    return "\n".join(visible(line.rstrip("\r")) for line in text.split("\n"))
