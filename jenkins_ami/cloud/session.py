"""boto3 clients for an environment, and the translation of whatever goes wrong with them into :class:`CloudError`."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Self

from .. import __version__
from ..errors import CloudError
from .environments import Environment

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient

_EXPIRED = "The credentials have expired: get new ones (aws sso login, or a fresh role session) and run this again"
_WRONG = "The credentials are not valid here: look at the access key, the profile and the clock of this machine"
_LACKING = "Give the role that builds this right, or build in another environment"
_ROLE = "Let the trust policy of 'role' name these credentials, and the environment the 'external_id' that it asks for"
_LIMIT = "Ask AWS for a higher limit, or name other instance_types"
HINTS = {
    "AccessDenied": _LACKING,
    "AccessDeniedException": _LACKING,
    "UnauthorizedOperation": _LACKING,
    "403": _LACKING,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "AuthFailure": _WRONG,
    "InvalidAccessKeyId": _WRONG,
    "InvalidClientTokenId": _WRONG,
    "SignatureDoesNotMatch": _WRONG,
    "UnrecognizedClientException": _WRONG,
    "OptInRequired": "The account has not enabled this region",
    "InsufficientInstanceCapacity": "Name other instance_types, or a subnet in another zone",
    "InstanceLimitExceeded": _LIMIT,
    "VcpuLimitExceeded": _LIMIT,
    "InvalidSubnetID.NotFound": "Correct 'subnet' of the environment",
    "InvalidGroup.NotFound": "Correct 'security_groups' of the environment",
    "InvalidGroupId.Malformed": "Correct 'security_groups' of the environment",
    "VPCIdNotSpecified": "The account has no default VPC: give the environment a 'subnet'",
    "NoCredentials": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a 'profile', or run where a role is",
    "EndpointUnreachable": "Look at the endpoint, the network and the proxy settings of this machine",
    "NoAnswer": "Look whether the endpoint is one of EC2, and whether a proxy answers in its place",
}
"""What to do about the usual error codes. The last three are ours: no API answered."""


class Cloud:
    """An environment's API. Clients are made when they are first used.

    Every call goes inside ``with cloud.calls():``, which raises nothing but :class:`CloudError`. Close it, or use it as
    a context manager, to give the connections back.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._clients: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for client in self._clients:
            client.close()

    @cached_property
    def ec2(self) -> EC2Client:
        return self._client("ec2")  # type: ignore[no-any-return]

    @cached_property
    def s3(self) -> S3Client:
        return self._client("s3")  # type: ignore[no-any-return]

    @cached_property
    def ssm(self) -> SSMClient:
        return self._client("ssm")  # type: ignore[no-any-return]

    @cached_property
    def sts(self) -> STSClient:
        return self._client("sts")  # type: ignore[no-any-return]

    @cached_property
    def autoscaling(self) -> Any:
        return self._client("autoscaling")

    @cached_property
    def iam(self) -> Any:
        return self._client("iam")

    @cached_property
    def kms(self) -> Any:
        return self._client("kms")

    @cached_property
    def instance_s3(self) -> S3Client:
        """S3 as instances see it: for signing URLs, never for calls."""
        return self._client("s3", self.environment.instance_s3_endpoint)  # type: ignore[no-any-return]

    def check_account(self, wanted: str | None) -> str:
        """The account that the credentials belong to.

        :param wanted: 12 digits; ``None`` takes any
        :raises CloudError: when it is another one, or there are no valid credentials
        """
        with self.calls():
            found = self.sts.get_caller_identity()["Account"]
        if wanted not in (None, found):
            raise CloudError(
                f"the credentials are for account {found}, not {wanted}",
                code="WrongAccount",
                operation="GetCallerIdentity",
                where=self._where,
                hint="Use credentials of that account",
            )
        return found

    @contextlib.contextmanager
    def calls(self) -> Iterator[None]:
        """Calls inside it raise :class:`CloudError` with the API's code, the operation and, where known, a hint."""
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        try:
            yield
        except ClientError as error:
            raise refusal(error, self._where) from error
        except BotoCoreError as error:
            raise _no_answer(error, self._where) from error
        except ResponseParserError as error:  # no BotoCoreError
            raise CloudError(
                "the endpoint's answer makes no sense", code="NoAnswer", where=self._where, hint=HINTS["NoAnswer"]
            ) from error

    @property
    def _where(self) -> str:
        environment = self.environment
        return f"environment {environment.name}, {environment.endpoint or environment.region}"

    @cached_property
    def _session(self) -> Any:
        import boto3

        environment = self.environment
        if environment.role is None:
            return self._own_session
        from botocore.credentials import CredentialResolver

        from .role import AssumedRole

        with self.calls():
            core = self._core()
            provider = AssumedRole(
                lambda: self._make(self._own_session, "sts"), environment.role, environment.external_id
            )
            core.register_component("credential_provider", CredentialResolver([provider]))
            return boto3.Session(region_name=environment.region, botocore_session=core)

    @cached_property
    def _own_session(self) -> Any:
        """With the builder's own credentials, whatever role it is to assume."""
        import boto3

        environment = self.environment
        keys: dict[str, str] = {}
        if environment.credentials is not None:
            keys["aws_access_key_id"] = environment.credentials.access_key
            keys["aws_secret_access_key"] = environment.credentials.secret_key
        with self.calls():
            return boto3.Session(**keys, region_name=environment.region, botocore_session=self._core())

    def _core(self) -> Any:
        import botocore.session

        environment = self.environment
        if environment.credentials is None:
            core = botocore.session.Session(profile=environment.profile)
        else:  # the user's ~/.aws has no say in fixed credentials, not even through AWS_PROFILE
            nowhere = (None, None, os.devnull, None)
            core = botocore.session.Session(
                session_vars={"config_file": nowhere, "credentials_file": nowhere, "profile": (None, None, None, None)}
            )
        core.register_component("data_loader", _models(core.get_config_variable("data_path")))
        return core

    def _client(self, service: str, endpoint: str | None = None) -> Any:
        client = self._make(self._session, service, endpoint)
        self._clients.append(client)
        return client

    def _make(self, session: Any, service: str, endpoint: str | None = None) -> Any:
        """A client that its maker closes.

        Its retries are botocore's standard ones: five attempts with jittered back-off, enough for a hiccup. What lasts
        longer is :mod:`.waiting`'s, which has deadlines. The adaptive mode would not help a hundred builds at once: its
        limiter is each client's own and learns from that client's calls, of which one build makes few; it gives no more
        attempts; and it holds calls back, also those that end things, where no deadline and no status line see it.
        """
        from botocore.config import Config

        environment = self.environment
        endpoint = endpoint or environment.endpoint
        config = Config(
            retries={"mode": "standard", "max_attempts": 5},
            connect_timeout=10,
            read_timeout=60,
            user_agent_extra=f"jenkins-ami/{__version__}",
            signature_version="s3v4" if service == "s3" else None,
            # A look-alike has no wildcard DNS for bucket.host; AWS signs for the region's own host name.
            s3={"addressing_style": "path" if endpoint else "virtual", "us_east_1_regional_endpoint": "regional"},
            # Fixed credentials belong to loopback, where no proxy leads.
            proxies={} if environment.credentials else None,
        )
        with self.calls():
            return session.client(service, endpoint_url=endpoint, config=config)


@lru_cache
def _models(data_path: str | None) -> Any:
    """botocore's descriptions of the services: one copy for all regions, each 30 MB and a quarter of a second less."""
    from botocore.loaders import create_loader

    return create_loader(data_path)


def refusal(error: ClientError, where: str | None = None) -> CloudError:
    """An API's error answer as :class:`CloudError`."""
    answer = error.response.get("Error", {})
    code = str(answer.get("Code") or "Unknown")
    # EC2 appends a blob that only sts:DecodeAuthorizationMessage can read.
    message = re.sub(r"\s*Encoded authorization failure message:.*", "", str(answer.get("Message") or ""), flags=re.S)
    said = f": {message.strip().rstrip('.')}" if message.strip() not in ("", code) else ""
    return CloudError(
        f"the cloud refused {error.operation_name}{said} [{code}]",
        code=code,
        operation=error.operation_name,
        where=where,
        hint=_ROLE if error.operation_name == "AssumeRole" and HINTS.get(code) == _LACKING else HINTS.get(code),
    )


def lacks_right(error: CloudError) -> bool:
    """Whether a call was refused because the credentials do not have the right to make it."""
    return error.code in ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "403")


def _no_answer(error: BotoCoreError, where: str | None) -> CloudError:
    """What botocore itself raises: no credentials, no connection, parameters that it refuses to send."""
    from botocore import exceptions as known

    if isinstance(error, known.NoCredentialsError | known.PartialCredentialsError | known.CredentialRetrievalError):
        code, what = "NoCredentials", "there are no credentials"
    elif isinstance(error, known.ProfileNotFound):
        code, what = "NoCredentials", str(error)
    elif isinstance(error, known.SSOError | known.TokenRetrievalError):
        code, what = "ExpiredToken", "the single sign-on session has ended"
    elif isinstance(error, known.ReadTimeoutError | known.ConnectionClosedError | known.ResponseStreamingError):
        code, what = "NoAnswer", "the cloud did not answer"
    elif isinstance(error, known.ConnectionError | known.HTTPClientError):
        code, what = "EndpointUnreachable", "the cloud cannot be reached"
    else:
        code, what = type(error).__name__, str(error)
    return CloudError(what, code=code, where=where, hint=HINTS.get(code))
