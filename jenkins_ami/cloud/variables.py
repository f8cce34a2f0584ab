"""``BUILDAMI_*``: the variables that took the place of options in the scripts that this process is known by.

They go over what an environments file and a compiled AMI say. :func:`read` looks at no file; :func:`with_digest` does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import forms
from ..artifacts import BuildResult, Manifest, describe_file, env_text
from ..errors import HostError, InputError, StorageError, UsageError
from ..forms import Form
from ..yamlfile import did_you_mean
from . import blockdevices
from .environments import LOCAL, VARIABLES, Environment

PREFIX = "BUILDAMI_"
DEADLINE = (120, 7 * 24 * 3600)
INTERVAL = (1, 60)
"""Bounds in seconds."""
STORAGE = ("S3URL", "S3REGION", "FSTGZ")
"""All of them or none."""

_OBJECT = re.compile(rf"(?P<place>{forms.S3_URL.pattern.pattern})/[^/\s]+")
_FORMS = {
    "PROFILE": forms.INSTANCE_PROFILE,
    "SUBNET": forms.SUBNET,
    "TYPE": forms.INSTANCE_TYPE,
    "KEYPAIR": Form(re.compile(r"[^\x00-\x1f\x7f]{1,255}"), "the name of a key pair", "build"),
    "TARGETNAME": Form(re.compile(forms.NAME.pattern), "the name of an image", "web-server"),
    "TARGETVERSION": Form(re.compile(forms.VERSION.pattern), "a version", "1.4.0"),
    "TARGETDESCRIPTION": Form(re.compile(r"[^\x00-\x1f\x7f]{1,255}"), "a description of one line", "A web server"),
    "S3URL": Form(_OBJECT, "the URL of an object in S3", "s3://bucket/images/fs.tgz"),
    "S3REGION": forms.REGION,
}
_SECONDS = {"TIMEOUT_INSTANCE": DEADLINE, "TIMEOUT_AMI": DEADLINE, "WAIT_INSTANCE": INTERVAL, "WAIT_AMI": INTERVAL}
_PATHS = ("USERDATA", "FSTGZ", "OUTPUT")
NAMES = (*_FORMS, *_SECONDS, *_PATHS, "BASEAMI", "SECURITYGROUPS", "BLOCKDEVICEMAPPING")


@dataclass(frozen=True)
class Variables:
    """What they say. Times in seconds.

    :ivar base: as a manifest's ``base``
    :ivar timeout: that the instance has; ``image_timeout`` the image
    :ivar intervals: between two looks at the instance, at the image; as far as they are set
    :ivar storage: ``s3://bucket/prefix`` of S3URL
    :ivar overlay: FSTGZ; ``overlay_digest`` is its SHA-256
    :ivar warnings: lines for whoever set them
    """

    base: str | None = None
    subnet: str | None = None
    security_groups: tuple[str, ...] = ()
    instance_profile: str | None = None
    instance_type: str | None = None
    key_pair: str | None = None
    block_devices: tuple[Mapping[str, Any], ...] = ()
    userdata: Path | None = None
    name: str | None = None
    version: str | None = None
    description: str | None = None
    timeout: int | None = None
    image_timeout: int | None = None
    intervals: tuple[int, ...] = ()
    storage: str | None = None
    storage_region: str | None = None
    overlay: Path | None = None
    overlay_digest: str = ""
    output: Path | None = None
    warnings: tuple[str, ...] = ()

    @property
    def say_where(self) -> bool:
        """Whether they say enough of an account to build in, when no environment is named."""
        return bool(self.subnet or self.security_groups)

    @property
    def userdata_folder(self) -> Path | None:
        """The compiled AMI, when no other is named."""
        return self.userdata.parent if self.userdata else None

    def environment(self, environ: Mapping[str, str]) -> Environment:
        """The environment that they are by themselves.

        :raises UsageError: its region is not set, or is none
        """
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        if not region:
            what = f"{PREFIX}SUBNET and {PREFIX}SECURITYGROUPS say where to build, but no region"
            raise UsageError(what, hint="Set AWS_REGION, or name an environment")
        if not forms.REGION.fits(region):
            raise UsageError(f"AWS_REGION: '{region}' is not {forms.REGION.what}")
        return Environment(VARIABLES, region)

    def over_environment(self, environment: Environment) -> Environment:
        """An environment with what they say in the place of what it says. The local cloud has none of all that.

        :raises StorageError: storage in another region
        """
        if environment.name == LOCAL:
            return environment
        if self.storage_region not in (None, environment.region):
            raise StorageError(
                f"{PREFIX}S3REGION is {self.storage_region}, the build is in {environment.region}",
                hint="Name a bucket in the build's own region",
            )
        changes: dict[str, Any] = {
            "subnets": (self.subnet,) if self.subnet else (),
            "security_groups": self.security_groups,
            "instance_profile": self.instance_profile,
            "instance_types": (self.instance_type,) if self.instance_type else (),
            "key_pair": self.key_pair,
            "block_devices": self.block_devices,
            "storage": self.storage,
        }
        if self.intervals:
            pace = replace(environment.pace, state=min(self.intervals), state_longest=max(self.intervals))
            changes["pace"] = pace
        return replace(environment, **{key: value for key, value in changes.items() if value})

    def over_manifest(self, manifest: Manifest) -> Manifest:
        """A manifest with what they say in the place of what it says.

        :raises StorageError: another overlay than the manifest's, or one whose place cannot be chosen any more
        """
        changes: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "description": self.description,
        }
        if self.base:
            changes |= {"base": self.base}
            manifest = replace(manifest, base_query=None)
        if self.timeout or self.image_timeout:
            limits = manifest.timeouts
            changes["timeouts"] = replace(
                limits, instance=self.timeout or limits.instance, image=self.image_timeout or limits.image
            )
        if self.overlay:
            self._check_overlay(manifest)
            if manifest.overlay.placement == "storage":
                changes["overlay"] = replace(manifest.overlay, storage=self.storage)
        return replace(manifest, **{key: value for key, value in changes.items() if value})

    def _check_overlay(self, manifest: Manifest) -> None:
        overlay = manifest.overlay
        if self.overlay_digest != overlay.sha256:
            there = f"that is {overlay.file} in its folder" if overlay.placement == "storage" else "it has none outside"
            raise StorageError(
                f"{PREFIX}FSTGZ is not the overlay that the compiled AMI was made with: {there}",
                where=self.overlay,
                hint=f"Correct it, or leave {_all_of(STORAGE)} out: build uploads what compile wrote",
            )
        if overlay.placement == "storage" and overlay.access == "https":
            raise StorageError(
                f"the compiled AMI gets its overlay from {overlay.storage}, which {PREFIX}S3URL cannot change",
                hint="Compile it with another --storage",
            )

    def write_output(self, built: BuildResult) -> None:
        """Write AMINAME and AMIID where OUTPUT says, if it does.

        :raises HostError: it cannot be written
        """
        if self.output is None:
            return
        lines = env_text({"AMINAME": built.image_name, "AMIID": built.images[built.region].image_id})
        try:
            self.output.write_text(lines, "utf-8")
        except OSError as error:
            raise HostError(f"{PREFIX}OUTPUT cannot be written: {error.strerror}", where=self.output) from error


def read(environ: Mapping[str, str]) -> Variables:
    """Read the variables; one that is empty is not set. Pure.

    :raises UsageError: a value that makes no sense, or storage said in part
    :raises StorageError: a time out of range
    """
    given = {key.removeprefix(PREFIX): value.strip() for key, value in environ.items() if key.startswith(PREFIX)}
    given = {key: value for key, value in given.items() if value}
    texts = {key: _text(key, given[key], form) for key, form in _FORMS.items() if key in given}
    seconds = {key: _seconds(key, given[key], *bounds) for key, bounds in _SECONDS.items() if key in given}
    paths = {key: Path(given[key]) for key in _PATHS if key in given}
    missing = [key for key in STORAGE if key not in given]
    if 0 < len(missing) < len(STORAGE):
        are = "is" if len(missing) == 1 else "are"
        raise UsageError(f"{_all_of(missing)} {are} not set", hint=f"Set all of {_all_of(STORAGE)}, or none")
    url = _OBJECT.fullmatch(texts.get("S3URL", ""))
    return Variables(
        base=_base(given["BASEAMI"]) if "BASEAMI" in given else None,
        subnet=texts.get("SUBNET"),
        security_groups=_groups(given.get("SECURITYGROUPS", "")),
        instance_profile=texts.get("PROFILE"),
        instance_type=texts.get("TYPE"),
        key_pair=texts.get("KEYPAIR"),
        block_devices=_block_devices(given.get("BLOCKDEVICEMAPPING", "")),
        userdata=paths.get("USERDATA"),
        name=texts.get("TARGETNAME"),
        version=texts.get("TARGETVERSION"),
        description=texts.get("TARGETDESCRIPTION"),
        timeout=seconds.get("TIMEOUT_INSTANCE"),
        image_timeout=seconds.get("TIMEOUT_AMI"),
        intervals=tuple(seconds[key] for key in ("WAIT_INSTANCE", "WAIT_AMI") if key in seconds),
        storage=url["place"] if url else None,
        storage_region=texts.get("S3REGION"),
        overlay=paths.get("FSTGZ"),
        output=paths.get("OUTPUT"),
        warnings=_warnings(given),
    )


def with_digest(variables: Variables) -> Variables:
    """The same, with the digest of FSTGZ. Reads that file.

    :raises InputError: it cannot be read
    """
    if variables.overlay is None:
        return variables
    try:
        return replace(variables, overlay_digest=describe_file(variables.overlay).sha256)
    except OSError as error:
        what = f"{PREFIX}FSTGZ cannot be read: {error.strerror}"
        raise InputError(what, where=variables.overlay, hint="Correct it") from error


def _text(key: str, text: str, form: Form) -> str:
    if not form.fits(text):
        raise UsageError(f"{PREFIX}{key}: '{text}' is not {form.what}", hint=f"It looks like {form.example}")
    return text


def _seconds(key: str, text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise UsageError(f"{PREFIX}{key}: '{text}' is not a whole number", hint="Give seconds")
    if not least <= int(text) <= most:
        raise StorageError(f"{PREFIX}{key} is {text}, not between {least} and {most}", hint="Give seconds")
    return int(text)


def _base(text: str) -> str:
    if forms.is_path(text) or not forms.BASE.fits(text):
        hint = "Use ami-0123456789abcdef0, ssm:/path/of/a/parameter, scratch, or NAME or NAME-1.4.0 of your own images"
        raise UsageError(f"{PREFIX}BASEAMI: '{text}' is not {forms.BASE.what}", hint=hint)
    return text


def _groups(text: str) -> tuple[str, ...]:
    return tuple(_text("SECURITYGROUPS", each, forms.SECURITY_GROUP) for each in re.split(r"[\s,]+", text) if each)


def _block_devices(text: str) -> tuple[Mapping[str, Any], ...]:
    try:
        return blockdevices.read(text) if text else ()
    except ValueError as error:
        hint = "Write DeviceName=/dev/xvda,Ebs={VolumeSize=10}, or JSON"
        raise UsageError(f"{PREFIX}BLOCKDEVICEMAPPING: {error}", hint=hint) from error


def _warnings(given: Mapping[str, str]) -> tuple[str, ...]:
    unknown = sorted(given.keys() - set(NAMES))
    known = [f"{PREFIX}{name}" for name in NAMES]
    found = [f"{PREFIX}{name} is no variable of a build. {did_you_mean(PREFIX + name, known)}" for name in unknown]
    if "KEYPAIR" in given:
        found.append(f"{PREFIX}KEYPAIR: a build needs no key pair, and the image may keep its public key")
    return tuple(found)


def _all_of(names: tuple[str, ...] | list[str]) -> str:
    shown = [f"{PREFIX}{name}" for name in names]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
