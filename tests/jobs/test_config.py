# ruff: noqa: E501  (lines word for word)
"""jobs.yaml: what it may say, and the line for each thing that it may not."""

import pytest

from jenkins_ami.errors import InputError
from jenkins_ami.findings import InvalidSource
from jenkins_ami.jobs.config import Library, SeedConfig, ViewConfig, read_config, settings_for
from jenkins_ami.source.model import Discard, JobSettings
from tests.conftest import REPOSITORY
from tests.jobs.sources import GIT

OWNER = "owner: amis\n"
BAD = [
    ("", ["jobs.yaml lacks 'owner' (jobs.yaml:1:1). Add 'owner:'."]),
    (
        "[]",
        [
            "jobs.yaml is a list, not a mapping (jobs.yaml:1:1). Its keys: owner, folder, jenkins, sources, defaults, locked, library, views, seed, templates, preserve, markup, remove, max_deletes."
        ],
    ),
    (
        "x",
        [
            "jobs.yaml is a text, not a mapping (jobs.yaml:1:1). Its keys: owner, folder, jenkins, sources, defaults, locked, library, views, seed, templates, preserve, markup, remove, max_deletes."
        ],
    ),
    (
        "owner: Amis",
        [
            "'Amis' cannot be an owner's name (jobs.yaml:1:8). Use up to 40 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit."
        ],
    ),
    ("owner: ''", ["jobs.yaml lacks 'owner' (jobs.yaml:1:1). Add 'owner:'."]),
    ("owner: 7", ["'owner' is a whole number, not a text (jobs.yaml:1:8). Put it in quotes."]),
    (
        "owner: a b",
        [
            "'a b' cannot be an owner's name (jobs.yaml:1:8). Use up to 40 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit."
        ],
    ),
    (
        "owner: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        [
            "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' cannot be an owner's name (jobs.yaml:1:8). Use up to 40 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit."
        ],
    ),
    (OWNER + "ownr: x", ["jobs.yaml has no key 'ownr' (jobs.yaml:2:1). Did you mean 'owner'."]),
    (OWNER + "folder: a//b", ["'a//b' cannot be a folder in Jenkins: a name is empty (jobs.yaml:2:9)."]),
    (OWNER + "folder: a:b", ["'a:b' cannot be a folder in Jenkins: ':' is an unsafe character (jobs.yaml:2:9)."]),
    (
        OWNER + "folder: ' a'",
        ["' a' cannot be a folder in Jenkins: a name begins or ends with a space (jobs.yaml:2:9)."],
    ),
    (OWNER + "folder: a.", ["'a.' cannot be a folder in Jenkins: a name ends with '.' (jobs.yaml:2:9)."]),
    (OWNER + "folder: [a]", ["'folder' is a list, not a text (jobs.yaml:2:9)."]),
    (
        OWNER + "jenkins: http://x",
        ["jenkins is a text, not a mapping (jobs.yaml:2:10). Its keys: url, auth, ca, workers."],
    ),
    (OWNER + "jenkins: {url: ftp://x}", ["'ftp://x' is no URL (jobs.yaml:2:16). Begin it with http://."]),
    (
        OWNER + "jenkins: {url: 'http://u:p@x'}",
        ["the URL holds a password (jobs.yaml:2:16). Take it out, change it, and name credentials instead."],
    ),
    (
        OWNER + "jenkins: {url: 'http://x:99999'}",
        ["'http://x:99999' is no URL (jobs.yaml:2:16). Begin it with http://."],
    ),
    (OWNER + "jenkins: {url: 'http://a b'}", ["'http://a b' is no URL (jobs.yaml:2:16). Begin it with http://."]),
    (
        OWNER + "jenkins: {token: abc}",
        [
            "a secret ('token') does not belong in jobs.yaml (jobs.yaml:2:18). Change it, and name a variable (secret_env) or file (secret_file) that holds it, under 'auth'."
        ],
    ),
    (
        OWNER + "jenkins: {auth: {password: abc}}",
        [
            "a secret ('password') does not belong in jobs.yaml (jobs.yaml:2:28). Change it, and name a variable (secret_env) or file (secret_file) that holds it, under 'auth'."
        ],
    ),
    (
        OWNER + "jenkins: {auth: {user: u}}",
        ["a user without a secret (jobs.yaml:2:17). Add 'secret_env:' or 'secret_file:'."],
    ),
    (
        OWNER + "jenkins: {auth: {user: u, user_env: U, secret_env: S}}",
        ["'user' and 'user_env' exclude each other (jobs.yaml:2:37)."],
    ),
    (
        OWNER + "jenkins: {auth: {user: u, secret_env: S, secret_file: F}}",
        ["'secret_env' and 'secret_file' exclude each other (jobs.yaml:2:55)."],
    ),
    (
        OWNER + "jenkins: {auth: {netrc: n, secret_env: S}}",
        ["'netrc' and 'secret_env' exclude each other (jobs.yaml:2:40)."],
    ),
    (OWNER + "jenkins: {workers: 0}", ["'workers' is 0, not between 1 and 64 (jobs.yaml:2:20)."]),
    (OWNER + "jenkins: {wokers: 3}", ["jenkins has no key 'wokers' (jobs.yaml:2:11). Did you mean 'workers'."]),
    (
        OWNER + "sources: {gerrit: x}",
        ["'sources' is a mapping, not a list (jobs.yaml:2:10). Begin each entry with '- '."],
    ),
    (
        OWNER + "sources: [x]",
        ["source 1 does not say what it is (jobs.yaml:2:11). Give it one of gerrit, git, github, gitlab, folder."],
    ),
    (
        OWNER + "sources: [{}]",
        ["source 1 does not say what it is (jobs.yaml:2:11). Give it one of gerrit, git, github, gitlab, folder."],
    ),
    (
        OWNER + "sources: [{gerrit: 'https://x', git: [y]}]",
        ["source 1 says both 'gerrit' and 'git' (jobs.yaml:2:11). Give it one of gerrit, git, github, gitlab, folder."],
    ),
    (
        OWNER + "sources: [{gerit: 'https://x'}]",
        ["source 1 does not say what it is (jobs.yaml:2:11). Did you mean 'gerrit'."],
    ),
    (OWNER + "sources: [{gerrit: x}]", ["'x' is no URL (jobs.yaml:2:20). Begin it with https://."]),
    (
        OWNER + "sources: [{gerrit: 'https://x', prefix: a, regex: b}]",
        ["'prefix' and 'regex' exclude each other (jobs.yaml:2:51). Gerrit takes one of them."],
    ),
    (
        OWNER + "sources: [{gerrit: 'https://x', regex: '('}]",
        ["'(' is no regular expression: missing ), unterminated subpattern at position 0 (jobs.yaml:2:40)."],
    ),
    (
        OWNER + "sources: [{gerrit: 'https://x', prefx: a}]",
        ["source 1 has no key 'prefx' (jobs.yaml:2:33). Did you mean 'prefix'."],
    ),
    (
        OWNER + "sources: [{gerrit: 'https://u:p@x'}]",
        ["the URL holds a password (jobs.yaml:2:20). Take it out, change it, and name credentials instead."],
    ),
    (
        OWNER + "sources: [{gerrit: 'https://x', token: t}]",
        [
            "a secret ('token') does not belong in jobs.yaml (jobs.yaml:2:40). Change it, and name a variable (secret_env) or file (secret_file) that holds it, under 'auth'."
        ],
    ),
    (
        OWNER + "sources: [{gerrit: 'https://x'}, {gerrit: 'https://x'}]",
        ["there are two sources named 'x' (jobs.yaml:2:34). Give one another 'name:'."],
    ),
    (OWNER + "sources: [{gerrit: 'https://x', branch: 'a b'}]", ["'a b' is no branch (jobs.yaml:2:41)."]),
    (
        OWNER + "sources: [{gerrit: 'https://x', folders: [../x]}]",
        ["'../x' is no folder of the repository (jobs.yaml:2:43)."],
    ),
    (
        OWNER + "sources: [{gerrit: 'https://x', clone: 'ext::sh -c x'}]",
        ["'ext::sh -c x' is no URL of a Git repository (jobs.yaml:2:40). Use https://, ssh:// or user@host:path."],
    ),
    (OWNER + "sources: [{git: []}]", ["source 1 names no repository (jobs.yaml:2:11). List their URLs under 'git:'."]),
    (
        OWNER + "sources: [{git: [-x]}]",
        ["'-x' is no URL of a Git repository (jobs.yaml:2:18). Use https://, ssh:// or user@host:path."],
    ),
    (
        OWNER + "sources: [{git: ['ext::sh -c x']}]",
        ["'ext::sh -c x' is no URL of a Git repository (jobs.yaml:2:18). Use https://, ssh:// or user@host:path."],
    ),
    (
        OWNER + "sources: [{git: ['https://u:p@h/x']}]",
        ["the URL holds a password (jobs.yaml:2:18). Take it out, change it, and name credentials instead."],
    ),
    (
        OWNER + "sources: [{git: 'https://h/x'}]",
        ["'git' is a text, not a list (jobs.yaml:2:17). Write [ ] around it, or '- ' before it."],
    ),
    (
        OWNER + "sources: [{git: ['https://h/x'], prefix: a}]",
        [
            "source 1 has no key 'prefix' (jobs.yaml:2:34). Known: auth, branch, clone, credentials, exclude, folders, git, include, name."
        ],
    ),
    (OWNER + "sources: [{github: ''}]", ["source 1 lacks 'github' (jobs.yaml:2:11). Add 'github:'."]),
    (OWNER + "sources: [{github: acme, api: x}]", ["'x' is no URL (jobs.yaml:2:31). Begin it with https://."]),
    (OWNER + "sources: [{gitlab: [a]}]", ["'gitlab' is a list, not a text (jobs.yaml:2:20)."]),
    (OWNER + "sources: [{folder: ''}]", ["source 1 lacks 'folder' (jobs.yaml:2:11). Add 'folder:'."]),
    (
        OWNER + "defaults: {nightly: '* *'}",
        [
            "'* *' is no cron line: it has 2 fields, not 5 (jobs.yaml:2:21). Write five fields, like 'H 3 * * 1-5', or @daily."
        ],
    ),
    (
        OWNER + "defaults: {nightly: '60 * * * *'}",
        [
            "'60 * * * *' is no cron line: '60' is not within 0-59 (jobs.yaml:2:21). Write five fields, like 'H 3 * * 1-5', or @daily."
        ],
    ),
    (
        OWNER + "defaults: {nightly: 'H(3-1) * * * *'}",
        [
            "'H(3-1) * * * *' is no cron line: 'H(3-1)' is not within 0-59 (jobs.yaml:2:21). Write five fields, like 'H 3 * * 1-5', or @daily."
        ],
    ),
    (
        OWNER + "defaults: {nightly: 'x * * * *'}",
        [
            "'x * * * *' is no cron line: 'x' is not understood (jobs.yaml:2:21). Write five fields, like 'H 3 * * 1-5', or @daily."
        ],
    ),
    (
        OWNER + "defaults: {poll: '@often'}",
        [
            "'@often' is no cron line: it has 1 field, not 5 (jobs.yaml:2:18). Write five fields, like 'H 3 * * 1-5', or @daily."
        ],
    ),
    (OWNER + "defaults: {timeot: 3}", ["defaults has no key 'timeot' (jobs.yaml:2:12). Did you mean 'timeout'."]),
    (OWNER + "defaults: {timeout: 0}", ["'timeout' is 0, not between 1 and 10080 (jobs.yaml:2:21)."]),
    (
        OWNER + "defaults: {verify: maybe}",
        ["'verify' is 'maybe' (jobs.yaml:2:20). Use auto, gerrit-trigger, multibranch or none."],
    ),
    (
        OWNER + "defaults: {labels: {compil: x}}",
        ["labels has no key 'compil' (jobs.yaml:2:21). Did you mean 'compile'."],
    ),
    (OWNER + "defaults: {credentials: {git: 'a b'}}", ["'a b' is not a credentials id (jobs.yaml:2:31)."]),
    (OWNER + "defaults: {discard: {builds: -2}}", ["'builds' is -2, not between -1 and 1000000 (jobs.yaml:2:30)."]),
    (OWNER + "defaults: {environments: ['a b']}", ["'a b' is not an environment's name (jobs.yaml:2:27)."]),
    (OWNER + "defaults: {verify: {jenkinsfile: ../x}}", ["'../x' is no path in the repository (jobs.yaml:2:34)."]),
    (
        OWNER + "defaults:\n  environments:\n  - dev\n  - a/b\n",
        ["'a/b' is not an environment's name (jobs.yaml:5:5)."],
    ),
    (
        OWNER + 'defaults: {nightly: "H 3 *\\n* *"}',
        [
            "'H 3 * * *' is no cron line: it has more than one line (jobs.yaml:2:21). Write five fields, like 'H 3 * * 1-5', or @daily."
        ],
    ),
    (
        OWNER + "defaults: {recheck: '(recheck'}",
        ["'(recheck' is no regular expression: missing ), unterminated subpattern at position 0 (jobs.yaml:2:21)."],
    ),
    (OWNER + "defaults: {gerrit_server: ''}", ["'' is not a server's name (jobs.yaml:2:27)."]),
    (
        OWNER + "sources: [{git: ['https://token@h/x']}]",
        ["the URL holds a user's name (jobs.yaml:2:18). Take it out, change it, and name credentials instead."],
    ),
    (
        OWNER + "sources: [{git: ['ssh://u:p@h/x']}]",
        ["the URL holds a password (jobs.yaml:2:18). Take it out, change it, and name credentials instead."],
    ),
    (
        OWNER + 'sources: [{git: ["https://h/\\e[2J"]}]',
        [
            "'https://h/\\x1b[2J' is no URL of a Git repository (jobs.yaml:2:18). Use https://, ssh:// or user@host:path."
        ],
    ),
    (
        OWNER + "sources: [{gerrit: 'https://x', branch: 'a b'}, {github: acme, api: x}]",
        ["'a b' is no branch (jobs.yaml:2:41).", "'x' is no URL (jobs.yaml:2:69). Begin it with https://."],
    ),
    (OWNER + "locked: [lables]", ["there is no setting 'lables' (jobs.yaml:2:10). Did you mean 'labels'."]),
    (
        OWNER + "locked: labels",
        ["'locked' is a text, not a list (jobs.yaml:2:9). Write [ ] around it, or '- ' before it."],
    ),
    (OWNER + "library: {name: x}", ["library lacks 'url' (jobs.yaml:2:10). Add 'url:'."]),
    (
        OWNER + "library: {url: x}",
        ["'x' is no URL of a Git repository (jobs.yaml:2:16). Use https://, ssh:// or user@host:path."],
    ),
    (
        OWNER + "library: {url: 'https://h/x', version: '-x'}",
        ["'-x' cannot be the library's version (jobs.yaml:2:40)."],
    ),
    (
        OWNER + "library: {url: 'https://h/x', cli: {form: y}}",
        ["cli has no key 'form' (jobs.yaml:2:37). Did you mean 'from'."],
    ),
    (OWNER + "library: {url: 'https://h/x', name: 'a b'}", ["'a b' cannot be the library's name (jobs.yaml:2:37)."]),
    (OWNER + "views: [x]", ["view 1 is a text, not a mapping (jobs.yaml:2:9). Its keys: name, jobs."]),
    (OWNER + "views: [{name: a}]", ["view 1 lacks 'jobs' (jobs.yaml:2:9). Add 'jobs:'."]),
    (
        OWNER + "views: [{name: 'a/b', jobs: [build]}]",
        ["'a/b' cannot be a view: '/' is an unsafe character (jobs.yaml:2:16)."],
    ),
    (OWNER + "views: [{name: All, jobs: [build]}]", ["there is a view 'All' already (jobs.yaml:2:16)."]),
    (
        OWNER + "views: [{name: a, jobs: [biuld]}]",
        ["there are no 'biuld' jobs (jobs.yaml:2:26). Did you mean 'build'."],
    ),
    (OWNER + "views: [{jobs: [build]}]", ["view 1 lacks 'name' (jobs.yaml:2:9). Add 'name:'."]),
    (OWNER + "seed: {}", ["seed lacks 'url' (jobs.yaml:2:7). Add 'url:'."]),
    (OWNER + "seed: {branch: main}", ["seed lacks 'url' (jobs.yaml:2:7). Add 'url:'."]),
    (
        OWNER + "seed: {url: 'https://h/x', drift: never}",
        [
            "'never' is no cron line: it has 1 field, not 5 (jobs.yaml:2:35). Write five fields, like 'H 3 * * 1-5', or @daily."
        ],
    ),
    (OWNER + "seed: {url: 'https://h/x', config: /etc/x}", ["'/etc/x' is no path in the repository (jobs.yaml:2:36)."]),
    (OWNER + "templates: nowhere", ["there is no folder 'nowhere' (jobs.yaml:2:12)."]),
    (OWNER + "markup: xml", ["'markup' is 'xml' (jobs.yaml:2:9). Use text or html."]),
    (OWNER + "remove: archive", ["'remove' is 'archive' (jobs.yaml:2:9). Use delete or disable."]),
    (OWNER + "max_deletes: -1", ["'max_deletes' is -1, not between 0 and 1000000 (jobs.yaml:2:14)."]),
    (
        OWNER + "preserve: x",
        ["'preserve' is a text, not a list (jobs.yaml:2:11). Write [ ] around it, or '- ' before it."],
    ),
    (
        "folder: 'a:b'\nsources: [{}]\nmarkup: xml",
        [
            "jobs.yaml lacks 'owner' (jobs.yaml:1:1). Add 'owner:'.",
            "'a:b' cannot be a folder in Jenkins: ':' is an unsafe character (jobs.yaml:1:9).",
            "source 1 does not say what it is (jobs.yaml:2:11). Give it one of gerrit, git, github, gitlab, folder.",
            "'markup' is 'xml' (jobs.yaml:3:9). Use text or html.",
        ],
    ),
]


@pytest.mark.parametrize(("text", "lines"), BAD, ids=[text.removeprefix(OWNER)[:60] for text, _ in BAD])
def test_what_it_may_not_say_is_told_with_its_place(text, lines, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refusal(text) == lines


def refusal(text):
    from pathlib import Path

    Path("jobs.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_config(Path("jobs.yaml"))
    error = caught.value
    return [one.line() for one in (error.findings if isinstance(error, InvalidSource) else [error])]


def config(tmp_path, text):
    path = tmp_path / "jobs.yaml"
    path.write_text(text, encoding="utf-8")
    return read_config(path)


def test_a_missing_file_says_how_to_have_one(tmp_path):
    with pytest.raises(InputError) as caught:
        read_config(tmp_path / "jobs.yaml")
    assert caught.value.line().startswith("there is no such file (")


def test_the_least_is_an_owner(tmp_path):
    found = config(tmp_path, "owner: a-team\n")
    assert (found.owner, found.folder, found.providers, found.seed, found.library) == (
        "a-team",
        ("amis",),
        (),
        None,
        None,
    )
    assert found.views == (ViewConfig("Builds", ("build",)), ViewConfig("Changes", ("verify", "multibranch")))
    assert settings_for(found, GIT, {}) == JobSettings()


def test_all_kinds_of_sources(tmp_path):
    found = config(
        tmp_path,
        OWNER
        + """\
sources:
- {gerrit: "https://g.example.com/", prefix: ami/, branch: refs/heads/main, folders: [., images/*], credentials: git}
- {git: ["https://h/a.git", "git@h:b.git"], name: by hand, exclude: ["b*"]}
- {github: acme, auth: {secret_env: GITHUB_TOKEN}}
- {gitlab: acme/images/, api: "https://gitlab.example.com/api/v4", clone: "ssh://git@gitlab.example.com/"}
- {folder: ., url: "https://h/mono"}
""",
    )
    gerrit, git, github, gitlab, folder = found.providers
    assert (gerrit.kind, gerrit.name, gerrit.url) == ("gerrit", "g.example.com", "https://g.example.com")
    assert (gerrit.branch, gerrit.folders, gerrit.prefix, gerrit.credentials) == (
        "main",
        ("", "images/*"),
        "ami/",
        "git",
    )
    assert (git.name, git.urls, git.exclude) == ("by hand", ("https://h/a.git", "git@h:b.git"), ("b*",))
    assert (github.group, github.url, github.auth) == ("acme", "https://api.github.com", {"secret_env": "GITHUB_TOKEN"})
    assert (gitlab.group, gitlab.url, gitlab.clone) == (
        "acme/images",
        "https://gitlab.example.com/api/v4",
        "ssh://git@gitlab.example.com/",
    )
    assert (folder.path, folder.clone) == (tmp_path / ".", "https://h/mono")
    assert folder.where.line == 7


def test_defaults_and_what_a_source_sets_over_them(tmp_path):
    found = config(
        tmp_path,
        OWNER
        + "defaults: {nightly: '@daily', discard: {builds: 5}, verify: {by: none, jenkinsfile: ci/J}, labels: {build: b}}",
    )
    settings = settings_for(found, GIT, {"nightly": "", "local": True})
    assert (settings.nightly, settings.local, settings.verify, settings.verify_jenkinsfile) == (
        "",
        True,
        "none",
        "ci/J",
    )
    assert (settings.discard, settings.build_label) == (Discard(builds=5), "b")


def test_library_seed_and_the_rest(tmp_path):
    (tmp_path / "own").mkdir()
    found = config(
        tmp_path,
        OWNER
        + "folder: a/b\nlibrary: {url: 'https://h/l', version: v2, implicit: true}\ntemplates: own\nmarkup: html\n"
        + "seed: {url: 'https://h/s', drift: '@hourly', config: c/jobs.yaml}\nremove: disable\nmax_deletes: 3\n"
        + "jenkins: {url: 'https://j/prefix/', ca: ca.pem, workers: 4, auth: {user: u, secret_file: s}}\n",
    )
    assert found.folder == ("a", "b")
    assert found.library == Library("jenkins-ami", "https://h/l", "v2", implicit=True)
    assert found.seed == SeedConfig("https://h/s", drift="@hourly", config="c/jobs.yaml")
    assert (found.templates, found.markup, found.remove, found.max_deletes) == (tmp_path / "own", "html", "disable", 3)
    assert (found.jenkins.url, found.jenkins.ca, found.jenkins.workers) == ("https://j/prefix", tmp_path / "ca.pem", 4)


def test_which_command_the_agents_take_is_said_beside_the_library(tmp_path):
    text = OWNER + "library: {url: 'https://h/l', cli: {from: 'https://h/l', extras: [local]}}"
    found = config(tmp_path, text).library
    assert found is not None
    assert found.cli == {"from": "https://h/l", "extras": ("local",)}


@pytest.mark.parametrize(
    "line", ["H 3 * * 1-5", "@midnight", "H/15 * * * *", "H(0-29)/10 * * * *", "0,30 8-18/2 * * 7", "* * 1,15 12 *"]
)
def test_cron_lines_that_jenkins_takes(line, tmp_path):
    assert config(tmp_path, OWNER + f"defaults: {{nightly: '{line}'}}").defaults == {"nightly": line}


def test_the_projects_own_example_is_valid():
    assert read_config(REPOSITORY / "jobs" / "jobs.yaml").owner
