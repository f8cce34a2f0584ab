"""What secrets look like in a text: pure functions from text to :class:`Hit`.

:func:`tokens` finds what betrays itself by its form, :func:`assignments` what is given to a name like ``DB_PASSWORD``,
in a URL or to a command. No literal (``${X}``, ``{{ x }}``, ``<x>``) and no secret (a hash, a path) is not reported.
Which of the two a file deserves is decided in ``secrets``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ...findings import ERROR, WARNING


@dataclass(frozen=True)
class Hit:
    """Something found: where in the text (characters), what it is, and whether it is sure to matter."""

    start: int
    what: str
    level: str = ERROR


# Patterns are texts: most sources need none of them, and compiling them takes longer than using them.
_PEM = (
    r"-----BEGIN (?P<kind>(?:[A-Z0-9]+ ){0,3})PRIVATE KEY(?: BLOCK)?-----"
    r"(?:\\n|[\s\"',>|\\]|(?:Proc-Type|DEK-Info|Version|Comment): ?[^\n\\]{0,80})*"
    r"(?P<body>[A-Za-z0-9+/=]{16,})"
)
_ENCRYPTED = r"Proc-Type: ?4,ENCRYPTED"
_AWS_ID = r"(?<![A-Za-z0-9+/])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9+/=])|AKIAIOSFODNN7EXAMPLE"
_AWS_SECRET = r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])"
_URL = (
    r"(?i)\b(?P<scheme>[a-z][a-z0-9+.-]{1,20})://(?P<user>[^\s/:@\"'<>`|\\]{0,64}):"
    r"(?P<value>[^\s/@\"'<>`|\\]{1,200})@(?P<host>[A-Za-z0-9\[$][\w.-]*)"
)
TOKENS: tuple[tuple[str, str, str], ...] = (
    ("gh", "a GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{36,251}\b"),
    ("github_pat_", "a GitHub token", r"\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b"),
    ("gl", "a GitLab token", r"\bgl(?:pat|rt|dt|cbt|ptt|soat)-[A-Za-z0-9_-]{20,}"),
    ("xox", "a Slack token", r"\bxox[abeprs]-[0-9]{8,}-[0-9A-Za-z-]{10,}"),
    (
        "hooks.slack.com",
        "a Slack webhook",
        r"hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{20,}",
    ),
    ("npm_", "an npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("pypi-AgE", "a PyPI token", r"\bpypi-AgE[A-Za-z0-9_-]{50,}"),
    ("_live_", "a Stripe key", r"\b[sr]k_live_[A-Za-z0-9]{20,}"),
    ("hvs.", "a Vault token", r"\bhvs\.[A-Za-z0-9_-]{24,}"),
    ("AIza", "a Google API key", r"\bAIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    ("dckr_", "a Docker token", r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}"),
    ("PuTTY-User-Key-File-", "a private key", r"PuTTY-User-Key-File-\d(?s:.{1,4000}?)Private-Lines: \d"),
)
_BASE64_PEM = r"(?:LS0tLS1CRUdJTi|0tLS0tQkVHSU4g|tLS0tLUJFR0lOI)[A-Za-z0-9+/=\s\\]{32,}"
"""``-----BEGIN `` in base64, in each of its three alignments."""
BASE64_SIGNS = ("LS0tLS1CRUdJTi", "0tLS0tQkVHSU4g", "tLS0tLUJFR0lOI")

_NAME = r"[A-Za-z0-9_.-]*(?:passw(?:or)?d|passwd|passphrase|secret(?:[_-]?(?:access[_-]?)?key)?|token|api[_-]?key)"
_ASSIGNMENT = (
    rf"(?i)(?<![A-Za-z0-9_$.{{/-])[\"']?(?P<name>{_NAME})[\"']?(?P<is>[ \t]*=>?[ \t]*|[ \t]*:[ \t]+|[ \t]*:(?=[\"']))"
    r"(?P<value>\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|[^\s;&|,)}\]\"'#]+)(?P<rest>[^\n]*)"
)
_SHELL_ASSIGNMENT = (
    rf"(?i)(?<![A-Za-z0-9_$.{{/-])(?P<name>{_NAME})(?P<is>=)(?P<value>\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|[^\s;&|)\"'#]+)"
    r"(?P<rest>)"
)
_COMMANDS = (
    r"\bchpasswd\s*<<<\s*[\"']?[a-z_][\w-]*:(?P<value>[^\s\"']+)",
    r"\bchpasswd\s*<<-?\s*[\"']?\w+[\"']?[ \t]*\n\s*[a-z_][\w-]*:(?P<value>\S+)",
    r"\becho\s+[\"']?(?P<value>[^\s\"'|]+)[\"']?\s*\|\s*(?:sudo\s+)?passwd\b",
    r"\bsshpass\s+-p\s*(?P<value>\"[^\"\n]*\"|'[^'\n]*'|[^\s\"']+)",
    r"\bmysql(?:dump|admin)?\s(?:[^\n|;]*?\s)?-p(?P<value>\"[^\"\n]*\"|'[^'\n]*'|[^\s\"';|&]+)",
    r"\becho\s+(?:-[en]+\s+)?[\"']?[a-z_][\w-]*:(?P<value>[^\s\"'|]+)[\"']?\s*\|\s*(?:sudo\s+)?chpasswd\b(?!\s+-e)",
    r"\bcurl\s[^\n|;]*?(?:-u|--user)[\s=]+[\"']?[\w.@-]+:(?P<value>[^\s\"']+)",
    r"(?<=\s)--(?:password|passwd|token|secret)[ =](?P<value>\"[^\"\n]*\"|'[^'\n]*'|[^\s\"';|&)]+)",
)
_WORDS = (
    *(b"passw", b"passphrase", b"secret", b"token", b"api_key", b"api-key", b"apikey"),
    *(b"curl", b"sshpass", b"mysql"),
)

_PLACEHOLDER = r"""(?xi)
    [$`]|\{\{|\}\}|<[^>]*>|\{%|%\(|@[A-Z_]+@|__[A-Z_]+__|\{[\w.]*\}|\[[\w. -]+\]   # filled in by something
    |\A[*x.#?-]+\Z|\.\.\.|\AX{3,}|redacted|\Ayour[_-]|\A(?:enter|insert|put)[_-]       # left out
    |example|dummy|placeholder"""
_NOT_SECRET = r"""(?xi)
    (?:none|null|nil|true|false|yes|no|on|off|undefined|default|disabled|enabled|required|optional|prompt|ask
       |unchanged|random|locked|any|all|never|always|string|str|text|bytes|int|bool     # settings and types
       |files|compat|systemd|sss|ldap|nis|sufficient|requisite|include)\Z               # nsswitch.conf, PAM
    |\$[0-9a-z]+\$|\{[A-Z0-9-]+\}|[*!]+                     # hashes and locks
    |~?/[\w./-]+\Z|\.{1,2}/|file:|[a-z]+://|[\w.-]+(?:/[\w.-]+){3,}\Z   # where it is, not what it is
    |\d+[.:]\d[\w.:+~-]*\Z                                  # versions: passwd is a package too
    """
_HASH = r"\$(?:[1256y]|2[abxy]|7|gy|sm3|argon2\w*)\$|[*!]|\$[a-z0-9-]+\$.*\$"
_CODE = r"[(\[{]|\A[A-Za-z_][\w]*(?:\.[A-Za-z_]\w*|::\w+|->\w+)+\Z"
_PLAIN_OPTION = r"(?i)-|(?:password|passwd|token|secret|pass|user)\Z"
_SECRET_NAME = rf"(?i){_NAME}\Z"
_PLAIN_WORD = r"[A-Za-z_-]+\Z"


def tokens(text: str) -> Iterator[Hit]:
    """What is a secret by its form, wherever it stands."""
    if "PRIVATE KEY" in text:
        for match in re.finditer(_PEM, text):
            sealed = "ENCRYPTED" in match["kind"] or re.search(_ENCRYPTED, match[0])
            what = "an encrypted private key" if sealed else "a private key"
            yield Hit(match.start(), what, WARNING if sealed else ERROR)
    if "AKIA" in text or "ASIA" in text:
        yield from _aws(text)
    for sign, what, pattern in TOKENS:
        if sign in text:
            for match in re.finditer(pattern, text):
                if len(set(match[0])) >= 12 and not re.search(_PLACEHOLDER, match[0]):
                    yield Hit(match.start(), what)
    if any(sign in text for sign in BASE64_SIGNS):
        for match in re.finditer(_BASE64_PEM, text):
            if b"PRIVATE KEY" in _decoded(match[0]):
                yield Hit(match.start(), "a private key in base64")


def _aws(text: str) -> Iterator[Hit]:
    for match in re.finditer(_AWS_ID, text):
        near = text[max(0, match.start() - 400) : match.end() + 400]
        secret = any(len(set(found[0])) > 12 for found in re.finditer(_AWS_SECRET, near))
        if "EXAMPLE" in match[0]:
            yield Hit(match.start(), "the AWS access key of Amazon's documentation", WARNING)
        elif secret:
            yield Hit(match.start(), "an AWS access key")
        else:
            yield Hit(match.start(), "the id of an AWS access key", WARNING)


_PATTERNS = ("password", "passwd", "pass", "pwd", "pw", "secret", "token", "x-oauth-basic")


def _is_pattern_url(match: re.Match[str]) -> bool:
    """``user:password@``, as manuals write it."""
    user, value = match["user"].casefold(), match["value"].casefold()
    named = value in _PATTERNS and (user in ("user", "username", "login", "name", "usr", "u", "token") or "$" in user)
    return named or "example." in match["host"].casefold() or value == "anoncvs"


def _decoded(text: str) -> bytes:
    clean = re.sub(r"[\s\\=]|\\n", "", text)
    for skip in range(4):
        body = clean[skip:]
        try:
            data = base64.b64decode(body[: len(body) // 4 * 4])
        except binascii.Error:
            continue
        if b"-----BEGIN" in data or b"PRIVATE KEY" in data:
            return data
    return b""


def assignments(text: str, *, shell_only: bool = False) -> Iterator[Hit]:
    """Literals that are given to a name like ``DB_PASSWORD``, and passwords in URLs and in arguments of commands.

    :param shell_only: only ``NAME=value``; else ``name: value`` and ``name = value`` too
    """
    if "://" in text and "@" in text:
        for match in re.finditer(_URL, text):
            if is_literal(match["value"]) and not _is_pattern_url(match):
                yield Hit(match.start("value"), f"a password in a {match['scheme'].lower()} URL")
    if not has_words(text.lower().encode("utf-8", "replace")):
        return
    for match in re.finditer(_SHELL_ASSIGNMENT if shell_only else _ASSIGNMENT, text):
        if _is_assigned(match):
            yield Hit(match.start("name"), f"'{match['name']}' with its value in clear")
    for pattern in _COMMANDS:
        for match in re.finditer(pattern, text):
            value = _unquoted(match["value"])
            if is_literal(value) and not re.match(_NOT_SECRET, value) and not re.match(_PLAIN_OPTION, value):
                yield Hit(match.start("value"), "a password in a command")


def has_words(lower: bytes) -> bool:
    """Whether a text in lower case may have an assignment or a command worth a look."""
    return any(word in lower for word in _WORDS)


def _is_assigned(match: re.Match[str]) -> bool:
    quoted, value, name = match["value"][:1] in "\"'", _unquoted(match["value"]), match["name"].lower()
    line = match.string[match.string.rfind("\n", 0, match.start()) + 1 : match.start()].lstrip()
    if line.startswith(("#", ";", "//")) and re.match(_PLAIN_WORD, value):
        return False  # an explanation rather than a setting that was switched off
    if match["value"][:1] == "'" and "$" in value and not re.match(_HASH, value) and not value.startswith("${"):
        literal = len(value) > 3 and "{{" not in value  # the shell leaves what is in single quotes alone
    else:
        literal = is_literal(value)
    if not literal or re.match(_NOT_SECRET, value):
        return False
    if name.endswith(("passwd", "password", "passphrase")):
        weak = value.lower() in (name, "password", "passwd") and match["is"].strip() != "="
        return len(value) > 1 and not weak and (quoted or not re.search(_CODE, value)) and not _is_prose(match, quoted)
    # tokens and keys are random: a word, a number, an expression is something else
    return len(value) >= 12 and _looks_random(value) and (quoted or not re.search(_CODE, value))


def _is_prose(match: re.Match[str], quoted: bool) -> bool:
    """``Password: the one that …``: more words follow a bare value, or the value is itself a sentence."""
    if quoted:
        return " " in match["value"].strip() and match["is"].strip() != "="
    return match["is"].strip() in (":", "=>") and bool(re.match(r"\s+[A-Za-z(]", match["rest"]))


def _looks_random(value: str) -> bool:
    kinds = [bool(re.search(kind, value)) for kind in (r"[a-z]", r"[A-Z]", r"[0-9]")]
    return kinds[2] and sum(kinds) >= 2 and not re.search(r"\s", value) and len(set(value)) >= 8


def is_literal(value: str) -> bool:
    """Whether it is the value itself, not what something else fills in or a manual's stand-in."""
    return bool(value) and not re.search(_PLACEHOLDER, value)


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0] else value


def is_secret(name: str, value: str) -> bool:
    """Whether the value of a mapping's key is a literal secret, by the key's name."""
    if "\n" in value or not re.match(_SECRET_NAME, name):
        return False
    quote = "'" if "'" not in value else '"'
    match = re.match(_ASSIGNMENT, f"{name}: {quote}{value}{quote}")
    return match is not None and _is_assigned(match)


def is_password(value: str) -> bool:
    """Whether what a key for passwords has is one in clear: no hash, no lock, nothing to be filled in."""
    return bool(value) and not re.match(_HASH, value) and not re.search(r"\$\{|\$\(|\{\{|<.*>", value)
