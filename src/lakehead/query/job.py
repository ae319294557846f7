"""What the console's process and a query's own process tell each other: a job, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lakehead.model import Json


@dataclass(frozen=True, slots=True)
class Ground:
    """What a query needs of a lake. Paths are absolute.

    `address` is the store's; where it is `remote`, files are downloaded to `cache_dir`, and `environment` holds the
    variables that open the store.
    """

    catalog: str
    database: str
    address: str
    buckets: tuple[str, ...]
    cache_dir: str
    remote: bool = False
    region: str = ""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a query may go.

    `memory` is DuckDB's own limit, `1GB`; the process may have that much and what DuckDB needs beside it. A row's and
    the answer's bytes are those of its texts, uncompressed. `spill_bytes` bounds what is put aside on the disk.
    """

    memory: str = "1GB"
    threads: int = 2
    seconds: float = 60.0
    rows: int = 1_000_000
    row_bytes: int = 1 << 20
    answer_bytes: int = 512 << 20
    spill_bytes: int = 2 << 30


@dataclass(frozen=True, slots=True)
class QueryJob:
    """One query. `folder` is the job's own: all that it writes lies there, `result.parquet` in the end."""

    sql: str
    folder: str
    ground: Ground
    limits: Limits

    def to_json(self) -> Json:
        """As it is sent."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Any) -> QueryJob:
        """As it was sent."""
        ground = {**told["ground"], "buckets": tuple(told["ground"]["buckets"])}
        return cls(told["sql"], told["folder"], Ground(**ground), Limits(**told["limits"]))


RESULT = "result.parquet"


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """What came of a query; its rows are in `result.parquet`, columns in this order under names of their own.

    `columns` are names and Athena types. `widest_row` is the bytes of the greatest row's texts. `landlock` is the ABI
    that confined the process, 0 where the kernel has none.
    """

    columns: tuple[tuple[str, str], ...]
    row_count: int
    truncated: bool
    files: int
    scanned_bytes: int
    partitions: tuple[int, int]
    widest_row: int
    landlock: int

    def to_json(self) -> Json:
        """As it is sent."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Any) -> QueryAnswer:
        """As it was sent. Raises KeyError, TypeError and ValueError for anything else."""
        first, second = told["partitions"]
        return cls(
            columns=tuple((str(name), str(kind)) for name, kind in told["columns"]),
            row_count=int(told["row_count"]),
            truncated=bool(told["truncated"]),
            files=int(told["files"]),
            scanned_bytes=int(told["scanned_bytes"]),
            partitions=(int(first), int(second)),
            widest_row=int(told["widest_row"]),
            landlock=int(told["landlock"]),
        )
