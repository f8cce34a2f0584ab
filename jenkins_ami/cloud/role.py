"""Credentials of a role that an environment names: assumed with the builder's own, and again before they end.

A role's credentials last an hour, a build may take longer. botocore asks for new ones a quarter of an hour before that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.credentials import CredentialProvider, DeferredRefreshableCredentials

from ..errors import CloudError

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient
    from mypy_boto3_sts.type_defs import AssumeRoleRequestTypeDef

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_+=,.@-]+")
_LONGEST = 64


def session_name() -> str:
    """What the account's CloudTrail calls us: Jenkins' ``BUILD_TAG``, as far as it is a name (STS API reference,
    AssumeRole, "RoleSessionName"); its end, where the build's number is."""
    name = _NOT_IN_A_NAME.sub("-", os.environ.get("BUILD_TAG", "")).strip("-")[-_LONGEST:]
    return name if len(name) > 1 else "jenkins-ami"


class AssumedRole(CredentialProvider):
    """The only provider of a session's credentials.

    :param sts: makes a client with the builder's own credentials
    """

    METHOD = "jenkins-ami-role"

    def __init__(self, sts: Callable[[], STSClient], role: str, external_id: str | None) -> None:
        super().__init__()
        self._sts = sts
        self._request: AssumeRoleRequestTypeDef = {"RoleArn": role, "RoleSessionName": session_name()}
        if external_id is not None:
            self._request["ExternalId"] = external_id

    def load(self) -> Any:
        """Credentials that are asked for when the first call needs them."""
        return DeferredRefreshableCredentials(refresh_using=self._assume, method=self.METHOD)

    def _assume(self) -> dict[str, str]:
        client = self._sts()
        try:
            got = client.assume_role(**self._request)["Credentials"]
        finally:
            client.close()
        if got["Expiration"] <= datetime.now(UTC):
            raise CloudError(
                "the credentials of the role have ended before they began",
                code="ExpiredToken",
                operation="AssumeRole",
                where=self._request["RoleArn"],
                hint="Set the clock of this machine",
            )
        return {
            "access_key": got["AccessKeyId"],
            "secret_key": got["SecretAccessKey"],
            "token": got["SessionToken"],
            "expiry_time": got["Expiration"].isoformat(),
        }
