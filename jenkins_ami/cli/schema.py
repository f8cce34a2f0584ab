"""Print the JSON Schema of ami.yaml: for an editor's completion and hints, or for a check in any CI."""

from __future__ import annotations

import argparse
import json

from ..progress import Progress
from ..source.schema import ami_yaml
from . import Result


def configure(_parser: argparse.ArgumentParser) -> None:
    """It has no arguments of its own."""


def run(_args: argparse.Namespace, _progress: Progress) -> Result:
    schema = ami_yaml()
    return Result(schema, [json.dumps(schema, indent=2, ensure_ascii=False)])
