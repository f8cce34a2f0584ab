"""Times as EC2 writes them: ISO 8601, with or without an offset. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(text: str) -> datetime:
    """A time; what is none is taken for the beginning of time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def is_past(text: str, now: datetime) -> bool:
    """Whether a time is over; none, which is an empty text, never is."""
    return bool(text) and moment(text) <= now
