"""Queries: the shipped ones over many rows beside bare DuckDB on the same files, and one day of a lake of many files.

    python -m benchmarks.queries [--quick] [--json FILE] [--lake DIR] [rows files ...]

`rows` is a table of 365 partitions; the answers of both have to be the same, and they take turns. `files` asks for one
day of a lake of small files: the answer has to come from that day's files alone. The lakes are written straight into
the zones, and made queryable by real crawls.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.lakes import DATASET, FIRST_DAY, PRODUCTS, fill, new_lake
from lakehead.config import LakeConfig
from lakehead.etl.base import CommitRecord, CommittedFile
from lakehead.etl.record import encode
from lakehead.lake import Lake
from lakehead.model import ObjectVersion, iso, object_id
from lakehead.storage import layout

Figures = dict[str, Any]

DAYS = 365
SIZES = {"rows": 100_000_000, "files": 100_000, "rounds": 7}
QUICK = {"rows": 5_000_000, "files": 5_000, "rounds": 5}
PARTS = ("rows", "files")
BARE = {
    "daily_revenue": """SELECT order_date AS day, count(DISTINCT order_id) AS orders, sum(total_amount) AS revenue,
        sum(total_amount) - lag(sum(total_amount)) OVER (ORDER BY order_date) AS change
        FROM lake GROUP BY order_date ORDER BY day""",
    "top_products": """SELECT product, sum(quantity) AS units, sum(total_amount) AS revenue
        FROM lake GROUP BY product ORDER BY revenue DESC, product LIMIT 10""",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queries")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="a twentieth of the rows and files, for a look")
    parser.add_argument("--json", type=Path, help="write the figures to a file, too")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="lakehead-bench-") as folder:
        figures = run(Path(folder), quick=options.quick, parts=options.parts or PARTS)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def run(root: Path, *, quick: bool, parts: Any = PARTS) -> Figures:
    """Measure in folders below `root`, print, and return the figures, in seconds."""
    sizes = QUICK if quick else SIZES
    print(f"queries, load average {os.getloadavg()[0]:.1f}")
    figures: Figures = {"sizes": sizes}
    if "rows" in parts:
        figures["rows"] = many_rows(new_lake(root / "rows"), sizes["rows"], sizes["rounds"])
    if "files" in parts:
        config = new_lake(root / "files")
        fill(config, sizes["files"])
        figures["files"] = one_day(config, sizes["rounds"])
    return figures


def many_rows(config: LakeConfig, rows: int, rounds: int) -> Figures:
    """The shipped queries, in turns with bare DuckDB, which is told the files by a pattern and knows the partitions."""
    folder = config.root / "data" / config.processed_bucket
    started = time.perf_counter()
    with Lake.open(config) as lake:
        commit(lake, write_days(folder, rows))
        for one in lake.crawl(full=True):
            assert one.status == "SUCCEEDED", one
        print(f"  {rows:,} rows in {DAYS} partitions (made in {time.perf_counter() - started:.0f} s)")
        figures: Figures = {}
        with duckdb.connect(config={"memory_limit": config.memory_limit}) as bare:
            bare.execute(
                f"""CREATE VIEW lake AS FROM read_parquet('{folder}/{DATASET}/*/*.parquet', hive_partitioning = true)"""
            )
            for name, sql in BARE.items():
                ours = next(one.sql for one in lake.named_queries() if one.name == name)
                figures[name] = in_turns(
                    lambda ours=ours: lake.query(ours).rows, lambda sql=sql: bare.execute(sql).fetchall(), rounds
                )
                told = figures[name]
                print(
                    f"    {name:<14} {told['lakehead'] * 1000:9.1f} ms, bare DuckDB {told['duckdb'] * 1000:9.1f} ms"
                    f"  {told['lakehead'] / told['duckdb']:5.2f}x"
                )
    return figures


def in_turns(ours: Callable[[], Any], bare: Callable[[], Any], rounds: int) -> Figures:
    taken: dict[str, list[float]] = {"lakehead": [], "duckdb": []}
    answers = {}
    for _ in range(rounds + 1):
        for name, ask in (("lakehead", ours), ("duckdb", bare)):
            started = time.perf_counter()
            answers[name] = [tuple(row) for row in ask()]
            taken[name].append(time.perf_counter() - started)
    if answers["lakehead"] != answers["duckdb"]:
        raise SystemExit("the answers differ")
    return {name: statistics.median(its[1:]) for name, its in taken.items()}


def write_days(folder: Path, rows: int) -> list[CommittedFile]:
    """A data file for each day, rows as orders have them."""
    files = []
    each = rows // DAYS
    with duckdb.connect() as connection:
        for number in range(DAYS):
            partition = f"order_date={FIRST_DAY + timedelta(number)}"
            key = layout.data_key(DATASET, partition, object_id("years.csv"), f"{number:012x}", 0)
            (folder / key).parent.mkdir(parents=True)
            connection.execute(
                f"""COPY (SELECT range + {number * each} AS order_id, 'C' || hash(range) % 100000 AS customer_id,
                      {list(PRODUCTS)}[CAST(1 + hash(range + 1) % 8 AS BIGINT)] AS product,
                      CAST(1 + hash(range + 2) % 20 AS INTEGER) AS quantity,
                      CAST((100 + hash(range + 3) % 9999900) / 100 AS DECIMAL(12, 2)) AS price,
                      CAST(quantity * price AS DECIMAL(14, 2)) AS total_amount FROM range({each}))
                    TO '{folder / key}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PARQUET_VERSION v1)"""
            )
            files.append(CommittedFile(key, partition, each, (folder / key).stat().st_size, "0" * 64))
    return files


def commit(lake: Lake, files: list[CommittedFile]) -> None:
    """One object whose rows these files hold."""
    config, contract, rows = lake.config, lake.contracts[DATASET], sum(file.rows for file in files)
    key = layout.raw_key(DATASET, FIRST_DAY, "years.csv")
    record = CommitRecord(
        dataset=DATASET,
        object_id=object_id(key),
        source=ObjectVersion(config.raw_bucket, key, etag="0" * 64, size=100, sequencer="01"),
        content_sha256="0" * 64,
        contract_version=contract.version,
        contract_sha256=contract.sha256,
        engine="duckdb",
        execution="years",
        attempt="years-1",
        committed_at=iso(datetime(2025, 1, 1, tzinfo=UTC)),
        rows_read=rows,
        rows_committed=rows,
        rows_quarantined=0,
        files=tuple(files),
        quarantine=(),
        schema=tuple((one.name, one.type.sql) for one in contract.columns if one.name not in contract.partitions),
    )
    lake.store.put(config.processed_bucket, layout.commit_key(DATASET, record.object_id), encode(record))


def one_day(config: LakeConfig, rounds: int = 7) -> Figures:
    """The revenue of one day; how many files that opens, of all."""
    day = FIRST_DAY + timedelta(100)
    sql = f"SELECT count(*), sum(total_amount) FROM processed_orders WHERE order_date = DATE '{day}'"
    taken = []
    with Lake.open(config) as lake:
        for _ in range(rounds * 3 + 1):
            started = time.perf_counter()
            result = lake.query(sql)
            answer = list(result.rows)
            taken.append(time.perf_counter() - started)
        held = lake.table("processed_orders").summary.files
    expected = len(list((config.root / "data" / config.processed_bucket / DATASET / f"order_date={day}").iterdir()))
    assert result.files == expected and answer[0][0] > 0, (result.files, expected, answer)
    middle, slowest = statistics.median(taken[1:]), max(taken[1:])
    print(
        f"  one day of a lake of {held:,} files: {middle * 1000:.1f} ms (slowest {slowest * 1000:.1f} ms,"
        f" first {taken[0] * 1000:.1f} ms), opens {result.files:,} files"
    )
    return {"seconds": middle, "slowest": slowest, "first": taken[0], "opened": result.files, "held": held}


if __name__ == "__main__":
    sys.exit(main())
