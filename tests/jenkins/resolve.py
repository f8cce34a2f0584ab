"""What Java classes do to themselves when they have been read: ``readResolve``, and fields made when first asked for.

Folders and views are as recorded. GerritTrigger without events, and all of multibranch projects, are from the facts
page and the plugins' sources.
"""

from __future__ import annotations

from .classes import ALL_VIEW, CLASSES, FOLDER, LIST_VIEW, MULTIBRANCH, JavaClass
from .document import Node

_GERRIT = "com.sonyericsson.hudson.plugins.gerrit.trigger.hudsontrigger"
_FOLDERS = "com.cloudbees.hudson.plugins.folder"
_COLUMNS = ("Status", "Weather", "Job", "LastSuccess", "LastFailure", "LastDuration", "BuildButton")
_PROPERTY_LIST = "hudson.model.View$PropertyList"


def resolve(made: Node, cls: JavaClass, posted: Node) -> None:
    """Complete an object. ``posted`` still has the elements that no field takes."""
    if cls.name == "hudson.plugins.git.GitSCM":
        _resolve_git(made, posted)
    elif cls.name in (FOLDER, MULTIBRANCH):
        _resolve_folder(made, cls)
    elif cls.name == LIST_VIEW:
        _resolve_list_view(made, cls)
    elif cls.name == f"{_GERRIT}.GerritTrigger":
        _resolve_gerrit_trigger(made, cls)


def _insert(made: Node, child: Node, cls: JavaClass) -> None:
    """Put a field where its class has it."""
    order = [field.name for field in cls.fields or ()]
    before = order[: order.index(child.name)]
    made.children.insert(sum(each.name in before for each in made.children), child)


def _default(made: Node, child: Node, cls: JavaClass) -> None:
    if made.find(child.name) is None:
        _insert(made, child, cls)


def _resolve_git(made: Node, posted: Node) -> None:
    extensions = made.find("extensions")
    if extensions is None:
        extensions = Node("extensions")
        made.children.append(extensions)
    tag = "hudson.plugins.git.extensions.impl.PerBuildTag"
    if posted.value("skipTag").strip() == "false" and extensions.find(tag) is None:
        extensions.children.append(Node(tag))


def _resolve_gerrit_trigger(made: Node, cls: JavaClass) -> None:
    """No event means patchset-created."""
    events = made.find("triggerOnEvents")
    if events is None or not events.children:
        default = Node(f"{_GERRIT}.events.PluginPatchsetCreatedEvent")
        for field in CLASSES[default.name].fields or ():
            if field.kind == "b":
                default.set(field.name, "false")
        made.drop("triggerOnEvents")
        _insert(made, Node("triggerOnEvents", children=[default]), cls)


def view_owner(cls: str) -> Node:
    """What a view in a folder's config.xml begins with."""
    return Node("owner", {"class": cls, "reference": "../../../.."})


def all_view(cls: str) -> Node:
    """The view that every new folder has."""
    made = Node(ALL_VIEW, children=[view_owner(cls)])
    made.set("name", "All")
    made.set("filterExecutors", "false")
    made.set("filterQueue", "false")
    made.children.append(Node("properties", {"class": _PROPERTY_LIST}))
    return made


def _resolve_folder(made: Node, cls: JavaClass) -> None:
    """Rules 2 and 8: what was not posted is as in a new folder."""
    is_folder = cls.name == FOLDER
    _default(made, Node("properties"), cls)
    holder = made.find("folderViews")
    if holder is not None and is_folder:
        for view in (holder.find("views") or Node("views")).children:
            view.drop("owner")
            view.children.insert(0, view_owner(FOLDER))
    elif is_folder:
        tabs = Node("tabBar", {"class": "hudson.views.DefaultViewsTabBar"})
        holder = Node("folderViews", {"class": f"{_FOLDERS}.views.DefaultFolderViewHolder"})
        holder.children = [Node("views", children=[all_view(FOLDER)]), tabs]
        _insert(made, holder, cls)
    _default(made, Node("healthMetrics"), cls)
    if is_folder:
        _default(made, Node("icon", {"class": f"{_FOLDERS}.icons.StockFolderIcon"}), cls)
    else:
        _resolve_multibranch(made, cls)


def _resolve_multibranch(made: Node, cls: JavaClass) -> None:
    _default(made, Node("folderViews", {"class": "jenkins.branch.MultiBranchProjectViewHolder"}), cls)
    _default(made, Node("icon", {"class": "jenkins.branch.MetadataActionFolderIcon"}), cls)
    strategy = Node("orphanedItemStrategy", {"class": f"{_FOLDERS}.computed.DefaultOrphanedItemStrategy"})
    for field, text in (("pruneDeadBranches", "true"), ("daysToKeep", "-1"), ("numToKeep", "-1")):
        strategy.set(field, text)
    strategy.set("abortBuilds", "false")
    _default(made, strategy, cls)
    _default(made, Node("triggers"), cls)
    for name in ("folderViews", "icon", "sources", "factory"):
        child = made.find(name)
        if child is not None and child.find("owner") is None:
            place = 0 if name == "factory" else len(child.children)
            child.children.insert(place, Node("owner", {"class": MULTIBRANCH, "reference": "../.."}))


def _resolve_list_view(made: Node, cls: JavaClass) -> None:
    _default(made, Node("properties", {"class": _PROPERTY_LIST}), cls)
    comparator = Node("comparator", {"class": "java.lang.String$CaseInsensitiveComparator"})
    _default(made, Node("jobNames", children=[comparator]), cls)
    _default(made, Node("jobFilters"), cls)
    columns = [Node(f"hudson.views.{name}Column") for name in _COLUMNS]
    _default(made, Node("columns", children=columns), cls)
