from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from jenkins_ami.process import run, which
from jenkins_ami.scratch.image import recipe_digest
from jenkins_ami.scratch.spec import load_spec
from tests.conftest import Cli
from tests.scratch.conftest import Look


def test_the_table_is_sound_and_has_three_partitions(look: Look) -> None:
    run([which("sfdisk"), "--verify", look.image.path])
    table = json.loads(run([which("sfdisk"), "--json", look.image.path]).stdout)["partitiontable"]
    made = {
        part["name"]: (part["start"] * 512, part["size"] * 512, part["uuid"].lower()) for part in table["partitions"]
    }
    assert made == {part.name: (part.start, part.size, str(part.id)) for part in look.layout.partitions}


def test_the_file_system_is_sound(look: Look) -> None:
    run([which("e2fsck"), "-f", "-n", look.filesystem], cwd=look.image.path.parent)


def test_the_file_system_is_found_by_its_label_and_can_be_read_by_grub(look: Look) -> None:
    listing = run([which("dumpe2fs"), "-h", look.filesystem], cwd=look.image.path.parent).stdout
    fields = dict(line.split(":", 1) for line in listing.splitlines() if ":" in line)
    assert fields["Filesystem volume name"].strip() == "root"
    assert fields["Filesystem UUID"].strip() == str(look.layout.id("filesystem"))
    features = fields["Filesystem features"].split()
    assert {"extent", "64bit", "resize_inode", "metadata_csum"} <= set(features)
    assert not {"metadata_csum_seed", "orphan_file"} & set(features)


def test_both_boot_loaders_are_there(look: Look) -> None:
    with look.image.path.open("rb") as disk:
        mbr = disk.read(512)
        disk.seek(look.layout.bios.start)
        core = disk.read(512)
    assert b"GRUB" in mbr[:440]
    assert mbr[510:] == b"\x55\xaa"
    assert int.from_bytes(core[0x1F4:0x1FC], "little") == look.layout.bios.start // 512 + 1
    esp = f"{look.image.path}@@{look.layout.esp.start}"
    assert "::/EFI/BOOT/BOOTX64.EFI" in run([which("mdir"), "-b", "-i", esp, "::/EFI/BOOT"]).stdout


def test_what_grub_loads_is_where_its_configuration_says(look: Look) -> None:
    config = look.read("/boot/grub/grub.cfg")
    assert "linux /vmlinuz root=LABEL=root" in config and "initrd /initrd.img" in config
    for link in ("vmlinuz", "initrd.img"):
        target = look.debugfs(f"stat /{link}").split('Fast link dest: "')[1].split('"')[0]
        assert Path(target).name in look.names("/boot")


def test_configuration_lies_over_the_packages_and_is_roots(look: Look) -> None:
    assert look.read("/etc/hostname") == "debian"
    assert look.read("/etc/fstab").startswith("LABEL=root / ext4 ")
    assert "datasource_list: [Ec2, NoCloud, None]" in look.read("/etc/cloud/cloud.cfg.d/90_base_image.cfg")
    stat = look.debugfs("stat /etc/cloud/cloud.cfg.d/90_base_image.cfg")
    assert "Mode:  0644" in stat and "User:     0   Group:     0" in stat
    assert 'Fast link dest: "/dev/null"' in look.debugfs("stat /etc/systemd/system/e2scrub_all.timer")


def test_owners_and_modes_are_those_of_the_packages(look: Look) -> None:
    assert "Mode:  04755" in look.debugfs("stat /usr/bin/sudo")
    assert "Group:    42" in look.debugfs("stat /etc/shadow")
    assert "User:    42" in look.debugfs("stat /var/lib/apt/lists/partial")


def test_apt_has_debians_sources_with_security(look: Look) -> None:
    sources = look.read("/etc/apt/sources.list")
    assert [line.split()[2] for line in sources.splitlines()] == ["bookworm", "bookworm-updates", "bookworm-security"]


def test_nothing_of_one_machine_or_of_the_build_host_is_in_it(look: Look) -> None:
    assert not {name for name in look.names("/etc/ssh") if name.startswith("ssh_host_")}
    assert "resolv.conf" not in look.names("/etc")
    assert look.read("/etc/machine-id") == ""
    assert look.names("/var/lib/apt/lists") <= {"partial", "lock", "auxfiles"}
    assert look.names("/dev") == set()
    assert not {name for name in look.names("/etc/apt/apt.conf.d") if "mmdebstrap" in name}
    assert "99mmdebstrap" not in look.names("/etc/dpkg/dpkg.cfg.d")


def test_packages_are_listed_with_their_versions(look: Look) -> None:
    packages = dict(look.image.packages)
    assert {"cloud-init", "curl", "ca-certificates", "sudo", "openssh-server", "linux-image-cloud-amd64"} <= set(
        packages
    )
    assert f"Version: {packages['curl']}\n" in look.read("/var/lib/dpkg/status") + "\n"


def test_the_image_is_sparse(look: Look) -> None:
    assert look.image.path.stat().st_size == look.image.size == 2 << 30
    assert look.image.used < 1 << 30


def test_the_same_spec_gives_the_same_bytes_on_another_disk_and_under_another_umask(
    look: Look, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work on disk"
    work.mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", str(work))
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    output = tmp_path / "what? a disk.raw"
    before = os.umask(0o077)
    try:
        assert cli("scratch", "--json", "-o", output) == 0
    finally:
        os.umask(before)
    said = json.loads(cli.out)
    assert said["sha256"] == look.image.sha256
    assert (said["path"], said["size"], said["spec_digest"]) == (str(output), 2 << 30, look.image.spec_digest)
    assert said["packages"] == dict(look.image.packages)
    assert output.stat().st_mode & 0o777 == 0o600
    assert list(work.iterdir()) == []


def test_a_spec_changes_what_it_says_and_the_result_is_told(look: Look, tmp_path: Path, cli: Cli) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("size: 1G\nhostname: web\n")
    output = tmp_path / "disk.raw"
    output.write_text("old")
    assert cli("scratch", spec, "-o", output) == 0
    image, size, sha256, boot = cli.out.splitlines()
    assert image.split() == ["image", str(output)]
    assert size.startswith("size    1.0 GiB (")
    assert sha256.split()[1] != look.image.sha256
    assert boot == f"boot    jenkins-ami boot {output}"
    assert output.stat().st_size == 1 << 30
    assert "cached" in cli.err


def test_bad_outputs_are_refused_before_anything_is_done(tmp_path: Path, cli: Cli) -> None:
    assert cli("scratch", "-o", tmp_path) == 1
    assert cli.error == f"the output is a folder ({tmp_path}). Name the file to write, such as disk.raw."
    assert cli("scratch", "-o", tmp_path / "none" / "disk.raw") == 1
    assert cli.error == f"the output's folder does not exist ({tmp_path}/none). Make it first."
    assert cli("scratch", "-o", "/dev/null") == 1
    assert cli.error == "the output exists and is no regular file (/dev/null)."


def test_a_missing_tool_names_its_package(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli("scratch", "-o", tmp_path / "disk.raw") == 1
    assert cli.error == "mmdebstrap is not installed. Install it: apt-get install mmdebstrap."


def test_a_bad_spec_ends_with_2(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "spec.yaml").write_text("siez: 2G\n")
    assert cli("scratch", tmp_path / "spec.yaml", "-o", tmp_path / "disk.raw") == 2
    assert cli.error == f"a scratch spec has no key 'siez' ({tmp_path}/spec.yaml:1:1). Did you mean 'size'."


def test_another_spec_or_another_file_of_ours_is_another_recipe(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = load_spec(None)
    before = recipe_digest(spec)
    assert recipe_digest(load_spec(None)) == before
    assert recipe_digest(replace(spec, packages=("htop",))) != before
    changed = tmp_path / "mke2fs.conf"
    changed.write_text("other")
    monkeypatch.setattr("jenkins_ami.scratch.image.MKE2FS_CONFIG", changed)
    assert recipe_digest(spec) != before
