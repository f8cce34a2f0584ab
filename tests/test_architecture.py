"""The rooms and the arrows of docs/architecture.md, held against the imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "jenkins_ami"
GROUND = {
    "errors",
    "progress",
    "process",
    "paths",
    "yamlfile",
    "artifacts",
    "findings",
    "supervise",
    "folders",
    "web",
    "credentials",
    "exports",
    "forms",
    "verification",
}
MAY_IMPORT = {
    "errors": set(),
    "progress": set(),
    "paths": set(),
    "process": {"errors"},
    "supervise": {"errors", "process"},
    "yamlfile": {"errors", "findings"},
    "findings": {"errors"},
    "artifacts": {"errors"},
    "folders": {"errors"},
    "web": {"errors", "credentials"},
    "credentials": {"errors"},
    "exports": {"errors", "artifacts"},
    "forms": {"errors", "artifacts", "yamlfile"},
    "verification": {"errors", "artifacts"},
    "verdict": {"artifacts"},
    "source": GROUND,
    "cloud": GROUND,
    "compile": GROUND | {"source", "verdict"},
    "build": GROUND | {"cloud", "verdict"},
    "distribute": GROUND | {"cloud"},
    "scratch": GROUND,
    "localcloud": GROUND | {"verdict"},
    "jobs": GROUND | {"source"},
    "verify": GROUND | {"source", "compile"},
    "gerrit": GROUND,
    "report": GROUND | {"cloud", "verdict"},
}
MAY_IMPORT["cli"] = set(MAY_IMPORT)
ONLY_IN = {"boto3": {"cloud"}, "botocore": {"cloud"}, "moto": {"localcloud"}, "subprocess": {"process"}}


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


def imports_of(path: Path) -> list[tuple[str, int]]:
    """Absolute dotted names of all imports, those inside functions and for types included."""
    here = ("jenkins_ami", *path.relative_to(PACKAGE).parts[:-1])
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            if module == "jenkins_ami":
                found += [(f"{module}.{alias.name}", node.lineno) for alias in node.names]
            else:
                found.append((module, node.lineno))
    return found


FILES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.name not in ("__init__.py", "__main__.py")
)


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_a_room_imports_only_what_its_arrows_allow(path):
    room = room_of(path)
    for name, line in imports_of(path):
        top, _, rest = name.partition(".")
        if top == "jenkins_ami":
            other = rest.split(".")[0]
            if other not in ("", "__version__", room):
                assert other in MAY_IMPORT[room], f"{path}:{line}: {room} must not import {other}"
        elif top in ONLY_IN:
            assert room in ONLY_IN[top], f"{path}:{line}: only {ONLY_IN[top]} may import {top}"


def test_every_room_has_its_arrows():
    rooms = {room_of(path) for path in FILES}
    assert rooms == set(MAY_IMPORT)


def test_the_architecture_page_names_every_room():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    missing = [room for room in MAY_IMPORT if f"`{room}" not in page]
    assert missing == []


@pytest.mark.parametrize("command", ["--help", "compile --help", "scratch --help"])
def test_help_and_compile_start_without_the_heavy_libraries(command):
    code = (
        "import sys; from jenkins_ami.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "heavy = {'boto3', 'botocore', 'moto', 'rich', 'requests', 'jinja2', 'werkzeug'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *command.split()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
