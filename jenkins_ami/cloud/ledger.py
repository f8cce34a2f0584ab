"""The ledger: what a build asked the cloud for, written down before it asks, so that nothing can leak.

One JSON object per line, appended and fsynced, never rewritten::

    {"event": "build",   "schema": 1, "build": …, "environment": …, "region": …, "endpoint": …, …}   where it happens
    {"event": "intent",  "kind": "instance", "key": …, "time": …}       about to be asked for; key finds it again
    {"event": "created", "kind": "instance", "key": …, "ids": [ … ]}    what the cloud calls it
    {"event": "gone",    "kind": "instance", "key": …}                  does not exist any more, or never did
    {"event": "kept",    "build": …}                                    the build succeeded: what is open is its result

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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from ..errors import HostError, InputError
from .environments import Environment, at

SCHEMA = 1
INSTANCE, IMAGE, SNAPSHOT, OBJECT = "instance", "image", "snapshot", "object"
KINDS = (INSTANCE, IMAGE, SNAPSHOT, OBJECT)
"""In the order in which they are ended: what costs most and what others depend on first."""

INTENT, CREATED, GONE, KEPT = "intent", "created", "gone", "kept"


@dataclass(frozen=True)
class Scope:
    """Where a build's resources are, and how to tell them from others: all that cleaning up needs to know.

    :ivar build: the build's identity, the value of the tag ``jenkins-ami:build`` on all that it makes
    :ivar account: the account that the credentials belonged to
    :ivar state: the local cloud's state folder, when it was one
    """

    build: str
    environment: str
    region: str
    account: str
    endpoint: str | None = None
    profile: str | None = None
    state: str | None = None

    @classmethod
    def of(cls, environment: Environment, build: str, account: str) -> Scope:
        state = str(environment.state) if environment.state else None
        return cls(
            build, environment.name, environment.region, account, environment.endpoint, environment.profile, state
        )

    def as_environment(self) -> Environment:
        """The environment, as far as ending things in it goes."""
        return at(
            self.environment,
            self.region,
            endpoint=self.endpoint,
            profile=self.profile,
            state=Path(self.state) if self.state else None,
        )


@dataclass(frozen=True)
class Entry:
    """A resource, as far as the ledger knows.

    :ivar key: what it was asked for with: an instance's client token, an image's name, an object's ``bucket/key``, and
        for snapshots (they come with their image) the build's identity
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
    """A ledger open for writing, by one process at a time.

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
            self._entries = {(e.scope.build, e.kind, e.key): e for e in _parse(content, path)}
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
        return list(self._entries.values())

    def open_entries(self, kinds: Iterable[str] = KINDS) -> list[Entry]:
        """What may still exist, in the order in which it should be ended."""
        wanted = set(kinds)
        found = [entry for entry in self._entries.values() if entry.open and entry.kind in wanted]
        return sorted(found, key=lambda entry: KINDS.index(entry.kind))

    def current(self, entry: Entry) -> Entry:
        """What is known of it by now."""
        return self._entries[entry.scope.build, entry.kind, entry.key]

    def find(self, build: str, kind: str) -> list[Entry]:
        """A build's entries of a kind."""
        return [e for e in self._entries.values() if (e.scope.build, e.kind) == (build, kind)]

    # Writing. What is known in memory is right even when the disk refuses the line (HostError).

    def begin(self, scope: Scope) -> None:
        """A build begins: what follows happens in ``scope``."""
        self._append({"event": "build", "schema": SCHEMA, **asdict(scope)})
        self._scope = scope

    def intent(self, kind: str, key: str) -> Entry:
        """Write down that a resource is about to be asked for. Ask only when this has returned."""
        assert self._scope is not None, "begin() comes first"
        entry = Entry(self._scope, kind, key, round(time.time(), 3))
        self._append(self._record(INTENT, entry) | {"time": entry.time})
        return self._keep(entry)

    def created(self, entry: Entry, *ids: str) -> Entry:
        """The cloud made it, and calls it ``ids``."""
        entry = self._keep(replace(entry, ids=ids, state=CREATED))
        self._append(self._record(CREATED, entry) | {"ids": list(ids)})
        return entry

    def gone(self, entry: Entry) -> None:
        """It does not exist any more, or never did."""
        entry = self._keep(replace(entry, state=GONE))
        self._append(self._record(GONE, entry))

    def keep(self, build: str) -> None:
        """The build succeeded: what it has open is its result, and stays. One line, so all of it or nothing."""
        self._append({"event": KEPT, "build": build})
        _keep_all(self._entries, build)

    def _keep(self, entry: Entry) -> Entry:
        self._entries[entry.scope.build, entry.kind, entry.key] = entry
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
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError("there is no ledger", where=path, hint="A build writes it into its output folder") from None
    except OSError as error:
        raise InputError(f"the ledger cannot be read: {error.strerror}", where=path) from error
    return _parse(content, path)


def _parse(content: bytes, path: Path) -> list[Entry]:
    scopes: dict[str, Scope] = {}
    entries: dict[tuple[str, str, str], Entry] = {}
    for number, line in enumerate(content.split(b"\n")):
        try:
            record = json.loads(line)
        except ValueError:
            if line and line[:2] not in (b"{", b'{"'):
                raise InputError("this is no ledger", where=path) from None
            continue
        try:
            if record["event"] == "build":
                if record["schema"] != SCHEMA:
                    raise InputError(
                        f"the ledger's schema {record['schema']!r} is not {SCHEMA}",
                        where=path,
                        hint="Another version wrote it",
                    )
                scopes[record["build"]] = Scope(**{k: v for k, v in record.items() if k not in ("event", "schema")})
                continue
            if record["event"] == KEPT:
                _keep_all(entries, record["build"])
                continue
            key = record["build"], record["kind"], record["key"]
            if record["event"] == INTENT:
                entries[key] = Entry(scopes[record["build"]], record["kind"], record["key"], record["time"])
            elif record["event"] == CREATED:
                entries[key] = replace(entries[key], ids=tuple(record["ids"]), state=CREATED)
            elif record["event"] == GONE:
                entries[key] = replace(entries[key], state=GONE)
            else:
                raise KeyError(record["event"])
        except (KeyError, TypeError) as error:
            raise InputError(f"line {number + 1} of the ledger makes no sense", where=path) from error
    return list(entries.values())


def _keep_all(entries: dict[tuple[str, str, str], Entry], build: str) -> None:
    for key, entry in entries.items():
        if entry.scope.build == build and entry.open:
            entries[key] = replace(entry, state=KEPT)
