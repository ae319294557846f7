"""Partition pruning: DuckDB itself says which partitions a condition can be true for, so it cannot differ."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lakehead.catalog.changes import partition_values
from lakehead.query.bound import name_sql, text_sql
from lakehead.query.queries import Scan
from lakehead.query.types import from_glue

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

log = logging.getLogger(__name__)


def wanted_partitions(connection: DuckDBPyConnection, scan: Scan, paths: list[str]) -> list[str] | None:
    """The paths of the partitions that the conditions of the query select; None for all of them.

    A condition that cannot be evaluated on its own prunes nothing. Neither does one that holds for a row of nulls
    where an outer join makes such rows: it would turn matched rows into unmatched ones.
    """
    conditions = [one for one in scan.conjuncts if _can_prune(connection, scan, one)]
    if not conditions or not paths:
        return None
    rows = ", ".join(f"({', '.join([text_sql(path), *_values(scan, path)])})" for path in paths)
    names = ", ".join(["_path", *(name_sql(key.name) for key in scan.table.partition_keys)])
    where = " AND ".join(f"({one})" for one in conditions)
    try:
        found = connection.execute(
            f"SELECT _path FROM (VALUES {rows}) AS {scan.alias}({names}) WHERE {where}"
        ).fetchall()
    except _duckdb_error() as error:
        log.debug("no partitions are pruned: %s", error)
        return None
    return sorted(str(row[0]) for row in found)


def _can_prune(connection: DuckDBPyConnection, scan: Scan, condition: str) -> bool:
    nulls = ", ".join(
        f"CAST(NULL AS {from_glue(key.type).duckdb}) AS {name_sql(key.name)}" for key in scan.table.partition_keys
    )
    try:
        row = connection.execute(f"SELECT {condition} FROM (SELECT {nulls}) AS {scan.alias}").fetchone()
    except _duckdb_error():
        return False
    return not (scan.nullable and row is not None and row[0] is True)


def _values(scan: Scan, path: str) -> list[str]:
    values = partition_values(path)
    return [
        f"CAST({text_sql(value) if value is not None else 'NULL'} AS {from_glue(key.type).duckdb})"
        for key in scan.table.partition_keys
        for value in [values.get(key.name)]
    ]


def _duckdb_error() -> type[Exception]:
    import duckdb

    return duckdb.Error
