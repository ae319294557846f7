"""Queries of a deployed lake: Athena's answers with Python's types, as the embedded engine gives them."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from lakehead.aws.api import Aws, Expected
from lakehead.errors import LakeheadError, QueryError
from lakehead.query.bound import name_sql, text_sql
from lakehead.query.result import QueryResult, Row
from lakehead.query.types import from_glue

FIRST_LOOK_SECONDS = 0.1
LOOK_SECONDS = 1.0
PAGE = 1000


class Athena:
    """Runs queries in a workgroup, which decides where results go and how much may be read."""

    def __init__(self, aws: Aws, *, workgroup: str, database: str) -> None:
        self._aws, self._workgroup, self._database = aws, workgroup, database

    def run(self, sql: str, *, timeout_seconds: float) -> QueryResult:
        """Run one statement. Raises QueryError where Athena refuses it, or it takes too long: then it is stopped."""
        started = self._started(sql)
        try:
            ended = self._ended(started, time.monotonic() + timeout_seconds)
        except BaseException:  # a query that nobody waits for costs money all the same
            with contextlib.suppress(LakeheadError):
                self._aws.call("athena", "stop_query_execution", QueryExecutionId=started)
            raise
        status = ended["Status"]
        if status["State"] != "SUCCEEDED":
            raise QueryError(
                status.get("StateChangeReason") or f"the query is {status['State']}", query_execution=started
            )
        return self._answer(started, ended)

    def _started(self, sql: str) -> str:
        where = {"WorkGroup": self._workgroup, "QueryExecutionContext": {"Database": self._database}}
        refused = ("InvalidRequestException",)
        try:
            told = self._aws.call("athena", "start_query_execution", expected=refused, QueryString=sql, **where)
        except Expected as error:
            hint = "Mend the SQL; or, where the workgroup is missing, deploy first: lakehead deploy apply"
            raise QueryError(error.message, hint=hint, workgroup=self._workgroup) from error
        return str(told["QueryExecutionId"])

    def _answer(self, query: str, ended: dict[str, Any]) -> QueryResult:
        sized = {"QueryExecutionId": query, "PaginationConfig": {"PageSize": PAGE}}
        pages = self._aws.pages("athena", "get_query_results", **sized)
        first = next(pages)
        columns = [(one["Name"], _athena_type(one)) for one in first["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]]
        rows = _rows(itertools.chain([first], pages), columns, header=ended.get("StatementType") == "DML")
        answer = Streamed(columns, rows)
        scanned = ended.get("Statistics", {}).get("DataScannedInBytes", 0)
        return QueryResult(columns, answer.rows(), UNKNOWN, scanned_bytes=scanned, _answer=answer)

    def _ended(self, query: str, deadline: float) -> dict[str, Any]:
        pause = FIRST_LOOK_SECONDS
        while True:
            told: dict[str, Any] = self._aws.call("athena", "get_query_execution", QueryExecutionId=query)[
                "QueryExecution"
            ]
            state = told["Status"]["State"]
            if state in ("SUCCEEDED", "FAILED", "CANCELLED"):
                return told
            if time.monotonic() >= deadline:
                hint = "Narrow it, or give it longer: --set query_seconds=300"
                raise QueryError("the query takes too long, and was stopped", hint=hint, query_execution=query)
            time.sleep(pause)
            pause = min(LOOK_SECONDS, pause * 1.5)


UNKNOWN = -1
"""The count of rows that nobody has read yet."""


class Streamed:
    """Rows that come page by page, to be read once."""

    def __init__(self, columns: list[tuple[str, str]], rows: Iterator[Row]) -> None:
        self._columns, self._rows = columns, rows

    def rows(self) -> Iterator[Row]:
        """The rows."""
        return self._rows

    def close(self) -> None:
        """Nothing is held."""

    def write_parquet(self, path: Path, names: list[str]) -> None:
        """Write the rows as a Parquet file, by a DuckDB session of its own."""
        import duckdb

        kinds = [from_glue(kind).duckdb for _, kind in self._columns]
        unique = [name if names.index(name) == at else f"{name}_{at + 1}" for at, name in enumerate(names)]
        told = ", ".join(f"{name_sql(name)} {kind}" for name, kind in zip(unique, kinds, strict=True))
        with duckdb.connect() as session:
            session.execute(f"CREATE TABLE answer ({told})")
            marks = ", ".join("?" * len(kinds))
            while batch := [list(row) for row in itertools.islice(self._rows, PAGE)]:
                session.executemany(f"INSERT INTO answer VALUES ({marks})", batch)
            session.execute(f"COPY answer TO {text_sql(str(path))} (FORMAT parquet, COMPRESSION zstd)")


def _athena_type(column: dict[str, Any]) -> str:
    name = str(column["Type"])
    return f"decimal({column['Precision']},{column['Scale']})" if name == "decimal" else name


def _rows(pages: Iterator[Any], columns: list[tuple[str, str]], *, header: bool) -> Iterator[Row]:
    """The rows of all pages, without the line of names that a SELECT's first page begins with."""
    readers = [_READERS.get(kind.partition("(")[0], str) for _, kind in columns]
    texts = (row["Data"] for page in pages for row in page["ResultSet"]["Rows"])
    for cells in itertools.islice(texts, 1 if header else 0, None):
        values = [cell.get("VarCharValue") for cell in cells]
        if len(values) != len(readers):  # DESCRIBE and SHOW answer with one text, whose columns stand between tabs
            told = [part.strip() or None for text in values for part in (text or "").split("\t")]
            values = [*told, *[None] * len(readers)][: len(readers)]
        yield tuple(None if text is None else read(text) for read, text in zip(readers, values, strict=True))


def _instant(text: str) -> datetime:
    """`2025-01-03 08:00:00.000`, in UTC; a time zone may stand behind it, by name or as `+01:00`."""
    day, moment, *zone = text.split(" ", 2)
    if zone and zone[0][0] not in "+-":
        found = datetime.fromisoformat(f"{day} {moment}").replace(tzinfo=ZoneInfo(zone[0]))
    else:
        found = datetime.fromisoformat(f"{day} {moment}{''.join(zone)}")
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


_READERS: dict[str, Callable[[str], Any]] = {
    "boolean": lambda text: text.lower() == "true",
    **dict.fromkeys(("tinyint", "smallint", "int", "integer", "bigint"), int),
    **dict.fromkeys(("float", "real", "double"), float),
    "decimal": Decimal,
    "date": date.fromisoformat,
    "timestamp": _instant,
    "timestamp with time zone": _instant,
    "varbinary": bytes.fromhex,
}
"""How a value is read, by its type; all others are told as text."""
