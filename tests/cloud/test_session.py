from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest

from jenkins_ami.cloud.environments import Environment, local
from jenkins_ami.cloud.role import session_name
from jenkins_ami.cloud.session import Cloud
from jenkins_ami.errors import CloudError


def failure(cloud: Cloud, **params) -> CloudError:
    with pytest.raises(CloudError) as caught, cloud.calls():
        cloud.ec2.describe_instances(**params)
    return caught.value


def test_a_refusal_carries_code_and_operation(cloud):
    error = failure(cloud, InstanceIds=["i-0123456789abcdef0"])
    assert (error.code, error.operation, error.exit_code) == ("InvalidInstanceID.NotFound", "DescribeInstances", 7)
    assert error.what.startswith(
        "the cloud refused DescribeInstances: The instance ID 'i-0123456789abcdef0' does not ex"
    )
    assert error.what.endswith("[InvalidInstanceID.NotFound]")


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("ExpiredToken", "The credentials have expired"),
        ("RequestExpired", "The credentials have expired"),
        ("UnauthorizedOperation", "Give the role that builds this right"),
        ("AuthFailure", "The credentials are not valid here"),
        ("VcpuLimitExceeded", "Ask AWS for a higher limit"),
    ],
)
def test_the_usual_refusals_come_with_a_hint(server, cloud, code, hint):
    server.refuse("describe_instances", code)
    error = failure(cloud)
    assert error.code == code
    assert error.hint.startswith(hint)


def test_an_endpoint_that_is_not_there():
    with Cloud(local("http://127.0.0.1:1", "http://127.0.0.1:1", "us-east-1")) as cloud:
        error = failure(cloud)
    assert (error.code, error.what) == ("EndpointUnreachable", "the cloud cannot be reached")
    assert error.where == "environment local, http://127.0.0.1:1"


def test_no_credentials(monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with Cloud(Environment("dev", "eu-central-1")) as cloud:
        error = failure(cloud)
    assert error.line() == (
        "there are no credentials (environment dev, eu-central-1). Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
        "name a 'profile', or run where a role is."
    )


def test_a_profile_that_does_not_exist():
    with Cloud(Environment("dev", "eu-central-1", profile="none")) as cloud:
        error = failure(cloud)
    assert (error.code, error.what) == ("NoCredentials", "The config profile (none) could not be found")


def test_parameters_that_botocore_refuses(cloud):
    assert failure(cloud, InstanceIds="i-1").code == "ParamValidationError"


def test_another_account_is_refused(cloud):
    assert cloud.check_account("123456789012") == "123456789012"
    assert cloud.check_account(None) == "123456789012"
    with pytest.raises(CloudError) as caught:
        cloud.check_account("999999999999")
    assert caught.value.code == "WrongAccount"


@pytest.fixture
def headers() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that answers nothing useful, and the headers of what it was asked."""
    seen: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(dict(self.headers))
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(400)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    thread.join()
    server.server_close()


def test_nobodys_own_credentials_go_to_the_local_cloud(headers, _home, monkeypatch):
    url, seen = headers
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREALREALREALREAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "real-token")
    monkeypatch.setenv("AWS_PROFILE", "is-not-there")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    (_home / ".aws").mkdir()
    (_home / ".aws" / "config").write_text("this is [no config file")
    (_home / ".aws" / "credentials").write_text("[default]\naws_access_key_id = AKIAREAL\naws_secret_access_key = x\n")
    with Cloud(local(url, url, "us-east-1")) as cloud:
        failure(cloud)
    (request,) = seen
    assert "Credential=local/" in request["Authorization"]
    assert "X-Amz-Security-Token" not in request
    assert "jenkins-ami/" in request["User-Agent"]


def test_the_users_credentials_go_to_any_other_environment(headers, monkeypatch):
    url, seen = headers
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREALREALREALREAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    with Cloud(replace(Environment("dev", "us-east-1"), endpoint=url)) as cloud:
        failure(cloud)
    assert "Credential=AKIAREALREALREALREAL/" in seen[0]["Authorization"]


ROLE = "arn:aws:iam::123456789012:role/image-build"


def test_a_role_is_assumed_for_all_calls(environment):
    with Cloud(replace(environment, role=ROLE, external_id="images")) as cloud, cloud.calls():
        assert cloud.check_account("123456789012") == "123456789012"
        assert cloud.sts.get_caller_identity()["Arn"].startswith("arn:aws:sts::123456789012:assumed-role/image-build/")
        assert cloud.ec2.describe_instances()["Reservations"] == []
        assert cloud.s3.list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_the_account_is_the_roles(environment):
    elsewhere = replace(environment, role=ROLE.replace("123456789012", "210987654321"))
    with Cloud(elsewhere) as cloud:
        assert cloud.check_account("210987654321") == "210987654321"


@dataclass
class Sts:
    """A server that gives credentials of a role for as many seconds as it is told, and answers nothing else."""

    url: str = ""
    seconds: float = 3600
    refusal: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    signed_by: list[str] = field(default_factory=list)
    """The access keys of all other requests, in their order."""

    def answer(self, headers: Mapping[str, str], form: dict[str, str]) -> tuple[int, str]:
        key = headers["Authorization"].partition("Credential=")[2].partition("/")[0]
        if form["Action"] != "AssumeRole":
            self.signed_by.append(key)
            return 200, "<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>"
        self.asked.append(form | {"key": key})
        if self.refusal:
            said = f"<Error><Type>Sender</Type><Code>{self.refusal}</Code><Message>not you</Message></Error>"
            return 403, f"<ErrorResponse>{said}</ErrorResponse>"
        end = (datetime.now(UTC) + timedelta(seconds=self.seconds)).isoformat()
        given = f"<AccessKeyId>ROLEKEY{len(self.asked)}</AccessKeyId><SecretAccessKey>s3cr3t</SecretAccessKey>"
        given += f"<SessionToken>t0k3n</SessionToken><Expiration>{end}</Expiration>"
        result = f"<AssumeRoleResult><Credentials>{given}</Credentials></AssumeRoleResult>"
        return 200, f"<AssumeRoleResponse>{result}</AssumeRoleResponse>"


@pytest.fixture
def sts() -> Iterator[Sts]:
    books = Sts()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, text = books.answer(self.headers, dict(parse_qsl(body)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    books.url = f"http://127.0.0.1:{server.server_port}"
    yield books
    server.shutdown()
    thread.join()
    server.server_close()


def assuming(sts: Sts, **more) -> Cloud:
    return Cloud(replace(local(sts.url, sts.url, "us-east-1"), name="dev", role=ROLE, **more))


def test_a_role_is_assumed_once_with_the_builders_own_credentials(sts, monkeypatch):
    monkeypatch.delenv("BUILD_TAG", raising=False)
    with assuming(sts) as cloud, cloud.calls():
        assert sts.asked == []
        cloud.ec2.describe_instances()
        cloud.ec2.describe_instances()
    (asked,) = sts.asked
    assert (asked["RoleArn"], asked["RoleSessionName"], asked["key"]) == (ROLE, "jenkins-ami", "local")
    assert "ExternalId" not in asked
    assert sts.signed_by == ["ROLEKEY1", "ROLEKEY1"]


def test_a_role_is_assumed_again_before_its_credentials_end(sts):
    sts.seconds = 300
    with assuming(sts) as cloud, cloud.calls():
        cloud.ec2.describe_instances()
        cloud.ec2.describe_instances()
    assert sts.signed_by == ["ROLEKEY1", "ROLEKEY2"]


def test_the_session_is_called_as_the_build_and_the_external_id_is_told(sts, monkeypatch):
    monkeypatch.setenv("BUILD_TAG", "jenkins-amis-" + "x" * 60 + "-web%2Fserver-main-17")
    with assuming(sts, external_id="images/1") as cloud, cloud.calls():
        cloud.ec2.describe_instances()
    (asked,) = sts.asked
    assert asked["RoleSessionName"] == "x" * 43 + "-web-2Fserver-main-17"
    assert asked["ExternalId"] == "images/1"


@pytest.mark.parametrize(
    ("tag", "name"), [("", "jenkins-ami"), ("%%", "jenkins-ami"), ("a", "jenkins-ami"), ("ab", "ab")]
)
def test_a_tag_that_is_no_name_of_a_session_is_not_used(tag, name, monkeypatch):
    monkeypatch.setenv("BUILD_TAG", tag)
    assert session_name() == name


def test_a_role_that_may_not_be_assumed_is_told_with_what_to_do(sts):
    sts.refusal = "AccessDenied"
    with assuming(sts) as cloud:
        error = failure(cloud)
    assert (error.code, error.operation) == ("AccessDenied", "AssumeRole")
    assert error.line() == (
        f"the cloud refused AssumeRole: not you [AccessDenied] (environment dev, {sts.url}). Let the trust policy of "
        "'role' name these credentials, and the environment the 'external_id' that it asks for."
    )


def test_credentials_that_have_ended_already_are_told(sts):
    sts.seconds = -10
    with assuming(sts) as cloud:
        error = failure(cloud)
    assert (error.code, error.operation, error.hint) == ("ExpiredToken", "AssumeRole", "Set the clock of this machine")


def test_nothing_shows_a_roles_credentials(sts, capfd):
    sts.seconds = 300
    with assuming(sts) as cloud:
        with cloud.calls():
            cloud.ec2.describe_instances()
        sts.refusal = "ExpiredToken"
        error = failure(cloud)
    assert "ROLEKEY" not in error.line() + repr(error.as_dict())
    assert capfd.readouterr() == ("", "")
