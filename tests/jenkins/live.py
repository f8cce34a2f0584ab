"""A live Jenkins as the test suite uses it: in a folder of its own, which is deleted at the end.

Set ``JENKINS_URL``, ``JENKINS_USER`` and ``JENKINS_TOKEN``; the user needs the rights to create, configure, read and
delete items and views at top level.
"""

from __future__ import annotations

import os
import secrets
from types import TracebackType

_FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
FOLDER_XML = f'<?xml version="1.0"?><{_FOLDER}><description/><properties/></{_FOLDER}>'


def describe() -> str:
    """The line that says in a test run's header which Jenkins it has."""
    if LiveJenkins.is_set():
        return f"jenkins: {os.environ['JENKINS_URL']}"
    return "jenkins: a replay of recordings of 2.504.3; set JENKINS_URL, JENKINS_USER and JENKINS_TOKEN for a live one"


class LiveJenkins:
    """``folder`` is made at ``with`` and deleted at its end."""

    def __init__(self) -> None:
        self.url = os.environ["JENKINS_URL"].rstrip("/")
        self.user, self.token = os.environ["JENKINS_USER"], os.environ["JENKINS_TOKEN"]
        self.folder = f"jenkins-ami-test-{secrets.token_hex(4)}"

    @staticmethod
    def is_set() -> bool:
        # a build in Jenkins has JENKINS_URL from Jenkins itself, and is no wish to make items there
        return all(os.environ.get(name) for name in ("JENKINS_URL", "JENKINS_USER", "JENKINS_TOKEN"))

    def _post(self, path: str, body: bytes = b"") -> None:
        import requests

        headers = {"Content-Type": "text/xml; charset=utf-8"}
        where = f"{self.url}/{path}"
        auth = (self.user, self.token)
        answer = requests.post(where, data=body, headers=headers, auth=auth, timeout=60, allow_redirects=False)
        if answer.status_code >= 400:
            raise RuntimeError(f"{where}: {answer.status_code} {answer.headers.get('X-Error', '')}")

    def __enter__(self) -> LiveJenkins:
        self._post(f"createItem?name={self.folder}", FOLDER_XML.encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._post(f"job/{self.folder}/doDelete")
