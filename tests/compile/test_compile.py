"""What compile makes of a source: bytes that are the same everywhere, in the right order, with the right owner."""

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from jenkins_ami.artifacts import STORAGE_TOKEN, USERDATA_LIMIT, read_compiled
from jenkins_ami.compile.run import Options, compile_source
from jenkins_ami.errors import InputError
from jenkins_ami.progress import Progress

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def compiled(tmp_path):
    """Compile a source and give back the folder."""

    def compile_it(source: Path, name: str = "out", **options) -> Path:
        compile_source(source, tmp_path / name, Options(**options), Progress())
        return tmp_path / name

    return compile_it


def config_of(folder: Path) -> dict:
    return yaml.safe_load(gzip.decompress((folder / "userdata.gz").read_bytes()))


def overlay_of(folder: Path) -> tarfile.TarFile:
    """The packed overlay: the file beside the user-data, or what lies in its gzip header."""
    if (folder / "fs.tgz").is_file():
        data = (folder / "fs.tgz").read_bytes()
    else:
        raw = (folder / "userdata.gz").read_bytes()
        assert raw[3] == 4  # FEXTRA is the only flag
        length, kind, inner = struct.unpack("<H2sH", raw[10:16])
        assert (kind, inner) == (b"JA", length - 4)
        data = raw[16 : 16 + inner]
    return tarfile.open(fileobj=io.BytesIO(data))


def commands_of(folder: Path) -> list:
    """The merged runcmd without the announcements."""
    entries = config_of(folder)["runcmd"]
    return [e for e in entries if not (isinstance(e, str) and e.startswith(("jenkins_ami_", ". /var/lib/jenkins-ami")))]


@pytest.mark.parametrize("example", ["minimal", "web-server", "jenkins-agent"])
def test_two_paths_two_umasks_and_two_times_give_the_same_bytes(example, compiled, tmp_path):
    first = compiled(EXAMPLES / example, "first")
    copy = tmp_path / "elsewhere" / "copy"
    before = os.umask(0o002)
    try:
        shutil.copytree(EXAMPLES / example, copy, copy_function=shutil.copy)
        for path in copy.rglob("*"):
            path.chmod(path.stat().st_mode | 0o020)
            os.utime(path, (1, 1))
        second = compiled(copy, "second")
    finally:
        os.umask(before)
    assert {p.name: p.read_bytes() for p in first.iterdir()} == {p.name: p.read_bytes() for p in second.iterdir()}


def test_a_git_checkout_and_a_plain_copy_give_the_same_bytes(make_source, compiled):
    source = make_source()
    first = compiled(source, "first")
    for argv in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", source, *argv], check=True)
    second = compiled(source, "second")
    assert (first / "compile.json").read_bytes() == (second / "compile.json").read_bytes()


def test_a_target_inside_the_source_is_no_part_of_it(make_source):
    source = make_source()
    outside = compile_source(source, source.parent / "out", Options(), Progress())
    for _ in range(2):
        inside = compile_source(source, source / ".jenkins-ami", Options(), Progress())
        assert inside.manifest == outside.manifest


def test_lists_append_in_sort_order_and_mappings_merge(make_source, compiled):
    source = make_source(
        {
            "cloudinit/20_b.yml": "#cloud-config\nruncmd: [two]\napt: {sources: {b: {}}}\n",
            "cloudinit/10_a.cfg": "#cloud-config\nruncmd: [one]\napt: {sources: {a: {}}}\n",
            "cloudinit/60_c.yaml": "#cloud-config\nruncmd: [[three, 'and a half']]\n",
        }
    )
    folder = compiled(source)
    assert commands_of(folder)[:3] == ["one", "two", ["three", "and a half"]]
    assert config_of(folder)["apt"] == {"sources": {"a": {}, "b": {}}}


def test_the_same_scalar_twice_is_no_contradiction(make_source, compiled):
    text = "#cloud-config\nlocale: C.UTF-8\nruncmd: [x]\n"
    folder = compiled(make_source({"cloudinit/10_a.yml": text, "cloudinit/20_b.yml": text}))
    assert config_of(folder)["locale"] == "C.UTF-8"


def test_values_come_out_as_cloud_init_would_read_them(make_source, compiled):
    text = (
        "#cloud-config\n"
        "a: 0644\nb: '0644'\nc: on\nd: 'on'\ne: 1.10\nf: ~\ng: 2001-12-14\nh: !!binary aGk=\n"
        "base: &base {x: 1, y: 2}\nmerged: {<<: *base, y: 3}\n"
        "text: |\n  two\n  lines\nfolded: >-\n  one\n  line\nunicode: grüße 🚀\n"
    )
    folder = compiled(make_source({"cloudinit/10_a.yml": text}))
    want = yaml.safe_load(text)
    assert {key: config_of(folder)[key] for key in want} == want


def test_the_overlay_arrives_between_50_and_51_and_install_runs_before_60(make_source, compiled):
    source = make_source(
        {
            "cloudinit/10_a.yml": "#cloud-config\nruncmd: [before]\n",
            "cloudinit/50_zz.yml": "#cloud-config\nruncmd: [between]\n",
            "cloudinit/60_b.yml": "#cloud-config\nruncmd: [after]\n",
            "fs/etc/x": os.urandom(30_000),
            "script/install.sh": "#!/bin/sh\n",
        }
    )
    heads = [c if isinstance(c, str) else Path(c[0]).name for c in commands_of(compiled(source))]
    assert heads == ["before", "fetch.sh", "between", "overlay.sh", "install.sh", "rm", "after", "sh"]


def test_shell_scripts_keep_their_place_among_the_commands(make_source, compiled):
    source = make_source(
        {
            "cloudinit/10_a.yml": "#cloud-config\nruncmd: [one]\n",
            "cloudinit/20_b.sh": "#!/bin/bash\necho two\n",
            "cloudinit/30_c.yml": "#cloud-config\nruncmd: [three]\n",
        }
    )
    folder = compiled(source)
    assert commands_of(folder)[:3] == ["one", ["/var/lib/jenkins-ami/parts/20_b.sh"], "three"]
    (script,) = [f for f in config_of(folder)["write_files"] if f["path"].endswith("20_b.sh")]
    assert script["content"] == "#!/bin/bash\necho two\n"


def test_the_verdict_script_is_written_before_anything_a_user_says(make_source, compiled):
    source = make_source({"cloudinit/00_a.yml": "#cloud-config\nwrite_files: [{path: /x, content: x}]\n"})
    assert config_of(compiled(source))["write_files"][0]["path"] == "/var/lib/jenkins-ami/verdict.sh"


def test_power_off_depends_on_the_verdict_with_the_manifest_nonce(make_source, compiled):
    folder = compiled(make_source())
    nonce = json.loads((folder / "compile.json").read_text())["nonce"]
    power = config_of(folder)["power_state"]
    assert power["condition"] == ["sh", "/var/lib/jenkins-ami/verdict.sh", nonce]
    assert power["mode"] == "poweroff"


def test_another_content_has_another_nonce(make_source, compiled):
    nonces = set()
    for index, content in enumerate(["a", "b", "a"]):
        folder = compiled(make_source({"fs/x": content}, name=f"s{index}"), f"o{index}")
        nonces.add(json.loads((folder / "compile.json").read_text())["nonce"])
    assert len(nonces) == 2


def test_every_command_is_announced_with_file_and_line(make_source, compiled):
    folder = compiled(make_source({"cloudinit/10_a.yml": "#cloud-config\nruncmd:\n  - one\n  - [two, 'x y']\n"}))
    commands = json.loads((folder / "compile.json").read_text())["commands"]
    assert commands[:2] == [
        {"where": "cloudinit/10_a.yml:3", "run": "one"},
        {"where": "cloudinit/10_a.yml:4", "run": "two 'x y'"},
    ]
    runcmd = config_of(folder)["runcmd"]
    assert runcmd[runcmd.index("one") - 1] == "jenkins_ami_step cloudinit/10_a.yml:3"


@pytest.fixture
def noise():
    """Incompressible bytes, the same each time."""
    return random.Random(1).randbytes


def test_an_overlay_goes_inline_as_long_as_the_final_payload_fits(make_source, compiled, noise):
    placements = {}
    for size in (8_000, 12_000, 13_900, 16_000):
        folder = compiled(make_source({"fs/blob": noise(size)}, name=f"s{size}"), f"o{size}")
        manifest = read_compiled(folder).manifest
        placements[size] = manifest.overlay.placement
        assert manifest.files["userdata.gz"].size <= USERDATA_LIMIT
        assert (folder / "fs.tgz").exists() == (manifest.overlay.placement == "storage")
    assert placements == {8_000: "inline", 12_000: "inline", 13_900: "inline", 16_000: "storage"}


def test_inline_limit_gives_the_old_rule(make_source, compiled, noise):
    folder = compiled(make_source({"fs/blob": noise(8_000)}), inline_limit=8192)
    assert (folder / "fs.tgz").is_file()


def test_an_external_overlay_leaves_one_token_for_the_url_and_names_its_storage(make_source, compiled, noise):
    source = make_source({"fs/blob": noise(40_000), "ami.yaml": "storage: s3://bucket/prefix\n"})
    folder = compiled(source, region="eu-west-1")
    assert gzip.decompress((folder / "userdata.gz").read_bytes()).decode().count(STORAGE_TOKEN) == 1
    assert (folder / "vars.env").read_text() == "AWSREGION=eu-west-1\nFSS3URL=s3://bucket/prefix\n"
    manifest = read_compiled(folder).manifest
    assert manifest.overlay.sha256 == hashlib.sha256((folder / "fs.tgz").read_bytes()).hexdigest()
    assert manifest.overlay.storage == "s3://bucket/prefix"


def test_install_sh_travels_in_the_tarball_and_needs_no_overlay(make_source, compiled):
    folder = compiled(make_source({"script/install.sh": "#!/bin/sh\necho hi\n"}))
    member = overlay_of(folder).getmember("var/lib/jenkins-ami/install.sh")
    assert member.mode == 0o700


def test_the_readable_config_is_the_payload_without_the_overlay(make_source, compiled, noise):
    folder = compiled(make_source({"fs/blob": noise(9_000)}))
    text = (folder / "cloud-config.yaml").read_text()
    assert text == gzip.decompress((folder / "userdata.gz").read_bytes()).decode()
    assert max(map(len, text.splitlines())) < 300


def test_what_an_inlined_overlay_costs_is_its_own_size(make_source, compiled, noise):
    small = compiled(make_source({"fs/blob": noise(1)}, name="little"), "small")
    large = compiled(make_source({"fs/blob": noise(9_000)}, name="much"), "large")
    sizes = {f: (f / "userdata.gz").stat().st_size - read_compiled(f).manifest.overlay.size for f in (small, large)}
    assert abs(sizes[small] - sizes[large]) < 32


def test_the_instance_cuts_the_overlay_out_of_the_user_data(make_source, compiled, noise, tmp_path):
    folder = compiled(make_source({"fs/blob": noise(5_000)}))
    (command,) = [entry for entry in config_of(folder)["runcmd"] if "user-data.txt" in entry]
    here = command.replace("/var/lib/cloud/instance/user-data.txt", str(folder / "userdata.gz"))
    subprocess.run(["sh", "-c", here.replace("/var/lib/jenkins-ami/fs.tgz", str(tmp_path / "cut"))], check=True)
    assert hashlib.sha256((tmp_path / "cut").read_bytes()).hexdigest() == read_compiled(folder).manifest.overlay.sha256


def test_the_old_environment_still_names_storage_and_region(make_source, cli, tmp_path, noise, monkeypatch):
    monkeypatch.setenv("AWSREGION", "eu-west-1")
    monkeypatch.setenv("S3URL", "s3://bucket/old")
    assert cli("compile", make_source({"fs/blob": noise(40_000)}), tmp_path / "out") == 0
    assert (tmp_path / "out" / "vars.env").read_text() == "AWSREGION=eu-west-1\nFSS3URL=s3://bucket/old\n"


# reading it back


def test_a_compiled_ami_that_was_changed_is_refused(make_source, compiled):
    folder = compiled(make_source())
    (folder / "userdata.gz").write_bytes(b"other")
    with pytest.raises(InputError, match=r"userdata.gz is not what compile wrote"):
        read_compiled(folder)


def test_a_manifest_of_another_schema_is_refused(make_source, compiled):
    folder = compiled(make_source())
    manifest = json.loads((folder / "compile.json").read_text())
    (folder / "compile.json").write_text(json.dumps(manifest | {"schema": 99}))
    with pytest.raises(InputError, match="schema 99 is not 1"):
        read_compiled(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nmae": 1}, "compile.json.nmae is not known"),
        ({"name": 1}, "compile.json.name is not a text"),
        ({"timeouts": {"instance": True}}, "compile.json.timeouts.instance is not a whole number"),
        ({"files": {"../x": {"size": 1, "sha256": "x"}}}, "compile.json names a file outside the folder"),
    ],
)
def test_a_manifest_that_does_not_hold_is_refused(change, message, make_source, compiled):
    folder = compiled(make_source())
    manifest = json.loads((folder / "compile.json").read_text())
    (folder / "compile.json").write_text(json.dumps(manifest | change))
    with pytest.raises(InputError) as caught:
        read_compiled(folder)
    assert caught.value.what.startswith(message)
