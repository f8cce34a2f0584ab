"""compile.sh: what it sees, what it may say, what becomes of what it made and of what it leaves running."""

import io
import os
import resource
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jenkins_ami.compile.script import SHOWN_LIMIT, SOURCE_DATE_EPOCH, run_compile_script
from jenkins_ami.compile.workcopy import as_named, copy_source
from jenkins_ami.errors import AmiError, InputError, Location, ScriptError, UsageError
from jenkins_ami.findings import ERROR, Finding, InvalidSource
from jenkins_ami.folders import remove_tree
from jenkins_ami.progress import NORMAL, QUIET, PlainProgress
from jenkins_ami.source.reader import read_source

ENV = "NAME=test\nVERSION=1.0\nBASE=scratch\n"
LONG = f"1000.{os.getpid()}"
"""Seconds to sleep that no other test run on this machine sleeps."""

BOTH_WAYS = pytest.mark.parametrize("sandbox", [None, "offline"], ids=["plain", "sandbox"])


class Runner:
    """Runs the compile.sh of sources, and keeps what came of the last one."""

    def __init__(self, make_source, tmp_path):
        self._make_source = make_source
        self._tmp_path = tmp_path
        self.log = ""
        self.root = Path()
        self.source = None

    def __call__(
        self, script, files=None, *, env=ENV, parameters=None, passed=None, sandbox=None, verbosity=NORMAL, mode=0o755
    ):
        self.root = self._make_source({"script/compile.sh": script, **(files or {})}, env=env)
        (self.root / "script/compile.sh").chmod(mode)
        work = self._tmp_path / "work"
        work.mkdir()
        stream = io.StringIO()
        try:
            self.source, variables = run_compile_script(
                read_source(self.root),
                self.root,
                work,
                PlainProgress(stream, verbosity),
                parameters=parameters or {},
                passed=passed or {},
                sandbox=sandbox,
            )
        finally:
            self.log = stream.getvalue()
        return variables

    @property
    def shown(self):
        """What compile.sh said, as the log shows it."""
        marker = "compile.sh| "
        return [line.partition(marker)[2] for line in self.log.splitlines() if marker in line]

    def refused(self, *args, **options):
        """The error's line, in which the source is called ``src``."""
        with pytest.raises(AmiError) as caught:
            self(*args, **options)
        self.error = caught.value
        errors = caught.value.findings if isinstance(caught.value, InvalidSource) else [caught.value]
        return "\n".join(error.line() for error in errors).replace(str(self.root), "src")


@pytest.fixture
def run(make_source, tmp_path):
    return Runner(make_source, tmp_path)


def secret_of(name):
    return {"ami.yaml": f"parameters:\n  {name}: {{type: secret}}\n"}


def alive(pid):
    path = Path(f"/proc/{pid}/stat")
    return path.exists() and path.read_text().rpartition(")")[2].split()[0] != "Z"


# What it sees


@BOTH_WAYS
def test_its_environment_is_what_the_documentation_lists_and_nothing_else(run, monkeypatch, sandbox):
    for name in ("AWS_SECRET_ACCESS_KEY", "JENKINS_URL", "GERRIT_PASSWORD", "PYTHONPATH", "NOT_PASSED"):
        monkeypatch.setenv(name, "of the caller")
    run(
        "#!/bin/sh\nenv >&2\n",
        {"ami.yaml": "parameters:\n  flavour: {}\n  token: {type: secret}\n"},
        env=ENV + "MIRROR=here\n",
        parameters={"flavour": "sweet", "token": "hidden"},
        passed={"PROXY": "http://proxy"},
        sandbox=sandbox,
    )
    seen = dict(line.split("=", 1) for line in run.shown)
    for of_the_shell in ("PWD", "OLDPWD", "SHLVL", "_"):
        seen.pop(of_the_shell, None)
    home, tmp = seen.pop("HOME"), seen.pop("TMPDIR")
    assert home != tmp
    assert seen == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH,
        "NAME": "test",
        "VERSION": "1.0",
        "BASE": "scratch",
        "MIRROR": "here",
        "PROXY": "http://proxy",
        "AMI_NAME": "test",
        "AMI_VERSION": "1.0",
        "AMI_PARAM_FLAVOUR": "sweet",
        "AMI_PARAM_TOKEN": "***",
    }


@BOTH_WAYS
def test_home_and_tmpdir_are_empty_writable_and_gone_afterwards(run, tmp_path, sandbox):
    script = '#!/bin/sh\nset -e\n[ -z "$(ls -A $HOME $TMPDIR | grep -v :)" ]\ntouch $HOME/a $TMPDIR/b\nmktemp\n'
    script = script.replace("mktemp\n", "mkdir $TMPDIR/c; chmod 0 $TMPDIR/c\n")
    run(script, sandbox=sandbox)
    assert sorted(path.name for path in (tmp_path / "work/compile").iterdir()) == ["source"]


def test_language_zone_and_date_are_the_sources_to_choose(run):
    run("#!/bin/sh\necho $TZ $LANG $SOURCE_DATE_EPOCH >&2\n", env=ENV + "TZ=Asia/Tokyo\nLANG=C\nSOURCE_DATE_EPOCH=1\n")
    assert run.shown == ["Asia/Tokyo C 1"]


def test_a_passed_variable_wins_over_the_source(run):
    run("#!/bin/sh\necho $MIRROR $PATH >&2\n", env=ENV + "MIRROR=a\n", passed={"MIRROR": "b", "PATH": "/bin"})
    assert run.shown == ["b /bin"]


def test_files_it_makes_have_the_same_modes_under_any_umask(run):
    before = os.umask(0o077)
    try:
        run("#!/bin/sh\nmkdir -p fs/d; touch fs/d/f\n")
    finally:
        os.umask(before)
    assert stat.S_IMODE((run.source.overlay / "d/f").stat().st_mode) == 0o644
    assert stat.S_IMODE((run.source.overlay / "d").stat().st_mode) == 0o755


@pytest.mark.parametrize("mode", [0o755, 0o644], ids=["executable", "not executable"])
def test_its_first_line_chooses_the_interpreter(run, mode):
    assert run("#!/bin/bash -eu\nset -- ${BASH_VERSION:+bash} $-\necho K=$1 ${2%%B*}\n", mode=mode)["K"].startswith(
        "bash "
    )
    assert "u" in run.source.compile_script.read_text()


def test_without_a_first_line_it_is_a_shell_script(run):
    assert run("echo K=$((1+1))\n") == {"K": "2"}


# The copy it works in


def test_what_it_makes_is_used_and_the_source_is_left_alone(run):
    script = (
        "#!/bin/sh\nmkdir -p fs/etc\necho made >fs/etc/made\necho x >cloudinit/20_made.yml\nrm cloudinit/10_a.yml\n"
    )
    run(script, {"cloudinit/10_a.yml": "#cloud-config\n"})
    assert [part.name for part in run.source.parts] == ["cloudinit/20_made.yml"]
    assert (run.source.overlay / "etc/made").read_text() == "made\n"
    assert sorted(p.relative_to(run.root).as_posix() for p in run.root.rglob("*")) == [
        "ami.env",
        "cloudinit",
        "cloudinit/10_a.yml",
        "script",
        "script/compile.sh",
    ]


def test_the_copy_has_modes_times_links_and_hard_links_and_no_git(make_source, tmp_path):
    root = make_source({"fs/a": "a", "fs/deep/b": "b", ".git/config": "x", "fs/sub/.git": "gitdir: x"})
    (root / "fs/a").chmod(0o4751)
    os.link(root / "fs/a", root / "fs/again")
    (root / "fs/out").symlink_to("/etc/passwd")
    (root / "fs/in").symlink_to("a")
    os.utime(root / "fs/deep/b", (1, 1))
    (root / "fs/deep").chmod(0o555)
    copy = tmp_path / "copy"
    copy_source(root, copy)
    assert stat.S_IMODE((copy / "fs/a").stat().st_mode) == 0o4751
    assert (copy / "fs/a").samefile(copy / "fs/again")
    assert not (copy / "fs/a").samefile(root / "fs/a")
    assert str((copy / "fs/out").readlink()) == "/etc/passwd"
    assert str((copy / "fs/in").readlink()) == "a"
    assert (copy / "fs/deep/b").stat().st_mtime == 1
    assert stat.S_IMODE((copy / "fs/deep").stat().st_mode) == 0o555
    assert not list(copy.rglob(".git"))
    remove_tree(copy)
    assert not copy.exists()


def test_a_work_folder_inside_the_source_is_not_copied_into_itself(make_source):
    root = make_source({"fs/a": "a"})
    work = root / ".out"
    work.mkdir()
    copy_source(root, work / "copy", leave_out=[work])
    assert sorted(path.name for path in (work / "copy").iterdir()) == ["ami.env", "fs"]


def test_a_pipe_in_the_overlay_is_refused_and_elsewhere_left_out(make_source, tmp_path):
    root = make_source({"fs/a": "a"})
    os.mkfifo(root / "editor.pipe")
    copy_source(root, tmp_path / "copy")
    assert not (tmp_path / "copy/editor.pipe").exists()
    os.mkfifo(root / "fs/pipe")
    with pytest.raises(InputError) as caught:
        copy_source(root, tmp_path / "copy2")
    assert caught.value.line() == f"a named pipe cannot be put into an overlay ({root}/fs/pipe). Remove it."


@pytest.mark.parametrize(
    ("file", "text", "what"),
    [
        ("fs/given", "as given", "wrong"),
        ("fs/given", "other", "wrong; compile.sh changed it"),
        ("fs/made", "new", "wrong; compile.sh made it"),
    ],
    ids=["untouched", "changed", "made"],
)
@pytest.mark.parametrize("base", ["copy", "source"])
def test_a_finding_names_the_users_file_and_what_the_script_did_to_it(make_source, tmp_path, file, text, what, base):
    root = make_source({"fs/given": "as given"})
    copy = tmp_path / "copy"
    copy_source(root, copy)
    (copy / file).write_text(text)
    finding = Finding("rule", ERROR, "wrong", Location((copy if base == "copy" else root) / file, 3, 4))
    assert as_named(finding, copy, root) == Finding("rule", ERROR, what, Location(root / file, 3, 4))


# What it says


def test_its_messages_are_shown_as_they_come_and_hidden_by_quiet(run):
    assert run("#!/bin/sh\necho one >&2\nprintf two >&2\n") == {}
    assert run.shown == ["one", "two"]


def test_a_message_reaches_the_log_while_the_script_runs(make_source, tmp_path):
    root = make_source(
        {"script/compile.sh": "#!/bin/sh\necho waiting >&2\nwhile [ ! -e $HOME/go ]; do sleep 0.05; done\n"}
    )

    class Log(io.StringIO):
        def write(self, text):
            if "compile.sh| waiting" in text:
                (tmp_path / "compile/home/go").touch()
            return super().write(text)

    stream = Log()
    source = read_source(root)
    run_compile_script(source, root, tmp_path, PlainProgress(stream), parameters={}, passed={}, sandbox=None)
    assert "waiting" in stream.getvalue()


def test_what_steers_a_terminal_or_a_log_is_taken_out(run):
    run(
        "#!/bin/sh\nprintf '\\033[2J\\033[31mred\\033[0m \\033]0;title\\007\\033[8mha:AAAA\\b\\n "
        "10%%\\r 99%%\\r100%%\\n' >&2\n"
    )
    assert run.shown == ["red ha:AAAA", "100%"]


@pytest.mark.parametrize("secret", ["hunter2", "it's $(here)", 'a"b\\c', "ünï/code&?"])
@BOTH_WAYS
def test_a_secret_is_masked_however_a_shell_shows_it(run, secret, sandbox):
    script = (
        '#!/bin/sh\nprintf "is %s here\\n" "$AMI_PARAM_T" >&2\nset -x\n: "$AMI_PARAM_T"\nbash -xc \': '
        '"$AMI_PARAM_T"\'\n'
    )
    run(script, secret_of("t"), parameters={"t": secret}, sandbox=sandbox)
    assert run.shown[0] == "is *** here"
    assert secret not in run.log
    assert run.log.count("***") >= 3


def test_a_secret_is_masked_in_the_error_too(run):
    line = run.refused(
        '#!/bin/sh\necho "denied: $AMI_PARAM_T" >&2\nexit 7\n',
        secret_of("t"),
        parameters={"t": "hunter2"},
        verbosity=QUIET,
    )
    assert line == "compile.sh exited with 7: denied: *** (src/script/compile.sh)."
    assert run.error.detail == ["denied: ***"]
    assert run.log == ""


def test_a_secret_is_not_shown_in_part_where_a_long_line_is_cut(run):
    script = '#!/bin/bash\nprintf "%1990s$AMI_PARAM_T%70000s$AMI_PARAM_T\\n" x y >&2\n'
    run(script, secret_of("t"), parameters={"t": "0123456789abcdef"})
    (line,) = run.shown
    assert "0123" not in line
    assert len(line) < 2_010


def test_the_tail_is_told_with_the_error_only_where_it_was_not_seen(run, tmp_path):
    run.refused("#!/bin/sh\necho seen >&2\nexit 1\n")
    assert run.error.detail == []
    assert run.shown == ["seen"]


def test_a_flood_of_messages_fills_neither_log_nor_memory(run):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    flood = f"yes {'x' * 999} | head -c 60000000 >&2\nhead -c 200000000 /dev/zero >&2"
    script = f"#!/bin/sh\n{flood}\necho >&2\necho end >&2\nexit 1\n"
    message = run.refused(script)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert message == "compile.sh exited with 1: end (src/script/compile.sh)."
    assert "compile.sh has more than 10.0 MiB to say; the rest is not shown" in run.log
    assert len(run.log) < 1.2 * SHOWN_LIMIT
    assert run.error.detail[-1] == "end"
    assert len(run.error.detail) == 30
    assert grown < 100_000  # KiB; the log itself is in memory here


# What it prints


def test_variables_keep_spaces_equal_signs_and_unicode(run):
    script = "#!/bin/sh\necho 'A=one two'\necho B=\necho 'c_1=x=y  '\necho D=ü\nprintf 'E=no newline\\tat the end'\n"
    assert run(script) == {"A": "one two", "B": "", "c_1": "x=y  ", "D": "ü", "E": "no newline\tat the end"}


def test_the_same_variable_twice_with_one_value_is_one(run):
    assert run("#!/bin/sh\necho A=1\necho A=1\n") == {"A": "1"}


def test_what_still_comes_from_the_background_is_waited_for(run):
    script = "#!/bin/bash\nexec > >(while read -r line; do sleep 0.1; echo $line; done)\necho A=1; echo B=2\n"
    assert run(script) == {"A": "1", "B": "2"}


def test_what_still_comes_from_the_background_is_waited_for_in_the_sandbox(run):
    script = "#!/bin/bash\nexec > >(while read -r line; do sleep 0.1; echo $line; done)\necho A=1; echo B=2\n"
    assert run(script, sandbox="offline") == {"A": "1", "B": "2"}


# What it leaves running


@pytest.mark.parametrize(
    "start",
    [
        f"sleep {LONG} &",
        f"setsid sleep {LONG} &",
        f"(setsid sleep {LONG} >/dev/null 2>&1 &)",
        f"nohup sleep {LONG} >/dev/null 2>&1 &",
    ],
    ids=["background", "own session", "daemon", "nohup"],
)
def test_what_it_leaves_running_is_ended_and_named(run, start):
    variables = run(f"#!/bin/sh\n{start}\nsleep 0.2\necho PID=$(pgrep -f -x 'sleep {LONG}')\n")
    assert not alive(variables["PID"])
    assert "warning: compile.sh left something running in the background, which was ended: sleep" in run.log


@pytest.mark.parametrize("start", ["sleep 1001 &", "setsid sleep 1001 &"], ids=["background", "own session"])
def test_a_script_that_hangs_is_ended_with_all_it_started(run, start):
    line = run.refused(
        f"#!/bin/sh\n{start}\necho PID $! >&2\nwait; sleep 1002\n", {"ami.yaml": "timeouts: {compile: 1}\n"}
    )
    assert line == (
        "compile.sh did not end within 1 s (src/script/compile.sh). "
        "Make it faster, or raise 'compile' of 'timeouts' in ami.yaml."
    )
    assert not alive(run.shown[0].split()[1])


def test_an_interrupt_ends_it_and_removes_its_folders(make_source, tmp_path):
    root = make_source({"script/compile.sh": "#!/bin/sh\nsetsid sleep 1003 & echo $! >&2\nwait\n"})
    program = (
        "import sys\nfrom pathlib import Path\nfrom jenkins_ami.cli import _signals\n"
        "from jenkins_ami.compile.script import run_compile_script\nfrom jenkins_ami.progress import PlainProgress\n"
        "from jenkins_ami.source.reader import read_source\nroot, work = map(Path, sys.argv[1:])\n"
        "with _signals():\n"
        "    run_compile_script(read_source(root), root, work, PlainProgress(sys.stderr), parameters={}, passed={},"
        " sandbox=None)\n"
    )
    (tmp_path / "work").mkdir()
    argv = [sys.executable, "-c", program, str(root), str(tmp_path / "work")]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as child:
        for line in child.stderr:
            if "compile.sh| " in line:
                pid = line.split()[-1]
                break
        assert alive(pid)
        child.terminate()
        assert child.wait(30) != 0
        child.stderr.read()
    assert not alive(pid)
    assert [path.name for path in (tmp_path / "work/compile").iterdir()] == ["source"]


def test_children_that_were_there_before_are_none_of_its_business(run):
    with subprocess.Popen(["sleep", "1004"], start_new_session=True) as mine:
        run("#!/bin/sh\nsetsid true &\n")
        assert mine.poll() is None
        mine.kill()


# What is refused


PRINTED = [
    (
        "echo hello world",
        (
            "compile.sh printed 'hello world' in line 1 of its output, which is not KEY=VALUE ({}). "
            "Send messages to stderr: echo ... >&2."
        ),
    ),
    (
        "echo A=1; echo",
        (
            "compile.sh printed '' in line 2 of its output, which is not KEY=VALUE ({}). "
            "Send messages to stderr: echo ... >&2."
        ),
    ),
    (
        "echo ' A=1'",
        (
            "compile.sh printed ' A=1' in line 1 of its output, which is not KEY=VALUE ({}). "
            "Send messages to stderr: echo ... >&2."
        ),
    ),
    (
        "echo 1A=1",
        (
            "compile.sh printed '1A=1' in line 1 of its output, which is not KEY=VALUE ({}). "
            "Send messages to stderr: echo ... >&2."
        ),
    ),
    (
        "echo export A=1",
        (
            "compile.sh printed 'export A=1' in line 1 of its output, which is not KEY=VALUE ({}). "
            "Send messages to stderr: echo ... >&2."
        ),
    ),
    (
        "printf 'A=1\\r\\n'",
        "compile.sh printed A with the control character U+000D, in line 1 of its output ({}). Remove it.",
    ),
    (
        "printf 'A=1\\000\\n'",
        "compile.sh printed A with the control character U+0000, in line 1 of its output ({}). Remove it.",
    ),
    (
        "printf 'A=\\377\\n'",
        "compile.sh printed what is not UTF-8, in line 1 of its output ({}). Print KEY=VALUE as UTF-8 text.",
    ),
    (
        "echo A=1; echo AWSREGION=x",
        "compile.sh printed AWSREGION, which compile and build set, in line 2 of its output ({}). Use another name.",
    ),
    (
        "echo FSS3URL=x",
        "compile.sh printed FSS3URL, which compile and build set, in line 1 of its output ({}). Use another name.",
    ),
    (
        "echo AMINAME=x",
        "compile.sh printed AMINAME, which compile and build set, in line 1 of its output ({}). Use another name.",
    ),
    (
        "echo AMIID=x",
        "compile.sh printed AMIID, which compile and build set, in line 1 of its output ({}). Use another name.",
    ),
    (
        "echo A=1; echo B=1; echo A=2",
        "compile.sh printed A in line 3 of its output, after another value in line 1 ({}). Print it once.",
    ),
    (
        "head -c 70000 /dev/zero | tr '\\000' A",
        (
            "compile.sh printed more than vars.env should hold, in line 1 of its output ({}). "
            "Send messages to stderr: echo ... >&2."
        ),
    ),
    (
        "yes A=1",
        (
            "compile.sh printed more than vars.env should hold, in line 262145 of its output ({}). "
            "Send messages to stderr: echo ... >&2."
        ),
    ),
    ("exit 3", "compile.sh exited with 3 ({})."),
    ("echo cannot >&2; echo >&2; exit 3", "compile.sh exited with 3: cannot ({})."),
    ("sh -c 'kill -9 $$'; exit 137", "compile.sh exited with 137 (SIGKILL): Killed ({})."),
]


@pytest.mark.parametrize(("body", "line"), PRINTED, ids=[body[:30] for body, _ in PRINTED])
@BOTH_WAYS
def test_what_it_may_not_print_and_how_it_may_not_end(run, body, line, sandbox):
    assert run.refused(f"#!/bin/sh\n{body}\n", sandbox=sandbox) == line.format("src/script/compile.sh")
    assert isinstance(run.error, ScriptError)


def test_a_line_that_is_wrong_ends_the_script_at_once(run):
    before = time.monotonic()
    run.refused("#!/bin/sh\necho wrong\nsleep 60\n")
    assert time.monotonic() - before < 30


def test_a_secret_in_a_variable_is_refused(run):
    line = run.refused("#!/bin/sh\necho A=1\necho URL=x$AMI_PARAM_T\n", secret_of("t"), parameters={"t": "hunter2"})
    assert line == (
        "compile.sh printed a secret, in line 2 of its output (src/script/compile.sh). "
        "Whoever sees the build reads vars.env; leave it out."
    )


def test_a_signal_is_named(run):
    assert run.refused("#!/bin/sh\nkill -9 $$\n") == "compile.sh was ended by SIGKILL (src/script/compile.sh)."


STARTS = [
    (
        b"#!/no/such/interpreter\n",
        "compile.sh could not be started: /no/such/interpreter: No such file or directory ({}).",
    ),
    (b"#!/etc/passwd\n", "compile.sh could not be started: /etc/passwd: Permission denied ({})."),
    (
        b"#!/bin/sh\r\necho hello\r\n",
        (
            "compile.sh has Windows line ends, which no shell understands ({}). "
            "Save it with LF, and write '*.sh text eol=lf' into .gitattributes."
        ),
    ),
    (b"#!sh\n", "the '#!' line of compile.sh names no absolute path ({}). Write #!/bin/sh."),
    (b"#!\n", "the '#!' line of compile.sh names no absolute path ({}). Write #!/bin/sh."),
]


@pytest.mark.parametrize(("script", "line"), STARTS, ids=["missing", "no program", "crlf", "relative", "empty"])
def test_a_script_that_cannot_start_says_why(run, script, line):
    assert run.refused(script) == line.format("src/script/compile.sh")


def test_a_script_that_cannot_start_in_the_sandbox_says_why(run):
    line = run.refused("#!/no/such/interpreter\n", sandbox="offline")
    assert line == "compile.sh could not be started: /no/such/interpreter: not found (src/script/compile.sh)."


RESERVED = [
    ("PATH", "PATH is what compile sets for compile.sh ({}). Use another name."),
    ("HOME", "HOME is what compile sets for compile.sh ({}). Use another name."),
    ("TMPDIR", "TMPDIR is what compile sets for compile.sh ({}). Use another name."),
    ("AMI_NAME", "AMI_NAME is what compile sets for compile.sh ({}). Use another name."),
    ("AMI_PARAM_X", "AMI_PARAM_X is what compile sets for compile.sh ({}). Use another name."),
    (
        "LD_PRELOAD",
        (
            "LD_PRELOAD would change how every program of compile.sh starts ({}). "
            "Set it in compile.sh, where it is needed."
        ),
    ),
    (
        "BASH_ENV",
        (
            "BASH_ENV would change how every program of compile.sh starts ({}). "
            "Set it in compile.sh, where it is needed."
        ),
    ),
    ("IFS", "IFS would change how every program of compile.sh starts ({}). Set it in compile.sh, where it is needed."),
]


@pytest.mark.parametrize(("name", "line"), RESERVED, ids=[name for name, _ in RESERVED])
def test_ami_env_cannot_take_names_that_steer_the_script(run, name, line):
    assert run.refused("#!/bin/sh\n", env=f"{ENV}{name}=x\n") == line.format("src/ami.env:4:1")


def test_all_reserved_names_are_told_at_once(run):
    assert run.refused("#!/bin/sh\n", env=f"{ENV}PATH=x\nOK=1\nLD_PRELOAD=y\n").count("\n") == 1


@pytest.mark.parametrize("name", ["HOME", "TMPDIR", "AMI_VERSION", "AMI_PARAM_X"])
def test_what_compile_sets_itself_cannot_be_passed(run, name):
    assert run.refused("#!/bin/sh\n", passed={name: "x"}) == (
        f"--env {name}: compile sets {name} for compile.sh itself. Leave it out."
    )
    assert isinstance(run.error, UsageError)


MADE = [
    (
        "echo VERSION=2 >>ami.env",
        "compile.sh changed ami.env, which was read before it ran (src/ami.env). Change fs/ and cloudinit/ only.",
    ),
    (
        "echo 'tags: {}' >ami.yaml",
        "compile.sh changed ami.yaml, which was read before it ran (src/ami.yaml). Change fs/ and cloudinit/ only.",
    ),
    (
        "rm ami.env; ln -s /etc/passwd ami.env",
        "compile.sh changed ami.env, which was read before it ran (src/ami.env). Change fs/ and cloudinit/ only.",
    ),
    ("touch fs", "fs is a file, not a folder; compile.sh made it (src/fs). Move it away."),
    ("mkdir script/install.sh", "install.sh is not a file; compile.sh made it (src/script/install.sh). Move it away."),
    (
        "ln -s /etc/passwd script/install.sh",
        "the link leads out of the AMI source; compile.sh made it (src/script/install.sh). Put the file itself here.",
    ),
]


@pytest.mark.parametrize(("body", "line"), MADE, ids=[body for body, _ in MADE])
def test_what_it_may_not_make(run, body, line):
    assert run.refused(f"#!/bin/sh\n{body}\n") == line


def test_a_part_that_would_not_be_used_is_named_where_the_user_would_look(run):
    line = run.refused("#!/bin/sh\nmkdir cloudinit; touch cloudinit/x.yml\n")
    assert line.startswith("x.yml would not be used; compile.sh made it (src/cloudinit/x.yml).")


def test_a_script_that_is_a_link_out_of_the_source_is_not_run(make_source, tmp_path):
    root = make_source({"script/other.sh": "#!/bin/sh\n"})
    outside = tmp_path / "outside.sh"
    outside.write_text("#!/bin/sh\necho RAN=1\n")
    (root / "script/compile.sh").symlink_to(root / "script/other.sh")  # absolute: in the copy, it leads out
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(InputError) as caught:
        run_compile_script(
            read_source(root), root, work, PlainProgress(io.StringIO()), parameters={}, passed={}, sandbox=None
        )
    assert caught.value.line() == (
        f"the link leads out of the AMI source ({root}/script/compile.sh). Put the file itself here."
    )


def test_a_source_without_compile_sh_is_taken_as_it_is(make_source, tmp_path):
    source = read_source(make_source())
    assert run_compile_script(
        source, source.root, tmp_path, PlainProgress(io.StringIO()), parameters={}, passed={}, sandbox=None
    ) == (source, {})
