"""All pages of a call that lists things."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from .session import Cloud

T = TypeVar("T")

PAGE = 500
"""Things on a page of EC2's (1000 at most): without a size it tries to give all at once, and is the slower for it
(EC2 API reference, "Pagination")."""

_VALUES = 200
"""Values of one filter (EC2 API reference, "Filter")."""


def pages(cloud: Cloud, client: Any, operation: str, key: str, size: int | None = None, **wanted: Any) -> list[Any]:
    """What an operation lists under ``key``, on all its pages.

    :param operation: in boto3's form, e.g. ``describe_images``
    :param size: things on a page; ``None``: as many as the API finds right
    :raises CloudError: refused
    """
    with cloud.calls():
        paginator = client.get_paginator(operation)
        answers = paginator.paginate(**wanted, PaginationConfig={"PageSize": size})
        return [item for answer in answers for item in answer.get(key, [])]


def tags_of(resource: Any) -> dict[str, str]:
    """The tags of what a Describe call of EC2 tells."""
    return {tag["Key"]: tag["Value"] for tag in resource.get("Tags", [])}


def chunks(values: Sequence[T], size: int = _VALUES) -> Iterator[list[T]]:
    """The values in lists that one call takes."""
    for start in range(0, len(values), size):
        yield list(values[start : start + size])
