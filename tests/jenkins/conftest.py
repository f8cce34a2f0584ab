"""A fake Jenkins, and a client for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .fake import FakeJenkins
from .recorded import Client


@pytest.fixture
def fake() -> Iterator[FakeJenkins]:
    with FakeJenkins() as server:
        yield server


@pytest.fixture
def client(fake: FakeJenkins) -> Iterator[Client]:
    client = Client(fake)
    yield client
    client.close()
