"""What compile passes on of an AMI source's settings, and what it resolves of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jenkins_ami.artifacts import BaseQuery, ImageSettings, Manifest, Retention, Sharing, read_compiled
from jenkins_ami.compile.run import Options, compile_source, validate_source
from jenkins_ami.errors import InputError
from jenkins_ami.progress import Progress

PLAIN = "name: web\nversion: '1.0'\nbase: scratch\n"
PART = {"cloudinit/10_a.yml": "#cloud-config\nruncmd: [uname]\n", "ami.env": ""}


@pytest.fixture
def manifest_of(make_source, tmp_path):
    def compile_it(settings: str, *, name: str = "source", **files: str) -> Manifest:
        source = make_source({**PART, "ami.yaml": settings, **files}, name=name)
        target = tmp_path / f"{name}.out"
        compile_source(source, target, Options(), Progress())
        return read_compiled(target).manifest

    return compile_it


def test_settings_of_the_image_are_passed_on(manifest_of):
    manifest = manifest_of(
        PLAIN
        + """\
spot: true
image:
  regions: [eu-west-1]
  encrypted: false
  share: {accounts: ['123456789012']}
  imds: any
  boot_mode: uefi
  deprecate_after: 90
  protect: true
  retention: {images: 3, days: 30, versions: 2}
"""
    )
    assert manifest.spot is True
    assert manifest.image == ImageSettings(
        regions=("eu-west-1",),
        encrypted=False,
        share=Sharing(accounts=("123456789012",)),
        imds="any",
        boot_mode="uefi",
        deprecate_after=90,
        protect=True,
        retention=Retention(3, 30, 2),
    )


def test_without_settings_they_are_the_defaults(manifest_of):
    manifest = manifest_of(PLAIN)
    assert (manifest.spot, manifest.image, manifest.base_query) == (False, ImageSettings(), None)


def test_a_base_by_what_it_is_is_passed_on(manifest_of):
    base = "{name: debian-12-*, owners: ['136693071363'], virtualization: hvm, tags: {a: b}}"
    manifest = manifest_of(PLAIN.replace("scratch", base))
    assert manifest.base == "debian-12-*"
    assert manifest.base_query == BaseQuery("debian-12-*", ("136693071363",), None, "hvm", {"a": "b"})


def test_settings_of_the_image_change_nothing_of_the_payload(manifest_of):
    plain = manifest_of(PLAIN, name="plain")
    more = manifest_of(PLAIN + "spot: true\nimage: {regions: [eu-west-1], protect: true}\n", name="more")
    assert more.nonce == plain.nonce
    assert more.files["userdata.gz"] == plain.files["userdata.gz"]


def test_the_path_of_another_source_becomes_the_name_of_its_image(manifest_of, make_source, tmp_path):
    (tmp_path / ".git").mkdir()
    make_source(name="base", env="NAME=our-base\nVERSION=3.0\nBASE=scratch\n")
    assert manifest_of(PLAIN.replace("scratch", "../base")).base == "our-base"


def test_it_does_so_from_where_the_source_is_and_not_from_its_copy(manifest_of, make_source, tmp_path):
    (tmp_path / ".git").mkdir()
    make_source(name="base", env="NAME=our-base\nVERSION=3.0\nBASE=scratch\n")
    script = {"script/compile.sh": "#!/bin/sh\necho 'A=1'\n"}
    assert manifest_of(PLAIN.replace("scratch", "../base"), **script).base == "our-base"


def test_a_path_that_leads_nowhere_is_told_by_compile_and_validate(make_source, tmp_path):
    (tmp_path / ".git").mkdir()
    source = make_source({**PART, "ami.yaml": PLAIN.replace("scratch", "../base")})
    hint = "One is a folder with ami.env or ami.yaml."
    line = f"there is no AMI source at the base '../base' ({source}/ami.yaml:3:7). {hint}"
    with pytest.raises(InputError) as caught:
        compile_source(source, tmp_path / "out", Options(), Progress())
    assert caught.value.line() == line
    assert [(one.rule, one.line()) for one in validate_source(source, Options(), Progress())] == [("base", line)]


OWN = "environments: {dev: {region: us-east-1}}\n"


def test_an_environments_file_of_the_source_passes_the_wall(manifest_of, tmp_path):
    manifest = manifest_of(PLAIN, **{"environments.yaml": OWN})
    assert "environments.yaml" in manifest.files
    assert (tmp_path / "source.out" / "environments.yaml").read_text() == OWN


def test_without_one_there_is_none(manifest_of, tmp_path):
    assert "environments.yaml" not in manifest_of(PLAIN).files
    assert not (tmp_path / "source.out" / "environments.yaml").exists()


def test_it_changes_nothing_of_the_payload(manifest_of):
    plain, more = manifest_of(PLAIN, name="a"), manifest_of(PLAIN, name="b", **{"environments.yaml": OWN})
    assert (more.nonce, more.files["userdata.gz"]) == (plain.nonce, plain.files["userdata.gz"])


def test_compile_sh_cannot_change_it(manifest_of, tmp_path):
    script = "#!/bin/sh\necho 'environments: {}' >environments.yaml\n"
    manifest_of(PLAIN, **{"environments.yaml": OWN, "script/compile.sh": script})
    assert (tmp_path / "source.out" / "environments.yaml").read_text() == OWN


@pytest.mark.parametrize(
    ("content", "message"),
    [("a: [", "environments.yaml:2:1"), ("a: 1\na: 2\n", "key 'a' is given twice")],
)
def test_one_that_is_no_yaml_is_refused(make_source, tmp_path, content, message):
    source = make_source({**PART, "ami.yaml": PLAIN, "environments.yaml": content})
    with pytest.raises(InputError) as caught:
        compile_source(source, tmp_path / "out", Options(), Progress())
    assert message in caught.value.line()


def test_a_link_out_of_the_source_is_refused(make_source, tmp_path):
    (tmp_path / "secret.yaml").write_text(OWN)
    source = make_source({**PART, "ami.yaml": PLAIN})
    Path(source / "environments.yaml").symlink_to(tmp_path / "secret.yaml")
    with pytest.raises(InputError, match="the link leads out of the AMI source"):
        compile_source(source, tmp_path / "out", Options(), Progress())
