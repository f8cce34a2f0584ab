"""Read the files of ``cloudinit/``: what kind of part each one is, as cloud-init's handlers would tell.

An archive or a MIME message is taken apart (``containers``), so that what follows sees single parts. cloud-init drops
what it does not recognise or cannot parse with a warning and goes on, so a build would look successful without it. Here
all of that is refused. (Facts: ``cloudinit/handlers/__init__.py``, ``cloudinit/user_data.py``.)
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import InputError, Location
from ..findings import Findings
from ..source.model import AmiSource, Parameter, Part
from ..source.parameters import Values
from ..yamlfile import Node, decode, parse
from .containers import Raw, archive, is_message, message_parts
from .kinds import (
    BOOTHOOK,
    CONFIG,
    CONTENT_TYPES,
    FREQUENCIES,
    HANDLER,
    HEADERS,
    INCLUDE,
    JINJA_CONFIG,
    JINJA_SCRIPT,
    OTHER,
    SCRIPT,
    TYPES,
    kind_of_text,
)
from .merge import HOW_KEYS, stated_mergers
from .mergers import Mergers
from .template import parse_config, render_config, render_text

_GUESSED = ("", "text/plain", "text/x-not-multipart")
"""Types that say nothing: cloud-init looks at the content (``user_data.TYPE_NEEDED``)."""
_MEANT = ("#cloud-config", "#!/bin/sh", *(header for header, _ in HEADERS if header not in ("#cloud-config", "#!")))
"""As they are written in full."""
_OF_SUFFIX = {".sh": "#!/bin/sh", ".py": "#part-handler", ".txt": "#include", ".mime": "MIME-Version: 1.0"}
"""What is meant to begin a file of that name, where it is no cloud-config."""
_INCLUDE = re.compile(r"#include(-once)?\s*", re.IGNORECASE)
_LAUNCH_INDEX = "a launch-index other than 0: a build launches one instance, which would not get this part"
_POWER_STATE = "'power_state' belongs to compile: the power-off is the proof of success"


@dataclass(frozen=True)
class Loaded:
    """One part.

    :ivar name: ``cloudinit/10_x.yml``; an entry of an archive or message has its number after it, ``…#2``
    :ivar kind: one of the names in ``kinds``
    :ivar where: the first line of ``text`` in the file as the user named it
    :ivar text: all of it, header included, lines ending in ``\\n``
    :ivar config: of a cloud-config, the document without what it states about merging
    :ivar stated: the mergers that it states; of a template, those of its header
    :ivar content_type: MIME type, for a part that travels as one
    """

    name: str
    kind: str
    where: Location
    text: str
    config: Node | None = None
    stated: Mergers | None = None
    content_type: str = ""

    @property
    def file(self) -> str:
        """The file's name without its folder: the instance sees the part under this name, and in this order."""
        return PurePosixPath(self.name).name


def load_parts(source: AmiSource, root: Path, values: Values, findings: Findings) -> tuple[Loaded, ...]:
    """All parts of a source in the order of their names.

    :param root: the source as the user named it (``source`` may be a work copy): for places
    :param values: of the parameters, for templates (``.j2``)
    :param findings: gets whatever cloud-init would drop, and what compile sets itself
    """
    loaded: list[Loaded] = []
    identity = source.identity
    variables = {"name": identity.name, "version": identity.version, "parameters": _typed(identity.parameters, values)}
    for part in source.parts:
        with findings.catch("part"):
            for raw in _open(part, source.root, root / part.name, variables):
                with findings.catch("part"):
                    one = _load(raw, findings)
                    _check_handler(one, loaded)
                    loaded.append(one)
    return tuple(loaded)


def _typed(declared: Sequence[Parameter], values: Values) -> dict[str, object]:
    """Parameters as templates see them: whole numbers and booleans as such. No secrets: they would be in the image."""
    typed: dict[str, object] = {}
    for parameter in declared:
        text = values.public.get(parameter.name)
        if text is not None:
            kind = parameter.kind
            typed[parameter.name] = int(text) if kind == "integer" else text == "true" if kind == "boolean" else text
    return typed


def _open(part: Part, real_root: Path, shown: Path, variables: Mapping[str, object]) -> Iterator[Raw]:
    """The file's parts: itself, or what an archive or MIME message in it holds."""
    if not part.path.resolve().is_relative_to(real_root.resolve()):
        raise InputError("the link leads out of the AMI source", where=shown, hint="Put the file itself here")
    try:
        data = part.path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=shown) from error
    if not data.strip():
        raise InputError("the file is empty", where=shown, hint="Remove it, or give it content")
    if is_message(data):
        yield from message_parts(part.name, data, shown)
        return
    text = decode(data, shown)
    where = Location(shown, 1, 1)
    if part.path.suffix == ".j2":
        if kind_of_text(text) == CONFIG:
            yield Raw(part.name, where, text, variables=variables)
        else:
            rendered = render_text(text, variables, where, quote="shell")
            if not rendered.strip():
                hint = "Put its conditions inside the script"
                raise InputError("nothing is left of the template once it is rendered", where=where, hint=hint)
            yield Raw(part.name, where, rendered)
        return
    frequency = _frequency(part.name)
    if frequency:
        yield Raw(part.name, where, text, f"text/x-shellscript-{frequency}")
    elif kind_of_text(text) == "archive":
        yield from archive(part.name, text, shown)
    else:
        yield Raw(part.name, where, text)


def _frequency(name: str) -> str:
    """``per-boot`` of ``cloudinit/20_x.per-boot.sh``."""
    pieces = PurePosixPath(name).name.split(".")
    return next((piece for piece in pieces[1:] if piece in FREQUENCIES), "")


def _load(raw: Raw, findings: Findings) -> Loaded:
    text = raw.text.replace("\r\n", "\n")  # as cloud-init does with scripts (util.dos2unix); YAML does not mind
    if raw.headers.get("launch-index", "0") != "0":
        raise InputError(_LAUNCH_INDEX, where=raw.where, hint="Remove it")
    declared = "" if raw.declared in _GUESSED else raw.declared
    if declared == "text/x-shellscript":  # content wins, as in UserDataProcessor._process_msg
        kind = kind_of_text(text) or SCRIPT
    else:
        kind = TYPES.get(declared, OTHER) if declared else kind_of_text(text)
    if not kind:
        raise _header_error(text, raw.where)
    if raw.nested and kind in ("archive", INCLUDE):
        hint = "Put it into a file of its own"
        raise InputError(f"cloud-init does not look into {_an(kind)} inside an archive", where=raw.where, hint=hint)
    if kind == "archive":
        raise InputError("an archive cannot be a template", where=raw.where)
    if kind == "jsonp":
        what = "a JSON patch counts on what cloud-init merged before it, which compile arranges anew"
        raise InputError(what, where=raw.where, hint="Write a cloud-config with merge_how instead")
    content_type = declared if kind == OTHER else CONTENT_TYPES.get(kind, "")
    loaded = Loaded(raw.name, kind, raw.where, text, content_type=content_type)
    if kind == CONFIG:
        return _config(loaded, raw, findings)
    if kind == "jinja":
        return _jinja(loaded, raw, findings)
    if kind in (SCRIPT, *FREQUENCIES) and not text.startswith("#!"):
        raise InputError("the script does not begin with '#!'", where=raw.where, hint="Begin it with #!/bin/sh")
    if kind == BOOTHOOK:
        _check_boothook(text, raw.where)
    if kind == HANDLER:
        _check_python(text, raw.where)
    if kind == INCLUDE:
        _check_include(text, raw.where)
    return loaded


def _an(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _header_error(text: str, where: Location) -> InputError:
    first, _, rest = text.partition("\n")
    first = first.rstrip()
    hint = "Make '#cloud-config' the first line"
    plain = first.replace(" ", "").lower()
    likeness = 0.6 if plain.startswith("#cloud-") else 0.8
    close = difflib.get_close_matches(plain, [header.replace(" ", "") for header in _MEANT], 1, likeness)
    later = next((n for n, line in enumerate(rest.split("\n"), 2) if line.rstrip() in _MEANT), 0)
    if first.startswith("\ufeff"):
        what = "a byte order mark stands before the header: cloud-init would ignore the file"
        hint = "Save it as UTF-8 without one (BOM)"
    elif text.lstrip()[:1] == "#" and not first:
        what = "a blank line stands before the header: older versions of cloud-init ignore such a file"
    elif first == "---":
        what = "'---' stands before the header: cloud-init would ignore the file"
    elif close or plain.startswith("#!"):
        meant = next((header for header in _MEANT if close and header.replace(" ", "") == close[0]), "#!/bin/sh")
        what, hint = f"'{first}' is no header that cloud-init knows", f"Did you mean '{meant}'"
    elif later:
        what = f"the header is in line {later}: cloud-init looks at the first line only, and would ignore the file"
        hint = "Make it the first line"
    else:
        what = "the first line is no header that cloud-init knows: it would ignore the file"
        hint = f"Begin it with '{_OF_SUFFIX.get(PurePosixPath(where.file).suffix, _MEANT[0])}'"
    return InputError(what, where=Location(where.file, where.line), hint=hint)


def _config(loaded: Loaded, raw: Raw, findings: Findings) -> Loaded:
    first = loaded.text.split("\n", 1)[0].rstrip().lower()
    if not raw.nested and first != "#cloud-config" and not first.startswith("#cloud-config "):
        raise _header_error(loaded.text, raw.where)
    read = parse if raw.variables is None else parse_config
    document = read(loaded.text, raw.where.file, line=raw.where.line, column=raw.where.column)
    if raw.variables is not None:
        document = render_config(document, raw.variables, loaded.text)
    if document.value is None:
        raise InputError("the document is empty", where=raw.where, hint="Remove it, or give it content")
    if not isinstance(document.value, dict):
        raise InputError(f"the document is {document.kind}, not a mapping", where=document.where)
    rest, stated = stated_mergers(document, raw.merge_type, raw.where, findings)
    usable = _usable(rest, findings)
    if not rest.value:
        raise InputError("the document sets nothing", where=raw.where, hint="Remove it, or give it content")
    return Loaded(raw.name, CONFIG, raw.where, loaded.text, usable, stated, "text/cloud-config")


def _usable(document: Node, findings: Findings) -> Node:
    """A cloud-config without what compile sets itself or cannot announce, each of which becomes a finding."""
    keys = document.keys or {}
    values = dict(document.value)

    def refuse(key: Any, what: str, where: Location, hint: str = "") -> None:
        findings.error("part", what, where, hint)
        values.pop(key, None)

    for key, node in document.value.items():
        place = keys.get(key, document.where)
        if not isinstance(key, str):
            refuse(key, f"key {key!r} is not a text", place, "Put it in quotes")
        elif key == "power_state":
            refuse(key, _POWER_STATE, place, "Remove it")
        elif key == "launch-index" and node.value not in (0, "0"):
            refuse(key, _LAUNCH_INDEX, place, "Remove it")
        elif key in ("runcmd", "write_files") and node.value is not None and not isinstance(node.value, list):
            refuse(key, f"'{key}' is {node.kind}, not a list", node.where, "Begin each entry with '- '")
        elif key == "runcmd":
            for item in node.value or []:
                if what := _no_command(item):
                    hint = "Write a text, or a list of words; quote a text that contains ': '"
                    refuse(key, what, item.where, hint)
    return Node(values, document.where, {key: place for key, place in keys.items() if key in values})


def _no_command(item: Node) -> str:
    """Why an entry of ``runcmd`` is no command; empty when it is one."""
    if isinstance(item.value, str):
        return ""
    words = item.value if isinstance(item.value, list) else ()
    if words and not any(isinstance(word.value, (dict, list)) or word.value is None for word in words):
        return ""
    return f"a runcmd entry is {item.kind}, not a command"


def _jinja(loaded: Loaded, raw: Raw, findings: Findings) -> Loaded:
    """A template that cloud-init renders on the instance: of a cloud-config or of a script."""
    import jinja2

    first, _, body = loaded.text.partition("\n")
    if first.strip().lower() != "## template: jinja":
        hint = "Leave nothing else on the line"
        raise InputError(f"'{first.strip()[:40]}' is not '## template: jinja'", where=raw.where, hint=hint)
    try:
        jinja2.Environment().parse(body)
    except jinja2.TemplateSyntaxError as error:
        where = Location(raw.where.file, raw.where.line + error.lineno)
        raise InputError(f"invalid template: {error.message}", where=where) from error
    header = next(
        (line for line in body.split("\n") if line.strip() and not line.lstrip().startswith(("{%", "{#"))), ""
    )
    kind = {CONFIG: JINJA_CONFIG, SCRIPT: JINJA_SCRIPT}.get(kind_of_text(header))
    if kind is None or (kind == JINJA_CONFIG and header.rstrip().lower() != "#cloud-config"):
        raise InputError(
            "the template renders neither a '#cloud-config' nor a script: cloud-init would ignore it",
            where=Location(raw.where.file, raw.where.line + 1),
            hint="Make '#cloud-config' or '#!/bin/sh' its second line",
        )
    stated = None
    if raw.merge_type:
        _, stated = stated_mergers(Node({}, raw.where, {}), raw.merge_type, raw.where, findings)
    for number, line in enumerate(body.split("\n"), 1):
        if line.startswith("power_state:"):
            raise InputError(_POWER_STATE, where=Location(raw.where.file, raw.where.line + number), hint="Remove it")
    return Loaded(raw.name, kind, raw.where, loaded.text, None, stated, "text/jinja2")


def states_merging(template: str) -> bool:
    """Whether a template's text says itself how it is merged."""
    return any(line.startswith(tuple(f"{key}:" for key in HOW_KEYS)) for line in template.split("\n"))


def _check_boothook(text: str, where: Location) -> None:
    first, _, body = text.partition("\n")
    if first.strip() != "#cloud-boothook":
        hint = "Leave nothing else on the line"
        raise InputError(f"'{first.strip()[:40]}' is not '#cloud-boothook'", where=where, hint=hint)
    if not body.lstrip().startswith("#!"):
        raise InputError(
            "the boothook has no '#!' line, and cloud-init could not execute it",
            where=Location(where.file, where.line + 1),
            hint="Make '#!/bin/sh' its second line",
        )


def _check_python(text: str, where: Location) -> None:
    if text.split("\n", 1)[0].strip() != "#part-handler":
        raise InputError("a part-handler begins with '#part-handler'", where=where)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise InputError(
            f"invalid Python: {error.args[0]}", where=Location(where.file, where.line + line - 1)
        ) from error
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    if missing := {"list_types", "handle_part"} - names:
        hint = "cloud-init calls list_types() and handle_part(data, ctype, filename, payload)"
        raise InputError(f"the part-handler has no function {sorted(missing)[0]}()", where=where, hint=hint)


def _include_urls(text: str) -> list[tuple[str, int]]:
    """Each URL and its line's offset (``UserDataProcessor._do_include``)."""
    urls: list[tuple[str, int]] = []
    for offset, line in enumerate(text.split("\n")):
        if header := _INCLUDE.match(line):
            line = line[header.end() :]
        if line.strip() and not line.startswith("#"):
            urls.append((line.strip(), offset))
    return urls


def _check_include(text: str, where: Location) -> None:
    urls = _include_urls(text)
    if not urls:
        raise InputError("the include names no URL", where=where, hint="Write one URL a line")
    for url, offset in urls:
        if not re.match(r"https?://[^\s/]+", url) or re.search(r"\s", url):
            hint = "The instance fetches it: write http:// or https://, one URL a line"
            raise InputError(f"'{url[:60]}' is no URL", where=Location(where.file, where.line + offset), hint=hint)


def _check_handler(part: Loaded, before: list[Loaded]) -> None:
    """A type of one's own needs a part-handler before it: cloud-init would not know what to do with it."""
    if part.kind == OTHER and not any(other.kind == HANDLER for other in before):
        close = difflib.get_close_matches(part.content_type, TYPES, 1, 0.8)
        raise InputError(
            f"nothing handles the type '{part.content_type}': cloud-init would drop the part",
            where=part.where,
            hint=f"Did you mean '{close[0]}'" if close else "Put its part-handler before it: NN_name.py",
        )
