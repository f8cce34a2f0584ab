"""An image that was built, at the endpoint of tests, and how it is distributed from there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from jenkins_ami.artifacts import AMI_JSON, LEDGER, BuildResult, ImageRecord, to_json
from jenkins_ami.cloud.environments import Environment
from jenkins_ami.cloud.ledger import Ledger
from jenkins_ami.distribute.run import distribute
from jenkins_ami.progress import Progress
from tests.cloud.conftest import _endpoint, _home, cloud, environment, server
from tests.cloud.proxy import Proxy
from tests.cloud.server import REGION, Server

__all__ = ["_endpoint", "_home", "cloud", "environment", "server"]

BUILD = "b1"
TAGS = {
    "Name": "web",
    "Version": "1.4.0",
    "Build": "3",
    "team": "infra",
    "jenkins-ami:name": "web",
    "jenkins-ami:build": BUILD,
    "jenkins-ami:input": "f00d",
}


@dataclass
class Built:
    """The image, the folder that its build wrote, and the regions that it is in. All calls go through the proxy."""

    server: Server
    proxy: Proxy
    environment: Environment
    folder: Path
    result: BuildResult

    @property
    def image_id(self) -> str:
        return self.result.images[REGION].image_id

    def settle(self, **settings: Any) -> None:
        """Have the environment want this."""
        self.environment = replace(self.environment, **settings)

    def distribute(self, *regions: str, **options: Any) -> BuildResult:
        """As ``build`` and ``distribute`` do."""
        with Ledger(self.folder / LEDGER) as ledger:
            self.result = distribute(
                self.result,
                self.environment,
                self.folder,
                ledger,
                Progress(),
                regions=regions,
                **{"seconds": 30.0, **options},
            )
        return self.result

    def images(self, region: str) -> list[Any]:
        return list(self.server.cloud.backend(region).amis.values())

    def snapshots(self, region: str) -> list[Any]:
        return list(self.server.cloud.backend(region).snapshots.values())

    def tags(self, region: str, resource: str) -> dict[str, str]:
        return dict(self.server.cloud.backend(region).tags[resource])

    def let_pending_be(self, state: str = "available") -> None:
        """Whatever copy is pending comes to this state at its next look."""
        for image in self.server.cloud.simulation.images.values():
            image.states[:] = [] if state == "available" else [state] * 2

    def changes(self, work: Callable[[], object]) -> list[str]:
        """The calls that ``work`` makes and that change something, in order of their names."""
        self.proxy.calls.clear()
        work()
        return sorted(f"{call.action} {call.region}" for call in self.proxy.calls if call.changes)


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.endpoint) as proxy:
        yield proxy


@pytest.fixture
def built(server: Server, proxy: Proxy, environment: Environment, tmp_path: Path) -> Built:
    image = server.image("web-1.4.0-3", TAGS, description="A web server")
    (snapshot,) = server.snapshots
    result = BuildResult(
        name="web",
        version="1.4.0",
        build=3,
        image_name="web-1.4.0-3",
        images={REGION: ImageRecord(image, (snapshot.id,))},
        base="ami-0123456789abcdef0",
        environment="test",
        region=REGION,
        instance_id="i-0123456789abcdef0",
        instance_type="t3.small",
        verdict="OK",
        userdata_sha256="0",
        digest="0",
        created="2026-11-29T10:00:00+00:00",
        input="f00d",
    )
    (tmp_path / AMI_JSON).write_text(to_json(result))
    # Unencrypted, so that what is not about keys needs none.
    return Built(server, proxy, replace(environment, endpoint=proxy.url, encrypted=False), tmp_path, result)
