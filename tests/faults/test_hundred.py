"""A hundred builds at once against one endpoint that throttles as EC2 does."""

from __future__ import annotations

import json

import pytest

from jenkins_ami.cloud.tags import BUILD, EXPIRES, INPUT

from .hundred import OTHERS, SAME, Ran, hundred

pytestmark = pytest.mark.xdist_group("hundred")


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Ran:
    ran = hundred(tmp_path_factory.mktemp("hundred"))
    print(json.dumps({"calls": ran.calls, "throttled": ran.throttled, "seconds": ran.report.seconds}, indent=1))
    return ran


def tags(resource):
    return {tag["Key"]: tag["Value"] for tag in resource.get("Tags", [])}


def test_all_of_them_succeed(ran):
    assert ran.report.errors == {}
    assert len(ran.report.images) == SAME + OTHERS


def test_builds_of_one_name_get_different_numbers_without_a_gap(ran):
    same = {image["Name"] for image in ran.images if image["Name"].startswith("same-")}
    assert same == {f"same-1.0-{number}" for number in range(1, SAME + 1)}


def test_builds_of_other_names_do_not_touch_each_other(ran):
    others = {image["Name"] for image in ran.images if not image["Name"].startswith("same-")}
    assert others == {f"other{number}-1.0-1" for number in range(SAME, SAME + OTHERS)}


def test_the_tags_tell_the_number_that_the_name_has(ran):
    for image in ran.images:
        assert image["Name"].rpartition("-")[2] == tags(image)["Build"] == tags(image)["jenkins-ami:number"]


def test_each_image_is_finished_and_nothing_else_is_there(ran):
    assert ran.instances == []
    assert {image["State"] for image in ran.images} == {"available"}
    assert all(INPUT in tags(image) and EXPIRES not in tags(image) for image in ran.images)
    assert len({tags(image)[BUILD] for image in ran.images}) == SAME + OTHERS
    behind = {m["Ebs"]["SnapshotId"] for image in ran.images for m in image["BlockDeviceMappings"] if "Ebs" in m}
    mine = {each["SnapshotId"] for each in ran.snapshots if BUILD in tags(each)}
    assert mine == behind


def test_who_is_throttled_asks_less_often(ran):
    """Each build asks for a launch twice, once as a dry run, and they all do so at the same time."""
    assert ran.throttled["RunInstances"] > SAME + OTHERS
    assert sum(ran.throttled.values()) < 15 * (SAME + OTHERS)


def test_the_memory_of_the_process_is_flat(ran):
    at_20, at_end = ran.report.memory[19], ran.report.memory[-1]
    print(f"{at_20 >> 20} MiB when 20 builds had ended, {at_end >> 20} MiB at the end")
    assert at_end < at_20 * 1.5
