from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import pytest

from jenkins_ami.errors import HostError, InputError
from jenkins_ami.localcloud import records
from jenkins_ami.localcloud import store as module
from jenkins_ami.localcloud.records import SnapshotRecord
from jenkins_ami.localcloud.store import (
    GIB,
    ImageStore,
    NameTaken,
    NotStored,
    SnapshotInUse,
    backing,
    new_id,
    now,
    valid_name,
)
from jenkins_ami.process import run
from tests.localcloud import bootsector


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "state")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return bootsector.disk(tmp_path / "disk.raw", bootsector.HANG)


def files(store: ImageStore) -> list[str]:
    return sorted(path.name for path in store.disks.glob("*"))


def frozen(store: ImageStore, volume: str) -> SnapshotRecord:
    snapshot_id = new_id("snap")
    record = SnapshotRecord(snapshot_id, "us-east-1", f"{snapshot_id}.qcow2", 1, now(), volume)
    store.freeze_volume(volume, record)
    return record


def content(path: Path) -> bytes:
    """The first 512 bytes of a qcow2 disk."""
    out = path.with_suffix(".out")
    run(["qemu-img", "dd", "-O", "raw", "bs=512", "count=1", f"if={path}", f"of={out}"])
    data = out.read_bytes()
    out.unlink()
    return data


def write(path: Path, byte: int) -> None:
    run(["qemu-io", "-f", "qcow2", "-c", f"write -P {byte} 0 512", path])


def test_an_imported_disk_is_there_for_the_next_store_on_the_same_folder(store: ImageStore, disk: Path) -> None:
    image = store.add(disk, name="base", description="d", tags={"k": "v"}, boot_mode="uefi", root_device="/dev/sda1")
    (again,) = ImageStore(store.state).images()
    assert again == image
    assert (again.volume_size, again.boot_mode, again.root_device) == (1, "uefi", "/dev/sda1")
    assert content(store.path(image.id)) == disk.read_bytes()[:512]


def test_an_image_takes_only_the_space_of_what_is_in_it(store: ImageStore, tmp_path: Path) -> None:
    sparse = tmp_path / "sparse.raw"
    with sparse.open("wb") as file:
        file.truncate(3 * GIB + 1)
    image = store.add(sparse, name="sparse")
    assert image.volume_size == 4
    assert store.path(image.id).stat().st_size < 2 << 20


def test_images_are_found_by_all_of_their_tags_the_newest_first(store: ImageStore, disk: Path) -> None:
    first = store.add(disk, name="one", tags={"a": "1", "b": "1"})
    second = store.add(disk, name="two", tags={"a": "1", "b": "2"})
    assert [image.id for image in store.find({"a": "1"})] == [second.id, first.id]
    assert [image.id for image in store.find({"a": "1", "b": "1"})] == [first.id]
    assert store.find({"c": "1"}) == []


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("abc", True),
        ("a" * 128, True),
        ("web (1) [x] a/b.c-d'e@f_g", True),
        ("ab", False),
        ("a" * 129, False),
        ("a:b", False),
    ],
)
def test_names_are_those_that_ec2_takes(name: str, good: bool) -> None:
    assert valid_name(name) is good


def test_a_name_is_taken_once_in_a_region(store: ImageStore, disk: Path) -> None:
    store.add(disk, name="base")
    store.add(disk, name="base", region="eu-west-1")
    with pytest.raises(NameTaken, match="the name 'base' is taken by ami-"):
        store.add(disk, name="base")
    assert len(files(store)) == 2


def test_an_unknown_image_is_answered_with_those_there_are(store: ImageStore, disk: Path) -> None:
    known = store.add(disk, name="base")
    with pytest.raises(NotStored) as caught:
        store.path("ami-00000000")
    assert f"{known.id} (base)" in str(caught.value.hint)
    with pytest.raises(NotStored):
        store.get("../../etc/passwd")


@pytest.mark.parametrize("make", ["missing", "empty", "dependent"])
def test_what_is_no_disk_image_of_its_own_is_refused_and_leaves_nothing(
    store: ImageStore, disk: Path, tmp_path: Path, make: str
) -> None:
    path = tmp_path / "bad"
    if make == "empty":
        path.touch()
    elif make == "dependent":
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", disk, path])
    with pytest.raises(InputError):
        store.add(path, name="bad")
    assert store.images() == [] and files(store) == []


def test_without_disk_space_nothing_is_made(store: ImageStore, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESERVE", 1 << 60)
    with pytest.raises(HostError, match="no disk space"):
        store.add(disk, name="base")
    assert store.images() == [] and files(store) == []


def test_a_full_disk_in_the_middle_of_an_import_leaves_nothing(store: ImageStore, tmp_path: Path) -> None:
    noise = tmp_path / "noise.raw"
    noise.write_bytes(os.urandom(8 << 20))
    code = (
        "import resource, signal, sys; from pathlib import Path; from jenkins_ami.localcloud.store import *\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from jenkins_ami.errors import HostError\n"
        "try: ImageStore(Path(sys.argv[1])).add(Path(sys.argv[2]), name='noise')\n"
        "except HostError as error: print('refused:', error)\n"
    )
    done = run([sys.executable, "-c", code, store.state, noise])
    assert done.stdout.startswith("refused: qemu-img")
    assert store.images() == [] and files(store) == [] and list((store.state / "tmp").iterdir()) == []


def test_a_killed_import_is_cleared_away_by_the_next(store: ImageStore, disk: Path) -> None:
    left = store.state / "tmp" / "killed"
    left.mkdir(parents=True)
    (left / "disk.qcow2").write_bytes(b"half")
    with store._workspace() as other:
        assert not left.exists()
        store.add(disk, name="base")
        assert other.exists()


def test_a_snapshot_keeps_what_was_on_the_volume_and_the_volume_goes_on(store: ImageStore, disk: Path) -> None:
    image = store.add(disk, name="base")
    volume = store.create_volume("vol-1", image.snapshot_id, 2)
    write(volume, 1)
    record = frozen(store, "vol-1")
    write(volume, 2)
    assert content(store.disks / record.layer) == b"\1" * 512
    assert content(volume) == b"\2" * 512
    assert content(store.path(image.id)) == disk.read_bytes()[:512]
    assert backing(volume) == record.layer
    assert backing(store.disks / record.layer) == store.snapshot(image.snapshot_id).layer


def test_a_snapshot_that_fails_leaves_the_volume_as_it_was(
    store: ImageStore, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = store.create_volume("vol-1", store.add(disk, name="base").snapshot_id, 1)
    write(volume, 7)
    before = files(store)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nowhere")  # no qemu-img
        with pytest.raises(HostError):
            frozen(store, "vol-1")
    assert files(store) == before
    assert content(volume) == b"\7" * 512


def test_a_layer_is_freed_when_the_last_that_needs_it_has_gone(store: ImageStore, disk: Path) -> None:
    image = store.add(disk, name="base")
    store.create_volume("vol-1", image.snapshot_id, 1)
    record = frozen(store, "vol-1")
    store.delete(image.id)
    assert f"{image.snapshot_id}.qcow2" in files(store)
    store.remove_snapshot(record.id)
    assert len(files(store)) == 3
    store.delete_volume("vol-1")
    assert files(store) == []


def test_a_copied_snapshot_shares_its_bytes(store: ImageStore, disk: Path) -> None:
    image = store.add(disk, name="base")
    copied = store.copy(image.snapshot_id, "eu-west-1", "copy", {"t": "1"})
    store.delete(image.id)
    assert files(store) == [copied.layer]
    store.remove_snapshot(copied.id)
    assert files(store) == []


def test_the_snapshot_of_an_image_stays(store: ImageStore, disk: Path) -> None:
    image = store.add(disk, name="base")
    with pytest.raises(SnapshotInUse, match=f"in use by {image.id}"):
        store.remove_snapshot(image.snapshot_id)
    assert store.path(image.id).exists()


def test_a_sweep_removes_the_volumes_of_a_killed_server_and_what_only_they_needed(
    store: ImageStore, disk: Path
) -> None:
    kept = store.add(disk, name="kept")
    gone = store.add(disk, name="gone")
    store.create_volume("vol-1", gone.snapshot_id, 1)
    store.delete(gone.id)
    (store.disks / "snap-0.qcow2").write_bytes(b"a layer whose record was never written")
    store.sweep()
    assert files(store) == [f"{kept.snapshot_id}.qcow2"]


def test_the_folder_can_be_moved(store: ImageStore, disk: Path, tmp_path: Path) -> None:
    image = store.add(disk, name="base")
    store.create_volume("vol-1", image.snapshot_id, 1)
    record = frozen(store, "vol-1")
    store.state.rename(tmp_path / "moved")
    run(["qemu-img", "check", "-q", tmp_path / "moved" / "disks" / record.layer])


def test_many_threads_can_import_at_once(store: ImageStore, disk: Path) -> None:
    threads = [threading.Thread(target=store.add, args=(disk,), kwargs={"name": f"base {n}"}) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(image.name for image in store.images()) == [f"base {n}" for n in range(6)]


def settle(store: ImageStore) -> None:
    """As if nothing had changed for a while."""
    for folder in ("images", "snapshots"):
        for path in (*(store.state / folder).glob("*.json"), store.state / folder):
            os.utime(path, ns=(1, path.stat().st_mtime_ns - 10 * records.SETTLED))


def test_records_are_read_again_only_when_one_has_changed(
    store: ImageStore, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = store.add(disk, name="first"), store.add(disk, name="second")
    settle(store)
    known = store.image_records()
    read = []
    with monkeypatch.context() as patch:
        real = records.Records.read
        patch.setattr(records.Records, "read", lambda self, key: read.append(key) or real(self, key))
        assert store.image_records() is known
        assert read == []
        ImageStore(store.state).retag(second.id, {"a": "b"})
        read.clear()
        assert store.image_records()[second.id].tags == {"a": "b"}
        assert store.image_records()[first.id] is known[first.id]
        assert set(read) == {second.id}


def test_two_changes_within_one_tick_of_the_clock_are_both_seen(store: ImageStore, disk: Path) -> None:
    image, other = store.add(disk, name="base"), ImageStore(store.state)
    for number in range(50):
        other.retag(image.id, {"n": str(number)})
        assert store.image_records()[image.id].tags == {"n": str(number)}


def test_a_record_of_an_earlier_version_is_read_with_what_it_lacks(store: ImageStore, disk: Path) -> None:
    image = store.add(disk, name="base")
    file = store.state / "images" / f"{image.id}.json"
    old = {key: value for key, value in json.loads(file.read_text()).items() if key not in ("kms_key", "protection")}
    file.write_text(json.dumps(old))
    assert store.get(image.id) == image
