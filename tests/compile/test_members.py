"""What is in an overlay, and all that is refused: real files, all findings at once."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jenkins_ami.compile.members import FILE, FOLDER, HARDLINK, INSTALL, SYMLINK, Member, glob, scan
from jenkins_ami.findings import Findings
from jenkins_ami.source.reader import read_source


def scanned(source: Path) -> tuple[dict[str, Member], Findings]:
    findings = Findings()
    members = scan(read_source(source), source, findings)
    return {member.name: member for member in members}, findings


def members_of(source: Path) -> dict[str, Member]:
    members, findings = scanned(source)
    assert findings.items == []
    return members


def lines_of(source: Path) -> list[str]:
    """The findings, with places relative to the source."""
    return [finding.line().replace(f"{source}/", "") for finding in scanned(source)[1].items]


# what is there


def test_all_kinds_of_names_are_members_sorted_by_their_bytes(make_source):
    source = make_source({"fs/.hidden": "h", "fs/a b/ü\n.txt": "u", "fs/a.b": "", f"fs/{'d' * 200}/{'e' * 200}": ""})
    (source / "fs/empty").mkdir()
    (source / "fs/link").symlink_to("/usr/share/doc")
    Path(os.fsdecode(os.fsencode(source / "fs") + b"/\xff\xfe")).write_text("not UTF-8")
    members = members_of(source)
    assert {name: member.kind for name, member in members.items()} == {
        ".hidden": FILE,
        "a b": FOLDER,
        "a b/ü\n.txt": FILE,
        "a.b": FILE,
        "d" * 200: FOLDER,
        f"{'d' * 200}/{'e' * 200}": FILE,
        "empty": FOLDER,
        "link": SYMLINK,
        "\udcff\udcfe": FILE,
    }
    assert list(members) == sorted(members, key=os.fsencode)
    assert members["link"].link == "/usr/share/doc"
    assert members[".hidden"].size == 1
    assert members["a b"].size == 0


def test_a_member_knows_its_file_and_its_place_in_the_source_that_the_user_named(make_source):
    copy, named = make_source({"fs/etc/x": ""}, name="copy"), Path("named")
    (member,) = (m for m in scan(read_source(copy), named, Findings()) if m.kind == FILE)
    assert (member.path, str(member.where)) == (copy / "fs/etc/x", "named/fs/etc/x")


def test_gitkeep_files_are_left_out_and_their_folders_stay(make_source):
    files = dict.fromkeys(("fs/.gitkeep", "fs/a/.gitkeep", "fs/run/.gitkeep"), "x")
    assert list(members_of(make_source(files))) == ["a", "run"]


def test_install_sh_comes_last_and_needs_no_overlay(make_source):
    source = make_source({"script/install.sh": "#!/bin/sh\n", "fs/var/x": "", "fs/zz": ""})
    assert list(members_of(source)) == ["var", "var/x", "zz", INSTALL]
    alone = members_of(make_source({"script/install.sh": "#!/bin/sh\n"}, name="alone"))
    assert (alone[INSTALL].mode, alone[INSTALL].size) == (0o700, 10)


def test_names_of_one_file_are_hard_links_to_the_first_of_them(make_source):
    source = make_source({"fs/m": "one", "outside": "two"})
    for name in ("z", "a", "b/c"):
        (source / "fs" / name).parent.mkdir(exist_ok=True)
        (source / "fs" / name).hardlink_to(source / "fs/m")
    (source / "fs/alone").hardlink_to(source / "outside")
    members = members_of(source)
    assert {name: (m.kind, m.link, m.size) for name, m in members.items() if m.kind != FOLDER} == {
        "a": (FILE, "", 3),
        "alone": (FILE, "", 3),
        "b/c": (HARDLINK, "a", 0),
        "m": (HARDLINK, "a", 0),
        "z": (HARDLINK, "a", 0),
    }


def test_modes_are_kept_but_for_what_differs_between_checkouts(make_source):
    source = make_source({"fs/secret": "", "fs/tool": "", "fs/loose": "", "fs/d/x": "", "fs/sticky": ""})
    modes = {"secret": 0o600, "tool": 0o755, "loose": 0o666, "d": 0o3775, "sticky": 0o1644}
    for name, mode in modes.items():
        (source / "fs" / name).chmod(mode)
    (source / "fs/link").symlink_to("tool")
    members = members_of(source)
    assert {name: oct(members[name].mode) for name in (*modes, "link")} == {
        "secret": "0o600",
        "tool": "0o755",
        "loose": "0o644",
        "d": "0o755",
        "sticky": "0o644",
        "link": "0o777",
    }


def test_a_umask_that_closes_files_to_others_is_a_warning(make_source):
    source = make_source({"fs/x": ""})
    (source / "fs").chmod(0o700)
    assert [finding.level for finding in scanned(source)[1].items] == ["warning"]
    assert lines_of(source) == [
        "fs is closed to others, as by a umask: what lies in it is like that on the instance (fs). "
        "Check the source out with umask 022, or give modes by rules: Git keeps none."
    ]


def test_a_tree_deeper_than_pythons_stack_is_scanned(make_source):
    source = make_source({"fs/x": ""})
    folders = [source / "fs"]
    try:
        for _ in range(1200):
            folders.append(Path(f"{folders[-1]}/d"))
            folders[-1].mkdir()
        assert len(members_of(source)) == 1201
    finally:
        for folder in reversed(folders[1:]):
            folder.rmdir()  # pytest's own cleaning up is recursive


def test_fs_may_be_a_link_to_another_folder_of_the_source(make_source):
    source = make_source({"overlay/etc/x": "text", "cloudinit/10_a.yml": '#cloud-config\nruncmd: ["true"]\n'})
    (source / "fs").symlink_to("overlay")
    assert list(members_of(source)) == ["etc", "etc/x"]


# rules


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("etc/x", ["etc/x"], ["etc/xx", "a/etc/x", "etc"]),
        ("etc/*", ["etc/x", "etc/.x", "etc/ü\n"], ["etc", "etc/a/b"]),
        ("etc/**", ["etc/x", "etc/a/b/c"], ["etc", "etcx"]),
        ("**", ["a", "a/b"], []),
        ("**/x", ["x", "a/x", "a/b/x"], ["ax", "a/xx"]),
        ("a/**/x", ["a/x", "a/b/x", "a/b/c/x"], ["ax", "b/x", "a/bx"]),
        ("a**z", ["az", "a/b/z"], ["a/b"]),
        ("?.sh", ["a.sh"], ["/.sh", "ab.sh"]),
        ("[ab]x", ["ax", "bx"], ["cx"]),
        ("[!ab]x", ["cx"], ["ax", "/x"]),
        ("a[", ["a["], ["a"]),
        ("[z-a]", [], ["z", "a"]),
        ("[]]", ["]"], ["["]),
        ("a.c+(d)", ["a.c+(d)"], ["abc"]),
        ("etc/", [], ["etc"]),
    ],
)
def test_globs(pattern, matching, other):
    matches = glob(pattern)
    assert [name for name in matching + other if matches(name, False)] == matching


def test_a_glob_with_a_slash_at_its_end_is_for_folders():
    assert glob("etc/*/")("etc/x", True)
    assert not glob("etc/*/")("etc/x", False)


@given(st.text(max_size=12), st.text(max_size=12))
def test_any_text_is_a_glob(pattern, name):
    assert glob(pattern)(name, True) in (True, False)


def test_the_last_rule_wins_mode_and_owner_each_by_itself(make_source):
    rules = """overlay:
  rules:
    - {path: 'etc/**', mode: "0640", owner: "app:app"}
    - {path: 'etc/*.sh', mode: "0750"}
    - {path: 'etc/b.*', owner: "1000"}
    - {path: 'etc/*/', mode: "0750"}
    - {path: 'link', owner: "app", mode: "0600"}
"""
    source = make_source({"ami.yaml": rules, "fs/etc/a.sh": "", "fs/etc/b.sh": "", "fs/etc/d/c": "", "fs/other": ""})
    (source / "fs/link").symlink_to("other")
    members = members_of(source)
    assert {name: f"{m.mode:04o} {m.owner}:{m.group}" for name, m in members.items()} == {
        "etc": "0755 root:root",
        "etc/a.sh": "0750 app:app",
        "etc/b.sh": "0750 1000:root",
        "etc/d": "0750 app:app",
        "etc/d/c": "0640 app:app",
        "link": "0777 app:root",
        "other": "0644 root:root",
    }


def test_a_rule_that_matches_nothing_is_a_warning_at_its_place(make_source):
    rules = "overlay:\n  rules:\n    - {path: 'fs/etc/x', mode: \"0600\"}\n  setuid: ['bin/*', x]\n"
    source = make_source({"ami.yaml": rules, "fs/etc/x": "", "fs/x": ""})
    _, findings = scanned(source)
    assert [finding.level for finding in findings.items] == ["warning"] * 3
    assert lines_of(source) == [
        "the rule for 'fs/etc/x' matches nothing in fs/ (ami.yaml:3:7). "
        "Paths are relative to fs/; * stays in a folder, ** crosses folders.",
        *(
            f"'{glob}' in overlay.setuid matches no file with a set-uid, set-gid or sticky bit (ami.yaml). "
            'Git does not keep these bits: give the file a rule with its mode, like "4755".'
            for glob in ("bin/*", "x")
        ),
    ]


def test_wanted_special_bits_are_kept(make_source):
    text = """overlay:
  setuid: ['bin/*', 'spool/']
  rules:
    - {path: bin/by-rule, mode: "4750"}
    - {path: shared, mode: "2775"}
    - {path: tmp, mode: "1777"}
"""
    names = ("fs/bin/by-rule", "fs/bin/su", "fs/bin/plain", "fs/spool/x", "fs/shared/x", "fs/tmp/x")
    source = make_source({"ami.yaml": text, **dict.fromkeys(names, "")})
    (source / "fs/bin/su").chmod(0o4755)
    (source / "fs/spool").chmod(0o3770)
    members = members_of(source)
    assert {
        name: oct(members[name].mode) for name in ("bin/by-rule", "bin/su", "bin/plain", "spool", "shared", "tmp")
    } == {
        "bin/by-rule": "0o4750",
        "bin/su": "0o4755",
        "bin/plain": "0o644",
        "spool": "0o3750",
        "shared": "0o2775",
        "tmp": "0o1777",
    }


# what is refused


def a_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # its name has to be short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def a_file(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch()


def a_link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target.replace("SOURCE", str(path.parent.parent)))


def a_mode(mode: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.touch()
        path.chmod(mode)

    return make


TMPFILES = "Let systemd-tmpfiles make it: write a file for /etc/tmpfiles.d."
LIST = "List it in ami.yaml, overlay: setuid: [..], or take the bit away: chmod ug-s."
INTO = "Link to where the file is on the instance, or relative to the link."
ELSEWHERE = "Choose another place."
ITSELF = "Remove it; what uses it makes it on the instance."
REFUSED = {
    "socket": ("s", a_socket, f"a socket cannot be in an overlay (fs/s). {ITSELF}"),
    "fifo": ("f", os.mkfifo, f"a named pipe cannot be in an overlay (fs/f). {ITSELF}"),
    "climbs": (
        "a",
        a_link("../x"),
        "the link leaves the overlay, to ../x (fs/a). /a is at the top on the instance: take away one ../.",
    ),
    "climbs-and-returns": (
        "a",
        a_link("b/../../fs/x"),
        "the link leaves the overlay, to b/../../fs/x (fs/a). /a is at the top on the instance: take away one ../.",
    ),
    "points-into-the-source": (
        "a",
        a_link("SOURCE/fs/x"),
        f"the link points into the source on this machine, to fs/x (fs/a). {INTO}",
    ),
    "points-into-the-source-in-a-roundabout-way": (
        "a",
        a_link("//usr/..SOURCE//fs/x"),
        f"the link points into the source on this machine, to //usr/../fs/x (fs/a). {INTO}",
    ),
    "reserved": (
        "var/lib/jenkins-ami/steps.sh",
        a_file,
        f"/var/lib/jenkins-ami is used by the build itself (fs/var/lib/jenkins-ami). {ELSEWHERE}",
    ),
    "reserved-itself": (
        "var/lib/jenkins-ami",
        a_file,
        f"/var/lib/jenkins-ami is used by the build itself (fs/var/lib/jenkins-ami). {ELSEWHERE}",
    ),
    "run": (
        "run/app/pid",
        a_file,
        f"/run/app would be lost: /run is empty when the instance starts (fs/run/app). {TMPFILES}",
    ),
    "var-run": (
        "var/run/app",
        a_file,
        f"/var/run/app would be lost: /var/run is empty when the instance starts (fs/var/run/app). {TMPFILES}",
    ),
    "proc": (
        "proc/sys/x",
        a_file,
        "/proc/sys would be lost: /proc is empty when the instance starts (fs/proc/sys). "
        "Set kernel parameters in /etc/sysctl.d.",
    ),
    "run-is-a-link": ("run", a_link("x"), "/run is a folder of the kernel's on the instance (fs/run). Remove it."),
    "set-uid": ("x", a_mode(0o4755), f"/x is set-uid (mode 4755) and is not listed as wanted (fs/x). {LIST}"),
    "set-gid": ("x", a_mode(0o2755), f"/x is set-gid (mode 2755) and is not listed as wanted (fs/x). {LIST}"),
}


@pytest.mark.parametrize(("name", "make", "line"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_says_why(name, make, line, make_source):
    source = make_source({"fs/.gitkeep": ""})
    make(source / "fs" / name)
    _, findings = scanned(source)
    assert [finding.level for finding in findings.items] == ["error"]
    assert [text.replace(str(source), "SOURCE") for text in lines_of(source)] == [line]


def test_devices_are_refused(make_source):
    source = make_source({"fs/.gitkeep": ""})
    if os.geteuid() == 0:
        os.mknod(source / "fs/null", 0o600 | 0o020000, os.makedev(1, 3))
        expected = [f"a character device cannot be in an overlay (fs/null). {ITSELF}"]
    else:  # an ordinary user cannot make one, so that none can be there
        with pytest.raises(PermissionError):
            os.mknod(source / "fs/null", 0o600 | 0o020000, os.makedev(1, 3))
        expected = []
    assert lines_of(source) == expected


@pytest.mark.parametrize("link", ["../x", "a/../../x", "./../x/..", "/etc/../usr", "/", "..", "missing", "/no/such"])
def test_links_that_stay_on_the_instance_are_kept(link, make_source):
    source = make_source({"fs/d/.gitkeep": ""})
    (source / "fs/d/l").symlink_to(link)
    assert members_of(source)["d/l"].link == link


def test_a_link_into_the_work_copy_is_refused_as_well_as_one_into_the_source(make_source, tmp_path):
    named, copy = make_source({}, name="named"), make_source({"fs/a": ""}, name="work/source")
    (copy / "fs/copy").symlink_to(copy / "fs/a")
    (copy / "fs/home").symlink_to(tmp_path / "work/home/.profile")
    (copy / "fs/named").symlink_to(named / "fs/a")
    findings = Findings()
    scan(read_source(copy), named, findings)
    places = sorted(str(finding.where.file.relative_to(named)) for finding in findings.errors)
    assert places == ["fs/copy", "fs/home", "fs/named"]


def test_rules_that_differ_for_names_of_one_file_are_refused(make_source):
    source = make_source({"ami.yaml": "overlay: {rules: [{path: b, owner: app}]}\n", "fs/a": ""})
    (source / "fs/b").hardlink_to(source / "fs/a")
    assert lines_of(source) == [
        "/b is one file with /a (a hard link), and the rules give them other modes or owners (fs/b). "
        "Make it a file of its own, or one rule for both."
    ]


def test_a_name_too_long_for_a_tarball_is_refused(make_source):
    source = make_source({"ami.yaml": f"overlay: {{rules: [{{path: a, owner: {'u' * 32}}}]}}\n", "fs/a": ""})
    assert lines_of(source) == [f"the name '{'u' * 32}' is too long for a tarball (ami.yaml:1:19). Use its number."]


SCAN = """
import json, sys
from pathlib import Path
from jenkins_ami.compile.members import scan
from jenkins_ami.findings import Findings
from jenkins_ami.source.reader import read_source
findings = Findings()
scan(read_source(Path(sys.argv[1])), Path("source"), findings)
json.dump([finding.line() for finding in findings.items], sys.stdout)
"""


def test_what_cannot_be_read_is_refused_all_of_it(make_source):
    source = make_source({"fs/secret": "", "fs/closed/x": "", "fs/open": "", "script/install.sh": ""})
    for name in ("fs/secret", "fs/closed", "script/install.sh"):
        (source / name).chmod(0)
    # root reads everything, unless these capabilities are taken from it
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = subprocess.run([*prefix, sys.executable, "-c", SCAN, source], check=True, capture_output=True)
    (source / "fs/closed").chmod(0o755)
    hint = "Let the user who compiles read it: chmod u+r"
    assert sorted(json.loads(done.stdout)) == [
        f"cannot be read: Permission denied (source/{name}). {hint}."
        for name in ("fs/closed", "fs/secret", "script/install.sh")
    ]


def test_all_is_found_at_once_and_the_rest_is_still_there(make_source):
    source = make_source({"fs/good": "", "fs/run/x": "", "fs/var/lib/jenkins-ami/y": ""})
    os.mkfifo(source / "fs/pipe")
    (source / "fs/link").symlink_to("../../x")
    a_mode(0o4755)(source / "fs/tool")
    members, findings = scanned(source)
    assert len(findings.errors) == 5
    assert "good" in members


def test_a_scan_does_not_depend_on_the_source_being_named_absolutely(make_source, monkeypatch):
    source = make_source({"fs/x": ""})
    (source / "fs/l").symlink_to(source / "fs/x")
    monkeypatch.chdir(source.parent)
    relative = Path(source.name)
    findings = Findings()
    read = read_source(relative)
    scan(replace(read, root=relative), relative, findings)
    assert [str(finding.where) for finding in findings.errors] == [f"{source.name}/fs/l"]
