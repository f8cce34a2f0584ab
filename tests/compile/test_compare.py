"""What differs between two compiled AMIs, and what is no difference."""

import base64
import gzip
import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import zlib

import pytest
import yaml
import zstandard

from jenkins_ami.artifacts import (
    COMPILE_JSON,
    OVERLAY,
    OVERLAY_ZSTD,
    USERDATA,
    VARS_ENV,
    Manifest,
    Overlay,
    describe_file,
    read_compiled,
    to_json,
)
from jenkins_ami.compile.assemble import APPEND, PREPEND
from jenkins_ami.compile.changes import text_diff, values
from jenkins_ami.compile.compare import compare, inline_overlay
from jenkins_ami.compile.compare_overlay import compare_overlays
from jenkins_ami.compile.payload import compress
from jenkins_ami.errors import InputError

HERE = "/var/lib/jenkins-ami"


def tarball(files, *, compression="gzip"):
    """A tarball of ``{name: text | (text, {attribute: value}) | TarInfo}``."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, value in files.items():
            if isinstance(value, tarfile.TarInfo):
                archive.addfile(value)
                continue
            text, attributes = value if isinstance(value, tuple) else (value, {})
            info = tarfile.TarInfo(name)
            data = text if isinstance(text, bytes) else text.encode()
            info.size, info.mode, info.uname, info.gname = len(data), 0o644, "root", "root"
            for key, item in attributes.items():
                setattr(info, key, item)
            archive.addfile(info, io.BytesIO(data))
    raw = out.getvalue()
    return zstandard.compress(raw) if compression == "zstd" else gzip.compress(raw, mtime=0)


def link(name, target):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.uname, info.gname = tarfile.SYMTYPE, target, 0o777, "root", "root"
    return info


@pytest.fixture
def make(tmp_path):
    """Write a compiled AMI: a cloud-config as a mapping, or whole user-data as text; an overlay's tarball."""

    def make(name, config=None, *, text=None, overlay=None, placement="inline", file=OVERLAY, variables="", **manifest):
        folder = tmp_path / name
        folder.mkdir()
        text = text if text is not None else "#cloud-config\n" + yaml.dump(config or {}, sort_keys=False)
        inline = overlay if overlay and placement == "inline" else b""
        (folder / USERDATA).write_bytes(compress(text, inline))
        (folder / VARS_ENV).write_text(variables)
        state = Overlay()
        if overlay:
            state = Overlay(placement, len(overlay), hashlib.sha256(overlay).hexdigest(), file=file)
            if placement == "storage":
                (folder / file).write_bytes(overlay)
        files = {path.name: describe_file(path) for path in folder.iterdir()}
        known = {"name": "n", "version": "1", "base": "scratch", "nonce": name, "digest": name, "files": files}
        (folder / COMPILE_JSON).write_text(to_json(Manifest(**{**known, "overlay": state, **manifest})))
        return read_compiled(folder)

    return make


def said(changes):
    """Changes as ``(action, what, old, new)``."""
    return [(change.action, change.what, change.old, change.new) for change in changes]


def of(old, new, section=None):
    return said(change for change in compare(old, new).changes if section in (None, change.section))


# --- values


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {}, []),
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("changed", "a", 1, 2)]),
        ({"a": 1}, {"a": True}, [("changed", "a", 1, True)]),
        ({"a": 1}, {"a": 1.0}, [("changed", "a", 1, 1.0)]),
        ({"a": 1}, {"a": "1"}, [("changed", "a", 1, "1")]),
        ({}, {"a": {"b": {"c": 1}}}, [("added", "a.b.c", None, 1)]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, [("removed", "a.c", 2, None)]),
        ({}, {"a": {}}, [("added", "a", None, {})]),
        ({"a": []}, {}, [("removed", "a", [], None)]),
        ({"a": {"b": 1}}, {"a": [1]}, [("changed", "a", {"b": 1}, [1])]),
        ({}, {"a": ["x", "y"]}, [("added", "a", None, "x"), ("added", "a", None, "y")]),
        ({"a": ["x", "y"]}, {"a": ["y"]}, [("removed", "a", "x", None)]),
        ({"a": ["x", "y", "z"]}, {"a": ["x", "new", "y", "z"]}, [("added", "a", None, "new")]),
        ({"a": ["x", "y", "z"]}, {"a": ["z", "x", "y"]}, [("moved", "a", 3, 1)]),
        ({"a": ["x", "x"]}, {"a": ["x"]}, [("removed", "a", "x", None)]),
        ({"a": [["x", 1]]}, {"a": [["x", "1"]]}, [("removed", "a", ["x", 1], None), ("added", "a", None, ["x", "1"])]),
        (
            {"users": [{"name": "a", "shell": "s"}]},
            {"users": [{"name": "a", "shell": "t"}]},
            [("changed", "users[a].shell", "s", "t")],
        ),
        (
            {"users": ["default", {"name": "a"}]},
            {"users": ["default", {"name": "b"}]},
            [("removed", "users", {"name": "a"}, None), ("added", "users", None, {"name": "b"})],
        ),
        ({"a": b"\0\1"}, {"a": b"\0\2"}, [("changed", "a", b"\0\1", b"\0\2")]),
        ({1: "a"}, {1: "b"}, [("changed", "1", "a", "b")]),
    ],
)
def test_values_are_compared_by_structure(old, new, expected):
    assert said(values("s", old, new)) == expected


def test_an_entry_that_moved_and_changed_is_told_as_both():
    old = [{"path": "/a", "mode": 1}, {"path": "/b"}, {"path": "/c"}]
    new = [{"path": "/b"}, {"path": "/c"}, {"path": "/a", "mode": 2}]
    assert said(values("s", old, new, "files")) == [("moved", "files", 1, 3), ("changed", "files[/a].mode", 1, 2)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"a\nb\n", b"a\nc\n", ("@@ -1,2 +1,2 @@", " a", "-b", "+c")),
        (b"a\n", b"a", ("@@ -1 +1 @@", "-a", "+a (no newline at the end)")),
        (b"", b"a\n", ("@@ -0,0 +1 @@", "+a")),
        (b"a\0", b"b\0", ()),
        (b"\xff", b"\xfe", ()),
        (b"a" * 65_537, b"b", ()),
        (b"a\r\n", b"a\n", ("@@ -1 +1 @@", "-a\r", "+a")),
    ],
)
def test_texts_are_compared_by_lines(old, new, expected):
    assert text_diff(old, new) == expected


# --- the overlay in the header of gzip


def header(*subfields, flags=4, length=None):
    extra = b"".join(name + struct.pack("<H", len(data)) + data for name, data in subfields)
    size = struct.pack("<H", len(extra) if length is None else length)
    body = zlib.compressobj(wbits=-15)
    deflated = body.compress(b"text") + body.flush()
    return b"\x1f\x8b\x08" + bytes([flags]) + b"\0" * 6 + size + extra + deflated + b"\0" * 8


def test_an_inlined_overlay_is_found_in_the_extra_field():
    assert inline_overlay(compress("#cloud-config\n{}\n", b"tarball")) == b"tarball"
    assert inline_overlay(header((b"AB", b"other"), (b"JA", b"ours"))) == b"ours"
    assert inline_overlay(header((b"JA", b""))) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x1f\x8b\x08",
        b"#cloud-config\n",
        gzip.compress(b"text"),
        header((b"AB", b"other")),
        header((b"JA", b"ours"), flags=0),
        header((b"JA", b"ours"), length=60_000),
        header((b"JA", b"ours"), length=6),
        header((b"JA", b"ours"))[:14],
    ],
    ids=["empty", "cut", "plain", "no field", "foreign", "no flag", "too long", "too short", "no data"],
)
def test_what_holds_no_overlay_is_told_apart(data):
    assert inline_overlay(data) is None


# --- overlays


def test_files_are_compared_by_kind_mode_owner_and_content():
    old = tarball(
        {
            "etc/same": "x",
            "etc/gone": "x",
            "etc/text": "one\ntwo\n",
            "etc/mode": "x",
            "etc/owner": "x",
            "etc/kind": "x",
            "usr/bin/binary": b"\0one",
            "link": link("link", "a"),
        }
    )
    new = tarball(
        {
            "etc/same": "x",
            "etc/new": ("xyz", {"mode": 0o755}),
            "etc/text": "one\n2\n",
            "etc/mode": ("x", {"mode": 0o600}),
            "etc/owner": ("x", {"gname": "www-data"}),
            "etc/kind": link("etc/kind", "same"),
            "usr/bin/binary": b"\0two!",
            "link": link("link", "b"),
        }
    )
    changes = {change.what: change for change in compare_overlays(old, new)}
    assert sorted(changes) == [
        "fs/etc/gone",
        "fs/etc/kind",
        "fs/etc/mode",
        "fs/etc/new",
        "fs/etc/owner",
        "fs/etc/text",
        "fs/link",
        "fs/usr/bin/binary",
    ]
    assert changes["fs/etc/new"].action == "added"
    assert changes["fs/etc/new"].new == {
        "kind": "file",
        "mode": "0755",
        "owner": "root:root",
        "size": 3,
        "sha256": hashlib.sha256(b"xyz").hexdigest(),
    }
    assert changes["fs/etc/gone"].action == "removed"
    assert changes["fs/etc/text"].diff == ("@@ -1,2 +1,2 @@", " one", "-two", "+2")
    assert (changes["fs/etc/mode"].old["mode"], changes["fs/etc/mode"].new["mode"]) == ("0644", "0600")
    assert changes["fs/etc/owner"].new["owner"] == "root:www-data"
    assert (changes["fs/etc/kind"].old["kind"], changes["fs/etc/kind"].new["kind"]) == ("file", "symlink")
    assert changes["fs/usr/bin/binary"].diff == ()
    assert (changes["fs/link"].old["target"], changes["fs/link"].new["target"]) == ("a", "b")


def test_an_overlay_that_comes_or_goes_is_all_its_files():
    packed = tarball({"a": "1", "b": "2"})
    assert [(change.action, change.what) for change in compare_overlays(None, packed)] == [
        ("added", "fs/a"),
        ("added", "fs/b"),
    ]
    assert [change.action for change in compare_overlays(packed, None)] == ["removed", "removed"]


def test_gzip_and_zstd_of_the_same_tree_are_the_same():
    files = {"etc/a": "x", "b": os.urandom(300_000)}
    assert list(compare_overlays(tarball(files), tarball(files, compression="zstd"))) == []


def test_install_sh_is_called_what_it_is_in_the_source():
    old, new = (tarball({"var/lib/jenkins-ami/install.sh": text}) for text in ("#!/bin/sh\n", "#!/bin/sh\ntrue\n"))
    (change,) = compare_overlays(old, new)
    assert (change.what, change.diff) == ("script/install.sh", ("@@ -1 +1,2 @@", " #!/bin/sh", "+true"))


def test_a_damaged_tarball_is_an_error_that_names_it(tmp_path):
    (tmp_path / "fs.tgz").write_bytes(tarball({"a": os.urandom(5000)})[:-3000])
    with pytest.raises(InputError) as caught:
        list(compare_overlays(None, tmp_path / "fs.tgz"))
    assert caught.value.line().startswith("the overlay cannot be read: ")
    assert f"({tmp_path}/fs.tgz)" in caught.value.line()


def test_a_tarball_that_is_no_tar_is_an_error():
    with pytest.raises(InputError, match="the overlay cannot be read"):
        list(compare_overlays(None, gzip.compress(b"x" * 5000)))


@pytest.mark.parametrize("at", [8, 600_000], ids=["at once", "amid a file"])
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_changed_tarball_is_an_error_wherever_it_was_changed(compression, at):
    data = bytearray(tarball({"a": os.urandom(1_000_000)}, compression=compression))
    data[at : at + 60] = bytes(60)
    del data[-100_000:]
    with pytest.raises(InputError, match="the overlay cannot be read"):
        list(compare_overlays(None, bytes(data)))


def test_memory_does_not_grow_with_the_overlay(tmp_path):
    for name in ("old", "new"):
        with gzip.open(tmp_path / f"{name}.tgz", "wb", compresslevel=1) as out:
            with tarfile.open(fileobj=out, mode="w|") as archive:
                for number in range(30):
                    info = tarfile.TarInfo(f"blob{number}")
                    info.size = 10 * 2**20
                    archive.addfile(info, io.BytesIO(name.encode()[:1] * info.size))
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from jenkins_ami.compile.compare_overlay import compare_overlays\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "changes = list(compare_overlays(Path(sys.argv[1]), Path(sys.argv[2])))\n"
        "print(len(changes), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    argv = [sys.executable, "-c", code, tmp_path / "old.tgz", tmp_path / "new.tgz"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    count, grown = map(int, done.stdout.split())
    assert count == 30
    assert grown < 40_000  # KiB; each overlay has 300 MB


# --- the user-data


def own(nonce="0" * 16, *, version=1, words=()):
    """What compile adds around a user's entries: those in front, those behind, the rest of the document."""
    front = [f". {HERE}/steps.sh"]
    back = [
        "jenkins_ami_step 'compile 51_overlay'",
        [f"{HERE}/overlay.sh", str(version), "abc", "gzip"],
        "jenkins_ami_step 'compile 98_logs'",
        ["sh", "-c", f"echo {version}"],
        f"jenkins_ami_complete {version}",
    ]
    files = [{"path": f"{HERE}/verdict.sh", "permissions": "0700", "content": f"# {version}"}]
    power = {"mode": "poweroff", "timeout": 120, "condition": ["sh", f"{HERE}/verdict.sh", nonce, *words]}
    return front, back, files, power


def document(commands=(), files=(), places=None, **more):
    front, back, own_files, power = own(**{key: more.pop(key) for key in ("nonce", "version", "words") if key in more})
    told = []
    for number, command in enumerate(commands, 1):
        word, place = (places or {}).get(command if isinstance(command, str) else "", ("step", f"x:{number}"))
        told += [f"jenkins_ami_{word} {place}", command]
    return {
        "write_files": [*own_files, *files],
        "runcmd": [*front, *told, *back],
        "power_state": power,
        **more,
    }


def test_what_compile_adds_is_no_difference(make):
    old = make("old", document(["echo a"], nonce="1" * 16, version=1, packages=["p"]))
    new = make("new", document(["echo a"], nonce="2" * 16, version=2, packages=["p"]))
    assert of(old, new) == []


def test_a_command_that_is_in_another_line_now_is_no_difference(make):
    old = make("old", document(["echo a"], places={"echo a": ("step", "cloudinit/60_x.yml:3")}))
    new = make("new", document(["echo a"], places={"echo a": ("step", "cloudinit/70_y.yml:9")}))
    assert of(old, new) == []


def test_commands_are_added_removed_and_moved(make):
    old = make("old", document(["first", "second", ["echo", "a b"]]))
    new = make("new", document([["echo", "a b"], "first", "third"]))
    assert of(old, new) == [
        ("removed", "runcmd", "second", None),
        ("moved", "runcmd", 3, 1),
        ("added", "runcmd", None, "third"),
    ]


def test_a_command_that_may_fail_now_is_a_difference(make):
    old = make("old", document(["echo a"]))
    new = make("new", document(["echo a"], places={"echo a": ("try", "x:1")}, words=["60_x.yml"]))
    assert ("added", "runcmd", None, "echo a (may fail)") in of(old, new)
    assert ("added", "parts that may fail", None, "cloudinit/60_x.yml") in of(old, new)


def test_files_are_compared_by_what_they_hold_not_how_it_is_encoded(make):
    text = "line\nother\n"
    packed = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
    old = make("old", document(files=[{"path": "/etc/a", "content": text}]))
    new = make("new", document(files=[{"path": "/etc/a", "encoding": "gz+base64", "content": packed}]))
    assert of(old, new) == []


def test_the_content_of_a_file_is_compared_by_lines(make):
    old = make("old", document(files=[{"path": "/etc/a", "content": "one\n", "permissions": "0600"}]))
    two = {"path": "/etc/a", "encoding": "b64", "content": base64.b64encode(b"two\n").decode(), "permissions": "0644"}
    new = make("new", document(files=[two]))
    mode, content = sorted(compare(old, new).changes, key=lambda change: change.what, reverse=True)
    assert (content.what, content.diff) == ("write_files[/etc/a].content", ("@@ -1 +1 @@", "-one", "+two"))
    assert (mode.what, mode.old, mode.new) == ("write_files[/etc/a].permissions", "0600", "0644")


def test_a_shell_part_is_called_what_it_is_in_the_source(make):
    script = {"path": f"{HERE}/parts/60_x.sh", "permissions": "0700"}
    run = [f"{HERE}/parts/60_x.sh"]
    old = make("old", document([run], files=[script | {"content": "#!/bin/sh\ntrue\n"}]))
    new = make("new", document([run], files=[script | {"content": "#!/bin/sh\nfalse\n"}]))
    (change,) = compare(old, new).changes
    assert change.what == "write_files[cloudinit/60_x.sh].content"
    assert change.diff[-2:] == ("-true", "+false")


def message(*parts):
    lines = ["MIME-Version: 1.0", 'Content-Type: multipart/mixed; boundary="b"', ""]
    for headers, body in parts:
        lines += ["--b", *headers, "", body]
    return "\n".join([*lines, "--b--", ""])


def config_part(config, merging=""):
    headers = ["Content-Type: text/cloud-config", *([f"X-Merge-Type: {merging}"] if merging else [])]
    return headers, "#cloud-config\n" + yaml.dump(config)


def test_parts_that_travel_beside_the_config_are_compared_by_lines(make):
    def user_data(text):
        headers = ["Content-Type: text/cloud-boothook", 'Content-Disposition: attachment; filename="05_boot.sh"']
        return message((headers, text), config_part({"packages": ["a"]}))

    old = make("old", text=user_data("#cloud-boothook\ntrue\n"))
    new = make("new", text=user_data("#cloud-boothook\nfalse\n"))
    (change,) = compare(old, new).changes
    assert (change.section, change.action, change.what) == ("parts", "changed", "05_boot.sh")
    assert change.diff == ("@@ -1,2 +1,2 @@", " #cloud-boothook", "-true", "+false")
    assert of(make("none", {"packages": ["a"]}), old) == [
        ("added", "05_boot.sh", None, {"type": "text/cloud-boothook", "content": b"#cloud-boothook\ntrue\n"})
    ]


def test_configs_that_the_instance_puts_together_are_one(make):
    one = make("one", {"packages": ["a", "b", "c"], "apt": {"conf": "x", "preserve": True}})
    three = make(
        "three",
        text=message(
            config_part({"packages": ["b"], "apt": {"conf": "x"}}),
            config_part({"packages": ["a"]}, PREPEND),
            config_part({"packages": ["c"], "apt": {"conf": "y", "preserve": True}}, APPEND),
        ),
    )
    assert of(one, three) == []


def test_a_config_that_states_its_merging_is_compared_by_itself(make):
    def user_data(package):
        merging = "list(replace)+dict(replace)+str()"
        return message(config_part({"packages": ["a"]}), config_part({"packages": [package]}, merging))

    assert of(make("old", text=user_data("b")), make("new", text=user_data("c"))) == [
        ("removed", "(merged by list(replace)+dict(replace)+str()).packages", "b", None),
        ("added", "(merged by list(replace)+dict(replace)+str()).packages", None, "c"),
    ]


# --- two compiled AMIs


def test_the_manifest_is_compared_without_what_follows_from_the_rest(make):
    old = make("old", {}, version="1.0", tags={"team": "a"}, commit="abc")
    new = make("new", {}, version="1.1", tags={"team": "b"}, volume_size=8, parameters={"p": "x"}, commit="def")
    assert sorted(of(old, new, "manifest"), key=repr) == [
        ("added", "parameters.p", None, "x"),
        ("added", "volume_size", None, 8),
        ("changed", "tags.team", "a", "b"),
        ("changed", "version", "1.0", "1.1"),
    ]


def test_variables_are_compared(make):
    old = make("old", {}, variables="A=1\nB=x=y\n")
    new = make("new", {}, variables="A=2\nB=x=y\nC=\n")
    assert of(old, new) == [("changed", "A", "1", "2"), ("added", "C", None, "")]


@pytest.mark.parametrize("placement", ["inline", "storage"])
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_the_overlay_is_found_wherever_it_travels(make, placement, compression):
    file = OVERLAY if compression == "gzip" else OVERLAY_ZSTD
    old, new = (
        make(name, {}, overlay=tarball({"etc/a": name}, compression=compression), placement=placement, file=file)
        for name in ("one", "two")
    )
    (change,) = compare(old, new).changes
    assert (change.what, change.diff[1:]) == (
        "fs/etc/a",
        ("-one (no newline at the end)", "+two (no newline at the end)"),
    )


def test_another_way_for_the_same_overlay_is_a_difference_of_the_manifest_only(make):
    packed = tarball({"etc/a": "x"})
    old, new = make("old", {}, overlay=packed), make("new", {}, overlay=packed, placement="storage")
    assert of(old, new) == [("changed", "overlay.placement", "inline", "storage")]


def test_changes_are_told_as_json_with_bytes_as_size_and_digest(make):
    old, new = make("old", document()), make("new", document(files=[{"path": "/a", "content": "x"}]))
    (change,) = compare(old, new).changes
    assert json.loads(json.dumps(change.as_dict())) == {
        "section": "cloud-config",
        "action": "added",
        "what": "write_files",
        "new": {"path": "/a", "content": {"size": 1, "sha256": hashlib.sha256(b"x").hexdigest()}},
    }


def foreign(make, tmp_path, userdata, **manifest):
    folder = make("foreign", {}, **manifest).path
    (folder / USERDATA).write_bytes(userdata)
    data = json.loads((folder / COMPILE_JSON).read_text())
    data["files"][USERDATA] = vars(describe_file(folder / USERDATA))
    (folder / COMPILE_JSON).write_text(json.dumps(data))
    return read_compiled(folder)


@pytest.mark.parametrize(
    ("userdata", "what"),
    [
        (b"#cloud-config\n{}\n", "Not a gzipped file (b'#c')"),
        (compress("#cloud-config\n{}\n")[:-4], "Compressed file ended before the end-of-stream marker was reached"),
        (compress("#cloud-config\n- a\n"), "a cloud-config is no mapping"),
    ],
    ids=["not gzip", "cut", "a list"],
)
def test_user_data_of_another_make_is_refused(make, tmp_path, userdata, what):
    with pytest.raises(InputError) as caught:
        compare(make("old", {}), foreign(make, tmp_path, userdata))
    assert caught.value.line() == (
        f"the user-data is not what this version compiles: {what} ({tmp_path}/foreign/userdata.gz). "
        "Run 'jenkins-ami compile' again."
    )


def test_user_data_without_the_overlay_that_the_manifest_states_is_refused(make, tmp_path):
    with pytest.raises(InputError) as caught:
        compare(make("old", {}), foreign(make, tmp_path, compress("#cloud-config\n{}\n"), overlay=tarball({"a": "x"})))
    assert "it holds no overlay, although compile.json says so" in caught.value.line()
