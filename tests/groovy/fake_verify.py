"""A ``jenkins-ami`` that does nothing, and keeps the contracts of ``verify``, ``report`` and ``gerrit review``.

``FAKE_LOG`` names a file that gets one JSON line for each call, with its environment and the files around it.
``FAKE_OUTCOME`` is what ``verify`` finds, of ``FAKE_COMMIT``; ``nothing`` lets it crash. ``FAKE_HANG`` lets it wait for
a signal; with ``late`` it then writes down that it did not come to an end, with ``short`` it goes on by itself.
``FAKE_FAIL=COMMAND`` makes a command fail.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from jenkins_ami import __version__
from jenkins_ami.artifacts import to_json
from jenkins_ami.verification import BROKEN, FAILED, SKIPPED, VERIFICATION, Verification, VerifiedSource

CODES = {"passed": 0, SKIPPED: 0, FAILED: 2, BROKEN: 1}


def verification(outcome: str, commit: str) -> Verification:
    if outcome == SKIPPED:
        return Verification(commit, outcome, reason="the commit touches no AMI source")
    name = os.environ.get("FAKE_NAME", "web")
    source = VerifiedSource("images/web", outcome, name, "1.2", files="1-web")
    return Verification(
        commit, outcome, reason="" if outcome == "passed" else f"{name} is {outcome}", sources=(source,)
    )


def main() -> int:
    if sys.argv[1:] == ["--version"]:
        print(f"jenkins-ami {__version__}")
        return 0
    asked = json.loads(os.environ.pop("JENKINS_AMI_STEP"))
    command, arguments = asked["command"], asked["arguments"]
    files = sorted(str(path) for path in Path().rglob("*") if path.is_file() and ".git" not in path.parts)
    call = {"argv": command.split(), "arguments": arguments, "agent": os.environ["NODE_NAME"], "files": files}
    with Path(os.environ["FAKE_LOG"]).open("a") as log:
        print(json.dumps({**call, "env": dict(os.environ)}), file=log)
    if os.environ.get("FAKE_FAIL") == command:
        Path(os.environ["JENKINS_AMI_ERROR_FILE"]).write_text(f"{command} went wrong, here. Do something else.\n")
        return 7
    return {"verify": verify, "report": report, "gerrit review": review}[command](arguments)


def verify(arguments: dict[str, str]) -> int:
    outcome, output = os.environ.get("FAKE_OUTCOME", "passed"), Path(arguments["output"])
    head = Path(arguments["work-tree"], ".git", "HEAD")
    commit = head.read_text().strip() if head.exists() else "5eed" * 10
    commit = os.environ.get("FAKE_COMMIT", commit)
    hang = os.environ.get("FAKE_HANG")
    if outcome == "nothing":
        return 139
    output.mkdir()
    (output / "1-web").mkdir()
    (output / "1-web" / "compile.json").write_text("{}")
    if hang:
        print("waiting", file=sys.stderr, flush=True)
    if hang == "short":
        time.sleep(1)
    elif hang:
        signal.sigwait({signal.SIGTERM})
        if hang == "late":
            (output / VERIFICATION).write_text(to_json(Verification(commit, BROKEN, reason="it was interrupted")))
        return 130
    (output / VERIFICATION).write_text(to_json(verification(outcome, commit)))
    return CODES[outcome]


def report(arguments: dict[str, str]) -> int:
    page = Path(arguments["folder"], "report", "index.html")
    page.parent.mkdir()
    page.write_text("<p>report")
    return 0


def review(arguments: dict[str, str]) -> int:
    if "verification" in arguments:
        Path(arguments["verification"]).read_text()
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    sys.exit(main())
