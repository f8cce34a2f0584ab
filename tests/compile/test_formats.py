"""Findings in each format, held against what the formats' own rules ask for."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from jenkins_ami.compile import formats
from jenkins_ami.compile.formats import PATCHSET_LEVEL, as_gerrit, as_json, as_sarif, as_text, relative
from jenkins_ami.errors import Location
from jenkins_ami.findings import ERROR, WARNING, Finding, Fix

TOP = Path("/src")
YML = "/src/ami/cloudinit/10 ä.yml"
AT = Location(YML, 3, 5)
FIX = Fix(AT, Location(YML, 3, 12), "packages")
FINDINGS = (
    Finding("secret", WARNING, "an encrypted private key", Location("/src/ami/fs/k", 1, 1)),
    Finding("cloud-config-key", ERROR, "there is no cloud-config key 'pakages'", AT, "Did you mean 'packages'", FIX),
    Finding("SC2086", WARNING, "Double quote", Location(YML, 3, 1), "See https://www.shellcheck.net/wiki/SC2086"),
    Finding("shell-syntax", ERROR, "syntax error", Location("/src/ami/script/install.sh", 9)),
    Finding("ami.env", ERROR, "NAME is missing", Location("/src/ami/ami.env")),
    Finding("source", ERROR, "no such folder", Location("/elsewhere")),
)


def test_text_is_a_line_each_sorted_by_place_and_a_summary():
    assert as_text(FINDINGS) == [
        "/elsewhere: error: no such folder. [source]",
        "/src/ami/ami.env: error: NAME is missing. [ami.env]",
        f"{YML}:3:1: warning: Double quote. See https://www.shellcheck.net/wiki/SC2086. [SC2086]",
        f"{YML}:3:5: error: there is no cloud-config key 'pakages'. Did you mean 'packages'. [cloud-config-key]",
        "/src/ami/fs/k:1:1: warning: an encrypted private key. [secret]",
        "/src/ami/script/install.sh:9: error: syntax error. [shell-syntax]",
        "4 errors, 2 warnings",
    ]


@pytest.mark.parametrize(
    ("levels", "text"),
    [
        ((), "no findings"),
        ((ERROR,), "1 error"),
        ((WARNING, WARNING), "2 warnings"),
        ((ERROR, WARNING), "1 error, 1 warning"),
    ],
)
def test_the_summary_counts(levels, text):
    assert as_text([Finding("r", level, "w", Location("f")) for level in levels])[-1] == text


def test_a_name_that_is_no_unicode_can_be_printed():
    (line, _) = as_text([Finding("overlay", ERROR, "bad", Location("/src/a\udcff"))])
    assert line == "/src/a\\xff: error: bad. [overlay]"


def test_json_has_all_of_it_and_survives_a_round_trip():
    data = as_json(FINDINGS)
    assert json.loads(json.dumps(data)) == data
    assert (data["errors"], data["warnings"]) == (4, 2)
    assert data["findings"][3] == {
        "rule": "cloud-config-key",
        "level": "error",
        "what": "there is no cloud-config key 'pakages'",
        "hint": "Did you mean 'packages'",
        "file": YML,
        "line": 3,
        "column": 5,
        "fix": {"start": {"line": 3, "column": 5}, "end": {"line": 3, "column": 12}, "text": "packages"},
    }
    assert "fix" not in data["findings"][0]


@pytest.fixture
def run():
    sarif = as_sarif(FINDINGS, TOP)
    assert (sarif["version"], len(sarif["runs"])) == ("2.1.0", 1)
    assert sarif["$schema"].endswith("sarif-2.1.0.json")
    return json.loads(json.dumps(sarif))["runs"][0]


def test_sarif_describes_each_rule_once_and_results_point_to_it(run):
    rules = run["tool"]["driver"]["rules"]
    ids = [rule["id"] for rule in rules]
    assert len(set(ids)) == len(ids) == 6
    assert all(rule["shortDescription"]["text"] for rule in rules)
    assert rules[ids.index("SC2086")]["helpUri"] == "https://www.shellcheck.net/wiki/SC2086"
    assert [ids[result["ruleIndex"]] for result in run["results"]] == [result["ruleId"] for result in run["results"]]


def test_sarif_levels_and_messages_are_those_of_the_findings(run):
    assert [result["level"] for result in run["results"]] == ["error", "error", "warning", "error", "warning", "error"]
    message = "there is no cloud-config key 'pakages'. Did you mean 'packages'."
    assert run["results"][3]["message"] == {"text": message}


def test_sarif_uris_are_escaped_and_relative_to_a_base_that_is_a_folder(run):
    uris = [result["locations"][0]["physicalLocation"]["artifactLocation"] for result in run["results"]]
    assert uris[0] == {"uri": "file:///elsewhere"}
    base = run["originalUriBaseIds"]["SRCROOT"]["uri"]
    assert base == "file:///src/"
    for artifact in uris[1:]:
        assert artifact["uriBaseId"] == "SRCROOT"
        assert re.fullmatch(r"[A-Za-z0-9._~%/-]+", artifact["uri"])
    assert unquote(base + uris[3]["uri"]) == f"file://{YML}"


def test_sarif_regions_begin_at_one_and_end_after_the_last_character(run):
    regions = [result["locations"][0]["physicalLocation"].get("region") for result in run["results"]]
    assert regions == [
        None,
        None,
        {"startLine": 3, "startColumn": 1},
        {"startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 12},
        {"startLine": 1, "startColumn": 1},
        {"startLine": 9},
    ]
    assert run["columnKind"] == "unicodeCodePoints"


def test_sarif_carries_the_fix(run):
    (fix,) = run["results"][3]["fixes"]
    (change,) = fix["artifactChanges"]
    region = {"startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 12}
    assert change["replacements"] == [{"deletedRegion": region, "insertedContent": {"text": "packages"}}]
    assert change["artifactLocation"]["uriBaseId"] == "SRCROOT"
    assert fix["description"]["text"] == "Write packages"
    assert all("fixes" not in result for result in run["results"] if result["ruleId"] != "cloud-config-key")


def test_sarif_without_findings_is_a_clean_run():
    (run,) = as_sarif((), TOP)["runs"]
    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])


def test_every_rule_of_the_checks_is_described():
    from jenkins_ami.compile.checks import config, schema, scripts, secrets, shell

    rules = {
        *(config.KEY, config.TYPE, config.MODE, schema.RULE, schema.DEPRECATED, secrets.RULE),
        *(shell.SYNTAX, shell.SHELLCHECK, scripts.LINE_ENDS),
    }
    assert rules <= formats._RULES.keys()


def test_gerrits_comments_are_by_path_with_the_fix_as_a_suggestion():
    review = as_gerrit(FINDINGS, TOP)
    path = "ami/cloudinit/10 ä.yml"
    assert review["comments"].keys() == {"ami/ami.env", path, "ami/fs/k", "ami/script/install.sh", PATCHSET_LEVEL}
    span = {"start_line": 3, "start_character": 4, "end_line": 3, "end_character": 11}
    assert review["comments"][path] == [
        {
            "message": "warning: Double quote. See https://www.shellcheck.net/wiki/SC2086. [SC2086]",
            "line": 3,
            "unresolved": False,
        },
        {
            "message": "error: there is no cloud-config key 'pakages'. Did you mean 'packages'. [cloud-config-key]",
            "line": 3,
            "range": span,
            "unresolved": True,
            "fix_suggestions": [
                {
                    "description": "Write packages",
                    "replacements": [{"path": path, "range": span, "replacement": "packages"}],
                }
            ],
        },
    ]
    assert review["comments"]["ami/ami.env"] == [{"message": "error: NAME is missing. [ami.env]", "unresolved": True}]
    assert review["tag"] == "autogenerated:jenkins-ami"
    assert review["message"] == "jenkins-ami validate: 4 errors, 2 warnings"
    assert "labels" not in review


def test_gerrit_gets_no_comment_on_a_file_that_the_patch_set_does_not_change():
    """It would refuse the whole review (``CommentsValidator``: file … not found in revision …)."""
    review = as_gerrit(FINDINGS, TOP, changed={"ami/ami.env", "README.md"})
    assert review["comments"].keys() == {"ami/ami.env", PATCHSET_LEVEL}
    (comment,) = review["comments"][PATCHSET_LEVEL]
    assert comment.keys() == {"message", "unresolved"}  # neither line nor range are allowed here
    assert comment["unresolved"] is True
    assert "ami/script/install.sh:9: error: syntax error. [shell-syntax]" in comment["message"].split("\n\n")


def test_an_insertion_has_a_place_but_no_range_of_the_comment():
    """Gerrit takes a range that is not empty for a comment, and any for a replacement."""
    at = Location(YML, 2, 4)
    (comment,) = as_gerrit([Finding("SC2164", WARNING, "w", at, "", Fix(at, at, " || exit"))], TOP)[
        "comments"
    ].popitem()[1]
    assert "range" not in comment
    assert comment["line"] == 2
    assert comment["fix_suggestions"][0]["replacements"][0]["range"]["end_character"] == 3


@pytest.mark.parametrize(
    ("file", "path"),
    {"/src/a/b": "a/b", "/src": ".", "/srcs/a": None, "/src/../x": None, "/src/..a": "..a"}.items(),
)
def test_paths_are_relative_to_the_base_or_not_at_all(file, path):
    assert relative(file, TOP) == path
