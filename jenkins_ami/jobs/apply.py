"""Carry out a plan: folders level by level, then jobs and views beside each other, then what goes.

Each change is confirmed by what Jenkins says after it has saved the item (an answer of 200 proves nothing, and GET
shows the posted text until then). While a run is under way the root folder's mark says so; a run that was killed leaves
that, and the next plan looks at everything instead of trusting marks. All state is in Jenkins: to resume, run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import groupby

from ..errors import AmiError, InputError, ServerError, UsageError
from ..progress import Progress
from . import mark
from .compare import difference, understood
from .connection import Connection
from .live import read_live
from .merge import for_create, merged
from .model import FOLDER, Item, ItemPath
from .plan import CREATE, DELETE, DISABLE, DRIFTED, REMOVALS, REPLACE, UPDATE, Change, Plan
from .xmltree import is_saved, parse


@dataclass(frozen=True)
class Options:
    """How far to go.

    :ivar workers: requests at a time
    :ivar limit: how many jobs and views to change at most; the next run goes on. Folders do not count
    :ivar prune: take away what is ours and wanted no more
    :ivar max_deletes: how many items that may be; more is refused before anything is changed
    """

    workers: int = 16
    limit: int | None = None
    prune: bool = False
    max_deletes: int = 10


@dataclass(frozen=True)
class Done:
    """What came of one change. ``what`` is the reason when it is not ``ok``, else a remark or empty."""

    path: ItemPath
    action: str
    ok: bool
    what: str = ""

    @property
    def name(self) -> str:
        return "/".join(self.path)


def apply(plan: Plan, connection: Connection, progress: Progress, options: Options) -> tuple[Done, ...]:
    """Carry out ``plan``; one failure does not stop the rest, but what is inside a folder that failed is left out.

    :raises UsageError: more is to be deleted than may be, or nothing may be deleted in this run; nothing was changed
    :raises ServerError: the root folder cannot be written
    """
    goes = _removals(plan, options)
    changes = [each for each in plan.changes if each.action in (CREATE, UPDATE, DRIFTED) or each.refresh]
    folders = [each for each in changes if each.kind == FOLDER]
    others = [each for each in changes if each.kind != FOLDER][: options.limit]
    if not changes and not goes:
        return ()
    work = _Work(plan, connection)
    done: list[Done] = []
    with progress.step("Apply", len(folders) + len(others) + len(goes)) as step:

        def told(one: Done) -> None:
            done.append(one)
            step.advance(len(done))
            if not one.ok:
                progress.warn(f"{one.name}: {one.what}")
            else:
                progress.detail(f"{one.action} {one.name}")

        depth = len(plan.root)
        for change in (each for each in folders if len(each.path) <= depth):
            told(work.one(change))
        if all(one.ok for one in done):
            work.begin()
        with ThreadPoolExecutor(options.workers) as pool:
            rest = sorted((each for each in folders if len(each.path) > depth), key=lambda each: len(each.path))
            for _, level in groupby(rest, key=lambda each: len(each.path)):
                _run(pool, [_bind(work.one, change) for change in level], told)
            _run(pool, [_bind(work.one, change) for change in others], told)
            for _, level in groupby(goes, key=lambda each: -len(each.path)):
                _run(pool, [_bind(work.remove, change) for change in level], told)
        failed = sum(not one.ok for one in done)
        if failed == 0:
            work.end()
        step.done(_outcome(done))
    return tuple(done)


def _outcome(done: Sequence[Done]) -> str:
    words = [
        (CREATE, "created"),
        (UPDATE, "updated"),
        (REPLACE, "replaced"),
        (DELETE, "deleted"),
        (DISABLE, "disabled"),
    ]
    counts = [(sum(one.ok and one.action == action for one in done), word) for action, word in words]
    failed = sum(not one.ok for one in done)
    parts = [f"{count} {word}" for count, word in counts if count]
    return ", ".join([*parts, *([f"{failed} failed"] if failed else [])]) or "marks written"


def _removals(plan: Plan, options: Options) -> list[Change]:
    """What is to go, children first.

    :raises UsageError: it may not
    """
    if not options.prune:
        return []
    if plan.filtered:
        raise UsageError("a filtered run never deletes", hint="Leave out --only, or --prune")
    if not plan.complete:
        raise UsageError("discovery was not complete, so nothing may be deleted", hint="Mend it, or leave out --prune")
    goes = sorted(plan.of(*REMOVALS), key=lambda each: (-len(each.path), each.path))
    if len(goes) > options.max_deletes:
        raise UsageError(
            f"{len(goes)} items would be deleted, and at most {options.max_deletes} may be",
            hint="Look at the plan; if it is right, raise --max-deletes",
        )
    return goes


def _bind(action: Callable[[Change], Done], change: Change) -> Callable[[], Done]:
    return lambda: action(change)


def _run(pool: ThreadPoolExecutor, tasks: Iterable[Callable[[], Done]], told: Callable[[Done], None]) -> None:
    """Run tasks beside each other. An interrupt starts no more of them; those that run end."""
    futures: list[Future[Done]] = [pool.submit(task) for task in tasks]
    try:
        for future in as_completed(futures):
            told(future.result())
    except BaseException:
        for future in futures:
            future.cancel()
        raise


class _Work:
    """The single changes of one run."""

    def __init__(self, plan: Plan, connection: Connection) -> None:
        self.plan = plan
        self.connection = connection
        self.failed: set[ItemPath] = set()
        root = next((each for each in plan.changes if each.path == plan.root and not each.is_view), None)
        self.root_text = root.live.description if root and root.live else ""
        """The root folder's description, as far as we know."""

    # The run as a whole

    def begin(self) -> None:
        """Say in the root folder that a run is under way."""
        self._say_in_root(applying=True)

    def end(self) -> None:
        """Say that it ended well."""
        self._say_in_root(applying=False)

    def _say_in_root(self, *, applying: bool) -> None:
        if (own := mark.of(self.root_text, self.plan.owner)) is None:
            return  # somebody else's folder, which is used as it is
        words = own.words | {mark.APPLYING} if applying else own.words - {mark.APPLYING}
        if words != own.words:
            self.root_text = mark.put(self.root_text, replace(own, words=words))
            self.connection.describe(self.plan.root, self.root_text)

    # One item

    def one(self, change: Change) -> Done:
        """Create, update or mark."""
        action = UPDATE if change.action == DRIFTED else change.action
        if any(change.path[:length] in self.failed for length in range(1, len(change.path))):
            return Done(change.path, action, False, "left out: the folder around it failed")
        assert change.item is not None
        try:
            what = self._create(change, change.item) if action == CREATE else self._update(change, change.item)
        except AmiError as error:
            self.failed.add(change.path)
            return Done(change.path, action, False, error.line())
        if what:
            self.failed.add(change.path)
        return Done(change.path, action, not what, what)

    def _create(self, change: Change, item: Item) -> str:
        view = change.is_view
        self.connection.create(item.path, item.xml if view else for_create(item.xml), view=view)
        if item.path == self.plan.root:
            self.root_text = parse(item.xml).findtext("description") or ""
        return self._confirm(change, item)

    def _confirm(self, change: Change, item: Item) -> str:
        """What Jenkins did not understand, empty when all is well. An item that is not right gets no valid mark."""
        view = change.is_view
        text = self.connection.config(item.path, view=view)
        if text is None:
            return "Jenkins does not show it"
        if not view and not is_saved(text):
            self.connection.describe(item.path, parse(text).findtext("description") or "")
            text = self.connection.config(item.path) or ""
        missed = understood(item.xml, text) if change.action == CREATE else self._missed(item, text)
        if missed:
            present = parse(text).findtext("description") or ""
            own = mark.of(present, self.plan.owner) or mark.Mark(self.plan.owner, mark.UNPROVED)
            if view:
                self.connection.update(item.path, item.xml.replace(item.digest, mark.UNPROVED), view=True)
            else:
                self.connection.describe(item.path, mark.put(present, replace(own, digest=mark.UNPROVED)))
        return "; ".join(missed)

    def _missed(self, item: Item, text: str) -> tuple[str, ...]:
        """What is missing after an update: others own parts of the item, so it is compared as a plan does."""
        return understood(item.xml, text) if difference(item.xml, text, self.plan.preserve) else ()

    def _update(self, change: Change, item: Item) -> str:
        text = self.connection.config(item.path, view=change.is_view)
        if text is None:
            return self._create(change, item)
        if change.is_view:
            self.connection.update(item.path, item.xml, view=True)
            return self._confirm(change, item)
        if is_saved(text) and _may_have_unsaved_notes(text):
            self.connection.describe(item.path, parse(text).findtext("description") or "")
            text = self.connection.config(item.path) or text
        own = mark.of(parse(text).findtext("description") or "", self.plan.owner)
        if own is None and change.live is not None and mark.of(change.live.description, self.plan.owner) is not None:
            raise ServerError("it was taken over by somebody since the plan", where=self.connection.url)
        if difference(item.xml, text, self.plan.preserve):
            self.connection.update(item.path, merged(item.xml, text, self.plan.preserve))
        words = (own.words if own else frozenset()) - {mark.DISABLED}
        if item.path == self.plan.root and own is None:
            words |= {mark.ADOPTED}
        if own is not None and mark.DISABLED in own.words:
            self.connection.enable(item.path)
        self._write_mark(item, text, words)
        return self._confirm(change, item)

    def _write_mark(self, item: Item, text: str, words: frozenset[str]) -> None:
        """Set the description: ours, or where the words are somebody's, those with our mark. This saves the item."""
        own = mark.Mark(self.plan.owner, item.digest, words)
        present = parse(text).findtext("description") or ""
        marks = mark.read(present)
        foreign_words = len(marks) > 1 or bool(words & {mark.ADOPTED})
        ours = parse(item.xml).findtext("description") or ""
        wanted = mark.put(present if foreign_words else ours, own)
        if item.path == self.plan.root:
            self.root_text = wanted
        self.connection.describe(item.path, wanted)

    def remove(self, change: Change) -> Done:
        """Delete, disable or replace, after another look at whose it is."""
        try:
            return Done(change.path, change.action, True, self._remove(change))
        except AmiError as error:
            return Done(change.path, change.action, False, error.line())

    def _remove(self, change: Change) -> str:
        view = change.is_view
        text = self.connection.config(change.path, view=view)
        if text is None:
            return "was gone"
        present = parse(text).findtext("description") or ""
        own = mark.of(present, self.plan.owner)
        if own is None:
            raise ServerError("it is not ours any more: left alone", where=self.connection.url)
        if change.action == DISABLE:
            self.connection.describe(change.path, mark.put(present, replace(own, words=own.words | {mark.DISABLED})))
            self.connection.disable(change.path)
            return ""
        if change.kind == FOLDER:
            inside = [path for path in read_live(self.connection, change.path, 1).items if path != change.path]
            if inside:
                raise ServerError(
                    f"it holds {'/'.join(inside[0])} since the plan: left alone", where=self.connection.url
                )
        self.connection.delete(change.path, view=view)
        if change.action == REPLACE:
            assert change.item is not None
            created = self.one(replace(change, action=CREATE))
            if not created.ok:
                raise InputError(created.what)
        return ""


def _may_have_unsaved_notes(text: str) -> bool:
    """Whether Jenkins may know of a Jenkinsfile's properties what it has not saved yet: after the first build with
    ``properties(…)`` it shows an empty ``<actions>`` (recorded); sending that back would lose them."""
    actions = parse(text).find("actions")
    return actions is not None and not len(actions)
