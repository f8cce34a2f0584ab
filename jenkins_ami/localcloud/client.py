"""A local cloud for whoever needs one: the one that runs on the state folder, or a new one in the background.

Whoever uses it holds a *lease*, a shared ``flock(2)`` on ``STATE/leases``. It ends with its holder, ``kill -9``
included, and a server started here ends when nobody holds one.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import process
from ..errors import HostError
from ..progress import Progress, Step
from .machine import S3_ADDRESS
from .profile import PROFILE
from .server import HEALTH, endpoint_of, locked
from .store import REGION, ImageStore

START_TIMEOUT = 60.0
"""Seconds that a new server may take until it answers; it takes two on an idle machine."""


@dataclass(frozen=True)
class LocalCloud:
    """A local cloud that answers.

    :param endpoint: for AWS clients on this machine (``AWS_ENDPOINT_URL``)
    :param instance_s3_endpoint: for the instances: presign URLs for them against this
    :param instance_profile: one that instances may be given
    """

    endpoint: str
    instance_s3_endpoint: str
    region: str
    state: Path
    instance_profile: str = PROFILE


@contextlib.contextmanager
def running_cloud(state: Path, progress: Progress) -> Iterator[LocalCloud]:
    """Join the local cloud of ``state`` or start one; it stays at least as long as the context.

    :raises HostError: when none can be started
    """
    state = state.absolute()
    ImageStore(state).require_space()
    with locked(state / "leases", fcntl.LOCK_SH):  # first of all: a server about to end makes us wait here
        with locked(state / "starting"), progress.step("Local cloud") as step:
            endpoint = _answering(state)
            if endpoint is None:
                endpoint = _start(state, step)
                step.done(f"started at {endpoint}")
            else:
                step.done(f"joined at {endpoint}")
            if known := endpoint_of(state):
                progress.info(str(known.get("machines", "")))
        yield LocalCloud(endpoint, f"http://{S3_ADDRESS}", REGION, state)


def _answering(state: Path) -> str | None:
    """The endpoint that serves ``state`` and answers. The file alone proves nothing: its port may be another's now."""
    known = endpoint_of(state)
    if known is None:
        return None
    connection = http.client.HTTPConnection("127.0.0.1", int(known["port"]), timeout=5)
    try:
        connection.request("GET", HEALTH)
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return str(known["endpoint"]) if isinstance(answer, dict) and answer.get("state") == str(state) else None


def _served(state: Path) -> bool:
    """Whether some server holds the state folder, answering or not yet."""
    try:
        with locked(state / "lock", fcntl.LOCK_SH | fcntl.LOCK_NB):
            return False
    except BlockingIOError:
        return True


def _start(state: Path, step: Step) -> str:
    log = state / "local-cloud.log"
    deadline = time.monotonic() + START_TIMEOUT
    child: process.Detached | None = None
    try:
        while time.monotonic() < deadline:
            if endpoint := _answering(state):
                child = None  # it is everybody's now
                return endpoint
            if child is None and not _served(state):
                # -P: the current folder may be somebody's workspace, and no place to import from
                argv = [sys.executable, "-P", "-m", "jenkins_ami", "local-cloud", "--state", str(state), "--port", "0"]
                with log.open("wb") as sink:
                    child = process.detach([*argv, "--until-unused"], output=sink)
            elif child is not None and child.ended():
                child = None
                if not _served(state):  # else somebody was quicker: wait for that one
                    raise _not_started(log)
            step.status("waiting for it to answer")
            time.sleep(0.05)
        raise HostError(f"the local cloud did not answer within {START_TIMEOUT:.0f} s", where=log)
    finally:
        if child is not None:
            child.end()


def _not_started(log: Path) -> HostError:
    said = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    why = said[-1].removeprefix("error: ").rstrip(".")
    return HostError(f"the local cloud did not start: {why}", where=log, detail=said[:-1])
