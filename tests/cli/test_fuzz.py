"""``compile``, ``validate`` and ``explain`` on input that nobody meant: never a traceback, never half a result.

A few hundred inputs, the same ones in each run. To look for more, by hand: ``python tests/cli/test_fuzz.py SECONDS``.
Nothing of an input is ever executed: none has a ``compile.sh``, and cloud-init only reads.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jenkins_ami.cli import main
from jenkins_ami.compile.formats import FORMATS
from tests.compile.reading import Judge, Warnings, own_removed
from tests.conftest import EXAMPLES, REPOSITORY

SECONDS = float(os.environ.get("JENKINS_AMI_FUZZ_SECONDS", "0"))
"""How long each kind of input goes on after the fixed examples."""

Files = Mapping[bytes, bytes]

ENV = b"NAME=fuzz\nVERSION=1.0\nBASE=scratch\n"
PART = b'#cloud-config\nruncmd: ["true"]\n'

CONFIGS = [
    PART,
    b"""#cloud-config
packages: [nginx, [git, 1:2.39]]
package_update: true
users:
  - default
  - name: a
    shell: /bin/sh
""",
    b"""#cloud-config
base: &b {x: 1, y: 2}
made: {<<: *b, y: 3}
x-words: [on, off, 0777, 1_000, 1:30, 2024-05-01, ~, .nan]
""",
    b"""#cloud-config
write_files:
  - path: /etc/x
    permissions: '0644'
    content: |
      a: b

      c
  - {path: /y, encoding: b64, content: !!binary aGVsbG8=}
""",
    b"""#cloud-config
merge_how: [{name: list, settings: [append]}, {name: dict, settings: [no_replace, recurse_list]}]
runcmd:
  - [echo, a b]
  - |
    if true; then
      echo 'x'
    fi
""",
    b"""#cloud-config
merge_how: list(append)+dict(recurse_list)+str()
apt:
  sources:
    a: {source: 'deb http://example.org/ x main'}
  conf: |
    x
""",
    """#cloud-config
hostname: wébserver
x-texts: ['“quoted”', "\\u00e9\\x07\\0", "\\U0001F600", 'line\u2028separator', 'a\x85b']
""".encode(),
    b"#cloud-config\r\nhostname: a\r\nruncmd:\r\n  - echo a\r\n",
]
ARCHIVES = [
    b"""#cloud-config-archive
- type: text/cloud-config
  content: |
    #cloud-config
    packages: [a]
- content: |
    #!/bin/sh
    echo a
  filename: x.sh
- 'hostname: a'
""",
    b"""#cloud-config-archive
- {content: 'packages: [a]', type: text/cloud-config, merge-type: list(append)+dict()}
- content: "#cloud-boothook\\n#!/bin/sh\\n"
""",
]
MESSAGES = [
    b"""MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/cloud-config
X-Merge-Type: list(append)+dict(recurse_list)

#cloud-config
packages: [a]
--b
Content-Type: text/x-shellscript; charset=utf-8
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="x.sh"

IyEvYmluL3NoCmVjaG8gYQo=
--b--
""",
    b"Content-Type: text/cloud-config\nMIME-Version: 1.0\n\n#cloud-config\nhostname: a\n",
]
SCRIPTS = [
    b"""#!/bin/sh
set -eu
for x in a b; do
  echo "$x" 'y' >>/tmp/z
done
cat <<E
$(date)
E
""",
    b"#!/usr/bin/python3\nprint('a')\n",
    b"#cloud-boothook\n#!/bin/sh\necho early\n",
    "#!/bin/bash\necho 'ünï' \"${x[@]}\"\r\n".encode(),
]
OTHERS = [
    b"""#part-handler

def list_types():
    return ['text/x-ours']


def handle_part(data, ctype, filename, payload):
    pass
""",
    b"#include\nhttps://example.org/a\n# more\nhttps://example.org/b?c=d\n",
    b"#include-once https://example.org/a\n",
    b"""## template: jinja
#cloud-config
hostname: {{ v1.instance_id }}
{% if v1.region == 'x' %}
packages: [a]
{% endif %}
""",
    b"## template: jinja\n#!/bin/sh\necho {{ ds.meta_data.x | default('y') }}\n",
]
TEMPLATES = [
    b"""#cloud-config
hostname: "{{ name }}-{{ parameters.word | upper }}"
write_files:
  - path: /x
    content: |
      {% for i in range(3) %}
      {{ i * 2 }} {{ version }}
      {% endfor %}
ntp: {enabled: "{{ parameters.flag }}"}
""",
    b"""#!/bin/sh
word={{ parameters.word }}
{% if parameters.flag %}
echo "$word" {{ parameters.count }}
{% endif %}
""",
]
AMI_ENVS = [
    ENV,
    rb"""# who
export NAME='web server'
VERSION="1.0"
BASE=ami-0123456789abcdef0
X=${NAME}-$VERSION # why
Y="a\"b\$c"
Z=a\ b
""",
    *[path.read_bytes() for path in sorted(EXAMPLES.glob("*/ami.env"))],
]
AMI_YAMLS = [
    b"""description: all of it
architecture: arm64
instance_types: [t4g.small]
volume_size: 20
tags: {team: web, cost: "1"}
storage: {url: s3://bucket/prefix, access: profile}
parameters:
  word: {default: a, description: b}
  count: {type: integer, default: 3}
  flag: {type: boolean, default: true}
  kind: {type: choice, choices: [x, y], default: x}
merge: {scalars: last}
strict: {except: ["cloudinit/3*"]}
overlay:
  compression: zstd
  rules: [{path: "etc/**", mode: "0640", owner: "app:1000"}, {path: "**/*.sh", mode: "0755"}]
  setuid: [usr/bin/x]
checks: {allow_secrets: ["fs/*"]}
tests:
  - "true"
  - {name: a, run: b, stdout: c, exit_code: 1, timeout: 5}
timeouts: {compile: 10, instance: 100, image: 1000}
""",
    b"storage: https://files.example.org/overlays/?a=b\nstrict: false\n",
    *[path.read_bytes() for path in sorted(EXAMPLES.glob("*/ami.yaml"))],
]
PARTS: dict[str, tuple[bytes, Sequence[bytes]]] = {
    "cloud-configs": (b"cloudinit/20_x.yml", [*CONFIGS, *[p.read_bytes() for p in EXAMPLES.glob("*/cloudinit/*.yml")]]),
    "archives": (b"cloudinit/20_x.yaml", ARCHIVES),
    "MIME messages": (b"cloudinit/20_x.mime", MESSAGES),
    "scripts": (b"cloudinit/20_x.sh", SCRIPTS),
    "per-boot scripts": (b"cloudinit/20_x.per-boot.sh", SCRIPTS),
    "other parts": (b"cloudinit/20_x.txt", OTHERS),
    "templates of cloud-configs": (b"cloudinit/20_x.yml.j2", TEMPLATES),
    "templates of scripts": (b"cloudinit/20_x.sh.j2", TEMPLATES[::-1]),
}
EVERYTHING = [text for _, texts in PARTS.values() for text in texts] + AMI_ENVS + AMI_YAMLS

TOKENS = [
    # characters
    *[bytes([byte]) for byte in b"\t\n\r \0\x7f\xff\xc3$`;=()&'\"\\#[]{}~"],
    *[char.encode("utf-8", "surrogatepass") for char in "\x85\u2028\ufeff\ufffe\U0010ffff\u00a0\ud800“"],
    *b"\r\n|\x1b[2J|&&|''|\"\"|\\\n|${|$(|<<E\n|export |NAME=".split(b"|"),
    # YAML
    *b"- \0: \0? \0|\n\0>-\n\0---\n\0...\n\0%YAML 1.2\n\0&a \0*a\0<<: \0<<: *a\0!\0!!\0!<x> \0null\0true\0off".split(
        b"\0"
    ),
    *[
        b"!!%s " % tag
        for tag in b"set omap pairs binary int float str timestamp null bool seq map python/name:x".split()
    ],
    *b".inf .nan 0o7 0x 0b 1e999 1:2:3 -0 2024-99-99 0001-01-01t00:00:00+99:99".split(),
    *[b'"%s"' % escape for escape in rb"\ud800 \udfff\ud800 \0 \x1b \N\L\P".split()],
    *(b"9" * 5000, b"[" * 500, b"{a: " * 500, b"- " * 500, b"? " * 300, b"a: {" * 100),
    # templates
    *b"{{ | }}|{% | %}|{# |{{ name }}|{{ x.y.z }}|{{ 9**9**9 }}|{{ 'a' * 10**9 }}|{{ [].__class__ }}".split(b"|"),
    *b"{{ range(10**9)|list }}\0{% raw %}\0{{ name|map('x') }}\0{{ '%0999999999d' % 1 }}".split(b"\0"),
    *b"{% set name = 1 %}|{{ parameters }}|{{ 1/0 }}|{% include 'x' %}|{% for a in name %}|{% endfor %}".split(b"|"),
    # headers
    *b"#cloud-config\n|#!/bin/sh\n|#include\n|#part-handler\n|## template: jinja\n|#cloud-boothook\n".split(b"|"),
    *b"#cloud-config-archive\n|MIME-Version: 1.0\n|Content-Type: |multipart/mixed; boundary=b\n|\n--b\n|--b--\n".split(
        b"|"
    ),
    *b"Content-Type: text/cloud-config\n\n|charset=utf-16|Content-Transfer-Encoding: base64\n|=?utf-8?q?=ff?=".split(
        b"|"
    ),
    # keys
    *b"merge_how: |merge_type: |list(append)|dict(allow_delete)|str(append)|power_state: |launch-index: 1\n".split(
        b"|"
    ),
    *b"runcmd: |write_files: |users: |packages: |apt: |=jenkins-ami=|--=jenkins-ami=\n|@JENKINS-AMI-STORAGE-URL@".split(
        b"|"
    ),
]

Mutation = Callable[[Any, bytes], bytes]


def _position(draw: Any, data: bytes) -> int:
    return draw(st.integers(0, len(data)))


def _insert(draw: Any, data: bytes) -> bytes:
    at = _position(draw, data)
    return data[:at] + draw(st.sampled_from(TOKENS)) + data[at:]


def _insert_at_line(draw: Any, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    at = draw(st.integers(0, len(lines)))
    return b"".join([*lines[:at], draw(st.sampled_from(TOKENS)), *lines[at:]])


def _noise(draw: Any, data: bytes) -> bytes:
    at = _position(draw, data)
    return data[:at] + draw(st.binary(min_size=1, max_size=6)) + data[at:]


def _text(draw: Any, data: bytes) -> bytes:
    at = _position(draw, data)
    return data[:at] + draw(st.text(min_size=1, max_size=6)).encode("utf-8", "surrogatepass") + data[at:]


def _cut(draw: Any, data: bytes) -> bytes:
    start = _position(draw, data)
    return data[:start] + data[start + draw(st.integers(1, 20)) :]


def _truncate(draw: Any, data: bytes) -> bytes:
    return data[: _position(draw, data)]


def _lines(draw: Any, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    one, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    how = draw(st.sampled_from(("swap", "drop", "repeat", "indent", "dedent", "many")))
    if how == "swap":
        lines[one], lines[other] = lines[other], lines[one]
    elif how == "drop":
        del lines[one]
    elif how == "repeat":
        lines.insert(other, lines[one])
    elif how == "many":
        lines[one] *= 50
    else:
        lines[one] = b"  " + lines[one] if how == "indent" else lines[one].removeprefix(b" ").removeprefix(b" ")
    return b"".join(lines)


def _replace(draw: Any, data: bytes) -> bytes:
    """A word becomes a token, or a word of another file."""
    words = data.split()
    if not words:
        return data
    others = draw(st.sampled_from(EVERYTHING)).split()
    new = draw(st.sampled_from(TOKENS) | st.sampled_from(others or [b"x"]))
    return data.replace(draw(st.sampled_from(words)), new, draw(st.integers(1, 3)))


def _splice(draw: Any, data: bytes) -> bytes:
    other = draw(st.sampled_from(EVERYTHING))
    return data[: _position(draw, data)] + other[_position(draw, other) :]


def _encode(draw: Any, data: bytes) -> bytes:
    how = draw(st.sampled_from(("utf-16", "utf-16-le", "latin-1", "crlf", "cr")))
    if how.startswith("cr"):
        return data.replace(b"\n", b"\r\n" if how == "crlf" else b"\r")
    return data.decode("utf-8", "replace").encode(how, "replace")


MUTATIONS: list[Mutation] = [
    *[_insert] * 5, *[_insert_at_line] * 3, *[_replace] * 5, *[_lines] * 4,
    *(_noise, _text, _cut, _truncate, _splice, _encode),
]  # fmt: skip


@st.composite
def mutated(draw: Any, corpus: Sequence[bytes]) -> bytes:
    """A good file that something has happened to, up to five times."""
    data = draw(st.sampled_from(corpus))
    for _ in range(draw(st.integers(0, 5))):
        data = draw(st.sampled_from(MUTATIONS))(draw, data)
    return data[:50_000]


SPECIAL_NAMES = [
    *b"..x\0-rf\0#\0x.\0 \0\n\0a\nb\0\xff\0*\0[a-\0$(x)\0`x`\0'\0\"\0\\\0~".split(b"\0"),
    *b"a\r\0a:b\0a\tb\0@a\0\x1b[31m\0\xed\xa0\x80".split(b"\0"),
    *b"proc dev run var lib jenkins-ami etc usr CON 10_a.yml .git .gitkeep \xe2\x80\xae.txt".split(b" "),
    b"x" * 255,
    "é".encode() * 127,
]
NAMES = (
    (
        st.binary(min_size=1, max_size=12)
        | st.text(min_size=1, max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass"))
        | st.sampled_from(SPECIAL_NAMES)
    )
    .map(lambda name: name.translate(None, b"/\0")[:255])
    .filter(lambda name: name not in (b"", b".", b".."))
)
"""One component of a path: whatever Linux takes."""


@st.composite
def overlays(draw: Any) -> Files:
    """Files, folders and links below ``fs/`` with any names."""
    files: dict[bytes, bytes] = {b"ami.env": ENV}
    for _ in range(draw(st.integers(1, 5))):
        path = b"fs/" + b"/".join(draw(st.lists(NAMES, min_size=1, max_size=3)))
        files[path] = draw(
            st.sampled_from(
                [
                    b"",
                    b"content\n",
                    b"#!/bin/sh\nif\n",
                    b"link:/etc/passwd",
                    b"link:../../..",
                    b"link:\xff\n",
                    b"folder:",
                ]
            )
            | NAMES.map(lambda name: b"link:" + name)
            | st.binary(max_size=40)
        )
    if draw(st.booleans()):
        files[b"ami.yaml"] = draw(mutated(AMI_YAMLS[:1]))
    return files


@st.composite
def part_names(draw: Any) -> Files:
    """Good parts under any names."""
    files: dict[bytes, bytes] = {b"ami.env": ENV}
    for _ in range(draw(st.integers(1, 3))):
        stem, end = (
            draw(NAMES),
            draw(st.sampled_from([b".yml", b".sh", b".txt", b".py", b".mime", b".per-once.sh", b".sh.j2", b""])),
        )
        name = b"%02d_%s%s" % (draw(st.integers(0, 99)), stem[: 250 - len(end)], end)
        corpora = {b".yml": CONFIGS, b".txt": OTHERS[1:], b".py": OTHERS[:1], b".mime": MESSAGES}
        corpora |= dict.fromkeys((b".sh", b".per-once.sh", b".sh.j2"), SCRIPTS)
        files[b"cloudinit/" + name] = draw(st.sampled_from(corpora.get(end, CONFIGS)))
    return files


@st.composite
def several(draw: Any) -> Files:
    """Several parts of any kinds, some of them damaged, and settings."""
    files: dict[bytes, bytes] = {b"ami.env": draw(st.just(ENV) | mutated(AMI_ENVS))}
    files[b"ami.yaml"] = draw(st.sampled_from(AMI_YAMLS) | mutated(AMI_YAMLS))
    for number in range(draw(st.integers(1, 4))):
        path, corpus = draw(st.sampled_from(sorted(PARTS.values())))
        data = draw(st.sampled_from(corpus) | mutated(corpus))
        files[path.replace(b"20_", b"%d_" % (10 + 10 * number))] = data
    return files


def _around(path: bytes, corpus: Sequence[bytes], *more: tuple[bytes, bytes]) -> st.SearchStrategy[Files]:
    alone = corpus[0] == PART
    base = {b"ami.env": ENV, **({} if alone else {b"cloudinit/10_a.yml": PART}), **dict(more)}
    return mutated(corpus).map(lambda data: {**base, path: data})


KINDS: dict[str, tuple[int, st.SearchStrategy[Files]]] = {
    **{
        kind: (90 if kind == "cloud-configs" else 25, _around(path, texts, (b"ami.yaml", AMI_YAMLS[0])))
        for kind, (path, texts) in PARTS.items()
    },
    "ami.env": (60, _around(b"ami.env", AMI_ENVS)),
    "ami.yaml": (60, _around(b"ami.yaml", AMI_YAMLS, (b"fs/etc/x", b"x"))),
    "overlay names": (40, overlays()),
    "part names": (30, part_names()),
    "several parts": (40, several()),
}
"""Each kind of input: how many of it are tried in a run of the tests, and what makes them."""


class Stream(io.TextIOWrapper):
    """Like a terminal's: what is no UTF-8 cannot be printed on it."""

    def __init__(self, errors: str) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors=errors, write_through=True)

    def text(self) -> str:
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode()


def run(*argv: str | Path) -> tuple[int, str, str]:
    out, err = Stream("strict"), Stream("backslashreplace")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in argv])
    return code, out.text(), err.text()


def write(source: Path, files: Files) -> None:
    """Make the files below ``source``, and nothing anywhere else: not through a link that was made before."""
    source = source.resolve()
    for name, content in files.items():
        path = source / os.fsdecode(name)
        with contextlib.suppress(FileExistsError, NotADirectoryError, RuntimeError):  # RuntimeError: a loop of links
            if path.parent.resolve() != path.parent:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if content.startswith(b"link:"):
                path.symlink_to(os.fsdecode(content.removeprefix(b"link:") or b"x"))
            elif content == b"folder:":
                path.mkdir()
            else:
                with path.open("xb") as stream:
                    stream.write(content)


def check(files: Files, judge: Judge) -> int:
    """All that has to be true, whatever the input is. The exit code of ``compile``."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        source, target = folder / "source", folder / "out"
        source.mkdir()
        write(source, files)
        code, out, err = run("compile", source, target)
        assert code in (0, 2, 3), err
        errors = [line for line in err.splitlines() if line.startswith("error: ")]
        assert "Traceback" not in out + err
        assert all(line.isprintable() for line in errors), errors
        if code == 0:
            assert not errors
            read(target / "userdata.gz", judge, files)
        else:
            assert errors
            assert all(str(source) in line for line in errors), errors
            assert [path.name for path in folder.iterdir()] == ["source"]
        shutil.rmtree(target, ignore_errors=True)
        form = FORMATS[len(err) % len(FORMATS)]
        told, out, err = run("validate", source, "--format", form, "--relative-to", folder)
        assert told in (0, 2)
        assert code != 2 or told == 2, "compile refuses what validate lets pass"
        assert "Traceback" not in out + err
        shown, out, err = run("explain", source)
        assert shown in (0, 2)
        assert code != 0 or shown == 0, err
        assert [path.name for path in folder.iterdir()] == ["source"]
        return code
    finally:
        shutil.rmtree(folder)


def read(userdata: Path, judge: Judge, files: Files) -> None:
    """cloud-init reads it all, the verdict is in it, and a cloud-config that is alone means what it meant before."""
    data = userdata.read_bytes()
    assert len(data) <= 16_384
    with Warnings() as warnings:
        config = judge.config(data)
    assert warnings.lines == []
    assert "jenkins_ami_complete" in config["runcmd"][-1]
    assert config["power_state"]["mode"] == "poweroff"
    parts = [text for path, text in files.items() if path.startswith(b"cloudinit/")]
    if len(parts) == 1 and parts[0].lower().startswith(b"#cloud-config") and b"cloudinit/20_x.yml" in files:
        with Warnings() as warnings:
            alone = judge.config(parts[0])
        if warnings.lines:  # PyYAML refuses some tabs and question marks that libyaml takes: compile mends that
            return
        for key in ("runcmd", "write_files"):
            if not alone.get(key):
                alone.pop(key, None)
        assert repr(own_removed(config)) == repr(own_removed(alone))


@pytest.fixture(scope="module")
def offline_judge(judge: Judge) -> Judge:
    """cloud-init's reading without the network: what an include names is not fetched."""
    logging.getLogger("cloudinit").setLevel(logging.WARNING)
    judge._processor._do_include = lambda content, append_msg: None  # type: ignore[method-assign]
    return judge


@pytest.mark.parametrize("kind", KINDS)
def test_no_input_gets_a_traceback_or_half_a_result(kind, offline_judge, capsys):
    count, strategy = KINDS[kind]
    codes: Counter[int] = Counter()

    def one(files: Files) -> None:
        codes[check(files, offline_judge)] += 1

    profile = settings(
        max_examples=count, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    profile(given(strategy)(one))()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        settings(profile, derandomize=False, max_examples=200)(given(strategy)(one))()
    if SECONDS:
        with capsys.disabled():
            print(f"  {kind}: {codes.total()} inputs, of which {codes[0]} compile")


if __name__ == "__main__":
    os.chdir(REPOSITORY)
    os.environ["JENKINS_AMI_FUZZ_SECONDS"] = str(float(sys.argv[1]) / len(KINDS))
    argv = ["pytest", __file__, "-q", "--show-capture=no", "-p", "no:cacheprovider", *sys.argv[2:]]
    os.execv(sys.executable, [sys.executable, "-m", *argv])
