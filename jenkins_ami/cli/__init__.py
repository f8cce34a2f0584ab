"""The command line: find the command, import only its module, print its result, turn errors into exit codes.

A command module has ``configure(parser)``, which adds its arguments, and ``run(args, progress) -> Result``. It parses,
calls one room and prints; it decides nothing. A group of commands (``jobs plan``, ``jobs apply``) is a package with
``ACTIONS``, a table like :data:`COMMANDS`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NamedTuple, NoReturn

from .. import __version__
from ..errors import AmiError, Interrupted, UsageError, one_line, visible
from ..findings import InvalidSource, Problems
from ..progress import NORMAL, QUIET, VERBOSE, Progress, for_stream

COMMANDS = {
    "init": ("init", "write a new AMI source"),
    "validate": ("validate", "check an AMI source, and tell all that is wrong with it"),
    "compile": ("compile", "turn an AMI source into user-data (no cloud)"),
    "build": ("build", "turn a compiled AMI into an image (no source)"),
    "bake": ("bake", "compile and build in one go"),
    "distribute": ("distribute", "bring an image to its regions, and to those who may launch it"),
    "boot": ("boot", "boot a disk image or a local AMI, show its console, run its tests"),
    "scratch": ("scratch", "make a bootable base image without booting anything"),
    "local-cloud": ("local_cloud", "an EC2 and S3 endpoint on loopback, with real machines behind it"),
    "explain": ("explain", "say which file and line gave each value of the cloud-config"),
    "diff": ("diff", "show what changed between two compiled AMIs"),
    "verify": ("verify", "verify a commit: check, compile, compare and boot the AMI sources that it touches"),
    "schema": ("schema", "print the JSON Schema of ami.yaml, compile.json or ami.json"),
    "cleanup": ("cleanup", "end what a killed build left in the cloud"),
    "gc": ("gc", "sweep what builds left in the cloud and what has outlived its expiry"),
    "images": ("images", "the account's own images: list, prune, show, tree ..."),
    "iam-policy": ("iam_policy", "print the least rights that a build needs, for the options in use"),
    "jobs": ("jobs", "the Jenkins jobs of all AMI sources: plan, apply, render ..."),
    "gerrit": ("gerrit", "reviews in Gerrit: what 'verify' found, on the change"),
    "report": ("report", "write a page about a build or a verification"),
    "step": ("step", "run the command that $JENKINS_AMI_STEP describes, for a step of a Jenkins pipeline"),
}
"""Each command: its module in this package and its line of help."""

EXIT_CODES = """\
exit codes: 0 ok, 1 usage or this host, 2 input file, 3 storage or size, 4 compile.sh failed or instance timed out,
5 image timed out, 6 the instance reported failure, 7 the cloud refused, 8 the plan differs, 130 interrupted
"""


ERROR_FILE = "JENKINS_AMI_ERROR_FILE"
"""Names a file that gets the error line too, for a caller that has to show why: a Jenkins step."""


@dataclass(frozen=True)
class Result:
    """What a command came to: ``data`` for ``--json``, ``lines`` for people.

    :ivar problem: why ``code`` is not 0 though there is a result; one line, for :data:`ERROR_FILE`
    :ivar errors: what failed, each a line, of something that succeeded in other parts; for stderr too
    """

    data: dict[str, object] = field(default_factory=dict)
    lines: Sequence[str] = ()
    code: int = 0
    problem: str = ""
    errors: Sequence[str] = ()


@dataclass(frozen=True)
class Instead:
    """What a command returns when another command line is meant: that one runs, and its exit code counts."""

    words: Sequence[str]


class _Chosen(NamedTuple):
    """A command, and what it is to parse with its parser."""

    module: Any
    parser: Parser
    arguments: Sequence[str]


class Parser(argparse.ArgumentParser):
    """argparse that raises :class:`UsageError` instead of leaving the process with 2."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"See '{self.prog} --help'")

    @property
    def arguments(self) -> Sequence[argparse.Action]:
        """What it takes, in the order in which it was added: options, and positionals."""
        return self._actions


def _common(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="result as one JSON object, progress as JSON lines")
    group.add_argument("-v", "--verbose", action="store_true", help="show more: live output of what runs")
    group.add_argument("-q", "--quiet", action="store_true", help="show less: warnings and the result")


def _chooser(prog: str, description: str, commands: Mapping[str, tuple[str, str]], more: str = "") -> Parser:
    """Takes the name of a command, and leaves what follows it to that command."""
    width = max(map(len, commands))
    listing = "\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in commands.items())
    parser = Parser(
        prog=prog,
        description=description,
        epilog=f"commands:\n{listing}\n\n{more}'{prog} COMMAND --help' explains one command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", metavar="COMMAND", nargs="?")
    parser.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER)  # only for the usage
    return parser


def _top() -> Parser:
    parser = _chooser("jenkins-ami", "Amazon Machine Images from Git through Jenkins.", COMMANDS, f"{EXIT_CODES}\n")
    parser.add_argument("--version", action="version", version=f"jenkins-ami {__version__}")
    return parser


def _unknown(name: str, prog: str, commands: Iterable[str]) -> UsageError:
    import difflib

    close = difflib.get_close_matches(name, list(commands), 1)
    hint = f"Did you mean '{close[0]}'" if close else f"See '{prog} --help'"
    return UsageError(f"there is no command '{name}'", hint=hint)


def parser_of(command: str) -> Parser:
    """The parser of one command (``build``, ``jobs plan``), with all that the command takes.

    :raises UsageError: there is no such command, or it is a group
    """
    words = command.split()
    if not words or words[0] not in COMMANDS:
        raise _unknown(command, "jenkins-ami", COMMANDS)
    actions = getattr(_module(__name__, COMMANDS[words[0]]), "ACTIONS", None)
    if actions and (len(words) == 1 or words[1] not in actions):
        raise _unknown(command, f"jenkins-ami {words[0]}", [f"{words[0]} {action}" for action in actions])
    chosen = _choose(_top(), words, __name__, COMMANDS)
    if chosen.arguments:
        raise _unknown(command, "jenkins-ami", [" ".join(words[: -len(chosen.arguments)])])
    return chosen.parser


def commands() -> Iterator[str]:
    """Every command, those of groups by both of their words."""
    for name, entry in COMMANDS.items():
        actions = getattr(_module(__name__, entry), "ACTIONS", None)
        yield from (f"{name} {action}" for action in actions) if actions else (name,)


def _module(package: str, entry: tuple[str, str]) -> Any:
    return importlib.import_module(f"{package}.{entry[0]}")


def _choose(parser: Parser, words: Sequence[str], package: str, commands: Mapping[str, tuple[str, str]]) -> _Chosen:
    """The command that ``words`` begin with, its own parser, and the words for that; of a group's, when it is a group.

    :raises UsageError: there is no such command
    :raises SystemExit: help was shown instead
    """
    # argparse would take a "--" behind the command for itself.
    end = next((index for index, word in enumerate(words, 1) if not word.startswith("-")), len(words))
    head, arguments = parser.parse_args(words[:end]), words[end:]
    if head.command is None:
        parser.print_help()
        raise SystemExit(0 if not words else UsageError.exit_code)
    if head.command not in commands:
        raise _unknown(head.command, parser.prog, commands)
    module = _module(package, commands[head.command])
    prog = f"{parser.prog} {head.command}"
    description = module.__doc__ or commands[head.command][1]
    if actions := getattr(module, "ACTIONS", None):
        chooser = _chooser(prog, description, actions, "All take --json, -v and -q.\n\n")
        return _choose(chooser, arguments, module.__name__, actions)
    chosen = Parser(prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    module.configure(chosen)
    _common(chosen)
    return _Chosen(module, chosen, arguments)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP raise Interrupted once; while that unwinds, more of them change nothing."""
    seen = False

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal seen
        if not seen:
            seen = True
            raise Interrupted(signal.Signals(number).name)

    before = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays nohup
            with contextlib.suppress(ValueError):  # not in the main thread: a test
                before[number] = signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. Never raises, save for bugs."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words[: words.index("--") if "--" in words else None]
    progress: Progress | None = None
    with _signals():
        try:
            module, parser, arguments = _choose(_top(), words, __name__, COMMANDS)
            args = parser.parse_args(arguments)
            verbosity = VERBOSE if args.verbose else QUIET if args.quiet else NORMAL
            progress = for_stream(verbosity=verbosity, as_json=args.json)
            result: Result | Instead = module.run(args, progress)
            progress.close()
            if isinstance(result, Instead):
                return main(result.words)
            _print_result(result, as_json)
            for line in result.errors:
                print(f"error: {one_line(line)}", file=sys.stderr)
            if result.problem or result.errors:
                _report([*filter(None, [result.problem]), *result.errors])
            return result.code
        except SystemExit as leaving:  # argparse has shown the help or the version
            return int(leaving.code or 0)
        except AmiError as error:
            if progress:
                progress.close()
            _print_error(error, as_json)
            return error.exit_code
        except KeyboardInterrupt as error:
            if progress:
                progress.close()
            name = str(error) or "SIGINT"
            if as_json:
                print(json.dumps({"error": "Interrupted", "what": f"interrupted by {name}", "exit_code": 130}))
            print(f"interrupted: {name}.", file=sys.stderr)
            return Interrupted.exit_code
        except BrokenPipeError:
            # The reader of our output is gone (`| head`): nothing to say, and nobody to say it to.
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return 0


def _print_result(result: Result, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result.data, indent=2, sort_keys=True))
    else:
        for line in result.lines:
            print(line)
    sys.stdout.flush()


def _print_error(error: AmiError, as_json: bool) -> None:
    if as_json:
        print(json.dumps(error.as_dict(), indent=2, sort_keys=True))
    for line in error.detail:
        print(f"  {visible(line)}", file=sys.stderr)
    lines = lines_of(error)
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    _report(lines)


def lines_of(error: AmiError) -> list[str]:
    """One for each thing that is wrong."""
    if isinstance(error, InvalidSource):
        return [finding.line() for finding in error.findings]
    return [each.line() for each in (error.problems if isinstance(error, Problems) else (error,))]


def _report(lines: Sequence[str]) -> None:
    """Leave lines for the caller that named a file for them."""
    if report := os.environ.get(ERROR_FILE):
        with contextlib.suppress(OSError), open(report, "w", encoding="utf-8") as stream:
            stream.writelines(f"{one_line(line)}\n" for line in lines)


def entry() -> None:
    """The console script."""
    sys.exit(main())
