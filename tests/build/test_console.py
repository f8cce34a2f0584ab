from __future__ import annotations

from jenkins_ami.build.console import GAP, Console, merge, readable
from jenkins_ami.progress import VERBOSE, Progress


def lines(first: int, last: int) -> bytes:
    return b"".join(b"line %d of the boot\n" % number for number in range(first, last))


def test_a_console_that_grows_replaces_what_was_seen():
    assert merge(lines(0, 10), lines(0, 20)) == lines(0, 20)


def test_windows_that_overlap_are_joined():
    assert merge(lines(0, 1000), lines(500, 1500)) == lines(0, 1500)


def test_a_window_that_begins_in_the_middle_of_a_line_is_joined():
    assert merge(lines(0, 1000), lines(500, 1500)[7:]) == lines(0, 1500)


def test_an_older_window_adds_nothing():
    assert merge(lines(0, 1000), lines(500, 1000)) == lines(0, 1000)


def test_an_empty_window_adds_nothing():
    assert merge(lines(0, 3), b"") == lines(0, 3)


def test_a_gap_between_two_windows_is_marked():
    assert merge(lines(0, 1000), lines(2000, 3000)) == lines(0, 1000) + GAP + lines(2000, 3000)


def test_what_signs_a_url_is_not_shown():
    url = b"https://b.s3/k?X-Amz-Credential=AKIA/2&X-Amz-Date=1&X-Amz-Security-Token=abc&X-Amz-Signature=0123'"
    (line,) = readable(url)
    assert line == "https://b.s3/k?***'"
    assert readable(b"in-Amz-Date=1&X-Amz-Signature=0123 x") == ["in-Amz-Date=1&X-Amz-Signature=*** x"]


class Said(Progress):
    def __init__(self) -> None:
        super().__init__(VERBOSE)
        self.lines: list[str] = []

    def _line(self, kind: str, text: str) -> None:
        self.lines.append(text)


def launched(server, cloud) -> str:
    answer = cloud.ec2.run_instances(ImageId=server.base(), MinCount=1, MaxCount=1)
    return answer["Instances"][0]["InstanceId"]


def test_each_complete_line_is_shown_once(server, cloud):
    said = Said()
    console = Console(cloud, launched(server, cloud), said)
    for text in (b"one\r\ntw", b"one\r\ntwo\r\n", b"one\r\ntwo\r\n\x1b[32mthree\x1b[0m\r\n"):
        server.script.console = text
        console.read()
    assert said.lines == ["console| one", "console| two", "console| three"]
    assert console.last_line() == "three"
    assert console.tail(2) == ["two", "three"]


def test_a_console_without_output_yet_is_empty(server, cloud):
    console = Console(cloud, launched(server, cloud), Progress())
    console.read()
    assert (console.raw, console.tail(), console.last_line()) == (b"", [], "")


def test_a_type_without_the_latest_console_is_asked_for_the_posted_one(server, cloud):
    console = Console(cloud, launched(server, cloud), Progress())
    server.script.console = b"posted\n"
    server.refuse("get_console_output", "UnsupportedOperation")
    console.read()
    console.read()
    assert console.raw == b"posted\n"


def test_an_instance_that_is_not_known_yet_has_no_console(server, cloud):
    server.base()
    console = Console(cloud, "i-0123456789abcdef0", Progress())
    console.read()
    assert console.raw == b""
