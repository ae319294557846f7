"""A raw bucket as its rules see it: which files are a dataset's, which are complete, and what is new in them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lakehead.errors import LakeheadError, NotFound
from lakehead.events.complete import is_being_written
from lakehead.events.rules import DatasetRule, dataset_of
from lakehead.events.schema import RecordedEvent
from lakehead.events.store import EventStore
from lakehead.storage import ObjectInfo, ObjectStore

TICK_NS = 50_000_000
"""A write so shortly after another may leave stat as it was (file systems' clocks tick every 1 to 10 ms)."""

TRIES = 3
"""How often a file that changes while it is read is read again before it is left to the next look."""


@dataclass(slots=True)
class Looked:
    """What a look at some objects found.

    `busy` are written right now; `problems` could not be read, by key. Both are found again by the next listing.
    """

    recorded: list[RecordedEvent] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    problems: dict[str, LakeheadError] = field(default_factory=dict)

    def add(self, other: Looked) -> None:
        """Take in what another look found."""
        self.recorded += other.recorded
        self.busy += other.busy
        self.problems |= other.problems


@dataclass(frozen=True, slots=True)
class RawZone:
    """One raw bucket, its datasets' rules, and the store that remembers what was seen there."""

    store: ObjectStore
    bucket: str
    rules: Sequence[DatasetRule]
    events: EventStore

    def dataset_of(self, key: str) -> str | None:
        """The dataset that a key belongs to; None where it is nobody's business."""
        return dataset_of(self.rules, self.bucket, key)

    def writer_state(self, key: str) -> bool | None:
        """Whether the object is being written: True, False, or None where only its lying unchanged can tell."""
        path = self.store.local_path(self.bucket, key)
        return False if path is None else is_being_written(path)

    def look(self, keys: Iterable[str]) -> Looked:
        """Read the objects that are complete as far as the caller knows, and record those that are new or changed."""
        looked, found = Looked(), []
        for key in keys:
            dataset = self.dataset_of(key)
            if dataset is None:
                continue
            try:
                info = self._stable(key)
            except NotFound:
                continue  # deleted or renamed meanwhile; the next listing notes it
            except LakeheadError as error:
                looked.problems[key] = error
                continue
            if info is None:
                looked.busy.append(key)
            else:
                found.append((info, dataset))
        if found:
            looked.recorded = [one.event for one in self.events.observe(found)]
        return looked

    def _stable(self, key: str) -> ObjectInfo | None:
        """The object's information with its etag, if nobody wrote it while it was read."""
        path = self.store.local_path(self.bucket, key)
        if path is None:
            return self.store.head(self.bucket, key)
        for _ in range(TRIES):
            if is_being_written(path):
                return None
            before, clock = _signature(path), time.time_ns()
            info = self.store.head(self.bucket, key)
            if before is not None and not is_being_written(path) and _signature(path) == before:
                # Read in the tick of its last change: a later change may look the same, so read it again next time.
                return info if clock - before[-1] > TICK_NS else replace(info, fingerprint="")
        return None


def _signature(path: Path) -> tuple[int, int, int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
