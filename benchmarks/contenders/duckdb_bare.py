"""Bare DuckDB: one typed table, two COPYs."""

from __future__ import annotations

from pathlib import Path

import duckdb

from benchmarks.contenders import COLUMNS, GRAMMAR, contend

TYPES = {"order_id": "BIGINT", "quantity": "INTEGER", "price": "DECIMAL(12, 2)", "order_date": "DATE"}
GOOD = "id IS NOT NULL AND customer_id IS NOT NULL AND product IS NOT NULL AND q IS NOT NULL AND p >= 0"
GOOD += " AND d IS NOT NULL AND total_amount IS NOT NULL"


def connect() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("SET disabled_optimizers = 'type_pushdown'")  # or rows are lost, duckdb#23818
    return connection


def rows_of(source: str) -> str:
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in COLUMNS)
    return f"read_csv('{source}', header = true, delim = ',', quote = '\"', columns = {{{columns}}})"


def cast(name: str, short: str) -> str:
    matches = rf"regexp_matches({name}, '^({GRAMMAR[name]})\z')"
    return f"CASE WHEN {matches} THEN TRY_CAST({name} AS {TYPES[name]}) END AS {short}"


def load(source: str, folder: Path) -> None:
    shorts = {"order_id": "id", "quantity": "q", "price": "p", "order_date": "d"}
    casts = ", ".join(cast(name, short) for name, short in shorts.items())
    connection = connect()
    connection.execute(
        f"""CREATE TABLE typed AS SELECT *, TRY_CAST(CAST(p AS DECIMAL(22, 2)) * q AS DECIMAL(14, 2)) AS total_amount
            FROM (SELECT *, {casts} FROM {rows_of(source)})"""
    )
    connection.execute(
        f"""COPY (SELECT id AS order_id, customer_id, product, q AS quantity, p AS price, d AS order_date, total_amount
              FROM typed WHERE {GOOD})
            TO '{folder}/data' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PARTITION_BY (order_date))"""
    )
    (folder / "quarantine").mkdir()
    connection.execute(
        f"""COPY (SELECT {", ".join(COLUMNS)} FROM typed WHERE NOT coalesce({GOOD}, false))
            TO '{folder}/quarantine/rows.parquet' (FORMAT parquet, COMPRESSION zstd)"""
    )


if __name__ == "__main__":
    contend(load)
