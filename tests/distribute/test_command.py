"""``jenkins-ami distribute`` as a command: what it prints, what it exits with."""

from __future__ import annotations

import json

import pytest

from jenkins_ami.artifacts import to_json
from tests.cloud.server import REGION

EAST, WEST = "us-east-1", "us-west-2"


@pytest.fixture
def lab(built, tmp_path, monkeypatch):
    """An environments file in the current folder; its environment ``lab`` wants what a test adds."""
    monkeypatch.chdir(tmp_path)

    def write(*more: str) -> None:
        lines = ["environments:", "  lab:", f"    region: {REGION}", f"    endpoint: {built.proxy.url}"]
        (tmp_path / "environments.yaml").write_text("\n".join([*lines, *(f"    {line}" for line in more)]) + "\n")

    write("encrypted: false", f"regions: [{EAST}, {WEST}]", "ssm_parameter: /images/{name}")
    return write


@pytest.fixture
def distribute(built, lab, cli):
    return lambda *words: cli("distribute", built.folder, "--environment", "lab", *words)


def refused(exchange) -> None:
    exchange.refuse(403, "UnauthorizedOperation", "You are not authorized to perform this operation")


def test_it_prints_a_line_for_each_region(built, distribute, cli):
    assert distribute() == 0, cli.err
    (east,), (west,) = built.images(EAST), built.images(WEST)
    assert cli.out.splitlines() == [
        "image   web-1.4.0-3",
        f"ami     {built.image_id} in {REGION}",
        f"ami     {east.id} in {EAST}",
        f"ami     {west.id} in {WEST}",
        f"names   ssm:/images/web in {REGION}",
        f"names   ssm:/images/web in {EAST}",
        f"names   ssm:/images/web in {WEST}",
    ]


def test_the_file_can_be_named_as_well_as_its_folder(built, lab, cli):
    assert cli("distribute", built.folder / "ami.json", "--environment", "lab") == 0
    assert (built.folder / "ledger.jsonl").exists()


def test_as_json_it_is_what_ami_json_holds(built, distribute, cli):
    assert distribute("--json") == 0
    assert json.loads(cli.out) == json.loads((built.folder / "ami.json").read_text())


def test_a_failed_region_is_an_error_line_and_exit_7(built, distribute, cli, tmp_path, monkeypatch):
    monkeypatch.setenv("JENKINS_AMI_ERROR_FILE", str(tmp_path / "error"))
    built.proxy.on(refused, action="CopyImage", region=EAST)
    assert distribute() == 7
    where = f"environment lab, {built.proxy.url}"
    line = (
        f"{EAST}: the cloud refused CopyImage: You are not authorized to perform this operation "
        f"[UnauthorizedOperation] ({where}). Give the role that builds this right, or build in another environment."
    )
    assert cli.error == line
    assert (tmp_path / "error").read_text() == f"{line}\n"
    assert f"ami     {built.images(WEST)[0].id} in {WEST}" in cli.out


def test_each_failed_region_has_a_line_of_its_own(built, distribute, cli):
    built.proxy.on(refused, action="CopyImage", times=None)
    assert distribute() == 7
    lines = [line.split(":")[1].strip() for line in cli.err.splitlines() if line.startswith("error: ")]
    assert lines == [EAST, WEST]


def test_a_failed_region_is_retried_alone(built, distribute, cli):
    built.proxy.on(refused, action="CopyImage", region=EAST)
    assert distribute() == 7
    assert {change.split()[1] for change in built.changes(lambda: distribute("--region", EAST))} == {EAST}
    assert json.loads((built.folder / "ami.json").read_text())["failures"] == {}


def test_a_dry_run_shows_the_plan_and_calls_nothing(built, distribute, cli):
    built.proxy.calls.clear()
    assert distribute("--dry-run") == 0
    assert cli.out.splitlines() == [
        f"{REGION}: parameter /images/web",
        f"{EAST}: copy; parameter /images/web",
        f"{WEST}: copy; parameter /images/web",
    ]
    assert built.proxy.calls == []


def test_a_plan_as_json(built, lab, distribute, cli):
    lab("deprecate_after: 30", "encrypted: false")
    assert distribute("--dry-run", "--json") == 0
    (home,) = json.loads(cli.out)["plan"]
    assert (home["region"], home["deprecate_at"]) == (REGION, "2026-12-29T10:00:00+00:00")


def test_without_anything_to_do_it_says_where_the_image_is(built, lab, distribute, cli):
    lab("encrypted: false")
    assert distribute() == 0
    assert cli.out.splitlines() == ["image   web-1.4.0-3", f"ami     {built.image_id} in {REGION}"]


def test_a_folder_without_a_result(lab, cli, tmp_path):
    (tmp_path / "empty").mkdir()
    assert cli("distribute", tmp_path / "empty", "--environment", "lab") == 2
    assert cli.error.startswith("ami.json is missing")
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_result_of_another_region(built, lab, distribute, cli):
    (built.folder / "environments.yaml").write_text("environments:\n  lab:\n    region: us-east-1\n")
    assert distribute() == 2
    assert cli.error == (
        "web-1.4.0-3 was built in eu-central-1, and environment lab is in us-east-1. It was built in environment test."
    )


def test_a_result_that_is_none(built, distribute, cli):
    (built.folder / "ami.json").write_text(to_json(built.result).replace('"name"', '"nam"'))
    assert distribute() == 2
    assert "is not known" in cli.error


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--region", "mars"], "the image is not to go to mars. Its regions are eu-central-1, us-east-1, us-west-2"),
        (["--region"], "argument --region: expected one argument"),
        (["--to", EAST], f"unrecognized arguments: --to {EAST}"),
    ],
    ids=["no such region", "no region", "no such option"],
)
def test_words_that_make_no_sense(distribute, cli, words, line):
    assert distribute(*words) == 1
    assert cli.error.startswith(line)


def test_no_environment(built, lab, cli):
    assert cli("distribute", built.folder) == 1
    assert cli.error.startswith("no environment")
