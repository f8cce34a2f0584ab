"""``jobs:`` of ami.yaml: what a source says of its Jenkins jobs, and how it lies over what others say."""

import pytest

from jenkins_ami.errors import InputError
from jenkins_ami.findings import InvalidSource
from jenkins_ami.source.jobs import KEYS, cron_problem, regex_problem, settings_of
from jenkins_ami.source.model import Discard, JobSettings, Throttle
from jenkins_ami.source.settings import read_identity


def jobs(folder, block):
    """What a source with this block says."""
    (folder / "ami.env").write_text("NAME=n\nVERSION=1\nBASE=scratch\n")
    (folder / "ami.yaml").write_text(block)
    return read_identity(folder).jobs


EVERYTHING = """\
jobs:
  build: false
  verify: {by: multibranch, jenkinsfile: ci/Jenkinsfile}
  environment: prod
  environments: [dev, prod]
  local: true
  timeout: 90
  concurrent: true
  quiet_period: 0
  nightly: H 3 * * 1-5
  poll: "@hourly"
  recheck: \\brecheck\\b
  gerrit_server: review
  follow_base: false
  labels: {compile: a, build: "b && c", verify: d}
  credentials: {git: g, aws: a}
  discard: {builds: 5, days: 1, artifact_builds: 2, artifact_days: -1}
  throttle: {categories: [ami], total: 4, per_node: 1}
"""


def test_all_of_it_is_read(tmp_path):
    assert settings_of(jobs(tmp_path, EVERYTHING)) == JobSettings(
        build=False,
        verify="multibranch",
        verify_jenkinsfile="ci/Jenkinsfile",
        environment="prod",
        environments=("dev", "prod"),
        local=True,
        timeout=90,
        concurrent=True,
        quiet_period=0,
        nightly="H 3 * * 1-5",
        poll="@hourly",
        recheck=r"\brecheck\b",
        gerrit_server="review",
        follow_base=False,
        compile_label="a",
        build_label="b && c",
        verify_label="d",
        git_credentials="g",
        aws_credentials="a",
        discard=Discard(5, 1, 2, -1),
        throttle=Throttle(("ami",), 4, 1),
    )


def test_the_example_above_has_every_key():
    assert [line.split(":")[0].strip() for line in EVERYTHING.splitlines()[1:]] == list(KEYS)


@pytest.mark.parametrize("block", ["", "jobs:", "jobs: {}", f"jobs: {{{': , '.join(KEYS)}: }}"])
def test_what_is_not_said_is_not_set(block, tmp_path):
    assert jobs(tmp_path, block) == {}


def test_later_layers_win_key_by_key():
    first = {"timeout": 5, "discard": {"builds": 1, "days": 2}, "throttle": {"categories": ("a",)}}
    second = {"local": True, "discard": {"days": 3}, "throttle": {"total": 4}}
    assert settings_of(first, {}, second) == JobSettings(
        timeout=5, local=True, discard=Discard(builds=1, days=3), throttle=Throttle(("a",), total=4)
    )


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    with pytest.raises(InvalidSource) as caught:
        jobs(tmp_path, "jobs:\n  timeout: 0\n  verify: sometimes\n  labels: {bild: x}\n  nightly: never\n")
    assert [finding.line().replace(f"{tmp_path}/", "") for finding in caught.value.findings] == [
        "'timeout' is 0, not between 1 and 10080 (ami.yaml:2:12).",
        "'verify' is 'sometimes' (ami.yaml:3:11). Use auto, gerrit-trigger, multibranch or none.",
        "labels has no key 'bild' (ami.yaml:4:12). Did you mean 'build'.",
        "'never' is no cron line: it has 1 field, not 5 (ami.yaml:5:12). "
        "Write five fields, like 'H 3 * * 1-5', or @daily.",
    ]


@pytest.mark.parametrize(
    ("block", "line"),
    [
        ("jobs: []", "jobs is a list, not a mapping (ami.yaml:1:7). Its keys: " + ", ".join(KEYS) + "."),
        ("jobs: {biuld: no}", "jobs has no key 'biuld' (ami.yaml:1:8). Did you mean 'build'."),
        ("jobs: {build: 'no'}", "'build' is a text, not true or false (ami.yaml:1:15). Write it without quotes."),
        ("jobs: {environment: -x}", "'-x' is not an environment's name (ami.yaml:1:21)."),
        ("jobs: {environments: dev}", "'environments' is a text, not a list (ami.yaml:1:22). Write [ ] around it,"),
        ("jobs: {credentials: {git: '$(id)'}}", "'$(id)' is not a credentials id (ami.yaml:1:27)."),
        ('jobs: {labels: {build: "a\\nb"}}', "'a b' is not a label (ami.yaml:1:24)."),
        ("jobs: {quiet_period: -1}", "'quiet_period' is -1, not between 0 and 86400 (ami.yaml:1:22)."),
        ("jobs: {verify: {jenkinsfile: /etc/x}}", "'/etc/x' is no path in the repository (ami.yaml:1:30)."),
        ("jobs: {verify: {jenkinsfile: a/../../x}}", "'a/../../x' is no path in the repository (ami.yaml:1:30)."),
        ("jobs: {verify: {with: x}}", "verify has no key 'with' (ami.yaml:1:17). Known: by, jenkinsfile."),
        ("jobs: {throttle: {total: -1}}", "'total' is -1, not between 0 and 10000 (ami.yaml:1:26)."),
        (
            "jobs: {recheck: '['}",
            "'[' is no regular expression: unterminated character set at position 0 (ami.yaml:1:17).",
        ),
    ],
    ids=lambda text: text[:40],
)
def test_each_thing_that_cannot_be_is_told_with_its_place(block, line, tmp_path):
    with pytest.raises(InputError) as caught:
        jobs(tmp_path, block)
    assert caught.value.line().replace(f"{tmp_path}/", "").startswith(line)


# Jenkins' grammar is crontab.g of core: no names of days, a step only behind '*', 'H' or a range.
@pytest.mark.parametrize(
    "line",
    [
        "",
        "* * * * *",
        "H H * * *",
        "H(0-29)/10 * * * *",
        "0,30 8-18/2 1,15 * 0-7",
        "*/5\t* * * *",
        " @daily ",
        "@yearly",
    ],
)
def test_jenkins_takes_these_cron_lines(line):
    assert cron_problem(line) == ""


@pytest.mark.parametrize(
    "line",
    [
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-1 * * * *",
        "*/0 * * * *",
        "5/10 * * * *",
        "H(5) * * * *",
        "H(5-70) * * * *",
        "h * * * *",
        "* * * * MON",
        "1,,2 * * * *",
        "-1 * * * *",
        "٣ * * * *",
        "@reboot",
        "* * * * *\n@daily",
    ],
)
def test_jenkins_would_accept_these_and_never_start_the_job(line):
    assert cron_problem(line) != ""


@pytest.mark.parametrize(
    "text", ["", "recheck", r"(?im)^\s*recheck\s*$", r"\p{Alpha}+", r"\Qa(\E", "a(?i)b", "[a[b]]", "a++", "[a-z&&[^b]]"]
)
def test_what_only_java_knows_is_left_to_java(text):
    assert regex_problem(text) == ""


@pytest.mark.parametrize("text", ["(", "a)", "[", "*", "a{3,2}", "[z-a]", "\\", "x" + "(" * 2])
def test_what_no_language_takes_is_refused(text):
    assert regex_problem(text) != ""
