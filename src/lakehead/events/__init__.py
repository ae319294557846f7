"""What landed: watch a raw zone, find by listing what was missed, match rules, and record every version once."""

from __future__ import annotations

from lakehead.events.decode import decode
from lakehead.events.pattern import EventPattern
from lakehead.events.reconcile import Reconciled, reconcile
from lakehead.events.rules import DatasetRule, dataset_of
from lakehead.events.schema import Recorded, RecordedEvent
from lakehead.events.store import EventStore
from lakehead.events.watch import ZoneWatcher

__all__ = [
    "DatasetRule",
    "EventPattern",
    "EventStore",
    "Reconciled",
    "Recorded",
    "RecordedEvent",
    "ZoneWatcher",
    "dataset_of",
    "decode",
    "reconcile",
]
