from __future__ import annotations

import base64
import gzip
import io
import json
import os
import re
import shutil
import subprocess
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jenkins_ami.artifacts import ImageTest, Timeouts, read_build_result
from jenkins_ami.build.prepare import DEFAULTS, Options
from jenkins_ami.build.run import build
from jenkins_ami.cloud.ledger import KEPT, Ledger, Scope, read
from jenkins_ami.errors import (
    CloudError,
    HostError,
    ImageTimeout,
    InputError,
    InstanceFailure,
    InstanceTimeout,
    StorageError,
)
from jenkins_ami.localcloud.imds import MetadataService
from jenkins_ami.localcloud.profile import Issuer
from jenkins_ami.progress import PlainProgress, Progress

from ..cloud.simulated import Shortage
from ..localcloud.test_imds import METADATA
from ..places import DATA, make_tls, metadata_on_tcp, send, serving
from .compiled import FAIL, NONCE, OK, write

ITSELF = "Client.InstanceInitiatedShutdown"


@pytest.fixture
def base(server) -> str:
    return server.base()


@pytest.fixture
def run(server, environment, base, tmp_path):
    """Build a compiled AMI in the test environment."""

    def run(environment=environment, output=None, progress=None, options=DEFAULTS, **changes):
        target = write(tmp_path / "compiled", **({"base": base} | changes))
        return build(target, environment, output or target, progress or Progress(), options)

    return run


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "compiled"


def tags_of(resource) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in resource.get_tags()}


# Success


def test_a_build_that_proves_itself_gives_an_image_and_leaves_nothing_else(server, run, out, base):
    server.stop(ITSELF, console=OK)
    result = run(tests=(ImageTest("t", "true"),))
    (image,) = server.images
    (snapshot,) = server.snapshots
    assert (result.image_name, image.name, result.build) == ("web-1.0-1", "web-1.0-1", 1)
    assert result.images["eu-central-1"].image_id == image.id
    assert result.images["eu-central-1"].snapshot_ids == (snapshot.id,)
    assert (result.base, result.instance_type, result.verdict) == (base, "t3.small", "ok")
    assert not server.instances
    assert server.objects == []
    assert read_build_result(out) == result
    assert (out / "ami.env").read_text() == f"AMINAME=web-1.0-1\nAMIID={image.id}\n"
    assert NONCE in (out / "console.log").read_text()
    assert {entry.state for entry in read(out / "ledger.jsonl") if entry.kind in ("image", "snapshot")} == {KEPT}
    assert not [entry for entry in read(out / "ledger.jsonl") if entry.open]
    assert set(result.timings) == {"base", "number", "preflight", "launch", "instance", "image", "terminate"}


def test_the_same_build_again_gets_the_next_number(server, run):
    server.stop(ITSELF, console=OK)
    assert [run().image_name for _ in range(3)] == ["web-1.0-1", "web-1.0-2", "web-1.0-3"]


def test_the_user_data_that_boots_is_byte_for_byte_what_compile_wrote(server, run, out):
    server.stop(ITSELF, console=OK)
    run()
    (launch,) = server.launches
    assert base64.b64decode(launch["user_data"]) == (out / "userdata.gz").read_bytes()


def test_everything_carries_the_builds_tags(server, run):
    server.stop(ITSELF, console=OK)
    result = run()
    (image,) = server.images
    (snapshot,) = server.snapshots
    launched = {
        each["ResourceType"]: {tag["Key"]: tag["Value"] for tag in each["Tags"]}
        for each in server.launches[0]["params"]["TagSpecifications"]
    }
    assert launched["instance"] == launched["volume"]
    assert launched["instance"]["Name"] == "build of web-1.0-1"
    assert tags_of(image) == tags_of(snapshot)
    assert [tags_of(image)[key] for key in ("Name", "Version", "Build")] == ["web", "1.0", "1"]
    assert re.fullmatch("[0-9a-f]{32}", tags_of(image)["jenkins-ami:build"])
    assert tags_of(image)["jenkins-ami:build"] == launched["instance"]["jenkins-ami:build"]
    assert tags_of(image)["jenkins-ami:instance"] == result.instance_id


def test_what_may_be_swept_says_when_and_an_image_that_stays_does_not(server, run):
    server.stop(ITSELF, console=OK)
    result = run()
    tags = {tag["Key"]: tag["Value"] for tag in server.launches[0]["params"]["TagSpecifications"][0]["Tags"]}
    expires = datetime.fromisoformat(tags["jenkins-ami:expires"]) - datetime.now(UTC)
    assert timedelta(hours=23) < expires <= timedelta(hours=24)
    for resource in (*server.images, *server.snapshots):
        assert tags_of(resource)["jenkins-ami:input"] == result.input
        assert "jenkins-ami:expires" not in tags_of(resource)


def test_the_image_leads_back_to_its_jenkins_build(server, run, monkeypatch):
    monkeypatch.setenv("BUILD_URL", "https://jenkins.example/job/web/7/")
    server.stop(ITSELF, console=OK)
    assert run(commit="abc").build_url == "https://jenkins.example/job/web/7/"
    tags = tags_of(server.images[0])
    assert (tags["jenkins-ami:url"], tags["jenkins-ami:commit"]) == ("https://jenkins.example/job/web/7/", "abc")


def test_the_image_is_encrypted_with_the_environments_key_and_the_result_says_so(server, run, environment, cloud):
    key = cloud.kms.create_key()["KeyMetadata"]["Arn"]
    server.stop(ITSELF, console=OK)
    result = run(replace(environment, kms_key=key))
    (snapshot,) = cloud.ec2.describe_snapshots(SnapshotIds=list(result.images["eu-central-1"].snapshot_ids))[
        "Snapshots"
    ]
    assert (snapshot["Encrypted"], snapshot["KmsKeyId"]) == (True, key)
    assert result.images["eu-central-1"].kms_key == key


def test_instances_of_the_image_need_a_token_for_metadata(server, run):
    server.stop(ITSELF, console=OK)
    run()
    assert server.images[0].imds_support == "v2.0"


def test_a_console_that_lags_behind_the_stop_is_waited_for(server, run, environment):
    server.stop(ITSELF)
    looks = iter([b"", b"booting", OK])

    def lag():
        server.script.console = next(looks, OK)

    server.before["get_reservations_by_instance_ids"] = lag
    assert run(replace(environment, pace=replace(environment.pace, console_lag=60))).verdict == "ok"


def test_an_image_that_takes_a_while_is_waited_for(server, run):
    server.stop(ITSELF, console=OK)
    server.script.image_states = ["pending", "pending", "pending"]
    assert run().verdict == "ok"


def test_the_output_may_go_to_a_folder_of_its_own(server, run, out, tmp_path):
    server.stop(ITSELF, console=OK)
    run(output=tmp_path / "a" / "result")
    assert {path.name for path in (tmp_path / "a" / "result").iterdir()} == {
        "ami.json",
        "ami.env",
        "console.log",
        "ledger.jsonl",
    }
    assert not (out / "ledger.jsonl").exists()


def test_a_name_that_another_build_took_meanwhile_gives_way_to_the_next(server, run):
    server.stop(ITSELF, console=OK)
    server.before["create_image"] = lambda: server.before.clear() or server.image("web-1.0-1")
    result = run()
    assert (result.image_name, result.build) == ("web-1.0-2", 2)
    assert sorted(image.name for image in server.images) == ["web-1.0-1", "web-1.0-2"]


def test_a_type_without_capacity_gives_way_to_the_next(server, run):
    server.stop(ITSELF, console=OK)
    server.cloud.simulation.shortages.append(Shortage(instance_type="m5.large"))
    result = run(instance_types=("m5.large", "m6i.large"))
    assert result.instance_type == "m6i.large"


def test_the_environments_instance_types_win(server, run, environment):
    server.stop(ITSELF, console=OK)
    assert run(replace(environment, instance_types=("c5.large",))).instance_type == "c5.large"


# Storage


def overlay_url(server) -> str:
    (launch,) = server.launches
    text = gzip.decompress(base64.b64decode(launch["user_data"])).decode()
    return re.search("url: '(.*)'", text)[1]


@pytest.fixture
def stored(server, environment, cloud):
    cloud.s3.create_bucket(Bucket="test-storage", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return replace(environment, storage="s3://test-storage/images/", instance_s3_endpoint=None)


def test_an_overlay_waits_in_storage_while_the_instance_runs_and_is_gone_afterwards(server, run, stored):
    server.stop(ITSELF, console=OK)
    seen = {}

    def fetch():
        seen["objects"] = server.objects
        with urllib.request.urlopen(overlay_url(server)) as answer:
            seen["bytes"] = answer.read()
        server.before.clear()

    server.before["get_reservations_by_instance_ids"] = fetch
    run(stored, overlay=b"the overlay")
    assert seen["bytes"] == b"the overlay"
    assert len(seen["objects"]) == 1
    assert re.fullmatch(r"test-storage/images/[0-9a-f]{64}/[0-9a-f]{32}\.tgz", seen["objects"][0])
    assert server.objects == []


def test_the_url_is_signed_for_the_endpoint_that_instances_see(server, run, stored):
    server.stop(ITSELF, console=OK)
    run(replace(stored, instance_s3_endpoint="http://169.254.169.253"), overlay=b"x", timeouts=Timeouts(instance=100))
    url = overlay_url(server)
    assert url.startswith("http://169.254.169.253/test-storage/images/")
    assert "X-Amz-Expires=700&" in url
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url


def test_the_url_is_in_no_file_of_the_result(server, run, stored, out):
    server.stop(ITSELF, console=b"GET " + b"https://b/k?X-Amz-Signature=5ec2e7&x\n" + OK)
    run(stored, overlay=b"x")
    for path in out.iterdir():
        assert b"5ec2e7" not in path.read_bytes()
    signature = re.search("X-Amz-Signature=([0-9a-f]+)", overlay_url(server))[1]
    assert not [path for path in out.iterdir() if signature.encode() in path.read_bytes()]


def test_an_overlay_without_storage_is_refused_before_anything_is_launched(server, run, out):
    with pytest.raises(StorageError, match="there is no storage for it"):
        run(overlay=b"x")
    assert server.launches == []
    assert read(out / "ledger.jsonl") == []


def test_a_bucket_that_is_missing_is_refused_before_anything_is_launched(server, run, environment):
    with pytest.raises(StorageError, match="there is no bucket 'test-none'"):
        run(replace(environment, storage="s3://test-none"), overlay=b"x")
    assert server.launches == []


def test_the_local_clouds_bucket_is_made_when_it_is_missing(server, run, environment):
    server.stop(ITSELF, console=OK)
    local = replace(environment, name="local", storage="s3://test-made", instance_s3_endpoint=None)
    assert run(local, overlay=b"the overlay").verdict == "ok"
    assert "/test-made/" in overlay_url(server)


def test_the_sources_own_storage_wins(server, run, environment, stored):
    server.stop(ITSELF, console=OK)
    run(replace(environment, storage="s3://test-none"), overlay=b"x", storage="s3://test-storage/own")
    assert "/test-storage/own/" in overlay_url(server)


def test_a_zstd_overlay_keeps_its_suffix(server, run, stored):
    server.stop(ITSELF, console=OK)
    run(stored, overlay=b"x", file="fs.tar.zst")
    assert re.search(r"/[0-9a-f]{32}\.tar\.zst\?", overlay_url(server))


SCRIPTS = Path(__file__).parent.parent.parent / "jenkins_ami" / "compile" / "instance"


def fetch(folder: Path, url: str, access: str, size: int, **env: str) -> subprocess.CompletedProcess[str]:
    """Run what the instance runs to download its overlay; gives its exit code and what it said."""
    folder.mkdir()
    for name in ("fetch.sh", "sign.py"):
        shutil.copy(SCRIPTS / name, folder)
    (folder / "fs.url").write_text(url)
    argv = ["sh", folder / "fetch.sh", access, str(size)]
    return subprocess.run(argv, env=os.environ | env, capture_output=True, text=True, timeout=120)


def while_it_runs(server, look) -> None:
    """Call ``look`` once, when the instance runs."""

    def once():
        server.before.clear()
        look()

    server.before["get_reservations_by_instance_ids"] = once


def test_the_instances_own_script_downloads_what_was_uploaded(server, run, stored, tmp_path):
    server.stop(ITSELF, console=OK)
    while_it_runs(server, lambda: fetch(tmp_path / "i", overlay_url(server), "presigned", len(DATA)))
    run(stored, overlay=DATA)
    assert (tmp_path / "i" / "fs.tgz").read_bytes() == DATA
    done = fetch(tmp_path / "late", overlay_url(server), "presigned", len(DATA))
    assert done.returncode == 1
    assert done.stderr == (
        "the overlay could not be downloaded: HTTP 404, NoSuchKey: The specified key does not exist.\n"
    )


@pytest.fixture
def with_profile(server, stored):
    from moto.iam import iam_backends

    iam = iam_backends["123456789012"]["aws"]
    if "image-build" not in {profile.name for profile in iam.instance_profiles.values()}:
        iam.create_role("image-build", "{}", "/", None, "", [], None)
        iam.create_instance_profile("image-build", "/", ["image-build"])
    return replace(stored, instance_profile="image-build")


def test_an_instance_with_a_profile_gets_a_plain_url(server, run, with_profile, tmp_path):
    server.stop(ITSELF, console=OK)
    seen = []
    while_it_runs(server, lambda: seen.extend(server.objects))
    run(with_profile, overlay=b"the overlay", access="profile")
    assert [f"{server.endpoint}/{seen[0]}"] == [overlay_url(server)]
    assert server.launches[0]["iam_instance_profile_name"] == "image-build"
    assert server.objects == []


def test_the_instances_own_script_signs_with_its_profile(server, run, with_profile, tmp_path):
    server.stop(ITSELF, console=OK)
    issuer = Issuer()
    known = replace(METADATA, credentials=lambda: issuer.credentials("i-1", "image-build"))

    def download():
        with MetadataService(known, tmp_path / "imds.sock") as service, metadata_on_tcp(service) as imds:
            variables = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds}
            done = fetch(tmp_path / "i", overlay_url(server), "profile", len(DATA), **variables)
            assert (done.returncode, done.stderr) == (0, "")

    while_it_runs(server, download)
    run(with_profile, overlay=DATA, access="profile")
    assert (tmp_path / "i" / "fs.tgz").read_bytes() == DATA


def test_an_overlay_for_a_profile_without_one_is_refused_before_anything_is_done(server, run, stored, out):
    with pytest.raises(StorageError) as caught:
        run(stored, overlay=b"x", access="profile")
    assert caught.value.exit_code == 3
    assert caught.value.line() == (
        "the instance is to download its overlay with the rights of its profile, and there is no profile "
        "(environment test). Give the environment an 'instance_profile', or compile with 'access: presigned'."
    )
    assert server.launches == []
    assert server.objects == []
    assert read(out / "ledger.jsonl") == []


@pytest.fixture
def elsewhere(tmp_path_factory, monkeypatch):
    """A place that somebody else fills, and its address."""
    tls = make_tls(tmp_path_factory.mktemp("tls"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.file))
    with serving(tls.context) as store:
        yield store, f"https://localhost:{store.port}/overlays/abc.tgz?key=5ec2e7"


def test_an_overlay_elsewhere_is_looked_at_and_nothing_is_uploaded(server, run, out, environment, elsewhere):
    server.stop(ITSELF, console=OK)
    store, url = elsewhere
    store.answers = [send(b"x", 206, Content_Range=f"bytes 0-0/{len(DATA)}")]
    result = run(replace(environment, instance_s3_endpoint=None), overlay=DATA, access="https", storage=url)
    assert store.asked == ["/overlays/abc.tgz?key=5ec2e7"]
    assert base64.b64decode(server.launches[0]["user_data"]) == (out / "userdata.gz").read_bytes()
    assert {entry.kind for entry in read(out / "ledger.jsonl")} == {"instance", "image", "snapshot"}
    assert set(result.timings) == {"storage", "base", "number", "preflight", "launch", "instance", "image", "terminate"}


def test_an_overlay_that_is_not_there_ends_the_build_before_anything_is_launched(
    server, run, out, environment, elsewhere
):
    store, url = elsewhere
    store.answers = [send(b"", 404)]
    with pytest.raises(StorageError, match=r"the overlay is not at https://localhost:\d+/overlays/abc\.tgz: HTTP 404"):
        run(overlay=DATA, access="https", storage=url)
    assert server.launches == []
    assert read(out / "ledger.jsonl") == []


def test_a_builder_without_a_route_to_the_place_goes_on_with_a_warning(server, run):
    server.stop(ITSELF, console=OK)
    with serving() as nobody:
        url = f"https://localhost:{nobody.port}/abc.tgz?key=5ec2e7"
    log = io.StringIO()
    assert run(progress=PlainProgress(log), overlay=DATA, access="https", storage=url).verdict == "ok"
    said = log.getvalue()
    assert f"https://localhost:{nobody.port}/abc.tgz cannot be reached from here: " in said
    assert "whether the overlay is there, the instance will find out" in said
    assert "5ec2e7" not in said


# Failure: no image, nothing left, the console kept


def fails(server, run, out, error, **arguments):
    with pytest.raises(error) as caught:
        run(**arguments)
    server.assert_nothing_is_left()
    assert not (out / "ami.json").exists()
    assert not (out / "ami.env").exists()
    assert not [entry for entry in read(out / "ledger.jsonl") if entry.open]
    return caught.value


def test_an_instance_that_reports_failure(server, run, out):
    server.script.console = FAIL
    error = fails(server, run, out, InstanceFailure)
    assert error.what == "the instance reported failure: cloudinit/60_x.yml:4 exited with 7"
    assert error.detail[-2:] == ["+ systemctl enable nothing", "Failed to enable unit"]
    assert "exited with 7" in (out / "console.log").read_text()


def test_an_instance_that_powers_off_without_proof(server, run, out):
    server.stop(ITSELF, console=b"bye\n")
    error = fails(server, run, out, InstanceFailure)
    assert (error.what, error.detail) == ("the instance powered off before it proved success", ["bye"])
    assert (out / "console.log").read_text() == "bye\n"


def test_an_instance_that_somebody_stops(server, run, out):
    server.stop("Client.UserInitiatedShutdown", console=OK)
    assert "somebody stopped or terminated it" in fails(server, run, out, InstanceFailure).what


def test_an_instance_that_is_terminated(server, run, out):
    server.stop("Server.SpotInstanceTermination", state="terminated")
    assert "EC2 took the spot capacity back" in fails(server, run, out, InstanceFailure).what


def test_an_instance_that_hangs_names_where(server, run, out):
    server.script.console = b"JENKINS-AMI-STEP| cloudinit/60_x.yml:4\r\nwaiting\r\n"
    error = fails(server, run, out, InstanceTimeout, options=Options(timeout=0.3))
    assert error.what == "the instance is still running after 0.3 s, at cloudinit/60_x.yml:4"
    assert error.detail[-1] == "waiting"
    assert error.exit_code == 4


def test_a_launch_that_would_be_refused(server, run, out):
    server.refuse("run_instances", "UnauthorizedOperation", "You are not. Encoded authorization failure message: abc")
    error = fails(server, run, out, CloudError)
    assert error.code == "UnauthorizedOperation"
    assert "abc" not in error.line()
    assert read(out / "ledger.jsonl") == []
    assert not (out / "console.log").exists()


def test_a_launch_that_is_refused_although_it_seemed_possible(server, run, out):
    def after_the_dry_run():
        server.before["run_instances"] = lambda: server.refuse("run_instances", "InstanceLimitExceeded", "Too many")

    server.before["run_instances"] = after_the_dry_run
    error = fails(server, run, out, CloudError)
    assert error.what == "the cloud refused RunInstances: Too many [InstanceLimitExceeded]"


def test_a_launch_whose_answer_is_lost_is_asked_for_again_and_made_once(server, run):
    server.stop(ITSELF, console=OK)
    server.lose("run_instances")
    assert run().verdict == "ok"
    assert len(server.launches) == 1


def test_a_launch_without_any_answer_is_looked_for(server, run, out):
    """The instance is there although the call failed: found by its tag, and ended."""

    def after_the_dry_run():
        server.before["run_instances"] = lambda: server.lose("run_instances")

    server.before["run_instances"] = after_the_dry_run
    assert fails(server, run, out, CloudError).code == "InternalError"
    assert len(server.launches) == 1


def test_no_type_has_capacity(server, run, out):
    server.cloud.simulation.shortages.append(Shortage())
    assert fails(server, run, out, CloudError, instance_types=("m5.large", "m6i.large")).code.startswith("Insufficient")
    assert server.launches == []


def test_an_image_that_fails(server, run, out):
    server.stop(ITSELF, console=OK)
    server.script.image_states = ["pending", "failed"]
    assert "is failed: " in fails(server, run, out, CloudError).what


def test_an_image_that_does_not_come_in_time(server, run, out):
    server.stop(ITSELF, console=OK)
    server.script.image_states = ["pending"] * 50
    error = fails(server, run, out, ImageTimeout, timeouts=Timeouts(image=0))
    assert error.exit_code == 5


def test_an_image_that_is_refused(server, run, out):
    server.stop(ITSELF, console=OK)
    server.refuse("create_image", "UnauthorizedOperation")
    fails(server, run, out, CloudError)


def test_an_instance_that_cannot_be_terminated_makes_the_build_fail(server, run, out):
    server.stop(ITSELF, console=OK)
    server.refuse("terminate_instances", "UnauthorizedOperation")
    assert fails(server, run, out, CloudError).operation == "TerminateInstances"


def test_a_missing_base(server, run, out):
    fails(server, run, out, InputError, base="ami-0123456789abcdef0")
    assert server.launches == []


class Impatient(Progress):
    """Interrupts the build when a step begins, or at a status within it."""

    def __init__(self, title: str, at: str) -> None:
        super().__init__()
        self.title, self.at = title, at

    def _on_begin(self, step):
        if self.at == "begin" and step.title.startswith(self.title):
            self.at = ""
            raise KeyboardInterrupt

    def _on_status(self, step, text):
        if self.at == "status" and step.title.startswith(self.title):
            self.at = ""
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("title", "at"),
    [("Base", "begin"), ("Launch", "begin"), ("Instance", "status"), ("Image", "begin"), ("Image", "status")],
)
def test_an_interrupt_at_any_step_leaves_nothing(server, run, out, title, at):
    server.stop(ITSELF, console=OK)
    server.script.image_states = ["pending"] * 3
    fails(server, run, out, KeyboardInterrupt, progress=Impatient(title, at))


def test_an_interrupt_while_the_instance_runs_keeps_its_console(server, run, out):
    server.script.console = b"booting\n"
    fails(server, run, out, KeyboardInterrupt, progress=Impatient("Instance", "status"))
    assert (out / "console.log").read_text() == "booting\n"


# The output folder


def test_an_earlier_builds_result_does_not_survive_a_failure(server, run, out):
    server.stop(ITSELF, console=OK)
    run()
    before = len(server.images)
    server.stop(ITSELF, console=b"")
    with pytest.raises(InstanceFailure):
        run()
    assert not (out / "ami.json").exists()
    assert not (out / "ami.env").exists()
    assert len(server.images) == before


def test_what_an_earlier_build_left_is_ended_first(server, run, out, environment, cloud, base):
    write(out, base=base)
    tag = [{"ResourceType": "instance", "Tags": [{"Key": "jenkins-ami:build", "Value": "earlier"}]}]
    with Ledger(out / "ledger.jsonl") as ledger:
        ledger.begin(Scope.of(environment, "earlier", "123456789012"))
        ledger.intent("instance", "earlier-0")
        cloud.ec2.run_instances(ImageId=base, MinCount=1, MaxCount=1, TagSpecifications=tag)
    server.stop(ITSELF, console=OK)
    run()
    assert not server.instances


def test_two_builds_in_one_folder_are_refused(server, run, out, base):
    write(out, base=base)
    with Ledger(out / "ledger.jsonl"):
        with pytest.raises(HostError, match="another process is at work with this ledger"):
            run()
    assert server.launches == []


def test_a_folder_that_is_no_compiled_ami(environment, tmp_path):
    with pytest.raises(InputError, match="there is no compiled AMI here"):
        build(tmp_path / "none", environment, tmp_path / "out", Progress())
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file(environment, tmp_path, base):
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="the output folder cannot be made"):
        build(write(tmp_path / "c", base=base), environment, tmp_path / "file", Progress())


def test_the_account_must_be_the_environments(server, run, environment, out):
    with pytest.raises(CloudError, match="the credentials are for account 123456789012, not 999999999999"):
        run(replace(environment, account="999999999999"))
    assert server.launches == []


def test_the_ledger_and_the_result_hold_no_credentials(server, run, out, environment):
    server.stop(ITSELF, console=OK)
    run()
    assert "secret" not in (out / "ledger.jsonl").read_text()
    assert set(json.loads((out / "ledger.jsonl").read_text().splitlines()[0])) == {
        "event",
        "schema",
        "build",
        "environment",
        "region",
        "account",
        "endpoint",
        "profile",
        "state",
        "role",
        "external_id",
    }
