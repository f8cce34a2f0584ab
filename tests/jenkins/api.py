"""What the objects of the server export to api/json, in the order in which Jenkins writes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from .access import READ, Caller
from .classes import FOLDER, MULTIBRANCH, java_name
from .document import Node
from .items import CONCURRENCY, Item, Items
from .tree import Exported

_DISPLAY = "org.jenkinsci.plugins.displayurlapi.actions.JobDisplayAction"
_CREDENTIALS = "com.cloudbees.plugins.credentials.ViewCredentialsAction"
_JOB_ACTIONS = ("", "", _DISPLAY, "", "", _CREDENTIALS)
_FOLDER_ACTIONS = ("", "", _CREDENTIALS)
_Fields = dict[str, Callable[[], Any]]


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value


class Api:
    """The exported objects of a server, as one caller sees them.

    :param url: with a slash at the end
    """

    def __init__(self, items: Items, url: str, caller: Caller, quiet: bool) -> None:
        self._items, self._url, self._caller, self._quiet = items, url, caller, quiet

    def url_of(self, item: Item) -> str:
        return self._url + "".join([f"job/{quote(name)}/" for name in item.path])

    def item(self, item: Item) -> Exported:
        if item.parent is None:
            return self._controller(item)
        is_group = item.model.name in (FOLDER, MULTIBRANCH)
        fields: _Fields = {
            "actions": lambda: [Exported(name, {}) for name in (_FOLDER_ACTIONS if is_group else _JOB_ACTIONS)],
            "description": lambda: item.description,
            "displayName": lambda: _display(item),
            "displayNameOrNull": lambda: item.model.value("displayName") or None,
            "fullDisplayName": lambda: _full_display(item),
            "fullName": lambda: "/".join(item.path),
            "name": lambda: item.name,
            "url": lambda: self.url_of(item),
        }
        if not is_group:
            fields.update(self._job(item))
            return Exported(item.cls, fields, ("name", "url", "color"))
        fields["healthReport"] = list
        fields.update(self._group(item))
        if item.model.name == MULTIBRANCH:
            fields["sources"] = list
        return Exported(item.cls, fields, ("name", "url"))

    def _group(self, group: Item) -> _Fields:
        def jobs() -> list[Exported]:
            return [self.item(group.children[name]) for name in sorted(group.children)]

        return {
            "jobs": jobs,
            "primaryView": lambda: self.view(group, group.views[0]) if group.views else None,
            "views": lambda: [self.view(group, view) for view in group.views],
        }

    def _job(self, item: Item) -> _Fields:
        def last() -> Exported | None:
            return self._build(item, item.builds) if item.builds else None

        def properties() -> list[Node]:
            return (item.model.find("properties") or Node("properties")).children

        def color() -> str:
            return "disabled" if item.is_disabled else "blue" if item.builds else "notbuilt"

        return {
            "buildable": lambda: not item.is_disabled,
            "builds": lambda: [self._build(item, number) for number in range(item.builds, 0, -1)],
            "color": color,
            "firstBuild": lambda: self._build(item, 1) if item.builds else None,
            "healthReport": list,
            "keepDependencies": lambda: item.model.value("keepDependencies") == "true",
            "lastBuild": last,
            "lastCompletedBuild": last,
            "lastFailedBuild": _constant(None),
            "lastStableBuild": last,
            "lastSuccessfulBuild": last,
            "lastUnstableBuild": _constant(None),
            "lastUnsuccessfulBuild": _constant(None),
            "nextBuildNumber": lambda: item.builds + 1,
            "property": lambda: [Exported(java_name(each.name), {}) for each in properties()],
            "concurrentBuild": lambda: all(each.name != CONCURRENCY for each in properties()),
            "disabled": lambda: item.is_disabled,
            "inQueue": _constant(False),
            "queueItem": _constant(None),
            "resumeBlocked": _constant(False),
        }

    def _build(self, item: Item, number: int) -> Exported:
        fields: _Fields = {
            "building": _constant(False),
            "number": _constant(number),
            "result": _constant("SUCCESS"),
            "url": lambda: f"{self.url_of(item)}{number}/",
        }
        return Exported("org.jenkinsci.plugins.workflow.job.WorkflowRun", fields, ("number", "url"))

    def view(self, group: Item, view: Node) -> Exported:
        name = view.value("name")
        path = "" if group.views[0] is view else f"view/{quote(name)}/"
        fields: _Fields = {
            "description": lambda: None if view.find("description") is None else view.value("description"),
            "jobs": lambda: [self.item(item) for item in self._items.listed(group, view)],
            "name": _constant(name),
            "property": list,
            "url": lambda: self.url_of(group) + path,
        }
        return Exported(java_name(view.name), fields, ("name", "url"))

    def _controller(self, root: Item) -> Exported:
        fields: _Fields = {
            "assignedLabels": lambda: [Exported("", {"name": _constant("built-in")}, ("name",))],
            "mode": _constant("NORMAL"),
            "nodeDescription": _constant("the Jenkins controller's built-in node"),
            "nodeName": _constant(""),
            "numExecutors": _constant(4),
            "description": _constant(None),
            **self._group(root),
            "overallLoad": dict,
            "quietDownReason": _constant(None),
            "quietingDown": _constant(self._quiet),
            "slaveAgentPort": _constant(-1),
            "unlabeledLoad": dict,
            "url": _constant(self._url),
            "useCrumbs": _constant(True),
            "useSecurity": _constant(True),
        }
        if not self._caller.may(READ):
            fields["jobs"] = list
        return Exported("hudson.model.Hudson", fields)

    def who_am_i(self) -> Exported:
        name = self._caller.name
        fields: _Fields = {
            "anonymous": _constant(not name),
            "authenticated": _constant(True),
            "authorities": lambda: ["authenticated" if name else "anonymous"],
            "name": _constant(name or "anonymous"),
        }
        return Exported("hudson.security.WhoAmI", fields)

    def user(self) -> Exported:
        name = self._caller.name
        fields: _Fields = {
            "absoluteUrl": _constant(f"{self._url}user/{quote(name)}"),
            "description": _constant(None),
            "fullName": _constant(name),
            "id": _constant(name),
            "property": list,
        }
        return Exported("hudson.model.User", fields)

    def plugins(self) -> Exported:
        listed = [_plugin(name, version) for name, version in sorted(self._items.xstream.plugins.items())]
        return Exported("hudson.LocalPluginManager", {"plugins": _constant(listed)})


def _plugin(name: str, version: str) -> Exported:
    fields: _Fields = {
        "active": _constant(True),
        "enabled": _constant(True),
        "longName": _constant(name),
        "shortName": _constant(name),
        "version": _constant(version),
    }
    return Exported("", fields, tuple(fields))


def _display(item: Item) -> str:
    return item.model.value("displayName") or item.name


def _full_display(item: Item) -> str:
    parent = item.parent
    before = f"{_full_display(parent)} » " if parent is not None and parent.parent is not None else ""
    return before + _display(item)
