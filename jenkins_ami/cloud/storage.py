"""Storage: where an overlay that does not fit into the user-data waits for the instance to fetch it.

The instance has no credentials. It gets a presigned URL, which is put into the user-data here: the only change that a
build ever makes to what compile wrote.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..artifacts import STORAGE_TOKEN, USERDATA, USERDATA_LIMIT
from ..errors import CloudError, InputError, StorageError
from ..progress import size
from .environments import LOCAL, Environment
from .session import Cloud, refusal

MAX_OBJECT = 5 << 30
"""Bytes of one PutObject (S3 User Guide, "Uploading objects"): more would need parts, which a kill leaves behind."""

MAX_EXPIRY = 7 * 24 * 3600
"""Seconds that a presigned URL can be valid (S3 User Guide, "Sharing objects with presigned URLs")."""

_URL = re.compile(r"s3://([^/]+)(?:/(.*))?")
_SAFE = re.compile(r"https?://[A-Za-z0-9:/?&=%._~+,;@!-]+")
"""A URL that means the same as a plain YAML scalar and in curl's configuration: it is put where the token stood."""


@dataclass(frozen=True)
class Place:
    """A bucket, and what object keys begin with (empty, or ending in ``/``)."""

    bucket: str
    prefix: str = ""


def place(storage: str | None, environment: Environment) -> Place:
    """Where overlays go: what the AMI source names, else the environment's.

    :param storage: ``s3://bucket/prefix`` of the manifest
    :raises StorageError: when neither names one, or it is no such URL
    """
    url = storage or environment.storage
    if url is None:
        raise StorageError(
            "the overlay does not fit into user-data and there is no storage for it",
            where=f"environment {environment.name}",
            hint="Give the environment 'storage: s3://bucket/prefix', or compile with --storage",
        )
    match = _URL.fullmatch(url)
    if match is None:
        raise StorageError(f"'{url}' is no storage", hint="Use s3://bucket/prefix")
    prefix = (match[2] or "").strip("/")
    return Place(match[1], f"{prefix}/" if prefix else "")


def object_key(where: Place, sha256: str, build: str) -> str:
    """The overlay's key: named after its content, and of this build alone, which deletes it when it ends."""
    return f"{where.prefix}{sha256}/{build}.tgz"


def check_bucket(cloud: Cloud, where: Place) -> None:
    """Make sure that the bucket is there. In the local cloud it is made when it is missing.

    :raises StorageError: there is no such bucket, or it is in another region
    :raises CloudError: it is not ours to use
    """
    region = cloud.environment.region
    try:
        with cloud.calls():
            answer = cloud.s3.head_bucket(Bucket=where.bucket)
    except CloudError as error:
        if error.code not in ("404", "NoSuchBucket"):
            raise
        if cloud.environment.name != LOCAL:
            raise StorageError(
                f"there is no bucket '{where.bucket}'",
                where=f"environment {cloud.environment.name}, {region}",
                hint="Make it, or name another with 'storage:' or --storage",
            ) from error
        with cloud.calls():
            if region == "us-east-1":  # which S3 refuses as a LocationConstraint
                cloud.s3.create_bucket(Bucket=where.bucket)
            else:
                cloud.s3.create_bucket(
                    Bucket=where.bucket,
                    CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
                )
        return
    found = answer.get("BucketRegion") or region
    if found != region:
        raise StorageError(
            f"bucket '{where.bucket}' is in {found}, the build is in {region}",
            hint="Name a bucket in the build's own region",
        )


def upload(cloud: Cloud, where: Place, key: str, file: Path, on_bytes: Callable[[int], None]) -> None:
    """Put a file into the bucket with one PutObject: it is there whole, or not at all.

    :param on_bytes: called with the number of bytes just sent
    :raises StorageError: it is too large
    :raises CloudError: S3 refused
    """
    from boto3.exceptions import S3UploadFailedError
    from boto3.s3.transfer import TransferConfig
    from botocore.exceptions import ClientError

    length = file.stat().st_size
    if length > MAX_OBJECT:
        raise StorageError(f"the overlay has {size(length)}, S3 takes {size(MAX_OBJECT)}", where=file)
    config = TransferConfig(multipart_threshold=MAX_OBJECT + 1, use_threads=False)
    try:
        with cloud.calls(), file.open("rb") as stream:
            cloud.s3.upload_fileobj(stream, where.bucket, key, Callback=on_bytes, Config=config)
    except S3UploadFailedError as error:
        if isinstance(error.__cause__, ClientError):
            raise refusal(error.__cause__) from error
        raise CloudError(str(error), code="UploadFailed", operation="PutObject") from error


def presign(cloud: Cloud, where: Place, key: str, seconds: int) -> str:
    """A URL that the instance can GET for ``seconds`` (7 days at most), without credentials. A secret until then."""
    with cloud.calls():
        return cloud.instance_s3.generate_presigned_url(
            "get_object", Params={"Bucket": where.bucket, "Key": key}, ExpiresIn=min(seconds, MAX_EXPIRY)
        )


def fill(userdata: bytes, url: str) -> bytes:
    """The user-data with the URL where compile left a token. Same input, same bytes.

    :param userdata: gzip, as compile wrote it
    :raises InputError: it is not gzip, or has no token
    :raises StorageError: with the URL it is larger than EC2 takes
    """
    try:
        text = gzip.decompress(userdata)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{USERDATA} is not gzip: {error}", hint="Run 'jenkins-ami compile' again") from error
    if not _SAFE.fullmatch(url):
        raise StorageError(
            "the storage's URL has characters that it cannot have", hint="Look at its endpoint and prefix"
        )
    if STORAGE_TOKEN.encode() not in text:
        raise InputError(f"{USERDATA} has no place for the storage URL", hint="Run 'jenkins-ami compile' again")
    filled = gzip.compress(text.replace(STORAGE_TOKEN.encode(), url.encode()), 9, mtime=0)
    if len(filled) > USERDATA_LIMIT:
        raise StorageError(
            f"the user-data has {len(filled):,} bytes with the storage URL in it, EC2 takes {USERDATA_LIMIT:,}",
            hint="Move files from cloudinit/ to fs/, or use a shorter bucket name and prefix",
        )
    return filled
