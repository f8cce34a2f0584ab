"""The Jenkins for tests of the jobs room: a live one when the environment names it, else the replay of recordings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.jenkins.fake import FakeJenkins
from tests.jenkins.live import FOLDER_XML, LiveJenkins


@pytest.fixture
def fake() -> Iterator[FakeJenkins]:
    """The replay alone, for what cannot be asked of a live server: latency, lost answers, restarts, other people."""
    with FakeJenkins() as server:
        yield server


@pytest.fixture
def jenkins() -> Iterator[FakeJenkins | LiveJenkins]:
    """A Jenkins with a folder to work in: ``url``, ``user``, ``token``, ``folder``.

    A live one's folder is a new one, deleted at the end; the replay's is there as well, so that tests need not differ.
    """
    if LiveJenkins.is_set():
        with LiveJenkins() as live:
            yield live
    else:
        with FakeJenkins() as server:
            server.create(server.folder, FOLDER_XML)
            yield server
