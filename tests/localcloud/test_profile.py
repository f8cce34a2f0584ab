"""Instance profiles: credentials from the metadata service to S3, where only the guest is not a whole one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from jenkins_ami.localcloud.profile import LIFE, PROFILE, RENEWAL, Credentials, Issuer
from tests.localcloud.conftest import Cloud
from tests.places import metadata_on_tcp

INSTANCE = Path(__file__).parent.parent.parent / "jenkins_ami" / "compile" / "instance"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DATA = os.urandom(50_000)


def test_credentials_look_like_a_roles_and_are_not_shown() -> None:
    found = Issuer().credentials("i-1", "role", NOW)
    assert re.fullmatch("ASIA[A-Z2-7]{16}", found.access_key)
    assert len(found.secret_key) == 40
    assert found.expires - found.issued == timedelta(hours=6)
    assert found.secret_key not in repr(found)
    assert found.token not in repr(found)


def test_an_instance_has_the_same_ones_until_it_is_time_for_new_ones() -> None:
    issuer = Issuer()
    first = issuer.credentials("i-1", "role", NOW)
    assert issuer.credentials("i-1", "role", first.expires - RENEWAL - timedelta(seconds=1)) == first
    assert issuer.credentials("i-2", "role", NOW) != first
    second = issuer.credentials("i-1", "role", first.expires - RENEWAL)
    assert second != first
    assert second.expires - first.expires > timedelta(hours=5)


# What S3 makes of a presigned request


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def presigned(credentials: Credentials, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> str:
    """A URL that botocore signs at NOW."""
    from botocore import auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as Signing

    monkeypatch.setattr(auth, "get_current_datetime", lambda: changes.get("at", NOW).replace(tzinfo=None))
    request = AWSRequest(changes.get("method", "GET"), changes.get("url", "http://169.254.169.253/bucket/a%20b"))
    secret = changes.get("secret", credentials.secret_key)
    signing = Signing(credentials.access_key, secret, changes.get("token", credentials.token))
    auth.S3SigV4QueryAuth(signing, "s3", "us-east-1", expires=changes.get("expires", 300)).add_auth(request)
    return str(request.url)


def asked(url: str, method: str = "GET", host: str = "169.254.169.253") -> dict[str, str]:
    parts = urlsplit(url)
    return {"REQUEST_METHOD": method, "REQUEST_URI": f"{parts.path}?{parts.query}", "HTTP_HOST": host}


def test_what_botocore_signs_is_taken(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    url = presigned(issuer.credentials("i-1", "role", NOW), monkeypatch)
    assert issuer.refuse(asked(url), NOW) is None
    assert issuer.refuse(asked(url), NOW + timedelta(seconds=300)) is None


BAD = {
    "another secret": ({"secret": "x" * 40}, {}, "SignatureDoesNotMatch"),
    "another token": ({"token": "x"}, {}, "InvalidToken"),
    "another method": ({}, {"method": "PUT"}, "SignatureDoesNotMatch"),
    "another host": ({}, {"host": "127.0.0.1"}, "SignatureDoesNotMatch"),
    "too late": ({"at": NOW - timedelta(seconds=301)}, {}, "AccessDenied"),
    "a clock that is ahead": ({"at": NOW + timedelta(minutes=16)}, {}, "RequestTimeTooSkewed"),
    "too long": ({"expires": 7 * 24 * 3600 + 1}, {}, "AuthorizationQueryParametersError"),
}


@pytest.mark.parametrize(("signing", "asking", "code"), BAD.values(), ids=BAD.keys())
def test_a_wrong_signature_is_refused(
    issuer: Issuer,
    monkeypatch: pytest.MonkeyPatch,
    signing: dict[str, Any],
    asking: dict[str, str],
    code: str,
) -> None:
    url = presigned(issuer.credentials("i-1", "role", NOW), monkeypatch, **signing)
    refused = issuer.refuse(asked(url, **asking), NOW)
    assert refused and refused[0] == code


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("/bucket/a%20b", "/bucket/other", "SignatureDoesNotMatch"),
        ("us-east-1", "eu-west-1", "SignatureDoesNotMatch"),
        ("X-Amz-Expires=300", "X-Amz-Expires=3000", "SignatureDoesNotMatch"),
        ("X-Amz-Expires=300", "X-Amz-Expires=soon", "AuthorizationQueryParametersError"),
        ("X-Amz-Date=2026", "X-Amz-Date=twenty", "AuthorizationQueryParametersError"),
        ("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=", "SignatureDoesNotMatch"),
        ("%2Fs3%2F", "%2Fec2%2F", "AuthorizationQueryParametersError"),
    ],
)
def test_a_request_that_was_changed_is_refused(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, old: str, new: str, code: str
) -> None:
    url = presigned(issuer.credentials("i-1", "role", NOW), monkeypatch)
    assert old in url
    refused = issuer.refuse(asked(url.replace(old, new)), NOW)
    assert refused and refused[0] == code


def test_credentials_that_have_expired_sign_nothing(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = issuer.credentials("i-1", "role", NOW - LIFE)
    refused = issuer.refuse(asked(presigned(credentials, monkeypatch)), NOW)
    assert refused and refused[0] == "ExpiredToken"


def test_other_requests_are_none_of_its_business(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Issuer().credentials("i-1", "role", NOW)
    assert issuer.refuse(asked(presigned(elsewhere, monkeypatch, secret="wrong")), NOW) is None
    assert issuer.refuse({"REQUEST_METHOD": "GET", "REQUEST_URI": "/bucket/key"}, NOW) is None
    assert issuer.refuse({"REQUEST_METHOD": "GET"}, NOW) is None


# The local cloud


def test_every_local_cloud_has_a_profile_and_instances_get_its_credentials(cloud: Cloud) -> None:
    instance = cloud.launch(cloud.image(), IamInstanceProfile={"Name": PROFILE})
    arn = f"arn:aws:iam::123456789012:instance-profile/{PROFILE}"
    assert cloud.instance(instance)["IamInstanceProfile"]["Arn"] == arn
    metadata = cloud.computer(instance).imds.metadata
    assert metadata.instance_profile == arn
    assert metadata.credentials and metadata.credentials().role == PROFILE


def test_an_instance_without_a_profile_or_with_one_without_a_role_has_no_credentials(cloud: Cloud) -> None:
    cloud.client("iam").create_instance_profile(InstanceProfileName="empty")
    image = cloud.image()
    for more in ({}, {"IamInstanceProfile": {"Name": "empty"}}):
        instance = cloud.launch(image, **more)
        assert cloud.computer(instance).imds.metadata.credentials is None


@pytest.fixture
def fetch(cloud: Cloud, tmp_path: Path) -> Any:
    """The instance's own download, with a real guest's metadata and the local cloud's S3 at the guest's address."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="a b/key", Body=DATA)
    instance = cloud.launch(cloud.image(), IamInstanceProfile={"Name": PROFILE})
    service = cloud.computer(instance).imds

    def fetch() -> subprocess.CompletedProcess[str]:
        folder = tmp_path / "jenkins-ami"
        folder.mkdir()
        for name in ("fetch.sh", "sign.py"):
            shutil.copy(INSTANCE / name, folder)
        (folder / "fs.url").write_text("http://169.254.169.253/bucket/a%20b/key")
        with metadata_on_tcp(service) as imds:
            # as a proxy, the server is reached at the address that it has for guests
            env = {**os.environ, "http_proxy": cloud.server.endpoint, "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds}
            argv = ["sh", folder / "fetch.sh", "profile", str(len(DATA))]
            return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120)

    return fetch


def test_a_guest_downloads_with_its_profile(fetch: Any, tmp_path: Path) -> None:
    done = fetch()
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert (tmp_path / "jenkins-ami" / "fs.tgz").read_bytes() == DATA


def test_a_guest_that_signs_wrongly_is_refused(fetch: Any, cloud: Cloud) -> None:
    (instance,) = cloud.server.fleet.guests
    service = cloud.computer(instance).imds
    told = service.metadata.credentials
    assert told
    service.metadata = replace(service.metadata, credentials=lambda: replace(told(), secret_key="another"))
    done = fetch()
    assert done.returncode == 1
    assert done.stderr == (
        "the overlay could not be downloaded: HTTP 403, SignatureDoesNotMatch: "
        "The request signature we calculated does not match the one you provided.\n"
    )


def test_a_profile_that_is_not_there_is_refused_by_name(cloud: Cloud) -> None:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        cloud.launch(cloud.image(), IamInstanceProfile={"Name": "none"})
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"


def test_all_instances_of_a_request_have_the_profile(cloud: Cloud) -> None:
    answer = cloud.ec2.run_instances(
        ImageId=cloud.image(), InstanceType="t3.micro", MinCount=2, MaxCount=2, IamInstanceProfile={"Name": PROFILE}
    )
    for each in answer["Instances"]:
        assert cloud.computer(each["InstanceId"]).imds.metadata.credentials
