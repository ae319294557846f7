"""SQLite files that survive kill -9 and power loss: WAL, synchronous=FULL, numbered forward migrations."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

from lakehead.errors import Busy, ConfigError, StorageUnavailable
from lakehead.private import make_folder, own_file

Migrations: TypeAlias = Sequence[Sequence[str]]
"""The numbered steps of a schema, each a list of statements. A released step is never edited: a change is a new one."""

BUSY_SECONDS = 30.0
"""How long to wait for another process that writes."""

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode that waits for locks and commits to the disk; any thread may use it."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "journal_size_limit=67108864"):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing, not even the index of the WAL, so it works where only reading is allowed.

    Another connection must hold the file open meanwhile: it keeps the WAL and its index there.
    """
    address = f"file:{quote(str(path))}?mode=ro&readonly_shm=1"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA query_only=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def open_file(path: Path, migrations: Migrations, *, damaged: str = "") -> sqlite3.Connection:
    """A connection to a file that is there, durably, and of the newest schema. `damaged`: see `explained`.

    Raises Busy, StorageUnavailable, and ConfigError where a newer Lakehead made the file.
    """
    make_folder(path.parent)
    with explained(path, damaged=damaged):
        own_file(path)  # SQLite gives the files beside it the same mode
        connection = connect(path)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            migrate(connection, migrations, path)
            _sync(path.parent)
        except BaseException:
            connection.close()
            raise
        return connection


def data_version(connection: sqlite3.Connection) -> int:
    """A number that changes when another connection than this one has written to the file."""
    (found,) = connection.execute("PRAGMA data_version").fetchone()
    return int(found)


def migrate(connection: sqlite3.Connection, migrations: Migrations, path: Path) -> None:
    """Carry out all steps that are missing, or none. Another process may do the same at the same time."""
    if version(connection) == len(migrations):
        return
    with transaction(connection):
        done = version(connection)
        if done > len(migrations):
            raise ConfigError(
                "the file was written by a newer Lakehead",
                hint="Upgrade Lakehead, or use another lake folder.",
                path=str(path),
                expected=f"schema {len(migrations)} or older",
                received=f"schema {done}",
            )
        for step in migrations[done:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(migrations)}")


def version(connection: sqlite3.Connection) -> int:
    """How many migrations a file has seen."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    return int(found)


@contextmanager
def transaction(connection: sqlite3.Connection, mode: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
    """All of the block, on the disk when it ends, or none of it."""
    connection.execute(f"BEGIN {mode}")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def explained(path: Path, *, damaged: str = "") -> Iterator[None]:
    """Turn what SQLite says of locks, disks and damaged files into errors that say what to do next.

    Other errors are faults of the program and pass through. `damaged` is what to do with a damaged file.
    """
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        # The lower byte is the primary result code (SQLite, "Result and Error Codes").
        code = getattr(error, "sqlite_errorcode", None)
        kind = None if code is None else code & 0xFF
        if kind in _BUSY:
            raise Busy("the file is locked by another process", hint="Try again.", path=str(path)) from error
        if kind in _DAMAGED:
            hint = damaged or "Restore it from a backup, or move it away."
            raise StorageUnavailable(f"the file is damaged: {error}", hint=hint, path=str(path)) from error
        if isinstance(error, sqlite3.ProgrammingError) or kind in (None, sqlite3.SQLITE_ERROR):
            raise
        hint = "Is the disk full, or the file not writable?"
        raise StorageUnavailable(f"the file cannot be used: {error}", hint=hint, path=str(path)) from error


def _sync(folder: Path) -> None:
    """Make the file's own entry in its folder survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Database:
    """One file behind one connection, used by one thread at a time. Several processes may have the same file open.

    Raises Busy, StorageUnavailable, also after `close`, and ConfigError where a newer Lakehead made the file.
    """

    def __init__(self, path: Path, migrations: Migrations) -> None:
        self.path = path
        self._lock, self._closed = threading.RLock(), False
        self._connection = open_file(path, migrations)
        self._connection.row_factory = sqlite3.Row

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed and on disk when the block ends, undone when it raises."""
        with self._open() as connection, transaction(connection):
            yield connection

    def rows(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._open() as connection:
            return connection.execute(sql, parameters).fetchall()

    def version(self) -> int:
        """A number that changes when another process has written."""
        with self._open() as connection:
            return data_version(connection)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._closed = True
            self._connection.close()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock, explained(self.path):
            if self._closed:
                raise StorageUnavailable("the file is closed", path=str(self.path))
            yield self._connection
