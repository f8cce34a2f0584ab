"""``tools/groovy-lint.sh``: npm-groovy-lint with this repository's rules."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from jenkins_ami.process import run

from .conftest import ROOT

pytestmark = pytest.mark.groovy

SCRIPT = ROOT / "tools" / "groovy-lint.sh"
GOOD = """\
import groovy.transform.Field

@Field static final Map DEFAULTS = [name: 'x']

def call(Map config = [:]) {
    Map cfg = DEFAULTS + config
    node { sh 'echo "${HOME}"' }
    return cfg.findAll { it.value }
}
"""


WRONG = {
    "UnusedVariable": GOOD.replace("    node", "    String unused = 'x'\n    node"),
    "LineLength": GOOD.replace("'x'", f"'{'x' * 120}'"),
    "Indentation": GOOD.replace("    node", "      node"),
    "NglParseError": GOOD.replace("return", "return }"),
}
"""An error, a warning, an info, and what is no Groovy."""


def test_a_step_as_they_are_written_here_passes_and_no_network_is_needed(tmp_path: Path) -> None:
    source = tmp_path / "goodAmi.groovy"
    source.write_text(GOOD)
    alone = ("bwrap", "--dev-bind", "/", "/", "--unshare-net")
    done = run([*alone, SCRIPT, source], check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_whatever_is_found_is_told_and_fails(tmp_path: Path) -> None:
    for rule, text in WRONG.items():
        (tmp_path / f"{rule}.groovy").write_text(text)
    done = run([SCRIPT, *sorted(tmp_path.iterdir())], check=False, timeout=300)
    assert done.returncode == 1
    found = {Path(section.splitlines()[0]).stem: section for section in re.split(r"(?m)^(?=/)", done.stdout)[1:]}
    assert found.keys() == WRONG.keys()
    assert [rule for rule, section in found.items() if f"  {rule}" not in section] == []


def test_every_rule_that_is_set_is_one_of_its_rules() -> None:
    folder = Path(run([SCRIPT, "install"]).stdout.strip(), "node_modules", "npm-groovy-lint", "lib")
    known = json.loads((folder / ".groovylintrc-all.json").read_text())["rules"]
    ours = json.loads(re.sub(r"(?m)^ *//.*", "", (ROOT / ".groovylintrc.json").read_text()))["rules"]
    assert ours.keys() - known.keys() == set()
