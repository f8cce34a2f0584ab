"""The message of a review: what comes of a commit on the machine, and why it fails, for people.

Its first line is what Gerrit shows of a folded message. Pure: text from a verification.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import Location
from ..findings import ERROR, WARNING
from ..progress import duration
from ..verification import BROKEN, FAILED, PASSED, SKIPPED, Boot, Note, Verification, VerifiedSource
from .text import block, code, cut, length, plural, prose, sentence, shown, some

LIMIT = 16_000
"""Characters of a message. Gerrit's default ``change.commentSizeLimit`` of 16 KiB counts for messages too."""
_LINES = 80
"""Lines of a block. Who wants more follows the link."""
_WIDTH = 300
_NAMES = 5
_TESTS = 10
_REST = 200
"""Characters kept for saying how many AMI sources were left out."""


def message_of(
    verification: Verification,
    *,
    link: str = "",
    remarks: Sequence[str] = (),
    findings: Sequence[Note] = (),
) -> str:
    """The message for a verification, at most :data:`LIMIT` of Gerrit's characters long.

    :param link: to the whole story
    :param remarks: sentences that follow the first line, our own words
    :param findings: notes that no comment tells, so that they are told here
    """
    head = [title_of(verification), *remarks]
    if findings:
        head += ["Findings:", _block(note_lines(findings))]
    tail = [f"More: {link}"] if link else []
    room = LIMIT - length("\n\n".join([*head, *tail])) - _REST
    told: list[str] = []
    for number, source in enumerate(verification.sources):
        left = len(verification.sources) - number
        section = _section(source, room // left)
        if length(section) > room:
            told.append(f"… and {plural(left, 'more AMI source')}.")
            break
        told.append(section)
        room -= length(section) + 2
    return "\n\n".join([*head, *told, *tail])


def title_of(verification: Verification) -> str:
    """What came out, in one line."""
    sources = verification.sources
    if verification.outcome == BROKEN:
        return f"jenkins-ami: not verified: {_reason(verification.reason or 'the reason is unknown')}"
    if verification.outcome == SKIPPED:
        return "Verified: no AMI source is touched"
    failed = [source for source in sources if source.outcome == FAILED]
    if verification.outcome == FAILED:
        said = [_failure(source) for source in failed]
        return f"jenkins-ami: {', '.join(some(said, _NAMES)) or _reason(verification.reason or 'it fails')}"
    if len(sources) == 1:
        return f"Verified: {named(sources[0])} {_success(sources[0])}"
    return f"Verified: {plural(len(sources), 'AMI source')}: {', '.join(some(list(map(named, sources)), _NAMES))}"


def named(source: VerifiedSource) -> str:
    """Name and version, or where it is."""
    if source.name:
        return prose(cut(f"{source.name} {source.version}".strip(), 100))
    return "the AMI source" if source.folder == "." else code(cut(source.folder, 200))


def note_text(note: Note) -> str:
    """A finding and what to do, in prose."""
    said = [sentence(cut(note.what, 2000))]
    if note.hint:
        said.append(sentence(cut(note.hint, 1000)))
    if note.fix is not None:
        said.append(f"Write {code(cut(note.fix.text, 500))}." if note.fix.text.strip() else "Leave it out.")
    return f"{' '.join(said)} ({prose(cut(note.rule, 100))})"


def note_lines(notes: Iterable[Note]) -> list[str]:
    """Findings with their places, a line each, for a block."""
    return [f"{_place_of(note)}{note.level}: {shown(f'{note.what}. {note.hint}'.strip(' .'))}" for note in notes]


def _place_of(note: Note) -> str:
    return f"{Location(note.path, note.line, note.column)}: " if note.path else ""


def _failure(source: VerifiedSource) -> str:
    errors = sum(note.level == ERROR for note in source.notes)
    if errors:
        return f"{plural(errors, 'error')} in {prose(cut(source.name, 100)) if source.name else named(source)}"
    return f"{named(source)}: {_reason(source.reason or 'it fails')}"


def _reason(text: str) -> str:
    return prose(cut(shown(text), 300))


def _success(source: VerifiedSource) -> str:
    if source.removed:
        return "is removed"
    if source.boot is None or source.boot.outcome != PASSED:
        return "compiles"
    return f"compiles, boots{_tests(source.boot, ', ')}"


def _tests(boot: Boot, before: str) -> str:
    if not boot.tested:
        return ""
    return f"{before}{sum(test.ok for test in boot.tested)} of {plural(len(boot.tested), 'test')} passed"


def _section(source: VerifiedSource, room: int) -> str:
    """All there is to say of one source, in some ``room`` characters if its changes are what is long."""
    where = "" if source.folder == "." or not source.name else f" in {code(cut(source.folder, 200))}"
    said = [f"{named(source)}{where}:"]
    if source.removed:
        return f"{named(source)}{where} is removed."
    counts = _findings(source.notes)
    if source.outcome != PASSED and source.reason and source.reason != counts:
        word = "Failed" if source.outcome == FAILED else "Not verified"
        said.append(sentence(f"{word}: {cut(shown(source.reason), 1000)}"))
    if counts:
        said.append(f"Findings: {counts}.")
    said += _comparison(source)
    if source.boot is not None:
        said += _boot(source.boot)
    if source.changes:
        rest = room - length("\n\n".join(said)) - 50
        said.insert(_place(said), _block(source.changes, rest))
    return "\n\n".join(said) if len(said) > 1 else f"{said[0][:-1]}: nothing to report."


_CHANGES = "What changes on the machine"


def _place(said: list[str]) -> int:
    return 1 + next(number for number, text in enumerate(said) if text.startswith(_CHANGES))


def _findings(notes: Sequence[Note]) -> str:
    counts = [(sum(note.level == level for note in notes), level) for level in (ERROR, WARNING)]
    return ", ".join(plural(count, level) for count, level in counts if count)


def _comparison(source: VerifiedSource) -> list[str]:
    said = []
    if source.parent:
        said.append(sentence(f"Not compared with the parent: {cut(shown(source.parent), 1000)}"))
    if source.changes:
        counts = "; ".join(
            f"{prose(section)} {', '.join(f'{number} {prose(action)}' for action, number in by_action.items())}"
            for section, by_action in source.counts.items()
        )
        said.append(f"{_CHANGES}{f' ({counts})' if counts else ''}:")
    elif not source.parent and source.userdata.new is not None:
        said.append("Nothing changes on the machine.")
    pairs = {"user-data": source.userdata, "overlay": source.overlay}
    sizes = [f"{what:<9}  {pair}" for what, pair in pairs.items() if pair.new is not None]
    if sizes:
        said += ["Sizes:", "\n".join(block(sizes))]
    return said


def _boot(boot: Boot) -> list[str]:
    if boot.outcome == SKIPPED:
        return [sentence(f"Not booted: {cut(shown(boot.reason or 'it was not asked for'), 1000)}")]
    if boot.outcome != PASSED:
        said = [sentence(f"Boot: failed: {cut(shown(boot.reason or 'no reason is known'), 1000)}")]
    else:
        said = [f"Boot: passed in {duration(boot.seconds)}{_tests(boot, '; ')}."]
    failed = [f"{shown(test.name)}: {shown(test.reason)}" for test in boot.tested if not test.ok]
    if failed:
        said += ["Tests that failed:", _block(some(failed, _TESTS))]
    return said


def _block(lines: Sequence[str], room: int = LIMIT // 2) -> str:
    """Lines as they are, as many as there is room for, and how many more there are."""
    kept: list[str] = []
    for line in block(cut(line, _WIDTH) for line in lines):
        room -= length(line) + 1
        if room < 0 or len(kept) == _LINES:
            break
        kept.append(line)
    if len(kept) < len(lines):
        kept += block([f"… and {plural(len(lines) - len(kept), 'more line')}"])
    return "\n".join(kept)
