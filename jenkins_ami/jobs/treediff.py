"""Two trees as a unified diff for people: a line for a field, a script line by line, and never a secret.

The trees are compared elsewhere (:mod:`compare`); here they are only shown, and changed on the way.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

from .ownership import java_name

_MASKED = re.compile(r"\*{8}\Z|\{AQAA[A-Za-z0-9+/]{8,}={0,2}\}\Z")
"""A secret as Jenkins shows it: to a reader, and to an administrator (base64 of version 1 and a 4-byte length)."""
_CONFIDENTIAL = re.compile("(?i)passw|passphrase|secret|token|api_?key|private_?key")
"""Fields whose text is not shown, whatever it is."""


def is_masked(text: str | None) -> bool:
    """Whether it is a secret as Jenkins shows it: encrypted, or as asterisks."""
    return bool(text and _MASKED.match(text))


def tree_diff(wanted: Element, there: Element) -> tuple[str, ...]:
    """The lines of a unified diff; equal trees, and only those, have none."""
    names = _short_names({each.tag for root in (wanted, there) for each in root.iter()})
    secrets: dict[str, str] = {}
    _hide(wanted, secrets)
    _hide(there, secrets)
    lines = difflib.unified_diff(
        list(_lines(there, names, "")), list(_lines(wanted, names, "")), "in Jenkins", "wanted", lineterm=""
    )
    return tuple(lines)


def _short_names(tags: set[str]) -> Mapping[str, str]:
    """Names of classes without their packages, as long as no two are alike."""
    known: dict[str, list[str]] = {}
    for tag in tags:
        known.setdefault(java_name(tag.rpartition(".")[2]), []).append(tag)
    return {tag: short if len(alike) == 1 else tag for short, alike in known.items() for tag in alike}


def _hide(root: Element, known: dict[str, str]) -> None:
    """Put words in the place of secrets; those in ``known``, and equal ones, get equal words."""
    for parent in root.iter():
        is_password = parent.tag.endswith("PasswordParameterDefinition")
        for each in parent:
            text = each.text or ""
            hidden = is_masked(text) or _CONFIDENTIAL.search(each.tag) or (is_password and each.tag == "defaultValue")
            if text and hidden:
                each.text = known.setdefault(text, f"(secret {len(known) + 1})")


def _lines(element: Element, names: Mapping[str, str], indent: str) -> Iterator[str]:
    attributes = "".join(f" {name}={value}" for name, value in sorted(element.attrib.items()))
    head = f"{indent}{names[element.tag]}{attributes}"
    text = element.text or ""
    if len(element):
        yield head
        for child in element:
            yield from _lines(child, names, indent + "  ")
    elif "\n" in text:
        yield f"{head}: |"
        for line in text.split("\n"):
            yield f"{indent}  {line}" if line else ""
    elif text != text.strip() or text[:1] == "'":  # what cannot be seen at an end of it may be the difference
        yield f"{head}: '{text}'"
    else:
        yield f"{head}: {text}" if text else head
