"""``jenkins-ami images …`` and ``jenkins-ami gc`` as commands: what they print, and what they exit with."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.build.compiled import write
from tests.cloud.conftest import _endpoint, _home, server
from tests.cloud.server import REGION

__all__ = ["_endpoint", "_home", "server"]

LAB = ("--environment", "lab")


def tags(number: int, name: str = "web", version: str = "1.0", **more: str) -> dict[str, str]:
    own = {"name": name, "version": version, "number": str(number), "build": f"b{number}", "input": "f00d", **more}
    return {f"jenkins-ami:{key.replace('_', '-')}": value for key, value in own.items() if value}


@pytest.fixture
def lab(server, tmp_path, monkeypatch):
    """An environment ``lab`` in the current folder. Makes images, a day apart."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "environments.yaml").write_text(
        f"environments:\n  lab:\n    region: {REGION}\n    endpoint: {server.endpoint}\n"
    )

    def add(number: int, name: str = "web", version: str = "1.0", *, region: str = REGION, **more: str) -> str:
        return server.image(
            f"{name}-{version}-{number}",
            tags(number, name, version, **more),
            region=region,
            created=f"2026-01-{number:02}T00:00:00.000Z",
            volume_size=8,
        )

    return add


# list


def test_list_has_a_line_for_each_image_in_columns(lab, cli):
    first, second = lab(9, version="1.9", base="scratch/d1"), lab(10, version="1.10", input="")
    assert cli("images", "list", *LAB) == 0, cli.err
    assert [line.split() for line in cli.out.splitlines()] == [
        ["NAME", "VERSION", "BUILD", "IMAGE", "REGION", "CREATED", "SIZE", "STATE", "MARKS", "USED", "BY"],
        ["web", "1.9", "9", first, REGION, "2026-01-09", "8", "GiB", "available"],
        ["web", "1.10", "10", second, REGION, "2026-01-10", "8", "GiB", "available", "unfinished"],
        ["2", "images"],
    ]
    assert cli.out.splitlines()[1].index(first) == cli.out.splitlines()[2].index(second)


def test_list_as_json_has_all_that_is_known(lab, cli, server):
    base = lab(1, "base", base="scratch/d1")
    image = lab(2, base=base)
    assert cli("images", "list", "base", "--json", *LAB) == 0
    (found,) = json.loads(cli.out)["images"]
    assert found["used_by"] == [f"image {image}"]
    assert {key: found[key] for key in ("id", "name", "version", "build", "finished", "shared", "base", "copy_of")} == {
        "id": base,
        "name": "base",
        "version": "1.0",
        "build": 1,
        "finished": True,
        "shared": False,
        "base": "scratch/d1",
        "copy_of": None,
    }


def test_list_has_other_regions_when_asked_and_foreign_images_with_all(lab, cli, server):
    here, there = lab(1), lab(1, region="eu-west-1", copy_of=f"{REGION}/ami-0123456789abcdef0")
    other = server.image("somebodys")
    assert cli("images", "list", "--json", "--region", REGION, "--region", "eu-west-1", "--all", *LAB) == 0
    assert {image["id"] for image in json.loads(cli.out)["images"]} == {here, there, other}
    assert cli("images", "list", "--region", "eu-west-1", *LAB) == 0
    assert "copy" in cli.out
    assert here not in cli.out


def test_list_says_when_there_are_none_and_which_right_is_missing(lab, cli, server):
    assert cli("images", "list", *LAB) == 0
    assert cli.out == "No images\n"
    lab(1)
    server.refuse("describe_launch_templates", "UnauthorizedOperation")
    assert cli("images", "list", *LAB) == 0
    assert (
        "warning: whether a launch template uses an image is not known: "
        "the right ec2:DescribeLaunchTemplates is missing" in cli.err
    )


# prune


def test_prune_shows_a_plan_and_changes_nothing(lab, cli, server):
    first, second = lab(1), lab(2)
    assert cli("images", "prune", "--keep-images", "1", *LAB) == 0, cli.err
    assert cli.out.splitlines() == [
        f"- web-1.0-1  {first}  {REGION}  2026-01-01  prune: no rule keeps it",
        f"  web-1.0-2  {second}  {REGION}  2026-01-02  keep: the newest; the newest finished one of its name",
        "Plan: 1 to prune with 1 snapshot of 8 GiB, 1 to keep.",
        "Nothing was changed: --apply does it.",
    ]
    assert len(server.images) == 2


def test_prune_exits_with_8_when_an_image_may_go_and_that_is_asked_for(lab, cli):
    lab(1)
    assert cli("images", "prune", "--keep-images", "1", "--exit-code", *LAB) == 0
    lab(2)
    assert cli("images", "prune", "--keep-images", "1", "--exit-code", *LAB) == 8
    assert cli("images", "prune", "--keep-images", "2", "--exit-code", *LAB) == 0


def test_prune_apply_deregisters_in_the_regions_that_are_named(lab, cli, server):
    lab(1), lab(2)
    away = [lab(number, region="eu-west-1") for number in (1, 2)]
    assert cli("images", "prune", "--keep-images", "1", "--apply", "--region", "eu-west-1", *LAB) == 0, cli.err
    assert cli.out.splitlines()[-1].endswith(": deregistered with 1 snapshot")
    assert len(server.images) == 2
    assert cli("images", "list", "--json", "--region", "eu-west-1", *LAB) == 0
    assert [image["id"] for image in json.loads(cli.out)["images"]] == [away[1]]


def test_prune_as_json_says_what_was_done(lab, cli):
    first, _ = lab(1), lab(2)
    assert cli("images", "prune", "--keep-images", "1", "--apply", "--json", *LAB) == 0
    data = json.loads(cli.out)
    assert {image["build"]: image["action"] for image in data["images"]} == {1: "prune", 2: "keep"}
    assert data["done"] == [
        {"id": first, "region": REGION, "gone": True, "outcome": "deregistered with 1 snapshot", "error": None}
    ]


def test_prune_goes_on_after_a_failure_and_exits_with_7(lab, cli, server, tmp_path, monkeypatch):
    monkeypatch.setenv("JENKINS_AMI_ERROR_FILE", str(tmp_path / "error"))
    for number in (1, 2, 3):
        lab(number)
    server.refuse("deregister_image", "UnauthorizedOperation", "Not you")
    assert cli("images", "prune", "--keep-images", "1", "--apply", *LAB) == 7
    assert "could not be deregistered: the cloud refused DeregisterImage: Not you [UnauthorizedOperation]" in cli.err
    assert (tmp_path / "error").read_text() == "1 of 2 images could not be pruned\n"
    assert len(server.images) == 2


def test_prune_takes_its_rules_from_a_compiled_ami(lab, cli, tmp_path, server):
    from jenkins_ami.artifacts import COMPILE_JSON

    target = write(tmp_path / "compiled", base="scratch")
    manifest = json.loads((target / COMPILE_JSON).read_text())
    manifest["image"] = {"retention": {"images": 1}}
    (target / COMPILE_JSON).write_text(json.dumps(manifest))
    lab(1), lab(2), lab(1, "api"), lab(2, "api")
    assert cli("images", "prune", "--manifest", target, "--apply", *LAB) == 0, cli.err
    assert sorted(image.name for image in server.images) == ["api-1.0-1", "api-1.0-2", "web-1.0-2"]


def test_prune_warns_of_a_name_that_nothing_has(lab, cli):
    lab(1)
    assert cli("images", "prune", "wbe", "--keep-images", "1", *LAB) == 0
    assert "warning: there is no image of the name 'wbe' in eu-central-1" in cli.err
    assert cli.out == "Plan: 0 to prune, 0 to keep.\n"


def test_prune_needs_no_right_to_look_for_a_kind_that_is_left_out(lab, cli, server):
    lab(1), lab(2)
    server.refuse("describe_launch_templates", "UnauthorizedOperation")
    assert cli("images", "prune", "--keep-images", "1", "--unchecked", "launch-template", "--exit-code", *LAB) == 8
    assert cli("images", "prune", "--keep-images", "1", "--exit-code", *LAB) == 0
    assert "Nothing goes: without the right ec2:DescribeLaunchTemplates" in cli.out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (
            [],
            "there is no rule that says what stays. Give --keep-images, --keep-days or --keep-versions, "
            "or --manifest of an AMI source that has 'retention'.",
        ),
        (
            ["--keep-images", "0"],
            "argument --keep-images: 0 would keep nothing. See 'jenkins-ami images prune --help'.",
        ),
        (
            ["--keep-days", "-1"],
            "argument --keep-days: '-1' is no whole number below 100000. See 'jenkins-ami images prune --help'.",
        ),
        (
            ["--keep-versions", "many"],
            "argument --keep-versions: 'many' is no whole number below 100000. See 'jenkins-ami images prune --help'.",
        ),
    ],
    ids=["no rule", "none", "negative", "text"],
)
def test_prune_refuses_rules_that_make_no_sense(lab, cli, argv, said):
    assert cli("images", "prune", *argv, *LAB) == 1
    assert cli.error == said


# show, tree, console


def test_show_prints_the_chain_to_scratch(lab, cli, server):
    base = server.image("debian-12", {"jenkins-ami:base": "scratch/d1"}, created="2026-01-01T00:00:00.000Z")
    image = lab(2, base=base, commit="c0ffee", url="https://ci/job/7/", payload="abc", instance="i-1")
    assert cli("images", "show", image, *LAB) == 0, cli.err
    assert cli.out.splitlines() == [
        f"{image}  web-1.0-2",
        "    created   2026-01-02T00:00:00.000Z",
        f"    region    {REGION}",
        "    build     1.0, number 2",
        "    commit    c0ffee",
        "    build url https://ci/job/7/",
        "    payload   abc",
        "    input     f00d",
        "    built on  i-1",
        f"made from  {base}  debian-12",
        "    created   2026-01-01T00:00:00.000Z",
        f"    region    {REGION}",
        "made from  scratch/d1  made from nothing",
    ]


def test_show_says_that_an_ancestor_is_gone(lab, cli):
    image = lab(2, base="ami-0123456789abcdef0")
    assert cli("images", "show", image, *LAB) == 0
    assert cli.out.splitlines()[-1] == "made from  ami-0123456789abcdef0  gone (its tags went with it)"


def test_show_as_json_is_the_chain(lab, cli):
    home = lab(1, base="scratch/d1")
    copy = lab(1, region="eu-west-1", base="scratch/d1", copy_of=f"{REGION}/{home}", commit="c0ffee")
    assert cli("images", "show", copy, "--region", "eu-west-1", "--json", *LAB) == 0
    chain = json.loads(cli.out)["chain"]
    assert [(link["relation"], link["kind"], link["id"], link["region"]) for link in chain] == [
        ("image", "ours", copy, "eu-west-1"),
        ("copy-of", "ours", home, REGION),
        ("base", "scratch", "scratch/d1", REGION),
    ]
    assert (chain[0]["commit"], chain[1]["commit"]) == ("c0ffee", None)


def test_show_of_no_image_is_an_error(lab, cli):
    assert cli("images", "show", "ami-0123456789abcdef0", *LAB) == 2
    assert cli.error.startswith("there is no image ami-0123456789abcdef0 in eu-central-1.")


def test_tree_draws_all_below_what_they_came_from(lab, cli, server):
    base = server.image("debian-12", {"jenkins-ami:base": "scratch/d1"}, created="2026-01-01T00:00:00.000Z")
    first, second = lab(1, base=base), lab(2, base=base, input="")
    shop = lab(3, "shop", base=first)
    lost = lab(4, "lost", base="ami-0123456789abcdef0")
    assert cli("images", "tree", *LAB) == 0, cli.err
    assert cli.out.splitlines() == [
        "ami-0123456789abcdef0  gone (its tags went with it)",
        f"└─ lost-1.0-4  {lost}  2026-01-04",
        "scratch/d1",
        f"└─ debian-12  {base}  2026-01-01",
        f"   ├─ web-1.0-1  {first}  2026-01-01",
        f"   │  └─ shop-1.0-3  {shop}  2026-01-03",
        f"   └─ web-1.0-2  {second}  2026-01-02  [unfinished]",
    ]
    assert cli("images", "tree", "lost", "--json", *LAB) == 0
    assert [node["id"] for node in json.loads(cli.out)["nodes"]] == ["ami-0123456789abcdef0", lost]


def test_tree_says_where_the_original_of_a_copy_is(lab, cli):
    home = lab(1)
    copy = lab(1, region="eu-west-1", copy_of=f"{REGION}/{home}")
    assert cli("images", "tree", "--region", "eu-west-1", *LAB) == 0
    assert cli.out.splitlines() == [
        f"{home}  in {REGION}, which was not looked at",
        f"└─ web-1.0-1  {copy}  2026-01-01  [copy]",
    ]


def test_tree_without_images_says_so(lab, cli):
    assert cli("images", "tree", *LAB) == 0
    assert cli.out == "No images\n"


def launch(server, base: str) -> str:
    import boto3

    client = boto3.client(
        "ec2",
        region_name=REGION,
        endpoint_url=server.endpoint,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    try:
        return client.run_instances(ImageId=base, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    finally:
        client.close()


def test_console_shows_that_of_an_images_builder_without_secrets(lab, cli, server):
    server.script.console = b"\x1b[1mhello\x1b[0m\r\nGET https://bucket/key?X-Amz-Signature=secret\r\n"
    instance = launch(server, server.base())
    image = lab(1, instance=instance)
    assert cli("images", "console", image, *LAB) == 0, cli.err
    assert cli.out.splitlines()[:2] == ["hello", "GET https://bucket/key?***"]
    assert cli("images", "console", instance, "--json", *LAB) == 0
    assert json.loads(cli.out)["instance"] == instance


def test_console_that_is_kept_no_more_is_an_error(lab, cli):
    image = lab(1, instance="i-0123456789abcdef0")
    assert cli("images", "console", image, *LAB) == 2
    assert cli.error == (
        "EC2 does not know instance i-0123456789abcdef0 in eu-central-1 any more. "
        "It keeps a console for about an hour after termination; a build's is in its console.log."
    )


@pytest.mark.parametrize("command", ["list", "tree", "prune --keep-images 1", "show ami-1", "console ami-1"])
def test_without_an_environment_both_ways_are_explained(lab, cli, command):
    assert cli("images", *command.split()) == 1
    assert "Use --local" in cli.error


def test_other_credentials_than_the_environments_account_are_refused(lab, cli, tmp_path):
    file = tmp_path / "environments.yaml"
    file.write_text(f'{file.read_text()}    account: "999999999999"\n')
    assert cli("images", "list", *LAB) == 7
    assert cli.error.startswith("the credentials are for account 123456789012, not 999999999999")


# gc


def expired(server, hours: float = 1.0) -> str:
    past = datetime.now(UTC) - timedelta(hours=hours)
    found = {"jenkins-ami:build": "b1", "jenkins-ami:expires": past.isoformat(timespec="seconds")}
    return server.image("web-1.0-1", found, volume_size=8)


def test_gc_shows_a_plan_and_exits_with_8_when_asked(lab, cli, server):
    assert cli("gc", "--exit-code", *LAB) == 0
    assert cli.out == "Plan: 0 to end.\n"
    image = expired(server, 50)
    (snapshot,) = server.snapshots
    assert cli("gc", "--exit-code", *LAB) == 8
    first, second = (line.split() for line in cli.out.splitlines()[:2])
    assert first == ["-", "image", image, REGION, "available", "web-1.0-1", "expired", "2", "d", "ago"]
    assert second[:4] == ["-", "snapshot", snapshot.id, REGION]
    assert cli.out.splitlines()[2] == "Plan: 2 to end. Nothing was changed: --apply does it."
    assert len(server.images) == 1


def test_gc_apply_ends_it(lab, cli, server):
    image = expired(server)
    assert cli("gc", "--apply", *LAB) == 0, cli.err
    assert f"image {image}: deregistered" in cli.out
    server.assert_nothing_is_left()
    assert cli("gc", "--apply", *LAB) == 0
    assert cli.out == "Nothing to end.\n"


def test_gc_as_json_has_what_is_left_alone_too(lab, cli, server):
    image = server.image("web", {"jenkins-ami:build": "b1", "jenkins-ami:expires": "soon"})
    assert cli("gc", "--apply", "--json", *LAB) == 0
    data = json.loads(cli.out)
    assert data["done"] == []
    assert {leftover["id"]: leftover["left_alone"] for leftover in data["leftovers"]}[image] == (
        "its tag 'jenkins-ami:expires' is no time: 'soon'"
    )


def test_gc_exits_with_7_when_something_cannot_be_ended(lab, cli, server):
    image = expired(server)
    server.refuse("deregister_image", "UnauthorizedOperation", "Not you")
    assert cli("gc", "--apply", *LAB) == 7
    assert f"warning: image {image} may still exist: the cloud refused DeregisterImage: Not you" in cli.err


def test_gc_of_what_is_older_only(lab, cli, server):
    expired(server)
    assert cli("gc", "--older-than", "1d", *LAB) == 0
    assert cli.out == "Plan: 0 to end.\n"


@pytest.mark.parametrize("text", ["", "7", "d", "1.5h", "7w", "-1d", "1000000d"])
def test_gc_refuses_what_is_no_duration(lab, cli, text):
    assert cli("gc", f"--older-than={text}", *LAB) == 1
    assert cli.error == (
        f"argument --older-than: '{text}' is no duration: write 90m, 36h or 7d. See 'jenkins-ami gc --help'."
    )
