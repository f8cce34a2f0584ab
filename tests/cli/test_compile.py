"""`jenkins-ami compile`: what it writes, and one clear line for every bad input."""

import json
import os
import socket
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


BAD = {
    "no ami.env": ({"ami.env": None}, "no ami.env and no ami.yaml: this is not an AMI source ({src})."),
    "no NAME": ({"ami.env": "VERSION=1\nBASE=x\n"}, "NAME is missing ({src}/ami.env). Add a line NAME=."),
    "no VERSION": ({"ami.env": "NAME=x\nBASE=x\n"}, "VERSION is missing ({src}/ami.env). Add a line VERSION=."),
    "no BASE": ({"ami.env": "NAME=x\nVERSION=1\n"}, "BASE is missing ({src}/ami.env). Add a line BASE=."),
    "empty NAME": ({"ami.env": "NAME=\nVERSION=1\nBASE=x\n"}, "NAME is empty ({src}/ami.env:1:1)."),
    "name EC2 refuses": (
        {"ami.env": "VERSION=1\nBASE=x\nNAME='a*b'\n"},
        "EC2 refuses the image name 'a*b' ({src}/ami.env:3:1).",
    ),
    "name too long": ({"ami.env": f"NAME={'x' * 101}\nVERSION=1\nBASE=x\n"}, "EC2 refuses the image name"),
    "version": ({"ami.env": "NAME=a\nVERSION=latest\nBASE=x\n"}, "'latest' is no version ({src}/ami.env:2:1)."),
    "two names": (
        {"ami.yaml": "name: other\n"},
        "name is 'other' here and 'test' in {src}/ami.env:1:1 ({src}/ami.yaml:1:7).",
    ),
    "unquoted version": (
        {"ami.yaml": "version: 1.10\n", "ami.env": "NAME=a\nBASE=b\n"},
        "'version' is a float, not a text ({src}/ami.yaml:1:10). Put it in quotes.",
    ),
    "typo in ami.yaml": (
        {"ami.yaml": "descriptoin: x\n"},
        "ami.yaml has no key 'descriptoin' ({src}/ami.yaml:1:1). Did you mean 'description'.",
    ),
    "typo in a test": (
        {"ami.yaml": "tests:\n  - run: x\n    stdot: y\n"},
        "test 1 has no key 'stdot' ({src}/ami.yaml:3:5). Did you mean 'stdout'.",
    ),
    "timeout out of range": (
        {"ami.yaml": "timeouts: {instance: 0}\n"},
        "'instance' is 0, not between 1 and 86400 ({src}/ami.yaml:1:22).",
    ),
    "storage": ({"ami.yaml": "storage: bucket\n"}, "'bucket' is no storage ({src}/ami.yaml:1:10)."),
    "architecture": (
        {"ami.yaml": "architecture: i386\n"},
        "there is no architecture 'i386' ({src}/ami.yaml:1:15). Use x86_64 or arm64.",
    ),
    "nothing to do": ({YML: None}, "the AMI source describes nothing to do ({src})."),
    "misnamed part": (
        {"cloudinit/base.yml": "#cloud-config\n{}\n"},
        "base.yml would not be used ({src}/cloudinit/base.yml).",
    ),
    "YAML error": ({YML: "#cloud-config\nruncmd: [a, b\n"}, "invalid YAML: did not find expected ',' or ']'"),
    "tab": ({YML: "#cloud-config\na:\n\tb: c\n"}, "invalid YAML: found character that cannot start any token"),
    "duplicate key": (
        {YML: "#cloud-config\nruncmd: [a]\npackages: [b]\nruncmd: [c]\n"},
        f"key 'runcmd' is given twice, first in line 2 ({{src}}/{YML}:4:1).",
    ),
    "no header": (
        {YML: "runcmd: [a]\n"},
        f"the first line says neither '#cloud-config' nor '#!': cloud-init would ignore the file ({{src}}/{YML}:1).",
    ),
    "blank line before the header": (
        {YML: "\n#cloud-config\nruncmd: [a]\n"},
        f"the first line is not exactly '#cloud-config': cloud-init would ignore the file ({{src}}/{YML}:1).",
    ),
    "header with a space": ({YML: "# cloud-config\nruncmd: [a]\n"}, "the first line is not exactly '#cloud-config'"),
    "empty part": ({YML: ""}, f"the file is empty ({{src}}/{YML})."),
    "empty document": ({YML: "#cloud-config\n"}, f"the document is empty ({{src}}/{YML})."),
    "list document": ({YML: "#cloud-config\n- a\n"}, f"the document is a list, not a mapping ({{src}}/{YML}:2:1)."),
    "power_state": (
        {YML: "#cloud-config\npower_state: {mode: reboot}\n"},
        f"'power_state' belongs to compile: the power-off is the proof of success ({{src}}/{YML}:2:1).",
    ),
    "a command that is a mapping": (
        {YML: "#cloud-config\nruncmd:\n  - echo a: b\n"},
        f"a runcmd entry is a mapping, not a command ({{src}}/{YML}:3:5).",
    ),
    "contradiction": (
        {YML: "#cloud-config\nlocale: a\n", "cloudinit/20_b.yml": "#cloud-config\nlocale: b\n"},
        f"'locale' is 'b' here and 'a' in {{src}}/{YML}:2:9 ({{src}}/cloudinit/20_b.yml:2:9).",
    ),
    "not UTF-8": ({YML: b"#cloud-config\na: \xff\n"}, f"not UTF-8 text ({{src}}/{YML}:2)."),
    "control character": (
        {YML: b"#cloud-config\na: \x01\n"},
        f"character U+0001 is not allowed in YAML ({{src}}/{YML}:2).",
    ),
    "reserved place": (
        {"fs/var/lib/jenkins-ami/x": "x"},
        "/var/lib/jenkins-ami is used by the build itself ({src}/fs/var/lib/jenkins-ami).",
    ),
    "self-containing anchor": (
        {YML: "#cloud-config\na: &x [*x]\n"},
        f"an anchor contains an alias of itself ({{src}}/{YML}:2:4).",
    ),
}


@pytest.mark.parametrize(("files", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_that_names_the_place(files, message, make_source, cli, tmp_path):
    content = {YML: '#cloud-config\nruncmd: ["true"]\n'} | files
    source = make_source({path: text for path, text in content.items() if text is not None})
    if files.get("ami.env", "") is None:
        (source / "ami.env").unlink()
    assert cli("compile", source, tmp_path / "out") == 2
    assert cli.error.startswith(message.format(src=source))
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.glob(".out.*")) == []


def test_a_missing_source_is_named(cli, tmp_path):
    assert cli("compile", tmp_path / "nowhere", tmp_path / "out") == 2
    assert cli.error == f"the AMI source does not exist ({tmp_path}/nowhere)."


def test_a_source_that_is_a_file_is_named(cli, tmp_path):
    (tmp_path / "file").touch()
    assert cli("compile", tmp_path / "file", tmp_path / "out") == 2
    assert cli.error.startswith(f"the AMI source is a file, not a folder ({tmp_path}/file).")


def test_an_empty_source_is_no_ami_source(cli, tmp_path):
    (tmp_path / "empty").mkdir()
    assert cli("compile", tmp_path / "empty", tmp_path / "out") == 2
    assert cli.error.startswith("no ami.env and no ami.yaml")


def test_a_socket_in_the_overlay_is_refused_with_its_path(make_source, cli, tmp_path):
    source = make_source({"fs/etc/x": "x"})
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(source / "fs" / "s"))
        assert cli("compile", source, tmp_path / "out") == 2
    assert cli.error == f"a socket cannot be in an overlay ({source}/fs/s)."


def test_a_target_with_other_things_in_it_is_left_alone(make_source, cli, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "thesis.txt").write_text("all my work")
    assert cli("compile", make_source(), target) == 2
    assert cli.error.startswith(f"the target holds other things than a compiled AMI ({target}).")
    assert (target / "thesis.txt").read_text() == "all my work"


def test_the_source_cannot_be_its_own_target(make_source, cli):
    source = make_source()
    assert cli("compile", source, source) == 2
    assert cli("compile", source, source.parent) == 2
    assert "would replace the AMI source" in cli.error
    assert (source / "ami.env").is_file()


def test_a_target_that_cannot_be_written_is_one_line(make_source, cli, tmp_path):
    (tmp_path / "file").touch()
    assert cli("compile", make_source(), tmp_path / "file" / "out") == 1
    assert cli.error.startswith(f"the target cannot be written: File exists ({tmp_path}/file/out).")


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
    assert f"The largest parts: {YML} (39.1 KiB)" in cli.error


def test_an_unknown_option_is_a_usage_error(cli):
    assert cli("compile", "a", "b", "--frobnicate") == 1
    assert cli.error == "unrecognized arguments: --frobnicate. See 'jenkins-ami compile --help'."


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
    assert "error: the target cannot be written: File too large" in done.stderr
    assert (tmp_path / "out" / "compile.json").read_bytes() == before
    assert list(tmp_path.glob(".out.*")) == []
