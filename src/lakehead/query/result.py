"""What a query answered."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lakehead.query.bound import name_sql, text_sql
from lakehead.query.types import Type

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BATCH = 5_000
_ROW_GROUP = 20_480
_PARQUET = f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})"
"""Row groups are small enough that one page of an answer is read in milliseconds."""

_INTERVAL_TEXTS = {
    "interval day to second": (
        "printf('%s%d %02d:%02d:%02d.%03d', CASE WHEN epoch_ms({c}) < 0 THEN '-' ELSE '' END,"
        " abs(epoch_ms({c})) // 86400000, abs(epoch_ms({c})) // 3600000 % 24, abs(epoch_ms({c})) // 60000 % 60,"
        " abs(epoch_ms({c})) // 1000 % 60, abs(epoch_ms({c})) % 1000)"
    ),
    "interval year to month": (
        "printf('%s%d-%d', CASE WHEN {c} < INTERVAL 0 MONTH THEN '-' ELSE '' END,"
        " abs(datepart('year', {c})), abs(datepart('month', {c})))"
    ),
}
"""An interval as Athena writes it, `1 02:00:00.000` and `0-3`: Parquet holds no negative ones."""

Row = tuple[Any, ...]


class Kept(Protocol):
    """What holds an answer until it is read."""

    def close(self) -> None:
        """Let go of it."""

    def write_parquet(self, path: Path, names: list[str]) -> None:
        """Write it as a Parquet file with these columns."""


@dataclass(slots=True)
class QueryResult:
    """The answer: `columns` are names and Athena types, `rows` an iterator of tuples, to be read once.

    Values are None, bool, int, float, Decimal, str, bytes, date, datetime (in UTC), list or dict. `files` and
    `scanned_bytes` are those of the files that the query selected; `partitions` tells how many of how many it looked
    at, over all tables. `truncated`: there were more than `max_rows` rows. `row_count` is -1 where rows are fetched as
    they are read. `widest_row` is the bytes of the greatest row's texts, where they were measured. Close it, or read it
    to the end.
    """

    columns: list[tuple[str, str]]
    rows: Iterator[Row]
    row_count: int
    files: int = 0
    scanned_bytes: int = 0
    partitions: tuple[int, int] = (0, 0)
    truncated: bool = False
    widest_row: int = 0
    _answer: Kept | None = field(default=None, repr=False)

    def __enter__(self) -> QueryResult:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the rows."""
        if self._answer is not None:
            self._answer.close()

    def write_parquet(self, path: Path) -> None:
        """Write the answer as a Parquet file, in the order of its rows."""
        if self._answer is None:
            raise ValueError("only the answer of a query can be written as Parquet")
        self._answer.write_parquet(path, [name for name, _ in self.columns])


class Answer:
    """A table of results in a DuckDB session of its own, with a folder to spill to."""

    def __init__(self, connection: DuckDBPyConnection, table: str, kinds: list[Type], folder: Path, count: int) -> None:
        self._connection, self._table, self._kinds, self._folder = connection, table, kinds, folder
        self._count = count
        # An answer that nobody reads to its end or closes is cleared away with it.
        self.close = weakref.finalize(self, _clear, connection, folder)

    def rows(self) -> Iterator[Row]:
        """The rows; the session is closed behind the last one."""
        try:
            cursor = self._connection.cursor()
            cursor.execute(f"SELECT {', '.join(self._selected())} FROM {self._table} LIMIT {self._count}")
            stamps = [i for i, kind in enumerate(self._kinds) if kind.name in ("timestamp", "timestamptz")]
            while batch := cursor.fetchmany(_BATCH):
                yield from (in_utc(row, stamps) for row in batch) if stamps else batch
        finally:
            self.close()

    def write_parquet(self, path: Path, names: list[str]) -> None:
        """Write the rows, and move the file to its place when it is whole."""
        texts = [_INTERVAL_TEXTS.get(kind.name, "").format(c=f"c{index}") for index, kind in enumerate(self._kinds)]
        columns = (text or sql for text, sql in zip(texts, self._selected(), strict=True))
        selected = ", ".join(
            f"{sql} AS {name_sql(name)}" for sql, name in zip(columns, unique_names(names), strict=True)
        )
        target = self._folder / "result.parquet"
        rows = f"SELECT {selected} FROM {self._table} LIMIT {self._count}"
        self._connection.execute(f"COPY ({rows}) TO {text_sql(str(target))} {_PARQUET}")
        shutil.move(target, path)

    def _selected(self) -> list[str]:
        found = []
        for index, kind in enumerate(self._kinds):
            sql = f"c{index}"
            # Without a zone: what the Python client needs for one is not installed.
            found.append(f"timezone('UTC', {sql})" if kind.name == "timestamptz" else f"CAST({sql} AS {kind.duckdb})")
        return found


class Listed:
    """Rows of text, made without a session."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def close(self) -> None:
        """Nothing is held."""

    def write_parquet(self, path: Path, names: list[str]) -> None:
        """Write the rows, by a DuckDB session of its own."""
        import duckdb

        columns = [[row[index] for row in self._rows] for index in range(len(names))]
        selected = ", ".join(f"unnest(CAST(? AS VARCHAR[])) AS {name_sql(name)}" for name in names)
        with duckdb.connect() as session:
            session.execute(f"COPY (SELECT {selected}) TO {text_sql(str(path))} {_PARQUET}", columns)


def in_utc(row: Row, stamps: list[int]) -> Row:
    """A row whose instants, the columns at `stamps`, say that they are in UTC: DuckDB tells them without a zone."""
    values = list(row)
    for index in stamps:
        if isinstance(values[index], datetime):
            values[index] = values[index].replace(tzinfo=UTC)
    return tuple(values)


def unique_names(names: list[str]) -> list[str]:
    """Names that the columns of a file can have: the second `total` is `total_2`."""
    unique: list[str] = []
    for name in names:
        number = sum(one == name or one.startswith(f"{name}_") for one in unique)
        unique.append(f"{name}_{number + 1}" if name in unique else name)
    return unique


def _clear(connection: DuckDBPyConnection, folder: Path) -> None:
    with suppress(Exception):
        connection.close()
    shutil.rmtree(folder, ignore_errors=True)
