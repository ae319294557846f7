"""The catalog: what the crawlers found, read in snapshots, and the notes that tell them where to look."""

from __future__ import annotations

import difflib
import functools
import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from lakehead.catalog.changes import Schema, load_columns, partition_values
from lakehead.catalog.quarantined import QuarantineIndex
from lakehead.catalog.schema import DAMAGED, MIGRATIONS
from lakehead.catalog.types import (
    CatalogFile,
    ColumnType,
    Crawl,
    CrawlReport,
    Database,
    Note,
    Partition,
    PartitionPredicate,
    Table,
)
from lakehead.errors import TableNotFound
from lakehead.listeners import Listeners
from lakehead.model import Zone
from lakehead.sqlite import connect, connect_to_read, data_version, explained, open_file, transaction


class CatalogReader:
    """The catalog as it is read. It writes nothing and needs no right to, but a `Catalog` must be open meanwhile.

    Every method may raise Busy and StorageUnavailable, and sees one consistent state; `snapshot()` gives several reads
    the same one.
    """

    def __init__(self, path: Path, *, database: str = "lakehead") -> None:
        self.path = path
        self.database = database

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(connect_to_read(self.path)) as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Reads inside the block all see the same state."""
        with explained(self.path, damaged=DAMAGED), self._connected() as connection:
            connection.row_factory = sqlite3.Row
            with transaction(connection, "DEFERRED"):
                yield Snapshot(connection, self.database)

    def databases(self) -> list[Database]:
        """The lake's one database."""
        with self.snapshot() as seen:
            return seen.databases()

    def tables(self) -> list[Table]:
        """All tables, by name."""
        with self.snapshot() as seen:
            return seen.tables()

    def table(self, name: str) -> Table:
        """One table. Raises TableNotFound with the nearest name."""
        with self.snapshot() as seen:
            return seen.table(name)

    def partitions(self, name: str, where: PartitionPredicate | None = None) -> list[Partition]:
        """A table's partitions, by path. Raises TableNotFound."""
        with self.snapshot() as seen:
            return seen.partitions(name, where)

    def files(self, name: str, where: PartitionPredicate | None = None) -> list[CatalogFile]:
        """A table's files, by partition and key; only those of the wanted partitions. Raises TableNotFound."""
        with self.snapshot() as seen:
            return seen.files(name, where)

    def crawls(self, crawler: str | None = None, limit: int = 100) -> list[Crawl]:
        """The newest crawls that ended, newest first."""
        with self.snapshot() as seen:
            return seen.crawls(crawler, limit)

    def latest_crawl(self) -> datetime | None:
        """The latest moment at which a crawl began; None before the first."""
        with self.snapshot() as seen:
            return seen.latest_crawl()

    def pending(self, dataset: str, zone: Zone | str) -> list[Note]:
        """The notes that no crawl has applied yet, oldest first."""
        with self.snapshot() as seen:
            return seen.pending(dataset, str(zone))

    def versions(self, table: str) -> dict[str, str]:
        """The version of every object that a table holds something of; none for a table that is not there."""
        with self.snapshot() as seen:
            return seen.versions(table)


class Catalog(CatalogReader):
    """Databases, tables, partitions and files, in one SQLite file. Safe from several threads and processes.

    Every method may raise Busy and StorageUnavailable.
    """

    def __init__(self, path: Path, *, database: str = "lakehead") -> None:
        super().__init__(path, database=database)
        self._guard = threading.Lock()
        self._listeners = Listeners[str, str]()
        self._writer = open_file(path, MIGRATIONS, damaged=DAMAGED)
        self._writer.row_factory = sqlite3.Row
        self._idle_guard = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    def close(self) -> None:
        """Let the file go. The catalog is not to be used afterwards."""
        with self._guard, self._idle_guard:
            self._closed = True
            for connection in (self._writer, *self._idle):
                connection.close()
            self._idle.clear()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is on disk when the block ends, or has no effect where it fails. One at a time."""
        with self._guard, explained(self.path, damaged=DAMAGED), transaction(self._writer) as connection:
            yield connection

    def version(self) -> int:
        """A number that changes when another process has written."""
        with self._guard, explained(self.path, damaged=DAMAGED):
            return data_version(self._writer)

    def on_change(self, listener: Callable[[str, str], None]) -> Callable[[], None]:
        """Call `listener` with the dataset and the crawler's table after each crawl of this process.

        It is called by the thread that crawled. Returns how to end that.
        """
        return self._listeners.add(listener)

    def tell(self, dataset: str, table: str) -> None:
        """Tell the listeners that a crawl has ended. For crawlers."""
        self._listeners.tell(dataset, table)

    def note_changed(self, dataset: str, zone: Zone | str, key: str) -> None:
        """Tell the crawler of this zone that the landed object `key` may have changed. On disk when it returns.

        In the processed zone, too, `key` is the key of the landed object: its commit record says which files are its.
        """
        self.note_all_changed([(dataset, zone, key)])

    def note_all_changed(self, changed: Iterable[tuple[str, Zone | str, str]]) -> None:
        """The same for many objects, each with its dataset and zone; one transaction for all."""
        rows = [(dataset, str(zone), key) for dataset, zone, key in changed]
        with self.write() as connection:
            # New lines, not old ones kept: a crawl that took an old note must not wipe out a new one.
            connection.executemany("DELETE FROM notes WHERE dataset=? AND zone=? AND key=?", rows)
            connection.executemany("INSERT OR REPLACE INTO notes (dataset, zone, key) VALUES (?, ?, ?)", rows)

    def overwrite_deleted(self) -> None:
        """From now on have this process overwrite what it deletes, for something is to be forgotten."""
        with self.write() as connection:
            connection.execute("PRAGMA secure_delete = ON")

    def forget_schemas(self) -> None:
        """Forget schemas that no object has any more: names of columns may tell of what was deleted."""
        with self.write() as connection:
            connection.execute(
                "DELETE FROM schemas WHERE fingerprint NOT IN (SELECT fingerprint FROM objects)"
                " AND fingerprint NOT IN (SELECT fingerprint FROM files)"
            )

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        # One that served well is kept, for opening one costs more than most reads.
        with self._idle_guard:
            connection = self._idle.pop() if self._idle else None
        connection = connection or connect(self.path)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._idle_guard:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()


class Snapshot:
    """One state of the catalog."""

    def __init__(self, connection: sqlite3.Connection, database: str) -> None:
        self._connection = connection
        self._database = database

    def databases(self) -> list[Database]:
        """The lake's one database."""
        (count,) = self._connection.execute("SELECT count(*) FROM tables").fetchone()
        return [Database(self._database, count)]

    def tables(self) -> list[Table]:
        """All tables, by name."""
        rows = self._connection.execute("SELECT * FROM tables ORDER BY name").fetchall()
        return [self._table(row) for row in rows]

    def table(self, name: str) -> Table:
        """One table. Raises TableNotFound with the nearest name."""
        return self._table(self._known(name))

    def partitions(self, name: str, where: PartitionPredicate | None = None) -> list[Partition]:
        """A table's partitions, by path. Raises TableNotFound."""
        self._known(name)
        rows = self._connection.execute("SELECT * FROM partitions WHERE table_name=? ORDER BY path", (name,))
        found = [_partition(row) for row in rows]
        return found if where is None else [one for one in found if where(one.values)]

    def partition_page(self, name: str, limit: int, after: str = "", *, descending: bool = False) -> list[Partition]:
        """Partitions by path, those beyond the path `after`. Raises TableNotFound."""
        self._known(name)
        # Rows outside of every partition have the path "".
        beyond = "path > ?" if not (descending and after) else "path <> '' AND path < ?"
        order = "path DESC" if descending else "path"
        sql = f"SELECT * FROM partitions WHERE table_name=? AND {beyond} ORDER BY {order} LIMIT ?"
        return [_partition(row) for row in self._connection.execute(sql, (name, after, limit))]

    def files(self, name: str, where: PartitionPredicate | None = None) -> list[CatalogFile]:
        """A table's files, by partition and key; only those of the wanted partitions. Raises TableNotFound."""
        table = self.table(name)
        if where is None or not table.partition_keys:
            return self._files("SELECT * FROM files WHERE table_name=? ORDER BY partition, key", name)
        return self.files_of(name, [one.path for one in self.partitions(name, where)])

    def files_of(self, name: str, paths: Iterable[str]) -> list[CatalogFile]:
        """The files of the partitions with these paths, in their order."""
        sql = "SELECT * FROM files WHERE table_name=? AND partition=? ORDER BY key"
        return [file for path in paths for file in self._files(sql, name, path)]

    def crawls(self, crawler: str | None = None, limit: int = 100) -> list[Crawl]:
        """The newest crawls that ended, newest first."""
        where, values = ("WHERE crawler=? ", (crawler,)) if crawler is not None else ("", ())
        sql = f"SELECT * FROM crawls {where}ORDER BY id DESC LIMIT ?"
        return [crawl_of(row) for row in self._connection.execute(sql, (*values, limit))]

    def crawls_of(self, table: str, limit: int) -> list[Crawl]:
        """The newest crawls of the crawler whose main table this is, newest first."""
        sql = "SELECT * FROM crawls WHERE table_name=? ORDER BY id DESC LIMIT ?"
        return [crawl_of(row) for row in self._connection.execute(sql, (table, limit))]

    def latest_crawl(self) -> datetime | None:
        """The latest moment at which a crawl began; None before the first."""
        (started,) = self._connection.execute("SELECT max(started) FROM crawls").fetchone()
        return None if started is None else datetime.fromisoformat(started)

    def pending(self, dataset: str, zone: str) -> list[Note]:
        """The notes that no crawl has applied yet, oldest first."""
        rows = self._connection.execute(
            "SELECT id, key FROM notes WHERE dataset=? AND zone=? ORDER BY id", (dataset, zone)
        )
        return [Note(row["id"], row["key"]) for row in rows]

    @property
    def quarantined(self) -> QuarantineIndex:
        """The index of quarantined rows."""
        return QuarantineIndex(self._connection)

    def outdated(self) -> set[str]:
        """The main tables whose next crawl is a full one, because the catalog has to learn more of every object."""
        return {row[0] for row in self._connection.execute("SELECT table_name FROM outdated")}

    def newest_change(self, table: str) -> datetime | None:
        """When the newest version of an object that the table shows was committed (or, in a raw table, landed)."""
        row = self._connection.execute("SELECT max(changed_at) FROM objects WHERE table_name=?", (table,)).fetchone()
        return None if row[0] is None else datetime.fromisoformat(row[0])

    def newest_file(self, table: str) -> CatalogFile | None:
        """A file with rows of one of the newest objects of a table; of any, where the newest have none."""
        newest = (
            "SELECT f.* FROM"
            " (SELECT object_id FROM objects WHERE table_name=?1 ORDER BY changed_at DESC LIMIT 100) AS o"
            " CROSS JOIN files AS f ON f.table_name=?1 AND f.object_id=o.object_id"
            " WHERE problem='' AND row_count IS NOT 0 LIMIT 1"
        )
        any_one = "SELECT * FROM files WHERE table_name=? AND problem='' AND row_count IS NOT 0 LIMIT 1"
        return next(iter(self._files(newest, table) or self._files(any_one, table)), None)

    def files_of_objects(self, table: str, object_ids: Iterable[str]) -> list[CatalogFile]:
        """The files of a table that these objects brought."""
        sql = "SELECT * FROM files WHERE table_name=? AND object_id=? ORDER BY key"
        return [file for object_id in object_ids for file in self._files(sql, table, object_id)]

    def versions(self, table: str) -> dict[str, str]:
        """The version of every object that a table holds something of; none for a table that is not there."""
        rows = self._connection.execute("SELECT object_id, version FROM objects WHERE table_name=?", (table,))
        return {row["object_id"]: row["version"] for row in rows}

    def _known(self, name: str) -> sqlite3.Row:
        row: sqlite3.Row | None = self._connection.execute("SELECT * FROM tables WHERE name=?", (name,)).fetchone()
        if row is None:
            names = [one["name"] for one in self._connection.execute("SELECT name FROM tables ORDER BY name")]
            raise TableNotFound(f'no table is named "{name}"', hint=_hint(name, names), table=name)
        return row

    def _files(self, sql: str, *arguments: str) -> list[CatalogFile]:
        schemas = self._schemas
        return [
            CatalogFile(
                bucket=row["bucket"],
                key=row["key"],
                partition=row["partition"],
                rows=row["row_count"],
                bytes=row["bytes"],
                object_id=row["object_id"],
                fingerprint=row["fingerprint"],
                schema=schemas[row["fingerprint"]],
                problem=row["problem"],
            )
            for row in self._connection.execute(sql, arguments)
        ]

    @functools.cached_property
    def _schemas(self) -> dict[str, Schema]:
        rows = self._connection.execute("SELECT fingerprint, columns FROM schemas")
        return {row["fingerprint"]: load_columns(row["columns"]) for row in rows}

    def _table(self, row: sqlite3.Row) -> Table:
        keys: tuple[ColumnType, ...] = load_columns(row["partition_keys"])
        counted = self._connection.execute(
            # A table with partitions has few of them; one without has its files only.
            "SELECT CASE WHEN count(row_count) = count(*) THEN coalesce(sum(row_count), 0) END AS row_count,"
            " coalesce(sum(bytes), 0) AS bytes,"
            + (
                " coalesce(sum(files), 0) AS files, count(*) AS partitions FROM partitions WHERE table_name=?"
                if keys
                else " count(*) AS files, 0 AS partitions FROM files WHERE table_name=?"
            ),
            (row["name"],),
        ).fetchone()
        return Table(
            name=row["name"],
            database=self._database,
            dataset=row["dataset"],
            zone=row["zone"],
            bucket=row["bucket"],
            location=row["location"],
            classification=row["classification"],
            columns=load_columns(row["columns"]),
            partition_keys=keys,
            parameters=json.loads(row["parameters"]),
            rows=counted["row_count"] if row["zone"] != Zone.RAW else None,
            bytes=counted["bytes"],
            files=counted["files"],
            partitions=counted["partitions"],
            crawls=row["crawls"],
            created=datetime.fromisoformat(row["created"]),
            updated=datetime.fromisoformat(row["updated"]),
            dialect=json.loads(row["dialect"]),
        )


def _partition(row: sqlite3.Row) -> Partition:
    return Partition(
        path=row["path"],
        values=partition_values(row["path"]),
        location=row["location"],
        rows=row["row_count"],
        bytes=row["bytes"],
        files=row["files"],
    )


def crawl_of(row: sqlite3.Row) -> Crawl:
    """A crawl as the catalog stores it."""
    return Crawl(
        id=row["id"],
        crawler=row["crawler"],
        table=row["table_name"],
        status=row["status"],
        full=bool(row["full"]),
        started=datetime.fromisoformat(row["started"]),
        ended=datetime.fromisoformat(row["ended"]),
        report=CrawlReport(**json.loads(row["report"])),
        error=row["error"],
    )


def _hint(name: str, names: list[str]) -> str:
    if not names:
        return "The catalog is empty: ingest a file first."
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    return f'Did you mean "{near[0]}"?' if near else f"The tables are {', '.join(names)}."
