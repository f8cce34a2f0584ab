"""The protocol on the serial console: what the instance prints, and how the builder reads it.

Four kinds of line, each the whole of a line but for what the kernel may print before it on the same line::

    JENKINS-AMI-STEP| cloudinit/60_site.yml:4                        a command of runcmd begins
    JENKINS-AMI-REASON| cloudinit/60_site.yml:4 exited with 7        why it failed
    JENKINS-AMI-LOG| ...                                             tail of cloud-init's log, on failure
    JENKINS-AMI-VERDICT:OK:0123456789abcdef                          the verdict; or FAIL

The nonce is in the user-data, so that an old console or another build's cannot be taken for this one. On the instance
the words are put together by printf, so that ``set -x`` or a listing of the script never prints a marker.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OK, FAIL, NONE = "ok", "fail", "none"

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-~]")
_VERDICT = re.compile(r"JENKINS-AMI-VERDICT:(OK|FAIL):([0-9a-f]{16})(?![0-9a-f])")
_REASON = re.compile(r"JENKINS-AMI-REASON\| ?(.*)")
_LOG = re.compile(r"JENKINS-AMI-LOG\| ?(.*)")
_STEP = re.compile(r"JENKINS-AMI-STEP\| ?(.*)")
WINDOW = 65_536
"""Bytes of console that EC2 keeps (GetConsoleOutput): of a longer one, the steps may be what is lost."""
_SECRET = re.compile(r"(https?://[^\s?\"']*\?)[^\s\"']*|(X-Amz-(?:Credential|Security-Token|Signature)=)[^&\s\"']*")
"""The query of a URL, and what is left of one where the console's window begins in it."""
_FINISHED = re.compile(r"Cloud-init v\. \S+ finished at ")
"""cloud-init's own ``final_message``, which it says unless the user-data has another."""
_CRASH = re.compile(r"cloud-init\[[0-9]+\]: (\w*(?:Exception|Error): .*)")
_PANIC = re.compile(r"(Kernel panic - not syncing.*)")


@dataclass(frozen=True)
class Verdict:
    """What the console says so far.

    :ivar state: ``ok``, ``fail`` or ``none`` (no verdict with our nonce yet)
    :ivar reasons: why it failed, in the instance's words
    :ivar log: the tail of the instance's log that came with them
    :ivar panic: the kernel's last line when it died, else empty
    :ivar steps: where each command of runcmd that has begun stands, in order
    :ivar foreign: nonces of verdicts that were not ours
    :ivar ignored: cloud-init has finished without a step of ours: it did not use the user-data
    """

    state: str
    reasons: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    panic: str = ""
    steps: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    ignored: bool = False


def console_lines(console: bytes) -> list[str]:
    """A serial console's bytes as lines for people: no colours, no carriage returns, no control characters."""
    text = _ANSI.sub("", console.decode("utf-8", "replace")).replace("\r", "")
    return ["".join(c for c in line if c >= " " or c == "\t") for line in text.split("\n")]


def masked(line: str) -> str:
    """A line without what signs a URL."""
    return _SECRET.sub(r"\1\2***", line)


def parse(console: bytes, nonce: str) -> Verdict:
    """The verdict on a console. A FAIL counts even when an OK with the same nonce is there as well: fail closed."""
    states: set[str] = set()
    reasons: list[str] = []
    log: list[str] = []
    steps: list[str] = []
    foreign: list[str] = []
    panic = ""
    finished, crash = False, ""
    for line in console_lines(console):
        if match := _VERDICT.search(line):
            if match[2] == nonce:
                states.add(match[1].lower())
            else:
                foreign.append(match[2])
        elif match := _REASON.search(line):
            reasons.append(match[1])
        elif match := _LOG.search(line):
            log.append(match[1])
        elif match := _STEP.search(line):
            steps.append(match[1])
        elif match := _PANIC.search(line):
            panic = match[1]
        elif match := _CRASH.search(line):
            crash = match[1]
        elif _FINISHED.search(line):
            finished = True
    state = FAIL if FAIL in states else OK if OK in states else NONE
    ignored = finished and not steps and state == NONE and len(console) < WINDOW
    if ignored and crash:
        reasons.append(crash)
    return Verdict(state, tuple(reasons), tuple(log), panic, tuple(steps), tuple(foreign), ignored)
