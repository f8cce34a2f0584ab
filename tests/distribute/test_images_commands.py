"""``images copy``, ``images share`` and ``images deprecate``: any image of one's own, by its id."""

from __future__ import annotations

import json

import pytest

from jenkins_ami.cloud.session import Cloud
from jenkins_ami.cloud.waiting import CLOCK
from jenkins_ami.distribute import share
from tests.cloud.server import REGION

EAST, WEST = "us-east-1", "us-west-2"
FRIEND = "111122223333"
ORGANIZATION = "arn:aws:organizations::123456789012:organization/o-a1b2c3d4e5"
UNIT = "arn:aws:organizations::123456789012:ou/o-a1b2c3d4e5/ou-a1b2-c3d4e5f6"


@pytest.fixture
def images(built, cli, tmp_path, monkeypatch):
    """Run a command of the group in the environment ``lab``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "environments.yaml").write_text(
        f"environments:\n  lab:\n    region: {REGION}\n    endpoint: {built.proxy.url}\n    encrypted: false\n"
        f"    regions: {{{EAST}: {{tags: {{team: us}}}}}}\n"
    )
    return lambda action, *words: cli("images", action, *words, "--environment", "lab")


def refused(exchange) -> None:
    exchange.refuse(403, "UnauthorizedOperation", "You are not authorized to perform this operation")


# copy


def test_an_image_is_copied_with_its_tags_and_the_regions(built, images, cli):
    assert images("copy", built.image_id, "--to", EAST, WEST) == 0, cli.err
    (east,), (west,) = built.images(EAST), built.images(WEST)
    assert cli.out.splitlines() == [f"ami     {east.id} in {EAST}", f"ami     {west.id} in {WEST}"]
    assert built.tags(EAST, east.id)["team"] == "us"
    assert built.tags(WEST, west.id)["jenkins-ami:copy-of"] == f"{REGION}/{built.image_id}"
    assert "jenkins-ami:expires" not in built.tags(EAST, east.id)


def test_the_plan_of_a_copy_is_shown_first(built, images, cli):
    images("copy", built.image_id, "--to", EAST)
    assert f"{built.image_id} web-1.4.0-3 in {REGION}" in cli.err
    assert f"{EAST}: copy; tags team=us" in cli.err


def test_an_image_that_no_build_made_is_copied_and_the_copy_is_no_builds_either(built, server, images, cli):
    image = server.image("by-hand", {"owner": "me"})
    assert images("copy", image, "--to", WEST) == 0, cli.err
    (copy,) = built.images(WEST)
    assert built.tags(WEST, copy.id) == {"owner": "me", "jenkins-ami:copy-of": f"{REGION}/{image}"}


def test_a_copy_that_is_there_is_found(built, images, cli):
    images("copy", built.image_id, "--to", EAST)
    assert built.changes(lambda: images("copy", built.image_id, "--to", EAST)) == []
    assert cli.out == f"ami     {built.images(EAST)[0].id} in {EAST}\n"


def test_an_image_of_another_region_is_copied_from_there(built, server, images, cli):
    image = server.image("far", region=WEST)
    assert images("copy", image, "--region", WEST, "--to", REGION) == 0, cli.err
    copies = [each for each in built.images(REGION) if each.name == "far"]
    assert built.tags(REGION, copies[0].id)["jenkins-ami:copy-of"] == f"{WEST}/{image}"


def test_one_failed_copy_is_an_error_line_and_exit_7(built, images, cli):
    built.proxy.on(refused, action="CopyImage", region=EAST)
    assert images("copy", built.image_id, "--to", EAST, WEST) == 7
    assert cli.error.startswith(f"{EAST}: the cloud refused CopyImage")
    assert cli.out == f"ami     {built.images(WEST)[0].id} in {WEST}\n"


# share


def permissions(cloud, image: str):
    return share.permissions(cloud, image, CLOCK)


def test_an_image_is_shared_with_all_kinds(built, images, cli, cloud):
    words = ["--account", FRIEND, "--organization", ORGANIZATION, "--unit", UNIT]
    assert images("share", built.image_id, *words) == 0, cli.err
    assert cli.out == f"{built.image_id} shared with {FRIEND}, {ORGANIZATION}, {UNIT}\n"
    found = permissions(cloud, built.image_id)
    assert (found.accounts, found.organizations, found.units) == ((FRIEND,), (ORGANIZATION,), (UNIT,))


def test_what_is_shared_already_is_said(built, images, cli):
    images("share", built.image_id, "--account", FRIEND)
    assert built.changes(lambda: images("share", built.image_id, "--account", FRIEND)) == []
    assert cli.out == f"{built.image_id} was shared with {FRIEND} already\n"


def test_a_permission_is_removed(built, images, cli, cloud):
    images("share", built.image_id, "--account", FRIEND)
    assert images("share", built.image_id, "--account", FRIEND, "--remove") == 0
    assert cli.out == f"{built.image_id} no longer shared with {FRIEND}\n"
    assert not permissions(cloud, built.image_id)


def test_an_image_of_another_region_is_shared_there(built, server, images):
    image = server.image("far", region=WEST)
    assert images("share", image, "--region", WEST, "--account", FRIEND) == 0
    with Cloud(built.environment.in_region(WEST)) as cloud:
        assert permissions(cloud, image).accounts == (FRIEND,)


# deprecate


def when(built) -> str:
    (image,) = [each for each in built.images(REGION) if each.id == built.image_id]
    return image.record.deprecated


def test_an_image_is_deprecated_so_many_days_after_it_was_made(built, images, cli):
    assert images("deprecate", built.image_id, "--after", "30", "--json") == 0, cli.err
    assert json.loads(cli.out)["changed"] is True
    assert json.loads(cli.out)["deprecate_at"][:16] == when(built)[:16]


def test_an_image_is_deprecated_at_a_date(built, images, cli):
    assert images("deprecate", built.image_id, "--at", "2031-01-31") == 0, cli.err
    assert cli.out == (f"{built.image_id} web-1.4.0-3 in {REGION}: to be deprecated at 2031-01-31 00:00 UTC\n")
    assert when(built).startswith("2031-01-31T00:00")
    images("deprecate", built.image_id, "--at", "2031-01-31T01:00+01:00")
    assert cli.out.endswith("already\n")


def test_a_deprecation_is_cancelled(built, images, cli):
    images("deprecate", built.image_id, "--after", "30")
    assert images("deprecate", built.image_id, "--cancel") == 0
    assert cli.out == f"{built.image_id} web-1.4.0-3 in {REGION}: never to be deprecated\n"
    assert when(built) == ""


# All of them


COMMANDS = [
    ("copy", "--to", EAST),
    ("share", "--account", FRIEND),
    ("deprecate", "--after", "30"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=[command[0] for command in COMMANDS])
def test_a_dry_run_changes_nothing(built, images, cli, command):
    action, *words = command
    assert built.changes(lambda: images(action, built.image_id, *words, "--dry-run")) == []
    assert cli.out.startswith(f"{built.image_id} web-1.4.0-3 in {REGION}")


@pytest.mark.parametrize("command", COMMANDS, ids=[command[0] for command in COMMANDS])
def test_somebody_elses_image_is_refused(built, server, images, cli, command):
    image = server.image("theirs", owner_id="999999999999")
    action, *words = command
    assert images(action, image, *words) == 2
    assert cli.error == (
        f"{image} belongs to 999999999999, not to this account 123456789012. Only its owner can copy it on, share it "
        "or set its dates."
    )


@pytest.mark.parametrize("command", COMMANDS, ids=[command[0] for command in COMMANDS])
@pytest.mark.parametrize("image", ["ami-00000000000000000", "nonsense", ""])
def test_an_image_that_is_not_there_is_refused(images, cli, command, image):
    action, *words = command
    assert images(action, image, *words) == 2
    assert cli.error.startswith(f"there is no image {image} in {REGION}".replace("  ", " "))


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (("copy", "ami-1"), "the following arguments are required: --to"),
        (("copy", "ami-1", "--to", "mars"), "'mars' is not a region. One looks like eu-central-1."),
        (("copy", "ami-1", "--to", REGION), f"the image is in {REGION} already. Name other regions with --to."),
        (("copy", "ami-1", "--to", EAST, "--region", "x"), "'x' is not a region. One looks like eu-central-1."),
        (("share", "ami-1"), "there is nobody to share it with. Give --account, --organization or --unit."),
        (("share", "ami-1", "--account", "42"), "'42' is not an account number. One looks like '123456789012'."),
        (
            ("share", "ami-1", "--organization", "o-a1b2c3d4e5"),
            "'o-a1b2c3d4e5' is not the ARN of an organization. One looks like "
            "arn:aws:organizations::123456789012:organization/o-a1b2c3d4e5.",
        ),
        (("share", "ami-1", "--unit", ORGANIZATION), f"'{ORGANIZATION}' is not the ARN of an organizational unit."),
        (("deprecate", "ami-1"), "one of the arguments --after --at --cancel is required"),
        (("deprecate", "ami-1", "--after", "0"), "--after is '0'. Give 1 to 3650 days."),
        (("deprecate", "ami-1", "--after", "9" * 5000), "--after is '999"),
        (("deprecate", "ami-1", "--after", "x"), "--after is 'x'. Give 1 to 3650 days."),
        (
            ("deprecate", "ami-1", "--at", "tomorrow"),
            "--at is 'tomorrow'. Give a date like 2031-01-31 or 2031-01-31T12:00, in UTC.",
        ),
        (
            ("deprecate", "ami-1", "--at", "2020-01-01"),
            "--at is '2020-01-01', which is over or more than ten years away. EC2 takes no such date.",
        ),
        (("deprecate", "ami-1", "--at", "2931-01-01"), "--at is '2931-01-01', which is over or more than ten years"),
        (("deprecate", "ami-1", "--after", "3", "--cancel"), "argument --cancel: not allowed with argument --after"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_words_that_make_no_sense(built, images, cli, command, line):
    built.proxy.calls.clear()
    assert images(*command) == 1
    assert cli.error.startswith(line)
    assert built.proxy.calls == []
