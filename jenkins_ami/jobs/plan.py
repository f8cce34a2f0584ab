"""The plan: what Jenkins should have against what it has, as changes that can be printed and carried out.

Pure. One listing tells, by the marks in the descriptions, whose items there are and of which digest; only where the
digest says that something differs, or on request, is a config.xml read and compared (:func:`to_read`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from xml.etree.ElementTree import Element

from ..errors import InputError
from . import mark
from .compare import difference
from .model import FOLDER, VIEW, Desired, Item, ItemPath, Live, LiveItem
from .ownership import java_name, tracked
from .xmltree import parse

CREATE, UPDATE, REPLACE, DELETE, DISABLE = "create", "update", "replace", "delete", "disable"
UNCHANGED, DRIFTED, FOREIGN, KEPT = "unchanged", "drifted", "foreign", "kept"
CHANGES = (CREATE, UPDATE, DRIFTED, REPLACE, DELETE, DISABLE)
"""Actions that apply carries out; a plan with one of them differs."""
REMOVALS = (REPLACE, DELETE, DISABLE)
"""Actions that take something away: only with ``--prune``."""

FOLDER_CLASS = "com.cloudbees.hudson.plugins.folder.Folder"
MULTIBRANCH_CLASS = "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"
PIPELINE_CLASS = "org.jenkinsci.plugins.workflow.job.WorkflowJob"
VIEW_CLASS = "hudson.model.ListView"
_ALL_VIEW = "hudson.model.AllView"
_CLASS_OF_ROOT = {
    "flow-definition": PIPELINE_CLASS,
    "project": "hudson.model.FreeStyleProject",
    "matrix-project": "hudson.matrix.MatrixProject",
}
_ROOT = re.compile(r"<([A-Za-z][\w.-]*)")
_KIND_OF = {FOLDER_CLASS: "folder", MULTIBRANCH_CLASS: "multibranch", PIPELINE_CLASS: "pipeline"}

Configs = Mapping[ItemPath, str]
"""Documents by path. A view's last name is its own, behind :data:`VIEW_STEP`; so no view meets a job of its name."""
VIEW_STEP = "\0view"


@dataclass(frozen=True)
class Change:
    """What one item comes to.

    :ivar action: one of :data:`CHANGES`, ``unchanged``, ``foreign`` (not ours, or inside what is not ours: left alone)
        or ``kept`` (ours, and left alone for the reason in ``notes``). ``replace`` is a delete and a create: Jenkins
        cannot change the type of an item, and its history is lost; so it counts as a deletion
    :ivar diff: lines of a unified diff of the two meanings
    :ivar refresh: the meaning is the same, and only the mark is to be written
    """

    action: str
    path: ItemPath
    kind: str
    item: Item | None = None
    live: LiveItem | None = None
    diff: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refresh: bool = False

    @property
    def is_view(self) -> bool:
        return self.kind == VIEW

    @property
    def name(self) -> str:
        """The path for people."""
        return "/".join(self.path)


@dataclass(frozen=True)
class Plan:
    """All changes: what is created with parents first, what goes with children first.

    :ivar verified: every item of ours was read and compared, not only its mark
    :ivar complete: discovery reached everything
    :ivar filtered: only a part was looked at
    """

    owner: str
    root: ItemPath
    changes: tuple[Change, ...]
    verified: bool = False
    complete: bool = True
    filtered: bool = False
    preserve: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """How many of each action, those that do not occur left out."""
        order = (CREATE, UPDATE, DRIFTED, REPLACE, DELETE, DISABLE, UNCHANGED, FOREIGN, KEPT)
        found = [each.action for each in self.changes]
        return {action: found.count(action) for action in order if action in found}

    def differs(self) -> bool:
        return any(each.action in CHANGES for each in self.changes)

    def of(self, *actions: str) -> tuple[Change, ...]:
        return tuple(each for each in self.changes if each.action in actions)


@dataclass(frozen=True)
class Only:
    """A filter: globs for paths (``amis/automation/*``) and ids of AMI sources. The rest is not looked at."""

    globs: tuple[str, ...]

    def takes(self, item: Item) -> bool:
        names = ("/".join(item.path), item.source)
        return any(fnmatchcase(name, glob) for glob in self.globs for name in names if name)


def selected(desired: Desired, only: Only | None) -> tuple[Item, ...]:
    """The items that a run is about: those that match, and the folders around them."""
    if only is None:
        return desired.items
    taken = {item.path for item in desired.items if only.takes(item)}
    around = {path[:length] for path in taken for length in range(1, len(path))}
    return tuple(item for item in desired.items if item.path in taken or (item.kind == FOLDER and item.path in around))


def key(item: Item | Change) -> ItemPath:
    """Where its document is found in :data:`Configs`."""
    return (*item.path[:-1], VIEW_STEP, item.path[-1]) if item.kind == VIEW else item.path


def to_read(
    desired: Desired, live: Live, *, verify: bool, only: Only | None = None, adopt: bool = False
) -> tuple[ItemPath, ...]:
    """The keys of the documents that :func:`compute` needs: ours whose digest differs; with ``verify`` all of ours."""
    verify = verify or interrupted(desired, live)
    keys = []
    for item in selected(desired, only):
        there = _live_of(item, live)
        if there is None or not _same_type(item, there) or _is_kept(item.path, desired):
            continue
        if _is_around(item.path, desired.root):
            continue
        own = mark.of(there.description, desired.owner)
        if own is None and not adopt and item.path != desired.root:
            continue
        if own is None or verify or own.digest != item.digest or own.words & {mark.DISABLED}:
            keys.append(key(item))
    return tuple(keys)


def interrupted(desired: Desired, live: Live) -> bool:
    """Whether the last run was killed: what it did last was not confirmed, so everything is to be looked at."""
    root = live.items.get(desired.root)
    own = mark.of(root.description, desired.owner) if root else None
    return own is not None and mark.APPLYING in own.words


def compute(
    desired: Desired,
    live: Live,
    configs: Configs,
    *,
    verify: bool = False,
    only: Only | None = None,
    adopt: bool = False,
    remove: str = DELETE,
    preserve: Sequence[str] = (),
) -> Plan:
    """Compare.

    :param configs: what :func:`to_read` asked for; what is missing there is taken for gone in between
    :param verify: compare every item of ours, whatever its mark says
    :param adopt: take over jobs and views of somebody else that stand in the way
    :param remove: ``delete`` or ``disable`` what is ours and wanted no more
    """
    looked = verify or interrupted(desired, live)
    changes: list[Change] = []
    closed: set[ItemPath] = set()
    for item in selected(desired, only):
        change = _change(item, desired, live, configs, looked=looked, adopt=adopt, preserve=preserve)
        if item.path[:-1] in closed:
            change = Change(
                FOREIGN, item.path, item.kind, item, notes=("something else is where its folder should be",)
            )
        elif change.action == REPLACE and (why := _why_not_replaced(change, desired, live, remove, only)):
            change = replace(change, action=KEPT, notes=(*change.notes, why))
        if item.kind == FOLDER and change.action in (FOREIGN, KEPT) and not _is_folder(item.path, live):
            closed.add(item.path)
        changes.append(change)
    goes = [] if only else list(_removals(desired, live, remove))
    strangers = [] if only else list(_strangers(desired, live))
    return Plan(
        desired.owner,
        desired.root,
        tuple(changes + goes + strangers),
        verified=verify,
        complete=desired.complete,
        filtered=only is not None,
        preserve=tuple(preserve),
    )


def _change(
    item: Item, desired: Desired, live: Live, configs: Configs, *, looked: bool, adopt: bool, preserve: Sequence[str]
) -> Change:
    there = _live_of(item, live)
    change = Change(UNCHANGED, item.path, item.kind, item, there)
    if _is_kept(item.path, desired):
        return replace(change, action=KEPT, notes=("its AMI source is broken",))
    if there is None:
        return replace(change, action=CREATE)
    if _is_around(item.path, desired.root) and _same_type(item, there):
        return change
    own = mark.of(there.description, desired.owner)
    if own is None and item.path == desired.root:
        if not _same_type(item, there):
            return replace(change, action=FOREIGN, notes=(f"the root folder is a {there.cls.rpartition('.')[2]}",))
        return _compared(
            change, configs, preserve, changed=UPDATE, note="was there before: it is adopted", marked=False
        )
    if own is None and (others := mark.read(there.description)) and item.kind != FOLDER:
        return replace(change, action=FOREIGN, notes=(f"is {', '.join(each.owner for each in others)}'s: left alone",))
    if own is None and not (adopt and item.kind != FOLDER):
        note = "used as it is" if item.kind == FOLDER and _same_type(item, there) else "is not ours: left alone"
        return replace(change, action=FOREIGN, notes=(note,))
    if not _same_type(item, there):
        note = f"is a {there.cls.rpartition('.')[2]}, and Jenkins cannot change that: its history is lost"
        return replace(change, action=REPLACE if own else FOREIGN, notes=(note,))
    if own is None:
        return _adopted(change, configs, preserve, "was not ours: it is adopted")
    if mark.DISABLED in own.words:
        return _adopted(change, configs, preserve, "was disabled: it is enabled")
    if own.digest == item.digest and not looked:
        return change
    changed = DRIFTED if own.digest == item.digest else UPDATE
    marked = own.digest == item.digest and mark.APPLYING not in own.words
    return _compared(change, configs, preserve, changed=changed, marked=marked)


def _adopted(change: Change, configs: Configs, preserve: Sequence[str], note: str) -> Change:
    return _compared(change, configs, preserve, changed=UPDATE, marked=False, note=note)


def _compared(
    change: Change, configs: Configs, preserve: Sequence[str], *, changed: str, marked: bool, note: str = ""
) -> Change:
    """The change that a look at the document makes of it."""
    assert change.item is not None
    text = configs.get(key(change.item))
    if text is None:
        return replace(change, action=CREATE, live=None)
    notes = (note,) if note else ()
    try:
        diff = difference(change.item.xml, text, preserve)
        owned = tracked(parse(text) if "PropertyTrackerAction" in text else Element("item"))
    except InputError as error:
        return replace(change, action=changed, notes=(*notes, f"what Jenkins has cannot be compared: {error.what}"))
    if owned:
        names = sorted(each.rpartition(".")[2] for each in owned.properties | owned.triggers) + sorted(owned.parameters)
        notes = (*notes, f"its Jenkinsfile owns {', '.join(names)}")
    if diff:
        return replace(change, action=changed, diff=diff, notes=notes)
    return replace(change, action=UPDATE if note else UNCHANGED, refresh=not marked, notes=notes)


def _removals(desired: Desired, live: Live, remove: str) -> Iterable[Change]:
    """What is ours and wanted no more, children first."""
    wanted = {item.path for item in desired.items if item.kind != VIEW}
    wanted |= {path[:length] for path in wanted for length in range(1, len(path))}
    inside: dict[ItemPath, list[ItemPath]] = {}
    for path in live.items:
        inside.setdefault(path[:-1], []).append(path)
    for there in live.views.values():
        if mark.of(there.description, desired.owner) is None and there.cls != _ALL_VIEW:
            inside.setdefault(there.path[:-1], []).append((*there.path[:-1], VIEW_STEP, there.path[-1]))
    gone: set[ItemPath] = set()
    order = sorted(live.items.values(), key=lambda each: (-len(each.path), each.path))
    for there in order:
        own = mark.of(there.description, desired.owner)
        if own is None or there.path in wanted:
            continue
        kind = _KIND_OF.get(there.cls, there.cls.rpartition(".")[2])
        change = Change(remove, there.path, kind, live=there)
        if _is_kept(there.path, desired) or _is_around_kept(there.path, desired):
            yield replace(change, action=KEPT, notes=("its AMI source is broken",))
        elif not desired.complete:
            yield replace(change, action=KEPT, notes=("discovery was not complete",))
        elif kind == FOLDER:
            if mark.ADOPTED in own.words:
                yield replace(change, action=KEPT, notes=("was there before",))
            elif there.path == desired.root[: len(there.path)]:
                yield replace(change, action=KEPT, notes=("holds the root folder, or is it",))
            elif remove == DISABLE:
                yield replace(change, action=KEPT, notes=("a folder is not disabled",))
            elif any(path not in gone for path in inside.get(there.path, ())):
                yield replace(change, action=KEPT, notes=("is not empty",))
            else:
                gone.add(there.path)
                yield replace(change, action=DELETE)
        elif mark.DISABLED in own.words and remove == DISABLE:
            yield replace(change, action=UNCHANGED, notes=("disabled",))
        else:
            gone.add(there.path)
            yield change
    views = {item.path for item in desired.items if item.kind == VIEW}
    for there in live.views.values():
        ours = mark.of(there.description, desired.owner) is not None
        if not ours or there.path in views or there.path[:-1] in gone:
            continue
        notes: tuple[str, ...] = ()
        if _is_kept(there.path, desired):
            notes = ("its AMI source is broken",)
        elif not desired.complete:
            notes = ("discovery was not complete",)
        elif remove == DISABLE:
            notes = ("a view is not disabled",)
        yield Change(KEPT if notes else DELETE, there.path, VIEW, live=there, notes=notes)


def _strangers(desired: Desired, live: Live) -> Iterable[Change]:
    """What somebody else has in our root folder."""
    known = {item.path for item in desired.items if item.kind != VIEW}
    for path, there in sorted(live.items.items()):
        if path not in known and mark.of(there.description, desired.owner) is None:
            owners = ", ".join(each.owner for each in mark.read(there.description))
            notes = (f"is {owners}'s",) if owners else ()
            yield Change(FOREIGN, path, _KIND_OF.get(there.cls, there.cls.rpartition(".")[2]), live=there, notes=notes)


def _live_of(item: Item, live: Live) -> LiveItem | None:
    return (live.views if item.kind == VIEW else live.items).get(item.path)


def _same_type(item: Item, there: LiveItem) -> bool:
    root = _ROOT.search(item.xml)
    return root is not None and there.cls == _CLASS_OF_ROOT.get(root[1], java_name(root[1]))


def _is_folder(path: ItemPath, live: Live) -> bool:
    there = live.items.get(path)
    return there is None or there.cls == FOLDER_CLASS


def _why_not_replaced(change: Change, desired: Desired, live: Live, remove: str, only: Only | None) -> str:
    """What speaks against deleting what is there; empty when nothing does."""
    if only is not None:
        return "a filtered run deletes nothing"
    if not desired.complete:
        return "discovery was not complete"
    if remove == DISABLE:
        return "nothing is to be deleted"
    depth = len(change.path)
    below = [each for each in (*live.items.values(), *live.views.values()) if each.path[:depth] == change.path]
    for each in below:
        ours = mark.of(each.description, desired.owner) is not None
        if len(each.path) > depth and (_is_kept(each.path, desired) or not (ours or each.cls == _ALL_VIEW)):
            return f"it holds {'/'.join(each.path)}"
    return ""


def _is_around(path: ItemPath, root: ItemPath) -> bool:
    """Whether it is a folder that the root folder lies in."""
    return len(path) < len(root) and root[: len(path)] == path


def _is_kept(path: ItemPath, desired: Desired) -> bool:
    return any(path[: len(kept)] == kept for kept in desired.kept)


def _is_around_kept(path: ItemPath, desired: Desired) -> bool:
    return any(kept[: len(path)] == path for kept in desired.kept)
