"""`make pipeline`: the whole chain on this machine, without Jenkins' own engine.

    python -m tests.pipeline [SOURCE] [--verify] [-o DIR]

A Jenkinsfile of one line, run by the harness of tests/groovy: the step, the command, the local cloud, a real machine.
What Jenkins' console would show is printed as it comes, and at the end what Jenkins would archive, and the image's id.
SOURCE is committed to a repository of its own, from which the step checks it out. With --verify a change is made that
puts a file on the machine, and verifyAmi() says what that means.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from jenkins_ami.process import run
from tests.groovy.conftest import ROOT, Build, Scenario, run_builds

REAL = {"jenkins-ami": (sys.executable, "-m", "jenkins_ami")}
BUILD = """\
@Library('jenkins-ami') _
buildAmi(repository: params.REPOSITORY, local: true, test: true)
"""
VERIFY = """\
@Library('jenkins-ami') _
verifyAmi(repository: params.REPOSITORY, refspec: params.REFSPEC)
"""
CHANGE = "refs/changes/01/1/1"
CHANGED = Path("fs/etc/jenkins-ami-change")


def repository(source: Path, folder: Path) -> str:
    """Commits a source as it is to a new repository, and a change of it; returns its URL."""
    ignored = shutil.ignore_patterns(".git", "__pycache__")
    shutil.copytree(source, folder, symlinks=True, ignore=ignored)
    git: list[str | Path] = ["git", "-C", folder, "-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
    run([*git, "init", "-q", "-b", "main"])
    run([*git, "add", "-A"])
    run([*git, "commit", "-q", "-m", f"The source {source.name}"])
    run([*git, "checkout", "-q", "--detach"])
    (folder / CHANGED).parent.mkdir(parents=True, exist_ok=True)
    (folder / CHANGED).write_text("changed\n")
    run([*git, "add", "-A"])
    run([*git, "commit", "-q", "-m", "A file more on the machine"])
    run([*git, "update-ref", CHANGE, "HEAD"])
    run([*git, "checkout", "-q", "main"])
    return f"file://{quote(str(folder))}"


def follow(log: Path, ended: threading.Event) -> None:
    """Prints a file while it grows, until the event is set and all of it is printed."""
    at = 0
    while True:
        last = ended.wait(0.2)
        if log.exists():
            with log.open("rb") as file:
                file.seek(at)
                new = file.read()
            at += len(new)
            sys.stdout.buffer.write(new)
            sys.stdout.buffer.flush()
        if last:
            return


def build(source: Path, out: Path, *, verify: bool) -> Build:
    """Runs the build in ``out``, which is made anew, and prints its console meanwhile."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    params = {"REPOSITORY": repository(source, out / "repository"), "REFSPEC": CHANGE}
    scenario = Scenario(VERIFY if verify else BUILD, agents={"ami-verify": {}}, commands=REAL, params=params)
    ended = threading.Event()
    printer = threading.Thread(target=follow, args=(out / "build" / "console.log", ended))
    printer.start()
    try:
        return run_builds(out, {"build": scenario})["build"]
    finally:
        ended.set()
        printer.join()


def told(done: Build) -> list[str]:
    """What came of it: the archived files with their sizes, and the image or the verdict on the change."""
    archive = done.archive
    lines = ["", f"Archived in {done.home / 'archive'}:"]
    lines += [f"{path.stat().st_size:>12,}  {name}" for name, path in archive.items()]
    if image := archive.get("ami/ami.json"):
        ami = json.loads(image.read_text())
        ids = ", ".join(f"{one['image_id']} in {region}" for region, one in ami["images"].items())
        lines.append(f"{ami['image_name']} is {ids}")
    if verdict := archive.get("verify/verification.json"):
        verification = json.loads(verdict.read_text())
        lines.append(f"{verification['commit']}: {verification['outcome']} {verification['reason']}".rstrip())
    return [*lines, done.result]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.pipeline", description="A step of vars/, without Jenkins.")
    parser.add_argument("source", nargs="?", type=Path, default=ROOT / "examples" / "minimal", help="an AMI source")
    parser.add_argument("--verify", action="store_true", help="verify a change of it instead of building it")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "out" / "pipeline", help="folder of the build")
    args = parser.parse_args(argv)
    if not args.source.is_dir():
        parser.error(f"{args.source} is no folder")
    done = build(args.source.resolve(), args.output.resolve(), verify=args.verify)
    print("\n".join(told(done)))
    return 0 if done.result == "SUCCESS" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
