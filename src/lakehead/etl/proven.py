"""What was proven of a lake, so that the next proof looks only at what has changed since. It may be lost at any time.

A row says what an object looked like when it was proven. Whoever finds it looking otherwise, or gone, takes back what
was said of the records that it belongs to. Everything is told apart by fingerprints, cut to 64 bits.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lakehead.errors import Busy, ConfigError, StorageUnavailable
from lakehead.sqlite import explained, open_file, transaction
from lakehead.storage.base import ObjectInfo

CHUNK = 10_000
"""Rows that are read, or written in one transaction, at a time."""

RULES = "1"
"""Changes when the proof does: then nothing of what was proven before counts."""

_MIGRATIONS = (
    (
        "CREATE TABLE told (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
        # proven: when it last held, in seconds since 1970; null where it does not, or nobody has looked.
        """CREATE TABLE records (
            id INTEGER PRIMARY KEY, dataset TEXT NOT NULL, object_id BLOB NOT NULL, mark INTEGER NOT NULL,
            etag INTEGER, row_count INTEGER NOT NULL DEFAULT 0, files INTEGER NOT NULL DEFAULT 0,
            skipped INTEGER NOT NULL DEFAULT 0, landed INTEGER NOT NULL DEFAULT 0, proven INTEGER) STRICT""",
        "CREATE UNIQUE INDEX records_object ON records (dataset, object_id)",
        "CREATE INDEX records_unproven ON records (id) WHERE proven IS NULL",
        "CREATE INDEX records_skipped ON records (id) WHERE skipped = 1",
        "CREATE INDEX records_gone ON records (id) WHERE landed = 0",
        "CREATE INDEX records_oldest ON records (proven)",
        """CREATE TABLE files (
            key TEXT PRIMARY KEY, mark INTEGER NOT NULL, size INTEGER NOT NULL, quarantine INTEGER NOT NULL,
            record INTEGER) STRICT, WITHOUT ROWID""",
        "CREATE INDEX files_record ON files (record) WHERE record IS NOT NULL",
        "CREATE INDEX files_unclaimed ON files (key) WHERE record IS NULL",
        # loaded: whether the record of the object was seen to be of this version.
        """CREATE TABLE landed (
            key TEXT PRIMARY KEY, mark INTEGER NOT NULL, dataset TEXT NOT NULL, loaded INTEGER NOT NULL DEFAULT 0)
            STRICT, WITHOUT ROWID""",
        "CREATE INDEX landed_open ON landed (key) WHERE loaded = 0",
        """CREATE TABLE contents (
            dataset TEXT NOT NULL, content BLOB NOT NULL, record INTEGER NOT NULL,
            PRIMARY KEY (dataset, content, record)) STRICT, WITHOUT ROWID""",
        "CREATE INDEX contents_record ON contents (record)",
    ),
    ("ALTER TABLE records ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0",),
)

Difference: TypeAlias = tuple[str, ObjectInfo | None, bool]
"""A key, what is listed of it (None: it is gone), and whether that is what was stored."""


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A row of `records`."""

    id: int
    dataset: str
    object_id: str


class Proven:
    """The proofs of one lake in a file. One process at a time uses it."""

    def __init__(self, path: Path, about: str) -> None:
        """`about` says what lake and which datasets the proofs are of; those of others do not count."""
        self.path = path
        self._connection = _open(path)
        self._connection.row_factory = sqlite3.Row
        found = {row["name"]: row["value"] for row in self.rows("SELECT name, value FROM told")}
        if found != {"rules": RULES, "about": about}:
            self.clear(about)

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def clear(self, about: str | None = None) -> None:
        """Forget all proofs."""
        with self.write() as connection:
            for table in ("records", "files", "landed", "contents"):
                connection.execute(f"DELETE FROM {table}")
            if about is not None:
                values = [("rules", RULES), ("about", about)]
                connection.executemany("INSERT OR REPLACE INTO told (name, value) VALUES (?, ?)", values)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction; inside of another one, a part of it."""
        with explained(self.path):
            if self._connection.in_transaction:
                yield self._connection
                return
            with transaction(self._connection):
                yield self._connection

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        with explained(self.path):
            return self._connection.execute(sql, values).fetchall()

    def one(self, sql: str, values: Sequence[Any] = ()) -> int:
        """The number that a query gives."""
        with explained(self.path):
            (value,) = self._connection.execute(sql, values).fetchone()
        return int(value or 0)

    def paged(self, sql: str, values: Sequence[Any], after: Any) -> Iterator[sqlite3.Row]:
        """The rows of a query, ordered by its first column, in pages: it has `> ?` for that one, and a LIMIT, last."""
        while page := self.rows(sql, (*values, after, CHUNK)):
            yield from page
            after = page[-1][0]

    # Differences -------------------------------------------------------------------------------------------------

    def file_differences(self, listed: Iterable[ObjectInfo], prefix: str) -> Iterator[Difference]:
        """Listed files beside those that are stored with a prefix, in the order of their keys."""
        stored = self.paged(
            "SELECT key, mark FROM files WHERE key < ? AND key > ? ORDER BY key LIMIT ?", (_end(prefix),), prefix
        )
        return _differences(listed, ((row["key"], row["mark"]) for row in stored), lambda info: info.key)

    def landed_differences(self, listed: Iterable[ObjectInfo]) -> Iterator[Difference]:
        """The same for landed objects."""
        stored = self.paged("SELECT key, mark FROM landed WHERE key > ? ORDER BY key LIMIT ?", (), "")
        return _differences(listed, ((row["key"], row["mark"]) for row in stored), lambda info: info.key)

    def record_differences(
        self, dataset: str, listed: Iterable[ObjectInfo], identity: Callable[[ObjectInfo], str]
    ) -> Iterator[Difference]:
        """The same for a dataset's records; the keys are object ids."""
        sql = "SELECT object_id, mark FROM records WHERE dataset = ? AND object_id > ? ORDER BY object_id LIMIT ?"
        stored = self.paged(sql, (dataset,), b"")
        return _differences(listed, ((row["object_id"].hex(), row["mark"]) for row in stored), identity)

    # Files -------------------------------------------------------------------------------------------------------

    def file_changed(self, info: ObjectInfo, *, quarantine: bool) -> None:
        """A file is new, or looks otherwise: nobody has it, and the record that had it is to be looked at."""
        self.file_gone(info.key)
        with self.write() as connection:
            connection.execute(
                "INSERT INTO files (key, mark, size, quarantine) VALUES (?, ?, ?, ?)",
                (info.key, mark(info.fingerprint), info.size, int(quarantine)),
            )

    def file_gone(self, key: str) -> None:
        """A file is not there any more."""
        with self.write() as connection:
            gone = connection.execute("DELETE FROM files WHERE key = ? RETURNING record", (key,)).fetchone()
            if gone is not None and gone["record"] is not None:
                connection.execute("UPDATE records SET proven = NULL WHERE id = ?", (gone["record"],))

    def size_of(self, key: str) -> int | None:
        """The size of a file, None where it was not listed."""
        found = self.rows("SELECT size FROM files WHERE key = ?", (key,))
        return found[0]["size"] if found else None

    def holder_of(self, key: str) -> RecordRow | None:
        """The record that has a file."""
        sql = "SELECT r.id, dataset, object_id FROM files AS f JOIN records AS r ON r.id = f.record WHERE key = ?"
        found = self.rows(sql, (key,))
        return _record_row(found[0]) if found else None

    # Records -----------------------------------------------------------------------------------------------------

    def record_seen(self, dataset: str, identity: str, info: ObjectInfo) -> None:
        """A record is new, or looks otherwise."""
        with self.write() as connection:
            connection.execute(
                "INSERT INTO records (dataset, object_id, mark) VALUES (?, ?, ?) ON CONFLICT (dataset, object_id)"
                " DO UPDATE SET mark = excluded.mark, proven = NULL, deleted = 0",
                (dataset, bytes.fromhex(identity), mark(info.fingerprint)),
            )

    def record_gone(self, dataset: str, identity: str) -> None:
        """A record is not there any more, or is one of nothing: its files are nobody's."""
        with self.write() as connection:
            sql = "DELETE FROM records WHERE dataset = ? AND object_id = ? RETURNING id"
            gone = connection.execute(sql, (dataset, bytes.fromhex(identity))).fetchone()
            if gone is not None:
                self._release(connection, gone["id"])

    def record_damaged(self, row: RecordRow) -> None:
        """A record cannot be read: nothing that it said before counts."""
        with self.write() as connection:
            self._release(connection, row.id)
            connection.execute(
                "UPDATE records SET etag = NULL, row_count = 0, files = 0, skipped = 0, deleted = 0 WHERE id = ?",
                (row.id,),
            )

    def record_deleted(self, row: RecordRow, now: float) -> None:
        """A record is a tombstone: nothing is committed, and it names nothing to look at."""
        with self.write() as connection:
            self.record_damaged(row)
            connection.execute("UPDATE records SET deleted = 1, proven = ? WHERE id = ?", (int(now), row.id))

    def record_read(
        self, row: RecordRow, *, etag: str, rows: int, keys: Sequence[str], contents: Iterable[str], skipped: bool
    ) -> None:
        """What a record that could be read says: its files are its own from now on, proven or not."""
        with self.write() as connection:
            self._release(connection, row.id)
            connection.execute(
                "UPDATE records SET etag = ?, row_count = ?, files = ?, skipped = ? WHERE id = ?",
                (mark(etag), rows, len(keys), int(skipped), row.id),
            )
            connection.executemany("UPDATE files SET record = ? WHERE key = ?", [(row.id, key) for key in keys])
            connection.executemany(
                "INSERT OR IGNORE INTO contents (dataset, content, record) VALUES (?, ?, ?)",
                [(row.dataset, _digest(content), row.id) for content in contents],
            )

    def record_holds(self, row: RecordRow, now: float) -> None:
        """A record was proven."""
        with self.write() as connection:
            connection.execute("UPDATE records SET proven = ? WHERE id = ?", (int(now), row.id))

    def take_back(self, rows: Iterable[RecordRow]) -> None:
        """These records are to be looked at again."""
        with self.write() as connection:
            connection.executemany("UPDATE records SET proven = NULL WHERE id = ?", [(row.id,) for row in rows])

    def unproven(self) -> Iterator[list[RecordRow]]:
        """The records to look at, a chunk at a time. Those that do not hold are not told again."""
        after = 0
        sql = "SELECT id, dataset, object_id FROM records WHERE proven IS NULL AND id > ? ORDER BY id LIMIT ?"
        while page := self.rows(sql, (after, CHUNK // 10)):
            yield [_record_row(row) for row in page]
            after = page[-1]["id"]

    def oldest(self, before: float, limit: int) -> list[RecordRow]:
        """The records that were proven longest ago, before a moment; tombstones, too, rot unseen."""
        sql = "SELECT id, dataset, object_id FROM records WHERE proven < ? ORDER BY proven, id LIMIT ?"
        return [_record_row(row) for row in self.rows(sql, (int(before), limit))]

    def _release(self, connection: sqlite3.Connection, record: int) -> None:
        connection.execute("UPDATE files SET record = NULL WHERE record = ?", (record,))
        connection.execute("DELETE FROM contents WHERE record = ?", (record,))

    def ids_like(self, dataset: str, beginning: str) -> list[str]:
        """The ids of the dataset's records that begin so (20 hexadecimal digits)."""
        least = bytes.fromhex(beginning)
        sql = "SELECT object_id FROM records WHERE dataset = ? AND object_id BETWEEN ? AND ?"
        return [row["object_id"].hex() for row in self.rows(sql, (dataset, least, least + b"\xff" * 22))]

    # Landed objects ----------------------------------------------------------------------------------------------

    def landed_seen(self, info: ObjectInfo, dataset: str, identity: str) -> None:
        """A landed object is new, or looks otherwise."""
        with self.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO landed (key, mark, dataset, loaded) VALUES (?, ?, ?, 0)",
                (info.key, mark(info.fingerprint), dataset),
            )
            self._note_landed(connection, dataset, identity, landed=True)

    def landed_gone(self, key: str, identity: str) -> None:
        """A landed object is not there any more."""
        with self.write() as connection:
            row = connection.execute("DELETE FROM landed WHERE key = ? RETURNING dataset", (key,)).fetchone()
            if row is not None:
                self._note_landed(connection, row["dataset"], identity, landed=False)

    def landed_is_open(self, key: str) -> bool:
        """Have a landed object held against its record again. False where there is none."""
        with self.write() as connection:
            return connection.execute("UPDATE landed SET loaded = 0 WHERE key = ?", (key,)).rowcount > 0

    def landed_is_loaded(self, key: str) -> None:
        """The record of a landed object is of the version that is there."""
        with self.write() as connection:
            connection.execute("UPDATE landed SET loaded = 1 WHERE key = ?", (key,))

    def set_landed(self, row: RecordRow, *, landed: bool) -> None:
        """Whether the object of a record is there."""
        with self.write() as connection:
            connection.execute("UPDATE records SET landed = ? WHERE id = ?", (int(landed), row.id))

    def _note_landed(self, connection: sqlite3.Connection, dataset: str, identity: str, *, landed: bool) -> None:
        sql = "UPDATE records SET landed = ? WHERE dataset = ? AND object_id = ?"
        connection.execute(sql, (int(landed), dataset, bytes.fromhex(identity)))

    def record_of(self, dataset: str, identity: str) -> tuple[RecordRow, int | None] | None:
        """The row of an object's record, and the mark of its version's etag (None: it could not be read)."""
        sql = "SELECT id, dataset, object_id, etag FROM records WHERE dataset = ? AND object_id = ? AND deleted = 0"
        found = self.rows(sql, (dataset, bytes.fromhex(identity)))
        return (_record_row(found[0]), found[0]["etag"]) if found else None

    def open_landed(self) -> Iterator[tuple[str, str]]:
        """Landed objects that were not seen to be loaded: keys with their datasets."""
        sql = "SELECT key, dataset FROM landed WHERE loaded = 0 AND key > ? ORDER BY key LIMIT ?"
        return ((row["key"], row["dataset"]) for row in self.paged(sql, (), ""))

    def landed_keys(self) -> Iterator[tuple[str, str]]:
        """All landed objects: keys with their datasets."""
        sql = "SELECT key, dataset FROM landed WHERE key > ? ORDER BY key LIMIT ?"
        return ((row["key"], row["dataset"]) for row in self.paged(sql, (), ""))

    # Sums --------------------------------------------------------------------------------------------------------

    def unclaimed(self) -> Iterator[str]:
        """The files that no record names."""
        sql = "SELECT key FROM files WHERE record IS NULL AND key > ? ORDER BY key LIMIT ?"
        return (row["key"] for row in self.paged(sql, (), ""))

    def gone(self) -> Iterator[RecordRow]:
        """The records whose landed object is gone."""
        sql = (
            "SELECT id, dataset, object_id FROM records"
            " WHERE landed = 0 AND etag IS NOT NULL AND id > ? ORDER BY id LIMIT ?"
        )
        return (_record_row(row) for row in self.paged(sql, (), 0))

    def skipped(self) -> Iterator[RecordRow]:
        """The records that leave their rows to another object."""
        sql = "SELECT id, dataset, object_id FROM records WHERE skipped = 1 AND id > ? ORDER BY id LIMIT ?"
        return (_record_row(row) for row in self.paged(sql, (), 0))

    def has_content(self, dataset: str, content: str) -> bool:
        """Whether a record of the dataset has this content."""
        sql = "SELECT count(*) FROM contents WHERE dataset = ? AND content = ?"
        return self.one(sql, (dataset, _digest(content))) > 0

    def counts(self) -> dict[str, int]:
        """How many landed objects, readable records, files of theirs and rows there are."""
        (told,) = self.rows("SELECT count(etag) AS records, sum(files) AS files, sum(row_count) AS n FROM records")
        objects = self.one("SELECT count(*) FROM landed")
        return {"objects": objects, "records": told["records"], "files": told["files"] or 0, "rows": told["n"] or 0}


def mark(text: str) -> int:
    """64 bits that stand for a text, as SQLite takes them."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), signed=True)


def _digest(content: str) -> bytes:
    return hashlib.blake2b(content.encode(), digest_size=16).digest()


def _record_row(row: sqlite3.Row) -> RecordRow:
    return RecordRow(row["id"], row["dataset"], row["object_id"].hex())


def _end(prefix: str) -> str:
    """The text after all that begin so."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _differences(
    listed: Iterable[ObjectInfo], stored: Iterable[tuple[str, int]], name: Callable[[ObjectInfo], str]
) -> Iterator[Difference]:
    """Both in the order of their keys, merged."""
    left, right = iter(stored), iter(listed)
    known, info = next(left, None), next(right, None)
    while known is not None or info is not None:
        key = name(info) if info is not None else ""
        if known is not None and (info is None or known[0] < key):
            yield known[0], None, False
            known = next(left, None)
        elif known is not None and known[0] == key and info is not None:
            yield key, info, known[1] == mark(info.fingerprint)
            known, info = next(left, None), next(right, None)
        else:
            yield key, info, False
            info = next(right, None)


def _open(path: Path) -> sqlite3.Connection:
    """The file, made anew where it is damaged: it holds nothing that could not be proven again."""
    try:
        connection = open_file(path, _MIGRATIONS)
    except Busy:
        raise
    except (StorageUnavailable, ConfigError):
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            (path.parent / name).unlink(missing_ok=True)
        connection = open_file(path, _MIGRATIONS)
    # A power loss may cost the last of it, and never leaves it telling what was not proven.
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection
