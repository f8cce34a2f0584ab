"""Dates and protection, as EC2 keeps them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jenkins_ami.cloud.moments import moment
from jenkins_ami.cloud.tags import EXPIRES
from jenkins_ami.cloud.waiting import CLOCK
from jenkins_ami.distribute import described, marks
from tests.cloud.server import ACCOUNT

LATER = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(days=30)


@pytest.fixture
def look(built, cloud):
    return lambda: described.read(cloud, built.image_id, ACCOUNT)


def deprecated(look) -> datetime:
    return moment(look().image.deprecated)


def test_a_date_of_deprecation_is_set_once(cloud, look):
    assert marks.deprecate(cloud, look(), LATER, CLOCK)
    assert deprecated(look) == LATER
    assert not marks.deprecate(cloud, look(), LATER, CLOCK)


def test_another_date_takes_its_place(cloud, look):
    marks.deprecate(cloud, look(), LATER, CLOCK)
    assert marks.deprecate(cloud, look(), LATER + timedelta(days=1), CLOCK)
    assert deprecated(look) == LATER + timedelta(days=1)


def test_a_date_that_has_passed_means_now_which_ec2_takes_only_for_soon(cloud, look):
    long_ago = datetime.now(UTC) - timedelta(days=5)
    assert marks.deprecate(cloud, look(), long_ago, CLOCK)
    assert timedelta(0) < deprecated(look) - datetime.now(UTC) <= timedelta(minutes=3)
    assert not marks.deprecate(cloud, look(), long_ago, CLOCK)


def test_a_date_is_taken_off(cloud, look):
    marks.deprecate(cloud, look(), LATER, CLOCK)
    assert marks.deprecate(cloud, look(), None, CLOCK)
    assert look().image.deprecated == ""
    assert not marks.deprecate(cloud, look(), None, CLOCK)


def test_a_protected_image_cannot_be_deregistered(cloud, look):
    assert marks.protect(cloud, look(), CLOCK)
    assert look().image.protected
    assert not marks.protect(cloud, look(), CLOCK)


def test_tags_go_on_what_lacks_them_only(built, cloud, look):
    (snapshot,) = look().snapshot_ids
    cloud.ec2.create_tags(Resources=[built.image_id], Tags=[{"Key": "a", "Value": "b"}])
    assert marks.tag(cloud, look(), {"a": "b"}, CLOCK)
    assert built.tags("eu-central-1", snapshot)["a"] == "b"
    assert not marks.tag(cloud, look(), {"a": "b"}, CLOCK)


def test_tags_are_taken_off_image_and_snapshots(built, cloud, look):
    (snapshot,) = look().snapshot_ids
    cloud.ec2.create_tags(Resources=[built.image_id, snapshot], Tags=[{"Key": EXPIRES, "Value": "2020-01-01"}])
    marks.take_off(cloud, look(), [EXPIRES], CLOCK)
    for resource in (built.image_id, snapshot):
        assert EXPIRES not in built.tags("eu-central-1", resource)
