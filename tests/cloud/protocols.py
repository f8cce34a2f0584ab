"""What AWS's protocols say of a call, and how their services word an error."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

READS = ("Describe", "Get", "Head", "List", "Assume")
"""What the actions that change nothing begin with."""
_SCOPE = re.compile(r"Credential=[^/,]+/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
THROTTLED = {
    "ec2": (503, "RequestLimitExceeded"),
    "s3": (503, "SlowDown"),
    "ssm": (400, "ThrottlingException"),
    "kms": (400, "ThrottlingException"),
}
"""Status and code with which a service says: ask less often."""
FAILED = {"ec2": "InternalError", "s3": "InternalError", "ssm": "InternalServerError", "kms": "KMSInternalException"}
"""The code of its internal error, which is an HTTP 500."""


@dataclass(frozen=True)
class Call:
    """One call of an API.

    :ivar number: of all calls that the proxy has seen, from 1
    :ivar occurrence: of this service, action and region, from 1
    """

    number: int
    service: str
    action: str
    region: str
    occurrence: int
    body: bytes = field(default=b"", repr=False)

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Names it among all calls of a run, whatever the order in which threads make theirs."""
        return self.service, self.action, self.region, self.occurrence

    @property
    def changes(self) -> bool:
        """Whether it changes anything in the cloud."""
        return not self.action.startswith(READS)

    def __str__(self) -> str:
        return f"{self.service} {self.action} {self.region} #{self.occurrence}"


@dataclass(frozen=True)
class Answer:
    """What a client hears."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""


def recognise(method: str, path: str, headers: Mapping[str, str] | Message, form: bytes) -> tuple[str, str, str]:
    """Service, action and region of a request.

    >>> recognise("HEAD", "/bucket", {}, b"")
    ('s3', 'HeadBucket', '')
    """
    scope = _SCOPE.search(headers.get("Authorization") or "")
    region, service = (scope[1], scope[2]) if scope else ("", "s3")
    if target := headers.get("X-Amz-Target"):
        return service, target.rpartition(".")[2], region
    if service != "s3":
        return service, parse_qs(form.decode("utf-8", "replace")).get("Action", [f"{method} {path}"])[0], region
    parts = urlsplit(path)
    kind = "Object" if parts.path.strip("/").count("/") else "Bucket" if parts.path.strip("/") else "s"
    if kind == "s":
        return service, "ListBuckets", region
    if method == "POST" and "delete" in parts.query:
        return service, "DeleteObjects", region
    if kind == "Bucket" and method == "GET":
        return service, "ListObjectsV2" if "list-type=2" in parts.query else "GetBucket", region
    verb = {"PUT": "Put" if kind == "Object" else "Create", "GET": "Get", "HEAD": "Head", "DELETE": "Delete"}
    return service, f"{verb.get(method, method.title())}{kind}", region


def refusal(call: Call, status: int, code: str, message: str) -> Answer:
    """An error answer as the service of ``call`` words it (AWS "Common errors"; S3 "Error responses")."""
    request = "00000000-0000-0000-0000-000000000000"
    kind, text = "text/xml", ""
    if call.service in ("ssm", "kms", "ebs"):
        kind, text = "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message})
    elif call.service == "ec2":
        text = f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error></Errors>"
        text += f"<RequestID>{request}</RequestID></Response>"
    elif call.service == "s3":
        text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message><RequestId>{request}</RequestId></Error>"
    else:
        text = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message>"
        text += f"</Error><RequestId>{request}</RequestId></ErrorResponse>"
    return Answer(status, (("Content-Type", kind), ("x-amzn-RequestId", request)), text.encode())
