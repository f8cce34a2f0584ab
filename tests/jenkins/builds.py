"""What builds and indexing do to items: the trackers in ``<actions>`` and the properties that a Jenkinsfile declares.

As config/pipeline-scm.after-build*.xml, config/pipeline-properties-step.*.xml and properties-interplay.json show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import document
from .classes import MULTIBRANCH, PIPELINE, PROJECTS, java_name
from .document import Node
from .items import TRIGGERS, Item, Items

PARAMETERS = "hudson.model.ParametersDefinitionProperty"
_ACTIONS = "org.jenkinsci.plugins.pipeline.modeldefinition.actions"
_SCRIPTED = "org.jenkinsci.plugins.workflow.multibranch.JobPropertyTrackerAction"


@dataclass(frozen=True)
class Declared:
    """What a Jenkinsfile declares, as elements of config.xml.

    :ivar scripted: ``properties([...])`` of a scripted one; else options, triggers and parameters of a declarative one
    :ivar properties: elements as ``<properties>`` has them; of a scripted one triggers and parameters are among them
    """

    scripted: bool = False
    properties: Sequence[str] = ()
    triggers: Sequence[str] = ()
    parameters: Sequence[str] = ()


def run(items: Items, item: Item, declares: Declared | None) -> None:
    """A build that succeeds. ``None`` is a script that declares nothing: config.xml stays as it is."""
    properties = item.model.find("properties")
    if declares is not None and properties is not None:
        if item.model.find("actions") is None:
            item.model.children.insert(0, Node("actions"))
        if declares.scripted:
            _run_scripted(items, item, properties, declares)
        else:
            _run_declarative(items, item, properties, declares)
        item.was_scripted = declares.scripted
    item.builds += 1


def _run_scripted(items: Items, item: Item, properties: Node, declares: Declared) -> None:
    """The tracker is set after the save: it is in config.xml only from the next save on."""
    actions = item.model.find("actions") or Node("actions")
    tracker = actions.find(_SCRIPTED)
    if tracker is not None:
        owned = _strings(tracker, "jobPropertyDescriptors")
        properties.children = [each for each in properties.children if java_name(each.name) not in owned]
    elif item.was_scripted:
        properties.children = []
    declared = [_element(text) for text in declares.properties]
    properties.children += declared
    item.model = items.xstream.load_root(item.model, PROJECTS)
    items.save(item)
    descriptors = _string_set("jobPropertyDescriptors", [java_name(each.name) for each in declared])
    _set_action(item, Node(_SCRIPTED, children=[descriptors]))


def _run_declarative(items: Items, item: Item, properties: Node, declares: Declared) -> None:
    """What the tracker lists is replaced; of the rest what is in the XML wins, parameters excepted."""
    name = f"{_ACTIONS}.DeclarativeJobPropertyTrackerAction"
    before = (item.model.find("actions") or Node("actions")).find(name) or Node(name)
    owned = _strings(before, "jobProperties")
    kept = [each for each in properties.children if java_name(each.name) not in owned]
    options = [_element(text) for text in declares.properties]
    triggers = [_element(text) for text in declares.triggers]
    parameters = [_element(text) for text in declares.parameters]
    there = {each.name for each in kept}
    if triggers or _strings(before, "triggers"):
        old = _taken(kept, TRIGGERS, "triggers")
        gone = _strings(before, "triggers") | {java_name(each.name) for each in triggers}
        rest = [each for each in old if java_name(each.name) not in gone]
        kept += _filled(TRIGGERS, "triggers", [*rest, *triggers])
    if parameters or _strings(before, "parameters"):
        old = _taken(kept, PARAMETERS, "parameterDefinitions")
        gone = _strings(before, "parameters") | {each.value("name") for each in parameters}
        rest = [each for each in old if each.value("name") not in gone]
        kept += _filled(PARAMETERS, "parameterDefinitions", [*parameters, *rest])
    properties.children = kept + [each for each in options if each.name not in there]
    _set_action(item, Node(f"{_ACTIONS}.DeclarativeJobAction"))
    tracker = Node(
        name,
        children=[
            _string_set("jobProperties", [java_name(each.name) for each in options]),
            _string_set("triggers", [java_name(each.name) for each in triggers]),
            _string_set("parameters", [each.value("name") for each in parameters]),
            Node("options"),
        ],
    )
    _set_action(item, tracker)
    item.model = items.xstream.load_root(item.model, PROJECTS)
    items.save(item)


def _taken(properties: list[Node], name: str, inner: str) -> list[Node]:
    """Take a property out, and give the entries of its list."""
    found = [each for each in properties if each.name == name]
    properties[:] = [each for each in properties if each.name != name]
    return [entry for each in found for entry in (each.find(inner) or Node(inner)).children]


def _filled(name: str, inner: str, entries: list[Node]) -> list[Node]:
    return [Node(name, children=[Node(inner, children=entries)])] if entries else []


def _set_action(item: Item, action: Node) -> None:
    actions = item.model.find("actions")
    assert actions is not None
    actions.drop(action.name)
    actions.children.append(action)


def _strings(action: Node, name: str) -> set[str]:
    return {each.text for each in (action.find(name) or Node(name)).children}


def _string_set(name: str, texts: Iterable[str]) -> Node:
    """A java.util.HashSet, in the order of its 16 buckets."""
    ordered = sorted(set(texts), key=lambda text: _bucket(text))
    return Node(name, children=[Node("string", text=text, is_text=True) for text in ordered])


def _bucket(text: str) -> int:
    number = 0
    for char in text:
        number = (number * 31 + ord(char)) & 0xFFFFFFFF
    return (number ^ (number >> 16)) & 15


def _element(text: str) -> Node:
    return document.tree(document.read(text))


def index(items: Items, project: Item, branches: Sequence[str]) -> None:
    """Branch jobs, as indexing makes them. Not recorded."""
    assert project.model.name == MULTIBRANCH
    for branch in branches:
        model = items.xstream.load_root(Node(PIPELINE, children=[Node("properties")]), PROJECTS)
        item = Item(branch, project, model)
        items.save(item)
        project.children[branch] = item
