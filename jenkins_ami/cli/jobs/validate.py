"""Check jobs.yaml, the AMI sources that it leads to, and every config.xml made of them; or config.xml files.

Asks no Jenkins. Exits with 2 when there is an error.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from ...compile.formats import as_json, as_text
from ...errors import InputError, Location
from ...findings import ERROR, Finding, Findings
from ...jobs.check import check_xml
from ...jobs.output import file_of
from ...progress import Progress
from ...yamlfile import decode
from .. import Result
from .common import add_config, config_of, wanted_of

LARGEST = 10_000_000
"""Bytes of a config.xml that is looked at."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", metavar="CONFIG.XML", nargs="*", type=Path, help="files, or folders of them, instead of jobs.yaml"
    )
    add_config(parser)


def run(args: argparse.Namespace, progress: Progress) -> Result:
    found = _of_files(args.files) if args.files else _of_config(args, progress)
    code = InputError.exit_code if any(one.level == ERROR for one in found) else 0
    return Result(as_json(found), as_text(found), code)


def _of_config(args: argparse.Namespace, progress: Progress) -> list[Finding]:
    wanted = wanted_of(args, config_of(args), progress, tell=False)
    found = list(wanted.findings)
    found += [
        Finding("discovery", ERROR, f"{one.provider.name}: {one.what}", one.provider.where)
        for one in wanted.discovery.failures
    ]
    for item in wanted.desired.items:
        found += check_xml(item.xml, item.kind, Location(str(file_of(item))))
    return found


def _of_files(paths: list[Path]) -> list[Finding]:
    found = Findings()
    for path in paths:
        files = sorted(path.rglob("config.xml")) if path.is_dir() else [path]
        if not files:
            found.error("config.xml", "there is no config.xml in it", Location(path))
        for file in files:
            with found.catch("config.xml"):
                for finding in _of_file(file):
                    found.add(finding)
    return found.items


def _of_file(file: Path) -> Iterator[Finding]:
    try:
        if file.stat().st_size > LARGEST:
            raise InputError(f"larger than {LARGEST:,} bytes", where=file)
        text = decode(file.read_bytes(), file)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=file) from error
    yield from check_xml(text, "", Location(file))
