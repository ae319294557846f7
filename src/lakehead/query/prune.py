"""Partition pruning: DuckDB itself says which partitions a condition can be true for, so it cannot differ."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lakehead.catalog.changes import partition_values
from lakehead.query.bound import name_sql
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
    conditions = [one for one in scan.conjuncts if not (scan.nullable and _holds_for_nulls(connection, scan, one))]
    if not conditions or not paths:
        return None
    found = _matching(connection, scan, paths, " AND ".join(f"({one})" for one in conditions))
    if found is not None or len(conditions) == 1:
        return found
    # One of them cannot be evaluated on its own; the others can.
    several = [_matching(connection, scan, paths, one) for one in conditions]
    sets = [set(one) for one in several if one is not None]
    return sorted(set.intersection(*sets)) if sets else None


def _matching(connection: DuckDBPyConnection, scan: Scan, paths: list[str], condition: str) -> list[str] | None:
    import duckdb

    values = [partition_values(path) for path in paths]
    columns = ["unnest(?) AS _path"]
    for key in scan.table.partition_keys:
        columns.append(f"CAST(unnest(?) AS {from_glue(key.type).duckdb}) AS {name_sql(key.name)}")
    lists = [paths, *([one.get(key.name) for one in values] for key in scan.table.partition_keys)]
    try:
        sql = f"SELECT _path FROM (SELECT {', '.join(columns)}) AS {scan.alias} WHERE {condition}"
        found = connection.execute(sql, lists)
        return sorted(str(row[0]) for row in found.fetchall())
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        log.debug("no partitions are pruned: %s", error)
        return None


def _holds_for_nulls(connection: DuckDBPyConnection, scan: Scan, condition: str) -> bool:
    import duckdb

    nulls = ", ".join(
        f"CAST(NULL AS {from_glue(key.type).duckdb}) AS {name_sql(key.name)}" for key in scan.table.partition_keys
    )
    try:
        row = connection.execute(f"SELECT {condition} FROM (SELECT {nulls}) AS {scan.alias}").fetchone()
    except duckdb.Error:
        return True
    return row is not None and row[0] is True
