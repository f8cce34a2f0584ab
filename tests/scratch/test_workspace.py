from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from jenkins_ami.errors import HostError
from jenkins_ami.process import run
from jenkins_ami.scratch import workspace
from jenkins_ami.scratch.userns import fake_root


def test_a_workspace_goes_with_all_that_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fake_root()
    with pytest.raises(KeyboardInterrupt), workspace.workspace(root, 1, tmp_path) as folder:
        (folder / "a" / "b").mkdir(parents=True)
        run(root.argv("chown", "-R", "1234:1234", folder / "a"))
        run(root.argv("chmod", "0000", folder / "a"))
        raise KeyboardInterrupt
    assert not folder.exists()


def test_tmpdir_is_where_one_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(workspace.tempfile, "tempdir", None)
    assert workspace.choose(1, Path("/var/tmp")) == tmp_path


def test_no_room_anywhere_is_told_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"not enough disk space: 1048576\.0 GiB are needed and .* are free") as caught:
        workspace.choose(1 << 50, tmp_path)
    assert caught.value.where == tmp_path


def test_an_output_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    output = tmp_path / "disk.raw"
    output.write_text("old")
    with pytest.raises(KeyboardInterrupt), workspace.partial_file(output) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["disk.raw"]
    assert output.read_text() == "old"
    with workspace.partial_file(output) as partial:
        partial.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["disk.raw"]
    assert output.read_text() == "new"


def test_a_disk_that_fills_up_under_us_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"^no space left on the disk") as caught:
        with workspace.explain_disk_full(tmp_path), open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")
    assert caught.value.where == tmp_path


def test_a_disk_that_fills_up_under_a_tool_is_the_same_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"^no space left on the disk"), workspace.explain_disk_full(tmp_path):
        run(["dd", "if=/dev/zero", "of=/dev/full", "count=1"])


def test_other_failures_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), workspace.explain_disk_full(tmp_path):
        (tmp_path / "none").read_bytes()


@pytest.mark.parametrize("chunks", [[], [(0, b"x")], [(5 << 20, b"middle")], [(0, b"start"), ((8 << 20) - 3, b"end")]])
def test_a_sparse_files_hash_is_that_of_its_bytes(tmp_path: Path, chunks: list[tuple[int, bytes]]) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(8 << 20)
        for offset, data in chunks:
            file.seek(offset)
            file.write(data)
    assert workspace.sparse_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught, workspace.partial_file(tmp_path / "none" / "disk.raw"):
        pass
    assert caught.value.line() == f"no file can be made: No such file or directory ({tmp_path}/none)."
