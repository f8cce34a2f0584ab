"""Runs command lines of jenkins-ami, each in a process of its own that is forked from a warm one: boto3 is loaded.

Usage: python -m tests.faults.starter

Reads a request from standard input, one JSON object a line, and answers with ``{"pid": …}``; when the next line has
come, the command runs, and ends with ``{"code": …, "output": …}``: its exit code, or the number of the signal that
ended it, negative. The clock is in a hurry there: :data:`PACE`, and a twentieth of botocore's delays.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import pkgutil
import resource
import select
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, NoReturn

from jenkins_ami.cloud import waiting

PACE = waiting.Pace(
    state=0.01, state_longest=0.02, console=0.01, console_lag=1.0, settle=1.5, patience=1.0, capacity=0.0
)
HURRY = 20
"""What botocore's delays between attempts are divided by."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    :ivar code: its exit code; the number of the signal that ended it, negative; ``None``: it did not end, and was ended
    :ivar output: all that it wrote; when it did not end, where its threads were, last
    """

    code: int | None
    output: str


class Starter:
    """The warm process; a context manager. One command at a time.

    :param home: what the commands see as HOME
    """

    def __init__(self, home: Path) -> None:
        self.home = home

    def __enter__(self) -> Starter:
        others = ("AWS_", "BUILDAMI_", "BUILD_", "JENKINS_AMI_")
        ours = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        environment = {**ours, "HOME": str(self.home), "COLUMNS": "200", "NO_COLOR": "1"}
        argv = [sys.executable, "-W", "error", "-m", "tests.faults.starter"]
        self._process = Popen(argv, stdin=PIPE, stdout=PIPE, text=True, env=environment, cwd=ROOT)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def begin(
        self,
        argv: list[str],
        *,
        read_timeout: float | None = None,
        file_limit: int | None = None,
        deadly: bool = False,
    ) -> int:
        """Make the process; :meth:`end` lets it run. Returns its id.

        :param read_timeout: seconds that boto3 waits for an answer
        :param file_limit: bytes that a file may have: the disk is full then
        :param deadly: the process dies when it would write more
        """
        self._say({"argv": argv, "read_timeout": read_timeout, "file_limit": file_limit, "deadly": deadly})
        return int(self._hear()["pid"])

    def end(self, seconds: float) -> Ended:
        """Let it run, ``seconds`` at most."""
        self._say({"seconds": seconds})
        heard = self._hear()
        return Ended(heard["code"], heard["output"])

    def _say(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the starter has ended"
        heard: dict[str, Any] = json.loads(line)
        return heard


ROOT = Path(__file__).parents[2]


# Inside the warm process


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the one who reads the table
    _warm()
    for line in sys.stdin:
        _run(json.loads(line))


def _warm() -> None:
    """Load, once for all commands, what every command loads first: our modules, boto3 and its client classes."""
    waiting.AWS = waiting.LOCAL = PACE
    from botocore.client import ClientCreator
    from botocore.retries.standard import ExponentialBackoff

    creator: Any = ClientCreator
    make, delay = creator._create_client_class, ExponentialBackoff.delay_amount
    classes: dict[str, Any] = {}

    def create_client_class(self: ClientCreator, service: str, *args: Any, **kwargs: Any) -> Any:
        if service not in classes:
            classes[service] = make(self, service, *args, **kwargs)
        return classes[service]

    creator._create_client_class = create_client_class
    ExponentialBackoff.delay_amount = lambda self, context: delay(self, context) / HURRY  # type: ignore[method-assign]
    for room in ("build", "cli", "cloud", "distribute"):
        package = importlib.import_module(f"jenkins_ami.{room}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    importlib.import_module("jenkins_ami.exports")
    from jenkins_ami.cloud import environments
    from jenkins_ami.cloud.session import Cloud

    with Cloud(environments.local("http://127.0.0.1:1", "http://127.0.0.1:1", "eu-central-1")) as cloud:
        for service in ("ec2", "s3", "ssm", "sts", "kms", "iam"):
            getattr(cloud, service)
    environments.parse_file(b"environments: {a: {region: eu-central-1}}", Path("a"))
    gc.collect()
    gc.freeze()


def _run(request: dict[str, Any]) -> None:
    output, into = os.pipe()
    gate, opener = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(opener)
        os.close(output)
        _child(request, gate, into)
    os.close(into)
    os.close(gate)
    _tell({"pid": pid})
    seconds = json.loads(sys.stdin.readline())["seconds"]
    os.write(opener, b"\n")
    os.close(opener)
    said, ended = _read(output, seconds)
    if not ended:
        os.kill(pid, signal.SIGUSR1)  # tell where it is
        said += _read(output, 1.0)[0]
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(output)
    code = os.waitstatus_to_exitcode(status) if ended else None
    _tell({"code": code, "output": said.decode("utf-8", "replace")})


def _read(output: int, seconds: float) -> tuple[bytes, bool]:
    """All that is written until the other end is closed, and whether it was in time."""
    said, deadline = b"", time.monotonic() + seconds
    while select.select([output], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(output, 65536)
        if not piece:
            return said, True
        said += piece
    return said, False


def _child(request: dict[str, Any], gate: int, into: int) -> NoReturn:
    code = 70
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(into, 1)
        os.dup2(into, 2)
        os.close(into)
        faulthandler.register(signal.SIGUSR1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        os.read(gate, 1)
        if seconds := request["read_timeout"]:
            from botocore.httpsession import URLLib3Session

            real = URLLib3Session.__init__

            def hasty(self: URLLib3Session, *args: Any, **kwargs: Any) -> None:
                real(self, *args, **{**kwargs, "timeout": seconds})

            URLLib3Session.__init__ = hasty  # type: ignore[method-assign]
        if limit := request["file_limit"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL if request["deadly"] else signal.SIG_IGN)
        from jenkins_ami.cli import main as command

        code = command(request["argv"])
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _tell(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
