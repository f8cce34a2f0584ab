"""Environments: where a build runs. All that belongs to an account and not to an AMI source.

``environments.yaml`` names them; :func:`local` makes the one for the local cloud. AWS, the local cloud and any other
look-alike of EC2 differ in their endpoint and in nothing else. No file of ours has a place for a secret.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import InputError
from ..yamlfile import Fields, Node, did_you_mean, parse
from . import waiting

FILE = "environments.yaml"
VARIABLE = "JENKINS_AMI_ENVIRONMENTS"
LOCAL = "local"
"""The name of the local cloud's environment; a file cannot define it."""


@dataclass(frozen=True)
class Credentials:
    """An access key. Only ever a dummy: real ones stay where boto3 finds them."""

    access_key: str
    secret_key: str = field(repr=False)


DUMMY = Credentials("local", "local")
"""What a loopback endpoint gets, so that nobody's real credentials go there."""


@dataclass(frozen=True)
class Environment:
    """A place to build in.

    :ivar endpoint: URL of the EC2 API (and S3, STS, SSM); ``None`` is AWS
    :ivar instance_s3_endpoint: URL of S3 as instances see it; ``None``: the same
    :ivar account: the 12 digits that the credentials must belong to
    :ivar storage: ``s3://bucket/prefix`` for overlays that do not fit into user-data
    :ivar profile: a profile of the AWS configuration files
    :ivar instance_types: what to use instead of the AMI source's, first choice first
    :ivar credentials: fixed ones; ``None``: as boto3 finds them
    :ivar state: the local cloud's state folder, when it is one
    :ivar pace: how gently to ask
    """

    name: str
    region: str
    endpoint: str | None = None
    instance_s3_endpoint: str | None = None
    account: str | None = None
    subnet: str | None = None
    security_groups: tuple[str, ...] = ()
    instance_profile: str | None = None
    storage: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    profile: str | None = None
    instance_types: tuple[str, ...] = ()
    credentials: Credentials | None = None
    state: Path | None = None
    pace: waiting.Pace = waiting.AWS


def local(
    endpoint: str,
    instance_s3_endpoint: str,
    region: str,
    state: Path | None = None,
    instance_profile: str | None = None,
) -> Environment:
    """The environment of a local cloud: dummy credentials, a quick pace."""
    return Environment(
        name=LOCAL,
        region=region,
        endpoint=endpoint,
        instance_s3_endpoint=instance_s3_endpoint,
        instance_profile=instance_profile,
        storage="s3://jenkins-ami-local",
        credentials=DUMMY,
        state=state,
        pace=waiting.LOCAL,
    )


def at(name: str, region: str, *, endpoint: str | None, profile: str | None, state: Path | None) -> Environment:
    """An environment as far as calls to its API go: enough to end what was made in it."""
    loopback = endpoint is not None and _is_loopback(endpoint) and profile is None
    return Environment(
        name=name,
        region=region,
        endpoint=endpoint,
        profile=profile,
        state=state,
        credentials=DUMMY if loopback else None,
        pace=waiting.LOCAL if loopback else waiting.AWS,
    )


def load(name: str, file: Path | None = None) -> Environment:
    """Read the environment ``name``.

    :param file: else ``$JENKINS_AMI_ENVIRONMENTS``, else ``environments.yaml`` in the current folder
    :raises InputError: no such file, an error in any of its environments (with file:line:col), or no such name
    """
    path = file or Path(os.environ.get(VARIABLE) or FILE)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"there is no {path.name}, so no environment '{name}'",
            where=path,
            hint=f"Write one (docs/environments.md), name it with --environments or ${VARIABLE}, or use --local",
        ) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from error
    known = {found.name: found for found in parse_file(text, path)}
    if name not in known:
        there = f"There {'are' if len(known) > 1 else 'is'}: {', '.join(sorted(known))}" if known else "It has none"
        close = did_you_mean(name, known)
        hint = f"{close}. {there}" if close.startswith("Did") else there
        raise InputError(f"there is no environment '{name}'", where=path, hint=hint)
    return known[name]


def parse_file(text: bytes, path: Path) -> list[Environment]:
    """All environments of an ``environments.yaml``, in its order.

    :raises InputError: with file:line:col
    """
    fields = Fields(parse(text, path), FILE, ("environments",))
    node = fields.node_of("environments")
    if node is None:
        fields.missing("environments")
    if not isinstance(node.value, dict):
        raise InputError(f"'environments' is {node.kind}, not a mapping", where=node.where)
    found = []
    for name, item in node.value.items():
        place = (node.keys or {}).get(name, item.where)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(f"'{name}' is no name", where=place, hint="Use letters, digits and . _ -")
        if name == LOCAL:
            raise InputError(f"'{LOCAL}' always means the local cloud", where=place, hint="Choose another name")
        found.append(_environment(name, item))
    return found


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHAPES = {
    "region": (re.compile(r"[a-z]{2,3}(-[a-z]+)+-\d"), "a region", "eu-central-1"),
    "endpoint": (re.compile(r"https?://\S+"), "a URL", "http://127.0.0.1:5000"),
    "instance_s3_endpoint": (re.compile(r"https?://\S+"), "a URL", "http://169.254.169.253"),
    "account": (re.compile(r"\d{12}"), "an account number", "'123456789012'"),
    "subnet": (re.compile(r"subnet-[0-9a-f]+"), "a subnet id", "subnet-0123456789abcdef0"),
    "instance_profile": (re.compile(r"[\w+=,.@-]{1,128}"), "the name of an instance profile", "image-build"),
    "storage": (re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/\S*)?"), "storage", "s3://bucket/prefix"),
    "profile": (re.compile(r"\S+"), "the name of a profile", "build"),
}
"""Texts: their form, what they are, an example."""
_GROUP = re.compile(r"sg-[0-9a-f]+")
_TYPE = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+")
_KEYS = (*_SHAPES, "security_groups", "instance_types", "tags")


def _environment(name: str, node: Node) -> Environment:
    fields = Fields(node, f"environment '{name}'", _KEYS)
    if fields.node_of("region") is None:
        fields.missing("region")
    texts = {key: fields.text(key) or None for key in _SHAPES}
    for key, (shape, kind, example) in _SHAPES.items():
        value = texts[key]
        if value is not None and not shape.fullmatch(value):
            place = fields.node_of(key)
            raise InputError(
                f"'{value}' is not {kind}", where=place.where if place else None, hint=f"'{key}' looks like {example}"
            )
    for key, form, example in (
        ("security_groups", _GROUP, "sg-0123456789abcdef0"),
        ("instance_types", _TYPE, "t3.small"),
    ):
        for item in fields.items(key):
            if isinstance(item.value, str) and not form.fullmatch(item.value):
                raise InputError(
                    f"'{item.value}' does not fit '{key}'", where=item.where, hint=f"One looks like {example}"
                )
    endpoint, profile = texts["endpoint"], texts["profile"]
    loopback = endpoint is not None and _is_loopback(endpoint) and profile is None
    return Environment(
        name=name,
        region=texts["region"] or "",
        endpoint=endpoint,
        instance_s3_endpoint=texts["instance_s3_endpoint"],
        account=texts["account"],
        subnet=texts["subnet"],
        security_groups=fields.texts("security_groups"),
        instance_profile=texts["instance_profile"],
        storage=texts["storage"],
        tags=fields.text_map("tags"),
        profile=profile,
        instance_types=fields.texts("instance_types"),
        credentials=DUMMY if loopback else None,
        pace=waiting.LOCAL if loopback else waiting.AWS,
    )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
