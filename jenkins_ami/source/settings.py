"""``ami.env`` and ``ami.yaml`` together: who the image is. ``ami.yaml`` may say all, ``ami.env`` the minimum."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..artifacts import ImageTest, Timeouts
from ..errors import InputError, Location
from ..findings import Findings
from ..forms import BASE, BASE_HINT, NAME, NAME_HINT, VERSION, VERSION_HINT
from ..yamlfile import Fields, Node, decode, parse
from . import amienv, image, options
from .jobs import read_jobs
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
    "spot",
    "image",
    "storage",
    "tags",
    "tests",
    "timeouts",
    "parameters",
    "merge",
    "strict",
    "overlay",
    "checks",
    "jobs",
)
SECONDS = (1, 86_400)
"""Bounds of a time limit."""
TEST_SECONDS = (1, 3600)
"""Bounds of a test's time limit."""
VOLUME_SIZE = (1, 16_384)
"""Bounds in GiB."""


def _read(path: Path) -> str | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from error
    return decode(data, path)


def read_identity(root: Path) -> Identity:
    """Read ``ami.env`` and ``ami.yaml`` of an AMI source.

    :raises InputError: neither is there, NAME, VERSION or BASE is missing, a value is impossible, or the two differ;
        all that is wrong at once (:class:`~jenkins_ami.findings.InvalidSource`)
    """
    return identity_of(_read(root / AMI_ENV), _read(root / AMI_YAML), root)


def identity_of(env_text: str | None, yaml_text: str | None, root: Path) -> Identity:
    """The same from texts, for a source that is not on this disk.

    :param env_text, yaml_text: ``None`` where there is no such file
    :param root: what to call the source in errors
    """
    if env_text is None and yaml_text is None:
        raise InputError(
            f"no {AMI_ENV} and no {AMI_YAML}: this is not an AMI source",
            where=root,
            hint=f"Write {AMI_ENV} with NAME=, VERSION= and BASE=",
        )
    found = Findings()
    env: dict[str, amienv.Assignment] = {}
    with found.catch(AMI_ENV):
        env = amienv.parse(env_text, root / AMI_ENV) if env_text is not None else {}
    empty = Node(None, Location(root / AMI_YAML))
    fields = Fields(empty, AMI_YAML, KEYS)
    with found.catch(AMI_YAML):
        node = parse(yaml_text, root / AMI_YAML) if yaml_text is not None else empty
        fields = Fields(node, AMI_YAML, KEYS)
    found.raise_errors()
    values: dict[str, Any] = {"variables": {key: assignment.value for key, assignment in env.items()}}

    def required(name: str) -> str:
        value = _required(root, fields, env, name, of_env=env_text is not None)
        _check_required(name, *value)
        return value[0]

    readers: dict[str, Callable[[], object]] = {
        "name": lambda: required("name"),
        "version": lambda: required("version"),
        "base": lambda: _base(root, fields, env, of_env=env_text is not None),
        "description": lambda: fields.text("description"),
        "architecture": lambda: _architecture(fields),
        "instance_types": lambda: fields.texts("instance_types", ("t3.small",)),
        "volume_size": lambda: fields.integer("volume_size", 0, *VOLUME_SIZE) or None,
        "spot": lambda: fields.boolean("spot", False),
        "image": lambda: image.settings(fields),
        "storage": lambda: options.storage(fields),
        "tags": lambda: fields.text_map("tags"),
        "tests": lambda: _tests(fields),
        "timeouts": lambda: _timeouts(fields),
        "compile_timeout": lambda: _limits(fields).integer("compile", Identity.compile_timeout, *SECONDS),
        "parameters": lambda: options.parameters(fields),
        "scalars": lambda: options.scalars(fields),
        "strict": lambda: options.strictness(fields),
        "overlay": lambda: options.overlay(fields),
        "secrets_allowed": lambda: options.secrets_allowed(fields),
        "jobs": lambda: read_jobs(fields, "jobs"),
    }
    for name, reader in readers.items():
        with found.catch(AMI_YAML):
            values[name] = reader()
    found.raise_errors()
    return Identity(**values.pop("base"), **values)


def _required(
    root: Path, fields: Fields, env: dict[str, amienv.Assignment], name: str, *, of_env: bool
) -> tuple[str, Location]:
    """NAME, VERSION or BASE and its place: either file may say it; if both do, they say the same."""
    from_yaml = fields.node_of(name)
    from_env = env.get(name.upper())
    if from_yaml is not None:
        text, place = fields.text(name), from_yaml.where
        if from_env is not None and from_env.value != text:
            raise InputError(
                f"{name} is '{text}' here and '{from_env.value}' in {from_env.where}",
                where=place,
                hint="Say it in one of the two",
            )
    elif from_env is not None:
        text, place = from_env.value, from_env.where
    else:
        file, key = (AMI_ENV, f"{name.upper()}=") if of_env else (AMI_YAML, f"{name}:")
        raise InputError(f"{name.upper()} is missing", where=root / file, hint=f"Add a line {key}")
    if not text:
        raise InputError(f"{name.upper()} is empty", where=place, hint="Give it a value")
    return text, place


def _base(root: Path, fields: Fields, env: dict[str, amienv.Assignment], *, of_env: bool) -> dict[str, Any]:
    """BASE, where it stands, and what a mapping asks for, by the names of :class:`Identity`'s fields."""
    node = fields.node_of("base")
    if node is not None and isinstance(node.value, dict):
        query = image.base(fields)
        if "BASE" in env:
            what = f"base is a mapping here and '{env['BASE'].value}' in {env['BASE'].where}"
            raise InputError(what, where=node.where, hint="Say it in one of the two")
        return {"base": query.name, "base_query": query, "base_where": node.where}
    text, place = _required(root, fields, env, "base", of_env=of_env)
    if not BASE.fits(text):
        raise InputError(f"'{text}' is not {BASE.what}", where=place, hint=BASE_HINT)
    return {"base": text, "base_where": place}


def _check_required(name: str, text: str, place: Location) -> None:
    if name == "name" and not NAME.match(text):
        shown = f"'{text}'" if len(text) <= 100 else f"of {len(text)} characters"
        raise InputError(f"EC2 refuses the image name {shown}", where=place, hint=NAME_HINT)
    if name == "version" and not VERSION.match(text):
        raise InputError(f"'{text}' is no version", where=place, hint=VERSION_HINT)


def _architecture(fields: Fields) -> str:
    text = fields.text("architecture", image.ARCHITECTURES[0])
    if text not in image.ARCHITECTURES:
        where = fields.node_of("architecture")
        raise InputError(
            f"there is no architecture '{text}'",
            where=where.where if where else None,
            hint=f"Use {' or '.join(image.ARCHITECTURES)}",
        )
    return text


def _limits(fields: Fields) -> Fields:
    return fields.fields("timeouts", "timeouts", ("instance", "image", "compile"))


def _timeouts(fields: Fields) -> Timeouts:
    limits = _limits(fields)
    return Timeouts(
        instance=limits.integer("instance", Timeouts.instance, *SECONDS),
        image=limits.integer("image", Timeouts.image, *SECONDS),
    )


def _tests(fields: Fields) -> tuple[ImageTest, ...]:
    tests = []
    for number, node in enumerate(fields.items("tests"), 1):
        if isinstance(node.value, str):
            tests.append(ImageTest(name=_first_line(node.value, node), run=node.value))
            continue
        one = Fields(node, f"test {number}", ("name", "run", "stdout", "exit_code", "timeout"))
        run = one.text("run") or one.missing("run")
        first_line = _first_line(run, one.node_of("run") or node)
        settings: dict[str, Any] = {"name": one.text("name", first_line), "run": run}
        if one.node_of("stdout"):
            settings["stdout"] = one.text("stdout")
        settings["exit_code"] = one.integer("exit_code", 0, 0, 255)
        settings["timeout"] = one.integer("timeout", ImageTest.timeout, *TEST_SECONDS)
        tests.append(ImageTest(**settings))
    return tuple(tests)


def _first_line(command: str, node: Node) -> str:
    """What a test without a name is called."""
    if not command.strip():
        raise InputError("a test's command is empty", where=node.where, hint="Write a command, or remove the test")
    return command.strip().splitlines()[0][:80]
