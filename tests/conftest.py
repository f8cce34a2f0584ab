"""Fixtures for all tests: AMI sources, the command line, cloud-init itself, the base image, a local cloud's state."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from jenkins_ami.cli import main
from jenkins_ami.paths import cache_dir
from tests.cloud_init_package import cloud_init_package
from tests.compile.reading import Judge
from tests.gerrit_server import Gerrit, running_gerrit
from tests.jenkins.live import describe

# A run that was started in the background (`&`, nohup, some CI) ignores these signals, and so would all that it starts.
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


def pytest_report_header() -> str:
    return describe()


REPOSITORY = Path(__file__).parent.parent
EXAMPLES = REPOSITORY / "examples"

MakeSource = Callable[..., Path]


@pytest.fixture
def make_source(tmp_path: Path) -> MakeSource:
    """Write an AMI source: ``make_source({"cloudinit/10_x.yml": "..."})``; ami.env comes with it unless given."""

    def make(files: Mapping[str, str | bytes] | None = None, *, name: str = "source", env: str | None = None) -> Path:
        root = tmp_path / name
        content: dict[str, str | bytes] = {"ami.env": env or "NAME=test\nVERSION=1.0\nBASE=scratch\n"}
        content.update(files if files is not None else {"cloudinit/10_a.yml": '#cloud-config\nruncmd: ["true"]\n'})
        for path, text in content.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text if isinstance(text, bytes) else text.encode())
        return root

    return make


class Cli:
    """Runs the command line in this process and keeps what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *argv: str | Path) -> int:
        code = main([str(word) for word in argv])
        self.out, self.err = self._capsys.readouterr()
        return code

    @property
    def error(self) -> str:
        """The one line that begins with ``error:``."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("error: ")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@pytest.fixture(scope="session")
def cloud_init() -> Path:
    """The folder that holds the package ``cloudinit``."""
    return cloud_init_package()


@pytest.fixture(scope="session")
def judge(cloud_init: Path, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """cloud-init's own reading of user-data, in this process."""
    return Judge(cloud_init, tmp_path_factory.mktemp("judge"))


@pytest.fixture(scope="session")
def gerrit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gerrit]:
    """The Gerrit of this session. Tests that use it are of the group ``gerrit``, so that one worker starts it."""
    with running_gerrit(tmp_path_factory.mktemp("gerrit")) as server:
        yield server


@pytest.fixture(scope="session")
def local_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a local cloud, shared by all tests (and workers) of a run, with the base image in it.

    ``bake --local`` makes the base image when it is missing; here it is asked for before any test's clock
    runs. The package set comes from the ordinary cache, so only the first run on a machine downloads it.
    """
    from jenkins_ami.cli.local import local_environment
    from jenkins_ami.progress import Progress

    base = tmp_path_factory.getbasetemp()
    state = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "local-cloud"
    with local_environment(state, Progress(), base="scratch"):
        pass
    return state


@pytest.fixture(scope="session")
def base_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bootable Debian from the default scratch spec, as a raw disk. Its packages come from the usual cache."""
    from jenkins_ami.progress import Progress
    from jenkins_ami.scratch.image import build_image
    from jenkins_ami.scratch.spec import load_spec

    path = tmp_path_factory.mktemp("base") / "base.raw"
    return build_image(load_spec(None), path, cache=cache_dir(), progress=Progress()).path
