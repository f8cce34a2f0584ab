"""``jenkins-ami report``: of builds in the simulated cloud, of files that are missing, broken or hostile."""

from __future__ import annotations

import dataclasses
import json
import os
import re

import pytest

from jenkins_ami import artifacts
from jenkins_ami.artifacts import BuildResult, Failure, ImageRecord, ImageTest, Manifest, TestRecord, to_json
from jenkins_ami.cloud.environments import LOCAL
from jenkins_ami.report.read import read
from jenkins_ami.verification import Boot, Note, Replacement, Sizes, Verification, VerifiedSource
from tests.build.compiled import FAIL, NONCE, OK, manifest, write
from tests.cloud.conftest import _endpoint, _home, server
from tests.cloud.simulation import Script

from .pages import parsed

__all__ = ["_endpoint", "_home", "server"]

TESTS = (ImageTest("serves", "curl localhost"), ImageTest("is quiet", "true"))
RESULT = BuildResult(
    name="web",
    version="1.4.0",
    build=3,
    image_name="web-1.4.0-3",
    images={"eu-west-1": ImageRecord("ami-2"), "eu-central-1": ImageRecord("ami-1", ("snap-1",), "arn:key")},
    base="ami-0",
    environment="prod",
    region="eu-central-1",
    instance_id="i-1",
    instance_type="t3.small",
    verdict="ok",
    userdata_sha256="0",
    digest="d1",
    timings={"instance": 90.5, "base": 0.5, "image": 30.0},
    build_url="https://jenkins.example.org/job/web/3/",
    commit="c0ffee",
)


@pytest.fixture
def out(tmp_path):
    """A folder for what a build leaves."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def report(cli, out):
    """Writes the report of a folder and returns its page."""

    def run(*folders):
        assert cli("report", *(folders or (out,))) == 0, cli.err
        return parsed((folders or (out,))[-1] / "report" / "index.html")

    return run


@pytest.fixture
def built(server, tmp_path, monkeypatch, cli, out):
    """Builds in the simulated cloud into ``out``."""
    server.cloud.simulation.script = Script()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "environments.yaml").write_text(
        f"environments:\n  lab:\n    region: eu-central-1\n    endpoint: {server.endpoint}\n"
    )
    target = write(tmp_path / "compiled", base=server.base(), tests=TESTS)

    def run(*words, code):
        assert cli("build", target, "-o", out, "--environment", "lab", *words) == code, cli.err
        return target

    return run


# Of builds


def test_a_build_shows_its_image_and_how_to_launch_it(built, report, out, server):
    target = built("--test", code=0)
    page = report(target, out)
    result = json.loads((out / "ami.json").read_text())
    image = result["images"]["eu-central-1"]["image_id"]
    assert f"aws ec2 run-instances --region eu-central-1 --image-id {image}" in page.text
    assert "web-1.0-1 built" in page.text
    assert "The image is made of an instance that proved its success." in page.text
    assert page.text.index(image) < page.text.index("JENKINS-AMI-VERDICT:OK") < page.text.index("Wait for the instance")
    assert page.all("meter")
    assert page.text.count("passed") == 2
    assert "All that was asked for is ended, but for the result." in page.text
    assert [found["href"] for found in page.all("a")] == ["../ami.json", "../console.log", "../console-test.log",
                                                          "../ledger.jsonl"]  # fmt: skip


def test_a_build_that_failed_shows_why_with_the_exit_code_and_marks_the_lines(built, report, out, server):
    server.script.console = FAIL
    page = report(built("--test", code=6), out)
    assert "web 1.0 failed" in page.text
    assert "the instance reported failure: cloudinit/60_x.yml:4 exited with 7." in page.text
    assert "Exit code 6: the instance reported failure, or ended without proof of success." in page.text
    assert "JENKINS-AMI-LOG| Failed to enable unit" in page.marked
    assert "The AMI source has 2 tests; they did not run." in page.text
    assert "All that was asked for is ended." in page.text


def test_a_build_whose_image_fails_a_test_shows_each_test_with_its_output(built, report, out, server):
    server.script.failing = {1: 7}
    page = report(built("--test", code=6), out)
    assert "The image web-1.0-1 was made, and did not pass its first boot." in page.text
    assert "exited with 7 instead of 0" in page.text
    assert "simulated" in page.text
    assert page.text.index("console-test.log") < page.text.index("console.log")
    assert any("JENKINS-AMI-TEST:" in text for text in page.marked)


def test_the_reason_of_a_failure_is_left_in_a_file_and_goes_with_the_next_build(built, out, server):
    server.script.failing = {1: 7}
    built("--test", code=6)
    failure = artifacts.read_json(Failure, out / "failure.json", "build")
    assert failure.line.startswith("the image web-1.0-1 fails its test 'is quiet': exited with 7 instead of 0.")
    assert (failure.exit_code, failure.image_name) == (6, "web-1.0-1")
    assert [(test.name, test.ok) for test in failure.tested] == [("serves", True), ("is quiet", False)]
    assert failure.outputs == {"serves": "simulated\n", "is quiet": "simulated\n"}
    assert {"base", "instance", "image", "test"} <= failure.timings.keys()
    server.script.failing = {}
    built("--test", code=0)
    assert not (out / "failure.json").exists()


def test_a_resource_that_may_still_exist_is_a_warning(built, report, out, server):
    built(code=0)
    lines = (out / "ledger.jsonl").read_text().splitlines()
    intent = next(line for line in lines if '"intent"' in line)
    (out / "ledger.jsonl").write_text("\n".join([lines[0], intent, ""]))
    page = report()
    assert "1 of these may still exist. jenkins-ami cleanup ledger.jsonl ends them." in page.text
    assert {"class": "warning"} in page.all("p")


# Of what is there


def test_an_image_of_the_local_cloud_is_launched_with_boot(report, out):
    result = dataclasses.replace(RESULT, environment=LOCAL, images={"eu-central-1": ImageRecord("ami-1")})
    (out / "ami.json").write_text(to_json(result))
    assert "jenkins-ami boot ami-1" in report().text


def test_the_images_own_region_comes_first_and_a_region_that_failed_has_its_reason(report, out):
    (out / "ami.json").write_text(to_json(dataclasses.replace(RESULT, failures={"us-east-1": "no quota"})))
    page = report()
    assert page.text.index("ami-1") < page.text.index("ami-2") < page.text.index("none: no quota")
    assert "partly distributed" in page.text


def test_times_are_in_the_order_of_the_steps_with_bars_of_their_length(report, out):
    (out / "ami.json").write_text(to_json(RESULT))
    page = report()
    assert [(meter["value"], meter["max"]) for meter in page.all("meter")] == [
        ("0.500", "121.000"),
        ("90.500", "121.000"),
        ("30.000", "121.000"),
    ]


@pytest.mark.parametrize(
    ("url", "linked"),
    [
        ("https://jenkins.example.org/job/web/3/", True),
        ("http://jenkins/job/web/3/", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("//elsewhere.example.org/", False),
        ("https://jenkins/\x00", False),
    ],
)
def test_only_an_address_of_the_web_is_linked_to(report, out, url, linked):
    (out / "ami.json").write_text(to_json(dataclasses.replace(RESULT, build_url=url)))
    assert (url in [found["href"] for found in report().all("a")]) == linked


def test_a_reused_image_and_one_without_proof_are_told(report, out):
    (out / "ami.json").write_text(to_json(dataclasses.replace(RESULT, reused=True)))
    assert "An image of the same inputs was there already; nothing was launched." in report().text
    (out / "ami.json").write_text(to_json(dataclasses.replace(RESULT, verdict="unproved")))
    assert "without proof of success" in report().text


@pytest.mark.parametrize(
    ("files", "title"),
    [
        ({"compile.json": to_json(manifest())}, "web 1.0: compiled"),
        ({"console.log": OK}, "Image: cut off"),
        ({"ledger.jsonl": ""}, "Image: cut off"),
        ({"compile.json": to_json(manifest()), "console.log": FAIL}, "web 1.0: failed"),
        ({"compile.json": to_json(manifest()), "console.log": b"Kernel panic - not syncing: no"}, "web 1.0: failed"),
        ({"failure.json": to_json(Failure("no", 7))}, "Image: failed"),
        ({"failure.json": to_json(Failure("no", 7)), "ami.json": to_json(RESULT)}, "web-1.4.0-3: failed"),
        ({"failure.json": to_json(Failure("no", 99))}, "Image: failed"),
        ({"console-test.log": OK}, "Image: compiled"),
        ({"cloud-config.yaml": "#cloud-config\n"}, "Image: compiled"),
    ],
    ids=str,
)
def test_any_part_may_be_missing(report, out, files, title):
    for name, content in files.items():
        (out / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert title in report().text


@pytest.mark.parametrize(
    "name", ["ami.json", "compile.json", "failure.json", "ledger.jsonl", "verification.json"], ids=str
)
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"schema": 99}', b"nonsense\n"],
    ids=["empty", "torn", "deep", "no text", "of another version", "no JSON"],
)
def test_a_part_that_is_broken_is_a_line_on_the_page(report, cli, out, name, content):
    (out / "console.log").write_bytes(OK)
    (out / name).write_bytes(content)
    page = report()
    assert "JENKINS-AMI-VERDICT" in page.text
    if not (name == "ledger.jsonl" and content in (b"", b"{")):  # an empty one, and one with a torn line
        assert name in cli.err.split("warning: ")[1]


def test_nothing_is_read_through_a_link(report, cli, out, tmp_path):
    (tmp_path / "secret").write_text("hunter2")
    (out / "cloud-config.yaml").symlink_to(tmp_path / "secret")
    (out / "ami.json").symlink_to(tmp_path / "secret")
    os.mkfifo(out / "console-test.log")
    (out / "console.log").write_bytes(OK)
    page = report()
    assert "hunter2" not in page.text
    assert cli.err.count("is no regular file, and is not read") == 3


def test_of_a_large_console_the_end_is_on_the_page(report, out):
    (out / "compile.json").write_text(to_json(manifest()))
    (out / "console.log").write_bytes(b"BEGINNING\r\n" + b"0123456789abcdef\r\n" * 100_000 + FAIL)
    page = report()
    assert "BEGINNING" not in page.text
    assert "The end of it, " in page.text
    assert "JENKINS-AMI-REASON| cloudinit/60_x.yml:4 exited with 7" in page.marked


def test_several_folders_are_looked_through_in_turn(report, out, tmp_path):
    compiled = write(tmp_path / "compiled")
    (out / "ami.json").write_text(to_json(RESULT))
    page = report(compiled, tmp_path / "missing", out)
    assert "web-1.4.0-3" in page.text
    assert "userdata.gz" in page.text


def test_the_page_may_go_elsewhere_and_links_only_to_what_lies_beside_it(cli, out, tmp_path):
    (out / "ami.json").write_text(to_json(RESULT))
    assert cli("report", out, "-o", out / "pages" / "mine") == 0
    assert cli.out == f"report  {out}/pages/mine/index.html (built)\n"
    page = parsed(out / "pages" / "mine" / "index.html")
    assert [found["href"] for found in page.all("a")] == [RESULT.build_url]
    assert sorted(path.name for path in (out / "pages" / "mine").iterdir()) == ["index.html", "style.css"]


def test_as_json_the_command_says_where_the_page_is_and_how_it_went(cli, out):
    (out / "ami.json").write_text(to_json(RESULT))
    assert cli("report", out, "--json") == 0
    assert json.loads(cli.out) == {
        "report": str(out / "report" / "index.html"),
        "state": "built",
        "title": "web-1.4.0-3",
    }


def test_a_folder_with_nothing_in_it_is_refused(cli, out, tmp_path):
    assert cli("report", out) == 2
    assert cli.error.startswith(f"there is nothing here to report on ({out}). ")
    assert cli("report", tmp_path / "missing") == 2
    assert not (tmp_path / "missing").exists()


def test_a_folder_that_cannot_be_written_is_one_line(cli, out):
    (out / "ami.json").write_text(to_json(RESULT))
    (out / "report").write_text("a file")
    assert cli("report", out) == 1
    assert cli.error == f"the report's folder cannot be made: File exists ({out}/report)."


# Of verifications


def verification(*sources, **more):
    return Verification(**{"commit": "c" * 40, "outcome": "failed", "subject": "Greet", "sources": sources, **more})


SOURCE = VerifiedSource(
    folder="images/web",
    outcome="failed",
    name="web",
    version="1.1",
    reason="the image does not boot",
    notes=(
        Note(
            "key", "error", "'pakages' is no key", "Write 'packages'", "b.yml", 3, 1, Replacement(3, 1, 8, "packages")
        ),
        Note("zone", "warning", "there is no time zone", "", "a.yml"),
        Note("key", "error", "'runcmds' is no key", "", "b.yml", 9, 2),
    ),
    counts={"overlay": {"added": 1, "changed": 2}},
    changes=("overlay", "  + fs/a (12 bytes)", "  ~ fs/b 1 -> 2 bytes", "      -old", "      +new"),
    userdata=Sizes(2819, 6088),
    overlay=Sizes(None, 509),
    boot=Boot("failed", "the kernel died", 94.0, (TestRecord("serves", False, "exited with 7"),)),
    files="1-web",
)


def test_a_verification_shows_its_findings_by_file_and_what_changes(report, out):
    (out / "verification.json").write_text(to_json(verification(SOURCE, parent="d" * 40, changed=("b.yml",))))
    boot = out / "1-web" / "boot"
    boot.mkdir(parents=True)
    (boot / "console.log").write_bytes(b"Kernel panic - not syncing: no init\r\n")
    (out / "1-web" / "compile.json").write_text(to_json(manifest()))
    page = report()
    assert "cccccccccc Greet failed" in page.text
    assert "images/web (web 1.1) failed" in page.text
    assert page.text.index("a.yml") < page.text.index("b.yml") < page.text.index("'runcmds' is no key.")
    assert "line 3, columns 1 to 8 become:\npackages\n" in page.text
    assert "overlay: 1 added, 2 changed" in page.text
    kinds = [found.get("class") for found in page.all("span")]
    assert [kind for kind in kinds if kind in ("add", "remove", "change")] == ["add", "change", "remove", "add"]
    assert "2.8 KiB → 5.9 KiB" in page.text
    assert "none → 509 B" in page.text
    assert "the kernel died" in page.text
    assert page.marked == ["Kernel panic - not syncing: no init"]


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        ("passed", "All that the commit touches is fine."),
        ("skipped", "The commit touches no AMI source."),
        ("broken", "It could not be verified, through no fault of the commit's."),
        ("something", "Greet: something"),
    ],
)
def test_a_verifications_outcome_is_told(report, out, outcome, line):
    (out / "verification.json").write_text(to_json(verification(outcome=outcome, reason="bwrap is missing")))
    page = report()
    assert line in page.text
    assert "bwrap is missing" in page.text


@pytest.mark.parametrize("files", ["../elsewhere", "..", ".", "/etc", "a\0b", "link"])
def test_a_verification_leads_to_no_folder_but_its_own(out, tmp_path, files):
    for folder in (tmp_path / "elsewhere", out):
        folder.mkdir(exist_ok=True)
        (folder / "console.log").write_bytes(b"hunter2")
    (out / "link").symlink_to(tmp_path / "elsewhere")
    (out / "verification.json").write_text(to_json(verification(dataclasses.replace(SOURCE, files=files))))
    left = read([out])
    assert left.sources is not None
    assert [each.console for each in left.sources.values()] == []


# Of strangers

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>\"' onmouseover='x' style=\"x\"</pre></details></table>"
    "<!-- --><a href='javascript:x'>&lt;b&gt;{{ 7*7 }}{% raw %}\x00\x1b[31m\u202e\u2028\ud800]]>"
)


def hostile(kind, depth=0):
    """A value of a dataclass, with something hostile in every text."""
    import types
    import typing

    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return hostile(next(arg for arg in args if arg is not type(None)), depth)
    if origin is tuple:
        return (hostile(args[0], depth), hostile(args[0], depth))
    if origin is dict:
        return {HOSTILE: hostile(args[1], depth), "eu-central-1": hostile(args[1], depth)}
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{f.name: 1 if f.name == "schema" else hostile(hints[f.name], depth + 1)
                       for f in dataclasses.fields(kind)})  # fmt: skip
    return {str: HOSTILE, int: 7, float: 1.5, bool: True}[kind]


ELEMENTS = {
    "html": {"lang"},
    "head": set(),
    "meta": {"charset", "name", "content"},
    "title": set(),
    "link": {"rel", "href"},
    "body": set(),
    "header": {"class"},
    "main": set(),
    "section": set(),
    "details": {"open"},
    "meter": {"min", "max", "value"},
    "a": {"href"},
}
CLASSED = re.findall(
    r"\w+", "h1 h2 h3 p pre code span strong mark ul li dl dt dd table thead tbody tfoot caption tr th td summary"
)
CLASSES = re.findall(
    r"\w+",
    "good bad warn state why warning note line number gap console changes tests notes time right bar whole id "
    "command digest rule links add remove change move at",
)


def assert_harmless(page, folder):
    for tag, attributes in page.elements:
        assert tag in ELEMENTS or tag in CLASSED, tag
        assert attributes.keys() <= ELEMENTS.get(tag, {"class"}), (tag, attributes)
        assert set((attributes.get("class") or "").split()) <= set(CLASSES)
    for link in page.all("a"):
        assert re.match(r"https?://|\.\./[\w./-]+\Z", link["href"])
    raw = (folder / "report" / "index.html").read_bytes()
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", raw)
    assert "\u202e" not in raw.decode()


def test_nothing_in_any_text_becomes_a_part_of_the_page(report, out):
    result = dataclasses.replace(hostile(BuildResult), region="eu-central-1", build_url=f"https://x/{HOSTILE}")
    (out / "ami.json").write_text(json.dumps(dataclasses.asdict(result)))
    for kind, name in ((Manifest, "compile.json"), (Failure, "failure.json")):
        (out / name).write_text(json.dumps(dataclasses.asdict(hostile(kind))))
    source = dataclasses.replace(hostile(VerifiedSource), files="1-x")
    found = dataclasses.replace(hostile(Verification), sources=(source, source))
    (out / "verification.json").write_text(json.dumps(dataclasses.asdict(found)))
    text = HOSTILE.encode("utf-8", "replace")
    scope = {"event": "build", "schema": 2, "build": HOSTILE, "environment": HOSTILE, "region": HOSTILE, "account": "1"}
    key = {"build": HOSTILE, "kind": HOSTILE, "key": HOSTILE}
    records = [scope, {"event": "intent", "time": 0, **key}, {"event": "created", "ids": [HOSTILE], **key}]
    (out / "ledger.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    inner = out / "1-x"
    inner.mkdir()
    for folder in (out, inner):
        for name in ("console.log", "console-test.log", "cloud-config.yaml"):
            (folder / name).write_bytes(text + b"\r\nJENKINS-AMI-REASON| " + text + b"\r\n" + text)
    page = report()
    assert_harmless(page, out)
    assert page.text.count("<script>alert(1)</script>") > 50
    assert "{{ 7*7 }}" in page.text


def test_nothing_that_signs_a_url_is_on_the_page(report, out):
    signed = "https://b.s3.amazonaws.com/fs.tgz?X-Amz-Credential=AK&X-Amz-Signature=0a1b2c3d"
    (out / "compile.json").write_text(to_json(manifest(description=signed, parameters={"URL": signed})))
    (out / "failure.json").write_text(to_json(Failure(signed, 6, (signed,), outputs={"a": signed})))
    for name in ("console.log", "console-test.log", "cloud-config.yaml"):
        (out / name).write_text(f"runcmd: [curl {signed}]\nX-Amz-Signature=0a1b2c3d\n")
    (out / "verification.json").write_text(to_json(verification(reason=signed, subject=signed, changed=(signed,))))
    page = report()
    assert "0a1b2c3d" not in (out / "report" / "index.html").read_text()
    assert "https://b.s3.amazonaws.com/fs.tgz?***" in page.text


def test_a_very_long_text_takes_neither_long_nor_much_room(report, out):
    text = "http://" * 200_000
    (out / "verification.json").write_text(
        to_json(verification(dataclasses.replace(SOURCE, changes=(text[:199_000],))))
    )
    (out / "cloud-config.yaml").write_text(text)
    (out / "console.log").write_text(text)
    (out / "failure.json").write_text(to_json(Failure(text, 6)))
    page = report()
    assert "… and 1396000 characters more" in page.text
    assert (out / "report" / "index.html").stat().st_size < 100_000


# What Jenkins makes of it


def test_the_page_has_no_styles_and_scripts_of_its_own(report, out):
    (out / "ami.json").write_text(to_json(RESULT))
    page = report()
    assert [tag for tag, attributes in page.elements if tag in ("script", "style") or "style" in attributes] == []
    assert page.all("link") == [{"rel": "stylesheet", "href": "style.css"}]
    css = (out / "report" / "style.css").read_text()
    assert "url(" not in css
    assert "@import" not in css


def test_a_large_verification_stays_below_a_megabyte(report, out):
    changes = tuple(f"  ~ fs/usr/share/example/file-{number}.conf 0644 -> 0640 <&>" for number in range(2000))
    notes = tuple(Note("key", "error", f"finding {n}", "Mend it", f"file{n % 9}.yml", n, 1) for n in range(500))
    source = dataclasses.replace(SOURCE, changes=changes, notes=notes, files="1-web")
    (out / "verification.json").write_text(to_json(verification(source)))
    boot = out / "1-web" / "boot"
    boot.mkdir(parents=True)
    (out / "1-web" / "compile.json").write_text(to_json(manifest()))
    console = b"[  OK  ] Started <some> unit & more.\r\n" * 2000
    (boot / "console.log").write_bytes(console[: 65_536 - len(FAIL)] + FAIL)
    page = report()
    assert (out / "report" / "index.html").stat().st_size < 1_000_000
    assert "file-1999.conf" in page.text
    assert "finding 499" in page.text


def test_of_a_huge_verification_the_beginning_is_on_the_page(report, out):
    source = dataclasses.replace(SOURCE, changes=("  + fs/" + "x" * 100,) * 10_000, notes=SOURCE.notes * 1000)
    (out / "verification.json").write_text(to_json(verification(source)))
    page = report()
    assert re.search(r"And \d{4} lines more, in verification.json", page.text)
    assert "And 2500 more, in verification.json" in page.text
    assert (out / "report" / "index.html").stat().st_size < 1_000_000


def test_the_nonce_of_the_compile_decides_what_the_verdict_is(report, out):
    (out / "compile.json").write_text(to_json(manifest(nonce="f" * 16)))
    (out / "console.log").write_bytes(OK)
    assert NONCE in report().text
    assert "The instance said nothing about how it ended." in report().text
