"""What ``make package`` makes: it holds all that the program needs, and runs where there is no checkout."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from jenkins_ami import __version__
from jenkins_ami.process import run
from tests.conftest import REPOSITORY

PARTS = ("jenkins_ami", "jobs", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
"""Of the repository, what a distribution is made from."""


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, made as ``make package`` makes them, from a copy of the repository's files."""
    source = tmp_path_factory.mktemp("source")
    for name in PARTS:
        if (REPOSITORY / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / name, source / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(REPOSITORY / name, source)
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", source / "dist", source], timeout=300)
    return source / "dist"


@pytest.fixture(scope="module")
def installed(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in a virtual environment that has the wheel, and what it depends on from the one that runs this."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", folder])
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    # A .pth in a folder that a .pth names is not read: so what is installed here for editing does not count there.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    (wheel,) = distributions.glob("*.whl")
    options = ["--no-deps", "--no-index", "--ignore-installed", "--disable-pip-version-check", "-q"]
    run([sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", *options, wheel], timeout=300)
    return folder / "bin" / "jenkins-ami"


def command(installed: Path, folder: Path, *words: str) -> str:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return run([installed, *words], cwd=folder, env=env, timeout=300).stdout


def test_there_is_a_source_distribution_and_a_wheel_for_any_machine(distributions: Path) -> None:
    assert {path.name for path in distributions.iterdir()} == {
        f"jenkins_ami-{__version__}.tar.gz",
        f"jenkins_ami-{__version__}-py3-none-any.whl",
    }


def test_the_wheel_holds_every_file_of_the_package_as_it_is(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    files = [path for path in _walk(REPOSITORY / "jenkins_ami") if "__pycache__" not in path.parts]
    wanted = {str(path.relative_to(REPOSITORY)): path.read_bytes() for path in files}
    assert held.keys() == wanted.keys()
    assert held == wanted


def _walk(folder: Path) -> list[Path]:
    """All files, also those that a link to a folder leads to."""
    return [Path(root, name) for root, _, names in os.walk(folder, followlinks=True) for name in names]


def test_its_command_runs_without_a_checkout(installed: Path, tmp_path: Path) -> None:
    assert command(installed, tmp_path, "--version") == f"jenkins-ami {__version__}"
    program = [installed.parent / "python", "-c", "import jenkins_ami; print(jenkins_ami.__file__)"]
    assert Path(run(program, cwd=tmp_path).stdout.strip()).is_relative_to(installed.parent.parent)


def test_its_command_compiles_the_same_bytes_as_the_checkouts(installed: Path, tmp_path: Path) -> None:
    source = str(REPOSITORY / "examples" / "web-server")
    command(installed, tmp_path, "compile", source, "one")
    run([sys.executable, "-c", "import jenkins_ami.cli as c; c.entry()", "compile", source, "other"], cwd=tmp_path)
    assert (tmp_path / "one" / "userdata.gz").read_bytes() == (tmp_path / "other" / "userdata.gz").read_bytes()


def test_its_command_has_the_templates_of_new_sources_and_of_jobs(installed: Path, tmp_path: Path) -> None:
    command(installed, tmp_path, "init", "images/new", "--template", "jenkins-agent")
    (tmp_path / "jobs.yaml").write_text(
        "owner: x\nsources: [{folder: images, url: 'https://git.example.com/images'}]\n"
    )
    command(installed, tmp_path, "jobs", "render", "out")
    assert list((tmp_path / "out").rglob("config.xml"))
