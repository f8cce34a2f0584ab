"""Why a Jenkins did not do what it was asked, in one line, from its answer. Pure.

What the answers look like was recorded on 2.504.3: the reason of a 400 is in ``X-Error``, a 403 names the permission, a
500 has no cause but the number of an entry in the server's log, and pages that the servlet container makes have none of
Jenkins' headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape

from ..errors import ServerError

_TAG = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_LOGGED = re.compile(r"Logging ID=([0-9a-f-]{8,})")
_STARTING = ("Starting Jenkins", "getting ready to work")


def is_starting(status: int, text: str) -> bool:
    """Whether this is Jenkins on its way up."""
    return status == 503 and any(words in text for words in _STARTING)


def lacks_crumb(status: int, text: str) -> bool:
    """Whether a password was used, for which Jenkins wants a crumb of the same session."""
    return status == 403 and "No valid crumb" in text


def refusal(
    action: str, where: str, status: int, headers: Mapping[str, str], text: str, *, signed_in: bool
) -> ServerError:
    """The error for an answer.

    :param action: what was asked, as in ``"create amis/base"``
    :param where: the server's URL
    :param signed_in: whether credentials were sent
    """
    said = _said(headers, text)
    hint = None
    if status == 401:
        what, hint = "the user or the API token is wrong", "Make a new token in Jenkins under Security of that user"
    elif status == 403 and (permission := headers.get("X-Required-Permission")):
        user = headers.get("X-You-Are-Authenticated-As", "anonymous")
        what, hint = f"{user} lacks the permission {_permission(permission, said)}", "Grant it in Jenkins"
    elif status == 403 and not signed_in:
        what, hint = "anonymous may not", "Give a user and an API token: JENKINS_USER and JENKINS_TOKEN, or 'auth'"
    elif lacks_crumb(status, text):
        what, hint = "the crumb was refused", "Use an API token instead of a password"
    elif status == 403:
        what = f"it is forbidden{said and f': {said}'}"
    elif status == 404:
        what, hint = "there is no such item, or this user may not see it", "Grant Job/Read, or check the path"
    elif status == 400:
        what = said or "bad request"
    elif status >= 500:
        logged = _LOGGED.search(text)
        number = f" (Logging ID {logged[1]})" if logged else ""
        what, hint = f"an error inside Jenkins{number}", "Its cause is in Jenkins' own log"
    elif status in (301, 307, 308) and "Location" in headers:
        what, hint = f"it is at {headers['Location'].partition('?')[0]}", "Give that URL"
    else:
        what = f"an answer {status} that Jenkins does not give{said and f': {said}'}"
        hint = "Check the URL: it must be Jenkins' own, with its prefix, and no login page before it"
    return ServerError(f"Jenkins refused to {action}: {what}", where=where, hint=hint, status=status)


def _permission(name: str, said: str) -> str:
    """``Job/Create``, as Jenkins' pages call it, else the class."""
    match = re.search(r"is missing the (\S+) permission", said)
    return match[1] if match else name


def _said(headers: Mapping[str, str], text: str) -> str:
    """Jenkins' own words, short."""
    if error := headers.get("X-Error"):
        return error
    if text.lstrip()[:1] != "<":
        return ""
    plain = " ".join(unescape(_TAG.sub(" ", text)).split())
    for words in (r"Access Denied (.{1,200}? permission)", r"Error (.{1,300})"):
        if match := re.search(words, plain):
            return match[1]
    return ""
