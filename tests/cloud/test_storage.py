from __future__ import annotations

import gzip
import os
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from jenkins_ami.artifacts import STORAGE_TOKEN, USERDATA_LIMIT
from jenkins_ami.cloud import storage
from jenkins_ami.cloud.environments import Environment
from jenkins_ami.cloud.session import Cloud
from jenkins_ami.cloud.storage import Place
from jenkins_ami.errors import InputError, StorageError

from ..places import DATA, make_tls, send, serving

PLACE = Place("test-bucket", "a/b/")
DEV = Environment("dev", "eu-central-1")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket", Place("bucket", "")),
        ("s3://bucket/", Place("bucket", "")),
        ("s3://bucket/a", Place("bucket", "a/")),
        ("s3://bucket/a/b/", Place("bucket", "a/b/")),
    ],
)
def test_a_place_from_its_url(url, expected):
    assert storage.place(url, DEV) == expected
    assert storage.place(None, replace(DEV, storage=url)) == expected


def test_the_sources_storage_wins_over_the_environments():
    assert storage.place("s3://own", replace(DEV, storage="s3://other")) == Place("own")


def test_no_storage_at_all():
    with pytest.raises(StorageError) as caught:
        storage.place(None, DEV)
    assert caught.value.exit_code == 3
    assert "--storage" in caught.value.line()


def test_a_url_that_is_none():
    with pytest.raises(StorageError, match="'ftp://x' is no storage"):
        storage.place("ftp://x", DEV)


def test_the_local_clouds_bucket_is_made(server, cloud, environment):
    with Cloud(replace(environment, name="local")) as cloud:
        storage.check_bucket(cloud, PLACE)
        storage.check_bucket(cloud, PLACE)
    assert "test-bucket" in server.s3.buckets


def test_a_missing_bucket_anywhere_else_is_an_error(server, cloud):
    with pytest.raises(StorageError) as caught:
        storage.check_bucket(cloud, PLACE)
    assert caught.value.what == "there is no bucket 'test-bucket'"
    assert "test-bucket" not in server.s3.buckets


def test_a_bucket_in_another_region_is_an_error(server, cloud):
    server.s3.create_bucket("test-bucket", "eu-west-1")
    with pytest.raises(StorageError, match="bucket 'test-bucket' is in eu-west-1, the build is in eu-central-1"):
        storage.check_bucket(cloud, PLACE)


def test_an_upload_counts_its_bytes(server, cloud, tmp_path):
    data = os.urandom(9 << 20)  # more than s3transfer would split
    (tmp_path / "fs.tgz").write_bytes(data)
    cloud.s3.create_bucket(Bucket="test-bucket", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    sent: list[int] = []
    storage.upload(cloud, PLACE, "a/b/key", tmp_path / "fs.tgz", sent.append)
    assert cloud.s3.get_object(Bucket="test-bucket", Key="a/b/key")["Body"].read() == data
    assert sum(sent) == len(data)
    assert not server.s3.buckets["test-bucket"].multiparts


def test_more_than_s3_takes_at_once_is_refused(cloud, tmp_path):
    with (tmp_path / "fs.tgz").open("wb") as file:
        file.truncate(storage.MAX_OBJECT + 1)
    with pytest.raises(StorageError, match=r"the overlay has 5\.0 GiB, S3 takes 5\.0 GiB"):
        storage.upload(cloud, PLACE, "key", tmp_path / "fs.tgz", print)


def test_a_key_is_of_the_content_and_of_the_build():
    assert storage.object_key(PLACE, "abc", "build1") == "a/b/abc/build1.tgz"


def signed(environment: Environment, seconds: int = 60):
    with Cloud(environment) as cloud:
        return urlsplit(storage.presign(cloud, PLACE, "a/b/key", seconds))


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_on_aws_the_url_names_the_bucket_in_its_region(monkeypatch, region):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    url = signed(Environment("dev", region))
    assert (url.scheme, url.netloc, url.path) == ("https", f"test-bucket.s3.{region}.amazonaws.com", "/a/b/key")
    query = parse_qs(url.query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert f"/{region}/s3/" in query["X-Amz-Credential"][0]


def test_elsewhere_the_url_has_the_bucket_in_its_path(environment):
    url = signed(environment)
    assert (url.netloc, url.path) == ("169.254.169.253", "/test-bucket/a/b/key")


def test_a_url_lasts_seven_days_at_most(environment):
    assert parse_qs(signed(environment, 60).query)["X-Amz-Expires"] == ["60"]
    assert parse_qs(signed(environment, 10**7).query)["X-Amz-Expires"] == ["604800"]


def test_the_token_gives_way_to_the_url_and_nothing_else_changes():
    text = f"a\n{STORAGE_TOKEN}\nb\0\xff {STORAGE_TOKEN}".encode("latin-1")
    filled = storage.fill(gzip.compress(text), "https://x/?a=1&b=2")
    assert gzip.decompress(filled) == b"a\nhttps://x/?a=1&b=2\nb\0\xff https://x/?a=1&b=2"
    assert filled == storage.fill(gzip.compress(text, 1), "https://x/?a=1&b=2")
    assert filled[4:8] == b"\0\0\0\0"  # no time in it


def test_user_data_without_the_token_is_refused():
    with pytest.raises(InputError, match=r"userdata\.gz has no place for the storage URL"):
        storage.fill(gzip.compress(b"#cloud-config"), "https://x")


@pytest.mark.parametrize(
    "data", [b"", b"#cloud-config", gzip.compress(b"x" * 1000)[:-20]], ids=["empty", "plain text", "cut off"]
)
def test_user_data_that_is_no_gzip_is_refused(data):
    with pytest.raises(InputError):
        storage.fill(data, "https://x")


def test_user_data_beyond_the_limit_is_refused():
    noise = os.urandom(USERDATA_LIMIT - 200)
    with pytest.raises(
        StorageError, match=r"the user-data has 16,\d{3} bytes with the storage URL in it, EC2 takes 16,384"
    ):
        storage.fill(gzip.compress(noise + STORAGE_TOKEN.encode()), "https://" + os.urandom(300).hex())


def test_a_key_keeps_what_follows_the_files_name():
    assert storage.object_key(PLACE, "abc", "build1", "fs.tar.zst") == "a/b/abc/build1.tar.zst"


def test_a_plain_url_is_the_presigned_one_without_what_signs_it(environment, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with Cloud(environment) as cloud:
        assert storage.object_url(cloud, PLACE, "a/b c") == "http://169.254.169.253/test-bucket/a/b%20c"
    with Cloud(DEV) as cloud:
        expected = "https://test-bucket.s3.eu-central-1.amazonaws.com/a/b%2Bc"
        assert storage.object_url(cloud, PLACE, "a/b+c") == expected


# A place that somebody else fills


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    tls = make_tls(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.file))
    with serving(tls.context) as store:
        yield store


def url_of(store) -> str:
    return f"https://localhost:{store.port}/abc.tgz?key=5ec2e7"


LENGTH = len(DATA)
THERE = {
    "a server of ranges": send(b"x", 206, Content_Range=f"bytes 0-0/{LENGTH}"),
    "a server of whole files": send(DATA),
}
NOT_THERE = {
    "nothing": (send(b"", 404), "the overlay is not at https://localhost:{}/abc.tgz: HTTP 404"),
    "not any more": (send(b"", 410), "the overlay is not at https://localhost:{}/abc.tgz: HTTP 410"),
    "a shorter file": (
        send(b"x", 206, Content_Range="bytes 0-0/99999"),
        "at https://localhost:{}/abc.tgz are 99,999 bytes, the overlay has 100,000",
    ),
    "another whole file": (
        send(b"short"),
        "at https://localhost:{}/abc.tgz are 5 bytes, the overlay has 100,000",
    ),
    "an empty file": (
        send(b"", 416, Content_Range="bytes */0"),
        "at https://localhost:{}/abc.tgz are 0 bytes, the overlay has 100,000",
    ),
}
UNCLEAR = {
    "a refusal": (send(b"", 403), "https://localhost:{}/abc.tgz answers with HTTP 403 here"),
    "trouble": (send(b"", 503), "https://localhost:{}/abc.tgz answers with HTTP 503 here"),
    "no length": (send(DATA, length=-1), "https://localhost:{}/abc.tgz does not tell its length"),
    "an unknown length": (
        send(b"x", 206, Content_Range="bytes 0-0/*"),
        "https://localhost:{}/abc.tgz does not tell its length",
    ),
    "nonsense": (
        lambda handler: handler.wfile.write(b"SMTP ready\r\n\r\n"),
        "https://localhost:{}/abc.tgz cannot be reached from here: BadStatusLine",
    ),
}


@pytest.mark.parametrize("answer", THERE.values(), ids=THERE.keys())
def test_what_is_there_with_the_right_length_is_fine(elsewhere, answer):
    elsewhere.answers = [answer]
    assert storage.check_there(url_of(elsewhere), LENGTH) == ""
    assert elsewhere.asked == ["/abc.tgz?key=5ec2e7"]


@pytest.mark.parametrize(("answer", "message"), NOT_THERE.values(), ids=NOT_THERE.keys())
def test_what_is_not_there_or_has_another_length_is_an_error(elsewhere, answer, message):
    elsewhere.answers = [answer]
    with pytest.raises(StorageError) as caught:
        storage.check_there(url_of(elsewhere), LENGTH)
    assert caught.value.what == message.format(elsewhere.port)
    assert caught.value.hint


@pytest.mark.parametrize(("answer", "why"), UNCLEAR.values(), ids=UNCLEAR.keys())
def test_what_cannot_be_told_from_here_is_said(elsewhere, answer, why):
    elsewhere.answers = [answer]
    assert storage.check_there(url_of(elsewhere), LENGTH) == why.format(elsewhere.port)


def test_a_place_with_an_authority_that_is_not_trusted_here(elsewhere, monkeypatch):
    elsewhere.answers = [send()]
    monkeypatch.delenv("SSL_CERT_FILE")
    why = storage.check_there(url_of(elsewhere), LENGTH)
    assert "cannot be reached from here: " in why
    assert "certificate" in why
    assert "5ec2e7" not in why


@pytest.mark.parametrize("url", ["", "http://host/fs.tgz", "file:///etc/passwd", 'https://host/"'])
def test_a_place_that_compile_would_not_have_written(url):
    with pytest.raises(InputError, match="the overlay's place is no https URL"):
        storage.check_there(url, 1)
