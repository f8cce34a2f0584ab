"""Whether two config.xml mean the same to Jenkins, and what differs if not.

What Jenkins does to a document on its own is no difference (rules 1, 2 and 5 of the recordings of 2.504.3): it fills in
zero values, adds ``plugin=`` and views, reorders the fields of an object, migrates legacy elements. What others own
(:mod:`ownership`) takes no part. The order inside lists counts.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, SubElement

from . import mark
from .ownership import (
    APPEARANCE,
    CONCURRENCY,
    FOLDERS,
    LIBRARIES,
    PARAMETERS,
    PIPELINE,
    TRIGGERS,
    is_others,
    library_names,
    name_of,
    tracked,
)
from .xmltree import parse

_LIST_CLASSES = frozenset(
    {
        "list",
        "empty-list",
        "linked-list",
        "vector",
        "string-array",
        "java.util.ArrayList",
        "java.util.Arrays$ArrayList",
        "java.util.concurrent.CopyOnWriteArrayList",
        "hudson.model.View$PropertyList",
        "hudson.util.DescribableList",
    }
)
"""Values of ``class=`` that say how a list is stored, not what it is."""
_LISTS = frozenset(
    {"triggers", "parameterDefinitions", "columns", "traits", "branches", "extensions", "triggerOnEvents"}
)
_MASKED = re.compile(r"\*{8}\Z|\{[A-Za-z0-9+/]{8,}={0,2}\}\Z")
"""A secret as Jenkins shows it: to a reader, and to an administrator."""
_PLUGIN = re.compile(r"""(<[\w.$-]+(?: \w+="[^"<>]*")*?) plugin="[^"<>]*\"""")
_ZERO = frozenset({"", "false", "0"})
_PLUGINS = (
    ("com.sonyericsson.hudson.plugins.gerrit.trigger", "gerrit-trigger"),
    ("jenkins.plugins.gerrit", "gerrit-code-review"),
    ("hudson.plugins.throttleconcurrents", "throttle-concurrents"),
    ("org.jenkinsci.plugins.github_branch_source", "github-branch-source"),
    ("io.jenkins.plugins.gitlabbranchsource", "gitlab-branch-source"),
    ("org.jenkinsci.plugins.workflow.libs", "pipeline-groovy-lib"),
    ("org.jenkinsci.plugins.workflow.cps", "workflow-cps"),
    ("org.jenkinsci.plugins.workflow.multibranch", "workflow-multibranch"),
    ("org.jenkinsci.plugins.workflow.job", "workflow-job"),
    ("com.cloudbees.hudson.plugins.folder", "cloudbees-folder"),
    ("com.cloudbees.plugins.credentials", "credentials"),
    ("hudson.plugins.git", "git"),
    ("jenkins.plugins.git", "git"),
    ("jenkins.branch", "branch-api"),
    ("jenkins.scm", "scm-api"),
)


def plugin_of(name: str) -> str:
    """The short name of the plugin that has a class, or empty."""
    return next((plugin for prefix, plugin in _PLUGINS if name.startswith(f"{prefix}.")), "")


def difference(desired: str, live: str, preserve: Sequence[str] = ()) -> tuple[str, ...]:
    """What an update would change, as a unified diff of the two meanings; empty when they are the same.

    :param desired, live: config.xml documents
    :param preserve: further classes of properties that are not ours
    :raises InputError: one of them is not well-formed
    """
    if _same_text(desired, live):
        return ()
    wanted, there = parse(desired), parse(live)
    _prepare(wanted, there, preserve)
    if not _reconcile(wanted, there):
        return ()
    return _diff(wanted, there)


def understood(posted: str, saved: str) -> tuple[str, ...]:
    """What Jenkins made of a document otherwise than it was meant, a line each; empty when it took all of it.

    :param saved: what it answers after it has saved the item
    """
    if _same_text(posted, saved):
        return ()
    wanted, there = parse(posted), parse(saved)
    _prepare(wanted, there, ())
    lines = list(_dropped(wanted, there))
    if not lines and _reconcile(wanted, there):
        changes = [line for line in _diff(wanted, there) if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        lines = [f"Jenkins changed it: {'; '.join(' '.join(line.split()) for line in changes[:4])}"]
    return tuple(lines)


def _same_text(wanted: str, there: str) -> bool:
    """Whether two documents differ in nothing but their declarations, ``plugin=`` and how quotes are written.

    What our templates write, Jenkins writes alike, as long as it needs to add nothing; so most documents of a run are
    compared in a twentieth of the time.
    """
    return _plain(wanted) == _plain(there)


def _plain(text: str) -> str:
    body = text.partition("?>")[2].strip() if text.startswith("<?xml") else text.strip()
    return _PLUGIN.sub(r"\1", body).replace("&apos;", "'").replace("&quot;", '"')


def _dropped(wanted: Element, there: Element) -> Iterator[str]:
    kept = Counter(name for each in there.iter() for name in _classes(each))
    for name, count in Counter(name for each in wanted.iter() for name in _classes(each)).items():
        if kept[name] < count:
            plugin = plugin_of(name)
            hint = f"; is the plugin {plugin} installed?" if plugin else ""
            yield f"Jenkins dropped {name}{hint}"


def _classes(element: Element) -> Iterator[str]:
    if "." in element.tag:
        yield element.tag
    if (name := element.get("class")) and name not in _LIST_CLASSES:
        yield name


# Both sides without what is nobody's business


def _prepare(wanted: Element, there: Element, preserve: Sequence[str]) -> None:
    owned = tracked(there)
    libraries = library_names(wanted.find(f"properties/{LIBRARIES}"))
    keep_words = _is_shared(there)
    for root in (wanted, there):
        _normalise(root)
        for tag in ("actions", "disabled", *(APPEARANCE if root.tag in FOLDERS else ())):
            _remove_named(root, tag)
        for tag in ("description", "displayName") if keep_words else ():
            _remove_named(root, tag)
        properties = root.find("properties")
        if properties is None:
            continue
        _remove(properties, lambda child: is_others(child.tag, owned, preserve))
        for each in properties.iterfind(f"{TRIGGERS}/triggers"):
            _remove(each, lambda child: child.tag in owned.triggers)
        for each in properties.iterfind(f"{PARAMETERS}/parameterDefinitions"):
            _remove(each, lambda child: name_of(child) in owned.parameters)
        for each in properties.iterfind(f"{LIBRARIES}/libraries"):
            _remove(each, lambda child: (child.findtext("name") or "") not in libraries)
        _remove(properties, _is_emptied)


def _is_shared(there: Element) -> bool:
    """Whether the words of a folder are somebody else's as well: it was there before, or has another owner."""
    marks = mark.read(there.findtext("description") or "")
    return len(marks) > 1 or any(mark.ADOPTED in each.words for each in marks)


def _is_emptied(element: Element) -> bool:
    """A container from which all that was in it has been taken, or in which there never was anything."""
    return element.tag in (TRIGGERS, PARAMETERS, LIBRARIES) and not any(len(child) for child in element)


def _remove(parent: Element, condition: Callable[[Element], bool]) -> None:
    for child in [child for child in parent if condition(child)]:
        parent.remove(child)


def _remove_named(parent: Element, tag: str) -> None:
    _remove(parent, lambda child: child.tag == tag)


def _normalise(root: Element) -> None:
    """One spelling for what Jenkins spells in several ways."""
    description = root.find("description")
    if description is not None:
        description.text = mark.without(description.text or "")
    if root.tag == PIPELINE:
        _migrate(root)
    for element in root.iter():
        for name in [name for name in element.attrib if name == "plugin" or element.attrib[name] in _LIST_CLASSES]:
            del element.attrib[name]
        if element.tag == "choices" and len(element) == 1 and element[0].tag == "a":
            element[:] = list(element[0])
        elif element.tag == "comparator":  # of a view's names: its class depends on the version of Jenkins
            element.attrib.clear()
        _remove(element, lambda child: "reference" in child.attrib)
        if element.text and "\r" in element.text:
            element.text = element.text.replace("\r\n", "\n").replace("\r", "\n")


def _migrate(root: Element) -> None:
    """Legacy elements, as WorkflowJob.onLoad migrates them."""
    legacy = root.find("concurrentBuild")
    if legacy is not None:
        root.remove(legacy)
        properties = root.find("properties")
        if properties is None:
            properties = SubElement(root, "properties")
        present = properties.find(CONCURRENCY)
        if legacy.text == "true" and present is not None:
            properties.remove(present)
        elif legacy.text != "true" and present is None:
            SubElement(properties, CONCURRENCY)


# Field by field


def _reconcile(wanted: Element, there: Element) -> bool:
    """Take out of both what makes no difference, order ``there`` like ``wanted``, and say whether they still differ."""
    if wanted.tag != there.tag or wanted.attrib != there.attrib:
        return True
    if not len(wanted) and not len(there):
        return (wanted.text or "") != (there.text or "") and not _is_secret(wanted, there)
    if _is_list(wanted) or _is_list(there):
        return _reconcile_list(wanted, there)
    differs = False
    rest = {child.tag: child for child in there}
    kept, ordered = [], []
    for child in wanted:
        other = rest.pop(child.tag, None)
        if other is None:
            if not _is_zero(child):
                kept.append(child)
                differs = True
            continue
        kept.append(child)
        ordered.append(other)
        if _reconcile(child, other):
            differs = True
    added = [child for child in rest.values() if not _is_zero(child) and not _is_secret(None, child)]
    wanted[:], there[:] = kept, ordered + added
    return differs or bool(added)


def _reconcile_list(wanted: Element, there: Element) -> bool:
    mine, theirs = list(wanted), list(there)
    if len(mine) == len(theirs):
        return max([_reconcile(one, other) for one, other in zip(mine, theirs, strict=True)], default=False)
    keys = [_key(each) for each in mine], [_key(each) for each in theirs]
    for tag, a, b, c, d in difflib.SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        if tag == "equal":
            for one, other in zip(mine[a:b], theirs[c:d], strict=True):
                _reconcile(one, other)
    return True


def _key(element: Element) -> tuple[str, str]:
    """What a list's entry is known by."""
    return element.tag, element.findtext("name") or element.findtext("id") or element.text or ""


def _is_list(element: Element) -> bool:
    tags = [child.tag for child in element]
    return element.tag in _LISTS or len(set(tags)) < len(tags)


def _is_zero(element: Element) -> bool:
    """Whether Jenkins would have the same without it: a field (no class of its own) that is zero, or all of zeros."""
    if "." in element.tag or element.attrib:
        return False
    return all(map(_is_zero, element)) if len(element) else (element.text or "") in _ZERO


def _is_secret(wanted: Element | None, there: Element) -> bool:
    return bool(_MASKED.match(there.text or "")) and (wanted is None or not wanted.text)


# For people


@dataclass
class _Names:
    """Short names of classes, as long as no two are alike."""

    tags: Iterable[str]
    short: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known: dict[str, set[str]] = {}
        for tag in self.tags:
            known.setdefault(_short(tag), set()).add(tag)
        self.short = {tag: name for name, tags in known.items() if len(tags) == 1 for tag in tags}

    def of(self, tag: str) -> str:
        return self.short.get(tag, tag)


def _short(tag: str) -> str:
    return tag.rpartition(".")[2].replace("_-", "$").replace("__", "_")


def _diff(wanted: Element, there: Element) -> tuple[str, ...]:
    names = _Names({each.tag for root in (wanted, there) for each in root.iter()})
    lines = difflib.unified_diff(
        list(_lines(there, names, "")), list(_lines(wanted, names, "")), "in Jenkins", "wanted", lineterm=""
    )
    return tuple(lines)


def meaning(text: str) -> tuple[str, ...]:
    """A whole document as the lines that a diff is made of: for what is created."""
    root = deepcopy(parse(text))
    _normalise(root)
    names = _Names({each.tag for each in root.iter()})
    return tuple(_lines(root, names, ""))


def _lines(element: Element, names: _Names, indent: str) -> Iterator[str]:
    attributes = "".join(f" {name}={value}" for name, value in sorted(element.attrib.items()))
    head = f"{indent}{names.of(element.tag)}{attributes}"
    text = element.text or ""
    if len(element):
        yield head
        for child in element:
            yield from _lines(child, names, indent + "  ")
    elif "\n" in text:
        yield f"{head}: |"
        for line in text.split("\n"):
            yield f"{indent}  {line}" if line else ""
    else:
        yield f"{head}: {'(secret)' if _MASKED.match(text) else text}".rstrip(" ") if text else head
