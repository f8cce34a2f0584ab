"""cloud-init's own code, from Debian's package, as the judge of what user-data means."""

from __future__ import annotations

import copy
import gzip
import logging
import sys
from email.message import Message
from pathlib import Path
from typing import Any


class Judge:
    """Reads user-data as cloud-init on an instance would.

    :param packages: the folder that holds the package ``cloudinit``
    """

    def __init__(self, packages: Path, work: Path) -> None:
        if str(packages) not in sys.path:
            sys.path.append(str(packages))
        from cloudinit import handlers, helpers, user_data
        from cloudinit.handlers.cloud_config import CloudConfigPartHandler

        self._walk = handlers.walk
        self._handler = CloudConfigPartHandler
        self.paths = helpers.Paths({"cloud_dir": str(work / "cloud"), "run_dir": str(work / "run")})
        self._processor = user_data.UserDataProcessor(self.paths)

    def parts(self, userdata: bytes) -> list[tuple[str, str, Any, dict[str, str]]]:
        """Content type, file name, payload and headers of each part, in the order in which they are handled."""
        message: Message = self._processor.process(userdata)
        found: list[tuple[str, str, Any, dict[str, str]]] = []

        def callback(_data: object, filename: str, payload: Any, headers: dict[str, str]) -> None:
            found.append((headers["Content-Type"], filename, payload, headers))

        self._walk(message, callback, None)
        return found

    def config(self, *userdata: bytes) -> dict[str, Any]:
        """The cloud-config that all these together come to, each being user-data by itself."""
        handler = self._handler(self.paths)
        for blob in userdata:
            for content_type, filename, payload, headers in self.parts(blob):
                if content_type == "text/cloud-config":
                    handler.handle_part(None, content_type, filename, payload, None, headers)
        return copy.deepcopy(handler.cloud_buf) or {}


def own_removed(config: dict[str, Any]) -> dict[str, Any]:
    """A config without what compile adds, scripts included."""
    config = copy.deepcopy(config)
    config.pop("power_state", None)
    files = [file for file in config.pop("write_files", []) if not _is_own_file(file)]
    commands = [command for command in config.pop("runcmd", []) if not _is_own_command(command)]
    return config | ({"write_files": files} if files else {}) | ({"runcmd": commands} if commands else {})


def _is_own_file(file: Any) -> bool:
    return isinstance(file, dict) and str(file.get("path", "")).startswith("/var/lib/jenkins-ami/")


def _is_own_command(command: Any) -> bool:
    text = command if isinstance(command, str) else " ".join(map(str, command))
    return "jenkins_ami_" in text or "/var/lib/jenkins-ami/" in text or "/etc/os-release" in text


class Warnings(logging.Handler):
    """Collects what cloud-init warns about."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.getMessage().startswith("No per instance data"):  # there is no instance here
            self.lines.append(record.getMessage())

    def __enter__(self) -> Warnings:
        logging.getLogger("cloudinit").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("cloudinit").removeHandler(self)


def text_of(userdata: bytes) -> str:
    return gzip.decompress(userdata).decode()
