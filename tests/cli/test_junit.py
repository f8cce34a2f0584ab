"""``--junit``: the file that a build, a bake and a boot leave for Jenkins, however they end."""

from __future__ import annotations

import os
import signal
from xml.etree import ElementTree

import pytest

from jenkins_ami.artifacts import ImageSettings, ImageTest
from jenkins_ami.cli.junit import LONGEST
from tests.build.compiled import FAIL, OK, write
from tests.cloud.conftest import _endpoint, _home, server
from tests.cloud.simulation import Script
from tests.localcloud import bootsector

__all__ = ["_endpoint", "_home", "server"]

ITSELF = "Client.InstanceInitiatedShutdown"
TESTS = (ImageTest("serves", "curl localhost"), ImageTest("is quiet", "true"))


@pytest.fixture
def lab(server, tmp_path, monkeypatch):
    """A folder with an environment ``lab`` whose machines do what their user-data says."""
    server.cloud.simulation.script = Script()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "environments.yaml").write_text(
        f"environments:\n  lab:\n    region: eu-central-1\n    endpoint: {server.endpoint}\n"
    )
    return tmp_path


@pytest.fixture
def target(server, lab):
    return write(lab / "compiled", base=server.base(), tests=TESTS)


@pytest.fixture
def build(cli, lab, target):
    """Runs a build with ``--junit`` and returns its exit code."""
    return lambda *words: cli("build", target, "--environment", "lab", "--junit", lab / "junit.xml", *words)


def cases(folder):
    """Each case: its class, its name, and what became of it."""
    root = ElementTree.fromstring((folder / "junit.xml").read_bytes())
    (suite,) = root
    found = suite.findall("testcase")
    assert suite.get("tests") == root.get("tests") == str(len(found))
    assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
    assert suite.get("skipped") == str(len(suite.findall("testcase/skipped")))
    return [(case.get("classname"), case.get("name"), became(case)) for case in found]


def became(case):
    for kind in ("failure", "skipped"):
        if (element := case.find(kind)) is not None:
            return f"{kind}: {element.get('message')}"
    return "passed"


def text(folder, name, element):
    found = ElementTree.fromstring((folder / "junit.xml").read_bytes()).find(f".//testcase[@name='{name}']/{element}")
    return "" if found is None else found.text


def test_a_build_without_tests_is_one_case_with_its_console(build, lab):
    assert build() == 0
    assert cases(lab) == [("web.image", "build", "passed")]
    assert "JENKINS-AMI-VERDICT:OK" in text(lab, "build", "system-out")


def test_the_first_boot_and_each_test_are_cases(build, lab):
    assert build("--test") == 0
    assert cases(lab) == [
        ("web.image", "build", "passed"),
        ("web.image", "first boot", "passed"),
        ("web.tests", "serves", "passed"),
        ("web.tests", "is quiet", "passed"),
    ]
    assert "JENKINS-AMI-TEST:" in text(lab, "first boot", "system-out")


def test_a_test_that_fails_is_in_the_file_beside_those_that_pass(build, lab, server):
    server.script.failing = {1: 7}
    assert build("--test") == 6
    assert cases(lab) == [
        ("web.image", "build", "passed"),
        ("web.image", "first boot", "passed"),
        ("web.tests", "serves", "passed"),
        ("web.tests", "is quiet", "failure: exited with 7 instead of 0"),
    ]
    assert text(lab, "is quiet", "failure") == "true\nexited with 7 instead of 0"
    assert text(lab, "is quiet", "system-out") == "simulated\n"


def test_an_image_that_was_never_made_is_the_failure_and_its_tests_are_skipped(build, lab, server):
    server.script.console = FAIL
    assert build("--test") == 6
    why = "the instance reported failure: cloudinit/60_x.yml:4 exited with 7. console.log has all that it said."
    assert cases(lab) == [
        ("web.image", "build", f"failure: {why}"),
        ("web.image", "first boot", "skipped: the image was not made"),
        ("web.tests", "serves", "skipped: the image was not made"),
        ("web.tests", "is quiet", "skipped: the image was not made"),
    ]
    assert text(lab, "build", "failure") == f"{why}\n+ systemctl enable nothing\nFailed to enable unit"
    assert "JENKINS-AMI-REASON|" in text(lab, "build", "system-out")


def test_an_image_that_does_not_boot_is_a_failure_of_its_first_boot(build, lab, server):
    def second():
        if server.launches:
            server.stop("Client.UserInitiatedShutdown")

    server.before["run_instances"] = second
    assert build("--test") == 6
    first, boot, *tests = cases(lab)
    assert first == ("web.image", "build", "passed")
    assert boot[2].startswith("failure: the image web-1.0-1 does not pass its test: the instance was stopped")
    assert [became for _, _, became in tests] == ["skipped: the instance did not get that far"] * 2


def test_an_error_after_all_tests_have_passed_is_the_builds(build, lab, server):
    server.refuse("create_tags", "UnauthorizedOperation")
    assert build("--test") == 7
    first, *others = cases(lab)
    assert first[2].startswith("failure: ")
    assert {became for _, _, became in others} == {"passed"}


def test_a_reused_image_has_no_first_boot(build, lab):
    assert build() == 0
    assert build("--reuse", "--test") == 0
    assert cases(lab)[1:] == [
        ("web.image", "first boot", "skipped: nothing was launched"),
        ("web.tests", "serves", "skipped: nothing was launched"),
        ("web.tests", "is quiet", "skipped: nothing was launched"),
    ]


def test_another_builds_console_is_not_taken_for_this_ones(build, lab, target):
    assert build() == 0
    (target / "userdata.gz").unlink()
    assert build() == 2
    assert (target / "console.log").exists()
    assert cases(lab) == [
        ("compiled.image", "build", f"failure: userdata.gz is missing ({target}/userdata.gz). Run 'jenkins-ami "
         "compile' again.")
    ]  # fmt: skip
    assert text(lab, "build", "system-out") == ""


def test_of_a_long_console_the_end_is_in_the_file(build, lab, server):
    server.stop(ITSELF, console=b"x" * 99 + b"\r\n" + b"0123456789\r\n" * 5000 + OK)
    assert build() == 0
    output = text(lab, "build", "system-out")
    assert output.startswith("[the end of console.log, which has 55,1")
    assert len(output) < LONGEST + 100
    assert "JENKINS-AMI-VERDICT:OK" in output


def test_a_region_that_the_image_does_not_reach_is_a_failure(build, lab, server, target):
    write(target, base=server.base("another"), image=ImageSettings(regions=("eu-west-1",)))
    server.refuse("copy_image", "UnauthorizedOperation")
    assert build() == 7
    assert [case[:2] for case in cases(lab)] == [("web.image", "build"), ("web.distribution", "eu-west-1")]
    assert cases(lab)[1][2].startswith("failure: ")


def test_a_bake_that_does_not_compile_is_in_the_file(lab, cli, make_source):
    source = make_source({"cloudinit/10_a.yml": "#cloud-config\nruncmd: 3\n"})
    out = lab / "out"
    assert cli("bake", source, "-o", out, "--environment", "lab", "--junit", lab / "junit.xml") == 2
    ((group, name, failure),) = cases(lab)
    assert (group, name) == ("source.image", "build")
    assert "10_a.yml" in failure
    assert not out.exists()


def test_a_bake_writes_the_same_as_a_build(lab, cli, make_source, server):
    source = make_source(env=f"NAME=web\nVERSION=1.0\nBASE={server.base()}\n")
    assert cli("bake", source, "-o", lab / "out", "--environment", "lab", "--junit", lab / "junit.xml") == 0, cli.err
    assert cases(lab) == [("web.image", "build", "passed")]


def test_a_build_that_is_resumed_when_it_is_over_tells_its_tests_again(build, lab, target, cli):
    assert build("--test") == 0
    before = cases(lab)
    words = ("--environment", "lab", "--junit", lab / "junit.xml")
    assert cli("build", "--resume", target, *words) == 0, cli.err
    assert cases(lab) == before


def test_a_dry_run_writes_no_file(build, lab):
    assert build("--dry-run") == 0
    assert not (lab / "junit.xml").exists()


def test_an_interrupt_is_in_the_file(build, lab, server):
    server.before["create_image"] = lambda: os.kill(os.getpid(), signal.SIGTERM)
    assert build() == 130
    assert cases(lab) == [("web.image", "build", "failure: interrupted by SIGTERM")]


def test_the_files_folder_is_made(cli, target, lab):
    target.joinpath("userdata.gz").unlink()
    assert cli("build", target, "--environment", "lab", "-o", "ami", "--junit", "ami/tests.xml") == 2
    assert (lab / "ami" / "tests.xml").exists()


def test_a_folder_that_compile_has_yet_to_make_is_not_made(lab, cli, make_source):
    source = make_source({"cloudinit/10_a.yml": "#cloud-config\nruncmd: 3\n"})
    assert cli("bake", source, "-o", "out", "--environment", "lab", "--junit", "out/junit.xml") == 2
    assert "warning: there is no out/junit.xml: its folder was not made" in cli.err
    assert not (lab / "out").exists()


def test_the_reason_stays_the_builds_when_the_file_cannot_be_written(cli, target, server, lab):
    (lab / "junit.xml").mkdir()
    server.script.console = FAIL
    assert cli("build", target, "--environment", "lab", "--junit", lab / "junit.xml") == 6
    assert "junit.xml cannot be written: Is a directory" in cli.err


def test_nothing_that_signs_a_url_is_in_the_file(build, lab, server):
    url = b"https://bucket.s3.amazonaws.com/fs.tgz?X-Amz-Signature=0a1b2c3d"
    server.script.console = FAIL.replace(b"Failed to enable unit", b"curl: (22) " + url)
    assert build() == 6
    assert "X-Amz-Signature" not in (lab / "junit.xml").read_text()
    assert "curl: (22) https://bucket.s3.amazonaws.com/fs.tgz?***" in text(lab, "build", "failure")


# boot --test, without an operating system


ONE_TEST = {"ami.yaml": "tests: [{name: it works, run: 'true'}]\n", "cloudinit/10_a.yml": "#cloud-config\n"}


def boot(cli, folder, make_source, code, *more):
    disk = bootsector.disk(folder / "disk.raw", bootsector.say("\r\nhello\r\n") + code)
    words = ("--test", "--source", make_source(ONE_TEST), "--junit", folder / "junit.xml", *more)
    return cli("boot", disk, *words)


def test_a_boot_and_its_tests_are_cases(cli, tmp_path, make_source):
    assert boot(cli, tmp_path, make_source, bootsector.POWEROFF) == 6
    assert cases(tmp_path) == [
        ("disk.raw.image", "boot", "passed"),
        ("disk.raw.tests", "it works", "failure: no result came from the instance"),
    ]


def test_a_boot_that_does_not_end_is_a_failure_and_its_tests_are_skipped(cli, tmp_path, make_source):
    assert boot(cli, tmp_path, make_source, bootsector.HANG, "--timeout", "3") == 4
    (_, _, failure), test = cases(tmp_path)
    assert failure.startswith("failure: the machine has not powered itself off within 3.0 s")
    assert test == ("disk.raw.tests", "it works", "skipped: it does not boot")


def test_the_file_of_a_boot_needs_tests(cli, tmp_path):
    assert cli("boot", tmp_path, "--junit", tmp_path / "junit.xml") == 1
    assert cli.error == "--junit needs --test."
