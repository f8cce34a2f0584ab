"""Templates to config.xml and Pipeline scripts. Values are escaped by the environment, never by the template's author.

Jinja2 with strict undefined. In ``*.xml.j2`` every value is text, number or boolean and is escaped for XML; in
``*.groovy.j2`` only what a filter made (a literal, an identifier) may be put in, anything else is an error. Ours are
also called ``jenkins-ami/NAME``, so that one of the same name can extend it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import InputError, Location, visible
from . import mark

OURS = Path(__file__).parent / "templates"
"""The templates that come with this program."""
PREFIX = "jenkins-ami"
_XML = {ord(char): f"&{name};" for char, name in {"&": "amp", "<": "lt", ">": "gt", "\r": "#13"}.items()}
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\u2028\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 cannot carry; and U+2028, which Jenkins writes as it is into a document that it declares as 1.1, and
reads as a line end the next time."""
_MARK = re.compile(rf"{mark.TOKEN}\]\s*</description>")
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9]*\Z")
_NOT_PLAIN = re.compile(r"[^ -&(-\[\]-~]")


class GroovyText(str):
    """Source text that a filter made."""


class Templates:
    """All templates of some folders; a name is looked for in the first one first.

    :param folders: a company's own, if there is one; ours come last
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined
        from markupsafe import Markup

        @lru_cache(4096)  # most values occur in many items
        def escaped(text: str) -> Markup:
            return Markup(xml_text(text))

        def for_xml(value: object) -> Markup:
            if type(value) is str:
                return escaped(value)
            if isinstance(value, StrictUndefined):
                str(value)  # raises, and says what is undefined
            return value if isinstance(value, Markup) else Markup(xml_text(value))

        ours = FileSystemLoader(OURS)
        loader = ChoiceLoader([FileSystemLoader(folders), ours, PrefixLoader({PREFIX: ours})])

        def for_script(value: object) -> str:
            if isinstance(value, StrictUndefined):
                str(value)
            return _only_groovy(value)

        def make(finalize: Any, *, autoescape: bool) -> Environment:
            return Environment(
                loader=loader,
                undefined=StrictUndefined,
                autoescape=autoescape,
                finalize=finalize,
                trim_blocks=True,
                lstrip_blocks=True,
                keep_trailing_newline=True,
                auto_reload=False,
            )

        self._xml = make(for_xml, autoescape=True)
        self._xml.filters["git_url"] = git_url
        self._xml.filters["java_literal"] = java_literal
        self._groovy = make(for_script, autoescape=False)
        self._groovy.filters["groovy"] = groovy
        self._groovy.filters["identifier"] = _identifier

    def config(self, name: str, variables: dict[str, Any]) -> tuple[str, str]:
        """The config.xml of template ``NAME.xml.j2``, and its digest.

        :param variables: ``description`` among them, with the mark's line in which the digest is still
            :data:`~.mark.TOKEN`
        :raises InputError: in a template, with its file and line; or it does not end its description with the mark
        """
        text = self._render(self._xml, f"{name}.xml.j2", variables)
        marks = list(_MARK.finditer(text))
        if len(marks) != 1:
            raise InputError(
                f"the template prints the description {len(marks)} times",
                where=self._xml.get_template(f"{name}.xml.j2").filename,
                hint="Write <description>{{ description }}</description> once: it ends with the owner mark",
            )
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        at = marks[0].start()
        return text[:at] + digest + text[at + len(mark.TOKEN) :], digest

    def script(self, name: str, variables: dict[str, Any]) -> str:
        """The Pipeline script of template ``NAME.groovy.j2``."""
        return self._render(self._groovy, f"{name}.groovy.j2", variables)

    def _render(self, environment: Any, name: str, variables: dict[str, Any]) -> str:
        from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError

        try:
            return str(environment.get_template(name).render(variables))
        except TemplateNotFound as error:
            raise InputError(f"there is no template {error.name}", where=OURS) from error
        except TemplateSyntaxError as error:
            where = Location(error.filename or name, error.lineno)
            raise InputError(f"the template cannot be read: {error.message}", where=where) from error
        except (
            TemplateError,
            InputError,
            OSError,
            RecursionError,
            TypeError,
            ValueError,
            ArithmeticError,
            LookupError,
            AttributeError,
        ) as error:
            what = error.what if isinstance(error, InputError) else error
            raise InputError(f"the template cannot be rendered: {what}", where=_place(error, name)) from error


def _place(error: BaseException, name: str) -> Location:
    """The line of the template in which an exception was raised: the innermost frame of one."""
    place = Location(name)
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.endswith(".j2"):
            place = Location(file, trace.tb_lineno)
        trace = trace.tb_next
    return place


def xml_text(value: object) -> str:
    """A value as character data of XML 1.0. Control characters, which it cannot carry, become visible escapes.

    :raises InputError: it is no text, number or boolean
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise InputError(f"{type(value).__name__} is no value for a config.xml")
    if _NOT_XML.search(value):
        value = _NOT_XML.sub(lambda match: visible(match[0]), value)
    return value.translate(_XML)


def groovy(value: object) -> GroovyText:
    """A Groovy literal of a boolean, a number, a list, a mapping; a text is single-quoted, so Groovy replaces nothing.

    Only printable ASCII stands in it as it is. Groovy 2.4 reads ``\\uXXXX`` before it splits the source into tokens,
    but not behind ``\\\\``, so no quote is ever written like that, and a backslash is always written twice.
    """
    if isinstance(value, bool):
        return GroovyText("true" if value else "false")
    if isinstance(value, int):
        return GroovyText(value)
    if isinstance(value, (list, tuple)):
        return GroovyText(f"[{', '.join(map(groovy, value))}]")
    if isinstance(value, dict):
        pairs = ", ".join(f"{_identifier(name)}: {groovy(each)}" for name, each in value.items())
        return GroovyText(f"[{pairs or ':'}]")
    if not isinstance(value, str):
        raise InputError(f"{type(value).__name__} is no value for a script")
    return GroovyText(f"'{_NOT_PLAIN.sub(_groovy_escape, value)}'")


def _groovy_escape(match: re.Match[str]) -> str:
    char = match[0]
    if char in _GROOVY:
        return _GROOVY[char]
    if char < "\x80":  # decoded before there are tokens, some of these would end the source
        return f"\\{ord(char):03o}"
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


_GROOVY = {"'": "\\'", "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\uffff": "\\\\uffff"}
"""U+FFFF is the end of the source to Groovy's lexer, however it is written; so it is shown, as in XML."""


def _only_groovy(value: object) -> str:
    if not isinstance(value, GroovyText):
        raise InputError(f"'{value}' goes into a script without a filter", hint="Add '| groovy'")
    return value


def _identifier(text: str) -> GroovyText:
    if not _IDENTIFIER.match(text):
        raise InputError(f"'{text}' is no name of a parameter")
    return GroovyText(text)


def git_url(url: str) -> str:
    """A URL for Jenkins' git plugin, which expands ``$VARIABLES`` in it: ``$`` is percent-encoded."""
    return url.replace("$", "%24")


def java_literal(text: str) -> str:
    """A text as a regular expression of Java that matches it and nothing else."""
    return re.sub(r"[\\^$.|?*+(){}\[\]]", lambda match: "\\" + match[0], text)
