"""Read the files of ``cloudinit/``: what kind of part each one is, as cloud-init's handlers would tell.

An archive or a MIME message is taken apart here, so that what follows sees single parts. cloud-init drops what it does
not recognise or cannot parse with a warning and goes on, so a build would look successful without it. Here all of that
is refused. (Facts: ``cloudinit/handlers/__init__.py``, ``cloudinit/user_data.py``.)
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import InputError, Location
from ..findings import Findings
from ..source.model import AmiSource, Parameter, Part
from ..source.parameters import Values
from ..yamlfile import Node, decode, parse
from .merge import HOW_KEYS, stated_mergers
from .mergers import Mergers
from .template import parse_config, render_config, render_text

CONFIG, SCRIPT, BOOTHOOK, HANDLER = "cloud-config", "script", "boothook", "part-handler"
JINJA_CONFIG, JINJA_SCRIPT, INCLUDE, OTHER = "jinja-config", "jinja-script", "include", "other"
FREQUENCIES = ("per-boot", "per-instance", "per-once")

_TYPES = {
    "text/cloud-config": CONFIG,
    "text/x-shellscript": SCRIPT,
    "text/cloud-boothook": BOOTHOOK,
    "text/part-handler": HANDLER,
    "text/x-include-url": INCLUDE,
    "text/x-include-once-url": INCLUDE,
    "text/jinja2": "jinja",
    "text/cloud-config-archive": "archive",
    "text/cloud-config-jsonp": "jsonp",
    **{f"text/x-shellscript-{frequency}": frequency for frequency in FREQUENCIES},
}
_CONTENT_TYPES = {kind: content_type for content_type, kind in reversed(_TYPES.items())}
_GUESSED = ("", "text/plain", "text/x-not-multipart")
"""Types that say nothing: cloud-init looks at the content (``user_data.TYPE_NEEDED``)."""
_HEADERS = (
    ("#cloud-config-archive", "archive"),
    ("#cloud-config-jsonp", "jsonp"),
    ("#cloud-config", CONFIG),
    ("#cloud-boothook", BOOTHOOK),
    ("#part-handler", HANDLER),
    ("#include", INCLUDE),
    ("## template: jinja", "jinja"),
    ("#!", SCRIPT),
)
"""What a part may begin with (``handlers.INCLUSION_TYPES_MAP``), longest first where one begins another."""
_MEANT = ("#cloud-config", "#!/bin/sh", *(header for header, _ in _HEADERS if header not in ("#cloud-config", "#!")))
"""As they are written in full."""
_OF_SUFFIX = {".sh": "#!/bin/sh", ".py": "#part-handler", ".txt": "#include", ".mime": "MIME-Version: 1.0"}
"""What is meant to begin a file of that name, where it is no cloud-config."""
_MIME = re.compile(rb"\A(?:[A-Za-z-]+:[^\n]*\n(?:[ \t][^\n]*\n)*)+\r?\n")
_LAUNCH_INDEX = "a launch-index other than 0: a build launches one instance, which would not get this part"
_POWER_STATE = "'power_state' belongs to compile: the power-off is the proof of success"
_COMPRESSED = ("gzip", "gunzip", "compress")
_DEFECTS = {
    "CloseBoundaryNotFoundDefect": "its last line, --BOUNDARY--, is missing",
    "StartBoundaryNotFoundDefect": "no part begins with --BOUNDARY",
    "NoBoundaryInMultipartDefect": "its Content-Type states no boundary",
    "MultipartInvariantViolationDefect": "it is multipart and has no parts",
    "MissingHeaderBodySeparatorDefect": "no empty line ends its headers",
}
"""What the classes of ``email.errors`` mean."""


@dataclass(frozen=True)
class Loaded:
    """One part.

    :ivar name: ``cloudinit/10_x.yml``; an entry of an archive or message has its number after it, ``…#2``
    :ivar kind: one of this module's names
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


@dataclass(frozen=True)
class _Raw:
    """A part whose kind is not known yet: declared type (may be empty), headers in lower case, and the text."""

    name: str
    where: Location
    text: str
    declared: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    nested: bool = False
    variables: Mapping[str, object] | None = None


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


def _open(part: Part, real_root: Path, shown: Path, variables: Mapping[str, object]) -> Iterator[_Raw]:
    """The file's parts: itself, or what an archive or MIME message in it holds."""
    if not part.path.resolve().is_relative_to(real_root.resolve()):
        raise InputError("the link leads out of the AMI source", where=shown, hint="Put the file itself here")
    try:
        data = part.path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=shown) from error
    if not data.strip():
        raise InputError("the file is empty", where=shown, hint="Remove it, or give it content")
    if _MIME.match(data) and not data.startswith((b"#", b"-")) and b"ontent-" in data[:4096].replace(b"C", b"c"):
        yield from _message(part.name, data, shown)
        return
    text = decode(data, shown)
    where = Location(shown, 1, 1)
    if part.path.suffix == ".j2":
        if _kind_of(text) == CONFIG:
            yield _Raw(part.name, where, text, variables=variables)
        else:
            rendered = render_text(text, variables, where, quote="shell")
            if not rendered.strip():
                hint = "Put its conditions inside the script"
                raise InputError("nothing is left of the template once it is rendered", where=where, hint=hint)
            yield _Raw(part.name, where, rendered)
        return
    frequency = _frequency(part.name)
    if frequency:
        yield _Raw(part.name, where, text, f"text/x-shellscript-{frequency}")
    elif _kind_of(text) == "archive":
        yield from _archive(part.name, text, shown)
    else:
        yield _Raw(part.name, where, text)


def _frequency(name: str) -> str:
    """``per-boot`` of ``cloudinit/20_x.per-boot.sh``."""
    pieces = PurePosixPath(name).name.split(".")
    return next((piece for piece in pieces[1:] if piece in FREQUENCIES), "")


def _kind_of(text: str) -> str:
    """By the first line, or empty (``handlers.type_from_starts_with``, which ignores case)."""
    start = text[:64].lower()
    return next((kind for header, kind in _HEADERS if start.startswith(header)), "")


def _archive(name: str, text: str, shown: Path) -> Iterator[_Raw]:
    """The entries of a ``#cloud-config-archive`` (``UserDataProcessor._explode_archive``)."""
    document = parse(text, shown)
    if document.value == []:
        raise InputError("the archive has no entries", where=document.where, hint="Remove it, or give it some")
    if not isinstance(document.value, list):
        hint = "Begin each entry with '- '"
        raise InputError(f"the archive is {document.kind}, not a list of parts", where=document.where, hint=hint)
    lines = text.splitlines()
    for number, entry in enumerate(document.value, 1):
        node = entry
        fields: dict[str, Node] = {}
        if isinstance(entry.value, dict):
            fields = entry.value
            node = fields.get("content", Node(None, entry.where))
        if not isinstance(node.value, str) or not node.value.strip():
            hint = "Write 'content: |', and the text indented below it"
            raise InputError(f"entry {number} of the archive has no text as content", where=entry.where, hint=hint)
        headers = {str(key).lower(): str(value.value) for key, value in fields.items()}
        where = _content_place(lines, node.where)
        declared = headers.get("type", "")
        if not declared and not _kind_of(node.value):
            declared = "text/cloud-config"
        yield _Raw(f"{name}#{number}", where, node.value, declared, headers, nested=True)


def _content_place(lines: list[str], where: Location) -> Location:
    """Where the text of a scalar begins: for a block (``|``, ``>``) that is its first line that is not empty."""
    line = lines[where.line - 1]
    if line[where.column - 1 : where.column] not in ("|", ">"):
        return where
    number = where.line
    while number < len(lines) and not lines[number].strip():
        number += 1
    first = lines[number] if number < len(lines) else ""
    return Location(where.file, number + 1, len(first) - len(first.lstrip()) + 1)


def _message(name: str, data: bytes, shown: Path) -> Iterator[_Raw]:
    """The parts of a MIME message (``UserDataProcessor._process_msg``)."""
    import email

    if b"mime-version:" not in data[:4096].lower():
        what = "a MIME message without a MIME-Version header: cloud-init would not recognise it"
        raise InputError(what, where=Location(shown, 1), hint="Add 'MIME-Version: 1.0'")
    message = email.message_from_bytes(data)
    if message.defects:
        defect = type(message.defects[0]).__name__
        what = f"the MIME message is broken: {_DEFECTS.get(defect, defect)}"
        raise InputError(what, where=Location(shown, 1), hint="'cloud-init devel make-mime' writes good ones")
    whole = data.decode("utf-8", "replace").replace("\r\n", "\n")
    found, number = 0, 0
    for part in message.walk():
        if part.is_multipart():
            continue
        number += 1
        payload = part.get_payload(decode=True)
        content = payload if isinstance(payload, bytes) else b""
        declared = part.get_content_type()
        at = Location(shown, 1)
        if any(declared.endswith(word) for word in _COMPRESSED):
            raise InputError(f"part {number} is compressed", where=at, hint="Compile compresses; put it in as it is")
        try:
            text = content.decode(part.get_content_charset() or "utf-8").replace("\r\n", "\n")
        except (UnicodeDecodeError, LookupError) as error:
            charset = part.get_content_charset() or "utf-8"
            what, hint = (
                f"part {number} of the message is no text in {charset}",
                "Save it as UTF-8, or state its charset",
            )
            raise InputError(what, where=at, hint=hint) from error
        if (position := whole.find(text, found)) >= 0 and text.strip():
            at = Location(shown, whole.count("\n", 0, position) + 1, 1)
            found = position + len(text)
        if not text.strip():
            raise InputError(f"part {number} of the message is empty", where=at, hint="Remove it")
        headers = {key.lower(): str(value) for key, value in part.items()}
        yield _Raw(f"{name}#{number}", at, text, declared, headers, nested=True)
    if not number:
        raise InputError("the MIME message has no parts", where=Location(shown, 1))


def _load(raw: _Raw, findings: Findings) -> Loaded:
    text = raw.text.replace("\r\n", "\n")  # as cloud-init does with scripts (util.dos2unix); YAML does not mind
    if raw.headers.get("launch-index", "0") != "0":
        raise InputError(_LAUNCH_INDEX, where=raw.where, hint="Remove it")
    declared = "" if raw.declared in _GUESSED else raw.declared
    if declared == "text/x-shellscript":  # content wins, as in UserDataProcessor._process_msg
        kind = _kind_of(text) or SCRIPT
    else:
        kind = _TYPES.get(declared, OTHER) if declared else _kind_of(text)
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
    content_type = declared if kind == OTHER else _CONTENT_TYPES.get(kind, "")
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


def _config(loaded: Loaded, raw: _Raw, findings: Findings) -> Loaded:
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
    header = raw.headers.get("merge-type") or raw.headers.get("x-merge-type") or ""
    rest, stated = stated_mergers(document, header, raw.where, findings)
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


def _jinja(loaded: Loaded, raw: _Raw, findings: Findings) -> Loaded:
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
    kind = {CONFIG: JINJA_CONFIG, SCRIPT: JINJA_SCRIPT}.get(_kind_of(header))
    if kind is None or (kind == JINJA_CONFIG and header.rstrip().lower() != "#cloud-config"):
        raise InputError(
            "the template renders neither a '#cloud-config' nor a script: cloud-init would ignore it",
            where=Location(raw.where.file, raw.where.line + 1),
            hint="Make '#cloud-config' or '#!/bin/sh' its second line",
        )
    stated = None
    if said := raw.headers.get("merge-type") or raw.headers.get("x-merge-type"):
        _, stated = stated_mergers(Node({}, raw.where, {}), said, raw.where, findings)
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


def include_urls(text: str) -> list[tuple[str, bool, int]]:
    """URL, whether it is fetched once only, and line offset (``UserDataProcessor._do_include``)."""
    urls: list[tuple[str, bool, int]] = []
    once = False
    for offset, line in enumerate(text.split("\n")):
        lower = line.lower()
        if lower.startswith("#include-once"):
            line, once = line[len("#include-once") :].lstrip(), True
        elif lower.startswith("#include"):
            line, once = line[len("#include") :].lstrip(), False
        if line.strip() and not line.startswith("#"):
            urls.append((line.strip(), once, offset))
    return urls


def _check_include(text: str, where: Location) -> None:
    urls = include_urls(text)
    if not urls:
        raise InputError("the include names no URL", where=where, hint="Write one URL a line")
    for url, _, offset in urls:
        if not re.match(r"https?://[^\s/]+", url) or re.search(r"\s", url):
            hint = "The instance fetches it: write http:// or https://, one URL a line"
            raise InputError(f"'{url[:60]}' is no URL", where=Location(where.file, where.line + offset), hint=hint)


def _check_handler(part: Loaded, before: list[Loaded]) -> None:
    """A type of one's own needs a part-handler before it: cloud-init would not know what to do with it."""
    if part.kind == OTHER and not any(other.kind == HANDLER for other in before):
        close = difflib.get_close_matches(part.content_type, _TYPES, 1, 0.8)
        raise InputError(
            f"nothing handles the type '{part.content_type}': cloud-init would drop the part",
            where=part.where,
            hint=f"Did you mean '{close[0]}'" if close else "Put its part-handler before it: NN_name.py",
        )
