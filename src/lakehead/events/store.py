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
    STARTED,
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
    """What was last seen of a key. `fingerprint` is empty where its bytes have to be read again to be sure.

    `landing` tells when it landed, as a listing does; it is empty where only an event has told of it.
    """

    etag: str
    sequencer: str
    fingerprint: str
    landing: str
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
        bytes are what the key held last already, unless the load of those failed; where it is under way, the event
        waits as stale for its end. Raises UsageError for a sequencer that is no hexadecimal number.
        """
        with self._database.transaction() as connection:
            recorded = [self._record(connection, event, dataset) for event, dataset in events]
        return self._announce(recorded)

    def observe(self, found: Iterable[tuple[ObjectInfo, str]]) -> list[Recorded]:
        """Record objects as they were found in a raw zone, each with its dataset, in one transaction.

        The infos have etags. Bytes that are the last seen of their key start nothing, unless they landed again and
        their load has failed or is to fail yet. A new version gets a sequencer above every earlier one of its key.
        Returns those only that wait for an execution now.
        """
        with self._database.transaction() as connection:
            recorded = [self._observe(connection, info, dataset) for info, dataset in found]
        return self._announce([one for one in recorded if one])

    def _observe(self, connection: sqlite3.Connection, info: ObjectInfo, dataset: str) -> Recorded | None:
        seen = self._seen(connection, info.bucket, info.key)
        recorded = None
        if seen is None or seen.etag != info.etag or self._may_load_again(connection, info, seen):
            order = sequencer_order(info.sequencer)
            if seen is not None:
                order = max(order, sequencer_order(seen.sequencer) + 1)
            else:
                order = max(order, self._forgotten(connection, info.bucket, info.key) + 1)
            sequencer = f"{order:0{len(info.sequencer) or 16}x}" if order >= 0 else ""
            version = ObjectVersion(info.bucket, info.key, info.etag, info.size, sequencer, info.version_id)
            recorded = self._record(connection, ObjectCreated.of(version, time=self._clock()), dataset)
        connection.execute(
            "UPDATE objects SET fingerprint = ?, landing = ?, gone = 0 WHERE bucket = ? AND key = ?",
            (info.fingerprint, info.landing, info.bucket, info.key),
        )
        return recorded

    def _may_load_again(self, connection: sqlite3.Connection, info: ObjectInfo, seen: Seen) -> bool:
        """Whether bytes that were seen before landed again, and their load failed or may fail yet."""
        return _landed_again(info, seen) and self._newest_state(connection, info) in (STARTED, FAILED)

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
            order, last = sequencer_order(version.sequencer), sequencer_order(seen.sequencer)
            late = bool(version.sequencer) and order < last
            same = bool(version.etag) and version.etag == seen.etag
            same = same and not (order > last and self._newest_state(connection, version) == FAILED)
        else:
            # Without a sequencer it may be of what was forgotten; what has landed since is found by listing.
            forgotten = self._forgotten(connection, version.bucket, version.key)
            late = forgotten >= 0 and sequencer_order(version.sequencer) <= forgotten
        state = STALE if late or same else PENDING
        if state == PENDING:
            self._supersede(connection, version)
            # What failed may have been committed all the same: then only a load that is forced is crawled and told.
            if seen is not None and self._newest_state(connection, version, version.etag) == FAILED:
                event = replace(event, reason=REPLAY)
        if not late:
            self._note_last(connection, version, seen)
        row = connection.execute(INSERT_EVENT, to_row(event, dataset, state, 0, self._clock())).fetchone()
        return Recorded(state == PENDING, from_row(row))

    def _newest_state(
        self, connection: sqlite3.Connection, landed: ObjectInfo | ObjectVersion, etag: str | None = None
    ) -> str:
        """The state of a key's newest event that is not stale (of the newest with an etag); empty where none is."""
        newest = connection.execute(
            "SELECT state FROM events WHERE bucket = ? AND key = ? AND +state <> 'stale' AND (? IS NULL OR etag = ?)"
            " ORDER BY number DESC LIMIT 1",
            (landed.bucket, landed.key, etag, etag),
        ).fetchone()
        return "" if newest is None else str(newest[0])

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
            " fingerprint = excluded.fingerprint, landing = '', gone = 0",
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

    def mark_gone(self, bucket: str, gone: Mapping[str, Seen]) -> None:
        """Note that objects were deleted, unless they were seen anew since. Their rows stay where they are."""
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE objects SET gone = 1, fingerprint = '' WHERE bucket = ? AND key = ? AND sequencer = ?"
                " AND landing = ?",
                [(bucket, key, seen.sequencer, seen.landing) for key, seen in gone.items()],
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

        Where it failed and the same bytes have landed again meanwhile, they are pending now: the execution may have met
        the gap between the two landings. May be said again, also with another status after a redrive. Returns how many
        events it was for.
        """
        return self.mark_all_finished({execution: status})

    def mark_all_finished(self, statuses: Mapping[str, str]) -> int:
        """The same for many executions, by their names; one transaction for all."""
        now, found = iso(self._clock()), 0
        recorded: list[Recorded] = []
        with self._database.transaction() as connection:
            for execution, status in statuses.items():
                state = DONE if status == "SUCCEEDED" else FAILED
                if state == FAILED:
                    recorded += self._landed_meanwhile(connection, execution, now)
                found += connection.execute(
                    "UPDATE events SET state = ?, changed_at = ? WHERE execution = ?", (state, now, execution)
                ).rowcount
        self._announce(recorded)
        return found

    def _landed_meanwhile(self, connection: sqlite3.Connection, execution: str, now: str) -> list[Recorded]:
        """Make pending what landed last, if it is the bytes that an execution was loading when it failed."""
        rows = connection.execute(
            "UPDATE events SET state = 'pending', reason = ?, changed_at = ? WHERE number IN ("
            " SELECT again.number FROM events failed"
            " JOIN objects o ON o.bucket = failed.bucket AND o.key = failed.key AND o.etag = failed.etag"
            " JOIN events again ON again.bucket = o.bucket AND again.key = o.key AND again.number > failed.number"
            "  AND again.etag = o.etag AND again.sequencer = o.sequencer"
            "  AND +again.state = 'stale' AND +again.execution = ''"
            " WHERE failed.execution = ? AND +failed.state = 'started' AND NOT EXISTS ("
            "  SELECT 1 FROM events newer WHERE newer.bucket = o.bucket AND newer.key = o.key"
            "  AND newer.number > failed.number AND +newer.state <> 'stale')) RETURNING *",
            (REPLAY, now, execution),
        ).fetchall()
        return [Recorded(True, from_row(row)) for row in rows]

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
    return Seen(row["etag"], row["sequencer"], row["fingerprint"], row["landing"], bool(row["gone"]))


def _landed_again(info: ObjectInfo, seen: Seen) -> bool:
    """Whether an object that holds the bytes it held before was put there anew.

    Where no listing has told how it landed before, the order of the sequencers has to do: a clock may have been set
    back, and a file's sequencer also grows when only its owner or mode changes.
    """
    if seen.gone:
        return True
    if seen.landing:
        return seen.landing != info.landing
    return sequencer_order(info.sequencer) > sequencer_order(seen.sequencer)
