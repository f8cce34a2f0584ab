"""What machines and images do in the simulated cloud: scripts, and what is made of them. See :mod:`.simulated`."""

from __future__ import annotations

import base64
import contextlib
import gzip
import re
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from moto.ec2.exceptions import EC2ClientError

from jenkins_ami.localcloud.instances import BY_INSTANCE, Guest
from jenkins_ami.localcloud.machine import CONSOLE_LIMIT, End

NAME = "jenkins-ami:name"
_VERDICT = re.compile(rb"""verdict\.sh["',\s-]+([0-9a-f]{16})\b|^# nonce: ([0-9a-f]{16})$""", re.M)
_TESTS = re.compile(rb"""run\.sh["',\s]+([0-9a-f]{16})["',\s]+"?(\d+)""")


@dataclass
class Script:
    """What becomes of an instance, and of the image that is made of it.

    :ivar state: what it comes to: ``running``, ``stopped``, ``terminated``; ``None`` leaves it to its user-data
    :ivar reason: StateReason's code, e.g. ``Server.SpotInstanceTermination``
    :ivar console: what its console says; ``None`` leaves it to its user-data
    :ivar delay: seconds that it runs before it comes to its state
    :ivar console_reads, console_delay: so many reads of the console, or seconds after its end, give nothing yet
    :ivar console_window: bytes at the end of the console that are kept
    :ivar image_states: states that its image goes through, one for each look, before it is available
    :ivar image_reason: why its image fails
    :ivar snapshot_progress: percents of its snapshot, one for each look, while the image is pending; without any, the
        snapshot is unknown as long
    :ivar unknown: so many looks at the instance, and later at the image, find nothing
    :ivar failing: exit codes of the tests on the image that fail, by their index
    """

    state: str | None = None
    reason: str = ""
    console: bytes | None = None
    delay: float = 0.0
    console_reads: int = 0
    console_delay: float = 0.0
    console_window: int = CONSOLE_LIMIT
    image_states: list[str] = field(default_factory=list)
    image_reason: str = "Client.InternalError"
    snapshot_progress: list[int] = field(default_factory=list)
    unknown: int = 0
    failing: dict[int, int] = field(default_factory=dict)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Script:
        """From JSON, where ``console`` is a text."""
        known = {each.name for each in fields(cls)}
        if wrong := data.keys() - known:
            raise ValueError(f"a script has no {sorted(wrong)[0]!r}: it has {', '.join(sorted(known))}")
        script = cls(**data)
        if isinstance(script.console, str):
            script.console = script.console.encode()
        script.failing = {int(index): code for index, code in script.failing.items()}
        return script


@dataclass
class Shortage:
    """No capacity: for one type, in one subnet, for spot (or for all but spot), or for any, so many times."""

    instance_type: str | None = None
    subnet: str | None = None
    spot: bool | None = None
    code: str = "InsufficientInstanceCapacity"
    times: int = 1 << 30


@dataclass
class Development:
    """What is still to become of an image: the states that it has yet to go through."""

    region: str
    script: Script
    states: list[str]
    snapshot: str = ""


class SimulatedMachine:
    """A machine without a machine."""

    def __init__(self, guest: Guest, simulation: Simulation, script: Script) -> None:
        self.guest = guest
        self.script = script
        self.running = False
        self.due = 0.0
        self._simulation = simulation
        self._own = b""
        self._reads = 0
        self._ended: float | None = None

    def start(self) -> None:
        self.running = True
        self.due = time.monotonic() + self.script.delay
        self._simulation.running[self.guest.instance.id] = self

    def happen(self) -> None:
        """Come to what the script or the user-data says."""
        script, guest = self.script, self.guest
        state, reason = script.state, script.reason
        if state is None:
            self._own = printed(user_data_of(guest), script)
            state = "stopped" if self._own else "running"
        if state == "running":
            return
        self.running, self._ended = False, time.monotonic()
        if reason in ("", BY_INSTANCE[0]) and state == "stopped":
            guest.ended(End("poweroff", "simulated"))
        else:
            guest.come_to("terminated" if state == "terminated" else "stopped", (reason, reason))

    def kill(self) -> None:
        self.running = False
        self._simulation.running.pop(self.guest.instance.id, None)

    def shutdown(self, grace: float) -> None:
        self.kill()

    def reset(self) -> None:
        self.due = time.monotonic()
        self._simulation.running[self.guest.instance.id] = self

    def console(self) -> bytes:
        script = self.script
        self._reads += 1
        late = self._ended is not None and time.monotonic() < self._ended + script.console_delay
        if self._reads <= script.console_reads or late:
            return b""
        text = self._own if script.console is None else script.console
        return text[-min(script.console_window, CONSOLE_LIMIT) :]

    def refresh(self) -> None:
        """There is no metadata service."""


def user_data_of(guest: Guest) -> bytes:
    """An instance's user-data, not packed any more."""
    raw = base64.b64decode(str(guest.instance.user_data or ""))
    with contextlib.suppress(OSError, EOFError, zlib.error):
        return gzip.decompress(raw)
    return raw


def printed(user_data: bytes, script: Script) -> bytes:
    """What a machine with this user-data prints until it powers itself off; nothing when it never does."""
    if found := _TESTS.search(user_data):
        nonce, count = found[1].decode(), int(found[2])
        lines = []
        for index in range(count):
            code = script.failing.get(index, 0)
            result = "fail" if index in script.failing else "ok"
            output = base64.b64encode(b"simulated\n").decode()
            lines.append(f"JENKINS-AMI-TEST:{nonce}:{index}:{result}:{code}:0:{output}")
        lines.append(f"JENKINS-AMI-VERDICT:{'FAIL' if script.failing else 'OK'}:{nonce}")
    elif found := _VERDICT.search(user_data):
        nonce = (found[1] or found[2]).decode()
        lines = ["[    0.000000] Linux version 6.1.0-simulated", f"JENKINS-AMI-VERDICT:OK:{nonce}"]
    else:
        return b""
    return "".join(f"\r\n{line}\r\n" for line in lines).encode()


class Simulation:
    """What machines do, and what EC2 does to them. All of it may be changed at any time.

    :ivar script: for instances that no rule is for
    :ivar rules: scripts by the tag ``jenkins-ami:name`` of an instance
    :ivar launches: what RunInstances was asked for, all that had an effect
    :ivar before: called before an action is begun, by its name in snake case (outside all locks)
    :ivar refusals: errors that the next calls of an action are answered with, before they have an effect
    :ivar losses: errors that the next calls of an action are answered with after they had their effect
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.script = Script()
        self.rules: dict[str, Script] = {}
        self.shortages: list[Shortage] = []
        self.launches: list[dict[str, Any]] = []
        self.before: dict[str, Callable[[], object]] = {}
        self.refusals: dict[str, list[Exception]] = {}
        self.losses: dict[str, list[Exception]] = {}
        self.calls: Counter[str] = Counter()
        self.running: dict[str, SimulatedMachine] = {}
        self.unknown: dict[str, int] = {}
        self.images: dict[str, Development] = {}
        self.progress: dict[str, list[int]] = {}
        self.hidden: dict[str, Any] = {}

    def machine(self, guest: Guest) -> SimulatedMachine:
        return SimulatedMachine(guest, self, self.script_for(guest))

    def script_for(self, guest: Guest) -> Script:
        tags = {tag["key"]: tag["value"] for tag in guest.instance.get_tags()}
        return self.rules.get(tags.get(NAME, ""), self.script)

    def happen(self) -> None:
        """Let everything happen that is due."""
        if not self.running:
            return
        clock = time.monotonic()
        for instance, machine in list(self.running.items()):
            if machine.due <= clock:
                self.running.pop(instance, None)
                machine.happen()

    def refuse(self, action: str, error: Exception) -> None:
        self.refusals.setdefault(action, []).append(error)

    def lose(self, action: str, error: Exception) -> None:
        self.losses.setdefault(action, []).append(error)

    def shortage(self, params: Mapping[str, Any]) -> None:
        """:raises EC2ClientError: when there is no capacity for a launch"""
        subnet = params.get("SubnetId") or next((n.get("SubnetId") for n in params.get("NetworkInterfaces", [])), None)
        spot = "InstanceMarketOptions" in params
        for each in self.shortages:
            wanted = (each.instance_type, each.subnet, each.spot)
            asked = (params.get("InstanceType"), subnet, spot)
            if each.times > 0 and all(want in (None, have) for want, have in zip(wanted, asked, strict=True)):
                each.times -= 1
                raise EC2ClientError(each.code, f"We currently do not have sufficient {asked[0]} capacity.")

    def tell(self, data: Mapping[str, Any]) -> None:
        """What ``POST /.simulated`` says, all keys optional::

        {"forget": true,
         "script": {…},                                              for instances without a rule
         "rules": {"web": {"state": "running"}},                     by the tag jenkins-ami:name
         "shortages": [{"instance_type": "m5.large", "spot": true}],
         "refuse": {"run_instances": [["RequestLimitExceeded", "…"]]},
         "lose": {"create_image": [["InternalError", "…"]]}}
        """
        if not isinstance(data, Mapping):
            raise ValueError("it is not an object")
        known = {"forget", "script", "rules", "shortages", "refuse", "lose"}
        if wrong := data.keys() - known:
            raise ValueError(f"there is no {sorted(wrong)[0]!r}: there is {', '.join(sorted(known))}")
        if data.get("forget"):
            self.forget()
        if "script" in data:
            self.script = Script.read(data["script"])
        self.rules |= {name: Script.read(script) for name, script in data.get("rules", {}).items()}
        self.shortages += [Shortage(**each) for each in data.get("shortages", [])]
        for action, errors in data.get("refuse", {}).items():
            for code, message in errors:
                self.refuse(action, EC2ClientError(code, message))
        for action, errors in data.get("lose", {}).items():
            for code, message in errors:
                self.lose(action, EC2ClientError(code, message))
