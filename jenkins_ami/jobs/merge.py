"""What to send to Jenkins: a new item's document, and an existing one's with all that is not ours left in it.

A POST of config.xml replaces everything: folder credentials, views, what a person disabled, and the notes by which
Jenkins knows what a Jenkinsfile declared; without those, the next build deletes the triggers (measured on 2.504.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from xml.etree.ElementTree import Element, SubElement

from ..errors import InputError
from . import mark
from .compare import class_of, is_added, is_list, is_scm_source, pairs
from .ownership import (
    APPEARANCE,
    CONCURRENCY,
    FOLDERS,
    LIBRARIES,
    PARAMETERS,
    PIPELINE,
    TRIGGERS,
    Tracked,
    is_guest,
    is_others,
    java_name,
    library_names,
    name_of,
    tracked,
)
from .treediff import is_masked
from .xmltree import carries_control, parse, serialize

_MASK = "********"
_API_KEY = "apiKey"
"""Of a Gerrit source: guards the address of its webhook. Set by hand."""
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
    if wanted.tag != there.tag:
        raise InputError(f"it is a {there.tag}, and Jenkins cannot change the type of an item")
    theirs = list(there.iter())
    result = _as_guest(wanted, there) if is_guest(wanted, there) else _as_owner(wanted, there, preserve)
    _check(result, {id(each) for each in theirs})
    return serialize(result)


def _as_guest(wanted: Element, there: Element) -> Element:
    """A folder that is somebody else's, with our libraries and our mark put in."""
    there.attrib.pop("plugin", None)
    ours = wanted.find(f"properties/{LIBRARIES}")
    if ours is not None:
        properties = there.find("properties")
        if properties is None:
            properties = SubElement(there, "properties")
        present = properties.find(LIBRARIES)
        if present is not None:
            properties.remove(present)
        properties.append(ours if present is None else _with_libraries(ours, present))
    own = next(iter(mark.read(wanted.findtext("description") or "")), None)
    if own is not None:
        description = there.find("description")
        if description is None:
            description = SubElement(there, "description")
        text = description.text or ""
        before = mark.of(text, own.owner)
        words = before.words if before else frozenset({mark.ADOPTED})
        description.text = mark.put(text, mark.Mark(own.owner, own.digest, words))
    return there


def _as_owner(wanted: Element, there: Element, preserve: Sequence[str]) -> Element:
    """What is wanted, with all that is not ours put in."""
    owned = tracked(there)
    looks = APPEARANCE if wanted.tag in FOLDERS else ()
    apart = ("actions", "properties", "disabled", *looks)
    theirs = {each.tag: each for each in there if each.tag in apart}
    for each in theirs.values():
        there.remove(each)
    result = Element(wanted.tag)
    if "actions" in theirs:
        result.append(theirs["actions"])
    for child in wanted:
        if child.tag == "properties":
            result.append(_properties(child, theirs.pop("properties", None), owned, preserve))
        elif child.tag not in apart:
            result.append(child)
    _keep(result, there)
    if "properties" in theirs:
        result.append(_properties(Element("properties"), theirs["properties"], owned, preserve))
    for tag in ("disabled", *looks):
        kept = theirs.get(tag, wanted.find(tag))
        if kept is not None:
            result.append(kept)
    return result


def _keep(wanted: Element, there: Element) -> None:
    """Put in what comparing overlooks, and only Jenkins knows: secrets that were set there, and ids of sources."""
    for one, other in pairs(wanted, there):
        if one.tag != other.tag or class_of(one) != class_of(other):
            continue
        if is_scm_source(wanted) and one.tag == "id" and other.text:
            one.text = other.text
        elif is_masked(other.text) and not one.text and not len(one):
            wanted[list(wanted).index(one)] = other
        else:
            _keep(one, other)
    is_object = not wanted.text and ("class" not in wanted.attrib or class_of(wanted))
    if is_object and not (is_list(wanted) or is_list(there)):
        ours = {each.tag for each in wanted}
        wanted.extend(each for each in there if each.tag not in ours and _is_secret(each))


def _is_secret(field: Element) -> bool:
    return field.tag == _API_KEY or (is_added(field) and any(is_masked(each.text) for each in field.iter()))


def _properties(wanted: Element, there: Element | None, owned: Tracked, preserve: Sequence[str]) -> Element:
    """Ours, then those of others."""
    result = Element("properties")
    others = [] if there is None else list(there)
    by_tag = {each.tag: each for each in others}
    for each in list(wanted):
        if is_others(each.tag, owned, preserve):
            continue
        other = by_tag.get(each.tag)
        if other is not None:
            _keep(each, other)
            each = _with_theirs(each, other, owned)
        result.append(each)
    ours = {each.tag for each in result}
    for other in others:
        if is_others(other.tag, owned, preserve):
            result.append(other)
        elif other.tag not in ours:
            kept = _with_theirs(Element(other.tag), other, owned)
            if any(map(len, kept)):
                result.append(kept)
                ours.add(other.tag)
    return result


def _with_theirs(wanted: Element, there: Element, owned: Tracked) -> Element:
    """A property of ours with the entries that are not: other libraries, a Jenkinsfile's triggers and parameters."""
    if wanted.tag == LIBRARIES:
        return _with_libraries(wanted, there)
    if wanted.tag == TRIGGERS:
        return _with_kept(wanted, there, "triggers", lambda one: java_name(one.tag) in owned.triggers)
    if wanted.tag == PARAMETERS:
        return _with_kept(wanted, there, "parameterDefinitions", lambda one: name_of(one) in owned.parameters)
    return wanted


def _with_kept(wanted: Element, there: Element, tag: str, is_kept: Callable[[Element], bool]) -> Element:
    """The list ``tag`` of both: what the Jenkinsfile put there, then ours that it does not own."""
    entries = _entries(wanted, tag)
    kept = [one for one in there.iterfind(f"{tag}/*") if is_kept(one)]
    entries[:] = kept + [one for one in entries if not is_kept(one)]
    return wanted


def _with_libraries(wanted: Element, there: Element) -> Element:
    names = library_names(wanted)
    others = [one for one in there.iterfind("libraries/*") if name_of(one) not in names]
    _entries(wanted, "libraries").extend(others)
    return wanted


def _entries(wanted: Element, tag: str) -> Element:
    found = wanted.find(tag)
    return SubElement(wanted, tag) if found is None else found


def _check(root: Element, theirs: set[int]) -> None:
    """
    :param theirs: identities of the elements that are not ours
    """
    for each in root.iter():
        if id(each) in theirs and (each.text or "").strip() == _MASK:
            raise InputError(
                f"Jenkins shows {each.tag} masked to this user, and would store the mask",
                hint="Use a user who may configure the item",
            )
        if carries_control(each):
            raise InputError(
                f"{each.tag} holds a control character, which cannot be sent back to Jenkins",
                hint="Remove it in Jenkins' own page",
            )
