"""The real cloud-init's word on cloud-configs."""

import sys
from pathlib import Path

import pytest

YML = "cloudinit/10_a.yml"


@pytest.fixture
def program(cloud_init, tmp_path, monkeypatch) -> Path:
    """``cloud-init`` on the PATH, as a package would bring it."""
    path = tmp_path / "bin" / "cloud-init"
    path.parent.mkdir()
    path.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(cloud_init)!r})\n"
        "from cloudinit.cmd.main import main\nsys.exit(main())\n"
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    return path


BAD = {
    "too long a list": (
        "hostname: a\npackages:\n  - curl\n  - [a, b, c]",
        "cloud-config-schema warning 5:5: cloud-init schema: 'packages.1' is not valid under any of the given schemas.",
    ),
    "missing key": (
        "yum_repos:\n  epel: {name: E}",
        "cloud-config-schema error 3:3: cloud-init schema: 'yum_repos.epel' 'baseurl' is a required property.",
    ),
    "old key": (
        "hostname: a\napt_update: true",
        "cloud-config-deprecated warning 3:1: 'apt_update' is deprecated: "
        "Dropped after April 2027. Use 'package_update'. Default: 'false'.",
    ),
}


@pytest.mark.parametrize(("text", "line"), BAD.values(), ids=BAD)
def test_what_it_says_gets_its_place(text, line, program, found):
    lines = found({YML: f"#cloud-config\n{text}\n"}, thorough=True)
    assert [one.replace(f"{YML}:", "") for one in lines] == [line]


def test_several_things_of_several_parts_are_told(program, found):
    files = {
        YML: "#cloud-config\napt_update: true\napt_upgrade: true\npackages: [[a, b, c]]\n",
        "cloudinit/20_b.yml": "#cloud-config\nca-certs: {trusted: [a]}\n",
        "cloudinit/30_c.yml": "#cloud-config-archive\n- |\n  #cloud-config\n  apt_update: false\n",
    }
    places = [(one.split()[0], one.split()[2]) for one in found(files, thorough=True)]
    deprecated = "cloud-config-deprecated"
    assert places == [
        (deprecated, f"{YML}:2:1:"),
        (deprecated, f"{YML}:3:1:"),
        ("cloud-config-schema", f"{YML}:4:12:"),
        (deprecated, "cloudinit/20_b.yml:2:1:"),
        (deprecated, "cloudinit/30_c.yml:4:3:"),
    ]


def test_what_is_known_to_be_wrong_is_not_told_again(program, found):
    lines = found({YML: "#cloud-config\npackage_update: maybe\nx-mine: 1\nmine: 2\n"}, thorough=True)
    assert [line.split()[:2] for line in lines] == [["cloud-config-type", "error"], ["cloud-config-key", "warning"]]


def test_it_does_not_print_values(program, found):
    lines = found({YML: "#cloud-config\npackages: [[a, b, sesame]]\n"}, thorough=True)
    assert len(lines) == 1
    assert "sesame" not in lines[0]


def test_compile_does_not_wait_for_it(program, found):
    program.write_text("#!/bin/sh\necho asked >&2\nexit 1\n")
    assert found({YML: "#cloud-config\napt_update: true\n"}) == []


def test_a_cloud_init_that_does_not_work_is_a_warning(program, found):
    program.write_text("#!/bin/sh\necho 'No module named cloudinit' >&2\nexit 1\n")
    line = f"cloud-config-schema warning {YML}:1:1: cloud-init schema could not check it: No module named cloudinit."
    assert line in found({YML: "#cloud-config\npackages: [a]\n"}, thorough=True)


def test_without_cloud_init_nothing_is_said(found, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert found({YML: "#cloud-config\napt_update: true\n"}, thorough=True) == []


NEWER = """\
#!/bin/sh
echo "Cloud config schema deprecations: apt_update:  Deprecated in version 22.2. Use **package_update** instead."
echo "Invalid user-data x.cfg"
echo "Error: Cloud config schema errors: packages.0: ['a'] is not of type 'object', packages.0: ['a'] is too long,\
 locale: 5 is not of type 'string'" >&2
echo "Error: Invalid schema: user-data" >&2
exit 1
"""
"""What cloud-init 24 and later print: errors on stderr, alternatives spelled out, deprecations with their version."""


def test_the_report_of_newer_versions_is_understood_too(program, found):
    program.write_text(NEWER)
    text = "#cloud-config\napt_update: true\npackages: [[a]]\nlocale: a\n"
    lines = found({YML: text, "cloudinit/99_last.yml": "#!/bin/sh\n:\n"}, thorough=True)
    assert [line.replace(f"{YML}:", "") for line in lines] == [
        "cloud-config-deprecated warning 2:1: 'apt_update' is deprecated: "
        "Deprecated in version 22.2. Use 'package_update' instead.",
        "cloud-config-schema warning 3:12: cloud-init schema: 'packages.0' is not of type 'object'; is too long.",
        "cloud-config-schema error 4:1: cloud-init schema: 'locale' is not of type 'string'.",
    ]
