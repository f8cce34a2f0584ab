"""A real Gerrit on loopback, with accounts, projects, commits and permissions: what tests need of one, no more.

``tools/jars.sh`` brings its jars; Bouncy Castle comes from Debian. One is started for a session (about 15 s): put its
tests into one group, ``@pytest.mark.xdist_group("gerrit")``, and give each test projects of its own.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from jenkins_ami.process import kill_group, run, spawn

ADMIN, PASSWORD = "admin", "secret"
"""What ``init --dev`` makes (com.google.gerrit.pgm.init.InitAdminUser)."""
REGISTERED = "global:Registered-Users"
ANONYMOUS = "global:Anonymous-Users"

_TOOL = Path(__file__).parent.parent / "tools" / "jars.sh"
_DEBIAN = [Path("/usr/share/java") / f"{name}.jar" for name in ("bcprov", "bcpg", "bcpkix", "bcutil")]
_JAVA = [
    "java",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
    "-Dflogger.backend_factory=com.google.common.flogger.backend.log4j.Log4jBackendFactory#getInstance",
]
_LOG4J = """\
log4j.rootCategory=INFO, A
log4j.appender.A=org.apache.log4j.ConsoleAppender
log4j.appender.A.layout=org.apache.log4j.PatternLayout
log4j.appender.A.layout.ConversionPattern=%d{ISO8601} %-5p %c : %m%n
"""


class Gerrit:
    """A running Gerrit.

    :ivar url: without a slash at the end
    :ivar ssh_port: of its SSH daemon, on loopback
    """

    def __init__(self, folder: Path, port: int, ssh_port: int) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self.ssh_port = ssh_port
        self._session = requests.Session()
        self._session.trust_env = False

    def api(self, method: str, path: str, body: object = None, *, user: str = ADMIN, password: str = PASSWORD) -> Any:
        """A REST call: its JSON, or ``None`` when the answer has none."""
        answer = self._session.request(method, f"{self.url}/a{path}", json=body, auth=(user, password), timeout=60)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        text = answer.text.removeprefix(")]}'\n")
        return json.loads(text) if text.strip() else None

    def create_project(self, name: str, *, branch: str = "master", empty: bool = False, parent: str = "") -> None:
        """A project whose HEAD is ``branch``.

        :param empty: without a first commit, so without that branch
        """
        body: dict[str, object] = {"create_empty_commit": not empty, "branches": [branch]}
        self.api("PUT", f"/projects/{quoted(name)}", body | ({"parent": parent} if parent else {}))

    def create_account(self, name: str, password: str, *groups: str) -> None:
        body = {"name": name, "email": f"{name}@example.com", "http_password": password, "groups": list(groups)}
        self.api("PUT", f"/accounts/{quoted(name)}", body)

    def permit(
        self, project: str, permission: str, action: str, *, group: str = REGISTERED, ref: str = "refs/*"
    ) -> None:
        """Set one rule: ``permit("secret", "read", "DENY", group=ANONYMOUS)``. DENY is exclusive."""
        rule = {"rules": {group: {"action": action}}, "exclusive": action == "DENY"}
        self.api("POST", f"/projects/{quoted(project)}/access", {"add": {ref: {"permissions": {permission: rule}}}})

    def create_label(self, project: str, name: str, *, low: int = -1, high: int = 1) -> None:
        """A label for votes from ``low`` to ``high``, which nobody may give yet. New projects have ``Code-Review``."""
        values = {f"{value:+d}" if value else " 0": f"value {value}" for value in range(low, high + 1)}
        self.api("PUT", f"/projects/{quoted(project)}/labels/{quoted(name)}", {"values": values})

    def permit_label(self, project: str, name: str, low: int, high: int, *, group: str = REGISTERED) -> None:
        rule = {"label": name, "rules": {group: {"action": "ALLOW", "min": low, "max": high}}}
        add = {"add": {"refs/heads/*": {"permissions": {f"label-{name}": rule}}}}
        self.api("POST", f"/projects/{quoted(project)}/access", add)

    def push(
        self,
        project: str,
        files: Mapping[str, str | bytes | None],
        *,
        ref: str | Sequence[str] = "refs/heads/master",
        base: str = "refs/heads/master",
        message: str = "Change",
        links: Mapping[str, str] | None = None,
        user: str = ADMIN,
        password: str = PASSWORD,
    ) -> str:
        """Push one commit on top of ``base`` (``""``: on nothing), and return its SHA-1.

        :param files: contents by path; ``None`` removes one
        :param links: symbolic links by path
        :param ref: ``refs/for/master`` makes a change (the message then needs a ``Change-Id:``); several get the same
            commit one after the other
        """
        work = self.folder / "work" / f"{time.monotonic_ns()}"
        url = f"{self.url}/a/{quote(project)}"
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        env = {
            **os.environ,
            **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _person(user)},
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {token}",
            "GIT_TERMINAL_PROMPT": "0",
        }

        def git(*words: str) -> str:
            return run(["git", "-C", work, *words], env=env, timeout=120).stdout.strip()

        work.mkdir(parents=True)
        git("init", "-q", "-b", "work")
        if base:
            git("fetch", "-q", "--depth=1", url, base)
            git("checkout", "-q", "-B", "work", "FETCH_HEAD")
        for path, data in files.items():
            target = work / path
            if data is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data.encode() if isinstance(data, str) else data)
        for path, where in (links or {}).items():
            (work / path).symlink_to(where)
        git("add", "-A")
        git("commit", "-q", "--allow-empty", "-m", message)
        for where in [ref] if isinstance(ref, str) else ref:
            git("push", "-q", url, f"HEAD:{where}")
        return git("rev-parse", "HEAD")


def _person(user: str) -> list[tuple[str, str]]:
    return [("NAME", user), ("EMAIL", f"{user}@example.com")]


def quoted(name: str) -> str:
    return quote(name, safe="")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_gerrit(folder: Path, **config: str) -> Iterator[Gerrit]:
    """Make a site in ``folder`` and run it until the block ends.

    :param config: more of ``gerrit.config``, with ``__`` for the dot
    """
    jars = Path(subprocess.run([_TOOL, "gerrit"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
    site = folder / "site"
    log_config = folder / "log4j.properties"
    log_config.write_text(_LOG4J)
    classes = ":".join(str(jar) for jar in [*sorted(jars.glob("*.jar")), *_DEBIAN])
    gerrit = [*_JAVA, f"-Dlog4j.configuration=file:{log_config}", "-cp", classes]
    gerrit.append("com.google.gerrit.launcher.GerritLauncher")
    run([*gerrit, "init", "--batch", "--dev", "--no-auto-start", "--skip-plugins", "-d", site], timeout=120)
    server = Gerrit(folder, _free_port(), _free_port())
    for key, value in {
        "gerrit.canonicalWebUrl": f"{server.url}/",
        "httpd.listenUrl": f"{server.url}/",
        "sshd.listenAddress": f"127.0.0.1:{server.ssh_port}",
        "sendemail.enable": "false",
        **{key.replace("__", "."): value for key, value in config.items()},
    }.items():
        run(["git", "config", "-f", site / "etc" / "gerrit.config", key, value])
    log = folder / "gerrit.log"
    with log.open("wb") as out:
        daemon = spawn([*gerrit, "daemon", "--console-log", "-d", str(site)], stdout=out, stderr=out)
    try:
        _wait_until_up(server, daemon, log)
        yield server
    finally:
        kill_group(daemon)


def _wait_until_up(server: Gerrit, daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert daemon.poll() is None, f"Gerrit ended:\n{log.read_text()[-3000:]}"
        try:
            server.api("GET", "/accounts/self")
        except requests.ConnectionError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"Gerrit does not come up:\n{log.read_text()[-3000:]}")
