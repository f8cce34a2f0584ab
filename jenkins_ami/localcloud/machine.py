"""A QEMU machine that sees what an instance sees on EC2: SMBIOS identity, NVMe disks, the metadata service, DHCP.

:func:`argv` computes the command line; :class:`Machine` runs it and knows how it ended. What an instance *is* (states,
reasons, volumes, images) is the owner's business.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import selectors
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

from .. import process
from ..errors import HostError, InputError
from . import accel as accelerator
from .accel import Accel

CONSOLE_LIMIT = 65536
"""Bytes that :meth:`Machine.console` returns at most, as GetConsoleOutput does."""

NETWORK = "169.254.0.0/16"
GUEST_ADDRESS = "169.254.10.15"
METADATA_ADDRESS = "169.254.169.254"
S3_ADDRESS = "169.254.169.253"
"""QEMU forwards only addresses of the guest's own network, so the guest lives in that of the metadata service."""

OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")

_RELAY = Path(__file__).with_name("relay.py")
_PANIC = re.compile(rb"Kernel panic - not syncing[^\r\n]*(?=[\r\n])")
_DISK_FAILURE = re.compile(rb"aio failed: ([^\n]+)\n")
"""What QEMU's NVMe device says (hw/nvme/ctrl.c) when the host fails it: no space, most likely. It has no ``werror``, so
the guest gets an I/O error; it may ignore that, and become a damaged image."""
_MESSAGES_LIMIT = 8192
"""How much of QEMU's messages is kept, in bytes."""
_TICK = 0.25
"""Seconds between two looks at the console for a panic."""
_START_TIMEOUT = 30.0
"""Seconds that QEMU may take to answer; it takes a fraction of one."""


@dataclass(frozen=True)
class Disk:
    """A volume. It is written to: give each machine an overlay of its own (:func:`create_overlay`)."""

    path: Path
    volume_id: str
    format: Literal["qcow2", "raw"] = "qcow2"


@dataclass(frozen=True)
class Forward:
    """TCP from 127.0.0.1:``host_port`` to the guest's ``guest_port``."""

    host_port: int
    guest_port: int


@dataclass(frozen=True, kw_only=True)
class MachineSpec:
    """What to run.

    :param disks: the root disk first
    :param runtime: an existing folder of this machine's own, for its console
    :param imds_socket: the metadata service's Unix socket
    :param s3_port: the TCP port on 127.0.0.1 that the guest reaches as http://169.254.169.253/
    :param memory: MiB
    :param restrict: the guest reaches the metadata service and S3, and nothing else
    """

    instance_id: str
    instance_type: str
    mac: str
    disks: tuple[Disk, ...]
    runtime: Path
    imds_socket: Path
    s3_port: int | None = None
    vcpus: int = 2
    memory: int = 1024
    firmware: Literal["bios", "uefi"] = "bios"
    restrict: bool = False
    forwards: tuple[Forward, ...] = ()

    @property
    def console_path(self) -> Path:
        return self.runtime / "console.log"


def _options(*flags: str, **values: object) -> str:
    """QEMU's ``flag,key=value``: a comma within a value is doubled."""
    pairs = (f"{key.replace('_', '-')}={value}" for key, value in values.items())
    return ",".join(word.replace(",", ",,") for word in (*flags, *pairs))


def _guestfwd(address: str, target: str) -> str:
    # QEMU splits the command as a shell would (GLib's g_shell_parse_argv) and starts it once per connection.
    relay = shlex.join([sys.executable, "-I", "-S", str(_RELAY), target])
    return f"tcp:{address}:80-cmd:{relay}"


def system_uuid(instance_id: str) -> str:
    """The SMBIOS UUID, which begins with ``ec2``: how cloud-init and others recognise EC2."""
    digits = "ec2" + hashlib.sha256(instance_id.encode()).hexdigest()[3:32]
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def argv(spec: MachineSpec, accel: Accel, qmp_fd: int) -> list[str]:
    """QEMU's command line.

    :param qmp_fd: the descriptor of a connected socket that QEMU inherits and speaks QMP on
    """
    words = [accelerator.QEMU, "-name", _options(spec.instance_id), "-nodefaults", "-no-user-config"]
    words += ["-display", "none", "-machine", "q35,graphics=off,vmport=off,sata=off,smbus=off,usb=off"]
    if accel.name == "kvm":
        words += ["-accel", "kvm", "-cpu", "host"]
    else:
        # Without la57 a boot is 11 s shorter, without svm Linux loads no KVM; with cx16, TCG of QEMU 7.2 crashes
        # Linux 6.12 in cmpxchg16b.
        words += ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off,cx16=off,svm=off"]
    words += ["-smp", str(spec.vcpus), "-m", str(spec.memory)]

    uuid = system_uuid(spec.instance_id)
    maker = "Amazon EC2"
    words += ["-smbios", _options("type=0", vendor=maker, version="1.0")]
    words += ["-smbios", _options("type=1", manufacturer=maker, product=spec.instance_type, serial=uuid, uuid=uuid)]
    words += ["-smbios", _options("type=2", manufacturer=maker, asset=spec.instance_id)]
    words += ["-smbios", _options("type=3", manufacturer=maker, asset=spec.instance_id)]

    if spec.firmware == "uefi":
        words += ["-drive", _options("if=pflash", "unit=0", "format=raw", "readonly=on", file=OVMF_CODE)]
        words += ["-drive", _options("if=pflash", "unit=1", "format=raw", "snapshot=on", file=OVMF_VARS)]

    for number, disk in enumerate(spec.disks):
        drive, serial = f"disk{number}", disk.volume_id.replace("-", "")
        words += [
            "-drive",
            _options(
                "if=none", id=drive, format=disk.format, cache="unsafe", discard="unmap", file=disk.path.absolute()
            ),
        ]
        words += ["-device", _options("nvme", drive=drive, serial=serial, bootindex=number)]

    network: dict[str, object] = {"id": "net0", "net": NETWORK, "dhcpstart": GUEST_ADDRESS, "ipv6": "off"}
    if spec.restrict:
        network["restrict"] = "on"
    forwards = [f"hostfwd=tcp:127.0.0.1:{forward.host_port}-:{forward.guest_port}" for forward in spec.forwards]
    forwards.append(f"guestfwd={_guestfwd(METADATA_ADDRESS, str(spec.imds_socket.absolute()))}")
    if spec.s3_port is not None:
        forwards.append(f"guestfwd={_guestfwd(S3_ADDRESS, str(spec.s3_port))}")
    words += ["-netdev", f"{_options('user', **network)},{_options(*forwards)}"]
    words += ["-device", _options("virtio-net-pci", netdev="net0", mac=spec.mac, romfile="")]
    words += ["-device", "virtio-rng-pci"]

    words += [
        "-chardev",
        _options("file", id="console", path=spec.console_path.absolute()),
        "-serial",
        "chardev:console",
    ]
    words += ["-chardev", _options("socket", id="qmp", fd=qmp_fd), "-mon", "chardev=qmp,mode=control"]
    return words


@dataclass(frozen=True)
class End:
    """How a machine ended.

    ``poweroff``: from inside. ``killed``: by :meth:`Machine.kill` or :meth:`Machine.shutdown`. ``panic``: Linux died.
    ``crashed``: QEMU itself ended; ``detail`` has its last words. A reboot is no end: the machine goes on, as on EC2.
    """

    reason: Literal["poweroff", "killed", "panic", "crashed"]
    detail: str


class Tail:
    """Reads what a growing file has gained since the last look."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def read(self) -> bytes:
        """New bytes, or none."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return b""
        self._offset += len(data)
        return data


class Machine:
    """One machine, from :meth:`start` to its :attr:`end`. The kernel kills it when our process ends.

    :param accel: as :func:`accel.probe` finds it, when not given
    :param on_end: called once, in the machine's own thread, when :attr:`end` is known
    """

    def __init__(
        self, spec: MachineSpec, *, accel: Accel | None = None, on_end: Callable[[End], None] | None = None
    ) -> None:
        self.spec = spec
        self.console_path = spec.console_path
        self.end: End | None = None
        self._accel = accel
        self._on_end = on_end
        self._ended = threading.Event()
        self._stop_reason = ""
        self._messages = b""
        self._child: process.Child | None = None
        self._monitor: socket.socket | None = None

    @property
    def running(self) -> bool:
        return self._child is not None and not self._ended.is_set()

    @property
    def pid(self) -> int:
        """QEMU's process id."""
        assert self._child is not None, "not started"
        return self._child.pid

    def start(self) -> None:
        """Start QEMU and return when it runs the guest.

        :raises HostError: QEMU is missing, or refuses: no memory, no such disk, a port in use
        """
        accel = self._accel or accelerator.probe()
        if self.spec.firmware == "uefi" and not OVMF_CODE.exists():
            raise HostError(f"UEFI firmware {OVMF_CODE} is missing", hint="Install it: apt-get install ovmf")
        child: process.Child | None = None
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                fd = theirs.fileno()
                child = process.spawn(argv(self.spec, accel, fd), stderr=process.PIPE, pass_fds=[fd])
            ours.settimeout(_START_TIMEOUT)
            events = self._greet(ours)
            if events is None:
                process.kill_group(child)
                raise HostError(f"machine {self.spec.instance_id} did not start: {self._last_words(child)}")
        except BaseException:
            ours.close()
            if child is not None:
                process.kill_group(child)
                _stderr(child).close()
            raise
        self._child, self._monitor = child, ours
        name = f"machine {self.spec.instance_id}"
        threading.Thread(target=self._watch, args=(child, ours, events), daemon=True, name=name).start()

    @staticmethod
    def _greet(monitor: socket.socket) -> bytes | None:
        """Leave QMP's negotiation mode; QEMU answers once the machine is set up (QEMU, "QMP protocol").

        Returns what came after the answer, or ``None`` when none came.
        """
        data, answer = b"", b'{"return": {}}'
        with contextlib.suppress(OSError):
            monitor.sendall(b'{"execute": "qmp_capabilities"}\n')
            while chunk := monitor.recv(65536):
                data += chunk
                if answer in data:
                    return data.partition(answer)[2]
        return None

    def kill(self) -> End:
        """End the machine at once. Does nothing to one that has ended."""
        assert self._child is not None, "not started"
        if self.running:
            self._stop_reason = self._stop_reason or "killed from outside"
            process.kill_group(self._child)
        self._ended.wait()
        assert self.end is not None
        return self.end

    def shutdown(self, grace: float = 60.0) -> End:
        """Press the power button; end the machine when it still runs ``grace`` seconds later."""
        if self.running:
            self._stop_reason = "shut down from outside"
            self._command("system_powerdown")
        if self.wait(grace) is None:
            self._stop_reason += ", by force"
        return self.kill()

    def reset(self) -> None:
        """Press the reset button."""
        self._command("system_reset")

    def _command(self, name: str) -> None:
        if self._monitor is not None:
            with contextlib.suppress(OSError):  # it is just ending
                self._monitor.sendall(json.dumps({"execute": name}).encode() + b"\n")

    def wait(self, timeout: float | None = None) -> End | None:
        """How it ended; ``None`` when it still runs after ``timeout`` seconds."""
        self._ended.wait(timeout)
        return self.end

    def console(self) -> bytes:
        """The last 64 KiB of the serial console, as they came (lines end in CR LF)."""
        try:
            with self.console_path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - CONSOLE_LIMIT))
                return file.read()
        except FileNotFoundError:
            return b""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _watch(self, child: process.Child, monitor: socket.socket, events: bytes) -> None:
        """The machine's thread: follow it until it ends, then say how."""
        end = self._follow(child, monitor, events)
        if end is not None and end.reason != "poweroff":
            process.kill_group(child)
        code = child.wait()
        if self._stop_reason:
            end = End("killed", self._stop_reason)
        elif end is None:
            why = f"signal {-code}" if code < 0 else f"exit code {code}"
            end = End("crashed", f"QEMU ended ({why}): {self._last_words(child)}")
        monitor.close()
        _stderr(child).close()
        self.end = end
        self._ended.set()
        if self._on_end is not None:
            self._on_end(end)

    def _follow(self, child: process.Child, monitor: socket.socket, events: bytes) -> End | None:
        """Follow QEMU's events and messages and the guest's console, until QEMU has ended or is of no more use."""
        end: End | None = None
        console, recent, looked = Tail(self.console_path), b"", 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(monitor, selectors.EVENT_READ)
            selector.register(_stderr(child), selectors.EVENT_READ)
            while True:
                *lines, events = events.split(b"\n")
                for event in map(json.loads, filter(bytes.strip, lines)):
                    if event.get("event") == "SHUTDOWN" and event["data"]["reason"] == "guest-shutdown":
                        end = End("poweroff", "powered off from inside")
                if failure := _DISK_FAILURE.search(self._messages):
                    return End("crashed", f"the machine's disk failed: {failure[1].decode('utf-8', 'replace')}")
                if time.monotonic() - looked >= _TICK:
                    looked = time.monotonic()
                    recent += console.read()
                    if panic := _PANIC.search(recent):
                        return End("panic", panic[0].decode("utf-8", "replace"))
                    recent = recent[recent.rfind(b"\n") + 1 :]
                for key, _ in selector.select(_TICK):
                    try:
                        chunk = os.read(key.fd, 65536)
                    except ConnectionResetError:  # it died with something of ours unread
                        chunk = b""
                    if key.fileobj is not monitor:
                        self._messages = (self._messages + chunk)[-_MESSAGES_LIMIT:]
                        if not chunk:
                            selector.unregister(key.fileobj)
                    elif chunk:
                        events += chunk
                    else:
                        return end

    def _last_words(self, child: process.Child) -> str:
        """The last line of what QEMU, which has ended, said."""
        lines = (self._messages + _stderr(child).read()).decode("utf-8", "replace").strip().splitlines()
        return lines[-1].removeprefix(f"{accelerator.QEMU}: ") if lines else "it said nothing"


def _stderr(child: process.Child) -> IO[bytes]:
    assert child.stderr is not None, "started with a pipe"
    return child.stderr


@dataclass(frozen=True)
class DiskInfo:
    """``format`` as QEMU's tools name it, and the virtual ``size`` in bytes."""

    format: str
    size: int


def disk_info(path: Path) -> DiskInfo:
    """What ``path`` is.

    :raises InputError: when there is no such file or it cannot be read as a disk
    """
    if not path.is_file():
        raise InputError("there is no such disk image", where=path)
    argv = [process.which("qemu-img"), "info", "--force-share", "--output=json", str(path.absolute())]
    done = process.run(argv, check=False)
    if done.returncode:
        raise InputError(f"it cannot be read as a disk image: {_reason(done.stderr)}", where=path)
    data = json.loads(done.stdout)
    return DiskInfo(data["format"], data["virtual-size"])


def create_overlay(
    backing: Path, path: Path, *, backing_format: Literal["raw", "qcow2"], size: int | None = None
) -> None:
    """Create ``path``, a qcow2 disk that starts as ``backing`` and keeps what is written to it.

    :param size: bytes; as large as ``backing`` when not given
    :raises InputError: when ``backing`` is missing or larger than ``size``
    :raises HostError: when the file cannot be written
    """
    info = disk_info(backing)
    if size is not None and size < info.size:
        raise InputError(f"a volume of {size} bytes is smaller than its image of {info.size} bytes", where=backing)
    argv = [
        process.which("qemu-img"),
        "create",
        "-q",
        "-f",
        "qcow2",
        "-F",
        backing_format,
        "-b",
        str(backing.absolute()),
    ]
    done = process.run([*argv, str(path.absolute()), str(size or info.size)], check=False)
    if done.returncode:
        path.unlink(missing_ok=True)
        raise HostError(f"disk {path} could not be created: {_reason(done.stderr)}")


def _reason(stderr: str) -> str:
    lines = stderr.strip().splitlines() or ["no reason given"]
    return lines[-1].removeprefix("qemu-img: ")
