"""Writing a load's accepted rows as Parquet, one folder for each partition, the same bytes on every run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lakehead.contract import sql
from lakehead.contract.plan import OutputColumn
from lakehead.etl.base import StagedFile
from lakehead.etl.folders import folder_of, rows_per_file
from lakehead.etl.judged import Judged, Partition, Span, one_thread_each
from lakehead.etl.place import Place
from lakehead.private import make_folder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROWS_ORDERED = 1 << 20
"""How many rows of small files are put in order together, before they are written."""
SPAN_ROWS = 1_000
"""To fetch a span of a file's rows costs what it costs to put so many rows in order."""
# Version 1 pages, for Spark 3.5 cannot read all encodings of version 2.
PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PARQUET_VERSION v1, ROW_GROUP_SIZE 122880"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The accepted rows, by partition. `text_bytes` is the size of the text that they come from."""

    judged: Judged
    partitions: Sequence[Partition]
    columns: tuple[OutputColumn, ...]
    keys: tuple[str, ...]
    text_bytes: int

    @property
    def stored(self) -> str:
        """SQL for the columns that are stored in files."""
        return ", ".join(sql.name(column.name) for column in self.columns if not column.partition)


@dataclass(frozen=True, slots=True)
class _File:
    """A file to write: number `number` of those in its folder."""

    folder: str
    number: int
    spans: tuple[Span, ...]

    @property
    def rows(self) -> int:
        return sum(span.count for span in self.spans)

    @property
    def scattered(self) -> bool:
        """Whether its rows are so few from so many parts that they are put in order first, with those of others."""
        return len(self.spans) > 1 and self.rows < SPAN_ROWS * len(self.spans)


def write_partitions(connection: DuckDBPyConnection, rows: Accepted, target: Path, place: Place) -> list[StagedFile]:
    """Write `<partition>/<n>.parquet` below `target`, rows in the order of their lines."""
    files = list(_planned(rows, place))
    for folder in dict.fromkeys(file.folder for file in files):
        make_folder(target / folder)
    if len(files) == 1:
        return [_copy(connection, _query(rows, rows.stored, files[0].spans), files[0], target)]
    batches = list(enumerate(_batches(files)))
    with one_thread_each(connection) as each:
        return [file for written in each(partial(_write, rows, target), batches) for file in written]


def _planned(rows: Accepted, place: Place) -> Iterator[_File]:
    per_file = rows_per_file(sum(partition.rows for partition in rows.partitions), rows.text_bytes)
    for partition in rows.partitions:
        folder = folder_of(rows.keys, partition.values, place)
        for number, spans in enumerate(_cut(partition.spans, per_file)):
            yield _File(folder, number, spans)


def _cut(spans: Sequence[Span], most: int) -> Iterator[tuple[Span, ...]]:
    """The spans in the same order, cut where `most` rows are full."""
    taken: list[Span] = []
    room = most
    for span in spans:
        first, left = span.first, span.count
        while left:
            count = min(left, room)
            taken.append(Span(span.part, first, count))
            first, left, room = first + count, left - count, room - count
            if not room:
                yield tuple(taken)
                taken, room = [], most
    if taken:
        yield tuple(taken)


def _batches(files: Sequence[_File]) -> Iterator[list[_File]]:
    """Scattered neighbours together, other files one by one."""
    batch: list[_File] = []
    for file in files:
        if batch and not (file.scattered and sum(other.rows for other in batch) + file.rows <= ROWS_ORDERED):
            yield batch
            batch = []
        batch.append(file)
        if not file.scattered:
            yield batch
            batch = []
    if batch:
        yield batch


def _write(
    rows: Accepted, target: Path, cursor: DuckDBPyConnection, batch: tuple[int, Sequence[_File]]
) -> list[StagedFile]:
    number, files = batch
    if len(files) == 1:
        return [_copy(cursor, _query(rows, rows.stored, files[0].spans), files[0], target)]
    table, staged, first = f"batch{number}", [], 0
    spans = [span for file in files for span in file.spans]
    around = [_around(spans, part) for part in sorted({span.part for span in spans})]
    keys = [sql.name(key) for key in rows.keys]
    order = ", ".join([*(f"{key} NULLS LAST" for key in keys), "_line"])
    found = _query(rows, ", ".join([rows.stored, *keys, "_line"]), around)
    cursor.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT {rows.stored} FROM ({found}) ORDER BY {order}")
    for file in files:
        query = f"SELECT * FROM {table} WHERE rowid >= {first} AND rowid < {first + file.rows}"
        staged.append(_copy(cursor, query, file, target))
        first += file.rows
    cursor.execute(f"DROP TABLE {table}")
    return staged


def _around(spans: Sequence[Span], part: int) -> Span:
    """The rows of a part that neighbouring files have: they lie next to each other."""
    own = [span for span in spans if span.part == part]
    return Span(part, min(span.first for span in own), sum(span.count for span in own))


def _query(rows: Accepted, columns: str, spans: Sequence[Span]) -> str:
    judged = rows.judged
    parts = []
    for span in spans:
        within = f"rowid >= {span.first} AND rowid < {span.first + span.count}" if judged.ordered else judged.condition
        parts.append(f"SELECT {columns} FROM {judged.parts[span.part]} WHERE {within}")
    return " UNION ALL ".join(parts)


def _copy(cursor: DuckDBPyConnection, query: str, file: _File, target: Path) -> StagedFile:
    path = target / file.folder / f"{file.number}.parquet"
    (written,) = cursor.execute(f"COPY ({query}) TO {sql.text(str(path))} ({PARQUET})").fetchone() or (0,)
    return StagedFile(path, file.folder, int(written), path.stat().st_size)
