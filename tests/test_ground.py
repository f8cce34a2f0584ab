"""The ground that every room stands on: errors, progress, processes, paths, YAML with places."""

import io
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jenkins_ami import errors, paths, process, progress, yamlfile
from jenkins_ami.errors import AmiError, HostError, InputError, Location


def test_an_error_is_one_line_with_what_where_and_a_hint():
    error = InputError("NAME is missing", where=Location("ami.env", 3, 7), hint="Add NAME=")
    assert error.line() == "NAME is missing (ami.env:3:7). Add NAME=."


def test_an_error_stays_one_line_and_ends_in_one_full_stop_whatever_others_said():
    assert AmiError("it said:\n no.", hint="Try again.").line() == "it said: no. Try again."


def test_exit_codes_are_those_of_the_design():
    codes = {
        kind.__name__: kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and hasattr(kind, "exit_code")
    }
    assert codes == {
        "AmiError": 1,
        "UsageError": 1,
        "HostError": 1,
        "InputError": 2,
        "StorageError": 3,
        "ScriptError": 4,
        "InstanceTimeout": 4,
        "ImageTimeout": 5,
        "InstanceFailure": 6,
        "CloudError": 7,
        "ServerError": 7,
        "PlanDiffers": 8,
        "Interrupted": 130,
    }


# progress


def play(out: progress.Progress) -> None:
    with out.step("outer") as outer:
        out.info("a fact")
        with pytest.raises(ValueError), out.step("inner", total=10) as inner:
            inner.advance(5)
            inner.status("half way")
            raise ValueError
        out.detail("only with -v")
        outer.done("all well")
    out.warn("careful")
    out.close()


def test_a_log_gets_plain_lines_with_times_and_nesting():
    stream = io.StringIO()
    play(progress.for_stream(stream))
    lines = [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()]
    assert lines == [
        "outer ...",
        "  a fact",
        "  inner ...",
        "  inner: failed (0.0 s)",
        "outer: all well (0.0 s)",
        "warning: careful",
    ]


def test_a_waiting_step_gives_a_sign_of_life(monkeypatch):
    monkeypatch.setattr(progress, "HEARTBEAT", 0.0)
    stream = io.StringIO()
    out = progress.PlainProgress(stream)
    with out.step("wait") as step:
        step.status("pending")
    assert "wait: still pending after 0.0 s" in stream.getvalue()


def test_a_log_of_an_hours_wait_has_a_line_soon_and_few_in_all(monkeypatch):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    stream = io.StringIO()
    with progress.PlainProgress(stream).step("wait") as step:
        while now < 3600:
            now += 5
            step.status("pending")
    lines = [line.partition(" after ")[2] for line in stream.getvalue().splitlines() if "still" in line]
    assert lines[:3] == ["30 s", "1 min 00 s", "1 min 30 s"]
    assert len(lines) <= 30


def test_quiet_shows_warnings_only_and_verbose_shows_details():
    for verbosity, shown in ((progress.QUIET, ["careful"]), (progress.VERBOSE, ["only with -v", "careful"])):
        stream = io.StringIO()
        play(progress.for_stream(stream, verbosity=verbosity))
        assert [text for text in ("only with -v", "careful") if text in stream.getvalue()] == shown


def test_machines_get_one_json_object_per_line():
    stream = io.StringIO()
    play(progress.for_stream(stream, as_json=True))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(e["event"], e.get("step") or e.get("text")) for e in events] == [
        ("begin", "outer"),
        ("info", "a fact"),
        ("begin", "inner"),
        ("progress", "inner"),
        ("end", "inner"),
        ("end", "outer"),
        ("warning", "careful"),
    ]
    assert [e["ok"] for e in events if e["event"] == "end"] == [False, True]


def test_a_terminal_keeps_a_line_for_each_step_that_ended():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    play(progress.for_stream(stream))
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "✗ inner  0.0 s" in text
    assert "✓ outer  all well  0.0 s" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.96, "10 s"), (59.4, "59 s"), (185, "3 min 05 s"), (3720, "1 h 02 min")]
)
def test_durations_are_for_people(seconds, text):
    assert progress.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (16384, "16.0 KiB"), (2**31, "2.0 GiB"), (2**20 - 1, "1.0 MiB")]
)
def test_sizes_are_for_people(count, text):
    assert progress.size(count) == text


# processes


def test_a_failing_command_is_an_error_with_its_last_words_and_argv():
    with pytest.raises(process.ProcessError) as caught:
        process.run(["sh", "-c", "echo out; echo why >&2; exit 3"])
    assert caught.value.line() == "sh exited with 3: why."
    assert (caught.value.returncode, caught.value.stdout, caught.value.stderr) == (3, "out", "why")


def test_values_reach_a_command_untouched():
    hostile = "a'b\"; touch pwned; $(touch pwned) `x` *"
    assert process.run(["printf", "%s", hostile]).stdout == hostile


def test_a_missing_tool_names_the_package():
    with pytest.raises(HostError, match="no-such-tool is not installed"):
        process.run(["no-such-tool"])


def test_output_comes_line_by_line_and_input_goes_in():
    seen: list[str] = []
    process.run(["cat"], input=b"one\ntwo\n", on_stdout=seen.append)
    assert seen == ["one", "two"]


def test_a_time_limit_ends_all_that_the_command_started(tmp_path):
    pid = tmp_path / "pid"
    with pytest.raises(process.ProcessError, match="did not end within"):
        process.run(["sh", "-c", 'sleep 1000 & echo $! >"$1"; wait', "-", pid], timeout=1)
    assert _gone(int(pid.read_text()))


def test_a_spawned_child_dies_with_us_even_by_kill_9(tmp_path):
    code = (
        "import sys, threading, time; from jenkins_ami.process import spawn\n"
        "t = threading.Thread(target=lambda: print(spawn(['sleep', '1000']).pid, flush=True)); t.start(); t.join()\n"
        "time.sleep(1000)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    time.sleep(0.3)  # the thread that asked for it has ended long ago
    assert not _gone(child, patience=0)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert _gone(child)


def _gone(pid: int, patience: float = 5.0) -> bool:
    deadline = time.monotonic() + patience
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)


# paths


def test_folders_follow_our_variable_then_xdg_then_home(monkeypatch):
    for name in ("JENKINS_AMI_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/x")
    assert paths.cache_dir() == Path("/home/x/.cache/jenkins-ami")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert paths.cache_dir() == Path("/xdg/jenkins-ami")
    monkeypatch.setenv("JENKINS_AMI_CACHE", "own")
    assert paths.cache_dir() == Path.cwd() / "own"


# YAML


def test_every_value_knows_its_line_and_column():
    node = yamlfile.parse("a:\n  - b\n  - c: 1\n", "f.yml")
    assert str(node.value["a"].value[1].value["c"].where) == "f.yml:3:8"
    assert str(node.value["a"].value[1].keys["c"]) == "f.yml:3:5"


def test_merge_keys_and_aliases_read_as_safe_load_does():
    text = "base: &b {x: 1, y: 2}\nmade: {<<: *b, y: 3}\nsame: *b\n"
    import yaml

    assert yamlfile.parse(text, "f").plain() == yaml.safe_load(text)


def test_an_exclamation_mark_alone_is_read_as_cloud_inits_own_reader_does():
    import yaml

    text = "a: !\nb: ! 12\nc: [! 1, {d: ! }]\nd: |\n  if ! true; then\n"
    assert yamlfile.parse(text, "f").plain() == yaml.safe_load(text)


def test_a_second_document_is_refused():
    with pytest.raises(InputError, match="a second document begins here"):
        yamlfile.parse("a: 1\n---\nb: 2\n", "f.yml")
