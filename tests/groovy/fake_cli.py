"""A ``jenkins-ami`` that keeps the contracts and does nothing: it writes the files, and fails or hangs when told to.

``FAKE_LOG`` names a file that gets one JSON line for each call. ``FAKE_FAIL=COMMAND:EXIT_CODE`` makes a command fail
with the CLI's way of saying why (``COMMAND:EXIT_CODE:TIMES`` so often, then it succeeds), ``FAKE_HANG=COMMAND`` lets it
say "waiting" and wait for a signal (``FAKE_HANG_ONCE``: its first call), ``FAKE_EXTRA`` names a file more that compile
writes. ``FAKE_DIFFERS`` lets ``jobs plan`` find a difference, ``FAKE_IMAGE_ANYWAY`` a failing build leave an image.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jenkins_ami import __version__
from jenkins_ami.artifacts import (
    AMI_ENV,
    AMI_JSON,
    CLOUD_CONFIG,
    COMPILE_JSON,
    CONSOLE_LOG,
    LEDGER,
    OVERLAY,
    USERDATA,
    BuildResult,
    ImageRecord,
    Manifest,
    env_text,
    to_json,
)

MANIFEST = Manifest(
    name="minimal", version="1.0", base="scratch", nonce="00", digest="11", files={}, commit="5eed" * 10
)
RESULT = BuildResult(
    name="minimal",
    version="1.0",
    build=3,
    image_name="minimal-1.0-3",
    images={"eu-central-1": ImageRecord("ami-0123"), "us-east-1": ImageRecord("ami-4567")},
    base="ami-base",
    environment="dev",
    region="eu-central-1",
    instance_id="i-89ab",
    instance_type="t3.small",
    verdict="success",
    userdata_sha256="00",
    digest="00",
)


def main(argv: Sequence[str]) -> int:
    if argv == ["--version"]:
        print(f"jenkins-ami {__version__}")
        return 0
    command, arguments = _asked(argv)
    calls = Path(os.environ["FAKE_LOG"])
    words = command.split() if argv == ["step"] else argv
    call: dict[str, object] = {"argv": words, "arguments": arguments, "agent": os.environ["NODE_NAME"]}
    call["aws"] = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    call["secrets"] = {name: value for name, value in os.environ.items() if name.startswith(("AMI_PARAM_", "GERRIT_"))}
    call["jenkins"] = {name: os.environ.get(name) for name in ("JENKINS_USER", "JENKINS_TOKEN")}
    call["files"] = sorted(str(path) for path in Path().rglob("*") if path.is_file())
    with calls.open("a") as log:
        print(json.dumps(call), file=log)
    earlier = sum(json.loads(line)["argv"][0] == words[0] for line in calls.read_text().splitlines()) - 1

    output = Path(arguments.get("output") or arguments.get("resume") or arguments.get("result") or ".")
    if command == "build":
        if (Path(arguments.get("target", "")) / LEDGER).exists():
            return 2
        output.mkdir(parents=True, exist_ok=True)
        for name in (LEDGER,) if arguments.get("reuse") else (LEDGER, CONSOLE_LOG):
            (output / name).write_text(name)
    if os.environ.get("FAKE_HANG") == words[0] or (os.environ.get("FAKE_HANG_ONCE") == words[0] and not earlier):
        print("waiting", file=sys.stderr, flush=True)
        signal.sigwait({signal.SIGTERM})
        return 130
    failing, code, times, *_ = [*os.environ.get("FAKE_FAIL", "").split(":"), "", ""]
    if failing == words[0] and (not times or earlier < int(times)):
        line = f"{words[0]} went wrong, here. Do something else."
        print(f"error: {line}", file=sys.stderr)
        Path(os.environ["JENKINS_AMI_ERROR_FILE"]).write_text(f"{line}\n")
        if os.environ.get("FAKE_IMAGE_ANYWAY"):
            (output / AMI_JSON).write_text(to_json(RESULT))
        return int(code)
    if command == "compile":
        (Path(arguments["source"]) / "ami.env").read_text()
        target = Path(arguments["target"])
        target.mkdir()
        for name in (USERDATA, CLOUD_CONFIG, OVERLAY, *os.environ.get("FAKE_EXTRA", "").split()):
            (target / name).write_text(name)
        (target / COMPILE_JSON).write_text(to_json(MANIFEST))
    if command == "build":
        (output / AMI_JSON).write_text(to_json(_result(arguments)))
        (output / AMI_ENV).write_text(env_text({"AMINAME": RESULT.image_name, "AMIID": "ami-0123"}))
        if arguments.get("junit"):
            Path(arguments["junit"]).write_text('<testsuite name="minimal"><testcase name="boot"/></testsuite>')
    if command == "distribute":
        images = {**RESULT.images, "eu-west-1": ImageRecord("ami-89ab")}
        (output / AMI_JSON).write_text(to_json(dataclasses.replace(RESULT, images=images)))
    if command == "report":
        folder = Path(arguments["output"])
        folder.mkdir(parents=True)
        (folder / "index.html").write_text("<p>report")
    if command.startswith("jobs"):
        return _jobs(command.split()[1], arguments)
    return 0


def _asked(argv: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The command and its arguments: of the steps' one JSON variable, or of a command line as the seed job has one."""
    if argv == ["step"]:
        asked = json.loads(os.environ["JENKINS_AMI_STEP"])
        return asked["command"], asked["arguments"]
    words = [word for word in argv if not word.startswith("-")]
    options = [word.removeprefix("--").partition("=") for word in argv if word.startswith("-")]
    return " ".join(words), {name: value or True for name, _, value in options}


def _result(arguments: dict[str, Any]) -> BuildResult:
    environment = "local" if arguments.get("local") else arguments.get("environment", "dev")
    return dataclasses.replace(RESULT, reused=bool(arguments.get("reuse")), environment=environment)


def _jobs(action: str, arguments: dict[str, Any]) -> int:
    differs = bool(os.environ.get("FAKE_DIFFERS"))
    Path(arguments["html"]).write_text("<p>plan")
    print(json.dumps({"counts": {"drifted": 1, "unchanged": 7} if differs else {"unchanged": 8}}))
    return 8 if differs and action == "plan" and arguments.get("exit-code") else 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    sys.exit(main(sys.argv[1:]))
