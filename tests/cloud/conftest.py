"""The endpoint for tests of what touches the cloud, and an environment that is in a hurry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jenkins_ami.cloud import environments, waiting
from jenkins_ami.cloud.environments import Environment
from jenkins_ami.cloud.session import Cloud

from .server import REGION, Server
from .simulated import SimulatedCloud

FAST = waiting.Pace(state=0.01, state_longest=0.02, console=0.01, console_lag=0.2, settle=0.2, patience=2, capacity=0)


@pytest.fixture(scope="session")
def _endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # the application sets it as well, and for good
        cloud = SimulatedCloud(tmp_path_factory.mktemp("cloud") / "state")
        with cloud.serving() as url:
            yield Server(cloud, url)


@pytest.fixture
def server(_endpoint: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    _endpoint.reset()
    monkeypatch.setattr(waiting, "LOCAL", FAST)
    yield _endpoint
    _endpoint.reset()


@pytest.fixture
def environment(server: Server) -> Environment:
    return replace(
        environments.local(server.endpoint, "http://169.254.169.253", REGION), name="test", storage=None, pace=FAST
    )


@pytest.fixture
def cloud(environment: Environment) -> Iterator[Cloud]:
    with Cloud(environment) as cloud:
        yield cloud


@pytest.fixture(autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody's own credentials and settings take part."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in [name for name in os.environ if name.startswith(("AWS_", "BUILDAMI_", "JENKINS_AMI_"))]:
        monkeypatch.delenv(name)
    return home
