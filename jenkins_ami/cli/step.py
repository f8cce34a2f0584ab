"""Run the command that $JENKINS_AMI_STEP describes: for steps of Jenkins pipelines, which paste nothing into a shell.

The variable holds one object of JSON, {"command": "build", "arguments": {"target": "ami", "dryRun": true}}. Arguments
have the names of the command's options and positionals; dryRun, dry_run and dry-run are the same. Output, exit code and
$JENKINS_AMI_ERROR_FILE are those of the command.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from ..errors import AmiError, UsageError
from ..progress import Progress
from . import Instead, Parser, Result, commands, parser_of

VARIABLE = "JENKINS_AMI_STEP"

POSITIONAL, FLAG, NUMBER, TEXT, LIST, MAPPING = "positional", "flag", "number", "text", "list", "mapping"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--list", action="store_true", help="print each command and its parameters with their kinds, as JSON"
    )


def run(args: argparse.Namespace, _progress: Progress) -> Result | Instead:
    if args.list:
        listed = {command: {each.name: each.kind for each in parameters(parser_of(command))} for command in commands()}
        return Result(dict(listed), json.dumps(listed, indent=2).splitlines())
    command, arguments = read(os.environ.pop(VARIABLE, None))
    output = {name: True for name in ("json", "verbose", "quiet") if getattr(args, name)}
    return Instead([*command.split(), *words(command, parser_of(command), output | arguments)])


@dataclass(frozen=True)
class Parameter:
    """An argument of a command, as an object of JSON names it.

    :ivar name: of the option without dashes, or of the positional
    :ivar others: names that the option has besides
    """

    name: str
    kind: str
    action: argparse.Action
    others: tuple[str, ...] = ()

    @property
    def several(self) -> bool:
        """Whether it takes a list."""
        if self.kind == POSITIONAL:
            return self.action.nargs in ("*", "+")
        return self.kind in (LIST, MAPPING)

    def words(self, value: Any) -> list[str]:
        """What stands on the command line for ``value``; no text can be taken for anything but this one's value.

        :raises ValueError: with what is wrong with the value
        """
        if value is None:
            return []
        if self.kind == FLAG:
            return self._switch(value)
        if self.action.nargs == "?" and self.action.option_strings and isinstance(value, bool):
            return [f"--{self.name}"] if value else []
        values = self._values(value)
        if self.kind == POSITIONAL:
            if "--" in values:  # argparse drops it, even behind another one
                raise ValueError("is '--': write ./-- for a file of that name")
            return values
        return [f"--{self.name}={each}" for each in values]

    def _switch(self, value: Any) -> list[str]:
        if not isinstance(value, bool):
            raise ValueError(f"is {_said(value)}, not true or false")
        negative = f"--no-{self.name}"
        if value:
            return [f"--{self.name}"]
        return [negative] if negative in self.action.option_strings else []

    def _values(self, value: Any) -> list[str]:
        if self.kind == MAPPING and isinstance(value, dict):
            if any("=" in name for name in value):
                raise ValueError("has a name with '=' in it")
            pairs = [(name, _bool(each)) for name, each in value.items() if each is not None]
            return [f"{_text(name)}={_text(each)}" for name, each in pairs]
        if isinstance(value, list) and self.several:
            return [_text(each) for each in value]
        wanted = {LIST: "a list of texts", MAPPING: "an object of texts", NUMBER: "a number"}.get(self.kind, "a text")
        return [_text(value, wanted)]


def _bool(value: Any) -> Any:
    """``true`` as YAML and Groovy write it, not as Python does."""
    return json.dumps(value) if isinstance(value, bool) else value


def _text(value: Any, wanted: str = "") -> str:
    """A text or a number as a word of a command line.

    :param wanted: what the whole value has to be; empty for one among several
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"is {_said(value)}, not {wanted}" if wanted else f"has {_said(value)} in it, not only texts")
    text = str(value)
    try:
        if b"\0" not in os.fsencode(text):
            return text
    except UnicodeEncodeError:
        raise ValueError("has half a character in it (a lone surrogate)") from None
    raise ValueError("has a NUL in it")


def _said(value: Any) -> str:
    """What a value is; not which: it may be a secret."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return {str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}[type(value)]


def parameters(parser: Parser) -> list[Parameter]:
    """What a command takes, in the order in which its parser has it; without ``--help`` and what help hides."""
    shown = [each for each in parser.arguments if argparse.SUPPRESS not in (each.default, each.help)]
    return [_parameter(action) for action in shown]


def _parameter(action: argparse.Action) -> Parameter:
    if not action.option_strings:
        return Parameter(_plain(action.dest), POSITIONAL, action)
    if action.nargs not in (None, 0, "?") and not isinstance(action, argparse._AppendAction):
        raise TypeError(f"{action.option_strings[-1]}: what takes several values must take the option again for each")
    name, *others = (_plain(each.lstrip("-")) for each in sorted(action.option_strings, key=_plainness))
    return Parameter(name, _kind(action), action, tuple(each for each in others if each != f"no-{name}"))


def _plainness(option: str) -> tuple[bool, bool]:
    """Long names before short ones, and before what switches them off."""
    return not option.startswith("--"), option.startswith("--no-")


def _kind(action: argparse.Action) -> str:
    if action.nargs == 0:
        return FLAG
    if isinstance(action, argparse._AppendAction):
        pairs = isinstance(action.metavar, str) and "=" in action.metavar
        return MAPPING if pairs else LIST
    return NUMBER if _makes_number(action) else TEXT


def _makes_number(action: argparse.Action) -> bool:
    """Whether digits become a number: types are functions of the commands, ``int`` within limits for example."""
    if callable(action.type):
        for digits in ("1", "1000"):
            with contextlib.suppress(AmiError, argparse.ArgumentTypeError, ValueError):
                return isinstance(action.type(digits), int | float)
    return False


def read(text: str | None) -> tuple[str, dict[str, Any]]:
    """The command and the arguments that the variable describes.

    :raises UsageError: it is not set, or holds something else
    """
    if text is None:
        raise UsageError(
            f"{VARIABLE} is not set", hint='It holds what to run, like {"command": "validate", "arguments": {}}'
        )
    try:
        found = json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise UsageError(f"{VARIABLE} is no object with 'command' and 'arguments'") from None
    except ValueError as error:
        raise UsageError(f"{VARIABLE} is no JSON: {error}") from error
    match found:
        case {"command": str(command), **rest} if rest.keys() <= {"arguments"}:
            arguments = rest.get("arguments") or {}
            if isinstance(arguments, dict):
                return command, arguments
    raise UsageError(f"{VARIABLE} is no object with 'command' and 'arguments'")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def words(command: str, parser: Parser, arguments: Mapping[str, Any]) -> list[str]:
    """The command line behind ``command`` that says what ``arguments`` say.

    :raises UsageError: a name is unknown or there twice, or a value is of another kind
    """
    known = parameters(parser)
    by_name = {name: each for each in known for name in (each.name, *each.others)}
    given: dict[str, Any] = {}
    for said, value in arguments.items():
        parameter = by_name.get(said) or by_name.get(_plain(said))
        if parameter is None:
            close = difflib.get_close_matches(_plain(said), list(by_name), 1)
            hint = f"Did you mean '{close[0]}'" if close else f"It has: {', '.join(each.name for each in known)}"
            raise UsageError(f"{command} has no parameter '{said}'", hint=hint)
        if parameter.name in given:
            raise UsageError(f"{command} has '{parameter.name}' twice", hint=f"One of them is called '{said}'")
        given[parameter.name] = value
    made = {each.name: _words(command, each, given.get(each.name)) for each in known}
    options = [word for each in known if each.kind != POSITIONAL for word in made[each.name]]
    positionals = [(each, made[each.name]) for each in known if each.kind == POSITIONAL]
    missing = ""
    for parameter, found in positionals:
        if found and missing:
            raise UsageError(f"{command} needs '{missing}' when there is '{parameter.name}'")
        if not found:
            missing = missing or parameter.name
    behind = [word for _, found in positionals for word in found]
    return [*options, "--", *behind] if behind else options


def _words(command: str, parameter: Parameter, value: Any) -> list[str]:
    try:
        return parameter.words(value)
    except ValueError as error:
        raise UsageError(f"{command}: '{parameter.name}' {error}") from None


def _plain(name: str) -> str:
    """``dryRun`` and ``dry_run`` as ``dry-run``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).replace("_", "-").lower()
