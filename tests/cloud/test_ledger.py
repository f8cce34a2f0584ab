from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jenkins_ami.cloud.ledger import CREATED, GONE, INTENT, KEPT, Ledger, Scope, read
from jenkins_ami.errors import HostError, InputError

SCOPE = Scope("b1", "dev", "eu-central-1", "123456789012", profile="p")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def fill(path: Path) -> None:
    """A ledger with an entry in each state."""
    with Ledger(path) as ledger:
        ledger.begin(SCOPE)
        ledger.gone(ledger.created(ledger.intent("object", "bucket/key"), "s3://bucket/key"))
        ledger.created(ledger.intent("instance", "b1-0"), "i-1")
        ledger.intent("snapshot", "b1")
        ledger.intent("image", "web-1.0-1")


def states(path: Path) -> dict[str, str]:
    return {entry.kind: entry.state for entry in read(path)}


def test_what_is_written_can_be_read_by_another_process(path):
    fill(path)
    assert states(path) == {"object": GONE, "instance": CREATED, "snapshot": INTENT, "image": INTENT}
    instance = read(path)[1]
    assert (instance.scope, instance.ids, instance.key) == (SCOPE, ("i-1",), "b1-0")


def test_what_is_open_comes_in_the_order_to_end_it(path):
    fill(path)
    with Ledger(path) as ledger:
        assert [entry.kind for entry in ledger.open_entries()] == ["instance", "image", "snapshot"]
        assert [entry.kind for entry in ledger.open_entries(("image",))] == ["image"]


def test_a_build_that_succeeded_keeps_what_it_has_open_in_one_line(path):
    fill(path)
    lines = path.read_bytes().count(b"\n")
    with Ledger(path) as ledger:
        ledger.keep("b1")
        assert ledger.open_entries() == []
    assert path.read_bytes().count(b"\n") == lines + 1
    assert states(path) == {"object": GONE, "instance": KEPT, "snapshot": KEPT, "image": KEPT}


def test_another_builds_entries_are_not_kept_with_it(path):
    fill(path)
    with Ledger(path) as ledger:
        ledger.begin(Scope("b2", "dev", "eu-central-1", "123456789012"))
        ledger.intent("image", "web-1.0-1")
        ledger.keep("b2")
        assert [entry.scope.build for entry in ledger.open_entries()] == ["b1", "b1", "b1"]


def test_every_line_of_a_ledger_may_be_cut_anywhere(path):
    """kill -9 in the middle of a write: what was whole before is still known, and writing goes on."""
    fill(path)
    content = path.read_bytes()
    for cut in range(len(content) + 1):
        path.write_bytes(content[:cut])
        before = read(path)
        if cut % 13 and b"\n" not in content[cut - 2 : cut + 2]:
            continue
        with Ledger(path) as ledger:
            assert ledger.entries == before
            ledger.begin(Scope("b2", "dev", "eu-central-1", "123456789012"))
            ledger.intent("instance", "b2-0")
        assert [entry.key for entry in read(path)] == [*(entry.key for entry in before), "b2-0"]


def test_an_intent_is_on_the_disk_before_intent_returns(path, monkeypatch):
    synced = []
    real = os.fsync
    with Ledger(path) as ledger:
        ledger.begin(SCOPE)
        monkeypatch.setattr(os, "fsync", lambda file: (synced.append(path.read_bytes().count(b"\n")), real(file)))
        ledger.intent("instance", "b1-0")
    assert synced == [2]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from jenkins_ami.cloud.ledger import Ledger, Scope
from jenkins_ami.errors import HostError
path = Path(sys.argv[1])
with Ledger(path) as ledger:
    ledger.begin(Scope("b1", "dev", "eu-central-1", "123456789012"))
    entry = ledger.intent("instance", "b1-0")
    size = path.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, resource.RLIM_INFINITY))
    try:
        ledger.intent("image", "web-1.0-1")
    except HostError as error:
        print(error.line())
    assert path.stat().st_size == size, "half a line is left"
    try:
        ledger.created(entry, "i-1")
    except HostError:
        pass
    (known,) = ledger.open_entries()
    assert known.ids == ("i-1",), "what the cloud said is forgotten"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    ledger.gone(known)
"""


def test_a_full_disk_stops_the_next_intent_and_damages_nothing(path):
    done = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"the ledger cannot be written: File too large ({path}). Free disk space.\n"
    assert states(path) == {"instance": GONE}


def test_only_one_process_at_a_time(path):
    with Ledger(path):
        with pytest.raises(HostError, match="another process is at work with this ledger"):
            Ledger(path)
    Ledger(path).close()


def test_the_lock_goes_with_a_killed_process(path):
    code = "import sys, time; from pathlib import Path; from jenkins_ami.cloud.ledger import Ledger\n"
    code += "l = Ledger(Path(sys.argv[1])); print('locked', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    with child:
        assert child.stdout.readline() == b"locked\n"
        with pytest.raises(HostError):
            Ledger(path)
        child.kill()
        Ledger(path, patience=10).close()


@pytest.mark.parametrize(
    "content", ["hello", "hello\nworld\n", '{\n  "schema": 1\n}\n', '{"event": "intent"}\n', "[1]\n", "\xff\n"]
)
def test_another_file_is_no_ledger(path, content):
    path.write_text(content, "latin-1")
    with pytest.raises(InputError):
        read(path)
    with pytest.raises(InputError):
        Ledger(path)
    assert path.read_text("latin-1") == content


def test_a_later_schema_is_refused(path):
    fill(path)
    path.write_bytes(path.read_bytes().replace(b'"schema": 2', b'"schema": 3'))
    with pytest.raises(InputError, match="the ledger's schema 3 is not 2"):
        read(path)


def test_a_missing_ledger(path):
    with pytest.raises(InputError, match="there is no ledger"):
        read(path)


def test_a_ledger_in_a_folder_that_is_not_there(path):
    with pytest.raises(HostError, match="the ledger cannot be written: No such file or directory"):
        Ledger(path.parent / "none" / path.name)


def test_a_device_is_no_ledger(path):
    path.symlink_to("/dev/full")
    with pytest.raises(HostError, match="the ledger is not a regular file"):
        Ledger(path)
