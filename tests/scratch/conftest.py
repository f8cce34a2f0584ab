"""One real image for all tests that look into it, and the means to look."""

from __future__ import annotations

import pytest

from jenkins_ami.paths import cache_dir
from jenkins_ami.process import run, which
from jenkins_ami.progress import Progress
from jenkins_ami.scratch.image import ScratchImage, build_image
from jenkins_ami.scratch.layout import Layout
from jenkins_ami.scratch.spec import Spec


class Look:
    """Reads an image with the tools that made it."""

    def __init__(self, image: ScratchImage, spec: Spec) -> None:
        self.image = image
        self.layout = Layout(spec.size, spec.digest())
        self.filesystem = f"{image.path.name}?offset={self.layout.root.start}"

    def debugfs(self, request: str) -> str:
        """What debugfs answers to one request."""
        argv = [which("debugfs"), "-R", request, self.filesystem]
        return run(argv, cwd=self.image.path.parent).stdout

    def read(self, path: str) -> str:
        """A file's text."""
        return self.debugfs(f"cat {path}")

    def names(self, folder: str) -> set[str]:
        """What is in a folder."""
        lines = self.debugfs(f"ls -p {folder}").splitlines()
        return {line.split("/")[5] for line in lines if line.startswith("/")} - {".", ".."}


@pytest.fixture(scope="session")
def look(tmp_path_factory: pytest.TempPathFactory) -> Look:
    """The default image."""
    output = tmp_path_factory.mktemp("scratch") / "disk.raw"
    return Look(build_image(Spec(), output, cache=cache_dir(), progress=Progress()), Spec())
