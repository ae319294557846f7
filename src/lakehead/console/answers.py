"""Reads the answers that queries left as Parquet files: a page, all of it as CSV, a chart."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from lakehead.console.cells import TEXT_CHARS, csv_value, guarded, json_value
from lakehead.query.bound import text_sql
from lakehead.query.result import in_utc
from lakehead.results import QueryPage

PAGE_ROWS = 1_000
"""The most rows of a page."""

_PAGE_BYTES = 8 << 20
_BATCH_ROWS = 2_000
_BATCH_BYTES = 16 << 20
_CSV_BYTES = 64 << 10
_MEMORY = "256MB"
_THREADS = 2


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer on the disk. `widest_row` is the bytes of its greatest row's texts."""

    path: Path
    columns: tuple[tuple[str, str], ...]
    rows: int
    widest_row: int

    @property
    def scan(self) -> str:
        """Its rows, as something to select from."""
        return f"read_parquet({text_sql(str(self.path))}, hive_partitioning = false)"


class Reader:
    """A DuckDB session that reads answers below one folder, and nothing else. Safe from several threads.

    It runs only the console's own SQL, never a person's.
    """

    def __init__(self, folder: Path) -> None:
        self._session = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": _MEMORY,
                "threads": _THREADS,
                "temp_directory": "",
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,
            },
        )
        # What is seen between is the session's own; other sessions of this process are not touched.
        for statement in (
            f"SET allowed_directories = [{text_sql(str(folder))}]",
            "SET enable_external_access = false",
            "SET lock_configuration = true",
        ):
            self._session.execute(statement)

    def close(self) -> None:
        """Let the session go."""
        self._session.close()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of one of the console's own queries."""
        with self._session.cursor() as cursor:
            return cursor.execute(sql).fetchall()

    def page(self, kept: Kept, offset: int, limit: int) -> QueryPage:
        """At most `limit` and PAGE_ROWS rows from `offset` on; fewer where rows are wide."""
        widest = min(kept.widest_row, TEXT_CHARS * len(kept.columns))
        offset, limit = max(0, min(offset, kept.rows)), max(1, min(limit, PAGE_ROWS, _PAGE_BYTES // max(1, widest)))
        sql = f"SELECT * FROM {kept.scan} LIMIT {limit} OFFSET {offset}"
        rows = tuple(tuple(json_value(value) for value in row) for row in self._stream(kept, sql))
        return QueryPage(kept.columns, rows, offset, kept.rows)

    def csv(self, kept: Kept) -> Iterator[bytes]:
        """All rows as RFC 4180 has them, UTF-8, with a line of names, in pieces of some 64 kB."""
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator="\r\n")
        writer.writerow([guarded(name) for name, _ in kept.columns])
        for row in self._stream(kept, f"SELECT * FROM {kept.scan}"):
            writer.writerow([csv_value(value) for value in row])
            if buffer.tell() >= _CSV_BYTES:
                yield buffer.getvalue().encode()
                buffer.seek(0)
                buffer.truncate()
        yield buffer.getvalue().encode()

    def _stream(self, kept: Kept, sql: str) -> Iterator[tuple[Any, ...]]:
        """Rows, no more of them in memory than their greatest width allows."""
        batch = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, kept.widest_row)))
        stamps = [at for at, (_, kind) in enumerate(kept.columns) if kind.startswith("timestamp")]
        with self._session.cursor() as cursor:
            cursor.execute(sql)
            while rows := cursor.fetchmany(batch):
                yield from (in_utc(row, stamps) for row in rows) if stamps else rows
