"""The address of an overlay in a place that somebody else fills: all that compile has to know of storage."""

from __future__ import annotations

from .overlay import FILES


def https_url(url: str, sha256: str, compression: str) -> str:
    """Where the instance finds the overlay.

    :param url: ``https://…``; a path that ends in ``/`` is a folder, in which the overlay is named after its content
    :param compression: ``gzip`` or ``zstd``
    """
    path, mark, query = url.partition("?")
    if not path.endswith("/"):
        return url
    return f"{path}{sha256}.{FILES[compression].partition('.')[2]}{mark}{query}"
