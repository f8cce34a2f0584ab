"""Builds in a live Jenkins, in a folder of its own that has this checkout as its library; it is deleted at the end.

Set ``JENKINS_URL``, ``JENKINS_USER`` and ``JENKINS_TOKEN``; the user needs the rights to create, configure, read,
build and delete jobs at top level. Jenkins clones the library from ``JENKINS_AMI_LIBRARY``, at the commit that is
checked out here (``JENKINS_AMI_VERSION`` names another branch, tag or commit of it). Without, that is this very folder,
which a Jenkins on this machine takes if it was started with
``-Dhudson.plugins.git.GitSCM.ALLOW_LOCAL_CHECKOUT=true``. Builds run on the agent ``JENKINS_AMI_LABEL``; without, on
any. The agent needs Git.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import requests

from jenkins_ami.jobs.config import JobsConfig, Library
from jenkins_ami.jobs.desired import without_sources
from jenkins_ami.jobs.render import xml_text
from jenkins_ami.process import run

from .conftest import ROOT

JOB = """\
<?xml version="1.0" encoding="UTF-8"?>
<flow-definition>
  <definition class="org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition">
    <script>{}</script>
    <sandbox>true</sandbox>
  </definition>
</flow-definition>
"""
_FINISHED = "result,building,artifacts[relativePath]"


@dataclass(frozen=True)
class Finished:
    """What became of a build, as far as every Jenkins tells: this one and the one of the harness."""

    result: str
    console: str
    archived: frozenset[str]


def library() -> Library:
    """This checkout, as Jenkins gets it."""
    url = os.environ.get("JENKINS_AMI_LIBRARY") or f"file://{quote(str(ROOT))}"
    version = os.environ.get("JENKINS_AMI_VERSION") or run(["git", "-C", ROOT, "rev-parse", "HEAD"]).stdout.strip()
    return Library("jenkins-ami", url, version)


class LiveBuilds:
    """A folder in a Jenkins, made at ``with``, and builds in it.

    :param wait: seconds for one build, from when it is asked for; ``pause``: between two looks at it
    """

    def __init__(
        self, url: str, user: str, token: str, library: Library, *, wait: float = 600.0, pause: float = 1.0
    ) -> None:
        self.folder = f"jenkins-ami-test-{secrets.token_hex(4)}"
        self._url = url.rstrip("/")
        self._library = library
        self._wait, self._pause = wait, pause
        self._session = requests.Session()
        self._session.auth = (user, token)

    def __enter__(self) -> LiveBuilds:
        config = JobsConfig(Path("jobs.yaml"), "test", (self.folder,), library=self._library)
        self._post("createItem", without_sources(config).items[0].xml, name=self.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._post(f"job/{self.folder}/doDelete")
        finally:
            self._session.close()

    def run(self, scripts: Mapping[str, str]) -> dict[str, Finished]:
        """Starts a build of each Jenkinsfile, in a job of its name, and waits for all of them."""
        for name, script in scripts.items():
            self.start(name, script)
        return {name: self.finished(name) for name in scripts}

    def start(self, name: str, script: str) -> None:
        self._post(f"job/{self.folder}/createItem", JOB.format(xml_text(script)), name=name)
        self._post(f"job/{self.folder}/job/{name}/build")

    def finished(self, name: str) -> Finished:
        """Waits for the first build of a job.

        :raises TimeoutError: it takes too long
        """
        path = f"job/{self.folder}/job/{name}/1"
        end = time.monotonic() + self._wait
        while time.monotonic() < end:
            answer = self._get(f"{path}/api/json?tree={_FINISHED}")
            if answer is not None:
                state: dict[str, Any] = answer.json()
                if not state["building"] and state["result"]:
                    console = self._get(f"{path}/consoleText")
                    text = "" if console is None else console.text
                    archived = frozenset(one["relativePath"] for one in state["artifacts"])
                    return Finished(state["result"], text, archived)
            time.sleep(self._pause)
        raise TimeoutError(f"{self._url}/{path} did not end within {self._wait:.0f} s")

    def _get(self, path: str) -> requests.Response | None:
        """``None`` for a build that has not begun."""
        answer = self._session.get(f"{self._url}/{path}", timeout=60)
        if answer.status_code == 404:
            return None
        _check(answer)
        return answer

    def _post(self, path: str, body: str = "", **query: str) -> None:
        headers = {"Content-Type": "text/xml; charset=utf-8"} if body else {}
        where = f"{self._url}/{path}"
        _check(
            self._session.post(
                where, params=query, data=body.encode(), headers=headers, timeout=60, allow_redirects=False
            )
        )


def _check(answer: requests.Response) -> None:
    if answer.status_code >= 400:
        raise RuntimeError(f"{answer.url}: {answer.status_code} {answer.headers.get('X-Error', '')}".rstrip())
