"""A text of a stranger's, before it is escaped for the page."""

from __future__ import annotations

from ..errors import visible
from ..verdict.markers import masked

LONGEST = 4000
"""Characters of one text: a longer one is no reading, and costs time to look through."""


def harmless(text: str) -> str:
    """A text of bearable length, without control characters, and without what signs a URL."""
    return visible(masked(shortened(text, LONGEST)))


def shortened(text: str, longest: int) -> str:
    """A text of not many more characters than ``longest``."""
    return text if len(text) <= longest else f"{text[:longest]} … and {len(text) - longest} characters more"
