"""The wall: the files that pass between phases, and the types that they hold.

``compile`` writes a *compiled AMI* (:class:`Manifest` is its ``compile.json``); ``build`` reads that and nothing else,
and writes a *build result* (:class:`BuildResult` is its ``ami.json``). Both files carry ``schema``: a reader refuses a
number it does not know. What the other side must not see is not here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import tempfile
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .errors import HostError, InputError, Location

SCHEMA = 1

COMPILE_JSON = "compile.json"
USERDATA = "userdata.gz"
CLOUD_CONFIG = "cloud-config.yaml"
OVERLAY = "fs.tgz"
OVERLAY_ZSTD = "fs.tar.zst"
VARS_ENV = "vars.env"
ENVIRONMENTS = "environments.yaml"

AMI_JSON = "ami.json"
AMI_ENV = "ami.env"
FAILURE_JSON = "failure.json"
CONSOLE_LOG = "console.log"
TEST_CONSOLE_LOG = "console-test.log"
LEDGER = "ledger.jsonl"

USERDATA_LIMIT = 16_384
"""Bytes of user-data that RunInstances accepts, counted before base64 (EC2 User Guide, "Instance user data")."""

STORAGE_TOKEN = "@JENKINS-AMI-STORAGE-URL@"
"""Stands in the user-data for the URL of ``fs.tgz`` until ``build`` knows it."""


@dataclass(frozen=True)
class ImageTest:
    """One entry of ``tests:``: a command for ``/bin/sh`` on the booted image, and what it must do.

    :ivar name: of the test
    :ivar run: the command
    :ivar stdout: a text that its standard output must contain
    :ivar exit_code: that it must end with
    :ivar timeout: seconds
    """

    name: str
    run: str
    stdout: str | None = None
    exit_code: int = 0
    timeout: int = 60


@dataclass(frozen=True)
class Command:
    """One command of the merged ``runcmd``: where it stands in the source, and its text for people."""

    where: str
    run: str


@dataclass(frozen=True)
class FileEntry:
    """A file of the compiled AMI: ``size`` in bytes, ``sha256`` in hex."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Overlay:
    """How ``fs.tgz`` reaches the instance.

    ``placement`` is ``none`` (nothing to bring), ``inline`` (inside the user-data) or ``storage`` (``file`` beside it,
    downloaded by the instance). ``storage`` is the URL that the source or ``compile --storage`` named; ``None`` leaves
    it to the environment. ``access`` is how the instance may read it: ``presigned`` (a URL that replaces
    :data:`STORAGE_TOKEN` at build), ``profile`` (the same token, but a URL that the instance signs with its profile's
    credentials) or ``https`` (the user-data has the URL; somebody else puts the file there).
    """

    placement: str = "none"
    size: int = 0
    sha256: str = ""
    storage: str | None = None
    access: str = "presigned"
    file: str = OVERLAY


@dataclass(frozen=True)
class Timeouts:
    """Seconds: until the instance must have powered itself off, and until the image must be available."""

    instance: int = 1800
    image: int = 3600


@dataclass(frozen=True)
class BaseQuery:
    """A base image by what it is: the newest available one that fits.

    :ivar name: its name, in which ``*`` and ``?`` are wildcards (EC2 API reference, DescribeImages)
    :ivar owners: accounts by their 12 digits, ``self``, or an alias such as ``amazon``; never empty, since without an
        owner anybody's public image of that name would win
    :ivar tags: that the image has
    """

    name: str
    owners: tuple[str, ...]
    architecture: str | None = None
    virtualization: str = "hvm"
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sharing:
    """Who may launch an image.

    :ivar accounts: by their 12 digits
    :ivar organizations: by their ARNs
    :ivar units: organizational ones, by their ARNs
    """

    accounts: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.accounts or self.organizations or self.units)


@dataclass(frozen=True)
class Retention:
    """Which images of a name are kept: an image stays that any of the rules that are given keeps.

    :ivar images: the newest so many
    :ivar days: those that are younger
    :ivar versions: the newest of each of so many of the highest versions
    """

    images: int | None = None
    days: int | None = None
    versions: int | None = None

    def __bool__(self) -> bool:
        return (self.images, self.days, self.versions) != (None, None, None)


@dataclass(frozen=True)
class ImageSettings:
    """``image:`` of ``ami.yaml``: how the image is to be, wherever it is built.

    :ivar regions: where it is copied to, besides the region that it is built in
    :ivar encrypted: ``None`` leaves it to the environment, whose default is yes
    :ivar share: who may launch it
    :ivar imds: ``v2.0``: instances of it take no metadata requests without a token; or ``any``
    :ivar boot_mode: what the base must have, e.g. ``uefi``: an image takes it over from the instance
    :ivar deprecate_after: days
    :ivar protect: against being deregistered
    :ivar retention: which images of its name are kept
    """

    regions: tuple[str, ...] = ()
    encrypted: bool | None = None
    share: Sharing = Sharing()
    imds: str = "v2.0"
    boot_mode: str | None = None
    deprecate_after: int | None = None
    protect: bool = False
    retention: Retention = Retention()


@dataclass(frozen=True)
class Manifest:
    """``compile.json``. ``nonce`` is the hex text that this compile's verdict carries on the console.

    ``base`` is what the source says; for a mapping, ``base_query`` holds it and ``base`` is its name. ``spot``: build
    on spare capacity first.
    """

    name: str
    version: str
    base: str
    nonce: str
    digest: str
    files: dict[str, FileEntry]
    overlay: Overlay = Overlay()
    description: str = ""
    architecture: str = "x86_64"
    commit: str | None = None
    instance_types: tuple[str, ...] = ("t3.small",)
    volume_size: int | None = None
    base_query: BaseQuery | None = None
    spot: bool = False
    image: ImageSettings = ImageSettings()
    tags: dict[str, str] = field(default_factory=dict)
    commands: tuple[Command, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)
    tests: tuple[ImageTest, ...] = ()
    timeouts: Timeouts = Timeouts()
    schema: int = SCHEMA


@dataclass(frozen=True)
class ImageRecord:
    """An image in one region.

    :ivar image_id: the AMI's id
    :ivar snapshot_ids: of the snapshots behind it
    :ivar kms_key: that they are encrypted with, if it is known
    """

    image_id: str
    snapshot_ids: tuple[str, ...] = ()
    kms_key: str | None = None


@dataclass(frozen=True)
class TestRecord:
    """How a test on the image's first boot ended.

    :ivar name: of the test
    :ivar ok: it did what it must
    :ivar reason: why not
    :ivar seconds: that it took
    """

    __test__ = False  # not a pytest class

    name: str
    ok: bool
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class BuildResult:
    """What a build came to: ``ami.json``.

    :ivar name: what the AMI source calls the image
    :ivar version: of the image
    :ivar build: the build number
    :ivar image_name: what EC2 calls the image
    :ivar images: the image and its copies, by region
    :ivar base: id of the image that it was made from
    :ivar environment: where it was built
    :ivar region: where it was built
    :ivar instance_id: the instance that it was made of; empty when ``reused``
    :ivar instance_type: of that instance; empty when ``reused``
    :ivar verdict: the instance's own word: ``ok``
    :ivar userdata_sha256: SHA-256 of the user-data as it was launched; empty when ``reused``
    :ivar digest: of the compiled AMI
    :ivar timings: seconds that each step took
    :ivar tests: to be run on the image
    :ivar reused: the images were there already, made of the same inputs by an earlier build; nothing was launched
    :ivar created: when the image was asked for, ISO 8601 in UTC
    :ivar base_asked: the base as the AMI source says it
    :ivar base_name: what EC2 calls the base
    :ivar payload: digest of user-data and overlay as compile wrote them
    :ivar input: digest of all that the image is made of
    :ivar commit: the AMI source's
    :ivar build_url: the build's page in Jenkins
    :ivar spot: it was built on spare capacity
    :ivar subnet: that the instance was in; null in the default VPC
    :ivar attempts: launches that it took
    :ivar image: how the image was to be
    :ivar tested: how the tests on its first boot ended
    :ivar failures: regions that the image could not be distributed to, and why
    :ivar published: what points to the image now, by region: SSM parameters and launch templates
    :ivar schema: version of this format
    """

    name: str
    version: str
    build: int
    image_name: str
    images: dict[str, ImageRecord]
    base: str
    environment: str
    region: str
    instance_id: str
    instance_type: str
    verdict: str
    userdata_sha256: str
    digest: str
    timings: dict[str, float] = field(default_factory=dict)
    tests: tuple[ImageTest, ...] = ()
    reused: bool = False
    created: str = ""
    base_asked: str = ""
    base_name: str = ""
    payload: str = ""
    input: str = ""
    commit: str | None = None
    build_url: str | None = None
    spot: bool = False
    subnet: str | None = None
    attempts: int = 1
    image: ImageSettings = ImageSettings()
    tested: tuple[TestRecord, ...] = ()
    failures: dict[str, str] = field(default_factory=dict)
    published: dict[str, tuple[str, ...]] = field(default_factory=dict)
    schema: int = SCHEMA


@dataclass(frozen=True)
class Failure:
    """Why a build failed: ``failure.json``.

    :ivar line: what, where, and what to do about it
    :ivar exit_code: of the command
    :ivar detail: more lines about it, like the end of a log
    :ivar image_name: of the image that did not pass its first boot; empty when there was none to boot
    :ivar tested: how the tests on its first boot ended
    :ivar outputs: what they printed, by their names
    :ivar timings: seconds that each step took
    """

    line: str
    exit_code: int
    detail: tuple[str, ...] = ()
    image_name: str = ""
    tested: tuple[TestRecord, ...] = ()
    outputs: dict[str, str] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    schema: int = SCHEMA


T = TypeVar("T")


def to_json(value: Any) -> str:
    """A dataclass of this module as text: sorted keys, two spaces, final newline; the same bytes every time."""
    return json.dumps(dataclasses.asdict(value), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _decode(kind: Any, value: Any, path: str) -> Any:
    """``value`` (from JSON) as ``kind`` (a type annotation of this module); ``path`` names it in errors."""
    origin = typing.get_origin(kind)
    args = typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        (kind,) = [arg for arg in args if arg is not type(None)]
        return _decode(kind, value, path)
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{path} is not a list")
        return tuple(_decode(args[0], item, f"{path}[{index}]") for index, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{path} is not an object")
        return {key: _decode(args[1], item, f"{path}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ValueError(f"{path} is not an object")
        hints = typing.get_type_hints(kind)
        fields = {f.name: f for f in dataclasses.fields(kind)}
        if unknown := sorted(value.keys() - fields.keys()):
            raise ValueError(f"{path}.{unknown[0]} is not known")
        for f in fields.values():
            required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
            if required and f.name not in value:
                raise ValueError(f"{path}.{f.name} is missing")
        decoded = {key: _decode(hints[key], item, f"{path}.{key}") for key, item in value.items()}
        return kind(**decoded)  # type: ignore[operator]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{path} is not {'a whole number' if kind is int else 'a text' if kind is str else kind}")
    return value


def read_json(kind: type[T], path: Path, made_by: str) -> T:
    """Read a file of this schema that :func:`to_json` wrote.

    :param made_by: the command that writes it, for hints
    :raises InputError: when it is missing, malformed or of another schema
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise InputError(f"{path.name} is missing", where=path, hint=f"'jenkins-ami {made_by}' writes it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} cannot be read: {error}", where=path) from error
    try:
        data = json.loads(text)
        found = data.get("schema") if isinstance(data, dict) else None
        if found != SCHEMA:
            raise InputError(
                f"schema {found!r} is not {SCHEMA}",
                where=path,
                hint=f"It was written by another version; run 'jenkins-ami {made_by}' again",
            )
        return typing.cast(T, _decode(kind, data, path.name))
    except json.JSONDecodeError as error:
        raise InputError(error.msg, where=Location(path, error.lineno, error.colno)) from error
    except ValueError as error:
        raise InputError(str(error), where=path, hint=f"Run 'jenkins-ami {made_by}' again") from error
    except RecursionError:
        raise InputError(f"{path.name} is nested too deeply", where=path) from None


@dataclass(frozen=True)
class CompiledAmi:
    """A compiled AMI on disk, checked: every file is there with the size and digest that the manifest states."""

    path: Path
    manifest: Manifest

    @property
    def userdata(self) -> bytes:
        return (self.path / USERDATA).read_bytes()

    @property
    def overlay_file(self) -> Path:
        return self.path / self.manifest.overlay.file


def read_compiled(folder: Path) -> CompiledAmi:
    """Read and check a compiled AMI.

    :raises InputError: no such folder, no or a foreign ``compile.json``, a file missing or changed since
    """
    if not folder.is_dir():
        raise InputError(
            "there is no compiled AMI here", where=folder, hint="'jenkins-ami compile SOURCE TARGET' makes one"
        )
    manifest = read_json(Manifest, folder / COMPILE_JSON, "compile")
    for name, entry in manifest.files.items():
        path = folder / name
        if Path(name).name != name:
            raise InputError(f"compile.json names a file outside the folder: {name}", where=folder / COMPILE_JSON)
        if not path.is_file():
            raise InputError(f"{name} is missing", where=path, hint="Run 'jenkins-ami compile' again")
        if describe_file(path) != entry:
            raise InputError(f"{name} is not what compile wrote", where=path, hint="Run 'jenkins-ami compile' again")
    return CompiledAmi(folder, manifest)


def read_build_result(path: Path) -> BuildResult:
    """Read ``ami.json``; ``path`` is the file or the folder that holds it.

    :raises InputError: when it is missing, malformed or of another schema
    """
    return read_json(BuildResult, path / AMI_JSON if path.is_dir() else path, "build")


def describe_file(path: Path) -> FileEntry:
    """Size and digest of a file."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
        return FileEntry(stream.tell(), digest.hexdigest())


_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def env_text(values: Mapping[str, str]) -> str:
    """``KEY=VALUE`` lines, in the order given: what Jenkins' ``readProperties`` and ``withEnv`` take.

    :raises ValueError: for a key that is no name, or a value of more than one line
    """
    for key, value in values.items():
        if not _KEY.match(key) or "\n" in value or "\r" in value:
            raise ValueError(f"{key} does not fit a KEY=VALUE line")
    return "".join(f"{key}={value}\n" for key, value in values.items())


def write_file(path: Path, data: bytes | str, mode: int = 0o644) -> None:
    """Write a whole file or none of it: to a temporary name beside it, fsync, rename.

    :raises HostError: when the disk is full or the folder cannot be written
    """
    raw = data.encode() if isinstance(data, str) else data
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(raw)
                stream.flush()
                os.fchmod(stream.fileno(), mode)
                os.fsync(stream.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise HostError(f"{path.name} cannot be written: {error.strerror}", where=path) from error
