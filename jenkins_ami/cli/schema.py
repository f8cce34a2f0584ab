"""Print the JSON Schema of a file: for an editor's completion and hints, or for a check in any CI.

ami.yaml        of an AMI source (default)
compile.json    what compile writes
ami.json        what build writes
"""

from __future__ import annotations

import argparse
import json

from ..artifacts import AMI_JSON, COMPILE_JSON
from ..exports import compiled_schema, schema
from ..progress import Progress
from ..source.schema import ami_yaml
from . import Result

_SCHEMAS = {"ami.yaml": ami_yaml, COMPILE_JSON: compiled_schema, AMI_JSON: schema}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", nargs="?", choices=_SCHEMAS, default="ami.yaml", help=f"one of {', '.join(_SCHEMAS)}"
    )


def run(args: argparse.Namespace, _progress: Progress) -> Result:
    found = _SCHEMAS[args.file]()
    return Result(found, [json.dumps(found, indent=2, ensure_ascii=False)])
