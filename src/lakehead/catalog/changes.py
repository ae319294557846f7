"""What a crawl found, as a plan, and the one function that applies it inside a transaction."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from lakehead.catalog import quarantined
from lakehead.catalog.athena_types import merge_columns
from lakehead.catalog.types import ColumnType, CrawlReport, PartitionValues, Quarantined
from lakehead.model import iso

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"

Schema = tuple[ColumnType, ...]


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What is known of a table before anything is in it. `columns` are those to show until a file brings its own."""

    name: str
    dataset: str
    zone: str
    bucket: str
    location: str
    classification: str
    columns: Schema
    partition_keys: Schema
    parameters: Mapping[str, str] = field(default_factory=dict)
    dialect: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that belongs to an object. `schema` is its own where it is not the object's; `()` if nobody knows it."""

    key: str
    partition: str
    rows: int | None
    bytes: int
    problem: str = ""
    schema: Schema | None = None


@dataclass(frozen=True, slots=True)
class FoundObject:
    """The whole of what a landed object contributes to a table. `version` changes whenever that may have changed.

    `quarantined` is for the index, where the table is a quarantine table.
    """

    table: str
    object_id: str
    version: str
    changed_at: str
    schema: Schema
    files: tuple[FoundFile, ...]
    quarantined: Quarantined | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What a crawl found. With `full`, what is neither found nor unchanged is gone."""

    tables: tuple[TableSpec, ...]
    found: tuple[FoundObject, ...] = ()
    removed: frozenset[str] = frozenset()
    unchanged: frozenset[str] = frozenset()
    full: bool = False
    objects: int = 0
    unreadable: int = 0


def fingerprint(schema: Schema) -> str:
    """16 hex digits that are the same for files of the same columns and types."""
    return hashlib.sha256(_dump_columns(schema).encode()).hexdigest()[:16]


def partition_values(path: str) -> PartitionValues:
    """`order_date=2025-01-01/shop=a%2Fb` as names and values."""
    pairs = (segment.partition("=") for segment in path.split("/") if "=" in segment)
    return {name.lower(): None if value == NULL_PARTITION else unquote(value) for name, _, value in pairs}


def apply_changes(connection: sqlite3.Connection, changes: Changes, now: datetime) -> CrawlReport:
    """Bring the tables to what the crawl found. To be called inside a transaction; returns what it did."""
    report = CrawlReport(objects=changes.objects, unreadable=changes.unreadable)
    for spec in changes.tables:
        table = _TableWriter(connection, spec, iso(now))
        mine = [found for found in changes.found if found.table == spec.name]
        gone = set(changes.removed)
        if changes.full:
            gone = table.object_ids() - {found.object_id for found in mine} - changes.unchanged
        report = _sum(report, table.apply(mine, gone))
    return report


class _TableWriter:
    """Replaces the files of whole objects in one table and keeps partitions, schemas and columns in step."""

    def __init__(self, connection: sqlite3.Connection, spec: TableSpec, now: str) -> None:
        self.connection, self.spec, self.now = connection, spec, now
        self.touched: set[str] = set()
        self.added = self.updated = self.removed = 0

    def object_ids(self) -> set[str]:
        rows = self.connection.execute("SELECT object_id FROM objects WHERE table_name=?", (self.spec.name,))
        return {row["object_id"] for row in rows}

    def apply(self, found: Iterable[FoundObject], gone: Iterable[str]) -> CrawlReport:
        for object_id in gone:
            self.removed += len(self._take_out(object_id))
        for one in found:
            self._replace(one)
        partitions = self._sync_partitions()
        tables = self._sync_table()
        return CrawlReport(
            files_added=self.added,
            files_updated=self.updated,
            files_removed=self.removed,
            partitions_added=partitions[0],
            partitions_updated=partitions[1],
            partitions_removed=partitions[2],
            tables_added=tables[0],
            tables_updated=tables[1],
        )

    def _take_out(self, object_id: str) -> set[str]:
        rows = self.connection.execute(
            "DELETE FROM files WHERE table_name=? AND object_id=? RETURNING partition, key", (self.spec.name, object_id)
        ).fetchall()
        self.connection.execute("DELETE FROM objects WHERE table_name=? AND object_id=?", (self.spec.name, object_id))
        quarantined.forget(self.connection, self.spec.name, object_id)
        self.touched.update(row["partition"] for row in rows)
        return {row["key"] for row in rows}

    def _replace(self, found: FoundObject) -> None:
        mark = fingerprint(found.schema)
        known = self.connection.execute(
            "SELECT version, fingerprint FROM objects WHERE table_name=? AND object_id=?",
            (self.spec.name, found.object_id),
        ).fetchone()
        if known and known["version"] == found.version and known["fingerprint"] == mark:
            return
        before = self._take_out(found.object_id)
        now = {file.key for file in found.files}
        self.added += len(now - before)
        self.updated += len(now & before)
        self.removed += len(before - now)
        self._store_schema(found.schema)
        self.connection.execute(
            "INSERT INTO objects (table_name, object_id, fingerprint, version, changed_at) VALUES (?, ?, ?, ?, ?)",
            (self.spec.name, found.object_id, mark, found.version, found.changed_at),
        )
        self.connection.executemany(
            "INSERT OR REPLACE INTO files (table_name, partition, key, bucket, row_count, bytes, object_id,"
            " fingerprint, problem) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (*where, file.rows, file.bytes, found.object_id, self._mark(file, mark), file.problem)
                for file in found.files
                for where in [(self.spec.name, file.partition, file.key, self.spec.bucket)]
            ],
        )
        self.touched.update(file.partition for file in found.files)
        if found.quarantined is not None:
            quarantined.store(self.connection, self.spec.name, found.object_id, found.quarantined)

    def _mark(self, file: FoundFile, of_object: str) -> str:
        return of_object if file.schema is None else self._store_schema(file.schema)

    def _store_schema(self, schema: Schema) -> str:
        mark = fingerprint(schema)
        self.connection.execute(
            "INSERT OR IGNORE INTO schemas (fingerprint, columns) VALUES (?, ?)", (mark, _dump_columns(schema))
        )
        return mark

    def _sync_partitions(self) -> tuple[int, int, int]:
        added = updated = removed = 0
        for path in sorted(self.touched) if self.spec.partition_keys else ():
            # sum() over a set with an unknown count would leave it out, so unknown stays unknown.
            total = self.connection.execute(
                "SELECT count(*) AS files, coalesce(sum(bytes), 0) AS bytes,"
                " CASE WHEN count(row_count) = count(*) THEN sum(row_count) END AS row_count"
                " FROM files WHERE table_name=? AND partition=?",
                (self.spec.name, path),
            ).fetchone()
            where = (self.spec.name, path)
            if not total["files"]:
                removed += self.connection.execute(
                    "DELETE FROM partitions WHERE table_name=? AND path=?", where
                ).rowcount
                continue
            known = self.connection.execute(
                "SELECT created FROM partitions WHERE table_name=? AND path=?", where
            ).fetchone()
            added, updated = added + (known is None), updated + (known is not None)
            location = f"{self.spec.location}{path}/" if path else self.spec.location
            values = (*where, location, total["row_count"], total["bytes"], total["files"])
            self.connection.execute(
                "INSERT OR REPLACE INTO partitions (table_name, path, location, row_count, bytes, files, created,"
                " updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, known["created"] if known else self.now, self.now),
            )
        return added, updated, removed

    def _sync_table(self) -> tuple[int, int]:
        spec = self.spec
        known = self.connection.execute("SELECT * FROM tables WHERE name=?", (spec.name,)).fetchone()
        described = {
            "dataset": spec.dataset,
            "zone": spec.zone,
            "bucket": spec.bucket,
            "location": spec.location,
            "classification": spec.classification,
            "columns": _dump_columns(self._columns()),
            "partition_keys": _dump_columns(spec.partition_keys),
            "parameters": json.dumps(dict(spec.parameters), sort_keys=True),
            "dialect": json.dumps(dict(spec.dialect), sort_keys=True),
        }
        if known is None:
            names = ["name", *described, "created", "updated"]
            self.connection.execute(
                f"INSERT INTO tables ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
                (spec.name, *described.values(), self.now, self.now),
            )
        elif any(known[name] != value for name, value in described.items()):
            settings = ", ".join(f"{name}=?" for name in described)
            self.connection.execute(
                f"UPDATE tables SET {settings}, updated=? WHERE name=?", (*described.values(), self.now, spec.name)
            )
            return 0, 1
        elif self.added or self.updated or self.removed:
            self.connection.execute("UPDATE tables SET updated=? WHERE name=?", (self.now, spec.name))
        return int(known is None), 0

    def _columns(self) -> Schema:
        """The union of all schemas that objects have, the newest object's first: a function of what is there."""
        rows = self.connection.execute(
            "SELECT s.columns FROM (SELECT fingerprint, max(changed_at) AS newest FROM objects WHERE table_name=?"
            " GROUP BY fingerprint) AS o JOIN schemas AS s USING (fingerprint) ORDER BY newest DESC, fingerprint",
            (self.spec.name,),
        )
        keys = {key.name for key in self.spec.partition_keys}
        merged = merge_columns([tuple((c["name"], c["type"]) for c in json.loads(row["columns"])) for row in rows])
        comments = {column.name: column.comment for column in self.spec.columns}
        found = tuple(ColumnType(name, kind, comments.get(name, "")) for name, kind in merged if name not in keys)
        return found or self.spec.columns


def load_columns(text: str) -> Schema:
    """Columns as the catalog stores them."""
    return tuple(ColumnType(one["name"], one["type"], one.get("comment", "")) for one in json.loads(text))


def _dump_columns(columns: Schema) -> str:
    return json.dumps(
        [{"name": one.name, "type": one.type, **({"comment": one.comment} if one.comment else {})} for one in columns],
        ensure_ascii=False,
    )


def _sum(left: CrawlReport, right: CrawlReport) -> CrawlReport:
    names = CrawlReport.__dataclass_fields__
    return replace(left, **{name: getattr(left, name) + getattr(right, name) for name in names})
