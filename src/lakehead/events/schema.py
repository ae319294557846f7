"""What the event store keeps, and how its rows become values."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from lakehead.model import ObjectCreated, ObjectVersion, iso, sequencer_order

PENDING, STARTED, DONE, FAILED, STALE = "pending", "started", "done", "failed", "stale"
STATES = (PENDING, STARTED, DONE, FAILED, STALE)

MIGRATIONS = (
    (
        """CREATE TABLE objects (
            bucket TEXT NOT NULL,
            key TEXT NOT NULL,
            etag TEXT NOT NULL,
            sequencer TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            gone INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (bucket, key)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE events (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            bucket TEXT NOT NULL,
            key TEXT NOT NULL,
            identity TEXT NOT NULL,
            replay INTEGER NOT NULL DEFAULT 0,
            event_id TEXT NOT NULL,
            etag TEXT NOT NULL,
            size INTEGER NOT NULL,
            sequencer TEXT NOT NULL,
            version_id TEXT NOT NULL,
            time TEXT NOT NULL,
            region TEXT NOT NULL,
            account TEXT NOT NULL,
            reason TEXT NOT NULL,
            dataset TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('pending', 'started', 'done', 'failed', 'stale')),
            execution TEXT NOT NULL DEFAULT '',
            recorded_at TEXT NOT NULL,
            changed_at TEXT NOT NULL,
            UNIQUE (bucket, key, identity, replay)
        ) STRICT""",
        # One per state: a partial index serves only queries that repeat its condition.
        "CREATE INDEX events_pending ON events (number) WHERE state = 'pending'",
        "CREATE INDEX events_started ON events (number) WHERE state = 'started'",
        "CREATE INDEX events_execution ON events (execution)",
    ),
    (
        "CREATE INDEX events_waiting ON events (dataset) WHERE state = 'pending'",
        "CREATE INDEX events_landed ON events (dataset, number) WHERE replay = 0",
    ),
    (
        """CREATE TABLE forgotten (
            bucket TEXT NOT NULL,
            object_id TEXT NOT NULL,
            sequencer TEXT NOT NULL,
            PRIMARY KEY (bucket, object_id)
        ) STRICT, WITHOUT ROWID""",
    ),
    ("ALTER TABLE objects ADD COLUMN landing TEXT NOT NULL DEFAULT ''",),
)


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as the store keeps it. `number` counts from 1 in the order of recording.

    `state` is pending, started, done, failed, or stale: the key holds a newer version or the same bytes already, so it
    starts nothing, unless the load of the same bytes that was under way when it came fails. `replay` is "" for the
    event itself, "1", "2", ... for its replays.
    """

    number: int
    event: ObjectCreated
    dataset: str
    state: str
    replay: str
    execution: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What recording did. `new` says that the event waits for an execution now.

    It is False where this version was recorded before (`event` is the earlier one) and where it is stale.
    """

    new: bool
    event: RecordedEvent

    def __bool__(self) -> bool:
        return self.new


def identity(event: ObjectCreated) -> str:
    """What makes two deliveries the same version of a key.

    Duplicates carry the same sequencer (S3 Event Notifications). An event without one is told by its version id,
    else its etag, else the event's own id.
    """
    version = event.object
    if version.sequencer:
        return f"{sequencer_order(version.sequencer):x} {version.etag}"
    return f"- {version.version_id or version.etag or event.id}"


def to_row(event: ObjectCreated, dataset: str, state: str, replay: int, now: datetime) -> tuple[str | int, ...]:
    """The values of `INSERT_EVENT`."""
    version = event.object
    return (
        version.bucket,
        version.key,
        identity(event),
        replay,
        event.id,
        version.etag,
        version.size,
        version.sequencer,
        version.version_id,
        iso(event.time),
        event.region,
        event.account,
        event.reason,
        dataset,
        state,
        iso(now),
        iso(now),
    )


INSERT_EVENT = (
    "INSERT INTO events (bucket, key, identity, replay, event_id, etag, size, sequencer, version_id, time, region,"
    " account, reason, dataset, state, recorded_at, changed_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *"
)


def from_row(row: sqlite3.Row) -> RecordedEvent:
    """A row of `events`."""
    version = ObjectVersion(
        row["bucket"],
        row["key"],
        etag=row["etag"],
        size=row["size"],
        sequencer=row["sequencer"],
        version_id=row["version_id"],
    )
    event = ObjectCreated(
        version, row["event_id"], datetime.fromisoformat(row["time"]), row["region"], row["account"], row["reason"]
    )
    replay = str(row["replay"]) if row["replay"] else ""
    return RecordedEvent(row["number"], event, row["dataset"], row["state"], replay, row["execution"])
