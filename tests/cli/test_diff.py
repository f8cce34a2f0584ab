"""`jenkins-ami diff`: what changes on the machine between two compiled AMIs."""

import json
import os

import pytest

FILES = {
    "ami.yaml": "description: old\ntests: [uname]\n",
    "cloudinit/10_a.yml": "#cloud-config\npackages: [nginx, curl]\n",
    "cloudinit/60_b.yml": "#cloud-config\nruncmd:\n  - systemctl enable a\n  - [echo, a b]\n",
    "fs/etc/app.conf": "port = 80\nhost = a\n",
    "script/install.sh": "#!/bin/sh\ntrue\n",
}


@pytest.fixture
def compiled(make_source, cli, tmp_path):
    """Compile a source; files may be changed, or left out with None."""

    def compiled(name, files=None, env=None, *options):
        content = {path: text for path, text in (FILES | (files or {})).items() if text is not None}
        source = make_source(content, name=f"source-{name}", env=env)
        assert cli("compile", source, tmp_path / name, *options) == 0, cli.err
        return tmp_path / name

    return compiled


def test_a_source_that_changed_is_told_change_by_change(compiled, cli, tmp_path):
    old = compiled("old")
    new = compiled(
        "new",
        {
            "ami.yaml": "description: new\nvolume_size: 8\ntests: [uname]\n",
            "cloudinit/10_a.yml": "#cloud-config\npackages: [curl, htop]\n",
            "cloudinit/60_b.yml": "#cloud-config\nruncmd:\n  - [echo, a b]\n  - systemctl enable a\n",
            "cloudinit/70_c.sh": "#!/bin/sh\ntrue\n",
            "fs/etc/app.conf": "port = 8080\nhost = a\n",
            "fs/etc/new": b"\0\1\2",
            "script/install.sh": None,
        },
        "NAME=test\nVERSION=1.1\nBASE=scratch\n",
    )
    assert cli("diff", old, new) == 0
    sizes = [(folder / "userdata.gz").stat().st_size for folder in (old, new)]
    overlays = [json.loads((folder / "compile.json").read_text())["overlay"]["size"] for folder in (old, new)]
    assert cli.out.splitlines() == [
        f"test 1.0 ({old}) -> test 1.1 ({new})",
        "manifest",
        "  ~ description: old -> new",
        "  ~ version: 1.0 -> 1.1",
        "  + volume_size: 8",
        "cloud-config",
        "  - packages: nginx",
        "  + packages: htop",
        "  > runcmd: echo 'a b' (from 2 to 1)",
        "  + runcmd: cloudinit/70_c.sh",
        "  + write_files: cloudinit/70_c.sh (permissions 0700, 15 bytes)",
        "overlay",
        "  ~ fs/etc/app.conf 19 -> 21 bytes",
        "      @@ -1,2 +1,2 @@",
        "      -port = 80",
        "      +port = 8080",
        "       host = a",
        "  + fs/etc/new (3 B, 0644 root:root)",
        "  - script/install.sh (15 B, 0700 root:root)",
        "sizes",
        f"  user-data     {sizes[0]} -> {sizes[1]} bytes",
        f"  overlay       {overlays[0]} -> {overlays[1]} bytes",
    ]


def test_the_same_source_is_no_difference_wherever_it_lies(compiled, cli):
    old, new = compiled("old"), compiled("new")
    assert cli("diff", old, new, "--exit-code") == 0
    assert cli.out == f"no differences between {old} and {new}\n"


def test_what_does_not_reach_the_machine_is_no_difference(compiled, cli):
    old = compiled("old", {"README.md": "one"}, None, "--source-commit", "a" * 40)
    new = compiled(
        "new", {"README.md": "two", "cloudinit/60_b.yml": f"#cloud-config\n# c\n{FILES['cloudinit/60_b.yml'][14:]}"}
    )
    assert cli("diff", old, new, "--exit-code") == 0


def test_an_overlay_in_storage_is_compared_as_one_inside(compiled, cli):
    blob = os.urandom(60_000)
    old = compiled("old", {"fs/blob": blob})
    new = compiled("new", {"fs/blob": blob[:-1] + bytes([blob[-1] ^ 1]), "fs/etc/app.conf": "port = 81\nhost = a\n"})
    assert (old / "fs.tgz").is_file()
    assert cli("diff", old, new) == 0
    overlay = cli.out.split("overlay\n")[1].split("sizes")[0].splitlines()
    assert overlay[0].startswith("  ~ fs/blob 60000 -> 60000 bytes, sha256 ")
    assert overlay[1:] == [
        "  ~ fs/etc/app.conf 19 -> 19 bytes",
        "      @@ -1,2 +1,2 @@",
        "      -port = 80",
        "      +port = 81",
        "       host = a",
    ]


def test_modes_and_owners_from_ami_yaml_are_differences(compiled, cli):
    rules = "overlay: {rules: [{path: etc/app.conf, mode: '0640', owner: 'root:www-data'}]}\n"
    old, new = compiled("old"), compiled("new", {"ami.yaml": FILES["ami.yaml"] + rules})
    assert cli("diff", old, new) == 0
    assert "  ~ fs/etc/app.conf mode 0644 -> 0640, owner root:root -> root:www-data" in cli.out.splitlines()


def test_a_link_that_leads_elsewhere_is_a_difference(compiled, make_source, cli, tmp_path):
    folders = []
    for name, target in (("one", "a"), ("two", "b")):
        source = make_source(FILES | {"fs/etc/a": "x", "fs/etc/b": "x"}, name=f"source-{name}")
        (source / "fs" / "etc" / "link").symlink_to(target)
        assert cli("compile", source, tmp_path / name) == 0
        folders.append(tmp_path / name)
    assert cli("diff", *folders) == 0
    assert "  ~ fs/etc/link target a -> b" in cli.out.splitlines()


def test_a_boothook_and_a_template_are_compared_too(compiled, cli):
    def files(word):
        return {
            "cloudinit/05_boot.sh": f"#cloud-boothook\n#!/bin/sh\necho {word}\n",
            "cloudinit/20_t.yml": f"## template: jinja\n#cloud-config\nruncmd: [echo {word} {{{{ v1.region }}}}]\n",
        }

    assert cli("diff", compiled("old", files("one")), compiled("new", files("two"))) == 0
    parts = cli.out.split("parts\n")[1].split("sizes")[0]
    assert "~ 05_boot.sh: " in parts and "      -echo one" in parts and "      +echo two" in parts
    assert "~ 20_t.yml: " in parts


def test_adding_a_template_does_not_make_the_rest_look_changed(compiled, cli):
    template = "## template: jinja\n#cloud-config\nruncmd: ['echo {{ v1.region }}']\n"
    assert cli("diff", compiled("old"), compiled("new", {"cloudinit/20_t.yml": template})) == 0
    changes = [line for line in cli.out.splitlines() if line.startswith("  ") and line[2] in "+-~>"]
    assert changes == [
        f"  + 20_t.yml: text/jinja2 list(append)+dict(no_replace,recurse_list)+str() ({len(template)} bytes)"
    ]


def test_stat_counts(compiled, cli):
    old = compiled("old")
    new = compiled("new", {"ami.yaml": None, "fs/a": "", "fs/b": "", "script/install.sh": None})
    assert cli("diff", old, new, "--stat") == 0
    lines = cli.out.splitlines()
    assert lines[1:3] == ["  manifest   1 removed, 1 changed", "  overlay    2 added, 1 removed"]
    assert [line.split()[0] for line in lines[3:]] == ["user-data", "overlay"]


@pytest.mark.parametrize("options", [[], ["--stat"], ["--json"]])
def test_exit_code_tells_a_difference(options, compiled, cli):
    old, new = compiled("old"), compiled("new", {"fs/a": "x"})
    assert cli("diff", old, new, *options) == 0
    assert cli("diff", old, new, "--exit-code", *options) == 8
    assert cli.err == ""


def test_json_has_all_of_it(compiled, cli):
    old, new = compiled("old"), compiled("new", {"fs/etc/app.conf": "port = 80\n"})
    assert cli("diff", old, new, "--json") == 0
    data = json.loads(cli.out)
    assert data["differ"] is True
    assert (data["a"]["path"], data["b"]["path"]) == (str(old), str(new))
    assert data["counts"] == {"overlay": {"changed": 1}}
    (change,) = data["changes"]
    assert (change["section"], change["action"], change["what"]) == ("overlay", "changed", "fs/etc/app.conf")
    assert (change["old"]["size"], change["new"]["size"]) == (19, 10)
    assert change["diff"] == ["@@ -1,2 +1 @@", " port = 80", "-host = a"]


def test_nothing_in_a_source_steers_the_terminal(compiled, cli):
    old = compiled("old")
    new = compiled("new", {"fs/etc/a\x1b[31m\nb": "x", "fs/etc/app.conf": "\x1b]0;title\x07\nport\x9b31m\r\n"})
    assert cli("diff", old, new) == 0
    assert not set("\x1b\x07\r\x9b") & set(cli.out)
    assert "fs/etc/a\\x1b[31m\\x0ab" in cli.out


def test_a_name_that_is_not_utf_8_can_be_told(compiled, make_source, cli, tmp_path):
    old = compiled("old")
    source = make_source(FILES, name="odd")
    (source / "fs" / os.fsdecode(b"a\xffb")).write_text("x")
    assert cli("compile", source, tmp_path / "new") == 0, cli.err
    assert cli("diff", old, tmp_path / "new") == 0
    assert "fs/a\\xffb" in cli.out


BAD = {
    "no second folder": (["{old}"], 1, "the following arguments are required: B. See 'jenkins-ami diff --help'."),
    "three folders": (["{old}", "{old}", "x"], 1, "unrecognized arguments: x. See 'jenkins-ami diff --help'."),
    "nothing there": (
        ["{old}", "{tmp}/nowhere"],
        2,
        "there is no compiled AMI here ({tmp}/nowhere). 'jenkins-ami compile SOURCE TARGET' makes one.",
    ),
    "a source": (
        ["{tmp}/source-old", "{old}"],
        2,
        "compile.json is missing ({tmp}/source-old/compile.json). 'jenkins-ami compile' writes it.",
    ),
    "a file": (["{old}", "{old}/compile.json"], 2, "there is no compiled AMI here ({old}/compile.json). "),
}


@pytest.mark.parametrize(("argv", "code", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_compared_is_one_line(argv, code, message, compiled, cli, tmp_path):
    places = {"old": compiled("old"), "tmp": tmp_path}
    assert cli("diff", *(word.format(**places) for word in argv)) == code
    assert cli.error.startswith(message.format(**places))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda folder: (folder / "userdata.gz").write_bytes(b"x"),
            "userdata.gz is not what compile wrote ({}/userdata.gz).",
        ),
        (lambda folder: (folder / "vars.env").unlink(), "vars.env is missing ({}/vars.env)."),
        (lambda folder: (folder / "compile.json").write_text("{"), "Expecting property name"),
        (
            lambda folder: (folder / "compile.json").write_text('{"schema": 99}'),
            "schema 99 is not 1 ({}/compile.json).",
        ),
    ],
    ids=["changed", "a file gone", "no JSON", "another version"],
)
def test_a_compiled_ami_that_was_changed_since_is_refused(change, message, compiled, cli):
    old, new = compiled("old"), compiled("new")
    change(new)
    assert cli("diff", old, new) == 2
    assert cli.error.startswith(message.format(new))
