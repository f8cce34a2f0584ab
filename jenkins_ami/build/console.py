"""An instance's serial console: polled gently, put together from 64 KiB windows, shown and kept without secrets."""

from __future__ import annotations

from ..cloud.session import Cloud
from ..errors import CloudError
from ..progress import Progress
from ..verdict import markers

GAP = b"\n[jenkins-ami: what the console said here was lost between two reads]\n"
_OVERLAP = 2048
"""Bytes at the end of what was seen that identify the place in a later window."""


def merge(seen: bytes, window: bytes) -> bytes:
    """All that was seen and what a later window adds to it. EC2 keeps the last 64 KiB only, so windows overlap."""
    if window.startswith(seen):
        return window
    if seen.endswith(window):
        return seen
    at = window.rfind(seen[-_OVERLAP:])
    if at >= 0:
        return seen + window[at + len(seen[-_OVERLAP:]) :]
    return seen + GAP + window


def readable(console: bytes) -> list[str]:
    """Lines for people: no control characters, and nothing that signs a request."""
    return [markers.masked(line) for line in markers.console_lines(console)]


def readable_text(text: str) -> list[str]:
    """The same of a text, which may hold what is no UTF-8."""
    return readable(text.encode("utf-8", "backslashreplace"))


class Console:
    """The console of one instance.

    :ivar raw: all of it so far, as bytes
    """

    def __init__(self, cloud: Cloud, instance_id: str, progress: Progress) -> None:
        self.raw = b""
        self._cloud = cloud
        self._instance_id = instance_id
        self._progress = progress
        self._latest = True
        self._shown = 0

    def read(self) -> None:
        """Ask for it once, and show the lines that are new.

        :raises CloudError: refused
        """
        try:
            with self._cloud.calls():
                answer = self._cloud.ec2.get_console_output(InstanceId=self._instance_id, Latest=self._latest)
        except CloudError as error:
            if error.code == "InvalidInstanceID.NotFound":  # just launched, or just terminated
                return
            if self._latest and error.code in ("UnsupportedOperation", "InvalidParameterCombination"):
                self._latest = False  # not a Nitro type (EC2 API reference, GetConsoleOutput)
                return
            raise
        self.raw = merge(self.raw, answer.get("Output", "").encode())
        complete = self.lines()[:-1]
        for line in complete[self._shown :]:
            self._progress.output("console", line)
        self._shown = max(self._shown, len(complete))

    def lines(self) -> list[str]:
        """All lines so far; the last one may still be growing."""
        return readable(self.raw)

    def last_line(self) -> str:
        """The last line with something on it, or an empty text."""
        return next((line.strip() for line in reversed(self.lines()) if line.strip()), "")

    def tail(self, count: int = 30) -> list[str]:
        """The last lines with something on them."""
        return [line for line in self.lines() if line.strip()][-count:]
