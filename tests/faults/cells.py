"""One cell of the table: a build to which one fault happens at one call, and what must be true when it is over."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jenkins_ami.cloud.tags import EXPIRES, INPUT
from tests.cloud import proxy
from tests.cloud.protocols import Call
from tests.cloud.proxy import Rule

from .inventory import Image, Inventory, plain
from .place import HOME, Folder, Place
from .starter import Ended

Key = tuple[str, str, str, int]
LOOKS = 3
"""Calls to which a new image or instance is unknown."""
NOTHING_LEFT = "there is nothing to go on with"
"""What ``--resume`` says of a build that ended all that it had begun: then one builds anew."""
THENS = "cleanup", "resume"
"""What one may do after a build that did not succeed."""
READ_TIMEOUT = 0.8
"""Seconds that boto3 waits for an answer, where the answer does not come."""


@dataclass(frozen=True)
class Column:
    """A fault, and how it happens.

    :ivar arm: the rule for the call of that key
    :ivar needs_change: whether the fault is different from others only at a call that changes something
    """

    name: str
    what: str
    arm: Callable[[Key], Rule]
    needs_change: bool = False
    read_timeout: float | None = None


def _once(fault: proxy.Fault) -> Callable[[Key], Rule]:
    return lambda key: Rule(lambda call: call.key == key, fault)


def _again(fault: proxy.Fault) -> Callable[[Key], Rule]:
    """At this call and all later ones of its action."""
    return lambda key: Rule(lambda call: call.key[:3] == key[:3] and call.occurrence >= key[3], fault, None)


def _from_then_on(fault: proxy.Fault) -> Callable[[Key], Rule]:
    """At this call and all later ones, of whatever action."""

    def arm(key: Key) -> Rule:
        begun = False

        def matches(call: Call) -> bool:
            nonlocal begun
            begun = begun or call.key == key
            return begun

        return Rule(matches, fault, None)

    return arm


COLUMNS = (
    Column("slow", "throttled once", _once(proxy.throttled)),
    Column("slow…", "throttled, again and again", _again(proxy.throttled)),
    Column("500", "an internal error once", _once(proxy.failed)),
    Column("500…", "an internal error, again and again", _again(proxy.failed)),
    Column("reset", "the connection is reset before the call", _once(proxy.reset)),
    Column("time", "no answer within the client's time", _once(proxy.timed_out), read_timeout=READ_TIMEOUT),
    Column("lost", "the call takes effect, its answer is lost", _once(proxy.answer_lost)),
    Column("new", f"what it made is unknown to {LOOKS} calls", _once(proxy.unseen(LOOKS)), needs_change=True),
    Column("cut", "no network from this call on", _from_then_on(proxy.reset)),
    Column("kill<", "kill -9 before the call", _once(proxy.killed_before)),
    Column("kill>", "kill -9 after the call took effect", _once(proxy.killed_after), needs_change=True),
    Column("INT", "SIGINT during the call", _once(proxy.signalled(signal.SIGINT))),
    Column("TERM", "SIGTERM during the call", _once(proxy.signalled(signal.SIGTERM))),
    Column("HUP", "SIGHUP during the call", _once(proxy.signalled(signal.SIGHUP))),
)
BY_NAME = {column.name: column for column in COLUMNS}


@dataclass(frozen=True)
class Clean:
    """A build to which nothing happened: the calls to let go wrong, and how its images look.

    :ivar pointers: the parameters and versions of launch templates that name them, as :func:`.plain` has them
    :ivar lines: offsets of the ledger in the middle of its lines, whose lengths differ a little from build to build
    """

    calls: tuple[Call, ...]
    images: dict[str, Image]
    pointers: frozenset[str]
    lines: tuple[int, ...]


def clean(place: Place) -> Clean:
    """Build twice without a fault. Only the calls that both make count: how often one waits differs.

    :raises AssertionError: such a build does not succeed, or leaves something
    """
    runs = []
    for _ in range(2):
        place.proxy.forget()
        folder = place.compiled()
        ended = place.build(folder)
        assert ended.code == 0, ended.output
        calls = tuple(place.calls())
        made = place.look()
        assert not made.leftovers(), made.leftovers()
        by_region = {image.region: image for image in made.images.values()}
        assert len(by_region) == len(made.images), made.images
        content = folder.ledger.read_bytes()
        ends = [at + 1 for at in range(len(content)) if content[at : at + 1] == b"\n"]
        lines = tuple((begin + end) // 2 for begin, end in itertools.pairwise([0, *ends]))
        runs.append(Clean(calls, by_region, frozenset(map(plain, made.pointers)), lines))
        place.account.remove(made)
    both = {call.key for call in runs[0].calls} & {call.key for call in runs[1].calls}
    return Clean(
        tuple(call for call in runs[0].calls if call.key in both), runs[0].images, runs[0].pointers, runs[0].lines
    )


@dataclass(frozen=True)
class Outcome:
    """What a cell shows. ``problems`` is why it is red."""

    mark: str
    problems: tuple[str, ...] = ()

    @property
    def green(self) -> bool:
        return not self.problems


def run_cell(place: Place, known: Clean, key: Key, column: Column, thens: Sequence[str] = THENS) -> Outcome:
    """The build with its fault; then, if it did not succeed, ``cleanup``, and for another such build ``--resume``."""
    return _each(thens, lambda then: _attempt(place, known, column.arm(key), then, read_timeout=column.read_timeout))


@dataclass(frozen=True)
class Row:
    """What happens at a line of the ledger, half of which still gets to the disk."""

    name: str
    what: str
    deadly: bool


ROWS = (
    Row("full", "the disk is full when the line is written", deadly=False),
    Row("torn", "killed while it writes the line", deadly=True),
)


def run_line(place: Place, known: Clean, line: int, row: Row, thens: Sequence[str] = THENS) -> Outcome:
    """A build to which that happens at a line."""
    limits = {"file_limit": known.lines[line], "deadly": row.deadly}
    return _each(thens, lambda then: _attempt(place, known, None, then, **limits))


def _each(thens: Sequence[str], attempt: Callable[[str], Outcome]) -> Outcome:
    mark = ""
    for then in thens:
        outcome = attempt(then)
        if outcome.problems:
            return outcome if outcome.mark == "·" else Outcome("✗", outcome.problems)
        mark += outcome.mark
        if outcome.mark == "✓":
            break
    return Outcome(mark)


def _attempt(place: Place, known: Clean, rule: Rule | None, then: str, **limits: float | bool | None) -> Outcome:
    place.proxy.forget()
    if rule:
        place.proxy.rules.append(rule)
    folder = place.compiled()
    ended = place.build(folder, **limits)
    came = rule is None or rule.used > 0
    place.proxy.forget()
    mark, problems = "·", ["the call never came"]
    if came:
        mark, problems = _after(place, folder, ended, then)
    left = place.look()
    place.account.remove(left)
    if came:
        check = cleaned if mark == "c" else finished
        problems += [f"after {then}: {problem}" for problem in check(left, known, folder)]
        if problems:
            problems.append(f"the build had ended with {ended.code}: {_last(ended)}")
    return Outcome(mark, tuple(problems))


def _after(place: Place, folder: Folder, ended: Ended, then: str) -> tuple[str, list[str]]:
    """What one does after the build: the mark for it, and what went wrong with that."""
    problems = _hangs("the build", ended)
    if "Traceback" in ended.output:
        problems.append("a traceback: " + ended.output.strip().splitlines()[-1])
    if ended.code == 0:
        return "✓", problems
    mark, after = then[0], place.cleanup(folder) if then == "cleanup" else place.resume(folder)
    if then == "resume" and NOTHING_LEFT in after.output:
        mark, after = "a", place.build(folder)
    if after.code is not None and after.code != 0:
        problems.append(f"{then} ended with {after.code}: {_last(after)}")
    return mark, problems + _hangs(then, after)


def _hangs(what: str, ended: Ended) -> list[str]:
    """Says where, from the innermost frame on, if it does."""
    if ended.code is not None:
        return []
    frames = [line.strip() for line in ended.output.splitlines() if line.startswith("  File ")]
    ours = [frame for frame in frames if "/jenkins_ami/" in frame]
    return [f"{what} hangs: {'; '.join(frames[:1] + ours[:3])}"]


def _last(ended: Ended) -> str:
    lines = ended.output.strip().splitlines()
    return next((line for line in reversed(lines) if line.startswith("error:")), lines[-1] if lines else "")


# What must be true


def finished(made: Inventory, known: Clean, folder: Folder) -> list[str]:
    """Why ``made`` is not exactly what a build that says success leaves."""
    problems = made.leftovers()
    regions = sorted(image.region for image in made.images.values())
    if regions != sorted(known.images):
        problems.append(f"images in {regions}, not one in each of {sorted(known.images)}")
    for image in made.images.values():
        wanted = known.images.get(image.region)
        if wanted:
            problems += _differences(image, wanted, distributed=True)
    pointers = frozenset(map(plain, made.pointers))
    if pointers != known.pointers:
        problems.append(f"{sorted(pointers)} name an image, not {sorted(known.pointers)}")
    return problems + _result(made, folder, complete=True)


def cleaned(left: Inventory, known: Clean, folder: Folder) -> list[str]:
    """Why ``left`` is not what may be there after a build that failed: nothing, or an image that is a result.

    A build may be cut off when its image is finished and is only being distributed. Then the image stays, and what of
    its copies is finished.
    """
    problems = left.leftovers()
    for image in left.images.values():
        problems += _differences(image, known.images[image.region], distributed=False)
    return problems + _result(left, folder, complete=False)


def _differences(image: Image, wanted: Image, *, distributed: bool) -> Sequence[str]:
    problems = []
    got, should = image.looks(), wanted.looks()
    if not distributed and image.region != HOME:  # a copy that is not done: gc will sweep it, or resume goes on with it
        for looks in (got, should):
            for marks in (looks["tags"], *looks["snapshots' tags"]):
                marks.pop(INPUT, None)
                marks.pop(EXPIRES, None)
    if got != should:
        what = {key: (got[key], should[key]) for key in got if got[key] != should[key]}
        problems.append(f"image {image.id} in {image.region} differs: {what}")
    if distributed and image.shared != wanted.shared:
        problems.append(f"image {image.id} in {image.region} is {image.shared}, not {wanted.shared}")
    return problems


def _result(there: Inventory, folder: Folder, *, complete: bool) -> list[str]:
    """Whether ``ami.json`` names what is there, and nothing else."""
    result = folder.result()
    named = {} if result is None else {region: made["image_id"] for region, made in result["images"].items()}
    images = {image.region: image.id for image in there.images.values()}
    if named == images:
        return []
    if not complete and images and named.items() <= images.items() and named:
        return []  # a copy that was done when the build was cut off
    return [f"ami.json names {named or 'nothing'}, there is {images or 'no image'}"]
