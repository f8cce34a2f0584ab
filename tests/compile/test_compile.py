"""What compile makes of a source: bytes that are the same everywhere, in the right order, with the right owner."""

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import tarfile
from base64 import b64decode
from pathlib import Path

import pytest
import yaml

from jenkins_ami.artifacts import STORAGE_TOKEN, USERDATA_LIMIT, read_compiled
from jenkins_ami.compile.run import Options, compile_source
from jenkins_ami.errors import InputError, ScriptError
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
    if (folder / "fs.tgz").is_file():
        data = (folder / "fs.tgz").read_bytes()
    else:
        (content,) = [f["content"] for f in config_of(folder)["write_files"] if f["path"].endswith("/fs.tgz")]
        data = b64decode(content)
    return tarfile.open(fileobj=io.BytesIO(data))


def commands_of(folder: Path) -> list:
    """The merged runcmd without the announcements."""
    entries = config_of(folder)["runcmd"]
    return [
        e for e in entries if not (isinstance(e, str) and e.startswith(("jenkins_ami_step ", ". /var/lib/jenkins-ami")))
    ]


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
    assert heads == ["before", "fetch.sh", "between", "overlay.sh", "install.sh", "rm", "after", "sh", "touch"]


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
    for size in (8_000, 12_000, 13_500, 16_000):
        folder = compiled(make_source({"fs/blob": noise(size)}, name=f"s{size}"), f"o{size}")
        manifest = read_compiled(folder).manifest
        placements[size] = manifest.overlay.placement
        assert manifest.files["userdata.gz"].size <= USERDATA_LIMIT
        assert (folder / "fs.tgz").exists() == (manifest.overlay.placement == "storage")
    assert placements == {8_000: "inline", 12_000: "inline", 13_500: "inline", 16_000: "storage"}


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


def test_the_overlay_keeps_links_empty_folders_dotfiles_and_odd_names(make_source, compiled):
    source = make_source({"fs/.hidden": "h", "fs/a b/ü\n.txt": "u", f"fs/{'d' * 90}/{'e' * 90}": "long"})
    (source / "fs/empty").mkdir()
    (source / "fs/link").symlink_to("/usr/share/doc")
    (source / "fs/a b/.gitkeep").touch()
    archive = overlay_of(compiled(source))
    assert archive.getnames() == [
        ".hidden",
        "a b",
        "a b/ü\n.txt",
        "d" * 90,
        f"{'d' * 90}/{'e' * 90}",
        "empty",
        "link",
    ]
    assert archive.getmember("link").linkname == "/usr/share/doc"
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in archive} == {(0, 0, "root", "root", 0)}


def test_modes_are_kept_but_for_write_permission_of_others(make_source, compiled):
    source = make_source({"fs/secret": "", "fs/tool": "", "fs/loose": ""})
    for name, mode in {"secret": 0o600, "tool": 0o755, "loose": 0o666}.items():
        (source / "fs" / name).chmod(mode)
    modes = {m.name: m.mode for m in overlay_of(compiled(source))}
    assert modes == {"secret": 0o600, "tool": 0o755, "loose": 0o644}


def test_install_sh_travels_in_the_tarball_and_needs_no_overlay(make_source, compiled):
    folder = compiled(make_source({"script/install.sh": "#!/bin/sh\necho hi\n"}))
    member = overlay_of(folder).getmember("var/lib/jenkins-ami/install.sh")
    assert member.mode == 0o700


def test_the_readable_config_names_the_overlay_instead_of_spelling_it_out(make_source, compiled, noise):
    text = (compiled(make_source({"fs/blob": noise(9_000)})) / "cloud-config.yaml").read_text()
    assert "bytes of fs.tgz, sha256" in text
    assert max(map(len, text.splitlines())) < 300
    yaml.safe_load(text)


# script/compile.sh


def test_compile_sh_makes_files_and_variables_and_leaves_the_source_alone(make_source, compiled):
    script = (
        '#!/bin/sh\nset -eu\necho building >&2\nmkdir -p fs/etc\necho "$AMI_NAME $AMI_VERSION $FLAVOUR" >fs/etc/made\n'
        "printf '#cloud-config\\nruncmd: [made]\\n' >cloudinit/20_made.yml\necho KEY=value with spaces\necho OTHER=\n"
    )
    env = "NAME=test\nVERSION=1.0\nBASE=scratch\nFLAVOUR=sweet\n"
    source = make_source(
        {"script/compile.sh": script, "cloudinit/10_a.yml": "#cloud-config\nruncmd: [given]\n"}, env=env
    )
    folder = compiled(source)
    assert (folder / "vars.env").read_text() == "KEY=value with spaces\nOTHER=\n"
    assert overlay_of(folder).extractfile("etc/made").read() == b"test 1.0 sweet\n"
    assert commands_of(folder)[:2] == ["given", "made"]
    assert sorted(p.name for p in source.iterdir()) == ["ami.env", "cloudinit", "script"]


def test_compile_sh_sees_nothing_of_the_callers_environment(make_source, compiled, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("GERRIT_PASSWORD", "secret")
    script = "#!/bin/sh\nmkdir fs; env >fs/env\n"
    folder = compiled(make_source({"script/compile.sh": script}))
    seen = overlay_of(folder).extractfile("env").read().decode()
    assert {line.split("=")[0] for line in seen.splitlines()} <= {
        "PATH",
        "HOME",
        "LANG",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        "AMI_NAME",
        "AMI_VERSION",
        "NAME",
        "VERSION",
        "BASE",
    }


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("#!/bin/sh\necho broken >&2\nexit 3\n", "compile.sh exited with 3"),
        ("#!/bin/sh\necho hello world\n", "compile.sh printed 'hello world', which is not KEY=VALUE"),
        ("#!/no/such/interpreter\n", "compile.sh could not be started"),
        ("#!/bin/sh\nkill -9 $$\n", "compile.sh was ended by SIGKILL"),
    ],
    ids=["fails", "prints", "interpreter", "killed"],
)
def test_a_failing_compile_sh_says_how(script, message, make_source, compiled):
    source = make_source({"script/compile.sh": script})
    (source / "script/compile.sh").chmod(0o755)
    with pytest.raises(ScriptError) as caught:
        compiled(source)
    assert caught.value.what.startswith(message)
    assert str(caught.value.where) == str(source / "script/compile.sh")


def test_a_compile_sh_that_hangs_is_ended_with_all_it_started(make_source, compiled, tmp_path):
    pid_file = tmp_path / "pid"
    script = f"#!/bin/sh\nsleep 1000 & echo $! >{pid_file}\nwait\n"
    source = make_source({"script/compile.sh": script, "ami.yaml": "timeouts: {compile: 1}\n"})
    with pytest.raises(ScriptError, match="did not end within 1 s"):
        compiled(source)
    status = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    assert not status.exists() or status.read_text().split()[2] == "Z"


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
