"""`jenkins-ami compile`: what it writes, and what it leaves alone. (Bad input: ``test_bad_input``.)"""

import json
import os
import subprocess
import sys

import pytest

YML = "cloudinit/10_a.yml"


def test_the_compiled_ami_has_the_files_of_the_wall(make_source, cli, tmp_path):
    assert cli("compile", make_source(), tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "cloud-config.yaml",
        "compile.json",
        "userdata.gz",
        "vars.env",
    ]


def test_json_output_is_one_object_on_stdout(make_source, cli, tmp_path):
    assert cli("compile", make_source(), tmp_path / "out", "--json") == 0
    result = json.loads(cli.out)
    assert result["name"] == "test"
    assert result["files"].keys() == {"cloud-config.yaml", "userdata.gz", "vars.env"}
    assert all(json.loads(line)["event"] in ("begin", "end") for line in cli.err.splitlines())


def test_a_target_with_other_things_in_it_is_left_alone(make_source, cli, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "thesis.txt").write_text("all my work")
    assert cli("compile", make_source(), target) == 2
    assert cli.error.startswith(f"the target holds other things than a compiled AMI ({target}).")
    assert (target / "thesis.txt").read_text() == "all my work"


def test_a_failed_compile_leaves_the_old_result(make_source, cli, tmp_path):
    source = make_source()
    assert cli("compile", source, tmp_path / "out") == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    (source / YML).write_text("nonsense")
    assert cli("compile", source, tmp_path / "out") == 2
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


def test_a_second_compile_leaves_nothing_stale_but_keeps_the_ledger(make_source, cli, tmp_path):
    big = make_source({"fs/blob": os.urandom(40_000)}, name="big")
    assert cli("compile", big, tmp_path / "out") == 0
    assert (tmp_path / "out" / "fs.tgz").is_file()
    (tmp_path / "out" / "ledger.jsonl").write_text("what was asked for\n")
    (tmp_path / "out" / "ami.json").write_text("{}")
    assert cli("compile", make_source(), tmp_path / "out") == 0
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"cloud-config.yaml", "compile.json", "ledger.jsonl", "userdata.gz", "vars.env"}
    assert (tmp_path / "out" / "ledger.jsonl").read_text() == "what was asked for\n"


def test_user_data_that_cannot_fit_exits_3_and_names_the_largest_parts(make_source, cli, tmp_path):
    noise = os.urandom(20_000).hex()
    source = make_source({YML: f"#cloud-config\nwrite_files:\n  - path: /x\n    content: {noise}\n"})
    assert cli("compile", source, tmp_path / "out") == 3
    assert cli.error.endswith(f"which can go to storage; {YML} is the largest.")
    table = [line.split() for line in cli.err.splitlines() if line.startswith("  ")]
    assert [row[0] for row in table] == ["part", YML, "(jenkins-ami's"]


def test_a_full_disk_is_one_line_and_the_old_result_stays(make_source, cli, tmp_path):
    source = make_source({"fs/blob": os.urandom(200_000)})
    assert cli("compile", source, tmp_path / "out") == 0
    before = (tmp_path / "out" / "compile.json").read_bytes()
    (source / "fs" / "blob").write_bytes(os.urandom(200_000))
    code = (
        f"import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        f"from jenkins_ami.cli import main; sys.exit(main(['compile', {str(source)!r}, {str(tmp_path / 'out')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"cannot be written: File too large ({tmp_path / 'out'})" in done.stderr
    assert (tmp_path / "out" / "compile.json").read_bytes() == before
    assert list(tmp_path.glob(".out.*")) == []


def test_paths_may_be_relative_for_compile_sh_as_well(make_source, cli, tmp_path, monkeypatch):
    make_source({"script/compile.sh": "#!/bin/sh\nmkdir fs\necho made >fs/made\n"})
    monkeypatch.chdir(tmp_path)
    assert cli("compile", "source", "out") == 0
    assert cli("compile", "source", "source/out") == 0
    assert (tmp_path / "out" / "compile.json").read_bytes() == (tmp_path / "source/out/compile.json").read_bytes()


def test_a_version_given_is_the_images_everywhere(make_source, cli, tmp_path):
    files = {
        "script/compile.sh": '#!/bin/sh\necho "A=$AMI_VERSION"\necho "B=$VERSION"\n',
        "cloudinit/20_a.yml.j2": "#cloud-config\nwrite_files:\n  - {path: /etc/v, content: 'v{{ version }}'}\n",
    }
    source = make_source(files)
    before = (source / "ami.env").read_bytes()
    assert cli("compile", source, tmp_path / "out", "--version", "7.2.rc1") == 0, cli.err
    assert json.loads((tmp_path / "out" / "compile.json").read_text())["version"] == "7.2.rc1"
    assert (tmp_path / "out" / "vars.env").read_text() == "A=7.2.rc1\nB=7.2.rc1\n"
    assert "content: v7.2.rc1" in (tmp_path / "out" / "cloud-config.yaml").read_text()
    assert cli.out.startswith("test 7.2.rc1 compiled into ")
    assert (source / "ami.env").read_bytes() == before


def test_a_version_given_is_no_part_of_the_sources_digest(make_source, cli, tmp_path):
    source = make_source()
    assert cli("compile", source, tmp_path / "a") == 0
    assert cli("compile", source, tmp_path / "b", "--version", "7") == 0
    first, second = (json.loads((tmp_path / name / "compile.json").read_text()) for name in "ab")
    assert (first.pop("version"), second.pop("version")) == ("1.0", "7")
    assert first == second


@pytest.mark.parametrize("version", ["", "v1", "1.", "1..2", "1 2", "1/2"])
def test_a_version_that_ami_env_could_not_have_is_refused(make_source, cli, tmp_path, version):
    assert cli("compile", make_source(), tmp_path / "out", f"--version={version}") == 1
    assert cli.error == f"--version: '{version}' is no version. Write numbers with dots, like 1.4.0."
    assert not (tmp_path / "out").exists()
