"""``ami.env`` and ``ami.yaml`` together: who the image is. ``ami.yaml`` may say all, ``ami.env`` the minimum."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..artifacts import ImageTest, Timeouts
from ..errors import InputError, Location
from ..yamlfile import Fields, Node, parse
from . import amienv
from .model import Identity

AMI_ENV = "ami.env"
AMI_YAML = "ami.yaml"
KEYS = (
    "name",
    "version",
    "base",
    "description",
    "architecture",
    "instance_types",
    "volume_size",
    "storage",
    "tags",
    "tests",
    "timeouts",
)
ARCHITECTURES = ("x86_64", "arm64")

# What RegisterImage and CreateImage accept in a name (EC2 API reference, CreateImage, "Name"); the build appends
# -VERSION-BUILD, for which some of the 128 characters are kept.
_NAME = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{1,100}\Z")
_VERSION = re.compile(r"[0-9]+(\.[0-9A-Za-z]+)*\Z")
_STORAGE = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/\S*)?\Z")


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError("not UTF-8 text", where=Location(path, line), hint="Save the file as UTF-8") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from error


def read_identity(root: Path) -> Identity:
    """Read ``ami.env`` and ``ami.yaml`` of an AMI source.

    :raises InputError: neither is there, NAME, VERSION or BASE is missing, a value is impossible, or the two differ
    """
    env_text = _read(root / AMI_ENV)
    yaml_text = _read(root / AMI_YAML)
    if env_text is None and yaml_text is None:
        raise InputError(
            f"no {AMI_ENV} and no {AMI_YAML}: this is not an AMI source",
            where=root,
            hint=f"Write {AMI_ENV} with NAME=, VERSION= and BASE=",
        )
    env = amienv.parse(env_text, root / AMI_ENV) if env_text is not None else {}
    node = parse(yaml_text, root / AMI_YAML) if yaml_text is not None else Node(None, Location(root / AMI_YAML))
    fields = Fields(node, AMI_YAML, KEYS)

    def required(name: str) -> tuple[str, Location]:
        from_yaml = fields.node_of(name)
        from_env = env.get(name.upper())
        if from_yaml is not None:
            text = fields.text(name)
            if from_env is not None and from_env.value != text:
                raise InputError(
                    f"{name} is '{text}' here and '{from_env.value}' in {from_env.where}",
                    where=from_yaml.where,
                    hint="Say it in one of the two",
                )
            place = from_yaml.where
        elif from_env is not None:
            text, place = from_env.value, from_env.where
        else:
            file = AMI_ENV if env_text is not None else AMI_YAML
            key = f"{name.upper()}=" if env_text is not None else f"{name}:"
            raise InputError(f"{name.upper()} is missing", where=root / file, hint=f"Add a line {key}")
        if not text:
            raise InputError(f"{name.upper()} is empty", where=place, hint="Give it a value")
        return text, place

    name, place = required("name")
    if not _NAME.match(name):
        raise InputError(
            f"EC2 refuses the image name '{name}'",
            where=place,
            hint="Use up to 100 letters, digits, spaces and ( ) [ ] . / - ' @ _",
        )
    version, place = required("version")
    if not _VERSION.match(version):
        raise InputError(f"'{version}' is no version", where=place, hint="Write numbers with dots, like 1.4.0")
    base, _ = required("base")
    architecture = fields.text("architecture", "x86_64")
    if architecture not in ARCHITECTURES:
        where = fields.node_of("architecture")
        raise InputError(
            f"there is no architecture '{architecture}'",
            where=where.where if where else None,
            hint=f"Use {' or '.join(ARCHITECTURES)}",
        )
    storage = fields.text("storage") or None
    if storage is not None and not _STORAGE.match(storage):
        where = fields.node_of("storage")
        raise InputError(
            f"'{storage}' is no storage", where=where.where if where else None, hint="Use s3://bucket/prefix"
        )
    limits = fields.fields("timeouts", "timeouts", ("instance", "image", "compile"))
    return Identity(
        name=name,
        version=version,
        base=base,
        description=fields.text("description"),
        architecture=architecture,
        instance_types=fields.texts("instance_types", ("t3.small",)),
        volume_size=fields.integer("volume_size", 0, 1, 16_384) or None,
        storage=storage,
        tags=fields.text_map("tags"),
        tests=_tests(fields),
        timeouts=Timeouts(
            instance=limits.integer("instance", Timeouts.instance, 1, 86_400),
            image=limits.integer("image", Timeouts.image, 1, 86_400),
        ),
        compile_timeout=limits.integer("compile", 600, 1, 86_400),
        variables={key: assignment.value for key, assignment in env.items()},
    )


def _tests(fields: Fields) -> tuple[ImageTest, ...]:
    tests = []
    for number, node in enumerate(fields.items("tests"), 1):
        if isinstance(node.value, str):
            tests.append(ImageTest(name=node.value.strip().splitlines()[0][:80], run=node.value))
            continue
        one = Fields(node, f"test {number}", ("name", "run", "stdout", "exit_code", "timeout"))
        run = one.text("run") or one.missing("run")
        first_line = run.strip().splitlines()[0][:80]
        settings: dict[str, Any] = {"name": one.text("name", first_line), "run": run}
        if one.node_of("stdout"):
            settings["stdout"] = one.text("stdout")
        settings["exit_code"] = one.integer("exit_code", 0, 0, 255)
        settings["timeout"] = one.integer("timeout", 60, 1, 3600)
        tests.append(ImageTest(**settings))
    return tuple(tests)
