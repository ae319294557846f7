"""Writing a load's accepted rows as Parquet, one folder for each partition, the same bytes on every run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lakehead.contract import sql
from lakehead.contract.plan import OutputColumn
from lakehead.etl.base import StagedFile
from lakehead.etl.folders import Partitions, folder_of, rows_per_file
from lakehead.etl.place import Place

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROWS_ORDERED = 1 << 20
"""How many rows are ordered at once, unless one partition has more."""
_BATCHES_AT_ONCE = 2
# Version 1 pages, for Spark 3.5 cannot read all encodings of version 2.
PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PARQUET_VERSION v1, ROW_GROUP_SIZE 122880"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The accepted rows: those of table `relation` that meet `condition`; `line` is the SQL of a row's line.

    `keys` names the partition columns in the order of the folders. `partitions` has their values, as texts, and the
    number of rows of each, in the order of the values, nulls last. `text_bytes` is the size of the text that the rows
    come from. `in_order` says that the table holds the rows in the order of their lines.
    """

    relation: str
    condition: str
    line: str
    columns: tuple[OutputColumn, ...]
    keys: tuple[str, ...]
    partitions: Partitions
    text_bytes: int
    in_order: bool

    @property
    def query(self) -> str:
        """SQL for the columns that are stored in files."""
        stored = ", ".join(sql.name(column.name) for column in self.columns if not column.partition)
        return f"SELECT {stored} FROM {self.relation} WHERE {self.condition}"


@dataclass(frozen=True, slots=True)
class _Slice:
    """Rows of one partition that make up one file: `count` rows from the `first` of their batch."""

    partition: str
    number: int
    first: int
    count: int


@dataclass(slots=True)
class _Batch:
    """Partitions that are ordered together: those whose first key is from `least` to `most`, `rows` rows."""

    number: int
    least: str | None
    most: str | None
    rows: int = 0
    slices: list[_Slice] = field(default_factory=list)


def write_partitions(connection: DuckDBPyConnection, rows: Accepted, target: Path, place: Place) -> list[StagedFile]:
    """Write `<partition>/<n>.parquet` below `target`, rows in the order of their lines."""
    batches = _batches(rows, place)
    slices = [item for batch in batches for item in batch.slices]
    for partition in dict.fromkeys(item.partition for item in slices):
        (target / partition).mkdir(parents=True, exist_ok=True)
    if len(slices) == 1:
        order = "" if rows.in_order else f" ORDER BY {rows.line}"
        return [_copy(connection, rows.query + order, slices[0], target)]
    (threads,) = connection.execute("SELECT current_setting('threads')").fetchone() or (1,)
    if len(batches) == 1:
        with ThreadPoolExecutor(int(threads)) as pool:
            return _write_batch(connection, rows, batches[0], "", target, pool.map)
    with ThreadPoolExecutor(min(int(threads), _BATCHES_AT_ONCE)) as pool:
        written = pool.map(
            lambda batch: _write_batch(connection, rows, batch, f" AND {_within(batch, rows)}", target, map), batches
        )
        return [file for files in written for file in files]


def _write_batch(
    connection: DuckDBPyConnection,
    rows: Accepted,
    batch: _Batch,
    within: str,
    target: Path,
    each: Callable[[Callable[[_Slice], StagedFile], list[_Slice]], Iterable[StagedFile]],
) -> list[StagedFile]:
    """Order the rows of a batch, then write its files; `each` is a `map` that may run them at once."""
    order = ", ".join([*(f"{sql.name(key)} NULLS LAST" for key in rows.keys), rows.line])
    table = f"ordered{batch.number}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} AS {rows.query}{within} ORDER BY {order}")
        files = list(each(partial(_copy_slice, connection, f"FROM {table}", target), batch.slices))
        cursor.execute(f"DROP TABLE {table}")
    return files


def _batches(rows: Accepted, place: Place) -> list[_Batch]:
    """Cut the partitions into batches that fit into memory when they are ordered; sorting them all would spill."""
    total = sum(count for _, count in rows.partitions)
    per_file = rows_per_file(total, rows.text_bytes)
    whole = any(None in values for values, _ in rows.partitions)
    batches: list[_Batch] = []
    for values, count in rows.partitions:
        key = values[0] if values else None
        if not batches or not (whole or batches[-1].most == key or batches[-1].rows + count <= ROWS_ORDERED):
            batches.append(_Batch(len(batches), key, key))
        batch, partition = batches[-1], folder_of(rows.keys, values, place)
        for number, start in enumerate(range(0, count, per_file)):
            batch.slices.append(_Slice(partition, number, batch.rows + start, min(per_file, count - start)))
        batch.most, batch.rows = key, batch.rows + count
    return batches


def _within(batch: _Batch, rows: Accepted) -> str:
    """SQL: the row is of the batch. A value's text, cast to its type, is that value."""
    column = next(column for column in rows.columns if column.name == rows.keys[0])
    least, most = (f"CAST({sql.text(value or '')} AS {column.type})" for value in (batch.least, batch.most))
    return f"{sql.name(column.name)} BETWEEN {least} AND {most}"


def _copy_slice(connection: DuckDBPyConnection, query: str, target: Path, item: _Slice) -> StagedFile:
    where = f"rowid >= {item.first} AND rowid < {item.first + item.count}"
    with connection.cursor() as cursor:
        return _copy(cursor, f"{query} WHERE {where}", item, target)


def _copy(connection: DuckDBPyConnection, query: str, item: _Slice, target: Path) -> StagedFile:
    path = target / item.partition / f"{item.number}.parquet"
    (written,) = connection.execute(f"COPY ({query}) TO {sql.text(str(path))} ({PARQUET})").fetchone() or (0,)
    return StagedFile(path, item.partition, int(written), path.stat().st_size)
