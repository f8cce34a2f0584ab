"""Each kind of part, way of storage and strictness on a real machine: it did what the payload says, in order."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.examples.test_good import jenkins_ami
from tests.places import make_tls, send, serving

pytestmark = pytest.mark.boot

HANDLER = """#part-handler
def list_types():
    return ["text/x-note"]
def handle_part(data, ctype, filename, payload):
    if ctype == "text/x-note":
        with open("/root/order", "a") as stream:
            stream.write("handled " + payload.strip() + "\\n")
"""
MESSAGE = """MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=xx

--xx
Content-Type: text/cloud-config
X-Merge-Type: dict(recurse_list)+list(append)

#cloud-config
runcmd: ["echo mime-config >>/root/order"]
--xx
Content-Type: text/x-shellscript

#!/bin/sh
echo mime-script >>/root/order
--xx--
"""
EVERY_KIND = {
    "ami.yaml": (
        'parameters:\n  word: {default: "it\'s; $(x)"}\n  count: {type: integer, default: 3}\n'
        "overlay: {rules: [{path: opt/mode, mode: '0604', owner: 'daemon:mail'}]}\n"
    ),
    "fs/opt/mode": "x",
    "fs/opt/name with space ünï": "y",
    "cloudinit/05_hook.txt": "#cloud-boothook\n#!/bin/sh\necho boothook >>/root/order\n",
    "cloudinit/07_handler.py": HANDLER,
    "cloudinit/08_note.yml": "#cloud-config-archive\n- {type: text/x-note, content: a note}\n",
    "cloudinit/10_a.yml": '#cloud-config\nruncmd: ["echo config >>/root/order"]\n',
    "cloudinit/15_p.yml.j2": (
        '#cloud-config\nwrite_files: [{path: /root/word, content: "word={{ parameters.word }}\\n"}]\n'
        'runcmd: ["echo parameter {{ parameters.count }} \\"$AMI_PARAM_WORD\\" >>/root/order"]\n'
    ),
    "cloudinit/16_p.sh.j2": "#!/bin/sh\necho quoted {{ parameters.word }} >>/root/order\n",
    "cloudinit/20_b.sh": "#!/bin/sh\necho script >>/root/order\n",
    "cloudinit/25_archive.yml": (
        "#cloud-config-archive\n- |\n  #cloud-config\n  runcmd: ['echo archive-config >>/root/order']\n"
        "- |\n  #!/bin/sh\n  echo archive-script >>/root/order\n"
    ),
    "cloudinit/30_t.yml": "## template: jinja\n#cloud-config\nruncmd: ['echo jinja {{ v1.region }} >>/root/order']\n",
    "cloudinit/35_t.sh": "## template: jinja\n#!/bin/sh\necho jinja-script {{ v1.cloud_name }} >>/root/order\n",
    "cloudinit/40_m.mime": MESSAGE,
    **{
        f"cloudinit/45_x.{frequency}.sh": f"#!/bin/sh\necho {frequency} >>/root/order\n"
        for frequency in ("per-boot", "per-instance", "per-once")
    },
    "cloudinit/60_end.yml": (
        "#cloud-config\nruncmd:\n"
        "  - sed 's/^/ORDER=/' /root/order\n"
        "  - sed 's/^/WORD=/' /root/word\n"
        '  - \'echo "SCRIPTS=$(cd /var/lib/cloud/scripts && find per-* -type f | sort | tr "\\n" " ")"\'\n'
        '  - \'stat -c "OVERLAY=%a %U:%G %n" /opt/mode "/opt/name with space ünï"\'\n'
        "  - 'echo \"DATA=$(sha256sum </var/lib/cloud/instance/user-data.txt)\"'\n"
    ),
}


def bake(source: Path, state: Path, output: Path, *more: object) -> tuple[subprocess.CompletedProcess, str]:
    done = jenkins_ami("bake", source, "--local", "--state", state, "-o", output, *more)
    console = output / "console.log"
    return done, console.read_text() if console.exists() else ""


def said(console: str, word: str) -> list[str]:
    """What the console shows after ``WORD=``, once: the log's tail at the end has it again."""
    lines = [line for line in console.splitlines() if "JENKINS-AMI-LOG" not in line]
    return [match[1].rstrip() for line in lines if (match := re.search(rf"(?:^|\s){word}=(.*)", line))]


def test_every_kind_of_part_does_its_work_in_its_order(make_source, local_state, tmp_path):
    source = make_source(EVERY_KIND, env="NAME=every-kind\nVERSION=1.0\nBASE=scratch\n")
    done, console = bake(source, local_state, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    order = said(console, "ORDER")
    assert set(order[:2]) == {"boothook", "handled a note"}
    assert order[2:] == [
        "per-once",
        "per-boot",
        "per-instance",
        "config",
        "parameter 3 it's; $(x)",
        "quoted it's; $(x)",
        "script",
        "archive-config",
        "archive-script",
        "jinja us-east-1",
        "jinja-script aws",
        "mime-config",
        "mime-script",
    ]
    assert said(console, "WORD") == ["word=it's; $(x)"]
    (scripts,) = said(console, "SCRIPTS")
    assert scripts.split() == [f"{f}/45_x.{f}.sh" for f in ("per-boot", "per-instance", "per-once")]
    assert said(console, "OVERLAY") == ["604 daemon:mail /opt/mode", "644 root:root /opt/name with space ünï"]
    (data,) = said(console, "DATA")
    assert data.split()[0] == hashlib.sha256((tmp_path / "out" / "userdata.gz").read_bytes()).hexdigest()


def test_what_an_include_brings_runs_in_its_place_and_is_strict(make_source, local_state, tmp_path):
    text = "#cloud-config\nruncmd: ['echo ORDER=brought', '(exit 9)', 'echo ORDER=never']\n"
    with serving() as web:
        web.answers = [send(text.encode())]
        source = make_source(
            {
                "cloudinit/10_a.yml": "#cloud-config\nruncmd: ['echo ORDER=before']\n",
                "cloudinit/20_i.txt": f"#include\nhttp://169.254.2.2:{web.port}/brought.yml\n",
                "cloudinit/30_b.yml": "#cloud-config\nruncmd: ['echo ORDER=after']\n",
            },
            env="NAME=include\nVERSION=1.0\nBASE=scratch\n",
        )
        done, console = bake(source, local_state, tmp_path / "out")
    assert done.returncode == 6, done.stderr
    assert "cloudinit/20_i.txt exited with 9" in console
    assert "cloudinit/20_i.txt" in done.stderr.splitlines()[-1]
    assert said(console, "ORDER") == ["before", "brought"]


COMPLAINTS = {
    "cloudinit/05_hook.txt": "#cloud-boothook\n#!/bin/sh\nexit 3\n",
    "cloudinit/07_handler.py": (
        "#part-handler\ndef list_types():\n    return ['text/x-note']\n"
        "def handle_part(data, ctype, filename, payload):\n"
        "    if ctype == 'text/x-note':\n        raise ValueError(1)\n"
    ),
    "cloudinit/08_note.yml": "#cloud-config-archive\n- {type: text/x-note, content: a note}\n",
    "cloudinit/20_boot.per-boot.sh": "#!/bin/sh\nexit 4\n",
    "cloudinit/30_t.yml": "## template: jinja\n#cloud-config\nwrite_files: [{path: /x, content: '{{ v1.no_such }}'}]\n",
    "cloudinit/60_a.yml": "#cloud-config\nruncmd: ['(exit 5)', 'echo LAST=here']\n",
}


def test_whatever_fails_is_named_and_there_is_no_image(make_source, local_state, tmp_path):
    source = make_source(COMPLAINTS, env="NAME=complaints\nVERSION=1.0\nBASE=scratch\n")
    done, console = bake(source, local_state, tmp_path / "out")
    assert done.returncode == 6, done.stderr
    reasons = "\n".join(line for line in console.splitlines() if "JENKINS-AMI-REASON" in line)
    assert "cloudinit/60_a.yml:2 exited with 5" in reasons
    for name in ("05_hook.txt", "08_note.yml#1", "20_boot.per-boot.sh", "30_t.yml"):
        assert name in reasons
    assert not (tmp_path / "out" / "ami.json").exists()


def test_a_source_that_is_not_strict_says_what_failed_and_has_its_image(make_source, local_state, tmp_path):
    source = make_source({**COMPLAINTS, "ami.yaml": "strict: false\n"}, env="NAME=lenient\nVERSION=1.0\nBASE=scratch\n")
    done, console = bake(source, local_state, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "cloudinit/60_a.yml:2 exited with 5, which is allowed" in console
    assert "here" in said(console, "LAST")
    assert re.search(r"allowed: .*05_hook\.txt", console)


def test_an_overlay_is_read_with_the_instance_profiles_credentials(make_source, local_state, tmp_path):
    blob = os.urandom(40_000)
    source = make_source(
        {
            "ami.yaml": "storage: {url: s3://profile-bucket/here, access: profile}\n",
            "fs/opt/blob": blob,
            "cloudinit/60_look.yml": (
                "#cloud-config\nruncmd:\n  - 'echo \"BLOB=$(sha256sum </opt/blob)\"'\n"
                "  - test ! -e /var/lib/jenkins-ami/fs.url\n"
            ),
        },
        env="NAME=profile\nVERSION=1.0\nBASE=scratch\n",
    )
    done, console = bake(source, local_state, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert said(console, "BLOB")[0].split()[0] == hashlib.sha256(blob).hexdigest()
    assert json.loads((tmp_path / "out" / "compile.json").read_text())["overlay"]["access"] == "profile"
    assert "ASIA" not in console


def test_an_overlay_comes_from_a_web_server_that_somebody_else_fills(make_source, local_state, tmp_path):
    tls = make_tls(tmp_path, "IP:169.254.2.2,IP:127.0.0.1")
    blob = os.urandom(40_000)
    trusted = "".join(f"    {line}\n" for line in tls.file.read_text().splitlines())
    with serving(tls.context) as web:
        source = make_source(
            {
                "fs/opt/blob": blob,
                "cloudinit/10_ca.yml": f"#cloud-config\nca_certs:\n  trusted:\n  - |\n{trusted}",
                "cloudinit/60_look.yml": "#cloud-config\nruncmd: ['echo \"BLOB=$(sha256sum </opt/blob)\"']\n",
            },
            env="NAME=https\nVERSION=1.0\nBASE=scratch\n",
        )
        url = f"https://169.254.2.2:{web.port}/overlays/"
        compiled = jenkins_ami("compile", source, tmp_path / "out", "--storage", url)
        assert compiled.returncode == 0, compiled.stderr
        overlay = json.loads((tmp_path / "out" / "compile.json").read_text())["overlay"]
        web.answers = [send((tmp_path / "out" / "fs.tgz").read_bytes())]
        done = jenkins_ami("build", tmp_path / "out", "--local", "--state", local_state)
    assert done.returncode == 0, done.stderr
    assert set(web.asked) == {f"/overlays/{overlay['sha256']}.tgz"}
    console = (tmp_path / "out" / "console.log").read_text()
    assert said(console, "BLOB")[0].split()[0] == hashlib.sha256(blob).hexdigest()
