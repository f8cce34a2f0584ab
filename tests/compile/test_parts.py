"""Each kind of part becomes what cloud-init's own code does the same with, in the order of the names."""

import pytest
import yaml

from jenkins_ami.compile.run import Options, check_source, compile_source, validate_source
from jenkins_ami.progress import Progress
from tests.compile.reading import Warnings, own_removed


@pytest.fixture
def read(make_source, tmp_path, judge):
    """Compile some files, and have cloud-init read the user-data: its config, and its other parts."""

    def read_them(files, **more):
        source = make_source(files, **more)
        compile_source(source, tmp_path / "out", Options(), Progress())
        userdata = (tmp_path / "out" / "userdata.gz").read_bytes()
        with Warnings() as warnings:
            config = judge.config(userdata)
            parts = judge.parts(userdata)
        assert warnings.lines == []
        return config, {name: (kind, payload) for kind, name, payload, _ in parts if kind != "text/cloud-config"}

    return read_them


def commands(config) -> list:
    """The user's commands in order, a script of theirs by its name."""
    found = []
    for entry in config["runcmd"]:
        if isinstance(entry, list) and entry[0].startswith("/var/lib/jenkins-ami/parts/"):
            found.append(entry[0].rsplit("/", 1)[1])
        elif entry in own_removed({"runcmd": [entry]}).get("runcmd", []):
            found.append(entry)
    return found


def steps(config) -> list[str]:
    return [
        entry.split(" ", 1)[1]
        for entry in config["runcmd"]
        if str(entry).startswith(("jenkins_ami_step ", "jenkins_ami_try "))
    ]


def script(config, path) -> str:
    (content,) = [file["content"] for file in config["write_files"] if file["path"] == path]
    return content


def test_scripts_and_commands_keep_the_order_of_their_names(read):
    config, parts = read(
        {
            "cloudinit/10_a.yml": "#cloud-config\nruncmd: [a]\n",
            "cloudinit/20_b.sh": "#!/bin/sh\nb\n",
            "cloudinit/30_c.yml": "#cloud-config\nruncmd: [c]\n",
        }
    )
    assert commands(config) == ["a", "20_b.sh", "c"]
    assert script(config, "/var/lib/jenkins-ami/parts/20_b.sh") == "#!/bin/sh\nb\n"
    assert parts == {}


def test_a_part_that_replaces_lists_replaces_those_of_configs_but_no_script_and_nothing_of_compile(read):
    config, _ = read(
        {
            "cloudinit/10_a.yml": "#cloud-config\nruncmd: [a]\nwrite_files: [{path: /a, content: x}]\n",
            "cloudinit/20_b.sh": "#!/bin/sh\nb\n",
            "cloudinit/30_c.yml": "#cloud-config\nmerge_how: dict(replace)+list()+str()\nruncmd: [c]\n",
        }
    )
    assert commands(config) == ["20_b.sh", "c"]
    assert config["write_files"][0]["path"] == "/var/lib/jenkins-ami/verdict.sh"
    assert [file["path"] for file in config["write_files"]].count("/a") == 1
    assert config["runcmd"][0] == ". /var/lib/jenkins-ami/steps.sh"


def test_an_archive_is_taken_apart_and_its_places_are_those_of_the_file(read, make_source):
    archive = (
        "#cloud-config-archive\n"
        "- type: text/cloud-config\n"
        "  content: |\n"
        "    runcmd:\n"
        "      - one\n"
        "- |\n"
        "  #!/bin/sh\n"
        "  two\n"
        "- content: |\n"
        "    #cloud-config\n"
        "    merge_how: dict(recurse_list)+list(prepend)\n"
        "    packages: [x]\n"
    )
    config, parts = read({"cloudinit/10_a.yml": archive, "cloudinit/20_b.yml": "#cloud-config\nruncmd: [three]\n"})
    assert commands(config) == ["one", "10_a.yml#2", "three"]
    assert config["packages"] == ["x"]
    assert "cloudinit/10_a.yml:5" in " ".join(steps(config))
    assert parts == {}


def test_a_mime_message_is_taken_apart_and_its_merge_header_counts(read):
    message = (
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=xx\n\n"
        "--xx\nContent-Type: text/cloud-config\nX-Merge-Type: dict(recurse_list)+list(prepend)\n\n"
        "#cloud-config\nruncmd: [first]\n"
        "--xx\nContent-Type: text/x-shellscript\n\n#!/bin/sh\nsecond\n--xx--\n"
    )
    config, _ = read({"cloudinit/10_a.yml": "#cloud-config\nruncmd: [a]\n", "cloudinit/20_m.mime": message})
    assert commands(config) == ["first", "a", "20_m.mime#2"]


def test_boothooks_handlers_and_what_they_handle_travel_as_parts(read):
    handler = "#part-handler\ndef list_types():\n    return ['text/x-note']\ndef handle_part(*a):\n    pass\n"
    hook = "#cloud-boothook\n#!/bin/sh\necho früh\n"
    config, parts = read(
        {
            "cloudinit/05_hook.txt": hook,
            "cloudinit/10_handler.py": handler,
            "cloudinit/20_note.yml": "#cloud-config-archive\n- {type: text/x-note, content: a note}\n",
            "cloudinit/30_a.yml": "#cloud-config\nruncmd: [a]\n",
        }
    )
    assert parts["05_hook.txt"] == ("text/cloud-boothook", hook)
    assert parts["10_handler.py"] == ("text/part-handler", handler)
    assert parts["20_note.yml#1"] == ("text/x-note", "a note")
    assert list(parts) == ["05_hook.txt", "10_handler.py", "20_note.yml#1"]
    assert commands(config) == ["a"]


def test_a_template_of_a_config_lies_between_what_was_before_and_after_it(make_source, tmp_path, judge):
    template = "## template: jinja\n#cloud-config\nruncmd:\n  - echo {{ v1.region }}\n"
    source = make_source(
        {
            "cloudinit/10_a.yml": "#cloud-config\nruncmd: [a]\npackages: [p]\n",
            "cloudinit/20_t.yml": template,
            "cloudinit/30_b.yml": "#cloud-config\nruncmd: [b]\npackages: [q]\n",
        }
    )
    compile_source(source, tmp_path / "out", Options(), Progress())
    handler = judge._handler(judge.paths)
    for kind, name, payload, headers in judge.parts((tmp_path / "out" / "userdata.gz").read_bytes()):
        if kind == "text/jinja2":
            assert payload == template
            kind, payload = "text/cloud-config", payload.replace("{{ v1.region }}", "here")
        handler.handle_part(None, kind, name, payload, None, headers)
    config = handler.cloud_buf
    assert commands(config) == ["a", "echo here", "b"]
    assert config["packages"] == ["p", "q"]
    count = len(steps(config))
    assert config["runcmd"][-1] == f"jenkins_ami_complete {count}"
    assert "cloudinit/20_t.yml" in steps(config)


def test_what_an_include_brings_stands_where_the_include_stood(make_source, tmp_path, judge):
    source = make_source(
        {
            "cloudinit/10_a.yml": "#cloud-config\nruncmd: [a]\n",
            "cloudinit/20_i.txt": "#include\nhttp://127.0.0.1:1/x\n",
            "cloudinit/30_b.yml": "#cloud-config\nruncmd: [b]\n",
        }
    )
    compile_source(source, tmp_path / "out", Options(), Progress())
    text = __import__("gzip").decompress((tmp_path / "out" / "userdata.gz").read_bytes())
    fetched = b"Content-Type: text/cloud-config\n\n#cloud-config\nruncmd: [brought]\n"
    begin = text.index(b"Content-Type: text/x-include-url")
    end = text.index(b"\n--", begin)
    config = judge.config(text[:begin] + fetched + text[end:])
    assert commands(config) == ["a", "brought", "b"]
    assert config["runcmd"][0] == ". /var/lib/jenkins-ami/steps.sh"
    assert config["power_state"]["mode"] == "poweroff"


LATE = {
    "a template": {"cloudinit/99_t.yml": "## template: jinja\n#cloud-config\nruncmd: [t]\n"},
    "an include": {"cloudinit/99_i.txt": "#include\nhttp://127.0.0.1:1/x\n"},
    "a part that states its merging, after a template": {
        "cloudinit/99_t.yml": "## template: jinja\n#cloud-config\nruncmd: [t]\n",
        "cloudinit/99_u.yml": "#cloud-config\nmerge_how: list(prepend)+dict(recurse_list)\nruncmd: [u]\n",
    },
    "a part without commands, after a template": {
        "cloudinit/99_t.yml": "## template: jinja\n#cloud-config\nruncmd: [t]\n",
        "cloudinit/99_u.yml": "#cloud-config\npackages: [u]\n",
    },
}


@pytest.mark.parametrize("files", LATE.values(), ids=LATE)
def test_the_verdict_is_the_last_command_whatever_the_last_part_is(files, make_source, tmp_path, judge):
    compile_source(make_source(files), tmp_path / "out", Options(), Progress())
    text = __import__("gzip").decompress((tmp_path / "out" / "userdata.gz").read_bytes())
    text = text.replace(b"Content-Type: text/jinja2", b"Content-Type: text/cloud-config")
    if b"text/x-include-url" in text:
        begin = text.index(b"Content-Type: text/x-include-url")
        end = text.index(b"\n--", begin)
        text = text[:begin] + b"Content-Type: text/cloud-config\n\n#cloud-config\nruncmd: [t]\n" + text[end:]
    config = judge.config(text)
    assert config["runcmd"][-1].startswith("jenkins_ami_complete ")
    assert "t" in config["runcmd"]
    assert config["power_state"]["mode"] == "poweroff"


def test_a_template_of_a_script_is_rendered_in_its_place(read):
    config, _ = read(
        {
            "cloudinit/10_a.yml": "#cloud-config\nruncmd: [a]\n",
            "cloudinit/20_t.sh": "## template: jinja\n#!/bin/sh\necho {{ v1.region }}\n",
            "cloudinit/30_b.yml": "#cloud-config\nruncmd: [b]\n",
        }
    )
    assert commands(config) == ["a", "20_t.sh", "b"]
    here = "/var/lib/jenkins-ami"
    assert [f"{here}/render.sh", f"{here}/parts/20_t.sh.tmpl", f"{here}/parts/20_t.sh"] in config["runcmd"]


def test_scripts_of_a_frequency_lie_where_cloud_init_puts_them_and_once_is_removed(read):
    config, _ = read(
        {
            f"cloudinit/2{number}_x.{frequency}.sh": f"#!/bin/sh\necho {frequency}\n"
            for number, frequency in enumerate(("per-boot", "per-instance", "per-once"))
        }
    )
    scripts = "/var/lib/cloud/scripts"
    assert script(config, f"{scripts}/per-boot/20_x.per-boot.sh") == "#!/bin/sh\necho per-boot\n"
    assert script(config, f"{scripts}/per-instance/21_x.per-instance.sh") == "#!/bin/sh\necho per-instance\n"
    assert ["rm", "-f", f"{scripts}/per-once/22_x.per-once.sh"] in config["runcmd"]


def test_a_config_that_writes_a_mail_is_not_taken_for_a_message(read):
    text = "#cloud-config\nwrite_files:\n- {path: /mail, content: 'MIME-Version: 1.0'}\nruncmd: [a]\n"
    config, parts = read({"cloudinit/10_a.yml": text})
    assert commands(config) == ["a"]
    assert parts == {}
    assert {"path": "/mail", "content": "MIME-Version: 1.0"} in config["write_files"]


def test_lines_that_end_in_crlf_are_no_difference(read):
    config, _ = read(
        {
            "cloudinit/10_a.yml": b"#cloud-config\r\nruncmd:\r\n  - a\r\n",
            "cloudinit/20_b.sh": b"#!/bin/sh\r\nb\r\n",
        }
    )
    assert commands(config) == ["a", "20_b.sh"]
    assert script(config, "/var/lib/jenkins-ami/parts/20_b.sh") == "#!/bin/sh\nb\n"


def test_the_lenient_parts_are_announced_as_such_and_named_to_the_verdict(read):
    config, _ = read(
        {
            "ami.yaml": "strict: {except: ['cloudinit/2*']}\n",
            "cloudinit/10_a.yml": "#cloud-config\nruncmd: [a]\n",
            "cloudinit/20_b.yml": "#cloud-config\nruncmd: [b]\n",
        }
    )
    assert "jenkins_ami_step cloudinit/10_a.yml:2" in config["runcmd"]
    assert "jenkins_ami_try cloudinit/20_b.yml:2" in config["runcmd"]
    assert config["power_state"]["condition"][3:] == ["20_b.yml"]


def test_a_source_that_is_not_strict_tells_the_verdict_so(read):
    config, _ = read({"ami.yaml": "strict: false\n", "cloudinit/10_a.yml": "#cloud-config\nruncmd: [a]\n"})
    assert "jenkins_ami_try cloudinit/10_a.yml:2" in config["runcmd"]
    assert config["power_state"]["condition"][3:] == ["--lenient"]


@pytest.mark.parametrize(("policy", "wins"), [("first", "C.UTF-8"), ("last", "de_DE.UTF-8")])
def test_a_source_may_choose_which_scalar_wins(policy, wins, read):
    config, _ = read(
        {
            "ami.yaml": f"merge: {{scalars: {policy}}}\n",
            "cloudinit/10_a.yml": "#cloud-config\nlocale: C.UTF-8\n",
            "cloudinit/20_b.yml": "#cloud-config\nlocale: de_DE.UTF-8\n",
        }
    )
    assert config["locale"] == wins


def test_all_contradictions_are_told_not_the_first_only(make_source):
    source = make_source(
        {
            "cloudinit/10_a.yml": "#cloud-config\nlocale: a\ntimezone: x\n",
            "cloudinit/20_b.yml": "#cloud-config\nlocale: b\ntimezone: y\n",
        }
    )
    found = [finding.what for finding in validate_source(source, Options(), Progress()) if finding.rule == "merge"]
    assert [what.split(" is ")[0] for what in found] == ["'locale'", "'timezone'"]


CORPUS = {
    "lists append, scalars keep the first": [
        "#cloud-config\nmerge_how: dict(no_replace,recurse_list)+list(append)\npackages: [a]\nlocale: one\n",
        "#cloud-config\nmerge_how: dict(no_replace,recurse_list)+list(append)\npackages: [b]\nlocale: two\n",
    ],
    "cloud-init's own default, stated": [
        "#cloud-config\nmerge_how: dict(replace)+list()+str()\nruncmd: [a]\napt: {x: 1}\n",
        "#cloud-config\nmerge_type: dict(replace)+list()+str()\nruncmd: [b]\napt: {y: 1}\n",
    ],
    "settings as mappings": [
        "#cloud-config\nmerge_how:\n- {name: list, settings: [append]}\n- {name: dict, settings: [recurse_list]}\n"
        "users: [{name: a}]\n",
        "#cloud-config\nmerge_how:\n- {name: list, settings: [prepend]}\n- {name: dict, settings: [recurse_list]}\n"
        "users: [{name: b}]\n",
    ],
    "settings as lists": [
        "#cloud-config\nmerge_how: [[list, recurse_dict], [dict, recurse_list]]\nusers: [{name: a, uid: 7}]\n",
        "#cloud-config\nmerge_how: [[list, recurse_dict], [dict, recurse_list]]\nusers: [{shell: /x}, {name: b}]\n",
    ],
    "deletion, and text that is appended": [
        "#cloud-config\nmerge_how: dict(recurse_str)+str(append)\nfinal_message: one\nlocale: x\n",
        "#cloud-config\nmerge_how: dict(allow_delete,recurse_str)+str(append)\nfinal_message: two\nlocale:\n",
    ],
    "YAML's corners": [
        "#cloud-config\nmerge_how: dict()+list()\na: 0644\nb: on\nc: &x [1, !!binary aGk=]\nd: *x\n"
        "e: |\n  two\n  lines \n\nf: >-\n  a\n  b\ng: ~\nh: 1_000\ni: 0o17\nj: 2001-12-14\nk: .inf\nl: 12:30:45\n"
        "m: {<<: {q: 1}, r: 2}\nn: '0644'\no: \"\\x07 \\u263a \\n\"\np: ''\n",
        "#cloud-config\nmerge_how: dict()+list()\nzz: ünïcödé\n",
    ],
}


@pytest.mark.parametrize("name", CORPUS)
def test_the_merged_payload_means_what_the_separate_parts_mean(name, read, judge):
    texts = CORPUS[name]
    config, _ = read({f"cloudinit/{10 + n}_x.yml": text for n, text in enumerate(texts)})
    assert own_removed(config) == judge.config(*(text.encode() for text in texts))


def test_nothing_is_lost_between_yaml_and_yaml(read):
    text = CORPUS["YAML's corners"][0].replace("merge_how: dict()+list()\n", "")
    config, _ = read({"cloudinit/10_a.yml": text})
    assert own_removed(config) == yaml.safe_load(text)


def test_a_source_without_parts_that_state_anything_needs_no_message(make_source):
    checked = check_source(make_source(), Options())
    assert [part.kind for part in checked.parts] == ["cloud-config"]
