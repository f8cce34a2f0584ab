"""The blocks of ``ami.yaml`` that say how to compile: merge, strict, overlay, parameters, checks, storage.

Each function takes the :class:`~jenkins_ami.yamlfile.Fields` of the whole file and gives one type of ``model``.
"""

from __future__ import annotations

import re

from ..errors import InputError
from ..yamlfile import Fields, Node
from .jobs import one_of
from .model import OverlayRule, OverlaySettings, Parameter, Storage, Strictness

SCALARS = ("error", "first", "last")
KINDS = ("string", "integer", "boolean", "choice", "secret")
COMPRESSIONS = ("gzip", "zstd")
ACCESSES = ("presigned", "profile")

PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
MODE = re.compile(r"[0-7]{3,4}\Z")
OWNER = re.compile(r"([a-z_][a-z0-9_.-]*\$?|[0-9]{1,10})(?::([a-z_][a-z0-9_.-]*|[0-9]{1,10}))?\Z")
S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/\S*)?\Z")
HTTPS = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]+)?/[A-Za-z0-9:/?&=%._~+,;@!-]*\Z")


def scalars(fields: Fields) -> str:
    """``merge: {scalars: …}``."""
    return one_of(fields.fields("merge", "merge", ("scalars",)), "scalars", SCALARS)


def strictness(fields: Fields) -> Strictness:
    """``strict: true``, ``false`` or ``{except: [globs]}``."""
    node = fields.node_of("strict")
    if node is not None and isinstance(node.value, list):
        hint = "Write 'strict: {except: [..]}' for parts whose commands may fail"
        raise InputError("'strict' is a list, not true or false", where=node.where, hint=hint)
    if node is None or not isinstance(node.value, dict):
        return Strictness(default=fields.boolean("strict", True))
    return Strictness(lenient=fields.fields("strict", "strict", ("except",)).texts("except"))


def overlay(fields: Fields) -> OverlaySettings:
    """``overlay: {compression, rules: [{path, mode, owner}], setuid: [globs]}``."""
    block = fields.fields("overlay", "overlay", ("compression", "rules", "setuid"))
    return OverlaySettings(
        compression=one_of(block, "compression", COMPRESSIONS),
        rules=tuple(_rule(node, number) for number, node in enumerate(block.items("rules"), 1)),
        setuid=tuple(glob.lstrip("/") for glob in block.texts("setuid")),
    )


def _rule(node: Node, number: int) -> OverlayRule:
    rule = Fields(node, f"overlay rule {number}", ("path", "mode", "owner"))
    path = rule.text("path") or rule.missing("path")
    mode = owner = group = None
    if (given := rule.node_of("mode")) is not None:
        text = rule.text("mode")
        if not MODE.match(text):
            raise InputError(
                f"'{text}' is no mode", where=given.where, hint='Write octal digits in quotes, like "0640"'
            )
        mode = int(text, 8)
    if (given := rule.node_of("owner")) is not None:
        match = OWNER.match(rule.text("owner"))
        if match is None:
            raise InputError(
                f"'{rule.text('owner')}' is no owner", where=given.where, hint="Write user or user:group, names or ids"
            )
        owner, group = match[1], match[2]
    if mode is None and owner is None:
        raise InputError("the rule changes nothing", where=node.where, hint="Give it 'mode:' or 'owner:'")
    return OverlayRule(path.lstrip("/"), node.where, mode, owner, group)


def parameters(fields: Fields) -> tuple[Parameter, ...]:
    """``parameters: {name: {type, default, description, choices}}``."""
    node = fields.node_of("parameters")
    if node is None:
        return ()
    if not isinstance(node.value, dict):
        hint = "Write 'name: {type, default, description}' for each"
        raise InputError(f"'parameters' is {node.kind}, not a mapping", where=node.where, hint=hint)
    return tuple(
        _parameter(name, value, (node.keys or {}).get(name, value.where)) for name, value in node.value.items()
    )


def _parameter(name: object, node: Node, where: object) -> Parameter:
    place = node.where
    if not isinstance(name, str) or not PARAMETER.match(name):
        raise InputError(
            f"'{name}' is no parameter name",
            where=where,  # type: ignore[arg-type]
            hint="Use lower-case letters, digits and _",
        )
    block = Fields(node, f"parameter '{name}'", ("type", "default", "description", "choices"))
    kind = one_of(block, "type", KINDS)
    choices = block.texts("choices")
    if (kind == "choice") != bool(choices):
        hint = "Give it 'choices: [..]'" if kind == "choice" else "Give it 'type: choice', or remove the choices"
        raise InputError(f"parameter '{name}' of type {kind} and its choices do not fit", where=place, hint=hint)
    given = block.node_of("default")
    default = None if given is None else as_text(given.value)
    if given is not None:
        if default is None:
            hint = "Write one value" if isinstance(given.value, (dict, list)) else "Put it in quotes"
            raise InputError(f"the default of '{name}' is {given.kind}", where=given.where, hint=hint)
        if kind == "secret":
            raise InputError(
                f"the secret '{name}' has a default, which everybody who reads the source knows",
                where=given.where,
                hint=f"Remove it, and set AMI_PARAM_{name.upper()} in the environment",
            )
        if problem := refuse_value(kind, choices, default):
            raise InputError(f"the default of '{name}' {problem}", where=given.where)
    return Parameter(name, kind, place, default, block.text("description"), choices)


def as_text(value: object) -> str | None:
    """A scalar of a parameter as text: booleans as ``true`` and ``false``; ``None`` for what is no scalar."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int)) else None


def refuse_value(kind: str, choices: tuple[str, ...], value: str) -> str:
    """Why ``value`` cannot be the value of a parameter of this kind; empty when it can."""
    if "\0" in value or "\n" in value or "\r" in value:
        return "has more than one line"
    if kind == "integer" and not re.fullmatch(r"-?[0-9]+", value):
        return f"is '{value}', not a whole number"
    if kind == "boolean" and value not in ("true", "false"):
        return f"is '{value}', not true or false"
    if kind == "choice" and value not in choices:
        return f"is '{value}', not one of {', '.join(choices)}"
    return ""


def secrets_allowed(fields: Fields) -> tuple[str, ...]:
    """``checks: {allow_secrets: [globs]}``."""
    return fields.fields("checks", "checks", ("allow_secrets",)).texts("allow_secrets")


def storage(fields: Fields) -> Storage:
    """``storage: URL`` or ``storage: {url, access}``; without a URL it is the environment's bucket."""
    node = fields.node_of("storage")
    if node is None:
        return Storage()
    if not isinstance(node.value, dict):
        return storage_of(fields.text("storage"), None, node)
    block = fields.fields("storage", "storage", ("url", "access"))
    access = one_of(block, "access", ACCESSES) if block.node_of("access") else None
    if block.node_of("url") is None:
        return Storage(None, access or ACCESSES[0])
    return storage_of(block.text("url"), access, node)


def storage_of(url: str, access: str | None, node: Node | None = None) -> Storage:
    """A storage by its URL's scheme.

    :raises InputError: no scheme that is known, or an access that the scheme does not have
    """
    where = node.where if node else None
    if url.startswith("https://"):
        if not HTTPS.match(url):
            raise InputError(f"'{url}' is no storage", where=where, hint="Use https://host/path, escaped with %XX")
        if access:
            raise InputError(f"https storage has no access '{access}'", where=where, hint="Leave it out")
        return Storage(url, "https")
    if not S3.match(url):
        hint = "Use s3://bucket/prefix or https://host/path/"
        if url.startswith("s3://"):
            hint = "A bucket's name has 3 to 63 lower-case letters, digits, dots and dashes, a prefix no spaces"
        raise InputError(f"'{url}' is no storage", where=where, hint=hint)
    return Storage(url, access or ACCESSES[0])
