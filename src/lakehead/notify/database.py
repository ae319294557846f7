"""One SQLite file that survives kill -9 and power loss: WAL, synchronous=FULL, numbered forward migrations."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from lakehead.errors import Busy, ConfigError, StorageUnavailable

Migration: TypeAlias = Sequence[str]
"""The statements of one migration, carried out in one transaction."""

BUSY_SECONDS = 30.0
"""How long to wait for another process that writes."""

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class Database:
    """One connection, used by one thread at a time. Several processes may have the same file open.

    Raises Busy when another process writes for longer than BUSY_SECONDS, StorageUnavailable when the disk is full or
    failing or the file is no database, ConfigError when a newer Lakehead made it.
    """

    def __init__(self, path: Path, migrations: Sequence[Migration]) -> None:
        self.path = path
        self._lock, self._closed = threading.RLock(), False
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._explained():
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            self._prepare(migrations)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, migrations: Sequence[Migration]) -> None:
        with self._explained():
            self._connection.row_factory = sqlite3.Row
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                self._connection.execute(f"PRAGMA {pragma}").fetchall()
        self._migrate(migrations)
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _migrate(self, migrations: Sequence[Migration]) -> None:
        if self._version() == len(migrations):
            return
        with self.transaction() as connection:
            version = self._version()  # again, under the lock: another process may have migrated
            if version > len(migrations):
                raise ConfigError(
                    "this database was made by a newer Lakehead",
                    hint="Upgrade lakehead, or use another lake folder.",
                    file=str(self.path),
                    expected=f"schema {len(migrations)} or older",
                    received=f"schema {version}",
                )
            for migration in migrations[version:]:
                for statement in migration:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={len(migrations)}")

    def _version(self) -> int:
        return int(self.rows("PRAGMA user_version")[0][0])

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed and on disk when the block ends, undone when it raises."""
        with self._lock, self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._lock, self._explained():
            return self._connection.execute(sql, parameters).fetchall()

    def close(self) -> None:
        """Close the connection. Whoever asks afterwards gets StorageUnavailable."""
        with self._lock:
            self._closed = True
            self._connection.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.ProgrammingError as error:
            if self._closed:
                raise StorageUnavailable("the database is closed", file=str(self.path)) from error
            raise
        except sqlite3.DatabaseError as error:
            # The lower byte is the primary result code (SQLite, "Result and Error Codes").
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY:
                raise Busy("another process holds the database", hint="Try again.", file=str(self.path)) from error
            raise StorageUnavailable(
                f"the database does not answer: {error}",
                hint="Check the disk's space and health, then try again.",
                file=str(self.path),
            ) from error
