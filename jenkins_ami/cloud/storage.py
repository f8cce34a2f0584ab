"""Storage: where an overlay that does not fit into the user-data waits for the instance to fetch it.

The instance finds its URL in the user-data. For an object in S3 that is put there by a build, the only change that it
ever makes to what compile wrote: presigned, so that the instance needs no credentials, or plain, for an instance that
signs with its own. A place that somebody else fills is known at compile, and is only looked at here.
"""

from __future__ import annotations

import gzip
import http.client
import re
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from ..artifacts import OVERLAY, STORAGE_TOKEN, USERDATA, USERDATA_LIMIT
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


def object_key(where: Place, sha256: str, build: str, file: str = OVERLAY) -> str:
    """The overlay's key: named after its content, and of this build alone, which deletes it when it ends.

    :param file: what it is called on the disk; what follows its first dot is kept
    """
    return f"{where.prefix}{sha256}/{build}.{file.partition('.')[2]}"


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


def object_url(cloud: Cloud, where: Place, key: str) -> str:
    """The object's plain URL, as instances see it: for one that signs its requests itself."""
    return urlunsplit(urlsplit(presign(cloud, where, key, 1))._replace(query=""))


def check_there(url: str, length: int) -> str:
    """Look whether the overlay is in a place that somebody else fills. One byte of it is asked for.

    :param url: ``https://…``; its query may be a secret and is in no message
    :param length: bytes that the overlay has
    :returns: why this cannot be told from here; empty when all is well
    :raises StorageError: it is not there, or has another length
    :raises InputError: the URL is none
    """
    if not url.startswith("https://") or not _SAFE.fullmatch(url):
        raise InputError("the overlay's place is no https URL", hint="Run 'jenkins-ami compile' again")
    shown = url.partition("?")[0]
    request = urllib.request.Request(url, headers={"Range": "bytes=0-0", "Accept-Encoding": "identity"})
    try:
        with urllib.request.build_opener().open(request, timeout=30) as answer:
            status, headers = answer.status, answer.headers
    except urllib.error.HTTPError as error:
        error.close()
        status, headers = error.code, error.headers
    except urllib.error.URLError as error:
        return f"{shown} cannot be reached from here: {error.reason}"
    except (OSError, http.client.HTTPException) as error:
        return f"{shown} cannot be reached from here: {type(error).__name__}"
    if status in (404, 410):
        raise StorageError(f"the overlay is not at {shown}: HTTP {status}", hint=_PUT)
    if status not in (200, 206, 416):
        return f"{shown} answers with HTTP {status} here"
    said = headers.get("Content-Length", "") if status == 200 else headers.get("Content-Range", "").rpartition("/")[2]
    if not said.isdecimal():
        return f"{shown} does not tell its length"
    if int(said) != length:
        raise StorageError(f"at {shown} are {int(said):,} bytes, the overlay has {length:,}", hint=_PUT)
    return ""


_PUT = "Put the compiled AMI's overlay there, or compile again with another --storage"


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
