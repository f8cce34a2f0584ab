"""Versions of images, compared as numbers: 1.10 comes after 1.9. Pure."""

from __future__ import annotations

Key = tuple[tuple[int, int, str], ...]


def version_key(version: str) -> Key:
    """What versions are sorted by, component by component; one that is no number comes before all numbers."""
    return tuple(
        (1, int(part), "") if part.isascii() and part.isdigit() else (0, 0, part) for part in version.split(".")
    )


def is_of(version: str, wanted: str) -> bool:
    """Whether ``version`` is ``wanted`` or begins with its components: 1.4.2 is of 1.4, and 1.40 is not."""
    key = version_key(wanted)
    return version_key(version)[: len(key)] == key
