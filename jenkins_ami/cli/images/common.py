"""What commands about images share: where they look, and how a table is printed."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from datetime import timedelta

from ...cloud.environments import Environment
from ...cloud.session import Cloud
from ...errors import visible
from ...progress import Progress
from .. import environment


def add_where(parser: argparse.ArgumentParser) -> None:
    """Add ``--local``, ``--environment``, ``--environments`` and ``--state``."""
    environment.configure(parser)


def add_regions(parser: argparse.ArgumentParser) -> None:
    """Add ``--region``, which may be repeated."""
    parser.add_argument(
        "--region",
        dest="regions",
        metavar="R",
        action="append",
        default=[],
        help="look in this region instead of the environment's own; may be repeated",
    )


def add_region(parser: argparse.ArgumentParser) -> None:
    """Add ``--region``, once."""
    parser.add_argument(
        "--region",
        dest="regions",
        metavar="R",
        type=lambda text: [text],
        default=[],
        help="look in this region instead of the environment's own",
    )


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = not_negative(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 would keep nothing")
    return value


def not_negative(text: str) -> int:
    """A whole number of at least 0."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number below 100000")
    return int(text)


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def span(text: str) -> timedelta:
    """A duration such as ``90m``, ``36h``, ``7d``."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and unit in _UNITS and len(number) <= 5):
        raise argparse.ArgumentTypeError(f"'{text}' is no duration: write 90m, 36h or 7d")
    return timedelta(seconds=int(number) * _UNITS[unit])


@contextlib.contextmanager
def chosen(args: argparse.Namespace, progress: Progress) -> Iterator[Environment]:
    """The environment that the arguments name; a local cloud runs as long as the context."""
    environment.check(args)
    with environment.chosen(args, progress, base="") as found:
        yield found


@contextlib.contextmanager
def clouds(args: argparse.Namespace, progress: Progress) -> Iterator[list[Cloud]]:
    """The API of each region that the arguments name, the environment's own for none; the account is checked.

    :raises UsageError: no environment is named
    :raises CloudError: the credentials belong to another account
    """
    with chosen(args, progress) as found, contextlib.ExitStack() as stack:
        regions = list(dict.fromkeys(args.regions)) or [found.region]
        opened = [stack.enter_context(Cloud(found.in_region(region))) for region in regions]
        opened[0].check_account(found.account)
        yield opened


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, each column as wide as its widest cell; the first row is the heading. Nothing is cut off."""
    shown = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]


def counted(things: Sequence[object], word: str) -> str:
    """``3 images``."""
    return f"{len(things)} {word}{'s' * (len(things) != 1)}"
