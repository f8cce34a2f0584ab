"""Compare two compiled AMIs: what the second one changes on the machine, and in what is known of it.

What compile itself adds (its scripts, the announcements between commands, the nonce, how an overlay travels) is no
difference: it follows from the rest, or from the version of this program.
"""

from __future__ import annotations

import base64
import binascii
import email
import gzip
import json
import shlex
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, cast

from ..artifacts import USERDATA, VARS_ENV, CompiledAmi, to_json
from ..errors import InputError
from ..yamlfile import parse
from .assemble import APPEND, PREPEND
from .changes import ADDED, CHANGED, REMOVED, Change, text_diff, values
from .compare_overlay import Content, compare_overlays
from .own import ANNOUNCED, HERE, SCRIPTS
from .payload import SUBFIELD

MANIFEST, VARIABLES, CONFIG, PARTS = "manifest", "variables", "cloud-config", "parts"

_FOLLOWS = ("nonce", "digest", "commit", "files", "commands", "schema")
"""Keys of the manifest that follow from the rest, or say nothing of the machine."""


@dataclass(frozen=True)
class Comparison:
    """Two compiled AMIs, and what is different in the second."""

    old: CompiledAmi
    new: CompiledAmi
    changes: tuple[Change, ...]


def compare(old: CompiledAmi, new: CompiledAmi) -> Comparison:
    """Compare two compiled AMIs.

    :raises InputError: a payload that compile did not write, or not this version of it
    """
    before, after = _user_data(old), _user_data(new)
    changes = [
        *values(MANIFEST, _manifest(old), _manifest(new)),
        *values(VARIABLES, _variables(old), _variables(new)),
        *values(CONFIG, before.config, after.config),
        *_part_changes(before.parts, after.parts),
    ]
    if _overlay_digest(old) != _overlay_digest(new):
        changes += compare_overlays(_overlay(old), _overlay(new))
    return Comparison(old, new, tuple(changes))


def inline_overlay(userdata: bytes) -> bytes | None:
    """The tarball in the header of a gzipped user-data; ``None`` when there is none.

    It is the subfield ``JA`` of the extra field (RFC 1952, 2.3.1.1).
    """
    if userdata[:3] != b"\x1f\x8b\x08" or not userdata[3:4] or not userdata[3] & 4:
        return None
    end = 12 + int.from_bytes(userdata[10:12], "little")
    at = 12
    while at + 4 <= end <= len(userdata):
        size = int.from_bytes(userdata[at + 2 : at + 4], "little")
        if userdata[at : at + 2] == SUBFIELD:
            return userdata[at + 4 : at + 4 + size] if at + 4 + size <= end else None
        at += 4 + size
    return None


def _overlay_digest(compiled: CompiledAmi) -> str:
    overlay = compiled.manifest.overlay
    return overlay.sha256 if overlay.placement != "none" else ""


def _overlay(compiled: CompiledAmi) -> Content | None:
    placement = compiled.manifest.overlay.placement
    if placement == "none":
        return None
    if placement == "storage":
        return compiled.overlay_file
    data = inline_overlay(compiled.userdata)
    if data is None:
        raise _foreign(compiled, "it holds no overlay, although compile.json says so")
    return data


def _foreign(compiled: CompiledAmi, what: str) -> InputError:
    return InputError(
        f"the user-data is not what this version compiles: {what}",
        where=compiled.path / USERDATA,
        hint="Run 'jenkins-ami compile' again",
    )


def _manifest(compiled: CompiledAmi) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(to_json(compiled.manifest))
    kept = {key: value for key, value in data.items() if key not in _FOLLOWS}
    overlay = {key: value for key, value in data["overlay"].items() if key not in ("size", "sha256")}
    return kept | {"overlay": overlay}


def _variables(compiled: CompiledAmi) -> dict[str, Any]:
    path = compiled.path / VARS_ENV
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


@dataclass
class _UserData:
    """What is in a user-data: the cloud-config without compile's own entries, and the parts beside it, by name."""

    config: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, tuple[str, bytes]] = field(default_factory=dict)


def _user_data(compiled: CompiledAmi) -> _UserData:
    try:
        raw = gzip.decompress(compiled.userdata)
    except (OSError, EOFError, zlib.error) as error:
        raise _foreign(compiled, str(error)) from error
    found = _UserData()
    for message in _messages(raw):
        data = cast(bytes, message.get_payload(decode=True))
        kind, merging = message.get_content_type(), str(message.get("X-Merge-Type", ""))
        if kind != "text/cloud-config" or message.get_filename():
            name = _unused(message.get_filename() or kind, found.parts)
            found.parts[name] = f"{kind} {merging}".rstrip(), data
            continue
        config = parse(data, compiled.path / USERDATA).plain()
        if not isinstance(config, dict):
            raise _foreign(compiled, "a cloud-config is no mapping")
        if merging in ("", APPEND, PREPEND):
            _add_config(found.config, config, prepend=merging == PREPEND)
        else:
            _without_own(config)
            found.config[_unused(f"(merged by {merging})", found.config)] = config
    _without_own(found.config)
    return found


def _messages(raw: bytes) -> Iterator[Message]:
    """The parts of a user-data; a cloud-config alone is its only one. cloud-init tells them apart in the same way."""
    if b"mime-version:" not in raw[:4096].lower():
        message = Message()
        message.set_type("text/cloud-config")
        message.set_payload(raw)
        yield message
        return
    for part in email.message_from_bytes(raw).walk():
        if not part.is_multipart():
            yield part


def _unused(name: str, taken: dict[str, Any]) -> str:
    number = 1
    unused = name
    while unused in taken:
        number += 1
        unused = f"{name}#{number}"
    return unused


def _add_config(config: dict[str, Any], more: dict[str, Any], *, prepend: bool) -> None:
    """One more cloud-config, as the instance will put them together: lists append, the first scalar stays."""
    for key, value in more.items():
        was = config.get(key)
        if isinstance(was, list) and isinstance(value, list):
            config[key] = [*value, *was] if prepend else [*was, *value]
        elif isinstance(was, dict) and isinstance(value, dict):
            _add_config(was, value, prepend=prepend)
        elif key not in config:
            config[key] = value


def _without_own(config: dict[str, Any]) -> None:
    """Take out what compile added, and bring the rest into one form."""
    power = config.pop("power_state", None)
    lenient = power["condition"][3:] if isinstance(power, dict) and isinstance(power.get("condition"), list) else []
    if lenient:
        config["parts that may fail"] = [
            "all parts" if word == "--lenient" else f"cloudinit/{word}" for word in lenient
        ]
    if isinstance(config.get("runcmd"), list):
        config["runcmd"] = list(_commands(config["runcmd"]))
    if isinstance(config.get("write_files"), list):
        config["write_files"] = [
            _file(entry) if isinstance(entry, dict) else entry
            for entry in config["write_files"]
            if not (isinstance(entry, dict) and _is_own(str(entry.get("path", ""))))
        ]
    for key in ("runcmd", "write_files"):
        if config.get(key) == []:
            del config[key]


def _is_own(path: str) -> bool:
    return path.startswith(f"{HERE}/") and not path.startswith(SCRIPTS)


def _commands(runcmd: list[Any]) -> Iterator[str]:
    """The user's commands as text. Each is announced by its place; compile's own places begin with ``compile``."""
    place, suffix = "compile", ""
    for entry in runcmd:
        if isinstance(entry, str) and (announced := ANNOUNCED.match(entry)):
            place = shlex.split(entry)[1]
            suffix = " (may fail)" if announced[1] == "try" else ""
            continue
        text = (
            entry if isinstance(entry, str) else shlex.join(map(str, entry)) if isinstance(entry, list) else str(entry)
        )
        if place.startswith("compile") or text.startswith("jenkins_ami_") or _is_own(text):
            continue
        yield f"{_shown_path(text)}{suffix}"


def _shown_path(path: str) -> str:
    return f"cloudinit/{path.removeprefix(SCRIPTS)}" if path.startswith(SCRIPTS) else path


def _file(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of write_files, its content as bytes however it is encoded (``cc_write_files.extract_contents``)."""
    content = entry.get("content", "")
    data = content if isinstance(content, bytes) else str(content).encode("utf-8", "surrogateescape")
    encoding = str(entry.get("encoding") or "").lower().replace("base64", "b64")
    try:
        if encoding in ("b64", "gz+b64", "gzip+b64"):
            data = base64.b64decode(data)
        if encoding.startswith(("gz", "gzip")):
            data = gzip.decompress(data)
    except (binascii.Error, OSError, EOFError, zlib.error):
        return entry | {"content": data}
    rest = {key: value for key, value in entry.items() if key not in ("encoding", "content")}
    return {**rest, "path": _shown_path(str(entry.get("path", ""))), "content": data}


def _part_changes(old: dict[str, tuple[str, bytes]], new: dict[str, tuple[str, bytes]]) -> Iterator[Change]:
    for name in [*old, *(name for name in new if name not in old)]:
        was, is_ = old.get(name), new.get(name)
        if was == is_:
            continue
        before, after = (None if part is None else {"type": part[0], "content": part[1]} for part in (was, is_))
        action = ADDED if was is None else REMOVED if is_ is None else CHANGED
        diff = text_diff(was[1], is_[1]) if was is not None and is_ is not None else ()
        yield Change(PARTS, action, name, before, after, diff=diff)
