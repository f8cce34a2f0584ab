"""``compile``: read the source, run its script, merge, pack, decide, write."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..artifacts import (
    CLOUD_CONFIG,
    COMPILE_JSON,
    OVERLAY,
    STORAGE_TOKEN,
    USERDATA,
    USERDATA_LIMIT,
    VARS_ENV,
    Command,
    CompiledAmi,
    FileEntry,
    Manifest,
    Overlay,
    env_text,
    to_json,
)
from ..errors import InputError, StorageError
from ..progress import Progress, size
from ..source.model import AmiSource
from ..source.reader import read_source
from ..yamlfile import Node
from . import own
from .merge import merge
from .output import check_target, work_folder, write_folder
from .overlay import pack
from .parts import read_part
from .payload import cloud_config_text, compress
from .script import run_compile_script

_PRESIGNED_URL = 2048
"""Bytes kept free for the URL that replaces the token; one with a session token has some 1,700."""


@dataclass(frozen=True)
class Options:
    """What the command line may add: ``storage`` as ``s3://bucket/prefix``, the largest inline payload in bytes."""

    storage: str | None = None
    region: str | None = None
    commit: str | None = None
    inline_limit: int = USERDATA_LIMIT


@dataclass(frozen=True)
class Payload:
    """The user-data before and after compression, and what was decided about the overlay."""

    text: str
    data: bytes
    commands: tuple[Command, ...]
    nonce: str
    placement: str


def compile_source(root: Path, target: Path, options: Options, progress: Progress) -> CompiledAmi:
    """Compile the AMI source in ``root`` into the folder ``target``.

    :raises InputError: something in the source is wrong (2)
    :raises StorageError: the user-data does not fit (3)
    :raises ScriptError: compile.sh failed (4)
    :raises HostError: the target cannot be written (1); the old content stays
    """
    with progress.step(f"compile {root}") as step:
        source = read_source(root)
        check_target(target, root)
        with work_folder(target) as work:
            compiled, variables = run_compile_script(source, work, progress)
            files, manifest = assemble(compiled, root, variables, options)
            write_folder(work, target, files)
        overlay = manifest.overlay
        where = {"none": "no overlay", "inline": "overlay inline", "storage": f"overlay of {size(overlay.size)} for S3"}
        step.done(f"{manifest.files[USERDATA].size} of {USERDATA_LIMIT} bytes of user-data, {where[overlay.placement]}")
    return CompiledAmi(target, manifest)


def assemble(
    source: AmiSource, root: Path, variables: dict[str, str], options: Options
) -> tuple[dict[str, bytes], Manifest]:
    """The files of the compiled AMI, without touching anything.

    :param root: the source as the user named it, for places in errors; ``source`` may be a work copy
    """
    documents = [(part.name, read_part(part, root / part.name)) for part in source.parts]
    tarball = pack(source)
    payload = _decide(documents, tarball, root, options)
    identity = source.identity
    storage = options.storage or identity.storage
    files = {USERDATA: payload.data, CLOUD_CONFIG: _readable(payload, tarball).encode()}
    external = {}
    if payload.placement == "storage" and tarball is not None:
        files[OVERLAY] = tarball.data
        if options.region:
            external["AWSREGION"] = options.region
        if storage:
            external["FSS3URL"] = storage
    files[VARS_ENV] = env_text({**variables, **external}).encode()
    manifest = Manifest(
        name=identity.name,
        version=identity.version,
        base=identity.base,
        description=identity.description,
        architecture=identity.architecture,
        nonce=payload.nonce,
        digest=_digest(root),
        commit=options.commit,
        files={name: FileEntry(len(data), hashlib.sha256(data).hexdigest()) for name, data in sorted(files.items())},
        overlay=Overlay(
            payload.placement,
            len(tarball.data) if tarball else 0,
            tarball.sha256 if tarball else "",
            storage if payload.placement == "storage" else None,
        ),
        instance_types=identity.instance_types,
        volume_size=identity.volume_size,
        tags=identity.tags,
        commands=payload.commands,
        tests=identity.tests,
        timeouts=identity.timeouts,
    )
    return files | {COMPILE_JSON: to_json(manifest).encode()}, manifest


def _decide(documents: list[tuple[str, Node]], tarball: own.Tarball | None, root: Path, options: Options) -> Payload:
    if tarball is None:
        payload = _payload(documents, None, "none", root)
        room = USERDATA_LIMIT
    else:
        payload = _payload(documents, tarball, "inline", root)
        room = min(options.inline_limit, USERDATA_LIMIT)
        if len(payload.data) > room:
            payload = _payload(documents, tarball, "storage", root)
            room = USERDATA_LIMIT - _PRESIGNED_URL
    if len(payload.data) > room:
        largest = sorted(documents, key=lambda pair: -len(str(pair[1].plain())))[:3]
        names = ", ".join(f"{name} ({size(len(str(node.plain())))})" for name, node in largest)
        raise StorageError(
            f"the user-data has {len(payload.data)} bytes and {room} are allowed",
            where=root,
            hint=f"Move content from write_files or scripts into fs/, which can go to S3. The largest parts: {names}",
        )
    return payload


def _payload(documents: list[tuple[str, Node]], tarball: own.Tarball | None, placement: str, root: Path) -> Payload:
    entries = [("00", own.opening()), ("98_logs", own.closing()), *((_key(name), node) for name, node in documents)]
    if tarball is not None:
        entries.append(("50_overlay", own.arrival(tarball, inline=placement == "inline")))
        entries.append(("51_overlay", own.unpacking(tarball)))
    entries.sort(key=lambda entry: entry[0].encode())
    nodes = [node for _, node in entries]
    nonce = _nonce(merge(nodes), tarball, placement)
    merged = merge([*nodes, own.verdict_entry(nonce)])
    config: dict[str, Any] = merged.plain()
    config["runcmd"], commands = own.announce(merged.value["runcmd"].value, str(root))
    text = cloud_config_text(config)
    if text.count(STORAGE_TOKEN) != (1 if placement == "storage" else 0):
        raise InputError(f"the source contains {STORAGE_TOKEN}, which is reserved", where=root)
    return Payload(text, compress(text), commands, nonce, placement)


def _key(name: str) -> str:
    return name.removeprefix("cloudinit/")


def _nonce(merged: Node, tarball: own.Tarball | None, placement: str) -> str:
    """16 hex digits that follow from the content: another payload has another nonce."""
    content = json.dumps(merged.plain(), sort_keys=True, default=str)
    parts = [content, tarball.sha256 if tarball else "", placement]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _readable(payload: Payload, tarball: own.Tarball | None) -> str:
    """The cloud-config for people and diffs: the same document, the inlined overlay named, not spelled out."""
    if payload.placement != "inline" or tarball is None:
        return payload.text
    import base64

    data = base64.b64encode(tarball.data).decode()
    return payload.text.replace(data, f"({len(tarball.data)} bytes of fs.tgz, sha256 {tarball.sha256})")


def _digest(root: Path) -> str:
    """sha256 over the source's files: names, executable bits, contents. Git's own folder is left out."""
    total = hashlib.sha256()
    for path in sorted(_files(root), key=lambda path: os.fsencode(path.relative_to(root))):
        name = os.fsencode(path.relative_to(root))
        if path.is_symlink():
            kind, content = b"link", os.fsencode(path.readlink())
        else:
            kind = b"exec" if path.stat().st_mode & 0o100 else b"file"
            content = path.read_bytes()
        total.update(b"%s %d:%s %d:" % (kind, len(name), name, len(content)))
        total.update(content)
    return total.hexdigest()


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for entry in os.scandir(folder):
        if entry.name == ".git":
            continue
        if entry.is_dir(follow_symlinks=False):
            found += _files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False) or entry.is_symlink():
            found.append(Path(entry.path))
    return found
