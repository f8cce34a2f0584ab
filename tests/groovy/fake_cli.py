"""A ``jenkins-ami`` that keeps the contracts and does nothing: it writes the files, and fails or hangs when told to.

``FAKE_LOG`` names a file that gets one JSON line for each call. ``FAKE_FAIL=COMMAND:EXIT_CODE`` makes a command fail
with the CLI's way of saying why, ``FAKE_HANG=COMMAND`` lets it say "waiting" and wait for a signal, ``FAKE_EXTRA``
names a file more that compile writes. ``FAKE_DIFFERS`` lets ``jobs plan`` find a difference.
"""

import argparse
import dataclasses
import json
import os
import signal
import sys
from pathlib import Path

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
    env_text,
    to_json,
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


def main() -> int:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("compile")
    command.add_argument("source", type=Path)
    command.add_argument("target", type=Path)
    command.add_argument("--source-commit")
    command.add_argument("--version")
    command = commands.add_parser("build")
    command.add_argument("target", type=Path)
    command.add_argument("--local", action="store_true")
    command.add_argument("--environment")
    command.add_argument("--reuse", action="store_true")
    command.add_argument("-o", "--output", type=Path)
    command = commands.add_parser("cleanup")
    command.add_argument("ledger", type=Path)
    command = commands.add_parser("jobs")
    command.add_argument("action", choices=("plan", "apply"))
    for flag in ("--json", "--verify", "--exit-code", "--prune"):
        command.add_argument(flag, action="store_true")
    for option in ("--html", "--config", "--max-deletes"):
        command.add_argument(option)
    args = parser.parse_args()

    call: dict[str, object] = {"argv": sys.argv[1:], "agent": os.environ["NODE_NAME"]}
    call["aws"] = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    call["jenkins"] = {name: os.environ.get(name) for name in ("JENKINS_USER", "JENKINS_TOKEN")}
    call["files"] = sorted(str(path) for path in Path().rglob("*") if path.is_file())
    with Path(os.environ["FAKE_LOG"]).open("a") as log:
        print(json.dumps(call), file=log)

    if args.command == "build" and (args.target / LEDGER).exists():
        return 2
    if args.command == "build":
        args.output.mkdir()
        for name in (LEDGER,) if args.reuse else (LEDGER, CONSOLE_LOG):
            (args.output / name).write_text(name)
    if os.environ.get("FAKE_HANG") == args.command:
        print("waiting", file=sys.stderr, flush=True)
        signal.sigwait({signal.SIGTERM})
        return 130
    failing, _, code = os.environ.get("FAKE_FAIL", "").partition(":")
    if failing == args.command:
        line = f"{args.command} went wrong, here. Do something else."
        print(f"error: {line}", file=sys.stderr)
        Path(os.environ["JENKINS_AMI_ERROR_FILE"]).write_text(f"{line}\n")
        return int(code)
    if args.command == "compile":
        (args.source / "ami.env").read_text()
        args.target.mkdir()
        for name in (USERDATA, CLOUD_CONFIG, COMPILE_JSON, OVERLAY, *os.environ.get("FAKE_EXTRA", "").split()):
            (args.target / name).write_text(name)
    if args.command == "build":
        (args.target / COMPILE_JSON).read_text()
        (args.output / AMI_JSON).write_text(to_json(dataclasses.replace(RESULT, reused=args.reuse)))
        (args.output / AMI_ENV).write_text(env_text({"AMINAME": RESULT.image_name, "AMIID": "ami-0123"}))
    if args.command == "jobs":
        differs = bool(os.environ.get("FAKE_DIFFERS"))
        Path(args.html).write_text("<p>plan")
        print(json.dumps({"counts": {"drifted": 1, "unchanged": 7} if differs else {"unchanged": 8}}))
        return 8 if differs and args.action == "plan" and args.exit_code else 0
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    sys.exit(main())
