"""The jobs' part of ``make bench``, beside jenkins-job-builder 6.5.0 with the same jobs, server and latency.

The server is the replay of recordings (``tests.jenkins.fake``) in a process of its own, 20 ms a request. Both programs
are whole processes, start-up included. Half of the jobs build an image after merges, half verify changes; for both
programs the folders are there already, except where it is said. Prints; asserts nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
LATENCY = 0.02
WORKERS = 16
JJB = "jenkins-job-builder==6.5.0"
CONFIG = """owner: bench
folder: amis
sources:
- gerrit: https://gerrit.example.com
  prefix: team
  credentials: gerrit-http
"""
JJB_CONFIG = """[jenkins]
url={url}
user={user}
password={token}
query_plugins_info=False
"""
JJB_TEMPLATES = r"""
- defaults:
    name: global
    description: |-
      Image {image}.
      Generated from {repository}.
- job-template:
    name: '{place}/build'
    project-type: pipeline
    display-name: '{repository} build'
    concurrent: false
    properties: &discarder
    - build-discarder: {days-to-keep: -1, num-to-keep: 30, artifact-days-to-keep: -1, artifact-num-to-keep: 10}
    parameters:
    - choice: {name: ENVIRONMENT, description: Where the image goes, choices: [staging, production]}
    - string: {name: VERSION, description: Instead of the one in ami.env, default: ''}
    - bool: {name: REUSE, description: Take an image that is there, default: true}
    triggers:
    - timed: 'H H(1-5) * * *'
    - gerrit:
        server-name: __ANY__
        trigger-on: [change-merged-event]
        projects: &projects
        - project-compare-type: PLAIN
          project-pattern: '{repository}'
          branches: [{branch-compare-type: PLAIN, branch-pattern: main}]
    pipeline-scm:
      scm:
      - git: {url: '{url}', credentials-id: gerrit-http, branches: ['*/main']}
      script-path: Jenkinsfile
      lightweight-checkout: true
- job-template:
    name: '{place}/verify'
    project-type: pipeline
    display-name: '{repository} verify'
    properties: *discarder
    triggers:
    - gerrit:
        server-name: __ANY__
        trigger-on:
        - patchset-created-event: {exclude-drafts: true, exclude-no-code-change: true, exclude-wip: true}
        - comment-added-contains-event: {comment-contains-value: '(?im)^\s*recheck\s*$'}
        projects: *projects
    dsl: |
      node('compile') {{
        checkout scm
        buildAmi source: '.', repository: '{url}', branch: 'main', local: true
      }}
    sandbox: true
"""


# The same jobs for both


@dataclass(frozen=True)
class Source:
    """An AMI source, with its two jobs."""

    repository: str

    @property
    def place(self) -> tuple[str, ...]:
        return ("amis", *self.repository.split("/"))

    @property
    def url(self) -> str:
        return f"https://gerrit.example.com/a/{self.repository}"


def _sources(jobs: int) -> list[Source]:
    return [Source(f"team{number // 50}/image{number:05}") for number in range(jobs // 2)]


def _jjb_definitions(jobs: int) -> str:
    projects = [
        f"- project:\n    name: {source.repository}\n    place: {'/'.join(source.place)}\n    url: {source.url}\n"
        f"    repository: {source.repository}\n    image: {source.place[-1]}\n"
        "    jobs: ['{place}/build', '{place}/verify']\n"
        for source in _sources(jobs)
    ]
    return JJB_TEMPLATES + "".join(projects)


def _desired(jobs: int, work: Path) -> tuple[Any, Any]:
    from jenkins_ami.jobs.config import read_config
    from jenkins_ami.jobs.desired import desired
    from jenkins_ami.jobs.model import Discovery, Found, Repository
    from jenkins_ami.source.model import Identity

    config = read_config(work / "jobs.yaml")
    provider = config.providers[0]
    found = tuple(
        Found(
            Repository(provider, source.repository, source.url, "main", "0" * 40),
            "",
            Identity(source.place[-1], "1.0", "debian-12"),
            "Jenkinsfile",
        )
        for source in _sources(jobs)
    )
    return config, desired(config, Discovery(found))[0]


# Ours, as a process: ``python bench_jobs.py COMMAND JOBS WORK [URL USER TOKEN]``, which prints what came of it


def _render(jobs: int, work: Path) -> dict[str, Any]:
    from jenkins_ami.jobs.model import VIEW

    _, wanted = _desired(jobs, work)
    with (work / f"items{jobs}.json").open("w", encoding="utf-8") as file:
        for item in wanted.items:
            file.write(json.dumps({"path": item.path, "xml": item.xml, "view": item.kind == VIEW}) + "\n")
    return {"items": len(wanted.items)}


def _run(command: str, jobs: int, work: Path, url: str, user: str, token: str) -> dict[str, Any]:
    from jenkins_ami.credentials import Credentials
    from jenkins_ami.jobs.apply import Options, apply
    from jenkins_ami.jobs.connection import Connection
    from jenkins_ami.jobs.run import plan_jobs
    from jenkins_ami.progress import Progress

    config, wanted = _desired(jobs, work)
    connection, progress = Connection(url, Credentials(user, token), workers=WORKERS), Progress()
    plan = plan_jobs(wanted, connection, progress, config=config, verify=command == "verify")
    done = apply(plan, connection, progress, Options(workers=WORKERS)) if command == "apply" else ()
    counts = {name: count for name, count in plan.counts().items() if count}
    failed = [each for each in done if not each.ok]
    if failed:
        raise SystemExit(f"{len(failed)} failed: {failed[0]}")
    return {"requests": connection.requests, "counts": counts}


def _ours(command: str, jobs: int, work: Path, server: Server | None = None) -> tuple[float, dict[str, Any]]:
    """Seconds of the whole process, and what it printed."""
    more = (server.url, server.user, server.token) if server else ()
    argv = [sys.executable, __file__, command, str(jobs), str(work), *more]
    begin = time.perf_counter()
    ran = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True)
    taken = time.perf_counter() - begin
    if ran.returncode:
        raise SystemExit(ran.stdout + ran.stderr)
    return taken, json.loads(ran.stdout.splitlines()[-1])


# The peer


def _install_jjb() -> Path:
    """An interpreter with jenkins-job-builder, in the cache. It needs pkg_resources, which setuptools 81 took away."""
    from jenkins_ami.paths import cache_dir

    venv = cache_dir() / "bench" / JJB.replace("==", "-")
    if not (venv / "complete").exists():
        shutil.rmtree(venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "--quiet", JJB, "setuptools<81"], check=True)
        (venv / "complete").touch()
    return venv / "bin/python"


class Peer:
    """jenkins-job-builder with a cache of its own."""

    def __init__(self, python: Path, work: Path) -> None:
        self.python, self.work = python, work

    def run(self, jobs: int, *words: str, server: Server | None = None) -> float:
        """Seconds of the whole process."""
        definitions, conf = self.work / f"jjb{jobs}.yaml", self.work / "jjb.ini"
        definitions.write_text(_jjb_definitions(jobs))
        place = server or Server("http://127.0.0.1:9", "x", "x")
        conf.write_text(JJB_CONFIG.format(url=place.url, user=place.user, token=place.token))
        environment = {**os.environ, "XDG_CACHE_HOME": str(self.work / "jjb-cache")}
        argv = [str(self.python), "-W", "ignore", "-m", "jenkins_jobs", "--conf", str(conf), *words, str(definitions)]
        if words[-1] == "test":
            argv += ["-o", str(self.work / "jjb-out")]
        begin = time.perf_counter()
        ran = subprocess.run(argv, env=environment, capture_output=True, text=True)
        taken = time.perf_counter() - begin
        if ran.returncode:
            raise SystemExit(ran.stdout + ran.stderr)
        return taken


# The server


@dataclass(frozen=True)
class Server:
    url: str
    user: str
    token: str


@contextmanager
def _server(load: Path | None = None) -> Iterator[Server]:
    argv = [sys.executable, "-m", "tests.jenkins.fake", "--latency", str(LATENCY)]
    argv += ["--load", str(load)] if load else []
    with subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(*process.stdout.readline().split())
        finally:
            process.terminate()


def _post(server: Server, path: str, body: bytes = b"", content_type: str = "text/xml; charset=utf-8") -> None:
    import requests

    headers = {"Content-Type": content_type}
    auth = (server.user, server.token)
    answer = requests.post(server.url + path, body, headers=headers, auth=auth, timeout=60, allow_redirects=False)
    if answer.status_code >= 400:
        raise SystemExit(f"{path}: {answer.status_code}")


def _url(place: tuple[str, ...]) -> str:
    return "".join(f"/job/{name}" for name in place)


def _delete_jobs(server: Server, jobs: int) -> None:
    """Leave the folders."""
    paths = [f"{_url((*source.place, name))}/doDelete" for source in _sources(jobs) for name in ("build", "verify")]
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda path: _post(server, path), paths))


def _drift(server: Server) -> None:
    """A person changes one job in the web page."""
    import requests

    place = _url((*_sources(2)[0].place, "build"))
    answer = requests.get(f"{server.url}{place}/config.xml", auth=(server.user, server.token), timeout=60)
    text = answer.content.decode().replace("version='1.1'", "version='1.0'").replace('version="1.1"', 'version="1.0"')
    changed = text.replace("<scriptPath>Jenkinsfile<", "<scriptPath>other/Jenkinsfile<")
    assert changed != text
    _post(server, f"{place}/config.xml", changed.encode())


# The comparisons


def _compare(name: str, ours: float, peer_name: str, peer: float, remark: str = "") -> None:
    print(
        f"{name:<34} {ours:8.3f} s   {'jenkins-job-builder, ' + peer_name:<40} {peer:8.3f} s   "
        f"{peer / ours:5.1f} x as fast{f'   {remark}' if remark else ''}",
        flush=True,
    )


def _bench_render(work: Path, peer: Peer) -> None:
    ours = min(_ours("render", 1000, work)[0] for _ in range(3))
    _compare("render 1,000 jobs", ours, "test -o", min(peer.run(1000, "test") for _ in range(2)))


def _bench_create(work: Path, peer: Peer) -> None:
    items = work / "items200.json"
    _ours("render", 200, work)
    with _server() as server:
        seconds, result = _ours("apply", 200, work, server)
        print(f"create 200 jobs, their folders too {seconds:8.3f} s   {result['requests']} requests", flush=True)
    runs = []
    for _ in range(3):
        with _server(items) as server:
            _delete_jobs(server, 200)
            runs.append(_ours("apply", 200, work, server))
    with _server(items) as server:
        _delete_jobs(server, 200)
        theirs = peer.run(200, "update", "--workers", str(WORKERS), server=server)
    seconds, result = min(runs, key=lambda run: run[0])
    remark = f"{result['requests']} requests, each job confirmed"
    _compare("create 200 jobs, 16 workers", seconds, "update --workers 16", theirs, remark)


def _bench_unchanged(work: Path, peer: Peer) -> None:
    with _server(work / "items1000.json") as server:
        plain = min((_ours("plan", 1000, work, server) for _ in range(3)), key=lambda each: each[0])
        verify = min((_ours("verify", 1000, work, server) for _ in range(2)), key=lambda each: each[0])
        _drift(server)
        drifted = min((_ours("verify", 1000, work, server) for _ in range(2)), key=lambda each: each[0])
    with _server(work / "items1000.json") as server:
        _delete_jobs(server, 1000)
        update = ("update", "--workers", str(WORKERS))
        peer.run(1000, *update, server=server)
        warm = peer.run(1000, *update, server=server)
        cold = peer.run(1000, "--flush-cache", *update, server=server)
    for name, (seconds, result), (peer_name, theirs) in (
        ("1,000 unchanged jobs", plain, ("warm cache: asks nothing, blind", warm)),
        ("1,000 unchanged jobs", plain, ("cold cache, all posted", cold)),
        ("1,000 unchanged jobs, each read", verify, ("cold cache, all posted", cold)),
        ("one drifted job in 1,000", drifted, ("cold cache, overwrites all", cold)),
    ):
        _compare(name, seconds, peer_name, theirs, f"{result['requests']} requests, {result['counts']}")


def _bench_growth(work: Path) -> None:
    """Linear: ten times the jobs take ten times as long, less what a start takes."""
    start = min(_ours("render", 2, work)[0] for _ in range(3))
    taken = {}
    for jobs in (1000, 10_000):
        render = min(_ours("render", jobs, work)[0] for _ in range(3))
        with _server(work / f"items{jobs}.json") as server:
            plan = min(_ours("plan", jobs, work, server)[0] for _ in range(3))
        taken[jobs] = render - start, plan - start
        print(f"render, plan {jobs:>6,} jobs          {render:8.3f} s {plan:8.3f} s", flush=True)
    for name, few, many in zip(("render", "plan"), taken[1000], taken[10_000], strict=True):
        print(f"{name} of 10,000 jobs takes {many / few:5.1f} x what 1,000 take, start-up apart", flush=True)


def bench_jobs(work: Path) -> None:
    """Rendering, creating, leaving alone and finding drift beside jenkins-job-builder; growth to 10,000 jobs."""
    (work / "jobs.yaml").write_text(CONFIG)
    peer = Peer(_install_jjb(), work)
    _bench_render(work, peer)
    _bench_create(work, peer)
    _bench_unchanged(work, peer)
    _bench_growth(work)


def _main(command: str, jobs: str, work: str, *server: str) -> None:
    place = Path(work)
    result = _render(int(jobs), place) if command == "render" else _run(command, int(jobs), place, *server)
    print(json.dumps(result))


if __name__ == "__main__":
    _main(*sys.argv[1:])
