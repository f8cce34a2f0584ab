"""What to send to Jenkins: a new item's document, and an existing one's with all that is not ours left in it.

A POST of config.xml replaces everything: folder credentials, views, what a person disabled, and the notes by which
Jenkins knows what a Jenkinsfile declared; without those, the next build deletes the triggers (measured on 2.504.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from xml.etree.ElementTree import Element, SubElement

from ..errors import InputError
from . import mark
from .ownership import (
    APPEARANCE,
    CONCURRENCY,
    FOLDERS,
    LIBRARIES,
    PARAMETERS,
    PIPELINE,
    TRIGGERS,
    Tracked,
    is_others,
    library_names,
    name_of,
    tracked,
)
from .xmltree import carries_control, parse, serialize

_MASK = "********"
_ONE_AT_A_TIME = f"""    <{CONCURRENCY}>
      <abortPrevious>false</abortPrevious>
    </{CONCURRENCY}>
"""


def for_create(text: str) -> str:
    """The document in the form that makes Jenkins save the item at once, so that one GET shows what it understood.

    WorkflowJob.onLoad migrates the legacy element ``concurrentBuild`` by adding or removing a property, which saves
    (recorded on 2.504.3: createItem with it is canonical from the start). The meaning stays.
    """
    if quick := _for_create_text(text):
        return quick
    root = parse(text)
    properties = root.find("properties")
    if root.tag != PIPELINE or properties is None:
        return text
    present = properties.find(CONCURRENCY)
    if present is None:
        SubElement(properties, CONCURRENCY)
    elif present.findtext("abortPrevious") == "true":
        return text
    else:
        properties.remove(present)
    SubElement(root, "concurrentBuild").text = "true" if present is None else "false"
    return serialize(root)


def _for_create_text(text: str) -> str:
    """The same without parsing, for the form that our own templates write; empty for any other."""
    head, found, tail = text.rpartition(f"</{PIPELINE}>")
    if not found or head.count(_ONE_AT_A_TIME) != 1 or head.count(CONCURRENCY) != 2:
        return ""
    return f"{head.replace(_ONE_AT_A_TIME, '')}  <concurrentBuild>false</concurrentBuild>\n{found}{tail}"


def merged(desired: str, live: str, preserve: Sequence[str] = ()) -> str:
    """The body of an update: what is wanted, with all of ``live`` that is not ours.

    :param live: the answer to a GET just before
    :param preserve: further classes of properties that are not ours
    :raises InputError: ``live`` holds what cannot be sent back: a secret that this user sees masked, or a control
        character that XML 1.0 cannot carry
    """
    wanted, there = parse(desired), parse(live)
    owned = tracked(there)
    result = Element(wanted.tag)
    if (actions := there.find("actions")) is not None:
        result.append(actions)
    for child in wanted:
        if child.tag in ("actions", "disabled") or (wanted.tag in FOLDERS and child.tag in APPEARANCE):
            continue
        other = there.find(child.tag)
        if child.tag == "properties":
            result.append(_properties(child, other, owned, preserve))
        elif child.tag == "description":
            result.append(_description(child, other))
        elif child.tag == "displayName" and other is not None and _is_adopted(there):
            result.append(other)
        else:
            result.append(child)
            if child.tag == "sources" and other is not None:
                _keep_api_keys(child, other)
    if wanted.find("properties") is None and (other := there.find("properties")) is not None:
        result.append(_properties(Element("properties"), other, owned, preserve))
    for tag in ("disabled", *(APPEARANCE if wanted.tag in FOLDERS else ())):
        kept = there.find(tag)
        if kept is None and tag == "disabled":
            kept = wanted.find(tag)
        if kept is not None:
            result.append(kept)
    _check(result)
    return serialize(result)


def _properties(wanted: Element, there: Element | None, owned: Tracked, preserve: Sequence[str]) -> Element:
    """Ours, with those of others in their places."""
    result = Element("properties")
    others = [] if there is None else list(there)
    by_tag = {each.tag: each for each in others}
    for each in wanted:
        if each.tag in owned.properties or is_others(each.tag, owned, preserve):
            continue
        other = by_tag.get(each.tag)
        if other is not None and each.tag == LIBRARIES:
            each = _with_libraries(each, other)
        elif other is not None and each.tag == TRIGGERS:
            each = _with_kept(each, other, "triggers", lambda one: one.tag in owned.triggers)
        elif other is not None and each.tag == PARAMETERS:
            each = _with_kept(each, other, "parameterDefinitions", lambda one: name_of(one) in owned.parameters)
        result.append(each)
    ours = {each.tag for each in result}
    for other in others:
        if is_others(other.tag, owned, preserve) or (other.tag == LIBRARIES and other.tag not in ours):
            result.append(other)
        elif other.tag not in ours and other.tag == TRIGGERS and owned.triggers:
            result.append(_with_kept(Element(other.tag), other, "triggers", lambda one: one.tag in owned.triggers))
        elif other.tag not in ours and other.tag == PARAMETERS and owned.parameters:
            kept = _with_kept(
                Element(other.tag), other, "parameterDefinitions", lambda one: name_of(one) in owned.parameters
            )
            result.append(kept)
    return result


def _with_kept(wanted: Element, there: Element, tag: str, is_kept: Callable[[Element], bool]) -> Element:
    """The list ``tag`` of both: what the Jenkinsfile put there, then ours that it does not own."""
    result = deepcopy(wanted)
    entries = result.find(tag)
    if entries is None:
        entries = SubElement(result, tag)
    kept = [one for one in there.iterfind(f"{tag}/*") if is_kept(one)]
    entries[:] = kept + [one for one in entries if not is_kept(one)]
    return result


def _with_libraries(wanted: Element, there: Element) -> Element:
    names = library_names(wanted)
    result = deepcopy(wanted)
    libraries = result.find("libraries")
    if libraries is None:
        libraries = SubElement(result, "libraries")
    libraries.extend(one for one in there.iterfind("libraries/*") if (one.findtext("name") or "") not in names)
    return result


def _description(wanted: Element, there: Element | None) -> Element:
    """Ours; in a folder with other words than ours, those stay and only our mark is put in."""
    present = "" if there is None else there.text or ""
    marks = mark.read(wanted.text or "")
    if not marks or not _has_other_words(present):
        return wanted
    result = Element("description")
    own = marks[0]
    before = mark.of(present, own.owner)
    result.text = mark.put(present, mark.Mark(own.owner, own.digest, before.words if before else own.words))
    return result


def _has_other_words(description: str) -> bool:
    marks = mark.read(description)
    return len(marks) > 1 or any(mark.ADOPTED in each.words for each in marks)


def _is_adopted(there: Element) -> bool:
    return _has_other_words(there.findtext("description") or "")


def _keep_api_keys(wanted: Element, there: Element) -> None:
    """The secret that guards a Gerrit source's webhook was set by hand: it stays with the source of the same id."""
    keys = {each.findtext("id"): each.find("apiKey") for each in there.iter("source")}
    for source in wanted.iter("source"):
        key = keys.get(source.findtext("id"))
        if key is not None and source.find("apiKey") is None:
            source.append(key)


def _check(root: Element) -> None:
    for each in root.iter():
        if (each.text or "").strip() == _MASK:
            raise InputError(
                f"Jenkins shows {each.tag} masked to this user, and would store the mask",
                hint="Use a user who may configure the item",
            )
        if carries_control(each):
            raise InputError(
                f"{each.tag} holds a control character, which cannot be sent back to Jenkins",
                hint="Remove it in Jenkins' own page",
            )
