"""The examples that build: baked with real machines, booted again, and asked."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.boot


def jenkins_ami(*argv: object) -> subprocess.CompletedProcess:
    """The command line in a process of its own, as a user runs it."""
    words = [sys.executable, "-m", "jenkins_ami", *map(str, argv)]
    return subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def machines_of(state: Path) -> list[str]:
    """Command lines of the QEMU processes that have to do with this state folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "qemu-system" in line and str(state) in line:
            found.append(line)
    return found


@pytest.fixture(scope="module")
def web_server(local_state, tmp_path_factory):
    """The web server's result folder."""
    output = tmp_path_factory.mktemp("web-server")
    done = jenkins_ami("bake", EXAMPLES / "web-server", "--local", "--state", local_state, "-o", output)
    assert done.returncode == 0, done.stderr
    return output


@pytest.mark.xdist_group("web-server")
def test_the_web_server_is_baked_and_leaves_only_its_image(web_server, local_state):
    result = json.loads((web_server / "ami.json").read_text())
    image = result["images"][result["region"]]
    assert (web_server / "ami.env").read_text() == (f"AMINAME={result['image_name']}\nAMIID={image['image_id']}\n")
    assert re.fullmatch(r"web-server-1\.0\.0-\d+", result["image_name"])
    assert result["verdict"] == "ok"
    assert "JENKINS-AMI-VERDICT:OK" in (web_server / "console.log").read_text()
    ledger = [json.loads(line) for line in (web_server / "ledger.jsonl").read_text().splitlines()]
    assert ledger
    assert jenkins_ami("cleanup", web_server).returncode == 0
    assert (local_state / "images" / f"{image['image_id']}.json").is_file()


@pytest.mark.xdist_group("web-server")
def test_its_own_tests_pass_on_the_booted_image(web_server, local_state):
    done = jenkins_ami("boot", web_server, "--test", "--state", local_state, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    tests = json.loads(done.stdout)["tests"]
    assert [(t["name"], t["ok"]) for t in tests] == [
        ("the server answers with our page", True),
        ("the server was started by our unit", True),
        ("install.sh has run and is gone", True),
    ]


@pytest.mark.xdist_group("web-server")
def test_its_page_reaches_the_host_and_ctrl_c_ends_the_machine(web_server, local_state, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [
        sys.executable,
        "-m",
        "jenkins_ami",
        "boot",
        str(web_server),
        "--state",
        str(local_state),
        "--port",
        f"{port}:80",
    ]
    with (tmp_path / "console").open("wb") as console:
        child = subprocess.Popen(argv, stdout=console, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 400
        page = ""
        while not page and time.monotonic() < deadline:
            assert child.poll() is None, child.stderr.read()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                    page = answer.read().decode()
            except (OSError, urllib.error.URLError):
                time.sleep(1)
        assert "Hello from an AMI" in page
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(30)
        child.stderr.close()
    assert child.returncode == 130
    assert not [line for line in machines_of(local_state) if f":{port}-" in line]


@pytest.fixture(scope="module")
def jenkins_agent(local_state, tmp_path_factory):
    output = tmp_path_factory.mktemp("jenkins-agent")
    argv = ["--local", "--state", local_state, "-o", output, "--test"]
    done = jenkins_ami("bake", EXAMPLES / "jenkins-agent", *argv)
    assert done.returncode == 0, done.stderr
    return output


@pytest.mark.xdist_group("jenkins-agent")
def test_the_jenkins_agent_passes_its_own_tests_on_its_first_boot(jenkins_agent):
    result = json.loads((jenkins_agent / "ami.json").read_text())
    assert [test["ok"] for test in result["tested"]] == [True] * len(result["tests"])
    assert "JENKINS-AMI-TEST:" in (jenkins_agent / "console-test.log").read_text()
    ids = re.findall(r'"(i-[0-9a-f]{17})"', (jenkins_agent / "ledger.jsonl").read_text())
    assert len(set(ids)) == 2, "one instance was imaged, another one tested"


def test_an_overlay_too_large_to_inline_arrives_and_the_instance_saw_the_bytes_that_compile_wrote(
    make_source, local_state, tmp_path
):
    blob = os.urandom(60_000)
    source = make_source(
        {
            "fs/opt/blob": blob,
            "cloudinit/60_look.yml": (
                "#cloud-config\nruncmd:\n"
                "  - sha256sum /opt/blob\n"
                "  - |\n"
                "    zcat /var/lib/cloud/instance/user-data.txt | sed \"s|'http[^']*'|URL|\" | sha256sum\n"
                "  - test ! -e /var/lib/jenkins-ami/fs.url\n"
            ),
        },
        env="NAME=external\nVERSION=1.0\nBASE=scratch\n",
    )
    output = tmp_path / "out"
    done = jenkins_ami("bake", source, "--local", "--state", local_state, "-o", output)
    assert done.returncode == 0, done.stderr
    console = (output / "console.log").read_text()
    assert hashlib.sha256(blob).hexdigest() in console
    written = (output / "cloud-config.yaml").read_text()
    token = "'@JENKINS-AMI-STORAGE-URL@'"
    assert written.count(token) == 1
    seen = re.sub(r"'http[^']*'", "URL", written.replace(token, "'http'"))  # what the command on the instance hashes
    assert hashlib.sha256(seen.encode()).hexdigest() in console
    assert "X-Amz-Signature=" not in console.replace("X-Amz-Signature=***", "")
