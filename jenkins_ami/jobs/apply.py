"""Carry out a plan: what goes first, what beside each other, how far, and what is told of it.

A folder, then what belongs in it; many at a time. Then views, since a view is part of its folder's document. At the end
what goes, children first. While a run is under way the root folder's mark says so; a run that was killed or that failed
in part leaves that, and the next plan looks at everything instead of trusting marks. All state is in Jenkins: to
resume, run again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from queue import SimpleQueue

from ..errors import AmiError, ServerError, UsageError
from ..progress import Progress, Step
from .changes import Changes
from .connection import Connection
from .model import FOLDER, ItemPath
from .plan import (
    CREATE,
    DELETE,
    DISABLE,
    DRIFTED,
    FOREIGN,
    REMOVALS,
    REPLACE,
    UNCHANGED,
    UPDATE,
    Change,
    Plan,
)
from .transport import Unreachable

WORDS = {
    CREATE: "created",
    UPDATE: "updated",
    REPLACE: "replaced",
    DELETE: "deleted",
    DISABLE: "disabled",
    UNCHANGED: "marked anew",
}
"""What a change is called when it is done."""


@dataclass(frozen=True)
class Options:
    """How far to go.

    :ivar workers: requests at a time
    :ivar limit: how many changes to make at most; the next run goes on. New folders and marks do not count
    :ivar prune: take away what is ours and wanted no more
    :ivar max_deletes: how many items that may be; more is refused before anything is changed
    """

    workers: int = 16
    limit: int | None = None
    prune: bool = False
    max_deletes: int = 10


@dataclass(frozen=True)
class Done:
    """What came of one change. ``what`` is the reason when it is not ``ok``, else empty."""

    path: ItemPath
    action: str
    ok: bool
    what: str = ""

    @property
    def name(self) -> str:
        return "/".join(self.path)


def apply(plan: Plan, connection: Connection, progress: Progress, options: Options) -> tuple[Done, ...]:
    """Carry out ``plan``, and say of each change what came of it, in the plan's order.

    One failure does not stop the rest, but what is inside a folder that could not be made is left out.

    :raises UsageError: more is to be deleted than may be, or nothing may be deleted in this run; nothing was changed
    :raises ServerError: the root folder cannot be written, and nothing was changed; or Jenkins went away, or knows
        this user no more, and the next run goes on
    :raises KeyboardInterrupt: no request is sent any more, and those under way have ended
    """
    goes = _removals(plan, options)
    makes = [
        each
        for each in plan.changes
        if each.action in (CREATE, UPDATE, DRIFTED)
        or each.refresh
        or (options.prune and plan.complete and each.action == REPLACE and _is_new_folder(each))
    ]
    todo, is_part = _limited([*makes, *goes], options.limit)
    changes = Changes(plan, connection)
    is_part = is_part or plan.filtered
    if not todo:
        return ()
    with progress.step("Apply", len(todo)) as step:
        run = _Run(plan, changes, connection, progress, step, options.workers)
        done = run.all(todo)
        failed = sum(not one.ok for one in done)
        if failed:
            progress.info(f"{failed} failed: the next run looks at every item again")
        elif not (changes.was_interrupted and is_part):
            changes.end()
        step.done(run.summary())
    return done


def _root(plan: Plan) -> Change | None:
    return next((each for each in plan.changes if each.path == plan.root and not each.is_view), None)


def _removals(plan: Plan, options: Options) -> list[Change]:
    """What is to go, children first; nothing while a provider of sources did not answer.

    :raises UsageError: it may not
    """
    if options.prune and plan.filtered:
        raise UsageError("a filtered run never deletes", hint="Leave out --only, or --prune")
    if not options.prune or not plan.complete:
        return []
    goes = sorted(plan.of(*REMOVALS), key=lambda each: (-len(each.path), each.path))
    if len(goes) > options.max_deletes:
        raise UsageError(
            f"{len(goes)} items would be deleted, and at most {options.max_deletes} may be",
            hint="Look at the plan; if it is right, raise --max-deletes",
        )
    return [each for each in goes if not _is_new_folder(each)]


def _limited(todo: list[Change], limit: int | None) -> tuple[list[Change], bool]:
    """The first changes and the new folders around them, and whether that is not all."""
    new_folders = [each for each in todo if each.action == CREATE and each.kind == FOLDER]
    free = {*map(id, new_folders), *(id(each) for each in todo if each.action == UNCHANGED)}
    counted = [each for each in todo if id(each) not in free]
    if limit is None or len(counted) <= limit:
        return todo, False
    around = {each.path[:length] for each in counted[:limit] for length in range(1, len(each.path))}
    taken = {*map(id, counted[:limit]), *(id(each) for each in new_folders if each.path in around)}
    return [each for each in todo if id(each) in taken], True


def _is_new_folder(change: Change) -> bool:
    """Whether what belongs in it has to wait: a folder that is made, or takes the place of something else."""
    return change.action in (CREATE, REPLACE) and change.kind == FOLDER


@dataclass(frozen=True)
class _Made:
    """A folder is there now."""

    path: ItemPath


Event = _Made | tuple[Change, Done] | BaseException


class _Run:
    """One run. Its threads report to the one that called :func:`apply`, which alone keeps the books."""

    def __init__(
        self, plan: Plan, changes: Changes, connection: Connection, progress: Progress, step: Step, threads: int
    ) -> None:
        self._plan = plan
        self._changes = changes
        self._connection = connection
        self._progress = progress
        self._step = step
        self._threads = threads
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._done: dict[int, Done] = {}
        self._counts: Counter[str] = Counter()
        self._absent: dict[ItemPath, str] = {}
        """Folders that there are not and will not be, and why."""

    def all(self, todo: Sequence[Change]) -> tuple[Done, ...]:
        root = _root(self._plan)
        if root is not None and root.action == FOREIGN:
            raise ServerError(f"{root.name} is no folder", where=self._connection.url, hint="Name another root folder")
        if root is None or root.action != CREATE:
            self._changes.begin()
        goes = [each for each in todo if each.action in REMOVALS and not _is_new_folder(each)]
        makes = [each for each in todo if each.action not in REMOVALS or _is_new_folder(each)]
        replaced = {each.path for each in makes if each.action == REPLACE}
        for change in self._plan.of(REPLACE):
            if change.kind == FOLDER and change.path not in replaced:
                self._absent[change.path] = f"{change.name} is replaced only with --prune"
        self._make([each for each in makes if not each.is_view], self._tell_quiet)
        self._make([each for each in makes if each.is_view])
        for _, level in groupby(goes, key=lambda each: len(each.path)):
            self._work(list(level), {})
        return tuple(self._done[id(each)] for each in todo)

    def summary(self) -> str:
        counts = [(self._counts[word], word) for word in (*WORDS.values(), "failed")]
        return ", ".join(f"{count} {word}" for count, word in counts if count)

    def _make(self, makes: Sequence[Change], beside: Callable[[], None] | None = None) -> None:
        """Carry out changes, each as soon as the folder around it is there."""
        folders = {each.path for each in makes if _is_new_folder(each)}
        waiting: dict[ItemPath, list[Change]] = defaultdict(list)
        ready = []
        for change in makes:
            around = [change.path[:length] for length in range(len(change.path) - 1, 0, -1)]
            parent = next((path for path in around if path in folders), None)
            absent = next((path for path in around if path in self._absent), None)
            if absent is not None:
                self._leave_out(change, self._absent[absent])
            elif parent is not None:
                waiting[parent].append(change)
            else:
                ready.append(change)
        self._work(ready, waiting, beside)

    def _work(
        self,
        ready: Sequence[Change],
        waiting: dict[ItemPath, list[Change]],
        beside: Callable[[], None] | None = None,
    ) -> None:
        """Carry out what is ready, and what waits for a folder once that is made."""
        with ThreadPoolExecutor(self._threads) as pool:
            try:
                if beside is not None:
                    pool.submit(beside)
                under_way = len(ready)
                for change in ready:
                    pool.submit(self._one, change)
                while under_way:
                    event = self._events.get()
                    if isinstance(event, BaseException):
                        raise event
                    if isinstance(event, _Made):
                        freed = waiting.pop(event.path, [])
                        under_way += len(freed)
                        for change in freed:
                            pool.submit(self._one, change)
                    else:
                        under_way -= 1
                        self._tell(*event)
                        self._leave_out_inside(event[0].path, waiting)
            except BaseException:
                self._connection.stop()
                pool.shutdown(cancel_futures=True)
                raise

    # In a thread of the pool

    def _one(self, change: Change) -> None:
        action = UPDATE if change.action == DRIFTED else change.action
        try:
            what = self._carry_out(change)
            self._events.put((change, Done(change.path, action, not what, what)))
        except AmiError as error:
            is_general = isinstance(error, Unreachable) or (isinstance(error, ServerError) and error.status == 401)
            self._events.put(error if is_general else (change, Done(change.path, action, False, error.line())))
        except BaseException as error:
            self._events.put(error)

    def _carry_out(self, change: Change) -> str:
        def made() -> None:
            if change.kind == FOLDER:
                self._events.put(_Made(change.path))

        if change.action in REMOVALS:
            return self._changes.remove(change, made)
        assert change.item is not None
        if change.action == CREATE:
            return self._changes.create(change, change.item, made)
        return self._changes.update(change, change.item)

    def _tell_quiet(self) -> None:
        with suppress(ServerError):
            if self._connection.is_quiet():
                self._progress.info("Jenkins is about to shut down: jobs are made all the same, builds wait")

    # What came of it

    def _tell(self, change: Change, done: Done) -> None:
        self._done[id(change)] = done
        self._counts[WORDS[done.action] if done.ok else "failed"] += 1
        self._step.status(self.summary())
        self._step.advance(len(self._done))
        if done.ok:
            self._progress.detail(f"{WORDS[done.action]} {done.name}")
        else:
            self._progress.warn(f"{done.name}: {done.what}")

    def _leave_out(self, change: Change, why: str) -> None:
        done = Done(change.path, change.action, False, f"left out: {why}")
        self._done[id(change)] = done
        self._counts["failed"] += 1
        self._progress.detail(f"{done.name}: {done.what}")

    def _leave_out_inside(self, path: ItemPath, waiting: dict[ItemPath, list[Change]]) -> None:
        """What still waits for a folder that is done with was waiting in vain.

        :raises ServerError: that folder is the root, or around it: there is nothing more to do
        """
        left = waiting.pop(path, None)
        if left is None:
            return
        if self._plan.root[: len(path)] == path:
            raise ServerError(f"nothing can be made without {'/'.join(path)}", where=self._connection.url)
        why = f"{'/'.join(path)} failed"
        self._absent[path] = why
        for change in left:
            self._leave_out(change, why)
            self._leave_out_inside(change.path, waiting)
