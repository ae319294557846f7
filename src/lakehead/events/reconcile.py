"""Finds by listing what no event told of: what landed or changed while nobody watched, and what was deleted."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from lakehead.errors import BucketNotFound, NotFound
from lakehead.events.rules import DatasetRule
from lakehead.events.store import EventStore, Seen
from lakehead.events.zone import Looked, RawZone
from lakehead.storage import ObjectInfo, ObjectStore

LISTED_AT_ONCE = 1_000
READ_AT_ONCE = 100
"""Objects that are read before what they are is recorded, in one transaction."""


@dataclass(slots=True)
class Reconciled(Looked):
    """What a listing found: how many of the datasets' objects, and how many of them are gone since the last one."""

    listed: int = 0
    gone: int = 0


@dataclass(slots=True)
class _Pass:
    zone: RawZone
    result: Reconciled
    progress: Callable[[Reconciled], None] | None
    stop: threading.Event
    unread: list[str] = field(default_factory=list)
    unsure: dict[str, str] = field(default_factory=dict)  # key -> fingerprint

    def list(self, rule: DatasetRule) -> None:
        after = ""
        for infos in _batches(self.zone.store.list(self.zone.bucket, rule.prefix)):
            if self.stop.is_set():
                return
            known = self.zone.events.seen_between(self.zone.bucket, after, infos[-1].key, rule.prefix)
            self._compare(infos, known)
            after = infos[-1].key
        self._drop(list(self.zone.events.seen_between(self.zone.bucket, after, None, rule.prefix).items()))

    def _compare(self, infos: Sequence[ObjectInfo], known: dict[str, Seen]) -> None:
        for info in infos:
            seen = known.pop(info.key, None)
            if self.zone.dataset_of(info.key) is None:
                continue
            self.result.listed += 1
            if seen is None or seen.gone or seen.fingerprint != info.fingerprint:
                self._sort(info)
        self._drop(list(known.items()))
        self._tell()

    def _sort(self, info: ObjectInfo) -> None:
        match self.zone.writer_state(info.key):
            case True:
                self.result.busy.append(info.key)
            case None:
                self.unsure[info.key] = info.fingerprint
            case _:
                self.unread.append(info.key)
                if len(self.unread) >= READ_AT_ONCE:
                    self.read()

    def _drop(self, known: Sequence[tuple[str, Seen]]) -> None:
        # Asked once more: what landed behind the listing's back is in the event store, but not in the listing.
        gone = {key: seen for key, seen in known if not seen.gone and not self._exists(key)}
        if gone:
            self.zone.events.mark_gone(self.zone.bucket, gone)
            self.result.gone += len(gone)

    def _exists(self, key: str) -> bool:
        try:
            self.zone.store.head(self.zone.bucket, key)
        except BucketNotFound:
            raise
        except NotFound:
            return False
        return True

    def read(self) -> None:
        """Read what is complete and not read yet."""
        keys, self.unread = self.unread, []
        self.result.add(self.zone.look(keys))
        self._tell()

    def settle(self, seconds: float) -> None:
        """Take what could not be told to be complete, if it lies unchanged for some seconds."""
        if not self.unsure or self.stop.wait(seconds):
            return
        for key, before in self.unsure.items():
            now = _fingerprint(self.zone, key)
            if now == before:
                self.unread.append(key)
            elif now:
                self.result.busy.append(key)
        self.unsure = {}
        self.read()

    def _tell(self) -> None:
        if self.progress:
            self.progress(self.result)


def reconcile(
    store: ObjectStore,
    bucket: str,
    rules: Sequence[DatasetRule],
    events: EventStore,
    *,
    settle_seconds: float = 1.0,
    progress: Callable[[Reconciled], None] | None = None,
    stop: threading.Event | None = None,
) -> Reconciled:
    """List the datasets' objects and record those that are new or changed; note those that are gone.

    Objects whose fingerprint is the last seen are not read. A file that a process has open for writing is left for
    its closing. Where that cannot be told (another owner, a network file system), files count as complete when they
    lie unchanged for `settle_seconds`, which this waits for once. Raises BucketNotFound and StorageUnavailable.
    """
    zone = RawZone(store, bucket, rules, events)
    work = _Pass(zone, Reconciled(), progress, stop or threading.Event())
    for rule in rules:
        work.list(rule)
    work.read()
    work.settle(settle_seconds)
    return work.result


def _batches(found: Iterator[ObjectInfo]) -> Iterator[list[ObjectInfo]]:
    while batch := list(itertools.islice(found, LISTED_AT_ONCE)):
        yield batch


def _fingerprint(zone: RawZone, key: str) -> str:
    listed = zone.store.list(zone.bucket, key)
    return next((info.fingerprint for info in listed if info.key == key), "")
