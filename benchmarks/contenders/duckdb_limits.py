"""The limits of bare DuckDB: parsing alone, and writing partitions of data that is typed already.

Between the two stands the making of the typed table, which is timed apart and part of neither.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.contenders import COLUMNS, Clock, contend
from benchmarks.contenders.duckdb_bare import connect, rows_of


def load(source: str, folder: Path) -> dict[str, float]:
    connection = connect()
    clock = Clock()
    connection.execute(f"SELECT {', '.join(f'count({name})' for name in COLUMNS)} FROM {rows_of(source)}").fetchall()
    told = clock.lap("parse")
    connection.execute(
        f"""CREATE TABLE typed AS SELECT *, CAST(price * quantity AS DECIMAL(14, 2)) AS total_amount FROM (
              SELECT TRY_CAST(order_id AS BIGINT) AS order_id, customer_id, product,
                TRY_CAST(quantity AS INTEGER) AS quantity, TRY_CAST(price AS DECIMAL(12, 2)) AS price,
                TRY_CAST(order_date AS DATE) AS order_date FROM {rows_of(source)}
              WHERE regexp_full_match(quantity, '[0-9]+') AND regexp_full_match(order_id, '[0-9]+')
                AND regexp_full_match(price, '[0-9]+[.][0-9]{{2}}') AND regexp_full_match(order_date, '[0-9-]+'))
            WHERE order_date IS NOT NULL AND price >= 0 AND customer_id IS NOT NULL"""
    )
    clock.lap("between")
    connection.execute(
        f"""COPY typed TO '{folder}/data'
            (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PARTITION_BY (order_date))"""
    )
    return told | clock.lap("write")


if __name__ == "__main__":
    contend(load)
