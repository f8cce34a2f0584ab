"""What a commit does to its AMI sources: real repositories, real compiles; a stand-in boots."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jenkins_ami.artifacts import TestRecord
from jenkins_ami.errors import CloudError, HostError, InputError, InstanceFailure, InstanceTimeout, Interrupted
from jenkins_ami.findings import Problems
from jenkins_ami.progress import Progress
from jenkins_ami.verification import (
    BROKEN,
    FAILED,
    PASSED,
    SKIPPED,
    Boot,
    Note,
    Replacement,
    Sizes,
    Verification,
    VerifiedSource,
    read_verification,
)
from jenkins_ami.verify.one import Wanted
from jenkins_ami.verify.run import verify

from .repo import MINIMAL, Repo, below

Verify = Callable[..., tuple[Verification, int]]
ENV = "NAME=web\nVERSION=1.1\nBASE=scratch\n"


@pytest.fixture
def run(repo: Repo, tmp_path: Path, temporary: Path) -> Verify:
    """Verify the repository's HEAD; what is written is what is given back, and nothing temporary is left."""

    def run(*, progress: Progress | None = None, **wanted: Any) -> tuple[Verification, int]:
        found = verify(repo.path, Wanted(**wanted), tmp_path / "out", progress or Progress(), os.environ)
        assert read_verification(tmp_path / "out") == found[0]
        assert list(temporary.iterdir()) == []
        return found

    return run


def only(verification: Verification) -> VerifiedSource:
    (source,) = verification.sources
    return source


class Log(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def _line(self, kind, text):
        self.lines.append(f"{kind}: {text}")

    def _on_begin(self, step):
        self.lines.append(f"step: {step.title}")


# What passes


def test_a_change_is_compiled_and_compared_with_its_parent(repo, run, tmp_path):
    parent = repo.commit(below("images/web") | {"README.md": "x"}, "first")
    commit = repo.commit({"images/web/ami.env": ENV, "images/web/fs/etc/motd": "hi\n"}, "Say hi")
    verification, code = run()
    userdata = [(tmp_path / "out/1-web/userdata.gz").stat().st_size]
    overlay = json.loads((tmp_path / "out/1-web/compile.json").read_text())["overlay"]["size"]
    source = only(verification)
    assert code == 0
    assert verification == Verification(
        commit=commit,
        outcome=PASSED,
        parent=parent,
        subject="Say hi",
        changed=("images/web/ami.env", "images/web/fs/etc/motd"),
        sources=(
            VerifiedSource(
                folder="images/web",
                outcome=PASSED,
                name="web",
                version="1.1",
                counts={"manifest": {"changed": 2}, "overlay": {"added": 2}},
                changes=(
                    "manifest",
                    "  ~ overlay.placement: none -> inline",
                    "  ~ version: 1.0 -> 1.1",
                    "overlay",
                    "  + fs/etc (folder, 0755 root:root)",
                    "  + fs/etc/motd (3 B, 0644 root:root)",
                ),
                userdata=Sizes(source.userdata.old, *userdata),
                overlay=Sizes(0, overlay),
                files="1-web",
            ),
        ),
    )
    assert source.userdata.old < userdata[0]
    assert json.loads((tmp_path / "out/1-web/compile.json").read_text())["commit"] == commit


def test_a_commit_that_touches_no_source_is_skipped(repo, run):
    repo.commit(below("web"))
    repo.commit({"README.md": "x"})
    verification, code = run()
    assert (verification.outcome, code) == (SKIPPED, 0)
    assert verification.reason == "the commit touches no AMI source"
    assert verification.changed == ("README.md",)


def test_of_a_first_commit_every_source_is_new(repo, run):
    repo.commit(below("a") | below("b"))
    verification, code = run()
    assert code == 0 and verification.parent == ""
    assert [(source.folder, source.parent, source.files) for source in verification.sources] == [
        ("a", "it is new", "1-web"),
        ("b", "it is new", "2-web"),
    ]
    assert verification.sources[0].userdata.old is None


def test_the_whole_repository_may_be_the_source(repo, run):
    repo.commit(MINIMAL)
    repo.commit({"cloudinit/10_a.yml": "#cloud-config\nhostname: b\n"})
    assert only(run()[0]).folder == "."
    assert only(run()[0]).changes == ("cloud-config", "  ~ hostname: a -> b")


def test_what_is_verified_is_the_commit_whatever_lies_in_the_work_tree(repo, run):
    repo.commit(below("web"))
    repo.commit({"web/cloudinit/10_a.yml": "#cloud-config\nhostname: b\n"})
    repo.write({"web/cloudinit/10_a.yml": "{", "web/cloudinit/bad": "x", "web/fs/etc/x": "x", "new/ami.env": "x"})
    repo.git("add", "web/fs/etc/x")
    assert only(run()[0]).changes == ("cloud-config", "  ~ hostname: a -> b")


def test_a_merge_is_what_it_brings_to_its_first_parent(repo, run):
    repo.commit(below("a") | below("b"))
    repo.git("checkout", "-q", "-b", "side")
    repo.commit({"a/fs/x": "1"})
    repo.git("checkout", "-q", "main")
    repo.commit({"b/fs/x": "1"})
    repo.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    assert [source.folder for source in run()[0].sources] == ["a"]


def test_another_commit_may_be_what_it_is_compared_with(repo, run):
    base = repo.commit(below("web"))
    repo.commit({"web/fs/a": "1"})
    repo.commit({"README.md": "1"})
    verification, _ = run(base=base)
    assert verification.parent == base
    assert verification.changed == ("README.md", "web/fs/a")
    assert only(verification).counts["overlay"] == {"added": 1}


def test_only_the_sources_that_are_named_count(repo, run):
    repo.commit(below("a") | below("b"))
    repo.commit({"a/fs/x": "1", "b/fs/x": "1"})
    assert [source.folder for source in run(sources=("b/",))[0].sources] == ["b"]
    repo.commit({"a/fs/x": "2"})
    assert run(sources=("b",))[0].outcome == SKIPPED


def test_a_source_that_is_named_and_is_none(repo, run):
    repo.commit(below("web"))
    verification, code = run(sources=("wob",))
    assert (verification.outcome, code) == (BROKEN, 1)
    assert verification.reason == (
        "there is no AMI source in 'wob', neither in the commit nor in its parent. Did you mean 'web'."
    )


def test_a_source_that_is_removed_has_passed(repo, run, tmp_path):
    repo.commit(below("web") | below("other"))
    repo.commit(below("web", dict.fromkeys(MINIMAL)))
    verification, code = run()
    assert code == 0
    assert only(verification) == VerifiedSource("web", PASSED, "web", "1.0", removed=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["verification.json"]


def test_a_source_that_is_moved_is_compared_with_what_it_was(repo, run):
    repo.commit(below("old") | below("other", {**MINIMAL, "ami.env": "NAME=x\nVERSION=1\nBASE=scratch\n"}))
    moved = below("old", dict.fromkeys(MINIMAL)) | below("new", {**MINIMAL, "ami.env": ENV})
    repo.commit(moved)
    source = only(run()[0])
    assert (source.folder, source.moved_from, source.parent) == ("new", "old", "")
    assert source.changes == ("manifest", "  ~ version: 1.0 -> 1.1")


def test_of_two_of_one_name_nobody_can_say_which_was_moved(repo, run):
    repo.commit(below("a") | below("b"))
    repo.commit(below("a", dict.fromkeys(MINIMAL)) | below("b", dict.fromkeys(MINIMAL)) | below("c"))
    assert [(each.folder, each.removed, each.parent) for each in run()[0].sources] == [
        ("a", True, ""),
        ("b", True, ""),
        ("c", False, "it is new"),
    ]


def test_a_source_whose_base_has_another_name_now_counts_too(repo, run):
    heir = below("heir", {**MINIMAL, "ami.env": "NAME=heir\nVERSION=1\nBASE=../base\n"})
    other = below("other", {**MINIMAL, "ami.env": "NAME=other\nVERSION=1\nBASE=../heir\n"})
    repo.commit(below("base") | heir | other)
    repo.commit({"base/ami.env": "NAME=renamed\nVERSION=1.0\nBASE=scratch\n"})
    base, source = run()[0].sources
    assert (base.folder, source.folder) == ("base", "heir")
    assert source.changes == ("manifest", "  ~ base: web -> renamed")
    repo.commit({"base/ami.env": "NAME=renamed\nVERSION=1.1\nBASE=scratch\n"})
    assert [source.folder for source in run()[0].sources] == ["base"]


def test_a_source_whose_base_is_gone_fails(repo, run):
    heir = below("heir", {**MINIMAL, "ami.env": "NAME=heir\nVERSION=1\nBASE=../base\n"})
    repo.commit(below("base") | heir)
    repo.commit(below("base", dict.fromkeys(MINIMAL)))
    verification, code = run()
    base, source = verification.sources
    assert (base.removed, source.folder, source.outcome, code) == (True, "heir", FAILED, 2)
    assert source.notes[0].path == "heir/ami.env"
    assert source.notes[0].what == "there is no AMI source at the base '../base'"


# What fails


def test_findings_are_notes_at_their_lines_with_what_would_mend_them(repo, run):
    repo.commit(below("web"))
    repo.commit(
        {"web/cloudinit/10_a.yml": "#cloud-config\npakages: [a]\nwrite_files:\n  - {path: /a, permissions: 644}\n"}
    )
    verification, code = run()
    source = only(verification)
    assert (verification.outcome, source.outcome, code) == (FAILED, FAILED, 2)
    note = source.notes[0]
    assert note == Note(
        "cloud-config-key",
        "error",
        "there is no cloud-config key 'pakages'",
        "Did you mean 'packages'",
        "web/cloudinit/10_a.yml",
        2,
        1,
        Replacement(2, 1, 8, "packages"),
    )
    assert source.reason == "there is no cloud-config key 'pakages' (web/cloudinit/10_a.yml:2:1), and 1 more"
    assert verification.reason == f"web: {source.reason}"
    assert source.files == ""


def test_warnings_are_told_of_what_passes(repo, run):
    repo.commit(below("web", {**MINIMAL, "cloudinit/10_a.yml": "#cloud-config\nzzz: 1\n"}))
    log = Log()
    verification, code = run(progress=log)
    assert code == 0
    assert [(note.level, note.path, note.line) for note in only(verification).notes] == [
        ("warning", "web/cloudinit/10_a.yml", 2)
    ]
    assert not any(line.startswith("warning: ") for line in log.lines), "once is enough"


def test_a_warning_about_what_compile_sh_made_is_in_the_log(repo, run):
    script = "#!/bin/sh\nprintf '#cloud-config\\nzzz: 1\\n' >cloudinit/20_made.yml\n"
    repo.commit(below("web") | {"web/script/compile.sh": script})
    log = Log()
    assert run(sandbox=None, progress=log)[1] == 0
    (warning,) = [line for line in log.lines if line.startswith("warning: ")]
    assert "'zzz'; compile.sh made it (web/cloudinit/20_made.yml:2:1)" in warning


def test_a_source_that_cannot_even_be_named_fails(repo, run):
    repo.commit({"images/web/ami.env": "NAME=\n"})
    verification, code = run()
    source = only(verification)
    assert (source.outcome, source.name, code) == (FAILED, "", 2)
    assert source.notes[0].path == "images/web/ami.env"


def test_a_compile_sh_that_fails_is_a_note_at_it(repo, run):
    repo.commit(below("web") | {"web/script/compile.sh": "#!/bin/sh\necho it is broken >&2\nexit 3\n"})
    log = Log()
    verification, code = run(sandbox=None, progress=log)
    source = only(verification)
    assert (source.outcome, code) == (FAILED, 4)
    assert source.reason == "compile.sh exited with 3: it is broken (web/script/compile.sh)"
    assert source.notes == (
        Note("compile.sh", "error", "compile.sh exited with 3: it is broken", path="web/script/compile.sh"),
    )
    assert "output: compile.sh| it is broken" in log.lines


def test_what_compile_sh_makes_wrong_is_a_note_too(repo, run):
    script = "#!/bin/sh\necho '{' >cloudinit/20_made.yml\n"
    repo.commit(below("web") | {"web/script/compile.sh": script})
    verification, code = run(sandbox=None)
    (note,) = only(verification).notes
    assert code == 2
    assert note.path == "web/cloudinit/20_made.yml"
    assert note.what.endswith("; compile.sh made it")


def test_a_user_data_that_does_not_fit_fails_with_3(repo, run):
    lines = "\n".join(f"  - {os.urandom(40).hex()}" for _ in range(1000))
    repo.commit(below("web", {**MINIMAL, "cloudinit/10_a.yml": f"#cloud-config\nruncmd:\n{lines}\n"}))
    verification, code = run()
    assert code == 3
    assert "16,384 are allowed" in only(verification).reason


def test_of_several_the_first_that_fails_gives_the_code(repo, run):
    scripts = {"c/script/compile.sh": "#!/bin/sh\nexit 1\n", "b/cloudinit/10_a.yml": "x"}
    repo.commit(below("a") | below("b") | below("c") | scripts)
    verification, code = run(sandbox=None)
    assert [source.outcome for source in verification.sources] == [PASSED, FAILED, FAILED]
    assert code == 2
    assert verification.reason.startswith("b: ") and verification.reason.endswith(" (and 1 more)")


def test_a_parent_that_does_not_compile_is_no_fault_of_the_commit(repo, run):
    repo.commit(below("web", {**MINIMAL, "cloudinit/10_a.yml": "x"}))
    repo.commit({"web/cloudinit/10_a.yml": "#cloud-config\nhostname: b\n"})
    verification, code = run()
    assert code == 0
    assert only(verification).parent.startswith("the parent does not compile: ")
    assert "(web/cloudinit/10_a.yml:1)" in only(verification).parent
    assert only(verification).changes == ()


# What cannot be found out


def test_a_clone_that_is_too_shallow_is_broken_and_says_so(repo, tmp_path, temporary):
    repo.commit(below("web"))
    repo.commit({"web/fs/a": "1"})
    repo.git("clone", "-q", "--depth=1", f"file://{repo.path}", str(tmp_path / "shallow"))
    verification, code = verify(tmp_path / "shallow", Wanted(), tmp_path / "out", Progress(), os.environ)
    assert (verification.outcome, code) == (BROKEN, 1)
    assert verification.commit == repo.git("rev-parse", "HEAD")
    assert "is not in this clone" in verification.reason
    assert read_verification(tmp_path / "out") == verification


def test_without_a_repository_it_is_broken(tmp_path, temporary):
    environ = os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path)}
    (tmp_path / "empty").mkdir()
    verification, code = verify(tmp_path / "empty", Wanted(), tmp_path / "out", Progress(), environ)
    assert (verification.outcome, verification.commit, code) == (BROKEN, "", 1)
    assert verification.reason.startswith("there is no Git work tree here")
    assert read_verification(tmp_path / "out") == verification


def test_without_a_sandbox_what_has_a_compile_sh_is_broken_and_the_rest_is_verified(repo, run, monkeypatch, tmp_path):
    script = {"b/script/compile.sh": "#!/bin/sh\n"}
    repo.commit(below("a") | below("b") | script)
    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / "git").symlink_to("/usr/bin/git")
    monkeypatch.setenv("PATH", str(bare))
    verification, code = run()
    assert [(source.outcome, source.reason) for source in verification.sources] == [
        (PASSED, ""),
        (BROKEN, "bwrap is not installed. Install it: apt-get install bubblewrap"),
    ]
    assert (verification.outcome, code) == (BROKEN, 1)


def test_a_failure_counts_for_more_than_what_cannot_be_found_out(repo, run, monkeypatch, tmp_path):
    script = {"a/script/compile.sh": "#!/bin/sh\n", "b/cloudinit/10_a.yml": "x"}
    repo.commit(below("a") | below("b") | script)
    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / "git").symlink_to("/usr/bin/git")
    monkeypatch.setenv("PATH", str(bare))
    verification, code = run()
    assert [source.outcome for source in verification.sources] == [BROKEN, FAILED]
    assert (verification.outcome, code) == (FAILED, 2)


# The sandbox


LOOK = "#!/bin/sh\nif cat {} >/dev/null 2>&1; then echo IT=seen; else echo IT=hidden; fi\n"


@pytest.mark.parametrize(("sandbox", "seen"), [("offline", "hidden"), ("network", "hidden"), (None, "seen")])
def test_compile_sh_is_in_the_sandbox_that_is_asked_for(repo, run, tmp_path, sandbox, seen):
    secret = tmp_path / "secret"
    secret.write_text("x")
    repo.commit(below("web") | {"web/script/compile.sh": LOOK.format(secret)})
    assert run(sandbox=sandbox)[1] == 0
    assert (tmp_path / "out/1-web/vars.env").read_text() == f"IT={seen}\n"


def test_the_parents_compile_sh_is_in_the_sandbox_too(repo, run, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    repo.commit(below("web") | {"web/script/compile.sh": LOOK.format(secret)})
    repo.commit({"web/script/compile.sh": "#!/bin/sh\necho IT=new\n"})
    assert only(run()[0]).changes == ("variables", "  ~ IT: hidden -> new")


# Parameters


PARAMETERS = "parameters:\n  flavour: {}\n  token: {type: secret}\n  size: {type: integer, default: 4}\n"
SHOW = '#!/bin/sh\necho "FLAVOUR=$AMI_PARAM_FLAVOUR"\necho "LENGTH=${#AMI_PARAM_TOKEN}"\n'


def test_a_parameter_without_a_value_is_the_callers_business(repo, run):
    repo.commit(below("web") | {"web/ami.yaml": PARAMETERS})
    verification, code = run()
    assert (verification.outcome, code) == (BROKEN, 1)
    assert verification.reason == "web: the parameter 'flavour' has no value. Give --param flavour=VALUE"
    verification, _ = run(parameters={"flavour": "x"})
    assert verification.reason == (
        "web: the parameter 'token' has no value. "
        "Give --param token=VALUE, a stand-in: no secret meets what nobody has reviewed"
    )


def test_values_are_for_the_sources_that_declare_them(repo, run, tmp_path):
    repo.commit(below("web") | below("plain") | {"web/ami.yaml": PARAMETERS, "web/script/compile.sh": SHOW})
    assert run(parameters={"flavour": "sweet", "token": "1234567", "nobodys": "1"})[1] == 0
    assert (tmp_path / "out/2-web/vars.env").read_text() == "FLAVOUR=sweet\nLENGTH=7\n"


def test_the_environment_has_no_values_for_what_nobody_has_reviewed(repo, run, monkeypatch):
    repo.commit(below("web") | {"web/ami.yaml": PARAMETERS, "web/script/compile.sh": SHOW})
    monkeypatch.setenv("AMI_PARAM_FLAVOUR", "x")
    monkeypatch.setenv("AMI_PARAM_TOKEN", "real")
    assert "'flavour' has no value" in run()[0].reason


# Booting


def booting(outcome: Boot | BaseException, *tested: TestRecord):
    """A stand-in for what builds and boots, and what it was asked."""
    asked: list[tuple[str, Path]] = []

    def boot(compiled, output, tests):
        asked.append((compiled.manifest.name, output))
        tests += tested
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return boot, asked


def test_what_compiles_is_booted_and_its_tests_are_told(repo, run, tmp_path):
    repo.commit(below("web"))
    boot, asked = booting(Boot(PASSED), TestRecord("answers\x1b[31m", True, "", 2.0))
    verification, code = run(boot=boot)
    assert code == 0
    assert asked == [("web", tmp_path / "out/1-web/boot")]
    booted = only(verification).boot
    assert (booted.outcome, booted.tested) == (PASSED, (TestRecord("answers\\x1b[31m", True, "", 2.0),))


def test_what_does_not_compile_is_not_booted(repo, run):
    repo.commit(below("web") | {"web/cloudinit/10_a.yml": "x"})
    boot, asked = booting(Boot(PASSED))
    assert only(run(boot=boot)[0]).boot is None
    assert asked == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InstanceFailure("the instance reported failure: x exited with 7", hint="console.log has all"), 6),
        (InstanceTimeout("the instance did not stop within 5 s"), 4),
        (InputError("m9.huge is no instance type"), 2),
        (Problems([InputError("one"), InputError("two")]), 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_image_that_does_not_prove_itself_fails_its_source(repo, run, error, code):
    repo.commit(below("web"))
    boot, _ = booting(error, TestRecord("t", False, "exited with 1 instead of 0"))
    log = Log()
    verification, exit_code = run(boot=boot, progress=log)
    source = only(verification)
    assert (verification.outcome, source.outcome, exit_code) == (FAILED, FAILED, code)
    assert source.boot.reason == error.what
    assert source.reason == error.what + (", and 1 more" if isinstance(error, Problems) else "")
    assert source.boot.tested[0].reason == "exited with 1 instead of 0"
    assert source.notes == ()
    assert source.files == "1-web"


def test_a_machine_that_cannot_boot_is_no_failure_unless_it_must(repo, run):
    repo.commit(below("web"))
    boot, _ = booting(HostError("qemu is not installed", hint="Install it"))
    log = Log()
    verification, code = run(boot=boot, progress=log)
    assert code == 0
    assert only(verification).boot == Boot(SKIPPED, "qemu is not installed. Install it.")
    assert "warning: the image is not booted: qemu is not installed. Install it." in log.lines
    verification, code = run(boot=boot, must_boot=True)
    assert (verification.outcome, code) == (BROKEN, 1)
    assert only(verification).reason == "qemu is not installed. Install it"


def test_a_cloud_that_refuses_is_broken(repo, run):
    repo.commit(below("web"))
    boot, _ = booting(CloudError("no answer", code="NoAnswer"))
    verification, code = run(boot=boot)
    assert (verification.outcome, only(verification).outcome, code) == (BROKEN, BROKEN, 1)


def test_what_changes_nothing_on_the_machine_is_booted_only_if_it_must(repo, run):
    repo.commit(below("web"))
    repo.commit({"web/README.md": "x"})
    boot, asked = booting(Boot(PASSED))
    assert only(run(boot=boot)[0]).boot == Boot(SKIPPED, "nothing changes on the machine")
    assert asked == []
    assert only(run(boot=boot, must_boot=True)[0]).boot.outcome == PASSED


# Whatever happens


def test_an_interrupt_leaves_what_is_known_and_nothing_temporary(repo, tmp_path, temporary):
    repo.commit(below("a") | below("b") | below("c"))
    number = iter(range(9))

    def boot(compiled, output, tests):
        if next(number):
            raise Interrupted("SIGTERM")
        return Boot(PASSED)

    with pytest.raises(Interrupted):
        verify(repo.path, Wanted(boot=boot), tmp_path / "out", Progress(), os.environ)
    verification = read_verification(tmp_path / "out")
    assert (verification.outcome, verification.reason) == (BROKEN, "interrupted by SIGTERM")
    assert [(source.folder, source.outcome, source.reason) for source in verification.sources] == [
        ("a", PASSED, ""),
        ("b", BROKEN, "it was not verified to its end"),
    ]
    assert verification.sources[1].userdata.new
    assert list(temporary.iterdir()) == []


def test_a_bug_leaves_what_is_known_too(repo, tmp_path, temporary):
    repo.commit(below("web"))
    boot, _ = booting(RuntimeError("x"))
    with pytest.raises(RuntimeError):
        verify(repo.path, Wanted(boot=boot), tmp_path / "out", Progress(), os.environ)
    assert read_verification(tmp_path / "out").reason == "a bug: RuntimeError"
    assert list(temporary.iterdir()) == []


def test_a_folder_for_temporary_files_that_is_not_there_is_one_line(repo, tmp_path, monkeypatch):
    repo.commit(below("web"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    verification, code = verify(repo.path, Wanted(), tmp_path / "out", Progress(), os.environ)
    assert (verification.outcome, code) == (BROKEN, 1)
    assert verification.reason.startswith("this machine failed: [Errno 2] No such file or directory: ")


def test_an_earlier_verification_is_replaced(repo, run, tmp_path):
    repo.commit(below("a") | below("b"))
    run()
    (tmp_path / "out/report").mkdir()
    repo.commit({"README.md": "x"})
    run()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report", "verification.json"]


def test_a_folder_that_holds_something_else_is_left_alone(repo, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/1-mine").mkdir()
    with pytest.raises(InputError, match="holds other things than a verification"):
        verify(repo.path, Wanted(), tmp_path / "out", Progress(), os.environ)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1-mine"]


def test_an_output_that_is_a_file(repo, tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(HostError, match="the output cannot be written: File exists"):
        verify(repo.path, Wanted(), tmp_path / "out", Progress(), os.environ)


# Strangers


EVIL = "a\nb'\"$(touch x)`y`<i>&\x1b[31m"


def test_hostile_names_and_values_are_data(repo, run, tmp_path):
    folder = f"images/{EVIL}"
    repo.commit(below(folder) | {os.fsdecode(b"other/caf\xe9"): "x"})
    yaml = f"description: {json.dumps(EVIL)}\ntags: {{k: {json.dumps('<b>')}}}\ntests: [{json.dumps('echo ' + EVIL)}]\n"
    repo.commit(
        {
            f"{folder}/ami.yaml": yaml.replace("\\n", " ").replace("\\u001b", ""),
            f"{folder}/fs/{EVIL}": EVIL,
            os.fsdecode(b"images/" + EVIL.encode() + b"/fs/caf\xe9"): "x",
        },
        EVIL,
    )
    log = Log()
    verification, code = run(progress=log)
    source = only(verification)
    assert code == 0, verification
    assert source.folder == folder
    assert f"images/{EVIL}/fs/caf\\xe9" in verification.changed
    assert verification.subject == "a"
    assert all(line.isprintable() for line in source.changes)
    assert any("fs/caf\\xe9" in line for line in source.changes)
    assert source.files == "1-web"
    assert not any(str(tmp_path / "tmp") in line for line in log.lines)
    assert (tmp_path / "out/verification.json").read_bytes().decode("utf-8")


def test_findings_in_hostile_files_are_one_line_each(repo, run):
    folder = os.fsdecode(b"caf\xe9\n" + EVIL.encode())
    repo.commit(below(folder) | {f"{folder}/cloudinit/{EVIL}": "x"})
    verification, code = run()
    assert code == 2
    source = only(verification)
    (note,) = source.notes
    assert note.path == f"caf\\xe9\n{EVIL}/cloudinit/{EVIL}"
    for text in (note.what, note.hint, source.reason, verification.reason):
        assert text.isprintable()


def test_a_link_out_of_a_source_brings_nothing_in(repo, run, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("#cloud-config\nhostname: stolen\n")
    repo.commit(below("web"))
    (repo.path / "web/cloudinit/20_x.yml").symlink_to(secret)
    repo.commit()
    verification, code = run()
    assert code == 2
    assert only(verification).notes[0].what == "the link leads out of the AMI source"


def test_a_link_in_the_place_of_a_source_leads_nowhere(repo, run, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "ami.env").write_text("NAME=stolen\nVERSION=1\nBASE=scratch\n")
    repo.commit(below("web"))
    (repo.path / "link").symlink_to(outside)
    repo.commit({"web/ami.env": "NAME=web\nVERSION=1\nBASE=../link\n"})
    verification, code = run()
    assert code == 2
    assert only(verification).notes[0].what == "the base '../link' leads out of the repository"
