"""Instance profiles: the credentials that the metadata service hands out, and what S3 here makes of them.

They are dummies, but of EC2's form and life. S3 here takes anybody's word, but not theirs: a URL that is signed with
them is refused when its signature is wrong or its time is over, so an instance that cannot sign fails here already.

Facts: AWS, "Retrieve security credentials from instance metadata" and "Authenticating Requests: Using Query Parameters
(AWS Signature Version 4)".
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import string
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote

PROFILE = "jenkins-ami-local"
"""The instance profile, and its role, that every local cloud has."""

LIFE = timedelta(hours=6)
RENEWAL = timedelta(minutes=5)
"""New credentials are there at least this long before the old ones expire."""
SKEW = timedelta(minutes=15)
"""How far a request's time may be ahead."""
MAX_EXPIRY = 7 * 24 * 3600

_STAMP = "%Y%m%dT%H%M%SZ"
_ALPHABET = string.ascii_uppercase + "234567"


@dataclass(frozen=True)
class Credentials:
    """What a role on an instance signs with, until ``expires``."""

    role: str
    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    issued: datetime
    expires: datetime

    def document(self) -> bytes:
        """As the metadata service gives it."""
        form = "%Y-%m-%dT%H:%M:%SZ"
        answer = {
            "Code": "Success",
            "LastUpdated": self.issued.strftime(form),
            "Type": "AWS-HMAC",
            "AccessKeyId": self.access_key,
            "SecretAccessKey": self.secret_key,
            "Token": self.token,
            "Expiration": self.expires.strftime(form),
        }
        return json.dumps(answer, indent=2).encode()


class Issuer:
    """Issues credentials to instances, and knows them again. For use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: dict[tuple[str, str], Credentials] = {}
        self._known: dict[str, Credentials] = {}

    def credentials(self, instance_id: str, role: str, now: datetime | None = None) -> Credentials:
        """An instance's credentials for ``role``: the same ones until it is time for new ones."""
        now = now or datetime.now(UTC)
        with self._lock:
            found = self._current.get((instance_id, role))
            if found is None or found.expires - now <= RENEWAL:
                key = "ASIA" + "".join(secrets.choice(_ALPHABET) for _ in range(16))
                found = Credentials(role, key, secrets.token_hex(20), secrets.token_urlsafe(300), now, now + LIFE)
                self._current[instance_id, role] = self._known[key] = found
            return found

    def refuse(self, environ: Mapping[str, Any], now: datetime | None = None) -> tuple[str, str] | None:
        """S3's code and message for a presigned request that it would not take; ``None`` for those that it would.

        :param environ: the WSGI request; what is not presigned with credentials from here is none of our business
        """
        now = now or datetime.now(UTC)
        address, _, text = str(environ.get("REQUEST_URI", "")).partition("?")
        path = re.sub("^https?://[^/]*", "", address)  # as one asks a proxy
        query = dict(parse_qsl(text, keep_blank_values=True))
        key, _, scope = query.get("X-Amz-Credential", "").partition("/")
        with self._lock:
            known = self._known.get(key)
        if known is None:
            return None
        stamp, signature = query.pop("X-Amz-Date", ""), query.pop("X-Amz-Signature", "")
        if query.get("X-Amz-Security-Token") != known.token:
            return "InvalidToken", "The provided token is malformed or otherwise invalid."
        if now >= known.expires:
            return "ExpiredToken", "The provided token has expired."
        try:
            began = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
            life = int(query["X-Amz-Expires"])
            day, region, *rest = scope.split("/")
        except (ValueError, KeyError):
            return "AuthorizationQueryParametersError", "Query-string authentication parameters are not valid."
        if began - now > SKEW:
            return "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."
        if not 1 <= life <= MAX_EXPIRY or day != stamp[:8] or rest != ["s3", "aws4_request"]:
            return "AuthorizationQueryParametersError", "Query-string authentication parameters are not valid."
        if now > began + timedelta(seconds=life):
            return "AccessDenied", "Request has expired"
        headers = query.get("X-Amz-SignedHeaders", "").split(";")
        values = [(name, str(environ.get("HTTP_" + name.upper().replace("-", "_"), "")).strip()) for name in headers]
        query["X-Amz-Date"] = stamp
        request = "\n".join(
            [
                str(environ["REQUEST_METHOD"]),
                path,
                "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items())),
                *(f"{name}:{value}" for name, value in values),
                "",
                ";".join(headers),
                "UNSIGNED-PAYLOAD",
            ]
        )
        wanted = _sign(known.secret_key, [day, region, *rest], stamp, request)
        if "host" not in headers or not hmac.compare_digest(wanted, signature):
            return "SignatureDoesNotMatch", "The request signature we calculated does not match the one you provided."
        return None


def _sign(secret: str, scope: list[str], stamp: str, request: str) -> str:
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for word in [*scope, "\n".join(["AWS4-HMAC-SHA256", stamp, "/".join(scope), digest])]:
        key = hmac.digest(key, word.encode(), "sha256")
    return key.hex()
