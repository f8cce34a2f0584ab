"""Templates that are rendered at compile: ``NN_name.yml.j2`` and ``NN_name.sh.j2``.

(``## template: jinja`` files are cloud-init's own, rendered on the instance; they pass through here untouched.)

A source may be nobody's friend, so Jinja2 runs in its sandbox, without files, with bounded output, time and memory. And
values may be anybody's, so they cannot leave their place: a YAML file is parsed first and rendered scalar by scalar, a
shell script gets every ``{{ … }}`` as one quoted word.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InputError, Location
from ..findings import Findings
from ..yamlfile import Node, did_you_mean, kind_of, parse
from .shellquotes import Quotes

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

OUTPUT_LIMIT = 1_000_000
"""Characters that one text may come to."""

_SECONDS = 3.0
_MEMORY = 512 * 1024 * 1024
_LARGEST_NUMBER = 4_096
"""Bits."""
_MARKS = re.compile(r"\{[{%#]")
_SHELLS = ("sh", "ash", "bash", "dash", "ksh", "mksh", "zsh")
_BLOCK = re.compile(r"(?:[&!]\S*\s+)*[|>]")


def render_text(
    text: str, values: Mapping[str, object], where: Location, *, quote: Literal["shell", "none"] = "none"
) -> str:
    """Render a whole text.

    :param values: what the template may use; mappings in it are read by name (``parameters.flavour``)
    :param where: the place of the text's first character
    :param quote: ``shell`` makes one shell word of every ``{{ … }}``
    :raises InputError: with the line: invalid, a name that is not there, an expression that fails or never ends, an
        expression inside quotes of the script, too much output
    """
    shell = quote == "shell"
    if shell:
        _check_interpreter(text, where)
    engine = _engine(_shell_word if shell else _text_of)
    if shell:
        _check_quotes(engine, text, where)
    return _render(engine, text, _namespaces(values), lambda line: _line(where, line))


def parse_config(text: str, file: str | Path, *, line: int = 1, column: int = 1) -> Node:
    """:func:`~jenkins_ami.yamlfile.parse` with a word about what goes wrong with templates.

    :raises InputError: as ``parse``
    """
    try:
        return parse(text, file, line=line, column=column)
    except InputError as error:
        lines = text.splitlines()
        number = error.where.line - line if isinstance(error.where, Location) else -1
        around = "\n".join(lines[max(number - 1, 0) : number + 1]) if number >= 0 else ""
        if "{{" in around:
            error.hint = "A template's file is YAML before it is rendered: put quotes around the text with {{ … }}"
        elif "{%" in around:
            error.hint = "A template's file is YAML before it is rendered: {% … %} works inside one text only"
        raise


def render_config(document: Node, values: Mapping[str, object], text: str = "") -> Node:
    """Render every text and key of a parsed document by itself: no value can become YAML structure.

    A text that is exactly one ``{{ expression }}`` keeps the type of a whole number or boolean; all else is text.

    :param text: what ``document`` was parsed from, from the file's first line on: makes the lines of errors in block
        scalars exact
    :raises InvalidSource: as :func:`render_text`, all texts at once; two keys of one mapping become the same
    """
    found = Findings()
    engine = _engine(_text_of)
    scope = _namespaces(values)
    lines = text.splitlines()
    known: dict[int, Node] = {}  # aliases share nodes; rendering each of them anew could take forever
    total = 0

    def scalar(value: str, where: Location) -> object:
        nonlocal total
        if not _MARKS.search(value):
            return value
        at = _start(where, lines)
        result: object = value
        with found.catch("template"):
            result = _value(engine, value, scope, at)
            total += len(value) + len(str(result))
            if total > OUTPUT_LIMIT:
                raise InputError(f"the template renders more than {OUTPUT_LIMIT:,} characters", where=where)
        return result

    def convert(node: Node) -> Node:
        if id(node) not in known:
            known[id(node)] = _convert(node)
        return known[id(node)]

    def _convert(node: Node) -> Node:
        if isinstance(node.value, str):
            return replace(node, value=scalar(node.value, node.where))
        if isinstance(node.value, list):
            return replace(node, value=[convert(item) for item in node.value])
        if not isinstance(node.value, dict):
            return node
        items: dict[Any, Node] = {}
        places: dict[Any, Location] = {}
        for key, item in node.value.items():
            place = (node.keys or {}).get(key, item.where)
            new = scalar(key, place) if isinstance(key, str) else key
            if new in items:
                what = f"key '{new}' is given twice once it is rendered, first in line {places[new].line}"
                found.error("template", what, place)
            items[new] = convert(item)
            places[new] = place
        return replace(node, value=items, keys=places)

    result = convert(document)
    found.raise_errors()
    return result


def _value(engine: SandboxedEnvironment, text: str, scope: Mapping[str, object], at: Location) -> object:
    values: list[object] = []

    def keep(value: object) -> object:
        values.append(value)
        return _text_of(value)

    if not _is_one_expression(engine, text, at):
        return _render(engine, text, scope, lambda line: _line(at, line))
    rendered = _render(_engine(keep), text, scope, lambda line: _line(at, line))
    value = values[-1] if values else rendered
    return value if isinstance(value, (bool, int)) else rendered


def _is_one_expression(engine: SandboxedEnvironment, text: str, at: Location) -> bool:
    from jinja2 import nodes

    with _explained(lambda line: _line(at, line)):
        body = engine.parse(text).body
    if len(body) != 1 or not isinstance(body[0], nodes.Output):
        return False
    return len(body[0].nodes) == 1 and not isinstance(body[0].nodes[0], nodes.TemplateData)


def _line(where: Location, line: int) -> Location:
    """The place of a template's line: its first begins at ``where``."""
    return where if line <= 1 else Location(where.file, where.line + line - 1)


def _start(where: Location, lines: list[str]) -> Location:
    """Where the text of a scalar begins: that of a block scalar (``|``, ``>``) in the line after."""
    if 0 < where.line <= len(lines) and _BLOCK.match(lines[where.line - 1][max(where.column - 1, 0) :]):
        return Location(where.file, where.line + 1)
    return where


def _text_of(value: object) -> str:
    """How a value is written: booleans as YAML and shells know them. What is no scalar has no spelling of its own.

    :raises TypeError: a list, a mapping, nothing, a method
    """
    from jinja2 import Undefined

    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (str, int, float, Undefined)):
        kind = "nothing" if value is None else "a group of values" if isinstance(value, _Namespace) else kind_of(value)
        raise TypeError(f"{kind} cannot be written as one value")
    return str(value)


def _shell_word(value: object) -> str:
    return shlex.quote(_text_of(value))


def _check_interpreter(text: str, where: Location) -> None:
    first = text.partition("\n")[0]
    words = first[2:].split() if first.startswith("#!") else []
    names = [word.rpartition("/")[2] for word in words if not word.startswith("-")]
    name = next((name for name in names if name != "env"), "sh")
    if name not in _SHELLS:
        what = f"a template of a script is for shells, and {name} does not read what is quoted for them"
        raise InputError(what, where=where, hint="Write the values to a file in a .sh.j2, and read them from there")


def _check_quotes(engine: SandboxedEnvironment, text: str, where: Location) -> None:
    """Quotes around a quoted word would undo its quoting: ``"{{ x }}"`` runs what a value ``$(…)`` says."""
    found = Findings()
    quotes = Quotes()
    with _explained(lambda line: _line(where, line)):
        tokens = list(engine.lex(text))
    for line, kind, piece in tokens:
        if kind == "data":
            quotes.feed(piece)
        elif kind == "variable_begin" and quotes.inside:
            what = f"{{{{ … }}}} is one quoted word already, and stands in {quotes.inside}"
            found.error("template", what, _line(where, line), "Assign it first, without quotes: name={{ … }}")
        elif kind == "variable_end":
            quotes.feed("x")
    found.raise_errors()


class _Namespace:
    """A mapping for templates: a parameter may be called ``items`` or ``get``, which a ``dict`` would hide."""

    __slots__ = ("_name", "_values")

    def __init__(self, name: str, values: Mapping[str, object]) -> None:
        self._name = name
        self._values = values

    def __getitem__(self, name: str) -> object:
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _namespaces(values: Mapping[str, object]) -> dict[str, object]:
    return {name: _Namespace(name, value) if isinstance(value, Mapping) else value for name, value in values.items()}


def _engine(finalize: Callable[[object], object]) -> SandboxedEnvironment:
    engine: SandboxedEnvironment = _engine_class()(
        undefined=_missing_class(),
        autoescape=False,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=0,
        finalize=finalize,
    )
    for name in ("lipsum", "cycler", "joiner"):
        del engine.globals[name]
    for name in ("random", "round"):  # another output each time; a way to compute without end in one operation
        del engine.filters[name]
    return engine


@cache
def _missing_class() -> Any:
    from jinja2 import StrictUndefined
    from jinja2.utils import missing

    class Missing(StrictUndefined):
        """A name that is not there: using it is an error, which names what is."""

        @property
        def _undefined_message(self) -> str:
            place, name = self._undefined_obj, str(self._undefined_name)
            if self._undefined_hint:
                return self._undefined_hint
            if place is missing:
                return f"there is no '{name}'\n{did_you_mean(name, ('name', 'version', 'parameters'))}"
            if isinstance(place, _Namespace):
                hint = did_you_mean(name, place) if len(place) else "The source declares none"
                return f"{place._name} has no '{name}'\n{hint}. Secrets are for compile.sh only"
            return f"{kind_of(place)} has no '{name}'"

    return Missing


@cache
def _engine_class() -> Any:
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Engine(ImmutableSandboxedEnvironment):
        """Jinja2 for source that nobody has reviewed. Single operations that no timer can stop are refused."""

        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if isinstance(left, int) and isinstance(right, int):
                bits = left.bit_length()
                if (bits * right if operator == "**" else bits + right.bit_length()) > _LARGEST_NUMBER:
                    raise SecurityError("the number becomes too large")
            return super().call_binop(context, operator, left, right)

    return Engine


def _render(
    engine: SandboxedEnvironment, text: str, scope: Mapping[str, object], place: Callable[[int], Location]
) -> str:
    with _explained(place), _bounded():
        template: Template = engine.from_string(text)
        pieces: list[str] = []
        total = 0
        for piece in template.generate(scope):
            total += len(piece)
            if total > OUTPUT_LIMIT:
                raise InputError(f"the template renders more than {OUTPUT_LIMIT:,} characters", where=place(1))
            pieces.append(piece)
        return "".join(pieces)


class _TooSlow(BaseException):
    """The time is over. Nobody on the way who catches exceptions is meant."""


@contextlib.contextmanager
def _explained(place: Callable[[int], Location]) -> Iterator[None]:
    """Turn whatever a template's author can cause into an ``InputError`` with the line."""
    from jinja2 import TemplateError, TemplateSyntaxError

    try:
        yield
    except InputError:
        raise
    except TemplateSyntaxError as error:
        hint = "In templates, '{#' begins a comment: put {% raw %} and {% endraw %} around ${#…}"
        about_comments = "comment tag" in (error.message or "")
        raise InputError(
            f"invalid template: {error.message}", where=place(error.lineno), hint=hint if about_comments else None
        ) from error
    except (_TooSlow, MemoryError, RecursionError) as error:
        reasons = {_TooSlow: "time", MemoryError: "memory", RecursionError: "depth"}
        reason = next(word for kind, word in reasons.items() if isinstance(error, kind))
        raise InputError(f"the template needs more {reason} than a template may", where=place(1)) from None
    except Exception as error:  # an expression may fail in any way: 1/0, "a" + 1, a filter's argument
        what, _, hint = (str(error) or type(error).__name__).partition("\n")
        if what.startswith("no loader"):
            what = "it cannot read another file"
        elif not isinstance(error, TemplateError):
            what = f"an expression fails: {what}"
        raise InputError(f"template: {what}", where=place(_line_of(error)), hint=hint or None) from error


def _line_of(error: BaseException) -> int:
    """The template's line in which an exception arose: Jinja2 puts it into the traceback."""
    line = 1
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in ("<template>", "<unknown>"):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """Bound what happens inside: processor time (by a timer, which only the main thread may have) and memory."""
    import resource
    import signal

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = min([used + _MEMORY, *(bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY)])

    def expired(*_: object) -> None:
        raise _TooSlow

    timer = contextlib.ExitStack()
    with timer:
        with contextlib.suppress(ValueError):
            before = signal.signal(signal.SIGVTALRM, expired)
            timer.callback(signal.signal, signal.SIGVTALRM, before)
            signal.setitimer(signal.ITIMER_VIRTUAL, _SECONDS, 0.1)
            timer.callback(signal.setitimer, signal.ITIMER_VIRTUAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        timer.callback(resource.setrlimit, resource.RLIMIT_AS, (soft, hard))
        yield
