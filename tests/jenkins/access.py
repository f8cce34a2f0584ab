"""Who asks, and whether they may: users, API tokens, sessions with crumbs, permissions, as recorded."""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass, field

from . import pages
from .pages import Refused

ITEM, VIEW = "hudson.model.Item", "hudson.model.View"
READ, EXTENDED_READ, CREATE = f"{ITEM}.Read", f"{ITEM}.ExtendedRead", f"{ITEM}.Create"
CONFIGURE, DELETE, BUILD = f"{ITEM}.Configure", f"{ITEM}.Delete", f"{ITEM}.Build"
CREATE_VIEW, CONFIGURE_VIEW, DELETE_VIEW = f"{VIEW}.Create", f"{VIEW}.Configure", f"{VIEW}.Delete"
ADMINISTER = "hudson.model.Hudson.Administer"
_IMPLIED_BY = {
    CONFIGURE: "hudson.security.Permission.GenericConfigure | hudson.security.Permission.GenericUpdate | "
    "hudson.security.Permission.GenericWrite | hudson.model.Hudson.Administer"
}
USERS = {
    "admin": frozenset({ADMINISTER}),
    "reader": frozenset({READ}),
    "ci": frozenset({READ, CREATE, CONFIGURE, BUILD}),
    "nobody": frozenset[str](),
    "seer": frozenset({READ, EXTENDED_READ}),
}
"""The users of the recordings; all have Overall/Read."""


@dataclass
class Caller:
    """Who sent a request. An empty name is anonymous."""

    name: str
    permissions: frozenset[str]
    by_token: bool = False
    session: str = ""

    def may(self, permission: str) -> bool:
        if ADMINISTER in self.permissions or permission in self.permissions:
            return True
        return permission == EXTENDED_READ and CONFIGURE in self.permissions

    def need(self, permission: str) -> None:
        """:raises Refused: 403, with the names of user and permission in headers"""
        if not self.may(permission):
            kind, _, name = permission.rpartition(".")
            shown = {ITEM: "Job", VIEW: "View"}.get(kind, "Overall")
            raise Refused(pages.denied(self.name, permission, f"{shown}/{name}", _IMPLIED_BY.get(permission, "")))


@dataclass
class Access:
    """The users' secrets, and the sessions of this run of the server."""

    passwords: dict[str, str] = field(default_factory=lambda: {name: f"password-of-{name}" for name in USERS})
    tokens: dict[str, str] = field(default_factory=lambda: {name: secrets.token_hex(17) for name in USERS})
    _crumbs: dict[str, str] = field(default_factory=dict)
    _known: dict[str, Caller] = field(default_factory=dict)

    def caller(self, headers: dict[str, str]) -> Caller:
        """:raises Refused: 401 for a wrong password or token"""
        session = _cookie(headers.get("cookie", ""))
        given = headers.get("authorization", "")
        if not given:
            return Caller("", frozenset(), session=session)
        known = self._known.get(given)
        if known is None:
            known = self._known[given] = self._authenticated(given)
        return Caller(known.name, known.permissions, known.by_token, session)

    def _authenticated(self, given: str) -> Caller:
        scheme, _, value = given.partition(" ")
        try:
            name, _, secret = base64.b64decode(value).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name = secret = ""
        if scheme.lower() == "basic" and secret:
            for kind in (self.tokens, self.passwords):
                if kind.get(name) == secret:
                    return Caller(name, USERS[name], by_token=kind is self.tokens)
        raise Refused(pages.unauthorized())

    def crumb(self, caller: Caller) -> tuple[str, str]:
        """A crumb, and the session that it belongs to: the caller's own if there is one."""
        session = caller.session if caller.session in self._crumbs else f"node0{secrets.token_hex(12)}.node0"
        return self._crumbs.setdefault(session, secrets.token_hex(32)), session

    def check_crumb(self, caller: Caller, headers: dict[str, str]) -> None:
        """What POST needs: nothing with an API token, else the crumb and its session's cookie.

        :raises Refused: 403 of the container
        """
        crumb = self._crumbs.get(caller.session)
        if not caller.by_token and (crumb is None or headers.get("jenkins-crumb") != crumb):
            raise Refused(pages.no_crumb())

    def forget_sessions(self) -> None:
        self._crumbs.clear()


def _cookie(header: str) -> str:
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name.startswith("JSESSIONID"):
            return value
    return ""
