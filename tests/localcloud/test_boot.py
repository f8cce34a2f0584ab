from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from jenkins_ami.artifacts import BuildResult, ImageRecord, ImageTest, to_json
from jenkins_ami.localcloud import accel, boot
from jenkins_ami.localcloud.store import ImageStore
from jenkins_ami.progress import VERBOSE, PlainProgress
from jenkins_ami.verdict.markers import console_lines
from tests.conftest import Cli, MakeSource
from tests.localcloud import bootsector


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files; a command must leave it empty."""
    folder = tmp_path / "temporary, files"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """A disk that says hello, as firmware would say it, and powers off."""
    return bootsector.disk(tmp_path / "hello.raw", bootsector.say("\r\n\x1b[2J\x1b[1mhello\r\n") + bootsector.POWEROFF)


@pytest.fixture
def stuck(tmp_path: Path) -> Path:
    """A disk that says hello and does nothing more."""
    return bootsector.disk(tmp_path / "stuck.raw", bootsector.say("\r\nhello\r\n") + bootsector.HANG)


ONE_TEST = {"ami.yaml": "tests: [{name: it works, run: 'true'}]\n", "cloudinit/10_a.yml": "#cloud-config\n"}


def processes_in(folder: Path) -> list[str]:
    """The command lines of all processes that name ``folder``."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder).replace(",", ",,") in line:
            found.append(line)
    return found


def result_of(images: dict[str, str], tests: tuple[ImageTest, ...] = ()) -> str:
    return to_json(
        BuildResult(
            name="web",
            version="1.0",
            build=1,
            image_name="web-1.0-1",
            images={region: ImageRecord(image_id) for region, image_id in images.items()},
            base="ami-1",
            environment="prod",
            region="eu-central-1",
            instance_id="i-1",
            instance_type="t3.small",
            verdict="ok",
            userdata_sha256="",
            digest="",
            tests=tests,
        )
    )


# Without an operating system: what the command does around a machine


def test_the_console_goes_to_standard_output_until_power_off(cli: Cli, hello: Path, temporary: Path) -> None:
    before = hello.read_bytes()
    assert cli("boot", hello) == 0
    assert "\nhello\n" in cli.out
    assert "\x1b" not in cli.out
    assert "\r" not in cli.out
    assert f"accelerator: {accel.probe().reason}" in cli.err
    assert hello.read_bytes() == before
    assert list(temporary.iterdir()) == []


def test_json_has_the_result_on_standard_output_and_the_console_beside_it(cli: Cli, hello: Path) -> None:
    assert cli("boot", hello, "--json", "-v") == 0
    assert json.loads(cli.out) == {"image": "hello.raw", "firmware": "bios", "end": "poweroff"}
    lines = [json.loads(line) for line in cli.err.splitlines()]
    assert "console| hello" in [line.get("text") for line in lines]


def test_an_image_of_the_local_cloud_is_found_by_its_id(cli: Cli, hello: Path, tmp_path: Path) -> None:
    image = ImageStore(tmp_path / "state").add(hello, name="hello")
    assert cli("boot", image.id, "--state", tmp_path / "state") == 0
    assert "hello\n" in cli.out


@pytest.mark.parametrize("name", ["", "ami.json"], ids=["folder", "file"])
def test_a_build_result_names_its_image_and_brings_its_tests(hello: Path, tmp_path: Path, name: str) -> None:
    image = ImageStore(tmp_path / "state").add(hello, name="hello", boot_mode="uefi")
    tests = (ImageTest("says hello", "true"),)
    (tmp_path / "ami.json").write_text(result_of({"eu-central-1": "ami-elsewhere", "us-east-1": image.id}, tests))
    target = boot.find(str(tmp_path / name), tmp_path / "state")
    assert (target.name, target.tests, target.firmware) == (image.id, tests, "uefi")


def test_a_build_result_from_another_cloud_cannot_be_booted(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "ami.json").write_text(result_of({"eu-central-1": "ami-elsewhere"}))
    assert cli("boot", tmp_path, "--state", tmp_path / "state") == 2
    assert "no image of this build (ami-elsewhere) is in the local cloud" in cli.error
    assert "environment 'prod'" in cli.error


def test_an_unknown_image_names_those_there_are(cli: Cli, hello: Path, tmp_path: Path) -> None:
    assert cli("boot", "ami-0123", "--state", tmp_path / "state") == 2
    assert "It has no images" in cli.error
    image = ImageStore(tmp_path / "state").add(hello, name="hello")
    assert cli("boot", "ami-0123", "--state", tmp_path / "state") == 2
    assert f"There are {image.id}" in cli.error


def test_a_guest_that_does_not_end_in_time_is_ended(cli: Cli, stuck: Path, temporary: Path) -> None:
    assert cli("boot", stuck, "--timeout", "5") == 4
    assert "the machine has not powered itself off within 5.0 s" in cli.error
    assert "  hello" in cli.err
    assert processes_in(temporary) == list(temporary.iterdir()) == []


def test_a_panic_is_told_at_once(cli: Cli, tmp_path: Path, temporary: Path) -> None:
    code = bootsector.say("Kernel panic - not syncing: no init\r\n") + bootsector.HANG
    assert cli("boot", bootsector.disk(tmp_path / "disk.raw", code)) == 6
    assert "Kernel panic - not syncing: no init" in cli.error
    assert list(temporary.iterdir()) == []


def test_an_image_that_tells_no_results_has_failed_its_tests(cli: Cli, hello: Path, make_source: MakeSource) -> None:
    source = make_source(
        {"ami.yaml": "tests:\n  - {name: it works, run: 'true'}\n", "cloudinit/10_a.yml": "#cloud-config\n"}
    )
    assert cli("boot", hello, "--test", "--source", source) == 6
    assert cli.out == "FAIL  it works: no result came from the instance\n"


def test_a_test_run_that_takes_too_long_tells_what_is_missing(
    cli: Cli, stuck: Path, make_source: MakeSource, temporary: Path
) -> None:
    source = make_source(
        {"ami.yaml": "tests:\n  - {name: it works, run: 'true'}\n", "cloudinit/10_a.yml": "#cloud-config\n"}
    )
    assert cli("boot", stuck, "--test", "--source", source, "--timeout", "5") == 4
    assert "FAIL  it works: no result came from the instance" in cli.err
    assert list(temporary.iterdir()) == []


def test_a_port_in_use_is_told_before_anything_starts(cli: Cli, hello: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli("boot", hello, "--port", f"{port}:80") == 1
    assert cli.error == f"port {port} on 127.0.0.1 is not free: Address already in use. Choose another one."


def test_a_port_is_open_on_loopback_while_the_guest_runs(stuck: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = boot.Settings(forwards=(boot.Forward(port, 80),))
    with boot.machine(boot.find(str(stuck), Path()), settings, None, PlainProgress(sys.stderr)):
        socket.create_connection(("127.0.0.1", port), 10).close()
    boot.require_free_port(port)


BAD = {
    "missing": ("missing.raw", 2, "there is no such disk image or build result"),
    "empty": ("empty.raw", 2, "this is no bootable disk: it has no boot sector"),
    "text": ("text.raw", 2, "this is no bootable disk: it has no boot sector"),
    "damaged": ("damaged.qcow2", 2, "it cannot be read as a disk image: "),
    "foreign": ("foreign.vmdk", 2, "a vmdk image cannot be booted, only raw and qcow2"),
    "folder": ("folder", 2, "ami.json is missing"),
    "json": ("bad.json", 2, "Expecting value"),
}


@pytest.mark.parametrize(("name", "code", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_booted_is_refused(cli: Cli, tmp_path: Path, name: str, code: int, words: str) -> None:
    (tmp_path / "empty.raw").touch()
    (tmp_path / "text.raw").write_text("no disk\n" * 1000)
    (tmp_path / "damaged.qcow2").write_bytes(b"QFI\xfb" + b"\xff" * 1000)
    (tmp_path / "bad.json").write_text("no JSON")
    (tmp_path / "folder").mkdir()
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", tmp_path / "foreign.vmdk", "1M"], check=True)
    assert cli("boot", tmp_path / name) == code
    assert words in cli.error
    assert name in cli.error


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--port", "80"], 1, "'80' is not HOST:GUEST"),
        (["--port", "0:80"], 1, "'0:80' is not HOST:GUEST"),
        (["--memory", "64"], 1, "'64' is not a whole number from 128 up"),
        (["--memory", "99999999999"], 1, "did not start"),
        (["--timeout", "0"], 1, "'0' is not a whole number from 1 up"),
        (["--firmware", "coreboot"], 1, "invalid choice"),
        (["--source", "x"], 1, "--source needs --test"),
        (["--test"], 2, "hello.raw comes with no tests"),
        (["--test", "--source", "missing"], 2, "the AMI source does not exist"),
        (["--test", "--user-data", "x"], 1, "exclude one another"),
        (["--user-data", "missing"], 2, "user-data cannot be read"),
        (["--user-data", "/bin/sh"], 3, "EC2 takes 16384"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    cli: Cli, hello: Path, words: list[str], code: int, message: str
) -> None:
    assert cli("boot", hello, *words) == code
    assert message in cli.error


def test_a_missing_qemu_is_told(cli: Cli, hello: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accel, "QEMU", "qemu-that-is-not-there")
    accel.probe.cache_clear()
    try:
        assert cli("boot", hello) == 1
    finally:
        accel.probe.cache_clear()
    assert "qemu-that-is-not-there is not installed" in cli.error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_machine_and_leaves_nothing(stuck: Path, temporary: Path, number: signal.Signals) -> None:
    argv = [sys.executable, "-m", "jenkins_ami", "boot", str(stuck)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)) as child:
        assert child.stdout is not None
        assert any(b"hello" in line for line in child.stdout)
        assert len(processes_in(temporary)) == 1
        child.send_signal(number)
        assert child.wait(30) == 130
    assert processes_in(temporary) == list(temporary.iterdir()) == []


def test_the_machine_dies_when_the_command_is_killed(stuck: Path, temporary: Path) -> None:
    argv = [sys.executable, "-m", "jenkins_ami", "boot", str(stuck)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(os.environ)) as child:
        assert child.stdout is not None
        assert any(b"hello" in line for line in child.stdout)
        child.kill()
    for _ in range(100):
        if not processes_in(temporary):
            return
        signal.sigtimedwait([], 0.05)
    raise AssertionError(processes_in(temporary))


def test_a_console_is_made_plain_across_its_pieces() -> None:
    plain = boot.PlainConsole()
    pieces = [b"one\r\ntw", b"o\x1b", b"[0;", b"32mthree\x1b[0", b"m\x1bcfour", b"\x1b(", b"Bfive\xc3", b"\xa4"]
    assert b"".join(map(plain.feed, pieces)) == b"one\ntwothreefourfive\xc3\xa4"


# With one: what cloud-init on the guest sees


@pytest.mark.boot
def test_cloud_init_finds_ec2_and_runs_its_user_data(local_state: Path, tmp_path: Path) -> None:
    (base,) = ImageStore(local_state).images()[:1]
    script = """
exec >/dev/console 2>&1
echo
for command in cloud-id hostname "hostname -I" "lsblk -dno SERIAL /dev/nvme0n1" \\
    "cat /sys/class/dmi/id/product_name" "cat /sys/class/dmi/id/board_asset_tag"; do
  echo "fact $($command)"
done
"""
    user_data = f"#cloud-config\nruncmd: [{json.dumps(script)}]\npower_state: {{mode: poweroff}}\n".encode()
    log, console = tmp_path / "log", bytearray()
    with log.open("w") as stream:
        target = boot.find(base.id, local_state)
        progress = PlainProgress(stream, VERBOSE)
        end = boot.show(target, boot.Settings(timeout=900), user_data, console.extend, progress)
    facts = [line.removeprefix("fact ") for line in console_lines(bytes(console)) if line.startswith("fact ")]
    assert end.reason == "poweroff"
    assert facts[:2] == ["aws", "ip-169-254-10-15"]
    assert facts[2].split() == ["169.254.10.15"]
    assert facts[3].startswith("vol")
    assert facts[4] == "t3.small"
    assert facts[5].startswith("i-")
    requests = log.read_text()
    assert '"PUT /latest/api/token HTTP/1.1" 200' in requests
    assert '/user-data HTTP/1.1" 200' in requests
    assert " 401 " not in requests
