"""Some rows of a few files of a table: by Lakehead's own SQL, not by people's, so in a session that is kept."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lakehead.catalog import CatalogFile, CatalogReader, Snapshot, Table
from lakehead.errors import Busy, ObjectNotFound
from lakehead.query.reader import Files, scan_sql
from lakehead.query.result import Row
from lakehead.query.session import ATTEMPTS, TimeLimit, Vanished, described, explained, open_session, watched
from lakehead.query.truth import committed_files
from lakehead.storage.base import ObjectStore

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 60.0
ROWS = "_rows"
"""What the SQL calls the rows of the chosen files: the table's columns, then its partition columns."""

ChooseFiles: TypeAlias = Callable[[Snapshot, Table], list[CatalogFile]]
"""Which files of a table are read, chosen from one state of the catalog."""


class Peek:
    """Reads a few files. Safe from several threads.

    Opening a session takes longer than such a read, so one is opened on first use and kept until `close`. It has one
    thread and puts nothing aside on the disk.
    """

    def __init__(self, catalog: CatalogReader, store: ObjectStore, *, cache_dir: Path, memory_limit: str) -> None:
        self._catalog, self._store = catalog, store
        self._files = Files(store, cache_dir)
        self._memory_limit = memory_limit
        self._guard = threading.Lock()
        self._session: DuckDBPyConnection | None = None

    def close(self) -> None:
        """Let the session go."""
        with self._guard:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def rows(self, table: str, choose: ChooseFiles, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """The answer of DuckDB's `sql` over ROWS, with values for its question marks. Instants are in UTC.

        Raises TableNotFound, QueryError, and StorageUnavailable for files that cannot be read.
        """
        deadline = time.monotonic() + TIMEOUT_SECONDS
        for attempt in range(ATTEMPTS):
            try:
                return self._attempt(table, choose, sql, values, deadline, refresh=attempt > 0)
            except (Vanished, ObjectNotFound) as gone:
                log.info("files are chosen again, for one was replaced meanwhile: %s", gone)
        raise Busy("files of the table keep being replaced while they are read", hint="Try again.", table=table)

    def _attempt(
        self, name: str, choose: ChooseFiles, sql: str, values: Sequence[object], deadline: float, *, refresh: bool
    ) -> list[Row]:
        with self._catalog.snapshot() as seen:
            table = seen.table(name)
            files = choose(seen, table)
        if refresh:
            files = committed_files(self._store, table, files)
        paths = self._files.paths(files, table.zone)
        cursor = self._cursor()
        try:
            with TimeLimit(cursor, deadline) as limit, explained(limit), watched(list(paths.values())):
                scan = scan_sql(table, files, paths, described(cursor))
                return [_in_utc(row) for row in cursor.execute(f"WITH {ROWS} AS ({scan}) {sql}", values).fetchall()]
        finally:
            cursor.close()

    def _cursor(self) -> DuckDBPyConnection:
        with self._guard:
            if self._session is None:
                self._session = open_session(None, memory_limit=self._memory_limit, threads=1)
            return self._session.cursor()


def _in_utc(row: Row) -> Row:
    return tuple(value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for value in row)
