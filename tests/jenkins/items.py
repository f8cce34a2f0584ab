"""The items of the server, and what changes them: create, POST of config.xml, save, delete, views, builds.

An item has two faces: ``text``, its config.xml as stored, and ``model``, the objects in memory. Only a save writes the
one from the other (rules 1, 2, 5, 8 and 12). What a build does to an item is in ``builds``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from . import document, names, pages
from .classes import ALL_VIEW, FOLDER, JAVA_NAMES, LIST_VIEW, MULTIBRANCH, PIPELINE, PROJECTS, VIEWS, java_name
from .document import Node
from .pages import Refused
from .resolve import all_view, view_owner
from .xml11 import NotXml
from .xstream import CannotResolve, XStream

ItemPath = tuple[str, ...]
CONCURRENCY = "org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty"
TRIGGERS = "org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty"
_ROOT_VIEW = "hudson.model.Hudson"


@dataclass
class Item:
    """A job or a folder; the root, which is the controller itself, has no parent and an empty name."""

    name: str
    parent: Item | None
    model: Node
    text: str = ""
    children: dict[str, Item] = field(default_factory=dict)
    builds: int = 0
    was_scripted: bool = False

    @property
    def path(self) -> ItemPath:
        return (*self.parent.path, self.name) if self.parent else ()

    @property
    def cls(self) -> str:
        """The Java class, as ``_class`` of api/json."""
        return JAVA_NAMES.get(self.model.name) or java_name(self.model.name)

    @property
    def is_group(self) -> bool:
        return self.parent is None or self.model.name in (FOLDER, MULTIBRANCH)

    @property
    def takes_items(self) -> bool:
        return self.parent is None or self.model.name == FOLDER

    @property
    def description(self) -> str | None:
        found = self.model.find("description")
        return None if found is None else found.text

    @property
    def is_disabled(self) -> bool:
        return self.model.value("disabled") == "true"

    @property
    def views(self) -> list[Node]:
        """In memory, the primary view first."""
        holder = self.model.find("folderViews/views")
        return [] if holder is None else holder.children

    def view(self, name: str) -> Node | None:
        return next((view for view in self.views if view.value("name") == name), None)

    def child(self, name: str) -> Item | None:
        """At top level the case of letters does not count, inside folders it does."""
        found = self.children.get(name)
        if found is None and self.parent is None:
            return next((each for key, each in self.children.items() if key.lower() == name.lower()), None)
        return found

    def walk(self) -> Iterator[Item]:
        """All items below, parents first."""
        for child in self.children.values():
            yield child
            yield from child.walk()


class Items:
    """All items of a server. The caller holds the server's lock.

    :ivar log: what the server's log would say of the answers with status 500
    """

    def __init__(self, xstream: XStream) -> None:
        self.xstream = xstream
        self.log: list[str] = []
        views = Node("views", children=[all_view(_ROOT_VIEW)])
        views.children[0].set("name", "all")
        self.root = Item("", None, Node("hudson", children=[Node("folderViews", children=[views])]))

    def find(self, path: ItemPath) -> Item | None:
        item: Item | None = self.root
        for name in path:
            item = item.child(name) if item is not None and item.is_group else None
        return item

    def _oops(self, cause: str) -> Refused:
        self.log.append(cause)
        return Refused(pages.oops())

    def _read(self, text: str, kinds: frozenset[str]) -> tuple[Node, str]:
        """The objects of a posted document, and what is stored of it. The objects are made from what is stored."""
        try:
            read = document.read(text)
            stored = document.identity(read)
            if read.version == "1.1":
                read = document.read(stored, loses=False)
            return self.xstream.load_root(document.tree(read), kinds), stored
        except (NotXml, CannotResolve) as error:
            raise self._oops(str(error)) from error

    def decoded(self, body: bytes) -> str:
        try:
            return document.decode(body)
        except NotXml as error:
            raise self._oops(str(error)) from error

    # Jobs and folders

    def check_new_name(self, parent: Item, name: str) -> str:
        """The name as it will be.

        :raises Refused: 400
        """
        if error := names.problem(name):
            raise Refused(pages.failure(error))
        name = name.strip()
        if parent.child(name) is not None:
            raise Refused(pages.failure(names.taken(name)))
        return name

    def create(self, parent: Item, name: str, text: str) -> Item:
        """createItem with XML; ``name`` has been checked."""
        model, stored = self._read(text, PROJECTS)
        if len(name.encode()) > names.MAX_BYTES:
            raise self._oops(f"jenkins.util.io.CompositeIOException: Unable to delete '{name}'")
        item = Item(name, parent, model, stored)
        if _migrate(model):
            self.save(item)
        parent.children[name] = item
        return item

    def create_empty(self, parent: Item, name: str) -> Item:
        """createItem as the page for new items does it."""
        item = Item(name, parent, Node(PIPELINE))
        item.model = self.xstream.load_root(Node(PIPELINE, children=[Node("properties")]), PROJECTS)
        self.save(item)
        parent.children[name] = item
        return item

    def copy(self, parent: Item, name: str, source: Item) -> Item:
        item = self.create(parent, name, self.xstream.save(source.model))
        self.save(item)
        return item

    def update(self, item: Item, text: str) -> None:
        """POST config.xml: the text is stored as it came, whatever was migrated in memory."""
        model, stored = self._read(text, PROJECTS)
        if model.name != item.model.name:
            want, got = item.cls, JAVA_NAMES.get(model.name) or java_name(model.name)
            raise self._oops(f"java.io.IOException: Expecting class {want} but got class {got} instead")
        _migrate(model)
        item.model, item.text = model, stored

    def save(self, item: Item) -> None:
        if item.parent is not None:
            item.text = self.xstream.save(item.model)

    def reload(self, item: Item) -> None:
        """From the stored text, as at a restart: what was only in memory is gone."""
        item.model = self._read(item.text, PROJECTS)[0]
        _migrate(item.model)

    def describe(self, item: Item, text: str) -> None:
        """submitDescription."""
        self._set(item, "description", text)

    def disable(self, item: Item, disabled: bool) -> None:
        """Saved only when it changes something; folders do not support it."""
        if item.model.name != FOLDER and item.is_disabled != disabled:
            self._set(item, "disabled", "true" if disabled else "false")

    def _set(self, item: Item, name: str, text: str) -> None:
        item.model.set(name, text)
        item.model = self.xstream.load_root(item.model, PROJECTS)  # in class order again
        self.save(item)

    def edit(self, item: Item, change: Callable[[str], str]) -> None:
        """What a person does in the web page: objects are changed, then saved."""
        model, _ = self._read(change(self.xstream.save(item.model)), PROJECTS)
        item.model = model
        self.save(item)

    def delete(self, item: Item) -> None:
        for child in list(item.children.values()):
            self.delete(child)
        assert item.parent is not None
        del item.parent.children[item.name]
        for group in [self.root, *self.root.walk()]:
            self._forget(group, item.path)

    def _forget(self, group: Item, path: ItemPath) -> None:
        """Views' ``jobNames`` follow what is deleted."""
        here = group.path
        if path[: len(here)] != here:
            return
        relative = "/".join(path[len(here) :])
        changed = False
        for listed in (found for view in group.views if (found := view.find("jobNames"))):
            kept = [each for each in listed.children if each.name != "string" or each.text != relative]
            changed = changed or len(kept) < len(listed.children)
            listed.children = kept
        if changed:
            self.save(group)

    # Views

    def create_view(self, group: Item, name: str, text: str) -> None:
        """createView: saves the folder."""
        view, _ = self._read(text, VIEWS)
        group.views.append(_owned(view, name, group.cls))
        self.save(group)

    def update_view(self, group: Item, view: Node, text: str) -> None:
        """POST of a view's config.xml: the name and the type stay."""
        new, _ = self._read(text, VIEWS)
        if new.name != view.name:
            kinds = f"class {view.name} but got: class {new.name}"
            raise self._oops(f"java.io.IOException: Expecting view type: {kinds} instead.")
        group.views[group.views.index(view)] = _owned(new, view.value("name"), group.cls)
        self.save(group)

    def describe_view(self, group: Item, view: Node, text: str) -> None:
        view.set("description", text)
        ordered = self.xstream.load_root(view, VIEWS)
        group.views[group.views.index(view)] = ordered
        self.save(group)

    def delete_view(self, group: Item, view: Node) -> None:
        """The primary view cannot be deleted: nothing happens."""
        if view is not group.views[0]:
            group.views.remove(view)
            self.save(group)

    def listed(self, group: Item, view: Node) -> list[Item]:
        """The items that a view shows."""
        items = list(group.children.values())
        if view.name == ALL_VIEW:
            return items
        recurse = view.value("recurse") == "true"
        shown = list(group.walk()) if recurse else items
        wanted = {each.text for each in (view.find("jobNames") or Node("")).children}
        regex = _regex(view.value("includeRegex")) if view.name == LIST_VIEW else None
        found = []
        for item in shown:
            relative = "/".join(item.path[len(group.path) :])
            if relative in wanted or (regex is not None and regex(relative)):
                found.append(item)
        return found


def _regex(text: str) -> Callable[[str], object] | None:
    return re.compile(text).fullmatch if text else None


def _owned(view: Node, name: str, owner: str) -> Node:
    view.drop("owner")
    view.drop("name")
    first = Node("name", text=name, is_text=True)
    view.children[:0] = [view_owner(owner), first]
    return view


def _migrate(model: Node) -> bool:
    """What WorkflowJob.onLoad does with legacy elements; whether it saved (rule 5)."""
    saved = False
    if model.name != PIPELINE:
        return saved
    properties = model.find("properties")
    if properties is None:
        return saved
    triggers = model.find("triggers")
    if triggers is not None and triggers.children:
        properties.drop(TRIGGERS)
        properties.children.append(Node(TRIGGERS, children=[Node("triggers", children=triggers.children)]))
        model.drop("triggers")
        saved = True
    concurrent = model.find("concurrentBuild")
    if concurrent is not None:
        model.drop("concurrentBuild")
        allowed = concurrent.text.strip() == "true"
        if (properties.find(CONCURRENCY) is not None) == allowed:
            properties.drop(CONCURRENCY)
            if not allowed:
                abort = Node("abortPrevious", text="false", is_text=True)
                properties.children.append(Node(CONCURRENCY, children=[abort]))
            saved = True
    return saved
