"""Read the files of ``cloudinit/``: cloud-config documents, and shell scripts, which become runcmd entries.

cloud-init drops what it does not recognise or cannot parse with a warning and goes on, so a build would look successful
without it. Here all of that is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError, Location
from ..source.model import Part
from ..yamlfile import Node, parse
from .merge import place

SCRIPTS = "/var/lib/jenkins-ami/parts"
"""Where shell parts are kept on the instance while it builds."""

_HEADER = "#cloud-config"
_MERGE_KEYS = ("merge_how", "merge_type")
_OTHER_HEADERS = (
    "#cloud-boothook",
    "#cloud-config-archive",
    "#cloud-config-jsonp",
    "#include",
    "#include-once",
    "#part-handler",
    "## template: jinja",
)


def read_part(part: Part, shown: Path) -> Node:
    """One part as a cloud-config document.

    :param shown: the path to name in errors (the source's own, also when a work copy is read)
    :raises InputError: for whatever cloud-init would drop, and for what compile sets itself
    """
    try:
        data = part.path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=shown) from error
    if data.startswith(b"#!"):
        return _script(part, data, shown)
    first = data.split(b"\n", 1)[0].rstrip().decode("utf-8", "replace")
    if first != _HEADER and not first.startswith(f"{_HEADER} "):
        raise _header_error(first, data, shown)
    document = parse(data, shown)
    if document.value is None:
        raise InputError("the document is empty", where=shown, hint="Remove the file, or give it content")
    if not isinstance(document.value, dict):
        raise InputError(f"the document is {document.kind}, not a mapping", where=document.where)
    _check(document)
    return document


def _header_error(first: str, data: bytes, shown: Path) -> InputError:
    where = Location(shown, 1)
    if not data.strip():
        return InputError("the file is empty", where=shown, hint="Remove it, or give it content")
    for header in _OTHER_HEADERS:
        if first.startswith(header):
            return InputError(f"parts of the kind '{header}' are not supported", where=where)
    if not first or first == "---" or first.replace(" ", "") == _HEADER:
        what = "the first line is not exactly '#cloud-config': cloud-init would ignore the file"
    else:
        what = "the first line says neither '#cloud-config' nor '#!': cloud-init would ignore the file"
    return InputError(what, where=where, hint="Make '#cloud-config' the first line")


def _script(part: Part, data: bytes, shown: Path) -> Node:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("the script is not UTF-8 text", where=shown) from error
    target = f"{SCRIPTS}/{Path(part.name).name}"
    return place(
        {
            "write_files": [{"path": target, "permissions": "0700", "content": text}],
            "runcmd": [[target]],
        },
        Location(shown),
    )


def _check(document: Node) -> None:
    keys = document.keys or {}
    for key in document.value:
        if not isinstance(key, str):
            raise InputError(f"key {key!r} is not a text", where=keys.get(key, document.where))
    for key in _MERGE_KEYS:
        if key in document.value:
            raise InputError(
                f"'{key}' is not supported",
                where=keys[key],
                hint="Remove it: lists append, mappings merge, and a contradiction is an error",
            )
    if "power_state" in document.value:
        raise InputError(
            "'power_state' belongs to compile: the power-off is the proof of success",
            where=keys["power_state"],
            hint="Remove it",
        )
    for key in ("runcmd", "write_files"):
        node = document.value.get(key)
        if node is not None and node.value is not None and not isinstance(node.value, list):
            raise InputError(f"'{key}' is {node.kind}, not a list", where=node.where)
    runcmd = document.value.get("runcmd")
    for item in (runcmd.value or []) if runcmd is not None else []:
        _check_command(item)


def _check_command(item: Node) -> None:
    if isinstance(item.value, str):
        return
    words: Sequence[Node] = item.value if isinstance(item.value, list) else ()
    if not words or any(isinstance(word.value, (dict, list)) or word.value is None for word in words):
        hint = "Write a text, or a list of words; quote a text that contains ': '"
        raise InputError(f"a runcmd entry is {item.kind}, not a command", where=item.where, hint=hint)
