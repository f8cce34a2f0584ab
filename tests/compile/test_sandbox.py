"""The sandbox holds: what reaches out of it fails inside, and would work outside. Or it refuses to start."""

import http.server
import io
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from jenkins_ami.compile.sandbox import MODES, UNPRIVILEGED, refusal
from jenkins_ami.compile.script import run_compile_script
from jenkins_ami.errors import HostError, ScriptError
from jenkins_ami.progress import PlainProgress
from jenkins_ami.source.reader import read_source

PACKAGE = Path(__file__).parents[2] / "jenkins_ami"
DRIVER = """\
import json, sys
from pathlib import Path
from jenkins_ami.compile.script import run_compile_script
from jenkins_ami.progress import PlainProgress
from jenkins_ami.source.reader import read_source
root, work, sandbox = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] or None
source, variables = run_compile_script(
    read_source(root), root, work, PlainProgress(sys.stderr), parameters={}, passed={}, sandbox=sandbox
)
print(json.dumps(variables))
"""
LONG = f"1000.{os.getpid()}"
"""Seconds to sleep that no other test run on this machine sleeps."""

USERS = ["root", "an ordinary user"] if os.geteuid() == 0 else ["an ordinary user"]


def run(make_source, work, script, sandbox):
    root = make_source({"script/compile.sh": script})
    work.mkdir(exist_ok=True)
    stream = io.StringIO()
    arguments = {"parameters": {}, "passed": {}, "sandbox": sandbox}
    source, variables = run_compile_script(read_source(root), root, work, PlainProgress(stream), **arguments)
    return source, variables, stream.getvalue()


@pytest.fixture
def outcome(make_source, tmp_path):
    """Runs shell commands in a compile.sh, and tells whether they succeeded."""

    def outcome_of(commands, sandbox):
        script = f"#!/bin/sh\nif ( {commands} ) >/dev/null 2>&1; then echo IT=works; else echo IT=fails; fi\n"
        shutil.rmtree(tmp_path / "work", ignore_errors=True)
        return run(make_source, tmp_path / "work", script, sandbox)[1]["IT"]

    return outcome_of


@pytest.fixture
def server():
    """The port of a web server on loopback."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield web.server_address[1]
        web.shutdown()
        thread.join()


ask = "/usr/bin/python3 -c 'import urllib.request as u; u.urlopen(\"http://127.0.0.1:{}/\", timeout=10)'"


def test_a_file_outside_cannot_be_read(outcome, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    assert outcome(f"cat {secret}", None) == "works"
    assert outcome(f"cat {secret}", "offline") == "fails"
    assert outcome(f"cat {secret}", "network") == "fails"


def test_the_source_itself_cannot_be_seen_or_changed(outcome, tmp_path):
    change = f"touch {tmp_path}/source/fs"
    assert outcome(change, "offline") == "fails"
    assert not (tmp_path / "source/fs").exists()
    assert outcome(change, None) == "works"


@pytest.mark.parametrize("path", ["/usr/x", "/etc/x", "/x", "/build/x", "/var/x", "/etc/passwd"])
def test_the_system_cannot_be_written(outcome, path):
    assert outcome(f"touch {path}", "offline") == "fails"


def test_the_kernels_settings_cannot_be_written(outcome):
    same = "cat /proc/sys/vm/swappiness >/proc/sys/vm/swappiness"
    assert outcome(same, "offline") == "fails"
    assert outcome("cat /proc/sys/vm/swappiness", "offline") == "works"


def test_a_service_on_loopback_is_out_of_reach_unless_the_network_is_asked_for(outcome, server):
    assert outcome(ask.format(server), None) == "works"
    assert outcome(ask.format(server), "offline") == "fails"
    assert outcome(ask.format(server), "network") == "works"


def test_a_service_on_an_abstract_socket_is_out_of_reach_without_network(outcome, tmp_path):
    name = f"jenkins-ami-test-{os.getpid()}"
    call = f"/usr/bin/python3 -c 'import socket as s; s.socket(s.AF_UNIX).connect(chr(0) + \"{name}\")'"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + name)
        listener.listen()
        assert outcome(call, None) == "works"
        assert outcome(call, "offline") == "fails"


@pytest.mark.parametrize("sandbox", MODES)
def test_no_service_takes_it_for_root(make_source, tmp_path, sandbox):
    _, variables, _ = run(
        make_source,
        tmp_path / "work",
        (
            "#!/bin/sh\necho USER_ID=$(id -u):$(id -g):$(id -G)\ngrep -q '^CapEff:\t0*$' /proc/self/status "
            "&& echo CAPS=none\n"
        ),
        sandbox,
    )
    assert variables == {"USER_ID": "1000:1000:1000", "CAPS": "none"}


def test_even_for_root_it_is_an_ordinary_user_to_the_rest_of_the_machine(make_source, tmp_path):
    source, _, _ = run(make_source, tmp_path / "work", "#!/bin/sh\nmkdir fs; touch fs/made\n", "offline")
    assert (source.overlay / "made").stat().st_uid == (os.geteuid() or UNPRIVILEGED)


def test_a_process_of_the_host_cannot_be_seen_or_signalled(outcome):
    with subprocess.Popen(["sleep", LONG]) as mine:
        assert outcome(f"kill -0 {mine.pid}", None) == "works"
        assert outcome(f"pgrep -x -f 'sleep {LONG}'", None) == "works"
        assert outcome(f"pgrep -x -f 'sleep {LONG}'", "offline") == "fails"
        assert outcome(f"kill -0 {mine.pid}", "offline") == "fails"
        mine.kill()


def test_the_environment_of_a_process_of_the_host_cannot_be_read(outcome):
    look = "cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -x PASSWORD_OF_A_TEST=1"
    with subprocess.Popen(["sleep", LONG], env={"PASSWORD_OF_A_TEST": "1"}) as mine:
        assert outcome(look, None) == "works"
        assert outcome(look, "offline") == "fails"
        mine.kill()


def test_the_hosts_name_and_users_are_not_told(make_source, tmp_path):
    script = "#!/bin/sh\necho HOST=$(hostname)\necho USERS=$(cut -d: -f1 /etc/passwd)\n"
    variables = run(make_source, tmp_path / "work", script, "offline")[1]
    assert variables == {"HOST": "build", "USERS": "root build nobody"}


@pytest.mark.parametrize("folder", ["/root", "/home", "/opt", "/srv", "/mnt", "/sys", "/var/lib", "/etc/ssl/private"])
def test_folders_of_the_host_are_not_there(outcome, folder):
    assert outcome(f"ls -d {folder}", "offline") == "fails"


@pytest.mark.parametrize("sandbox", MODES)
def test_what_scripts_need_is_there(make_source, tmp_path, sandbox):
    script = """\
#!/bin/bash
set -eu
diff <(echo a) <(echo a)
echo x >$HOME/a; echo x >$TMPDIR/b; echo x >/tmp/c; echo x >/var/tmp/d; echo x >/dev/null; echo x >/dev/shm/e
tar -c . | tar -t >/dev/null
head -c 4 /dev/urandom >/dev/null
/usr/bin/python3 -c 'import ssl, json; assert ssl.create_default_context().get_ca_certs()'
/usr/bin/perl -e 1
[ $PWD = /build/source ]
[ -d /etc/alternatives ]
awk 'BEGIN { exit 0 }'
echo DONE=1
"""
    assert run(make_source, tmp_path / "work", script, sandbox)[1] == {"DONE": "1"}


def test_names_are_resolved_as_the_host_does_only_with_network(outcome):
    assert outcome("cat /etc/resolv.conf", "offline") == "fails"
    assert outcome("cmp /etc/hosts - <<E\n127.0.0.1 localhost\n::1 localhost\nE\n", "offline") == "works"
    assert outcome("cat /etc/resolv.conf", "network") == ("works" if Path("/etc/resolv.conf").exists() else "fails")


def test_set_uid_programs_do_not_raise_it(make_source, tmp_path):
    script = "#!/bin/sh\necho NEW=$(grep NoNewPrivs /proc/self/status | cut -f2)\n"
    assert run(make_source, tmp_path / "work", script, "offline")[1] == {"NEW": "1"}


def test_what_it_made_comes_out_with_modes_and_links(make_source, tmp_path):
    script = "#!/bin/sh\nmkdir -p fs/d\necho x >fs/d/f\nchmod 4750 fs/d/f\nln -s f fs/d/l\nln fs/d/f fs/d/h\n"
    source, _, _ = run(make_source, tmp_path / "work", script, "offline")
    assert (source.overlay / "d/f").stat().st_mode & 0o7777 == 0o4750
    assert (source.overlay / "d/f").samefile(source.overlay / "d/h")
    assert str((source.overlay / "d/l").readlink()) == "f"


def test_a_link_it_made_to_a_file_of_the_host_is_not_followed(make_source, tmp_path):
    (tmp_path / "secret").write_text("x")
    script = f"#!/bin/sh\nmkdir fs cloudinit\nln -s {tmp_path}/secret fs/leak\n"
    source, _, _ = run(make_source, tmp_path / "work", script, "offline")
    assert (source.overlay / "leak").is_symlink()


def test_what_it_leaves_running_ends_with_it(make_source, tmp_path):
    run(make_source, tmp_path / "work", f"#!/bin/sh\nsetsid sleep {LONG} >/dev/null 2>&1 &\nsleep 0.2\n", "offline")
    assert subprocess.run(["pgrep", "-x", "-f", f"sleep {LONG}"]).returncode == 1


@pytest.fixture
def reachable():
    """A folder that every user of this machine may enter, with the package in it."""
    folder = Path(tempfile.mkdtemp(prefix="sandbox-test-"))
    folder.chmod(0o755)
    shutil.copytree(PACKAGE, folder / "lib/jenkins_ami", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "driver.py").write_text(DRIVER)
    yield folder
    shutil.rmtree(folder)


class Driver:
    """Runs the compile.sh of a source in a Python of its own, as ``user``."""

    def __init__(self, folder, user):
        self._folder = folder
        self.root, self.work = folder / "src", folder / "work"
        self.work.mkdir()
        self._drop = []
        if user != "root" and os.geteuid() == 0:
            os.chown(self.work, 65_534, 65_534)
            self._drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]

    def source(self, script):
        (self.root / "script").mkdir(parents=True)
        (self.root / "ami.env").write_text("NAME=test\nVERSION=1\nBASE=scratch\n")
        (self.root / "script/compile.sh").write_text(script)

    def start(self, sandbox, before=()):
        argv = [*self._drop, *before, "/usr/bin/python3", self._folder / "driver.py", self.root, self.work, sandbox]
        library = str(self._folder / "lib")
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": library, "PYTHONDONTWRITEBYTECODE": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(list(map(str, argv)), **pipes, text=True, env=environment)


@pytest.fixture(params=USERS)
def driver(request, reachable):
    return Driver(reachable, request.param)


@pytest.fixture
def ordinary(reachable):
    return Driver(reachable, "an ordinary user")


@pytest.mark.parametrize("mode", MODES)
def test_it_works_for_root_and_for_an_ordinary_user(driver, mode):
    driver.source("#!/bin/sh\nmkdir fs; touch fs/made; [ -e /home ] && exit 1; echo WHO=$(id -u) UNDER=$(pwd)\n")
    with driver.start(mode) as child:
        out, err = child.communicate()
    assert child.returncode == 0, err
    assert json.loads(out) == {"WHO": "1000 UNDER=/build/source"}
    assert (driver.work / "compile/source/fs/made").exists()


def test_nothing_is_left_when_we_are_killed_outright(driver):
    driver.source(f"#!/bin/sh\nsetsid sleep {LONG} &\necho up >&2\nwait\n")
    look = ["pgrep", "-x", "-f", f"sleep {LONG}"]
    with driver.start("offline") as child:
        assert any("compile.sh| up" in line for line in child.stderr)
        child.kill()
    deadline = time.monotonic() + 30
    while subprocess.run(look, capture_output=True).returncode == 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)


# When it cannot be had


@pytest.mark.parametrize("files", [{"script/compile.sh": "#!/bin/sh\n"}, None], ids=["with", "without a script"])
def test_without_bubblewrap_nothing_runs(make_source, tmp_path, monkeypatch, files):
    monkeypatch.setenv("PATH", str(tmp_path))
    source = read_source(make_source(files))
    with pytest.raises(HostError) as caught:
        run_compile_script(
            source, source.root, tmp_path, PlainProgress(io.StringIO()), parameters={}, passed={}, sandbox="offline"
        )
    assert caught.value.line() == "bwrap is not installed. Install it: apt-get install bubblewrap."
    assert not isinstance(caught.value, ScriptError)


@pytest.mark.parametrize(
    ("forbid", "hint"),
    [
        (
            "echo 0 >/proc/sys/user/max_user_namespaces",
            "The kernel allows no user namespaces: sysctl -w user.max_user_namespaces=10000.",
        ),
        (
            "mount -t tmpfs none /proc/fs",
            "This container hides parts of /proc: start it with --security-opt systempaths=unconfined.",
        ),
    ],
    ids=["no namespaces", "masked proc"],
)
def test_where_the_kernel_forbids_it_nothing_runs(reachable, ordinary, forbid, hint):
    ordinary.source("#!/bin/sh\ntouch $HOME/../../ran\n")
    (reachable / "driver.py").write_text(
        DRIVER.replace("source, variables", "from jenkins_ami.errors import AmiError\ntry: source, variables").replace(
            "print(", "except AmiError as error: sys.exit(error.line())\nprint("
        )
    )
    inside = ["unshare", "-r", "-m", "-p", "-f", "--mount-proc", "sh", "-c", f'{forbid} && exec "$@"', "sh"]
    with ordinary.start("offline", before=inside) as child:
        said = child.communicate()[1].splitlines()[-1]
    assert child.returncode == 1
    assert said.startswith("the sandbox does not start here: ")
    assert said.endswith(hint)
    assert not (ordinary.work / "ran").exists()


CONTAINER = (
    "Containers forbid namespaces by default: start this one with --security-opt seccomp=unconfined "
    "--security-opt apparmor=unconfined --security-opt systempaths=unconfined --cap-add SYS_ADMIN"
)
REFUSALS = [
    (
        "bwrap: Creating new namespace failed: No space left on device",
        {"user.max_user_namespaces": "0"},
        "The kernel allows no user namespaces: sysctl -w user.max_user_namespaces=10000",
    ),
    (
        "bwrap: No permissions to create new namespace",
        {"kernel.unprivileged_userns_clone": "0"},
        "The kernel keeps user namespaces for root: sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    (
        "bwrap: setting up uid map: Permission denied",
        {"kernel.apparmor_restrict_unprivileged_userns": "1"},
        "AppArmor keeps user namespaces for programs with a profile: give bwrap one, "
        "or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    (
        "warning\nbwrap: Can't mount proc on /newroot/proc: Operation not permitted\n",
        {"user.max_user_namespaces": "9", "kernel.unprivileged_userns_clone": "1"},
        "This container hides parts of /proc: start it with --security-opt systempaths=unconfined",
    ),
    ("bwrap: Creating new namespace failed: Operation not permitted", {}, CONTAINER),
]


@pytest.mark.parametrize(("stderr", "facts", "hint"), REFUSALS)
def test_the_kernels_reason_is_told_with_what_helps(stderr, facts, hint):
    said = stderr.strip().splitlines()[-1].removeprefix("bwrap: ")
    assert refusal(stderr, facts).line() == f"the sandbox does not start here: {said}. {hint}."


def test_a_refusal_without_a_word_is_still_one():
    assert refusal("", {}).line() == f"the sandbox does not start here: bwrap fails without a word. {CONTAINER}."
