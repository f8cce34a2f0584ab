"""Why a Jenkins did not do what it was asked, in one line, from its answer. Pure.

What the answers look like was recorded on 2.504.3: the reason of a 400 is on its page and in ``X-Error``, a 403 names
the permission, a 500 has no cause but the number of an entry in the server's log, and pages that the servlet container
makes have none of Jenkins' headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.message import Message
from html import unescape

from ..errors import ServerError

Headers = Mapping[str, str] | Message
"""As ``http.client`` gives them: found whatever their case."""

SIGN_IN = "Give a user and an API token: JENKINS_USER and JENKINS_TOKEN, 'auth' in jobs.yaml, or a netrc"
CHECK_URL = "Check the URL: it must be Jenkins' own, with its prefix, and no page to sign in before it"
_TAG = re.compile(r"<(script|style|head)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_LOGGED = re.compile(r"Logging ID=([0-9a-f-]{8,})")
_STARTING = ("Starting Jenkins", "getting ready to work")


def is_starting(status: int, text: str) -> bool:
    """Whether this is Jenkins on its way up."""
    return status == 503 and any(words in text for words in _STARTING)


def lacks_crumb(status: int, text: str) -> bool:
    """Whether a POST was refused because it may be forged: a password needs a crumb of its session. A Jenkins that is
    not quite up says the same to an API token (recorded)."""
    return status == 403 and "No valid crumb" in text


def is_sign_in(status: int, location: str) -> bool:
    """Whether a redirect leads to a page to sign in, and not to an item (whatever its name)."""
    path = location.partition("?")[0]
    return status in (302, 303) and "/job/" not in path and ("/login" in path or "/securityRealm/" in path)


def refusal(action: str, where: str, status: int, headers: Headers, text: str, *, user: str) -> ServerError:
    """The error for an answer.

    :param action: what was asked, as in ``"create amis/base"``
    :param where: the server's URL
    :param user: who asked; empty is nobody
    """
    is_jenkins = "X-Jenkins" in headers
    said = _said(headers, text)
    what, hint = "", ""
    if status == 401 and user:
        what = f"the user {user} or that user's API token is wrong"
        hint = "Make a new token in Jenkins, on that user's page under Security"
    elif status == 403 and (permission := headers.get("X-Required-Permission")):
        name = headers.get("X-You-Are-Authenticated-As", user)
        what, hint = f"the user {name} lacks {_permission(permission, said)}", "Grant it in Jenkins, on that folder"
    elif status in (401, 403) and not user:
        what, hint = "nobody is signed in", SIGN_IN
    elif lacks_crumb(status, text):
        what, hint = "its crumb was not taken", "Use an API token instead of a password"
    elif status == 404 and is_jenkins:
        what, hint = "there is no such item, or this user may not see it", "Grant Job/Read, or check the path"
    elif status == 407:
        what, hint = "the proxy wants another user or password", "Correct the proxy variables"
    elif status == 400 and said:
        what = said
    elif status >= 500 and is_jenkins:
        logged = _LOGGED.search(text)
        what = "an error inside it, of which it does not say more"
        hint = f"See Jenkins' own log{f' for Logging ID {logged[1]}' if logged else ''}"
        if action.startswith(("create", "update")):
            hint += "; a plugin that the document needs may be missing"
    elif status in (301, 302, 303, 307, 308) and (location := headers.get("Location")):
        target = location.partition("?")[0]
        if is_sign_in(status, location):
            what, hint = f"it wants a person to sign in at {target}", SIGN_IN if not user else CHECK_URL
        else:
            what, hint = f"it is at {target}", "Give that URL"
    elif not is_jenkins and status in (404, 200):
        return no_jenkins(where, status)
    else:
        what = f"the answer is {status}{said and f', {said}'}"
        hint = "" if is_jenkins else CHECK_URL
    return ServerError(f"Jenkins refused to {action}: {what}", where=where, hint=hint or None, status=status)


def no_jenkins(where: str, status: int = 200) -> ServerError:
    """Somebody else answers there."""
    answer = "another page" if status == 200 else f"a {status}"
    return ServerError(f"there is no Jenkins, but {answer}", where=where, hint=CHECK_URL, status=status)


def _permission(name: str, said: str) -> str:
    """``Job/Create``, as Jenkins' pages call it, else the class."""
    match = re.search(r"is missing the (\S+) permission", said)
    return match[1] if match else re.sub(r"^hudson\.model\.Item\.", "Job/", name)


def _said(headers: Headers, text: str) -> str:
    """Jenkins' own words. The header has ``?`` for each quote that is not Latin-1, so the page's are better."""
    plain = " ".join(unescape(_TAG.sub(" ", text)).split()) if text.lstrip()[:1] == "<" else ""
    if header := headers.get("X-Error"):
        match = re.search(re.escape(header).replace(r"\?", "."), plain)
        return match[0] if match else header
    for words in (r"Access Denied (.{1,200}? permission)", r"Error (.{1,300})"):
        if match := re.search(words, plain):
            return match[1]
    return plain[:100]
