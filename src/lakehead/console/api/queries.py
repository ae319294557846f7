"""Queries: ask, look how they are, read answers as rows, chart, CSV and Parquet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from starlette.responses import Response, StreamingResponse

from lakehead.console.api.endpoint import Endpoint
from lakehead.console.api.inputs import Limit, Offset, QueryRequest, Text
from lakehead.console.context import Console
from lakehead.results import ChartData, NamedQuery, QueryPage, QueryState

CSV, PARQUET = "text/csv", "application/vnd.apache.parquet"
CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class SchemaColumn:
    """A column that can be queried, with its Athena type."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class SchemaTable:
    """A table that can be queried."""

    name: str
    columns: tuple[SchemaColumn, ...]


def query_schema(console: Console) -> tuple[SchemaTable, ...]:
    """Every table with its columns, for an editor's completion."""
    return tuple(
        SchemaTable(
            table.name,
            tuple(SchemaColumn(column.name, column.type) for column in (*table.columns, *table.partition_keys)),
        )
        for table in console.lake.catalog.tables()
    )


def named_queries(console: Console) -> list[NamedQuery]:
    """The queries of the lake's `queries/` folder."""
    return console.lake.named_queries()


def list_queries(console: Console, *, limit: Limit = 50) -> list[QueryState]:
    """The queries that were asked here, newest first."""
    return console.desk.history(limit)


def submit_query(console: Console, *, body: QueryRequest) -> QueryState:
    """Take a query; it runs or waits for its turn."""
    return console.desk.submit(body.sql)


def show_query(console: Console, *, query: Text) -> QueryState:
    """How a query is."""
    return console.desk.state(query)


def cancel_query(console: Console, *, query: Text) -> QueryState:
    """Stop a query at once. One that has ended stays as it is."""
    return console.desk.cancel(query)


def query_page(console: Console, *, query: Text, offset: Offset = 0, limit: Limit = 100) -> QueryPage:
    """Some rows of an answer. Answers 503 while the query runs."""
    return console.desk.page(query, offset, limit)


def query_chart(console: Console, *, query: Text) -> ChartData:
    """An answer as a chart, where its columns make one. Answers 503 while the query runs."""
    return console.desk.chart(query)


def query_csv(console: Console, *, query: Text) -> Response:
    """An answer as CSV. A text that a spreadsheet would take for a formula has an apostrophe before it."""
    pieces = console.desk.csv(query)
    return StreamingResponse(pieces, media_type=CSV, headers=_attachment(query, "csv"))


def query_parquet(console: Console, *, query: Text) -> Response:
    """An answer as a Parquet file."""
    stream = console.desk.parquet(query)
    headers = {**_attachment(query, "parquet"), "Content-Length": str(os.fstat(stream.fileno()).st_size)}
    return StreamingResponse(_chunks(stream), media_type=PARQUET, headers=headers)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _attachment(query: str, suffix: str) -> dict[str, str]:
    """A download whose name is ours: what is in an id that somebody made up never gets into a header."""
    name = "".join(letter for letter in query if letter.isascii() and letter.isalnum())[:12]
    return {"Content-Disposition": f'attachment; filename="query-{name}.{suffix}"'}


ENDPOINTS = (
    Endpoint("GET", "/schema", query_schema),
    Endpoint("GET", "/named-queries", named_queries),
    Endpoint("GET", "/queries", list_queries),
    Endpoint("POST", "/queries", submit_query, errors=(422,), status=202),
    Endpoint("GET", "/queries/{query}", show_query, errors=(404,)),
    Endpoint("GET", "/queries/{query}/page", query_page, errors=(404,)),
    Endpoint("GET", "/queries/{query}/chart", query_chart, errors=(404,)),
    Endpoint("POST", "/queries/{query}/cancel", cancel_query, errors=(404,)),
    Endpoint("GET", "/queries/{query}/csv", query_csv, errors=(404,), media_types=(CSV,)),
    Endpoint("GET", "/queries/{query}/parquet", query_parquet, errors=(404,), media_types=(PARQUET,)),
)
