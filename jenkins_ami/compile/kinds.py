"""The kinds of parts, and what tells them apart: MIME types and first lines (``cloudinit/handlers/__init__.py``)."""

from __future__ import annotations

CONFIG, SCRIPT, BOOTHOOK, HANDLER = "cloud-config", "script", "boothook", "part-handler"
JINJA_CONFIG, JINJA_SCRIPT, INCLUDE, OTHER = "jinja-config", "jinja-script", "include", "other"
FREQUENCIES = ("per-boot", "per-instance", "per-once")

TYPES = {
    "text/cloud-config": CONFIG,
    "text/x-shellscript": SCRIPT,
    "text/cloud-boothook": BOOTHOOK,
    "text/part-handler": HANDLER,
    "text/x-include-url": INCLUDE,
    "text/x-include-once-url": INCLUDE,
    "text/jinja2": "jinja",
    "text/cloud-config-archive": "archive",
    "text/cloud-config-jsonp": "jsonp",
    **{f"text/x-shellscript-{frequency}": frequency for frequency in FREQUENCIES},
}
CONTENT_TYPES = {kind: content_type for content_type, kind in reversed(TYPES.items())}
HEADERS = (
    ("#cloud-config-archive", "archive"),
    ("#cloud-config-jsonp", "jsonp"),
    ("#cloud-config", CONFIG),
    ("#cloud-boothook", BOOTHOOK),
    ("#part-handler", HANDLER),
    ("#include", INCLUDE),
    ("## template: jinja", "jinja"),
    ("#!", SCRIPT),
)
"""What a part may begin with (``handlers.INCLUSION_TYPES_MAP``), longest first where one begins another."""


def kind_of_text(text: str) -> str:
    """By the first line, or empty (``handlers.type_from_starts_with``, which ignores case)."""
    start = text[:64].lower()
    return next((kind for header, kind in HEADERS if start.startswith(header)), "")
