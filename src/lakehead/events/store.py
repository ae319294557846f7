"""Remembers every version of every object that landed, once, and how far each of them got."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from lakehead.events.schema import (
    DONE,
    FAILED,
    INSERT_EVENT,
    MIGRATIONS,
    PENDING,
    STALE,
    STATES,
    Recorded,
    RecordedEvent,
    from_row,
    identity,
    to_row,
)
from lakehead.model import REPLAY, ObjectCreated, ObjectVersion, iso, object_id, sequencer_order, utc_now
from lakehead.sqlite import Database
from lakehead.storage import ObjectInfo

LOOK_SECONDS = 0.5
"""How often a waiting dispatcher looks for what another process recorded."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was last seen of a key. `fingerprint` is empty where its bytes have to be read again to be sure."""

    etag: str
    sequencer: str
    fingerprint: str
    gone: bool


class EventStore:
    """The events of one lake in SQLite. What was recorded is on the disk when a method returns.

    Safe from several threads and processes. Every method may raise Busy and StorageUnavailable.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = Database(path, MIGRATIONS)
        self._clock = clock
        self._arrived = threading.Condition()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    # Recording

    def record(self, event: ObjectCreated, dataset: str = "") -> Recorded:
        """Record an event that was delivered. A version that was recorded before adds nothing."""
        return self.record_many([(event, dataset)])[0]

    def record_many(self, events: Iterable[tuple[ObjectCreated, str]]) -> list[Recorded]:
        """Record delivered events with their datasets, in one transaction.

        An event that is older than what is known of its key is recorded as stale: it starts nothing. So is one whose
        bytes are what the key held last already, unless the load of those failed. Raises UsageError for a sequencer
        that is no hexadecimal number.
        """
        with self._database.transaction() as connection:
            recorded = [self._record(connection, event, dataset) for event, dataset in events]
        return self._announce(recorded)

    def observe(self, found: Iterable[tuple[ObjectInfo, str]]) -> list[Recorded]:
        """Record objects as they were found in a raw zone, each with its dataset, in one transaction.

        The infos have etags. Bytes that are the last seen of their key make no event, unless their load failed and they
        landed again since. Otherwise the new version gets a sequencer above every earlier one of its key. Returns the
        changed ones only.
        """
        with self._database.transaction() as connection:
            recorded = [self._observe(connection, info, dataset) for info, dataset in found]
        return self._announce([one for one in recorded if one is not None])

    def _observe(self, connection: sqlite3.Connection, info: ObjectInfo, dataset: str) -> Recorded | None:
        seen = self._seen(connection, info.bucket, info.key)
        recorded = None
        if seen is None or seen.etag != info.etag or self._failed_before(connection, info, seen):
            order = sequencer_order(info.sequencer)
            if seen is not None:
                order = max(order, sequencer_order(seen.sequencer) + 1)
            else:
                order = max(order, self._forgotten(connection, info.bucket, info.key) + 1)
            sequencer = f"{order:0{len(info.sequencer) or 16}x}" if order >= 0 else ""
            version = ObjectVersion(info.bucket, info.key, info.etag, info.size, sequencer, info.version_id)
            recorded = self._record(connection, ObjectCreated.of(version, time=self._clock()), dataset)
        connection.execute(
            "UPDATE objects SET fingerprint = ?, gone = 0 WHERE bucket = ? AND key = ?",
            (info.fingerprint, info.bucket, info.key),
        )
        return recorded

    def _record(self, connection: sqlite3.Connection, event: ObjectCreated, dataset: str) -> Recorded:
        version = event.object
        known = connection.execute(
            "SELECT * FROM events WHERE bucket = ? AND key = ? AND identity = ? AND replay = 0",
            (version.bucket, version.key, identity(event)),
        ).fetchone()
        if known is not None:
            return Recorded(False, from_row(known))
        seen = self._seen(connection, version.bucket, version.key)
        late = same = False
        if seen is not None:
            late = bool(version.sequencer) and sequencer_order(version.sequencer) < sequencer_order(seen.sequencer)
            same = bool(version.etag) and version.etag == seen.etag
            same = same and not self._failed_before(connection, version, seen)
        else:
            # Without a sequencer it may be of what was forgotten; what has landed since is found by listing.
            forgotten = self._forgotten(connection, version.bucket, version.key)
            late = forgotten >= 0 and sequencer_order(version.sequencer) <= forgotten
        state = STALE if late or same else PENDING
        if state == PENDING:
            self._supersede(connection, version)
        if not late:
            self._note_last(connection, version, seen)
        row = connection.execute(INSERT_EVENT, to_row(event, dataset, state, 0, self._clock())).fetchone()
        return Recorded(state == PENDING, from_row(row))

    def _failed_before(self, connection: sqlite3.Connection, landed: ObjectInfo | ObjectVersion, seen: Seen) -> bool:
        """Whether the object has landed again since its load failed: then the same bytes are worth another try."""
        if sequencer_order(landed.sequencer) <= sequencer_order(seen.sequencer):
            return False
        newest = connection.execute(
            "SELECT state FROM events WHERE bucket = ? AND key = ? AND +state <> 'stale' ORDER BY number DESC LIMIT 1",
            (landed.bucket, landed.key),
        ).fetchone()
        return newest is not None and newest[0] == FAILED

    def _supersede(self, connection: sqlite3.Connection, version: ObjectVersion) -> None:
        # Where the store keeps versions, an older one can still be read, and an appending contract wants it.
        connection.execute(
            "UPDATE events SET state = 'stale', changed_at = ?"
            " WHERE bucket = ? AND key = ? AND +state = 'pending' AND version_id = ''",  # +: by the key's index
            (iso(self._clock()), version.bucket, version.key),
        )

    def _note_last(self, connection: sqlite3.Connection, version: ObjectVersion, seen: Seen | None) -> None:
        same = seen is not None and bool(version.etag) and seen.etag == version.etag
        sequencer = version.sequencer or (seen.sequencer if seen else "")
        connection.execute(
            "INSERT INTO objects (bucket, key, etag, sequencer, fingerprint) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (bucket, key) DO UPDATE SET etag = excluded.etag, sequencer = excluded.sequencer,"
            " fingerprint = excluded.fingerprint, gone = 0",
            (version.bucket, version.key, version.etag, sequencer, seen.fingerprint if seen and same else ""),
        )

    def _seen(self, connection: sqlite3.Connection, bucket: str, key: str) -> Seen | None:
        row = connection.execute("SELECT * FROM objects WHERE bucket = ? AND key = ?", (bucket, key)).fetchone()
        return None if row is None else _seen_of(row)

    def _forgotten(self, connection: sqlite3.Connection, bucket: str, key: str) -> int:
        """The order of the newest version of a key that was forgotten; -1 where none was."""
        row = connection.execute(
            "SELECT sequencer FROM forgotten WHERE bucket = ? AND object_id = ?", (bucket, object_id(key))
        ).fetchone()
        return -1 if row is None else sequencer_order(row[0])

    def _announce(self, recorded: list[Recorded]) -> list[Recorded]:
        if any(one.new for one in recorded):
            with self._arrived:
                self._arrived.notify_all()
        return recorded

    # What was seen of keys

    def seen_between(self, bucket: str, after: str, last: str | None, prefix: str) -> dict[str, Seen]:
        """What was last seen of the bucket's keys with a prefix, above `after` and up to `last` (None: to the end)."""
        sql = "SELECT * FROM objects WHERE bucket = ? AND key > ? AND key >= ? AND substr(key, 1, length(?)) = ?"
        values = [bucket, after, prefix, prefix, prefix]
        if last is not None:
            sql, values = f"{sql} AND key <= ?", [*values, last]
        rows = self._database.rows(sql, values)
        return {row["key"]: _seen_of(row) for row in rows}

    def mark_gone(self, bucket: str, keys: Sequence[str]) -> None:
        """Note that objects were deleted. Their rows stay where they are."""
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE objects SET gone = 1, fingerprint = '' WHERE bucket = ? AND key = ?",
                [(bucket, key) for key in keys],
            )

    def sequencer_of(self, bucket: str, key: str) -> str:
        """The newest sequencer that is known of a key; empty where nothing is."""
        rows = self._database.rows("SELECT sequencer FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
        return str(rows[0][0]) if rows else ""

    def forget(self, bucket: str, key: str, sequencer: str) -> None:
        """Forget a key and its events, but for the order of its versions, under the hash of the key.

        An event of a version up to `sequencer` that still comes is stale; what lands later is new, with a sequencer
        above it.
        """
        with self._database.transaction() as connection:
            newest = max(sequencer_order(sequencer), self._forgotten(connection, bucket, key))
            connection.execute("PRAGMA secure_delete = ON")
            for table in ("events", "objects"):
                connection.execute(f"DELETE FROM {table} WHERE bucket = ? AND key = ?", (bucket, key))
            connection.execute(
                "INSERT OR REPLACE INTO forgotten (bucket, object_id, sequencer) VALUES (?, ?, ?)",
                (bucket, object_id(key), f"{newest:x}" if newest >= 0 else ""),
            )

    # From pending to finished

    def pending(self, limit: int = 100, *, datasets: Iterable[str] | None = None) -> list[RecordedEvent]:
        """Events that wait for an execution, oldest first; only those of some datasets where these are given."""
        if datasets is None:
            return self._events("state = 'pending' ORDER BY number LIMIT ?", (limit,))
        wanted = "SELECT value FROM json_each(?)"
        condition = f"state = 'pending' AND dataset IN ({wanted}) ORDER BY number LIMIT ?"
        return self._events(condition, (json.dumps(list(datasets)), limit))

    def started(self) -> list[str]:
        """The names of the executions that were started and not reported as finished."""
        rows = self._database.rows("SELECT execution FROM events WHERE state = 'started' ORDER BY number")
        return [row[0] for row in rows]

    def done(self, keys: Sequence[str]) -> list[tuple[str, str]]:
        """Those of the keys whose newest version was loaded, each as (dataset, key)."""
        newest = "(SELECT max(number) FROM events WHERE bucket = e.bucket AND key = e.key AND state <> 'stale')"
        rows = self._database.rows(
            "SELECT dataset, key FROM events e WHERE key IN (SELECT value FROM json_each(?)) AND state = 'done'"
            f" AND number = {newest} ORDER BY key",
            (json.dumps(list(keys)),),
        )
        return [(row[0], row[1]) for row in rows]

    def all(self) -> list[RecordedEvent]:
        """Every recorded event, oldest first."""
        return self._events("TRUE ORDER BY number", ())

    def counts(self) -> dict[str, int]:
        """Events by state."""
        found = {row[0]: row[1] for row in self._database.rows("SELECT state, count(*) FROM events GROUP BY state")}
        return {state: found.get(state, 0) for state in STATES}

    def waiting(self) -> dict[str, int]:
        """How many events of each dataset wait for an execution."""
        rows = self._database.rows("SELECT dataset, count(*) FROM events WHERE state = 'pending' GROUP BY dataset")
        return {row[0]: row[1] for row in rows}

    def landed(self, dataset: str) -> datetime | None:
        """When the newest version of an object of the dataset was recorded."""
        rows = self._database.rows(
            "SELECT recorded_at FROM events WHERE dataset = ? AND replay = 0 AND state <> 'stale'"
            " ORDER BY number DESC LIMIT 1",
            (dataset,),
        )
        return datetime.fromisoformat(rows[0][0]) if rows else None

    def newest(self, bucket: str, key: str) -> RecordedEvent | None:
        """The newest event of a key that is not stale, a replay perhaps."""
        found = self._events("bucket = ? AND key = ? AND +state <> 'stale' ORDER BY number DESC LIMIT 1", (bucket, key))
        return found[0] if found else None

    def mark_started(self, numbers: int | Iterable[int], execution: str) -> None:
        """An execution was started for pending events. An event that is no longer pending keeps its state."""
        self.mark_all_started({number: execution for number in ([numbers] if isinstance(numbers, int) else numbers)})

    def mark_all_started(self, executions: Mapping[int, str]) -> None:
        """Executions were started, by the numbers of their events; one transaction for all."""
        now = iso(self._clock())
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE events SET state = 'started', execution = ?, changed_at = ?"
                " WHERE number = ? AND state IN ('pending', 'stale') AND execution = ''",
                [(execution, now, number) for number, execution in executions.items()],
            )

    def mark_finished(self, execution: str, status: str) -> int:
        """An execution ended with a Step Functions status; SUCCEEDED is done, everything else failed.

        May be said again, also with another status after a redrive. Returns how many events it was for.
        """
        return self.mark_all_finished({execution: status})

    def mark_all_finished(self, statuses: Mapping[str, str]) -> int:
        """The same for many executions, by their names; one transaction for all."""
        now = iso(self._clock())
        with self._database.transaction() as connection:
            return sum(
                connection.execute(
                    "UPDATE events SET state = ?, changed_at = ? WHERE execution = ?",
                    (DONE if status == "SUCCEEDED" else FAILED, now, execution),
                ).rowcount
                for execution, status in statuses.items()
            )

    def requeue(
        self,
        *,
        bucket: str | None = None,
        dataset: str | None = None,
        key: str | None = None,
        prefix: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[RecordedEvent]:
        """Make the newest version of the chosen keys pending again, as a replay of its own. Returns the replays.

        Every filter narrows: the bucket, the dataset, one key, a prefix of keys, the event's time (`since` included,
        `until` not). Keys whose newest version is pending or under way are left out, and so are deleted objects.
        """
        wanted = {
            "bucket": ("e.bucket = :bucket", bucket),
            "dataset": ("e.dataset = :dataset", dataset),
            "key": ("e.key = :key", key),
            # The first two conditions walk an index, the third one decides.
            "prefix": (
                "e.key >= :prefix AND e.key < :prefix || char(1114111) AND substr(e.key, 1, length(:prefix)) = :prefix",
                prefix,
            ),
            "since": ("e.time >= :since", since and iso(since)),
            "until": ("e.time < :until", until and iso(until)),
        }
        chosen = {name: value for name, (_, value) in wanted.items() if value is not None}
        clauses = "".join(f" AND {wanted[name][0]}" for name in chosen)
        newest = "(SELECT max(number) FROM events WHERE bucket = e.bucket AND key = e.key AND state <> 'stale')"
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT e.* FROM events e JOIN objects o ON o.bucket = e.bucket AND o.key = e.key AND o.gone = 0"
                f" WHERE e.state IN ('done', 'failed') AND e.number = {newest}{clauses} ORDER BY e.number",
                chosen,
            ).fetchall()
            replays = [self._replay(connection, row) for row in rows]
        self._announce([Recorded(True, one) for one in replays])
        return replays

    def _replay(self, connection: sqlite3.Connection, row: sqlite3.Row) -> RecordedEvent:
        now, before = self._clock(), from_row(row)
        times = row["replay"] + 1
        identifier = uuid.uuid5(uuid.NAMESPACE_URL, f"{before.event.id}#{times}")
        event = replace(before.event, id=str(identifier), time=now, reason=REPLAY)
        values = list(to_row(event, before.dataset, PENDING, times, now))
        values[2] = row["identity"]
        return from_row(connection.execute(INSERT_EVENT, values).fetchone())

    def wait_for_pending(self, timeout: float) -> bool:
        """Wait until an event is pending, at most `timeout` seconds. Whether one is.

        Woken at once by this process, and within half a second by another.
        """
        end = time.monotonic() + timeout
        with self._arrived:
            while not self.pending(limit=1):
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self._arrived.wait(min(left, LOOK_SECONDS))
        return True

    def _events(self, condition: str, parameters: Sequence[object]) -> list[RecordedEvent]:
        return [from_row(row) for row in self._database.rows(f"SELECT * FROM events WHERE {condition}", parameters)]


def _seen_of(row: sqlite3.Row) -> Seen:
    return Seen(row["etag"], row["sequencer"], row["fingerprint"], bool(row["gone"]))
