"""Runs one build and kills itself with SIGKILL at a given line of the ledger: ``before`` it is written, or ``after``.

Usage: python -m tests.build.driver COMPILED ENDPOINT before|after LINE
"""

import dataclasses
import os
import signal
import sys
from pathlib import Path

from jenkins_ami.build.run import build
from jenkins_ami.cloud import environments
from jenkins_ami.cloud.ledger import Ledger
from jenkins_ami.progress import Progress
from tests.cloud.conftest import FAST
from tests.cloud.server import REGION


class Dying(Ledger):
    lines = 0

    def _append(self, record):
        Dying.lines += 1
        if (when, Dying.lines) == ("before", line):
            os.kill(os.getpid(), signal.SIGKILL)
        super()._append(record)
        if (when, Dying.lines) == ("after", line):
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    compiled, endpoint, when, line = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    build.__globals__["Ledger"] = Dying
    environment = dataclasses.replace(
        environments.local(endpoint, endpoint, REGION), name="test", storage="s3://test-storage", pace=FAST
    )
    build(compiled, environment, compiled, Progress())
