"""Whether two config.xml mean the same to Jenkins, and what differs if not.

What Jenkins does to a document on its own is no difference (rules 1, 2 and 5 of the recordings of 2.504.3): it fills in
zero values, adds ``plugin=`` and views, reorders the fields of an object, migrates legacy elements. What others own
(:mod:`ownership`) takes no part. The order inside lists counts.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
    is_guest,
    is_others,
    java_name,
    library_names,
    name_of,
    tracked,
)
from .treediff import is_masked, tree_diff
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
        "java.util.Collections$EmptyList",
        "java.util.concurrent.CopyOnWriteArrayList",
        "hudson.model.View$PropertyList",
        "hudson.util.DescribableList",
    }
)
"""Values of ``class=`` that say how a list is stored, not what it is."""
_PLUGIN = re.compile(r' plugin="[^"<>]*"(?=/?>)')
_ZERO = frozenset({"", "false"})
_DEFAULTS = {
    "gitTool": "Default",
    "nameAndEmailParameterMode": "PLAIN",
    "commitMessageParameterMode": "BASE64",
    "changeSubjectParameterMode": "PLAIN",
    "commentTextParameterMode": "PLAIN",
    "serverName": "__ANY__",
    "separator": "#",
}
"""What the git and gerrit-trigger plugins take when the field is not there."""
_SCRIPT_FROM_SCM = "org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition"
_LEGACY = {
    PIPELINE: ("canRoam",),
    "com.cloudbees.hudson.plugins.folder.Folder": ("canRoam", "views", "viewsTabBar", "primaryView"),
    "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject": (
        "canRoam",
        "views",
        "viewsTabBar",
        "primaryView",
    ),
}
"""Fields that other generators write and Jenkins does not know."""
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
    return tree_diff(wanted, there)


def understood(posted: str, saved: str) -> tuple[str, ...]:
    """What Jenkins made of a document otherwise than it was meant, a line each; empty when it took all of it.

    :param saved: what it answers after it has saved the item
    """
    if _same_text(posted, saved):
        return ()
    wanted, there = parse(posted), parse(saved)
    _prepare(wanted, there, ())
    lines = list(_dropped(wanted, there))
    if not lines and _reconcile(wanted, there, sealed=True):
        changes = [line for line in tree_diff(wanted, there) if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        lines = [f"Jenkins changed it: {'; '.join(' '.join(line.split()) for line in changes[:4])}"]
    return tuple(lines)


def _same_text(wanted: str, there: str) -> bool:
    """Whether two documents differ in nothing but their declarations, ``plugin=`` and how quotes are written.

    What our templates write, Jenkins writes alike, as long as it needs to add nothing; so most documents of a run are
    compared in a twentieth of the time.
    """
    return abs(wanted.count("\n") - there.count("\n")) <= 2 and _plain(wanted) == _plain(there)


def _plain(text: str) -> str:
    body = text.partition("?>")[2].strip() if text.startswith("<?xml") else text.strip()
    return _PLUGIN.sub("", body).replace("&apos;", "'").replace("&quot;", '"')


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
    if name := class_of(element):
        yield name


# Both sides without what is nobody's business


def _prepare(wanted: Element, there: Element, preserve: Sequence[str]) -> None:
    owned = tracked(there)
    libraries = library_names(wanted.find(f"properties/{LIBRARIES}"))
    guest = is_guest(wanted, there)
    for root in (wanted, there):
        _normalise(root)
        if guest:
            _keep_libraries_only(root)
        for tag in ("actions", "disabled", *(APPEARANCE if root.tag in FOLDERS else ())):
            _remove_named(root, tag)
        properties = root.find("properties")
        if properties is None:
            continue
        _remove(properties, lambda child: is_others(child.tag, owned, preserve))
        for each in properties.iterfind(f"{TRIGGERS}/triggers"):
            _remove(each, lambda child: java_name(child.tag) in owned.triggers)
        for each in properties.iterfind(f"{PARAMETERS}/parameterDefinitions"):
            _remove(each, lambda child: name_of(child) in owned.parameters)
        for each in properties.iterfind(f"{LIBRARIES}/libraries"):
            _remove(each, lambda child: name_of(child) not in libraries)
        _remove(properties, _is_emptied)
    if there.tag in FOLDERS:  # Jenkins' form adds properties in which nothing is set
        ours = {each.tag for each in wanted.iterfind("properties/*")}
        for properties in there.iterfind("properties"):
            _remove(properties, lambda each: each.tag not in ours and len(each) > 0 and all(map(is_default, each)))


def _keep_libraries_only(root: Element) -> None:
    _remove(root, lambda child: child.tag != "properties")
    for properties in root:
        _remove(properties, lambda child: child.tag != LIBRARIES)
    _remove(root, lambda child: not len(child))


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
    elif root.tag.endswith("View"):
        _remove_named(root, "name")  # the address says how a view is called
    legacy = _LEGACY.get(root.tag, ())
    _remove(root, lambda child: child.tag in legacy or child.get("class") == "hudson.scm.NullSCM")
    has_references = False
    for element in root.iter():
        if element.attrib:
            has_references |= "reference" in element.attrib
            _normalise_attributes(element)
        if element.tag == "choices" and len(element) == 1 and element[0].tag == "a":
            element[:] = list(element[0])
        elif element.tag == "jobNames":  # a sorted set; the class of its order depends on the version of Jenkins
            element[:] = sorted(element.iterfind("string"), key=lambda each: each.text or "")
        if element.text and "\r" in element.text:
            element.text = element.text.replace("\r\n", "\n").replace("\r", "\n")
    for element in root.iter() if has_references else ():  # back to the item that holds it
        _remove(element, lambda child: "reference" in child.attrib)


def _normalise_attributes(element: Element) -> None:
    for name in [name for name in element.attrib if name == "plugin" or element.attrib[name] in _LIST_CLASSES]:
        del element.attrib[name]
    if element.get("class") == _SCRIPT_FROM_SCM:  # always in the sandbox
        _remove_named(element, "sandbox")


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


def _reconcile(wanted: Element, there: Element, *, sealed: bool = False) -> bool:
    """Take out of both what makes no difference, order ``there`` like ``wanted``, and say whether they still differ.

    :param sealed: a secret in clear is expected to have been encrypted
    """
    if wanted.tag != there.tag:
        return True
    if (wanted.text or "") != (there.text or "") and not (is_masked(there.text) and (sealed or not wanted.text)):
        return True
    differs = wanted.attrib != there.attrib
    if not len(wanted) and not len(there):
        return differs
    if is_list(wanted) or is_list(there):
        return _reconcile_list(wanted, there, sealed=sealed) or differs
    is_source = is_scm_source(wanted)
    rest = {child.tag: child for child in there}
    kept, ordered = [], []
    for child in wanted:
        other = rest.pop(child.tag, None)
        if other is None:
            if not is_default(child):
                kept.append(child)
                differs = True
            continue
        if is_source and child.tag == "id" and child.text and other.text:  # any is right, as long as it stays
            continue
        kept.append(child)
        ordered.append(other)
        if child.text == other.text and child.attrib == other.attrib and not len(child) and not len(other):
            continue
        if _reconcile(child, other, sealed=sealed):
            differs = True
    added = [child for child in rest.values() if not is_added(child)]
    wanted[:], there[:] = kept, ordered + added
    return differs or bool(added)


def _reconcile_list(wanted: Element, there: Element, *, sealed: bool) -> bool:
    differs = [_reconcile(one, other, sealed=sealed) for one, other in pairs(wanted, there)]
    return len(wanted) != len(there) or len(differs) < len(wanted) or any(differs)


def pairs(wanted: Element, there: Element) -> list[tuple[Element, Element]]:
    """The children that belong together: fields by name, entries of lists in their order."""
    mine, theirs = list(wanted), list(there)
    if not (is_list(wanted) or is_list(there)):
        fields = {child.tag: child for child in theirs}
        return [(child, fields[child.tag]) for child in mine if child.tag in fields]
    keys = [_key(each) for each in mine], [_key(each) for each in theirs]
    if keys[0] == keys[1] or len(mine) == len(theirs) == 1:
        return list(zip(mine, theirs, strict=True))
    found: list[tuple[Element, Element]] = []
    for _, a, b, c, d in difflib.SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        if b - a == d - c:
            found += zip(mine[a:b], theirs[c:d], strict=True)
    return found


def _key(element: Element) -> tuple[str, str]:
    """What a list's entry is known by."""
    return element.tag, element.findtext("name") or element.findtext("id") or element.text or ""


def is_list(element: Element) -> bool:
    """Whether it holds entries, whose order counts, and not fields. The entries of ``properties`` have no order."""
    if not len(element):
        return False
    tags = [child.tag for child in element]
    return len(set(tags)) < len(tags) or (element.tag != "properties" and any("." in tag for tag in tags))


def is_default(element: Element) -> bool:
    """Whether Jenkins would have the same without it: a field (no class of its own) of nothing but defaults."""
    if "." in element.tag or element.attrib:
        return False
    if len(element):
        return all(map(is_default, element))
    text = element.text or ""
    return text in _ZERO or _DEFAULTS.get(element.tag) == text


def is_added(element: Element) -> bool:
    """Whether a field that only Jenkins has is no difference: a default, zero, or a secret that somebody set there."""
    if "." in element.tag or element.attrib:
        return False
    if len(element):
        return all(map(is_added, element))
    return element.text == "0" or is_masked(element.text) or is_default(element)


def class_of(element: Element) -> str:
    """The Java class of a field's value, where it says so."""
    name = element.get("class", "")
    return "" if name in _LIST_CLASSES else name


def is_scm_source(element: Element) -> bool:
    """Whether it says where a multibranch project or a library comes from: its id is Jenkins' key to all branches."""
    return element.get("class", "").endswith("SCMSource")
