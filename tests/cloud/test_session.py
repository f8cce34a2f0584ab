from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from jenkins_ami.cloud.environments import Environment, local
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
    server.refuse("get_reservations_by_instance_ids", code)
    error = failure(cloud, InstanceIds=["i-0123456789abcdef0"])
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
