from __future__ import annotations

from pathlib import Path

import pytest

from jenkins_ami.errors import InputError
from jenkins_ami.scratch.spec import Spec, load_spec


def load(folder: Path, text: str | bytes) -> Spec:
    file = folder / "spec.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_spec(file)


def test_without_a_file_it_is_plain_debian_12() -> None:
    spec = load_spec(None)
    assert (spec.name, spec.suite, spec.architecture, spec.size) == ("debian-12", "bookworm", "amd64", 2 << 30)
    assert (spec.packages, spec.hostname, spec.mirror) == ((), "debian", None)


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "size:\nname:\n"])
def test_what_is_not_said_has_its_default(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == Spec()


def test_every_key_is_read(tmp_path: Path) -> None:
    spec = load(
        tmp_path,
        "name: web-base\nsuite: bookworm\narchitecture: amd64\nsize: 1536M\n"
        "packages: [jq, htop, jq]\nhostname: web\nmirror: https://mirror.example/debian\n",
    )
    assert spec == Spec(
        name="web-base",
        size=1536 << 20,
        packages=("htop", "jq"),
        hostname="web",
        mirror="https://mirror.example/debian",
    )


@pytest.mark.parametrize(("text", "size"), [("1G", 1 << 30), ("64T", 64 << 40), ("1025M", 1025 << 20)])
def test_sizes_are_binary(tmp_path: Path, text: str, size: int) -> None:
    assert load(tmp_path, f"size: {text}").size == size


def test_the_digest_is_of_what_is_said_and_not_of_where(tmp_path: Path) -> None:
    assert load(tmp_path, "\n\nsize: 2G # as always\n").digest() == Spec().digest()
    assert load(tmp_path, "hostname: other\n").digest() != Spec().digest()


NAME_HINT = "Use letters, digits, '.', '_' and '-', 64 at most."
SIZE_HINT = "Give a whole number and a unit: 1536M, 4G, 1T."
PACKAGE_HINT = "Debian's names have lower-case letters, digits, '+', '-' and '.'."
HOST_HINT = "Use lower-case letters, digits and '-', 63 at most."
URL_HINT = "Give a URL that begins with http:// or https://."
LIST_HINT = "Write [ ] around it, or '- ' before it."
KEYS = "Its keys: name, suite, architecture, size, packages, hostname, mirror."

BAD = {
    "unknown key": ("sizes: 2G", "1:1", "a scratch spec has no key 'sizes'", "Did you mean 'size'."),
    "wholly unknown key": (
        "colour: red",
        "1:1",
        "a scratch spec has no key 'colour'",
        "Known: architecture, hostname, mirror, name, packages, size, suite.",
    ),
    "a list": ("- size", "1:1", "a scratch spec is a list, not a mapping", KEYS),
    "a text": ("debian", "1:1", "a scratch spec is a text, not a mapping", KEYS),
    "size without a unit": ("size: 2", "1:7", "'size' is a whole number, not a text", "Put it in quotes."),
    "size in a wrong unit": ("size: 2GB", "1:7", "'2GB' is not a possible size", SIZE_HINT),
    "size with a fraction": ("size: 1.5G", "1:7", "'1.5G' is not a possible size", SIZE_HINT),
    "size negative": ("size: -1G", "1:7", "'-1G' is not a possible size", SIZE_HINT),
    "size too small": ("\nsize: 1023M", "2:7", "size 1023M is out of range", "Give 1G to 64T."),
    "size too large": ("size: 65T", "1:7", "size 65T is out of range", "Give 1G to 64T."),
    "size a mapping": ("size: {a: b}", "1:7", "'size' is a mapping, not a text", ""),
    "other suite": ("suite: trixie", "1:8", "suite 'trixie' is not supported", "Possible now: bookworm."),
    "other architecture": (
        "size: 2G\narchitecture: arm64",
        "2:15",
        "architecture 'arm64' is not supported",
        "Possible now: amd64.",
    ),
    "name a number": ("name: 12", "1:7", "'name' is a whole number, not a text", "Put it in quotes."),
    "name with a slash": ("name: a/b", "1:7", "'a/b' is not a possible name", NAME_HINT),
    "name too long": (f"name: {'x' * 65}", "1:7", f"'{'x' * 65}' is not a possible name", NAME_HINT),
    "empty name": ("name: ''", "1:7", "'' is not a possible name", NAME_HINT),
    "hostname a boolean": ("hostname: on", "1:11", "'hostname' is true or false, not a text", "Put it in quotes."),
    "hostname with a dot": ("hostname: a.b", "1:11", "'a.b' is not a possible hostname", HOST_HINT),
    "hostname ends in -": ("hostname: a-", "1:11", "'a-' is not a possible hostname", HOST_HINT),
    "hostname with a line": ('hostname: "a\\nb"', "1:11", "'a b' is not a possible hostname", HOST_HINT),
    "packages a text": ("packages: jq", "1:11", "'packages' is a text, not a list", LIST_HINT),
    "package a number": ("packages:\n- 7", "2:3", "'packages' has an entry that is a whole number, not a text", ""),
    "package an option": ("packages: [-o]", "1:12", "'-o' is not a possible package", PACKAGE_HINT),
    "package two in one": ("packages: ['jq,vim']", "1:12", "'jq,vim' is not a possible package", PACKAGE_HINT),
    "package a version": ("packages: [jq=1.6]", "1:12", "'jq=1.6' is not a possible package", PACKAGE_HINT),
    "mirror a host": ("mirror: mirror.example", "1:9", "'mirror.example' is not a possible mirror", URL_HINT),
    "mirror an apt line": (
        "mirror: 'deb http://x y z'",
        "1:9",
        "'deb http://x y z' is not a possible mirror",
        URL_HINT,
    ),
    "key twice": (
        "size: 2G\nsize: 4G",
        "2:1",
        "key 'size' is given twice, first in line 1",
        "YAML readers keep only the last; remove one, or merge the two.",
    ),
}


@pytest.mark.parametrize(("text", "place", "what", "hint"), BAD.values(), ids=BAD)
def test_a_bad_spec_is_refused_with_its_place(tmp_path: Path, text: str, place: str, what: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    expected = f"{what} ({tmp_path}/spec.yaml:{place}). {hint}"
    assert caught.value.line() == expected.strip()


def test_what_is_no_yaml_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="invalid YAML") as caught:
        load(tmp_path, "size: 2G\n  name: [\n")
    assert f"{tmp_path}/spec.yaml:2:" in caught.value.line()


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not UTF-8 text"):
        load(tmp_path, b"name: \xff\n")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_spec(tmp_path / "none.yaml")
    assert caught.value.line() == f"the spec cannot be read: No such file or directory ({tmp_path}/none.yaml)."


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_spec(tmp_path)
    assert caught.value.line() == f"the spec is a folder ({tmp_path}). Give the YAML file itself."
