"""Boot one image, without a cloud around it: for a look at its console, or to run tests on it.

The image is never written: the machine gets an overlay in a temporary folder, which goes with it. Its metadata service
is the same that the local cloud gives an instance, with IMDSv2 required.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from .. import artifacts
from ..artifacts import ImageTest
from ..errors import HostError, InputError, InstanceFailure, InstanceTimeout
from ..progress import Progress, duration
from ..verdict import image_tests
from ..verdict.image_tests import TestOutcome
from . import accel
from .hardware import firmware_for, vcpus
from .imds import Metadata, MetadataService, SecurityGroup
from .machine import GUEST_ADDRESS, Disk, End, Forward, Machine, MachineSpec, Tail, create_overlay, disk_info
from .store import GIB, REGION, ImageStore, NotStored, new_id

INSTANCE_TYPE = "t3.small"
TEST_TIMEOUT = 600
"""Seconds that an image has to boot, shut down and run its tests, besides the tests' own time limits."""

_POLL = 0.1
"""Seconds between two looks at the console."""
_TAIL_LINES = 25

_AMI_ID = re.compile(r"ami-[0-9a-z]+\Z")
_ESCAPE = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]+[0-~]|\x1b[0-Z\\-~]|\r")
_HALF_ESCAPE = re.compile(rb"\x1b(\[[0-?]*[ -/]*|[ -/]+)?\Z")
"""Escape sequences of ECMA-48, and the beginning of one."""


@dataclass(frozen=True)
class Target:
    """What to boot: a disk image of ``size`` bytes, and what is known about it."""

    name: str
    path: Path
    format: Literal["raw", "qcow2"]
    size: int
    firmware: Literal["bios", "uefi"] = "bios"
    tests: tuple[ImageTest, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to boot it. ``memory`` in MiB, ``timeout`` in seconds (none: as long as it takes)."""

    firmware: Literal["bios", "uefi"] = "bios"
    memory: int = 1024
    timeout: float | None = None
    forwards: tuple[Forward, ...] = ()


@dataclass(frozen=True)
class TestReport:
    """What the tests on an image came to, in ``seconds`` from power-on to power-off."""

    __test__ = False  # not a pytest class

    outcomes: tuple[TestOutcome, ...]
    end: End
    seconds: float

    @property
    def ok(self) -> bool:
        return all(outcome.ok for outcome in self.outcomes)


def find(what: str, state: Path) -> Target:
    """The image that ``what`` names: a disk image, an image id of the local cloud, or a build result.

    :param state: the local cloud's state folder
    :raises InputError: there is no such image, or it can never boot
    """
    path = Path(what)
    if _AMI_ID.match(what) and not path.exists():
        return _local_image(what, state)
    if not path.exists():
        raise InputError(
            "there is no such disk image or build result", where=what, hint="An image id begins with 'ami-'"
        )
    if path.is_dir() or path.suffix == ".json":
        return _build_result(path, state)
    return _disk_image(path)


def _local_image(image_id: str, state: Path, tests: tuple[ImageTest, ...] = ()) -> Target:
    store = ImageStore(state)
    try:
        path, boot_mode = store.path(image_id), store.get(image_id).boot_mode
    except NotStored:
        known = ", ".join(image.id for image in store.images())
        hint = f"There are {known}" if known else "It has no images; 'jenkins-ami build --local' makes some"
        raise InputError(f"image {image_id} is not in the local cloud", where=state, hint=hint) from None
    return Target(image_id, path, "qcow2", disk_info(path).size, firmware_for(boot_mode), tests)


def _build_result(path: Path, state: Path) -> Target:
    result = artifacts.read_build_result(path)
    store = ImageStore(state)
    kept = {image.id for image in store.images()}
    for record in result.images.values():
        if record.image_id in kept:
            return _local_image(record.image_id, state, result.tests)
    ids = ", ".join(record.image_id for record in result.images.values()) or "none"
    raise InputError(
        f"no image of this build ({ids}) is in the local cloud",
        where=path,
        hint=f"It was built in environment {result.environment!r}; 'jenkins-ami boot' runs local images only",
    )


def _disk_image(path: Path) -> Target:
    info = disk_info(path)
    if info.format not in ("raw", "qcow2"):
        hint = "Convert it: qemu-img convert -O qcow2"
        raise InputError(f"a {info.format} image cannot be booted, only raw and qcow2", where=path, hint=hint)
    if info.format == "raw":
        with path.open("rb") as file:
            if file.read(512)[510:] != b"\x55\xaa":
                raise InputError("this is no bootable disk: it has no boot sector", where=path)
    return Target(path.name, path, cast("Literal['raw', 'qcow2']", info.format), info.size)


def require_free_port(port: int) -> None:
    """:raises HostError: when nothing can listen on 127.0.0.1:``port``"""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise HostError(
                f"port {port} on 127.0.0.1 is not free: {error.strerror}", hint="Choose another one"
            ) from None


@contextlib.contextmanager
def machine(target: Target, settings: Settings, user_data: bytes | None, progress: Progress) -> Iterator[Machine]:
    """The image on a running machine, which dies with the block.

    :raises HostError: when this host cannot run it
    """
    for forward in settings.forwards:
        require_free_port(forward.host_port)
    chosen = accel.probe()
    progress.info(f"accelerator: {chosen.reason}")
    instance_id, volume_id, mac = new_id("i"), new_id("vol"), "02:00:00:00:00:01"
    metadata = Metadata(
        instance_id=instance_id,
        image_id=target.name if _AMI_ID.match(target.name) else new_id("ami"),
        instance_type=INSTANCE_TYPE,
        region=REGION,
        zone=f"{REGION}a",
        account="123456789012",
        mac=mac,
        private_ip=GUEST_ADDRESS,
        interface_id=new_id("eni"),
        subnet_id=new_id("subnet"),
        vpc_id=new_id("vpc"),
        subnet_cidr="169.254.0.0/16",
        reservation_id=new_id("r"),
        security_groups=(SecurityGroup(new_id("sg"), "default"),),
        user_data=user_data,
    )
    with _temporary_folder() as folder:
        disk = folder / "disk.qcow2"
        create_overlay(target.path, disk, backing_format=target.format, size=-(-target.size // GIB) * GIB)
        spec = MachineSpec(
            instance_id=instance_id,
            instance_type=INSTANCE_TYPE,
            mac=mac,
            disks=(Disk(disk, volume_id),),
            runtime=folder,
            imds_socket=folder / "imds.sock",
            vcpus=vcpus(2),
            memory=settings.memory,
            firmware=settings.firmware,
            forwards=settings.forwards,
        )
        with MetadataService(metadata, spec.imds_socket, lambda line: progress.output("metadata", line)):
            with Machine(spec, accel=chosen) as running:
                yield running


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="jenkins-ami-boot-", ignore_cleanup_errors=True)
    except OSError as error:
        raise HostError(f"no temporary folder can be made: {error.strerror}", hint="Set TMPDIR") from None
    with folder as name:
        yield Path(name)


class PlainConsole:
    """Makes a console's bytes fit for a terminal or a log: no carriage returns, no escape sequences.

    Firmware and boot loaders clear the screen and move the cursor; nobody wants that done to his own.
    """

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What of ``data`` can be shown; half an escape sequence at its end waits for the other half."""
        data = self._held + data
        half = _HALF_ESCAPE.search(data)
        self._held = half[0] if half else b""
        return _ESCAPE.sub(b"", data[: len(data) - len(self._held)])


class ConsoleLines:
    """Hands a console to ``sink`` line by line, as text, without the empty ones."""

    def __init__(self, sink: Callable[[str], None]) -> None:
        self._sink = sink
        self._plain = PlainConsole()
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + self._plain.feed(data)).split(b"\n")
        for raw in lines:
            if line := raw.decode("utf-8", "replace").strip():
                self._sink(line)


def _until_end(machine: Machine, timeout: float | None, on_console: Callable[[bytes], None]) -> End:
    """Follow the console until the machine ends.

    :raises InstanceTimeout: when it still runs after ``timeout`` seconds
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    tail = Tail(machine.console_path)
    while True:
        end = machine.wait(_POLL)
        if data := tail.read():
            on_console(data)
        if end is not None:
            return end
        if deadline is not None and time.monotonic() > deadline:
            raise InstanceTimeout(
                f"the machine has not powered itself off within {duration(cast(float, timeout))}",
                hint="The end of its console is above; --timeout gives it more time",
                detail=console_tail(machine),
            )


def console_tail(machine: Machine) -> list[str]:
    """The last lines of the console."""
    lines: list[str] = []
    ConsoleLines(lines.append).feed(machine.console() + b"\n")
    return lines[-_TAIL_LINES:] or ["(the console is empty)"]


def _check_end(machine: Machine, end: End) -> None:
    if end.reason == "panic":
        raise InstanceFailure(end.detail, detail=console_tail(machine))
    if end.reason == "crashed":
        raise HostError(end.detail)


def show(
    target: Target, settings: Settings, user_data: bytes | None, sink: Callable[[bytes], None], progress: Progress
) -> End:
    """Boot it and hand its console to ``sink``, as it comes, until it powers itself off.

    :raises InstanceTimeout: when it has not by ``settings.timeout``
    :raises InstanceFailure: when its kernel panics
    """
    with machine(target, settings, user_data, progress) as running:
        end = _until_end(running, settings.timeout, sink)
        _check_end(running, end)
        return end


def run_tests(target: Target, tests: Sequence[ImageTest], settings: Settings, progress: Progress) -> TestReport:
    """Boot it and run ``tests`` on it.

    :raises InstanceTimeout: when it has not powered itself off in time
    :raises InstanceFailure: when its kernel panics
    """
    nonce = secrets.token_hex(8)
    timeout = settings.timeout or TEST_TIMEOUT + sum(test.timeout for test in tests)
    with machine(target, settings, image_tests.user_data(tests, nonce), progress) as running:
        with progress.step(f"test {target.name}") as step:

            def on_line(line: str) -> None:
                progress.output("console", line)
                step.status(f"at: {line[:60]}")

            try:
                end = _until_end(running, timeout, ConsoleLines(on_line).feed)
            except InstanceTimeout as error:
                outcomes = image_tests.parse(running.console_path.read_bytes(), tests, nonce)
                error.detail += [describe(outcome) for outcome in outcomes]
                raise
            _check_end(running, end)
            outcomes = image_tests.parse(running.console_path.read_bytes(), tests, nonce)
            step.done(f"{sum(outcome.ok for outcome in outcomes)} of {len(tests)} passed")
        return TestReport(tuple(outcomes), end, step.seconds)


def describe(outcome: TestOutcome) -> str:
    """A line for people: ``PASS  page is served (2 s)``."""
    if outcome.ok:
        return f"PASS  {outcome.test.name} ({outcome.seconds} s)"
    return f"FAIL  {outcome.test.name}: {outcome.reason}"
