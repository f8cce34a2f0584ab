"""Checks of a source that lies in files, and the findings as lines that begin at the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from jenkins_ami.compile.checks import check
from jenkins_ami.compile.members import scan
from jenkins_ami.compile.parts import load_parts
from jenkins_ami.findings import Finding, Findings
from jenkins_ami.source.parameters import Values
from jenkins_ami.source.reader import read_source

Check = Callable[..., list[Finding]]


def check_folder(root: Path, thorough: bool = False) -> list[Finding]:
    """What :func:`check` finds; reading the source has to find nothing."""
    source, findings = read_source(root), Findings()
    parts = load_parts(source, root, Values({}, {}), findings)
    members = scan(source, root, findings)
    assert findings.items == []
    check(parts, source, root, members, findings, thorough=thorough)
    return findings.items


def lines(findings: list[Finding], root: Path) -> list[str]:
    """``rule level place: what. hint.``"""
    return [
        f"{one.rule} {one.level} {str(one.where).removeprefix(f'{root}/')}: {one.what}."
        + (f" {one.hint}." if one.hint else "")
        for one in findings
    ]


@pytest.fixture
def found(make_source: Callable[..., Path]) -> Callable[..., list[str]]:
    """``found({"cloudinit/10_a.yml": …})``: the findings of that source as lines."""

    def run(files: Mapping[str, str | bytes], *, thorough: bool = False) -> list[str]:
        root = make_source({"cloudinit/99_last.yml": "#cloud-config\npackages: [curl]\n", **files})
        return lines(check_folder(root, thorough), root)

    return run
