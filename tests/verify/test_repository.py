"""Commits are read and written out as they are, and nothing of the repository runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from jenkins_ami.errors import AmiError, HostError, InputError, UsageError
from jenkins_ami.verify import repository
from jenkins_ami.verify.repository import Commit, Repository

from .repo import Repo


def opened(repo: Repo | Path, **environ: str) -> Repository:
    return Repository(repo if isinstance(repo, Path) else repo.path, os.environ | environ)


def exported(repo: Repo, target: Path, revision: str = "HEAD") -> Path:
    reader = opened(repo)
    target.mkdir()
    reader.export(reader.tree(reader.commit(revision)).values(), target)
    return target


# Commits


def test_a_commit_tells_its_parents_and_its_subject(repo):
    first = repo.commit({"a": "1"}, "\n\n  first  \nmore\n")
    second = repo.commit({"a": "2"}, "second $(touch x) <b>\x1b[31m")
    reader = opened(repo)
    assert reader.commit("HEAD") == Commit(second, (first,), "second $(touch x) <b>\x1b[31m")
    assert reader.commit("HEAD^") == Commit(first, (), "first")
    assert reader.parent(reader.commit("HEAD")) == reader.commit(first)
    assert reader.parent(reader.commit(first)) is None


def test_a_merge_is_compared_with_its_first_parent(repo):
    base = repo.commit({"a": "1"})
    repo.git("checkout", "-q", "-b", "side")
    side = repo.commit({"b": "1"})
    repo.git("checkout", "-q", "main")
    main = repo.commit({"c": "1"})
    repo.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    reader = opened(repo)
    merge = reader.commit("HEAD")
    assert merge.parents == (main, side)
    assert reader.parent(merge).id == main
    assert reader.parent(reader.commit("main^")).id == base


def test_a_message_that_says_parent_has_no_say(repo):
    repo.commit({"a": "1"})
    assert opened(repo).commit(repo.commit({"a": "2"}, "x\n\nparent " + "0" * 40)).parents != ("0" * 40,)


def test_a_message_that_is_no_utf_8_or_empty(repo):
    repo.git("config", "i18n.commitEncoding", "ISO-8859-1")
    assert opened(repo).commit(repo.commit({"a": "1"}, b"caf\xe9")).subject == "caf\ufffd"
    assert opened(repo).commit(repo.commit({"a": "2"}, "")).subject == ""


def test_object_ids_may_be_the_long_ones(tmp_path):
    repo = Repo(tmp_path / "repo", "sha256")
    commit = repo.commit({"a": "1"})
    assert len(commit) == 64
    assert (exported(repo, tmp_path / "out") / "a").read_text() == "1"


def test_a_replaced_commit_is_read_as_it_was(repo, tmp_path):
    repo.commit({"a": "honest"})
    other = repo.commit({"a": "replaced"})
    repo.git("replace", "HEAD^", other)
    assert (exported(repo, tmp_path / "out", "HEAD^") / "a").read_text() == "honest"


# Clones that lack something


def clone(repo: Repo, target: Path, *options: str) -> Repo:
    url = f"file://{repo.path}"
    subprocess.run(["git", "clone", "-q", *options, url, str(target)], check=True, stderr=subprocess.DEVNULL)
    cloned = Repo.__new__(Repo)
    cloned.path = target
    return cloned


def test_a_clone_of_one_commit_lacks_the_parent_and_one_of_two_does_not(repo, tmp_path):
    first = repo.commit({"a": "1"})
    second = repo.commit({"a": "2"})
    reader = opened(clone(repo, tmp_path / "one", "--depth=1"))
    with pytest.raises(InputError) as caught:
        reader.parent(reader.commit("HEAD"))
    assert caught.value.line() == (
        f"the parent {first[:12]} of {second[:12]} is not in this clone ({tmp_path}/one). "
        "Clone it whole: no --filter, and --depth 2 at least."
    )
    reader = opened(clone(repo, tmp_path / "two", "--depth=2"))
    assert reader.parent(reader.commit("HEAD")).id == first


@pytest.mark.parametrize("url", ["ext::sh -c touch% {mark}", "{repo}"], ids=["a command", "a folder"])
def test_what_a_partial_clone_lacks_is_fetched_by_nobody(repo, tmp_path, url):
    repo.commit({"a": "1"})
    repo.commit({"a": "2"})
    repo.git("config", "uploadpack.allowFilter", "true")
    partial = clone(repo, tmp_path / "partial", "--filter=blob:none", "--no-checkout")
    mark = tmp_path / "mark"
    partial.git("config", "remote.origin.url", url.format(mark=mark, repo=repo.path))
    partial.git("config", "remote.origin.uploadpack", f"touch {mark}; git-upload-pack")
    partial.git("config", "protocol.allow", "always")
    with pytest.raises(InputError) as caught:
        exported(partial, tmp_path / "out")
    assert caught.value.hint == "Clone it whole: no --filter, and --depth 2 at least"
    assert not mark.exists()


@pytest.mark.parametrize("revision", ["nowhere", "--all", "-h", "HEAD:a", "HEAD^{tree}", "a b", "main..main", ""])
def test_a_revision_that_is_no_commit(repo, revision):
    repo.commit({"a": "1"})
    with pytest.raises(InputError) as caught:
        opened(repo).commit(revision)
    assert caught.value.what.startswith(f"there is no commit '{revision}' here: ")
    assert "\n" not in caught.value.line()


def test_a_repository_without_a_commit(repo):
    with pytest.raises(InputError, match="there is no commit 'HEAD' here"):
        opened(repo).commit("HEAD")


# Folders that are no work tree


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="there is no such folder"):
        opened(tmp_path / "nowhere")


def test_a_folder_without_a_repository(tmp_path):
    with pytest.raises(InputError) as caught:
        opened(tmp_path, GIT_CEILING_DIRECTORIES=str(tmp_path.parent))
    assert caught.value.line() == f"there is no Git work tree here ({tmp_path}). Name one with --work-tree."


def test_a_bare_repository(repo, tmp_path):
    repo.commit({"a": "1"})
    bare = clone(repo, tmp_path / "bare", "--bare")
    with pytest.raises(InputError, match="the repository has no work tree"):
        opened(bare)


def test_a_repository_of_another_user_is_one_clear_line(repo):
    repo.commit({"a": "1"})
    with pytest.raises(HostError) as caught:
        opened(repo, GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
    assert caught.value.line() == (
        f"the repository belongs to another user, and Git does not read it ({repo.path}). "
        f"Run this as its owner, or trust it: git config --global --add safe.directory {repo.path}."
    )


def test_a_damaged_repository_is_one_line(repo):
    repo.commit({"a": "1"})
    (repo.path / ".git" / "config").write_text("[core\n")
    with pytest.raises(AmiError) as caught:
        opened(repo)
    assert "bad config line 1" in caught.value.line()


def test_git_that_a_hook_has_pointed_elsewhere_reads_the_folder_that_is_named(repo, tmp_path):
    commit = repo.commit({"a": "1"})
    other = Repo(tmp_path / "other")
    other.commit({"b": "1"})
    environ = {"GIT_DIR": f"{other.path}/.git", "GIT_WORK_TREE": str(other.path), "GIT_INDEX_FILE": "/nowhere"}
    assert opened(repo, **environ).commit("HEAD").id == commit


def test_a_folder_inside_has_its_path_from_the_top(repo):
    repo.commit({"images/web/ami.env": "x"})
    reader = opened(repo.path / "images")
    assert reader.top == repo.path
    assert reader.inside("web") == "images/web"
    assert reader.inside("..") == "."
    assert reader.inside(f"{repo.path}/images/gone/") == "images/gone"
    with pytest.raises(UsageError) as caught:
        reader.inside("../../elsewhere")
    assert caught.value.line() == f"../../elsewhere is not in the work tree. Its top is {repo.path}."


# What is written


HOSTILE = "a\nb 'c\" $(touch x) `d` \\ <i>é"


def test_files_are_written_as_git_stores_them_whatever_attributes_say(repo, tmp_path):
    repo.git("config", "filter.evil.smudge", f"touch {tmp_path}/mark; cat")
    repo.git("config", "filter.evil.clean", "cat")
    repo.git("config", "core.autocrlf", "false")
    repo.commit({"a.sh": "1"})
    attributes = repo.blob(
        b"* ident text eol=crlf export-ignore export-subst filter=evil working-tree-encoding=UTF-16\n"
    )
    content = repo.blob(b"$Id$ $Format:%H$\nunix\nlines\r\n")
    for path, one in ((".gitattributes", attributes), ("a.sh", content)):
        repo.git("update-index", "--add", "--cacheinfo", f"100644,{one},{path}")
    repo.git("commit", "-q", "-m", "attributes")
    (repo.path / ".git" / "info").mkdir(exist_ok=True)
    (repo.path / ".git" / "info" / "attributes").write_text("* filter=evil ident\n")
    out = exported(repo, tmp_path / "out")
    assert (out / "a.sh").read_bytes() == b"$Id$ $Format:%H$\nunix\nlines\r\n"
    assert not (tmp_path / "mark").exists()


def test_modes_are_gits_whatever_the_umask(repo, tmp_path):
    repo.commit({"d/run": "#!/bin/sh\n", "d/e/plain": "x"})
    before = os.umask(0o077)
    try:
        out = exported(repo, tmp_path / "out")
    finally:
        os.umask(before)
    modes = {str(path.relative_to(out)): f"{path.stat().st_mode & 0o7777:o}" for path in out.rglob("*")}
    assert modes == {"d": "755", "d/run": "755", "d/e": "755", "d/e/plain": "644"}


def test_names_may_be_anything_that_a_file_can_be_called(repo, tmp_path):
    repo.commit({HOSTILE: "1", f"{HOSTILE}.d/{HOSTILE}": "2", os.fsdecode(b"caf\xe9"): "3", "-rf": "4", " ": "5"})
    out = exported(repo, tmp_path / "out")
    found = {os.fsencode(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}
    assert found == {
        HOSTILE.encode(): "1",
        f"{HOSTILE}.d/{HOSTILE}".encode(): "2",
        b"caf\xe9": "3",
        b"-rf": "4",
        b" ": "5",
    }


def test_links_are_written_as_they_say_and_submodules_as_empty_folders(repo, tmp_path):
    commit = repo.commit({"a": "1"})
    (repo.path / "out").symlink_to("/etc/passwd")
    (repo.path / "folder").symlink_to("..")
    repo.git("add", "-A")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{commit},lib/sub")
    repo.git("commit", "-q", "-m", "links")
    out = exported(repo, tmp_path / "written")
    assert (out / "out").readlink() == Path("/etc/passwd")
    assert (out / "folder").readlink() == Path("..")
    assert list((out / "lib").iterdir()) == [out / "lib" / "sub"]
    assert list((out / "lib" / "sub").iterdir()) == []


def test_many_and_large_contents_come_in_batches(repo, tmp_path, monkeypatch):
    monkeypatch.setattr(repository, "_BATCH", 1000)
    files = {f"f{number}": bytes([number]) * (number * 97) for number in range(40)} | {"same": bytes([7]) * (7 * 97)}
    repo.commit(files | {"large": b"\0\n" * 5000})
    out = exported(repo, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == files | {"large": b"\0\n" * 5000}


def test_the_work_tree_and_its_index_stay_as_they_are(repo, tmp_path):
    repo.commit({"a": "1", "b": "1"})
    repo.write({"a": "changed", "new": "x"})
    repo.git("add", "new")
    before = (repo.git("status", "--porcelain"), (repo.path / ".git" / "index").read_bytes())
    assert (exported(repo, tmp_path / "out") / "a").read_text() == "1"
    assert ((repo.path / ".git" / "index").read_bytes(), repo.git("status", "--porcelain")) == before[::-1]
    assert (repo.path / "a").read_text() == "changed"


def test_no_program_that_the_repositorys_configuration_names_is_run(repo, tmp_path):
    repo.commit({"a": "1"})
    repo.commit({"a": "2"})
    mark = tmp_path / "mark"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho $0 $* >>{mark}\n")
    program.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "reference-transaction", "post-checkout", "fsmonitor-watchman"):
        (hooks / name).symlink_to(program)
    for key in (
        "core.fsmonitor",
        "core.pager",
        "core.editor",
        "core.sshCommand",
        "core.askPass",
        "diff.external",
        "diff.x.textconv",
        "diff.x.command",
        "filter.x.smudge",
        "filter.x.process",
        "gpg.program",
        "pager.cat-file",
        "pager.ls-tree",
        "alias.cat-file",
    ):
        repo.git("config", key, str(program))
    repo.git("config", "core.hooksPath", str(hooks))
    repo.git("config", "log.showSignature", "true")
    (repo.path / ".git" / "info").mkdir(exist_ok=True)
    (repo.path / ".git" / "info" / "attributes").write_text("* filter=x diff=x\n")
    reader = opened(repo)
    assert reader.parent(reader.commit("HEAD"))
    assert (exported(repo, tmp_path / "out") / "a").read_text() == "2"
    assert not mark.exists()


# Trees that Git would not make


@pytest.mark.parametrize(
    "entries",
    [
        [("100644", b"..", b"x")],
        [("100644", b".", b"x")],
        [("100644", b".git", b"x")],
        [("100644", b".GIT", b"x")],
        [("100644", b"../../escaped", b"x")],
        [("100644", b"/tmp/escaped", b"x")],
        [("100644", b"a", b"x"), ("120000", b"a", b"/tmp")],
        [("120000", b"a", b"/tmp"), ("100644", b"a/escaped", b"x")],
    ],
    ids=lambda entries: " ".join(repr(name)[2:-1] for _, name, _ in entries),
)
def test_a_tree_that_would_lead_out_of_its_folder_is_refused(repo, entries):
    repo.commit({"z": "1"})
    repo.commit_tree(entries)
    reader = opened(repo)
    with pytest.raises(InputError, match="holds a file that no work tree can have"):
        reader.tree(reader.commit("HEAD"))


def test_a_link_with_a_folder_of_its_name_is_refused(repo):
    repo.commit({"z": "1"})
    inner = repo.git("mktree", input=f"100644 blob {repo.blob(b'x')}\tescaped\n".encode())
    repo.commit_tree([("120000", b"a", b"/tmp"), ("40000", b"a", inner.encode())])
    reader = opened(repo)
    with pytest.raises(InputError, match="no work tree can have: 'a/escaped'"):
        reader.tree(reader.commit("HEAD"))


def test_a_tree_too_deep_to_walk_is_refused(repo):
    repo.commit({"z": "1"})
    inner = repo.git("mktree", input=f"100644 blob {repo.blob(b'x')}\tf\n".encode())
    for _ in range(201):
        inner = repo.git("mktree", input=f"040000 tree {inner}\td\n".encode())
    repo.commit_tree([("40000", b"d", inner.encode())])
    reader = opened(repo)
    with pytest.raises(InputError, match="no work tree can have"):
        reader.tree(reader.commit("HEAD"))


@pytest.mark.parametrize(
    ("mode", "name", "content"),
    [("120000", b"l", b"a\0b"), ("120000", b"l", b""), ("120000", b"l", b"x" * 5000), ("100644", b"n" * 300, b"x")],
    ids=["a link with a NUL", "an empty link", "a long link", "a long name"],
)
def test_what_this_file_system_cannot_hold_is_one_line(repo, tmp_path, mode, name, content):
    repo.commit({"z": "1"})
    repo.commit_tree([(mode, name, content)])
    with pytest.raises(HostError) as caught:
        exported(repo, tmp_path / "out")
    assert f"'{name.decode()}' of the commit cannot be written: " in caught.value.line()


def test_a_content_that_is_lost_is_one_line(repo, tmp_path):
    repo.commit({"a": "1"})
    one = repo.git("rev-parse", "HEAD:a")
    (repo.path / ".git" / "objects" / one[:2] / one[2:]).unlink()
    with pytest.raises(InputError, match="the content of 'a' is not in this clone"):
        exported(repo, tmp_path / "out")
