"""How this program itself signs in at Jenkins, Gerrit and others. A configuration says where a secret is, never what.

``{}``: ``netrc``, or nobody. ``{user, secret_env}`` or ``{user_env, secret_env}``: environment variables.
``{user, secret_file}``: a file that only its owner may read. ``{netrc: FILE}``: that netrc. Without a user: a token.
Files may begin with ``~/``, else they are looked for beside the configuration.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from .errors import InputError, Location


@dataclass(frozen=True)
class Credentials:
    """A user name (empty for a token alone) with a password or token, which no ``repr`` shows."""

    user: str
    secret: str = field(repr=False)


def lookup(auth: Mapping[str, str], url: str, environ: Mapping[str, str], where: Location) -> Credentials | None:
    """Find what ``auth`` names.

    :param url: the server, for netrc
    :param where: the place of ``auth`` in its file
    :raises InputError: a variable or file that it names is not there, others may read the file, or what is in it
        cannot be sent
    """
    if "secret_env" in auth or "secret_file" in auth:
        user = _variable(auth["user_env"], environ, where) if "user_env" in auth else auth.get("user", "")
        secret = (
            _variable(auth["secret_env"], environ, where)
            if "secret_env" in auth
            else _file(_beside(auth["secret_file"], where, environ), where)
        )
        return _checked(Credentials(user, secret), where)
    if named := auth.get("netrc"):
        return _netrc(_beside(named, where, environ), url, where)
    if named := environ.get("NETRC"):
        return _netrc(Path(named), url, Location("NETRC"))
    path = _home(environ) / ".netrc"
    return _netrc(path, url, where) if path.exists() else None


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home())


def _beside(path: str, where: Location, environ: Mapping[str, str]) -> Path:
    """A path of a configuration."""
    if path.startswith("~/"):
        return _home(environ) / path[2:]
    return Path(where.file).parent / path


def _variable(name: str, environ: Mapping[str, str], where: Location) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise InputError(f"the variable {name} is not set", where=where, hint="Set it, or name another")
    return value


def _file(path: Path, where: Location) -> str:
    what = f"the secret file {path}"
    text = _read(path, what, where).strip()
    _check_private(path, what, where)
    if not text or "\n" in text:
        raise InputError(f"{what} holds no secret on one line", where=where)
    return text


def _read(path: Path, what: str, where: Location) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"{what} cannot be read: {why}", where=where) from error


def _check_private(path: Path, what: str, where: Location) -> None:
    """As ssh does with its keys. What is no file (``/dev/stdin``, a pipe of the shell) has no such permissions."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(f"others may read {what}", where=where, hint=f"Run 'chmod 600 {path}'")


def _netrc(path: Path, url: str, where: Location) -> Credentials | None:
    """The entry for the URL's host, else the default one; what stands in a file that has neither is nobody's matter."""
    import netrc

    what = f"the netrc {path}"
    _read(path, what, where)
    try:
        entries = netrc.netrc(path).hosts
    except netrc.NetrcParseError as error:
        place = Location(path, error.lineno or 0)
        raise InputError(f"the netrc cannot be read: {error.msg}", where=place) from None
    hosts = {name.lower(): entry for name, entry in entries.items()}
    found = hosts.get(urlsplit(url).hostname or "") or hosts.get("default")
    if found is None:
        return None
    _check_private(path, what, where)
    return _checked(Credentials(found[0] or "", found[2] or ""), Location(path))


def _checked(credentials: Credentials, where: Location) -> Credentials:
    """:raises InputError: HTTP could not carry it as it is"""
    if ":" in credentials.user:
        raise InputError(f"the user '{credentials.user}' has a colon, which HTTP cannot send", where=where)
    if not (credentials.user + credentials.secret).isprintable():
        raise InputError("the user or the secret has a line break or a control character in it", where=where)
    return credentials
