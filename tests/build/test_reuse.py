"""``--reuse``: an image of the same inputs is the result, and nothing is launched."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from jenkins_ami.artifacts import (
    FileEntry,
    ImageSettings,
    ImageTest,
    Overlay,
    Sharing,
    Timeouts,
    read_build_result,
    read_compiled,
)
from jenkins_ami.build.base import Base, parse, resolve
from jenkins_ami.build.prepare import Options
from jenkins_ami.build.reuse import input_digest
from jenkins_ami.build.run import build
from jenkins_ami.cloud import environments
from jenkins_ami.cloud.environments import Environment
from jenkins_ami.cloud.finish import finish
from jenkins_ami.cloud.ledger import Ledger, Scope, read
from jenkins_ami.cloud.session import Cloud
from jenkins_ami.cloud.wanted import wanted
from jenkins_ami.errors import CloudError, StorageError
from jenkins_ami.localcloud.server import LocalCloudServer
from jenkins_ami.localcloud.store import ImageStore
from jenkins_ami.progress import PlainProgress, Progress
from tests.localcloud import bootsector

from .compiled import OK, manifest, write

ITSELF = "Client.InstanceInitiatedShutdown"
BASE = Base("ami-1", "debian", "x86_64", "/dev/xvda", {"/dev/xvda": 8})


@pytest.fixture
def run(server, environment, tmp_path):
    """Build the same compiled AMI in a folder of its own; further arguments change it."""
    base = server.base()
    server.stop(ITSELF, console=OK)

    def run(name="first", *, reuse=True, environment=environment, progress=None, **changes):
        target = write(tmp_path / name, **({"base": base} | changes))
        return build(target, environment, target, progress or Progress(), Options(reuse=reuse))

    return run


def tags_of(resource) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in resource.get_tags()}


# The digest


PLACE = Environment("dev", "eu-central-1")


def digest(base: Base = BASE, place: Environment = PLACE, **changes) -> str:
    files = {"userdata.gz": FileEntry(1, "aa")}
    known = manifest(**({"files": files} | changes))
    return input_digest(known, base, wanted(known.image, place))


def test_the_digest_is_the_same_every_time():
    assert digest() == digest() == "a7430e13fe6b8045f3b9730e88426e804b11d7b0bc43292ebaea84069f85aa4a"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"version": "1.1"},
        {"description": "other"},
        {"tags": {"team": "other"}},
        {"architecture": "arm64"},
        {"volume_size": 9},
        {"files": {"userdata.gz": FileEntry(1, "bb")}},
        {"overlay": Overlay("storage", 1, "cc")},
        {"base": replace(BASE, image_id="ami-2")},
        {"base": replace(BASE, volumes={"/dev/xvda": 9})},
        {"image": ImageSettings(encrypted=False)},
        {"image": ImageSettings(imds="any")},
        {"place": replace(PLACE, kms_key="alias/images")},
    ],
    ids=lambda change: "-".join(change),
)
def test_what_ends_up_in_the_image_changes_it(change):
    assert digest(**change) != digest()


@pytest.mark.parametrize(
    "change",
    [
        {"commit": "5eed"},
        {"digest": "e" * 64},
        {"nonce": "f" * 16},
        {"volume_size": 8},
        {"instance_types": ("m5.large",)},
        {"tests": (ImageTest("t", "true"),)},
        {"timeouts": Timeouts(instance=1)},
        {"overlay": Overlay("none", storage="s3://elsewhere")},
        {"image": ImageSettings(regions=("us-east-1",), share=Sharing(accounts=("210987654321",)))},
        {"place": replace(PLACE, name="other", subnets=("subnet-1",))},
    ],
    ids=lambda change: "-".join(change),
)
def test_what_does_not_leaves_it(change):
    assert digest(**change) == digest()


# The build


def test_the_same_inputs_again_launch_nothing_and_give_the_same_image(server, run, tmp_path):
    first = run()
    again = run("second")
    assert len(server.launches) == 1
    assert again.images == first.images
    assert (again.image_name, again.build, again.base) == ("web-1.0-1", 1, first.base)
    assert (again.reused, first.reused) == (True, False)
    assert (again.instance_id, again.instance_type, again.userdata_sha256) == ("", "", "")
    assert set(again.timings) == {"base", "reuse"}
    assert read_build_result(tmp_path / "second") == again
    assert (tmp_path / "second" / "ami.env").read_text() == (tmp_path / "first" / "ami.env").read_text()
    assert not (tmp_path / "second" / "console.log").exists()


def test_it_is_said(server, run):
    (image,) = run().images.values()
    log = io.StringIO()
    run("second", progress=PlainProgress(log))
    assert f"{image.image_id} web-1.0-1 is reused, nothing is launched" in log.getvalue()


def test_without_the_option_the_image_is_built_again(server, run):
    run(reuse=False)
    assert run("second", reuse=False).build == 2


def test_an_image_is_found_whether_or_not_its_own_build_had_the_option(server, run):
    run(reuse=False)
    assert run("second").reused


@pytest.mark.parametrize("change", [{"version": "1.1"}, {"volume_size": 20}, {"overlay": b"x"}], ids=str)
def test_other_inputs_are_built(server, environment, cloud, run, change):
    cloud.s3.create_bucket(Bucket="test-storage", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    stored = replace(environment, storage="s3://test-storage")
    run(environment=stored)
    assert not run("second", environment=stored, **change).reused
    assert len(server.launches) == 2


def test_the_same_overlay_is_the_same_input_although_its_url_is_another(server, environment, cloud, run):
    cloud.s3.create_bucket(Bucket="test-storage", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    stored = replace(environment, storage="s3://test-storage")
    run(environment=stored, overlay=b"x")
    assert run("second", environment=stored, overlay=b"x").reused
    assert server.objects == []


def test_image_and_snapshots_carry_the_digest(server, run):
    run()
    (image,) = server.images
    (snapshot,) = server.snapshots
    assert len(tags_of(image)["jenkins-ami:input"]) == 64
    assert tags_of(image) == tags_of(snapshot)


def test_the_newest_of_several_is_taken(server, run):
    run(reuse=False)
    run("second", reuse=False)
    assert run("third").image_name == "web-1.0-2"


def test_an_image_that_is_not_available_is_not_taken(server, run):
    run()
    server.images[0].state = "failed"
    assert not run("second").reused


def test_an_image_of_another_account_is_not_taken(server, run):
    run()
    server.images[0].owner_id = "999999999999"
    assert not run("second").reused


def test_an_image_whose_build_is_not_over_is_not_taken(server, run):
    """Its build may still end it: when it is stopped, when its instance cannot be terminated."""
    server.refuse("terminate_instances", "UnauthorizedOperation")
    seen = []
    server.before["terminate_instances"] = lambda: seen.extend(tags_of(image) for image in server.images)
    with pytest.raises(CloudError):
        run()
    assert seen
    assert "jenkins-ami:input" not in seen[0]
    assert not run("second").reused


def test_an_image_that_cannot_be_marked_stays_and_is_marked_later(server, run, environment, tmp_path):
    server.refuse("create_tags", "UnauthorizedOperation", "You are not.")
    with pytest.raises(CloudError, match="the image is made, but cannot be marked as finished: the cloud refused"):
        run()
    first = read_build_result(tmp_path / "first")
    assert first.images["eu-central-1"].image_id == server.images[0].id
    assert [entry for entry in read(tmp_path / "first" / "ledger.jsonl") if entry.open] == []
    assert "jenkins-ami:input" not in tags_of(server.images[0])
    folder = tmp_path / "first"
    assert build(folder, environment, folder, Progress(), go_on=True) == first
    assert tags_of(server.images[0])["jenkins-ami:input"] == first.input
    assert run("second").reused


def test_an_overlay_that_nobody_needs_is_not_looked_for(server, run):
    url = "https://localhost:9/abc.tgz"
    run(overlay=b"x", access="https", storage=url)
    log = io.StringIO()
    assert run("second", overlay=b"x", access="https", storage=url, progress=PlainProgress(log)).reused
    assert "localhost" not in log.getvalue()


def test_a_configuration_that_cannot_build_is_refused_all_the_same(server, run):
    with pytest.raises(StorageError, match="there is no storage for it"):
        run(overlay=b"x")


# What it may never do


def test_a_reused_image_is_in_no_ledger_and_no_cleanup_ends_it(server, run, cli, tmp_path):
    run()
    run("second")
    assert read(tmp_path / "second" / "ledger.jsonl") == []
    for folder in ("second", "first"):
        assert cli("cleanup", tmp_path / folder) == 0, cli.err
    assert len(server.images) == len(server.snapshots) == 1
    assert (tmp_path / "second" / "ami.json").exists()


def test_in_the_folder_of_the_build_that_made_it_as_well(server, run, cli, tmp_path):
    first = run()
    assert run().images == first.images
    assert cli("cleanup", tmp_path / "first") == 0
    assert len(server.images) == 1
    assert (tmp_path / "first" / "ami.json").exists()


def test_what_an_earlier_build_left_in_the_folder_is_ended_and_the_reused_image_stays(
    server, run, cloud, environment, tmp_path
):
    run()
    (tmp_path / "second").mkdir()
    tag = [{"ResourceType": "instance", "Tags": [{"Key": "jenkins-ami:build", "Value": "earlier"}]}]
    with Ledger(tmp_path / "second" / "ledger.jsonl") as ledger:
        ledger.begin(Scope.of(environment, "earlier", "123456789012"))
        ledger.intent("instance", "earlier-0")
        cloud.ec2.run_instances(ImageId=server.base_id, MinCount=1, MaxCount=1, TagSpecifications=tag)
    assert run("second").reused
    assert not server.instances
    assert len(server.images) == 1


def test_a_build_that_fails_after_a_reuse_leaves_that_image(server, run, tmp_path):
    run()
    run("second")
    server.refuse("run_instances", "UnauthorizedOperation")
    with pytest.raises(CloudError):
        run("second", version="2.0")
    assert len(server.images) == 1
    assert not (tmp_path / "second" / "ami.json").exists()


def test_two_builds_at_once_are_both_fine(server, run):
    results = {}

    def one(name: str) -> None:
        results[name] = run(name)

    threads = [threading.Thread(target=one, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = {image.id for image in server.images}
    assert {result.images["eu-central-1"].image_id for result in results.values()} == made
    assert not server.instances
    assert run("three").reused


def test_the_local_cloud_remembers_what_was_built_by_an_earlier_server(tmp_path):
    state, compiled = tmp_path / "state", tmp_path / "compiled"
    store = ImageStore(state)
    disk = bootsector.disk(tmp_path / "disk.raw", bootsector.HANG)
    image = store.add(disk, name="web-1.0-4")
    write(compiled, base=store.add(disk, name="base").id)

    def local(server: LocalCloudServer) -> Environment:
        return environments.local(server.endpoint, server.endpoint, "us-east-1", state)

    with LocalCloudServer(state, 0, Progress()) as server, Cloud(local(server)) as cloud:
        known = read_compiled(compiled).manifest
        base = resolve(cloud, parse(known.base), "x86_64")
        finish(cloud, [image.id, image.snapshot_id], input_digest(known, base, wanted(known.image, cloud.environment)))
    with LocalCloudServer(state, 0, Progress()) as server:
        result = build(compiled, local(server), compiled, Progress(), Options(reuse=True))
    assert (result.reused, result.build, result.environment) == (True, 4, "local")
    assert result.images["us-east-1"].image_id == image.id


def test_the_command_says_it_and_ami_json_too(server, cli, tmp_path: Path, monkeypatch):
    server.stop(ITSELF, console=OK)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "environments.yaml").write_text(
        f"environments:\n  lab:\n    region: eu-central-1\n    endpoint: {server.endpoint}\n"
    )
    target = write(tmp_path / "compiled", base=server.base())
    assert cli("build", target, "--environment", "lab", "-o", "a") == 0, cli.err
    assert cli("build", target, "--environment", "lab", "-o", "b", "--reuse") == 0, cli.err
    (image,) = server.images
    assert cli.out.splitlines()[:3] == [
        "image   web-1.0-1  (reused: made of the same inputs before, nothing was launched)",
        f"ami     {image.id} in eu-central-1",
        "files   b: ami.json, ami.env, ledger.jsonl",
    ]
    assert '"reused": true' in Path("b/ami.json").read_text()
    assert '"reused": false' in Path("a/ami.json").read_text()
