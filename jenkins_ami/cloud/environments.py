"""Environments: where a build runs. All that belongs to an account and not to an AMI source.

``environments.yaml`` names them; :func:`local` makes the one for the local cloud. AWS, the local cloud and any other
look-alike of EC2 differ in their endpoint and in nothing else. No file of ours has a place for a secret.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .. import forms
from ..artifacts import ENVIRONMENTS, Sharing
from ..errors import InputError
from ..forms import DEPRECATION, REGION, Form, listed, sharing
from ..yamlfile import Fields, Node, did_you_mean, parse
from . import waiting

FILE = ENVIRONMENTS
VARIABLE = "JENKINS_AMI_ENVIRONMENTS"
LOCAL = "local"
"""The name of the local cloud's environment; a file cannot define it."""
VARIABLES = "variables"
"""The name of the environment that BUILDAMI_ variables make where none is named; a file cannot define it."""


@dataclass(frozen=True)
class Credentials:
    """An access key. Only ever a dummy: real ones stay where boto3 finds them."""

    access_key: str
    secret_key: str = field(repr=False)


DUMMY = Credentials("local", "local")
"""What a loopback endpoint gets, so that nobody's real credentials go there."""


@dataclass(frozen=True)
class Region:
    """What a region that images are copied to has of its own. ``tags`` come over the environment's."""

    kms_key: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    ssm_parameter: str | None = None
    launch_template: str | None = None


@dataclass(frozen=True)
class Environment:
    """A place to build in.

    :ivar endpoint: URL of the EC2 API (and S3, STS, SSM); ``None`` is AWS
    :ivar instance_s3_endpoint: URL of S3 as instances see it; ``None``: the same
    :ivar account: the 12 digits that the credentials must belong to
    :ivar role: ARN of a role to assume for all calls, with ``external_id`` if that asks for one
    :ivar subnets: to launch in, first choice first; empty is the default VPC's
    :ivar public_address: whether instances get one
    :ivar encrypted: whether root volumes and images are; ``None`` leaves it to the AMI source, whose default is yes
    :ivar kms_key: id, alias or ARN of the key for that; ``None`` is the account's default key
    :ivar spot: spare capacity first; ``None`` leaves it to the AMI source
    :ivar regions: where images are copied to, besides those that the AMI source names
    :ivar share: who may launch images, besides those that the AMI source names
    :ivar ssm_parameter: that gets the image's id; ``{name}`` and ``{version}`` in it stand for the image's
    :ivar launch_template: id or name of one that gets a new version with the image
    :ivar deprecate_after: days; ``protect`` against being deregistered; ``None`` leaves both to the AMI source
    :ivar expiry: seconds after which ``gc`` may sweep what a build left
    :ivar key_pair: of instances. Never of an environments file: for those who still set BUILDAMI_KEYPAIR
    :ivar block_devices: of instances, as RunInstances has them: BUILDAMI_BLOCKDEVICEMAPPING
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
    role: str | None = None
    external_id: str | None = None
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    public_address: bool = False
    encrypted: bool | None = None
    kms_key: str | None = None
    spot: bool | None = None
    regions: Mapping[str, Region] = field(default_factory=dict)
    share: Sharing = Sharing()
    ssm_parameter: str | None = None
    launch_template: str | None = None
    deprecate_after: int | None = None
    protect: bool | None = None
    expiry: int = 24 * 3600
    key_pair: str | None = None
    block_devices: tuple[Mapping[str, Any], ...] = ()
    instance_profile: str | None = None
    storage: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    profile: str | None = None
    instance_types: tuple[str, ...] = ()
    credentials: Credentials | None = None
    state: Path | None = None
    pace: waiting.Pace = waiting.AWS

    def in_region(self, region: str) -> Environment:
        """The same account elsewhere: what belongs to a region is left out."""
        if region == self.region:
            return self
        return replace(self, region=region, subnets=(), security_groups=(), storage=None, kms_key=None)


def launch_command(environment: str, region: str, image_id: str) -> str:
    """What a person types to launch an image that was built in the environment of that name."""
    if environment == LOCAL:
        return f"jenkins-ami boot {shlex.quote(image_id)}"
    return f"aws ec2 run-instances --region {shlex.quote(region)} --image-id {shlex.quote(image_id)}"


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
    return Environment(
        name=name,
        region=region,
        endpoint=endpoint,
        profile=profile,
        state=state,
        **_manners(endpoint, profile),
    )


def load(name: str, file: Path | None = None, source: Path | None = None) -> Environment:
    """Read the environment ``name``.

    :param file: else ``$JENKINS_AMI_ENVIRONMENTS``, else ``environments.yaml`` in the current folder
    :param source: a folder with the AMI source's own ``environments.yaml``, which counts where there is no other, and
        may say less (:data:`ONLY_OF_OPERATORS`)
    :raises InputError: no such file, an error in any of its environments (with file:line:col), or no such name
    """
    path, of_source = _found(file, source)
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
    known = {found.name: found for found in parse_file(text, path, of_source=of_source)}
    if name not in known:
        there = f"There {'are' if len(known) > 1 else 'is'}: {', '.join(sorted(known))}" if known else "It has none"
        close = did_you_mean(name, known)
        hint = f"{close}. {there}" if close.startswith("Did") else there
        raise InputError(f"there is no environment '{name}'", where=path, hint=hint)
    return known[name]


def _found(file: Path | None, source: Path | None) -> tuple[Path, bool]:
    """The file that counts, and whether it is the AMI source's own."""
    variable = os.environ.get(VARIABLE)
    if file or variable or source is None or not (source / FILE).is_file():
        return file or Path(variable or FILE), False
    here, own = Path(FILE), source / FILE
    if not here.is_file():
        return own, True
    try:  # In a checkout of the AMI source, the current folder's file is the source's.
        return here, here.read_bytes() == own.read_bytes()
    except OSError:
        return here, True  # what cannot be told apart is trusted no further


def parse_file(text: bytes, path: Path, *, of_source: bool = False) -> list[Environment]:
    """All environments of an ``environments.yaml``, in its order.

    :param of_source: it is an AMI source's own
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
        if name in (LOCAL, VARIABLES):
            meant = "the local cloud" if name == LOCAL else "what BUILDAMI_ variables say"
            raise InputError(f"'{name}' always means {meant}", where=place, hint="Choose another name")
        fields = Fields(item, f"environment '{name}'", KEYS)
        if of_source:
            _check_own(fields)
        found.append(_environment(name, fields))
    return found


def _check_own(fields: Fields) -> None:
    """:raises InputError: an AMI source says what is not its to say, or not whose account it means"""
    for key in ONLY_OF_OPERATORS:
        if node := fields.node_of(key):
            raise _not_its_own(key, node)
    if fields.node_of("account") is None:
        hint = "Add 'account:', so that it is built with credentials of that account only"
        raise InputError(f"{fields.what} lacks 'account'", where=fields.node.where, hint=hint)
    regions = fields.node_of("regions")
    for region in regions.value.values() if regions and isinstance(regions.value, dict) else ():
        for key in ONLY_OF_OPERATORS:
            if isinstance(region.value, dict) and key in region.value:
                raise _not_its_own(key, region.value[key])


def _not_its_own(key: str, node: Node) -> InputError:
    return InputError(
        f"an AMI source's own environment cannot have '{key}'",
        where=node.where,
        hint=f"Put it into a file that you name with --environments or ${VARIABLE}",
    )


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OF_REGION = {
    "kms_key": forms.KMS_KEY,
    "ssm_parameter": forms.PARAMETER_OF_IMAGES,
    "launch_template": forms.LAUNCH_TEMPLATE,
}
"""Texts that a region may have of its own."""
_TEXTS = {
    "region": forms.REGION,
    "endpoint": forms.URL,
    "instance_s3_endpoint": replace(forms.URL, example="http://169.254.169.253"),
    "account": forms.ACCOUNT,
    "profile": Form(re.compile(r"\S+"), "the name of a profile", "build"),
    "role": forms.ROLE,
    "external_id": forms.EXTERNAL_ID,
    "subnet": forms.SUBNET,
    "instance_profile": forms.INSTANCE_PROFILE,
    "storage": forms.S3_URL,
    **_OF_REGION,
}
_LISTS = {
    "subnets": forms.SUBNET,
    "security_groups": forms.SECURITY_GROUP,
    "instance_types": forms.INSTANCE_TYPE,
}
HOURS = (1, 8760)
"""Bounds of ``expiry``."""
KEYS = (
    *_TEXTS,
    *_LISTS,
    "public_address",
    "encrypted",
    "spot",
    "tags",
    "regions",
    "share",
    "deprecate_after",
    "protect",
    "expiry",
)
ONLY_OF_OPERATORS = (
    "endpoint",
    "instance_s3_endpoint",
    "profile",
    "role",
    "external_id",
    "instance_profile",
    "ssm_parameter",
    "launch_template",
)
"""What an AMI source's own file cannot say: where the builder's credentials go, which ones they are, whose rights the
source's commands get, and what else in the account follows the image."""


def _environment(name: str, fields: Fields) -> Environment:
    if fields.node_of("region") is None:
        fields.missing("region")
    texts: dict[str, Any] = {key: _text(fields, key, form) for key, form in _TEXTS.items()}
    lists: dict[str, Any] = {key: listed(fields, key, form) for key, form in _LISTS.items()}
    subnet, region = texts.pop("subnet"), texts.pop("region")
    if subnet is not None:
        if node := fields.node_of("subnets"):
            raise InputError("'subnet' and 'subnets' are both given", where=node.where, hint="Remove one of them")
        lists["subnets"] = (subnet,)
    if (node := fields.node_of("external_id")) and texts["role"] is None:
        raise InputError("'external_id' without a 'role'", where=node.where, hint="Add the role that asks for it")
    account, role = texts["account"], texts["role"]
    if (node := fields.node_of("role")) and account and f"::{account}:" not in str(role):
        raise InputError(f"the role is not of the account {account}", where=node.where, hint="Correct one of them")
    encrypted = _said(fields, "encrypted")
    if (node := fields.node_of("kms_key")) and encrypted is False:
        raise InputError("'kms_key', and 'encrypted' is false", where=node.where, hint="Remove one of them")
    _check_key(fields, region)
    return Environment(
        name=name,
        region=region,
        **texts,
        **lists,
        public_address=fields.boolean("public_address", Environment.public_address),
        encrypted=encrypted,
        spot=_said(fields, "spot"),
        tags=fields.text_map("tags"),
        regions=_regions(fields),
        share=sharing(fields),
        deprecate_after=fields.integer("deprecate_after", 0, *DEPRECATION) or None,
        protect=_said(fields, "protect"),
        expiry=fields.integer("expiry", Environment.expiry // 3600, *HOURS) * 3600,
        **_manners(texts["endpoint"], texts["profile"]),
    )


def _text(fields: Fields, key: str, form: Form) -> str | None:
    text = fields.text(key)
    node = fields.node_of(key)
    if node is None:
        return None
    if not form.fits(text):
        raise InputError(f"'{text}' is not {form.what}", where=node.where, hint=f"'{key}' looks like {form.example}")
    return text


def _said(fields: Fields, key: str) -> bool | None:
    return fields.boolean(key, False) if fields.node_of(key) else None


def _regions(fields: Fields) -> dict[str, Region]:
    """``regions: [NAME, …]`` or ``regions: {NAME: {kms_key, tags, ssm_parameter, launch_template}}``."""
    node = fields.node_of("regions")
    if node is None or not isinstance(node.value, dict):
        return {name: Region() for name in listed(fields, "regions", REGION)}
    found = {}
    for name, item in node.value.items():
        if not isinstance(name, str) or not REGION.fits(name):
            place = (node.keys or {}).get(name, item.where)
            raise InputError(f"'{name}' is not {REGION.what}", where=place, hint=f"One looks like {REGION.example}")
        block = Fields(item, f"region '{name}'", (*_OF_REGION, "tags"))
        texts = {key: _text(block, key, form) for key, form in _OF_REGION.items()}
        _check_key(block, name)
        found[name] = Region(tags=block.text_map("tags"), **texts)
    return found


def _check_key(fields: Fields, region: str) -> None:
    """:raises InputError: the key is in another region; EC2 would take it, and the image would fail"""
    node = fields.node_of("kms_key")
    there = forms.region_of(node.value) if node else ""
    if node and there not in ("", region):
        hint = f"Name one in {region}; those of other regions go under 'regions'"
        raise InputError(f"the key is in {there}, not in {region}", where=node.where, hint=hint)


def _manners(endpoint: str | None, profile: str | None) -> dict[str, Any]:
    """Credentials and pace: a loopback endpoint gets dummies, unless a profile says that it leads to a real one."""
    loopback = endpoint is not None and _is_loopback(endpoint) and profile is None
    return {
        "credentials": DUMMY if loopback else None,
        "pace": waiting.LOCAL if loopback else waiting.AWS,
    }


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
