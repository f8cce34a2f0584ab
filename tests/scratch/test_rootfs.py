from __future__ import annotations

import fcntl
import hashlib
import json
import threading
from pathlib import Path

import pytest

from jenkins_ami.errors import HostError, InputError, Location
from jenkins_ami.process import ProcessError
from jenkins_ami.progress import Progress, Step
from jenkins_ami.scratch.rootfs import (
    PACKAGES,
    cache_key,
    environment,
    explain,
    installed,
    mmdebstrap_argv,
    package_set,
)
from jenkins_ami.scratch.spec import Spec

NOWHERE = Spec(mirror="file:///nowhere")
"""Can be made from the cache only."""


def keep(cache: Path, spec: Spec, content: bytes = b"packages") -> Path:
    """A package set as it lies in the cache."""
    cache.mkdir(exist_ok=True)
    tar = cache / f"{cache_key(spec)}.tar.zst"
    tar.write_bytes(content)
    said = {"sha256": hashlib.sha256(content).hexdigest(), "created": 1.0, "packages": {"b": "2", "a": "1"}}
    tar.with_name(f"{cache_key(spec)}.json").write_text(json.dumps(said))
    return tar


def test_mmdebstrap_is_asked_for_all_packages_in_order() -> None:
    argv = mmdebstrap_argv(Spec(packages=("aptitude", "zsh")), "/w/hook.sh", "/w/a.tar.zst")
    include = next(word for word in argv if word.startswith("--include=")).removeprefix("--include=").split(",")
    assert include == sorted({*PACKAGES, "aptitude", "zsh"})
    assert argv[-2:] == ["bookworm", "/w/a.tar.zst"]
    assert "--customize-hook=/w/hook.sh" in argv


def test_a_mirror_is_the_only_source() -> None:
    argv = mmdebstrap_argv(Spec(mirror="https://mirror.example/debian"), "hook", "tar")
    assert argv[-3:] == ["bookworm", "tar", "https://mirror.example/debian"]


def test_the_environment_passes_on_proxies_and_nothing_that_changes_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("DEBIAN_FRONTEND", "teletype")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    env = environment(tmp_path)
    assert env["http_proxy"] == "http://proxy.example:3128"
    assert "DEBIAN_FRONTEND" not in env
    assert (env["LC_ALL"], env["TMPDIR"], env["INITRD"]) == ("C.UTF-8", str(tmp_path), "No")


def test_the_cache_key_is_of_what_goes_in() -> None:
    key = cache_key(Spec())
    assert cache_key(Spec(name="other", size=4 << 30, hostname="other")) == key
    assert cache_key(Spec(packages=("curl",))) == key
    assert cache_key(Spec(packages=("jq",))) != key
    assert cache_key(NOWHERE) != key


def test_what_the_cache_has_is_used_without_a_network(tmp_path: Path) -> None:
    tar = keep(tmp_path / "cache", NOWHERE)
    with package_set(NOWHERE, tmp_path / "cache", tmp_path, Progress()) as found:
        assert (found.tar, found.cached) == (tar, True)
        assert found.packages == (("a", "1"), ("b", "2"))


@pytest.mark.parametrize("damage", ["truncated", "changed", "no record", "half a record", "a record of nothing"])
def test_a_damaged_cache_is_not_used(tmp_path: Path, damage: str) -> None:
    tar = keep(tmp_path / "cache", NOWHERE)
    record = tar.with_name(f"{cache_key(NOWHERE)}.json")
    match damage:
        case "truncated":
            tar.write_bytes(b"packa")
        case "changed":
            tar.write_bytes(b"packagez")
        case "no record":
            record.unlink()
        case "half a record":
            record.write_text(record.read_text()[:30])
        case _:
            record.write_text("[]")
    with pytest.raises(HostError, match="packages could not be downloaded: The repository 'file:/nowhere bookworm"):
        with package_set(NOWHERE, tmp_path / "cache", tmp_path, Progress()):
            pass


def test_a_refresh_does_not_use_the_cache_and_leaves_it_when_it_fails(tmp_path: Path) -> None:
    tar = keep(tmp_path / "cache", NOWHERE)
    with pytest.raises(HostError, match="could not be downloaded"):
        with package_set(NOWHERE, tmp_path / "cache", tmp_path, Progress(), refresh=True):
            pass
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".json", ".lock", ".zst"]
    assert tar.read_bytes() == b"packages"


def test_whoever_uses_the_same_packages_is_waited_for(tmp_path: Path) -> None:
    keep(tmp_path / "cache", NOWHERE)
    waiting, entered = threading.Event(), threading.Event()

    class Watched(Progress):
        def _on_status(self, step: Step, text: str) -> None:
            if text == "waiting for another run that uses the same packages":
                waiting.set()

    def second() -> None:
        with package_set(NOWHERE, tmp_path / "cache", tmp_path, Watched()):
            entered.set()

    with (tmp_path / "cache" / f"{cache_key(NOWHERE)}.lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(HostError) as caught:
        with package_set(NOWHERE, tmp_path / "cache", tmp_path, Progress()):
            pass
    assert caught.value.line() == (
        f"the cache cannot be written: File exists ({tmp_path}/cache). "
        "Set JENKINS_AMI_CACHE to a folder that you may write."
    )


def test_installed_packages_come_with_their_versions() -> None:
    status = (
        "Package: zsh\nStatus: install ok installed\nVersion: 5.9-4\nDescription: shell\n Package: no\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n"
        "Package: apt\nStatus: install ok installed\nVersion: 2.6.1\n"
    )
    assert installed(status) == [("apt", "2.6.1"), ("zsh", "5.9-4")]


# As mmdebstrap 1.3.5 and apt 2.6 print it; the last line is always the same.
FAILURES = {
    "no connection": (
        "E: Failed to fetch http://127.0.0.1:9/debian/dists/bookworm/InRelease  Could not connect to 127.0.0.1:9",
        HostError,
        "packages could not be downloaded: Could not connect to 127.0.0.1:9. "
        "Check the network, the mirror, and http_proxy.",
    ),
    "no such host": (
        "E: Failed to fetch http://a.invalid/debian/dists/bookworm/InRelease  Could not resolve 'a.invalid'",
        HostError,
        "packages could not be downloaded: Could not resolve 'a.invalid'. "
        "Check the network, the mirror, and http_proxy.",
    ),
    "no such package": (
        "E: Unable to locate package jqq",
        InputError,
        "package 'jqq' does not exist in bookworm (spec.yaml:2:11). Correct its name, or take it out.",
    ),
    "a virtual package": (
        "E: Package 'mail-reader' has no installation candidate",
        InputError,
        "package 'mail-reader' does not exist in bookworm (spec.yaml:2:11). Correct its name, or take it out.",
    ),
    "a hook": (
        "update-initramfs: failed\nE: setup failed: E: command failed: /w/customize.sh",
        HostError,
        "mmdebstrap failed: setup failed: E: command failed: /w/customize.sh.",
    ),
}


@pytest.mark.parametrize(("output", "kind", "line"), FAILURES.values(), ids=FAILURES)
def test_the_first_error_of_mmdebstrap_is_the_one_that_is_told(output: str, kind: type, line: str) -> None:
    stderr = f"I: running apt-get update...\n{output}\nE: apt-get update failed\nE: mmdebstrap failed to run"
    spec = Spec(packages=("jqq",), locations={"packages": Location("spec.yaml", 2, 11)})
    error = explain(ProcessError(["mmdebstrap"], 25, "", stderr), spec)
    assert (type(error), error.line()) == (kind, line)


def test_a_full_disk_is_left_to_be_told_as_such() -> None:
    error = ProcessError(["mmdebstrap"], 25, "", "E: write error: No space left on device\nE: mmdebstrap failed to run")
    assert explain(error, Spec()) is error
