"""``compile``: read the source, run its script, check, merge, pack, decide, write."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..artifacts import (
    CLOUD_CONFIG,
    COMPILE_JSON,
    ENVIRONMENTS,
    STORAGE_TOKEN,
    USERDATA,
    USERDATA_LIMIT,
    VARS_ENV,
    CompiledAmi,
    FileEntry,
    Manifest,
    Overlay,
    describe_file,
    env_text,
    to_json,
)
from ..errors import InputError, Location, StorageError
from ..findings import Finding, Findings
from ..folders import work_folder
from ..progress import Progress, size
from ..source.bases import base_name
from ..source.model import AmiSource, Storage
from ..source.parameters import Values, resolve
from ..source.reader import read_source
from . import own
from .assemble import Assembly, assemble, finish, overriding_templates, verdict_words
from .checks import check
from .members import Member, scan
from .output import check_target, write_folder
from .overlay import Tarball, pack
from .parts import Loaded, load_parts
from .payload import LARGEST_EXTRA, compress, config_text, text_of
from .place import https_url
from .script import run_compile_script
from .workcopy import as_named

_FREE = {"presigned": 2048, "profile": 512, "https": 0}
"""Bytes kept free for the URL that replaces the token; a presigned one with a session token has some 1,700."""


@dataclass(frozen=True)
class Options:
    """What the command line may add.

    :ivar storage: instead of the source's
    :ivar version: instead of the source's; :data:`~jenkins_ami.forms.VERSION` matches it
    :ivar inline_limit: the largest user-data with the overlay inside, in bytes
    :ivar parameters: ``--param NAME=VALUE``
    :ivar environ: the caller's environment: for ``AMI_PARAM_…`` and ``passed``
    :ivar passed: names of variables that ``compile.sh`` gets of it
    :ivar sandbox: ``None``, ``offline`` or ``network``
    """

    storage: Storage | None = None
    version: str | None = None
    region: str | None = None
    commit: str | None = None
    inline_limit: int = USERDATA_LIMIT
    parameters: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    passed: tuple[str, ...] = ()
    sandbox: str | None = None


@dataclass(frozen=True)
class Checked:
    """A source whose files were read and found good: its parts, the overlay's members, what they merge to.

    :ivar base: as ``build`` looks it up
    """

    source: AmiSource
    root: Path
    values: Values
    parts: tuple[Loaded, ...]
    members: tuple[Member, ...]
    base: str

    def assembly(self, findings: Findings, additions: list[own.Addition] | None = None) -> Assembly:
        """The sections of the user-data.

        :param additions: of the overlay; the opening and the closing are always there
        """
        all_additions = [own.opening(self.values.public), own.closing(self.parts), *(additions or [])]
        identity = self.source.identity
        return assemble(
            self.parts, all_additions, str(self.root), findings, scalars=identity.scalars, strict=identity.strict
        )


@dataclass(frozen=True)
class Payload:
    """The user-data before and after compression, and what was decided about the overlay."""

    text: str
    data: bytes
    assembly: Assembly
    nonce: str
    overlay: Overlay


def compile_source(root: Path, target: Path, options: Options, progress: Progress) -> CompiledAmi:
    """Compile the AMI source in ``root`` into the folder ``target``.

    :raises InputError: something in the source is wrong (2); all of it, as ``InvalidSource``
    :raises StorageError: the user-data does not fit (3)
    :raises ScriptError: compile.sh failed (4)
    :raises HostError: the target cannot be written, or the sandbox cannot be had (1); the old content stays
    """
    with progress.step(f"compile {root}") as step:
        source = _versioned(read_source(root), options.version)
        environments = source.environments.read_bytes() if source.environments else None
        check_target(target, root)
        values = _values(source, root, options)
        with work_folder(target) as work:
            if source.compile_script is not None:
                _read(source, root, values, progress=None)  # what is wrong without it need not wait for the script
            compiled, variables = run_compile_script(
                source,
                root,
                work,
                progress,
                parameters={**values.public, **values.secret},
                passed=_passed(options),
                sandbox=options.sandbox,
            )
            checked = _read(compiled, root, values, progress=progress)
            tarball = pack(checked.members, work, source.identity.overlay.compression, progress)
            payload = _decide(checked, tarball, options)
            digest = _digest(root, {target.resolve(), work.resolve()})
            files, manifest = _files_of(checked, payload, tarball, variables, environments, digest, options)
            write_folder(work, target, files)
        overlay = manifest.overlay
        where = {
            "none": "no overlay",
            "inline": "overlay inline",
            "storage": f"overlay of {size(overlay.size)} beside it",
        }
        step.done(f"{manifest.files[USERDATA].size} of {USERDATA_LIMIT} bytes of user-data, {where[overlay.placement]}")
    return CompiledAmi(target, manifest)


def validate_source(root: Path, options: Options, progress: Progress) -> tuple[Finding, ...]:
    """All that ``compile`` would find, and what only a thorough look finds; nothing is run, nothing is written.

    (``compile.sh`` is not run: what it would make is not seen.)
    """
    findings = Findings()
    with findings.catch("source"):
        source = read_source(root)
        values = Values({}, {})
        with findings.catch("parameter"):
            values = _values(source, root, options)
        with progress.step(f"check {root}"):
            _look(source, root, values, findings, thorough=True)
    return tuple(findings.items)


def check_source(root: Path, options: Options) -> Checked:
    """A source as it is on disk, read and found good; ``compile.sh`` is not run.

    :raises InputError: something in it is wrong
    """
    source = read_source(root)
    return _read(source, root, _values(source, root, options), progress=None)


def _versioned(source: AmiSource, version: str | None) -> AmiSource:
    if version is None:
        return source
    identity = source.identity
    variables = identity.variables | ({"VERSION": version} if "VERSION" in identity.variables else {})
    return replace(source, identity=replace(identity, version=version, variables=variables))


def _values(source: AmiSource, root: Path, options: Options) -> Values:
    return resolve(source.identity.parameters, options.parameters, options.environ, root / "ami.yaml")


def _passed(options: Options) -> dict[str, str]:
    passed = {}
    for name in options.passed:
        if name not in options.environ:
            raise InputError(f"--env {name}: there is no such variable", where="environment")
        passed[name] = options.environ[name]
    return passed


def _read(source: AmiSource, root: Path, values: Values, progress: Progress | None) -> Checked:
    """:raises InvalidSource: with all errors; warnings go to ``progress``"""
    findings = Findings()
    checked = _look(source, root, values, findings, thorough=False)
    if source.root != root:
        findings.items = [as_named(finding, source.root, root) for finding in findings.items]
    findings.raise_errors()
    if progress is not None:
        for finding in findings.warnings:
            progress.warn(finding.line())
    return checked


def _look(source: AmiSource, root: Path, values: Values, findings: Findings, *, thorough: bool) -> Checked:
    parts = load_parts(source, root, values, findings)
    members = scan(source, root, findings)
    base = source.identity.base
    with findings.catch("base"):
        base = base_name(root, source.identity)
    checked = Checked(source, root, values, parts, members, base)
    check(parts, source, root, members, findings, thorough=thorough)
    for part in parts:
        if STORAGE_TOKEN in part.text:
            row = part.text[: part.text.index(STORAGE_TOKEN)].count("\n")
            what = f"{STORAGE_TOKEN} is reserved: build puts a URL in its place"
            findings.error("part", what, Location(part.where.file, part.where.line + row), "Choose another text")
    for part in overriding_templates(parts):
        what = "the template states its own merging; if that replaces lists, the build fails for want of its commands"
        findings.warn("merge", what, part.where, "Leave merge_how out: its lists append")
    checked.assembly(findings)
    return checked


def _decide(checked: Checked, tarball: Tarball | None, options: Options) -> Payload:
    """The payload with the overlay inside if that fits, else beside it.

    :raises StorageError: neither fits
    """
    payload, room = None, min(options.inline_limit, USERDATA_LIMIT)
    if tarball is None:
        payload, room = _payload(checked, None, Overlay()), USERDATA_LIMIT
    elif tarball.compression == "gzip" and tarball.size <= min(room, LARGEST_EXTRA):
        payload = _payload(checked, tarball, Overlay("inline", tarball.size, tarball.sha256))
    if payload is None or (tarball is not None and len(payload.data) > room):
        assert tarball is not None
        storage = options.storage or checked.source.identity.storage
        url = storage.url
        if url is not None and storage.access == "https":
            url = https_url(url, tarball.sha256, tarball.compression)
        overlay = Overlay("storage", tarball.size, tarball.sha256, url, storage.access, tarball.path.name)
        payload = _payload(checked, tarball, overlay)
        room = USERDATA_LIMIT - _FREE[storage.access]
    if len(payload.data) > room:
        rows = _sizes(checked, payload)
        hint = (
            f"Move content from write_files or scripts into fs/, which can go to storage; {rows[0][0]} is the largest"
        )
        raise StorageError(
            f"the user-data has {len(payload.data):,} bytes and {room:,} are allowed",
            where=checked.root,
            hint=hint,
            detail=_table(rows),
        )
    return payload


def _payload(checked: Checked, tarball: Tarball | None, overlay: Overlay) -> Payload:
    additions: list[own.Addition] = []
    if tarball is not None:
        additions = [own.arrival(tarball, overlay), own.unpacking(tarball)]
    assembly = checked.assembly(Findings(), additions)
    nonce = _nonce(assembly, overlay)
    words = verdict_words(checked.parts, checked.source.identity.strict)
    assembly = finish(assembly, nonce, words)
    text = text_of(assembly.sections)
    wanted = 1 if overlay.placement == "storage" and overlay.access != "https" else 0
    if text.count(STORAGE_TOKEN) != wanted:
        raise InputError(f"the source contains {STORAGE_TOKEN}, which is reserved", where=checked.root)
    inline = tarball.path.read_bytes() if tarball is not None and overlay.placement == "inline" else b""
    return Payload(text, compress(text, inline), assembly, nonce, overlay)


def _nonce(assembly: Assembly, overlay: Overlay) -> str:
    """16 hex digits that follow from the content: another payload has another nonce."""
    content = [text_of(assembly.sections), overlay.sha256, overlay.placement]
    return hashlib.sha256("\0".join(content).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _sizes(checked: Checked, payload: Payload) -> list[tuple[str, int, int]]:
    """What takes the space, from the largest down: each part's bytes, and what they come to when compressed alone."""
    texts = {part.name: part.text for part in checked.parts}
    own_files = [node for addition in (own.opening({}), own.closing(())) for node in addition.files]
    texts["(jenkins-ami's own)"] = config_text({"write_files": [node.plain() for node in own_files]})
    sized = [(name, len(text.encode()), len(compress(text)) - 18) for name, text in texts.items()]
    if payload.overlay.placement == "inline":
        sized.append(("(overlay)", payload.overlay.size, payload.overlay.size))
    return sorted(sized, key=lambda row: -row[2])


def _table(rows: list[tuple[str, int, int]]) -> list[str]:
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{'part':<{width}} {'bytes':>10} {'compressed':>11}"]
    return lines + [f"{name:<{width}} {raw:>10,} {packed:>11,}" for name, raw, packed in rows[:20]]


def _files_of(
    checked: Checked,
    payload: Payload,
    tarball: Tarball | None,
    variables: dict[str, str],
    environments: bytes | None,
    digest: str,
    options: Options,
) -> tuple[dict[str, bytes | Path], Manifest]:
    identity = checked.source.identity
    files: dict[str, bytes | Path] = {USERDATA: payload.data, CLOUD_CONFIG: _readable(payload).encode()}
    external = {}
    if payload.overlay.placement == "storage" and tarball is not None:
        files[payload.overlay.file] = tarball.path
        if options.region:
            external["AWSREGION"] = options.region
        if payload.overlay.storage:
            external["FSS3URL"] = payload.overlay.storage
    files[VARS_ENV] = env_text({**variables, **external}).encode()
    if environments is not None:
        files[ENVIRONMENTS] = environments
    manifest = Manifest(
        name=identity.name,
        version=identity.version,
        base=checked.base,
        base_query=identity.base_query,
        spot=identity.spot,
        image=identity.image,
        description=identity.description,
        architecture=identity.architecture,
        nonce=payload.nonce,
        digest=digest,
        commit=options.commit,
        files={name: _entry(data, tarball) for name, data in sorted(files.items())},
        overlay=payload.overlay,
        instance_types=identity.instance_types,
        volume_size=identity.volume_size,
        tags=identity.tags,
        commands=payload.assembly.commands,
        parameters=dict(checked.values.public),
        tests=identity.tests,
        timeouts=identity.timeouts,
    )
    return files | {COMPILE_JSON: to_json(manifest).encode()}, manifest


def _entry(data: bytes | Path, tarball: Tarball | None) -> FileEntry:
    if isinstance(data, bytes):
        return FileEntry(len(data), hashlib.sha256(data).hexdigest())
    assert tarball is not None
    return FileEntry(tarball.size, tarball.sha256)


def _readable(payload: Payload) -> str:
    """The cloud-config for people and diffs: a document for each merged part, the others named."""
    texts = []
    for section in payload.assembly.sections:
        if section.config is not None:
            texts.append(config_text(section.config.plain()))
        else:
            digest = hashlib.sha256(section.text.encode()).hexdigest()
            texts.append(f"# {section.name}: {section.content_type}, sha256 {digest}\n")
    return "---\n".join(texts)


def _digest(root: Path, leave_out: set[Path]) -> str:
    """sha256 over the source's files: names, executable bits, contents. Git's own folder is left out.

    :param leave_out: resolved folders that are none of the source's: what compile writes may lie inside it
    """
    total = hashlib.sha256()
    for path in sorted(_files(root, leave_out), key=lambda path: os.fsencode(path.relative_to(root))):
        name = os.fsencode(path.relative_to(root))
        if path.is_symlink():
            kind, content = b"link", os.fsencode(path.readlink())
            total.update(b"%s %d:%s %d:%s" % (kind, len(name), name, len(content), content))
        else:
            kind = b"exec" if path.stat().st_mode & 0o100 else b"file"
            entry = describe_file(path)
            total.update(b"%s %d:%s %d:%s" % (kind, len(name), name, entry.size, entry.sha256.encode()))
    return total.hexdigest()


def _files(folder: Path, leave_out: set[Path]) -> list[Path]:
    found: list[Path] = []
    for entry in os.scandir(folder):
        if entry.name == ".git":
            continue
        if entry.is_dir(follow_symlinks=False):
            if Path(entry.path).resolve() not in leave_out:
                found += _files(Path(entry.path), leave_out)
        elif entry.is_file(follow_symlinks=False) or entry.is_symlink():
            found.append(Path(entry.path))
    return found
