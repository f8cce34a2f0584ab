"""The ledger, as the threads of a distribution share it: what is open in a region, and what became of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from ..cloud.ledger import IMAGE, SNAPSHOT, Entry, Ledger


@dataclass(frozen=True)
class Copy:
    """The entries of a copy and of the snapshots that come with it."""

    image: Entry
    snapshots: Entry


class Books:
    """Guards a ledger with a lock: it takes one writer at a time.

    :param build: the identity that the image carries, and its copies do
    """

    def __init__(self, ledger: Ledger, build: str) -> None:
        self.build = build
        self._ledger = ledger
        self._lock = threading.Lock()

    def open(self, region: str, name: str) -> Copy | None:
        """What an earlier run left open in a region."""
        with self._lock:
            image = self._open(IMAGE, f"{region}/{name}")
            snapshots = self._open(SNAPSHOT, f"{region}/{self.build}")
            if image is None and snapshots is None:
                return None
            return self._complete(region, name, image, snapshots)

    def intend(self, region: str, name: str) -> Copy:
        """Write down that a copy is about to be asked for."""
        with self._lock:
            return self._complete(region, name, None, None)

    def _complete(self, region: str, name: str, image: Entry | None, snapshots: Entry | None) -> Copy:
        snapshots = snapshots or self._ledger.intent(SNAPSHOT, f"{region}/{self.build}", region=region)
        image = image or self._ledger.intent(IMAGE, f"{region}/{name}", region=region)
        return Copy(image, snapshots)

    def _open(self, kind: str, key: str) -> Entry | None:
        found = [entry for entry in self._ledger.find(self.build, kind) if entry.key == key and entry.open]
        return found[0] if found else None

    def created(self, copy: Copy, image_id: str, snapshot_ids: tuple[str, ...] = ()) -> None:
        """What EC2 calls them, as far as it has said so. Said once: what is known already is not written again."""
        with self._lock:
            if self._ledger.current(copy.image).ids != (image_id,):
                self._ledger.created(copy.image, image_id)
            known = self._ledger.current(copy.snapshots).ids
            if set(snapshot_ids) - set(known):
                self._ledger.created(copy.snapshots, *snapshot_ids)

    def keep(self, copy: Copy) -> None:
        """They are available, and stay."""
        with self._lock:
            self._ledger.keep_entries(copy.image, copy.snapshots)

    def gone(self, copy: Copy) -> None:
        """There are none: never made, or ended."""
        with self._lock:
            self._ledger.gone(self._ledger.current(copy.image))
            self._ledger.gone(self._ledger.current(copy.snapshots))
