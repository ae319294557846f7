"""A raw bucket in a local store, its rule, and the event store beside it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lakehead.events import DatasetRule, EventStore, Reconciled, RecordedEvent, ZoneWatcher, reconcile
from lakehead.storage import LocalStore

WAIT = 20.0
BUCKET = "raw"
RULE = DatasetRule("sales/orders", BUCKET)


@dataclass
class Zone:
    root: Path
    store: LocalStore
    events: EventStore

    @property
    def folder(self) -> Path:
        return self.root / "data" / BUCKET / "sales" / "orders"

    def put(self, name: str, data: bytes) -> str:
        return self.store.put(BUCKET, f"sales/orders/{name}", data).key

    def reconcile(self) -> Reconciled:
        return reconcile(self.store, BUCKET, [RULE], self.events, settle_seconds=0.05)

    def pending(self) -> list[str]:
        return [one.event.object.key for one in self.events.pending(10_000)]

    def etag(self, name: str) -> str:
        return self.store.head(BUCKET, f"sales/orders/{name}").etag


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[Zone]:
    store = LocalStore(tmp_path / "data")
    store.create_bucket(BUCKET)
    events = EventStore(tmp_path / "events.db")
    made = Zone(tmp_path, store, events)
    made.folder.mkdir(parents=True)
    yield made
    events.close()


@dataclass
class Seen:
    """What a watcher reported, for a test to wait on."""

    recorded: list[RecordedEvent] = field(default_factory=list)
    listings: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def on_recorded(self, events: list[RecordedEvent]) -> None:
        with self.changed:
            self.recorded += events
            self.changed.notify_all()

    def on_reconciled(self, result: Reconciled) -> None:
        with self.changed:
            self.listings += 1
            self.changed.notify_all()

    def wait_for(self, count: int) -> list[RecordedEvent]:
        with self.changed:
            done = self.changed.wait_for(lambda: len(self.recorded) >= count, WAIT)
            assert done, f"only {[one.event.object.key for one in self.recorded]} were recorded"
            return list(self.recorded)

    def wait_for_name(self, name: str) -> None:
        with self.changed:
            done = self.changed.wait_for(
                lambda: any(one.event.object.key.endswith(name) for one in self.recorded), WAIT
            )
            assert done, f"{name} was not recorded"

    def wait_for_listings(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.listings >= count, WAIT), "no listing"


@dataclass
class Watched(Zone):
    watcher: ZoneWatcher = field(repr=False)
    seen: Seen = field(repr=False)

    def names(self) -> list[str]:
        return sorted(one.event.object.key.removeprefix("sales/orders/") for one in self.seen.recorded)


@pytest.fixture
def watched(zone: Zone) -> Iterator[Watched]:
    """A watcher that lists only at its start, so that everything afterwards is its watching."""
    seen = Seen()
    watcher = ZoneWatcher(
        zone.store,
        BUCKET,
        [RULE],
        zone.events,
        settle_seconds=0.3,
        reconcile_seconds=3600,
        on_recorded=seen.on_recorded,
        on_reconciled=seen.on_reconciled,
    )
    with watcher:
        seen.wait_for_listings(1)
        yield Watched(zone.root, zone.store, zone.events, watcher, seen)
