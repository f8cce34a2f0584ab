"""The ledger: what a build asked the cloud for, written down before it asks, so that nothing can leak.

One JSON object per line, appended and fsynced, never rewritten::

    {"event": "build",   "schema": 1, "build": …, "environment": …, "region": …, "endpoint": …, …}   where it happens
    {"event": "intent",  "kind": "instance", "key": …, "time": …}       about to be asked for; key finds it again
    {"event": "created", "kind": "instance", "key": …, "ids": [ … ]}    what the cloud calls it
    {"event": "gone",    "kind": "instance", "key": …}                  does not exist any more, or never did
    {"event": "kept",    "entries": [["image", "key"], … ]}             they are a result, and stay
    {"event": "kept",    "build": …}                                    the build succeeded: what is open is its result
    {"event": "fact",    "build": …, "name": "plan", "data": { … }}     what the build has to know to be gone on with

A line half written (``kill -9``, a full disk) is skipped when reading. That loses nothing: an intent that is not on
the disk was never asked for, and everything else can be found again from its intent. The file is locked while it is
open for writing: the lock goes with the process that holds it. No credentials are in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from ..errors import HostError, InputError
from .environments import Environment, at

SCHEMA = 2
_READABLE = (1, 2)
SPOT, INSTANCE, IMAGE, SNAPSHOT, OBJECT = "spot request", "instance", "image", "snapshot", "object"
KINDS = (SPOT, INSTANCE, IMAGE, SNAPSHOT, OBJECT)
"""In the order in which they are ended: what makes others, what costs most, and what others depend on first."""

INTENT, CREATED, GONE, KEPT, FACT = "intent", "created", "gone", "kept", "fact"


@dataclass(frozen=True)
class Scope:
    """Where a build's resources are, and how to tell them from others: all that cleaning up needs to know.

    :ivar build: the build's identity, the value of the tag ``jenkins-ami:build`` on all that it makes
    :ivar account: the account that the credentials belonged to
    :ivar state: the local cloud's state folder, when it was one
    :ivar role, external_id: of the role that was assumed
    """

    build: str
    environment: str
    region: str
    account: str
    endpoint: str | None = None
    profile: str | None = None
    state: str | None = None
    role: str | None = None
    external_id: str | None = None

    @classmethod
    def of(cls, environment: Environment, build: str, account: str) -> Scope:
        return cls(
            build=build,
            environment=environment.name,
            region=environment.region,
            account=account,
            endpoint=environment.endpoint,
            profile=environment.profile,
            state=str(environment.state) if environment.state else None,
            role=environment.role,
            external_id=environment.external_id,
        )

    def as_environment(self) -> Environment:
        """The environment, as far as ending things in it goes."""
        there = at(
            self.environment,
            self.region,
            endpoint=self.endpoint,
            profile=self.profile,
            state=Path(self.state) if self.state else None,
        )
        return replace(there, role=self.role, external_id=self.external_id)


@dataclass(frozen=True)
class Entry:
    """A resource, as far as the ledger knows.

    :ivar scope: with the region that it is in, which for a copy of an image is not the build's
    :ivar key: what it was asked for with: an instance's client token, an image's name, an object's ``bucket/key``, and
        for snapshots (they come with their image) the build's identity; a copy's begins with ``REGION/``
    :ivar ids: what the cloud calls it; empty when the answer never came
    :ivar time: of the intent, in Unix seconds
    """

    scope: Scope
    kind: str
    key: str
    time: float
    ids: tuple[str, ...] = ()
    state: str = INTENT

    @property
    def open(self) -> bool:
        return self.state in (INTENT, CREATED)

    @property
    def age(self) -> float:
        """Seconds since it was asked for."""
        return max(0.0, time.time() - self.time)

    def __str__(self) -> str:
        return f"{self.kind} {', '.join(self.ids) or self.key}"


class Ledger:
    """A ledger open for writing, by one process at a time. ``book`` is what its lines come to.

    :param path: made when it is not there
    :param patience: seconds to wait for a process that still has it open
    :raises HostError: it cannot be written, or another process keeps it open
    :raises InputError: the file is something else
    """

    def __init__(self, path: Path, patience: float = 0.0) -> None:
        self.path = path
        self._scope: Scope | None = None
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise HostError(f"the ledger cannot be written: {error.strerror}", where=path) from error
        try:
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise HostError("the ledger is not a regular file", where=path)
            self._lock(patience)
            with contextlib.suppress(OSError):
                folder = os.open(path.parent, os.O_RDONLY)
                os.fsync(folder)
                os.close(folder)
            content = path.read_bytes()
            self.book = _parse(content, path)
            self._torn = bool(content) and not content.endswith(b"\n")
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give it back to others."""
        os.close(self._file)

    @property
    def entries(self) -> list[Entry]:
        """All of them, in the order in which they were asked for."""
        return list(self.book.entries.values())

    @property
    def scopes(self) -> list[Scope]:
        """Of all builds, in the order in which they began."""
        return list(self.book.scopes.values())

    def facts(self, build: str) -> dict[str, dict[str, Any]]:
        """What a build has written down about itself, by name: the last word on each."""
        return self.book.facts.get(build, {})

    def open_entries(self, kinds: Iterable[str] = KINDS) -> list[Entry]:
        """What may still exist, in the order in which it should be ended."""
        wanted = set(kinds)
        found = [entry for entry in self.book.entries.values() if entry.open and entry.kind in wanted]
        return sorted(found, key=lambda entry: KINDS.index(entry.kind))

    def current(self, entry: Entry) -> Entry:
        """What is known of it by now."""
        return self.book.entries[entry.scope.build, entry.kind, entry.key]

    def find(self, build: str, kind: str) -> list[Entry]:
        """A build's entries of a kind."""
        return [e for e in self.book.entries.values() if (e.scope.build, e.kind) == (build, kind)]

    # Writing. What is known in memory is right even when the disk refuses the line (HostError).

    def begin(self, scope: Scope) -> None:
        """A build begins: what follows happens in ``scope``."""
        self._append({"event": "build", "schema": SCHEMA, **asdict(scope)})
        self._scope = self.book.scopes[scope.build] = scope

    def resume(self, scope: Scope) -> None:
        """What follows happens in ``scope``, which has begun before."""
        self._scope = self.book.scopes[scope.build] = scope

    def intent(self, kind: str, key: str, region: str | None = None) -> Entry:
        """Write down that a resource is about to be asked for. Ask only when this has returned.

        :param region: where, if not in the build's own
        """
        assert self._scope is not None, "begin() comes first"
        scope = self._scope if region is None else replace(self._scope, region=region)
        entry = Entry(scope, kind, key, round(time.time(), 3))
        record = self._record(INTENT, entry) | {"time": entry.time}
        self._append(record if region is None else record | {"region": region})
        return self._keep(entry)

    def fact(self, name: str, **data: Any) -> None:
        """Write down what the build has to know when it is gone on with. No secrets."""
        assert self._scope is not None, "begin() comes first"
        build = self._scope.build
        self._append({"event": FACT, "build": build, "name": name, "data": data})
        self.book.facts.setdefault(build, {})[name] = data

    def created(self, entry: Entry, *ids: str) -> Entry:
        """The cloud made it, and calls it ``ids``."""
        entry = self._keep(replace(entry, ids=ids, state=CREATED))
        self._append(self._record(CREATED, entry) | {"ids": list(ids)})
        return entry

    def gone(self, entry: Entry) -> None:
        """It does not exist any more, or never did."""
        entry = self._keep(replace(entry, state=GONE))
        self._append(self._record(GONE, entry))

    def keep_entries(self, *entries: Entry) -> None:
        """They are a result, and stay, whatever becomes of the rest. One line, so all of them or none."""
        build = entries[0].scope.build
        self._append({"event": KEPT, "build": build, "entries": [[entry.kind, entry.key] for entry in entries]})
        for entry in entries:
            self._keep(replace(self.current(entry), state=KEPT))

    def keep(self, build: str) -> None:
        """The build succeeded: what it has open is its result, and stays. One line, so all of it or nothing."""
        self._append({"event": KEPT, "build": build})
        _keep_all(self.book.entries, build)

    def _keep(self, entry: Entry) -> Entry:
        self.book.entries[entry.scope.build, entry.kind, entry.key] = entry
        return entry

    @staticmethod
    def _record(event: str, entry: Entry) -> dict[str, Any]:
        return {"event": event, "build": entry.scope.build, "kind": entry.kind, "key": entry.key}

    def _append(self, record: dict[str, Any]) -> None:
        line = json.dumps(record, sort_keys=True).encode() + b"\n"
        if self._torn:
            line = b"\n" + line
        try:
            size = os.fstat(self._file).st_size
            try:
                rest = line
                while rest:
                    rest = rest[os.write(self._file, rest) :]
                os.fsync(self._file)
            except OSError:
                self._torn = True
                os.ftruncate(self._file, size)
                self._torn = False
                raise
        except OSError as error:
            raise HostError(
                f"the ledger cannot be written: {error.strerror}", where=self.path, hint="Free disk space"
            ) from error
        self._torn = False

    def _lock(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise HostError(
                        "another process is at work with this ledger",
                        where=self.path,
                        hint="Let it end, or give this build a folder of its own",
                    ) from None
            time.sleep(0.2)


def read(path: Path) -> list[Entry]:
    """The entries of a ledger, in the order in which they were asked for; locks nothing.

    :raises InputError: no such file, or it is no ledger
    """
    return list(read_book(path).entries.values())


def read_book(path: Path) -> Book:
    """All of a ledger; locks nothing.

    :raises InputError: no such file, or it is no ledger
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError("there is no ledger", where=path, hint="A build writes it into its output folder") from None
    except OSError as error:
        raise InputError(f"the ledger cannot be read: {error.strerror}", where=path) from error
    return _parse(content, path)


@dataclass
class Book:
    """What the lines of a ledger come to."""

    scopes: dict[str, Scope] = field(default_factory=dict)
    entries: dict[tuple[str, str, str], Entry] = field(default_factory=dict)
    facts: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)


def _parse(content: bytes, path: Path) -> Book:
    book = Book()
    for number, line in enumerate(content.split(b"\n")):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            if line and line[:2] not in (b"{", b'{"'):
                raise InputError("this is no ledger", where=path) from None
            continue
        try:
            _read_record(book, record, path)
        except (KeyError, TypeError) as error:
            raise InputError(f"line {number + 1} of the ledger makes no sense", where=path) from error
    return book


def _read_record(book: Book, record: dict[str, Any], path: Path) -> None:
    event, build = record["event"], record["build"]
    if event == "build":
        if record["schema"] not in _READABLE:
            raise InputError(
                f"the ledger's schema {record['schema']!r} is not {SCHEMA}", where=path, hint="Another version wrote it"
            )
        book.scopes[build] = Scope(**{k: v for k, v in record.items() if k not in ("event", "schema")})
        return
    if event == FACT:
        book.facts.setdefault(build, {})[record["name"]] = record["data"]
        return
    if event == KEPT and "entries" not in record:
        _keep_all(book.entries, build)
        return
    if event == KEPT:
        for kind, name in record["entries"]:
            book.entries[build, kind, name] = replace(book.entries[build, kind, name], state=KEPT)
        return
    key = build, record["kind"], record["key"]
    if event == INTENT:
        scope = book.scopes[build]
        scope = replace(scope, region=record.get("region", scope.region))
        book.entries[key] = Entry(scope, record["kind"], record["key"], record["time"])
    elif event == CREATED:
        book.entries[key] = replace(book.entries[key], ids=tuple(record["ids"]), state=CREATED)
    elif event == GONE:
        book.entries[key] = replace(book.entries[key], state=GONE)
    else:
        raise KeyError(event)


def _keep_all(entries: dict[tuple[str, str, str], Entry], build: str) -> None:
    for key, entry in entries.items():
        if entry.scope.build == build and entry.open:
            entries[key] = replace(entry, state=KEPT)
