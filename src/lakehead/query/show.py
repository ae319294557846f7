"""SHOW TABLES, SHOW PARTITIONS and DESCRIBE, from the catalog."""

from __future__ import annotations

from lakehead.catalog import CatalogReader
from lakehead.errors import QueryError, TableNotFound
from lakehead.query.parse import Show
from lakehead.query.result import Listed, QueryResult, Row
from lakehead.query.types import from_glue


def show(statement: Show, catalog: CatalogReader) -> QueryResult:
    """The answer, in the columns in which Athena gives it. Raises QueryError for a table that is not there."""
    with catalog.snapshot() as seen:
        if statement.what == "databases":
            return _result(["database_name"], [(one.name,) for one in seen.databases()])
        if statement.what == "tables":
            return _result(["tab_name"], [(one.name,) for one in seen.tables()])
        try:
            table = seen.table(statement.table)
        except TableNotFound as error:
            raise QueryError(error.message, hint=error.hint, table=statement.table) from error
        if statement.what == "partitions":
            return _result(["partition"], [(one.path,) for one in seen.partitions(table.name)])
        columns = [(one.name, str(from_glue(one.type)), "", one.comment) for one in table.columns]
        keys = [(one.name, str(from_glue(one.type)), "partition key", one.comment) for one in table.partition_keys]
        return _result(["column", "type", "extra", "comment"], columns + keys)


def _result(names: list[str], rows: list[Row]) -> QueryResult:
    return QueryResult([(name, "varchar") for name in names], iter(rows), len(rows), _answer=Listed(rows))
