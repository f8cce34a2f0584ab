from __future__ import annotations

import itertools
import os
import shlex
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jenkins_ami.errors import HostError, InputError
from jenkins_ami.localcloud import machine
from jenkins_ami.localcloud.accel import Accel
from jenkins_ami.localcloud.machine import (
    Disk,
    DiskInfo,
    End,
    Forward,
    Machine,
    MachineSpec,
    Tail,
    argv,
    create_overlay,
    disk_info,
    system_uuid,
)
from tests.localcloud import bootsector

TCG = Accel("tcg", "TCG: for the tests")

SPEC = MachineSpec(
    instance_id="i-0123",
    instance_type="t3.small",
    mac="02:00:00:00:00:01",
    disks=(Disk(Path("/d/root.qcow2"), "vol-0a"),),
    runtime=Path("/run/i-0123"),
    imds_socket=Path("/run/i-0123/imds.sock"),
)


def after(words: list[str], flag: str) -> list[str]:
    """The values of every ``flag`` in ``words``."""
    return [value for word, value in itertools.pairwise(words) if word == flag]


def test_the_command_line_of_a_machine() -> None:
    uuid = system_uuid("i-0123")
    relay = shlex.join([sys.executable, "-I", "-S", str(machine._RELAY), "/run/i-0123/imds.sock"])
    assert argv(SPEC, TCG, 7) == [
        *("qemu-system-x86_64", "-name", "i-0123", "-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", "q35,graphics=off,vmport=off,sata=off,smbus=off,usb=off"),
        *("-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off,cx16=off,svm=off", "-smp", "2", "-m", "1024"),
        *("-smbios", "type=0,vendor=Amazon EC2,version=1.0"),
        *("-smbios", f"type=1,manufacturer=Amazon EC2,product=t3.small,serial={uuid},uuid={uuid}"),
        *("-smbios", "type=2,manufacturer=Amazon EC2,asset=i-0123"),
        *("-smbios", "type=3,manufacturer=Amazon EC2,asset=i-0123"),
        *("-drive", "if=none,id=disk0,format=qcow2,cache=unsafe,discard=unmap,file=/d/root.qcow2"),
        *("-device", "nvme,drive=disk0,serial=vol0a,bootindex=0"),
        "-netdev",
        f"user,id=net0,net=169.254.0.0/16,dhcpstart=169.254.10.15,ipv6=off,guestfwd=tcp:169.254.169.254:80-cmd:{relay}",
        *("-device", "virtio-net-pci,netdev=net0,mac=02:00:00:00:00:01,romfile="),
        *("-device", "virtio-rng-pci"),
        *("-chardev", "file,id=console,path=/run/i-0123/console.log", "-serial", "chardev:console"),
        *("-chardev", "socket,id=qmp,fd=7", "-mon", "chardev=qmp,mode=control"),
    ]


def test_kvm_uses_the_hosts_processor() -> None:
    words = argv(SPEC, Accel("kvm", "KVM: for the tests"), 7)
    assert (after(words, "-accel"), after(words, "-cpu")) == (["kvm"], ["host"])


def test_uefi_firmware_forgets_its_variables() -> None:
    words = argv(replace(SPEC, firmware="uefi"), TCG, 7)
    assert after(words, "-drive")[:2] == [
        "if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
        "if=pflash,unit=1,format=raw,snapshot=on,file=/usr/share/OVMF/OVMF_VARS_4M.fd",
    ]


def test_further_disks_come_after_the_root_disk() -> None:
    spec = replace(SPEC, disks=(*SPEC.disks, Disk(Path("/d/data.raw"), "vol-0b", "raw")))
    assert after(argv(spec, TCG, 7), "-device")[:2] == [
        "nvme,drive=disk0,serial=vol0a,bootindex=0",
        "nvme,drive=disk1,serial=vol0b,bootindex=1",
    ]


def test_s3_forwards_and_restriction_are_part_of_the_network() -> None:
    spec = replace(SPEC, s3_port=5000, restrict=True, forwards=(Forward(8080, 80), Forward(2222, 22)))
    (network,) = after(argv(spec, TCG, 7), "-netdev")
    assert ",restrict=on,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=tcp:127.0.0.1:2222-:22," in network
    assert network.endswith("relay.py 5000")


def test_commas_and_spaces_in_paths_are_quoted() -> None:
    spec = replace(SPEC, disks=(Disk(Path("/a, b/root"), "vol-1"),), imds_socket=Path("/it's, here/imds"))
    words = argv(spec, TCG, 7)
    assert after(words, "-drive")[0].endswith("file=/a,, b/root")
    assert after(words, "-netdev")[0].endswith("""'/it'"'"'s,, here/imds'""")


def test_the_uuid_is_ec2s_and_the_instances_own() -> None:
    assert system_uuid("i-1").startswith("ec2")
    assert [len(part) for part in system_uuid("i-1").split("-")] == [8, 4, 4, 4, 12]
    assert system_uuid("i-1") == system_uuid("i-1") != system_uuid("i-2")


Make = Callable[..., Machine]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes machines with a boot sector for a disk, in a folder with a difficult name; none outlives the test."""
    made: list[Machine] = []
    folder = tmp_path / "it's, a folder"
    folder.mkdir()

    def make(code: bytes, on_end: Callable[[End], None] | None = None, **changes: object) -> Machine:
        disk = bootsector.disk(folder / "disk.raw", code)
        spec = replace(
            SPEC, disks=(Disk(disk, "vol-1", "raw"),), runtime=folder, imds_socket=folder / "imds", memory=64
        )
        made.append(Machine(replace(spec, **changes), accel=TCG, on_end=on_end))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        if each.running:
            each.kill()


def started(machine: Machine) -> Machine:
    machine.start()
    return machine


def wait_for_console(machine: Machine, text: bytes) -> None:
    for _ in range(1000):
        if text in machine.console():
            return
        assert machine.wait(0.02) is None, machine.end
    raise AssertionError(machine.console())


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_power_off_from_inside_is_told_as_such(make: Make) -> None:
    assert started(make(bootsector.POWEROFF)).wait(30) == End("poweroff", "powered off from inside")


def test_the_end_is_told_once_and_after_it_is_known(make: Make) -> None:
    ends: list[tuple[End, End | None]] = []
    told = threading.Event()

    def on_end(end: End) -> None:
        ends.append((end, machine.end))
        told.set()

    machine = started(make(bootsector.POWEROFF, on_end))
    assert told.wait(30)
    machine.kill()
    assert ends == [(machine.end, machine.end)]


def test_a_kill_is_no_power_off(make: Make) -> None:
    machine = started(make(bootsector.say("up") + bootsector.HANG))
    wait_for_console(machine, b"up")
    assert machine.running
    assert machine.kill() == End("killed", "killed from outside")
    assert not machine.running
    assert not exists(machine.pid)
    assert machine.kill() == machine.end


def test_the_power_button_shuts_a_guest_down(make: Make) -> None:
    machine = started(make(bootsector.say("up") + bootsector.OBEY_POWER_BUTTON))
    wait_for_console(machine, b"up")
    assert machine.shutdown(30) == End("killed", "shut down from outside")


def test_a_guest_that_ignores_the_power_button_is_killed(make: Make) -> None:
    machine = started(make(bootsector.say("up") + bootsector.HANG))
    wait_for_console(machine, b"up")
    assert machine.shutdown(0.2) == End("killed", "shut down from outside, by force")
    assert not exists(machine.pid)


def test_a_reboot_from_inside_is_no_end(make: Make) -> None:
    machine = started(make(bootsector.say("<boot>") + bootsector.SECOND_BOOT_POWERS_OFF + bootsector.RESET))
    assert machine.wait(30) == End("poweroff", "powered off from inside")
    assert machine.console().count(b"<boot>") == 2


def test_the_reset_button_boots_again(make: Make) -> None:
    machine = started(make(bootsector.SECOND_BOOT_POWERS_OFF + bootsector.say("up") + bootsector.HANG))
    wait_for_console(machine, b"up")
    machine.reset()
    assert machine.wait(30) == End("poweroff", "powered off from inside")


def test_a_kernel_panic_ends_the_machine(make: Make) -> None:
    text = "[    1.2] Kernel panic - not syncing: VFS: no root\r\n"
    machine = started(make(bootsector.say(text) + bootsector.HANG))
    assert machine.wait(30) == End("panic", "Kernel panic - not syncing: VFS: no root")
    assert not exists(machine.pid)


def test_a_disk_that_fails_ends_the_machine(make: Make, tmp_path: Path) -> None:
    """Before the guest makes an image of what is left."""
    raw = bootsector.disk(tmp_path / "disk.raw", bootsector.READ_128 + bootsector.HANG, fill=b"x")
    disk = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, disk], check=True)
    with disk.open("r+b") as file:  # make the second cluster's address invalid
        file.seek(40)
        for _ in range(2):
            (entry,) = struct.unpack(">Q", file.read(8))
            file.seek(entry & 0x00FFFFFFFFFFFE00)
        file.seek(8, os.SEEK_CUR)
        file.write(struct.pack(">Q", 1 << 63 | 0x50200))
    machine = started(make(b"", disks=(Disk(disk, "vol-1"),)))
    assert machine.wait(30) == End("crashed", "the machine's disk failed: Input/output error")
    assert not exists(machine.pid)


def test_a_death_of_qemu_is_a_crash(make: Make) -> None:
    machine = started(make(bootsector.HANG))
    os.kill(machine.pid, signal.SIGKILL)
    end = machine.wait(30)
    assert end is not None
    assert (end.reason, "signal 9" in end.detail) == ("crashed", True)


def test_the_console_is_the_last_64_kib_and_the_file_has_all(make: Make) -> None:
    machine = started(make(bootsector.POWEROFF))
    machine.wait(30)
    machine.console_path.write_bytes(b"x" * 10 + b"y" * 65536)
    assert machine.console() == b"y" * 65536


def test_a_machine_dies_with_its_block(make: Make) -> None:
    with pytest.raises(KeyboardInterrupt), make(bootsector.HANG) as running:
        raise KeyboardInterrupt
    assert running.end == End("killed", "killed from outside")
    assert not exists(running.pid)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"disks": (Disk(Path("/no/such/disk"), "vol-1", "raw"),)}, "No such file or directory"),
        ({"disks": (Disk(Path(__file__), "vol-1", "qcow2"),)}, "not in qcow2 format"),
        ({"memory": 1 << 30}, "machine i-0123 did not start: "),
        ({"mac": "nonsense"}, "nonsense"),
    ],
    ids=["no disk", "bad disk", "no memory", "bad address"],
)
def test_what_qemu_refuses_is_told_in_its_own_words(make: Make, changes: dict[str, object], words: str) -> None:
    with pytest.raises(HostError, match="machine i-0123 did not start: ") as caught:
        make(bootsector.HANG, **changes).start()
    assert words in caught.value.what


def test_a_port_in_use_is_told(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HostError, match=f"127.0.0.1:{port}"):
            make(bootsector.HANG, forwards=(Forward(port, 80),)).start()


def test_a_missing_qemu_names_its_package(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jenkins_ami.localcloud.accel.QEMU", "qemu-that-is-not-there")
    with pytest.raises(HostError, match="is not installed"):
        make(bootsector.HANG).start()


def test_a_missing_uefi_firmware_names_its_package(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "OVMF_CODE", Path("/no/OVMF_CODE.fd"))
    with pytest.raises(HostError, match="UEFI firmware") as caught:
        make(bootsector.HANG, firmware="uefi").start()
    assert caught.value.hint == "Install it: apt-get install ovmf"


def test_an_overlay_grows_and_leaves_its_image_as_it_was(tmp_path: Path) -> None:
    base = bootsector.disk(tmp_path / "base, one.raw", bootsector.POWEROFF)
    before = base.read_bytes()
    overlay = tmp_path / "disk: two.qcow2"
    create_overlay(base, overlay, backing_format="raw", size=8 << 30)
    assert disk_info(overlay) == DiskInfo("qcow2", 8 << 30)
    assert disk_info(base) == DiskInfo("raw", 1 << 20)
    assert base.read_bytes() == before


def test_a_volume_is_never_smaller_than_its_image(tmp_path: Path) -> None:
    base = bootsector.disk(tmp_path / "base.raw", b"")
    with pytest.raises(InputError, match="a volume of 512 bytes is smaller than its image of 1048576 bytes"):
        create_overlay(base, tmp_path / "disk.qcow2", backing_format="raw", size=512)


def test_a_failed_overlay_leaves_no_file(tmp_path: Path) -> None:
    base = bootsector.disk(tmp_path / "base.raw", b"")
    with pytest.raises(HostError, match="could not be created"):
        create_overlay(base, tmp_path / "missing" / "disk.qcow2", backing_format="raw")
    assert list(tmp_path.iterdir()) == [base]


def test_what_is_no_file_is_no_disk(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match="there is no such disk image"):
            disk_info(path)


def test_a_damaged_disk_is_told(tmp_path: Path) -> None:
    damaged = tmp_path / "disk.qcow2"
    damaged.write_bytes(b"QFI\xfb" + b"\xff" * 1000)
    with pytest.raises(InputError, match="cannot be read as a disk image"):
        disk_info(damaged)


def test_a_tail_gives_each_byte_once(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "log")
    assert tail.read() == b""
    tail.path.write_bytes(b"one")
    assert (tail.read(), tail.read()) == (b"one", b"")
    with tail.path.open("ab") as file:
        file.write(b"two")
    assert tail.read() == b"two"
