from __future__ import annotations

import os
from pathlib import Path

import pytest

from jenkins_ami.errors import HostError
from jenkins_ami.localcloud import accel


@pytest.fixture
def host(tmp_path: Path) -> dict[str, Path]:
    """Files as a host shows them on which KVM works."""
    kvm, cpuinfo, modules = tmp_path / "kvm", tmp_path / "cpuinfo", tmp_path / "module"
    kvm.touch()
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu vme vmx ssse3\n")
    (modules / "kvm_intel").mkdir(parents=True)
    return {"kvm": kvm, "cpuinfo": cpuinfo, "modules": modules}


def test_nothing_speaks_against_kvm_on_a_host_that_has_it(host: dict[str, Path]) -> None:
    assert accel.obstacle(**host) is None


def test_a_missing_device_is_an_obstacle(host: dict[str, Path]) -> None:
    host["kvm"].unlink()
    assert accel.obstacle(**host) == f"{host['kvm']} does not exist"


def test_a_device_that_may_not_be_opened_is_an_obstacle(host: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may open anything
    assert accel.obstacle(**host) == f"no permission to open {host['kvm']} (group kvm)"


def test_a_processor_without_extensions_is_an_obstacle(host: dict[str, Path]) -> None:
    host["cpuinfo"].write_text("flags\t\t: fpu vme vmxish\n")
    assert "no vmx or svm" in (accel.obstacle(**host) or "")


def test_amd_processors_count_as_well(host: dict[str, Path]) -> None:
    host["cpuinfo"].write_text("flags\t\t: fpu svm\n")
    assert accel.obstacle(**host) is None


def test_kvm_pvm_is_an_obstacle(host: dict[str, Path]) -> None:
    (host["modules"] / "kvm_pvm").mkdir()
    assert "kvm_pvm" in (accel.obstacle(**host) or "")


def test_the_test_guest_reaches_64_bit_mode() -> None:
    assert accel.guest_runs("tcg")


def test_a_guest_that_does_not_get_there_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = bytearray(accel.rom())
    stuck[0xFF00:0xFF02] = b"\xeb\xfe"  # jmp $
    monkeypatch.setattr(accel, "rom", lambda: bytes(stuck))
    monkeypatch.setattr(accel, "_PROBE_TIMEOUT", 1.0)
    assert not accel.guest_runs("tcg")


def test_an_accelerator_that_qemu_lacks_does_not_run_a_guest() -> None:
    assert not accel.guest_runs("no-such-accelerator")


def test_probe_says_in_one_line_what_it_chose_and_why() -> None:
    found = accel.probe()
    assert found.reason.startswith(found.name.upper())
    assert "\n" not in found.reason


def test_probe_names_the_package_when_qemu_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accel, "QEMU", "qemu-system-that-is-not-there")
    accel.probe.cache_clear()
    try:
        with pytest.raises(HostError, match="is not installed"):
            accel.probe()
    finally:
        accel.probe.cache_clear()
