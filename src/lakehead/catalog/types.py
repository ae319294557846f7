"""What the catalog holds, as plain data. Sizes are bytes; times are UTC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

PartitionValues: TypeAlias = Mapping[str, str | None]
"""`{"order_date": "2025-01-01"}`; None where Hive's default partition stands for a missing value."""

PartitionPredicate: TypeAlias = Callable[[PartitionValues], bool]
"""True where a partition is wanted."""


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column's name (lower case, as in Glue) and its Athena type (`bigint`, `decimal(12,2)`, `string`, ...)."""

    name: str
    type: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition. `path` is its Hive path, `order_date=2025-01-01`; `rows` is None where nobody has counted them."""

    path: str
    values: PartitionValues
    location: str
    rows: int | None
    bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """One file of a table.

    `schema` names the columns that the file itself holds; `problem` says why it cannot be queried, if so (a landed
    file whose header nobody can read). `object_id` is the SHA-256 of the key of the landed object behind it.
    """

    bucket: str
    key: str
    partition: str
    rows: int | None
    bytes: int
    object_id: str
    fingerprint: str
    schema: tuple[ColumnType, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table. `zone` is raw, processed or quarantine. `dialect` tells how a raw table's text is written."""

    name: str
    database: str
    dataset: str
    zone: str
    bucket: str
    location: str
    classification: str
    columns: tuple[ColumnType, ...]
    partition_keys: tuple[ColumnType, ...]
    parameters: Mapping[str, str]
    rows: int | None
    bytes: int
    files: int
    partitions: int
    crawls: int
    created: datetime
    updated: datetime
    dialect: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """What a landed object has in quarantine, by its commit record. `reasons` says how many rows each one holds back.

    A row may have several reasons.
    """

    key: str
    rows: int
    committed_at: datetime
    execution: str
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Database:
    """A database, as Glue names it."""

    name: str
    tables: int


@dataclass(frozen=True, slots=True)
class Note:
    """An object that may have changed since the crawler last looked. `id` grows with every note."""

    id: int
    key: str


@dataclass(frozen=True, slots=True)
class CrawlReport:
    """What one crawl saw and did."""

    objects: int = 0
    unreadable: int = 0
    files_added: int = 0
    files_updated: int = 0
    files_removed: int = 0
    partitions_added: int = 0
    partitions_updated: int = 0
    partitions_removed: int = 0
    tables_added: int = 0
    tables_updated: int = 0

    @property
    def changes(self) -> int:
        """Files that came, changed or went."""
        return self.files_added + self.files_updated + self.files_removed


@dataclass(frozen=True, slots=True)
class Crawl:
    """One crawl that ended. `status`: SUCCEEDED, FAILED or CANCELLED; `table` is the crawler's main table."""

    id: int
    crawler: str
    table: str
    status: str
    full: bool
    started: datetime
    ended: datetime
    report: CrawlReport
    error: str = ""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended - self.started).total_seconds()
