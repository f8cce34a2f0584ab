"""The proxy between boto3 and an endpoint: what it recognises, and that each fault is the one that it says it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from botocore.exceptions import ConnectionError as NoConnection

from . import proxy as faults
from .protocols import Call
from .proxy import Proxy
from .rates import Bucket, Limiter, limits
from .server import REGION


@pytest.fixture
def proxy(server):
    with Proxy(server.endpoint) as proxy:
        yield proxy


@pytest.fixture
def client(proxy):
    """A client that asks once."""
    made = []

    def client(service, **config):
        once = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, **config)
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        made.append(boto3.client(service, REGION, endpoint_url=proxy.url, config=once, **keys))
        return made[-1]

    yield client
    for each in made:
        each.close()


def launch(ec2, server):
    return ec2.run_instances(ImageId=server.base_id or server.base(), MinCount=1, MaxCount=1)["Instances"][0][
        "InstanceId"
    ]


# What it knows of a call


def test_every_protocols_calls_are_recognised(proxy, client):
    s3, kms = client("s3"), client("kms")
    client("ec2").describe_images(Owners=["self"])
    client("sts").get_caller_identity()
    client("ssm").put_parameter(Name="/a", Value="b", Type="String")
    client("iam").list_instance_profiles()
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    s3.create_bucket(Bucket="test-calls", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.head_bucket(Bucket="test-calls")
    s3.put_object(Bucket="test-calls", Key="a/b", Body=b"x")
    s3.get_object(Bucket="test-calls", Key="a/b")["Body"].read()
    s3.list_objects_v2(Bucket="test-calls")
    s3.list_buckets()
    s3.delete_object(Bucket="test-calls", Key="a/b")
    kms.schedule_key_deletion(KeyId=key)
    assert [f"{call.service} {call.action}" for call in proxy.calls] == [
        "ec2 DescribeImages",
        "sts GetCallerIdentity",
        "ssm PutParameter",
        "iam ListInstanceProfiles",
        "kms CreateKey",
        "s3 CreateBucket",
        "s3 HeadBucket",
        "s3 PutObject",
        "s3 GetObject",
        "s3 ListObjectsV2",
        "s3 ListBuckets",
        "s3 DeleteObject",
        "kms ScheduleKeyDeletion",
    ]
    assert [call.number for call in proxy.calls] == list(range(1, 14))


def test_a_call_is_told_from_others_of_its_action_and_from_those_in_other_regions(proxy, client):
    client("sts").get_caller_identity()
    client("sts").get_caller_identity()
    with_region = boto3.client(
        "sts", "eu-west-1", endpoint_url=proxy.url, aws_access_key_id="a", aws_secret_access_key="b"
    )
    with_region.get_caller_identity()
    with_region.close()
    assert [call.key[2:] for call in proxy.calls] == [(REGION, 1), (REGION, 2), ("eu-west-1", 1)]
    assert str(proxy.calls[1]) == f"sts GetCallerIdentity {REGION} #2"


@pytest.mark.parametrize(("action", "changes"), [("DescribeImages", False), ("CreateImage", True), ("PutObject", True)])
def test_a_call_changes_something_or_does_not(action, changes):
    assert Call(1, "ec2", action, REGION, 1).changes is changes


def test_a_large_body_passes_unharmed(proxy, client, server):
    body = os.urandom(3 << 20)
    s3 = client("s3")
    s3.create_bucket(Bucket="test-large", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="test-large", Key="a", Body=body)
    assert s3.get_object(Bucket="test-large", Key="a")["Body"].read() == body
    assert proxy.calls[1].body == b""


def test_a_body_in_chunks_passes_unharmed(proxy, client):
    s3 = client("s3", request_checksum_calculation="when_required")
    s3.create_bucket(Bucket="test-chunks", CreateBucketConfiguration={"LocationConstraint": REGION})
    url = s3.generate_presigned_url("put_object", {"Bucket": "test-chunks", "Key": "a"})
    sent = subprocess.run(
        [sys.executable, "-c", CHUNKED, proxy.url.rpartition(":")[2], url.partition(proxy.url)[2]], check=True
    )
    assert sent.returncode == 0
    assert s3.get_object(Bucket="test-chunks", Key="a")["Body"].read() == b"abc" * 1000


CHUNKED = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
connection.request("PUT", sys.argv[2], body=(b"abc" for _ in range(1000)), encode_chunked=True)
sys.exit(connection.getresponse().status != 200)
"""


def test_a_connection_stays_for_the_next_call(proxy, client):
    sts = client("sts")
    opened = []
    real = proxy._server.process_request
    proxy._server.process_request = lambda *args: (opened.append(args), real(*args))
    for _ in range(3):
        sts.get_caller_identity()
    assert len(opened) == 1


# What can go wrong


@pytest.mark.parametrize(
    ("service", "action", "ask", "status", "code"),
    [
        ("ec2", "DescribeImages", lambda c: c.describe_images(), 503, "RequestLimitExceeded"),
        ("s3", "ListBuckets", lambda c: c.list_buckets(), 503, "SlowDown"),
        ("ssm", "GetParameter", lambda c: c.get_parameter(Name="/a"), 400, "ThrottlingException"),
        ("kms", "ListKeys", lambda c: c.list_keys(), 400, "ThrottlingException"),
        ("sts", "GetCallerIdentity", lambda c: c.get_caller_identity(), 400, "Throttling"),
        ("iam", "ListRoles", lambda c: c.list_roles(), 400, "Throttling"),
    ],
)
def test_a_throttled_call_is_answered_in_its_services_own_words(proxy, client, service, action, ask, status, code):
    proxy.on(faults.throttled, action=action)
    with pytest.raises(ClientError) as caught:
        ask(client(service))
    assert caught.value.response["Error"] == {"Code": code, "Message": "Rate exceeded"} | caught.value.response["Error"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize(
    ("service", "ask", "code"),
    [
        ("ec2", lambda c: c.describe_images(), "InternalError"),
        ("s3", lambda c: c.list_buckets(), "InternalError"),
        ("ssm", lambda c: c.get_parameter(Name="/a"), "InternalServerError"),
        ("kms", lambda c: c.list_keys(), "KMSInternalException"),
        ("sts", lambda c: c.get_caller_identity(), "InternalFailure"),
    ],
)
def test_an_internal_error_is_an_http_500(proxy, client, service, ask, code):
    proxy.on(faults.failed, service=service)
    with pytest.raises(ClientError) as caught:
        ask(client(service))
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_a_head_has_no_body_even_when_it_fails(proxy, client):
    proxy.on(faults.failed, action="HeadBucket")
    s3 = client("s3")
    with pytest.raises(ClientError) as caught:
        s3.head_bucket(Bucket="test-none")
    assert caught.value.response["Error"]["Code"] == "500"
    s3.list_buckets()


def test_a_fault_happens_so_often_and_no_more(proxy, client):
    rule = proxy.on(faults.failed, times=2, action="GetCallerIdentity")
    sts = client("sts")
    for _ in range(2):
        with pytest.raises(ClientError):
            sts.get_caller_identity()
    sts.get_caller_identity()
    assert rule.used == 2


def test_a_reset_comes_before_the_call_has_an_effect(proxy, client, server):
    proxy.on(faults.reset, action="RunInstances")
    with pytest.raises((ConnectionClosedError, NoConnection)) as caught:
        launch(client("ec2"), server)
    assert "reset by peer" in str(caught.value.kwargs["error"])
    assert server.launches == []


def test_a_call_that_times_out_has_no_effect(proxy, client, server):
    proxy.on(faults.timed_out, action="RunInstances")
    with pytest.raises(ReadTimeoutError):
        launch(client("ec2", read_timeout=0.3), server)
    assert server.launches == []


def test_a_lost_answer_is_one_to_a_call_that_took_effect(proxy, client, server):
    proxy.on(faults.answer_lost, action="RunInstances")
    with pytest.raises((ConnectionClosedError, NoConnection)):
        launch(client("ec2"), server)
    assert len(server.launches) == 1


def test_what_is_new_is_unknown_by_its_id_for_some_calls(proxy, client, server):
    proxy.on(faults.unseen(2), action="RunInstances")
    ec2 = client("ec2")
    instance = launch(ec2, server)
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            ec2.describe_instances(InstanceIds=[instance])
        assert caught.value.response["Error"]["Code"] == "InvalidInstanceID.NotFound"
    assert ec2.describe_instances(InstanceIds=[instance])["Reservations"]


def test_what_is_new_is_not_listed_for_some_calls_and_all_else_is(proxy, client, server):
    ec2 = client("ec2")
    old = launch(ec2, server)
    proxy.on(faults.unseen(1), action="RunInstances")
    new = launch(ec2, server)

    def listed():
        return {each["Instances"][0]["InstanceId"] for each in ec2.describe_instances()["Reservations"]}

    assert listed() == {old}
    assert listed() == {old, new}


def test_what_was_there_before_is_never_unknown(proxy, client, server):
    proxy.on(faults.unseen(5), action="RunInstances")
    ec2 = client("ec2")
    launch(ec2, server)
    assert ec2.describe_images(ImageIds=[server.base_id])["Images"]


CLIENT = """
import boto3, sys
ec2 = boto3.client("ec2", "eu-central-1", endpoint_url=sys.argv[1], aws_access_key_id="a", aws_secret_access_key="b")
print(flush=True)
sys.stdin.readline()
ec2.run_instances(ImageId=sys.argv[2], MinCount=1, MaxCount=1)
"""


@pytest.fixture
def victim(proxy, server):
    """Launches an instance in a process of its own; gives how that ended."""

    def run(fault):
        proxy.on(fault, action="RunInstances")
        argv = [sys.executable, "-c", CLIENT, proxy.url, server.base()]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(argv, **pipes) as process:
            process.stdout.readline()
            proxy.client = process.pid
            process.communicate(b"\n", timeout=60)
        return process.returncode

    return run


def test_a_client_that_is_killed_before_its_call_has_made_none(victim, server):
    assert victim(faults.killed_before) == -signal.SIGKILL
    assert server.launches == []


def test_a_client_that_is_killed_after_its_call_has_made_one(victim, server):
    assert victim(faults.killed_after) == -signal.SIGKILL
    assert len(server.launches) == 1


def test_a_client_gets_a_signal_when_its_call_has_taken_effect(victim, server):
    assert victim(faults.signalled(signal.SIGTERM)) == -signal.SIGTERM
    assert len(server.launches) == 1


def test_nothing_is_left_of_a_run_when_it_is_forgotten(proxy, client):
    proxy.on(faults.failed, times=None, action="GetCallerIdentity")
    proxy.forget()
    client("sts").get_caller_identity()
    assert [call.occurrence for call in proxy.calls] == [1]


# Rates


@pytest.mark.parametrize(
    ("action", "body", "wanted"),
    [
        ("RunInstances", b"", (5, 2)),
        ("CreateImage", b"", (50, 5)),
        ("DescribeImages", b"Action=DescribeImages&ImageId.1=ami-1", (100, 20)),
        ("DescribeImages", b"Action=DescribeImages&Filter.1.Name=name", (100, 20)),
        ("DescribeImages", b"Action=DescribeImages", (50, 10)),
        ("GetConsoleOutput", b"", (50, 10)),
    ],
)
def test_each_action_has_the_bucket_that_ec2_gives_it(action, body, wanted):
    assert limits(Call(1, "ec2", action, REGION, 1, body)) == wanted


def test_a_bucket_gives_what_it_holds_and_then_what_comes_back():
    bucket = Bucket(size=3, refill=2, tokens=3)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(0.5), bucket.take(0.5)] == [True, False]
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]


def test_a_rate_is_kept_for_each_action_and_region_and_for_nothing_but_ec2():
    limiter = Limiter(clock=lambda: 0.0)

    def allowed(action, region=REGION, service="ec2"):
        return [limiter.allows(Call(1, service, action, region, 1)) for _ in range(6)].count(True)

    assert (allowed("RunInstances"), allowed("RunInstances", "eu-west-1"), allowed("RunInstances", service="s3")) == (
        5,
        5,
        6,
    )
    assert limiter.refused == {"RunInstances": 2}


def test_a_proxy_with_a_limiter_throttles(server):
    with Proxy(server.endpoint, Limiter(clock=lambda: 0.0)) as proxy:
        once = Config(retries={"total_max_attempts": 1})
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        ec2 = boto3.client("ec2", REGION, endpoint_url=proxy.url, config=once, **keys)
        for _ in range(5):
            launch(ec2, server)
        with pytest.raises(ClientError, match="RequestLimitExceeded"):
            launch(ec2, server)
        ec2.close()
    assert len(server.launches) == 5
