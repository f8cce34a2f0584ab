"""Boot a disk image or an image of the local cloud on this machine, without writing to it.

Shows the guest's console until it powers itself off, or until Ctrl-C. With --test it runs the image's tests instead and
reports each.

IMAGE is a disk image (raw or qcow2), the id of an image in the local cloud (ami-...), or the result of a build: the
folder that holds ami.json, or that file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..artifacts import USERDATA_LIMIT
from ..errors import InputError, InstanceFailure, StorageError, UsageError
from ..exports import Case
from ..paths import state_dir
from ..progress import Progress
from . import Result, junit

if TYPE_CHECKING:
    from ..artifacts import ImageTest
    from ..localcloud.boot import PlainConsole, Settings, Target
    from ..verdict.image_tests import TestOutcome


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a disk image, ami-..., or the result of a build")
    parser.add_argument("--test", action="store_true", help="run the image's tests; exit 6 when one fails")
    junit.add_option(parser)
    parser.add_argument("--source", type=Path, metavar="DIR", help="with --test: the tests of this AMI source")
    parser.add_argument("--firmware", choices=("bios", "uefi"), help="default: what the image says, else bios")
    parser.add_argument("--user-data", type=Path, metavar="FILE", help="user-data for the guest's cloud-init")
    parser.add_argument("--memory", type=_at_least(128), default=1024, metavar="MIB", help="default: 1024")
    parser.add_argument(
        "--timeout", type=_at_least(1), metavar="S", help="seconds; default: none, with --test 600 and the tests' own"
    )
    parser.add_argument("--state", type=Path, metavar="DIR", help="the local cloud's state folder")
    parser.add_argument(
        "--port",
        type=_port_pair,
        action="append",
        default=[],
        metavar="HOST:GUEST",
        help="reach the guest's TCP port GUEST at 127.0.0.1:HOST; may be given several times",
    )


def run(args: argparse.Namespace, progress: Progress) -> Result:
    from ..localcloud import boot
    from ..localcloud.machine import Forward

    if args.source and not args.test:
        raise UsageError("--source needs --test")
    if args.junit and not args.test:
        raise UsageError("--junit needs --test")
    if args.user_data and args.test:
        raise UsageError("--user-data and --test exclude one another: the tests are the user-data")
    user_data = _read(args.user_data) if args.user_data else None
    target = boot.find(args.image, args.state or state_dir())
    settings = boot.Settings(
        firmware=args.firmware or target.firmware,
        memory=args.memory,
        timeout=args.timeout,
        forwards=tuple(Forward(host, guest) for host, guest in args.port),
    )
    if args.test:
        tests = _source_tests(args.source) if args.source else target.tests
        return _test(target, tests, settings, progress, args.junit)
    sink: Callable[[bytes], None]
    if args.json:
        sink = boot.ConsoleLines(lambda line: progress.output("console", line)).feed
    else:
        sink = _stdout(boot.PlainConsole())
    end = boot.show(target, settings, user_data, sink, progress)
    return Result({"image": target.name, "firmware": settings.firmware, "end": end.reason})


def _stdout(plain: PlainConsole) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        sys.stdout.buffer.write(plain.feed(data))
        sys.stdout.buffer.flush()

    return write


def _test(
    target: Target, tests: tuple[ImageTest, ...], settings: Settings, progress: Progress, file: Path | None
) -> Result:
    from ..localcloud import boot

    if not tests:
        hint = "Name the AMI source whose 'tests:' are meant: --source DIR"
        raise InputError(f"{target.name} comes with no tests", hint=hint)
    outcomes: list[TestOutcome] = []

    def cases(failure: str, detail: str, seconds: float) -> list[Case]:
        results = junit.tests_of(outcomes) or [Case("tests", test.name, skipped="it does not boot") for test in tests]
        return [Case("image", "boot", seconds, failure, detail), *results]

    with junit.written(file, lambda: target.name, cases, progress):
        report = boot.run_tests(target, tests, settings, progress)
        outcomes += report.outcomes
    lines: list[str] = []
    for outcome in report.outcomes:
        lines.append(boot.describe(outcome))
        if not outcome.ok:
            lines += [f"      {line}" for line in outcome.output.rstrip().splitlines()]
    data: dict[str, object] = {
        "image": target.name,
        "firmware": settings.firmware,
        "end": report.end.reason,
        "ok": report.ok,
        "seconds": round(report.seconds, 1),
        "tests": [
            {
                "name": outcome.test.name,
                "ok": outcome.ok,
                "exit_code": outcome.exit_code,
                "seconds": outcome.seconds,
                "output": outcome.output,
                "reason": outcome.reason,
            }
            for outcome in report.outcomes
        ],
    }
    return Result(data, lines, 0 if report.ok else InstanceFailure.exit_code)


def _source_tests(folder: Path) -> tuple[ImageTest, ...]:
    from ..source.reader import read_source

    return read_source(folder).identity.tests


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"user-data cannot be read: {error.strerror}", where=path) from None
    if len(data) > USERDATA_LIMIT:
        raise StorageError(f"user-data has {len(data)} bytes, EC2 takes {USERDATA_LIMIT}", where=path)
    return data


def _at_least(minimum: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {minimum} up")
        return int(text)

    return number


def _port_pair(text: str) -> tuple[int, int]:
    ports = text.split(":")
    if len(ports) != 2 or not all(port.isdecimal() and 1 <= int(port) <= 65535 for port in ports):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:GUEST, two TCP ports")
    return int(ports[0]), int(ports[1])
