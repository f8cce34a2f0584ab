"""``--junit FILE``: how an image and its tests came out, whatever came out."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..artifacts import CONSOLE_LOG, TEST_CONSOLE_LOG, BuildResult, ImageTest, write_file
from ..build.console import readable_text
from ..build.first_boot import FirstBoot
from ..errors import AmiError, HostError
from ..exports import Case, junit
from ..progress import Progress
from ..verdict.image_tests import TestOutcome
from . import lines_of

LONGEST = 16_384
"""Characters of a console's end that go into the file: Jenkins keeps it for every build."""


def add_option(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write how the tests ended as JUnit's XML")


@contextlib.contextmanager
def written(
    path: Path | None,
    suite: Callable[[], str],
    cases: Callable[[str, str, float], list[Case]],
    progress: Progress,
    *,
    unmade: Path | None = None,
) -> Iterator[None]:
    """Write test cases when the context ends, also by an error; nothing without a path.

    :param suite: its name, asked for in the end
    :param cases: asked in the end, with the error in one line, what more is known of it, and the seconds that it took
    :param unmade: a folder that is not made for the file
    :raises HostError: it cannot be written
    """
    if path is None:
        yield
        return
    began = time.monotonic()
    try:
        yield
    except (AmiError, KeyboardInterrupt) as error:
        try:
            _write(path, junit(suite(), cases(*_told(error), time.monotonic() - began)), unmade)
        except AmiError as another:  # the first one counts
            progress.warn(another.line())
        raise
    _write(path, junit(suite(), cases("", "", time.monotonic() - began)))


def _write(path: Path, text: str, unmade: Path | None = None) -> None:
    try:
        if unmade and not unmade.exists() and path.resolve().is_relative_to(unmade.resolve()):
            raise HostError(f"there is no {path}: its folder was not made")
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"{path.name} cannot be written: {error.strerror}", where=path) from error
    write_file(path, text)


def _told(error: BaseException) -> tuple[str, str]:
    if not isinstance(error, AmiError):
        return f"interrupted by {error or 'SIGINT'}", ""
    lines = lines_of(error)
    return lines[0], "\n".join([*lines, *readable_text("\n".join(error.detail))])


@dataclass
class Course:
    """What is known of a build while it goes on.

    :ivar name: of the image, without version
    :ivar output: folder of its consoles
    :ivar tests: that are to run on it; ``None`` when it is not to be booted
    """

    name: str
    output: Path
    tests: Sequence[ImageTest] | None = None
    boot: FirstBoot = field(default_factory=FirstBoot)
    built: BuildResult | None = None

    def __post_init__(self) -> None:
        self._before = {name: _identity(self.output / name) for name in (CONSOLE_LOG, TEST_CONSOLE_LOG)}

    def cases(self, failure: str, detail: str, seconds: float) -> list[Case]:
        """The image is the first case; when it is to be booted, that is the second, and its tests are the others."""
        boot, tested = self.boot, self.built.tested if self.built else ()
        failed = any(not outcome.ok for outcome in boot.outcomes)
        booting = time.monotonic() - boot.began if boot.image else 0.0
        dead = failure if boot.image and not boot.over else ""
        unmade = "" if dead or failed else failure
        found = [Case("image", "build", seconds - booting, unmade, detail if unmade else "", output=self._console())]
        if self.tests is None:
            return found + self._distribution()
        skipped = "" if boot.image or tested else "the image was not made" if failure else "nothing was launched"
        output = self._console(TEST_CONSOLE_LOG)
        found.append(Case("image", "first boot", booting, dead, detail if dead else "", skipped, output))
        if boot.outcomes:
            found += tests_of(boot.outcomes, "" if boot.over else "the instance did not get that far")
        elif tested:  # by an earlier run that this one has taken up
            found += [Case("tests", record.name, record.seconds, record.reason) for record in tested]
        else:
            found += [Case("tests", test.name, skipped=skipped or "the image does not boot") for test in self.tests]
        return found + self._distribution()

    def _distribution(self) -> list[Case]:
        failures = self.built.failures if self.built else {}
        return [Case("distribution", region, failure=reason) for region, reason in sorted(failures.items())]

    def _console(self, name: str = CONSOLE_LOG) -> str:
        """The end of a console; empty when this build wrote none."""
        path = self.output / name
        if _identity(path) in (None, self._before[name]):
            return ""
        text = path.read_text("utf-8", "replace")
        if len(text) <= LONGEST:
            return text
        return f"[the end of {name}, which has {len(text):,} characters]\n" + text[-LONGEST:].partition("\n")[2]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def tests_of(outcomes: Sequence[TestOutcome], unfinished: str = "") -> list[Case]:
    """Each test with what it printed.

    :param unfinished: why one without a result did not run; empty makes that a failure
    """
    found = []
    for outcome in outcomes:
        output = "\n".join(readable_text(outcome.output))
        name, seconds = outcome.test.name, float(outcome.seconds)
        if unfinished and outcome.exit_code is None:
            found.append(Case("tests", name, seconds, skipped=unfinished))
        elif outcome.ok:
            found.append(Case("tests", name, seconds, output=output))
        else:
            found.append(
                Case("tests", name, seconds, outcome.reason, f"{outcome.test.run}\n{outcome.reason}", "", output)
            )
    return found
