"""One change of a plan, carried out and confirmed.

An answer of 200 proves nothing, and GET shows the text that was sent until Jenkins saves the item; so it is made to
save, and what it then shows is compared. An item that is not right gets a mark that no plan takes for right.

Every update begins with a look: what others did since the plan is kept, and what is not ours any more is left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..errors import ServerError
from . import mark
from .compare import difference, understood
from .connection import Connection
from .merge import for_create, merged
from .model import Item, ItemPath
from .plan import CREATE, DISABLE, FOLDER_CLASS, REPLACE, Change, Plan
from .xmltree import is_saved, parse, serialize


class Changes:
    """The changes of one run. Methods may be called from many threads, :meth:`begin` and :meth:`end` from one.

    :ivar was_interrupted: whether a run before this one did not come to its end; known after :meth:`begin`
    """

    def __init__(self, plan: Plan, connection: Connection) -> None:
        self.plan = plan
        self.connection = connection
        self.was_interrupted = False
        self._made_root = ""
        """The description of the root folder, when this run made it: nobody else has changed it."""

    # The run as a whole

    def begin(self) -> None:
        """Say in the root folder that a run is under way; in one that was there before, that we use it, too."""
        present = self._root_description()
        own = mark.of(present, self.plan.owner) or mark.Mark(self.plan.owner, mark.UNPROVED, frozenset({mark.ADOPTED}))
        self.was_interrupted = mark.APPLYING in own.words
        if not self.was_interrupted:
            self._describe_root(present, replace(own, words=own.words | {mark.APPLYING}))

    def end(self) -> None:
        """Say that it ended well."""
        present = self._made_root or self._root_description()
        own = mark.of(present, self.plan.owner)
        if own is not None and mark.APPLYING in own.words:
            self._describe_root(present, replace(own, words=own.words - {mark.APPLYING}))

    def _root_description(self) -> str:
        """As it is now: another owner of the folder may have written in it since the plan."""
        found = self.connection.listing(self.plan.root, 0)
        if found is None:
            raise self._gone(self.plan.root)
        return found.get("description") or ""

    def _describe_root(self, present: str, own: mark.Mark) -> None:
        self.connection.describe(self.plan.root, mark.put(present, own))

    # One item

    def create(self, change: Change, item: Item, made: Callable[[], None]) -> str:
        """Create and confirm.

        :param made: called as soon as it is there: the way is free for what belongs in it
        :return: what Jenkins did not take over, empty when all is well
        """
        xml = self._as_applying(item.xml) if item.path == self.plan.root else item.xml
        posted = xml if change.is_view else for_create(xml)
        try:
            self.connection.create(item.path, posted, view=change.is_view)
        except ServerError as error:
            if error.status != 400 or self.connection.config(item.path, view=change.is_view) is None:
                raise
            made()  # another run may have been quicker
            return self.update(change, item)
        if item.path == self.plan.root:
            self._made_root = _description(xml)
        made()
        if posted == xml and not change.is_view:
            self.connection.describe(item.path, _description(xml))
        return self._confirm(change, item)

    def _as_applying(self, xml: str) -> str:
        root = parse(xml)
        text = root.find("description")
        own = mark.of(_description(xml), self.plan.owner)
        if text is not None and own is not None:
            text.text = mark.put(text.text or "", replace(own, words=own.words | {mark.APPLYING}))
        return serialize(root)

    def update(self, change: Change, item: Item) -> str:
        """Change what is ours in it, enable it if we disabled it, and set the mark.

        :return: what Jenkins did not take over, empty when all is well
        """
        view = change.is_view
        text = self.connection.config(item.path, view=view)
        if text is None:
            if change.action == CREATE:
                raise self._gone(item.path)
            return self.create(replace(change, action=CREATE), item, lambda: None)
        if not view and is_saved(text) and _may_have_unsaved_notes(text):
            self.connection.describe(item.path, _description(text))
            text = self.connection.config(item.path) or text
        own = self._own(change, item, text)
        differs = bool(difference(item.xml, text, self.plan.preserve))
        words = own.words - {mark.DISABLED}
        if not differs and own == mark.Mark(self.plan.owner, item.digest, words) and (view or is_saved(text)):
            return ""
        if view:
            self.connection.update(item.path, item.xml, view=True)
            return self._confirm(change, item)
        if differs:
            self.connection.update(item.path, merged(item.xml, text, self.plan.preserve))
        if mark.DISABLED in own.words:
            self.connection.enable(item.path)
        self._write_mark(item, text, replace(own, digest=item.digest, words=words))
        return self._confirm(change, item) if differs or not is_saved(text) else ""

    def _own(self, change: Change, item: Item, text: str) -> mark.Mark:
        """Our mark on what is there, or the one that it gets.

        :raises ServerError: it is not ours, or another thing than it was
        """
        there, wanted = parse(text).tag, parse(item.xml).tag
        if there != wanted:
            raise ServerError(f"it is a {there.rpartition('.')[2]} since the plan: left alone", where=self._url)
        own = mark.of(_description(text), self.plan.owner)
        if own is not None:
            return own
        was_ours = change.live is not None and mark.of(change.live.description, self.plan.owner) is not None
        if was_ours or change.action == CREATE:
            raise ServerError("it is somebody else's since the plan: left alone", where=self._url)
        return mark.Mark(self.plan.owner, mark.UNPROVED)

    def _write_mark(self, item: Item, text: str, own: mark.Mark) -> None:
        """Set the description: ours, or where the words are somebody's, those with our mark. This saves the item."""
        present = _description(text)
        is_shared = len(mark.read(present)) > 1 or mark.ADOPTED in own.words
        self.connection.describe(item.path, mark.put(present if is_shared else _description(item.xml), own))

    def _confirm(self, change: Change, item: Item) -> str:
        """What Jenkins did not understand, empty when all is well. An item that is not right gets no valid mark."""
        view = change.is_view
        text = self.connection.config(item.path, view=view)
        if text is not None and not view and not is_saved(text):
            self.connection.describe(item.path, _description(text))
            text = self.connection.config(item.path)
        if text is None:
            raise self._gone(item.path)
        if change.action == CREATE:
            missed = understood(item.xml, text)
        else:  # others own parts of it, so it is compared as a plan does
            left = difference(item.xml, text, self.plan.preserve)
            missed = (understood(item.xml, text) or left) if left else ()
        if missed:
            self._mark_as_wrong(item, text, view=view)
        return "; ".join(missed)

    def _mark_as_wrong(self, item: Item, text: str, *, view: bool) -> None:
        present = _description(text)
        own = replace(mark.of(present, self.plan.owner) or mark.Mark(self.plan.owner, ""), digest=mark.UNPROVED)
        if view:
            self.connection.update(item.path, item.xml.replace(item.digest, mark.UNPROVED), view=True)
        else:
            self.connection.describe(item.path, mark.put(present, own))

    def remove(self, change: Change, made: Callable[[], None] = lambda: None) -> str:
        """Delete, disable or replace, after another look at whose it is and what is in it."""
        if change.is_view:
            text = self.connection.config(change.path, view=True)
            if text is not None:
                self._check_ours(_description(text))
                self.connection.delete(change.path, view=True)
            return ""
        found = self.connection.listing(change.path, 1)
        if found is not None:
            present = found.get("description") or ""
            own = self._check_ours(present)
            if change.action == DISABLE:
                self.connection.disable(change.path)
                marked = mark.put(present, replace(own, words=own.words | {mark.DISABLED}))
                self.connection.describe(change.path, marked)
                return ""
            if found.get("_class") == FOLDER_CLASS and (inside := found.get("jobs")):
                what = f"{inside[0]['name']} is in it since the plan: left alone"
                raise ServerError(what, where=self._url)
            self.connection.delete(change.path)
        if change.action != REPLACE:
            return ""
        assert change.item is not None
        return self.create(replace(change, action=CREATE), change.item, made)

    def _check_ours(self, description: str) -> mark.Mark:
        own = mark.of(description, self.plan.owner)
        if own is None:
            raise ServerError("it is not ours any more: left alone", where=self._url)
        return own

    def _gone(self, path: ItemPath) -> ServerError:
        what = f"{'/'.join(path)} is not there any more, or this user may not see it"
        return ServerError(what, where=self._url, hint="Grant Job/Read, or run again")

    @property
    def _url(self) -> str:
        return self.connection.url


def _description(xml: str) -> str:
    return parse(xml).findtext("description") or ""


def _may_have_unsaved_notes(text: str) -> bool:
    """Whether Jenkins may know of a Jenkinsfile's properties what it has not saved yet: after the first build with
    ``properties(…)`` it shows an empty ``<actions>`` (recorded); sending that back would lose them."""
    actions = parse(text).find("actions")
    return actions is not None and not len(actions)
