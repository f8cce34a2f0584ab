"""A build for the page. Pure: all it gets are values, all it gives are values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from ..artifacts import CLOUD_CONFIG, CONSOLE_LOG, TEST_CONSOLE_LOG, BuildResult, FileEntry, TestRecord
from ..cloud.environments import launch_command
from ..cloud.ledger import KEPT, Book
from ..progress import duration, size
from ..verdict import markers
from . import console
from .console import Console
from .read import Left

MEANINGS = {
    1: "usage, or something that the agent lacks",
    2: "an input file is missing or invalid",
    3: "storage is missing, or a size is out of range",
    4: "compile.sh failed, or the instance timed out",
    5: "the image timed out",
    6: "the instance reported failure, or ended without proof of success",
    7: "the cloud refused",
    130: "interrupted",
}
"""Exit codes of builds."""

TITLES = {
    "base": "Find the base image",
    "storage": "Look for the overlay",
    "reuse": "Look for an image of the same inputs",
    "number": "Find the build number",
    "preflight": "Check before launching",
    "upload": "Upload the overlay",
    "launch": "Launch the instance",
    "instance": "Wait for the instance",
    "image": "Make the image",
    "terminate": "Terminate the instance",
    "test": "First boot and tests",
}
"""Steps of a build by their keys in ``timings``, in their order."""

MOST_ROWS = 500
"""Of any table."""


@dataclass(frozen=True)
class Image:
    region: str
    image_id: str
    details: tuple[tuple[str, str], ...]
    command: str


@dataclass(frozen=True)
class Step:
    title: str
    seconds: float
    text: str


@dataclass(frozen=True)
class Resource:
    """:ivar state: ``ended``, ``result`` or ``open``"""

    kind: str
    name: str
    region: str
    time: str
    state: str


@dataclass(frozen=True)
class File:
    name: str
    size: str
    sha256: str


@dataclass(frozen=True)
class Told:
    """What the instance's console comes to.

    :ivar last: where the last command stands that it began, and its text
    """

    state: str
    reasons: tuple[str, ...]
    last: tuple[str, str]


@dataclass(frozen=True)
class Build:
    """A build: what came out, why, and of what.

    :ivar name: of the image, with version and number as far as they are known
    :ivar state: ``built``, ``reused``, ``partly distributed``, ``failed``, ``cut off`` or ``compiled``
    :ivar line: the state in a sentence
    :ivar failure: why it failed; empty when it did not
    :ivar consoles: the one that tells more about the state comes first
    :ivar tests: how they ended, with what they printed; ``None`` when none ran
    :ivar facts: names and values
    """

    name: str
    state: str
    line: str
    failure: str = ""
    code: int | None = None
    meaning: str = ""
    detail: tuple[str, ...] = ()
    images: tuple[Image, ...] = ()
    published: tuple[tuple[str, str], ...] = ()
    failures: tuple[tuple[str, str], ...] = ()
    told: Told | None = None
    consoles: tuple[Console, ...] = ()
    steps: tuple[Step, ...] = ()
    seconds: float = 0.0
    total: str = ""
    tests: tuple[tuple[TestRecord, tuple[str, ...]], ...] | None = None
    untested: int = 0
    facts: tuple[tuple[str, str], ...] = ()
    url: str = ""
    files: tuple[File, ...] = ()
    config: tuple[str, ...] = ()
    config_cut: bool = False
    resources: tuple[Resource, ...] = ()
    open: int = 0


def build(left: Left) -> Build:
    """What is known of the build."""
    result, failure, manifest = left.result, left.failure, left.manifest
    verdict = markers.parse(left.console, manifest.nonce) if manifest and left.console else None
    state, line, why = _state(left, verdict)
    failed = state in ("failed", "cut off")
    timings = failure.timings if failure else result.timings if result else {}
    booted = bool(failure and failure.image_name)
    consoles = [
        console.view(path.name, raw, failed=failed and own, cut=path.name in left.cut)
        for path, raw, own in (
            (left.paths.get(CONSOLE_LOG), left.console, not booted),
            (left.paths.get(TEST_CONSOLE_LOG), left.test_console, booted),
        )
        if path
    ]
    resources, still = _resources(left.book)
    return Build(
        name=_name(left),
        state=state,
        line=line,
        failure=why,
        code=failure.exit_code if failure else None,
        meaning=MEANINGS.get(failure.exit_code, "") if failure else "",
        detail=failure.detail if failure else (),
        images=_images(result) if result else (),
        published=tuple((name, region) for region, names in sorted(result.published.items()) for name in names)
        if result
        else (),
        failures=tuple(sorted(result.failures.items())) if result else (),
        told=_told(left, verdict),
        consoles=tuple(sorted(filter(None, consoles), key=lambda each: each.bad == 0)),
        steps=_steps(timings),
        seconds=sum(timings.values()),
        total=duration(sum(timings.values())),
        tests=_tests(left),
        untested=len(manifest.tests) if manifest else len(result.tests) if result else 0,
        facts=tuple(_facts(left)),
        url=_url(result.build_url) if result else "",
        files=tuple(_files(manifest.files)) if manifest else (),
        config=tuple(left.config.splitlines()),
        config_cut=CLOUD_CONFIG in left.cut,
        resources=resources,
        open=still,
    )


def _name(left: Left) -> str:
    if left.result:
        return left.result.image_name
    if left.failure and left.failure.image_name:
        return left.failure.image_name
    return f"{left.manifest.name} {left.manifest.version}" if left.manifest else "Image"


def _state(left: Left, verdict: markers.Verdict | None) -> tuple[str, str, str]:
    """The state, a sentence about it, and why it failed."""
    result, failure = left.result, left.failure
    if failure:
        if result:
            line = f"The build failed. There is an image all the same, {result.image_name}"
        elif failure.image_name:
            line = f"The image {failure.image_name} was made, and did not pass its first boot"
        else:
            line = "There is no image"
        return "failed", line, failure.line
    if result:
        if result.failures:
            return "partly distributed", "The image is made, and did not reach every region", ""
        if result.reused:
            return "reused", "An image of the same inputs was there already; nothing was launched", ""
        if result.verdict != markers.OK:
            return "built", "The image is made of an instance that powered itself off without proof of success", ""
        return "built", "The image is made of an instance that proved its success", ""
    if verdict and (verdict.panic or verdict.reasons or verdict.state == markers.FAIL):
        why = verdict.panic or "; ".join(verdict.reasons) or "the instance reported failure"
        return "failed", "There is no image", why
    if left.book or left.console:
        return (
            "cut off",
            "There is no image, and the build left no word on why: it was cut off, or is still at work",
            "",
        )
    return "compiled", "Nothing was built of it yet", ""


def _images(result: BuildResult) -> tuple[Image, ...]:
    found = []
    for region, record in sorted(result.images.items(), key=lambda item: (item[0] != result.region, item[0])):
        parts = {"snapshot": ", ".join(record.snapshot_ids), "encrypted with": record.kms_key or ""}
        details = tuple((name, value) for name, value in parts.items() if value)
        command = launch_command(result.environment, region, record.image_id)
        found.append(Image(region, record.image_id, details, command))
    return tuple(found[:MOST_ROWS])


def _told(left: Left, verdict: markers.Verdict | None) -> Told | None:
    if verdict is None:
        if left.result and left.result.verdict and not left.result.reused:
            return Told(left.result.verdict, (), ("", ""))
        return None
    texts = {command.where: command.run for command in left.manifest.commands} if left.manifest else {}
    last = verdict.steps[-1].strip() if verdict.steps else ""
    reasons = (verdict.panic,) if verdict.panic else verdict.reasons
    return Told(verdict.state, reasons, (last, texts.get(last, "")))


def _steps(timings: dict[str, float]) -> tuple[Step, ...]:
    keys = [*(key for key in TITLES if key in timings), *(key for key in timings if key not in TITLES)]
    return tuple(Step(TITLES.get(key, key), timings[key], duration(timings[key])) for key in keys[:MOST_ROWS])


def _tests(left: Left) -> tuple[tuple[TestRecord, tuple[str, ...]], ...] | None:
    if left.failure and left.failure.tested:
        outputs = left.failure.outputs
        return tuple((one, tuple(outputs.get(one.name, "").splitlines())) for one in left.failure.tested)
    if left.result and left.result.tested:
        return tuple((one, ()) for one in left.result.tested)
    return None


def _facts(left: Left) -> Iterable[tuple[str, str]]:
    result, manifest = left.result, left.manifest
    if result:
        launched = [result.instance_type, "spot" if result.spot else "", result.subnet or ""]
        attempts = f"{result.attempts} launches" if result.attempts > 1 else ""
        facts = {
            "Base image": " ".join(filter(None, [result.base, result.base_name])),
            "Asked for": result.base_asked if result.base_asked != result.base else "",
            "Commit": result.commit or "",
            "Environment": f"{result.environment}, {result.region}",
            "Instance": ", ".join(filter(None, [result.instance_id, *launched, attempts])),
            "Made": result.created,
            "Inputs": result.input,
        }
    else:
        facts = {"Base image": manifest.base, "Commit": manifest.commit or ""} if manifest else {}
    if manifest:
        facts |= {"Description": manifest.description, "Architecture": manifest.architecture}
        facts |= {f"Parameter {name}": value for name, value in sorted(manifest.parameters.items())}
    yield from ((name, value) for name, value in facts.items() if value)


def _url(url: str | None) -> str:
    """An address that may be linked to: never one of another scheme, such as ``javascript:``."""
    return url if url and url.startswith(("https://", "http://")) and url.isprintable() else ""


def _files(files: dict[str, FileEntry]) -> Iterable[File]:
    for name, entry in sorted(files.items())[:MOST_ROWS]:
        yield File(name, size(entry.size), entry.sha256)


def _resources(book: Book | None) -> tuple[tuple[Resource, ...], int]:
    """The resources of the last build, and what earlier ones have left; and how many may still exist."""
    if book is None:
        return (), 0
    last = next(reversed(book.scopes), "")
    found = [entry for entry in book.entries.values() if entry.scope.build == last or entry.open]
    rows = []
    for entry in found[:MOST_ROWS]:
        when = datetime.fromtimestamp(entry.time, UTC).isoformat(" ", "seconds").removesuffix("+00:00")
        state = "open" if entry.open else "result" if entry.state == KEPT else "ended"
        rows.append(Resource(entry.kind, ", ".join(entry.ids) or entry.key, entry.scope.region, when, state))
    return tuple(rows), sum(entry.open for entry in found)
