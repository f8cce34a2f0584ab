"""Which key an image, a snapshot or a volume is said to be encrypted with. Nothing is encrypted here.

EC2 checks a key only when it uses it, after it has answered: what names a key that cannot be used fails later (API
reference, CopyImage and EbsBlockDevice, ``KmsKeyId``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.kms import kms_backends

MANAGED = "alias/aws/ebs"
"""The key that AWS manages, and that EBS takes where none is named. What it encrypts cannot be shared."""


def managed_key(backend: Any) -> str:
    """The ARN of a region's :data:`MANAGED` key."""
    key = kms_backends[backend.account_id][backend.region_name].describe_key(MANAGED)
    key.key_manager = "AWS"
    return str(key.arn)


def usable(backend: Any, key: str) -> str | None:
    """The ARN of a key that is named by its id, alias or ARN; ``None`` when it is not there or not enabled."""
    kms = kms_backends[backend.account_id][backend.region_name]
    if key.startswith("arn:") and key.split(":")[3:5] != [backend.region_name, backend.account_id]:
        return None
    try:
        found = kms.describe_key(key)
    except Exception:  # moto's own for an alias, KeyError for an id
        return None
    return str(found.arn) if found.key_state == "Enabled" else None


def asked_key(backend: Any, params: Mapping[str, Any], source: str, *, same_region: bool = True) -> str:
    """The key that ``Encrypted`` and ``KmsKeyId`` of a request lead to; empty: not encrypted.

    A key that cannot be used is given as it was named.

    :param source: the key of what is launched or copied; a copy in another region cannot keep it
    """
    key: str = params.get("KmsKeyId", "")
    if key and not params.get("Encrypted"):
        raise EC2ClientError("InvalidParameterDependency", "The parameter KmsKeyId requires Encrypted to be true.")
    if key:
        return usable(backend, key) or key
    if source and same_region:
        return source
    return managed_key(backend) if source or params.get("Encrypted") else ""
