"""The packages: a root file system as a tar, made by mmdebstrap once and kept.

In the cache, ``KEY.tar.zst`` is the tar, ``KEY.json`` says what is in it, and ``KEY.lock`` is held by whoever uses
either. The key is a hash of everything that goes in, package versions aside: those are what the archive has on the
day of the first run, until a refresh.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import AmiError, HostError, InputError
from ..process import ProcessError, run, which
from ..progress import Progress, Step, duration
from .spec import Spec
from .workspace import NO_SPACE, partial_file

EPOCH = 1767225600
"""2026-01-01 00:00 UTC: no file in an image is newer. In the past, or passwords would have changed in the future."""

CUSTOMIZE_HOOK = Path(__file__).parent / "files" / "customize.sh"

PACKAGES = (
    "ca-certificates",
    "cloud-guest-utils",
    "cloud-init",
    "curl",
    "dbus",
    "e2fsprogs",
    "fdisk",
    "gdisk",
    "ifupdown",
    "iproute2",
    "isc-dhcp-client",
    "less",
    "linux-image-cloud-amd64",
    "netbase",
    "openssh-server",
    "procps",
    "python3",
    "sudo",
    "systemd-sysv",
    "udev",
    "xz-utils",
    "zstd",
)
"""What every image has beside Debian's essential packages and apt."""

_FORMAT = 1
_KEPT_VARIABLES = re.compile(r"(?i)(PATH|HOME|USER|LOGNAME|(https?|ftp|all|no)_proxy)")
_NO_DOWNLOAD = re.compile(r"^E: (?:Failed to fetch \S+ +(.*)|(The repository .* does not have .*))$", re.MULTILINE)
_ERROR = re.compile(r"^E: (.+)$", re.MULTILINE)
_NO_PACKAGE = re.compile(r"Unable to locate package (\S+)|Package '?([^\s']+)'? has no installation candidate")


@dataclass(frozen=True)
class PackageSet:
    """A root file system in the cache. ``created`` is Unix seconds; ``cached`` tells whether it was there already."""

    tar: Path
    sha256: str
    packages: tuple[tuple[str, str], ...]
    created: float
    cached: bool


def mmdebstrap_argv(spec: Spec, hook: str, tar: str) -> list[str]:
    """mmdebstrap's command line for writing ``tar``; how it is compressed follows from the name's end."""
    return [
        "mmdebstrap",
        "--format=tar",
        "--variant=minbase",
        f"--architectures={spec.architecture}",
        "--dpkgopt=force-unsafe-io",
        f"--include={','.join(sorted({*PACKAGES, *spec.packages}))}",
        f"--customize-hook={hook}",
        spec.suite,
        tar,
        *([spec.mirror] if spec.mirror else []),
    ]


def environment(work: Path) -> dict[str, str]:
    """The environment for mmdebstrap: only what may not change the result is passed on from ours."""
    env = {name: value for name, value in os.environ.items() if _KEPT_VARIABLES.fullmatch(name)}
    env["PATH"] = env.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    return env | {"LC_ALL": "C.UTF-8", "INITRD": "No", "SOURCE_DATE_EPOCH": str(EPOCH), "TMPDIR": str(work)}


def cache_key(spec: Spec) -> str:
    """A hash of all that decides which files the tar has, where our own files lie aside."""
    said = [_FORMAT, EPOCH, mmdebstrap_argv(spec, "", ""), CUSTOMIZE_HOOK.read_text("utf-8")]
    return f"{spec.suite}-{spec.architecture}-{hashlib.sha256(json.dumps(said).encode()).hexdigest()[:20]}"


@contextmanager
def package_set(
    spec: Spec, cache: Path, work: Path, progress: Progress, *, refresh: bool = False
) -> Iterator[PackageSet]:
    """The packages of ``spec``, from the cache or freshly made. No other run touches them within the block.

    :param work: a folder for mmdebstrap's temporary files
    :param refresh: make them anew even when the cache has them
    :raises HostError: mmdebstrap is missing or failed, or the cache cannot be written
    :raises InputError: a package of the spec does not exist
    """
    key = cache_key(spec)
    tar, record = cache / f"{key}.tar.zst", cache / f"{key}.json"
    with progress.step("bootstrap packages") as step:
        lock = _locked(cache / f"{key}.lock", step)
        try:
            found = None if refresh else _load(tar, record)
            if found is None:
                _bootstrap(spec, tar, record, work, progress, step)
                made = _load(tar, record)
                if made is None:
                    raise HostError("the cache does not keep what is written to it", where=cache)
                found = PackageSet(made.tar, made.sha256, made.packages, made.created, cached=False)
        except BaseException:
            os.close(lock)
            raise
        age = duration(max(0.0, time.time() - found.created))
        step.done(f"{len(found.packages)} packages" + (f", cached {age} ago" if found.cached else ""))
    try:
        yield found
    finally:
        os.close(lock)


def _locked(path: Path, step: Step) -> int:
    """An open file with an exclusive lock; waits for whoever has it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        hint = "Set JENKINS_AMI_CACHE to a folder that you may write"
        raise HostError(f"the cache cannot be written: {error.strerror}", where=path.parent, hint=hint) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            step.status("waiting for another run that uses the same packages")
            fcntl.flock(handle, fcntl.LOCK_EX)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _load(tar: Path, record: Path) -> PackageSet | None:
    """What the cache has, if it is whole."""
    try:
        said = json.loads(record.read_text("utf-8"))
        with tar.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 != said["sha256"]:
            return None
        packages = tuple(sorted(said["packages"].items()))
        return PackageSet(tar, sha256, packages, float(said["created"]), cached=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _bootstrap(spec: Spec, tar: Path, record: Path, work: Path, progress: Progress, step: Step) -> None:
    tool = which("mmdebstrap")

    def on_line(line: str) -> None:
        progress.output("mmdebstrap", line)
        if line.startswith("I: "):
            step.status(line[3:].removesuffix("..."))

    with partial_file(tar) as temporary:
        # An ordinary user's mmdebstrap is somebody else, whom the user's home may be closed to; nor is a wheel's file
        # executable.
        hook = work / CUSTOMIZE_HOOK.name
        hook.write_bytes(CUSTOMIZE_HOOK.read_bytes())
        hook.chmod(0o755)
        made = work / "packages.tar.zst"
        words = mmdebstrap_argv(spec, str(hook), str(made))
        try:
            run([tool, *words[1:]], cwd=work, env=environment(work), on_stdout=on_line, on_stderr=on_line)
        except ProcessError as error:
            raise explain(error, spec) from error
        with made.open("rb") as source, temporary.open("wb") as target:
            digest = hashlib.sha256()
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                target.write(chunk)
        made.unlink()
        status = run(["tar", "--zstd", "--extract", "--to-stdout", f"--file={temporary}", "./var/lib/dpkg/status"])
    said = {
        "sha256": digest.hexdigest(),
        "created": time.time(),
        "suite": spec.suite,
        "architecture": spec.architecture,
        "mirror": spec.mirror,
        "packages": dict(installed(status.stdout)),
    }
    with partial_file(record) as temporary:
        temporary.write_text(json.dumps(said, indent=1) + "\n", "utf-8")


def installed(status: str) -> list[tuple[str, str]]:
    """(name, version) of all installed packages, from the text of ``/var/lib/dpkg/status``, sorted."""
    packages = []
    for stanza in status.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Status): (.*)$", stanza, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            packages.append((fields["Package"], fields["Version"]))
    return sorted(packages)


def explain(error: ProcessError, spec: Spec) -> AmiError:
    """What mmdebstrap's failure means, from the first error in its output; its last is only that it failed."""
    said = f"{error.stdout}\n{error.stderr}"
    if NO_SPACE in said:
        return error
    if missing := _NO_PACKAGE.search(said):
        return InputError(
            f"package '{missing[1] or missing[2]}' does not exist in {spec.suite}",
            where=spec.locations.get("packages"),
            hint="Correct its name, or take it out",
        )
    if unreachable := _NO_DOWNLOAD.search(said):
        return HostError(
            f"packages could not be downloaded: {unreachable[1] or unreachable[2]}",
            where=spec.mirror,
            hint="Check the network, the mirror, and http_proxy",
            detail=error.detail,
        )
    if first := _ERROR.search(said):
        return HostError(f"mmdebstrap failed: {first[1]}", detail=error.detail)
    return error
