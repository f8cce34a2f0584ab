"""``sources:`` of ``jobs.yaml``, and what else in it names servers: URLs, and how to sign in there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import InputError, Location
from ..findings import Findings
from ..source.jobs import regular_expression, texts_at
from ..yamlfile import Fields, Node, did_you_mean
from .model import PROVIDERS, Provider

_AUTH = ("user", "user_env", "secret_env", "secret_file", "netrc")
SECRETS = ("secret", "token", "password", "api_token", "apikey")
_COMMON = ("name", "branch", "folders", "include", "exclude", "clone", "credentials", "auth")
_MORE = {"gerrit": ("prefix", "regex"), "git": (), "github": ("api",), "gitlab": ("api",), "folder": ("url",)}
_API = {"github": "https://api.github.com", "gitlab": "https://gitlab.com/api/v4"}
_GIT_URL = re.compile(r"(?:(?:https?|ssh|git|file)://[^\s]+|[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:[^\s]+|/[^\s]+)\Z")
_EXCLUDE = (
    ("user", "user_env"),
    ("secret_env", "secret_file"),
    ("netrc", "secret_env"),
    ("netrc", "secret_file"),
)
"""Keys of ``auth`` of which there is one at most."""


def where_of(fields: Fields, key: str) -> Location:
    return (fields.node_of(key) or fields.node).where


def refuse_secrets(node: Node | None) -> None:
    """:raises InputError: a mapping holds a secret, which everybody could read who may read the repository"""
    keys = node.value if node is not None and isinstance(node.value, dict) else {}
    for key in SECRETS:
        if key in keys:
            raise InputError(
                f"a secret ('{key}') does not belong in jobs.yaml",
                where=keys[key].where,
                hint="Change it, and name a variable (secret_env) or file (secret_file) that holds it, under 'auth'",
            )


def read_auth(block: Fields) -> dict[str, str]:
    refuse_secrets(block.node_of("auth"))
    auth = block.fields("auth", "auth", _AUTH)
    given = {key: auth.text(key) for key in _AUTH if auth.node_of(key)}
    for one, other in _EXCLUDE:
        if one in given and other in given:
            raise InputError(f"'{one}' and '{other}' exclude each other", where=where_of(auth, other))
    if ("user" in given or "user_env" in given) and not {"secret_env", "secret_file"} & set(given):
        raise InputError("a user without a secret", where=auth.node.where, hint="Add 'secret_env:' or 'secret_file:'")
    return given


def read_url(block: Fields, key: str, schemes: tuple[str, ...]) -> str:
    """A URL without a user's password in it."""
    text = block.text(key) or block.missing(key)
    try:
        parts = urlsplit(text)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_fine = urlsplit(""), False
    if parts.scheme not in schemes or not parts.hostname or not port_is_fine or not text.isprintable() or " " in text:
        raise InputError(f"'{text}' is no URL", where=where_of(block, key), hint=f"Begin it with {schemes[0]}://")
    _refuse_password(text, where_of(block, key))
    return text


def _refuse_password(url: str, where: Location) -> None:
    """Of HTTP also a user alone: it may well be a token, and who signs in is told elsewhere."""
    parts = urlsplit(url) if "://" in url else urlsplit("")
    if parts.password is not None or (parts.username is not None and parts.scheme in ("http", "https")):
        what = "a user's name" if parts.password is None else "a password"
        raise InputError(
            f"the URL holds {what}", where=where, hint="Take it out, change it, and name credentials instead"
        )


def git_url(text: str, where: Location) -> str:
    if not _GIT_URL.match(text) or not text.isprintable() or "::" in text.partition("/")[0]:
        raise InputError(
            f"'{text}' is no URL of a Git repository", where=where, hint="Use https://, ssh:// or user@host:path"
        )
    _refuse_password(text, where)
    return text


def read_sources(fields: Fields, base: Path) -> tuple[Provider, ...]:
    found = Findings()
    providers: list[Provider] = []
    for number, node in enumerate(fields.items("sources"), 1):
        with found.catch("jobs.yaml"):
            provider = _provider(node, number, base)
            if any(other.name == provider.name for other in providers):
                raise InputError(
                    f"there are two sources named '{provider.name}'", where=node.where, hint="Give one another 'name:'"
                )
            providers.append(provider)
    found.raise_errors()
    return tuple(providers)


def _provider(node: Node, number: int, base: Path) -> Provider:
    what = f"source {number}"
    keys = node.value if isinstance(node.value, dict) else {}
    kinds = [kind for kind in PROVIDERS if kind in keys]
    if len(kinds) != 1:
        problem = f"{what} says both '{kinds[0]}' and '{kinds[1]}'" if kinds else f"{what} does not say what it is"
        near = [hint for key in keys if (hint := did_you_mean(str(key), PROVIDERS)).startswith("Did")]
        hint = near[0] if near and not kinds else f"Give it one of {', '.join(PROVIDERS)}"
        raise InputError(problem, where=node.where, hint=hint)
    kind = kinds[0]
    refuse_secrets(node)
    block = Fields(node, what, (kind, *_COMMON, *_MORE[kind]))
    branch = block.text("branch")
    if branch and not re.match(r"[^\s~^:?*\[\\$\x00-\x1f]+\Z", branch):
        raise InputError(f"'{branch}' is no branch", where=where_of(block, "branch"))
    values: dict[str, Any] = {
        "kind": kind,
        "where": node.where,
        "branch": branch.removeprefix("refs/heads/"),
        "folders": tuple(_glob(each, where) for each, where in texts_at(block, "folders")) or ("",),
        "include": block.texts("include", ("**",)),
        "exclude": block.texts("exclude"),
        "clone": block.text("clone"),
        "credentials": block.text("credentials"),
        "auth": read_auth(block),
    }
    if kind == "gerrit":
        values |= {"url": read_url(block, kind, ("https", "http")).rstrip("/"), **_which(block)}
        name = urlsplit(values["url"]).netloc
    elif kind == "git":
        values["urls"] = tuple(git_url(url, where) for url, where in texts_at(block, kind))
        if not values["urls"]:
            raise InputError(f"{what} names no repository", where=node.where, hint="List their URLs under 'git:'")
        name = f"git-{number}"
    elif kind == "folder":
        path = block.text(kind) or block.missing(kind)
        values |= {"path": base / path, "clone": block.text("url") or values["clone"]}
        name = f"folder {path}"
    else:
        api = read_url(block, "api", ("https", "http")).rstrip("/") if block.node_of("api") else _API[kind]
        values |= {"url": api, "group": (block.text(kind) or block.missing(kind)).strip("/")}
        name = f"{kind} {values['group']}"
    if values["clone"]:
        key = "url" if kind == "folder" and block.node_of("url") else "clone"
        git_url(values["clone"], where_of(block, key))
    return Provider(name=block.text("name", name), **values)


def _which(block: Fields) -> dict[str, str]:
    prefix, regex = block.text("prefix"), block.text("regex")
    if prefix and regex:
        raise InputError(
            "'prefix' and 'regex' exclude each other", where=where_of(block, "regex"), hint="Gerrit takes one of them"
        )
    regular_expression(block, "regex")
    return {"prefix": prefix, "regex": regex}


def _glob(text: str, where: Location) -> str:
    names = text.strip("/").split("/")
    if ".." in names or not text.isprintable():
        raise InputError(f"'{text}' is no folder of the repository", where=where)
    return "/".join(name for name in names if name not in ("", "."))
