from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jenkins_ami.errors import HostError
from jenkins_ami.localcloud.client import LocalCloud, running_cloud
from jenkins_ami.localcloud.server import endpoint_of
from jenkins_ami.progress import Progress
from tests.localcloud.conftest import Cloud, client, until
from tests.localcloud.test_server import alive, launched

HOLD = """
import sys, time; from pathlib import Path
from jenkins_ami.localcloud.client import running_cloud; from jenkins_ami.progress import Progress
with running_cloud(Path(sys.argv[1]), Progress()) as cloud:
    print(cloud.endpoint, flush=True)
    time.sleep(600)
"""


def server_pid(state: Path) -> int:
    return int(json.loads((state / "endpoint.json").read_text())["pid"])


def test_a_cloud_is_started_and_ends_with_its_last_user_and_its_machines_with_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running_cloud(state, Progress()) as first:
        assert first == LocalCloud(first.endpoint, "http://169.254.169.253", "us-east-1", state)
        with running_cloud(state, Progress()) as second:
            assert second == first
        pid = server_pid(state)
        _, _, machine = launched(first.endpoint, state)
        assert alive(pid)
    until(lambda: not alive(pid))
    assert not alive(machine)
    assert endpoint_of(state) is None
    assert not list((state / "disks").glob("vol-*"))


def test_a_killed_user_counts_no_more(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with subprocess.Popen([sys.executable, "-c", HOLD, state], stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout and user.stdout.readline().startswith("http://127.0.0.1:")
        pid = server_pid(state)
        user.send_signal(signal.SIGKILL)
        until(lambda: not alive(pid))


def test_a_cloud_outlives_the_one_who_started_it_while_others_use_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with subprocess.Popen([sys.executable, "-c", HOLD, state], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout and starter.stdout.readline()
        with running_cloud(state, Progress()) as cloud:
            pid = server_pid(state)
            starter.kill()
            starter.wait()
            instance = launched(cloud.endpoint, state)[1]
            threading.Event().wait(3)  # longer than a server without users stays
            assert client(cloud.endpoint, "ec2").describe_instances(InstanceIds=[instance])
            assert alive(pid)
    until(lambda: not alive(pid))


def test_many_who_start_at_once_share_one_cloud(tmp_path: Path) -> None:
    state = tmp_path / "state"
    users = [subprocess.Popen([sys.executable, "-c", HOLD, state], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    try:
        endpoints = {user.stdout.readline() for user in users if user.stdout}
        assert len(endpoints) == 1 and endpoints != {""}
        pid = server_pid(state)
    finally:
        for user in users:
            user.kill()
            user.communicate()
    until(lambda: not alive(pid))


def test_a_cloud_that_runs_already_is_joined_and_stays(cloud: Cloud) -> None:
    with running_cloud(cloud.store.state, Progress()) as joined:
        assert joined.endpoint == cloud.server.endpoint
    assert endpoint_of(cloud.store.state) is not None


def test_a_file_that_names_anothers_port_is_not_believed(cloud: Cloud, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "endpoint.json").write_text((cloud.store.state / "endpoint.json").read_text())
    with running_cloud(other, Progress()) as own:
        assert own.endpoint != cloud.server.endpoint
        pid = server_pid(other)
    until(lambda: not alive(pid))


def test_a_server_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    (tmp_path / "broken" / "moto").mkdir(parents=True)
    (tmp_path / "broken" / "moto" / "__init__.py").touch()
    expected = (
        r"the local cloud did not start: the local cloud needs moto's server: No module named 'moto\.core'\. "
        r"Install it: pip install 'jenkins-ami\[local\]'$"
    )
    with pytest.raises(HostError, match=expected):
        with running_cloud(tmp_path / "state", Progress()):
            raise AssertionError
    assert not (tmp_path / "state" / "endpoint.json").exists()
