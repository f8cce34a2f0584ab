"""Reads the https URL of an S3 object and prints it presigned with the credentials of this instance's profile.

A script on the instance, no module: it runs under cloud-init's own Python (3.6 or later), with nothing but its library.
AWS: "Use IMDSv2", "Retrieve security credentials from instance metadata", "Authenticating Requests: Using Query
Parameters (AWS Signature Version 4)".
"""

import hashlib
import hmac
import json
import os
import sys
import time
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

IMDS = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
ROLES = "meta-data/iam/security-credentials/"
SECONDS = "300"


def ask(path: str, headers: Any, method: str = "GET") -> str:
    """A document of the metadata service, to which no proxy leads."""
    request = Request(IMDS + "/latest/" + path, headers=headers, method=method)
    with build_opener(ProxyHandler({})).open(request, timeout=10) as answer:
        return str(answer.read().decode())


def presign(url: str, region: str, credentials: Any, stamp: str) -> str:
    """The URL with a signature that is good for 5 minutes from ``stamp`` (``20260102T030405Z``)."""
    parts = urlsplit(url)
    day = stamp[:8]
    scope = "/".join([day, region, "s3", "aws4_request"])
    query = urlencode(
        [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", credentials["AccessKeyId"] + "/" + scope),
            ("X-Amz-Date", stamp),
            ("X-Amz-Expires", SECONDS),
            ("X-Amz-Security-Token", credentials["Token"]),
            ("X-Amz-SignedHeaders", "host"),
        ],
        quote_via=quote,
        safe="",
    )
    request = "\n".join(["GET", parts.path, query, "host:" + parts.netloc, "", "host", "UNSIGNED-PAYLOAD"])
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = ("AWS4" + credentials["SecretAccessKey"]).encode()
    for word in [*scope.split("/"), text]:
        key = hmac.new(key, word.encode(), "sha256").digest()
    return "".join([url, "?", query, "&X-Amz-Signature=", key.hex()])


def main() -> None:
    token = {"X-aws-ec2-metadata-token": ask("api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, "PUT")}
    credentials = json.loads(ask(ROLES + ask(ROLES, token).split()[0], token))
    if credentials["Code"] != "Success":
        raise ValueError(credentials["Code"])
    region = ask("meta-data/placement/region", token)
    url = sys.stdin.readline().strip()
    sys.stdout.write(presign(url, region, credentials, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (OSError, LookupError, ValueError) as error:
        sys.exit("the instance's profile gives no credentials: " + str(error))
