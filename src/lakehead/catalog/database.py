"""The catalog's SQLite file: its schema, in numbered steps forward, and connections that commit durably."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehead.errors import Busy, StorageUnavailable

BUSY_SECONDS = 30.0

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE tables (
            name TEXT PRIMARY KEY, dataset TEXT NOT NULL, zone TEXT NOT NULL, bucket TEXT NOT NULL,
            location TEXT NOT NULL, classification TEXT NOT NULL, columns TEXT NOT NULL, partition_keys TEXT NOT NULL,
            parameters TEXT NOT NULL, dialect TEXT NOT NULL, crawls INTEGER NOT NULL DEFAULT 0,
            created TEXT NOT NULL, updated TEXT NOT NULL) STRICT""",
        "CREATE TABLE schemas (fingerprint TEXT PRIMARY KEY, columns TEXT NOT NULL) STRICT",
        # One line per landed object and table, also where it brought no file: its schema counts for the table.
        """CREATE TABLE objects (
            table_name TEXT NOT NULL, object_id TEXT NOT NULL, fingerprint TEXT NOT NULL, version TEXT NOT NULL,
            changed_at TEXT NOT NULL, PRIMARY KEY (table_name, object_id)) STRICT, WITHOUT ROWID""",
        "CREATE INDEX objects_schema ON objects (table_name, fingerprint, changed_at)",
        """CREATE TABLE files (
            table_name TEXT NOT NULL, partition TEXT NOT NULL, key TEXT NOT NULL, bucket TEXT NOT NULL,
            row_count INTEGER, bytes INTEGER NOT NULL, object_id TEXT NOT NULL, fingerprint TEXT NOT NULL,
            problem TEXT NOT NULL DEFAULT '', PRIMARY KEY (table_name, partition, key)) STRICT, WITHOUT ROWID""",
        "CREATE INDEX files_object ON files (table_name, object_id)",
        """CREATE TABLE partitions (
            table_name TEXT NOT NULL, path TEXT NOT NULL, location TEXT NOT NULL, row_count INTEGER,
            bytes INTEGER NOT NULL, files INTEGER NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL,
            PRIMARY KEY (table_name, path)) STRICT, WITHOUT ROWID""",
        """CREATE TABLE notes (
            id INTEGER PRIMARY KEY AUTOINCREMENT, dataset TEXT NOT NULL, zone TEXT NOT NULL, key TEXT NOT NULL,
            UNIQUE (dataset, zone, key)) STRICT""",
        """CREATE TABLE crawls (
            id INTEGER PRIMARY KEY, crawler TEXT NOT NULL, table_name TEXT NOT NULL, status TEXT NOT NULL,
            full INTEGER NOT NULL, started TEXT NOT NULL, ended TEXT NOT NULL, report TEXT NOT NULL,
            error TEXT NOT NULL) STRICT""",
        "CREATE INDEX crawls_crawler ON crawls (crawler, id)",
    ),
)


def connect(path: Path) -> sqlite3.Connection:
    """A connection that waits for locks, commits to disk (`synchronous=FULL`) and is begun by hand."""
    with explained():
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        try:
            connection.execute("PRAGMA synchronous=FULL")
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def transaction(connection: sqlite3.Connection, mode: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
    """All of the block or none of it. Raises Busy where another process holds the file for too long."""
    with explained():
        connection.execute(f"BEGIN {mode}")
        try:
            yield connection
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


@contextmanager
def explained() -> Iterator[None]:
    """Turn SQLite's operational errors into ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise Busy("the catalog is locked by another process", hint="Try again.") from error
        raise StorageUnavailable(f"the catalog cannot be used: {error}") from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError):
            raise
        raise StorageUnavailable(
            f"the catalog's file is damaged: {error}",
            hint="Move it away and run a full crawl: commit records and raw objects hold all of it.",
        ) from error


def migrate(path: Path) -> None:
    """Make the file, or bring it to the newest schema. Each step is applied whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = connect(path)
    try:
        with explained():
            connection.execute("PRAGMA journal_mode=WAL")
        with transaction(connection):
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise StorageUnavailable(
                    "the catalog was written by a newer Lakehead", hint="Upgrade Lakehead.", path=str(path)
                )
            for number in range(version, len(MIGRATIONS)):
                for statement in MIGRATIONS[number]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={number + 1}")
    finally:
        connection.close()
